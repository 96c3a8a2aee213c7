"""The paper's ablation at the tiny preset: what each part of the learned model is worth.

    python benchmarks/ablation.py OUT [--seeds 3] [--steps 400] [--only full independent ...]

Every model has the same scenes (64x40, 24 bands), the same number of steps and batch, and seeds of
its own. Autoencoder and image encoder have half as many steps before; `full` spends the last fifth
of its steps on attention across bands. Samples for held-back stills are compared with the truth by
two distances: of temporal spectra (root mean square of log ratios by band), and the Frechet
distance of motion descriptors. A model of K bands is scored on the K bands it has, against the
truth cut to the same K bands. What the cut itself loses of 24 bands is a column of its own, the
same for every model of that K. OUT keeps scenes and results, so that a second run goes on; nothing
of it is for the repository.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.config import PRESETS, SamplingConfig
from gid_core.diffusion.encoding import as_complex, of_unit_size
from gid_core.diffusion.motion_model import LearnedPrior, fresh
from gid_core.evaluation.frechet import frechet_distance
from gid_core.evaluation.motion_metrics import (
    amplitude_spectrum,
    motion_descriptors,
    temporal_spectrum_distance,
)
from gid_core.training import data
from gid_core.training.train import TrainConfig, train

BANDS, SIZE = 24, (40, 64)
HELD_BACK = 2_000_000_000  # seeds of scenes that nothing was tuned or trained on
SCENES, SAMPLES = 1500, 64
AMPLITUDE_PX = 2.0  # at 256 px, that all motions are compared at
BATCH = {"autoencoder": 8, "encoder": 16, "bands": 12, "coordination": 12}
MODELS = {
    "full": {},
    "independent": {"layout": "independent"},
    "volume": {"layout": "volume"},
    "linear": {"normalization": "linear"},
    "std": {"normalization": "std"},
    "K=4": {"bands": 4},
    "K=8": {"bands": 8},
    "K=24": {"bands": 24},
}
PAPER = {  # FVD / DTFVD (Li et al. 2024, Table 2)
    "full": "47.1 / 2.53",
    "independent": "52.5 / 2.70",
    "volume": "53.7 / 2.83",
    "std": "62.7 / 3.16",
    "K=4": "60.3 / 3.12",
    "K=8": "52.1 / 2.71",
    "K=24": "48.2 / 2.50",
}


@dataclass(frozen=True)
class Lowest:
    """The lowest bands of scenes that have more."""

    scenes: data.Scenes
    bands: int

    @property
    def size(self):
        return self.scenes.size

    @property
    def frequencies_hz(self):
        return self.scenes.frequencies_hz[: self.bands]

    def sample(self, number):
        still, channels = self.scenes.sample(number)
        return still, channels[: self.bands]


def trained(scenes, seed, steps, out, layout="coordinated", normalization="adaptive", bands=16):
    tiny = PRESETS["tiny"]
    config = replace(
        tiny,
        bands=bands,
        normalization=normalization,
        denoiser=replace(tiny.denoiser, bands=bands, layout=layout),
    )
    mixture = data.Mixture((Lowest(scenes, bands),), (1.0,), seed, 10**9, data.augment)
    model = fresh(config, data.statistics(replace(mixture, length=256), normalization), seed)
    last = steps // 5 if layout == "coordinated" else 0
    stages = {
        "autoencoder": steps // 2,
        "encoder": steps // 2,
        "bands": steps - last,
        "coordination": last,
    }
    for stage, count in stages.items():
        if count:
            how = TrainConfig(
                stage,
                count,
                BATCH[stage],
                2e-3,
                warm_up=20,
                save_every=10**9,
                average=0.99,
                seed=seed,
            )
            model = train(model, mixture, how, out / stage)
    return model


def distances(found, truth):
    """(distance of temporal spectra, Frechet distance of descriptors), both sides at unit size."""
    scale = AMPLITUDE_PX * SIZE[1] / 256
    found, truth = (scale * of_unit_size(x) for x in (found, truth))
    spectra = [torch.stack([amplitude_spectrum(s) for s in x]).mean(0) for x in (found, truth)]
    return (
        temporal_spectrum_distance(*spectra),
        frechet_distance(*(motion_descriptors(x).double() for x in (found, truth))),
    )


def compared(model, truth, stills):
    """Distances of a model's samples from the truth, in the bands that the model has."""
    hertz, how = model.frequencies_hz, SamplingConfig(steps=16, evened=False)
    found = []
    for number, still in enumerate(stills):
        generator = torch.Generator().manual_seed(number)
        found.append(LearnedPrior(model, how).coefficients(still[None], hertz, generator))
    return distances(torch.cat(found), truth[:, : len(hertz)])


def lost_by_cutting(truth, bands):
    """Distances of the truth without its upper bands from the whole truth."""
    cut = truth.clone()
    cut[:, bands:] = 0
    return distances(cut, truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    (args.out / "scenes").mkdir(parents=True, exist_ok=True)
    scenes = data.Scenes(SIZE, SCENES, BANDS, cache=args.out / "scenes")
    held = data.Scenes(SIZE, SAMPLES, BANDS, first_seed=HELD_BACK, cache=args.out / "scenes")
    samples = [held.sample(n) for n in range(SAMPLES)]
    stills = [still for still, _ in samples]
    truth = torch.cat([as_complex(channels[None]) for _, channels in samples])
    kept = args.out / f"ablation_{args.steps}_own_bands.json"
    done = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(args.seeds):
        for name in args.only:
            key = f"{name} {seed}"
            if key not in done:
                start = time.monotonic()
                model = trained(
                    scenes,
                    seed,
                    args.steps,
                    args.out / f"{args.steps}_{name}_{seed}",
                    **MODELS[name],
                )
                done[key] = compared(model, truth, stills)
                kept.write_text(json.dumps(done))
                print(
                    key, done[key], f"{time.monotonic() - start:.0f} s", file=sys.stderr, flush=True
                )
    halves = torch.arange(SAMPLES) % 2 == 0
    print("| bands | Frechet, halves of the truth | spectrum, Frechet: lost by the cut |")
    print("|---|---|---|")
    for bands in sorted({MODELS[name].get("bands", 16) for name in args.only}):
        floor = distances(truth[halves, :bands], truth[~halves, :bands])[1]
        spectrum, frechet = lost_by_cutting(truth, bands)
        print(f"| {bands} | {floor:.2f} | {spectrum:.3f}, {frechet:.2f} |")
    print("\n| | temporal spectrum | Frechet, motion | paper, FVD / DTFVD |\n|---|---|---|---|")
    for name in args.only:
        found = np.array([done[k] for k in done if k.rsplit(" ", 1)[0] == name])
        # Student's t: half a 95 % interval of the mean over so few seeds.
        wide = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(found), 2.6) / np.sqrt(len(found))
        cells = [f"{m:.3f} +- {wide * s:.3f}" for m, s in zip(found.mean(0), found.std(0, ddof=1))]
        print(f"| {name} | " + " | ".join(cells) + f" | {PAPER.get(name, '')} |")


if __name__ == "__main__":
    main()
