"""Loops: periodic by construction, or closed by a crossfade if a clip is given as frames.

Law: if all bands are harmonics of 1 / T, then D(t + T) = D(t), in position and velocity.

Convention: a loop of N frames is half open. Frame N would equal frame 0 and is not in it.

Source: ours; the paper guides sampling towards a small gap instead (Li et al. 2024, Sec. 6, Eq. 5).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ..shapes import Float, Shaped, Tensor
from .displacement import Displacement
from .spectrum import SpectralVolume

NOTICEABLE_SHIFT = 0.1  # a larger shift, as a share of the band's frequency, is reported
NOTICEABLE_JUMP = 1e-3  # of the speed at the seam, as a factor
MOST_HARMONICS = 256  # most harmonics over which the bands of a loop are spread
STEEP = 2  # how fast a patch passes; with 1 it would take most of the time that all have


@dataclass(frozen=True)
class LoopReport:
    """Changes made to close a loop: the largest shift of a band.

    shift_hz: in Hz; shift_share: as a share of the band's frequency.
    changed: Whether any band was shifted, merged with another or spread.
    dropped: Whether a mean or a drift was removed; a loop has neither.
    speed_jump: With variable speed, the difference between its two ends: the motion closes in
        position, but changes its speed there.
    """

    shift_hz: float
    shift_share: float
    changed: bool
    dropped: bool = False
    speed_jump: float = 0.0

    @property
    def warns(self) -> bool:
        """Whether the loop differs noticeably from the motion."""
        return self.changed and self.shift_share > NOTICEABLE_SHIFT

    def __str__(self) -> str:
        text = self._of_bands()
        if self.dropped:
            text += (
                " The clip's mean and drift are left out: the still is the middle of the motion, "
                "and nothing wanders off."
            )
        if self.speed_jump > NOTICEABLE_JUMP:
            text += (
                f" The speed jumps by {self.speed_jump:.2f} where the loop begins again: end its "
                "curve as it begins."
            )
        return text

    def _of_bands(self):
        if not self.changed:
            return "The bands already are harmonics of the loop: nothing was moved."
        if self.shift_hz == 0:
            return "The loop is longer than the motion's own period: bands spread to fill it."
        text = f"To close the loop, bands moved by up to {self.shift_hz:.3f} Hz"
        if self.shift_share <= NOTICEABLE_SHIFT:
            return text + "."
        return (
            f"{text}, {100 * self.shift_share:.0f} % of a band's frequency. For motion as sampled, "
            "make the loop as long as the spectrum's duration, or a multiple of it."
        )


@dataclass(frozen=True)
class Seam:
    """The RMS step from the last frame to the first, and those between frames of the clip."""

    wrap: float
    largest_inside: float
    median_inside: float

    def __str__(self) -> str:
        ratio = self.wrap / self.largest_inside if self.largest_inside > 0 else float(self.wrap > 0)
        return (
            f"last to first frame {self.wrap:.5f}, largest step inside {self.largest_inside:.5f} "
            f"({ratio:.2f} times), median {self.median_inside:.5f}"
        )


def close_loop(
    spectrum: SpectralVolume, duration_s: float, seed: int = 0
) -> tuple[SpectralVolume, LoopReport]:
    """Shift every band to a harmonic of 1 / duration; mean and drift are dropped.

    Bands that share a harmonic are merged; their energies add. If the loop is longer than the
    period of the spectrum, every band is spread over the harmonics around it with random phases, so
    that a long loop does not repeat within itself.

    Args:
        seed: Of the random phases.
    """
    frequencies = spectrum.frequencies_hz.double().tolist()
    spacing = min((b - a for a, b in zip(frequencies, frequencies[1:])), default=frequencies[0])
    spread = duration_s * spacing > 1 + 1e-6  # longer than the period of the spectrum
    generator = torch.Generator().manual_seed(seed)
    members: dict[int, list[tuple[int, complex]]] = {}
    shifts = []
    for k, f in enumerate(frequencies):
        if spread:
            most = max(1, MOST_HARMONICS // len(frequencies))
            shares = _subsampled(_energy_shares(f, spacing, duration_s), most, generator)
        else:
            shares = {max(1, round(f * duration_s)): 1.0}
        shifts.append(abs(sum(n * share for n, share in shares.items()) / duration_s - f))
        for n, share in shares.items():
            phase = 2 * math.pi * torch.rand((), generator=generator).item() if spread else 0.0
            rotation = complex(math.cos(phase), math.sin(phase))
            members.setdefault(n, []).append((k, rotation * math.sqrt(share)))

    harmonics = sorted(members)
    coeffs = torch.stack([_merged(spectrum.coeffs, members[n]) for n in harmonics], 1)
    closed = replace(
        spectrum,
        coeffs=coeffs,
        frequencies_hz=torch.tensor(harmonics, dtype=torch.float32) / duration_s,
        mean=None,
        drift=None,
    )
    shift = max(shifts)
    share = max(s / f for s, f in zip(shifts, frequencies))
    moved = shift > 1e-6
    changed = moved or len(members) != len(shifts)
    dropped = spectrum.mean is not None or spectrum.drift is not None
    return closed, LoopReport(shift * moved, share * moved, changed, dropped)


def _energy_shares(f, spacing, duration_s) -> dict[int, float]:
    """Share of a band's energy for every harmonic: the overlap of their widths."""
    low, high = (f - spacing / 2) * duration_s, (f + spacing / 2) * duration_s
    near = range(max(1, math.floor(low + 0.5)), math.ceil(high + 0.5))
    overlap = {n: min(high, n + 0.5) - max(low, n - 0.5) for n in near}
    overlap = {n: width for n, width in overlap.items() if width > 1e-9}
    return {n: width / sum(overlap.values()) for n, width in overlap.items()}


