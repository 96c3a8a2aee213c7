"""The shipped workflows in the real page: the classic canvas, and the one of Nodes 2.0."""

import itertools
import json

import hosts
import pytest
from graphs import demo_inputs, find, workflow

NAMES = sorted(path.stem for path in (hosts.PACK / "workflows").glob("*.json"))
LOADED = "window.app && window.app.graph && window.app.vueAppReady"
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
SHORTER = """count => {
    const motion = app.graph._nodes.find(node => node.type === "SpectrumToDisplacement");
    motion.widgets.find(widget => widget.name === "frames").value = count;
}"""
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
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda said: is_ours(said) and page.problems.append(said.text))
    page.goto(server.url, wait_until="domcontentloaded")
    page.wait_for_function(LOADED, timeout=60_000)
    page.evaluate(SETTLED)
    yield page
    page.close()


def is_ours(said):
    """Errors but those of a page kept from asking the web for a missing checkpoint."""
    return said.type == "error" and "Content Security Policy" not in said.text


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
    assert complaints == (["CheckpointLoaderSimple"] if name.startswith("text_") else [])
    assert "Missing node" not in page.inner_text("body")
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    for node in prompt.values():
        node["inputs"].pop("video-preview", None)  # not an input: the page's own player
    assert prompt == workflow(name)
    assert page.problems == []
    for (a, *one), (b, *other) in itertools.combinations(page.evaluate(BOXES), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, f"{a} lies over {b}"


def test_run_makes_a_video_and_shows_what_moves(page):
    opened(page, "still_to_loop")
    page.evaluate(SHORTER, 30)  # drawing a page without a GPU leaves little time for frames
    kind, detail = page.evaluate(ENDED)
    assert kind == "execution_success", detail
    prompt = workflow("still_to_loop")
    for node in ("MaskPreview", "MotionSpectrumPreview"):
        shown = f"app.nodeOutputs['{find(prompt, node)}']?.images.length"
        page.wait_for_function(shown + " === 1", timeout=10_000)
    page.wait_for_selector("video", state="attached", timeout=10_000)
    page.wait_for_function("document.querySelector('video').duration > 0.9", timeout=10_000)
    assert page.problems == []
