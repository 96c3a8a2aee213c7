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

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..motion.displacement import FRAMES_AT_A_TIME, Displacement
from ..shapes import Float, Int, Tensor
from ..still.alpha import premultiplied, straight
from ..still.background import fill_background, in_front
from ..still.filters import dilated, largest_within
from ..still.grid import sample_points
from .importance import importance_of, importance_of_features
from .splat import CHUNK, SoftmaxSums

MARGIN = 2  # px around the matte that move with it, so that its soft edge moves too
COLOUR_SIGMA = 0.1  # colour difference at which a grid point's weight falls to exp(-1/2)
DEPTH_SIGMA = 0.05  # the same for depth, of its whole range
UNLIKE = 0.02  # weight that a grid point of another colour keeps: the weights must not all vanish
SOFT = 0.05  # splatting weight of a pixel of matte 0, relative to one of matte 1
# Neighbours that a motion draws apart get points between them, from so many px on; those that part
# by more than a share of a cell of the motion's grid are torn.
DRAWN_OUT, TORN = 0.75, 0.5


BORDERS = "mirror", "extend", "crop", "transparent"


@dataclass(frozen=True)
class Behind:
    """What is seen behind things that move away.

    background: A picture, used as it comes where anything moves; straight alpha, or none.
    texture: Without one, the surroundings are continued by patches of texture; else mirrored.
    border: What goes on past the border where that cuts something that moves: its mirror image,
        its outermost pixels, or nothing, transparent. For "crop", which cuts away what the others
        invent, see `render.renderer.cropped`; until then it is extended.
    """

    background: Float[Tensor, "cb h w"] | None = None
    texture: bool = False
    border: str = "mirror"

    def __post_init__(self):
        if self.border not in BORDERS:
            raise ValueError(f"Expected a border of {', '.join(BORDERS)}, got {self.border!r}.")

    def of(self, still, matte, here, hides=None) -> Float[Tensor, "c hb wb"]:
        """The background of a premultiplied still, premultiplied, in one part of it.

        A copy of that part alone: the whole of a large picture need not be kept.

        Args:
            hides: What stands before the background, where that is not all that moves; what it
                uncovers is narrow and is mirrored.
        """
        if self.background is None:
            filled = (matte, self.texture) if hides is None else (hides, False)
            return fill_background(still, *filled)[here].clone()
        given = self.background[here].to(still)
        if len(given) == 1:
            given = given.expand(min(3, len(still)), -1, -1)
        if len(still) == 4 and len(given) == 3:
            given = torch.cat([given, torch.ones_like(given[:1])])
        return torch.where(matte[here] > 0, premultiplied(given)[: len(still)], still[here])


@dataclass(frozen=True)
class Layers:
    """The two layers of a still, on a canvas that extends past the picture by the largest motion.

    still: the picture as it came, straight alpha.
    premultiplied: the same, its colours times its alpha; the still itself if it has none.
    behind: the background behind what moves, premultiplied, where `place` is.
    place: rows and columns of the picture that the canvas covers.
    foreground: the foreground times the matte; the matte is its last channel.
    lowest, highest: of the foreground's colours under a cubic kernel whose second pixel this is.
    origin: (y, x) of the canvas in the picture; negative where it extends past the border.
    source_pixels: flat canvas indices of the pixels that move, in order.
    nodes, weights: of each moving pixel, the upper left of the four grid points that it
        interpolates its displacement from, and the weight of the first three.
    is_whole: all of the picture moves, and its background is a guess by depth.
    """

    still: Float[Tensor, "c h w"]
    premultiplied: Float[Tensor, "c h w"]
    behind: Float[Tensor, "c hb wb"]
    place: tuple[slice, slice]
    foreground: Float[Tensor, "c1 hc wc"]
    lowest: Float[Tensor, "c hc wc"]
    highest: Float[Tensor, "c hc wc"]
    origin: tuple[int, int]
    source_pixels: Int[Tensor, " n"]
    nodes: Int[Tensor, " n"]
    weights: Float[Tensor, "3 n"]
    is_whole: bool = False

    @property
    def background(self) -> Float[Tensor, "c h w"]:
        """The whole background, premultiplied: the still with what moves filled in."""
        whole = self.premultiplied.clone()
        whole[:, self.place[0], self.place[1]] = self.behind
        return whole


