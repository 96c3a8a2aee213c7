"""Measures: of motion against its truth, of pictures, of clips over time, of sets of clips.

Law: a thing measured against itself gives the best value there is (0, 1, infinite decibels), and
units are in the first line. What a measure has nothing to say about is not a number (nan).

Convention: displacement is forward, in pixels of its own grid; `counted` says which pixels count.

Sources: Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011; Hanley &
McNeil, Radiology 1982 (area under the curve); Wang et al., "Image Quality Assessment", TIP 2004
(SSIM); Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018 (warp error); Dowson &
Landau, "The Frechet Distance between Multivariate Normal Distributions", 1982; Li et al. 2024,
Sec. 7 (windows that slide over a clip).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .grid import backward_warp, pixel_grid
from .shapes import Bool, Complex, Float, Shaped, Tensor

REFERENCE_WIDTH = 256  # px, at which thresholds of motion are stated
MOVING_SHARE = 0.2  # of a clip's pixels that count as its moving region, at most
MOVING_PX = 0.2  # motion energy, at the reference width, below which nothing counts as moving
LEAST_AMPLITUDE_PX = 0.1  # of a true coefficient for its error to count
FLOOR_PX = 1e-3  # amplitudes below it are alike
LUMA = (0.2126, 0.7152, 0.0722)  # bt709
SSIM_WINDOW, SSIM_SIGMA, SSIM_K = 11, 1.5, (0.01, 0.03)


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


def luma(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "t h w"]:
    """Brightness, bt709; of grey frames themselves."""
    if frames.shape[1] < 3:
        return frames[:, 0]
    return torch.einsum("tchw,c->thw", frames[:, :3], frames.new_tensor(LUMA))


def flicker(
    frames: Float[Tensor, "t c h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> float:
    """Noise from frame to frame, in units of brightness; nan for fewer than three frames. Ours.

    Root mean square of the second difference over time, over sqrt(6): white noise of deviation s
    gives s, and a steady fade gives 0. Count what stands still: what moves changes as well. Of
    `frames.mean((2, 3), keepdim=True)` it is the pulse of the whole picture.
    """
    change = luma(frames).diff(n=2, dim=0)
    kept = change if counted is None else change[counted.expand_as(change)]
    return float(kept.square().mean().sqrt()) / math.sqrt(6)


def warp_error(
    frames: Float[Tensor, "t c h w"],
    displacement: Float[Tensor, "t 2 h w"],
    visible: Bool[Tensor, "t 1 h w"] | None = None,
) -> float:
    """Squared change of what is read along its path, from frame to frame (Lai et al., E_warp).

    Args:
        displacement: From the first frame's pixels to every frame.
        visible: Where the first frame's pixel is seen. What has left the picture never counts.
    """
    height, width = displacement.shape[-2:]
    x, y = (pixel_grid(height, width, like=displacement) + displacement).unbind(1)
    seen = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]
    if visible is not None:
        seen = seen & visible
    change = backward_warp(frames, displacement).diff(dim=0).square().mean(1, keepdim=True)
    return float(change[seen[1:] & seen[:-1]].mean())


def psnr(
    estimate: Float[Tensor, "*t c h w"],
    truth: Float[Tensor, "*t c h w"],
    counted: Bool[Tensor, "... 1 h w"] | None = None,
) -> float:
    """Decibels by which a range of 1 exceeds the root-mean-square error; infinite for equals."""
    error = (estimate - truth).double().square().mean(-3, keepdim=True)
    kept = error if counted is None else error[counted.expand_as(error)]
    mean = float(kept.mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)


def ssim(
    estimate: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of every picture, at most 1 (Wang et al., Eq. 13-17).

    Their Gaussian window of 11 x 11, only where it lies inside; for every channel, then the mean.

    Raises:
        ValueError: If a picture is smaller than the window.
    """
    if min(estimate.shape[-2:]) < SSIM_WINDOW:
        height, width = estimate.shape[-2:]
        raise ValueError(
            f"SSIM needs pictures of at least {SSIM_WINDOW}x{SSIM_WINDOW}, got {width}x{height}. "
            "Use PSNR for such small ones."
        )
    mean_a, mean_b = _windowed(estimate), _windowed(truth)
    variance_a = _windowed(estimate.square()) - mean_a.square()
    variance_b = _windowed(truth.square()) - mean_b.square()
    covariance = _windowed(estimate * truth) - mean_a * mean_b
    c1, c2 = (k**2 for k in SSIM_K)
    brightness = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (brightness * structure).mean((1, 2, 3))


