"""Measure whether rendering is right at every size, and what it takes.

    python benchmarks/sizes.py order
    python benchmarks/sizes.py quality BEFORE [--size 256x160] [--first 1100000000] [--scenes 60]
    python benchmarks/sizes.py speed BEFORE [--size 1920x1080] [--threads 1]
    python benchmarks/sizes.py memory
    python benchmarks/sizes.py tiles

order moves a thing by 10 % of the width onto one that moves by 2 %, and reads how far what is seen
there has moved. quality and speed compare with BEFORE, a clone of another commit, by processes of
its own: dB against the exact frames of held-back scenes, and processor time, where the frames of
both are rendered in turns. memory is the peak of whole processes. tiles compares frames that are
refined in parts with frames refined at once.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
RENDERERS = "splat", "learned"
ORDER_SIZES = (512, 288), (1920, 1080), (3840, 2160)
MEMORY_SIZES = (1920, 1080), (3840, 2160)
TILES = (1024, 512, 256)
FIXED_MB = 600.0  # of a process before any picture: torch, the weights
WEIGHTS = ROOT / "gid_core/pretrained/renderer-small.safetensors"
FAST, SLOW = 0.1, 0.02  # of the width
MOMENTS = 0.9, 2.6, 4.1  # s, of the frames that are judged
TIMED, HELD, ROUNDS = 6, 2, 1  # frames that are timed, and rendered for memory; processes of each


def scene(path: Path, seed: int = 1_000_000_000) -> None:
    """A scene, small, as tensors that any commit can read."""
    from gid_core.motion.spectrum import with_trend
    from gid_core.scenes.synthetic import make_scene

    made = make_scene(seed, (160, 256), amplitude_pct=1.5)
    times = torch.arange(12, dtype=torch.float64) / 30
    coeffs, coords = with_trend(made.spectrum(), times)
    torch.save([made.still, coeffs, coords.to(coeffs.dtype)], path)


def enlarged(path: Path, width: int, height: int, everything: bool):
    """The scene's still and motion at a size, and a mask: everything, or a tenth in the middle."""
    still, coeffs, coords = torch.load(path)
    still = F.interpolate(still[None], (height, width), mode="bicubic")[0].clamp(0, 1)
    x, y = (torch.linspace(-1, 1, n) for n in (width, height))
    tenth = x.square() + y[:, None].square() < 0.4 / math.pi
    mask = torch.ones(1, height, width) if everything else tenth[None].float()
    coeffs = coeffs + 0.2  # what the scene leaves still moves too
    return still, coeffs, coords, mask


def frames_of(path, width, height, everything, renderer, weights, count):
    """Frames by whichever commit is imported, this one or 25620a2."""
    still, *motion, mask = enlarged(path, width, height, everything)
    return rendered(still, *motion, mask, renderer, weights, range(1, 1 + count))


def rendered(still, coeffs, coords, mask, renderer, weights, frames):
    try:
        from gid_core.motion.displacement import Displacement
        from gid_core.render.renderer import load_renderer, render_frames
    except ImportError:
        from gid_core.renderer import load_renderer, render_frames
        from gid_core.spectrum import Displacement
    motion = Displacement(coeffs, coords, 30.0, tuple(still.shape[-2:]), mask[None])
    model = None if renderer == "splat" else load_renderer(weights)
    return render_frames(still, motion, model=model, frames=frames)


def work(args) -> None:
    """One process: CPU seconds of every frame, and the peak of memory in MB."""
    torch.set_num_threads(args.threads)
    spent, begun = [], time.process_time()
    options = args.everything, args.renderer, args.weights, args.frames
    for _ in frames_of(args.scene, *args.size, *options):
        spent.append(time.process_time() - begun)
        begun = time.process_time()
    # Of this program alone; getrusage would count what its parent held when it was started.
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6
    print(json.dumps({"first": spent[0], "frame": statistics.median(spent[1:]), "peak": peak}))


def measured(
    commit: Path, path: Path, size, everything: bool, renderer: str, threads: int, frames: int
) -> dict:
    """`work` in a process of its own, with the code of some commit."""
    options = ["--threads", threads, "--frames", frames] + ["--everything"] * everything
    command = ["work", path, "x".join(map(str, size)), renderer, WEIGHTS, *options]
    return by_itself(commit, threads, *command)


