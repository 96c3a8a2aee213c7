"""What flows: how sharp a loop stays at its middle, how near it is to exact scenes, and its time.

    python benchmarks/flow.py [--short | --time]

Scenes are those of gid_core/scenes/flows.py, 192 x 144, loops of 5 s at 12 fps. Sharpness is the
gradient energy of the middle frame over that of the still, in what flows. "of pictures" fades the
same two phases as whole pictures, with the same weights. Against exact frames, every pixel is
compared with the nearer of the two phases at that time, since a loop cannot be both.
"""

import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.advection.phases import flow_loop
from gid_core.motion.displacement import Displacement
from gid_core.motion.spectrum import SpectralVolume
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


def volume_of(scene) -> SpectralVolume:
    """The flow of a scene, known exactly, on the grid that Flow Motion has."""
    velocity = resize_displacement(scene.velocity().float()[None], GRID)
    coeffs = torch.zeros(1, 1, 2, *GRID, dtype=torch.complex64)
    mask = torch.ones(1, 1, *SIZE)
    return SpectralVolume(coeffs, torch.tensor([0.2]), SIZE, mask, kind="flow", velocity=velocity)


def inner(picture):
    return picture[..., EDGE:-EDGE, EDGE:-EDGE]


def sharpness(picture, still) -> float:
    energy = [sum(inner(p).diff(dim=d).square().sum() for d in (1, 2)) for p in (picture, still)]
    return float(energy[0] / energy[1])


def nearest_db(picture, exact) -> float:
    """PSNR against the nearer of some pictures, pixel by pixel."""
    errors = [inner(picture - other).square().mean(0) for other in exact]
    return float(-10 * torch.stack(errors).amin(0).mean().log10())


def alone(motion: Displacement, phase: int) -> Displacement:
    coords = motion.modal_coords if phase == 0 else motion.further[phase - 1]
    return replace(motion, modal_coords=coords, further=None, weights=torch.ones(1, motion.frames))


def measured(kind: str, speed_pct: float, grain: float) -> dict[str, float]:
    generator = torch.Generator().manual_seed(3)
    scene = flowing_scene(kind, SIZE, speed_pct / 100 * SIZE[1], grain, generator)
    still = scene.frame(0).float()
    motion, report = flow_loop(volume_of(scene), FRAMES, FPS)
    middle = round(report.cycle_s * FPS / 2)
    frame = lambda m, t: next(render_motion(still, m, frames=[t]))[0]
    sums = {"sharp": sharpness(frame(motion, middle), still)}
    faded = sum(motion.weights[i, middle] * frame(alone(motion, i), middle) for i in (0, 1))
    sums["sharp_faded"] = sharpness(faded, still)
    ours = pictures = repeated = 0.0
    times = [round(report.cycle_s * FPS * share) for share in (0.25, 0.5, 0.75)]
    for t in times:
        s = t / FPS
        exact = [scene.frame(s).float(), scene.frame(s - report.cycle_s).float()]
        parts = [frame(alone(motion, i), t) for i in (0, 1)]
        mixed = sum(motion.weights[i, t] * parts[i] for i in (0, 1))
        ours += nearest_db(frame(motion, t), exact) / len(times)
        pictures += nearest_db(mixed, exact) / len(times)
        repeated += nearest_db(still, exact) / len(times)
    return sums | {
        "cycles": report.cycles,
        "ours": ours,
        "over_faded": ours - pictures,
        "over_repeat": ours - repeated,
    }


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
    begin = time.perf_counter()
    flow, _ = flow_loop(volume, 150, 30.0)
    paths_s = time.perf_counter() - begin
    seconds = []
    for make in (
        lambda n: render_frames(still, sway, frames=n),
        lambda n: render_motion(still, flow, frames=n),
    ):
        list(make(range(40, 42)))
        begin = time.perf_counter()
        list(make(range(40, 40 + frames)))
        seconds.append((time.perf_counter() - begin) / frames)
    print("| | s |\n|---|---|")
    print(f"| 150 frames of a sway, all of 512x384 | {150 * seconds[0]:.1f} |")
    print(f"| 150 frames of a flow, all of 512x384 | {150 * seconds[1]:.1f} |")
    print(f"| its paths | {paths_s:.1f} |")
    print(f"| flow over sway | {(150 * seconds[1] + paths_s) / (150 * seconds[0]):.2f} |")


if __name__ == "__main__":
    if "--time" in sys.argv:
        time_table()
    else:
        scenes_table(SHORT if "--short" in sys.argv else product(FLOWS, SPEEDS, GRAINS))
