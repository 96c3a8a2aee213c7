"""Frames of a flow: the texture of what flows, carried along all phases at once, behind an outline.

What flows is completed behind what stands in front of it, moved along its paths, and shown where
the still shows it: the outline stays. Phases are splatted together: where they meet, the logits of
the motion, not a fade of the whole picture, say which of them is seen.

Law: a frame whose only phase has not moved is the still, bit for bit. Where the matte is 0 the
frame is the still, bit for bit.

Source: symmetric splatting, Holynski et al., "Animating Pictures with Eulerian Motion Fields",
CVPR 2021, Sec. 3.3; softmax splatting, Niklaus & Liu 2020, Eq. 14.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange

from ..motion.displacement import FRAMES_AT_A_TIME, Displacement
from ..shapes import Float, Int, Tensor
from ..still.background import fill_background
from ..still.filters import dilated
from ..still.grid import pixel_grid, sample_points
from .splat import MIN_COVERAGE, normalize_splat, splat_points

SHOWN = 0.02  # matte from which a pixel is seen to flow
EDGE = 2  # px along the outline whose colours are mixed with what stands in front
GAP = 0.02  # weight of what lands beside a pixel, against what lands in it
LEAST = 60.0  # of the logits below the largest: nothing may vanish
LOOKED_AT = 24  # frames of a phase from which its reach is taken
MARGIN = 3  # px around what the paths reach
MOST_DOUBLED = 2**22  # px of a canvas; larger ones are read as they are, to save memory
# Weights of 8 pixels in a row for the point in their middle: a sinc in a window of Kaiser (beta 5),
# flat up to .7 of the finest wave that pixels can show.
BETWEEN = (-0.01842, 0.06091, -0.16553, 0.62303)  # of the first four; the others mirror them


@dataclass(frozen=True)
class Texture:
    """What flows in one still, on a canvas that extends past its outline by what paths reach.

    still: premultiplied. matte: where it flows. whole: the still with what flows continued behind
    what stands in front of it.
    rows, columns: of the picture, for every row and column of the canvas; outside of it they count
        on, and the canvas is mirrored.
    canvas: of `whole`. fine: the same at twice the size, where its point (2 x, 2 y) is the canvas'
        (x, y); or the canvas itself.
    box: rows and columns of the picture in which anything flows.
    """

    still: Float[Tensor, "c h w"]
    matte: Float[Tensor, "1 h w"]
    whole: Float[Tensor, "c h w"]
    rows: Int[Tensor, " hc"]
    columns: Int[Tensor, " wc"]
    canvas: Float[Tensor, "c hc wc"]
    fine: Float[Tensor, "c hf wf"]
    box: tuple[slice, slice]


def texture(
    still: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"], reach: tuple[int, int]
) -> Texture | None:
    """Prepare a premultiplied still; None if nothing flows.

    Args:
        reach: The longest way that a path goes, (y, x) in px.
    """
    box = tuple(_bounds((matte[0] > 0).any(axis)) for axis in (1, 0))
    if not all(box):
        return None
    # Mixed colours along a hard outline are no texture; along a soft one they are part of it.
    hidden = dilated((matte < SHOWN).float(), EDGE)
    whole = fill_background(still, hidden)
    rows, columns = (
        torch.arange(part.start - far, part.stop + far, device=still.device)
        for part, far in zip(box, (n + MARGIN for n in reach))
    )
    height, width = still.shape[-2:]
    canvas = whole[:, _mirrored(rows, height)][:, :, _mirrored(columns, width)]
    fine = _doubled(canvas) if canvas[0].numel() <= MOST_DOUBLED else canvas
    return Texture(still, matte, whole, rows, columns, canvas, fine, box)


def carried(
    flowing: Texture, field: Float[Tensor, "2 gh gw"], weight: Float[Tensor, "1 hc wc"]
) -> tuple[Float[Tensor, "c hb wb"], Float[Tensor, "1 hb wb"]]:
    """The texture moved along one displacement, and the weight that lands, in its box.

    Args:
        field: In px of the picture, on a coarse grid.
        weight: Of the canvas' pixels where several land.
    """
    (in_rows, in_columns), canvas = flowing.box, tuple(flowing.canvas.shape[-2:])
    top, left = in_rows.start - int(flowing.rows[0]), in_columns.start - int(flowing.columns[0])
    size = in_rows.stop - in_rows.start, in_columns.stop - in_columns.start
    # Only what can land in the box is moved: the farthest that anything goes says what that is.
    (least_x, least_y), (most_x, most_y) = (field.flatten(1).aminmax(dim=1)[i] for i in (0, 1))
    rows, columns = (
        slice(
            max(0, first - math.ceil(float(most)) - 1),
            min(whole, first + count - math.floor(float(least)) + 1),
        )
        for first, count, least, most, whole in (
            (top, size[0], least_y, most_y, canvas[0]),
            (left, size[1], least_x, most_x, canvas[1]),
        )
    )
    start = pixel_grid(*canvas, like=flowing.still)
    moved, weight = on_canvas(flowing, field)[:, rows, columns], weight[:, rows, columns]
    values = torch.cat([moved * weight, weight, torch.ones_like(weight)])
    lands = start[:, rows, columns] + moved - start[:, top, left].view(2, 1, 1)
    splatted = splat_points(values.flatten(1)[None], lands.flatten(1)[None], size)
    near = _around(splatted)
    # Where paths part, gaps of a pixel open: they take what lands beside them, and a phase
    # weighs there what it weighs around them.
    came, _ = normalize_splat(near.mul(GAP).add_(splatted))
    landed = torch.where(near[:, 3:] > MIN_COVERAGE, near[:, 2:3], 0.0)
    target = start[:, top : top + size[0], left : left + size[1]]
    places = (target - came[0]).flatten(1)
    # Cubics alone would soften what is as fine as pixels; at twice the size they do not.
    places = places[None] * (1 if flowing.fine is flowing.canvas else 2)
    colour = sample_points(flowing.fine[None], places, "bicubic")[0].clamp(0, 1)
    return rearrange(colour, "c (h w) -> c h w", h=target.shape[1]), landed[0]


def mix_phases(
    flowing: Texture,
    phases: Sequence[tuple[float, Float[Tensor, "2 gh gw"]]],
    weight: Float[Tensor, "1 hc wc"],
) -> tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]:
    """One frame, premultiplied, and its disocclusion: what no phase brings anything to.

    Args:
        phases: Share, and displacement in px of the picture on the coarse grid.
        weight: Of the canvas' pixels where several land.
    """
    still, (in_rows, in_columns) = flowing.still, flowing.box
    hole = torch.zeros_like(still[:1])
    phases = [(share, field) for share, field in phases if share > 0]
    if all(share == 1 and not field.any() for share, field in phases):
        return still, hole
    total = seen = 0
    for share, field in phases:
        colour, landed = carried(flowing, field, weight)
        total = total + share * landed * colour
        seen = seen + share * landed
    part = (slice(None), in_rows, in_columns)
    whole, matte = flowing.whole[part], flowing.matte[part]
    mixed = torch.where(seen > 0, total / torch.where(seen > 0, seen, 1.0), whole)
    frame = still.clone()
    frame[part] = (still[part] + matte * (mixed - whole)).clamp(0, 1)
    hole[part] = matte * (seen == 0)
    return frame, hole


def flow_frames(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int,
    matte: Float[Tensor, "1 h w"],
    frames: Sequence[int] | None = None,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Frames of a flow, premultiplied as the still is, and the disocclusion of each.

    Args:
        still: Premultiplied.
        item: Index in the batch of motions.
        matte: Where it flows.
    """
    size = tuple(still.shape[-2:])
    scale = motion.scaled_to(size)
    phases, weights = motion.phases, _weights(motion)
    far = torch.zeros(2)
    # Paths are smooth in time: some frames of each phase, and its last one, tell how far they go.
    some = [*range(0, motion.frames, max(1, motion.frames // LOOKED_AT)), motion.frames - 1]
    for phase in phases:
        far = torch.maximum(far, _finite(phase.at(item, some)).abs().amax((0, 2, 3)))
    x, y = (far * scale.flatten()).ceil().long().clamp(max=max(size)).tolist()
    flowing = texture(still, matte.to(still), (y, x))
    weight = None if flowing is None else phase_weight(flowing, motion, item)
    held = None
    for t in range(motion.frames) if frames is None else frames:
        if flowing is None:
            yield still, torch.zeros_like(still[:1])
            continue
        block = t // FRAMES_AT_A_TIME  # whole blocks: the bits of a product depend on its shape
        if block != held:
            ahead = slice(block * FRAMES_AT_A_TIME, (block + 1) * FRAMES_AT_A_TIME)
            held, fields = block, [_finite(phase.at(item, ahead)) * scale for phase in phases]
        shares = weights[:, t].tolist()
        here = [field[t % FRAMES_AT_A_TIME].to(still) for field in fields]
        yield mix_phases(flowing, list(zip(shares, here)), weight)


def _weights(motion):
    return torch.ones(1, motion.frames) if motion.weights is None else motion.weights


def phase_weight(flowing: Texture, motion: Displacement, item: int) -> Float[Tensor, "1 hc wc"]:
    """exp of the motion's importance at the canvas' pixels; the largest is 1."""
    if motion.importance is None:
        return torch.ones_like(flowing.canvas[:1])
    logits = on_canvas(flowing, motion.importance[item].to(flowing.still))
    return (logits - logits.max()).clamp(min=-LEAST).exp()


def on_canvas(flowing: Texture, field: Float[Tensor, "c gh gw"]) -> Float[Tensor, "c hc wc"]:
    """A coarse field at the pixels of the canvas; past the border as at the border."""
    size = tuple(flowing.still.shape[-2:])
    full = F.interpolate(field[None], size, mode="bilinear")[0]
    # One row or column repeated: the canvas goes on past the border.
    sides = [
        n
        for at, count in zip((flowing.columns, flowing.rows), size[::-1])
        for n in (max(0, -int(at[0])), max(0, int(at[-1]) + 1 - count))
    ]
    first = [max(0, int(at[0])) for at in (flowing.rows, flowing.columns)]
    last = [min(n, int(at[-1]) + 1) for at, n in zip((flowing.rows, flowing.columns), size)]
    part = full[:, first[0] : last[0], first[1] : last[1]]
    return F.pad(part[None], sides, mode="replicate")[0]


def _doubled(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c h2 w2"]:
    """A picture with a row and a column between each two, which stay as they are."""
    weights = picture.new_tensor(BETWEEN)
    weights = torch.cat([weights, weights.flip(0)])
    weights = weights / weights.sum()
    reach = len(BETWEEN)
    for dim in (1, 2):
        count = picture.shape[dim]
        at = torch.arange(1 - reach, count + reach - 1, device=picture.device).clamp(0, count - 1)
        wide = picture.index_select(dim, at)
        between = sum(w * wide.narrow(dim, i, count - 1) for i, w in enumerate(weights))
        finer = [2 * n - 1 if d == dim else n for d, n in enumerate(picture.shape)]
        doubled = picture.new_empty(finer)
        even, odd = ([slice(None)] * 3 for _ in "ab")
        even[dim], odd[dim] = slice(0, None, 2), slice(1, None, 2)
        doubled[tuple(even)] = picture
        if count > 1:
            doubled[tuple(odd)] = between
        picture = doubled
    return picture


def _around(picture):
    """The mean of every pixel and those beside it, of which there are fewer along the border."""
    for dim in (2, 3):
        count = picture.shape[dim]
        if count == 1:
            continue
        total = picture.clone()
        total.narrow(dim, 1, count - 1).add_(picture.narrow(dim, 0, count - 1))
        total.narrow(dim, 0, count - 1).add_(picture.narrow(dim, 1, count - 1))
        total.narrow(dim, 0, 1).mul_(1.5)
        total.narrow(dim, count - 1, 1).mul_(1.5)
        picture = total.mul_(1 / 3)
    return picture


def _finite(field):
    return torch.where(field.isfinite(), field, 0.0)


def _bounds(present):
    """The slice from the first to the last that is set; None without any."""
    at = present.nonzero().squeeze(1)
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) else None


def _mirrored(index, n):
    """Index reflected at the first and last pixel, any number of times."""
    if n == 1:
        return torch.zeros_like(index)
    folded = index.remainder(2 * n - 2)
    return torch.where(folded < n, folded, 2 * n - 2 - folded)
