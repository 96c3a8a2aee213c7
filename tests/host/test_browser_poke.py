"""Poking with real pointer events in the host's own page and in a newer one, on both canvases.

What the browser shows is compared with what Python computes from the same text. Without a newer
page (see hosts.newest_page) only the host's own is tested.
"""

import base64
import io
import json
import time

import hosts
import numpy as np
import pytest
from graphs import decoded, demo_inputs, find, small_saved
from PIL import Image
from test_browser import ENDED, LOADED, is_ours

WIDTH = 120
DURATION, FPS = 2.0, 12.0
NEWEST = hosts.newest_page()
PAGES = [None, NEWEST] if NEWEST else [None]
HEAD = (0.63, 0.46)  # the dandelion's, in the demo still
OURS = "app.canvas.graph._nodes.find(node => node.type === 'PokeDynamics')"
PANEL = f"{OURS}?.imageDynamics"
# Widgets as a user would set them: the text too, through its callback.
SET = f"""values => {{
    for (const [name, value] of Object.entries(values)) {{
        const widget = {OURS}.widgets.find(widget => widget.name === name);
        widget.value = value;
        widget.callback?.(value);
    }}
}}"""
MOTION = f"""times => times.map(time => {{
    const player = {PANEL}.player;
    player.seek(time);
    const [x, y] = player.field;
    return x.reduce((sum, _, i) => sum + Math.hypot(x[i], y[i]), 0) / x.length;
}})"""
PICTURE = f"""time => {{
    const player = {PANEL}.player;
    player.seek(time);
    return player.view.canvas.toDataURL("image/png").split(",")[1];
}}"""
TRACKER = "app.extensionManager.workflow.activeWorkflow.changeTracker"


@pytest.fixture(scope="module", params=PAGES, ids=["own", "newest"][: len(PAGES)])
def served(request, server, tmp_path_factory):
    """A server with the host's own page or the newer one, and what the workflow loads."""
    if request.param is None:
        demo_inputs(server.base / "input", WIDTH)
        yield server
        return
    folder = tmp_path_factory.mktemp("poke") / "base"
    server = hosts.Server(hosts.FOUND[0], folder, request.param)
    try:
        server.wait()
        demo_inputs(server.base / "input", WIDTH)
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "nodes 2.0"])
def page(request, served, browser):
    """A page in which Photo to poke has run once, short and without gestures."""
    settings = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param}
    served.post("/settings", settings)
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda said: is_ours(said) and page.problems.append(said.text))
    page.goto(served.url, wait_until="domcontentloaded")
    page.wait_for_function(LOADED, timeout=60_000)
    graph = json.loads((hosts.PACK / "workflows/Photo to poke.json").read_text())
    graph = small_saved(graph)
    graph["extra"]["ds"] = {"scale": 0.9, "offset": [-820, 110]}  # the node fills the window
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.wait_for_function(f"{PANEL}?.gestures.length === 3")
    assert "Run once" in page.evaluate(f"{PANEL}.hint.textContent")
    page.evaluate(SET, {"duration": DURATION, "fps": FPS, "gestures": "[]"})
    ran(page)
    shows(page)
    page.problems.clear()  # while it started, it asked for files that do not exist yet
    yield page
    page.close()


def ran(page):
    kind, detail = page.evaluate(ENDED)
    assert kind == "execution_success", detail


def shows(page):
    page.wait_for_function(f"{PANEL}?.player", timeout=20_000)


def text(page):
    return page.evaluate(f"{PANEL}.owner.read()")


def place(page, x, y):
    box = page.evaluate(f"(({PANEL}).player.view.canvas.getBoundingClientRect()).toJSON()")
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page, begin=HEAD, end=(0.72, 0.48), hold_ms=250):
    page.mouse.move(*place(page, *begin))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=8)
    page.wait_for_timeout(hold_ms)
    page.mouse.up()


def stopped(page):
    page.evaluate(f"{PANEL}.player.stop()")
    page.wait_for_function(f"!{PANEL}.player.running")


def python_motion(server, page, gestures, wind=0.2, **how):
    """The spectrum that the page's graph makes, poked here: t 2 h w."""
    from gid_core.files.spectra import load_spectrum
    from gid_core.poke.gestures import read_gestures
    from gid_core.poke.response import poke

    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    sampler = find(prompt, "MotionSpectrumSampler")
    kept = {name: prompt[name] for name in (sampler, find(prompt, "LoadImage"))}
    inputs = {"spectrum": [sampler, 0], "filename_prefix": "poked"}
    kept["save"] = {"class_type": "SaveMotionSpectrum", "inputs": inputs}
    before = set((server.base / "output").glob("poked*"))
    server.post("/prompt", {"prompt": kept})
    until = time.monotonic() + 60
    while not (new := set((server.base / "output").glob("poked*.safetensors")) - before):
        assert time.monotonic() < until
        time.sleep(0.1)
    spectrum = load_spectrum(path := new.pop())
    path.unlink()  # the server is shared: others count what it lists
    motion, _ = poke(spectrum, read_gestures(gestures), DURATION, FPS, wind=wind, **how)
    return motion.at(0).numpy()


