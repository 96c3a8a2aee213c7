"""Measure how well motion is read from clips.

    python benchmarks/extraction.py synthetic OUT [--flow torch] [--clips 40]
    python benchmarks/extraction.py real FOLDER OUT [--flow torch] [--curve CSV]
    python benchmarks/extraction.py speed CLIP [--flow torch]

OUT keeps what was made and measured, so that a run that is called again goes on; nothing of it is
for the repository. The functions that measure say what each number is.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core import pipeline
from gid_core.config import ExtractionConfig
from gid_core.evaluation.motion_metrics import end_point_error, spectral_error
from gid_core.footage import extraction
from gid_core.footage.clips import read_clip
from gid_core.footage.extraction import extract
from gid_core.footage.flow import ESTIMATORS, estimator
from gid_core.motion import playback
from gid_core.motion.spectrum import analyze, displacement_at
from gid_core.scenes.synthetic import make_scene

SIZE, FRAMES, FPS = (160, 256), 150, 30.0
HELD_BACK = 1_000_000_000  # seeds of scenes that nothing was tuned or trained on
SMALLEST_PX, LARGEST_PX = 1.0, 8.0  # amplitudes of the clips
BANDS = (4, 8, 16, 24)
SHOWN_HZ = (0.2, 0.4, 1, 2, 3.2)
TARGETS = {  # px, shares and rad, chosen before anything was measured
    "dis": {"epe": 0.20, "amplitude": 0.12, "phase": 0.2, "still mean": 0.1},
    "torch": {"epe": 0.35, "amplitude": 0.12, "phase": 0.2, "still mean": 0.1},
}
RENDERED = 512  # longer side of the frames that are compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run, places in ((synthetic, ["out"]), (real, ["folder", "out"]), (speed, ["clip"])):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        for place in places:
            command.add_argument(place, type=Path)
        command.add_argument("--flow", choices=ESTIMATORS, default="dis")
        if run is synthetic:
            command.add_argument("--clips", type=int, default=40)
        if run is real:
            command.add_argument("--curve", type=Path, help="CSV: Hz, |S_x|, |S_y| to compare with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.run(args)


def synthetic(args):
    """40 scenes of 150 frames at 256 x 160, as bytes, that move by 1 to 8 px."""
    estimate = estimator(args.flow)
    measured = kept(
        args.out / f"synthetic_{args.flow}.json",
        range(args.clips),
        lambda number: against_truth(scene_clip(args.out, number), estimate),
    )
    columns = ("kind", "size", "epe", "still median", "still mean", "amplitude", "phase", "area")
    rows = [[n, *(row[c] for c in columns)] for n, row in measured]
    print_table(("clip", *columns), rows, sys.stderr)
    for number, row in measured:
        if row["reasons"]:
            print(number, "refused:", *row["reasons"], file=sys.stderr)
    of = {c: np.array([row[c] for _, row in measured], float) for c in columns[1:]}
    middle = {c: float(np.nanmedian(v)) for c, v in of.items()}
    weight = np.array([row["energy"] for _, row in measured])
    by_energy = {
        c: float((np.nan_to_num(of[c]) * weight).sum() / weight.sum())
        for c in ("amplitude", "phase")
    }
    pooled = float(np.median(np.concatenate([row["epe quantiles"] for _, row in measured])))
    target = TARGETS[args.flow]
    reached = {c: f"{int((of[c] <= target[c]).sum())} of {len(measured)}" for c in target}
    summary = [
        ("end-point error, pixels of all clips that move and are seen, px", pooled, "epe"),
        ("the same, median of the clips' medians", middle["epe"], "epe"),
        ("amplitude error, median of clips, %", 100 * middle["amplitude"], "amplitude"),
        ("amplitude error, all clips by energy, %", 100 * by_energy["amplitude"], "amplitude"),
        ("phase error, median of clips, rad", middle["phase"], "phase"),
        ("phase error, all clips by energy, rad", by_energy["phase"], "phase"),
        ("motion of what stands still, median, median of clips, px", middle["still median"], None),
        ("the same, mean, median of clips, px", middle["still mean"], "still mean"),
        ("the same, mean, largest of clips, px", float(np.nanmax(of["still mean"])), "still mean"),
        ("of what moves by more than 0.3 px, found, median of clips", middle["area"], None),
    ]
    scale = {"amplitude": 100}
    print_table(
        (f"{args.flow}, {len(measured)} clips", "measured", "target", "clips that reach it"),
        [
            (name, value, target[c] * scale.get(c, 1) if c else "", reached[c] if c else "")
            for name, value, c in summary
        ],
    )


def against_truth(clip: dict, estimate) -> dict:
    """Errors of one clip.

    epe: median end-point error of pixels that move and are seen, frames 1 to the last.
    still: length of motion where nothing can move, all frames.
    amplitude, phase: weighted by energy, over pixels that move and are seen in half of the frames
        or more, and coefficients of 0.1 px or more (a relative error; radians).
    area: share of what moves by more than 0.3 px at its peak and is seen that was found to move.
    """
    truth = clip["displacement"].float()
    frames = clip["frames"].float() / 255
    found = extract(frames, FPS, ExtractionConfig(), estimate)
    moves, still = clip["mask"] >= 0.5, clip["mask"] == 0
    seen = clip["visible"] & moves
    error = end_point_error(found.displacement[1:], truth[1:], seen[1:, None])
    stray = found.displacement[:, :, still].square().sum(1).sqrt()
    bands = found.spectrum or analyze(found.displacement[None], FPS)
    true = analyze(truth[None], FPS, detrend=False).coeffs[0]
    counted = moves & (clip["visible"].float().mean(0) >= 0.5)
    spectral = spectral_error(bands.coeffs[0], true, counted[None])
    amplitude, phase = spectral.pooled()
    peak = truth.square().sum(1).amax(0).sqrt()
    found_there = found.displacement.abs().amax((0, 1)) > 0
    return {
        "kind": clip["kind"],
        "size": float(peak[moves].quantile(0.95)) if moves.any() else 0.0,
        "epe": float(error.median()) if len(error) else math.nan,
        "epe quantiles": error.quantile(torch.linspace(0.005, 0.995, 100)).tolist()
        if 0 < len(error) < 2**24
        else np.quantile(error.numpy(), np.linspace(0.005, 0.995, 100)).tolist(),
        "still median": float(stray.median()) if stray.numel() else math.nan,
        "still mean": float(stray.mean()) if stray.numel() else math.nan,
        "amplitude": amplitude,
        "phase": phase,
        "energy": float(spectral.energy.sum()),
        "area": float(found_there[moves & (peak > 0.3)].float().mean()),
        "reasons": found.report.reasons,
    }


def scene_clip(out: Path, number: int) -> dict:
    """A scene's clip as bytes, with the truth: displacement, what is seen, what can move."""
    path = out / f"scene_{number:03d}.pt"
    if not path.exists():
        # Amplitudes from 1 to 8 px, small ones as likely as large, in no order.
        share = (number * 17 % 40) / 39
        size = SMALLEST_PX * (LARGEST_PX / SMALLEST_PX) ** share
        scene = make_scene(HELD_BACK + number, SIZE, amplitude_pct=100 * size / max(SIZE))
        frames = [scene.frame(t / FPS) for t in range(FRAMES)]
        clip = dict(
            kind=scene.kind,
            frames=torch.stack([(f.image * 255).round().byte() for f in frames]),
            displacement=torch.stack([f.displacement for f in frames]).half(),
            visible=torch.stack([f.visible[0] > 0.5 for f in frames]),
            mask=scene.mask[0],
        )
        out.mkdir(parents=True, exist_ok=True)
        torch.save(clip, path)
    return torch.load(path)


