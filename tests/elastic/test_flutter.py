import math

import numpy as np
import pytest

from gid_core.elastic.flutter import flutter, leaves_on

SIZE = 13, 18
HZ = np.arange(1, 80) / 10


def leaves(size=4.0, colour=None, seed=0):
    colour = np.full((*SIZE, 3), 0.5) if colour is None else colour
    return leaves_on(colour, size, np.random.default_rng(seed))


def blown(found, velocity=None, hz=HZ, natural_hz=3.0, damping=0.1, seed=1):
    if velocity is None:
        velocity = np.ones((len(hz), 2, *SIZE), complex)
    return flutter(
        found, velocity, 2 * math.pi * hz, natural_hz, damping, np.random.default_rng(seed)
    )


def test_shares_of_leaves_add_up_everywhere():
    found = leaves()
    np.testing.assert_allclose(found.share.sum(0), 1)
    assert (found.share >= 0).all() and found.which.max() < len(found.middles)


def test_no_point_is_without_a_leaf_that_is_near():
    found = leaves()
    y, x = np.divmod(found.middles[found.which], SIZE[1])
    rows, columns = np.indices(SIZE)
    assert np.hypot(y - rows, x - columns).min(0).max() < 4.0


def test_a_slow_wind_moves_all_leaves_as_it_blows():
    # Far below resonance a leaf is where the wind holds it, force / omega^2, in phase.
    moved = blown(leaves(), hz=np.array([0.01]))
    held = np.abs(moved) * (2 * math.pi * 3.0) ** 2
    assert held.min() > 0.5 and held.max() < 2.0
    assert np.abs(np.angle(moved)).max() < 0.01


def test_leaves_ring_at_their_own_frequency():
    power = np.square(np.abs(blown(leaves()))).mean((1, 2, 3))
    assert HZ[power.argmax()] == pytest.approx(3.0, rel=0.15)


def test_two_leaves_are_two_oscillators():
    # At resonance each leaf has its own phase; the same wind makes them move apart.
    moved = blown(leaves(), hz=np.array([3.0]))[0, 0]
    assert np.abs(np.angle(moved / moved.mean())).max() > 0.3


def test_a_leaf_follows_the_wind_where_it_is():
    velocity = np.ones((len(HZ), 2, *SIZE), complex)
    velocity[:, :, :, 9:] = 0  # calm on the right
    moved = np.abs(blown(leaves(), velocity)).max((0, 1))
    assert moved[:, 17].max() == 0 and moved[:, 0].min() > 0


def test_leaves_end_where_colours_do():
    colour = np.zeros((*SIZE, 3))
    colour[:, 9:] = 1
    across = lambda found: np.abs(np.diff(blown(found, hz=np.array([3.0]))[0, 0], axis=1))[
        :, 8
    ].mean()
    assert across(leaves(colour=colour)) > 1.5 * across(leaves())
