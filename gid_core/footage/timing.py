"""When the frames of a clip are shown, and how many of them in a second.

Law: the rate is the average, (frames - 1) / (last - first). Where a header states nearly the same,
the header is exact: containers round time stamps to 1 ms or 10 ms.

Convention: a frame of an animated picture (gif, webp, apng) that lasts 10 ms or less lasts 100 ms,
as browsers play it. Source: Chromium, platform/graphics/bitmap_image.cc.
"""

import struct
from collections.abc import Sequence

import numpy as np

MAX_PAUSE_S = 10.0  # between two frames; longer ones mean that time stamps are broken
SAME_RATE = 0.01  # relative
SHORTEST_S, SHOWN_S = 0.0105, 0.1
MAX_FRAMES = 20_000


def average_rate(times: Sequence[float], stated: float | None) -> float | None:
    """Frames per second of frames shown at these seconds, in any order; None if nothing tells.

    Args:
        stated: What the header states, if anything.
    """
    times = np.unique(times)
    pauses = np.flatnonzero(np.diff(times) > MAX_PAUSE_S)
    times = times[: pauses[0] + 1] if len(pauses) else times
    if len(times) < 2:
        return stated
    average = float((len(times) - 1) / (times[-1] - times[0]))
    # Each of the two fields of a frame may be a packet of its own.
    near = stated and min(abs(average / stated - 1), abs(average / stated - 2)) < SAME_RATE
    return stated if near else average


def shown_s(stored_s):
    """How long frames of an animated picture are shown, by the durations that it stores."""
    return np.where(np.asarray(stored_s) > SHORTEST_S, stored_s, SHOWN_S)


def as_browsers(times: Sequence[float]) -> list[float]:
    """When frames of an animated picture are shown, by the seconds that it stores."""
    return [0.0, *np.cumsum(shown_s(np.diff(times)))] if times else []


def webp_times(data: bytes) -> list[float]:
    """When the frames of an animated webp are shown, by its chunks alone (RIFF, ANMF)."""
    times, at, time = [], 12, 0.0
    while len(head := data[at : at + 8]) == 8 and len(times) < MAX_FRAMES:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"ANMF":
            times.append(time)
            time += float(shown_s(int.from_bytes(data[at + 20 : at + 23], "little") / 1000))
        at += 8 + length + length % 2
    return times
