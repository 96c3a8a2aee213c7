"""How long someone waits, as Markdown tables.

    python benchmarks/waiting.py first [--mpx 12 24] [--threads 1]
    python benchmarks/waiting.py animate BEFORE [--busy 0 3] [--repeats 5]

first: large stills, of which a quarter moves, from the still in memory to the first frame, each in
a process of its own: seconds by the clock and of the processor, and the largest memory of the
process. animate: the command of a folder with an older version, and this one's, in turns in one
run: 60 frames at 512x288 without the network, also beside processes that never sleep. Medians;
times by the clock depend on what else runs, their ratio much less.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gid_core import pipeline
from gid_core.files import stills
from gid_core.render.renderer import load_renderer, shipped_renderer

STILL, MASK = ROOT / "docs/demo/still.png", ROOT / "docs/demo/still_mask.png"
SMALL = 288, 512  # (height, width)
# How a frame is made: with the network, and with a textured background, as the node does it.
WAYS = {"splat": (False, False), "network": (True, False), "network, textured": (True, True)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("first")
    command.add_argument("--mpx", type=float, nargs="+", default=[12.0, 24.0])
    command.add_argument("--threads", type=int, default=1)
    command.set_defaults(run=first)
    command = commands.add_parser("animate")
    command.add_argument("before", type=Path, metavar="BEFORE")
    command.add_argument("--busy", type=int, nargs="+", default=[0, 3])
    command.add_argument("--repeats", type=int, default=5)
    command.set_defaults(run=animate)
    args = parser.parse_args()
    args.run(args)


def first(args):
    alone = multiprocessing.get_context("spawn")
    print("| still | renderer | s | CPU s | of these: sampled | played | first frame | peak, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for mpx in args.mpx:
        for name, options in WAYS.items():
            with alone.Pool(1) as pool:
                parts, clock, peak = pool.apply(first_frame, (mpx, *options, args.threads))
            cells = [f"{mpx:g} megapixels", name, f"{clock:.1f}", f"{sum(parts):.1f}"]
            cells += [f"{part:.1f}" for part in parts] + [f"{peak:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def first_frame(
    mpx: float, network: bool, texture: bool, threads: int
) -> tuple[list[float], float, float]:
    """(CPU seconds of sampling, playing and rendering, seconds by the clock, peak MB)."""
    torch.set_num_threads(threads)
    size = round((mpx * 1e6 * 2 / 3) ** 0.5), round((mpx * 1e6 * 3 / 2) ** 0.5)
    enlarged = lambda picture: F.interpolate(picture[None], size, mode="bilinear").clamp(0, 1)
    image = enlarged(stills.read_still(STILL))
    image += 0.02 * torch.rand(size, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, *size)
    mask[..., size[0] // 4 : 3 * size[0] // 4, size[1] // 4 : 3 * size[1] // 4] = 1
    begun, spent = time.perf_counter(), [time.process_time()]
    spectrum, _ = pipeline.sample_motion(image, mask)
    spent.append(time.process_time())
    motion, _ = pipeline.play(spectrum, 150, 30.0)
    spent.append(time.process_time())
    model = load_renderer(shipped_renderer()) if network else None
    next(pipeline.render(image, motion, frames=range(1), model=model, texture=texture))
    spent.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return [b - a for a, b in zip(spent, spent[1:])], time.perf_counter() - begun, peak


def animate(args):
    named = {"before": args.before.resolve(), "now": ROOT}
    print("| busy processes | s before | s now | ratio | CPU s before | CPU s now | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        still, mask = Path(folder) / "still.png", Path(folder) / "mask.png"
        for path, to in ((STILL, still), (MASK, mask)):
            picture = stills.read_still(path)[None, :3]
            stills.write_picture(to, F.interpolate(picture, SMALL, mode="area")[0])
        for count in args.busy:
            times = beside(count, args.repeats, named, still, mask)
            print(f"| {count} |", *(f"{cell} |" for cell in cells_of(times)), flush=True)


def cells_of(times):
    for i, digits in enumerate((2, 2)):
        before, now = (statistics.median(t[i] for t in times[name]) for name in ("before", "now"))
        yield from (f"{before:.{digits}f}", f"{now:.{digits}f}", f"{now / before:.3f}")


def beside(count, repeats, named, still, mask):
    """(seconds by the clock, CPU seconds) of every run of each version."""
    code = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(code) for _ in range(count)]
    times = {name: [] for name in named}
    try:
        for _ in range(repeats):
            for name, folder in named.items():
                times[name].append(once(folder, still, mask))
    finally:
        for process in busy:
            process.kill()
    return times


def once(folder, still, mask):
    command = [sys.executable, "-m", "gid_core", "animate", still, "--mask", mask]
    command += ["-o", still.with_name("clip.mp4"), "--renderer", "splat", "--frames", "60"]
    begun, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return time.perf_counter() - begun, cpu


if __name__ == "__main__":
    main()
