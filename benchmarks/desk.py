"""The motion desk, measured: muted bands as a flow sees them, parallax, and speed.

    python benchmarks/desk.py

Muted: the demo still in wind; the frames of the edited motion are rendered, and OpenCV's DIS reads
the flow from the still to each of them, which knows nothing of this code. A band is muted; of the
grid points whose band moved by 1 px or more before, its amplitude after is set against that before.
The floor is the same for a motion that never had the band: what DIS reads there is its own error.
The energy is given once more without pixels that are hidden in some frame, by the flow itself:
there and back it ends more than half a pixel away.
Clicks: a sound of clicks of one sample, and the frames at which the envelope is highest.
Parallax: a ball before a tilted wall; the path of every pixel as the harmonics of CameraMotion give
it, against the projection itself at eight times as many moments, in px of a picture 640 wide, at
the default strength. That the projection is a pinhole camera's is tested against matrices in
tests/motion/test_camera.py.
Needs opencv-python-headless.
"""

import math
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
import torch.nn.functional as F

from gid_core import pipeline
from gid_core.config import SpectrumConfig
from gid_core.evaluation.inspection import motion_sheet
from gid_core.files.stills import read_mask, read_still
from gid_core.footage.flow import estimator
from gid_core.motion.camera import CameraMove, camera_motion
from gid_core.motion.combine import combine
from gid_core.motion.edit import Edit, edit
from gid_core.motion.envelope import Pulse, Sound, envelope
from gid_core.motion.playback import play
from gid_core.motion.spectrum import SpectralVolume
from gid_core.still.grid import backward_warp

DEMO = ROOT / "docs/demo"
WIDTH, FRAMES, FPS = 576, 50, 10.0
MUTED_HZ = 0.4
LEAST_PX = 1.0
HIDDEN_PX = 0.5  # from there and back
SOUND_HZ = 44_100


def read_bands(frames, still):
    """Amplitude of every band of frames, as DIS reads them, k h w, px; and what is ever hidden."""
    flow, previous, fields = estimator("dis"), None, []
    hidden = torch.zeros(still.shape[-2:], dtype=torch.bool)
    for frame in frames:
        previous = flow(still, frame, previous) if previous is not None else flow(still, frame)
        back = backward_warp(flow(frame, still)[None], previous[None])[0]
        hidden |= (previous + back).square().sum(0) > HIDDEN_PX**2
        fields.append(previous)
    bands = torch.fft.rfft(torch.stack(fields), dim=0)
    return (2 / len(fields) * bands).abs().square().sum(1).sqrt(), hidden


def muted() -> None:
    still, mask = read_still(DEMO / "still.png")[:3], read_mask(DEMO / "still_mask.png")
    size = round(WIDTH * still.shape[1] / still.shape[2]), WIDTH
    still, mask = (F.interpolate(x[None], size, mode="area") for x in (still, mask))
    spectrum, _ = pipeline.sample_motion(
        still, mask, seed=3, spectrum=SpectrumConfig(8, FRAMES / FPS, 2.0)
    )
    there = (spectrum.frequencies_hz - MUTED_HZ).abs() > 1e-4
    never = replace(spectrum, coeffs=spectrum.coeffs * there.view(1, -1, 1, 1, 1))
    clips = []
    for motion in (spectrum, edit(spectrum, Edit(mute=str(MUTED_HZ)))[0], never):
        played, _ = play(motion, FRAMES, FPS)
        clips.append([f for f, _ in pipeline.render(still, played)])
    same = all(torch.equal(a, b) for a, b in zip(*clips[1:]))
    (before, hidden), (after, now_hidden) = (read_bands(clip, still[0]) for clip in clips[:2])
    floor = after if same else read_bands(clips[2], still[0])[0]
    k = round(MUTED_HZ * FRAMES / FPS)
    solid = mask[0, 0] > 0.9  # beside thin stalks the flow is of either layer
    counted = (before[k] >= LEAST_PX) & solid
    seen = counted & ~hidden & ~now_hidden
    quieter = 20 * torch.log10(before[k][counted] / after[k][counted].clamp(min=1e-9))
    other = (after[k + 1] / before[k + 1].clamp(min=1e-9))[(before[k + 1] >= LEAST_PX) & solid]
    rows = {
        "its amplitude before, median of what moved 1 px, px": f"{before[k][counted].median():.2f}",
        "quieter after, energy of all such pixels, dB": f"{_louder(before, after, k, counted):.1f}",
        "the same of a motion that never had the band: the floor, dB": (
            f"{_louder(before, floor, k, counted):.1f}"
        ),
        "frames of the two are equal bit for bit": "yes" if same else "no",
        "quieter after, energy of pixels that are never hidden, dB": (
            f"{_louder(before, after, k, seen):.1f}"
        ),
        "share of pixels that are never hidden, %": f"{100 * seen.sum() / counted.sum():.1f}",
        "quieter after, median of pixels, dB": f"{quieter.median():.1f}",
        "pixels that are 20 dB quieter at least, %": f"{100 * (quieter >= 20).float().mean():.1f}",
        "the next band, after over before": (
            f"{other.median():.2f}" if len(other) else "none moved 1 px"
        ),
    }
    print("| a band muted, as DIS reads the rendered clip | |")
    print("|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def _louder(before, after, k, where):
    """How much more energy a band had before, dB."""
    return 10 * math.log10(before[k][where].square().mean() / after[k][where].square().mean())


def clicks() -> None:
    still = SpectralVolume(torch.ones(1, 1, 2, 2, 3, dtype=torch.complex64), torch.ones(1), (2, 3))
    motion, _ = play(still, 150, 30.0)
    rng = torch.Generator().manual_seed(0)
    when = torch.arange(9) * 0.5 + 0.2 + 0.2 * torch.rand(9, generator=rng)
    sound = torch.zeros(1, 5 * SOUND_HZ)
    sound[0, (when * SOUND_HZ).long()] = 0.9
    print("\n| attack, s | clicks | peaks | farthest from its click after the attack, frames |")
    print("|---|---|---|---|")
    for attack in (0.0, 0.02, 0.05, 0.1):
        heard = Sound(sound, SOUND_HZ)
        _, _, strength = envelope(motion, sound=heard, pulse=Pulse(attack, 0.1))
        inner = strength[1:-1]
        is_peak = (inner >= strength[:-2]) & (inner > strength[2:]) & (inner > 0.3)
        peaks = 1 + is_peak.nonzero().squeeze(1)
        far = (peaks[:, None] - 30 * (when + attack)).abs().amin(0).max() if len(peaks) else 0
        print(f"| {attack} | {len(when)} | {len(peaks)} | {far:.2f} |")


def ball_before_wall(height, width):
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / width - height / width / 2,
        (torch.arange(width) + 0.5) / width - 0.5,
        indexing="ij",
    )
    ray = torch.stack([x, y, torch.ones_like(x)]).double()
    wall = 0.25 - 0.15 * ray[0]
    centre = torch.tensor([0.1, 0.0, 1.3]).double()
    a, b = ray.square().sum(0), (ray * centre.view(3, 1, 1)).sum(0)
    inside = b.square() - a * (centre.square().sum() - 0.09)
    return torch.where(inside > 0, a / (b - inside.clamp(min=0).sqrt()), wall)


