"""Measure learned motion on photographs that nothing was trained on, beside the elastic prior.

    python benchmarks/learned.py photographs WEIGHTS PHOTOS OUT [--seeds 2]
    python benchmarks/learned.py clips WEIGHTS CLIPS OUT [--seeds 2]
    python benchmarks/learned.py samples WEIGHTS SAMPLES
    python benchmarks/learned.py speed WEIGHTS

`photographs`: the validation photographs of `gid_core/training/outlines.py` in which something
sways. Nobody paints: every prior moves what is recognized. "truth" is the elastic prior told by the
outlines (`gid_core/training/outlined.py`), another wind for each seed: what training motions are.
Its bands are the mean of eight winds, for two differ by more than a model does.
"expected" is what the learned model's own head says before anything is drawn.
`samples`: validation samples that `gid_core/training/prepared.py` made: bands, and how far things
move as one, against the winds that they hold.
`clips`: area under the curve between the 20 % of pixels that move most in a clip and the 30 % that
move least, from bands alone, nothing rendered. Intervals are 95 %, by bootstrap over pictures.
OUT gets sheets to look at, and keeps the flow of clips.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from motion_model import measured_clips
from recognition import interval
from safetensors.torch import load_file

from gid_core.config import SamplingConfig, SpectrumConfig
from gid_core.diffusion.encoding import as_complex
from gid_core.diffusion.motion_latents import coverage
from gid_core.diffusion.motion_model import LearnedPrior, load_model
from gid_core.diffusion.recognized_model import RecognizedModel, even
from gid_core.diffusion.sampling import denoised, sample as sample_codes
from gid_core.diffusion.start import with_wind
from gid_core.elastic.prior import ElasticPrior
from gid_core.evaluation.motion_metrics import area_under_curve
from gid_core.evaluation.viz import band_picture, heat, resized, tiles
from gid_core.files.stills import read_still, write_picture
from gid_core.recognition.moving_area import moving_area
from gid_core.training.outlined import blown
from gid_core.training.outlines import labels, names, read_outlines

CELL = (110, 150)  # px (height, width) of a sheet
COLUMNS = 2  # photographs side by side
SPECTRUM = SpectrumConfig()
WINDS = 8  # that the bands of the truth are read from
STEPS = 10  # of sampling codes of prepared samples
CLIP_SIDE = 768  # px of a clip's first frame, at most


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("photographs", "clips", "samples", "speed"))
    parser.add_argument("weights", type=Path)
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--priors", nargs="+", default=["learned", "elastic"])
    parser.add_argument("--every", type=int, default=1, help="take so manieth photograph")
    args = parser.parse_args()
    run = {"photographs": photographs, "clips": clips, "samples": samples, "speed": speed}
    run[args.command](args)


def energy(coeffs, size):
    """Deviation of a motion over time at a picture's size."""
    field = (coeffs.abs().square().sum((1, 2)) / 2).sqrt()[None]
    return F.interpolate(field, size, mode="bilinear")[0, 0]


def correlation(one, other):
    if len(one) < 9 or one.std() == 0 or other.std() == 0:
        return np.nan
    return float(np.corrcoef(one, other)[0, 1])


def coherence(coeffs):
    """Likeness of neighbours' motion, weighted by its size (as benchmarks/motion_model.py)."""
    flat = coeffs[0].flatten(0, 1)
    together = (flat[:, :, 1:] * flat[:, :, :-1].conj()).sum(0).real
    sizes = [part.abs().square().sum(0).sqrt() for part in (flat[:, :, 1:], flat[:, :, :-1])]
    return float(together.sum() / (sizes[0] * sizes[1]).sum().clamp(min=1e-12))


def by_band(coeffs):
    """Energy of every band, as a share of all."""
    bands = coeffs.abs().square().sum(2).mean((0, 2, 3))
    return (bands / bands.sum()).numpy()


def boxed(picture):
    scale = min(n / m for n, m in zip(CELL, picture.shape[-2:], strict=True))
    small = resized(picture, tuple(max(1, round(n * scale)) for n in picture.shape[-2:]))
    cell = torch.zeros(3, *CELL)
    cell[:, : small.shape[1], : small.shape[2]] = small
    return cell


def shown(still, marked, fields, bands):
    """A row of a sheet: the still, what is known, energies, two bands."""
    top = max(float(field.flatten().quantile(0.98)) for field in fields) or 1.0
    energies = [boxed(heat((field / top).clamp(0, 1))) for field in fields]
    return [boxed(still), boxed(heat(marked)), *energies, *(boxed(band_picture(b)) for b in bands)]


def priors(args):
    known = {"learned": lambda: LearnedPrior(load_model(args.weights)), "elastic": ElasticPrior}
    return {name: known[name]() for name in args.priors}