def shown_motion(page):
    """Mean motion at every frame of the clip, as the page has it."""
    frames = round(DURATION * FPS)
    return np.array(page.evaluate(MOTION, [t / FPS for t in range(frames)]))


def mean_size(motion):
    return np.sqrt(np.square(motion).sum(1)).mean((1, 2))


def test_what_is_dragged_is_recorded_and_rendered_as_it_was_shown(page, served):
    page.evaluate(SET, {"gestures": "[]"})
    drag(page)
    assert page.evaluate(f"{PANEL}.player.motion.swing()") > 1
    stopped(page)
    (gesture,) = json.loads(text(page))
    assert gesture["x"] == pytest.approx(HEAD[0], abs=0.01)
    assert gesture["dx"] == pytest.approx(0.09, abs=0.01) and gesture["hold"] > 0.2
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    assert prompt[find(prompt, "PokeDynamics")]["inputs"]["gestures"] == text(page)

    shown, made = shown_motion(page), mean_size(python_motion(served, page, text(page)))
    assert made.max() > 3 * made[0]
    assert abs(shown.mean() / made.mean() - 1) < 0.02
    assert np.abs(shown - made).max() < 0.02 * made.max()

    # The video of the queue is nearer to the browser's picture than the still is.
    ran(page)
    saved = (served.base / "output/image_dynamics").glob("photo_to_poke*.mp4")
    video = decoded(max(saved, key=lambda path: path.stat().st_mtime))[0].astype(float)
    t = int(made.argmax())
    picture = base64.b64decode(page.evaluate(PICTURE, t / FPS))
    picture = np.array(Image.open(io.BytesIO(picture)).convert("RGB"), float)
    still = Image.open(served.base / "input/image_dynamics_still.png").convert("RGB")
    away = np.abs(np.array(still, float) - video[t]).mean(2)
    off = np.abs(picture - video[t]).mean(2)
    assert off[away > 20].mean() < 0.6 * away[away > 20].mean()
    assert page.problems == []


def test_settings_act_without_a_run(page, served):
    pull = json.dumps([{"t": 0.1, "x": HEAD[0], "y": HEAD[1], "dx": 0.05, "dy": 0.0, "hold": 0.2}])
    page.evaluate(SET, {"gestures": pull})
    before = shown_motion(page)
    how = {"wind": 0.0, "damping_ratio": 0.4, "stiffness": 2.0, "strength": 0.5}
    page.evaluate(SET, how)
    shown = shown_motion(page)
    page.evaluate(SET, {"wind": 0.2, "damping_ratio": 0.0, "stiffness": 1.0, "strength": 1.0})
    made = mean_size(python_motion(served, page, pull, **how))
    assert np.abs(shown - made).max() < 0.02 * made.max() < 0.1 * np.abs(shown - before).max()
    assert np.allclose(shown_motion(page), before)
    page.evaluate(SET, {"gestures": "[]"})


def test_a_sweep_beside_everything_pushes(page):
    page.evaluate(SET, {"gestures": "[]"})
    drag(page, (0.3, 0.05), (0.98, 0.5), 0)
    stopped(page)
    (gesture,) = json.loads(text(page))
    assert gesture["push"] and gesture["dx"] > 0.6


