"""What moves and what stays: a rough mask becomes an alpha matte that fits the picture.

Law: where the colours say nothing, `refine_mask` decides nothing: there the paint decides.

Source: bilateral grids, Chen, Paris & Durand 2007; naive Bayes on colours inside and outside, as in
GrabCut, Rother, Kolmogorov & Blake 2004. Counting both sides of a mask in one bilateral grid is
ours.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Float, Int, Tensor
from .filters import guided_filter

EVIDENCE_SIDE = 512  # colours are counted on a picture of at most this size
SPACE_CELLS = 8  # grid cells along the longer side: a colour counts near where it is seen
COLOUR_CELLS = (14, 18, 18)  # of luma and the two chroma axes
REACH = 0.04  # how far outside the painted outline the matte may grow, of the longer side
ROUNDS = 2
# Log odds of the paint, the colours and the areas. They began as a logistic regression on
# photographs
# with outlines drawn by eye, and were then chosen on a half of them with benchmarks/mattes.py.
PAINTED_LOGIT = 4.5  # of the paint, far inside
PAINTED_DEPTH = 2.0  # how many reaches inside it gets to 63 % of that
LIFT_LOGIT = 6.0  # where the log odds of a colour are cut off
SEEN = 0.1  # counts, of the blurred grid, from which a colour counts as seen: some six pixels
TELLING = 0.5  # log odds from which a colour is taken to tell the sides apart
AREA_WEIGHT = 0.29  # 0: a colour belongs to the side it fills; 1: to the side that has more of it
APART = (0.1, 0.4)  # from where, and until where, colours of the two sides count as different
LESS_PAINT = 0.6  # share of the paint's log odds that is dropped where they are wholly different
LOST = 0.15  # a painted part is taken as painted if its colours speak for less than this of it
FAR = 0.6, 0.6  # less of the paint kept, or more of its area added, differs much from the paint
DOUBTFUL = 0.3  # a mask more unsure than this is said to be in the report's sentence
GUIDE_RADIUS = 0.006  # window of the final fit to the image, of the longer side
GUIDE_EPS = 1e-4  # edges fainter than the root of this are not followed


@dataclass(frozen=True)
class Refinement:
    """What refining did to a painted mask.

    Attributes:
        kept: Share of the paint that is in the refined mask, 0 to 1.
        added: What joined it from outside the paint, as a share of the painted area, 0 or more.
        unsure: 1 less the intersection over union that is to be expected, by the probabilities of
            all pixels, of the refined mask with what really moves; 0 to 1.
    """

    kept: float
    added: float
    unsure: float

    @property
    def doubtful(self) -> bool:
        return self.unsure > DOUBTFUL

    @property
    def differs(self) -> bool:
        """Whether the refined mask differs much from the paint."""
        return self.kept < FAR[0] or self.added > FAR[1]

    def __str__(self) -> str:
        done = f"Refining kept {self.kept:.0%} of the paint and added {self.added:.0%} to it"
        if self.doubtful:
            return (
                f"{done}, but about {self.unsure:.0%} of the mask is a guess, since colours inside "
                "and outside are alike: look at it, and paint carefully or switch refining off."
            )
        if self.differs:
            return (
                f"{done}: the refined mask differs much from the paint. Look at it; if it is "
                "wrong, paint closer to the edges or switch refining off."
            )
        return f"{done}."


AS_PAINTED = Refinement(kept=1.0, added=0.0, unsure=0.0)


def refine_mask(
    image: Float[Tensor, "1 3 h w"], mask: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """Refine a rough outline into a matte in [0, 1]: `refine_and_report` without the report."""
    return refine_and_report(image, mask)[0]


def refine_and_report(
    image: Float[Tensor, "1 3 h w"], mask: Float[Tensor, "1 1 h w"]
) -> tuple[Float[Tensor, "1 1 h w"], Refinement]:
    """Refine a rough outline into a matte in [0, 1], and say what that did to the paint.

    A pixel moves if its colour, there, is commoner inside the painted area than outside, as far as
    that outweighs the paint: little near its outline, much far from it. Painted sky around stalks
    leaves, a missed stalk within `REACH` joins. Where both sides have the same colours, the paint
    decides. A mask that covers everything, or nothing, stays.
    """
    from scipy.ndimage import label  # imported here: 0.1 s, seldom needed

    height, width = image.shape[-2:]
    scale = min(1.0, EVIDENCE_SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    image = image.cpu()
    mask = mask.cpu()
    small = F.interpolate(image, size, mode="area")
    painted = F.interpolate(mask, size, mode="area")[0, 0]
    inside = painted >= 0.5
    if not inside.any() or inside.all():
        return mask, AS_PAINTED

    probable, colours = _probable(small, inside)
    # A side for everyone: only at edges of the picture is a matte soft. Half-moving sky would show
    # the filled background through it.
    alpha = (probable > 0.5).float()
    parts, count = label(inside.numpy())
    parts = torch.from_numpy(parts).long()
    area = torch.bincount(parts.flatten(), minlength=count + 1)
    spoken_for = alpha * (colours > 0)
    left = torch.bincount(parts.flatten(), spoken_for.double().flatten(), count + 1)
    lost = left < LOST * area
    lost[0] = False
    alpha = torch.where(lost[parts], painted, alpha)
    union = alpha + (1 - alpha) * probable
    unsure = 1 - (alpha * probable).sum() / union.sum()

    alpha = F.interpolate(alpha[None, None], (height, width), mode="bilinear")
    radius = max(1, round(GUIDE_RADIUS * max(height, width)))
    matte = guided_filter(image, alpha, radius, GUIDE_EPS)
    matte = ((matte - 0.2) / 0.6).clamp(0, 1)
    full = mask.sum()
    kept = torch.minimum(matte, mask).sum() / full
    added = (matte - mask).clamp(min=0).sum() / full
    return matte, Refinement(float(kept), float(added), float(unsure))


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


def _probable(image, inside) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Probability that a pixel moves, of an image 1 3 h w and its painted pixels h w.

    And the log odds of that by colours alone.
    """
    from scipy.ndimage import distance_transform_edt

    within, without = (
        torch.from_numpy(distance_transform_edt(side.numpy())).float() for side in (inside, ~inside)
    )
    depth = (within - without) / (REACH * max(inside.shape))
    beyond = depth < -1
    paint = PAINTED_LOGIT * depth.sign() * (1 - (-depth.abs() / PAINTED_DEPTH).exp())
    cells = _cells(image)
    # Near its outline the paint is no witness: colours are learned from what lies deeper.
    alpha = 0.5 + 0.5 * depth.clamp(-1, 1)
    for _ in range(ROUNDS):
        colours, apart = _evidence(*cells, alpha)
        alpha = torch.sigmoid(colours + (1 - LESS_PAINT * apart) * paint).masked_fill(beyond, 0)
        # Neighbours of one colour go one way: single pixels that changed sides tear at the edges.
        alpha = guided_filter(image, alpha[None, None], 4, 1e-3)[0, 0].clamp(0, 1)
        alpha = alpha.masked_fill(beyond, 0)
    return alpha, colours


