"""Building blocks of the networks: residual blocks with an embedding, attention, embeddings.

Convention: two-dimensional layers treat bands as items of a batch, "(b k) c h w". Attention across
bands rearranges them to a sequence.

Attribute names of modules are keys of the weight files, and stay for that reason.

Source: Ho et al. 2020 for the U-Net of diffusion; Karras et al. 2022 for Fourier embeddings;
Blattmann et al. 2023 for interleaved attention over an axis that a pretrained network batches.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ..shapes import Float, Tensor

GROUPS = 8
MOST_SEQUENCES = 2**15  # of one call of attention


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def zeroed(layer: nn.Module) -> nn.Module:
    """Initialize a layer with zeros, so that its output is zero before training."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def fourier(values: Float[Tensor, " n"], channels: int) -> Float[Tensor, "n c"]:
    """Cosines and sines of numbers of order 1, from a quarter cycle per unit up to 16 cycles."""
    rates = 2 * math.pi * torch.logspace(-2, 4, channels // 2, base=2.0).to(values)
    phase = values[:, None] * rates
    return torch.cat([phase.cos(), phase.sin()], 1)


class ResBlock(nn.Module):
    """Two convolutions with a skip connection; `embedding` scales and shifts between them."""

    def __init__(self, channels: int, out: int, embedding: int = 0):
        super().__init__()
        self.first = nn.Sequential(
            norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.listen = nn.Linear(embedding, 2 * out) if embedding else None
        self.norm = norm(out)
        self.second = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.past = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(
        self, x: Float[Tensor, "n c h w"], embedding: Float[Tensor, "n e"] | None = None
    ) -> Float[Tensor, "n c2 h w"]:
        y = self.norm(self.first(x))
        if self.listen is not None:
            gain, shift = self.listen(F.silu(embedding))[..., None, None].chunk(2, 1)
            y = y * (1 + gain) + shift
        return self.past(x) + self.second(F.silu(y))


class Attention(nn.Module):
    """Residual self-attention among tokens; the identity before training."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, tokens: Float[Tensor, "n t c"]) -> Float[Tensor, "n t c"]:
        if len(tokens) > MOST_SEQUENCES:  # a limit of some CUDA kernels
            return torch.cat([self(part) for part in tokens.split(MOST_SEQUENCES)])
        projected = self.project(self.norm(tokens))
        split = "n t (three head d) -> three n head t d"
        query, key, value = rearrange(projected, split, three=3, head=self.heads)
        attended = F.scaled_dot_product_attention(query, key, value)
        return tokens + self.out(rearrange(attended, "n head t d -> n t (head d)"))


class SpatialAttention(Attention):
    """Attention among all pixels of a band."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        tokens = super().forward(rearrange(x, "n c h w -> n (h w) c"))
        return rearrange(tokens, "n (h w) c -> n c h w", h=x.shape[2])


class FrequencyAttention(Attention):
    """Attention among all bands of a pixel (Li et al. 2024, Sec. 4.3)."""

    def forward(self, x: Float[Tensor, "n c h w"], bands: int) -> Float[Tensor, "n c h w"]:
        tokens = super().forward(rearrange(x, "(b k) c h w -> (b h w) k c", k=bands))
        height, width = x.shape[-2:]
        return rearrange(tokens, "(b h w) k c -> (b k) c h w", h=height, w=width)
