"""The Frechet distance between two sets of features, over whole clips or sliding windows.

Law: symmetric; zero between a set and itself; between Gaussians
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).

Source: Dowson & Landau 1982; Heusel et al. 2017; sliding windows, Li et al. 2024, Sec. 7.
"""

from collections.abc import Callable, Sequence

import torch

from ..shapes import Float, Shaped, Tensor


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

    The last trace is the sum of the singular values of A^1/2 B^1/2. Only roots of symmetric
    matrices are taken, so that singular covariances (fewer samples than features) are no problem.
    """
    roots = []
    for covariance in (covariance_a, covariance_b):
        values, vectors = torch.linalg.eigh(covariance.double())
        roots.append(vectors * values.clamp(min=0).sqrt() @ vectors.T)
    cross = torch.linalg.svdvals(roots[0] @ roots[1]).sum()
    traces = covariance_a.double().trace() + covariance_b.double().trace()
    means = (mean_a.double() - mean_b.double()).square().sum()
    return max(0.0, float(means + traces - 2 * cross))


def windows(frames: int, size: int, step: int) -> list[range]:
    """Sliding windows of `size` frames over a clip; only complete ones."""
    return [range(first, first + size) for first in range(0, frames - size + 1, step)]


def sliding_distance(
    references: Sequence[Shaped[Tensor, "..."]],
    candidates: Sequence[Shaped[Tensor, "..."]],
    ranges: Sequence[range],
    distance: Callable[[list[Tensor], list[Tensor]], float],
) -> list[float]:
    """A distance between sets of clips, for every window of frames (Li et al., Sec. 7).

    References and candidates are cut to the same window. A distance that grows from window to
    window shows how the candidates degrade over time. Clips too short for a window are left out of
    it.
    """

    def cut(clips, window):
        return [clip[window.start : window.stop] for clip in clips if len(clip) >= window.stop]

    return [distance(cut(references, window), cut(candidates, window)) for window in ranges]
