"""The paper's ablation of coordination, for the model that stands on recognition.

    python benchmarks/layouts.py SAMPLES KEPT_APART OUT --from WEIGHTS [--seeds 3] [--steps 600]

All layouts of the denoiser begin with the same weights: those of `--from` without their attention
across bands, where shapes agree (a volume's first and last layer are new, attention is the identity
at first). They see the same batches for as many steps:

    coordinated   bands attend to each other at every place (the paper's)
    independent   every band is drawn by itself
    volume        all bands are channels of one picture

KEPT_APART are samples that nothing was trained on (`gid_core/training/prepared.py`). One sample of
each is compared with the winds that it holds: distance of temporal spectra (root mean square of log
ratios by band), Frechet distance of motion descriptors, and the likeness of places four apart in
the lowest four bands. OUT keeps runs and results, so that a second call goes on, and two calls with
other layouts (`--only`) share it.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from learned import apart, drawn
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.diffusion.encoding import as_complex
from gid_core.diffusion.motion_model import load_model, save_model
from gid_core.evaluation.frechet import frechet_distance
from gid_core.evaluation.motion_metrics import (
    amplitude_spectrum,
    motion_descriptors,
    temporal_spectrum_distance,
)
from gid_core.training.batches import Prepared
from gid_core.training.recognized import RunConfig, begun, train

LAYOUTS = ("coordinated", "independent", "volume")
PAPER = {"coordinated": "47.1 / 2.53", "independent": "52.5 / 2.70", "volume": "53.7 / 2.83"}
SCORE = "score.json"
LOW, PLACES = slice(0, 4), 4
T_95 = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t of so many seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("kept_apart", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", type=Path, dest="begin", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--only", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    samples = Prepared(args.samples)
    held = sorted(args.kept_apart.glob("*.safetensors"))
    stage_1 = args.out / "stage_1.safetensors"
    save_model(begun(samples, args.begin, "independent"), stage_1)
    for name, weights in (("as given", args.begin), ("without attention", stage_1)):
        print(name, scored(load_model(weights), held), flush=True)
    for seed in range(args.seeds):
        for layout in args.only:
            run_folder = args.out / f"{layout}_{seed}"
            if (run_folder / SCORE).exists():
                continue
            started = time.process_time()
            model = begun(samples, stage_1, layout, seed)
            run = RunConfig("coordination", args.batch, args.rate, args.steps, seed=seed)
            train(model, samples, run, run_folder, minutes=1e6)
            minutes = (time.process_time() - started) / 60
            score = {**scored(model, held), "minutes": minutes}
            (run_folder / SCORE).write_text(json.dumps(score))
            print(layout, seed, score, flush=True)
    halves = torch.arange(len(held)) % 2 == 0
    truth = of_one_kind([load_file(path)["motions"][0].float() for path in held])
    floor = frechet(truth[halves], truth[~halves])
    print(f"\nFrechet distance of two halves of the truth: {floor:.2f}\n")
    columns = ("spectrum", "frechet", "likeness", "minutes")
    print("| | " + " | ".join(columns) + " | paper, FVD / DTFVD |\n|" + "---|" * 6)
    for layout in args.only:
        rows = [json.loads(p.read_text()) for p in sorted(args.out.glob(f"{layout}_*/{SCORE}"))]
        found = np.array([[row[c] for c in columns] for row in rows])
        wide = T_95.get(len(found), np.nan) / np.sqrt(len(found))
        spread = found.std(0, ddof=1) if len(found) > 1 else found[0] * np.nan
        cells = [f"{m:.3f} +- {wide * s:.3f}" for m, s in zip(found.mean(0), spread, strict=True)]
        print(f"| {layout} | " + " | ".join(cells) + f" | {PAPER[layout]} |")


@torch.no_grad()
def scored(model, held):
    """One sample of each that was kept apart, against the wind that it holds."""
    model.eval()
    found, truth, alike = [], [], []
    for number, path in enumerate(held):
        sample = load_file(path)
        moved, counts = drawn(model, sample, number)
        weight = counts[0].sqrt()
        found.append(moved * weight)
        truth.append(sample["motions"][0].float() * weight)
        alike.append([apart(c[-1][LOW], PLACES) for c in (found, truth)])
    found, known = of_one_kind(found), of_one_kind(truth)
    spectra = [torch.stack([amplitude_spectrum(s) for s in x]).mean(0) for x in (found, known)]
    likeness, true = np.median(alike, 0)
    return {
        "spectrum": temporal_spectrum_distance(*spectra),
        "frechet": frechet(found, known),
        "likeness": float(likeness),
        "truth": float(true),
    }


def of_one_kind(motions):
    """Motions as complex bands, all lying; what was upright is turned."""
    turned = [m if m.shape[-1] >= m.shape[-2] else m.transpose(-1, -2) for m in motions]
    return as_complex(torch.stack(turned))


def frechet(found, truth):
    """Distance of descriptors, at a unit size of all that is compared."""
    size = truth.abs().square().mean().sqrt()
    return frechet_distance(*(motion_descriptors(x / size).double() for x in (found, truth)))


if __name__ == "__main__":
    main()
