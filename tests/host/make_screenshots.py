"""Remake the pictures of nodes for the help pages and the README, in the real page after a run.

    PYTHONPATH=. python tests/host/make_screenshots.py [TEMPLATE ...] [--new] [--look FOLDER]

Opens templates in the newest host with Nodes 2.0, runs them short, and keeps a picture of every
node of ours as web/docs/NODE.jpg; the first template as a whole becomes docs/demo/graph.jpg. Takes
some minutes. A node that several templates have is shown as in the first of them. With --new only
nodes without a picture get one, and only templates that have such a node are opened. With --look
nothing of the pack changes: templates are drawn as a whole, on both canvases, into that folder.
"""

import argparse
import io
import json
import tempfile
from pathlib import Path

import chromium
import hosts
from PIL import Image
from test_browser import ENDED, LOADED, SETTLED

NODES = hosts.PACK / "locales/en/nodeDefs.json"
DOCS = hosts.PACK / "web/docs"
GRAPH = hosts.PACK / "docs/demo/graph.jpg"
WORKFLOWS = hosts.PACK / "workflows"
TEMPLATES = [  # in an order in which the most telling run of a node comes first
    "Animate a photo",
    "Photo to loop",
    "Photo to poke",
    "Four variations, pick one",
    "Keep a motion and use it again",
    "Photo to loop, with an anchor",
    "Clip to calm loop",
    "Motion of a clip on a photo",
    "Any clip to a loop",
    "Photo to loop, nothing painted",
    "Camera and sway",
    "Clip's motion, calmed band by band",
    "Loop on the beat",
    "Clouds over a meadow that sways",
]
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # text at every zoom
}
SHORT = {
    "AnimateStill": {"seconds": 2, "fps": 8, "draft": "half"},
    "MotionBeat": {"fps": 6},
    "FeatureSplatRender": {"draft": "quarter"},
    "MotionVariations": {"duration": 1, "bands": 2},
    "SpectrumToDisplacement": {"frames": 40, "fps": 8},
    "PokeDynamics": {"duration": 5, "fps": 8},
}
SHORTER = """short => {
    for (const node of app.graph._nodes)
        for (const [name, value] of Object.entries(short[node.type] ?? {}))
            node.widgets.find(widget => widget.name === name).value = value;
}"""
PLACES = "app.graph._nodes.map(n => [String(n.id), n.type, ...n.pos, ...n.size])"
LOOK = """([x, y, scale]) => {
    Object.assign(app.canvas.ds, {offset: [x, y], scale});
    app.canvas.setDirty(true, true);
}"""
ADDED = """kind => {
    const node = LiteGraph.createNode(kind);
    node.pos = [9000, 0];
    app.graph.add(node);
    return [String(node.id), kind, ...node.pos];
}"""
WIDTH, GRAPH_WIDTH, QUALITY = 520, 860, 78
WINDOW, BARS = (1700, 1300), (70, 130)  # px of the page, and of its bars at the left and above


def opened(browser, server, name, nodes_2):
    """A page with a template that has run, and its nodes as [id, type, x, y, width, height]."""
    server.post("/settings", {**SETTINGS, "Comfy.VueNodes.Enabled": nodes_2})
    page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
    page.goto(server.url, wait_until="commit", timeout=300_000)
    page.wait_for_function(LOADED, timeout=300_000)
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text())
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.evaluate(SETTLED)
    page.evaluate(SHORTER, SHORT)
    kind, detail = page.evaluate(ENDED)
    assert kind == "execution_success", (name, detail)
    page.wait_for_timeout(2000)
    return page, page.evaluate(PLACES)


def keep(picture: bytes, path: Path, width: int) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    height = round(image.height * min(1, width / image.width))
    image = image.resize((min(width, image.width), height), Image.Resampling.LANCZOS)
    image.save(path, quality=QUALITY, optimize=True)


def shoot_nodes(page, nodes, wanted):
    """Keep a picture of each node whose type is wanted, and take the type off."""
    for name, kind, x, y, *_ in nodes:
        if kind in wanted:
            page.evaluate(LOOK, [120 - x, 120 - y, 1.0])
            page.wait_for_timeout(700)
            keep(page.locator(f'[data-node-id="{name}"]').screenshot(), DOCS / f"{kind}.jpg", WIDTH)
            wanted.remove(kind)


def shoot_others(page, wanted):
    """Keep a picture of nodes that no template has run, as they are when they are added."""
    for kind in sorted(wanted):
        node = page.evaluate(ADDED, kind)
        page.wait_for_timeout(500)
        shoot_nodes(page, [node], wanted)


def shoot_graph(page, nodes, path, width=1400):
    """Keep a picture of the whole graph, as large as it fits, without the page's own bars."""
    page.wait_for_timeout(4000)  # until the page has no more to announce
    left, top = (min(node[i] for node in nodes) for i in (2, 3))
    right, bottom = (max(n[i] + n[i + 2] for n in nodes) for i in (2, 3))
    room = WINDOW[0] - BARS[0] - 40, WINDOW[1] - BARS[1] - 60
    scale = min(room[0] / (right - left), room[1] / (bottom - top + 30), 1.0)
    x, y = BARS[0] + 20, BARS[1] + 10 + 30 * scale
    page.evaluate(LOOK, [x / scale - left, y / scale - top, scale])
    page.wait_for_timeout(1000)
    shown = scale * (right - left) + 40, scale * (bottom - top + 30) + 40
    box = dict(zip(("x", "y", "width", "height"), (*BARS, *shown)))
    keep(page.screenshot(clip=box), path, width)


def look(browser, server, names, folder):
    """Draw templates as a whole on both canvases."""
    folder.mkdir(parents=True, exist_ok=True)
    for nodes_2 in (False, True):
        for name in names:
            page, nodes = opened(browser, server, name, nodes_2)
            shoot_graph(page, nodes, folder / f"{name}{' 2' if nodes_2 else ''}.jpg")
            page.close()


def remake(browser, server, names, wanted, others):
    """Write the pictures of the wanted nodes of the pack; with others, of those that never ran."""
    for name in names:
        page, nodes = opened(browser, server, name, True)
        shoot_nodes(page, nodes, wanted)
        if name == TEMPLATES[0]:
            shoot_graph(page, [n for n in nodes if n[1] != "MarkdownNote"], GRAPH, GRAPH_WIDTH)
        if name == names[-1] and others:
            shoot_others(page, wanted)
        page.close()


def kinds_of(name):
    return {n["type"] for n in json.loads((WORKFLOWS / f"{name}.json").read_text())["nodes"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("templates", nargs="*", default=TEMPLATES)
    parser.add_argument("--new", action="store_true", help="only nodes without a picture")
    parser.add_argument("--look", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    names, wanted = args.templates, set(json.loads(NODES.read_text()))
    others = len(names) == len(TEMPLATES)
    if args.new:
        wanted = {kind for kind in wanted if not (DOCS / f"{kind}.jpg").is_file()}
        names = [name for name in names if wanted & kinds_of(name)] or names[-1:]
    with tempfile.TemporaryDirectory() as folder, chromium.started("--disable-gpu") as browser:
        server = hosts.Server(hosts.FOUND[0], Path(folder) / "base")
        try:
            server.wait()
            if args.look:
                return look(browser, server, names, args.look)
            remake(browser, server, names, wanted, others)
        finally:
            server.close()


if __name__ == "__main__":
    main()
