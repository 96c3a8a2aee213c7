import math

import pytest
import torch

from gid_core.scenes.builder import (
    add_cloth,
    add_ground,
    add_leaves,
    add_pendulums,
    add_props,
    add_rods,
    open_builder,
    show_rods,
    turn,
)

HERTZ = torch.arange(1, 6) / 2.5


def stage(seed=0, aspect=1.5):
    return open_builder(torch.Generator().manual_seed(seed), aspect, HERTZ)


def two_levels(on):
    """Two rods on the ground, three more on the first of them."""
    ground = add_ground(on)
    trunks = add_rods(
        on,
        ground.expand(2),
        torch.tensor([[0.4, 0.9], [0.9, 0.8]]),
        torch.tensor([-1.5, -1.2]),
        torch.tensor([0.5, 0.3]),
        torch.tensor([0.4, -0.6]),
        torch.tensor([0.6, 1.1]),
        torch.tensor([0.1, 0.2]),
    )
    piece, place, along = trunks.at(torch.zeros(3).long(), torch.tensor([0.2, 0.55, 0.95]))
    twigs = add_rods(
        on,
        piece,
        place,
        along + 0.7,
        torch.full((3,), 0.12),
        torch.zeros(3),
        torch.full((3,), 2.0),
        torch.full((3,), 0.3),
        pieces=4,
    )
    return trunks, twigs


def test_wind_at_a_node_is_the_gust_there():
    on = stage()
    rows, columns = on.gusts.shape[-2:]
    node = torch.tensor([[(3 + 0.5) / columns * on.aspect, (2 + 0.5) / rows]])
    assert torch.allclose(on.wind_at(node)[0], on.gusts[:, :, 2, 3], atol=1e-6)


def test_wind_past_the_border_is_that_at_the_border():
    on = stage()
    outside, corner = torch.tensor([[-3.0, -2.0]]), torch.tensor([[0.0, 0.0]])
    assert torch.allclose(on.wind_at(outside), on.wind_at(corner))


def test_an_oscillator_answers_as_theory_says():
    on, damping = stage(), 0.1
    assert torch.allclose(
        on.transfer(torch.tensor([1e4]), damping), torch.tensor(1 + 0j), atol=1e-4
    )
    at_resonance = on.transfer(HERTZ[2:3], damping)[0, 2]
    assert at_resonance.abs() == pytest.approx(1 / (2 * damping), rel=1e-5)
    assert at_resonance.angle() == pytest.approx(-math.pi / 2, abs=1e-5)


def test_the_ground_stands_still():
    on = stage()
    shift, _ = on.motion_of(add_ground(on), torch.tensor([[0.7, 0.3]]))
    assert not shift.any()


def test_pieces_of_a_chain_meet_at_their_joints():
    on = stage()
    for rods in two_levels(on):
        pieces, joints = rods.pieces, rods.joints
        ends, _ = on.motion_of(pieces[:, :-1].flatten(), joints[:, 1:-1].flatten(0, 1))
        starts, _ = on.motion_of(pieces[:, 1:].flatten(), joints[:, 1:-1].flatten(0, 1))
        assert ends.abs().max() > 0
        assert torch.allclose(ends, starts, atol=1e-6 * float(ends.abs().max()))


def test_what_grows_on_a_rod_stays_on_it():
    on = stage()
    trunks, twigs = two_levels(on)
    share = torch.tensor([0.2, 0.55, 0.95])
    parent, place, _ = trunks.at(torch.zeros(3).long(), share)
    ridden, _ = on.motion_of(parent, place)
    own, _ = on.motion_of(twigs.pieces[:, 0], twigs.joints[:, 0])
    assert torch.allclose(own, ridden, atol=1e-6 * float(ridden.abs().max()))


