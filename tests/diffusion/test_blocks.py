import torch
from torch import nn

from gid_core.diffusion.blocks import (
    Attention,
    FrequencyAttention,
    ResBlock,
    SpatialAttention,
    fourier,
    norm,
)

torch.manual_seed(0)


def woken(layer):
    """With weights everywhere, those that begin as zero too."""
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return layer


def test_blocks_and_attention_begin_as_nothing():
    x = torch.randn(6, 8, 5, 7)
    assert torch.equal(ResBlock(8, 8)(x), x)
    assert torch.equal(SpatialAttention(8, 2)(x), x)
    assert torch.equal(FrequencyAttention(8, 2)(x, 3), x)


def test_attention_is_the_formula():
    layer, tokens = woken(Attention(6, 1)), torch.randn(2, 5, 6)
    q, k, v = layer.project(layer.norm(tokens)).chunk(3, -1)
    mixed = (q @ k.transpose(1, 2) / 6**0.5).softmax(-1) @ v
    assert torch.allclose(layer(tokens), tokens + layer.out(mixed), atol=1e-5)


def test_bands_meet_at_their_own_pixel_alone():
    layer, x = woken(FrequencyAttention(8, 2)), torch.randn(2 * 3, 8, 5, 7)
    other = x.clone()
    other[1, 0, 2, 4] += 1.0  # item 0, band 1; of all channels alike a norm would see nothing
    changed = (layer(other, 3) != layer(x, 3)).any(1)
    wanted = torch.zeros(6, 5, 7, dtype=torch.bool)
    wanted[:3, 2, 4] = True  # every band of that item, there
    assert torch.equal(changed, wanted)


def test_order_of_bands_does_not_matter():
    layer, x = woken(FrequencyAttention(8, 2)), torch.randn(3, 8, 5, 7)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(layer(x[order], 3), layer(x, 3)[order], atol=1e-5)


def test_an_embedding_is_heard():
    block, x = woken(ResBlock(8, 4, 6)), torch.randn(2, 8, 5, 7)
    one, other = (block(x, torch.full((2, 6), v)) for v in (0.0, 1.0))
    assert not torch.allclose(one, other)


def test_fourier_tells_numbers_apart_and_has_unit_pairs():
    values = torch.tensor([-2.0, -0.3, 0.0, 0.01, 1.5])
    embedded = fourier(values, 32)
    assert embedded.shape == (5, 32)
    assert torch.allclose(embedded[:, :16].square() + embedded[:, 16:].square(), torch.ones(5, 16))
    assert torch.pdist(embedded).min() > 0.1


def test_norm_has_groups_that_fit():
    assert norm(24).num_groups == 8
    assert norm(6).num_groups == 2