def test_the_keyboard_flicks_moves_and_deletes(page):
    page.evaluate(SET, {"gestures": "[]"})
    page.evaluate(f"({PANEL}).frame.focus()")
    page.evaluate(f"({PANEL}).player.spot = [0.62, 0.46]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    (gesture,) = json.loads(text(page))
    assert (gesture["x"], gesture["y"], gesture["dx"], gesture["hold"]) == (0.64, 0.46, 0.06, 0)
    assert page.evaluate(f"{PANEL}.player.running")
    stopped(page)
    at = gesture["t"]
    page.evaluate(f"({PANEL}).line.querySelector('button').focus()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert json.loads(text(page))[0]["t"] == pytest.approx(at + 0.2, abs=2e-3)
    nodes = page.evaluate("app.graph._nodes.length")
    page.keyboard.press("Delete")
    assert json.loads(text(page)) == []
    assert page.evaluate("app.graph._nodes.length") == nodes
    assert page.problems == []


def test_a_bar_on_the_timeline_is_dragged_and_deleted(page):
    two = [{"t": t, "x": 0.6, "y": 0.4, "dx": 0.02, "dy": 0, "hold": 0.3} for t in (0.1, 0.6)]
    page.evaluate(SET, {"gestures": json.dumps(two)})
    bars = f"[...({PANEL}).line.querySelectorAll('button')]"
    boxes = page.evaluate(f"{bars}.map(bar => bar.getBoundingClientRect().toJSON())")
    line = page.evaluate(f"({PANEL}).line.getBoundingClientRect().toJSON()")
    x, y = boxes[1]["x"] + boxes[1]["width"] / 2, boxes[1]["y"] + boxes[1]["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + line["width"] / 4, y, steps=4)
    page.mouse.up()
    times = [gesture["t"] for gesture in json.loads(text(page))]
    assert times == [0.1, pytest.approx(0.6 + DURATION / 4, abs=0.03)]
    page.evaluate(f"({PANEL}).bin.click()")  # deletes what is selected: the one just moved
    assert [gesture["t"] for gesture in json.loads(text(page))] == [0.1]


def test_undo_and_copies_keep_the_gestures_and_the_still(page):
    page.evaluate(SET, {"gestures": "[]"})
    page.evaluate(f"{TRACKER}.captureCanvasState()")
    drag(page)
    stopped(page)
    kept = text(page)
    page.evaluate(f"{TRACKER}.undo()")
    page.wait_for_function(f"{PANEL}?.owner.read() === '[]' && {PANEL}.player")
    page.evaluate(f"{TRACKER}.redo()")
    page.wait_for_function(f"{PANEL}?.owner.read() !== '[]' && {PANEL}.player")
    assert text(page) == kept and page.evaluate(f"{PANEL}.gestures.length") == 1
    page.evaluate(f"() => {{ app.canvas.selectItems([{OURS}]); }}")
    page.evaluate("() => { app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard(); }")
    copies = "app.graph._nodes.filter(node => node.type === 'PokeDynamics')"
    page.wait_for_function(f"{copies}.length === 2")
    page.wait_for_timeout(100)
    texts = page.evaluate(f"{copies}.map(node => node.imageDynamics.owner.read())")
    assert texts == [kept, kept]
    # They are two: changing one leaves the other.
    page.evaluate(f"{copies}[1].imageDynamics.change([])")
    assert page.evaluate(f"{copies}.map(n => n.imageDynamics.gestures.length)") == [1, 0]
    page.evaluate(f"() => {{ app.graph.remove({copies}[1]); }}")
    assert page.problems == []


def test_invalid_text_is_reported_and_kept(page):
    page.evaluate(SET, {"gestures": "[{"})
    assert "not readable as JSON" in page.evaluate(f"{PANEL}.hint.textContent")
    drag(page, hold_ms=0)
    assert text(page) == "[{"
    page.evaluate(SET, {"gestures": "[]"})
    assert page.evaluate(f"{PANEL}.problem") == ""


def test_it_goes_on_drawing_when_webgl_is_lost(page):
    if page.evaluate(f"{PANEL}.player.view.kind") != "webgl2":
        pytest.skip("This browser has no WebGL2 to lose.")
    page.evaluate(SET, {"gestures": "[]"})
    gone = f"{PANEL}.player.view.gl.getExtension('WEBGL_lose_context').loseContext()"
    page.evaluate(gone)
    page.wait_for_function(f"{PANEL}.player.view.kind === '2d'")
    rest = page.evaluate(PICTURE, 0)
    drag(page)
    (gesture,) = json.loads(text(page))
    stopped(page)
    assert page.evaluate(PICTURE, gesture["t"] + gesture["hold"] - 0.02) != rest
    assert page.problems == []


def test_a_node_can_be_deleted_while_it_is_dragged(page):
    page.mouse.move(*place(page, *HEAD))
    page.mouse.down()
    page.mouse.move(*place(page, 0.7, 0.5), steps=3)
    page.evaluate(f"() => {{ app.graph.remove({OURS}); }}")
    page.wait_for_timeout(50)
    page.mouse.move(400, 300)
    page.mouse.up()
    page.wait_for_timeout(50)
    assert not page.query_selector_all(".gid-poke")
    page.evaluate(f"{TRACKER}.undo()")
    page.wait_for_function(f"{PANEL}?.player", timeout=10_000)
    assert page.problems == []


def test_in_a_subgraph_it_is_poked_too(page):
    page.evaluate(SET, {"gestures": "[]"})
    page.evaluate(f"() => {{ app.graph.convertToSubgraph(new Set([{OURS}])); }}")
    inside = "app.canvas.setGraph(app.graph._nodes.find(node => node.subgraph).subgraph)"
    page.evaluate(f"() => {{ {inside}; }}")
    page.wait_for_function(PANEL, timeout=10_000)
    page.evaluate("() => { app.canvas.ds.offset = [-820, 110]; app.canvas.ds.scale = 0.9; }")
    page.evaluate(f"() => {{ {OURS}.pos = [870, 0]; }}")
    ran(page)
    shows(page)
    page.wait_for_timeout(300)
    drag(page)
    stopped(page)
    assert len(json.loads(text(page))) == 1
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    assert prompt[find(prompt, "PokeDynamics")]["inputs"]["gestures"] == text(page)
    assert page.problems == []


def test_a_reload_keeps_the_gesture(page):
    kept = text(page)
    assert json.loads(kept)
    page.wait_for_timeout(1500)  # the page saves what is open a moment later
    page.goto(page.url, wait_until="domcontentloaded")
    page.wait_for_function(LOADED, timeout=60_000)
    page.wait_for_function("app.graph._nodes.length > 0", timeout=20_000)
    prompt = page.evaluate("app.graphToPrompt().then(graph => graph.output)")
    assert prompt[find(prompt, "PokeDynamics")]["inputs"]["gestures"] == kept
