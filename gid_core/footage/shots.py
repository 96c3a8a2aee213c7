"""Shots of a clip: where the clip is cut or fades, and one piece without cut or fade.

Law: the frames of one shot resemble each other: neighbours closely, all of them the first frame.

Source: ours. Thumbnails of 24 x 24 are compared by correlation and by contrast. In 29 clips of
swaying plants neighbours correlate by 0.95 or more, and every frame with the first by 0.67 or more.
Across a cut between any two of these clips the correlation is 0.86 or less.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Float, Shaped, Tensor

THUMBNAIL = 24  # px, both sides
LEAST_TO_PREVIOUS, LEAST_TO_FIRST = 0.9, 0.5  # correlation with the frame before, and the first
CONTRAST = 1.25  # largest factor by which the contrast may grow or shrink
FLAT = 0.004  # standard deviation of a picture without contrast


@dataclass(frozen=True)
class Shot:
    """Consecutive frames of a clip without a cut.

    frames: bytes, as `keep` returned them.
    start: number of the first frame in the clip.
    size: (height, width) of the frames before `keep`.
    cuts: frame numbers at which a shot ended, over all frames that were read.
    """

    frames: Shaped[Tensor, "t 3 h w"]
    start: int
    size: tuple[int, int]
    cuts: tuple[int, ...]


def longest_shot(
    frames: Iterable[Float[Tensor, "c h w"]], length: int, keep: Callable[[Tensor], Tensor]
) -> Shot:
    """The first shot of `length` frames, ending with them; if there is none, the longest shot.

    A shot ends at a cut, or where a fade or dissolve begins that later goes too far.

    Args:
        keep: Maps a frame to what is stored of it, bytes. At most two shots are stored at a time.
    """
    best, shot, start, cuts, size = ([], 0), [], 0, [], (1, 1)
    thumbnails, to_first = [], []
    for number, frame in enumerate(frames):
        size = tuple(frame.shape[-2:])
        thumbnail = _thumbnail(frame)
        if thumbnails:
            to_first.append(_similarity(thumbnails[0], thumbnail))
            cut = _differs(_similarity(thumbnails[-1], thumbnail), LEAST_TO_PREVIOUS)
            if cut or _differs(to_first[-1], LEAST_TO_FIRST):
                end = len(shot) if cut else _before_fading(to_first)
                cuts.append(start + end)
                if end > len(best[0]):
                    best = shot[:end], start
                shot, start, thumbnails, to_first = [], number, [], []
        shot.append(keep(frame))
        thumbnails = [*thumbnails[:1], thumbnail]  # the first and the latest
        if len(shot) == length:
            break
    if len(shot) >= min(length, len(best[0])):
        best = shot, start
    kept = torch.stack(best[0]) if best[0] else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
    return Shot(kept, best[1], size, tuple(cuts))


def _thumbnail(frame):
    """A small picture without its mean, and its contrast."""
    small = F.interpolate(frame[None].float(), (THUMBNAIL, THUMBNAIL), mode="area")[0]
    small = small - small.mean((1, 2), keepdim=True)
    return small, float(small.square().mean().sqrt())


def _similarity(one, other):
    """Correlation of two thumbnails, and their smaller contrast over the larger; 1, 1 if flat."""
    contrast = max(one[1], FLAT), max(other[1], FLAT)
    if max(contrast) == FLAT:
        return 1.0, 1.0
    correlation = float((one[0] * other[0]).mean()) / (contrast[0] * contrast[1])
    return correlation, min(contrast) / max(contrast)


def _differs(similarity, least):
    return similarity[0] < least or similarity[1] < 1 / CONTRAST


def _before_fading(to_first):
    """Number of frames before the similarity to the first frame began its last, fast fall."""
    course = [1.0] + [correlation * contrast for correlation, contrast in to_first]
    falls = [before - after for before, after in zip(course, course[1:])]
    last = len(falls)
    fastest = falls[-1]
    while last > 1 and falls[last - 1] > 0.25 * fastest:
        last -= 1
        fastest = max(fastest, falls[last])
    return last
