"""Shots: where a clip is cut or fades, and the piece of it without either.

Law: frames of one shot look alike, neighbours closely, and to its first frame not too little.

Source: ours. Pictures of 24 x 24 are compared by correlation and by contrast. Over 29 clips of
swaying things neighbours correlated by 0.95 at least and with the first frame by 0.67; across a cut
from any of them to any other by 0.86 at most.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Float, Shaped, Tensor

SMALL = 24
LIKE_BEFORE, LIKE_FIRST = 0.9, 0.5  # correlation with the frame before, and with the first
CONTRAST = 1.25  # contrast may grow or shrink by so much
FLAT = 0.004  # standard deviation of a picture without contrast


@dataclass(frozen=True)
class Shot:
    """frames: bytes; start: its first frame's number in the clip; size: (height, width) as they came.

    cuts: frame numbers at which a shot ended.
    """

    frames: Shaped[Tensor, "t 3 h w"]
    start: int
    size: tuple[int, int]
    cuts: tuple[int, ...]


def longest_shot(
    frames: Iterable[Float[Tensor, "c h w"]], wanted: int, keep: Callable[[Tensor], Tensor]
) -> Shot:
    """The first shot of so many frames, ending with them; if none is that long, the longest.

    A shot ends at a cut, or where a fade or dissolve that has gone too far began.

    Args:
        keep: What is kept of a frame. No more than two shots are held.
    """
    best, shot, start, cuts, size = ([], 0), [], 0, [], (1, 1)
    looks, likeness = [], []
    for number, frame in enumerate(frames):
        size = tuple(frame.shape[-2:])
        look = _look(frame)
        if looks:
            likeness.append(_likeness(looks[0], look))
            cut = _apart(_likeness(looks[-1], look), LIKE_BEFORE)
            if cut or _apart(likeness[-1], LIKE_FIRST):
                last = len(shot) if cut else _before_fading(likeness)
                cuts.append(start + last)
                if last > len(best[0]):
                    best = shot[:last], start
                shot, start, looks, likeness = [], number, [], []
        shot.append(keep(frame))
        looks = [*looks[:1], look]
        if len(shot) == wanted:
            break
    if len(shot) >= min(wanted, len(best[0])):
        best = shot, start
    kept = torch.stack(best[0]) if best[0] else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
    return Shot(kept, best[1], size, tuple(cuts))


def _look(frame):
    """A small picture without its mean, and its contrast."""
    small = F.interpolate(frame[None].float(), (SMALL, SMALL), mode="area")[0]
    small = small - small.mean((1, 2), keepdim=True)
    return small, float(small.square().mean().sqrt())


def _likeness(one, other):
    """Correlation, and how much of the greater contrast the smaller has; flat pictures are alike."""
    contrast = max(one[1], FLAT), max(other[1], FLAT)
    if max(contrast) == FLAT:
        return 1.0, 1.0
    correlation = float((one[0] * other[0]).mean()) / (contrast[0] * contrast[1])
    return correlation, min(contrast) / max(contrast)


def _apart(likeness, least):
    return likeness[0] < least or likeness[1] < 1 / CONTRAST


def _before_fading(likeness):
    """How many frames came before the likeness to the first one began its last, fast fall."""
    course = [1.0] + [correlation * contrast for correlation, contrast in likeness]
    falls = [before - after for before, after in zip(course, course[1:])]
    last = len(falls)
    fastest = falls[-1]
    while last > 1 and falls[last - 1] > 0.25 * fastest:
        last -= 1
        fastest = max(fastest, falls[last])
    return last