@torch.no_grad()
def expected(prior, still, matte):
    """The amplitudes that the model's head expects, as a motion; none of the paper's model."""
    model = getattr(prior, "model", None)
    if not isinstance(model, RecognizedModel):
        return []
    hertz = torch.arange(1, SPECTRUM.bands + 1) / SPECTRUM.duration_s
    given = model.condition(still, matte, hertz)
    ones = torch.ones(1, len(hertz), given.latent, *given.features.shape[-2:])
    return [as_complex(given.decode(ones))]


def photographs(args):
    models = priors(args)
    measures, spectra, cells = {}, {}, []
    for name in names(True)[:: args.every]:
        still = read_still(args.pictures / f"{name}.jpg")[None, :3]
        objects, size = read_outlines(name), tuple(still.shape[-2:])
        known = labels(objects, size)
        sways, certain = (known.sways > 0.5).numpy(), (known.certain > 0).numpy()
        winds, generator = max(args.seeds, WINDS), torch.Generator().manual_seed(0)
        truth = blown(still, objects, 1.0, winds, SPECTRUM, generator)
        if truth is None or not 0.005 < sways[certain].mean() < 0.995:
            continue
        matte = moving_area(still, None).matte
        inside = (matte[0, 0] > 0.5).numpy() & sways & certain
        goes = (known.sways * known.degree).numpy()
        share = F.interpolate(truth.matte, truth.coeffs.shape[-2:], mode="area")[:, None]
        motions = {"truth": list((truth.coeffs * share).split(1))[: args.seeds]}
        for label, model in models.items():
            seeded = (torch.Generator().manual_seed(seed) for seed in range(args.seeds))
            motions[label] = [model.sample(still, matte, g, SPECTRUM).coeffs for g in seeded]
        if head := expected(models.get("learned"), still, matte):
            motions["expected"] = head
        for label, several in motions.items():
            seen = truth.matte if label == "truth" else matte  # what is rendered moves inside
            fields = [(energy(coeffs, size) * seen[0, 0]).numpy() for coeffs in several]
            row = measures.setdefault(label, {})
            for field, coeffs in zip(fields, several, strict=True):
                flat = torch.from_numpy(field[certain])
                row.setdefault("auc", []).append(
                    area_under_curve(flat, torch.from_numpy(sways[certain]))
                )
                row.setdefault("degree", []).append(correlation(field[inside], goes[inside]))
                row.setdefault("coherence", []).append(coherence(coeffs))
            if len(several) > 1:
                alike = correlation(fields[0][inside], fields[1][inside])
                row.setdefault("alike", []).append(alike)
        if all(torch.cat(several).any() for several in motions.values()):
            for label, several in (motions | {"truth": [truth.coeffs * share]}).items():
                spectra.setdefault(label, []).append(by_band(torch.cat(several)))
        fields = [matte[0, 0] * energy(c, size) for label in models for c in motions[label][:2]]
        bands = [motions[args.priors[0]][0][0, k] for k in (1, 8)]
        cells += shown(still[0], known.sways * known.degree, fields, bands)
        print(name, {k: round(float(np.nanmean(v["auc"][-2:])), 3) for k, v in measures.items()})
    told = {
        "auc": "AUC of the energy against outlines",
        "degree": "correlation with degrees, inside",
        "alike": "two seeds' energies alike (correlation)",
        "coherence": "local coherence",
    }
    print("\n| | " + " | ".join(measures) + " |\n|---|" + "---|" * len(measures))
    for key, words in told.items():
        cells_of = (interval(row.get(key, [])) for row in measures.values())
        line = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*cell) for cell in cells_of)
        print(f"| {words} | {line} |")
    for label in spectra:
        ratio = np.sqrt(np.mean(spectra[label], 0) / np.mean(spectra["truth"], 0))
        close = int((np.abs(np.log(ratio)) < np.log(1.5)).sum())
        print(f"\nbands, {label} over truth:", " ".join(f"{r:.2f}" for r in ratio))
        print(f"within a factor 1.5: {close} of {len(ratio)}")
    save_sheet(cells, COLUMNS * (4 + len(models) * min(2, args.seeds)), args.out, "photographs")