def real(args):
    """Every clip of a folder: 5 s of it, or all if it is shorter."""
    estimate = estimator(args.flow)
    paths = sorted(p for p in args.folder.iterdir() if p.is_file())
    measured = kept(
        args.out / f"real_{args.flow}.json",
        [p.name for p in paths],
        lambda name: explained(args.folder / name, estimate),
    )
    columns = ("moving", "gain", "gain bands", "frame 0", "frame 0 raw", "hidden", "background")
    clips = [
        [n, *(row.get(c, math.nan) for c in columns), " ".join(row["notes"])] for n, row in measured
    ]
    print_table(("clip", *columns, "notes"), clips, sys.stderr)
    groups, medians, spectra = {"all": "", "real": "real", "the paper's": "paper"}, [], []
    for group, start in groups.items():
        rows = [row for n, row in measured if n.startswith(start) and "gain" in row]
        if not rows:
            continue
        name = f"{group}, {len(rows)}"
        middle = [float(np.median([row[c] for row in rows])) for c in columns]
        share = [100 * np.median([row["kept"][str(k)] for row in rows]) for k in BANDS]
        medians.append([name, *middle, " / ".join(f"{v:.1f}" for v in share)])
        curve = np.mean([row["spectrum"] for row in rows], 0)
        raw_curve = np.mean([row["spectrum raw"] for row in rows], 0)
        slope = float(np.polyfit(np.log(np.arange(1, 17)), np.log(curve[0, :16]), 1)[0])
        at = " / ".join(f"{curve[0, round(hz / 0.2) - 1]:.1f}" for hz in SHOWN_HZ)
        spectra.append([name, at, slope, float((curve[0] / curve[1])[:16].mean())])
        if args.curve is not None and group == "all":
            theirs = np.loadtxt(args.curve, delimiter=",", comments="#").T
            lines = {
                "paper, 1000 clips": theirs[:2],
                f"here, {len(rows)} clips": np.stack([0.2 * np.arange(1, 25), curve[0]]),
                "here, not detrended": np.stack([0.2 * np.arange(1, 25), raw_curve[0]]),
            }
            plot(args.out / "mean_spectrum.png", lines)
    share = " / ".join(map(str, BANDS))
    print_table(("median of clips", *columns, f"K = {share} keep, %"), medians)
    hertz = " / ".join(f"{hz:g}" for hz in SHOWN_HZ)
    print()
    columns = ("mean of clips", f"abs S_x at {hertz} Hz, px frames", "slope", "x over y")
    print_table(columns, spectra)


