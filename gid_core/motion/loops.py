"""Loops: periodic by construction, and closed by blending where a clip comes from elsewhere.

Law: bands on harmonics of 1 / T make D(t + T) = D(t), position and velocity, with nothing to hide.
A loop of N frames is half open: frame N would be frame 0 again and is not among them.

Source: ours; the paper guides sampling towards a small seam instead (Li et al. 2024, Sec. 6, Eq. 5).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ..shapes import Float, Shaped, Tensor
from .displacement import Displacement
from .spectrum import SpectralVolume

NOTICEABLE_SHIFT = 0.1  # a band moved by more than this share of its frequency is worth saying

MOST_HARMONICS = 256  # of a closed loop: bands are spread over no more


@dataclass(frozen=True)
class LoopReport:
    """What closing a loop did: the largest move of a band, in Hz and as a share of its frequency.

    changed: Whether any band moved, met another or was spread.
    dropped: Whether there was a mean or a drift, which a loop has not.
    """

    shift_hz: float
    shift_share: float
    changed: bool
    dropped: bool = False

    def __str__(self) -> str:
        text = self._of_bands()
        if self.dropped:
            text += (
                " The clip's mean and drift are left out: the still is the middle of the motion, and "
                "nothing wanders off."
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
    longer = duration_s * spacing > 1 + 1e-6
    generator = torch.Generator().manual_seed(seed)
    members: dict[int, list[tuple[int, complex]]] = {}
    shifts = []
    for k, f in enumerate(frequencies):
        if longer:
            most = max(1, MOST_HARMONICS // len(frequencies))
            shares = _drawn(_shares(f, spacing, duration_s), most, generator)
        else:
            shares = {max(1, round(f * duration_s)): 1.0}
        shifts.append(abs(sum(n * share for n, share in shares.items()) / duration_s - f))
        for n, share in shares.items():
            phase = 2 * math.pi * torch.rand((), generator=generator).item() if longer else 0.0
            turn = complex(math.cos(phase), math.sin(phase))
            members.setdefault(n, []).append((k, turn * math.sqrt(share)))

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
    share = max(s / f for s, f in zip(shifts, frequencies))
    moved = shift > 1e-6
    changed = moved or len(members) != len(shifts)
    dropped = spectrum.mean is not None or spectrum.drift is not None
    return closed, LoopReport(shift * moved, share * moved, changed, dropped)


def _shares(f, spacing, duration_s) -> dict[int, float]:
    """How much of a band's energy each harmonic takes: as much as their widths overlap."""
    low, high = (f - spacing / 2) * duration_s, (f + spacing / 2) * duration_s
    near = range(max(1, math.floor(low + 0.5)), math.ceil(high + 0.5))
    overlap = {n: min(high, n + 0.5) - max(low, n - 0.5) for n in near}
    overlap = {n: width for n, width in overlap.items() if width > 1e-9}
    return {n: width / sum(overlap.values()) for n, width in overlap.items()}


def _drawn(shares, most, generator) -> dict[int, float]:
    """At most so many of the harmonics, drawn evenly; a very long loop needs no more not to repeat."""
    harmonics = list(shares)
    if len(harmonics) <= most:
        return shares
    step = len(harmonics) / most
    offsets = torch.rand(most, generator=generator)
    drawn = {harmonics[int((i + u) * step)] for i, u in enumerate(offsets.tolist())}
    return {n: 1 / len(drawn) for n in sorted(drawn)}


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


def seam(frames: Float[Tensor, "t ..."]) -> Seam:
    """Root-mean-square steps between neighbouring frames, of pictures or of displacement."""
    steps = torch.stack([_step(a, b) for a, b in zip(frames, frames[1:])] or [frames.new_zeros(())])
    return Seam(float(_step(frames[-1], frames[0])), float(steps.max()), float(steps.median()))


def _step(a, b):
    return (b.float() - a.float()).square().mean().sqrt()


def crossfade(frames: Shaped[Tensor, "t ..."], overlap: int) -> Iterator[Shaped[Tensor, "..."]]:
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
        yield (1 - share) * frames[kept + t] + share * frames[t]


def split_clips(frames: Shaped[Tensor, "t ..."], clips: int) -> list[Shaped[Tensor, "t1 ..."]]:
    """Clips of one length that lie one after the other.

    Raises:
        ValueError: If the frames are no multiple of the clips.
    """
    if clips < 1 or len(frames) % clips:
        raise ValueError(
            f"Expected {clips} clips of one length, got {len(frames)} frames in all. Set the number "
            "of clips to what the frames hold, 1 for a single clip."
        )
    return list(frames.split(len(frames) // clips))


def blend_trajectories(motion: Displacement, overlap: int) -> Displacement:
    """The same for motion: paths are faded instead of pixels, so nothing doubles."""
    faded = torch.stack(list(crossfade(motion.modal_coords.T, overlap)), 1)
    return replace(motion, modal_coords=faded, loop=True)
