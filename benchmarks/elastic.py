"""Measure the elastic prior against what it is asked for.

    python benchmarks/elastic.py frequency STILLS    dominant frequency of every part, by kind
    python benchmarks/elastic.py fronts STILLS       how fast gusts cross a meadow, from pixels
    python benchmarks/elastic.py lulls STILLS        how the motion of long loops comes and goes
    python benchmarks/elastic.py paint STILLS        what moves on other paint, by the motion itself
    python benchmarks/elastic.py objects STILLS      what 40 and more objects cost beside one sheet
    python benchmarks/elastic.py gusts STILLS        coherence and phase of the wind beside theory

STILLS holds NAME.png and NAME_mask.png.

frequency: the frequency at which a part's modes answer most to a white force, on a grid of 0.01 Hz,
over what was asked: worst of all parts of all stills, for playing (all modes) and, for the largest
part, for poking (the modes that a spectrum to poke keeps).
fronts: loops of 10 s of a still that moves all over are rendered without the network, and read
with DIS, at 256 px. In the x-t slices of the rows in the middle half, the phase between columns an
eighth of the picture apart falls with frequency by 2 pi way / speed.
paint: as compare_motion.py has them, but of the displacement and not of what a flow reads: share
that moves by more than 0.1 px at 256 px wide, and 90th percentile over median, on the mask in use
and on the paint, for paint as mattes.py makes it of the masks.
lulls: rms motion in windows of 3 s, the strongest over the weakest, and its coefficient of
variation, in a loop of 30 s.
objects: the painted meadow as one sheet, and cut into a raster of 9 x 6 objects: seconds of one
thread from still to spectrum, by turns.
gusts: 4,000 winds of one band on 128 points along or across the wind, between two points: the
modulus of their complex coherence, and the speed that its phase means.
"""

import argparse
import cmath
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import gallery
import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core import pipeline
from gid_core.config import SpectrumConfig, WindConfig
from gid_core.elastic import kinds
from gid_core.elastic.modes import receptance
from gid_core.elastic.sheet import solve
from gid_core.files.stills import read_mask, read_still
from gid_core.motion.playback import play
from gid_core.motion.wind import wind
from gid_core.still.grid import grid_size

MEADOW = "wildflower_loop"
WIDE = 256  # px that loops are read at
SLOW_HZ = 1.5  # gusts are read below resonance
WINDOW_S = 3.0


def named(folder: Path):
    """(name, still 1 3 h w, mask 1 1 h w)."""
    for path in sorted(folder.glob("*_mask.png")):
        name = path.stem.removesuffix("_mask")
        yield name, read_still(folder / f"{name}.png")[None, :3], read_mask(path)[None]


def frequency(args) -> None:
    print("| kind | parts | playing, worst % | poking, worst % |\n|---|---|---|---|")
    for kind in (kinds.CUSTOM, *kinds.KINDS):
        elastic = kinds.prior(kind, kinds.CUSTOM).elastic
        playing, poking = [], []
        for _, still, mask in named(args.stills):
            bodies = solve(still, mask, config=elastic).bodies
            every = sorted(w for body in bodies for w in body.part.omega)
            last = every[min(elastic.modes, len(every)) - 1]
            for body in bodies:
                asked = body.faster * elastic.sway_hz
                playing.append(off(body.part.omega, asked, elastic))
                if body.faster == 1:
                    kept = body.part.omega[body.part.omega <= last]
                    poking.append(off(kept, asked, elastic))
        print(f"| {kind} | {len(playing)} | {100 * max(playing):.1f} | {100 * max(poking):.1f} |")


def off(omega, asked_hz, elastic) -> float:
    """How far the dominant frequency of modes is from what was asked, as a share."""
    hz = np.arange(0.01, 3 * asked_hz, 0.01)
    power = np.square(np.abs(receptance(omega, 2 * math.pi * hz, elastic.damping_ratio))).sum(1)
    return abs(hz[power.argmax()] / asked_hz - 1)


