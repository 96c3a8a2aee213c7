"""What flows: how sharp a loop stays at its middle, how near it is to exact scenes, and its time.

    python benchmarks/flow.py [--short]              beside exact scenes
    python benchmarks/flow.py --blocks               the same, compared by blocks, and when
    python benchmarks/flow.py --time                 beside a sway
    python benchmarks/flow.py --photos PHOTOS [-o OUT] [--only NAME]     ten stills

Scenes are those of gid_core/scenes/flows.py, 192 x 144, loops of 5 s at 12 fps. Sharpness is the
gradient energy of the middle frame over that of the still, in what flows. "of pictures" fades the
same two phases as whole pictures, by cos^2 and sin^2. Against exact frames, every pixel is
compared with the nearer of the two phases at that time, since a loop cannot be both; or every block
of 8 px, at a quarter and in the middle of a cycle.

Photographs: what flows is recognized between some rows, or is all between them; loops of 5 s at 12
fps, eddies as by default. Pulsing is what changes from frame to frame in the quietest frame over
that in the busiest one, and sharpness that of the least sharp frame. With -o a sheet of each: a
cycle in twelve frames, six frames in a row around its middle, a row and a column over time
(downwards), what changes, and the mask.
"""

import argparse
import math
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.advection.kinds import flow_kind
from gid_core.advection.phases import flow_loop
from gid_core.config import FlowConfig
from gid_core.evaluation import viz
from gid_core.files.stills import read_still, to_bytes
from gid_core.motion.displacement import Displacement
from gid_core.motion.spectrum import SpectralVolume
from gid_core.pipeline import flow_motion
from gid_core.recognition.moving_area import what_flows
from gid_core.render.motions import render_motion
from gid_core.render.renderer import render_frames
from gid_core.scenes.flows import FLOWS, flowing_scene
from gid_core.still.grid import resize_displacement

SIZE, FRAMES, FPS = (144, 192), 60, 12.0
GRID = (120, 160)
SPEEDS = (1.0, 3.0, 6.0, 12.0)  # % of the width per second
GRAINS = (4.0, 10.0)  # px
SHORT = (
    ("river", 1.0, 4.0),
    ("river", 3.0, 4.0),
    ("river", 12.0, 4.0),
    ("shear", 3.0, 4.0),
    ("shear", 12.0, 4.0),
    ("vortex", 3.0, 4.0),
    ("sea", 3.0, 10.0),
    ("sea", 12.0, 10.0),
)
EDGE = 8  # px
BLOCK = 8  # px
ALL = (0.0, 1.0)
PHOTOS = {  # what flows in which photograph, how, and between which rows
    "river, clouds": ("p152_river_dusk", FlowConfig("clouds", speed_pct=1.5), ALL),
    "river, water": ("p152_river_dusk", FlowConfig("water", speed_pct=3.0), ALL),
    "waterfall beach": ("p183_waterfall_beach", FlowConfig("water", speed_pct=2.0), ALL),
    "beach": ("p190_beach_island", FlowConfig("water", 10.0, 2.0, horizon=0.55), (0.56, 1)),
    "mountain lake": ("p228_moraine_lake", FlowConfig("water", speed_pct=1.0), ALL),
    "iceberg, clouds": ("p246_iceberg", FlowConfig("clouds", speed_pct=1.5), (0, 0.2)),
    "iceberg, water": ("p246_iceberg", FlowConfig("water", speed_pct=1.5), (0.5, 1)),
    "night river": ("p189_city_night_river", FlowConfig("water", speed_pct=2.0), ALL),
    "fire": ("p112_flames", FlowConfig("flames", speed_pct=15.0), ALL),
    "fog": ("p168_alley_fog", FlowConfig("smoke", -90.0, 2.0), (0, 0.7)),
}


def volume_of(scene) -> SpectralVolume:
    """The flow of a scene, known exactly, on the grid that Flow Motion has."""
    velocity = resize_displacement(scene.velocity().float()[None], GRID)
    coeffs = torch.zeros(1, 1, 2, *GRID, dtype=torch.complex64)
    mask = torch.ones(1, 1, *SIZE)
    return SpectralVolume(coeffs, torch.tensor([0.2]), SIZE, mask, kind="flow", velocity=velocity)


def inner(picture):
    return picture[..., EDGE:-EDGE, EDGE:-EDGE]


def frame_of(still, motion, t):
    return next(render_motion(still, motion, frames=[t]))[0]


