"""Comparison of one candidate with one reference: two clips or two spectra.

Law: a reference compared with itself has no error. Differences in size, length, frame rate or bands
are listed in the notes.

Convention: values are floats, nan if a value is undefined. The name of a value of the reference
alone ends in `_reference`.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ..evaluation import looks, motion_metrics, picture_metrics, viz
from ..motion.loops import seam
from ..motion.spectrum import SpectralVolume, counting, moving_points
from ..recognition.backbone import Backbone
from ..shapes import Complex, Float, Tensor
from ..still.grid import resize_displacement

HIGHEST_HZ = 3.2  # brightness spectra are compared up to here: the paper's 16 bands
BRIGHTNESS_FLOOR = 1e-4  # smaller amplitudes of brightness are equal
SAME_HZ = 1e-3  # bands whose frequencies differ by less are the same
SSIM_BATCH = 16

# name: (label, 1 if more is better, -1 if less is, 0 if neither)
MEASURES = {
    "psnr_db": ("PSNR, dB", 1),
    "ssim": ("SSIM", 1),
    "look_distance": ("distance of looks (EfficientNet-Lite0)", -1),
    "seam": ("seam, of the largest step", -1),
    "flicker": ("flicker x 1000", 0),
    "pulse": ("pulse x 1000", 0),
    "brightness_factor": ("brightness spectrum, factor", -1),
    "amplitude_error_pct": ("amplitude error, %", -1),
    "phase_error_rad": ("phase error, rad", -1),
    "auc": ("moving-region AUC", 1),
    "amplitude_factor": ("amplitude spectrum, factor", -1),
    "coherence": ("local coherence", 0),
    "energy_px": ("motion energy, px", 0),
}


@dataclass(frozen=True)
class Curve:
    """One quantity of candidate and reference over a common axis."""

    x: list[float]
    reference: list[float] | None
    candidate: list[float]


@dataclass(frozen=True)
class Pair:
    """Measurements of one reference and one candidate; kind is "clip" or "spectrum"."""

    name: str
    kind: str
    values: dict[str, float]
    curves: dict[str, Curve]
    pictures: dict[str, Float[Tensor, "3 _ _"]] = field(repr=False)


def compare_clips(
    name: str,
    reference: Float[Tensor, "t 3 h w"],
    candidate: Float[Tensor, "t2 3 h2 w2"],
    fps: float,
    candidate_fps: float,
    notes: list[str],
    backbone: Backbone | None = None,
    whole: bool = True,
) -> Pair:
    """Compare two clips frame by frame, up to the shorter length, and in their temporal behaviour.

    Args:
        notes: Differences in size, length and frame rate are appended.
        whole: Whether both clips are given up to their ends; else they have no seams.
        backbone: Of `looks.load_looks`; with it, looks are compared too.
    """
    count, size = min(len(reference), len(candidate)), tuple(reference.shape[-2:])
    if tuple(candidate.shape[-2:]) != size:
        given = "x".join(str(n) for n in candidate.shape[:1:-1])
        notes.append(f"{name}: the candidate is {given}, resized to {size[1]}x{size[0]}")
        candidate = F.interpolate(candidate, size, mode="bilinear", antialias=True).clamp(0, 1)
    if len(reference) != len(candidate):
        notes.append(f"{name}: {len(reference)} and {len(candidate)} frames, {count} compared")
    # A seam is between the ends of a clip, not where it is cut for the comparison.
    seams = [_seam(frames) if whole else math.nan for frames in (candidate, reference)]
    reference, candidate = reference[:count], candidate[:count]
    by_frame = [picture_metrics.psnr(one, other) for one, other in zip(candidate, reference)]
    values = {
        "psnr_db": picture_metrics.psnr(candidate, reference),
        "ssim": _ssim(candidate, reference),
    }
    if backbone is not None:
        pair = looks.spaced(candidate), looks.spaced(reference)
        values["look_distance"] = float(looks.look_distance(backbone, *pair).mean())
    variance = picture_metrics.luma(reference).var(0, correction=0)
    static = (variance <= variance.flatten().median())[None]
    for side, frames, own in zip(("", "_reference"), (candidate, reference), seams):
        values["seam" + side] = own
        values["flicker" + side] = 1000 * picture_metrics.flicker(frames, static)
        values["pulse" + side] = 1000 * picture_metrics.flicker(frames.mean((2, 3), keepdim=True))
    curves = {"psnr": Curve([t / fps for t in range(count)], None, by_frame)}
    if abs(fps - candidate_fps) > 0.01 * fps:
        notes.append(f"{name}: {fps:g} and {candidate_fps:g} frames per second; compared by frame")
    elif count > 2:
        frequencies, expected = picture_metrics.brightness_spectrum(reference, fps)
        amplitude = picture_metrics.brightness_spectrum(candidate, fps)[1]
        curves["brightness"] = _curve(frequencies, expected, amplitude)
        low = frequencies <= HIGHEST_HZ
        if low.any():
            distance = motion_metrics.temporal_spectrum_distance(
                amplitude[low], expected[low], BRIGHTNESS_FLOOR
            )
            values["brightness_factor"] = math.exp(distance)
    row = viz.busiest_row(reference)
    pictures = {
        "reference": viz.slice_xt(reference, row),
        "candidate": viz.slice_xt(candidate, row),
    }
    return Pair(name, "clip", values, curves, pictures)


def _seam(frames):
    """The step from the last frame to the first, over the largest inside."""
    steps = seam(frames)
    return steps.wrap / steps.largest_inside if steps.largest_inside else 0.0


def _ssim(candidate, reference):
    if min(reference.shape[-2:]) < picture_metrics.SSIM_WINDOW:
        return math.nan
    parts = zip(candidate.split(SSIM_BATCH), reference.split(SSIM_BATCH))
    return float(torch.cat([picture_metrics.ssim(*part) for part in parts]).mean())


def _curve(x, reference, candidate):
    return Curve(x.tolist(), reference.tolist(), candidate.tolist())


def compare_spectra(
    name: str, reference: SpectralVolume, candidate: SpectralVolume, notes: list[str]
) -> Pair:
    """Compare two spectra on the reference's grid: moving region, amplitude, coherence.

    If both have the same bands, they are compared band by band, with phase.

    Args:
        notes: Differences in bands are appended.
    """
    if max(len(reference.coeffs), len(candidate.coeffs)) > 1:
        notes.append(f"{name}: holds several motions, the first is compared")
    expected = reference.coeffs[0]
    moving = moving_points(reference)
    counted = None if moving is None else counting(moving[0])
    coeffs = on_grid(candidate.coeffs[0], reference.grid)
    frequencies = reference.frequencies_hz
    energies = [motion_metrics.spectral_energy(s) for s in (coeffs, expected)]
    values = {"auc": motion_metrics.moving_region_auc(*energies)}
    if candidate.frequencies_hz.shape == frequencies.shape and torch.allclose(
        candidate.frequencies_hz, frequencies, rtol=0, atol=SAME_HZ
    ):
        amplitude, phase = motion_metrics.spectral_error(coeffs, expected, counted).pooled()
        values |= {"amplitude_error_pct": 100 * amplitude, "phase_error_rad": phase}
    else:
        notes.append(f"{name}: other bands, compared by amplitude alone")
    spectra = [motion_metrics.amplitude_spectrum(s, counted) for s in (expected, coeffs)]
    spectra[1] = at_frequencies(spectra[1], candidate.frequencies_hz, frequencies)
    values["amplitude_factor"] = math.exp(motion_metrics.temporal_spectrum_distance(*spectra[::-1]))
    for side, bands, energy in zip(("", "_reference"), (coeffs, expected), energies):
        motion = motion_metrics.as_motion(bands)
        values["coherence" + side] = motion_metrics.local_coherence(motion, counted)
        region = energy if counted is None else energy[counted[0]]
        values["energy_px" + side] = float(region.square().mean().sqrt())
    top = float(torch.stack(energies).max()) or 1.0
    pictures = dict(zip(("candidate", "reference"), (viz.heat(e / top) for e in energies)))
    return Pair(name, "spectrum", values, {"amplitude": _curve(frequencies, *spectra)}, pictures)


def on_grid(coeffs: Complex[Tensor, "k 2 h w"], grid: tuple[int, int]):
    """Bands resized to another grid, in pixels of that grid."""
    if tuple(coeffs.shape[-2:]) == grid:
        return coeffs
    return torch.complex(*(resize_displacement(part, grid) for part in (coeffs.real, coeffs.imag)))


def at_frequencies(
    amplitudes: Float[Tensor, " k"], given_hz: Float[Tensor, " k"], new_hz: Float[Tensor, " k2"]
) -> Float[Tensor, " k2"]:
    """An amplitude spectrum at other frequencies, by linear interpolation."""
    interpolated = np.interp(new_hz.numpy(), given_hz.numpy(), amplitudes.numpy())
    return torch.from_numpy(interpolated).float()
