"""Curves by control points: gain over frequency, strength and speed over time, from a plain text.

Law: the curve goes through its points, in straight lines, and is flat beyond the two ends. Its
integral is exact.

Convention: a text is `x: y` pairs, as `0.2:1, 1:0.5, 3:0`, or values alone, as `1, 0.5, 1`, which
are spread evenly over the whole length.
"""

import math
import re
from dataclasses import dataclass

import torch

from ..shapes import Float, Tensor

MOST_POINTS = 10_000
LARGEST = 1e6  # of a coordinate or a value


@dataclass(frozen=True)
class Curve:
    """Straight lines between points. `x` rises strictly."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def of_points(cls, points: list[tuple[float, float]], what: str = "curve") -> "Curve":
        """A curve through points in any order.

        Raises:
            ValueError: For fewer than two points, numbers that are not finite, or one x twice.
        """
        if not 2 <= len(points) <= MOST_POINTS:
            raise ValueError(
                f"Expected a {what} of 2 to {MOST_POINTS} points, got {len(points)}. Write at "
                "least two, as 0.2:1, 3:0."
            )
        points = sorted((float(x), float(y)) for x, y in points)
        if not all(abs(n) <= LARGEST for point in points for n in point):
            raise ValueError(
                f"Expected finite numbers up to {LARGEST:g} in the {what}, got others."
            )
        for (a, _), (b, _) in zip(points, points[1:]):
            if a == b:
                raise ValueError(f"Expected each place once in the {what}, got {a:g} twice.")
        x, y = zip(*points)
        return cls(x, y)

    def at(self, x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Values at any places, in float64."""
        known, values = (torch.tensor(n, dtype=torch.float64) for n in (self.x, self.y))
        x = x.double().clamp(known[0], known[-1])
        right = torch.searchsorted(known, x).clamp(1, len(known) - 1)
        left = right - 1
        share = (x - known[left]) / (known[right] - known[left])
        return values[left] + share * (values[right] - values[left])

    def integral(self, x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The integral from 0 to each place, exact for the straight lines, in float64."""
        known = torch.tensor(self.x, dtype=torch.float64)
        x = x.double()
        # Between two neighbours of `stops` the curve is one straight line.
        stops = torch.cat([known, x, x.new_zeros(1)]).unique()
        values = self.at(stops)
        steps = (values[1:] + values[:-1]) / 2 * stops.diff()
        total = torch.cat([x.new_zeros(1), steps.cumsum(0)])
        start = total[torch.searchsorted(stops, x.new_zeros(1))]
        return total[torch.searchsorted(stops, x)] - start

    def scaled(self, length: float) -> "Curve":
        """The curve with its x times a length."""
        return Curve(tuple(x * length for x in self.x), self.y)


def parse_curve(
    text: str, length: float, what: str = "curve", periodic: bool = False
) -> Curve | None:
    """The curve that a text states; None for an empty text.

    Args:
        length: What values without places are spread over, from 0 on.
        periodic: Such values go once around: after the last comes the first again.

    Raises:
        ValueError: For a text that is no curve, or a curve of one point.
    """
    text = text.strip().rstrip(",;")
    if not text:
        return None
    parts = [part for part in re.split(r"[,;\n]", text) if part.strip()]
    paired = [":" in part for part in parts]
    if any(paired) and not all(paired):
        raise _not_a_curve(text, what)
    try:
        if paired[0]:
            points = [tuple(_number(n) for n in part.split(":")) for part in parts]
            if any(len(point) != 2 for point in points):
                raise ValueError(text)
        else:
            values = [_number(word) for part in parts for word in part.split()]
            ends = len(values) + periodic if len(values) > 1 else 1
            values = values + values[:1] if periodic and len(values) > 1 else values
            points = [(length * i / max(1, ends - 1), y) for i, y in enumerate(values)]
    except ValueError:
        raise _not_a_curve(text, what) from None
    return Curve.of_points(points, what)


def ranges(text: str, what: str) -> list[tuple[float, float]]:
    """Ranges of frequencies that a text states, as `0.4, 1-2`: (from, to), in Hz.

    Raises:
        ValueError: For a text that states none.
    """
    found = []
    for part in filter(None, (p.strip() for p in re.split(r"[,;\n]", text))):
        low, dash, high = part.partition("-")
        try:
            ends = _number(low), _number(high if dash else low)
        except ValueError:
            ends = (1.0, 0.0)
        if not 0 <= ends[0] <= ends[1]:
            raise ValueError(
                f"Expected {what} as frequencies in Hz, as 0.4, 1-2, got {text.strip()[:60]!r}."
            )
        found.append(ends)
    return found


def _number(text) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _not_a_curve(text, what):
    return ValueError(
        f"Expected a {what} as points x:y, as 0.2:1, 1:0.5, 3:0, or as values, as 1, 0.5, 1, got "
        f"{text[:60]!r}."
    )