def parallax() -> None:
    size = 426, 640
    depth = ball_before_wall(*size)[None, None].float()
    print("\n| camera, 1.5 %, 640x426 | largest motion, px | from the projection, px | seam, px |")
    print("|---|---|---|---|")
    for move in ("sway", "orbit", "push-in", "handheld"):
        camera = CameraMove(move)
        spectrum, near, _ = camera_motion(size, depth, camera)
        motion, _ = play(spectrum, 60, 12.0)
        path = motion.at(0) * motion.scaled_to(size)
        again = play(spectrum, 120, 12.0, loop=False)[0].at(0, slice(60, 120))
        seam = float((again * motion.scaled_to(size) - path).abs().max())
        exact = exact_path(camera, near, spectrum.grid, size, 60)
        error = float((path - exact).square().sum(1).sqrt().max())
        largest = float(path.square().sum(1).sqrt().max())
        print(f"| {move} | {largest:.2f} | {error:.4f} | {seam:.1e} |")


def exact_path(camera, near, grid, size, frames):
    """The projection at eight times as many moments, less its mean, at the frames."""
    from gid_core.motion import camera as module

    period = torch.arange(8 * frames).double() / (8 * frames)
    rotation, position, shift = module._path(camera, period)
    inverse = 0.1 + 0.9 * F.interpolate(near, grid, mode="nearest-exact").double()
    place = torch.stack(
        torch.broadcast_tensors(
            ((torch.arange(grid[1]).double() + 0.5) / grid[1] - 0.5)[None],
            (((torch.arange(grid[0]).double() + 0.5) / grid[0] - 0.5) * size[0] / size[1])[:, None],
        )
    )
    seen = module._seen(place, inverse[0, 0], rotation, position, shift) - place
    return ((seen - seen.mean(0)) * size[1])[::8].float()


def speed() -> None:
    rng = torch.Generator().manual_seed(0)
    make = lambda: torch.randn(1, 16, 2, 107, 160, generator=rng, dtype=torch.complex64)
    mask = torch.rand(1, 1, 512, 768, generator=rng)
    base, top = (
        SpectralVolume(make(), torch.arange(1, 17) / 5, (512, 768), torch.ones(1, 1, 512, 768))
        for _ in range(2)
    )
    motion, _ = play(base, 150, 30.0)
    tasks = {
        "edit: gains by frequency": lambda: edit(base, Edit(bands="0.2:1, 1:0.5, 3:0.1")),
        "edit: turn": lambda: edit(base, Edit(turn_deg=30.0)),
        "edit: delay and scatter": lambda: edit(base, Edit(delay_s=0.3, scatter=0.5)),
        "edit: smooth": lambda: edit(base, Edit(smooth_pct=3.0)),
        "edit: degree by a mask": lambda: edit(base, Edit(), mask),
        "combine by a mask": lambda: combine(base, top, mask),
        "envelope, 150 frames": lambda: envelope(motion, bpm=120.0),
        "camera: sway": lambda: camera_motion((512, 768), mask),
        "camera: handheld": lambda: camera_motion((512, 768), mask, CameraMove("handheld")),
        "preview, 320 px": lambda: motion_sheet(base),
    }
    print("\n| 16 bands, 160x107 | ms of one core |")
    print("|---|---|")
    for name, task in tasks.items():
        took = []
        for _ in range(5):
            start = time.process_time()
            task()
            took.append(time.process_time() - start)
        print(f"| {name} | {1000 * sorted(took)[2]:.0f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    muted()
    parallax()
    clicks()
    speed()
