import math

import numpy as np
import oracles
import pytest
import torch

from gid_core.config import ElasticConfig
from gid_core.elastic.modes import receptance
from gid_core.elastic.sheet import solve


def still_and_matte():
    return oracles.two_blobs(36, 48)


@pytest.mark.parametrize("size, scale", [(80, 1), (160, 2), (480, 6)])
def test_a_diagonal_stem_of_one_pixel_stays_in_one_part(size, scale):
    matte = torch.zeros(1, 1, size, size)
    along = torch.arange(size // 8, 7 * size // 8)
    matte[0, 0, along, along] = 1
    image = torch.full((1, 3, size, size), 0.5)
    config = ElasticConfig(longest_side=size // scale)
    assert len(solve(image, matte, config=config).parts) == 1


def peak_hz(body):
    """Where a part answers most to a force that is white in time and space, on a grid of 0.01
    Hz."""
    hz = np.arange(0.05, 12, 0.01)
    answer = receptance(body.part.omega, 2 * math.pi * hz, body.elastic.damping_ratio)
    return hz[np.square(np.abs(answer)).sum(1).argmax()]


def blocks(*boxes):
    """Bright blocks (top, bottom, left, right) before a dark ground, and their mask."""
    matte = torch.zeros(1, 1, 30, 44)
    for top, bottom, left, right in boxes:
        matte[..., top:bottom, left:right] = 1
    return torch.where(matte > 0, 0.9, 0.1).expand(1, 3, 30, 44), matte


LARGE, SMALL = (6, 26, 6, 16), (14, 22, 26, 30)


def test_parts_that_do_not_touch_are_solved_apart():
    both, large, small = (solve(*blocks(*b)).parts for b in ((LARGE, SMALL), (LARGE,), (SMALL,)))
    for part, alone in zip(both, (*large, *small), strict=True):
        assert np.array_equal(part.nodes, alone.nodes)
        np.testing.assert_allclose(part.omega[:4] / part.omega[0], alone.omega[:4] / alone.omega[0])


def test_larger_parts_get_more_modes():
    large, small = solve(*blocks(LARGE, SMALL), config=ElasticConfig(modes=20)).parts
    assert len(large.omega) == 20 and 4 <= len(small.omega) <= 8


def test_the_outline_holds_where_the_colour_goes_on():
    image, matte = blocks((8, 22, 12, 32))
    flat = torch.full_like(image, 0.5)
    free = ElasticConfig(anchor="none")
    apart, inside = (solve(still, matte, config=free) for still in (image, flat))
    for sheet, held in ((apart, False), (inside, True)):
        first = np.zeros(sheet.grid)
        first.flat[sheet.parts[0].nodes] = np.square(sheet.parts[0].shapes[:, :, 0]).sum(1)
        # Free, it moves as a whole; held, its middle moves and its outline does not.
        assert (first[15, 12] < 0.3 * first[15, 22]) == held
    # Held or not, it sways at the frequency asked for.
    for still in (image, flat):
        assert peak_hz(solve(still, matte).bodies[0]) == pytest.approx(1, rel=0.05)


def test_parts_on_two_sides_of_an_edge_move_apart():
    image, matte = blocks((6, 24, 8, 36))
    halves = image.clone()
    halves[..., 22:] = torch.where(matte > 0, 0.3, 0.1)[..., 22:]
    assert len(solve(image, matte).parts) == 1
    left, right = solve(halves, matte).parts
    assert len(np.intersect1d(left.nodes, right.nodes)) <= 20  # along the edge alone
    # An edge that parts nothing leaves little of the stiffness: two halves, joined softly.
    soft = ElasticConfig(anchor="none", reach=1.0, parting=0.0, edge_stiffness=0.02)
    whole, cut = (solve(i, matte, config=soft).parts[0] for i in (image, halves))
    # Three rigid modes on their roots, then the first that deforms.
    assert cut.omega[3] / cut.omega[0] < 0.7 * whole.omega[3] / whole.omega[0]


@pytest.mark.parametrize("sway", [0.3, 1.7])
def test_the_largest_part_sways_as_asked_and_a_smaller_one_faster(sway):
    large, small = solve(*blocks(LARGE, SMALL), config=ElasticConfig(sway_hz=sway)).bodies
    assert large.faster == 1 and 1.3 < small.faster < 2.5
    for body in (large, small):
        assert peak_hz(body) == pytest.approx(body.faster * sway, rel=0.05)


@pytest.mark.parametrize("grey, holds", [(0.4, False), (0.6, True)])
def test_an_anchor_counts_from_one_half_on(grey, holds):
    image, matte = blocks(LARGE)
    anchor = torch.zeros_like(matte)
    anchor[..., 10:16, :] = grey
    y = solve(image, matte, anchor).parts[0].nodes // 44
    assert (set(range(10, 16)) & set(y) == set()) == holds


def test_an_anchor_painted_elsewhere_leaves_the_rule():
    image, matte = still_and_matte()
    elsewhere = torch.zeros_like(matte)
    elsewhere[..., :3, :3] = 1
    with_it, without = solve(image, matte, elsewhere), solve(image, matte)
    for a, b in zip(with_it.parts, without.parts, strict=True):
        assert np.array_equal(a.nodes, b.nodes)


def held_by(rule, top, bottom):
    """(y, x) of the nodes of a block that a rule holds."""
    image, matte = blocks((top, bottom, 10, 30))
    sheet = solve(image, matte, config=ElasticConfig(anchor=rule))
    held = sheet.coverage.flatten() > 0.025  # corners of the block have less, and are no part
    held[sheet.parts[0].nodes] = False
    return np.nonzero(held.reshape(sheet.grid))


@pytest.mark.parametrize(
    "rule, top, bottom, row",
    [
        ("ground", 5, 25, 25),
        ("hanging", 5, 25, 4),
        ("auto", 5, 25, 25),
        ("auto", 0, 25, 0),
        ("auto", 0, 30, 29),
        ("auto", 5, 30, 29),
        ("border", 0, 25, 0),
        ("border", 5, 30, 29),
    ],
)
def test_rules_hold_the_foot_the_top_or_the_border(rule, top, bottom, row):
    y, x = held_by(rule, top, bottom)
    assert np.abs(y - row).max() <= 1 and set(range(10, 30)) <= set(x)


@pytest.mark.parametrize("rule, top", [("none", 5), ("border", 5)])
def test_rules_that_find_nothing_hold_nothing(rule, top):
    assert len(held_by(rule, top, 25)[0]) == 0


@pytest.mark.parametrize("picture", [still_and_matte, lambda: oracles.dots(40, 60, 5)])
def test_solving_can_be_cancelled_soon(picture):
    # A few large parts, solved step by step; many small ones, each solved at once.
    seen = []

    def poll():
        seen.append(None)
        if len(seen) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        solve(*picture(), poll=poll)
    assert len(seen) == 2
