"""Measures of motion: against its truth, of what moves, of its spectrum, as a descriptor.

Law: a motion measured against itself has error 0 and AUC 1. What a measure has nothing to say about
is not a number (nan).

Convention: displacement is forward, in pixels of its own grid; `counted` says which pixels count.

Source: Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011; Hanley &
McNeil, Radiology 1982 (area under the curve).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Bool, Complex, Float, Tensor
from ..still.grid import pixel_grid

REFERENCE_WIDTH = 256  # px, at which thresholds of motion are stated
MOVING_SHARE = 0.2  # of a clip's pixels that count as its moving region, at most
MOVING_PX = 0.2  # motion energy, at the reference width, below which nothing counts as moving
LEAST_AMPLITUDE_PX = 0.1  # of a true coefficient for its error to count
FLOOR_PX = 1e-3  # amplitudes below it are alike


def end_point_error(
    estimate: Float[Tensor, "*t 2 h w"],
    truth: Float[Tensor, "*t 2 h w"],
    counted: Bool[Tensor, "... 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """How far off every counted vector points, px: the length of the difference (Baker et al.).

    Args:
        counted: Of one frame or of all, such as what moves and is still to be seen.
    """
    error = (estimate - truth).square().sum(-3, keepdim=True).sqrt()
    return error.flatten() if counted is None else error[counted.expand_as(error)]


@dataclass(frozen=True)
class SpectralError:
    """Errors by band, weighted by true energy; nan where no coefficient counted.

    amplitude: 0.1 is ten percent. phase_rad: 0 ... pi. energy: by which bands are pooled, px^2.
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
    """How far off amplitudes and phases are, where the true amplitude is at least so many px.

    A coefficient of zero has no phase: it counts as a quarter turn off, as a random one is on
    average.
    """
    amplitude = truth.abs()
    counts = amplitude >= max(least_px, torch.finfo(amplitude.dtype).tiny)
    if counted is not None:
        counts = counts & counted
    energy = (amplitude.square() * counts).sum((1, 2, 3))
    relative = amplitude * (estimate.abs() - amplitude).abs()
    turn = (estimate * truth.conj()).angle().abs()
    turn = torch.where(estimate == 0, math.pi / 2, turn) * amplitude.square()
    return SpectralError(
        (relative * counts).sum((1, 2, 3)) / energy,
        (turn * counts).sum((1, 2, 3)) / energy,
        energy,
    )


def motion_energy(displacement: Float[Tensor, "t 2 h w"]) -> Float[Tensor, "h w"]:
    """How much every pixel moves about its mean position, px (root mean square over time)."""
    return displacement.var(0, correction=0).sum(0).sqrt()


def spectral_energy(coeffs: Complex[Tensor, "k 2 h w"]) -> Float[Tensor, "h w"]:
    """The same of a spectrum's bands: by Parseval, the root of half their squared amplitudes."""
    return (coeffs.abs().square().sum((0, 1)) / 2).sqrt()


