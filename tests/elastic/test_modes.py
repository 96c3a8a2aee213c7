import math

import numpy as np
import oracles
import pytest

from gid_core.elastic import modes
from gid_core.elastic.modes import POISSON_RATIO, corners_of, element, modes_of

# Roots of cos(b) cosh(b) = -1: a cantilever's frequencies go with their squares.
EULER_BERNOULLI = np.array([1.8751041, 4.6940911, 7.8547574]) ** 2


def beam(length, across, count=8, clamped=True):
    """A bar of unit squares, its left end clamped."""
    grid = across + 1, length + 1
    cells = np.arange(length * across)
    mass = oracles.node_mass(np.ones((across, length)))
    nodes = np.arange(grid[0] * grid[1])
    fixed = nodes[nodes % grid[1] == 0] if clamped else nodes[:0]
    stiffness, springs = np.ones((across, length)), np.zeros(grid)
    return modes_of(cells, nodes, grid, stiffness, mass, springs, fixed, count)


def bending(length, across):
    """omega of the lowest bending modes: those that hardly stretch along."""
    part = beam(length, across)
    moves = np.square(part.shapes).sum(0)
    return part.omega[moves[1] > moves[0]][:3]


def sheet(rng, rows=6, columns=9):
    """A part with holes, uneven stiffness, mass and springs, and a few held nodes."""
    grid = rows + 1, columns + 1
    stiffness = rng.uniform(0.2, 1, (rows, columns))
    cells = np.setdiff1d(np.arange(rows * columns), [columns + 3, 3 * columns + 5])
    filled = np.zeros(rows * columns)
    filled[cells] = 1
    mass = oracles.node_mass(filled.reshape(rows, columns))
    nodes = np.unique(corners_of(cells, grid))
    springs = rng.uniform(0, 1e-3, grid)
    return cells, nodes, grid, stiffness, mass, springs, np.array([0, 1, 2])


@pytest.mark.parametrize("length, across", [(80, 2), (40, 1), (90, 3)])
def test_a_cantilevers_frequencies_are_in_euler_bernoulli_ratio(length, across):
    omega = bending(length, across)
    ratios = omega / omega[0]
    np.testing.assert_allclose(ratios, EULER_BERNOULLI / EULER_BERNOULLI[0], rtol=0.03)
    np.testing.assert_allclose(ratios, [1, 6.27, 17.55], rtol=0.03)


@pytest.mark.parametrize("length, across, tolerance", [(80, 2, 0.01), (80, 1, 0.03), (40, 1, 0.03)])
def test_a_cantilevers_first_frequency_is_euler_bernoullis(length, across, tolerance):
    # omega = b^2 sqrt(E I / (rho A)) / L^2, with I / A = h^2 / 12 and E = rho = 1.
    expected = EULER_BERNOULLI[0] * across / math.sqrt(12) / length**2
    assert bending(length, across)[0] == pytest.approx(expected, rel=tolerance)


def test_a_clamped_bars_first_stretching_mode_is_a_quarter_wave():
    part = beam(30, 1, count=24)
    moves = np.square(part.shapes).sum(0)
    stretching = part.omega[moves[0] > 5 * moves[1]][0]
    assert stretching == pytest.approx(math.pi / 2 / 30, rel=0.01)


def test_refining_the_mesh_converges_at_second_order():
    # One beam, 6 by 1, of ever smaller elements: omega in units of its own width.
    omega = np.array([n * bending(6 * n, n)[0] for n in (1, 2, 4, 8)])
    order = np.log2(np.abs(np.diff(omega)[:-1] / np.diff(omega)[1:]))
    assert (np.diff(np.abs(np.diff(omega))) < 0).all()
    assert order[-1] > 1.5  # two, less what the sharp corners of the clamp cost


def test_a_part_held_nowhere_has_three_modes_of_no_frequency():
    part = beam(12, 3, clamped=False)
    assert (part.omega[:3] < 1e-3 * part.omega[3]).all()
    assert part.omega[3] > 0


@pytest.mark.parametrize("dense_up_to", [0, 10_000])
def test_shapes_are_orthonormal_in_the_mass(monkeypatch, dense_up_to):
    monkeypatch.setattr(modes, "DENSE_UNKNOWNS", dense_up_to)
    arguments = sheet(np.random.default_rng(0))
    part = modes_of(*arguments, count=7)
    mass = arguments[4].flatten()[part.nodes]
    product = np.einsum("nxi,n,nxj->ij", part.shapes, mass, part.shapes)
    np.testing.assert_allclose(product, np.eye(7), atol=1e-7)


def test_modes_solve_the_eigenproblem_assembled_by_a_loop():
    cells, nodes, grid, stiffness, mass, springs, fixed = sheet(np.random.default_rng(1))
    part = modes_of(cells, nodes, grid, stiffness, mass, springs, fixed, 6)
    stiff = oracles.stiffness_matrix(cells, grid, stiffness, springs, element())
    dofs = np.stack([2 * part.nodes, 2 * part.nodes + 1], 1).flatten()
    stiff = stiff[np.ix_(dofs, dofs)]
    m = np.repeat(mass.flatten()[part.nodes], 2)
    for j in range(6):
        phi = part.shapes[:, :, j].flatten()
        # Rayleigh's quotient is the frequency, and what is left of K phi - omega^2 M phi is
        # nothing.
        assert phi @ stiff @ phi == pytest.approx(part.omega[j] ** 2, rel=1e-6)
        left = stiff @ phi - part.omega[j] ** 2 * m * phi
        assert np.abs(left).max() < 1e-6 * np.abs(stiff @ phi).max()


