import pytest
import torch

from gid_core.scenes.builder import LOOK, open_builder
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
    on = open_builder(torch.Generator().manual_seed(seed), 1.6, HERTZ)
    kind(on)
    return on


def table(on):
    return {name: torch.cat([strip[name] for strip in on.strips]) for name in on.strips[0]}


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("kind", PLANTS)
def test_a_plant_is_whole(kind, seed):
    on = grown(kind, seed)
    strips = table(on)
    assert set(LOOK) < set(strips)
    assert all(values.isfinite().all() for values in strips.values())
    assert (strips["length"] > 0).all() and (strips["width"] > 0).all()
    assert 0 <= strips["piece"].min() and strips["piece"].max() < on.count
    assert 0 <= strips["colour"].min() and strips["colour"].max() <= 1
    pivot, shift, strain = on.pieces()
    assert len(pivot) == len(shift) == len(strain) == on.count
    assert shift.isfinite().all() and strain.isfinite().all()


@pytest.mark.parametrize("kind", PLANTS)
def test_a_plant_is_its_seeds(kind):
    first, again, other = grown(kind), grown(kind), grown(kind, 1)
    assert torch.equal(first.pieces()[1], again.pieces()[1])
    assert len(other.pieces()[1]) != len(first.pieces()[1]) or not torch.equal(
        first.pieces()[1], other.pieces()[1]
    )


@pytest.mark.parametrize("kind", PLANTS)
def test_what_is_higher_sways_farther(kind):
    # Motion adds up along what grows from the ground; foliage grows from any border.
    on = grown(kind, 2)
    pivot, shift, _ = on.pieces()
    size = shift.abs().square().sum((1, 2)).sqrt()
    assert (size > 0).float().mean() > 0.5
    if kind is not foliage:
        low, high = pivot[:, 1].quantile(0.8), pivot[:, 1].quantile(0.2)
        assert size[pivot[:, 1] < high].mean() > size[pivot[:, 1] > low].mean()


@pytest.mark.parametrize("kind", PLANTS)
def test_motion_falls_towards_high_frequencies(kind):
    on = grown(kind, 3)
    band = on.pieces()[1].abs().square().sum((0, 2))
    assert band[:6].mean() > 4 * band[-6:].mean()


def test_a_trees_trunk_is_slower_than_its_leaves():
    on = grown(tree)
    _, shift, strain = on.pieces()
    turns = strain[..., 1, 0].abs()
    hertz = (turns * HERTZ).sum(1) / turns.sum(1).clamp(min=1e-12)
    leaf = on.strips[-1]["piece"]
    trunk = on.strips[0]["piece"]
    assert hertz[trunk].mean() < hertz[leaf].mean()


def test_tints_keep_to_their_colour():
    on = grown(grass)
    colours = tinted(on, GREENS[0], 400, 0.2)
    assert colours.shape == (400, 3) and colours.std(0).min() > 0
    ratio = colours.median(0).values / torch.tensor(GREENS[0])
    assert (ratio - 1).abs().max() < 0.15
