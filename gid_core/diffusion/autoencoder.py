"""The motion autoencoder: one band of a motion to a few channels at a quarter of its resolution.

Law: every band is encoded alone: its code does not depend on the other bands.

Source: Li et al., CVPR 2024, Sec. 4.3 and supplement; Rombach et al. 2022.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..config import AutoencoderConfig
from ..shapes import Float, Tensor
from .blocks import ResBlock, norm

SCALARS = 4  # of a band: Re x, Im x, Re y, Im y
REDUCTION = 4  # factor between the sides of a band and of its code
LOG_VARIANCE = (-20.0, 10.0)  # range of the posterior's log variance


class MotionAutoencoder(nn.Module):
    """Encoder and decoder, with the statistics that whiten the latents."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        widths, patch, latent = config.widths, config.patch, config.latent
        if patch * 2 ** (len(widths) - 1) != REDUCTION:
            raise ValueError(
                f"Expected a patch and widths that reduce sides by {REDUCTION}, got a patch of "
                f"{patch} and {len(widths)} widths: {patch * 2 ** (len(widths) - 1)}."
            )
        self.patch = patch
        inner = SCALARS * patch**2
        down: list[nn.Module] = [nn.Conv2d(inner, widths[0], 3, padding=1)]
        for i, width in enumerate(widths):
            if i:
                down.append(nn.Conv2d(widths[i - 1], width, 3, 2, 1))
            down += [ResBlock(width, width) for _ in range(config.blocks)]
        down += [norm(widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], 2 * latent, 1)]
        up: list[nn.Module] = [nn.Conv2d(latent, widths[-1], 3, padding=1)]
        for i, width in reversed(list(enumerate(widths))):
            up += [ResBlock(width, width) for _ in range(config.blocks)]
            if i:
                up += [nn.Upsample(scale_factor=2), nn.Conv2d(width, widths[i - 1], 3, padding=1)]
        up += [norm(widths[0]), nn.SiLU(), nn.Conv2d(widths[0], inner, 3, padding=1)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)
        self.register_buffer("latent_mean", torch.zeros(latent))
        self.register_buffer("latent_std", torch.ones(latent))

    def posterior(
        self, encoded: Float[Tensor, "n 4 h w"]
    ) -> tuple[Float[Tensor, "n c hl wl"], Float[Tensor, "n c hl wl"]]:
        """Mean and log variance of the latents. Sides are multiples of 4."""
        code = self.encoder(F.pixel_unshuffle(encoded, self.patch))
        mean, log_variance = code.chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def reconstruct(self, code: Float[Tensor, "n c hl wl"]) -> Float[Tensor, "n 4 h w"]:
        return F.pixel_shuffle(self.decoder(code), self.patch)

    def to_latent(self, encoded: Float[Tensor, "b k 4 h w"]) -> Float[Tensor, "b k c hl wl"]:
        """Codes with zero mean and unit standard deviation over the training set."""
        mean, _ = self.posterior(encoded.flatten(0, 1))
        code = (mean - _per_channel(self.latent_mean)) / _per_channel(self.latent_std)
        return code.unflatten(0, encoded.shape[:2])

    def from_latent(self, latent: Float[Tensor, "b k c hl wl"]) -> Float[Tensor, "b k 4 h w"]:
        code = latent.flatten(0, 1) * _per_channel(self.latent_std) + _per_channel(self.latent_mean)
        return self.reconstruct(code).unflatten(0, latent.shape[:2])


def _per_channel(statistic):
    return statistic.view(1, -1, 1, 1)
