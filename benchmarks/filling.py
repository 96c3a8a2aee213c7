"""Measure what is seen where things have moved away: textured fill against mirrored.

    python benchmarks/filling.py scenes [--scenes 40] [--gain 3]
    python benchmarks/filling.py structured [--pictures 12]

scenes: held-back scenes, moved exactly, without the network. The uncovered part of each frame is
laid over the exact frame, so that only what was filled in can differ; looks is the distance of
`evaluation/looks.py`. structured: bricks, planks, lines and tiles with a known picture behind a
blob; dB are those of the blob.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.evaluation.looks import load_looks, look_distance
from gid_core.motion.displacement import Displacement
from gid_core.motion.spectrum import with_trend
from gid_core.render.layers import Behind, splatted_frames
from gid_core.render.splat import weighted_splat
from gid_core.scenes.synthetic import make_scene
from gid_core.still.background import fill_background

SEEDS = 1_300_000_000  # of scenes that nothing was tuned or trained on
MOMENTS = (0.9, 2.6)  # s
LEAST = 40  # px of an uncovered area that is measured
STRUCTURES = "bricks", "planks", "lines", "tiles"


def scenes(args) -> None:
    backbone, gains = load_looks(), {"looks": [], "dB": []}
    means = {"mirrored": [], "textured": []}
    for seed in range(SEEDS, SEEDS + args.scenes):
        scene = make_scene(seed, (160, 256))
        film = replace(scene.film, grain=0.0)
        shift, strain = scene.shift * args.gain, scene.strain * args.gain
        scene = replace(scene, film=film, shift=shift, strain=strain)
        times = torch.tensor([*torch.arange(24) * 5 / 24, *MOMENTS])
        spectrum, still = scene.spectrum(), scene.still
        coeffs, coords = with_trend(spectrum, times.double())
        motion = Displacement(
            coeffs, coords.to(coeffs.dtype), 30.0, spectrum.reference_size, spectrum.mask
        )
        truths = [scene.frame(t) for t in MOMENTS]
        bare = [uncovered(truth) for truth in truths]
        if min(int(each.sum()) for each in bare) < LEAST:
            continue
        found = {}
        for name in means:
            behind = Behind(texture=name == "textured")
            moved = splatted_frames(still, motion, frames=range(24, 26), behind=behind)
            exact = torch.stack([truth.image for truth in truths])
            shown = torch.stack([torch.where(b, m.frame, e) for b, m, e in zip(bare, moved, exact)])
            looks = float(look_distance(backbone, shown, exact).mean())
            errors = [(s - e).square().mean(0)[b].mean() for s, e, b in zip(shown, exact, bare)]
            found[name] = looks, float(np.mean([decibels(error) for error in errors]))
            means[name].append(found[name])
        for column, key in enumerate(gains):
            gains[key].append(found["textured"][column] - found["mirrored"][column])
        print(f"\r{seed - SEEDS + 1} of {args.scenes}", end="", file=sys.stderr)
    print(f"| {len(gains['dB'])} scenes, motion x {args.gain:g} | looks | dB |\n|---|---|---|")
    for name, rows in means.items():
        looks, level = np.mean(rows, 0)
        print(f"| {name} | {looks:.5f} | {level:.2f} |")
    print(f"| textured - mirrored | {interval(gains['looks'], 5)} | {interval(gains['dB'], 2)} |")
    better = np.mean(np.array(gains["looks"]) < 0)
    print(f"| share of scenes where textured is better | {better:.2f} | |")


def structured(args) -> None:
    print(
        "| behind a blob | mirrored, dB | textured, dB | textured - mirrored |\n|---|---|---|---|"
    )
    for name in STRUCTURES:
        found = []
        for seed in range(args.pictures):
            generator = torch.Generator().manual_seed(seed)
            truth = structure(name, generator)
            matte = blob(generator)
            given = torch.where(matte > 0, torch.tensor([0.1, 0.5, 0.15]).view(3, 1, 1), truth)
            row = []
            for texture in (False, True):
                error = (fill_background(given, matte, texture) - truth).square().mean(0)
                row.append(decibels(error[matte[0] > 0].mean()))
            found.append(row)
        mirrored, textured = np.array(found).T
        gain = interval(textured - mirrored, 2)
        print(f"| {name} | {mirrored.mean():.2f} | {textured.mean():.2f} | {gain} |", flush=True)


def structure(name: str, generator: torch.Generator, size=(192, 288)) -> torch.Tensor:
    """A wall or floor, 3 h w: turned a little, with colours and grain of its own."""
    draw = lambda low, high: low + (high - low) * float(torch.rand((), generator=generator))
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    turn = draw(-0.12, 0.12)
    along, across = x + turn * y + draw(0, 50), y - turn * x + draw(0, 50)
    high = draw(12, 20)
    joint = lambda at, every: (at.remainder(every) < 2).float()
    row = (across / high).floor()
    lines = {
        "bricks": lambda: joint(across, high).maximum(joint(along + row * high, 2 * high)),
        "planks": lambda: joint(across, high),
        "lines": lambda: 0.5 + 0.5 * torch.sin(across * (6.2832 / high)),
        "tiles": lambda: joint(across, high).maximum(joint(along, high)),
    }[name]()
    one, other = torch.rand(2, 3, 1, 1, generator=generator) * 0.7 + 0.15
    grain = 0.02 * torch.randn(1, *size, generator=generator)
    return (one + (other - one) * lines + grain).clamp(0, 1)


def blob(generator: torch.Generator, size=(192, 288), share: float = 0.12) -> torch.Tensor:
    """A smooth shape away from the border that covers some of the picture, 1 h w of 0 and 1."""
    noise = torch.randn(1, 1, 6, 8, generator=generator)
    hills = F.interpolate(noise, size, mode="bicubic")[0]
    y, x = (torch.linspace(-1, 1, n) for n in size)
    hills = hills - 3 * (x.square() + y[:, None].square())
    return (hills > hills.flatten().quantile(1 - share)).float()


def uncovered(frame) -> torch.Tensor:
    """What was disoccluded, h w: the still does not show it."""
    share = weighted_splat(
        frame.visible[None], frame.displacement[None], frame.visible[None] + 1e-6
    )
    return share[1][0, 0] < 0.5


def decibels(error) -> float:
    return float(-10 * torch.log10(error.clamp(min=1e-12)))


def interval(values, digits: int) -> str:
    """Mean with its 95 % interval by bootstrap."""
    values = np.array(values)
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{values.mean():+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("scenes")
    command.set_defaults(run=scenes)
    command.add_argument("--scenes", type=int, default=40)
    command.add_argument("--gain", type=float, default=3.0)
    command = commands.add_parser("structured")
    command.set_defaults(run=structured)
    command.add_argument("--pictures", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.run(args)


if __name__ == "__main__":
    main()