def fronts(args) -> None:
    import cv2

    still = read_still(args.stills / f"{MEADOW}.png")[None, :3]
    small = F.interpolate(still, grid_size(*still.shape[-2:], WIDE), mode="area")
    print("| weather | wind, widths/s | fronts by the motion itself | from pixels | median |")
    print("|---|---|---|---|---|")
    for weather in ("breeze", "wind"):
        model, speeds, moved = kinds.prior("grass", weather), [], []
        for seed in range(args.seeds):
            volume, _ = pipeline.sample_motion(
                still,
                torch.ones_like(still[:, :1]),
                seed=seed,
                model=replace(model, strength=1.0),
                spectrum=SpectrumConfig(32, 10.0),
                refine=False,
            )
            motion, _ = play(volume, 150, 15.0)
            moved.append(front_speed(torch.cat(list(motion.in_parts(0)))[:, 0].numpy()))
            flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            slices, first = [], None
            for frame, _ in pipeline.render(small, motion):
                grey = (255 * frame.mean(0)).byte().numpy()
                first = grey if first is None else first
                slices.append(flow.calc(first, grey, None)[..., 0])
            speeds.append(front_speed(np.stack(slices)))
        shown = " | ".join(", ".join(f"{s:.2f}" for s in each) for each in (moved, speeds))
        wind_speed, median = model.wind.speed, np.median(speeds)
        print(f"| {weather} | {wind_speed:.2f} | {shown} | {median:.2f} |", flush=True)