def _subsampled(shares, most, generator) -> dict[int, float]:
    """At most `most` harmonics, by stratified sampling: enough for a very long loop."""
    harmonics = list(shares)
    if len(harmonics) <= most:
        return shares
    step = len(harmonics) / most
    offsets = torch.rand(most, generator=generator)
    chosen = {harmonics[int((i + u) * step)] for i, u in enumerate(offsets.tolist())}
    return {n: 1 / len(chosen) for n in sorted(chosen)}


def _merged(coeffs, members):
    """The sum of bands, scaled so that energies add whatever the phases are."""
    rotated = [coeffs[:, k] * rotation for k, rotation in members]
    if len(rotated) == 1:
        return rotated[0]
    total = sum(rotated)
    energy = sum(x.abs().square().sum((1, 2, 3)) for x in rotated)
    energy_of_sum = total.abs().square().sum((1, 2, 3))
    gain = (energy / energy_of_sum.clamp(min=1e-20)).sqrt()
    return total * gain.view(-1, 1, 1, 1)


def seam(frames: Float[Tensor, "t ..."]) -> Seam:
    """RMS differences of consecutive frames, of pictures or of displacement."""
    steps = torch.stack([_step(a, b) for a, b in zip(frames, frames[1:])] or [frames.new_zeros(())])
    return Seam(float(_step(frames[-1], frames[0])), float(steps.max()), float(steps.median()))


def _step(a, b):
    return (b.float() - a.float()).square().mean().sqrt()


def crossfade(frames: Shaped[Tensor, "t ..."], overlap: int) -> Iterator[Shaped[Tensor, "..."]]:
    """Close a clip by a crossfade of its end into its beginning: t - overlap frames.

    The first `overlap` frames are blended with the last ones, with weights of half a cosine. The
    frame after the new last frame is then close to the one that followed it in the clip.

    Raises:
        ValueError: Unless 1 <= overlap <= t / 2.
    """
    count = len(frames)
    if not 1 <= overlap <= count // 2:
        raise ValueError(
            f"Expected an overlap between 1 and half the clip's {count} frames, got {overlap}. "
            "Choose a smaller overlap, or use a longer clip."
        )
    kept = count - overlap
    for t in range(kept):
        if t >= overlap:
            yield frames[t]
            continue
        share = 0.5 - 0.5 * math.cos(math.pi * (t + 0.5) / overlap)
        yield (1 - share) * frames[kept + t] + share * frames[t]


def crossfade_sound(
    waveform: Float[Tensor, "... n"], length: float, overlap: float
) -> Float[Tensor, "... n1"]:
    """Close the sound of a clip as `crossfade` closes its frames.

    Sine and cosine weigh the two ends: what is not alike keeps its loudness, as noise and most
    sound does.

    Args:
        length, overlap: Of the clip and its overlap, in samples. A sound that is shorter than the
            clip is silent to its end; a longer one is cut.
    """
    samples, fade = round(length), round(overlap)
    sound = torch.nn.functional.pad(waveform, (0, max(0, samples - waveform.shape[-1])))
    sound, kept = sound[..., :samples], samples - fade
    angle = (math.pi / 2) * (torch.arange(fade).to(sound) + 0.5) / max(1, fade)
    start = angle.sin() * sound[..., :fade] + angle.cos() * sound[..., kept:]
    return torch.cat([start, sound[..., fade:kept]], -1)


def split_clips(frames: Shaped[Tensor, "t ..."], clips: int) -> list[Shaped[Tensor, "t1 ..."]]:
    """Split a batch into consecutive clips of equal length.

    Raises:
        ValueError: If the number of frames is not a multiple of the number of clips.
    """
    if clips < 1 or len(frames) % clips:
        raise ValueError(
            f"Expected {clips} clips of one length, got {len(frames)} frames in all. Set the "
            "number of clips to what the frames hold, 1 for a single clip."
        )
    return list(frames.split(len(frames) // clips))


def passage(done: Float[Tensor, "..."]) -> Float[Tensor, "2 ..."]:
    """Weights of what leaves and of what arrives, where patches pass one after the other: as cos
    and sin to the power of 2 `STEEP`, brought to the sum 1.

    Args:
        done: Share of the time that has gone by, 0 to 1.
    """
    angle = math.pi / 2 * done
    shares = torch.stack([angle.cos(), angle.sin()]) ** (2 * STEEP)
    return shares / shares.sum(0)


def blend_trajectories(motion: Displacement, overlap: int) -> Displacement:
    """A crossfade of displacements instead of pixels, which leaves no double contours.

    Raises:
        ValueError: For a motion that flows: its phases are not faded.
    """
    if motion.weights is not None or motion.behind is not None:
        raise ValueError(
            "Expected a motion that sways, got one that flows. Make it a loop in Spectrum to "
            "Displacement, or connect the flow itself to Loop Blend."
        )
    faded = torch.stack(list(crossfade(motion.modal_coords.T, overlap)), 1)
    return replace(motion, modal_coords=faded, loop=True)