def moving_region(energy: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """What moves in a clip: the 20 % that move most, of what moves at all.

    Args:
        energy: Motion energy, px of its own grid. 0.2 px at a width of 256 is moving at all.
    """
    least = MOVING_PX * energy.shape[1] / REFERENCE_WIDTH
    return (energy > least) & (energy >= energy.flatten().quantile(1 - MOVING_SHARE))


def moving_region_auc(score: Float[Tensor, "h w"], energy: Float[Tensor, "h w"]) -> float:
    """Chance that what truly moves is scored above what does not; nan if nothing moves.

    Args:
        score: Guessed motion energy, in any unit: only its order counts.
        energy: The clip's own motion energy, px.
    """
    return area_under_curve(score.flatten(), moving_region(energy).flatten())


def area_under_curve(score: Float[Tensor, " n"], positive: Bool[Tensor, " n"]) -> float:
    """Chance that a positive is scored above a negative, ties counting half (Mann-Whitney U)."""
    wanted = int(positive.sum())
    others = len(positive) - wanted
    if not wanted or not others:
        return math.nan
    _, place, count = score.unique(return_inverse=True, return_counts=True)
    rank = count.cumsum(0) - (count - 1) / 2  # of ties, their mean
    return float((rank.double()[place][positive].sum() / wanted - (wanted + 1) / 2) / others)


def local_coherence(
    motion: Float[Tensor, "n 2 h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> float:
    """How alike neighbours move, -1 ... 1: 1 for a rigid shift, 0 for noise; nan if nothing moves.

    Twice the products of neighbouring vectors over the sum of their squares. Motion may be given as
    frames or as the real and imaginary parts of bands: n is summed over.
    """
    counted = torch.ones_like(motion[0, :1], dtype=torch.bool) if counted is None else counted
    together, alone = 0.0, 0.0
    for axis in (-1, -2):
        length = motion.shape[axis] - 1
        first, second = motion.narrow(axis, 0, length), motion.narrow(axis, 1, length)
        both = counted.narrow(axis, 0, length) & counted.narrow(axis, 1, length)
        together = together + 2 * (first * second * both).sum()
        alone = alone + ((first.square() + second.square()) * both).sum()
    return float(together / alone)


def as_motion(coeffs: Complex[Tensor, "k 2 h w"]) -> Float[Tensor, "k2 2 h w"]:
    """Bands as real fields: real parts, then imaginary parts."""
    return torch.cat([coeffs.real, coeffs.imag])


def amplitude_spectrum(
    coeffs: Complex[Tensor, "k 2 h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> Float[Tensor, " k"]:
    """Mean amplitude by band, px: of x and y, over all pixels or those counted."""
    amplitude = coeffs.abs().mean(1, keepdim=True)
    if counted is None:
        return amplitude.mean((1, 2, 3))
    return (amplitude * counted).sum((1, 2, 3)) / counted.sum()


def temporal_spectrum_distance(
    estimate: Float[Tensor, " k"], truth: Float[Tensor, " k"], floor: float = FLOOR_PX
) -> float:
    """How far two amplitude spectra lie apart: root mean square, over bands, of log ratios.

    Its exponential is the typical factor between them: 0.41 is a factor of 1.5.
    """
    ratio = (estimate.clamp(min=floor) / truth.clamp(min=floor)).log()
    return float(ratio.square().mean().sqrt())


def motion_descriptors(coeffs: Complex[Tensor, "b k 2 h w"]) -> Float[Tensor, "b d"]:
    """What a motion is like in 3 k + 3 numbers about as large as 1, whatever its grid. Ours.

    By band: log amplitude, likeness of neighbours. From band to band: whether they move the same
    things. In all: x against y, how much of the picture moves, and where.
    """
    return torch.stack([_descriptor(one) for one in coeffs])


def _descriptor(coeffs):
    bands, _, height, width = coeffs.shape
    coeffs = coeffs * (REFERENCE_WIDTH / max(height, width))
    energy = coeffs.abs().square().mean(1)  # k h w
    floor = FLOOR_PX**2
    by_band = energy.mean((1, 2))
    coherence = torch.tensor([local_coherence(as_motion(s[None])) for s in coeffs]).nan_to_num()
    shape = (energy + floor).log().flatten(1)
    shape = F.normalize(shape - shape.mean(1, keepdim=True), dim=1)
    together = (shape[1:] * shape[:-1]).sum(1)
    x, y = coeffs.abs().square().mean((0, 2, 3))
    total = energy.sum(0)
    spread = total.sqrt().mean().square() / (total.mean() + floor)
    share = (total + floor) / (total + floor).sum()
    places = pixel_grid(height, width, like=total) / total.new_tensor([width, height]).view(2, 1, 1)
    centre = (places * share).sum((1, 2))
    overall = torch.stack([((x + floor) / (y + floor)).log(), spread, *centre])
    return torch.cat([(by_band + floor).log() / 2, coherence.to(shape), together, overall])
