"""Playing a spectral volume: so many frames at a rate, as a loop or not, faster, slower, larger.

Law: a loop is exactly periodic; frames are samples of one continuous motion at the times asked for.
"""

from dataclasses import replace

import torch

from .coords import harmonic_coords
from .displacement import Displacement
from .loops import LoopReport, close_loop
from .spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, with_trend

POSES = ("rest pose", "first frame")


def play(
    spectrum: SpectralVolume,
    frames: int,
    fps: float,
    loop: bool = True,
    speed: float = 1.0,
    gain: float = 1.0,
    pose: str = "rest pose",
    seed: int = 0,
) -> tuple[Displacement, LoopReport | None]:
    """Let a spectrum move for so many frames.

    A loop, and a clip anchored at its first frame, keep the size the motion has over the
    spectrum's own period; otherwise, and always where mean or drift tell of a recording, the motion
    is exactly what was recorded, mean and drift too.

    Args:
        speed: 2 is twice as fast. The series is evaluated at the times asked for: exact.
        gain: 2 is twice as far.
        pose: "rest pose": the still is the middle of the motion; "first frame": frame 0 is the
            still.
        seed: For the phases of a loop longer than the spectrum's period.

    Raises:
        ValueError: For values out of range, or bands above half the frame rate.
    """
    _check_playback(spectrum, frames, fps, speed, pose)
    duration_s = frames / fps
    faster = replace(
        spectrum,
        frequencies_hz=spectrum.frequencies_hz * speed,
        drift=None if spectrum.drift is None else spectrum.drift * speed,
    )
    times = torch.arange(frames, dtype=torch.float64) / fps
    report = None
    if loop:
        closed, report = close_loop(faster, duration_s, seed)
        cycles = (
            closed.frequencies_hz.double() * duration_s
        ).round()  # whole, so that q is periodic
        coeffs, coords = closed.coeffs, harmonic_coords(cycles, times / duration_s)
    else:
        coeffs, coords = with_trend(faster, times)
    if pose == "first frame":
        coords = coords - coords[:, :1]
    motion = Displacement(
        coeffs, coords.to(coeffs.dtype), fps, spectrum.reference_size, spectrum.mask, loop
    )
    keep = torch.full((len(coeffs),), float(gain))
    recorded = not loop and (spectrum.mean is not None or spectrum.drift is not None)
    resized = (pose == "first frame" and not recorded) or (report is not None and report.changed)
    if resized:
        moving = moving_points(spectrum)
        was, now = amplitude_pct(one_period(spectrum), moving), amplitude_pct(motion, moving)
        keep = keep * torch.where(now > 0, was / now.clamp(min=1e-12), 1.0)
    return replace(motion, coeffs=coeffs * keep.view(-1, 1, 1, 1, 1)), report


def _check_playback(spectrum, frames, fps, speed, pose):
    if spectrum.kind != "response":
        raise ValueError(
            f"Expected a spectrum of a motion, got one of {spectrum.kind}. Modes have no motion of "
            "their own until something pushes them."
        )
    if frames < 1:
        raise ValueError(f"Expected at least 1 frame, got {frames}.")
    if not 0 < fps < float("inf"):
        raise ValueError(f"Expected a frame rate above 0, got {fps}.")
    if not 0 < speed < float("inf"):
        raise ValueError(f"Expected a speed above 0, got {speed}.")
    if pose not in POSES:
        raise ValueError(f"Expected the pose to be one of {', '.join(POSES)}, got {pose!r}.")
    highest = float(spectrum.frequencies_hz.max()) * speed
    if highest >= fps / 2:
        raise ValueError(
            f"The motion has frequencies up to {highest:.2f} Hz; {fps:g} frames per second show less "
            f"than {fps / 2:.2f} Hz. Use more than {2 * highest:.2f} frames per second, a lower "
            "speed, or fewer bands."
        )
