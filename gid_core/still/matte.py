"""What moves and what stays: a rough mask becomes an alpha matte; without a mask there is a guess.

Law: where the colours say nothing, `refine_mask` decides nothing: there the paint decides.

Source: bilateral grids, Chen, Paris & Durand 2007. Counting both sides of a mask in one bilateral
grid is ours.
"""

import torch
import torch.nn.functional as F

from ..shapes import Float, Int, Tensor
from .filters import box_mean, guided_filter

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
    detail = (box_mean(luma.square(), 2) - box_mean(luma, 2).square()).clamp(min=0).sqrt()[0, 0]
    detail = box_mean((detail / (detail + DETAIL))[None], 2)[0]
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
    rough = box_mean((luma - box_mean(luma, 2)).abs(), 4)
    saturation = small.amax(1, keepdim=True) - small.amin(1, keepdim=True)
    cue = box_mean(rough.sqrt() * (0.15 + saturation).sqrt(), 4)
    moving = (cue > _otsu(cue)).float()
    moving = (box_mean(moving, 5) > 0.5).float()  # specks leave, small gaps close
    return F.interpolate(moving, (height, width), mode="bilinear").round()


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
