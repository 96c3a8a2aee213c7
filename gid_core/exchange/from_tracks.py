"""Tracks and flow of other tools as a motion: sparse paths become a field, and a spectral volume.

Law: the renderer moves the points of the tracks along the tracks; where no track says otherwise
the field is smooth. A flow that was exported comes back as the motion it was exported from.

Convention: pixels of the video that the tracks or the flow were made for, forward from its first
frame, y down. The first frame is the still.

Source: polyharmonic splines: Duchon 1977; Wahba, "Spline Models for Observational Data", 1990.
"""

from dataclasses import dataclass, replace

import torch

from ..motion.displacement import Displacement
from ..motion.spectrum import SpectralVolume, analyze
from ..render.layers import separate_layers
from ..shapes import Bool, Float, Int, Tensor
from ..still.grid import grid_size, pixel_grid, resize_displacement
from .fields import found_in
from .tracks import Tracks, window

LONGEST_GRID = 256  # points on the longer side of the field
MOST_TRACKS = 1000
SMALLEST = 1e-10  # singular values below it, relative to the largest, count as zero
FEWEST_FRAMES = 4


@dataclass(frozen=True)
class ReturnReport:
    """What was read.

    used, left_out: tracks with two visible places or more, and those without.
    gaps: places that were hidden, and are filled by straight lines in time.
    off_px: largest distance of the field from a track, px of the grid.
    bands: of the spectral volume.
    """

    frames: int
    fps: float
    used: int = 0
    left_out: int = 0
    gaps: int = 0
    off_px: float = 0.0
    bands: int = 0

    def __str__(self) -> str:
        if not self.used:
            return (
                f"Read a flow of {self.frames} frames at {self.fps:g} fps, as {self.bands} bands."
            )
        said = f"Read {self.used} tracks of {self.frames} frames at {self.fps:g} fps, as "
        said += f"{self.bands} bands; the field is at most {self.off_px:.2f} grid px off a track."
        if self.left_out:
            said += f" {self.left_out} tracks are never seen twice and were left out."
        if self.gaps:
            said += f" {self.gaps} hidden places were filled by straight lines."
        return said


def motion_of_tracks(
    tracks: Tracks,
    still: Float[Tensor, "c h w"],
    mask: Float[Tensor, "1 1 h w"] | None = None,
    bands: int = 16,
    fit: str = "crop",
) -> tuple[SpectralVolume, Displacement, ReturnReport]:
    """The motion of a still of which some points' paths are known.

    Args:
        mask: What may move, at the still's size; None means everything.
        bands: At most; fewer where there are few frames.

    Raises:
        ValueError: If no track is seen twice, there are too many, or too few frames.
    """
    frames, count = tracks.visible.shape
    _check_frames(frames)
    if count > MOST_TRACKS:
        raise ValueError(
            f"Expected at most {MOST_TRACKS} tracks, got {count}. Take a part of them."
        )
    usable = (tracks.visible.sum(0) >= 2) & tracks.paths.isfinite().all(-1).all(0)
    if not usable.any():
        raise ValueError("Expected a track that is seen in two frames or more, got none.")
    visible = tracks.visible[:, usable]
    paths = _bridged(tracks.paths[:, usable].double(), visible)
    size = tuple(still.shape[-2:])
    grid = grid_size(*size, LONGEST_GRID)
    points = window(size, tracks.size, fit).to_still(paths)
    scale = points.new_tensor([grid[1] / size[1], grid[0] / size[0]])
    moves = (points - points[:1]) * scale
    matte = still.new_ones(1, *size) if mask is None else mask[0].to(still)
    nodes, weights = _reading(still, matte, grid, points[0])
    field, off = _field((points[0] + 0.5) * scale - 0.5, nodes, weights, moves, grid)
    report = ReturnReport(
        frames, tracks.fps, int(usable.sum()), int((~usable).sum()), int((~visible).sum()), off
    )
    return _as_motion(field, tracks.fps, size, mask, bands, report)


def motion_of_flow(
    flow: Float[Tensor, "t 2 h w"],
    fps: float,
    still: tuple[int, int],
    mask: Float[Tensor, "1 1 hm wm"] | None = None,
    bands: int = 16,
) -> tuple[SpectralVolume, Displacement, ReturnReport]:
    """The motion of a still from dense flow, px of the flow's own size, still to every frame.

    Raises:
        ValueError: For too few frames, or values that are not finite.
    """
    _check_frames(len(flow))
    if not flow.isfinite().all():
        raise ValueError("Expected a flow of finite numbers, got NaN or infinity.")
    field = resize_displacement(flow.float(), grid_size(*still, LONGEST_GRID))
    return _as_motion(field, fps, still, mask, bands, ReturnReport(len(flow), fps))


