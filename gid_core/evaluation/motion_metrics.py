"""Metrics of motion: errors against the truth, moving region, spectrum, descriptors.

Law: a motion compared with itself has error 0 and AUC 1. An undefined value is nan.

Convention: displacement is forward, in pixels of its own grid; `counted` selects pixels.

Source: Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011; Hanley &
McNeil, Radiology 1982 (area under the curve).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Bool, Complex, Float, Tensor
from ..still.grid import pixel_grid

REFERENCE_SIDE = 256  # px: the longer side for which thresholds of motion are given
MOVING_SHARE = 0.2  # largest share of a clip's pixels in its moving region
MOVING_PX = 0.2  # least motion energy of a moving pixel, at the reference side
LEAST_AMPLITUDE_PX = 0.1  # least true amplitude of a coefficient whose error counts
FLOOR_PX = 1e-3  # smaller amplitudes are equal


def end_point_error(
    estimate: Float[Tensor, "*t 2 h w"],
    truth: Float[Tensor, "*t 2 h w"],
    counted: Bool[Tensor, "... 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Length of the difference of every counted vector, px (Baker et al.).

    Args:
        counted: For one frame or for all frames; for example the moving, visible pixels.
    """
    error = (estimate - truth).square().sum(-3, keepdim=True).sqrt()
    return error.flatten() if counted is None else error[counted.expand_as(error)]


@dataclass(frozen=True)
class SpectralError:
    """Errors per band, weighted by true energy; nan if no coefficient of a band counts.

    amplitude: relative, 0.1 is ten percent. phase_rad: 0 ... pi. energy: weights of the bands,
    px^2.
    """

    amplitude: Float[Tensor, " k"]
    phase_rad: Float[Tensor, " k"]
    energy: Float[Tensor, " k"]

    def pooled(self) -> tuple[float, float]:
        """Amplitude and phase error over all bands."""
        if not self.energy.sum() > 0:
            return math.nan, math.nan
        share = self.energy / self.energy.sum()
        return tuple(
            float((share * by_band.nan_to_num()).sum())
            for by_band in (self.amplitude, self.phase_rad)
        )


def spectral_error(
    estimate: Complex[Tensor, "k 2 h w"],
    truth: Complex[Tensor, "k 2 h w"],
    counted: Bool[Tensor, "1 h w"] | None = None,
    least_px: float = LEAST_AMPLITUDE_PX,
) -> SpectralError:
    """Errors of amplitude and phase, over coefficients of a true amplitude of `least_px` or more.

    An estimate of zero has no phase. Its phase error counts as pi / 2, the mean error of a random
    phase.
    """
    amplitude = truth.abs()
    counts = amplitude >= max(least_px, torch.finfo(amplitude.dtype).tiny)
    if counted is not None:
        counts = counts & counted
    energy = (amplitude.square() * counts).sum((1, 2, 3))
    # The relative error times the weight |S|^2.
    deviation = amplitude * (estimate.abs() - amplitude).abs()
    phase = (estimate * truth.conj()).angle().abs()
    phase = torch.where(estimate == 0, math.pi / 2, phase) * amplitude.square()
    return SpectralError(
        (deviation * counts).sum((1, 2, 3)) / energy,
        (phase * counts).sum((1, 2, 3)) / energy,
        energy,
    )


def motion_energy(displacement: Float[Tensor, "t 2 h w"]) -> Float[Tensor, "h w"]:
    """RMS displacement of every pixel about its mean position, px."""
    return displacement.var(0, correction=0).sum(0).sqrt()


def spectral_energy(coeffs: Complex[Tensor, "k 2 h w"]) -> Float[Tensor, "h w"]:
    """Motion energy of a spectrum: by Parseval, the root of half the sum of squared amplitudes."""
    return (coeffs.abs().square().sum((0, 1)) / 2).sqrt()


