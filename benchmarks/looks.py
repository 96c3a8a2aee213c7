"""Measure what augmentation of stills is worth to the image encoder (`training/augmentation.py`).

    python benchmarks/looks.py CLIPS OUT [--seeds 2] [--steps 300]

Image encoders of preset small are trained from random weights, on the same scenes, steps and seeds,
with parts of the augmentation left out. Each is scored by how well it tells what moves, as
`motion_model.py auc` does. OUT keeps scenes, the flow of clips and runs, so that a second run goes
on; nothing of it is for the repository.
"""

import argparse
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from motion_model import SIZE, at, energy, expectation, measured_clips, moving, scenes

from gid_core.config import PRESETS
from gid_core.diffusion.motion_model import fresh
from gid_core.evaluation.motion_metrics import area_under_curve
from gid_core.training import augmentation, data
from gid_core.training.train import TrainConfig, train

COUNT, BATCH = 2500, 16  # scenes; stills a step
SAME = {
    "_randomly_convolved": lambda still, share, generator: still,
    "_with_fog": lambda still, draw, generator: still,
    "augment_appearance": lambda still, generator: still,
}
VARIANTS = {
    "augmented": (),
    "without random convolutions": ("_randomly_convolved",),
    "without fog": ("_with_fog",),
    "other light alone": ("augment_appearance",),
}


def trained(out, variant, seed, steps):
    source = data.Scenes(SIZE, COUNT, cache=out / "scenes")
    mixture = data.Mixture((source,), (1.0,), seed, steps * BATCH, data.augment)
    model = fresh(PRESETS["small"], data.statistics(mixture), seed)
    how = TrainConfig("encoder", steps, BATCH, 1e-3, save_every=steps, average=0.99, seed=seed)
    out_of_it = VARIANTS[variant]
    parts = {n: same if n in out_of_it else getattr(augmentation, n) for n, same in SAME.items()}
    with mock.patch.multiple(augmentation, **parts):
        return train(model, mixture, how, out / f"{steps}_{variant.replace(' ', '_')}_{seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    (args.out / "scenes").mkdir(parents=True, exist_ok=True)
    shown = [("scenes", still, 2 * energy(c)) for still, c in scenes(24)]  # px at 256 wide
    for name, still, size in measured_clips(args.clips, args.out):
        shown.append(("paper" if name.startswith("paper") else "real", still, size))
    groups = ("scenes", "real", "paper")
    print("| median AUC (mean), seed by seed | " + " | ".join(groups) + " |\n|---|---|---|---|")
    for variant in VARIANTS:
        cells = {group: [] for group in groups}
        for seed in range(args.seeds):
            model = trained(args.out, variant, seed, args.steps).requires_grad_(False)
            found = {group: [] for group in groups}
            for group, still, size in shown:
                label = moving(size).flatten()
                guess = at(expectation(model, still), size.shape).flatten()
                found[group].append(float(area_under_curve(guess, label)))
            for group, values in found.items():
                cells[group].append(f"{np.nanmedian(values):.3f} ({np.nanmean(values):.3f})")
        print(
            f"| {variant} | " + " | ".join(", ".join(cells[g]) for g in groups) + " |", flush=True
        )


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
