"""Tracks: the paths of a few points of a still over the frames of a video model.

Law: a path is the displacement of its point, at the frame's exact time: tracks begin on the still,
and what lies outside the mask stands still. Tracks of a loop end where they begin.

Convention: (x, y) in pixels of the video that is asked for, centers at integers. The still is cut
to the video's shape around its middle and then scaled, as video models' nodes do it.

Source: points at random with a probability, kept apart: weighted sampling by Efraimidis &
Spirakis, Information Processing Letters 97, 2006; dart throwing, Cook, ACM TOG 5(1), 1986.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..motion.coords import coords_between
from ..motion.displacement import Displacement, peaks
from ..render.layers import MARGIN, Layers, splatted_frames, upsample
from ..shapes import Bool, Float, Int, Tensor
from ..still.filters import dilated
from .fields import COVERED, fields_of, found_in, moving_pixels
from .text import ati_times

LAYOUTS = "random", "grid"
FITS = "crop", "stretch"
TIMINGS = "whole", "rate"
CANDIDATES = 40_000  # pixels among which points are chosen, about
LEAST_SHARE = 0.1  # of the largest motion: what moves less is no moving point
SPARED = 0.05  # weight of a point that hardly moves, relative to one that moves most
SEEN_SIDE = 512  # px: longer side of the picture on which occlusions are found
SEEN_PX = 2.0  # on that picture, how far the point that a pixel shows may be off
EDGE, AT_EDGE = 2, 0.1  # px from the outline of what moves, and the weight of points there
BISECTIONS = 24  # of the spacing of a grid


@dataclass(frozen=True)
class Plan:
    """What tracks are asked for.

    points, still_points: how many that move, and how many outside the mask that do not.
    layout: "random": denser where things move farther; "grid": rows and columns.
    frames: of the video. fps: its frame rate, of which only timing "rate" makes use.
    timing: "whole": the motion fills the video, and a loop's last frame is its first again;
        "rate": one second of the motion is one second of the video.
    size: (height, width) of the video; None for the still's own.
    fit: "crop" to the video's shape, or "stretch".
    from_still: The first frame is the still, whatever the pose of the motion.
    """

    points: int = 64
    still_points: int = 16
    layout: str = "random"
    seed: int = 0
    frames: int = 81
    timing: str = "whole"
    fps: float = 16.0
    size: tuple[int, int] | None = None
    fit: str = "crop"
    from_still: bool = True


@dataclass(frozen=True)
class Tracks:
    """Paths of points.

    paths: (x, y), px of a video of `size`.
    visible: Whether the point is in the picture and not behind something.
    size: (height, width).
    """

    paths: Float[Tensor, "t n 2"]
    visible: Bool[Tensor, "t n"]
    size: tuple[int, int]
    fps: float


@dataclass(frozen=True)
class Followed:
    """Tracks of a motion, and what goes with them.

    ati_paths: places at the times at which ATI reads them, px of the video.
    motion: the motion at the moments of the video's frames, to render beside the tracks.
    moving: how many of the tracks move; the others stand still.
    """

    tracks: Tracks
    ati_paths: Float[Tensor, "s n 2"]
    motion: Displacement
    moving: int

    def __str__(self) -> str:
        frames, count = self.tracks.visible.shape
        height, width = self.tracks.size
        hidden = int((~self.tracks.visible.all(0)).sum())
        said = f"Followed {self.moving} points that move and {count - self.moving} that do not, "
        said += f"over {frames} frames of {width}x{height} at {self.tracks.fps:.4g} fps."
        return said + (f" {hidden} are hidden in some frames." if hidden else "")


@dataclass(frozen=True)
class Window:
    """The part of a still that a video shows: (left, top), and the factor from px to px."""

    corner: Float[Tensor, "2"]
    scale: Float[Tensor, "2"]
    size: tuple[int, int]

    def to_video(self, positions: Float[Tensor, "... 2"]) -> Float[Tensor, "... 2"]:
        return (positions - self.corner + 0.5) * self.scale - 0.5

    def to_still(self, positions: Float[Tensor, "... 2"]) -> Float[Tensor, "... 2"]:
        return (positions + 0.5) / self.scale - 0.5 + self.corner


def window(still: tuple[int, int], video: tuple[int, int] | None, fit: str = "crop") -> Window:
    """How a still of (height, width) lies in a video of (height, width).

    Whole pixels are cut from both sides, as the nodes of the host do it; one is left at least.

    Raises:
        ValueError: For a size below 1, or another fit.
    """
    if fit not in FITS:
        raise ValueError(f"Expected the fit to be one of {', '.join(FITS)}, got {fit!r}.")
    (height, width), (rows, columns) = still, video or still
    if rows < 1 or columns < 1:
        raise ValueError(f"Expected a video of at least 1x1 px, got {columns}x{rows}.")
    left = top = 0
    if fit == "crop":
        if width * rows > height * columns:
            left = min(round((width - height * columns / rows) / 2), (width - 1) // 2)
        else:
            top = min(round((height - width * rows / columns) / 2), (height - 1) // 2)
    seen = width - 2 * left, height - 2 * top
    scale = torch.tensor([columns / seen[0], rows / seen[1]], dtype=torch.float64)
    return Window(torch.tensor([left, top], dtype=torch.float64), scale, (rows, columns))


def follow(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    plan: Plan = Plan(),
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> Followed:
    """Tracks of a motion.

    Args:
        matte: What may move; the motion's own mask by default.
        callback: Called with (frames done, number of frames); may raise to cancel.

    Raises:
        ValueError: If the plan is out of range, longer than a motion that is no loop, or asks for
            points where there are none.
    """
    _check(plan)
    size = tuple(still.shape[-2:])
    times = moments(motion, plan)
    timed = retimed(motion, times, plan)
    view = window(size, plan.size, plan.fit)
    layers = next(splatted_frames(still, timed, item, matte, [0])).layers
    points, moving = choose_points(layers, peaks(timed, item), plan, view, size)
    paths = paths_of(layers, timed, item, points, size)
    placed = view.to_video(paths.double())
    limit = placed.new_tensor([view.size[1], view.size[0]]) - 0.5
    inside = ((placed >= -0.5) & (placed < limit)).all(-1)
    seen = inside & _seen(still, timed, item, matte, points, paths, callback)
    ati = placed.float()
    if plan.frames > 1:
        ati_motion = retimed(motion, times[-1] * ati_times(plan.frames), plan)
        ati = view.to_video(paths_of(layers, ati_motion, item, points, size).double()).float()
    return Followed(Tracks(placed.float(), seen, view.size, timed.fps), ati, timed, moving)


def moments(motion: Displacement, plan: Plan) -> Float[Tensor, " t"]:
    """The moments of a video's frames, in frames of the motion.

    Raises:
        ValueError: If the motion is no loop and ends before the video.
    """
    numbers = torch.arange(plan.frames, dtype=torch.float64)
    last = motion.frames if motion.loop else motion.frames - 1
    if plan.timing == "whole":
        return numbers * (last / max(1, plan.frames - 1))
    times = numbers * (motion.fps / plan.fps)
    if not motion.loop and times[-1] > last + 1e-6:
        needed = 1 + int(torch.ceil(times[-1]))
        raise ValueError(
            f"Expected a motion of {needed} frames at {motion.fps:g} fps or more, for "
            f"{plan.frames} frames at {plan.fps:g} fps, got {motion.frames}. Play it longer, as a "
            "loop, or let it fill the video."
        )
    return times


def retimed(motion: Displacement, times: Float[Tensor, " t"], plan: Plan) -> Displacement:
    """The motion at moments between its frames; from the still on, if the plan says so.

    A loop is read from its Fourier series, which is exact.
    """
    coords = coords_between(motion.modal_coords, times, motion.loop)
    if plan.from_still:
        coords = coords - coords_between(motion.modal_coords, times[:1], motion.loop)
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    # A motion of one frame fills any video, at the rate it has.
    fps = motion.fps / step if step > 0 else motion.fps
    return replace(motion, modal_coords=coords, fps=fps, loop=False)


def choose_points(
    layers: Layers,
    peak: Float[Tensor, "gh gw"],
    plan: Plan,
    view: Window,
    size: tuple[int, int],
) -> tuple[Int[Tensor, "n 2"], int]:
    """Pixels (x, y) of the still: those that move, then those that stand still; how many move.

    Raises:
        ValueError: If points are asked for and nothing moves.
    """
    height, width = size
    stride = max(1, round((height * width / CANDIDATES) ** 0.5))
    ys = torch.arange(stride // 2, height, stride)
    xs = torch.arange(stride // 2, width, stride)
    grid = torch.stack(torch.broadcast_tensors(xs[None], ys[:, None]), -1).flatten(0, 1)
    at, _, matte = moving_pixels(layers, size)
    movable = torch.zeros_like(matte)
    movable[:, at] = 1
    share = F.interpolate(peak[None, None].float().cpu(), size, mode="bilinear")[0, 0]
    share = share / share.max().clamp(min=1e-12)
    shown = view.to_video(grid.double())
    shown = ((shown >= 0) & (shown <= torch.tensor([view.size[1] - 1, view.size[0] - 1]))).all(-1)
    flat = grid[:, 1] * width + grid[:, 0]
    moves = shown & (matte[0, flat] >= COVERED) & (share.flatten()[flat] >= LEAST_SHARE)
    if plan.points and not (moves & (peak.max() > 0).cpu()).any():
        raise ValueError(
            "Expected something that moves inside the video's frame, got nothing: there is no "
            "point to track. Check the mask and the amplitude."
        )
    generator = torch.Generator().manual_seed(plan.seed % 2**64)
    # Near an edge a point is hard to tell from what lies behind it.
    deep = 1 - dilated(1 - matte.view(1, height, width), EDGE)
    edge = torch.where(deep.flatten()[flat] >= COVERED, 1.0, AT_EDGE)
    weight = (share.flatten()[flat] * edge).clamp(min=SPARED)
    chosen = _spread(grid, moves, weight, plan.points, plan.layout, generator)
    # Points at rest keep off what moves, and off what moves over them.
    reach = 2 * stride + MARGIN
    apart = dilated(movable.view(1, height, width), reach).flatten()[flat] == 0
    rest = _spread(
        grid, shown & apart, torch.ones_like(weight), plan.still_points, plan.layout, generator
    )
    return torch.cat([grid[chosen], grid[rest]]), len(chosen)


def paths_of(
    layers: Layers,
    motion: Displacement,
    item: int,
    points: Int[Tensor, "n 2"],
    size: tuple[int, int],
) -> Float[Tensor, "t n 2"]:
    """Where pixels (x, y) of the still are in every frame: as the renderer moves them."""
    place, moving = found_in(layers, points)
    kept = place[moving]
    few = replace(
        layers,
        source_pixels=layers.source_pixels[kept],
        nodes=layers.nodes[kept],
        weights=layers.weights[:, kept],
    )
    scale = motion.scaled_to(size)
    paths = points.float().expand(motion.frames, -1, -1).clone()
    t = 0
    for part in motion.in_parts(item):
        for field in torch.where(part.isfinite(), part, 0.0) * scale:
            if moving.any():
                paths[t, moving] += upsample(few, field.float()).T
            t += 1
    return paths


def video_frames(frames: int, rule: int) -> int:
    """The number of frames n * rule + 1 that is nearest from above: 4 for Wan, 8 for LTX."""
    return frames if rule <= 1 else 1 + rule * -(-max(0, frames - 1) // rule)


def check_one(stills: int, motion: Displacement) -> None:
    """Refuse what has no tracks and maps: batches, and motions that flow.

    Raises:
        ValueError: In these cases.
    """
    motions = len(motion.coeffs)
    if stills != 1 or motions != 1:
        raise ValueError(
            f"Expected one still and one motion, got {stills} and {motions}. Take one of the batch "
            "before."
        )
    if motion.further is not None or motion.behind is not None:
        raise ValueError(
            "Expected a motion that sways, got one that flows: its pixels fade and begin anew, so "
            "it has no tracks and maps. Render it instead, or take the motion before it was "
            "combined with a flow."
        )


def _check(plan: Plan) -> None:
    for name, value, known in (("layout", plan.layout, LAYOUTS), ("timing", plan.timing, TIMINGS)):
        if value not in known:
            raise ValueError(f"Expected the {name} to be one of {', '.join(known)}, got {value!r}.")
    if plan.frames < 1 or not 0 < plan.fps < float("inf"):
        raise ValueError(
            f"Expected at least 1 frame, at a frame rate above 0, got {plan.frames} at {plan.fps}."
        )
    if plan.points < 0 or plan.still_points < 0 or plan.points + plan.still_points < 1:
        raise ValueError(
            f"Expected at least one point, got {plan.points} that move and {plan.still_points} "
            "that do not."
        )


def _spread(grid, allowed, weight, count, layout, generator) -> Int[Tensor, " n"]:
    """Indices of at most `count` allowed points of the grid, apart from each other."""
    where = allowed.nonzero().squeeze(1)
    if count == 0 or not len(where):
        return where[:0]
    if layout == "grid":
        return where[_in_rows(grid[where], count)]
    # A weight w draws like u^(1/w): the largest keys are a sample without replacement.
    keys = torch.rand(len(where), generator=generator, dtype=torch.float64).log()
    order = where[(keys / weight[where].double()).argsort(descending=True)]
    positions = grid[order].float()
    # Where points are to lie denser they may lie closer: an area of total weight 1 for each.
    own = (weight[order].mean() / weight[order]).sqrt()
    apart = (_cell(grid) * len(where) / count) ** 0.5
    kept: list[int] = []
    while len(kept) < min(count, len(order)):
        free = torch.ones(len(order), dtype=torch.bool)
        for k in kept:
            free &= (positions - positions[k]).square().sum(1) >= (apart * own) ** 2
        while len(kept) < count and free.any():
            k = int(free.nonzero()[0])
            kept.append(k)
            free &= (positions - positions[k]).square().sum(1) >= (apart * own) ** 2
            free[k] = False
        apart = 0.8 * apart if apart > 1 else 0.0
        if apart == 0.0 and len(kept) < count:
            taken = set(kept)
            kept += [k for k in range(len(order)) if k not in taken][: count - len(kept)]
    return order[torch.tensor(kept)]


def _in_rows(positions, count) -> Int[Tensor, " n"]:
    """Indices of points on rows and columns, as far apart as gives `count` of them, or nearly."""
    low, high = 1.0, float(positions.max()) + 2.0
    best = torch.arange(len(positions))
    for _ in range(BISECTIONS):
        spacing = (low + high) / 2
        cell = ((positions.double() + 0.5) / spacing).floor().long()
        center = (cell.double() + 0.5) * spacing - 0.5
        off = (positions - center).square().sum(1)
        # Of every cell the point nearest to its middle.
        key = cell[:, 1] * (int(cell[:, 0].max()) + 1) + cell[:, 0]
        order = off.argsort(stable=True)
        order = order[key[order].argsort(stable=True)]
        first = torch.ones(len(order), dtype=torch.bool)
        first[1:] = key[order].diff() != 0
        found = order[first]
        if len(found) >= count:
            low, best = spacing, found
        else:
            high = spacing
    keep = torch.linspace(0, len(best) - 1, min(count, len(best))).round().long()
    return best[keep]


def _cell(grid) -> float:
    """Area of the picture that one point of the grid stands for, px^2."""
    span = grid.amax(0) - grid.amin(0) + 1
    return float(span.prod()) / len(grid)


def _seen(still, motion, item, matte, points, paths, callback) -> Bool[Tensor, "t n"]:
    """Whether each point is what its pixel shows, in every frame."""
    height, width = still.shape[-2:]
    factor = min(1.0, SEEN_SIDE / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    if size != (height, width):
        still = F.interpolate(still[None].float(), size, mode="area")[0]
        matte = None if matte is None else F.interpolate(matte[None], size, mode="area")[0]
    ratio = torch.tensor([size[1] / width, size[0] / height])
    origin = (points.float() + 0.5) * ratio - 0.5
    seen = torch.ones(paths.shape[:2], dtype=torch.bool)
    limit = torch.tensor([size[1] - 1, size[0] - 1])
    for t, fields in enumerate(fields_of(still, motion, item, matte, iterations=0)):
        here = ((paths[t] + 0.5) * ratio - 0.5).round().long()
        inside = ((here >= 0) & (here <= limit)).all(1)
        x, y = here.clamp(min=0).minimum(limit).T
        shown = fields.source[:, y, x].T.cpu()
        near = (shown - origin).square().sum(1).sqrt() <= SEEN_PX
        seen[t] = inside & near
        callback(t + 1, motion.frames)
    return seen
