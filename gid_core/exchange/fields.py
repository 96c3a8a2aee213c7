"""Dense fields of every rendered frame: where the still's pixels go, and what each pixel shows.

Law: source(p + forward(p)) = p wherever p is seen. What is neither covered nor uncovered shows
itself, exactly.

Convention: pixel centers at integers, (x, y), of the still. `forward` is a push map and lives on
the still; `source`, `coverage` and `hidden` are pull maps and live on the frame.

Source: fixed-point inversion of a displacement field, Chen et al., "A simple fixed-point approach
to invert a deformation field", Medical Physics 35(1), 2008.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..motion.displacement import Displacement
from ..render.layers import SOFT, Layers, SplattedFrame, splatted_frames
from ..render.splat import softmax_splat_points
from ..shapes import Bool, Float, Int, Tensor
from ..still.grid import pixel_grid, sample_points

ITERATIONS = 24  # of the inversion; the error shrinks by the strain, which is below 1/2 mostly
SETTLED_PX = 0.02  # residual of a pixel that needs no further iteration
FOUND_PX = 0.5  # largest residual of a pixel whose source counts as found
COVERED = 0.5  # share of a pixel from which on it counts as showing what moves


@dataclass(frozen=True)
class Fields:
    """The fields of one frame.

    moved: the frame, and what it was made of.
    forward: displacement of every pixel of the still, px; 0 where nothing moves.
    source: (x, y) of the point of the still that each pixel of the frame shows.
    coverage: share of each pixel of the frame that what moves covers.
    hidden: share of each pixel that the still does not show (1 = all of it).
    found: False where `source` is no answer: what is hidden, or folded over.
    """

    moved: SplattedFrame
    forward: Float[Tensor, "2 h w"]
    source: Float[Tensor, "2 h w"]
    coverage: Float[Tensor, "1 h w"]
    hidden: Float[Tensor, "1 h w"]
    found: Bool[Tensor, "1 h w"]


def fields_of(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
    depth: Float[Tensor, "1 hn wn"] | None = None,
    iterations: int = ITERATIONS,
) -> Iterator[Fields]:
    """The fields of a clip, frame by frame, as `render/layers.py: splatted_frames` moves the still.

    Args:
        iterations: Of the inversion. With 0 the source is what was splatted: good to a pixel.
    """
    moving = None
    for moved in splatted_frames(still, motion, item, matte, frames, depth):
        if moving is None:
            moving = moving_pixels(moved.layers, tuple(still.shape[-2:]))
        yield _fields(moved, *moving, iterations)


def moving_pixels(
    layers: Layers, size: tuple[int, int]
) -> tuple[Int[Tensor, " n"], Bool[Tensor, " m"], Float[Tensor, "1 p"]]:
    """The pixels of a picture of `size` that move, and the matte of all pixels.

    Flat indices in the picture, and which of the layers' source pixels they are.
    """
    wide = layers.foreground.shape[-1]
    y, x = (
        layers.source_pixels // wide + layers.origin[0],
        layers.source_pixels % wide + layers.origin[1],
    )
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    at = (y * size[1] + x)[inside]
    alpha = layers.foreground.new_zeros(1, size[0] * size[1])
    alpha[:, at] = layers.foreground[-1].flatten()[layers.source_pixels[inside]]
    return at, inside, alpha


def found_in(
    layers: Layers, points: Int[Tensor, "n 2"]
) -> tuple[Int[Tensor, " n"], Bool[Tensor, " n"]]:
    """Where pixels (x, y) of the picture stand in `layers.source_pixels`, and whether they do."""
    high, wide = layers.foreground.shape[-2:]
    x, y = points[:, 0] - layers.origin[1], points[:, 1] - layers.origin[0]
    inside = (x >= 0) & (x < wide) & (y >= 0) & (y < high)
    if not len(layers.source_pixels):
        return torch.zeros_like(x), torch.zeros_like(inside)
    index = torch.where(inside, y * wide + x, 0)
    place = torch.searchsorted(layers.source_pixels, index).clamp(max=len(layers.source_pixels) - 1)
    return place, inside & (layers.source_pixels[place] == index)


def _fields(moved: SplattedFrame, at, inside, alpha, iterations) -> Fields:
    hidden = moved.disocclusion
    height, width = size = tuple(hidden.shape[-2:])
    forward = moved.fields[:2].flatten(1)
    here = pixel_grid(height, width, like=forward).flatten(1)
    source, coverage = here.clone(), torch.zeros_like(hidden).flatten(1)
    found = (hidden < COVERED).flatten(1)
    if len(at):
        # As the renderer weighs what lands together.
        front = torch.where(alpha[:, at] > 0, moved.importance[:, inside], 0.0)
        logits = front + (SOFT + alpha[:, at]).log()
        moved_to = (here + forward)[:, at]
        came, covered = softmax_splat_points(
            forward[None, :, at], moved_to[None], logits[None], size
        )
        landed = covered.flatten().nonzero().squeeze(1)
        is_moving = torch.zeros_like(coverage)
        is_moving[:, at] = 1
        shapes = torch.cat([forward, is_moving, alpha]).view(1, 4, height, width)
        start = here[:, landed] - came[0].flatten(1)[:, landed]
        point, residual = _inverted(shapes[:, :3], here[:, landed], start, iterations)
        coverage[:, landed] = sample_points(shapes[:, 3:], point[None])[0].clamp(0, 1)
        shows = coverage[0, landed] >= COVERED
        source[:, landed[shows]] = point[:, shows]
        found[:, landed[shows]] &= residual[shows] <= FOUND_PX
    return Fields(
        moved,
        forward.view(2, *size),
        source.view(2, *size),
        coverage.view(1, *size),
        hidden,
        found.view(1, *size),
    )


def _inverted(shapes, target, start, iterations):
    """Points p with p + D(p) = target, from `start` on, and how far p + D(p) is off, px.

    Of all iterates the best is kept, so that a fold, where the iteration jumps, does no harm.
    """

    def displacement(points):
        read = sample_points(shapes, points[None])[0]
        return read[:2] / read[2:].clamp(min=0.25)

    point, at_point = start, displacement(start)
    best, least = start, (start + at_point - target).square().sum(0).sqrt()
    left = torch.arange(target.shape[1], device=target.device)
    for _ in range(iterations):
        left = left[least[left] > SETTLED_PX]
        if not len(left):
            break
        point = point.clone()
        point[:, left] = target[:, left] - at_point[:, left]
        at_point = at_point.clone()
        at_point[:, left] = displacement(point[:, left])
        residual = (point + at_point - target)[:, left].square().sum(0).sqrt()
        better = residual < least[left]
        best = best.clone()
        best[:, left[better]] = point[:, left[better]]
        least = least.clone()
        least[left[better]] = residual[better]
    return best, least
