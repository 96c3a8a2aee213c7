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
# As low as they go, so that what a run needs is what they grow by.
LOW = """app.graph._nodes.forEach(node =>
    node.setSize([node.size[0], node.computeSize()[1]]))"""
# (type, height, height that its proportions want), px, of each picture below a node's text.
PICTURES = """app.graph._nodes.filter(node =>
    node.widgets?.some(widget => widget.name === "said") && app.nodeOutputs[node.id]?.images?.length
).map(node => {
    const name = `[data-node-id="${node.id}"] img[src*="/view?"]`;
    const picture = LiteGraph.vueNodesMode ? document.querySelector(name) : node.imgs?.[0];
    if (!picture?.naturalWidth) return [node.type, 0, Infinity];
    const high = width => picture.naturalHeight / picture.naturalWidth * width;
    if (LiteGraph.vueNodesMode)
        return [node.type, picture.offsetHeight, high(picture.offsetWidth)];
    const others = node.widgets.filter(widget => !widget.name.startsWith("$$"));
    const end = Math.max(...others.map(widget => widget.y + (widget.computedHeight ?? 20)));
    return [node.type, node.size[1] - end, high(Math.min(node.size[0], picture.naturalWidth))];
})"""
LEFT, WIDE = 300, 980  # px: left of a graph, of the graph; and of the window
LEAST, AROUND = 220, 90  # px: the least that the page gives to a picture; a line and margins
FILLED = f"{PICTURES}.every(([_, height, wanted]) => wanted - 2 <= height)"
# Text that its place in a node does not show whole; of more than nine lines the rest scrolls.
CUT = """[...document.querySelectorAll(".gid-said")].filter(said =>
    0 < said.clientHeight && said.clientHeight < Math.min(said.scrollHeight, 152) - 1
).map(said => said.textContent)"""
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
    # All of it inside the window: on the canvas a node outside shows no video.
    right = max(node["pos"][0] + node["size"][0] for node in graph["nodes"])
    graph["extra"]["ds"] = {"scale": min(0.3, WIDE / (LEFT + right)), "offset": [LEFT, 400]}
    page.problems.clear()
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.evaluate(SETTLED)
    return page.evaluate("app.graph._nodes.filter(node => node.has_errors).map(n => n.type)")


def lying_over(page):
    """Pairs of nodes that share a place."""
    return [
        (a, b)
        for (a, *one), (b, *other) in itertools.combinations(page.evaluate(BOXES), 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]


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
    assert lying_over(page) == []


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
    """Each of them on one of the two canvases; what it shows finds its place in the nodes."""
    for name in RUNNABLE[page.number :: 2]:
        opened(page, name)
        page.evaluate(SHORTER, SHORT)
        page.evaluate(LOW)
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
        page.wait_for_function(FILLED, timeout=20_000)
        page.evaluate(SETTLED)
        for kind, height, wanted in page.evaluate(PICTURES):
            assert height <= max(LEAST, wanted + AROUND), (name, kind, height, wanted)
        assert page.evaluate(CUT) == [] == lying_over(page), name
        assert page.problems == [], name
