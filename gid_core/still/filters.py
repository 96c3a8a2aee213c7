"""Means and largest values over windows, the guided filter built of such means, and pull-push.

Law: a mean is that of the part of the window inside the picture; a constant stays what it is.

Source: He, Sun & Tang, "Guided Image Filtering", ECCV 2010, Eq. 14-16.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor

MOST_FITTED = 2**21  # pixels of the largest picture to which a guided filter is fitted as it is
REDUCED = 2**19  # pixels to which larger pictures are reduced
UNKNOWN = 1e-12  # weight of an unknown pixel: never 0, so that every mean is defined
AT_ONCE = 2**20  # pixels at which the fitted functions are applied at once


def dilated(values: Float[Tensor, "c h w"], radius: int) -> Float[Tensor, "c h w"]:
    """The largest value within a square of 2 radius + 1 pixels to a side."""
    return largest_within(F.pad(values, (radius,) * 4, value=-torch.inf), 2 * radius + 1)


def largest_within(values: Float[Tensor, "c h w"], window: int) -> Float[Tensor, "c h1 w1"]:
    """The largest value of every square of `window` pixels to a side that lies in the picture.

    Squares of twice the side are the largest of two: some twenty times as fast as max pooling.
    """
    for axis in (-2, -1):
        side = 1
        while side < window:
            step = min(side, window - side)
            left = values.shape[axis] - step
            values = torch.maximum(values.narrow(axis, 0, left), values.narrow(axis, step, left))
            side += step
    return values


def guided_filter(
    guide: Float[Tensor, "1 3 h w"], values: Float[Tensor, "1 1 h w"], radius: int, eps: float
) -> Float[Tensor, "1 1 h w"]:
    """Fit `values` by a linear function of the guide's colours in every window (Eq. 14-16).

    Pictures of more than `MOST_FITTED` pixels are fitted at a reduced size, and the functions,
    which vary slowly, applied at full size, some rows at a time (He & Sun, "Fast Guided Filter",
    2015).

    Args:
        eps: Regularization in squared guide units: edges fainter than sqrt(eps) are smoothed over.
    """
    height, width = guide.shape[-2:]
    if height * width <= MOST_FITTED:
        fitted = _linear_fit(guide, values, radius, eps)
        return (fitted[:, :3] * guide).sum(1, keepdim=True) + fitted[:, 3:]
    scale = math.sqrt(REDUCED / (height * width))
    size = tuple(max(1, round(n * scale)) for n in (height, width))
    small = (F.interpolate(x, size, mode="area") for x in (guide, values))
    fitted = _linear_fit(*small, max(1, round(radius * scale)), eps)
    result = torch.empty_like(values)
    step = max(1, AT_ONCE // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        here = _rows_enlarged(fitted, rows, (height, width))
        result[:, :, rows] = (here[:, :3] * guide[:, :, rows]).sum(1, keepdim=True) + here[:, 3:]
    return result


def _rows_enlarged(x, rows, size):
    """Some rows of x enlarged to `size`, bilinear with half-pixel centres."""
    last = x.shape[-2] - 1
    y = torch.arange(rows.start, rows.stop, dtype=torch.float64) + 0.5
    y = (y * (x.shape[-2] / size[0]) - 0.5).clamp(0, last)
    above = y.floor().long()
    share = (y - above).to(x).view(-1, 1)
    between = x[:, :, above] * (1 - share) + x[:, :, (above + 1).clamp(max=last)] * share
    return F.interpolate(between, (len(y), size[1]), mode="bilinear", align_corners=False)


def _linear_fit(guide, values, radius, eps) -> Float[Tensor, "1 4 h w"]:
    """Slopes and offset of the linear functions, averaged over the windows that hold a pixel."""
    mean_i, mean_p = box_mean(guide, radius), box_mean(values, radius)
    i, j = torch.triu_indices(3, 3)
    variance = box_mean(guide[:, i] * guide[:, j], radius) - mean_i[:, i] * mean_i[:, j]
    c00, c01, c02, c11, c12, c22 = variance.unbind(1)
    c00, c11, c22 = c00 + eps, c11 + eps, c22 + eps
    # The inverse of a symmetric 3x3 matrix by cofactors: a batched solve is ten times slower.
    k00, k01, k02 = c11 * c22 - c12 * c12, c02 * c12 - c01 * c22, c01 * c12 - c02 * c11
    k11, k12, k22 = c00 * c22 - c02 * c02, c01 * c02 - c00 * c12, c00 * c11 - c01 * c01
    determinant = c00 * k00 + c01 * k01 + c02 * k02
    p0, p1, p2 = (box_mean(guide * values, radius) - mean_i * mean_p).unbind(1)
    slope = torch.stack(
        [
            k00 * p0 + k01 * p1 + k02 * p2,
            k01 * p0 + k11 * p1 + k12 * p2,
            k02 * p0 + k12 * p1 + k22 * p2,
        ],
        1,
    ) / determinant.unsqueeze(1)
    offset = mean_p - (slope * mean_i).sum(1, keepdim=True)
    return box_mean(torch.cat([slope, offset], 1), radius)


def box_mean(x, radius):
    """Mean over a window, of the part of the window inside the picture.

    Whole rows are added, some four times as fast as average pooling, and in its order: the result
    has the same bits.
    """
    return _mean_along(_mean_along(x, radius, -2), radius, -1)


def _mean_along(x, radius, axis):
    n, total = x.shape[axis], torch.zeros_like(x)
    for step in range(-min(radius, n - 1), min(radius, n - 1) + 1):
        left = n - abs(step)
        seen = x.narrow(axis, max(0, step), left)
        total.narrow(axis, max(0, -step), left).add_(seen)
    place = torch.arange(n, device=x.device)
    count = (place + radius).clamp(max=n - 1) - (place - radius).clamp(min=0) + 1
    return total.div_(count.to(x).view(-1, *[1] * (-1 - axis)))


def pull_push(
    picture: Float[Tensor, "b c h w"], known: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """Fill unknown pixels smoothly from the known ones around them, however far: pull-push.

    Where nothing is known at all, the mean of the picture. Source: Gortler et al., "The Lumigraph",
    SIGGRAPH 1996, Sec. 5.

    Args:
        known: 1 for known pixels, 0 for unknown ones; in between for a mixture.
    """
    height, width = picture.shape[-2:]
    if max(height, width) == 1:
        return picture
    weight = known.clamp(min=UNKNOWN)
    even = (0, width % 2, 0, height % 2)
    pulled = F.avg_pool2d(F.pad(torch.cat([picture * weight, weight], 1), even), 2)
    coarse = pull_push(pulled[:, :-1] / pulled[:, -1:], (4 * pulled[:, -1:]).clamp(max=1))
    pushed = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return (picture * known).add_(pushed * (1 - known))
