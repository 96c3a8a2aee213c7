"""Measure what renderers make of known frames.

    python benchmarks/rendering.py [--weights F] COMMAND ...

    synthetic [--size 256x160] [--scenes 40] [--gain 1] [--grain] [--picture P]
    real FOLDER OUT [--moments 6] [--picture P]
    speed [--sizes 512x288 1024x576 1920x1080]

All renderers get the same motion at every pixel. remap reads the still backwards. average and
softmax splat its pixels and fill holes with the background. weightless is the frame that
`render/layers.py` makes without a network, learned is the default of `render/renderer.py`, exact is
the truth itself. Scenes have no grain unless --grain asks for it: grain is another in every frame,
and no renderer can foresee it. --weights takes other weights than those that ship. OUT keeps the
motion that was read from clips; nothing of it is for the repository.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.config import ExtractionConfig
from gid_core.evaluation import picture_metrics
from gid_core.files import spectra, stills
from gid_core.footage.clips import read_clip
from gid_core.footage.extraction import extract
from gid_core.footage.flow import estimator
from gid_core.motion.displacement import Displacement
from gid_core.motion.spectrum import with_trend
from gid_core.options import size as a_size
from gid_core.render.layers import splatted_frames
from gid_core.render.renderer import load_renderer, refiner, render_frames, shipped_renderer
from gid_core.render.splat import softmax_splat, weighted_splat
from gid_core.scenes.synthetic import make_scene
from gid_core.still.grid import backward_warp

HELD_BACK = 1_000_000_000  # seeds of scenes that nothing was tuned or trained on
MOMENTS = (0.9, 1.0, 2.6, 4.1)  # s; the first two for what changes from frame to frame
METHODS = ("still", "remap", "average", "softmax", "weightless", "learned")
STEP = 1 / 30  # s between the frames that flicker is measured on
RENDERED = 512  # longer side of clips


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=shipped_renderer())
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("synthetic")
    command.set_defaults(run=synthetic)
    command.add_argument("--size", type=a_size, default=(256, 160))
    command.add_argument("--scenes", type=int, default=40)
    command.add_argument("--gain", type=float, default=1.0)
    command.add_argument("--grain", action="store_true")
    command.add_argument("--picture", type=Path)
    command = commands.add_parser("real")
    command.set_defaults(run=real)
    command.add_argument("folder", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--moments", type=int, default=6)
    command.add_argument("--picture", type=Path)
    command = commands.add_parser("speed")
    command.set_defaults(run=speed)
    command.add_argument(
        "--sizes", type=a_size, nargs="+", default=[(512, 288), (1024, 576), (1920, 1080)]
    )
    args = parser.parse_args()
    args.run(args, load_renderer(args.weights))


def frames_by(still, moved, model) -> dict:
    """The same moment by every method."""
    field, importance = moved.fields[None, :2], moved.fields[None, 2:3]
    background, whole = moved.layers.background[None], still[None]
    found = {"still": whole, "remap": backward_warp(whole, -field)}
    for name, (frame, weight) in (
        ("average", weighted_splat(whole, field, torch.ones_like(importance))),
        ("softmax", softmax_splat(whole, field, importance)),
    ):
        found[name] = torch.where(weight > 0, frame, background)
    found["weightless"] = moved.frame[None]
    found["learned"] = refiner(model, still).refine(moved)[None]
    return {name: found[name][0] for name in METHODS}


def uncovered_by(frame) -> torch.Tensor:
    """What was disoccluded, h w: no surface that the still and the moment both show lies there."""
    share = weighted_splat(
        frame.visible[None], frame.displacement[None], frame.visible[None] + 1e-6
    )
    return share[1][0, 0] < 0.5


def synthetic(args, model):
    """Median over scenes of what every method makes of exact motion."""
    rows, pictures = [], []
    for seed in range(args.scenes):
        scene = make_scene(HELD_BACK + seed, args.size[::-1])
        if args.gain != 1:
            scene = louder(scene, args.gain)
        if not args.grain:
            scene = replace(scene, film=replace(scene.film, grain=0.0))
        spectrum, still = scene.spectrum(), scene.still
        times = torch.tensor([*torch.arange(24) * 5 / 24, *MOMENTS, *(t + STEP for t in MOMENTS)])
        coeffs, coords = with_trend(spectrum, times.double())
        motion = Displacement(
            coeffs, coords.to(coeffs.dtype), 30.0, spectrum.reference_size, spectrum.mask
        )
        moved = list(splatted_frames(still, motion, frames=range(24, 32)))
        row = {name: [] for name in (*METHODS, "exact")}
        for now, then, t in zip(moved[:4], moved[4:], MOMENTS):
            truth, after = scene.frame(t), scene.frame(t + STEP)
            made, next_made = frames_by(still, now, model), frames_by(still, then, model)
            made["exact"], next_made["exact"] = truth.image, after.image
            bare, moves = uncovered_by(truth), now.fields[3] > 0
            step = after.displacement - truth.displacement
            for name in row:
                pair = made[name], next_made[name]
                measured = measures(*pair, truth, after, moves, bare, step)
                row[name].append(measured)
            if args.picture and t == MOMENTS[2] and len(pictures) < 12:
                pictures.append([*(made[n] for n in METHODS), truth.image])
        rows.append({name: mean_of(moments) for name, moments in row.items()})
        print(f"\r{seed + 1} of {args.scenes}", end="", file=sys.stderr)
    columns = list(rows[0]["still"])
    head = f"{args.scenes} scenes, {args.size[0]}x{args.size[1]}, motion x {args.gain:g}"
    print(f"\n{head}: means over scenes")
    print("| | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name in rows[0]:
        means = [np.nanmean([r[name][c] for r in rows]) for c in columns]
        cells = " | ".join(f"{m:.4f}" if abs(m) < 2 else f"{m:.2f}" for m in means)
        print(f"| {name} | {cells} |")
    for other in ("average", "softmax", "weightless"):
        for column in ("all", "moving", "uncovered", "ssim", "gmsd", "flicker", "change"):
            gains = [r["learned"][column] - r[other][column] for r in rows]
            told(f"learned - {other}, {column}", gains)
    if args.picture:
        save(args.picture, pictures)


def measures(frame, after, truth, true_after, moves, disoccluded, step) -> dict[str, float]:
    """What a renderer made of a moment, and of the next one, against the exact frames."""
    error = (frame - truth.image).square().mean(0)
    one, other = frame[None], truth.image[None]
    exact = max(1e-9, sharpness(truth.image, moves))
    return {
        "all": decibels(error.mean()),
        "moving": decibels(error[moves].mean()) if moves.any() else np.nan,
        "uncovered": decibels(error[disoccluded].mean()) if disoccluded.sum() > 20 else np.nan,
        "ssim": float(picture_metrics.ssim(one, other)[0]),
        "gmsd": float(picture_metrics.gradient_deviation(one, other)[0]),
        "sharp": sharpness(frame, moves) / exact,
        "flicker": unsteady(frame, after, truth, step),
        "change": off_change(frame, after, truth.image, true_after.image, moves),
    }


def mean_of(moments: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every measure over the moments that have it."""
    columns = {k: np.array([m[k] for m in moments]) for k in moments[0]}
    return {k: np.nan if np.isnan(v).all() else np.nanmean(v) for k, v in columns.items()}