def separate_layers(
    still: Float[Tensor, "c h w"],
    matte: Float[Tensor, "1 h w"],
    grid: tuple[int, int],
    reach: tuple[int, int],
    behind: Behind = Behind(),
    depth: Float[Tensor, "1 hn wn"] | None = None,
) -> Layers:
    """Separate a still into foreground and background, for a displacement on a grid of that size.

    Args:
        matte: What may move, 0 to 1.
        reach: The largest displacement, (y, x) in px.
        behind: What is seen where things have moved away.
        depth: 1 = nearest. Where all of a picture moves, as under a camera, there is no other
            background: what is far goes on behind what is near.
    """
    if behind.border == "transparent" and len(still) < 4:
        colours = still if len(still) == 3 else still[:1].expand(3, -1, -1)
        still = torch.cat([colours, torch.ones_like(still[:1])])
    picture, still = still, premultiplied(still)
    height, width = still.shape[-2:]
    bounds = _bounds(matte[0] > 0)
    if bounds is None:  # nothing moves: one pixel that does not
        bounds, reach = ((0, 1), (0, 1)), (0, 0)
    rows, columns = (
        torch.arange(lo - far, hi + far, device=still.device)
        for (lo, hi), far in zip(bounds, reach, strict=True)
    )
    place = tuple(_within(index, n) for index, n in ((rows, height), (columns, width)))
    here = slice(None), *place
    hides = None
    if depth is not None and bool((matte > 0).all()):
        depth = _sized(depth.to(still), (height, width))
        # Twice the reach: what is uncovered is then nearer to what is far than to what is not. The
        # soft edge of what is near lies beside the step.
        hides = dilated(in_front(depth, 2 * max(reach)), MARGIN)
    filled = behind.of(still, matte, here, hides)
    matte = _opaque_enough(still[here], filled, matte[here])
    foreground = torch.cat([still[here] - (1 - matte) * filled, matte])
    if any(len(index) > part.stop - part.start for index, part in zip((rows, columns), place)):
        # What the border cuts goes on past it: when it moves in, its continuation must follow.
        at = _mirrored if behind.border == "mirror" else _nearest
        y, x = at(rows, height) - place[0].start, at(columns, width) - place[1].start
        goes = _goes_past(matte[0] > 0, rows, columns, (height, width), y, x)
        foreground = foreground[:, y][:, :, x] * goes
        if behind.border == "transparent":
            inside = (rows == at(rows, height))[:, None] & (columns == at(columns, width))
            foreground[:-1] *= inside
    support = dilated(foreground[-1:], MARGIN)[0] > 0
    source_pixels = support.flatten().nonzero().squeeze(1).int()
    steps = None if hides is None else depth
    nodes, weights = _follow(still[:3], steps, source_pixels, rows, columns, grid)
    origin = (int(rows[0]), int(columns[0])) if len(source_pixels) else (0, 0)
    span = _colour_span(foreground)
    layers = picture, still, filled, place, foreground, *span, origin, source_pixels
    return Layers(*layers, nodes, weights, hides is not None)


