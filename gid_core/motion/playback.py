"""Playback of a spectral volume: frames at a rate, with speed, gain and pose, as a loop or a clip.

Law: a loop is exactly periodic; frames are samples of one continuous motion at the frames' times.
"""

from dataclasses import replace

import torch

from ..shapes import Bool, Tensor
from .coords import harmonic_coords
from .curves import Curve, parse_curve
from .displacement import Displacement
from .loops import LoopReport, close_loop
from .spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, with_trend

POSES = ("rest pose", "first frame")
# What a frame may differ from the still by and still be called the still.
SAME_PX, SAME_LIGHT = 0.05, 0.005  # farthest that anything is from its place; of the brightness


def play(
    spectrum: SpectralVolume,
    frames: int,
    fps: float,
    loop: bool = True,
    speed: float = 1.0,
    gain: float = 1.0,
    pose: str = "rest pose",
    seed: int = 0,
    pace: Curve | None = None,
) -> tuple[Displacement, LoopReport | None]:
    """The displacement of a spectrum over a number of frames, and the report of a closed loop.

    A loop, and a clip in the pose "first frame", are scaled to the amplitude that the motion has
    over the period of the spectrum. Any other clip, and every recording (a spectrum with mean or
    drift) that is not a loop, is played without that scale, with mean and drift.

    Args:
        speed: 2 is twice as fast. The Fourier series is evaluated at the scaled times, without
            interpolation.
        gain: Factor of the displacement.
        pose: "rest pose": the still is the mean position; "first frame": the still is frame 0.
        seed: Of the phases of a loop that is longer than the period of the spectrum.
        pace: Variable speed: a factor of `speed` over the seconds of the clip (`pace_curve`). The
            series is evaluated at the integral of the speed, which is exact.

    Raises:
        ValueError: For values out of range, or if all bands are at or above half the frame rate;
            bands that are, where others are not, are left out (`too_fast`).
    """
    _check_playback(spectrum, frames, fps, speed, pose)
    times = torch.arange(frames, dtype=torch.float64) / fps
    duration_s, jump = frames / fps, 0.0
    if pace is not None:
        _check_playback(spectrum, frames, fps, speed * max(pace.y), pose)
        times, duration_s, jump = _paced(pace, times, duration_s)
    fastest = speed if pace is None else speed * max(pace.y)
    spectrum = _without(spectrum, too_fast(spectrum, fps, fastest))
    at_speed = replace(
        spectrum,
        frequencies_hz=spectrum.frequencies_hz * speed,
        drift=None if spectrum.drift is None else spectrum.drift * speed,
    )
    report = None
    if loop:
        closed, report = close_loop(at_speed, duration_s, seed)
        report = replace(report, speed_jump=jump)
        # Rounded to whole cycles, so that q is exactly periodic.
        cycles = (closed.frequencies_hz.double() * duration_s).round()
        coeffs, coords = closed.coeffs, harmonic_coords(cycles, times / duration_s)
    else:
        coeffs, coords = with_trend(at_speed, times)
    if pose == "first frame":
        coords = coords - coords[:, :1]
    motion = Displacement(
        coeffs,
        coords.to(coeffs.dtype),
        fps,
        spectrum.reference_size,
        spectrum.mask,
        loop,
        depth=spectrum.depth,
        protect=spectrum.protect,
    )
    factor = torch.full((len(coeffs),), float(gain))
    recorded = not loop and (spectrum.mean is not None or spectrum.drift is not None)
    rescale = (pose == "first frame" and not recorded) or (report is not None and report.changed)
    if rescale:
        moving = moving_points(spectrum)
        before, after = amplitude_pct(one_period(spectrum), moving), amplitude_pct(motion, moving)
        factor = factor * torch.where(after > 0, before / after.clamp(min=1e-12), 1.0)
    return replace(motion, coeffs=coeffs * factor.view(-1, 1, 1, 1, 1)), report


def too_fast(spectrum: SpectralVolume, fps: float, speed: float = 1.0) -> Bool[Tensor, " k"]:
    """Which bands a frame rate cannot show: those at or above half of it."""
    return spectrum.frequencies_hz * speed >= fps / 2


def left_out(spectrum: SpectralVolume, fps: float, speed: float = 1.0) -> str:
    """A sentence about the bands that a frame rate cannot show; empty if it shows them all."""
    fast = too_fast(spectrum, fps, speed)
    if not fast.any():
        return ""
    energy = spectrum.coeffs.abs().square().sum((0, 2, 3, 4))
    share = float(energy[fast].sum() / energy.sum().clamp(min=1e-30))
    return (
        f"{int(fast.sum())} of {len(fast)} bands are left out, with {100 * share:.0f} % of the "
        f"motion's energy: {fps:g} frames per second show less than {fps / 2:g} Hz. More frames "
        "per second or a lower speed keep them."
    )


