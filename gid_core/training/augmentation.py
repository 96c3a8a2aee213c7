"""Stills as other eyes would see them: other light, weather and lenses, other surfaces.

What a network learns of synthetic pictures it must find again in photographs. So it may not hold on to
how leaves are painted here: only to their shapes, and to what stands before what.

Convention: stills 3 h w in [0, 1], and so is what comes back. All that is drawn comes from the generator.

Source: random convolutions after Xu et al., "Robust and Generalizable Visual Representation Learning via
Random Convolutions", ICLR 2021; the rest is the usual randomization of domains (Tobin et al. 2017).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..scenes.textures import blur, noise
from ..shapes import Float, Tensor

KERNELS = (1, 3, 5)


def relight(still: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
    """Another exposure, contrast, white and grain; sometimes other hues, or a soft lens."""
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
    """The same things of other stuff, in other weather: each change at random, often several."""
    draw = drawing(generator)
    if draw(0, 1) < 0.8:
        still = _through_a_filter(still, draw(0, 1), generator)
    if draw(0, 1) < 0.4:
        still = _in_fog(still, draw, generator)
    drawn = draw(0, 1)
    if drawn < 0.25:
        still = still * draw(0.1, 0.6)
    elif drawn < 0.4:
        still = (still * draw(1.2, 2.2)).clamp(0, 1)
    elif drawn < 0.5:
        still = still.mean().lerp(still, draw(0.3, 1))
    if draw(0, 1) < 0.5:  # dirt, shade, another surface
        stains = noise(generator, tuple(still.shape[-2:]), draw(3, 30), falloff=draw(0.4, 1.0))
        still = (still * (1 + draw(0, 0.5) * stains)).clamp(0, 1)
    if draw(0, 1) < 0.4:
        still = blur(still, draw(0.4, 2.0))
    if draw(0, 1) < 0.3:
        still = still.mean(0, keepdim=True).expand_as(still)
    return still


def drawing(generator: torch.Generator) -> Callable[[float, float], float]:
    """Numbers between two."""
    return lambda low, high: low + (high - low) * float(torch.rand((), generator=generator))


def _through_a_filter(still, share, generator):
    """Mixed with what a random convolution makes of it, at the still's own brightness and contrast."""
    side = KERNELS[int(torch.randint(len(KERNELS), (), generator=generator))]
    kernel = torch.randn(3, 3, side, side, generator=generator)
    found = F.conv2d(F.pad(still[None], (side // 2,) * 4, mode="reflect"), kernel)[0]
    apart = lambda x: (x.mean((1, 2), keepdim=True), x.std((1, 2), keepdim=True))
    (middle, spread), (own, width) = apart(found), apart(still)
    found = (found - middle) / spread.clamp(min=1e-6) * width + own
    return still.lerp(found, share).clamp(0, 1)


def _in_fog(still, draw, generator):
    """Thicker towards the top or the bottom."""
    thin = draw(0.1, 1.0)
    down = torch.linspace(draw(0, 1), draw(0, 1), still.shape[-2])[:, None]
    left = 1 - (1 - thin) * down
    grey, tint = draw(0, 1), 0.05 * torch.randn(3, 1, 1, generator=generator)
    return (left * still + (1 - left) * (grey + tint)).clamp(0, 1)
