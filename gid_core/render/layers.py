"""A still as two layers, a foreground that moves over a background, and the frames they make.

A frame is the splatted foreground over the background. Each pixel's displacement is splatted; the
foreground is then sampled once, at the place the displacement came from, with a cubic kernel.
Splatting colours directly would blur them by an amount that changes from frame to frame: texture
would flicker.

Law: where nothing moves and nothing lands, the frame is the still, bit for bit; as the displacement
goes to zero, the frame goes to the still. A colour lies between those it is made of, and what is
opaque stays opaque: cubic kernels overshoot at edges, so what is read is clamped to its sources.

Source: softmax splatting, Niklaus & Liu 2020. Guided interpolation of a motion: joint bilateral
upsampling, Kopf et al. 2007.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from ..motion.displacement import FRAMES_AT_A_TIME, Displacement
from ..shapes import Float, Int, Tensor
from ..still.alpha import premultiplied, straight
from ..still.background import fill_background
from ..still.filters import dilated
from ..still.grid import sample_points
from .splat import IMPORTANCE_RANGE, normalize_splat, softmax_weight, splat_points

MARGIN = 2  # px around the matte that move with it, so that its soft edge moves too
COLOUR_SIGMA = 0.1  # colour difference at which a grid point's weight falls to exp(-1/2)
UNLIKE = 0.02  # weight that a grid point of another colour keeps: the weights must not all vanish
SOFT = 0.05  # splatting weight of a pixel of matte 0, relative to one of matte 1


@dataclass(frozen=True)
class Layers:
    """The two layers of a still, on a canvas that extends past the picture by the largest motion.

    still: the picture as it came, straight alpha.
    premultiplied: the same, its colours times its alpha; the still itself if it has none.
    background: the background behind what moves, premultiplied.
    foreground: the foreground times the matte; the matte is its last channel.
    lowest, highest: of the foreground's colours under a cubic kernel whose second pixel this is.
    origin: (y, x) of the canvas in the picture; negative where it extends past the border.
    source_pixels: flat canvas indices of the pixels that move.
    nodes, weights: of each moving pixel, the upper left of the four grid points that it
        interpolates its displacement from, and the weight of each of the four.
    """

    still: Float[Tensor, "c h w"]
    premultiplied: Float[Tensor, "c h w"]
    background: Float[Tensor, "c h w"]
    foreground: Float[Tensor, "c1 hc wc"]
    lowest: Float[Tensor, "c hc wc"]
    highest: Float[Tensor, "c hc wc"]
    origin: tuple[int, int]
    source_pixels: Int[Tensor, " n"]
    nodes: Int[Tensor, " n"]
    weights: Float[Tensor, "4 n"]


def separate_layers(
    still: Float[Tensor, "c h w"],
    matte: Float[Tensor, "1 h w"],
    grid: tuple[int, int],
    reach: tuple[int, int],
) -> Layers:
    """Separate a still into foreground and background, for a displacement on a grid of that size.

    Args:
        matte: What may move, 0 to 1.
        reach: The largest displacement, (y, x) in px.
    """
    picture, still = still, premultiplied(still)
    background = fill_background(still, matte)
    matte = _opaque_enough(still, background, matte)
    foreground = torch.cat([still - (1 - matte) * background, matte])
    rows, columns = (
        torch.arange(lo - far, hi + far, device=still.device)
        for (lo, hi), far in zip(_bounds(matte[0] > 0), reach, strict=True)
    )
    height, width = still.shape[-2:]
    # What the border cuts is mirrored past it: when it moves inwards, its continuation must follow.
    canvas = foreground[:, _mirrored(rows, height)][:, :, _mirrored(columns, width)]
    canvas = canvas * _goes_past(matte[0] > 0, rows, columns)
    alpha = canvas[-1:]
    support = dilated(alpha, MARGIN)[0] > 0
    source_pixels = support.flatten().nonzero().squeeze(1)
    y, x = rows[source_pixels // len(columns)], columns[source_pixels % len(columns)]
    nodes, weights = _follow(still[:3], y, x, grid)
    origin = (int(rows[0]), int(columns[0])) if len(source_pixels) else (0, 0)
    span = _colour_span(canvas)
    return Layers(picture, still, background, canvas, *span, origin, source_pixels, nodes, weights)


@dataclass(frozen=True)
class SplattedFrame:
    """A splatted frame, and the fields it was made with.

    frame: premultiplied, where the still has alpha.
    disocclusion: the share of each pixel that the still does not show (1 = all of it).
    displacement, importance: of every source pixel of the layers; displacement in px.
    touched: flat indices of the pixels that content left or arrived at.
    distance: how far it moved there, px.
    """

    layers: Layers
    frame: Float[Tensor, "c h w"]
    disocclusion: Float[Tensor, "1 h w"]
    displacement: Float[Tensor, "2 n"]
    importance: Float[Tensor, "1 n"]
    touched: Int[Tensor, " m"]
    distance: Float[Tensor, " m"]

    @cached_property
    def fields(self) -> Float[Tensor, "4 h w"]:
        """Displacement (2), importance, and distance moved by what left or arrived, per pixel."""
        layers, (height, width) = self.layers, self.frame.shape[-2:]
        wide = layers.foreground.shape[-1]
        y = layers.source_pixels // wide + layers.origin[0]
        x = layers.source_pixels % wide + layers.origin[1]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        values = torch.cat([self.displacement, self.importance])
        fields = self.frame.new_zeros(4, height * width)
        fields[:3, (y * width + x)[inside]] = values[:, inside]
        fields[3, self.touched] = self.distance
        return fields.view(4, height, width)


def splat_frame(
    layers: Layers,
    displacement: Float[Tensor, "2 gh gw"],
    importance: Float[Tensor, "1 gh gw"],
) -> SplattedFrame:
    """Splat the foreground along a displacement and composite it over the background.

    Args:
        displacement: In px of the picture, on the coarse grid.
        importance: Logits; the larger one is in front.
    """
    still, canvas = layers.premultiplied, layers.foreground
    sources = layers.source_pixels
    hole = torch.zeros_like(still[:1])
    if len(sources) == 0:
        none = still.new_zeros(0)
        return SplattedFrame(
            layers, still, hole, still.new_zeros(2, 0), none[None], none.long(), none
        )
    size = tuple(canvas.shape[-2:])
    moved, logits = upsample(layers, torch.cat([displacement, importance])).split((2, 1))
    alpha = canvas[-1].flatten()[sources]
    # Where a soft edge and a solid pixel land together, the solid pixel's displacement decides.
    weight = softmax_weight(logits[None])[0] * (SOFT + alpha)
    start = torch.stack([sources % size[1], sources // size[1]]).to(moved.dtype)
    splatted = splat_points(
        torch.cat([moved * weight, weight, torch.ones_like(weight)])[None],
        (start + moved)[None],
        size,
    )
    came, weight = normalize_splat(splatted)
    came, landed = came[0].flatten(1), weight[0, 0].flatten() > 0
    far = (came * landed).square().sum(0)
    far[sources] = torch.maximum(far[sources], moved.square().sum(0))
    touched = far.nonzero().squeeze(1)

    target = torch.stack([touched % size[1], touched // size[1]]).to(moved.dtype)
    colour, alpha = _sampled(layers, target - came[:, touched])
    alpha = torch.where(landed[touched], alpha, 0.0)
    y, x = touched // size[1] + layers.origin[0], touched % size[1] + layers.origin[1]
    height, width = still.shape[-2:]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    at = (y * width + x)[inside]
    colour, alpha = colour[:, inside], alpha[:, inside]
    frame, behind = still.flatten(1).clone(), layers.background.flatten(1)[:, at]
    # In this form the sum is exact where both are opaque. Where the matte is too small for its
    # pixel, the foreground's colour is out of range, and only the composite is in it.
    frame[:, at] = (behind + alpha * (colour - behind)).clamp(0, 1)
    was = still.new_zeros(1, height * width)
    was[:, at] = (_matte_at(layers, at, (height, width)) - alpha).clamp(0, 1)
    by = far[touched][inside].sqrt()
    return SplattedFrame(layers, frame.view_as(still), was.view_as(hole), moved, logits, at, by)


def splatted_frames(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
    depth: Float[Tensor, "1 hn wn"] | None = None,
) -> Iterator[SplattedFrame]:
    """Splat a still frame by frame: memory does not grow with the number of frames.

    Args:
        item: Index in the batch of motions.
        matte: What may move; the motion's own mask by default, everything if it has none.
        frames: Indices of the frames wanted, all by default.
        depth: Order order where things meet, 1 = nearest; by default what moves more in the mean
            over
            the clip is in front (Li et al. 2024, Sec. 5).
    """
    size = tuple(still.shape[-2:])
    scale = motion.scaled_to(size)
    if matte is None:
        matte = _own_matte(motion, item, size)
    far, total = torch.zeros(2), 0
    for part in motion.in_parts(item):
        part = _finite(part)
        far = torch.maximum(far, part.abs().amax((0, 2, 3)))
        total = total + (part * scale).square().sum(1).sqrt().sum(0, keepdim=True)
    x, y = (far * scale.flatten()).ceil().long().tolist()
    layers = separate_layers(still, matte.to(still), motion.grid, (y + MARGIN, x + MARGIN))
    importance = (total / motion.frames).to(still)
    if depth is not None:
        fitted = F.interpolate(depth[None].to(still), motion.grid, mode="bilinear", antialias=True)
        importance = IMPORTANCE_RANGE * fitted[0].clamp(0, 1)
    held = None
    for t in range(motion.frames) if frames is None else frames:
        # Always whole blocks of the clip: the bits of a matrix product depend on its shape, and a
        # frame must be the same whichever part of a clip is rendered.
        block = t // FRAMES_AT_A_TIME
        if block != held:
            ahead = slice(block * FRAMES_AT_A_TIME, (block + 1) * FRAMES_AT_A_TIME)
            held, fields = block, _finite(motion.at(item, ahead)) * scale
        yield splat_frame(layers, fields[t % FRAMES_AT_A_TIME].to(still), importance)


def shown(
    splatted: SplattedFrame, premultiplied_frame: Float[Tensor, "c h w"] | None = None
) -> Float[Tensor, "c h w"]:
    """A frame with straight alpha: the still itself wherever nothing moved and nothing landed.

    Args:
        premultiplied_frame: What to show instead of the splatted frame.
    """
    made = splatted.frame if premultiplied_frame is None else premultiplied_frame
    frame = splatted.layers.still.flatten(1).clone()
    frame[:, splatted.touched] = straight(made.flatten(1)[:, splatted.touched])
    return frame.view_as(made)


def upsample(layers: Layers, field: Float[Tensor, "c gh gw"]) -> Float[Tensor, "c n"]:
    """A coarse field at the moving pixels, interpolated from four grid points each."""
    padded = F.pad(field[None], (1, 1, 1, 1), mode="replicate")[0]
    width = padded.shape[-1]
    flat = padded.flatten(1)
    total = 0
    for k, step in enumerate((0, 1, width, width + 1)):
        total = total + flat[:, layers.nodes + step] * layers.weights[k]
    return total


def _finite(field):
    return torch.where(field.isfinite(), field, 0.0)


def _own_matte(motion, item, size):
    if motion.mask is None:
        return torch.ones(1, *size)
    mask = motion.mask[item]
    if mask.shape[-2:] == size:
        return mask
    return F.interpolate(mask[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _opaque_enough(still, background, matte):
    """Raise the matte until still = foreground + (1 - matte) background, all in range.

    With a smaller matte the foreground would be darker than black or brighter than white, and would
    leave specks over another part of the background. At most three times the matte: what hardly
    moves keeps hardly moving.
    """
    darker = 1 - still / background.clamp(min=1e-3)
    lighter = (still - background) / (1 - background).clamp(min=1e-3)
    least = torch.maximum(darker, lighter).amax(0, keepdim=True).clamp(0, 1)
    return torch.maximum(matte, torch.minimum(least, 3 * matte))


def _colour_span(canvas):
    """The lowest and highest colour of the foreground in every window of four by four pixels.

    The window of pixel i reaches from i - 1 to i + 2, as a cubic kernel between i and i + 1 does.
    """
    colour, matte = canvas[:-1], canvas[-1:]
    straight_colour = colour / matte.clamp(min=1e-6)
    ends = []
    for sign in (-1.0, 1.0):
        values = torch.where(matte > 0, sign * straight_colour, -torch.inf)
        wide = F.pad(values[None], (1, 2, 1, 2), value=-torch.inf)
        end = sign * F.max_pool2d(F.max_pool2d(wide, (4, 1), 1), (1, 4), 1)[0]
        ends.append(torch.where(end.isfinite(), end, 0.0))
    return ends


def _sampled(layers, position):
    """Colour, without the matte, and matte of the foreground at (x, y) positions of the canvas."""
    height, width = layers.foreground.shape[-2:]
    read = sample_points(layers.foreground[None], position[None], "bicubic")[0]
    x, y = position.floor().long()
    corner = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    lowest, highest = (end.flatten(1)[:, corner] for end in (layers.lowest, layers.highest))
    colour = read[:-1] / read[-1:].clamp(min=1e-6)
    return torch.minimum(torch.maximum(colour, lowest), highest), read[-1:].clamp(0, 1)


def _matte_at(layers, at, size):
    y, x = at // size[1] - layers.origin[0], at % size[1] - layers.origin[1]
    return layers.foreground[-1].flatten()[y * layers.foreground.shape[-1] + x]


def _follow(guide, y, x, grid):
    """The four points of the padded grid around each pixel, weighted by distance and by colour."""
    height, width = guide.shape[-2:]
    coarse = F.interpolate(guide[None], grid, mode="area")
    coarse = F.pad(coarse, (1, 1, 1, 1), mode="replicate")[0].flatten(1)
    # Coordinates of the padded grid: the center of its point i lies at (i - 1/2) / n.
    gy = ((y + 0.5) * (grid[0] / height) + 0.5).clamp(0, grid[0] + 1 - 1e-4)
    gx = ((x + 0.5) * (grid[1] / width) + 0.5).clamp(0, grid[1] + 1 - 1e-4)
    top, left = gy.floor(), gx.floor()
    nodes = (top * (grid[1] + 2) + left).int()
    fy, fx = gy - top, gx - left
    colour = guide[:, _mirrored(y, height), _mirrored(x, width)]
    weights = []
    for step, bilinear in (
        (0, (1 - fy) * (1 - fx)),
        (1, (1 - fy) * fx),
        (grid[1] + 2, fy * (1 - fx)),
        (grid[1] + 3, fy * fx),
    ):
        unlike = (colour - coarse[:, nodes + step]).square().sum(0) / (2 * COLOUR_SIGMA**2)
        weights.append(bilinear * (torch.exp(-unlike) + UNLIKE))
    weights = torch.stack(weights)
    return nodes, weights / weights.sum(0, keepdim=True)


def _goes_past(moving, rows, columns):
    """1 where the mirrored picture continues something that the border cuts, else 0.

    It does so if nothing still lies between it and the border. A thing away from the border must
    not get a mirrored double.
    """
    height, width = moving.shape
    solid = moving.float()
    sides = (
        ((columns < 0)[None], solid.cumprod(1)),
        ((columns >= width)[None], solid.flip(1).cumprod(1).flip(1)),
        ((rows < 0)[:, None], solid.cumprod(0)),
        ((rows >= height)[:, None], solid.flip(0).cumprod(0).flip(0)),
    )
    goes = 1.0
    for past, run in sides:
        if past.any():
            run = run[_mirrored(rows, height)][:, _mirrored(columns, width)]
            goes = goes * torch.where(past, run, 1.0)
    return goes


def _mirrored(index, n):
    """Index reflected at the first and last pixel, any number of times."""
    if n == 1:
        return torch.zeros_like(index)
    folded = index.remainder(2 * n - 2)
    return torch.where(folded < n, folded, 2 * n - 2 - folded)


def _bounds(mask):
    """((top, bottom), (left, right)), half open, of what is set."""
    result = []
    for axis in (1, 0):
        where = mask.any(axis).nonzero().squeeze(1)
        result.append((int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0))
    return result
