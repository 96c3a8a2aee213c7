"""Strokes: which way something flows, drawn on the still, as plain numbers in one JSON text.

    [{"path": [[0.2, 0.6], [0.5, 0.55], [0.8, 0.6]], "speed": 1.5},
     {"path": [[0.4, 0.7]], "speed": 0},
     {"path": [[0.6, 0.7], [0.62, 0.72]], "obstacle": true}]

A path leads from its first point to its last, in fractions of the picture's width and height.
`speed` is a factor of the speed asked for; 0 holds what lies on the path. An obstacle is a path
around which things flow.

Law: a text means the same anywhere; the order of its strokes does not matter.
"""

import math
from dataclasses import dataclass

import torch

from ..motion.drawn import check_fields, number as value_of, read_list
from ..shapes import Bool, Float, Tensor

MOST_STROKES = 1000
MOST_POINTS = 20_000  # of all strokes together
MOST_SPEED = 100.0
FIELDS = "path", "speed", "obstacle"
SPACING = 0.5  # grid points between two samples of a stroke
EXAMPLE = '[{"path": [[0.2, 0.5], [0.8, 0.5]]}]'


@dataclass(frozen=True)
class Stroke:
    """One path. `path` has (x, y) in fractions of the picture, 0 to 1; `speed` is a factor."""

    path: tuple[tuple[float, float], ...]
    speed: float = 1.0
    obstacle: bool = False


@dataclass(frozen=True)
class Hints:
    """Strokes on a grid.

    heading: Sum of the unit vectors, times their speed, of what was drawn over a point.
    count: How many samples of strokes fall on a point.
    obstacle: Where nothing flows.
    """

    heading: Float[Tensor, "2 h w"]
    count: Float[Tensor, "h w"]
    obstacle: Bool[Tensor, "h w"]


def read_strokes(text: str) -> tuple[Stroke, ...]:
    """Read a text of strokes. An empty text has none.

    Raises:
        ValueError: For an invalid text; the message names the stroke and what is wrong with it.
    """
    parsed = read_list(text, "strokes", EXAMPLE, "draw them again", MOST_STROKES, "Draw fewer.")
    strokes = tuple(_stroke(i + 1, given) for i, given in enumerate(parsed))
    points = sum(len(stroke.path) for stroke in strokes)
    if points > MOST_POINTS:
        raise ValueError(
            f"Expected strokes of at most {MOST_POINTS} points in all, got {points}. Draw fewer, "
            "or thin their points."
        )
    return strokes


def on_grid(strokes: tuple[Stroke, ...], grid: tuple[int, int]) -> Hints:
    """Sample strokes on a grid of (height, width): each point takes the headings drawn over it."""
    height, width = grid
    sums = torch.zeros(3, height * width, dtype=torch.float64)
    obstacle = torch.zeros(height * width, dtype=torch.bool)
    size = torch.tensor([width, height], dtype=torch.float64)
    for stroke in strokes:
        path = torch.tensor(stroke.path, dtype=torch.float64) * size - 0.5
        places, headings = _samples(path)
        x, y = (places[:, i].round().long().clamp(0, n - 1) for i, n in enumerate((width, height)))
        at = y * width + x
        if stroke.obstacle:
            obstacle[at] = True
            continue
        values = torch.cat([headings.T * stroke.speed, torch.ones(1, len(at)).double()])
        sums.index_add_(1, at, values)
    sums = sums.float().view(3, height, width)
    return Hints(sums[:2], sums[2], obstacle.view(height, width))


def _samples(path):
    """Points along a path, closer than `SPACING`, and the unit vectors of their segments."""
    steps = path.diff(dim=0)
    lengths = steps.norm(dim=1)
    if not (lengths > 0).any():
        return path[:1], torch.zeros(1, 2, dtype=path.dtype)
    places, headings = [], []
    for start, step, length in zip(path, steps, lengths.tolist()):
        if length > 0:
            count = max(1, math.ceil(length / SPACING))
            along = (torch.arange(count, dtype=path.dtype) + 0.5)[:, None] / count
            places.append(start + along * step)
            headings.append((step / length).expand(count, 2))
    return torch.cat(places), torch.cat(headings)


def _stroke(number, given) -> Stroke:
    """A checked stroke; `number` names it in error messages."""
    check_fields(f"Stroke {number}", given, FIELDS, "a path")
    path = given.get("path")
    if not isinstance(path, list) or not path:
        raise ValueError(f"Stroke {number} has no path: give it points [x, y], 0 to 1.")
    points = tuple(_point(number, point) for point in path)
    obstacle = given.get("obstacle", False)
    if not isinstance(obstacle, bool):
        raise ValueError(
            f"Stroke {number}: expected obstacle to be true or false, got {obstacle!r:.60}."
        )
    speed = value_of(f"Stroke {number}", "speed", given.get("speed", 1.0))
    if not 0 <= speed <= MOST_SPEED:
        raise ValueError(
            f"Stroke {number}: expected a speed from 0 to {MOST_SPEED:g}, a factor of the speed "
            f"asked for, got {speed:g}."
        )
    if len(set(points)) == 1 and speed > 0 and not obstacle:
        raise ValueError(
            f"Stroke {number} has a single point, which leads nowhere. Give it two, or a speed of "
            "0 to hold what is there."
        )
    return Stroke(points, speed, obstacle)


def _point(number, point):
    if not isinstance(point, list) or len(point) != 2:
        raise ValueError(f"Stroke {number}: expected points [x, y], got {point!r:.60}.")
    x, y = (value_of(f"Stroke {number}", "path", value) for value in point)
    if not 0 <= x <= 1 or not 0 <= y <= 1:
        raise ValueError(
            f"Stroke {number} leaves the picture at ({x:.2f}, {y:.2f}). Points are fractions of "
            "width and height, 0 to 1."
        )
    return x, y
