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


def new_builder(seed=0, aspect=1.5):
    return open_builder(torch.Generator().manual_seed(seed), aspect, HERTZ)


def two_levels(builder):
    """Two rods on the ground, three more on the first of them."""
    ground = add_ground(builder)
    trunks = add_rods(
        builder,
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
        builder,
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


def test_wind_at_a_grid_node_is_the_gust_of_that_node():
    builder = new_builder()
    rows, columns = builder.gusts.shape[-2:]
    node = torch.tensor([[(3 + 0.5) / columns * builder.aspect, (2 + 0.5) / rows]])
    assert torch.allclose(builder.wind_at(node)[0], builder.gusts[:, :, 2, 3], atol=1e-6)


def test_wind_outside_the_picture_is_that_at_the_border():
    builder = new_builder()
    outside, corner = torch.tensor([[-3.0, -2.0]]), torch.tensor([[0.0, 0.0]])
    assert torch.allclose(builder.wind_at(outside), builder.wind_at(corner))


def test_the_frequency_response_is_that_of_a_damped_oscillator():
    builder, damping = new_builder(), 0.1
    assert torch.allclose(
        builder.frequency_response(torch.tensor([1e4]), damping), torch.tensor(1 + 0j), atol=1e-4
    )
    at_resonance = builder.frequency_response(HERTZ[2:3], damping)[0, 2]
    assert at_resonance.abs() == pytest.approx(1 / (2 * damping), rel=1e-5)
    assert at_resonance.angle() == pytest.approx(-math.pi / 2, abs=1e-5)


def test_the_ground_stands_still():
    builder = new_builder()
    shift, _ = builder.motion_of(add_ground(builder), torch.tensor([[0.7, 0.3]]))
    assert not shift.any()


def test_pieces_of_a_chain_meet_at_their_joints():
    builder = new_builder()
    for rods in two_levels(builder):
        pieces, joints = rods.pieces, rods.joints
        ends, _ = builder.motion_of(pieces[:, :-1].flatten(), joints[:, 1:-1].flatten(0, 1))
        starts, _ = builder.motion_of(pieces[:, 1:].flatten(), joints[:, 1:-1].flatten(0, 1))
        assert ends.abs().max() > 0
        assert torch.allclose(ends, starts, atol=1e-6 * float(ends.abs().max()))


def test_a_rod_that_stands_on_another_moves_with_its_parent():
    builder = new_builder()
    trunks, twigs = two_levels(builder)
    share = torch.tensor([0.2, 0.55, 0.95])
    parent, place, _ = trunks.at(torch.zeros(3).long(), share)
    ridden, _ = builder.motion_of(parent, place)
    own, _ = builder.motion_of(twigs.pieces[:, 0], twigs.joints[:, 0])
    assert torch.allclose(own, ridden, atol=1e-6 * float(ridden.abs().max()))


def test_rods_keep_their_length():
    # To first order: the two ends of a piece move alike along the piece.
    builder = new_builder()
    for rods in two_levels(builder):
        steps = rods.joints.diff(dim=1)
        pieces = rods.pieces.flatten()
        start, _ = builder.motion_of(pieces, rods.joints[:, :-1].flatten(0, 1))
        end, _ = builder.motion_of(pieces, rods.joints[:, 1:].flatten(0, 1))
        difference = end - start
        along = torch.einsum("nki,ni->nk", difference, steps.flatten(0, 1) + 0j)
        assert along.abs().max() < 1e-6 * difference.abs().max()


def test_a_rod_is_fixed_at_its_base_and_moves_most_at_its_tip():
    builder = new_builder()
    trunks, _ = two_levels(builder)
    feet, _ = builder.motion_of(trunks.pieces[:, 0], trunks.joints[:, 0])
    assert not feet.any()
    motion = lambda i: builder.motion_of(trunks.pieces[:, min(i, 5)], trunks.joints[:, i])[0]
    amplitude = torch.stack([motion(i).abs().sum((1, 2)) for i in range(7)])
    assert (amplitude.diff(dim=0) > 0).all()


def test_a_rod_bends_as_a_cantilever_under_an_even_load():
    # The slope of w = s^2 (6 - 4 s + s^2) / 24 is the integral of the curvature (1 - s)^2 / 2.
    builder = new_builder()
    ground = add_ground(builder)
    base, one = torch.tensor([[0.5, 0.9]]), torch.ones(1)
    rods = add_rods(builder, ground, base, -1.5 * one, 0.5 * one, 0 * one, one, one, pieces=400)
    _, strain = builder.motion_of(rods.pieces[0], rods.joints[0, 1:])
    slope = strain[:, 0, 1, 0] / strain[-1, 0, 1, 0]
    s = torch.arange(1, 401) / 400
    expected = (3 * s - 3 * s.square() + s.pow(3)).to(slope.dtype)
    assert torch.allclose(slope, expected, atol=0.01)


def test_a_leaf_moves_with_its_parent_and_turns_around_its_base():
    builder = new_builder()
    trunks, _ = two_levels(builder)
    piece, place, _ = trunks.at(torch.tensor([0, 1]), torch.tensor([0.5, 1.0]))
    leaves = add_leaves(builder, piece, place, torch.tensor([2.0, 3.0]), torch.tensor([0.3, 0.2]))
    ridden, _ = builder.motion_of(piece, place)
    sits, _ = builder.motion_of(leaves, place)
    assert torch.allclose(sits, ridden)
    tip = place + torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    flutters = builder.motion_of(leaves, tip)[0] - builder.motion_of(piece, tip)[0]
    assert flutters[0, :, 1].abs().min() > 0 and not flutters[0, :, 0].any()


def test_a_pendulum_moves_with_its_parent_at_its_top_and_does_not_turn_with_it():
    builder = new_builder()
    trunks, _ = two_levels(builder)
    piece, place, _ = trunks.at(torch.tensor([0]), torch.tensor([1.0]))
    swing = add_pendulums(builder, piece, place, torch.tensor([0.8]), torch.tensor([0.1]))
    assert torch.allclose(builder.motion_of(swing, place)[0], builder.motion_of(piece, place)[0])
    below = builder.motion_of(swing, place + torch.tensor([[0.0, 0.2]]))[0]
    sideways = below - builder.motion_of(swing, place)[0]
    response = builder.frequency_response(torch.tensor([0.8]), 0.05)
    expected = 0.2 * builder.wind_at(place)[..., 0] * response * 0.1
    assert torch.allclose(sideways[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("pinned", ["top", "left"])
def test_gaps_between_cells_of_cloth_shrink_with_the_third_order(pinned):
    def gap(cells):
        builder = new_builder()
        add_ground(builder)
        corner, size = torch.tensor([0.2, 0.1]), (0.9, 0.6)
        pieces, corners, cell = add_cloth(builder, corner, size, pinned, 0.8, 0.1, (cells, cells))
        number = pieces.view(cells, cells)
        shared = corners.view(cells, cells, 2)[1:, 1:].flatten(0, 1)
        left = builder.motion_of(number[:-1, :-1].flatten(), shared)[0]
        right = builder.motion_of(number[1:, 1:].flatten(), shared)[0]
        return float((left - right).abs().max())

    gaps = [gap(n) for n in (10, 20, 40)]
    # The second-order terms of two cells cancel at the corner half way between their middles.
    orders = [math.log2(a / b) for a, b in zip(gaps, gaps[1:])]
    assert all(2.6 < order < 3.2 for order in orders), orders


@pytest.mark.parametrize("pinned, axis", [("top", 1), ("left", 0)])
def test_cloth_is_held_at_its_edge(pinned, axis):
    builder = new_builder()
    add_ground(builder)
    corner = torch.tensor([0.2, 0.1])
    pieces, corners, _ = add_cloth(builder, corner, (0.9, 0.6), pinned, 0.8, 0.1)
    moves = builder.motion_of(pieces, corners)[0].abs().sum((1, 2))
    distance = (corners - corner)[:, axis]
    # The edge's motion is extrapolated from the middle of its cells: nearly, not exactly zero.
    assert moves[distance < 1e-6].max() < 0.05 * moves.max()
    outer, inner = moves[distance == distance.max()], moves[distance < distance.median()]
    assert outer.mean() > 2 * inner.mean()


def test_a_small_turn_moves_a_point_at_a_right_angle_to_its_radius():
    strain = turn(torch.tensor([0.1 + 0.2j]))[0]
    moved = strain @ torch.tensor([3.0 + 0j, -2.0])
    assert torch.allclose(moved, torch.tensor([0.2 + 0.4j, 0.3 + 0.6j]))


def test_strips_of_rods_lie_on_their_pieces():
    builder = new_builder()
    trunks, _ = two_levels(builder)
    properties = {"thick": torch.tensor([0.03, 0.02]), "z": torch.tensor([0.1, -0.1])}
    show_rods(builder, trunks, colour=torch.rand(2, 3), **properties)
    (strip,) = builder.strips
    assert torch.equal(strip["piece"], trunks.pieces.flatten())
    assert strip["width"][0] == pytest.approx(0.03) and strip["width"][5] < 0.03
    assert {values.shape[0] for values in strip.values()} == {12}


def test_zooming_in_magnifies_places_and_motion_by_the_same_factor():
    far, near, zoom = new_builder(), new_builder(), 1.7
    for builder in (far, near):
        trunks, _ = two_levels(builder)
        show_rods(builder, trunks, torch.tensor([0.03, 0.02]), torch.zeros(2), torch.ones(2, 3))
    near.zoom_in(zoom)
    (pivot, shift, strain), (pivot2, shift2, strain2) = far.pieces(), near.pieces()
    assert torch.equal(strain, strain2)  # angles do not scale
    assert torch.allclose(shift2, zoom * shift)
    moved = pivot2 - zoom * pivot
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)  # one translation for all
    for name in ("length", "width", "z"):
        assert torch.allclose(near.strips[0][name], zoom * far.strips[0][name])
    # The old corners of the picture lie on the new ones or outside them.
    edge = torch.tensor([near.aspect, 1.0])
    shift = near.strips[0]["base"][0] - zoom * far.strips[0]["base"][0]
    assert (shift <= 1e-6).all() and (zoom * edge + shift >= edge - 1e-6).all()


def test_props_do_not_move():
    builder = new_builder()
    two_levels(builder)
    add_props(builder, 3)
    strip = builder.strips[-1]
    assert len(strip["base"]) == 3
    shift, strain = builder.motion_of(strip["piece"], strip["base"])
    assert not shift.any() and not strain.any()


def test_zooming_in_finds_a_strip_that_only_turns():
    builder = new_builder()
    top = torch.tensor([[0.2, 0.1]])
    swing = add_pendulums(builder, add_ground(builder), top, torch.ones(1), torch.ones(1))
    angle, length, width, z = torch.ones(1), torch.ones(1), torch.ones(1), torch.zeros(1)
    builder.add_strips(swing, top, angle, length, width, z, torch.ones(1, 3))
    builder.zoom_in(2.0)
    assert builder.strips[0]["length"] == 2