def explained(path: Path, estimate) -> dict:
    """How much of a clip its spectrum explains.

    gain: PSNR of its first frame moved by its 16 bands, mean and drift, over that of its first
        frame repeated, dB, where it moves. gain bands: by its bands alone, from where they are in
        frame 0.
    frame 0: how far from the first frame's place the bands with mean and drift begin, px of the
        grid, root mean square where it moves; raw: without detrending.
    kept: share of the energy about mean and drift that K bands hold; raw: about the mean.
    spectrum: mean |S| over all pixels, x and y, in the paper's unit at its width of 256.
    """
    clip = read_clip(path, RENDERED)
    frames = torch.stack([frame for frame, _ in zip(clip.frames, range(round(5 * clip.fps)))])
    window = min(5.0, len(frames) / clip.fps)
    config = ExtractionConfig(window_s=window)
    found = extract(frames, clip.fps, config, estimate, clip.size)
    report = found.report
    row = {"notes": [*clip.notes, *report.reasons, *report.warnings], "window": window}
    if found.displacement is None or found.report.moving_share == 0:
        return row
    motion, fps = found.displacement[None], clip.fps
    mask = found.spectrum.mask if found.spectrum else None
    both = [analyze(motion, fps, 24, way, mask, clip.size) for way in (True, False)]
    lowest, raw = (
        replace(s, coeffs=s.coeffs[:, :16], frequencies_hz=s.frequencies_hz[:16]) for s in both
    )
    moving = motion[0].abs().amax((0, 1)) > 0
    at_0 = [displacement_at(s, torch.zeros(1))[0, 0][:, moving] for s in (lowest, raw)]
    unit = 150 / 2 * 256 / max(motion.shape[-2:])  # of a peak amplitude, to the paper's unit
    row |= {
        "moving": report.moving_share,
        "hidden": report.hidden_share,
        "background": report.background_share,
        "frame 0": float(at_0[0].square().sum(0).mean().sqrt()),
        "frame 0 raw": float(at_0[1].square().sum(0).mean().sqrt()),
        "spectrum": (both[0].coeffs[0].abs().mean((2, 3)).T * unit).tolist(),
        "spectrum raw": (both[1].coeffs[0].abs().mean((2, 3)).T * unit).tolist(),
    }
    for name, spectrum in (("kept", both[0]), ("kept raw", both[1])):
        row[name] = {}
        for k in BANDS:
            bands = replace(spectrum, coeffs=spectrum.coeffs[:, :k])
            row[name][k] = extraction.kept_energy(bands, motion[0], fps)
    area = F.interpolate(moving[None, None].float(), frames.shape[-2:], mode="nearest")[0] > 0
    start = report.start_frame
    taken = frames[start : start + motion.shape[1]]
    repeated = (taken - taken[:1]).square().mean(0)[area.expand(3, -1, -1)].mean()
    for name, spectrum, pose in (
        ("gain", lowest, "rest pose"),
        ("gain bands", replace(lowest, mean=None, drift=None), "first frame"),
    ):
        # Played for the amplitude it has: a pose rescales nothing here.
        played, _ = playback.play(
            replace(spectrum, mask=None if mask is None else spectrum.mask),
            len(taken),
            fps,
            loop=False,
            pose=pose,
        )
        error = 0.0
        for (frame, _), true in zip(pipeline.render(taken[:1], played), taken):
            error += (frame - true).square()[area.expand(3, -1, -1)].mean() / len(taken)
        row[name] = float(10 * (repeated / error).log10())
    return row


