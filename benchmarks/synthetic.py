"""The synthetic scenes: how fast they are made, how unlike they are, what they look like.

    python benchmarks/synthetic.py speed
    python benchmarks/synthetic.py variety [--count 200]
    python benchmarks/synthetic.py gallery OUT

Seeds are consecutive, none chosen. Numbers go to docs/benchmarks.md, the sheet of the gallery to
docs/demo/scenes.jpg.
"""

import argparse
import collections
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.evaluation import viz
from gid_core.files import stills
from gid_core.scenes import synthetic

TRAINING = {"size": (80, 128), "cells": 2}


def make(count: int) -> float:
    """Still, spectrum and mask of so many scenes, on one thread; seconds of processor time."""
    torch.set_num_threads(1)
    begun = time.process_time()
    for seed in range(count):
        scene = synthetic.make_scene(seed, **TRAINING)
        _ = scene.still, scene.spectrum(), scene.mask
    return time.process_time() - begun


def speed(args) -> None:
    make(5)
    count = 60
    head = "still, spectrum and mask at 128x80"
    print(f"| {head} | a second | a second of processor time |\n|---|---|---|")
    for processes in (1, 2):
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes) as pool:
            pool.map(make, [3] * processes, chunksize=1)  # imports
            begun = time.perf_counter()
            spent = sum(pool.map(make, [count] * processes, chunksize=1))
            wall = time.perf_counter() - begun
        made = processes * count
        print(f"| {processes} processes | {made / wall:.1f} | {made / spent:.1f} |")
    print("\n| a frame with its truth | median of the kinds, s | slowest kind, s |\n|---|---|---|")
    torch.set_num_threads(1)
    for size in ((160, 256), (288, 512)):
        spent = {}
        for kind in synthetic.KINDS:
            scene = synthetic.make_scene(0, size, kind)
            scene.frame(0.1)
            begun = time.process_time()
            for t in (0.5, 1.5, 2.5):
                scene.frame(t)
            spent[kind] = (time.process_time() - begun) / 3
        slowest = max(spent, key=spent.get)
        median = np.median(list(spent.values()))
        print(f"| {size[1]}x{size[0]} | {median:.3f} | {spent[slowest]:.3f} ({slowest}) |")


def variety(args) -> None:
    torch.set_num_threads(1)
    kinds, rows, small = collections.Counter(), [], []
    for seed in range(args.count):
        scene = synthetic.make_scene(seed, **TRAINING)
        kinds[scene.kind] += 1
        still, volume = scene.still, scene.spectrum()
        amplitude = volume.coeffs[0].abs().square().sum(1).sqrt()  # k h w
        moving = amplitude.sum(0) > 0.1 * amplitude.sum(0).max()
        middle = amplitude[:, moving].median(1).values.clamp(min=1e-9)
        slope = np.polyfit(volume.frequencies_hz.log(), middle.log(), 1)[0]
        across, along = (volume.coeffs[0][:, axis][:, moving].abs().mean() for axis in (1, 0))
        rows.append(
            [
                float(scene.mask.mean()),
                float(still.mean()),
                float(still.flatten(1).std(1).mean()),
                float((still.amax(0) - still.amin(0)).mean()),
                float(amplitude.sum(0)[moving].quantile(0.95)),
                slope,
                float(along / across.clamp(min=1e-9)),
            ]
        )
        small.append(F.interpolate(still[None], (10, 16), mode="area").flatten())
    names = (
        "share of the picture that can move",
        "mean brightness",
        "contrast",
        "saturation",
        "sum of peak amplitudes, 95 %, px",
        "log-log slope of amplitude, 0.2-3.2 Hz",
        "horizontal to vertical amplitude",
    )
    print("kinds:", ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items())))
    print("\n| over scenes | 5 % | 25 % | median | 75 % | 95 % |\n|---|---|---|---|---|---|")
    for name, values in zip(names, np.array(rows).T):
        parts = " | ".join(f"{q:.2f}" for q in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
        print(f"| {name} | {parts} |")
    distance = torch.cdist(torch.stack(small), torch.stack(small)) / np.sqrt(480)
    nearest = distance.fill_diagonal_(9).amin(1)
    others = nearest.median(), nearest.min(), distance[distance < 9].median()
    print("\n| thumbnails of 16x10, root mean square difference | |\n|---|---|")
    print(f"| from the most alike other one, median | {others[0]:.3f} |")
    print(f"| the same, smallest | {others[1]:.3f} |")
    print(f"| from any other one, median | {others[2]:.3f} |")


def gallery(args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = [synthetic.make_scene(seed, (160, 256)) for seed in range(24)]
    sheet = viz.tiles([scene.still for scene in scenes], 4)
    Image.fromarray(stills.to_bytes(sheet)).save(args.out / "scenes.jpg", quality=82)
    rows = []
    for scene in scenes[:6]:
        frames = torch.stack([scene.image_at(t / 20) for t in range(100)])
        row = viz.busiest_row(frames)
        over_time = viz.resized(viz.slice_xt(frames, row), scene.size)
        energy = viz.motion_energy_picture(frames)
        rows += [frames[0], frames[25], frames[50], energy, over_time]
    Image.fromarray(stills.to_bytes(viz.tiles(rows, 5))).save(args.out / "motion.jpg", quality=88)
    print(f"wrote {args.out}/scenes.jpg and motion.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for part in (speed, variety, gallery):
        command = commands.add_parser(part.__name__)
        command.set_defaults(run=part)
        if part is variety:
            command.add_argument("--count", type=int, default=200)
        if part is gallery:
            command.add_argument("out", type=Path, metavar="OUT")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