def test_held_nodes_are_not_among_those_that_move():
    arguments = sheet(np.random.default_rng(2))
    part = modes_of(*arguments, count=4)
    assert set(part.nodes) == set(arguments[1]) - {0, 1, 2}


def test_a_part_of_which_all_is_held_has_no_modes():
    cells, nodes, grid, stiffness, mass, springs, _ = sheet(np.random.default_rng(3))
    assert modes_of(cells, nodes, grid, stiffness, mass, springs, nodes, 4) is None


def test_the_dense_and_the_sparse_solver_agree(monkeypatch):
    arguments = sheet(np.random.default_rng(4))
    dense = modes_of(*arguments, count=8)
    monkeypatch.setattr(modes, "DENSE_UNKNOWNS", 0)
    sparse = modes_of(*arguments, count=8)
    np.testing.assert_allclose(sparse.omega, dense.omega, rtol=1e-7)
    mass = arguments[4].flatten()[dense.nodes]
    overlap = np.einsum("nxi,n,nxj->ij", sparse.shapes, mass, dense.shapes)
    np.testing.assert_allclose(np.abs(overlap), np.eye(8), atol=1e-5)


@pytest.mark.parametrize("dense_up_to", [0, 10_000])
def test_solving_twice_gives_the_same_bits(monkeypatch, dense_up_to):
    monkeypatch.setattr(modes, "DENSE_UNKNOWNS", dense_up_to)
    once, again = (modes_of(*sheet(np.random.default_rng(5)), count=6) for _ in range(2))
    assert np.array_equal(once.shapes, again.shapes) and np.array_equal(once.omega, again.omega)


def test_stiffer_springs_never_lower_a_frequency():
    cells, nodes, grid, stiffness, mass, springs, fixed = sheet(np.random.default_rng(6))
    soft = modes_of(cells, nodes, grid, stiffness, mass, springs, fixed, 8)
    hard = modes_of(cells, nodes, grid, stiffness, mass, springs + 0.01, fixed, 8)
    assert (hard.omega > soft.omega).all()


def test_the_element_is_symmetric_and_only_rigid_motion_is_free():
    np.testing.assert_allclose(element(), element().T, atol=1e-15)
    values = np.linalg.eigvalsh(element())
    assert np.abs(values[:3]).max() < 1e-14 and values[3] > 0.1
    x, y = np.array([0, 1, 1, 0.0]), np.array([0, 0, 1, 1.0])
    for rigid in ((x * 0 + 1, y * 0), (x * 0, y * 0 + 1), (-y, x)):
        assert np.abs(element() @ np.stack(rigid, 1).flatten()).max() < 1e-14


@pytest.mark.parametrize("strain", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.3, -0.2, 0.5)])
def test_patch_constant_strain_gives_the_exact_forces(strain):
    exx, eyy, gxy = strain
    modulus = 1 / (1 - POISSON_RATIO**2)
    sxx, syy = modulus * (exx + POISSON_RATIO * eyy), modulus * (eyy + POISSON_RATIO * exx)
    sxy = gxy / (2 * (1 + POISSON_RATIO))
    grid, cells = (4, 5), np.arange(12)
    stiff = oracles.stiffness_matrix(cells, grid, np.ones((3, 4)), np.zeros(20), element())
    y, x = np.divmod(np.arange(20), 5)
    u = np.stack([exx * x + gxy * y / 2, gxy * x / 2 + eyy * y], 1)
    force = (stiff @ u.flatten()).reshape(20, 2)
    # Traction on the four sides, half an element's share to each corner; nothing inside.
    expected = np.zeros((20, 2))
    across, along = np.where((y == 0) | (y == 3), 0.5, 1), np.where((x == 0) | (x == 4), 0.5, 1)
    for side, where, share in ((1, x == 4, across), (-1, x == 0, across)):
        expected += side * (where * share)[:, None] * [sxx, sxy]
    for side, where, share in ((1, y == 3, along), (-1, y == 0, along)):
        expected += side * (where * share)[:, None] * [sxy, syy]
    np.testing.assert_allclose(force, expected, atol=1e-14)


def test_the_element_bends_without_locking():
    # Pure bending, u_x = -x y, of a square about its middle: exactly E I / 2 = 1 / 24 of energy.
    x, y = np.array([-0.5, 0.5, 0.5, -0.5]), np.array([-0.5, -0.5, 0.5, 0.5])
    bent = np.stack([-x * y, np.zeros(4)], 1).flatten()
    assert bent @ element() @ bent / 2 == pytest.approx(1 / 24, rel=1e-12)


def test_corners_go_round_each_element():
    assert corners_of(np.array([0, 2, 3, 5]), (3, 4)).tolist() == [
        [0, 1, 5, 4],
        [2, 3, 7, 6],
        [4, 5, 9, 8],
        [6, 7, 11, 10],
    ]