def test_rods_keep_their_length():
    # To first order: no piece grows along itself.
    on = stage()
    for rods in two_levels(on):
        steps = rods.joints.diff(dim=1)
        moved = [on.motion_of(rods.pieces.flatten(), x.flatten(0, 1))[0] for x in (rods.joints[:, :-1], rods.joints[:, 1:])]  # fmt: skip
        along = torch.einsum("nki,ni->nk", moved[1] - moved[0], steps.flatten(0, 1) + 0j)
        assert along.abs().max() < 1e-6 * (moved[1] - moved[0]).abs().max()


def test_a_rod_is_held_at_its_foot_and_moves_most_at_its_tip():
    on = stage()
    trunks, _ = two_levels(on)
    feet, _ = on.motion_of(trunks.pieces[:, 0], trunks.joints[:, 0])
    assert not feet.any()
    size = torch.stack(
        [on.motion_of(trunks.pieces[:, min(i, 5)], trunks.joints[:, i])[0].abs().sum((1, 2)) for i in range(7)]
    )  # fmt: skip
    assert (size.diff(dim=0) > 0).all()


def test_a_rod_bends_as_a_cantilever_under_an_even_load():
    # The slope of w = s^2 (6 - 4 s + s^2) / 24 is what (1 - s)^2 / 2 of curvature adds up to.
    on = stage()
    ground = add_ground(on)
    one = torch.ones(1)
    rods = add_rods(on, ground, torch.tensor([[0.5, 0.9]]), -1.5 * one, 0.5 * one, 0 * one, one, one, pieces=400)  # fmt: skip
    _, strain = on.motion_of(rods.pieces[0], rods.joints[0, 1:])
    slope = strain[:, 0, 1, 0] / strain[-1, 0, 1, 0]
    s = torch.arange(1, 401) / 400
    expected = (3 * s - 3 * s.square() + s.pow(3)).to(slope.dtype)
    assert torch.allclose(slope, expected, atol=0.01)


def test_a_leaf_rides_and_turns_about_where_it_sits():
    on = stage()
    trunks, _ = two_levels(on)
    piece, place, _ = trunks.at(torch.tensor([0, 1]), torch.tensor([0.5, 1.0]))
    leaves = add_leaves(on, piece, place, torch.tensor([2.0, 3.0]), torch.tensor([0.3, 0.2]))
    ridden, _ = on.motion_of(piece, place)
    sits, _ = on.motion_of(leaves, place)
    assert torch.allclose(sits, ridden)
    tip = place + torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    flutters = on.motion_of(leaves, tip)[0] - on.motion_of(piece, tip)[0]
    assert flutters[0, :, 1].abs().min() > 0 and not flutters[0, :, 0].any()


def test_a_pendulum_hangs_where_it_hangs_and_does_not_turn_with_what_holds_it():
    on = stage()
    trunks, _ = two_levels(on)
    piece, place, _ = trunks.at(torch.tensor([0]), torch.tensor([1.0]))
    swing = add_pendulums(on, piece, place, torch.tensor([0.8]), torch.tensor([0.1]))
    assert torch.allclose(on.motion_of(swing, place)[0], on.motion_of(piece, place)[0])
    below = on.motion_of(swing, place + torch.tensor([[0.0, 0.2]]))[0]
    sideways = below - on.motion_of(swing, place)[0]
    wanted = 0.2 * on.wind_at(place)[..., 0] * on.transfer(torch.tensor([0.8]), 0.05) * 0.1
    assert torch.allclose(sideways[..., 0], wanted, atol=1e-6)


@pytest.mark.parametrize("pinned", ["top", "left"])
def test_cells_of_cloth_meet_to_third_order(pinned):
    def gap(cells):
        on = stage()
        add_ground(on)
        corner, size = torch.tensor([0.2, 0.1]), (0.9, 0.6)
        pieces, corners, cell = add_cloth(on, corner, size, pinned, 0.8, 0.1, (cells, cells))
        number = pieces.view(cells, cells)
        shared = corners.view(cells, cells, 2)[1:, 1:].flatten(0, 1)
        left = on.motion_of(number[:-1, :-1].flatten(), shared)[0]
        right = on.motion_of(number[1:, 1:].flatten(), shared)[0]
        return float((left - right).abs().max())

    gaps = [gap(n) for n in (10, 20, 40)]
    # Second-order terms are the same on both sides of a corner that lies between two middles.
    orders = [math.log2(a / b) for a, b in zip(gaps, gaps[1:])]
    assert all(2.6 < order < 3.2 for order in orders), orders


