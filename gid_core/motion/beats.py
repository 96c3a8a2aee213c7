"""Loops on the beat: how long so many bars are, in seconds and in frames.

Law: the frames at the rate last exactly as long as the bars, so that a loop closes on the bar.
"""

from dataclasses import dataclass

MOST_BPM = 1000.0
MOST_BARS = 1000
LONGEST_S = 600.0


@dataclass(frozen=True)
class Bars:
    """Length of some bars.

    frames, fps: of a clip as long; fps is near the rate asked for, and exact for the frames.
    """

    duration_s: float
    beat_s: float
    frames: int
    fps: float
    bars: int

    def __str__(self) -> str:
        bar_s = self.duration_s / self.bars
        return (
            f"{self.duration_s:.4f} s: {self.frames} frames at {self.fps:.4f} per second. A beat "
            f"is {self.beat_s:.4f} s, a bar {bar_s:.4f} s. What moves at {1 / bar_s:.3f} Hz goes "
            "once in a bar."
        )


def bars(bpm: float, count: int, beats_per_bar: int = 4, fps: float = 30.0) -> Bars:
    """How long bars are.

    Args:
        fps: About the rate wanted: the nearest at which whole frames fill the bars is taken.

    Raises:
        ValueError: For numbers out of range.
    """
    if not 0 < bpm <= MOST_BPM:
        raise ValueError(f"Expected beats per minute above 0, up to {MOST_BPM:g}, got {bpm:g}.")
    if not (1 <= count <= MOST_BARS and beats_per_bar >= 1):
        raise ValueError(
            f"Expected 1 to {MOST_BARS} bars of at least one beat, got {count} of {beats_per_bar}."
        )
    if not 0 < fps < float("inf"):
        raise ValueError(f"Expected a frame rate above 0, got {fps}.")
    duration_s = count * beats_per_bar * 60 / bpm
    if duration_s > LONGEST_S:
        raise ValueError(
            f"Expected bars of at most {LONGEST_S:g} s in all, got {duration_s:g} s. Use fewer."
        )
    frames = max(1, round(duration_s * fps))
    return Bars(duration_s, 60 / bpm, frames, frames / duration_s, count)
