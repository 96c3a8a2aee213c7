"""Tracks as text: the JSON that nodes of video models read, and the way back.

Law: text(tracks) read back is the tracks, to a hundredth of a pixel.

Convention: a list of tracks, each a list of {"x", "y"} in pixels of the video, one for each frame.
ATI reads 121 samples over the whole video, however many frames it has.

Source: the reader `parse_json_tracks` of ComfyUI's Wan nodes; the 121 samples are those of ATI,
Wang et al., "ATI: Any Trajectory Instruction for Controllable Video Generation", 2025.
"""

import json
import math

import numpy as np
import torch

from ..shapes import Bool, Float, Tensor

ATI_SAMPLES = 121
DIGITS = 2  # after the point, px
MOST_LETTERS = 100_000_000  # of a text that is read
MOST_POINTS = 20_000_000


def as_text(paths: Float[Tensor, "t n 2"]) -> str:
    """Paths in pixels as JSON. Places that are hidden are in it like all others."""
    rounded = paths.double().transpose(0, 1).tolist()
    return json.dumps(
        [[{"x": round(x, DIGITS), "y": round(y, DIGITS)} for x, y in path] for path in rounded],
        separators=(",", ":"),
    )


def ati_times(frames: int) -> Float[Tensor, " s"]:
    """The times of ATI's samples, as shares of the video from its first to its last frame.

    ATI reads one sample for each frame of the video, which need not lie at the frame's time. That
    sample gets the frame's own time, so that what is read is exact. The others lie between.

    Raises:
        ValueError: For fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"Expected at least 2 frames for ATI, got {frames}.")
    last, steps = ATI_SAMPLES - 1, frames - 1
    common = math.gcd(last, steps)
    every, repeats = last // common, steps // common
    reader = {0: 0}  # of each sample that is read: the first frame that reads it
    for frame in range(1, steps + 1):
        reader.setdefault(min(last, 1 + (1 + every * (frame - 1)) // repeats), frame)
    reader.setdefault(last, steps)
    samples, times = np.array(list(reader)), np.array(list(reader.values())) / steps
    return torch.from_numpy(np.interp(np.arange(ATI_SAMPLES), samples, times))


def from_text(text: str) -> tuple[Float[Tensor, "t n 2"], Bool[Tensor, "t n"]]:
    """Tracks of a text, and where they have a place. A short track ends before the others.

    Raises:
        ValueError: If it is no JSON of tracks, too long, or holds places that are not finite.
    """
    expected = 'Expected tracks as JSON, [[{"x": 1, "y": 2}, ...], ...]'
    if len(text) > MOST_LETTERS:
        raise ValueError(f"{expected}, got {len(text)} letters, more than {MOST_LETTERS}.")
    try:
        tracks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{expected}, got {text[:60]!r}: {error}.") from error
    if isinstance(tracks, list) and tracks and isinstance(tracks[0], dict):
        tracks = [tracks]
    if not isinstance(tracks, list) or not tracks:
        raise ValueError(f"{expected}, got {text[:60]!r}.")
    longest = max((len(t) for t in tracks if isinstance(t, list)), default=0)
    if not longest or longest * len(tracks) > MOST_POINTS:
        raise ValueError(f"{expected}, got {len(tracks)} tracks of up to {longest} places.")
    paths = torch.zeros(longest, len(tracks), 2)
    known = torch.zeros(longest, len(tracks), dtype=torch.bool)
    for n, track in enumerate(tracks):
        try:
            places = [(float(p["x"]), float(p["y"])) for p in track]
        except (TypeError, KeyError, ValueError, OverflowError):
            raise ValueError(f"{expected}, got {str(track)[:60]} as track {n}.") from None
        if not places:
            continue
        paths[: len(places), n] = torch.tensor(places)
        paths[len(places) :, n] = torch.tensor(places[-1])
        known[: len(places), n] = True
    if not paths.isfinite().all():
        raise ValueError(f"{expected}, got places that are not finite.")
    return paths, known