def louder(scene, gain):
    return replace(scene, shift=scene.shift * gain, strain=scene.strain * gain)


def unsteady(frame, after, truth, step) -> float:
    """Root-mean-square change of what is read along the true path, from a frame to the next."""
    position = truth.displacement[None]
    one, other = (
        backward_warp(x[None], d) for x, d in ((frame, position), (after, position + step[None]))
    )
    seen = (truth.visible > 0.5) & (truth.displacement.abs().amax(0, keepdim=True) > 0.05)
    return (
        float((one - other)[0].square().mean(0, keepdim=True)[seen].mean().sqrt())
        if seen.any()
        else np.nan
    )


def off_change(frame, after, truth, true_after, where) -> float:
    """Root-mean-square error of the change from a frame to the next, where something moves."""
    error = ((after - frame) - (true_after - truth)).square().mean(0)
    return float(error[where].mean().sqrt()) if where.any() else np.nan


def sharpness(picture, where) -> float:
    """Mean slope of brightness where something moves."""
    grey = picture_metrics.luma(picture[None])[0]
    slope = F.pad(grey.diff(dim=0), (0, 0, 0, 1)).abs() + F.pad(grey.diff(dim=1), (0, 1)).abs()
    return float(slope[where].mean()) if where.any() else 0.0