def by_itself(commit: Path, threads: int, *command) -> dict:
    """What a command of this file prints in a process of its own, with the code of some commit."""
    environment = os.environ | {"PYTHONPATH": str(commit), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, *map(str, command)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def quality(args) -> None:
    from gid_core.motion.spectrum import with_trend
    from gid_core.scenes.synthetic import make_scene

    runs = {args.before: [], ROOT: []}
    for seed in range(args.first, args.first + args.scenes):
        made = make_scene(seed, args.size[::-1])
        made = replace(made, film=replace(made.film, grain=0.0))
        times = torch.tensor([*torch.arange(24) * 5 / 24, *MOMENTS])
        coeffs, coords = with_trend(made.spectrum(), times.double())
        truth = torch.stack([made.frame(t).image for t in MOMENTS])
        kept = made.still, coeffs, coords.to(coeffs.dtype), made.mask, truth
        with tempfile.TemporaryDirectory() as folder:
            torch.save(kept, Path(folder) / "scene.pt")
            for commit, found in runs.items():
                found.append(by_itself(commit, 1, "judge", Path(folder) / "scene.pt", WEIGHTS))
        print(f"\r{seed - args.first + 1} of {args.scenes}", end="", file=sys.stderr)
    head = "before, dB | now | now - before | scenes worse by more than .05"
    print(
        f"| {args.size[0]}x{args.size[1]}, {args.scenes} scenes | {head} |\n|---|---|---|---|---|"
    )
    for renderer in RENDERERS:
        before, now = (np.array([one[renderer] for one in found]) for found in runs.values())
        gain = now - before
        drawn = np.random.default_rng(0).choice(gain, (2000, len(gain))).mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        cells = f"{before.mean():.2f} | {now.mean():.2f} | {gain.mean():+.3f} [{low:+.3f}, "
        print(f"| {renderer} | {cells}{high:+.3f}] | {(gain < -0.05).sum()} |")


def judge(args) -> None:
    """One process: mean dB of a scene's moments against its exact frames, by each renderer."""
    torch.set_num_threads(1)
    *scene, truth = torch.load(args.scene)
    found = {}
    for renderer in RENDERERS:
        frames = range(24, 24 + len(truth))
        made = torch.stack([f for f, _ in rendered(*scene, renderer, args.weights, frames)])
        error = (made - truth).square().flatten(1).mean(1).clamp(min=1e-12)
        found[renderer] = float((-10 * error.log10()).mean())
    print(json.dumps(found))


def speed(args) -> None:
    head = "renderer | before, CPU s a frame | now | before / now | first frame, before | now"
    print(f"| {args.size[0]}x{args.size[1]}, what moves | {head} |\n|" + "---|" * 7)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.pt"
        scene(path)
        for everything in (False, True):
            for renderer in RENDERERS:
                found = {args.before: [], ROOT: []}
                for _ in range(ROUNDS):
                    for commit, runs in found.items():
                        options = path, args.size, everything, renderer, args.threads, TIMED
                        runs.append(measured(commit, *options))
                best = {
                    key: [min(run[key] for run in runs) for runs in found.values()]
                    for key in ("frame", "first")
                }
                before, now = best["frame"]
                cells = f"{before:.2f} | {now:.2f} | {before / now:.2f} | "
                cells += " | ".join(f"{s:.2f}" for s in best["first"])
                what = "all" if everything else "a tenth"
                print(f"| {what} | {renderer} | {cells} |", flush=True)


def memory(args) -> None:
    print("| what moves, renderer | " + " | ".join(f"{w}x{h}, MB" for w, h in MEMORY_SIZES), end="")
    print(f" | above {FIXED_MB:.0f} MB, MB per Mpx |\n|" + "---|" * (len(MEMORY_SIZES) + 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.pt"
        scene(path)
        for everything in (False, True):
            for renderer in RENDERERS:
                peaks = [
                    measured(ROOT, path, size, everything, renderer, 1, HELD)["peak"]
                    for size in MEMORY_SIZES
                ]
                width, height = MEMORY_SIZES[-1]
                share = (peaks[-1] - FIXED_MB) / (width * height / 1e6)
                cells = " | ".join(f"{peak:.0f}" for peak in peaks)
                what = "all" if everything else "a tenth"
                print(f"| {what}, {renderer} | {cells} | {share:.0f} |", flush=True)


def order(args) -> None:
    print("| size | elsewhere | share of what is in front |\n|---|---|---|")
    for width, height in ORDER_SIZES:
        for elsewhere in (0.0, 0.4):
            share = share_in_front(width, height, elsewhere)
            far = f"{100 * elsewhere:.0f} % of the width" if elsewhere else "nothing"
            print(f"| {width}x{height} | {far} | {share:.5f} |", flush=True)


def share_in_front(width: int, height: int, elsewhere: float) -> float:
    """The share of one thing where it lands on another, the least over the pixels there.

    Both show a ramp, so that a frame says how far what it shows has moved: a mixture of both, in
    between.
    """
    from gid_core.motion.displacement import Displacement
    from gid_core.render.layers import splatted_frames

    x = ((torch.arange(width) + 0.5) / width).expand(height, -1)
    y = (torch.arange(height) + 0.5)[:, None] / height
    upper = (y > 0.1) & (y < 0.5)
    fast, slow = (upper & (x > a) & (x < a + 0.1) for a in (0.3, 0.41))
    far = (y > 0.6) & (y < 0.9) & (x > 0.1) & (x < 0.3)
    matte = (fast | slow | far).float()[None]
    moves = FAST * fast + SLOW * slow + elsewhere * far
    field = torch.stack([moves * width, torch.zeros_like(moves)])  # to the right
    motion = Displacement.of_frames(field[None, None], 30.0, (height, width), matte[None])
    (splatted,) = splatted_frames((x * matte).expand(3, -1, -1), motion, frames=[0])
    # The fast one lands from .4 to .5 of the width, the slow one from .43 to .53.
    place = (
        slice(round(0.2 * height), round(0.4 * height)),
        slice(*map(round, (0.45 * width, 0.48 * width))),
    )
    went = (x - splatted.frame[0])[place]
    return float(((went - SLOW) / (FAST - SLOW)).min())


def tiles(args) -> None:
    from gid_core.motion.displacement import Displacement
    from gid_core.render.layers import splatted_frames
    from gid_core.render.renderer import load_renderer, refiner, shipped_renderer

    width, height = args.size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.pt"
        scene(path)
        still, coeffs, coords, mask = enlarged(path, width, height, True)
    motion = Displacement(coeffs, coords, 30.0, (height, width), mask[None])
    (moved,) = splatted_frames(still, motion, frames=[5])
    model = load_renderer(shipped_renderer())
    whole = refiner(model, still, 2 * max(args.size) // model.multiple * model.multiple)
    whole = whole.refine(moved)
    print(f"| {width}x{height}, tiles of | largest difference from the whole, of 255 |\n|---|---|")
    for tile in TILES:
        off = float((refiner(model, still, tile).refine(moved) - whole).abs().max())
        print(f"| {tile} px | {255 * off:.4f} |", flush=True)


def main() -> None:
    a_size = lambda text: tuple(int(part) for part in text.split("x"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for part in (order, quality, speed, memory, tiles, work, judge):
        command = commands.add_parser(part.__name__)
        command.set_defaults(run=part)
        if part in (quality, speed):
            command.add_argument("before", type=Path)
        if part is quality:
            command.add_argument("--size", type=a_size, default=(256, 160))
            command.add_argument("--first", type=int, default=1_100_000_000)
            command.add_argument("--scenes", type=int, default=60)
        if part in (work, judge):
            command.add_argument("scene", type=Path)
        if part is work:
            command.add_argument("size", type=a_size)
            command.add_argument("renderer", choices=RENDERERS)
            command.add_argument("--everything", action="store_true")
            command.add_argument("--frames", type=int, default=TIMED)
        if part in (work, judge):
            command.add_argument("weights", type=Path)
        if part in (speed, tiles):
            command.add_argument("--size", type=a_size, default=(1920, 1080))
        if part in (speed, work):
            command.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.run not in (work, judge):  # they import whichever commit PYTHONPATH names
        sys.path.insert(0, str(ROOT))
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    args.run(args)


if __name__ == "__main__":
    main()
