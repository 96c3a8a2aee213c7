"""The displacement D(p, t) = Re sum_k S_k(p) q_k(t), evaluated a few frames at a time.

Law: linear in S and in q; the memory does not grow with the number of frames.

Convention: forward, from the still to frame t, in pixels of its own grid, (x, y).

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Eq. 1-2.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from einops import rearrange

from ..shapes import Complex, Float, Tensor
from .coords import coords_between

PEAK_FRAMES = 600  # most frames of a clip over which a peak is taken
FRAMES_AT_A_TIME = 32  # frames of a displacement that are evaluated at once
GAIN = (0.3, 2.0)  # least and most that light multiplies brightness by
MOST_MOMENTS = 16  # most samples of a frame's exposure


@dataclass(frozen=True)
class Light:
    """Gain of brightness over a clip: 1 + Re sum_k L_k(p) q_k(t), on a coarse grid."""

    coeffs: Complex[Tensor, "b k 1 h w"]
    modal_coords: Complex[Tensor, "k t"]

    def at(self, item: int, frames: slice | list[int]) -> Float[Tensor, "t 1 h w"]:
        """The gain of one still at some frames, bounded by `GAIN`."""
        gain = displacement(self.coeffs[item : item + 1], self.modal_coords[:, frames])[0]
        return (1 + gain).clamp(*GAIN)


@dataclass(frozen=True)
class Displacement:
    """Motion of `b` stills over `t` frames, on the coarse grid of its spectral volume.

    It stores the two factors of D_t = Re sum_k S_k q_k(t), not the frames. The product is evaluated
    a few frames at a time.

    coeffs: S_k(p), px of this grid, (x, y), forward from the still.
    modal_coords: q_k(t) at every frame.
    reference_size: (height, width) of the stills.
    mask: What moves, at the stills' size; None means everywhere.
    loop: True if the frame after the last would equal frame 0 exactly.
    depth, protect: As in the spectral volume.
    further: q_k(t) of further phases: the same paths, entered at other times. A frame shows all
        phases at once.
    weights: Share of every phase in every frame; they add up to 1. None: one phase.
    importance: Logits of the points: where phases meet, the larger one is seen.
    light: Gain of brightness.
    behind: A motion of the same stills that goes on behind this one.
    """

    coeffs: Complex[Tensor, "b k 2 h w"]
    modal_coords: Complex[Tensor, "k t"]
    fps: float
    reference_size: tuple[int, int]
    mask: Float[Tensor, "b 1 hr wr"] | None = None
    loop: bool = False
    depth: Float[Tensor, "b 1 hr wr"] | None = None
    protect: Float[Tensor, "b 1 hr wr"] | None = None
    further: Complex[Tensor, "p k t"] | None = None
    weights: Float[Tensor, "p1 t"] | None = None
    importance: Float[Tensor, "b 1 h w"] | None = None
    light: Light | None = None
    behind: "Displacement | None" = None

    @classmethod
    def of_frames(
        cls,
        displacement: Float[Tensor, "b t 2 h w"],
        fps: float,
        reference_size: tuple[int, int],
        mask: Float[Tensor, "b 1 hr wr"] | None = None,
        loop: bool = False,
    ) -> "Displacement":
        """Motion given frame by frame: every frame is a band that is 1 in that frame, else 0."""
        identity = torch.eye(displacement.shape[1], dtype=torch.complex64)
        return cls(displacement.to(torch.complex64), identity, fps, reference_size, mask, loop)

    @property
    def frames(self) -> int:
        return self.modal_coords.shape[1]

    @property
    def phases(self) -> "list[Displacement]":
        """Each phase as a motion of its own; of a motion without phases, itself."""
        further = [] if self.further is None else list(self.further)
        return [self, *(replace(self, modal_coords=q, further=None, weights=None) for q in further)]

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(self.coeffs.shape[-2:])

    def at(self, item: int, frames: slice | list[int] = slice(None)) -> Float[Tensor, "t 2 h w"]:
        """D_t of one still at some frames, px of this grid."""
        return displacement(self.coeffs[item : item + 1], self.modal_coords[:, frames])[0]

    def in_parts(self, item: int, step: int = 1) -> Iterator[Float[Tensor, "t 2 h w"]]:
        """All frames of one still, or every `step`-th, a few at a time."""
        ahead = FRAMES_AT_A_TIME * step
        for first in range(0, self.frames, ahead):
            yield self.at(item, slice(first, first + ahead, step))

    def scaled_to(self, size: tuple[int, int]) -> Float[Tensor, "2 1 1"]:
        """Factor per axis from pixels of this grid to pixels of a picture of `size` (h, w)."""
        height, width = self.grid
        return torch.tensor([size[1] / width, size[0] / height]).view(2, 1, 1)


def front_to_back(motion):
    """A motion or a spectrum, what goes on behind it, what goes on behind that, and so on."""
    while motion is not None:
        yield motion
        motion = motion.behind


def displacement(
    coeffs: Complex[Tensor, "b k c h w"], modal_coords: Complex[Tensor, "k t"]
) -> Float[Tensor, "b t c h w"]:
    """Re sum_k S_k(p) q_k(t), as one real matrix product in the precision of S."""
    height, width = coeffs.shape[-2:]
    modal_coords = modal_coords.to(coeffs.dtype)
    # Of a path only the knots around these times count, and of frames each its own.
    counted = (modal_coords != 0).any(1)
    if not counted.all():
        coeffs, modal_coords = coeffs[:, counted], modal_coords[counted]
    bands = rearrange(coeffs, "b k xy h w -> b (xy h w) k")
    bands = torch.cat([bands.real, -bands.imag], -1)
    played = bands @ torch.cat([modal_coords.real, modal_coords.imag])
    return rearrange(played, "b (xy h w) t -> b t xy h w", h=height, w=width)


def shutter_samples(
    motion: Displacement, item: int, shutter: float, size: tuple[int, int]
) -> tuple[Displacement, int]:
    """Sample the motion during the exposure of every frame, for motion blur.

    The number of samples is chosen so that no pixel of the picture moves by more than 1 px from one
    sample to the next, up to `MOST_MOMENTS`.

    Args:
        shutter: Exposure time in frames, centred on the frame's time.
        size: (height, width) of the picture.

    Returns:
        The motion at all samples, and the number of samples per frame.
    """
    every = front_to_back(motion)
    fastest = max(_largest_step(each, min(item, len(each.coeffs) - 1), size) for each in every)
    count = min(MOST_MOMENTS, 1 + math.ceil(fastest * shutter))
    offsets = shutter * ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5)
    return _at_moments(motion, offsets), count


def _largest_step(motion, item, size):
    """From one frame to the next, px of the picture; steps to another cycle do not count."""
    scale, largest, last = motion.scaled_to(size), 0.0, None
    within = _within_cycles(motion)
    for part in motion.in_parts(item):
        part = torch.where(part.isfinite(), part, 0.0).clamp(-1e6, 1e6)
        part = part * scale if last is None else torch.cat([last, part * scale])
        if len(part) > 1:
            steps = part.diff(dim=0).square().sum(1).flatten(1).amax(1).sqrt()
            counted, within = within[: len(steps)], within[len(steps) :]
            largest = max(largest, float((steps * counted).max()))
        last = part[-1:]
    return largest


def _within_cycles(motion):
    """Of each step from a frame to the next: whether the phases go on, not to another cycle."""
    if motion.weights is None:
        return torch.ones(motion.frames - 1, dtype=torch.bool)
    return motion.weights[0].diff() <= 0


def _at_moments(motion, offsets):
    """The motion at some moments around every frame, offsets in frames."""
    count = len(offsets)
    times = torch.arange(motion.frames, dtype=torch.float64)[:, None] + offsets
    between = lambda coords: coords_between(coords, times.flatten(), motion.loop)
    changed = {"fps": motion.fps * count}
    if motion.light is not None:
        light = motion.light
        changed["light"] = replace(light, modal_coords=between(light.modal_coords))
    if motion.behind is not None:
        changed["behind"] = _at_moments(motion.behind, offsets)
    if motion.weights is None:
        return replace(motion, modal_coords=between(motion.modal_coords), **changed)
    # Phases start anew from cycle to cycle: along straight lines that do not cross such a start.
    within = _within_cycles(motion)
    frame = torch.arange(motion.frames)
    ahead = torch.cat([within, within.new_zeros(1)])
    back = torch.cat([within.new_zeros(1), within])

    def along(coords):
        after = coords[..., (frame + 1).clamp(max=motion.frames - 1)]
        before = coords[..., (frame - 1).clamp(min=0)]
        step = torch.where(ahead, after - coords, torch.where(back, coords - before, 0))
        moments = coords[..., None] + step[..., None] * offsets.to(coords.real.dtype)
        return moments.flatten(-2)

    return replace(
        motion,
        modal_coords=along(motion.modal_coords),
        further=along(motion.further),
        weights=motion.weights.repeat_interleave(count, 1),
        **changed,
    )


def peaks(motion: Displacement, item: int) -> Float[Tensor, "h w"]:
    """Largest displacement of every point from the still, px of the grid.

    At most `PEAK_FRAMES` frames are evaluated, spread evenly over the clip.
    """
    step = math.ceil(motion.frames / PEAK_FRAMES)
    parts = [part.square().sum(1).amax(0) for part in motion.in_parts(item, step)]
    return torch.stack(parts).amax(0).sqrt()
