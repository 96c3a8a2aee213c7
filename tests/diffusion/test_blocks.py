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


def randomized(layer):
    """Random weights everywhere, also where a layer is initialized with zeros."""
    generator = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return layer


def test_blocks_and_attention_are_the_identity_at_the_start():
    x = torch.randn(6, 8, 5, 7)
    assert torch.equal(ResBlock(8, 8)(x), x)
    assert torch.equal(SpatialAttention(8, 2)(x), x)
    assert torch.equal(FrequencyAttention(8, 2)(x, 3), x)


def test_attention_is_the_formula():
    layer, tokens = randomized(Attention(6, 1)), torch.randn(2, 5, 6)
    q, k, v = layer.project(layer.norm(tokens)).chunk(3, -1)
    attended = (q @ k.transpose(1, 2) / 6**0.5).softmax(-1) @ v
    assert torch.allclose(layer(tokens), tokens + layer.out(attended), atol=1e-5)


def test_attention_across_bands_is_local_to_a_pixel():
    layer, x = randomized(FrequencyAttention(8, 2)), torch.randn(2 * 3, 8, 5, 7)
    other = x.clone()
    other[1, 0, 2, 4] += 1.0  # item 0, band 1; one channel, because a norm removes a shift of all
    changed = (layer(other, 3) != layer(x, 3)).any(1)
    expected = torch.zeros(6, 5, 7, dtype=torch.bool)
    expected[:3, 2, 4] = True  # every band of that item at that pixel
    assert torch.equal(changed, expected)


def test_attention_across_bands_is_equivariant_under_permutation():
    layer, x = randomized(FrequencyAttention(8, 2)), torch.randn(3, 8, 5, 7)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(layer(x[order], 3), layer(x, 3)[order], atol=1e-5)


def test_an_embedding_changes_the_result():
    block, x = randomized(ResBlock(8, 4, 6)), torch.randn(2, 8, 5, 7)
    one, other = (block(x, torch.full((2, 6), v)) for v in (0.0, 1.0))
    assert not torch.allclose(one, other)


def test_fourier_embeddings_are_distinct_and_have_unit_pairs():
    values = torch.tensor([-2.0, -0.3, 0.0, 0.01, 1.5])
    embedded = fourier(values, 32)
    assert embedded.shape == (5, 32)
    assert torch.allclose(embedded[:, :16].square() + embedded[:, 16:].square(), torch.ones(5, 16))
    assert torch.pdist(embedded).min() > 0.1


def test_the_number_of_groups_divides_the_channels():
    assert norm(24).num_groups == 8
    assert norm(6).num_groups == 2