@pytest.mark.parametrize("pinned, axis", [("top", 1), ("left", 0)])
def test_cloth_is_held_at_its_edge(pinned, axis):
    on = stage()
    add_ground(on)
    corner = torch.tensor([0.2, 0.1])
    pieces, corners, _ = add_cloth(on, corner, (0.9, 0.6), pinned, 0.8, 0.1)
    moves = on.motion_of(pieces, corners)[0].abs().sum((1, 2))
    far = (corners - corner)[:, axis]
    # The first row is extrapolated from its middle: not still to the letter.
    assert moves[far < 1e-6].max() < 0.05 * moves.max()
    assert moves[far == far.max()].mean() > 2 * moves[far < far.median()].mean()


def test_turning_is_a_quarter_turn_of_the_radius():
    strain = turn(torch.tensor([0.1 + 0.2j]))[0]
    moved = strain @ torch.tensor([3.0 + 0j, -2.0])
    assert torch.allclose(moved, torch.tensor([0.2 + 0.4j, 0.3 + 0.6j]))


def test_strips_of_rods_lie_on_their_pieces():
    on = stage()
    trunks, _ = two_levels(on)
    look = {"thick": torch.tensor([0.03, 0.02]), "z": torch.tensor([0.1, -0.1])}
    show_rods(on, trunks, colour=torch.rand(2, 3), **look)
    (strip,) = on.strips
    assert torch.equal(strip["piece"], trunks.pieces.flatten())
    assert strip["width"][0] == pytest.approx(0.03) and strip["width"][5] < 0.03
    assert {values.shape[0] for values in strip.values()} == {12}


def test_stepping_closer_magnifies_places_and_motion_alike():
    far, near, zoom = stage(), stage(), 1.7
    for on in (far, near):
        trunks, _ = two_levels(on)
        show_rods(on, trunks, torch.tensor([0.03, 0.02]), torch.zeros(2), torch.ones(2, 3))
    near.closer(zoom)
    (pivot, shift, strain), (pivot2, shift2, strain2) = far.pieces(), near.pieces()
    assert torch.equal(strain, strain2)  # angles stay angles
    assert torch.allclose(shift2, zoom * shift)
    moved = pivot2 - zoom * pivot
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)  # one shift for all
    for name in ("length", "width", "z"):
        assert torch.allclose(near.strips[0][name], zoom * far.strips[0][name])
    # The picture's old corners are at its new ones or past them.
    edge = torch.tensor([near.aspect, 1.0])
    shift = near.strips[0]["base"][0] - zoom * far.strips[0]["base"][0]
    assert (shift <= 1e-6).all() and (zoom * edge + shift >= edge - 1e-6).all()


def test_props_stand_still_among_what_moves():
    on = stage()
    two_levels(on)
    add_props(on, 3)
    strip = on.strips[-1]
    assert len(strip["base"]) == 3
    shift, strain = on.motion_of(strip["piece"], strip["base"])
    assert not shift.any() and not strain.any()


def test_a_thing_that_only_turns_can_be_stepped_up_to():
    on = stage()
    top = torch.tensor([[0.2, 0.1]])
    swing = add_pendulums(on, add_ground(on), top, torch.ones(1), torch.ones(1))
    strip = {"angle": torch.ones(1), "length": torch.ones(1), "width": torch.ones(1), "z": torch.zeros(1)}  # fmt: skip
    on.add_strips(swing, top, *strip.values(), torch.ones(1, 3))
    on.closer(2.0)
    assert on.strips[0]["length"] == 2