def _windowed(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h1 w1"]:
    """Gaussian-weighted local means, along each axis in turn."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).to(pictures)
    flat = pictures.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return flat.view(*pictures.shape[:2], *flat.shape[-2:])


def gradient_deviation(
    pictures: Float[Tensor, "b c h w"], references: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """How unevenly edges were kept, 0 for equals (GMSD, Xue et al. 2014). Stands in for LPIPS, without weights.

    Published to rank distortions as people do about as well as far larger measures.
    """
    slope = pictures.new_tensor([[1.0, 0.0, -1.0]] * 3).view(1, 1, 3, 3) / 3
    sizes = []
    for x in (pictures, references):
        grey = F.avg_pool2d(luma(x)[:, None], 2)
        sizes.append((F.conv2d(grey, slope).square() + F.conv2d(grey, slope.mT).square()).sqrt())
    steady = 170 / 255**2  # of the paper, whose pictures go to 255
    product, squares = sizes[0] * sizes[1], sizes[0].square() + sizes[1].square()
    alike = (2 * product + steady) / (squares + steady)
    return alike.flatten(1).std(1, correction=0)


def amplitude_spectrum(
    coeffs: Complex[Tensor, "k 2 h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> Float[Tensor, " k"]:
    """Mean amplitude by band, px: of x and y, over all pixels or those counted."""
    amplitude = coeffs.abs().mean(1, keepdim=True)
    if counted is None:
        return amplitude.mean((1, 2, 3))
    return (amplitude * counted).sum((1, 2, 3)) / counted.sum()


def brightness_spectrum(
    frames: Float[Tensor, "t c h w"], fps: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Frequencies below half the frame rate, and how much brightness swings at each (mean peak).

    As motion is read: the straight line from end to end is removed first, the mean is left out.
    """
    values = luma(frames)
    count = len(values)
    steps = torch.arange(count, dtype=values.dtype, device=values.device).view(-1, 1, 1)
    values = values - (values[-1] - values[0]) * steps / max(1, count - 1)
    bands = (count - 1) // 2
    amplitude = 2 / count * torch.fft.rfft(values, dim=0)[1 : bands + 1].abs()
    return torch.arange(1, bands + 1) * (fps / count), amplitude.mean((1, 2))


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


def gaussian(
    features: Float[Tensor, "n d"], unbiased: bool = True
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and covariance of samples, in float64."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / max(1, len(features) - unbiased)


def frechet_distance(features: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of samples."""
    return frechet_distance_of(*gaussian(features), *gaussian(others))


def frechet_distance_of(
    mean_a: Float[Tensor, " d"],
    covariance_a: Float[Tensor, "d d"],
    mean_b: Float[Tensor, " d"],
    covariance_b: Float[Tensor, "d d"],
) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), in closed form (Dowson & Landau, Eq. 4).

    The last trace is the sum of singular values of A^1/2 B^1/2: symmetric roots alone, no root of a
    product, so that covariances of fewer samples than features do no harm.
    """
    roots = []
    for covariance in (covariance_a, covariance_b):
        values, vectors = torch.linalg.eigh(covariance.double())
        roots.append(vectors * values.clamp(min=0).sqrt() @ vectors.T)
    common = torch.linalg.svdvals(roots[0] @ roots[1]).sum()
    traces = covariance_a.double().trace() + covariance_b.double().trace()
    apart = (mean_a.double() - mean_b.double()).square().sum()
    return max(0.0, float(apart + traces - 2 * common))


def windows(frames: int, size: int, step: int) -> list[range]:
    """Frame ranges that slide over a clip; only whole ones."""
    return [range(first, first + size) for first in range(0, frames - size + 1, step)]


def sliding_distance(
    references: Sequence[Shaped[Tensor, "..."]],
    candidates: Sequence[Shaped[Tensor, "..."]],
    ranges: Sequence[range],
    distance: Callable[[list[Tensor], list[Tensor]], float],
) -> list[float]:
    """A distance between sets of clips, for every window of frames (Li et al., Sec. 7).

    The same window of references and of candidates: what grows from window to window is what the
    candidates lose as they go on. A clip that is too short for a window is not in it.
    """

    def cut(clips, window):
        return [clip[window.start : window.stop] for clip in clips if len(clip) >= window.stop]

    return [distance(cut(references, window), cut(candidates, window)) for window in ranges]
