"""What moves and what stays: a hurried mask becomes a matte, and the picture behind is completed.

Law: `refine_mask` says nothing where the colours say nothing: there the paint decides. `plate` is
the picture itself wherever the matte is zero.

Source: bilateral grids, Chen, Paris & Durand 2007; guided filter, He, Sun & Tang 2010, Eq. 14-16.
Counting both sides of a mask in one bilateral grid is ours.
"""

import torch
import torch.nn.functional as F

from .shapes import Float, Int, Tensor

EVIDENCE_SIDE = 512  # colours are counted on a picture of at most this size
SPACE_CELLS = 5  # grid cells along the longer side: a colour counts near where it is seen
COLOUR_CELLS = (14, 18, 18)  # of luma and the two chroma axes
REACH = 0.04  # how far outside the painted outline the matte may grow, of the longer side
PAINTED_LOGIT = 1.5  # how far the paint alone is believed, where there is detail
DETAIL = 0.012  # contrast at which paint is half believed: what is smooth hardly shows its motion
EVIDENCE_LOGIT = 5.0  # where the evidence of colours is cut off
AREA_EXPONENT = 0.35  # 0: a colour belongs to the side that has more of it; 1: to the side it fills
TELLING = 0.2  # log odds from which a colour is taken to tell the sides apart
LOST = 0.15  # a painted part of which less than this remains is taken as painted
ROUNDS = 3
SURMISED = 1e-12  # weight of what is not known, so that there is always something; halving a side adds four
AWAY = 2  # px from the matte where the plate starts to take its colours
GUIDE_RADIUS = 0.006  # window of the final fit to the image, of the longer side
GUIDE_EPS = 1e-4  # edges fainter than the root of this are not followed