def real(args, model):
    """Every clip: its first frame moved by what was read from it, against its later frames.

    A moment is a frame and the one after it.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    gains, sharp, changes, pictures = {}, {}, {}, []
    head = [f"{name}, dB" for name in METHODS[1:]] + ["sharpness, learned"]
    head += [f"change, {name}" for name in ("softmax", "weightless", "learned")]
    print("| gain over the first frame, where it moves | " + " | ".join(head) + " |")
    print("|---|" + "---|" * len(head))
    for path in sorted(p for p in args.folder.iterdir() if p.is_file()):
        clip = read_clip(path, RENDERED)
        frames = torch.stack([frame for frame, _ in zip(clip.frames, range(round(5 * clip.fps)))])
        kept = args.out / f"{path.stem}.safetensors"
        start = args.out / f"{path.stem}.txt"
        if not start.exists():
            config = ExtractionConfig(window_s=min(5.0, len(frames) / clip.fps))
            found = extract(frames, clip.fps, config, estimator("dis"), clip.size)
            if found.spectrum is not None:
                spectra.save_spectrum(found.spectrum, kept)
            start.write_text(str(found.report.start_frame))
        if not kept.exists():
            print(f"| {path.stem} | refused |")
            continue
        spectrum, first = spectra.load_spectrum(kept), int(start.read_text())
        taken = frames[first:]
        last = min(len(taken), round(5 * clip.fps)) - 2
        numbers = np.linspace(8, last, args.moments).round().astype(int).repeat(2)
        numbers[1::2] += 1
        coeffs, coords = with_trend(
            spectrum, torch.arange(len(taken), dtype=torch.float64) / clip.fps
        )
        motion = Displacement(
            coeffs, coords.to(coeffs.dtype), clip.fps, spectrum.reference_size, spectrum.mask
        )
        errors = {n: 0.0 for n in METHODS}
        slopes, steps, earlier = {n: [] for n in METHODS}, {n: [] for n in METHODS}, None
        area = (
            F.interpolate(coeffs.abs().sum((1, 2))[:, None], taken.shape[-2:], mode="nearest")[0, 0]
            > 0
        )
        splats = splatted_frames(taken[0], motion, frames=numbers.tolist())
        for i, (number, moved) in enumerate(zip(numbers, splats)):
            made = frames_by(taken[0], moved, model)
            for name in METHODS if i % 2 else ():
                pair = earlier[name], made[name], taken[number - 1], taken[number]
                steps[name].append(off_change(*pair, area))
            earlier = made
            for name in METHODS:
                errors[name] += float((made[name] - taken[number]).square().mean(0)[area].mean())
                slopes[name].append(
                    sharpness(made[name], area) / max(1e-9, sharpness(taken[number], area))
                )
        if args.picture and len(pictures) < 14:
            pictures.append(
                [*(made[n] for n in ("still", "softmax", "weightless", "learned")), taken[number]]
            )
        base = errors["still"]
        gains[path.stem] = {n: 10 * np.log10(base / errors[n]) for n in METHODS}
        sharp[path.stem] = {n: float(np.mean(slopes[n])) for n in METHODS}
        changes[path.stem] = {n: float(np.mean(steps[n])) for n in METHODS}
        cells = [f"{gains[path.stem][n]:.2f}" for n in METHODS[1:]]
        cells.append(f"{sharp[path.stem]['learned']:.3f}")
        cells += [f"{changes[path.stem][n]:.4f}" for n in ("softmax", "weightless", "learned")]
        print(f"| {path.stem} | " + " | ".join(cells) + " |", flush=True)
    for other in ("average", "softmax", "weightless"):
        for start in ("", "paper", "real"):
            names = [name for name in gains if name.startswith(start)]
            if names:
                what = f"learned - {other}" + f", {start}" * bool(start)
                told(f"{what}, dB", [gains[n]["learned"] - gains[n][other] for n in names])
                told(f"{what}, change", [changes[n]["learned"] - changes[n][other] for n in names])
    for name in METHODS:
        told(f"sharpness of {name}", [s[name] for s in sharp.values()])
    if args.picture:
        save(args.picture, pictures)


def speed(args, model):
    """Frames a second of each renderer, one after the other, and what the learned one needs."""
    print("| size, what moves | splat, frames/s | learned, frames/s | learned takes |")
    print("|---|---|---|---|")
    for width, height in args.sizes:
        scene = make_scene(HELD_BACK, (height // 4, width // 4), amplitude_pct=1.5)
        still = F.interpolate(scene.still[None], (height, width), mode="bicubic")[0].clamp(0, 1)
        coeffs, coords = with_trend(scene.spectrum(), torch.arange(12, dtype=torch.float64) / 30)
        for name, mask in (("scene's mask", scene.mask[None]), ("all moves", None)):
            motion = Displacement(coeffs, coords.to(coeffs.dtype), 30.0, (height, width), mask)
            if mask is None:
                motion = Displacement(coeffs + 0.2, motion.modal_coords, 30.0, (height, width))
            spent = {}
            for kind, network in (("splat", None), ("learned", model)):
                times, start = [], time.perf_counter()
                for _ in render_frames(still, motion, model=network):
                    times.append(time.perf_counter() - start)
                    start = time.perf_counter()
                spent[kind] = float(np.median(times[1:]))
            rates = " | ".join(f"{1 / spent[kind]:.3g}" for kind in ("splat", "learned"))
            times = spent["learned"] / spent["splat"]
            print(f"| {width}x{height}, {name} | {rates} | {times:.1f} x |", flush=True)


def decibels(error) -> float:
    return float(-10 * torch.log10(error.clamp(min=1e-12)))


def told(what, values):
    """Median, mean with its 95 % interval by bootstrap, least."""
    values = np.array([v for v in values if np.isfinite(v)])
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    mean = f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"
    median, least = np.median(values), values.min()
    print(f"{what}: median {median:.4f}, mean {mean}, least {least:.4f}, of {len(values)}")


def save(path, rows):
    height = 180

    def fit(picture):
        size = height, round(height * picture.shape[2] / picture.shape[1])
        return F.interpolate(picture[None], size, mode="nearest")[0]

    strips = [torch.cat([fit(x) for x in row], 2) for row in rows]
    width = max(s.shape[2] for s in strips)
    sheet = torch.cat([F.pad(s, (0, width - s.shape[2])) for s in strips], 1)
    stills.write_picture(path, sheet.clamp(0, 1))


if __name__ == "__main__":
    main()