def speed(args):
    """Seconds of one core for 150 frames of a clip, decoding included, and where they go."""
    spent = {}

    def timed(name, function):
        def run(*args, **options):
            start = time.process_time()
            out = function(*args, **options)
            spent[name] = spent.get(name, 0.0) + time.process_time() - start
            return out

        return run

    steps = (
        "find_camera",
        "stabilized",
        "fill_occlusions",
        "moving_area",
        "analyze",
        "longest_shot",
        "_consistent",
    )
    for name in steps:
        setattr(extraction, name, timed(name, getattr(extraction, name)))
    clip = read_clip(args.clip, ExtractionConfig().longest_side, most_frames=FRAMES)
    flow = timed("flow, there and back", estimator(args.flow))
    whole = timed("all", extract)
    whole(clip.frames, clip.fps, ExtractionConfig(window_s=FRAMES / clip.fps), flow, clip.size)
    height, width = clip.size
    head = f"{width}x{height}, {FRAMES} frames, flow {args.flow}"
    rows = [
        (name, seconds, f"{100 * seconds / spent['all']:.0f}")
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1])
    ]
    print_table((head, "s of one core", "%"), rows)


def kept(path: Path, names, measure) -> list[tuple]:
    """Measure what is not in the file yet, and keep it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        if str(name) not in done:
            done[str(name)] = measure(name)
            path.write_text(json.dumps(done))
            print(name, file=sys.stderr)
    return [(str(name), json.loads(json.dumps(done[str(name)]))) for name in names]


def print_table(head, rows, file=None):
    show = lambda v: f"{v:.3g}" if isinstance(v, float) else str(v)
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), file=file)
    for row in rows:
        print("| " + " | ".join(map(show, row)) + " |", file=file)


def plot(path: Path, lines: dict, size=(640, 420), left=60, bottom=40):
    """Curves over frequency, both axes logarithmic."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    x_of = lambda hz: left + (size[0] - left - 20) * np.log(hz / 0.15) / np.log(20 / 0.15)
    y_of = lambda s: size[1] - bottom - (size[1] - bottom - 20) * np.log(s) / np.log(200)
    for hz in (0.2, 0.5, 1, 2, 5, 10):
        draw.line([x_of(hz), 20, x_of(hz), size[1] - bottom], "#ddd")
        draw.text((x_of(hz) - 8, size[1] - bottom + 6), f"{hz:g}", "black")
    for s in (1, 2, 5, 10, 20, 50, 100, 200):
        draw.line([left, y_of(s), size[0] - 20, y_of(s)], "#ddd")
        draw.text((left - 30, y_of(s) - 5), f"{s}", "black")
    draw.text((size[0] // 2, size[1] - 18), "Hz", "black")
    draw.text((6, 4), "mean |S_x|, px frames (256 px wide, 150 frames)", "black")
    colours = ("black", "#c22", "#e9a", "#28c")
    for number, (name, (hz, s)) in enumerate(lines.items()):
        points = [(float(x_of(a)), float(y_of(max(b, 1)))) for a, b in zip(hz, s)]
        draw.line(points, colours[number], 2)
        draw.text((size[0] - 200, 30 + 14 * number), name, colours[number])
    image.save(path)
    print("wrote", path)


if __name__ == "__main__":
    main()