def refine_mask(
    image: Float[Tensor, "1 3 h w"], mask: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """Refine a rough outline into a matte in [0, 1].

    A pixel moves if its colour, there, is commoner inside the painted area than outside. Painted
    sky between stalks leaves, a missed stalk within `REACH` joins.
    """
    from scipy.ndimage import distance_transform_edt, label  # imported here: 0.1 s, seldom needed

    height, width = image.shape[-2:]
    scale = min(1.0, EVIDENCE_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    image = image.cpu()
    mask = mask.cpu()
    small = F.interpolate(image, size, mode="area")
    painted = F.interpolate(mask, size, mode="area")[0, 0]
    inside = (painted >= 0.5).numpy()
    if not inside.any() or inside.all():
        return mask

    reach = REACH * max(size)
    outward = torch.from_numpy(distance_transform_edt(~inside)).float()
    inward = torch.from_numpy(distance_transform_edt(inside)).float()
    luma = small.mean(1, keepdim=True)
    detail = (_box(luma.square(), 2) - _box(luma, 2).square()).clamp(min=0).sqrt()[0, 0]
    detail = _box((detail / (detail + DETAIL))[None], 2)[0]
    believed = torch.where(torch.from_numpy(inside), detail, 1.0)
    prior = PAINTED_LOGIT * believed * ((inward - outward) / reach).clamp(-1, 1)
    cells = _cells(small)
    alpha = painted
    for _ in range(ROUNDS):
        alpha = torch.sigmoid(prior + _evidence(*cells, alpha))
        alpha = torch.where(outward > reach, 0.0, alpha)
        # Neighbours of one colour go one way: single pixels that changed sides tear at the edges.
        alpha = guided_filter(small, alpha[None, None], 4, 1e-3)[0, 0].clamp(0, 1)

    # A side for everyone: only at edges of the picture is a matte soft. Half-moving sky would show
    # the plate's inventions through it.
    alpha = (alpha > 0.5).float()
    parts, count = label(inside)
    parts = torch.from_numpy(parts).long()
    area = torch.bincount(parts.flatten(), minlength=count + 1)
    left = torch.bincount(parts.flatten(), alpha.double().flatten(), count + 1)
    lost = left < LOST * area
    lost[0] = False
    alpha = torch.where(lost[parts], painted, alpha)

    alpha = F.interpolate(alpha[None, None], (height, width), mode="bilinear")
    radius = max(1, round(GUIDE_RADIUS * max(height, width)))
    matte = guided_filter(image, alpha, radius, GUIDE_EPS)
    return ((matte - 0.2) / 0.6).clamp(0, 1)


def flexibility(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
    """Guess what could move where nobody painted: finely textured, coloured, not sky.

    Fine texture against its surroundings (vegetation is rough everywhere, walls and sky are not)
    times saturation, thresholded where it best parts the picture in two (Otsu 1979). Simple cues
    hardly predict what moves: this is a start to be painted over, not a segmentation.
    """
    height, width = image.shape[-2:]
    scale = min(1.0, EVIDENCE_SIDE / 2 / max(height, width))
    small = F.interpolate(
        image.cpu(), (max(1, round(height * scale)), max(1, round(width * scale))), mode="area"
    )
    luma = small.mean(1, keepdim=True)
    rough = _box((luma - _box(luma, 2)).abs(), 4)
    saturation = small.amax(1, keepdim=True) - small.amin(1, keepdim=True)
    cue = _box(rough.sqrt() * (0.15 + saturation).sqrt(), 4)
    moving = (cue > _otsu(cue)).float()
    moving = (_box(moving, 5) > 0.5).float()  # specks leave, small gaps close
    return F.interpolate(moving, (height, width), mode="bilinear").round()


def complete(
    image: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"]
) -> Float[Tensor, "c h w"]:
    """The plate: what moves is painted over by what lies around it, mirrored inwards.

    A pixel takes its colour from as far on the other side of its nearest still pixel, so that
    texture goes on; where that is not still either, from nearer. Nothing is ever taken from what
    moves, unless everything does.
    """
    from scipy.ndimage import distance_transform_edt

    moving = matte[0] > 0
    unsafe = F.max_pool2d(moving[None].float(), 2 * AWAY + 1, 1, AWAY)[0] > 0
    if not moving.any() or unsafe.all():
        return image
    height, width = moving.shape
    nearest = distance_transform_edt(
        unsafe.cpu().numpy(), return_distances=False, return_indices=True
    )
    target = moving.flatten().nonzero().squeeze(1)
    y, x = target // width, target % width
    ny, nx = torch.from_numpy(nearest).to(image.device).long().flatten(1)[:, target]
    source = ny * width + nx
    still = ~unsafe.flatten()
    for step in (0.25, 0.5, 1.0):  # the farthest that is still wins
        sy = (ny + ((ny - y) * step).round().long()).clamp(0, height - 1)
        sx = (nx + ((nx - x) * step).round().long()).clamp(0, width - 1)
        mirrored = sy * width + sx
        source = torch.where(still[mirrored], mirrored, source)
    plate = image.flatten(1).clone()
    plate[:, target] = plate[:, source]
    plate = plate.view_as(image)
    # Sources of neighbours can lie apart: soften what was filled, more than texture, less than edges.
    return torch.where(moving, _box(_box(plate[None], 1), 1)[0], plate)


def filled(
    picture: Float[Tensor, "b c h w"], known: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """What is not known (0, against 1) smoothly from what is around it, however far: pull and push.

    Where nothing is known at all, the mean of the picture. Source: Gortler et al., "The Lumigraph", SIGGRAPH
    1996, Sec. 5.
    """
    height, width = picture.shape[-2:]
    if max(height, width) == 1:
        return picture
    weight = known.clamp(min=SURMISED)
    even = (0, width % 2, 0, height % 2)
    pulled = F.avg_pool2d(F.pad(torch.cat([picture * weight, weight], 1), even), 2)
    coarse = filled(pulled[:, :-1] / pulled[:, -1:], (4 * pulled[:, -1:]).clamp(max=1))
    pushed = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return picture * known + pushed * (1 - known)


def guided_filter(
    guide: Float[Tensor, "1 3 h w"], values: Float[Tensor, "1 1 h w"], radius: int, eps: float
) -> Float[Tensor, "1 1 h w"]:
    """Fit `values` by a linear function of the guide's colours in every window (Eq. 14-16).

    Args:
        eps: Regularization in squared guide units: edges fainter than sqrt(eps) are smoothed over.
    """
    mean_i, mean_p = _box(guide, radius), _box(values, radius)
    i, j = torch.triu_indices(3, 3)
    variance = _box(guide[:, i] * guide[:, j], radius) - mean_i[:, i] * mean_i[:, j]
    c00, c01, c02, c11, c12, c22 = variance.unbind(1)
    c00, c11, c22 = c00 + eps, c11 + eps, c22 + eps
    # The inverse of a symmetric 3x3 matrix by cofactors: a batched solve is ten times slower.
    k00, k01, k02 = c11 * c22 - c12 * c12, c02 * c12 - c01 * c22, c01 * c12 - c02 * c11
    k11, k12, k22 = c00 * c22 - c02 * c02, c01 * c02 - c00 * c12, c00 * c11 - c01 * c01
    determinant = c00 * k00 + c01 * k01 + c02 * k02
    p0, p1, p2 = (_box(guide * values, radius) - mean_i * mean_p).unbind(1)
    slope = torch.stack(
        [
            k00 * p0 + k01 * p1 + k02 * p2,
            k01 * p0 + k11 * p1 + k12 * p2,
            k02 * p0 + k12 * p1 + k22 * p2,
        ],
        1,
    ) / determinant.unsqueeze(1)
    offset = mean_p - (slope * mean_i).sum(1, keepdim=True)
    fitted = _box(torch.cat([slope, offset], 1), radius)
    return (fitted[:, :3] * guide).sum(1, keepdim=True) + fitted[:, 3:]


def _box(x, radius):
    """Mean over a window, of the part of the window inside the picture."""
    k = 2 * radius + 1
    rows = F.avg_pool2d(x, (k, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, k), 1, (0, radius), count_include_pad=False)


def _otsu(cue):
    """The threshold that leaves the least variance on its two sides."""
    ordered = cue.flatten().sort().values
    n = torch.arange(1, len(ordered), dtype=torch.float64)
    below = ordered.double().cumsum(0)[:-1]
    total = ordered.double().sum()
    between = (below * len(ordered) - total * n).square() / (n * (len(ordered) - n))
    return ordered[between.argmax()] if len(between) else ordered[0]


def _cells(image) -> tuple[Int[Tensor, "h w"], list[int]]:
    """Index of every pixel in a grid over (y, x, luma, chroma, chroma), and the grid's shape."""
    red, green, blue = image[0].clamp(0, 1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    # The root spreads dark colours as the eye does.
    colour = torch.stack([luma.sqrt(), 0.5 + blue - luma, 0.5 + red - luma]).clamp(0, 1)
    height, width = image.shape[-2:]
    longest = max(height, width)
    shape = [max(1, round(n / longest * SPACE_CELLS)) for n in (height, width)]
    shape += COLOUR_CELLS
    y = torch.linspace(0, 1, height).view(-1, 1).expand(height, width)
    x = torch.linspace(0, 1, width).view(1, -1).expand(height, width)
    index = torch.zeros(height, width, dtype=torch.long)
    for axis, cells in zip((y, x, *colour), shape, strict=True):
        index = index * cells + (axis * (cells - 1)).round().long()
    return index, shape


def _evidence(index, shape, alpha) -> Float[Tensor, "h w"]:
    """Log odds that a pixel's colour, near it, is on the moving side rather than on the still one."""
    moving, still = (_count(index, shape, weight) for weight in (alpha, 1 - alpha))
    colours = (moving + 0.02).log() - (still + 0.02).log()  # an unseen colour is no evidence
    areas = [1 + side.sum((2, 3, 4), keepdim=True) for side in (moving, still)]
    area = (areas[0] / areas[1]).log()
    lift = colours - area  # a colour as common on both sides as the sides are large says nothing
    odds = lift + (1 - AREA_EXPONENT) * area * (lift.abs() / TELLING).clamp(max=1)
    return odds.clamp(-EVIDENCE_LOGIT, EVIDENCE_LOGIT).flatten()[index]


def _count(index, shape, weight):
    """Weighted pixels per cell, blurred over neighbouring cells."""
    grid = torch.zeros(shape).flatten().index_add(0, index.flatten(), weight.flatten()).view(shape)
    for dim, n in enumerate(shape):
        for _ in range(2 if dim < 2 else 1):
            ends = grid.narrow(dim, 0, 1), grid.narrow(dim, n - 1, 1)
            padded = torch.cat([ends[0], grid, ends[1]], dim)
            around = padded.narrow(dim, 0, n) + padded.narrow(dim, 2, n)
            grid = 0.25 * around + 0.5 * grid
    return grid
