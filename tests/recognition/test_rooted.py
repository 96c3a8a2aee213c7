import pytest
import torch

from gid_core.config import ElasticConfig
from gid_core.recognition.kinds import KINDS
from gid_core.recognition.rooted import GROUPS, LEAST, rooted_apart

SIZE = 90, 120


def seen(**areas):
    """Kinds by areas (rows, columns); the rest is water, which does not sway."""
    kind = torch.full((1, 1, *SIZE), KINDS.index("water"))
    for name, (rows, columns) in areas.items():
        kind[..., rows, columns] = KINDS.index(name)
    matte = (kind != KINDS.index("water")).float()
    return matte, kind


TREE_ON_A_LAWN = {
    "tree": (slice(10, 50), slice(30, 80)),
    "trunk": (slice(50, 62), slice(50, 60)),
    "grass": (slice(62, 90), slice(None)),
}


def test_a_tree_on_a_lawn_has_its_own_root_and_stands_behind_it():
    matte, kind = seen(**TREE_ON_A_LAWN)
    own = ElasticConfig(sway_hz=1.7)
    (tree, lawn), names = rooted_apart(matte, kind, own)
    assert names == ("woody plants", "meadow")
    assert (tree.elastic.rooting, lawn.elastic.rooting) == ("one root", "field")
    assert tree.elastic.sway_hz == lawn.elastic.sway_hz == own.sway_hz
    assert torch.equal(tree.matte + lawn.matte, matte)
    assert tree.matte[..., :58, :].sum() == matte[..., :58, :].sum()
    assert lawn.matte[..., 66:, :].sum() == matte[..., 66:, :].sum()


@pytest.mark.parametrize(
    "areas",
    [
        {"tree": (slice(0, 60), slice(0, 90)), "shrub": (slice(60, 80), slice(0, 90))},
        {"grass": (slice(20, 90), slice(None)), "flower": (slice(30, 50), slice(40, 70))},
        {"grass": (slice(20, 90), slice(None)), "tree": (slice(0, 20), slice(0, 8))},  # too small
        {},
    ],
)
def test_what_is_rooted_alike_or_next_to_nothing_stays_one(areas):
    assert rooted_apart(*seen(**areas), ElasticConfig()) == ((), ())


def test_specks_belong_to_what_is_around_them(rng):
    matte, kind = seen(**TREE_ON_A_LAWN)
    clean, _ = rooted_apart(matte, kind, ElasticConfig())
    specks = torch.rand(1, 1, *SIZE, generator=rng) < 0.03
    kind[specks & (matte > 0)] = KINDS.index("grass")
    speckled, _ = rooted_apart(matte, kind, ElasticConfig())
    moved = sum(float((a.matte - b.matte).abs().sum()) for a, b in zip(clean, speckled))
    assert moved < 0.05 * float(matte.sum())


def test_every_kind_that_sways_is_in_one_group_and_small_ones_join_another():
    named = [kind for kinds, _ in GROUPS.values() for kind in kinds]
    assert sorted(named) == sorted(set(KINDS) - {"water", "cloud", "smoke"})
    areas = TREE_ON_A_LAWN | {"flame": (slice(70, 74), slice(10, 16))}
    matte, kind = seen(**areas)
    assert 24 < LEAST * matte.sum()
    things, names = rooted_apart(matte, kind, ElasticConfig())
    assert len(things) == 2 and "flames" not in names
    assert torch.equal(sum(thing.matte for thing in things), matte)


@pytest.mark.parametrize("unlike", ["water", "flame"])
def test_what_is_of_no_group_joins_the_nearest_and_makes_none(unlike):
    # Sky between laundry and lawn that was taken for something that sways, and a candle in it.
    matte, kind = seen(cloth=(slice(0, 20), slice(None)), grass=(slice(60, 90), slice(None)))
    matte[...] = 1
    kind[..., 37:43, 50:60] = KINDS.index(unlike)
    (cloth, lawn), names = rooted_apart(matte, kind, ElasticConfig())
    assert names == ("what hangs", "meadow")
    assert torch.equal(cloth.matte + lawn.matte, matte)
    assert cloth.matte[..., :30, :].all() and lawn.matte[..., 50:, :].all()
