"""Gestures: what a finger did to a still, as plain numbers in one JSON text.

    [{"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": -0.02, "hold": 0.6}]

At time t (seconds) a finger touches the still at (x, y), fractions of the picture's width and
height. After `hold` seconds it releases at (x + dx, y + dy). In between it moves straight to the
end and stays there, or it follows "path": [[s, dx, dy], ...], seconds and offsets since the touch.
"hold": 0 makes a flick. "push": true makes a finger that grabs nothing and pushes what it passes.

Law: a text means the same anywhere, and the order of its gestures does not matter.
`web/gid_gestures.js` reads it in the same way.
"""

from dataclasses import dataclass

from ..motion.drawn import check_fields, number as value_of, read_list

RISE_S = 0.2  # a pull without a path reaches its end in this time, or in half its hold if shorter
MAX_GESTURES = 1000
MAX_PATH_POINTS = 1000
MAX_TIME_S = 3600.0
REQUIRED = "t", "x", "y", "dx", "dy"
FIELDS = *REQUIRED, "hold", "path", "push"
EXAMPLE = '[{"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": 0, "hold": 0.6}]'
TOO_MANY = "Delete some, or render the clip in parts."


@dataclass(frozen=True)
class Gesture:
    """One finger from touch to release.

    t: time of the touch, s. x, y: its place, fractions of the picture's width and height.
    trajectory: (s, dx, dy) of the finger since the touch, linear in between; starts at (0, 0, 0).
    """

    t: float
    x: float
    y: float
    trajectory: tuple[tuple[float, float, float], ...]
    push: bool = False

    @property
    def end(self) -> float:
        """Time of the release, s."""
        return self.t + self.trajectory[-1][0]

    @property
    def is_flick(self) -> bool:
        return self.trajectory[-1][0] == 0

    def offset(self, s: float | int) -> tuple[float, float]:
        """(dx, dy) of the finger s seconds after the touch, relative to the place of the touch."""
        for (a, ax, ay), (b, bx, by) in zip(self.trajectory, self.trajectory[1:]):
            if s < b:
                fraction = (s - a) / (b - a)
                return ax + fraction * (bx - ax), ay + fraction * (by - ay)
        return self.trajectory[-1][1:]


def read_gestures(text: str) -> tuple[Gesture, ...]:
    """Read a text of gestures. An empty text has none.

    Raises:
        ValueError: For an invalid text; the message names the gesture and what is wrong with it.
    """
    parsed = read_list(text, "gestures", EXAMPLE, "record them again", MAX_GESTURES, TOO_MANY)
    return tuple(_gesture(i + 1, g) for i, g in enumerate(parsed))


def _gesture(number, given) -> Gesture:
    """A checked gesture; `number` names it in error messages."""
    check_fields(f"Gesture {number}", given, FIELDS, "t, x, y, dx, dy")
    missing = [key for key in REQUIRED if key not in given]
    if missing:
        raise ValueError(f"Gesture {number} lacks {', '.join(missing)}.")
    t, x, y, dx, dy = (value_of(f"Gesture {number}", key, given[key]) for key in REQUIRED)
    hold = value_of(f"Gesture {number}", "hold", given.get("hold", 0))
    if not 0 <= x <= 1 or not 0 <= y <= 1:
        raise ValueError(
            f"Gesture {number} is outside the picture: ({x:.2f}, {y:.2f}). Coordinates are "
            "fractions of width and height, 0 to 1."
        )
    for name, value in (("t", t), ("hold", hold)):
        if not 0 <= value <= MAX_TIME_S:
            raise ValueError(
                f"Gesture {number}: expected {name} in seconds, 0 to {MAX_TIME_S:g}, got {value:g}."
            )
    push = given.get("push", False)
    if not isinstance(push, bool):
        raise ValueError(f"Gesture {number}: expected push to be true or false, got {push!r:.60}.")
    if push and hold == 0:
        raise ValueError(f"Gesture {number} pushes for no time: give it a hold above 0 seconds.")
    points = _path(number, given.get("path"), hold)
    trajectory = ((0.0, 0.0, 0.0), *points, (hold, dx, dy)) if hold else ((0.0, dx, dy),)
    if any(abs(offset) > 1 for _, *offsets in trajectory for offset in offsets):
        raise ValueError(
            f"Gesture {number} goes farther than the picture is large: expected dx and dy within "
            "-1 and 1, fractions of width and height."
        )
    if hold and not push and given.get("path") is None:
        rise = min(RISE_S, hold / 2)
        trajectory = (trajectory[0], (rise, dx, dy), trajectory[-1])
    return Gesture(t, x, y, trajectory, push)


def _path(number, given, hold):
    """The points of a path; their times rise between the touch and the release."""
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MAX_PATH_POINTS:
        raise ValueError(
            f"Gesture {number}: expected a path of at most {MAX_PATH_POINTS} places [s, dx, dy]."
        )
    points, last = [], 0.0
    for point in given:
        if not isinstance(point, list) or len(point) != 3:
            raise ValueError(
                f"Gesture {number}: expected places [s, dx, dy] on its path, got {point!r:.60}."
            )
        s, *offset = (value_of(f"Gesture {number}", "path", value) for value in point)
        if not last < s < hold:
            raise ValueError(
                f"Gesture {number}: the times on its path must rise from above 0 to below its hold "
                f"of {hold:g} s, got {s:g} after {last:g}."
            )
        points.append((s, *offset))
        last = s
    return tuple(points)