def _without(spectrum, bands):
    """The spectrum without some bands."""
    if not bands.any():
        return spectrum
    left = spectrum.coeffs[:, ~bands], spectrum.frequencies_hz[~bands]
    return replace(spectrum, coeffs=left[0], frequencies_hz=left[1])


def pace_curve(
    text: str, duration_s: float, loop: bool, drawn: Curve | None = None
) -> Curve | None:
    """The variable speed that a text states over the seconds of a clip; None for none.

    Args:
        drawn: The same over 0 ... 1 of the clip; the text wins.

    Raises:
        ValueError: For a text that is no curve, or speeds below 0.
    """
    curve = parse_curve(text, duration_s, "curve of speed", loop)
    if curve is None and drawn is not None:
        curve = drawn.scaled(duration_s)
    if curve is not None and (min(curve.y) < 0 or max(curve.y) <= 0):
        raise ValueError(
            f"Expected speeds from 0 on, and some above 0, got {min(curve.y):g} to "
            f"{max(curve.y):g}. A motion does not run backwards."
        )
    return curve


def _paced(curve, times, duration_s):
    """Times of the motion at times of the clip, its length, and the step of speed at the seam."""
    paced = curve.integral(torch.cat([times, times.new_tensor([duration_s])]))
    if paced[-1] <= 0:
        raise ValueError("Expected a speed above 0 somewhere within the clip, got 0 throughout.")
    ends = curve.at(times.new_tensor([0.0, duration_s]))
    return paced[:-1], float(paced[-1]), float((ends[1] - ends[0]).abs())


def first_frame(motion: Displacement) -> str:
    """Whether frame 0 is the still, in a sentence: what sways, what flows behind it, and light."""
    far, brighter = _from_still(motion)
    said = []
    if far >= SAME_PX:
        said.append(f"things are up to {far:.1f} px from their places there")
    if brighter >= SAME_LIGHT:
        said.append(f"its light differs by up to {100 * brighter:.0f} % there")
    return f"Frame 0 is not the still: {', and '.join(said)}." if said else "Frame 0 is the still."


def _from_still(motion):
    """How far frame 0 is from the still: px of the still, and a share of its brightness."""
    scale, far, brighter = motion.scaled_to(motion.reference_size), 0.0, 0.0
    for item in range(len(motion.coeffs)):
        for i, phase in enumerate(motion.phases):
            if motion.weights is None or motion.weights[i, 0] > 0:
                far = max(far, float((phase.at(item, [0])[0] * scale).norm(dim=0).max()))
    if motion.light is not None:
        for item in range(len(motion.light.coeffs)):
            brighter = max(brighter, float((motion.light.at(item, [0]) - 1).abs().max()))
    if motion.behind is not None:
        further = _from_still(motion.behind)
        far, brighter = max(far, further[0]), max(brighter, further[1])
    return far, brighter


def check_times(frames: int, fps: float, speed: float, pose: str) -> None:
    """Refuse what cannot be played.

    Raises:
        ValueError: For values out of range.
    """
    if frames < 1:
        raise ValueError(f"Expected at least 1 frame, got {frames}.")
    if not 0 < fps < float("inf"):
        raise ValueError(f"Expected a frame rate above 0, got {fps}.")
    if not 0 < speed < float("inf"):
        raise ValueError(f"Expected a speed above 0, got {speed}.")
    if pose not in POSES:
        raise ValueError(f"Expected the pose to be one of {', '.join(POSES)}, got {pose!r}.")


def _check_playback(spectrum, frames, fps, speed, pose):
    if spectrum.kind != "response":
        raise ValueError(
            f"Expected a spectrum of a motion, got one of {spectrum.kind}. Modes have no motion of "
            "their own until something pushes them."
        )
    check_times(frames, fps, speed, pose)
    if too_fast(spectrum, fps, speed).all():
        lowest = float(spectrum.frequencies_hz.min()) * speed
        raise ValueError(
            f"The motion has no frequency below {lowest:.2f} Hz; {fps:g} frames per second show "
            f"less than {fps / 2:.2f} Hz. Use more than {2 * lowest:.2f} frames per second, or a "
            "lower speed."
        )
