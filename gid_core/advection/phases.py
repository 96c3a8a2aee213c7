"""Loops of a flow: the same paths entered at two times, mixed with weights that change.

A cycle lasts P. At time s of it the first phase has gone s along the paths, forward from the still;
the second is s - P before the still, on its way to it. Their weights are as cos^4 and sin^4 of
pi s / 2 P, brought to the sum 1. At the end of a cycle the second phase has arrived where the first
begins.

Law: frame T is frame 0 in position, in speed, in weight and in the slope of the weights; in frame 0
the first phase is the still, and the second does not count. The velocity of both is the flow's.

Convention: a cycle is the clip itself, or a whole part of it where things would go too far.

Source: Holynski et al., "Animating Pictures with Eulerian Motion Fields", CVPR 2021, Sec. 3.3; two
textures faded against each other, Max & Becker 1995; the weights are ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..motion.coords import harmonic_coords
from ..motion.displacement import Displacement, Light
from ..motion.loops import STEEP, close_loop, passage
from ..motion.spectrum import SpectralVolume
from ..shapes import Float, Tensor
from .paths import integrate
from .turbulence import smooth_noise

REACH = 0.15  # of the longer side: what goes farther in a cycle makes cycles shorter
REACHING = 0.9  # share of what flows that goes no farther than that
PATCH = 0.05  # size of patches that pass from one phase to the other together, of the longer side
MOST_KNOTS = 32  # of paths in each direction
# Deviation of the patches' logits. A patch passes when the difference of its phases' logits is
# that of the weights', 2 `STEEP` log tan(pi s / 2 P). Over a cycle that one has the deviation STEEP
# pi: so as many patches pass in every part of a cycle.
CONTRAST = STEEP * math.pi / math.sqrt(2)


@dataclass(frozen=True)
class FlowLoop:
    """What was done to close a flow into a loop.

    cycle_s: After which the still comes back; cycles: how often in the clip.
    farthest_pct: How far things go in a cycle, 90th percentile, % of the longer side.
    """

    cycle_s: float
    cycles: int
    farthest_pct: float

    def __str__(self) -> str:
        text = f"A flow: things go {self.farthest_pct:.1f} % of the longer side in a cycle"
        if self.cycles > 1:
            text += (
                f" of {self.cycle_s:.2f} s, and {self.cycles} cycles fill the clip, since the "
                "still has nothing to show for what comes from farther. Slower, or a shorter clip, "
                "makes fewer"
            )
        return text + "."


def flow_loop(
    spectrum: SpectralVolume,
    frames: int,
    fps: float,
    loop: bool = True,
    speed: float = 1.0,
    gain: float = 1.0,
    seed: int = 0,
    reach: float = REACH,
    poll: Callable[[], None] = lambda: None,
) -> tuple[Displacement, FlowLoop]:
    """The displacement of a flow in two phases.

    Args:
        loop: Close it, so that cycles fill the clip exactly; else cycles are as long as things may
            go, and the clip ends where it ends.
        speed: 2 is twice as fast.
        gain: Factor of the oscillation and of the light, not of what flows.
        seed: Of the patches.
        reach: How far things may go in a cycle, as a share of the longer side.
    """
    duration_s = frames / fps
    spectrum = _at_speed(spectrum, fps, speed, gain)
    velocity = spectrum.velocity
    inside = _inside(spectrum)
    fast = _typical_speed(velocity, inside)
    longest = reach * max(spectrum.grid) / max(fast, 1e-12)  # s
    cycles = 1
    if loop:
        cycles = min(max(1, math.ceil(duration_s / longest - 1e-6)), max(1, frames // 2))
        cycle_s = duration_s / cycles
    else:
        cycle_s = max(min(duration_s, longest), min(duration_s, 2 / fps))
        cycles = math.ceil(duration_s / cycle_s - 1e-6)
    closed, _ = close_loop(replace(spectrum, light=None), cycle_s)
    light = None
    if spectrum.light is not None:
        light = light_over(spectrum, frames, fps, loop)
    knots = min(MOST_KNOTS, math.ceil(frames / cycles))  # the same for every still of a batch
    paths = []
    for i in range(len(velocity)):
        shores = inside[i] if spectrum.confined and inside is not None else None
        bands = closed.coeffs[i], closed.frequencies_hz
        paths.append(integrate(velocity[i], cycle_s, *bands, shores, knots, poll))
    # Counted in whole frames where a cycle is so many, so that it repeats bit for bit.
    times = torch.arange(frames, dtype=torch.float64) / fps
    since = torch.remainder(times, cycle_s)
    since = torch.where(cycle_s - since < 1e-9 * cycle_s, 0.0, since)
    first, second = (paths[0].coords(s) for s in (since, since - cycle_s))
    weights = passage(since / cycle_s).float()
    fields = torch.stack([each.fields for each in paths])
    patches = _patches(spectrum.grid, len(velocity), seed)
    motion = Displacement(
        fields.to(torch.complex64),
        first,
        fps,
        spectrum.reference_size,
        spectrum.mask,
        loop,
        further=second[None],
        weights=weights,
        importance=patches,
        light=light,
    )
    farthest = 100 * fast * cycle_s / max(spectrum.grid)
    return motion, FlowLoop(cycle_s, cycles, farthest)


def light_over(
    spectrum: SpectralVolume, frames: int, fps: float, loop: bool, speed: float = 1.0
) -> Light:
    """The gain of brightness over a clip; as a loop it closes over all of it, not over a cycle."""
    frequencies = spectrum.frequencies_hz.double() * speed
    if loop:
        frequencies = (frequencies * (frames / fps)).round().clamp(min=1) / (frames / fps)
    times = torch.arange(frames, dtype=torch.float64) / fps
    return Light(spectrum.light, harmonic_coords(frequencies, times).to(torch.complex64))


def _at_speed(spectrum, fps, speed, gain):
    """The flow at another speed, without bands that frames cannot show."""
    frequencies = spectrum.frequencies_hz * speed
    shown = frequencies < fps / 2
    kept = shown if shown.any() else torch.arange(len(shown)) == 0
    light = spectrum.light
    return replace(
        spectrum,
        coeffs=torch.where(shown.view(-1, 1, 1, 1), spectrum.coeffs * gain, 0.0)[:, kept],
        frequencies_hz=frequencies[kept],
        velocity=spectrum.velocity * speed,
        light=None if light is None else (light * gain * shown.view(-1, 1, 1, 1))[:, kept],
    )


def _inside(spectrum):
    """Where it flows on the grid, b h w; None where that is everywhere."""
    if spectrum.mask is None:
        return None
    covered = F.interpolate(spectrum.mask, spectrum.grid, mode="area")[:, 0]
    return (covered >= 0.5 * covered.amax((1, 2), keepdim=True)) & (covered > 0)


def _typical_speed(velocity, inside):
    """What 90 % of the points that flow stay below, px per second; of the fastest still."""
    speeds = velocity.norm(dim=1)
    most = 0.0
    for i, speed in enumerate(speeds):
        counted = speed.flatten() if inside is None else speed[inside[i]]
        if len(counted):
            most = max(most, float(torch.quantile(counted, REACHING)))
    return most


def _patches(grid, count, seed) -> Float[Tensor, "b 1 h w"]:
    """Logits that tell which patches pass from one phase to the other first."""
    patches = []
    for i in range(count):
        generator = torch.Generator().manual_seed((seed + i) % 2**64)
        noise = smooth_noise(grid, max(2.0, PATCH * max(grid)), generator).real
        patches.append(CONTRAST * math.sqrt(2) * noise)
    return torch.stack(patches)[:, None]
