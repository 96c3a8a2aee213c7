"""Remake the pictures of nodes for the help pages and the README, in the real page after a run.

    PYTHONPATH=. python tests/host/make_screenshots.py [TEMPLATE ...]

Opens templates in the newest host with Nodes 2.0, runs them short, and keeps a picture of every
node of ours as web/docs/NODE.jpg; the classic canvas as a whole becomes docs/demo/graph.jpg. Takes
some minutes. A node that several templates have is shown as in the first of them.
"""

import io
import json
import sys
import tempfile
from pathlib import Path

import chromium
import hosts
from PIL import Image
from test_browser import ENDED, LOADED, SETTLED

DOCS = hosts.PACK / "web/docs"
GRAPH = hosts.PACK / "docs/demo/graph.jpg"
TEMPLATES = [  # in an order in which the most telling run of a node comes first
    "Photo to loop",
    "Photo to poke",
    "Animate a photo",
    "Four variations, pick one",
    "Keep a motion and use it again",
    "Photo to loop, with an anchor",
    "Clip to calm loop",
    "Motion of a clip on a photo",
    "Any clip to a loop",
    "Photo to loop, nothing painted",
]
SHORT = {
    "AnimateStill": {"seconds": 2, "fps": 8, "draft": "half"},
    "FeatureSplatRender": {"draft": "half"},
    "MotionVariations": {"duration": 1, "bands": 2},
    "SpectrumToDisplacement": {"frames": 40, "fps": 8},
    "PokeDynamics": {"duration": 5, "fps": 8},
}
SHORTER = """short => {
    for (const node of app.graph._nodes)
        for (const [name, value] of Object.entries(short[node.type] ?? {}))
            node.widgets.find(widget => widget.name === name).value = value;
    return app.graph._nodes.map(node => [String(node.id), node.type, ...node.pos, ...node.size]);
}"""
LOOK = """([x, y, scale]) => {
    Object.assign(app.canvas.ds, {offset: [x, y], scale});
    app.canvas.setDirty(true, true);
}"""
WIDTH, QUALITY = 520, 82


def opened(browser, server, name, nodes_2):
    """A page with a template that has run."""
    server.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": nodes_2})
    page = browser.new_page(viewport={"width": 1700, "height": 1300})
    page.goto(server.url, wait_until="domcontentloaded")
    page.wait_for_function(LOADED, timeout=60_000)
    graph = json.loads((hosts.PACK / "workflows" / f"{name}.json").read_text())
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", graph)
    page.evaluate(SETTLED)
    nodes = page.evaluate(SHORTER, SHORT)
    kind, detail = page.evaluate(ENDED)
    assert kind == "execution_success", (name, detail)
    page.wait_for_timeout(2000)
    return page, nodes


def keep(picture: bytes, path: Path, width: int) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    height = round(image.height * min(1, width / image.width))
    image.resize((min(width, image.width), height), Image.Resampling.LANCZOS).save(
        path, quality=QUALITY
    )


def shoot_nodes(page, nodes, wanted):
    """Keep a picture of each node whose type is wanted, and take the type off."""
    for name, kind, x, y, *_ in nodes:
        if kind in wanted:
            page.evaluate(LOOK, [120 - x, 120 - y, 1.0])
            page.wait_for_timeout(700)
            keep(page.locator(f'[data-node-id="{name}"]').screenshot(), DOCS / f"{kind}.jpg", WIDTH)
            wanted.remove(kind)


def main() -> None:
    wanted = set(json.loads((hosts.PACK / "locales/en/nodeDefs.json").read_text()))
    with tempfile.TemporaryDirectory() as folder, chromium.started("--disable-gpu") as browser:
        server = hosts.Server(hosts.FOUND[0], Path(folder) / "base")
        try:
            server.wait()
            for name in sys.argv[1:] or TEMPLATES:
                page, nodes = opened(browser, server, name, True)
                shoot_nodes(page, nodes, wanted)
                page.close()
            page, nodes = opened(browser, server, TEMPLATES[0], False)
            left, top = (min(node[i] for node in nodes) for i in (2, 3))
            right, bottom = (max(n[i] + n[i + 2] for n in nodes) for i in (2, 3))
            scale = min(1600 / (right - left), 1150 / (bottom - top), 1.0)
            page.evaluate(LOOK, [60 / scale - left, 90 / scale - top, scale])
            page.wait_for_timeout(700)
            box = {
                "x": 0,
                "y": 40,
                "width": 1700,
                "height": min(1250, scale * (bottom - top) + 120),
            }
            keep(page.screenshot(clip=box), GRAPH, 1400)
        finally:
            server.close()
    sys.stdout.write(f"Without a picture: {', '.join(sorted(wanted)) or 'none'}.\n")


if __name__ == "__main__":
    main()
