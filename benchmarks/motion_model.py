"""Measure the learned motion model.

    python benchmarks/motion_model.py COMMAND ...

    auc WEIGHTS CLIPS OUT [--seeds 4] [--masks M]   where things move, beside other maps
    motion WEIGHTS [--scenes 24]                    spectra, coherence, diversity
    steps WEIGHTS [--scenes 12]                     samplers and steps
    loop WEIGHTS [--scenes 6]                       guidance and projection
    speed WEIGHTS                                   seconds a still, memory
    preset NAME                                     size, and one step of training
    gallery WEIGHTS CLIPS OUT                       pictures to look at

Nothing here has been trained on: scenes are held back by their seeds, clips are for measuring. OUT
keeps the flow of clips, so that a second run is quick; nothing of it is for the repository.
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from texture_guess import flexibility

from gid_core.config import PRESETS, ExtractionConfig, SamplingConfig
from gid_core.diffusion.encoding import Encoding, as_channels, of_unit_size, unit_size
from gid_core.diffusion.guidance import gaps, project
from gid_core.diffusion.motion_latents import decode, encode
from gid_core.diffusion.motion_model import LearnedPrior, fresh, load_model
from gid_core.diffusion.recognized_model import RecognizedModel
from gid_core.diffusion.sampling import SAMPLERS
from gid_core.evaluation import viz
from gid_core.evaluation.motion_metrics import area_under_curve
from gid_core.files.stills import read_still, to_bytes
from gid_core.footage.clips import read_clip
from gid_core.footage.extraction import extract
from gid_core.footage.flow import estimator
from gid_core.recognition.moving_area import moving_area
from gid_core.scenes.synthetic import make_scene
from gid_core.training.objectives import STAGES, Objective

HELD_BACK = 2_000_000_000  # seeds of scenes that nothing was tuned or trained on
SIZE = (80, 128)
WIDTH = 256  # of the grid that moving areas are compared on
LEAST_PX, SHARE = 0.2, 0.8
TEXTURED = 1.5 / 255  # slope, in every direction, from which flow can be trusted
OUTLINES = Path(__file__).with_name("outlines.json")
HERTZ = torch.arange(1, 17) / 5
QUICK = SamplingConfig(steps=10)  # where many are sampled
LOOPS = (  # rule, passes of a step, strengths
    ("fast", 1, (0.0, 50.0, 200.0, 800.0)),
    ("paper", 1, (0.05, 0.2, 0.8, 200.0)),
    ("paper", 2, (0.05, 0.2, 0.8, 200.0)),
)
UNEVEN = replace(QUICK, evened=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run, places in (
        (auc, ["clips", "out"]),
        (motion, []),
        (steps, []),
        (loop, []),
        (speed, []),
        (preset, []),
        (gallery, ["clips", "out"]),
    ):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("weights", type=Path)
        for place in places:
            command.add_argument(place, type=Path)
        command.add_argument("--seeds", type=int, default=4)
        command.add_argument("--scenes", type=int, default=24)
        command.add_argument("--masks", type=Path, help="of the paper's stills, NAME_mask.png")
    args = parser.parse_args()
    args.run(args)


def sampled(model, still, seed=0, how=QUICK, matte=None):
    """A motion of unit size or so, 1 k 2 h w, of what a matte lets move."""
    generator = torch.Generator().manual_seed(seed)
    return LearnedPrior(model, how).coefficients(still[None], HERTZ, generator, matte=matte)


def recognized(still):
    return moving_area(still[None], None).matte


def energy(coeffs):
    """Deviation of the motion over time, h w: 1 k 2 h w."""
    return (coeffs.abs().square().sum((1, 2)) / 2).sqrt()[0]


def scenes(count):
    for number in range(count):
        scene = make_scene(HELD_BACK + number, SIZE, cells=2)
        yield scene.still, scene.spectrum().coeffs


def scenes_with_masks(count):
    for number in range(count):
        scene = make_scene(HELD_BACK + number, SIZE, cells=2)
        yield scene.still, scene.spectrum().coeffs, scene.mask[None]


def moving(size):
    return (size >= size.flatten().quantile(SHARE)) & (size > LEAST_PX)


def measured_clips(folder, out):
    """(name, still, deviation of its motion in px at 256 wide) of every clip."""
    out.mkdir(parents=True, exist_ok=True)
    estimate = estimator("dis")
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        kept = out / f"{path.name}.pt"
        if not kept.exists():
            clip = read_clip(path, WIDTH)
            frames = torch.stack([f for f, _ in zip(clip.frames, range(round(5 * clip.fps)))])
            config = ExtractionConfig(window_s=min(5.0, len(frames) / clip.fps))
            found = extract(frames, clip.fps, config, estimate, clip.size)
            size = torch.zeros(frames.shape[-2:])
            if found.displacement is not None:
                size = found.displacement.var(0, correction=0).sum(0).sqrt()
            torch.save({"still": frames[found.report.start_frame].clone(), "size": size}, kept)
        row = torch.load(kept)
        yield path.name, row["still"].float(), row["size"]


def maps(still):
    """What can be guessed without a model: maps made by hand, and the automatic flexibility map."""
    grey = still.mean(0)
    soft = lambda x: F.avg_pool2d(x[None, None], 9, 1, 4, count_include_pad=False)[0, 0]
    texture = soft((grey - soft(grey)).square()).sqrt()
    saturation = still.amax(0) - still.amin(0)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in grey.shape), indexing="ij")
    return {
        "texture": texture,
        "saturation": saturation,
        "brightness": grey,
        "centre": -torch.hypot(x, y),
        "texture x saturation": texture * soft(saturation),
        "flexibility": flexibility(still[None])[0, 0],
    }


def by_hand(name, size, masks):
    """What moves, outlined by hand with clip and measured motion in view; or masks of a folder.

    No guess from a still: it shows how far measured motion can be told at all.
    """
    outlines = json.loads(OUTLINES.read_text()).get(name.rsplit(".", 1)[0])
    if outlines:
        canvas = Image.new("L", (4 * size[1], 4 * size[0]))
        for outline in outlines:  # in tenths of the picture
            corners = [(x * canvas.width / 10, y * canvas.height / 10) for x, y in outline]
            ImageDraw.Draw(canvas).polygon(corners, fill=255)
        drawn = torch.from_numpy(np.array(canvas)).float() / 255
        return F.avg_pool2d(drawn[None], 4)[0]
    stem = name.removeprefix("paper_").rsplit(".", 1)[0].replace("paper_loop", "notes_loop")
    path = masks and masks / f"{stem}_mask.png"
    if path and path.exists():
        return at(read_still(path)[0], size)
    return torch.full(size, float("nan"))


def textured(still):
    """Where slopes in every direction hold flow fast: the structure tensor's smaller eigenvalue."""
    smooth = lambda x, n: F.avg_pool2d(F.pad(x[None], (n // 2,) * 4, mode="replicate"), n, 1)[0]
    grey = smooth(still.mean(0, keepdim=True), 3)
    x, y = F.pad(grey.diff(dim=-1), (0, 1)), F.pad(grey.diff(dim=-2), (0, 0, 0, 1))
    xx, xy, yy = (smooth(p, 9)[0] for p in (x * x, x * y, y * y))
    least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
    return least > TEXTURED**2


def at(field, size):
    return F.interpolate(field[None, None].float(), tuple(size), mode="bilinear")[0, 0]


def auc(args):
    """Area under the curve: how well a map tells what moves most from the rest."""
    model = load_model(args.weights)
    usual = torch.zeros(SIZE)
    for number in range(200):
        coeffs = make_scene(1_000_000 + number, SIZE, cells=2).spectrum().coeffs
        usual += energy(of_unit_size(coeffs)) / 200
    groups = {"scenes": [], "real": [], "paper": [], "real, textured": [], "paper, textured": []}

    def compare(name, group, still, size):
        label = moving(size)
        matte = recognized(still)
        mean = lambda how: (
            sum(energy(sampled(model, still, s, how, matte)) for s in range(args.seeds))
            / (args.seeds)
        )
        learned, plain, expected = mean(QUICK), mean(UNEVEN), expectation(model, still)
        found = {
            "learned": learned,
            "not evened": plain,
            "its encoder": expected,
            "training mean": usual,
        } | maps(still)
        found = {k: at(v, size.shape) for k, v in found.items()}
        if group != "scenes":
            found["by hand"] = by_hand(name, tuple(size.shape), args.masks)
        score = lambda v, where: (
            area_under_curve(v[where], label[where]) if v.isfinite().all() else np.nan
        )
        row = {k: score(v, torch.ones_like(label)) for k, v in found.items()}
        groups[group].append(row)
        if group != "scenes":
            sure = textured(still)
            groups[f"{group}, textured"].append({k: score(v, sure) for k, v in found.items()})
            scores = ", ".join(f"{k} {row[k]:.3f}" for k in ("learned", "its encoder", "by hand"))
            print(f"{name}: {scores}", file=sys.stderr, flush=True)

    for number, (still, coeffs) in enumerate(scenes(args.scenes)):
        compare(number, "scenes", still, 2 * energy(coeffs))  # px at 256 wide
    for name, still, size in measured_clips(args.clips, args.out):
        compare(name, "paper" if name.startswith("paper") else "real", still, size)
    print("\n| median AUC | " + " | ".join(groups) + " |\n|---|" + "---|" * len(groups))
    for name in dict.fromkeys(n for rows in groups.values() for row in rows for n in row):
        columns = (
            [r[name] for r in rows if np.isfinite(r.get(name, np.nan))] for rows in groups.values()
        )
        cells = [f"{np.median(column):.3f}" if column else "" for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name in ("learned", "by hand"):
        counts = {
            g: sum(not np.isnan(r.get(name, np.nan)) for r in rows) for g, rows in groups.items()
        }
        print(f"count, {name}:", counts)


@torch.no_grad()
def expectation(model, still):
    """Where the image encoder alone, or the expectation, expects motion."""
    if isinstance(model, RecognizedModel):
        given = model.condition(still[None], recognized(still), HERTZ)
        ones = torch.ones(1, len(HERTZ), given.latent, *given.features.shape[-2:])
        return given.decode(ones).square().sum((1, 2)).sqrt()[0]
    side, multiple = model.config.longest_side, model.multiple
    scale = side / max(still.shape[-2:])
    size = [round(n * scale) for n in still.shape[-2:]]
    small = F.interpolate(still[None], size, mode="bilinear", antialias=True).clamp(0, 1)
    padded = F.pad(small, (0, -size[1] % multiple, 0, -size[0] % multiple), mode="replicate")
    size_of = model.amplitudes(model.encoder(padded), HERTZ).square().sum(1, keepdim=True).sqrt()
    full = F.interpolate(size_of, padded.shape[-2:], mode="bilinear")
    return full[0, 0, : size[0], : size[1]]


def coherence(coeffs):
    """Likeness of neighbours' motion, |<S_p, S_q>| / |S_p| |S_q| over bands and axes.

    Its mean is weighted by |S_p| |S_q|.
    """
    flat = coeffs[0].flatten(0, 1)
    together = (flat[:, :, 1:] * flat[:, :, :-1].conj()).sum(0).real
    sizes = [part.abs().square().sum(0).sqrt() for part in (flat[:, :, 1:], flat[:, :, :-1])]
    weight = sizes[0] * sizes[1]
    return float(together.sum() / weight.sum().clamp(min=1e-12))


def motion(args):
    """Amplitude by band, coherence and diversity against the truth of held-back scenes."""
    model = load_model(args.weights)
    rows = {"truth": [], "sampled": []}
    near = {"truth": [], "sampled": []}
    unlike, over, through = [], [], []
    for number, (still, true, mask) in enumerate(scenes_with_masks(args.scenes)):
        true = of_unit_size(true)
        if not true.any():
            continue
        # Other noise for every scene: what one noise makes loud would be loud in the mean.
        seeds = range(number * args.seeds, (number + 1) * args.seeds)
        several = [sampled(model, still, seed, matte=mask) for seed in seeds]
        over.append(float(np.mean([unit_size(c) for c in several])))
        several = [of_unit_size(c) for c in several]
        for name, coeffs in (("truth", true), ("sampled", several[0])):
            rows[name].append(coeffs[0].abs().square().sum(1).mean((1, 2)).sqrt())
            near[name].append(coherence(coeffs))
        one, other = several[0].flatten(), several[1].flatten()
        unlike.append(float((one - other).norm() / (one.norm() + other.norm())))
        through.append(reconstruction(model, true, mask))
    true, found = (torch.stack(rows[n]).mean(0) for n in ("truth", "sampled"))
    print("| Hz | " + " | ".join(f"{hz:.1f}" for hz in HERTZ) + " |\n|---|" + "---|" * 16)
    for name, values in (("truth", true), ("sampled", found), ("ratio", found / true)):
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
    print(
        f"within a factor 1.5: {int(((found / true).log().abs() < np.log(1.5)).sum())} of 16 bands"
    )
    alike = {name: np.median(values) for name, values in near.items()}
    print(f"local coherence: truth {alike['truth']:.3f}, sampled {alike['sampled']:.3f}")
    print(f"two seeds differ by {np.median(unlike):.3f} (0 the same, 0.71 unrelated)")
    print(f"unit size of samples: {np.median(over):.3f} (1 is that of the training set)")
    print(f"codes alone: {100 * np.median(through):.1f} % of a motion's energy is lost")


@torch.no_grad()
def reconstruction(model, coeffs, mask):
    """Share of a motion's energy that coding and decoding loses."""
    if isinstance(model, RecognizedModel):
        motion = as_channels(coeffs).flatten(1, 2)
        back = decode(encode(motion, mask), mask)
        return float((back - motion).square().sum() / motion.square().sum())
    encoded = model.encoding.encode(coeffs, HERTZ)
    back = model.encoding.decode(
        model.autoencoder.from_latent(model.autoencoder.to_latent(encoded)), HERTZ
    )
    return float((back - coeffs).abs().square().sum() / coeffs.abs().square().sum())


def descriptors(model, stills, how):
    """Of samples: amplitude by band where the truth moves, and their spread; for distances."""
    rows = []
    for seed, still in enumerate(stills):
        coeffs = sampled(model, still, seed, how)
        size = coeffs[0].abs().square().sum(1).sqrt()
        rows.append(torch.cat([size.mean((1, 2)), size.std((1, 2)), size.amax((1, 2))]))
    return torch.stack(rows).clamp(min=1e-4).log()


def steps(args):
    """How far samples with few steps are from those with 250 of DDIM: same noise, same stills."""
    model = load_model(args.weights)
    stills = [still for still, _ in scenes(args.scenes)]
    far = descriptors(model, stills, SamplingConfig(250, "ddim"))
    other = descriptors(model, stills[::-1], SamplingConfig(50, "ddim")).flip(0)
    scale = far.std(0).clamp(min=1e-3)
    distance = lambda found: float(((found - far) / scale).square().mean().sqrt())
    print(f"other noise at 50 DDIM steps: {distance(other):.3f}")
    # DDIM is of first order: how far its own 250 steps are from where all of them converge.
    converged = descriptors(model, stills, SamplingConfig(125, "heun"))
    off = lambda found: float(((found - converged) / scale).square().mean().sqrt())
    print(f"from 125 steps of heun: 250 of ddim {off(far):.3f}", end="")
    for count in (10, 20, 50):
        found = descriptors(model, stills, SamplingConfig(count, "dpmpp_2m"))
        print(f", {count} of dpmpp_2m {off(found):.3f}", end="")
    print(flush=True)
    print("| steps | " + " | ".join(SAMPLERS) + " |\n|---|" + "---|" * len(SAMPLERS))
    for count in (5, 10, 20, 50):
        found = (descriptors(model, stills, SamplingConfig(count, s)) for s in SAMPLERS)
        cells = " | ".join(f"{distance(x):.3f}" for x in found)
        print(f"| {count} | {cells} |", flush=True)


def loop(args):
    """What closing a loop of 4 s does to the seam and to the motion, which has bands of 5 s."""
    model, loop_s = load_model(args.weights), 4.0
    rows = {}
    for seed, (still, _) in enumerate(scenes(args.scenes)):
        free = sampled(model, still, seed)
        for rule, repeats, strengths in LOOPS:
            for u in strengths:
                how = replace(
                    QUICK, loop_strength=u, loop_s=loop_s, repeats=repeats, loop_rule=rule
                )
                name = f"{rule}, u = {u:g}, {repeats} pass{'es' if repeats > 1 else ''} a step"
                rows.setdefault(name, []).append((sampled(model, still, seed, how), free))
        rows.setdefault("projection", []).append((project(free, HERTZ, loop_s), free))
    print("| | position gap | velocity gap | size of the motion | change |\n|---|---|---|---|---|")
    for name, pairs in rows.items():
        cells = []
        for coeffs, free in pairs:
            gap = gaps(as_channels(coeffs), HERTZ, loop_s).square().mean((0, 2, 3, 4)).sqrt()
            size, before = (c.abs().square().sum(1).mean().sqrt() for c in (coeffs, free))
            change = (coeffs - free).abs().square().sum(1).mean().sqrt()
            cells.append(
                [
                    float(gap[0] / before),
                    float(gap[1] / before),
                    float(size / before),
                    float(change / before),
                ]
            )
        print(f"| {name} | " + " | ".join(f"{v:.4f}" for v in np.median(cells, 0)) + " |")


def speed(args):
    """Seconds a still at the default settings, and with guidance."""
    model, still = load_model(args.weights), torch.rand(3, 160, 256)
    print("| settings | steps | sampler | s a still | threads |\n|---|---|---|---|---|")
    for name, how in (
        ("default", SamplingConfig()),
        ("quick", QUICK),
        ("quick, guidance 1.75", replace(QUICK, guidance=1.75)),
    ):
        sampled(model, still, 0, replace(how, steps=1))
        spent = []
        for seed in range(3):
            begun = time.perf_counter()
            sampled(model, still, seed, how)
            spent.append(time.perf_counter() - begun)
        took, threads = np.median(spent), torch.get_num_threads()
        print(f"| {name} | {how.steps} | {how.sampler} | {took:.2f} | {threads} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\n| peak RSS of the process, MiB |\n|---|\n| {peak:.0f} |")


def preset(args):
    """Weights of a preset; time and memory of a step of each stage, one still of its size."""
    config = PRESETS[args.weights.name]
    size = (config.longest_side * 5 // 8, config.longest_side)
    model = fresh(config, Encoding(HERTZ, 0.3 / HERTZ))
    parts = {n: sum(p.numel() for p in c.parameters()) / 1e6 for n, c in model.named_children()}
    head = f"{args.weights.name}, {size[1]}x{size[0]}"
    print(f"| {head} | weights, M |\n|---|---|")
    print("\n".join(f"| {name} | {millions:.1f} |" for name, millions in parts.items()))
    print("\n| a step of | forward, s | with backward, s | peak RSS so far, GiB |")
    print("|---|---|---|---|")
    generator = torch.Generator().manual_seed(0)
    still = torch.rand(1, 3, *size, generator=generator)
    channels = torch.randn(1, 16, 4, *size, generator=generator)
    for stage in STAGES:
        objective = Objective(stage, model)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in objective.learning():
            parameter.requires_grad_(True)
        begun = time.perf_counter()
        total = sum(objective.losses(still, channels, [generator]).values())
        forward = time.perf_counter() - begun
        total.backward()
        both = time.perf_counter() - begun
        model.zero_grad()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {stage} | {forward:.1f} | {both:.1f} | {memory:.1f} |", flush=True)


def gallery(args):
    """Stills, where they moved, and where samples of two seeds would."""
    model = load_model(args.weights)
    rows = []
    size = (96, 160)
    shown = [(still, 2 * energy(c)) for still, c in scenes(12)]
    shown += [(still, measured) for _, still, measured in measured_clips(args.clips, args.out)]
    for still, true in shown:
        rows.append(viz.resized(still, size))
        matte = recognized(still)
        found = (energy(sampled(model, still, seed, matte=matte)) for seed in (0, 1))
        for field in (true, *found):
            field = at(field, size)
            top = field.flatten().quantile(0.98).clamp(min=1e-6)
            rows.append(viz.heat((field / top).clamp(0, 1)))
    sheet = viz.tiles(rows, 8)
    Image.fromarray(to_bytes(sheet)).save(args.out / "learned.jpg", quality=85)
    print(f"wrote {args.out}/learned.jpg")


if __name__ == "__main__":
    main()
