"""The networks of the diffusion model: an image encoder, and a denoiser of the latents of bands.

Stage 1 treats bands as items of a batch, distinguished by an embedding of their frequency. Stage 2
freezes it and adds attention across the bands of every pixel, which is the identity at the start.

Law: without attention across bands, the result of a band does not depend on the others. With it,
the results are equivariant under permutation of the bands.

Source: Li et al., CVPR 2024, Sec. 4.3 and supplement.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..config import DenoiserConfig
from ..shapes import Float, Tensor
from .blocks import FrequencyAttention, ResBlock, SpatialAttention, fourier, norm, zeroed
from .smoothing import smoothed

STEM = 2  # pixel-unshuffle factor before the first layer of the image encoder
FOURIER = 32  # channels of a Fourier embedding


class ImageEncoder(nn.Module):
    """Features of a still at a quarter of its resolution; a linear layer gives band amplitudes.

    It is a U-Net, because the motion of a pixel depends on the object that it belongs to.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        widths = config.encoder_widths
        self.stem = nn.Conv2d(3 * STEM**2, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            step = nn.Conv2d(widths[i - 1], width, 3, 2, 1) if i else nn.Identity()
            self.down.append(nn.Sequential(step, ResBlock(width, width)))
        for i in range(len(widths) - 1, 1, -1):  # up to a quarter of the resolution
            self.up.append(ResBlock(widths[i] + widths[i - 1], widths[i - 1]))
        last = nn.Conv2d(widths[1], config.features, 1)
        self.features = nn.Sequential(norm(widths[1]), nn.SiLU(), last)
        self.amplitudes = nn.Conv2d(config.features, config.bands, 1)

    @property
    def multiple(self) -> int:
        """The sides of a still must be multiples of this."""
        return STEM * 2 ** (len(self.down) - 1)

    @property
    def trained(self) -> bool:
        """Whether any residual block is non-zero; all are zero before training."""
        return any(bool(m.second.weight.any()) for m in self.modules() if isinstance(m, ResBlock))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f hl wl"]:
        x = self.stem(F.pixel_unshuffle(2 * image - 1, STEM))
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        for up, finer in zip(self.up, reversed(skips[1:-1])):
            x = up(torch.cat([F.interpolate(x, finer.shape[-2:]), finer], 1))
        return self.features(x)


class Denoiser(nn.Module):
    """A U-Net over the latents of bands, conditioned on image features, frequencies and noise.

    With the layout "volume" all bands are channels of one picture: an ablation of the paper.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        widths, latent = config.widths, config.latent
        volume = config.layout == "volume"
        channels = latent * config.bands if volume else latent
        # The order of the layers' construction fixes their random initial weights.
        hidden = 4 * widths[0]
        inputs = nn.Linear((1 if volume else 2) * FOURIER, hidden)
        self.embed = nn.Sequential(inputs, nn.SiLU(), nn.Linear(hidden, hidden))
        given = channels + config.features + channels * len(config.smoothed)
        self.enter = nn.Conv2d(given, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for i, out in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(_Level(config, i, width, out, hidden))
                width = out
                skips.append(width)
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(width, width, 3, 2, 1))
                skips.append(width)
        deepest = _Level(config, len(widths) - 1, width, width, hidden)
        self.middle = nn.ModuleList([deepest, ResBlock(width, width, hidden)])
        for i, out in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(_Level(config, i, width + skips.pop(), out, hidden))
                width = out
            if i:
                self.up.append(nn.Conv2d(width, width, 3, padding=1))
        last = zeroed(nn.Conv2d(width, channels, 3, padding=1))
        self.leave = nn.Sequential(norm(width), nn.SiLU(), last)

    @property
    def multiple(self) -> int:
        """The sides of the latents must be multiples of this."""
        return 2 ** (len(self.config.widths) - 1)

    def forward(
        self,
        noisy: Float[Tensor, "b k c h w"],
        noise: Float[Tensor, " b"],
        features: Float[Tensor, "b f h w"],
        frequencies_hz: Float[Tensor, " k"] | Float[Tensor, "b k"],
    ) -> Float[Tensor, "b k c h w"]:
        """
        Args:
            noise: ln(sigma) / 4 (Karras et al. 2022).
            features: Of the still; zeros for the unconditional estimate. Where the configuration
                has `smoothed` means, one more channel says how much every place counts.
        """
        b, k = noisy.shape[:2]
        weights = None
        if self.config.smoothed:
            features, weights = features[:, :-1], features[:, -1:]
        embedding = fourier(noise, FOURIER)
        if self.config.layout == "volume":
            x, bands = noisy.flatten(1, 2), 1
        else:
            octaves = (frequencies_hz.to(noise).log2() / 4).expand(b, k)
            frequency = fourier(octaves.flatten(), FOURIER).view(b, k, -1)
            embedding = torch.cat([embedding[:, None].expand(b, k, -1), frequency], 2)
            x, embedding, bands = noisy.flatten(0, 1), embedding.flatten(0, 1), k
            features = features.repeat_interleave(k, 0)
            weights = weights if weights is None else weights.repeat_interleave(k, 0)
        embedding = self.embed(embedding)
        sigma = (4 * noise).exp().repeat_interleave(bands)
        # Sums over hundreds of places, and squares of up to 40: in full precision.
        means = [
            smoothed(x.float(), weights.float(), sigma.float(), radius).to(x)
            for radius in self.config.smoothed
        ]
        x = self.enter(torch.cat([x, features, *means], 1))
        skips = [x]
        for layer in self.down:
            x = layer(x, embedding, bands) if isinstance(layer, _Level) else layer(x)
            skips.append(x)
        x = self.middle[1](self.middle[0](x, embedding, bands), embedding)
        for layer in self.up:
            if isinstance(layer, _Level):
                x = layer(torch.cat([x, skips.pop()], 1), embedding, bands)
            else:
                x = layer(F.interpolate(x, scale_factor=2.0))
        return self.leave(x).reshape(noisy.shape)


class _Level(nn.Module):
    """A residual block, followed by the attention of its level."""

    def __init__(self, config, level, channels, out, embedding):
        super().__init__()
        heads = max(1, out // config.head)
        self.block = ResBlock(channels, out, embedding)
        spatial = level >= config.attention_from
        self.spatial = SpatialAttention(out, heads) if spatial else None
        self.across = FrequencyAttention(out, heads) if config.layout == "coordinated" else None

    def forward(self, x, embedding, bands):
        x = self.block(x, embedding)
        if self.spatial is not None:
            x = self.spatial(x)
        return x if self.across is None else self.across(x, bands)


def across_bands(denoiser: Denoiser) -> list[nn.Parameter]:
    """The parameters of attention across bands, which stage 2 trains."""
    layers = (m for m in denoiser.modules() if isinstance(m, FrequencyAttention))
    return [parameter for layer in layers for parameter in layer.parameters()]