def faded(still, motion, t, cycle_s):
    """Both phases, faded as whole pictures by cos^2 and sin^2, as is usual."""
    angle = math.pi / 2 * (t / FPS % cycle_s) / cycle_s
    shares = math.cos(angle) ** 2, math.sin(angle) ** 2
    return sum(share * frame_of(still, alone(motion, i), t) for i, share in enumerate(shares))


def sharpness(picture, still) -> float:
    energy = [sum(inner(p).diff(dim=d).square().sum() for d in (1, 2)) for p in (picture, still)]
    return float(energy[0] / energy[1])


def nearest_db(picture, exact, block=1) -> float:
    """PSNR against the nearer of some pictures, pixel by pixel or block by block."""
    errors = torch.stack([inner(picture - other).square().mean(0) for other in exact])
    return float(-10 * F.avg_pool2d(errors, block).amin(0).mean().log10())


def alone(motion: Displacement, phase: int) -> Displacement:
    coords = motion.modal_coords if phase == 0 else motion.further[phase - 1]
    return replace(motion, modal_coords=coords, further=None, weights=torch.ones(1, motion.frames))


def made(kind: str, speed_pct: float, grain: float):
    """A scene, its still, its loop and the seconds of a cycle and the cycles of it."""
    generator = torch.Generator().manual_seed(3)
    scene = flowing_scene(kind, SIZE, speed_pct / 100 * SIZE[1], grain, generator)
    motion, report = flow_loop(volume_of(scene), FRAMES, FPS)
    return scene, scene.frame(0).float(), motion, report


def exact_frames(scene, t, cycle_s):
    return [scene.frame(t / FPS - ago).float() for ago in (0, cycle_s)]


def measured(*asked) -> dict[str, float]:
    scene, still, motion, report = made(*asked)
    middle = round(report.cycle_s * FPS / 2)
    sums = {
        "sharp": sharpness(frame_of(still, motion, middle), still),
        "sharp_faded": sharpness(faded(still, motion, middle, report.cycle_s), still),
    }
    ours = pictures = repeated = 0.0
    times = [round(report.cycle_s * FPS * share) for share in (0.25, 0.5, 0.75)]
    for t in times:
        exact = exact_frames(scene, t, report.cycle_s)
        ours += nearest_db(frame_of(still, motion, t), exact) / len(times)
        pictures += nearest_db(faded(still, motion, t, report.cycle_s), exact) / len(times)
        repeated += nearest_db(still, exact) / len(times)
    return sums | {
        "cycles": report.cycles,
        "ours": ours,
        "over_faded": ours - pictures,
        "over_repeat": ours - repeated,
    }


def blocks_table() -> None:
    print(
        "| scene | speed, % of the width/s | over faded, pixels, a quarter | the middle | blocks, "
        "a quarter | the middle | every second pixel of each phase, blocks, the middle |"
    )
    print("|---|---|---|---|---|---|---|")
    for asked in SHORT:
        scene, still, motion, report = made(*asked)
        found = []
        for block in (1, BLOCK):
            for share in (0.25, 0.5):
                t = round(report.cycle_s * FPS * share)
                exact = exact_frames(scene, t, report.cycle_s)
                mixed = nearest_db(faded(still, motion, t, report.cycle_s), exact, block)
                found.append(nearest_db(frame_of(still, motion, t), exact, block) - mixed)
        # The exact frames themselves, woven together: as sharp as the still, and no nearer.
        even = (torch.arange(SIZE[0])[:, None] + torch.arange(SIZE[1])) % 2 == 0
        woven = torch.where(even, *exact)
        found.append(nearest_db(woven, exact, BLOCK) - mixed)
        shown = " | ".join(f"{db:+.1f}" for db in found)
        print(f"| {asked[0]} | {asked[1]:g} | {shown} |", flush=True)


