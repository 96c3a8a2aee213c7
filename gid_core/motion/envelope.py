"""Strength over time: a displacement times an envelope, from a curve, beats or a sound's level.

Law: D is linear in q, so D_t times e_t is q_t times e_t, exactly; a loop stays a loop if the
envelope is periodic, which beats and sounds are made to be inside a loop.

Convention: an envelope rises linearly within its attack after an onset, holds the onset's level
there, and falls exponentially, to 1/e within its release.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from .curves import Curve, parse_curve
from .displacement import Displacement

STEPS_PER_S = 1000  # at which levels of a sound are measured
SILENT = 1e-5  # level of a sound, full scale 1, below which nothing is heard
SEAM = 1e-3  # difference of strength between the two ends of a loop that still counts as closed
MOST_BPM = 1000.0
LARGEST = 100.0  # strength


@dataclass(frozen=True)
class Pulse:
    """How an envelope follows onsets: attack and release in seconds, and the least strength."""

    attack_s: float = 0.05
    release_s: float = 0.3
    floor: float = 0.0

    def __post_init__(self):
        if not (0 <= self.attack_s <= 60 and 0 < self.release_s <= 60 and 0 <= self.floor <= 1):
            raise ValueError(
                "Expected an attack from 0 to 60 s, a release above 0 up to 60 s and a floor from "
                f"0 to 1, got {self.attack_s:g}, {self.release_s:g} and {self.floor:g}."
            )


@dataclass(frozen=True)
class Sound:
    """What is heard of a sound: samples at a rate, between two frequencies in Hz."""

    samples: Float[Tensor, "channels n"]
    rate: float
    low_hz: float = 0.0
    high_hz: float = 20_000.0


@dataclass(frozen=True)
class EnvelopeReport:
    """Range of the strength, the step at the seam of a loop, and what else to know."""

    lowest: float
    highest: float
    step: float
    was_loop: bool
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"Strength from {self.lowest:.2f} to {self.highest:.2f}."
        if self.was_loop and self.step > SEAM:
            text += (
                f" No loop any more: the strength ends {self.step:.2f} from where it begins. End "
                "the curve as it begins."
            )
        return " ".join([text, *self.notes])


def apply_envelope(
    motion: Displacement, strength: Float[Tensor, " t1"], notes: tuple[str, ...] = ()
) -> tuple[Displacement, EnvelopeReport]:
    """The displacement times a strength at each frame.

    Args:
        strength: At every frame, and at the one after the last, which tells whether a loop closes.

    A flow behind the motion keeps its course.

    Raises:
        ValueError: For strengths that are not finite, or beyond `LARGEST`; for a motion that flows:
            it goes on, and is not at rest where its displacement is zero.
    """
    if motion.weights is not None:
        raise ValueError(
            "Expected a motion that sways, got one that flows. Set its speed and turbulence in "
            "Flow Motion."
        )
    if len(strength) != motion.frames + 1:
        raise ValueError(
            f"Expected a strength for each of the {motion.frames} frames and the one after, got "
            f"{len(strength)}."
        )
    if not (strength.isfinite().all() and strength.abs().max() <= LARGEST):
        raise ValueError(f"Expected strengths from {-LARGEST:g} to {LARGEST:g}, got others.")
    step = float((strength[-1] - strength[0]).abs())
    here = strength[:-1].to(motion.modal_coords.real.dtype)
    changed = replace(
        motion, modal_coords=motion.modal_coords * here, loop=motion.loop and step <= SEAM
    )
    if motion.behind is not None:
        notes = (*notes, "What flows behind it keeps its course.")
    report = EnvelopeReport(float(here.min()), float(here.max()), step, motion.loop, notes)
    return changed, report


def envelope(
    motion: Displacement,
    curve: str = "",
    drawn: Curve | None = None,
    sound: Sound | None = None,
    bpm: float = 0.0,
    pulse: Pulse = Pulse(),
) -> tuple[Displacement, EnvelopeReport, Float[Tensor, " t1"]]:
    """Change the strength of a motion over time.

    A curve, beats and a sound multiply, as far as they are given.

    Args:
        curve: Strength over seconds, or values spread over the clip, as text.
        drawn: The same over 0 ... 1 of the clip; the text wins.
        bpm: Beats per minute, the first at time 0; 0 for none.

    Raises:
        ValueError: For a text that is no curve, a sound that is empty or silent, numbers out of
            range, or a motion that flows.
    """
    duration_s = motion.frames / motion.fps
    times = torch.arange(motion.frames + 1, dtype=torch.float64) / motion.fps
    strength, notes = torch.ones_like(times), []
    found = parse_curve(curve, duration_s, "curve of strength", motion.loop)
    if found is None and drawn is not None:
        found = drawn.scaled(duration_s)
    if found is not None:
        strength = strength * found.at(times)
    if bpm:
        beats, note = _beats(bpm, duration_s, motion.loop)
        notes.append(note)
        levels = followed(beats, pulse, motion.loop)
        strength = strength * _sampled(levels, times, pulse, motion.loop)
    if sound is not None:
        level, note = sound_level(sound, duration_s)
        notes.append(note)
        levels = followed(level, pulse, motion.loop)
        strength = strength * _sampled(levels / levels.max(), times, pulse, motion.loop)
    changed, report = apply_envelope(motion, strength, tuple(filter(None, notes)))
    return changed, report, strength


def sound_level(sound: Sound, duration_s: float) -> tuple[Float[Tensor, " n"], str]:
    """Root-mean-square level of a band of a sound, `STEPS_PER_S` times a second, and a note.

    The band is cut out of the whole sound at once, without delay. A sound that is shorter than the
    clip ends in silence, of a longer one the beginning is heard.

    Raises:
        ValueError: For a sound that is empty or silent within the band, or a band of no width.
    """
    samples = sound.samples
    if samples.shape[-1] == 0 or not len(samples):
        raise ValueError("Expected a sound, got an empty one. Load another, or connect none.")
    if not samples.isfinite().all() or not 0 < sound.rate < float("inf"):
        raise ValueError("Expected a sound of finite samples and a rate above 0, got others.")
    if not 0 <= sound.low_hz < sound.high_hz:
        raise ValueError(
            f"Expected a band from a lower to a higher frequency, got {sound.low_hz:g} to "
            f"{sound.high_hz:g} Hz."
        )
    wanted = round(duration_s * sound.rate)
    mono = samples.double().mean(0)[:wanted]
    lasts = samples.shape[-1] / sound.rate
    note = ""
    if abs(lasts - duration_s) > 0.01:
        what = "the beginning is heard" if lasts > duration_s else "the rest is silent"
        note = f"The sound lasts {lasts:.2f} s, the clip {duration_s:.2f} s: {what}."
    mono = F.pad(mono, (0, max(0, wanted - len(mono))))
    spectrum = torch.fft.rfft(mono)
    hz = torch.fft.rfftfreq(len(mono), 1 / sound.rate, dtype=torch.float64)
    heard = (hz >= sound.low_hz) & (hz <= sound.high_hz)
    power = torch.fft.irfft(spectrum * heard, n=len(mono)).square()
    count = max(1, round(duration_s * STEPS_PER_S))
    ends = (torch.arange(count + 1, dtype=torch.float64) * len(mono) / count).round().long()
    total = F.pad(power.cumsum(0), (1, 0))[ends]
    level = (total.diff() / ends.diff().clamp(min=1)).clamp(min=0).sqrt()
    if level.max() <= SILENT:
        raise ValueError(
            f"The sound is silent from {sound.low_hz:g} to {sound.high_hz:g} Hz within the clip's "
            f"{duration_s:.2f} s: nothing would move. Widen the band, or use another sound."
        )
    return level, note


def followed(level: Float[Tensor, " n"], pulse: Pulse, loop: bool) -> Float[Tensor, " n"]:
    """A level with attack and release, `STEPS_PER_S` times a second.

    In a loop the end of the sound is heard before its beginning.
    """
    if loop:
        count = len(level)
        return _follow(level.repeat(3), pulse)[count : 2 * count]
    return _follow(level, pulse)


def _follow(level, pulse):
    """Linear attack, exponential release.

    The largest level of the time of the attack, and the mean of that over the same time, reach an
    onset's level exactly one attack later.
    """
    attack = round(pulse.attack_s * STEPS_PER_S)
    if attack:
        held = F.pad(level[None, None], (attack, 0))
        held = F.max_pool1d(held, attack + 1, 1)
        level = F.avg_pool1d(F.pad(held, (attack - 1, 0)), attack, 1)[0, 0]
    # y_t = max_s<=t level_s exp(-(t - s) / release): a running maximum of logarithms.
    elapsed = torch.arange(len(level), dtype=torch.float64) / (pulse.release_s * STEPS_PER_S)
    risen = (level.clamp(min=1e-300).log() + elapsed).cummax(0).values
    return (risen - elapsed).exp()


def _sampled(levels, times, pulse, loop):
    """Strength at times: levels at those times, above the floor."""
    at = (times * STEPS_PER_S).round().long()
    at = at % len(levels) if loop else at.clamp(max=len(levels) - 1)
    return pulse.floor + (1 - pulse.floor) * levels[at]


def _beats(bpm, duration_s, loop):
    """A level that is 1 at each beat, and a note."""
    if not 0 < bpm <= MOST_BPM:
        raise ValueError(f"Expected beats per minute above 0, up to {MOST_BPM:g}, got {bpm:g}.")
    count = max(1, round(duration_s * STEPS_PER_S))
    beats = duration_s * bpm / 60
    places = torch.arange(math.ceil(beats - 1e-6), dtype=torch.float64) * 60 / bpm * STEPS_PER_S
    level = torch.zeros(count, dtype=torch.float64)
    level[places.round().long().clamp(max=count - 1)] = 1
    if not loop or abs(beats - round(beats)) < 0.02:
        return level, f"{beats:.4g} beats in {duration_s:.4g} s."
    whole = max(1, round(beats)) * 60 / bpm
    return level, (
        f"{beats:.2f} beats in {duration_s:.4g} s: the last is cut short. A loop of {whole:.4g} s "
        "holds whole beats; Motion Beat gives its frames."
    )