def _as_motion(field, fps, still, mask, bands, report):
    bands = min(bands, (len(field) - 1) // 2)
    motion = Displacement.of_frames(field[None].float(), fps, still, mask)
    spectrum = analyze(field[None].float(), fps, bands, mask=mask, reference_size=still)
    return spectrum, motion, replace(report, bands=bands)


def _check_frames(frames: int) -> None:
    if frames < FEWEST_FRAMES:
        raise ValueError(
            f"Expected {FEWEST_FRAMES} frames or more to see a motion in, got {frames}."
        )


def _bridged(paths: Float[Tensor, "t n 2"], visible: Bool[Tensor, "t n"]) -> Float[Tensor, "t n 2"]:
    """Paths with hidden places on the straight line between the visible ones around them."""
    times = torch.arange(len(paths)).view(-1, 1)
    before = torch.where(visible, times, -1).cummax(0).values
    after = torch.where(visible, times, len(paths)).flip(0).cummin(0).values.flip(0)
    first = torch.where(before < 0, after, before)
    last = torch.where(after >= len(paths), before, after)
    share = ((times - first) / (last - first).clamp(min=1)).clamp(0, 1).unsqueeze(-1)
    ends = [paths.gather(0, i.unsqueeze(-1).expand(-1, -1, 2)) for i in (first, last)]
    return ends[0] + share.to(paths) * (ends[1] - ends[0])


def _reading(
    still: Float[Tensor, "c h w"],
    matte: Float[Tensor, "1 h w"],
    grid: tuple[int, int],
    points: Float[Tensor, "n 2"],
) -> tuple[Int[Tensor, "4 n"], Float[Tensor, "4 n"]]:
    """The grid points from which the renderer takes the motion of points, and their weights."""
    height, width = still.shape[-2:]
    layers = separate_layers(still, matte, grid, (0, 0))
    limit = torch.tensor([width - 1, height - 1])
    place, moving = found_in(layers, points.round().long().clamp(min=0).minimum(limit))
    wide = grid[1] + 2  # the renderer's grid has one more point on every side
    left = ((points[:, 0] + 0.5) * (grid[1] / width) + 0.5).clamp(0, grid[1] + 1 - 1e-4)
    top = ((points[:, 1] + 0.5) * (grid[0] / height) + 0.5).clamp(0, grid[0] + 1 - 1e-4)
    fx, fy = left - left.floor(), top - top.floor()
    first = (top.floor() * wide + left.floor()).long()
    weights = torch.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx])
    if moving.any():
        first[moving] = layers.nodes[place[moving]].long()
        shares = layers.weights[:, place[moving]].to(weights)
        weights[:, moving] = torch.cat([shares, 1 - shares.sum(0, keepdim=True)])
    nodes = torch.stack([first, first + 1, first + wide, first + wide + 1])
    rows = (nodes // wide - 1).clamp(0, grid[0] - 1)
    return rows * grid[1] + (nodes % wide - 1).clamp(0, grid[1] - 1), weights


def _field(
    points: Float[Tensor, "n 2"],
    nodes: Int[Tensor, "4 n"],
    weights: Float[Tensor, "4 n"],
    moves: Float[Tensor, "t n 2"],
    grid: tuple[int, int],
) -> tuple[Float[Tensor, "t 2 h w"], float]:
    """The smooth field on a grid that, read from `nodes` with `weights`, moves as points do.

    The coefficients are those of a spline on the grid. They are solved for what is read from the
    grid, not for the spline itself, which differs between the grid's points.

    Returns:
        The field, and how far it is off at most, px of the grid.
    """

    def at_points(values):
        return (values[nodes] * weights.unsqueeze(-1)).sum(0)

    basis = torch.cdist(pixel_grid(*grid, like=points).flatten(1).T, points) / max(grid)
    ones = points.new_ones(len(points), 1)
    system = torch.cat([torch.cat([at_points(basis), ones], 1), points.new_zeros(1, len(ones) + 1)])
    system[-1, :-1] = 1
    wanted = moves.transpose(0, 1).flatten(1)
    wanted = torch.cat([wanted, wanted.new_zeros(1, wanted.shape[1])])
    # The least-norm solution: two tracks may begin in one place.
    solved = torch.linalg.lstsq(system, wanted, driver="gelsd", rcond=SMALLEST).solution
    values = basis @ solved[:-1] + solved[-1:]
    off = (at_points(values) - wanted[:-1]).view(len(points), -1, 2).square().sum(-1).sqrt().max()
    return values.T.view(len(moves), 2, *grid), float(off)
