"""Loops: periodic by construction, and closed by blending where a clip comes from elsewhere.

Law: bands on harmonics of 1 / T make D(t + T) = D(t), position and velocity, with nothing to hide.
A loop of N frames is half open: frame N would be frame 0 again and is not among them.

Source: ours; the paper guides sampling towards a small seam instead (Li et al. 2024, Sec. 5).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from .shapes import Float, Tensor
from .spectrum import Displacement, SpectralVolume

NOTICEABLE_SHIFT = 0.1  # a band moved by more than this share of its frequency is worth saying


@dataclass(frozen=True)
class LoopReport:
    """What closing a loop did: the largest move of a band, in Hz and as a share of its frequency."""

    shift_hz: float
    shift_share: float

    def __str__(self) -> str:
        if self.shift_hz == 0:
            return "The bands already are harmonics of the loop: nothing was moved."
        text = f"To close the loop, bands moved by up to {self.shift_hz:.3f} Hz"
        if self.shift_share <= NOTICEABLE_SHIFT:
            return text + "."
        return (
            f"{text}, {100 * self.shift_share:.0f} % of a band's frequency. For motion as sampled, "
            "make the loop as long as the spectrum's duration, or a multiple of it."
        )


@dataclass(frozen=True)
class Seam:
    """The step from the last frame to the first, against those inside the clip."""

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
    """Move every band to a harmonic of 1 / duration; mean and drift are dropped.

    Bands that meet become one whose energy is the sum of theirs. When the loop is longer than the
    spectrum's own period, a band spreads over the harmonics around it with seeded phases, so that
    a long loop does not repeat inside itself.
    """
    frequencies = spectrum.frequencies_hz.double().tolist()
    spacing = min((b - a for a, b in zip(frequencies, frequencies[1:])), default=frequencies[0])
    generator = torch.Generator().manual_seed(seed)
    members: dict[int, list[tuple[int, complex]]] = {}
    shifts = []
    for k, f in enumerate(frequencies):
        low, high = (f - spacing / 2) * duration_s, (f + spacing / 2) * duration_s
        around = [n for n in range(math.ceil(low - 1e-6), math.ceil(high - 1e-6)) if n >= 1]
        if len(around) < 2:
            around = [max(1, round(f * duration_s))]
        shifts.append(abs(sum(around) / len(around) / duration_s - f))
        for n in around:
            phase = 2 * math.pi * torch.rand((), generator=generator).item()
            turn = complex(math.cos(phase), math.sin(phase)) if len(around) > 1 else 1.0
            members.setdefault(n, []).append((k, turn / math.sqrt(len(around))))

    harmonics = sorted(members)
    coeffs = torch.stack([_meet(spectrum.coeffs, members[n]) for n in harmonics], 1)
    closed = replace(
        spectrum,
        coeffs=coeffs,
        frequencies_hz=torch.tensor(harmonics, dtype=torch.float32) / duration_s,
        mean=None,
        drift=None,
    )
    shift = max(shifts)
    exact = shift < 1e-6
    share = max(s / f for s, f in zip(shifts, frequencies))
    return closed, LoopReport(0.0 if exact else shift, 0.0 if exact else share)


def _meet(coeffs, parts):
    """The sum of bands, scaled so that energies add whatever their phases."""
    turned = [coeffs[:, k] * turn for k, turn in parts]
    if len(turned) == 1:
        return turned[0]
    total = sum(turned)
    energy = sum(t.abs().square().sum((1, 2, 3)) for t in turned)
    of_sum = total.abs().square().sum((1, 2, 3))
    gain = (energy / of_sum.clamp(min=1e-20)).sqrt()
    return total * gain.view(-1, 1, 1, 1)


def is_loop(frequencies_hz: Float[Tensor, " k"], duration_s: float) -> bool:
    """Whether every band is a harmonic of 1 / duration."""
    cycles = frequencies_hz.double() * duration_s
    return bool(((cycles - cycles.round()).abs() < 1e-4).all() and (cycles.round() >= 1).all())


def seam(frames: Float[Tensor, "t ..."]) -> Seam:
    """Root-mean-square steps between neighbouring frames, of pictures or of displacement."""
    steps = torch.stack([_step(a, b) for a, b in zip(frames, frames[1:])] or [frames.new_zeros(())])
    return Seam(float(_step(frames[-1], frames[0])), float(steps.max()), float(steps.median()))


def _step(a, b):
    return (b.float() - a.float()).square().mean().sqrt()


def crossfade(frames: Float[Tensor, "t ..."], overlap: int) -> Iterator[Float[Tensor, "..."]]:
    """Close a clip by fading its end into its beginning: t - overlap frames.

    The first `overlap` frames become a fade from the clip's last ones, along half a cosine, so
    that what follows the new last frame is what followed it in the clip.

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
        yield torch.lerp(frames[kept + t], frames[t], share)


def blend_trajectories(motion: Displacement, overlap: int) -> Displacement:
    """The same for motion: paths are faded instead of pixels, so nothing doubles."""
    clips = [torch.stack(list(crossfade(clip, overlap))) for clip in motion.displacement]
    return replace(motion, displacement=torch.stack(clips), loop=True)