def moving_region(energy: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The moving region of a clip: the 20 % of pixels with the most motion, above a threshold.

    Args:
        energy: Motion energy, px of its own grid. The threshold is 0.2 px of a longer side of 256.
    """
    least = MOVING_PX * max(energy.shape) / REFERENCE_SIDE
    return (energy > least) & (energy >= energy.flatten().quantile(1 - MOVING_SHARE))


def moving_region_auc(score: Float[Tensor, "h w"], energy: Float[Tensor, "h w"]) -> float:
    """AUC of a score as a predictor of the moving region; nan if nothing moves.

    Args:
        score: Predicted motion energy, in any unit: only its order counts.
        energy: True motion energy of the clip, px.
    """
    return area_under_curve(score.flatten(), moving_region(energy).flatten())


def area_under_curve(score: Float[Tensor, " n"], positive: Bool[Tensor, " n"]) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann-Whitney U)."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return math.nan
    _, inverse, count = score.unique(return_inverse=True, return_counts=True)
    rank = count.cumsum(0) - (count - 1) / 2  # tied scores share their mean rank
    mean_rank = rank.double()[inverse][positive].sum() / positives
    return float((mean_rank - (positives + 1) / 2) / negatives)


def local_coherence(
    motion: Float[Tensor, "n 2 h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> float:
    """Correlation of neighbouring vectors, -1 ... 1; nan if nothing moves.

    1 for a rigid shift, 0 for white noise. It is twice the sum of the products of neighbouring
    vectors over the sum of their squares. The motion may be frames, or real and imaginary parts of
    bands; n is summed over.
    """
    counted = torch.ones_like(motion[0, :1], dtype=torch.bool) if counted is None else counted
    products, squares = 0.0, 0.0
    for axis in (-1, -2):
        length = motion.shape[axis] - 1
        first, second = motion.narrow(axis, 0, length), motion.narrow(axis, 1, length)
        both = counted.narrow(axis, 0, length) & counted.narrow(axis, 1, length)
        products = products + 2 * (first * second * both).sum()
        squares = squares + ((first.square() + second.square()) * both).sum()
    return float(products / squares)


def as_motion(coeffs: Complex[Tensor, "k 2 h w"]) -> Float[Tensor, "k2 2 h w"]:
    """Bands as real fields: real parts, then imaginary parts."""
    return torch.cat([coeffs.real, coeffs.imag])


def amplitude_spectrum(
    coeffs: Complex[Tensor, "k 2 h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> Float[Tensor, " k"]:
    """Mean amplitude per band, px: the mean over x, y and all counted pixels."""
    amplitude = coeffs.abs().mean(1, keepdim=True)
    if counted is None:
        return amplitude.mean((1, 2, 3))
    return (amplitude * counted).sum((1, 2, 3)) / counted.sum()


def temporal_spectrum_distance(
    estimate: Float[Tensor, " k"], truth: Float[Tensor, " k"], floor: float = FLOOR_PX
) -> float:
    """Distance of two amplitude spectra: RMS over the bands of their log ratio.

    Its exponential is the typical factor between them: 0.41 is a factor of 1.5.
    """
    ratio = (estimate.clamp(min=floor) / truth.clamp(min=floor)).log()
    return float(ratio.square().mean().sqrt())


def motion_descriptors(coeffs: Complex[Tensor, "b k 2 h w"]) -> Float[Tensor, "b d"]:
    """A descriptor of a motion: 3 k + 3 numbers of order 1, independent of the grid. Ours.

    Per band: log amplitude, local coherence. Per pair of adjacent bands: correlation of the log
    energies over the picture. In total: log ratio of x to y, share of the picture that moves, and
    its centroid.
    """
    return torch.stack([_descriptor(one) for one in coeffs])


def _descriptor(coeffs):
    bands, _, height, width = coeffs.shape
    coeffs = coeffs * (REFERENCE_SIDE / max(height, width))
    energy = coeffs.abs().square().mean(1)  # k h w
    floor = FLOOR_PX**2
    by_band = energy.mean((1, 2))
    coherence = torch.tensor([local_coherence(as_motion(s[None])) for s in coeffs]).nan_to_num()
    shape = (energy + floor).log().flatten(1)
    shape = F.normalize(shape - shape.mean(1, keepdim=True), dim=1)
    correlation = (shape[1:] * shape[:-1]).sum(1)
    x, y = coeffs.abs().square().mean((0, 2, 3))
    total = energy.sum(0)
    spread = total.sqrt().mean().square() / (total.mean() + floor)
    share = (total + floor) / (total + floor).sum()
    points = pixel_grid(height, width, like=total) / total.new_tensor([width, height]).view(2, 1, 1)
    centroid = (points * share).sum((1, 2))
    overall = torch.stack([((x + floor) / (y + floor)).log(), spread, *centroid])
    return torch.cat([(by_band + floor).log() / 2, coherence.to(shape), correlation, overall])
