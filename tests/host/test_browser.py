"""The shipped workflows in the real page: the classic canvas, and the one of Nodes 2.0."""

import itertools
import json

import hosts
import pytest
from graphs import demo_inputs, workflow
from templates import BLUEPRINTS, TEMPLATES, foreign_weights

NAMES = sorted(path.stem for path in (hosts.PACK / "workflows").glob("*.json"))
RUNNABLE = [t.name for t in TEMPLATES if not foreign_weights(t)]
SHOWS = "MaskPreview", "MotionSpectrumPreview", "MotionVariations", "SaveVideo"
LOADED = """window.app && window.app.graph && window.app.vueAppReady
    && document.querySelector("[data-testid=queue-button]")"""
# A title is 30 px high, above a node's position.
BOXES = """app.graph._nodes.map(n => [n.title || n.type, n.pos[0], n.pos[1] - 30,
    n.pos[0] + n.size[0], n.pos[1] + n.size[1]])"""
# Nothing has changed for 0.3 s: not where nodes are, not what they complain about.
SETTLED = f"""new Promise(settled => {{
    let before = "", since = 0;
    const look = now => {{
        const seen = JSON.stringify([{BOXES}, app.graph._nodes.map(n => !!n.has_errors)]);
        if (seen !== before) [before, since] = [seen, now];
        if (now - since > 300) settled();
        else requestAnimationFrame(look);
    }};
    requestAnimationFrame(look);
}})"""
# Few small frames: drawing a page without a GPU leaves little time for them.
SHORT = {
    "AnimateStill": {"seconds": 1, "fps": 6, "draft": "quarter"},
    "FeatureSplatRender": {"draft": "quarter"},
    "LoadMotionModel": {"steps": 1},
    "MotionSpectrumFromVideo": {"window": 1, "bands": 2},
    "MotionVariations": {"duration": 1, "bands": 2},
    "PokeDynamics": {"duration": 1, "fps": 6},
    "SpectrumToDisplacement": {"frames": 6, "fps": 6},
}
SHORTER = """short => {
    for (const node of app.graph._nodes)
        for (const [name, value] of Object.entries(short[node.type] ?? {}))
            node.widgets.find(widget => widget.name === name).value = value;
}"""
PLAYS = "[...document.querySelectorAll('video')].some(video => video.duration > 0.3)"
# What was made has replaced the frames that were shown on the way; our own panels keep their still.
NO_FRAMES_LEFT = """[...document.querySelectorAll("img[src^='blob:']")].every(
    picture => picture.closest("[class*=gid-]"))"""
ENDED = """new Promise(end => {
    for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
        app.api.addEventListener(kind, event => end([kind, event.detail]), {once: true});
    document.querySelector("[data-testid=queue-button]").click();
})"""


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "nodes 2.0"])
def page(request, server, browser):
    """ComfyUI's page, settled; `page.problems` fills with what goes wrong in it."""
    demo_inputs(server.base / "input", 120)
    settings = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param}
    server.post("/settings", settings)
    page = browser.new_page(viewport={"width": 1000, "height": 640})
    page.problems, page.number = [], int(request.param)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda said: is_ours(said) and page.problems.append(said.text))
    page.on(
        "response", lambda got: is_lost(got) and page.problems.append(f"{got.status} {got.url}")
    )
    page.goto(server.url, wait_until="domcontentloaded")
    page.wait_for_function(LOADED, timeout=60_000)
    page.evaluate(SETTLED)
    yield page
    page.close()


def is_ours(said):
    """Errors but those of a page kept from asking the web for a missing checkpoint."""
    return said.type == "error" and "Content Security Policy" not in said.text


def is_lost(answer):
    """A file of the pack, or one that a node has made, that the host does not give."""
    ours = "image-dynamics" in answer.url or "/view?" in answer.url
    return ours and answer.status >= 400


def opened(page, name):
    """Open a workflow; what the page complains about."""
    graph = json.loads((hosts.PACK / "workflows" / f"{name}.json").read_text())
    graph["extra"]["ds"] = {"scale": 0.3, "offset": [300, 400]}  # all of it inside the window
    page.problems.clear()
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.evaluate(SETTLED)
    return page.evaluate("app.graph._nodes.filter(node => node.has_errors).map(n => n.type)")


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_opens_as_the_tests_run_it_and_no_node_lies_over_another(page, name):
    complaints = opened(page, name)
    template = next(t for t in TEMPLATES if t.name == name)
    assert complaints == foreign_weights(template)
    assert "Missing node" not in page.inner_text("body")
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    for node in prompt.values():
        node["inputs"].pop("video-preview", None)  # not an input: the page's own player
    assert prompt == workflow(name)
    assert page.problems == []
    for (a, *one), (b, *other) in itertools.combinations(page.evaluate(BOXES), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, f"{a} lies over {b}"


@pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda blueprint: blueprint.name)
def test_a_blueprint_opens_as_one_node_that_holds_its_chain(page, blueprint):
    graph = json.loads((hosts.PACK / f"subgraphs/{blueprint.name}.json").read_text())
    page.problems.clear()
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.evaluate(SETTLED)
    names = page.evaluate("app.graph._nodes.map(n => [n.title, n.inputs.map(i => i.name)])")
    assert names == [[blueprint.name, list(blueprint.inputs)]]
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    kinds = sorted(node["class_type"] for node in prompt.values())
    assert kinds == sorted(node.kind for node in blueprint.nodes.values())
    assert page.problems == []


def test_every_template_without_foreign_weights_runs_as_it_opens(page):
    """Each of them on one of the two canvases."""
    for name in RUNNABLE[page.number :: 2]:
        opened(page, name)
        page.evaluate(SHORTER, SHORT)
        kind, detail = page.evaluate(ENDED)
        assert kind == "execution_success", (name, detail)
        prompt = workflow(name)
        shown = {node for node in prompt if prompt[node]["class_type"] in SHOWS}
        assert any(prompt[node]["class_type"] == "SaveVideo" for node in shown)
        for node in shown:
            there = f"app.nodeOutputs['{node}']?.images.length"
            page.wait_for_function(there + " === 1", timeout=10_000)
        page.wait_for_function(PLAYS, timeout=10_000)
        page.wait_for_function(NO_FRAMES_LEFT, timeout=10_000)
        assert page.problems == [], name
