"""Augmentation of appearance: other light, weather and lenses, other surfaces.

A network that is trained on synthetic pictures must work on photographs. So it must not rely on how
surfaces are painted in the scenes, only on shapes and on occlusion.

Convention: stills are 3 h w in [0, 1], before and after. All random numbers come from the
generator.

Source: random convolutions after Xu et al., "Robust and Generalizable Visual Representation
Learning via Random Convolutions", ICLR 2021; the rest is the usual domain randomization (Tobin et
al. 2017).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..scenes.textures import blur, noise
from ..shapes import Float, Tensor

KERNELS = (1, 3, 5)


def relight(still: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
    """Change gamma, exposure, white balance, saturation and grain; sometimes swap hues or blur."""
    draw = drawing(generator)
    still = still.clamp(1e-3, 1).pow(0.6 * 2.8 ** draw(0, 1)) * draw(0.7, 1.3)
    still = still * (1 + 0.12 * torch.randn(3, 1, 1, generator=generator))
    grey = still.mean(0, keepdim=True)
    still = grey + (still - grey) * draw(0.0, 1.4)
    if draw(0, 1) < 0.2:  # other hues
        still = still[torch.randperm(3, generator=generator)]
    if draw(0, 1) < 0.4:
        still = F.avg_pool2d(F.pad(still[None], (1, 1, 1, 1), mode="reflect"), 3, 1)[0]
    still = still + draw(0, 0.04) * torch.randn(still.shape, generator=generator)
    return still.clamp(0, 1)


def augment_appearance(
    still: Float[Tensor, "3 h w"], generator: torch.Generator
) -> Float[Tensor, "3 h w"]:
    """Change surfaces and weather: each change has its own probability, and several may come."""
    draw = drawing(generator)
    if draw(0, 1) < 0.8:
        still = _randomly_convolved(still, draw(0, 1), generator)
    if draw(0, 1) < 0.4:
        still = _with_fog(still, draw, generator)
    drawn = draw(0, 1)
    if drawn < 0.25:
        still = still * draw(0.1, 0.6)
    elif drawn < 0.4:
        still = (still * draw(1.2, 2.2)).clamp(0, 1)
    elif drawn < 0.5:
        still = still.mean().lerp(still, draw(0.3, 1))
    if draw(0, 1) < 0.5:  # stains, as of dirt or shade
        stains = noise(generator, tuple(still.shape[-2:]), draw(3, 30), falloff=draw(0.4, 1.0))
        still = (still * (1 + draw(0, 0.5) * stains)).clamp(0, 1)
    if draw(0, 1) < 0.4:
        still = blur(still, draw(0.4, 2.0))
    if draw(0, 1) < 0.3:
        still = still.mean(0, keepdim=True).expand_as(still)
    return still


def drawing(generator: torch.Generator) -> Callable[[float, float], float]:
    """A function that draws a uniform random number between two bounds."""
    return lambda low, high: low + (high - low) * float(torch.rand((), generator=generator))


def _randomly_convolved(still, share, generator):
    """Mix the still with its random convolution, at its own brightness and contrast."""
    side = KERNELS[int(torch.randint(len(KERNELS), (), generator=generator))]
    kernel = torch.randn(3, 3, side, side, generator=generator)
    filtered = F.conv2d(F.pad(still[None], (side // 2,) * 4, mode="reflect"), kernel)[0]
    statistics = lambda x: (x.mean((1, 2), keepdim=True), x.std((1, 2), keepdim=True))
    (mean, deviation), (own_mean, own_deviation) = statistics(filtered), statistics(still)
    filtered = (filtered - mean) / deviation.clamp(min=1e-6) * own_deviation + own_mean
    return still.lerp(filtered, share).clamp(0, 1)


def _with_fog(still, draw, generator):
    """Add fog that gets denser towards the top or the bottom."""
    densest = draw(0.1, 1.0)  # transmission of the densest fog
    down = torch.linspace(draw(0, 1), draw(0, 1), still.shape[-2])[:, None]
    transmission = 1 - (1 - densest) * down
    grey, tint = draw(0, 1), 0.05 * torch.randn(3, 1, 1, generator=generator)
    return (transmission * still + (1 - transmission) * (grey + tint)).clamp(0, 1)
