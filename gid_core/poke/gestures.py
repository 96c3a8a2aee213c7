"""Gestures: what a hand did to a still, as plain numbers in one text.

    [{"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": -0.02, "hold": 0.6}]

At t seconds a finger comes down at (x, y), fractions of the picture's width and height, and after
`hold` seconds lets go at (x + dx, y + dy). Between, it goes straight to its end and stays; or through
"path": [[s, dx, dy], ...], seconds and offsets since it came down. With "hold": 0 it is a flick. With
"push": true it takes hold of nothing, and pushes what it passes.

Law: a text means the same anywhere, and the order of its gestures means nothing. `web/gid_modal.js`
reads it in the same way.
"""

import json
import math
from dataclasses import dataclass

FORMAT_VERSION = 1
RISE_S = 0.2  # of a pull without a path, or half its hold where that is shorter
MOST_GESTURES = 1000
MOST_PLACES = 1000  # of one path
LONGEST_S = 3600.0
NEEDED, KNOWN = ("t", "x", "y", "dx", "dy"), ("t", "x", "y", "dx", "dy", "hold", "path", "push")


@dataclass(frozen=True)
class Gesture:
    """One finger from coming down to letting go.

    way: (seconds since t, dx, dy) of the finger, straight lines between; from (0, 0, 0) to its end.
    """

    t: float
    x: float
    y: float
    way: tuple[tuple[float, float, float], ...]
    push: bool = False

    @property
    def end(self) -> float:
        return self.t + self.way[-1][0]

    @property
    def is_flick(self) -> bool:
        return self.way[-1][0] == 0

    def offset(self, s: float | int) -> tuple[float, float]:
        """Where the finger is s seconds after it came down, as seen from there."""
        for (a, ax, ay), (b, bx, by) in zip(self.way, self.way[1:]):
            if s < b:
                share = (s - a) / (b - a)
                return ax + share * (bx - ax), ay + share * (by - ay)
        return self.way[-1][1:]


def read_gestures(text: str) -> tuple[Gesture, ...]:
    """Read a text of gestures; none in an empty one.

    Raises:
        ValueError: For anything else, with the gesture that is wrong and why.
    """
    if not text.strip():
        return ()
    try:
        given = json.loads(text, parse_constant=_refused_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"The gestures are not readable as JSON: {error}. Expected a list such as "
            '[{"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": 0, "hold": 0.6}].'
        ) from error
    if isinstance(given, dict):
        version = given.get("version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"The gestures have format version {version!r}, this release reads version "
                f"{FORMAT_VERSION}. Update Image Dynamics, or record them again."
            )
        given = given.get("gestures")
    if not isinstance(given, list):
        raise ValueError(
            f"Expected a list of gestures, got {type(given).__name__}. Write [] for none."
        )
    if len(given) > MOST_GESTURES:
        raise ValueError(
            f"Expected at most {MOST_GESTURES} gestures, got {len(given)}. Delete some, or render "
            "the clip in parts."
        )
    return tuple(_gesture(i + 1, g) for i, g in enumerate(given))


def _gesture(number, given) -> Gesture:
    if not isinstance(given, dict):
        raise ValueError(f"Gesture {number} is no object with t, x, y, dx, dy, but {given!r:.60}.")
    unknown = [key for key in given if key not in KNOWN]
    if unknown:
        raise ValueError(
            f"Gesture {number} has {unknown[0]!r}, which this release does not know; it knows "
            f"{', '.join(KNOWN)}. It may come from a newer one: update Image Dynamics."
        )
    missing = [key for key in NEEDED if key not in given]
    if missing:
        raise ValueError(f"Gesture {number} lacks {', '.join(missing)}.")
    t, x, y, dx, dy = (_number(number, key, given[key]) for key in NEEDED)
    hold = _number(number, "hold", given.get("hold", 0))
    if not 0 <= x <= 1 or not 0 <= y <= 1:
        raise ValueError(
            f"Gesture {number} is outside the picture: ({x:.2f}, {y:.2f}). Coordinates are fractions "
            "of width and height, 0 to 1."
        )
    for name, value in (("t", t), ("hold", hold)):
        if not 0 <= value <= LONGEST_S:
            raise ValueError(
                f"Gesture {number}: expected {name} in seconds, 0 to {LONGEST_S:g}, got {value:g}."
            )
    push = given.get("push", False)
    if not isinstance(push, bool):
        raise ValueError(f"Gesture {number}: expected push to be true or false, got {push!r:.60}.")
    if push and hold == 0:
        raise ValueError(f"Gesture {number} pushes for no time: give it a hold above 0 seconds.")
    places = _path(number, given.get("path"), hold)
    way = ((0.0, 0.0, 0.0), *places, (hold, dx, dy)) if hold else ((0.0, dx, dy),)
    if any(abs(offset) > 1 for _, *offsets in way for offset in offsets):
        raise ValueError(
            f"Gesture {number} goes farther than the picture is large: expected dx and dy within -1 "
            "and 1, fractions of width and height."
        )
    if hold and not push and given.get("path") is None:
        rise = min(RISE_S, hold / 2)
        way = (way[0], (rise, dx, dy), way[-1])
    return Gesture(t, x, y, way, push)


def _path(number, given, hold):
    """Places on the way, their times rising between coming down and letting go."""
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_PLACES:
        raise ValueError(
            f"Gesture {number}: expected a path of at most {MOST_PLACES} places [s, dx, dy]."
        )
    places, last = [], 0.0
    for place in given:
        if not isinstance(place, list) or len(place) != 3:
            raise ValueError(
                f"Gesture {number}: expected places [s, dx, dy] on its path, got {place!r:.60}."
            )
        s, *offset = (_number(number, "path", value) for value in place)
        if not last < s < hold:
            raise ValueError(
                f"Gesture {number}: the times on its path must rise from above 0 to below its hold "
                f"of {hold:g} s, got {s:g} after {last:g}."
            )
        places.append((s, *offset))
        last = s
    return tuple(places)


def _number(number, name, value) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"Gesture {number}: expected {name} to be a number, got {value!r:.60}.")
    return float(value)


def _refused_constant(name):
    raise ValueError(f"The gestures hold {name}, which is no number. Write numbers only.")