def clips(args):
    models = priors(args)
    groups, cells = {}, []
    for name, frame, size in measured_clips(args.pictures, args.out):
        still = frame[None, :3]
        scale = min(1.0, CLIP_SIDE / max(still.shape[-2:]))
        if scale < 1:
            still = F.interpolate(still, scale_factor=scale, mode="bilinear", antialias=True)
        matte = moving_area(still, None).matte
        true = size.numpy()
        high, low = true > np.quantile(true, 0.8), true <= np.quantile(true, 0.3)
        counted = torch.from_numpy(high | low)
        label = torch.from_numpy(high)[counted]
        shape, rows = tuple(size.shape), []
        for prior, model in models.items():
            for seed in range(args.seeds):
                generator = torch.Generator().manual_seed(seed)
                coeffs = model.sample(still, matte, generator, SPECTRUM).coeffs
                field = energy(coeffs, shape) * F.interpolate(matte, shape, mode="area")[0, 0]
                score = area_under_curve(field[counted], label) if field.any() else 0.5
                group = groups.setdefault(
                    "authors'" if name.startswith("paper") else "recorded", {}
                )
                group.setdefault(prior, []).append(float(score))
                rows.append((field, coeffs))
        top = max(float(size.flatten().quantile(0.98)), 1e-6)
        bands = [rows[0][1][0, k] for k in (1, 8)]
        fields = [field for field, _ in rows]
        cells += shown(still[0], (size / top).clamp(0, 1), fields, bands)
        print(name, {k: round(v[-1], 3) for g in groups.values() for k, v in g.items()})
    print("\n| movers | " + " | ".join(models) + " |\n|---|" + "---|" * len(models))
    for group, row in groups.items():
        line = (interval(np.array(v).reshape(-1, args.seeds).mean(1)) for v in row.values())
        print(f"| {group} | " + " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*c) for c in line))
    save_sheet(cells, COLUMNS * (4 + len(models) * args.seeds), args.out, "clips")


def apart(channels, places):
    """Likeness of motions so many places of codes apart, side by side (1: they move as one)."""
    field = torch.view_as_complex(
        channels.unflatten(1, (2, 2)).permute(0, 1, 3, 4, 2).contiguous()
    ).flatten(0, 1)
    one, other = field[:, :, places:], field[:, :, :-places]
    sizes = (part.abs().square().sum(0).sqrt() for part in (one, other))
    return float((one * other.conj()).sum(0).real.sum() / np.prod(list(sizes), 0).sum())


@torch.no_grad()
def drawn(model, sample, seed):
    """A motion that the model draws for a prepared sample, and how much of every place moves."""
    hertz = model.frequencies_hz
    counts = coverage(sample["matte"].float()[None])
    features, amplitudes = model.expect(sample["features"].float()[None], counts)

    def estimate(x, sigma):
        network = lambda x, level: model.denoiser(x, level, features, hertz)
        return denoised(network, x, sigma)

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, len(hertz), 4, *counts.shape[-2:], generator=generator)
    noise = with_wind(noise, hertz, generator)
    moved = sample_codes(estimate, noise, model.noise.steps(STEPS)) * amplitudes
    return (moved * even(moved.flatten(1, 2), amplitudes, counts)[:, None])[0], counts


@torch.no_grad()
def samples(args):
    model = load_model(args.weights)
    total, rows = {"truth": 0.0, "learned": 0.0}, {}
    for number, path in enumerate(sorted(args.pictures.glob("*.safetensors"))[:: args.every]):
        sample = load_file(path)
        moved, counts = drawn(model, sample, number)
        true = sample["motions"].float()
        total["learned"] = total["learned"] + (moved.square().sum(1) * counts[0]).sum((1, 2))
        energy_of = (true.square().sum(2) * counts[0]).sum((2, 3)).mean(0)
        total["truth"] = total["truth"] + energy_of
        for name, bands in (("0.2 to 0.8 Hz", slice(0, 4)), ("1.8 to 3.2 Hz", slice(8, 16))):
            for places in (1, 4, 8):
                pair = [apart(c[bands] * counts[0].sqrt(), places) for c in (true[0], moved)]
                rows.setdefault(f"{name}, {places} apart", []).append(pair)
    ratio = (total["learned"] / total["truth"]).sqrt()
    print("bands, learned over truth:", " ".join(f"{r:.2f}" for r in ratio))
    print(f"within a factor 1.5: {int((ratio.log().abs() < np.log(1.5)).sum())} of {len(ratio)}\n")
    print("| likeness of places of codes (4 px of 128) | truth | learned |\n|---|---|---|")
    for name, pairs in rows.items():
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in np.median(pairs, 0)) + " |")


def save_sheet(cells, columns, out, name):
    out.mkdir(parents=True, exist_ok=True)
    for number in range(0, len(cells), 8 * columns):
        sheet = tiles(cells[number : number + 8 * columns], columns)
        write_picture(out / f"{name}{number // (8 * columns)}.png", sheet)


def speed(args):
    """Seconds a still at the default settings, load time, memory."""
    begun = time.perf_counter()
    model = load_model(args.weights)
    loading = time.perf_counter() - begun
    still, matte = torch.rand(1, 3, 288, 512), torch.ones(1, 1, 288, 512)
    spent = []
    for seed in range(3):
        begun = time.perf_counter()
        prior = LearnedPrior(model, SamplingConfig())
        prior.sample(still, matte, torch.Generator().manual_seed(seed), SPECTRUM)
        spent.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        "| s a still | s to load | MB of weights | peak RSS, MiB | threads |\n|---|---|---|---|---|"
    )
    size = args.weights.stat().st_size / 1e6
    threads = torch.get_num_threads()
    print(f"| {np.median(spent):.2f} | {loading:.2f} | {size:.1f} | {peak:.0f} | {threads} |")


if __name__ == "__main__":
    main()
