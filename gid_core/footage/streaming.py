"""Whether a clip's motion flows or comes back, and the velocity of what flows.

Law: what oscillates about a place does not flow, whatever its amplitude; a texture that moves at a
constant velocity flows, with that velocity.

Convention: motion in px of its grid from the first frame, (x, y); velocity in px per second.

Source: a steady velocity for motion that goes on, Holynski et al., CVPR 2021.
"""

import math
from dataclasses import dataclass

import torch

from ..motion.spectrum import SpectralVolume
from ..shapes import Bool, Float, Tensor
from ..still.filters import pull_push

DIRECT = 0.6  # least way from beginning to end over the way gone, of what flows
LEAST_PX = 2.0  # least way from beginning to end, px of the grid
BEGINNING_S = 0.5  # of the clip, in which a velocity is measured where a point began


@dataclass(frozen=True)
class Streaming:
    """How a clip flows.

    velocity: where it moves, continued smoothly beyond; px per second.
    share: of what moves, what flows, 0 to 1.
    speed_pct: median of what flows, % of the picture's width per second.
    direction_deg: of the mean, 0 = towards the right, 90 = towards the top.
    """

    velocity: Float[Tensor, "2 h w"]
    share: float
    speed_pct: float
    direction_deg: float

    def __str__(self) -> str:
        return (
            f"It flows: {100 * self.share:.0f} % of what moves goes on instead of coming back, at "
            f"{self.speed_pct:.2g} % of the width per second, towards {self.direction_deg:.0f} "
            "degrees. Bands say little of that; its velocity is kept apart, for a loop that flows."
        )


def streaming(
    motion: Float[Tensor, "t 2 h w"], moving: Bool[Tensor, "h w"], fps: float
) -> Streaming | None:
    """What flows in a clip; None if most of what moves comes back."""
    if len(motion) < 3 or not moving.any():
        return None
    net = (motion[-1] - motion[0]).norm(dim=0)
    way = motion.diff(dim=0).norm(dim=1).sum(0)
    flows = moving & (net > LEAST_PX) & (net > DIRECT * way)
    share = float(flows.sum() / moving.sum())
    if share < 0.5:
        return None
    count = min(len(motion), max(3, round(BEGINNING_S * fps) + 1))
    times = torch.arange(count, dtype=motion.dtype) / fps
    # The slope of a straight line through the origin, where every point begins.
    slope = torch.einsum("t,txhw->xhw", times, motion[:count]) / times.square().sum()
    velocity = pull_push((slope * flows)[None], flows[None, None].to(slope))[0]
    mean = slope[:, flows].mean(1)
    speed = 100 * float(slope[:, flows].norm(dim=0).median()) / motion.shape[-1]
    angle = math.degrees(math.atan2(-float(mean[1]), float(mean[0])))
    return Streaming(velocity, share, speed, angle)


def as_flow(found: Streaming, mask: Float[Tensor, "1 1 hr wr"], window_s: float) -> SpectralVolume:
    """The velocity as a spectral volume of kind "flow", as Flow Motion makes them."""
    coeffs = torch.zeros(1, 1, 2, *found.velocity.shape[-2:], dtype=torch.complex64)
    return SpectralVolume(
        coeffs,
        torch.tensor([1 / window_s]),
        tuple(mask.shape[-2:]),
        mask,
        kind="flow",
        velocity=found.velocity[None].float(),
    )
