"""The networks of the diffusion model: one reads the still, one cleans bands of noise.

Stage 1 treats bands as items of a batch, told apart by an embedding of their frequency. Stage 2 freezes
that and adds attention across the bands of every pixel, which begins as nothing.

Law: without attention across bands, a band's result does not depend on the others; with it, results
follow the bands wherever they stand in the batch.

Source: Li et al., CVPR 2024, Sec. 4.3 and supplement.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..config import DenoiserConfig
from ..shapes import Float, Tensor
from .blocks import FrequencyAttention, ResBlock, SpatialAttention, fourier, norm, zeroed

STEM = 2  # px of the still to a side of the first layer's
EMBEDDED = 32  # sines and cosines of a number


class ImageEncoder(nn.Module):
    """The still as a few channels at a quarter of its size, from which band amplitudes can be read.

    A U-Net: what a pixel shows depends on what it is part of.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        widths = config.encoder_widths
        self.stem = nn.Conv2d(3 * STEM**2, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            step = nn.Conv2d(widths[i - 1], width, 3, 2, 1) if i else nn.Identity()
            self.down.append(nn.Sequential(step, ResBlock(width, width)))
        for i in range(len(widths) - 1, 1, -1):  # back up to a quarter
            self.up.append(ResBlock(widths[i] + widths[i - 1], widths[i - 1]))
        self.features = nn.Sequential(norm(widths[1]), nn.SiLU(), nn.Conv2d(widths[1], config.features, 1))  # fmt: skip
        self.amplitudes = nn.Conv2d(config.features, config.bands, 1)

    @property
    def multiple(self) -> int:
        """What the sides of a still are multiples of."""
        return STEM * 2 ** (len(self.down) - 1)

    @property
    def trained(self) -> bool:
        """Whether its blocks say anything: they begin as nothing."""
        return any(bool(m.second.weight.any()) for m in self.modules() if isinstance(m, ResBlock))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f hl wl"]:
        x = self.stem(F.pixel_unshuffle(2 * image - 1, STEM))
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
        for up, finer in zip(self.up, reversed(kept[1:-1])):
            x = up(torch.cat([F.interpolate(x, finer.shape[-2:]), finer], 1))
        return self.features(x)


class Denoiser(nn.Module):
    """A U-Net over the codes of bands, given the still's features, the bands' frequencies and the noise.

    With `config.layout` "volume" all bands are channels of one picture: the paper's ablation.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        widths, latent = config.widths, config.latent
        volume = config.layout == "volume"
        channels = latent * config.bands if volume else latent
        wide = 4 * widths[0]
        self.embed = nn.Sequential(nn.Linear((1 if volume else 2) * EMBEDDED, wide), nn.SiLU(), nn.Linear(wide, wide))  # fmt: skip
        self.enter = nn.Conv2d(channels + config.features, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        kept, width = [widths[0]], widths[0]
        for i, out in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(_Level(config, i, width, out, wide))
                width = out
                kept.append(width)
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(width, width, 3, 2, 1))
                kept.append(width)
        last = len(widths) - 1
        self.middle = nn.ModuleList([_Level(config, last, width, width, wide), ResBlock(width, width, wide)])  # fmt: skip
        for i, out in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(_Level(config, i, width + kept.pop(), out, wide))
                width = out
            if i:
                self.up.append(nn.Conv2d(width, width, 3, padding=1))
        self.leave = nn.Sequential(norm(width), nn.SiLU(), zeroed(nn.Conv2d(width, channels, 3, padding=1)))  # fmt: skip

    @property
    def multiple(self) -> int:
        """What the sides of the codes are multiples of."""
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
            features: Of the still; zero for a model that is told nothing.
        """
        b, k = noisy.shape[:2]
        embedding = fourier(noise, EMBEDDED)
        if self.config.layout == "volume":
            x, bands = noisy.flatten(1, 2), 1
        else:
            octaves = (frequencies_hz.to(noise).log2() / 4).expand(b, k)
            known = fourier(octaves.flatten(), EMBEDDED).view(b, k, -1)
            embedding = torch.cat([embedding[:, None].expand(b, k, -1), known], 2)
            x, embedding, bands = noisy.flatten(0, 1), embedding.flatten(0, 1), k
            features = features.repeat_interleave(k, 0)
        embedding = self.embed(embedding)
        x = self.enter(torch.cat([x, features], 1))
        kept = [x]
        for layer in self.down:
            x = layer(x, embedding, bands) if isinstance(layer, _Level) else layer(x)
            kept.append(x)
        x = self.middle[1](self.middle[0](x, embedding, bands), embedding)
        for layer in self.up:
            if isinstance(layer, _Level):
                x = layer(torch.cat([x, kept.pop()], 1), embedding, bands)
            else:
                x = layer(F.interpolate(x, scale_factor=2.0))
        return self.leave(x).reshape(noisy.shape)


class _Level(nn.Module):
    """A block, and after it the attention that its level has."""

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
    """What stage 2 trains: the parameters of attention across bands."""
    layers = (m for m in denoiser.modules() if isinstance(m, FrequencyAttention))
    return [parameter for layer in layers for parameter in layer.parameters()]
