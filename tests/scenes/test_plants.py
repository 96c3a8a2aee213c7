import pytest
import torch

from gid_core.scenes.builder import STRIP_DEFAULTS, open_builder
from gid_core.scenes.plants import (
    GREENS,
    flowers,
    foliage,
    grass,
    meadow,
    reeds,
    shrub,
    tinted,
    tree,
)

HERTZ = torch.arange(1, 17) / 5
PLANTS = [tree, foliage, shrub, grass, flowers, meadow, reeds]


def grown(kind, seed=0):
    builder = open_builder(torch.Generator().manual_seed(seed), 1.6, HERTZ)
    kind(builder)
    return builder


def table(builder):
    return {
        name: torch.cat([strip[name] for strip in builder.strips]) for name in builder.strips[0]
    }


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("kind", PLANTS)
def test_a_plant_is_complete(kind, seed):
    builder = grown(kind, seed)
    strips = table(builder)
    assert set(STRIP_DEFAULTS) < set(strips)
    assert all(values.isfinite().all() for values in strips.values())
    assert (strips["length"] > 0).all() and (strips["width"] > 0).all()
    assert 0 <= strips["piece"].min() and strips["piece"].max() < builder.count
    assert 0 <= strips["colour"].min() and strips["colour"].max() <= 1
    pivot, shift, strain = builder.pieces()
    assert len(pivot) == len(shift) == len(strain) == builder.count
    assert shift.isfinite().all() and strain.isfinite().all()


@pytest.mark.parametrize("kind", PLANTS)
def test_a_plant_depends_on_its_seed_alone(kind):
    first, again, other = grown(kind), grown(kind), grown(kind, 1)
    assert torch.equal(first.pieces()[1], again.pieces()[1])
    assert len(other.pieces()[1]) != len(first.pieces()[1]) or not torch.equal(
        first.pieces()[1], other.pieces()[1]
    )


@pytest.mark.parametrize("kind", PLANTS)
def test_higher_parts_move_farther(kind):
    # Motion adds up along a chain from the ground. Foliage may grow from any border.
    builder = grown(kind, 2)
    pivot, shift, _ = builder.pieces()
    amplitude = shift.abs().square().sum((1, 2)).sqrt()
    assert (amplitude > 0).float().mean() > 0.5
    if kind is not foliage:
        low, high = pivot[:, 1].quantile(0.8), pivot[:, 1].quantile(0.2)
        assert amplitude[pivot[:, 1] < high].mean() > amplitude[pivot[:, 1] > low].mean()


@pytest.mark.parametrize("kind", PLANTS)
def test_amplitude_falls_towards_high_frequencies(kind):
    builder = grown(kind, 3)
    band = builder.pieces()[1].abs().square().sum((0, 2))
    assert band[:6].mean() > 4 * band[-6:].mean()


def test_a_trees_trunk_is_slower_than_its_leaves():
    builder = grown(tree)
    _, shift, strain = builder.pieces()
    turns = strain[..., 1, 0].abs()
    hertz = (turns * HERTZ).sum(1) / turns.sum(1).clamp(min=1e-12)
    leaf = builder.strips[-1]["piece"]
    trunk = builder.strips[0]["piece"]
    assert hertz[trunk].mean() < hertz[leaf].mean()


def test_tints_vary_around_their_colour():
    builder = grown(grass)
    colours = tinted(builder, GREENS[0], 400, 0.2)
    assert colours.shape == (400, 3) and colours.std(0).min() > 0
    ratio = colours.median(0).values / torch.tensor(GREENS[0])
    assert (ratio - 1).abs().max() < 0.15