def foreground_alone(layers: Layers) -> Layers:
    """The foreground over nothing: its still is the foreground itself, and has alpha."""
    rows, columns = (
        slice(part.start - start, part.stop - start)
        for part, start in zip(layers.place, layers.origin)
    )
    canvas, matte = layers.foreground[:-1], layers.foreground[-1:]
    if len(canvas) < 4:
        canvas = torch.cat([canvas.expand(3, -1, -1), matte])
    height, width = layers.still.shape[-2:]
    still = canvas.new_zeros(4, height, width)
    # Where the matte is too small for its pixel, the foreground's colour is out of range.
    canvas = torch.cat([canvas[:3].clamp(min=0).minimum(canvas[3:]), canvas[3:]])
    still[:, layers.place[0], layers.place[1]] = canvas[:, rows, columns]
    foreground = torch.cat([canvas, matte])
    lowest, highest = _colour_span(foreground)
    return replace(
        layers,
        still=straight(still),
        premultiplied=still,
        behind=torch.zeros_like(still[:, layers.place[0], layers.place[1]]),
        foreground=foreground,
        lowest=lowest,
        highest=highest,
    )


@dataclass(frozen=True)
class SplattedFrame:
    """A splatted frame, and the fields it was made with.

    frame: premultiplied, where the still has alpha.
    disocclusion: the share of each pixel that the still does not show (1 = all of it).
    displacement, importance: of every source pixel of the layers; displacement in px.
    of_features: the importance of features.
    touched: flat indices of the pixels that content left or arrived at.
    distance: how far it moved there, px.
    """

    layers: Layers
    frame: Float[Tensor, "c h w"]
    disocclusion: Float[Tensor, "1 h w"]
    displacement: Float[Tensor, "2 n"]
    importance: Float[Tensor, "1 n"]
    of_features: Float[Tensor, "1 n"]
    touched: Int[Tensor, " m"]
    distance: Float[Tensor, " m"]

    @property
    def fields(self) -> Float[Tensor, "4 h w"]:
        """`fields_in` the whole picture."""
        height, width = self.frame.shape[-2:]
        return self.fields_in((slice(0, height), slice(0, width)))

    def fields_in(self, place: tuple[slice, slice]) -> Float[Tensor, "4 hp wp"]:
        """Displacement (2), importance, and distance moved by what left or arrived, per pixel.

        Made anew each time: of a large picture they take more memory than the frame.

        Args:
            place: Rows and columns of the picture.
        """
        layers, (rows, columns) = self.layers, place
        height, width = rows.stop - rows.start, columns.stop - columns.start
        fields = self.frame.new_zeros(4, height * width)
        x, y = _places(layers, slice(None))
        y, x = y + (layers.origin[0] - rows.start), x + (layers.origin[1] - columns.start)
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).nonzero().squeeze(1)
        at = (y * width + x)[inside].long()
        for field, values in zip(fields, (*self.displacement, *self.of_features)):
            field.scatter_(0, at, values.index_select(0, inside))
        wide = self.frame.shape[-1]
        y, x = self.touched // wide - rows.start, self.touched % wide - columns.start
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).nonzero().squeeze(1)
        fields[3].scatter_(0, (y * width + x)[inside], self.distance[inside])
        return fields.view(4, height, width)


