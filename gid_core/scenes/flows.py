"""Scenes that flow, on velocities whose paths are known in closed form: exact frames at any time.

A texture is a sum of waves, so that it can be read anywhere. What is at x at time t was at
path(x, -t) in the still.

Law: frame(0) is the still; a frame is the texture at exactly the places that the paths come from.

Convention: px of the picture, (x, y), y down; t in seconds; pixel centres at integers.
"""

import math
from dataclasses import dataclass

import torch

from ..shapes import Float, Tensor
from ..still.grid import pixel_grid

FLOWS = ("river", "shear", "vortex", "sea")
WAVES = 96  # of a texture


@dataclass(frozen=True)
class FlowingScene:
    """One texture on one velocity.

    kind: "river", the same everywhere; "shear", faster from bank to bank; "vortex", a solid that
        turns; "sea", whose speed grows with the distance from a horizon at the top.
    speed: largest, px/s.
    waves: x, y (rad/px), phase and amplitude of each wave, for each colour.
    """

    kind: str
    size: tuple[int, int]
    speed: float
    waves: Float[Tensor, "3 4 n"]

    def velocity(self) -> Float[Tensor, "2 h w"]:
        """px/s at every pixel."""
        x, y = pixel_grid(*self.size, like=self.waves)
        return torch.stack(self._velocity(x, y))

    def came_from(self, t: float | int) -> Float[Tensor, "2 h w"]:
        """Where what is at each pixel at time t was in the still."""
        x, y = pixel_grid(*self.size, like=self.waves)
        if self.kind == "vortex":
            cx, cy = self._centre()
            angle = -self._rate() * t
            c, s = math.cos(angle), math.sin(angle)
            return torch.stack([cx + c * (x - cx) - s * (y - cy), cy + s * (x - cx) + c * (y - cy)])
        u, v = self._velocity(x, y)  # along straight paths of constant speed
        return torch.stack([x - t * u, y - t * v])

    def frame(self, t: float | int) -> Float[Tensor, "3 h w"]:
        """The picture at time t, in [0, 1]."""
        x, y = self.came_from(t)
        colours = []
        for kx, ky, phase, amplitude in self.waves:
            total = torch.zeros_like(x)
            for a, b, c, d in zip(kx, ky, phase, amplitude):
                total += d * torch.sin(a * x + b * y + c)
            colours.append(0.5 + 0.35 * torch.tanh(total))
        return torch.stack(colours)

    def _velocity(self, x, y):
        height = self.size[0]
        if self.kind == "vortex":
            cx, cy = self._centre()
            return -self._rate() * (y - cy), self._rate() * (x - cx)
        if self.kind == "shear":
            return self.speed * y / (height - 1), torch.zeros_like(y)
        if self.kind == "sea":
            return self.speed * (0.1 + 0.9 * y / (height - 1)), torch.zeros_like(y)
        return torch.full_like(x, 0.8 * self.speed), torch.full_like(y, 0.6 * self.speed)

    def _centre(self):
        return (self.size[1] - 1) / 2, (self.size[0] - 1) / 2

    def _rate(self):
        return self.speed / math.hypot(*self._centre())


def flowing_scene(
    kind: str, size: tuple[int, int], speed: float, grain: float, generator: torch.Generator
) -> FlowingScene:
    """A scene with a random texture.

    Args:
        speed: Largest, px/s.
        grain: Shortest wave of the texture, px; the longest is eight times as long.

    Raises:
        ValueError: For a kind that is not in `FLOWS`.
    """
    if kind not in FLOWS:
        raise ValueError(f"Expected the kind to be one of {', '.join(FLOWS)}, got {kind!r}.")
    draw = lambda: torch.rand(3, WAVES, generator=generator, dtype=torch.float64)
    length = grain * 8 ** draw()
    angle, phase = 2 * math.pi * draw(), 2 * math.pi * draw()
    rate = 2 * math.pi / length
    amplitude = (length / length.max()).sqrt() * math.sqrt(8 / WAVES)
    waves = torch.stack([rate * angle.cos(), rate * angle.sin(), phase, amplitude], 1)
    return FlowingScene(kind, size, speed, waves)
