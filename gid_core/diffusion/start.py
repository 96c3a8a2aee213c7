"""Where sampling begins: at a wind under noise.

Under much noise all that can be told of a motion is what it has in common over a distance. A small
denoiser learns that last: from white noise at the highest level it drew crowns whose parts went
their own ways (docs/benchmarks.md). So the common part is drawn from the wind itself, and sampling
begins at a level where the denoiser is better than any Gaussian.

Law: every scalar of the wind is normal with unit variance, as latents are; between places r apart
their correlation is exp(-c f r / U).

Source: coherence of wind, Davenport 1961; beginning at a noisy guess, Meng et al., "SDEdit", ICLR
2022.
"""

import math

import torch

from ..config import WindConfig
from ..motion.wind import coherent_noise
from ..shapes import Float, Tensor

SIGMA = 4.0  # noise over the wind: the highest level of sampling
# From which side it blows is not known: one decay in all directions. Chosen on training samples.
WIND = WindConfig(travel_decay=2.0, coherence_decay=2.0)
AXES = 2


def with_wind(
    noise: Float[Tensor, "1 k 4 h w"],
    frequencies_hz: Float[Tensor, " k"],
    generator: torch.Generator,
) -> Float[Tensor, "1 k 4 h w"]:
    """What sampling begins with, beside its highest level: unit noise, and a wind in it.

    Args:
        noise: Of unit deviation; channels are Re x, Im x, Re y, Im y.
        generator: On the CPU.
    """
    grid = tuple(noise.shape[-2:])
    hertz = frequencies_hz.cpu().float()
    axes = [coherent_noise(hertz, grid, WIND, generator) for _ in range(AXES)]
    wind = torch.view_as_real(torch.stack(axes, 1)).permute(0, 1, 4, 2, 3).flatten(1, 2)
    return noise + math.sqrt(2) / SIGMA * wind.to(noise)
