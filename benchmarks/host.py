"""What a ComfyUI does with the pack: how often frames are rendered, how fast cancelling acts.

    python benchmarks/host.py

Runs graphs in the newest ComfyUI that is found (see tests/host/hosts.py), in a process of its own
that forgets what nodes made: a run that has nothing to render still renders the one frame that the
renderer shows. The page's host holds even that. Disk is what all runs together left in the temp
folder; gid_core/files/kept.py bounds it.
Cancelled: seconds from the click on Cancel until the host has stopped.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/host")]

import hosts
from graphs import Graph, assert_ran, node
from test_host_cancel import slow
from test_host_model import learned
from test_host_renders import FRAMES, rendered, swaying

from gid_core.files.kept import LIMIT

SEED = 4000
MOMENTS_S = 0.5, 1.5, 3.0  # after the start of a node, at which it is cancelled


def renders(host, folder: Path) -> None:
    """Print how many frames are rendered in one run after the other."""
    graph = swaying(folder, SEED)
    inputs = {name: graph.nodes[name]["inputs"] for name in ("save", "motion", "render")}

    def two_saves():
        graph.nodes["again"] = node("SaveVideo", **inputs["save"] | {"filename_prefix": "other"})

    runs = {
        "the graph as it opens, video only": lambda: None,
        "again": lambda: None,
        "two nodes that save": two_saves,
        "another prefix": lambda: inputs["save"].update(filename_prefix="another"),
        "another frame rate": lambda: inputs["motion"].update(fps=11.0),
        "another renderer": lambda: inputs["render"].update(renderer="learned (shipped)"),
        "the first renderer again": lambda: inputs["render"].update(renderer="splat only"),
        "another format": lambda: inputs["save"].update(format="mkv"),
    }
    print(f"| a clip of {FRAMES} frames, run after run | frames rendered |")
    print("|---|---|")
    for name, change in runs.items():
        change()
        _, made = rendered(host, graph)
        print(f"| {name} | {made} |", flush=True)
    held = swaying(folder, SEED + 1, "frames and video")
    held.nodes["again"] = node("SaveVideo", **held.nodes["save"]["inputs"])
    held.nodes["again"]["inputs"]["filename_prefix"] = "other"
    print(f"| another motion, frames and video, two nodes that save | {rendered(host, held)[1]} |")
    left = sum(f.stat().st_size for f in host.folder("temp").rglob("*") if f.is_file())
    print("\n| in the temp folder after that, MiB | kept there at most, MiB |\n|---|---|")
    print(f"| {left / 2**20:.2f} | {LIMIT / 2**20:.0f} |")


def cancelled(host, folder: Path) -> None:
    """Print how long the host goes on after a cancel."""
    graphs = {
        "elastic model, 28 bands, 512x288": (slow, "sampler", {"bands": 28}),
        "learned model, 900 steps": (learned, "sampler", {}),
        "renderer, 600 frames of 512x288": (slow, "render", {}),
    }
    print("\n| busy | cancelled after, s | stopped after, s |")
    print("|---|---|---|")
    for number, (name, (make, busy, options)) in enumerate(graphs.items()):
        for after in MOMENTS_S:
            here = folder / f"{number} {after}"
            here.mkdir()
            graph: Graph = make(here, steps=900) if make is learned else make(here)
            graph.nodes["sampler"]["inputs"] |= {"seed": round(10 * after), **options}
            ran = graph.keep(frames=("render", 0)).run(
                host, interrupt={"node": busy, "after": after}
            )
            done = "ended before" if ran["success"] else f"{ran['stopped_after']:.2f}"
            print(f"| {name} | {after} | {done} |", flush=True)
    assert_ran(swaying(folder, SEED + 2).run(host))


def main() -> None:
    if hosts.python() is None:
        sys.exit("Found no ComfyUI. Set COMFYUI_PATH.")
    with tempfile.TemporaryDirectory() as folder:
        host = hosts.Host(hosts.FOUND[0], Path(folder) / "host")
        try:
            for part in (renders, cancelled):
                (Path(folder) / part.__name__).mkdir()
                part(host, Path(folder) / part.__name__)
        finally:
            host.close()


if __name__ == "__main__":
    main()