def front_speed(motion) -> float:
    """Widths per second at which what is slow crosses (t, y, x) of a period of 10 s."""
    height, width = motion.shape[1:]
    rows = motion[:, height // 4 : 3 * height // 4]
    count, way = int(SLOW_HZ * 10), width // 8
    series = np.fft.rfft(rows, axis=0)[1 : count + 1]
    cross = (series[:, :, way:] * series[:, :, :-way].conj()).sum((1, 2))
    hz = np.arange(1, count + 1) / 10
    weight, phase = np.abs(cross), np.unwrap(np.angle(cross))
    slope = (weight * phase * hz).sum() / (weight * hz * hz).sum()
    return -2 * math.pi * way / width / slope


def paint(args) -> None:
    print("| paint | mask in use: share | lowest | uneven | paint: share | lowest |")
    print("|---|---|---|---|---|---|")
    for how in ("refined", "exact", "loose", "tight", "holed"):
        rows = []
        for name, still, _ in named(args.stills):
            painted = gallery.painted(args.stills / f"{name}.png", still[0], how)
            volume, _ = pipeline.sample_motion(still, painted, seed=0, refine=how != "exact")
            motion, _ = play(volume, 75, 15.0)
            energy = torch.cat(list(motion.in_parts(0)))
            energy = (energy - energy.mean(0)).square().sum(1).mean(0).sqrt()
            energy = energy * WIDE / motion.grid[1]
            of_mask, of_paint = (
                energy[F.interpolate(m, motion.grid, mode="area")[0, 0] > 0.5]
                for m in (volume.mask, painted)
            )
            uneven = of_mask.quantile(0.9) / of_mask.median()
            moved = [float((e > 0.1).float().mean()) for e in (of_mask, of_paint)]
            rows.append([*moved, float(uneven)])
        share, on_paint, uneven = np.median(rows, 0)
        low, low_paint, _ = np.min(rows, 0)
        print(
            f"| {how} | {share:.3f} | {low:.2f} | {uneven:.2f} | {on_paint:.3f} | "
            f"{low_paint:.2f} |",
            flush=True,
        )


def lulls(args) -> None:
    print("| lull | sampled for | strongest / weakest 3 s | variation |\n|---|---|---|---|")
    name, still, mask = next(s for s in named(args.stills) if s[0] == args.still)
    model = kinds.prior("grass", "breeze")
    for lull in (0.0, 0.5, 1.0):
        blown = replace(model, wind=replace(model.wind, lull=lull))
        for duration_s in (30.0, 10.0):
            found = []
            for seed in range(args.seeds):
                asked = SpectrumConfig(round(3.2 * duration_s), duration_s)
                volume, _ = pipeline.sample_motion(still, mask, None, seed, blown, asked)
                motion, _ = play(volume, 450, 15.0, seed=seed)
                energy = torch.cat([part.square().mean((1, 2, 3)) for part in motion.in_parts(0)])
                windows = energy.view(-1, round(WINDOW_S * 15)).mean(1).sqrt()
                found.append([windows.max() / windows.min(), windows.std() / windows.mean()])
            ratio, variation = np.median(found, 0)
            print(f"| {lull} | {duration_s:.0f} s | {ratio:.2f} | {variation:.2f} |")


def objects(args) -> None:
    still = read_still(args.stills / f"{MEADOW}.png")[None, :3]
    whole = read_mask(args.stills / f"{MEADOW}_mask.png")[None]
    height, width = whole.shape[-2:]
    row = torch.arange(height) * 6 // height
    column = torch.arange(width) * 9 // width
    number = row[:, None] * 9 + column
    tiles = torch.cat([whole * (number == i) for i in range(54)])
    tiles = tiles[tiles.flatten(1).any(1)]
    seconds = {"one sheet": [], f"{len(tiles)} objects": []}
    for turn in range(args.seeds + 1):
        for name, mask in zip(seconds, (whole, tiles)):
            begin = time.thread_time()
            pipeline.sample_motion(still, mask, seed=0)
            if turn:  # the first is a rehearsal
                seconds[name].append(time.thread_time() - begin)
    print("| the same area as | s, median | least | most |\n|---|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {np.median(each):.2f} | {min(each):.2f} | {max(each):.2f} |")
    one, many = map(np.median, seconds.values())
    print(f"| ratio | {many / one:.2f} | | |")


def gusts(args) -> None:
    print("| band, Hz | apart | by theory: coherence | speed | measured: coherence | speed |")
    print("|---|---|---|---|---|---|")
    config, points, draws = WindConfig(), 128, 4000
    for hz, waves, is_across in (
        (0.4, 1, False),
        (1.0, 0.5, False),
        (1.0, 1, False),
        (1.0, 3, False),
        (2.0, 3, False),
        (0.4, 0.1, True),
        (1.0, 0.1, True),
        (1.0, 0.25, True),
    ):
        away = waves * config.speed / hz  # widths; gusts are so long
        blown = replace(config, direction_deg=90.0 if is_across else 0.0)
        step = round(away * points)
        if step >= points:
            continue
        generator = torch.Generator().manual_seed(0)
        velocity = wind(torch.full((draws,), hz), (1, points), 0.2, blown, generator)
        along = velocity[:, 1 if is_across else 0, 0]
        cross = (along[:, step:] * along[:, :-step].conj()).mean()
        power = along.abs().square().mean()
        alike, phase = abs(cross) / power, -cmath.phase(cross)
        decay = config.coherence_decay if is_across else config.travel_decay
        away = step / points
        theory = math.exp(-decay * hz * away / config.speed)
        turns = 0 if is_across else round(hz * away / config.speed - phase / (2 * math.pi))
        lag_s = (phase / (2 * math.pi) + turns) / hz
        speeds = ("", "") if is_across else (f"{config.speed:.2f}", f"{away / lag_s:.2f}")
        where = f"{hz * away / config.speed:.2f} waves {'across' if is_across else 'along'}"
        print(f"| {hz} | {where} | {theory:.3f} | {speeds[0]} | {alike:.3f} | {speeds[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run in (frequency, fronts, paint, lulls, objects, gusts):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("stills", type=Path)
        command.add_argument("--seeds", type=int, default=3)
        command.add_argument("--still", default=MEADOW)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