def _evidence(index, shape, alpha) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """What colours say of every pixel: log odds that it moves, and how different the sides are.

    The difference is 1 less the Bhattacharyya coefficient of the two histograms near the pixel,
    from 0 to 1 over the range `APART`.
    """
    moving, still = (_count(index, shape, weight) for weight in (alpha, 1 - alpha))
    moving_area, still_area = (1 + side.sum((2, 3, 4), keepdim=True) for side in (moving, still))
    area = (moving_area / still_area).log()
    # A colour as common on both sides as the sides are large says nothing; nor does an unseen one.
    whole = moving_area + still_area
    unseen = (moving_area / whole, still_area / whole)
    lift = (moving + SEEN * unseen[0]).log() - (still + SEEN * unseen[1]).log() - area
    lift = lift.clamp(-LIFT_LOGIT, LIFT_LOGIT)
    telling = (lift.abs() / TELLING).clamp(max=1)
    odds = lift + AREA_WEIGHT * telling * area.clamp(-4, 4)
    alike = (moving * still / (moving_area * still_area)).sqrt().sum((2, 3, 4), keepdim=True)
    apart = ((1 - alike - APART[0]) / (APART[1] - APART[0])).clamp(0, 1).expand(odds.shape)
    return odds.flatten()[index], apart.flatten()[index]


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
