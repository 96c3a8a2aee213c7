import numpy as np
import pytest

from gid_core.elastic.modes import corners_of
from gid_core.elastic.parts import connected, extent, fixed_nodes, pieces_of

SHAPE = 30, 44
GRID = 31, 45
LEAST = 0.01


def found(covered, colour, rooting="one root", anchor="ground", held=None, parting=0.08):
    return pieces_of(covered, colour, held, anchor, rooting, parting, LEAST)


def painted(*boxes):
    """All covered but a margin; grey, with boxes (top, bottom, left, right, grey) of their own."""
    covered = np.zeros(SHAPE, bool)
    covered[2:28, 3:41] = True
    colour = np.full((*SHAPE, 3), 0.4)
    for top, bottom, left, right, grey in boxes:
        colour[top:bottom, left:right] = grey
    return covered, colour


def areas(pieces):
    return sorted(len(piece.cells) for piece in pieces)


def test_every_covered_element_belongs_to_one_part():
    random = np.random.default_rng(0)
    covered = np.repeat(np.repeat(random.random((3, 4)) < 0.8, 10, 0), 11, 1)
    colour = np.repeat(np.repeat(random.random((6, 4, 3)), 5, 0), 11, 1)
    pieces = found(covered, colour, "each its own")
    cells = np.concatenate([piece.cells for piece in pieces])
    assert len(pieces) > 5
    assert np.array_equal(np.sort(cells), np.flatnonzero(covered))


def test_one_colour_is_one_part():
    (piece,) = found(*painted())
    assert len(piece.cells) == 26 * 38


@pytest.mark.parametrize("rooting", ["one root", "each its own", "field"])
def test_two_colours_that_both_reach_the_foot_are_two_parts(rooting):
    pieces = found(*painted((0, 30, 20, 44, 0.9)), rooting)
    assert areas(pieces) == [26 * 17, 26 * 21]


def test_a_head_stays_with_its_stem_but_a_plant_of_its_own_does_not():
    # A bright box in the middle reaches no foot: by one root it belongs to what is around it.
    covered, colour = painted((8, 18, 10, 22, 0.9))
    assert areas(found(covered, colour, "one root")) == [26 * 38]
    assert areas(found(covered, colour, "each its own")) == [10 * 12, 26 * 38 - 120]


def test_what_is_small_or_thin_is_no_part():
    covered, colour = painted((10, 12, 10, 12, 0.9), (5, 24, 30, 31, 0.9))
    assert len(found(covered, colour, "each its own")) == 1


def test_texture_parts_nothing():
    covered, colour = painted()
    colour += 0.6 * np.random.default_rng(1).random((*SHAPE, 1))
    assert len(found(covered, colour, "each its own")) == 1


def test_the_rim_of_an_edge_goes_to_its_sides():
    covered, colour = painted((0, 30, 22, 44, 0.9))
    colour[:, 21:23] = 0.65  # an edge two elements wide
    left, right = found(covered, colour)
    assert abs(len(left.cells) - len(right.cells)) <= 2 * 26


def test_no_parting_leaves_what_is_connected_together():
    assert len(found(*painted((0, 30, 20, 44, 0.9)), parting=0.0)) == 1


def test_a_step_of_depth_parts_what_has_one_colour():
    covered, colour = painted()
    depth = np.where(np.arange(SHAPE[1]) < 20, 0.2, 0.8)[None, :, None] * np.ones((*SHAPE, 1))
    pieces = found(covered, np.concatenate([colour, depth], 2))
    assert areas(pieces) == [26 * 17, 26 * 21]
    flat = np.concatenate([colour, np.full_like(depth, 0.7)], 2)
    assert areas(found(covered, flat)) == areas(found(covered, colour))


def test_each_part_is_held_at_its_own_foot_or_all_at_one():
    covered, colour = painted((6, 14, 6, 20, 0.9))
    apart = found(covered, colour, "each its own")
    small = min(apart, key=lambda piece: len(piece.cells))
    assert set(small.fixed // GRID[1]) == {13, 14}  # the box's lowest rows
    (whole,) = found(covered, colour, "one root")
    assert set(whole.fixed // GRID[1]) == {27, 28}


def test_a_field_is_clamped_nowhere_and_a_painted_anchor_clamps_it():
    covered, colour = painted()
    assert [len(piece.fixed) for piece in found(covered, colour, "field", "auto")] == [0]
    held = np.zeros(GRID, bool)
    held[5:9, 10:20] = True
    (piece,) = found(covered, colour, "field", "auto", held)
    assert np.array_equal(piece.fixed, np.flatnonzero(held))


@pytest.mark.parametrize(
    "wide, low, is_field", [(40, True, True), (12, True, False), (40, False, False)]
)
def test_what_the_lower_border_cuts_off_and_is_wide_is_a_field(wide, low, is_field):
    covered = np.zeros(SHAPE, bool)
    covered[12 : 30 if low else 26, 2 : 2 + wide] = True
    (piece,) = found(covered, np.full((*SHAPE, 3), 0.4), "auto", "auto")
    assert (len(piece.fixed) == 0) == is_field


def test_fixed_nodes_are_the_lowest_or_highest_rows():
    cells = connected(painted()[0])[0]
    nodes = np.unique(corners_of(cells, GRID))
    rows = lambda rule: set(fixed_nodes(nodes, GRID, rule) // GRID[1])
    assert rows("ground") == {27, 28} and rows("hanging") == {2, 3} and rows("border") == set()
    assert extent(nodes, GRID) == pytest.approx(np.hypot(27, 39))


def test_a_thing_of_two_rows_is_not_held_whole():
    nodes = np.arange(2 * GRID[1])
    assert len(fixed_nodes(nodes, GRID, "ground")) == GRID[1]
