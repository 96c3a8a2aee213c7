"""Plane-stress finite elements on a grid of unit squares, and their lowest modes of vibration.

Nodes are grid points, elements the squares between four of them. K phi = omega^2 M phi is solved by
shift-invert Lanczos about zero, small parts by a dense solver.

Source: Wilson's incompatible modes (Taylor, Beresford & Wilson 1976), which bend without locking
when one element is the whole width of a stem.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..shapes import Complex, Float, Int

POISSON_RATIO = 0.3
DENSE_UNKNOWNS = 400  # parts up to here are solved by a dense solver: faster, and all modes at once


@dataclass(frozen=True)
class Part:
    """One part and its lowest modes.

    shapes: mass-normalized, phi^T M phi = 1, (x, y) per node.
    omega: natural frequencies in rad/s.
    mass: of every node, as far as it is this part's.
    """

    nodes: Int[np.ndarray, " n"]
    shapes: Float[np.ndarray, "n 2 j"]
    omega: Float[np.ndarray, " j"]
    mass: Float[np.ndarray, " n"]


def modes_of(
    cells: Int[np.ndarray, " c"],
    nodes: Int[np.ndarray, " n"],
    grid: tuple[int, int],
    stiffness: Float[np.ndarray, "hc wc"],
    mass: Float[np.ndarray, "h w"],
    springs: Float[np.ndarray, "h w"],
    fixed: Int[np.ndarray, " f"],
    count: int,
    poll: Callable[[], None] = lambda: None,
    across: float = 1.0,
) -> Part | None:
    """The lowest modes of one part, in units of cell = 1, modulus = 1, density = 1.

    Args:
        cells: Flat indices of its elements; nodes: of its nodes; fixed: of those that hold still.
        stiffness: Of every element of the grid; springs: to the ground, at every node.
        poll: Called at every step of the solver; may raise to cancel.
        across: Modulus from side to side; that from top to bottom is 1.

    Returns:
        None if every node is fixed.
    """
    import scipy.linalg
    import scipy.sparse as sparse
    import scipy.sparse.linalg

    poll()
    free = np.setdiff1d(nodes, fixed)
    if len(free) == 0:
        return None
    number = np.full(grid[0] * grid[1], -1)
    number[free] = np.arange(len(free))
    corners = corners_of(cells, grid)
    dof = np.stack([2 * number[corners], 2 * number[corners] + 1], 2).reshape(-1, 8)
    values = stiffness.flatten()[cells][:, None, None] * element(across)
    rows, columns = np.broadcast_arrays(dof[:, :, None], dof[:, None, :])
    inside = (rows >= 0) & (columns >= 0)
    n = 2 * len(free)
    K = sparse.coo_array((values[inside], (rows[inside], columns[inside])), (n, n)).tocsc()
    m = np.repeat(np.maximum(mass.flatten()[free], 1e-3), 2)
    K = K + sparse.diags_array(np.repeat(springs.flatten()[free], 2))
    # A floating part has modes of zero frequency: lift all by a trifle, and take it off again.
    lift = 1e-7 * K.diagonal().max() / m.max()
    K = (K + sparse.diags_array(lift * m)).tocsc()
    root = np.sqrt(m)
    if n <= DENSE_UNKNOWNS:
        squared, y = scipy.linalg.eigh(
            K.toarray() / root / root[:, None], subset_by_index=[0, min(count, n) - 1]
        )
    else:
        factor = sparse.linalg.splu(
            K, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )

        def inverse(v):
            poll()
            return root * factor.solve(root * v)

        start = np.random.default_rng(0).standard_normal(n)  # ARPACK's own start is not repeatable
        inverted, y = sparse.linalg.eigsh(
            sparse.linalg.LinearOperator((n, n), inverse),
            min(count, n - 2),
            which="LM",
            v0=start,
            tol=1e-5,
        )
        order = np.argsort(-inverted)
        squared, y = 1 / inverted[order], y[:, order]
    omega = np.sqrt(np.maximum(squared - lift, 0.0))
    shapes = (y / root[:, None]).reshape(len(free), 2, -1)
    return Part(free, shapes, omega, m[::2])


def receptance(
    omega: Float[np.ndarray, " j"], Omega: Float[np.ndarray, " k"], damping_ratio: float
) -> Complex[np.ndarray, "k j"]:
    """Receptance of every mode j in every band k, (k, j): motion by force."""
    Omega = Omega[:, None]
    return 1 / (omega**2 - Omega**2 + 2j * damping_ratio * omega * Omega)


def corners_of(cells: Int[np.ndarray, " c"], grid: tuple[int, int]) -> Int[np.ndarray, "c 4"]:
    """Flat indices of every element's nodes, in the order of `element`."""
    width = grid[1]
    first = cells // (width - 1) * width + cells % (width - 1)
    return np.stack([first, first + 1, first + width + 1, first + width], 1)


@cache
def element(across: float = 1.0) -> np.ndarray:
    """Stiffness of a unit square in plane stress, with Wilson's incompatible modes.

    The modulus is 1 from top to bottom and `across` from side to side, and the shear modulus falls
    with it, as in fibres beside each other. Corners in order (0,0) (1,0) (1,1) (0,1), unknowns
    (x, y) per corner.
    """
    nu = POISSON_RATIO
    compliance = [[1 / across, -nu, 0], [-nu, 1, 0], [0, 0, 2 * (1 + nu) / across]]
    law = np.linalg.inv(np.array(compliance))
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    total = np.zeros((12, 12))
    for xi in (-1 / math.sqrt(3), 1 / math.sqrt(3)):
        for eta in (-1 / math.sqrt(3), 1 / math.sqrt(3)):
            # Derivatives of the four bilinear shapes, then of 1 - xi^2 and 1 - eta^2; dx = dxi / 2.
            by_x = np.r_[corner[:, 0] * (1 + eta * corner[:, 1]) / 4, -2 * xi, 0] * 2
            by_y = np.r_[corner[:, 1] * (1 + xi * corner[:, 0]) / 4, 0, -2 * eta] * 2
            strain = np.zeros((3, 12))
            strain[0, 0::2], strain[1, 1::2] = by_x, by_y
            strain[2, 0::2], strain[2, 1::2] = by_y, by_x
            total += strain.T @ law @ strain / 4
    coupled = total[:8, 8:]
    return total[:8, :8] - coupled @ np.linalg.solve(total[8:, 8:], coupled.T)