def splat_frame(
    layers: Layers,
    displacement: Float[Tensor, "2 gh gw"],
    importance: Float[Tensor, "1 n"],
    of_features: Float[Tensor, "1 n"] | None = None,
) -> SplattedFrame:
    """Splat the foreground along a displacement and composite it over the background.

    Args:
        displacement: In px of the picture, on the coarse grid.
        importance: Of every source pixel, as of `importance_of`.
        of_features: As of `importance_of_features`, for the network; zero by default.
    """
    still = layers.premultiplied
    size, width = tuple(layers.foreground.shape[-2:]), still.shape[-1]
    frame, hole = still.flatten(1).clone(), torch.zeros_like(still[:1]).flatten(1)
    moved = upsample(layers, displacement)
    row_starts = torch.arange(size[0] + 1, device=still.device, dtype=torch.int32) * size[1]
    row_starts = torch.searchsorted(layers.source_pixels, row_starts)
    sums = _splatted_displacement(layers, displacement, moved, importance, row_starts)
    found = [(still.new_zeros(0, dtype=torch.long), still.new_zeros(0))]
    step = max(1, _at_once(still) // max(1, size[1]))
    # A few rows of the picture at a time: intermediate results stay small.
    for top in range(layers.place[0].start, layers.place[0].stop, step):
        first = top - layers.origin[0]
        rows = slice(first, min(first + step, layers.place[0].stop - layers.origin[0]))
        sources = slice(int(row_starts[rows.start]), int(row_starts[rows.stop]))
        where, came, landed, far = _touched(layers, sums, moved, rows, sources)
        if len(where) == 0:
            continue
        x, y = where % size[1], where // size[1]
        colour, alpha = _sampled(layers, torch.stack([x, y + rows.start]).to(came.dtype) - came)
        alpha = torch.where(landed, alpha, 0.0)
        x, y = x + layers.origin[1], y + top
        at = y * width + x
        wide = layers.behind.shape[-1]
        inner = (y - layers.place[0].start) * wide + x - layers.place[1].start
        behind = layers.behind.flatten(1).index_select(1, inner)
        # In this form the sum is exact where both are opaque. Where the matte is too small for its
        # pixel, the foreground's colour is out of range, and only the composite is in it.
        _put(frame, at, (behind + alpha * (colour - behind)).clamp_(0, 1))
        matte = layers.foreground[-1, rows].flatten().index_select(0, where)
        _put(hole, at, (matte - alpha).clamp_(0, 1))
        found.append((at, far.sqrt()))
    touched, distance = (torch.cat(parts) for parts in zip(*found))
    frame, hole = frame.view_as(still), hole.view_as(still[:1])
    of_features = torch.zeros_like(importance) if of_features is None else of_features
    made = frame, hole, moved, importance, of_features, touched, distance
    return SplattedFrame(layers, *made)


def _splatted_displacement(layers, displacement, moved, importance, row_starts):
    """The sums of softmax splatting of the displacement, on the canvas."""
    canvas = layers.foreground
    sums = SoftmaxSums(canvas[None, :2], importance[None])

    def points(which):
        alpha = canvas[-1].flatten().index_select(0, layers.source_pixels[which])
        # The soft edge of a thing does not hide what is solid, and where both land the solid one's
        # displacement decides. What lies outside the matte hides nothing at all.
        logits = torch.where(alpha > 0, importance[:, which], 0.0) + (SOFT + alpha).log()
        x, y = _places(layers, which)
        positions = torch.stack([x + moved[0, which], y + moved[1, which]])
        return moved[:, which], positions, logits

    torn = TORN * layers.still.shape[-1] / displacement.shape[-1]
    step = max(1, _at_once(canvas) // canvas.shape[-1])
    for top in range(0, canvas.shape[-2], step):
        rows = slice(top, min(top + step, canvas.shape[-2]))
        held = slice(int(row_starts[rows.start]), int(row_starts[rows.stop]))
        if held.start == held.stop:  # nothing moves in these rows
            continue
        landing = points(held)
        if torn > DRAWN_OUT and _most_apart(layers, displacement, rows) > DRAWN_OUT:
            one, other, share = _between(layers, moved, rows, row_starts, torn)
            between = (torch.lerp(a, b, share) for a, b in zip(points(one), points(other)))
            landing = [torch.cat(parts, -1) for parts in zip(landing, between)]
        sums.add(*(x[None] for x in landing))
    return sums


def _most_apart(layers, displacement, rows):
    """How far neighbours can part in some rows of the canvas: they follow points of the motion's
    grid that are two cells apart at most."""
    share = displacement.shape[-2] / layers.still.shape[-2]
    low, high = (math.floor((y + layers.origin[0]) * share) for y in (rows.start, rows.stop))
    last = displacement.shape[-2] - 1
    near = displacement[:, min(max(0, low - 1), last) : max(0, high) + 3]
    near = F.pad(near[None], (0, 2, 0, 2), mode="replicate")[0]
    return (largest_within(near, 3) + largest_within(-near, 3)).norm(dim=0).amax()


def _between(layers, moved, rows, row_starts, torn):
    """Points to put between neighbouring pixels of a surface that is drawn out, from some rows on.

    Without them it would show what is behind, as specks or a comb.

    Args:
        torn: px from which on neighbours do not belong together.

    Returns:
        Indices of both neighbours, and the share of the second, for every point.
    """
    sources, wide = layers.source_pixels, layers.foreground.shape[-1]
    end = min(rows.stop + 1, len(row_starts) - 1)
    held, high = slice(int(row_starts[rows.start]), int(row_starts[end])), end - rows.start
    field = moved[:, held]
    if field.shape[1] < high * wide:  # not all of these rows moves
        field = moved.new_full((2, high * wide), torch.nan)
        _put(field, (sources[held] - rows.start * wide).long(), moved[:, held])
    field = field.view(2, high, wide)
    found = [(sources.new_zeros(0), sources.new_zeros(0), moved.new_zeros(0))]
    for x, y in ((1, 0), (0, 1), (1, 1)):  # to the right, below, and right below
        if (x, y) == (1, 1) and len(found) < 3:
            continue  # only what is drawn out both ways has holes that those do not fill
        along = field[0] if not y else field[1] if not x else field.sum(0)
        upper = min(rows.stop - rows.start, high - y)
        parted = along[y : y + upper, x:] - along[:upper, : wide - x]
        drawn = parted > DRAWN_OUT * math.hypot(x, y)
        if not drawn.any():
            continue
        top, left = drawn.nonzero().unbind(1)
        whole = (field[:, top + y, left + x] - field[:, top, left]).norm(dim=0) <= torn
        count = (parted[top, left] / math.hypot(x, y)).ceil().long() * whole
        flat = ((top + rows.start) * wide + left).to(sources)
        number = torch.arange(int(count.sum()), device=count.device)
        number = number - (count.cumsum(0) - count).repeat_interleave(count)
        share = (number + 1) / (count + 1).repeat_interleave(count)
        ends = (torch.searchsorted(sources, at) for at in (flat, flat + (y * wide + x)))
        found.append((*(i.repeat_interleave(count) for i in ends), share.to(moved)))
    return (torch.cat(parts) for parts in zip(*found))


def _touched(layers, sums, moved, rows, sources):
    """What left or arrived in some rows of the canvas, inside the picture.

    Flat indices in those rows, the displacement that arrived, whether anything did, and the square
    of the largest distance that left or arrived.
    """
    came, coverage = sums.average(rows)
    if layers.is_whole:
        came, coverage = _without_cracks(came, coverage)
    far = came[0].square().sum(0).flatten()
    at = (layers.source_pixels[sources] - rows.start * came.shape[-1]).long()
    left = torch.maximum(far.index_select(0, at), moved[:, sources].square().sum(0))
    far.scatter_(0, at, left)
    columns = slice(*(n - layers.origin[1] for n in (layers.place[1].start, layers.place[1].stop)))
    outside = far.view(came.shape[-2:])
    outside[:, : columns.start], outside[:, columns.stop :] = 0, 0
    where = far.nonzero().squeeze(1)
    landed = coverage.flatten().index_select(0, where) > 0
    return where, came[0].flatten(1).index_select(1, where), landed, far.index_select(0, where)


def _without_cracks(came, coverage):
    """The same with single pixels between two that something reached: a surface that is drawn out.

    Where a part of a picture moves they may show its background, which lies as still as before.
    Where all of it moves the background is a guess, and would show through as a dust of pixels.
    """
    landed = coverage > 0
    for axis in (3, 2):
        n = came.shape[axis] - 2
        if n < 1:
            continue
        middle, before, after = (slice(None),) * axis, 0, 2
        inner, first, last = (middle + (slice(i, i + n),) for i in (1, before, after))
        between = ~landed[inner] & landed[first] & landed[last]
        came[inner] = torch.where(between, (came[first] + came[last]) / 2, came[inner])
        coverage[inner] = torch.where(between, 1.0, coverage[inner])
    return came, coverage


def _put(target, at, values):
    """Write the columns of some channels, in place: faster than by an index for all of them."""
    for channel, new in zip(target, values):
        channel.scatter_(0, at, new)


def _places(layers, part):
    """(x, y) of some source pixels on the canvas."""
    sources, wide = layers.source_pixels[part], layers.foreground.shape[-1]
    return sources % wide, sources // wide


def _at_once(like):
    """How many pixels are worked on at once; a graphics card takes all of them."""
    return CHUNK if like.is_cpu else like.shape[-2] * like.shape[-1] + 1


def splatted_frames(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
    depth: Float[Tensor, "1 hn wn"] | None = None,
    order: Float[Tensor, "1 ho wo"] | None = None,
    behind: Behind = Behind(),
    alone: bool = False,
    backgrounds: Iterator[Float[Tensor, "c h w"]] | None = None,
) -> Iterator[SplattedFrame]:
    """Splat a still frame by frame: memory does not grow with the number of frames.

    Args:
        item: Index in the batch of motions.
        matte: What may move; the motion's own mask by default, everything if it has none.
        frames: Indices of the frames wanted, all by default.
        depth: What is in front where things meet, 1 = nearest; by default what moves more, in the
            mean over the clip (Li et al. 2024, Sec. 5).
        order: Rank of the object that a pixel belongs to, the largest in front.
        behind: What is seen where things have moved away.
        alone: The foreground alone, over nothing, with alpha.
        backgrounds: One for each of the frames wanted, premultiplied, where the background moves.
    """
    size = tuple(still.shape[-2:])
    scale = motion.scaled_to(size)
    if matte is None:
        matte = own_matte(motion, item, size)
    far, total = torch.zeros(2), 0
    for part in motion.in_parts(item):
        part = _finite(part)
        far = torch.maximum(far, part.abs().amax((0, 2, 3)))
        total = total + (part * scale).square().sum(1).sqrt().sum(0, keepdim=True)
    x, y = (far * scale.flatten()).ceil().long().tolist()
    reach = y + MARGIN, x + MARGIN
    layers = separate_layers(still, matte.to(still), motion.grid, reach, behind, depth)
    if alone:
        layers = foreground_alone(layers)
    mean_motion = upsample(layers, (total / motion.frames / max(size)).to(still))
    given = [None if x is None else _at_sources(layers, x.to(still)) for x in (order, depth)]
    # What is half transparent hides as little as what moves a quarter as far: else the rim of a
    # thing, where it lands with a small share, would cut into what is behind it.
    alpha = layers.foreground[-1:].flatten(1)[:, layers.source_pixels]
    importance = (
        importance_of(mean_motion * alpha.square(), *given),
        importance_of_features(mean_motion, max(size), *given),
    )
    held = None
    for t in range(motion.frames) if frames is None else frames:
        # Always whole blocks of the clip: the bits of a matrix product depend on its shape, and a
        # frame must be the same whichever part of a clip is rendered.
        block = t // FRAMES_AT_A_TIME
        if block != held:
            ahead = slice(block * FRAMES_AT_A_TIME, (block + 1) * FRAMES_AT_A_TIME)
            held, fields = block, _finite(motion.at(item, ahead)) * scale
        here = layers if backgrounds is None else _over(layers, matte, next(backgrounds))
        yield splat_frame(here, fields[t % FRAMES_AT_A_TIME].to(still), *importance)


def shown(
    splatted: SplattedFrame, premultiplied_frame: Float[Tensor, "c h w"] | None = None
) -> Float[Tensor, "c h w"]:
    """A frame with straight alpha: the still itself wherever nothing moved and nothing landed.

    Args:
        premultiplied_frame: What to show instead of the splatted frame.
    """
    made = splatted.frame if premultiplied_frame is None else premultiplied_frame
    if len(made) != 4:  # without alpha it is that already
        return made
    frame = splatted.layers.still.flatten(1).clone()
    _put(frame, splatted.touched, straight(made.flatten(1).index_select(1, splatted.touched)))
    return frame.view_as(made)


def upsample(layers: Layers, field: Float[Tensor, "c gh gw"]) -> Float[Tensor, "c n"]:
    """A coarse field at the moving pixels, interpolated from four grid points each."""
    padded = F.pad(field[None], (1, 1, 1, 1), mode="replicate")[0]
    width = padded.shape[-1]
    flat = padded.flatten(1)
    result = flat.new_empty(len(flat), len(layers.nodes))
    for part in _parts(layers.nodes, field):
        nodes, weights = layers.nodes[part], layers.weights[:, part].to(flat)
        corners = [nodes + step for step in (0, 1, width)]
        opposite = nodes + (width + 1)
        for channel, values in zip(result, flat):
            # In this form a constant field stays exactly what it is.
            last = values.index_select(0, opposite)
            total = last.clone()
            for corner, weight in zip(corners, weights):
                total += (values.index_select(0, corner) - last) * weight
            channel[part] = total
    return result


def _parts(nodes, like):
    step = _at_once(like)
    return (slice(first, first + step) for first in range(0, len(nodes), max(1, step)))


def _at_sources(layers, picture):
    """A picture of any size at the moving pixels; past the border it is mirrored."""
    size = tuple(layers.still.shape[-2:])
    picture = _sized(picture, size)
    x, y = _places(layers, slice(None))
    y, x = _mirrored(y + layers.origin[0], size[0]), _mirrored(x + layers.origin[1], size[1])
    return picture.flatten(1)[:, y * size[1] + x]


def _sized(picture, size):
    if tuple(picture.shape[-2:]) == size:
        return picture
    return F.interpolate(picture[None], size, mode="bilinear", antialias=True)[0]


def _finite(field):
    return torch.where(field.isfinite(), field, 0.0)


def _over(layers, matte, background):
    """The layers of a still over another background; the still then shows that background."""
    before, matte = layers.background, matte.to(background)
    base = layers.premultiplied + (1 - matte) * (background - before)
    base = torch.where(matte > 0, base.clamp(0, 1), background)
    same = (background == before).all(0)
    picture = torch.where(same, layers.still, straight(base))
    base = torch.where(same, layers.premultiplied, base)
    behind = background[:, layers.place[0], layers.place[1]]
    return replace(layers, still=picture, premultiplied=base, behind=behind)


def own_matte(motion: Displacement, item: int, size: tuple[int, int]) -> Float[Tensor, "1 h w"]:
    """What moves by the motion's own mask, at a size; everything if it has none."""
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
    matte = canvas[-1]
    ends = torch.zeros_like(canvas[:-1]), torch.zeros_like(canvas[:-1])
    for i, channel in enumerate(canvas[:-1]):
        colour = channel / matte.clamp(min=1e-6)
        for sign, end in zip((-1.0, 1.0), ends):
            values = torch.where(matte > 0, sign * colour, -torch.inf)
            wide = F.pad(values[None], (1, 2, 1, 2), value=-torch.inf)
            wide = sign * largest_within(wide, 4)[0]
            end[i] = torch.where(wide.isfinite(), wide, 0.0)
    return ends


def _sampled(layers, position):
    """Colour, without the matte, and matte of the foreground at (x, y) positions of the canvas."""
    height, width = layers.foreground.shape[-2:]
    read = sample_points(layers.foreground[None], position[None], "bicubic")[0]
    x, y = position.floor().long()
    corner = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    ends = (end.flatten(1).index_select(1, corner) for end in (layers.lowest, layers.highest))
    colour = read[:-1] / read[-1:].clamp(min=1e-6)
    return colour.clamp(*ends), read[-1:].clamp(0, 1)


def _follow(guide, depth, source_pixels, rows, columns, grid):
    """The four points of the padded grid around each pixel, weighted by distance and by colour.

    By depth, too, where that is what the motion follows: what is near and what is far do not share
    a motion, and no dust of pixels is left between them.
    """
    height, width = guide.shape[-2:]
    coarse = F.interpolate(guide[None], grid, mode="area")
    if depth is not None:
        depth = depth * (COLOUR_SIGMA / DEPTH_SIGMA)
        at_points = F.interpolate(depth[None], grid, mode="nearest-exact")
        guide, coarse = torch.cat([guide, depth]), torch.cat([coarse, at_points], 1)
    coarse = F.pad(coarse, (1, 1, 1, 1), mode="replicate")[0].flatten(1)
    every_node = torch.empty_like(source_pixels)
    every_weight = guide.new_empty(3, len(source_pixels))
    for part in _parts(source_pixels, guide):
        sources = source_pixels[part]
        y, x = rows[sources // len(columns)], columns[sources % len(columns)]
        # Coordinates of the padded grid: the center of its point i lies at (i - 1/2) / n.
        gy = ((y + 0.5) * (grid[0] / height) + 0.5).clamp(0, grid[0] + 1 - 1e-4)
        gx = ((x + 0.5) * (grid[1] / width) + 0.5).clamp(0, grid[1] + 1 - 1e-4)
        top, left = gy.floor(), gx.floor()
        nodes = (top * (grid[1] + 2) + left).int()
        fy, fx = gy - top, gx - left
        colour = guide.flatten(1)[:, _mirrored(y, height) * width + _mirrored(x, width)]
        weights = []
        for step, bilinear in (
            (0, (1 - fy) * (1 - fx)),
            (1, (1 - fy) * fx),
            (grid[1] + 2, fy * (1 - fx)),
            (grid[1] + 3, fy * fx),
        ):
            unlike = (colour - coarse[:, nodes + step]).square().sum(0) / (2 * COLOUR_SIGMA**2)
            weights.append(bilinear * (torch.exp(-unlike) + UNLIKE))
        every_node[part] = nodes
        every_weight[:, part] = torch.stack(weights[:3]) / sum(weights)
    return every_node, every_weight


def _goes_past(moving, rows, columns, size, y, x):
    """1 where the mirrored picture continues something that the border cuts, else 0.

    It does so if nothing still lies between it and the border. A thing away from the border must
    not get a mirrored double.

    Args:
        moving: The part of the picture that the canvas covers.
        y, x: Of the mirrored pixel, in that part, for every row and column of the canvas.
    """
    solid = moving.float()
    sides = (
        ((columns < 0)[None], lambda: solid.cumprod(1)),
        ((columns >= size[1])[None], lambda: solid.flip(1).cumprod(1).flip(1)),
        ((rows < 0)[:, None], lambda: solid.cumprod(0)),
        ((rows >= size[0])[:, None], lambda: solid.flip(0).cumprod(0).flip(0)),
    )
    goes = 1.0
    for past, run in sides:
        if past.any():
            goes = goes * torch.where(past, run()[y][:, x], 1.0)
    return goes


def _within(index, n):
    """The part of a range of indices that lies from 0 to n."""
    return slice(min(max(0, int(index[0])), n), max(0, min(n, int(index[-1]) + 1)))


def _nearest(index, n):
    return index.clamp(0, n - 1)


def _mirrored(index, n):
    """Index reflected at the first and last pixel, any number of times."""
    if n == 1:
        return torch.zeros_like(index)
    folded = index.remainder(2 * n - 2)
    return torch.where(folded < n, folded, 2 * n - 2 - folded)


def _bounds(mask):
    """((top, bottom), (left, right)), half open, of what is set; None if nothing is."""
    result = []
    for axis in (1, 0):
        where = mask.any(axis).nonzero().squeeze(1)
        if len(where) == 0:
            return None
        result.append((int(where[0]), int(where[-1]) + 1))
    return result