def scenes_table(rows) -> None:
    print(
        "| scene | speed, % of the width/s | finest wave, px | cycles in 5 s | sharpness at the "
        "middle | of faded pictures | dB to exact frames | over faded pictures | over repeating |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, speed, grain in rows:
        m = measured(kind, speed, grain)
        print(
            f"| {kind} | {speed:g} | {grain:g} | {m['cycles']:.0f} | {m['sharp']:.2f} | "
            f"{m['sharp_faded']:.2f} | {m['ours']:.1f} | {m['over_faded']:+.1f} | "
            f"{m['over_repeat']:+.1f} |"
        )


def time_table() -> None:
    """A flow against a sway of the same mask: 20 frames of 512 x 384, splatted."""
    size, frames = (384, 512), 20
    still = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, *size)
    coeffs = torch.full((1, 16, 2, 120, 160), 0.1 + 0.1j)
    coords = torch.exp(2j * torch.pi * torch.arange(16)[:, None] * torch.arange(150) / 150)
    sway = Displacement(coeffs, coords.to(torch.complex64), 30.0, size, mask, True)
    velocity = torch.full((1, 2, 120, 160), 2.0)
    volume = SpectralVolume(
        torch.zeros(1, 1, 2, 120, 160, dtype=torch.complex64),
        torch.tensor([0.2]),
        size,
        mask,
        kind="flow",
        velocity=velocity,
    )
    begin = time.thread_time()
    flow, _ = flow_loop(volume, 150, 30.0)
    paths_s = time.thread_time() - begin
    makers = (
        lambda n: render_frames(still, sway, frames=n),
        lambda n: render_motion(still, flow, frames=n),
    )
    seconds = [[], []]
    for turn in range(4):
        for spent, make in zip(seconds, makers):
            begin = time.thread_time()
            list(make(range(32, 32 + frames)))
            if turn:  # the first is a rehearsal
                spent.append((time.thread_time() - begin) / frames)
    swaying, flowing = (150 * np.median(spent) for spent in seconds)
    print("| | s |\n|---|---|")
    print(f"| 150 frames of a sway, all of 512x384 | {swaying:.1f} |")
    print(f"| 150 frames of a flow, all of 512x384 | {flowing:.1f} |")
    print(f"| its paths | {paths_s:.2f} |")
    print(f"| flow over sway | {(flowing + paths_s) / swaying:.2f} |")


def photos_table(folder: Path, out: Path | None, only: str) -> None:
    print(
        "| still | flows, % of it | cycles | sharpness at the middle | of faded pictures | least "
        "of all frames | least change / most |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (file, config, (top, bottom)) in PHOTOS.items():
        if only not in name:
            continue
        still = read_still(folder / f"{file}.jpg")[:3]
        mask = what_flows(still[None], kinds=flow_kind(config.kind).looks)
        rows = (torch.arange(still.shape[1]) + 0.5)[:, None] / still.shape[1]
        between = ((rows > top) & (rows < bottom)).expand(mask.shape)
        mask = mask * between if (mask * between).any() else between.float()
        volume, reports = flow_motion(still[None], mask, config=config)
        motion, report = flow_loop(volume, FRAMES, FPS)
        cycle = round(report.cycle_s * FPS)
        frames = torch.stack([f for f, _ in render_motion(still, motion, frames=range(FRAMES))])
        where = (volume.mask[0] > 0.5) & (F.avg_pool2d(volume.mask, 5, 1, 2)[0] > 0.99)
        energy = [_gradients(frame, where) for frame in frames[:cycle]]
        mixed = _gradients(faded(still, motion, cycle // 2, report.cycle_s), where)
        change = (frames - frames.roll(1, 0)).square().mean(1)[:, where[0]].mean(1)
        change = change.sqrt()[:cycle]
        print(
            f"| {name} | {100 * reports[0].share:.0f} | {report.cycles} | "
            f"{energy[cycle // 2] / energy[0]:.2f} | {mixed / energy[0]:.2f} | "
            f"{min(energy) / energy[0]:.2f} | {change.min() / change.max():.2f} |",
            flush=True,
        )
        if out is not None:
            _write_sheet(out / f"{name.replace(', ', '_')}.png", frames, volume.mask[0], cycle)


def _gradients(picture, where) -> float:
    """Gradient energy of what flows."""
    both = [picture.diff(dim=d, append=picture.narrow(d, -1, 1)).square().sum(0) for d in (1, 2)]
    return float(sum(both)[where[0]].sum())


def _write_sheet(path, frames, mask, cycle) -> None:
    size, middle = tuple(frames.shape[-2:]), cycle // 2
    row, column = viz.busiest_row(frames), viz.busiest_row(frames.transpose(2, 3))
    pictures = [
        *(frames[round(i * cycle / 12) % len(frames)] for i in range(12)),
        *(frames[(middle + i - 3) % len(frames)] for i in range(6)),
        viz.resized(viz.slice_xt(frames, row), size),
        viz.resized(viz.slice_xt(frames.transpose(2, 3), column), size),
        viz.motion_energy_picture(frames),
        mask.expand(3, -1, -1),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_bytes(viz.tiles(pictures, columns=6))).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--short", "--blocks", "--time"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of photographs")
    args = parser.parse_args()
    if args.time:
        time_table()
    elif args.blocks:
        blocks_table()
    elif args.photos is not None:
        photos_table(args.photos, args.out, args.only)
    else:
        scenes_table(SHORT if args.short else product(FLOWS, SPEEDS, GRAINS))


if __name__ == "__main__":
    main()
