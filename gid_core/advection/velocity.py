"""The smoothest velocity that follows hints, along shores and, where asked, without sources.

    minimize  sum |grad (v / s)|^2 + sum weight |v / s - target|^2

over all velocities v, where s is how fast things go by perspective. Without sources, v = curl psi
for a stream function psi at the corners of the cells, and psi is constant along every shore, so
that no flow crosses it. Islands get the constant that costs least.

Law: with `divergence_free`, `divergence` is zero in every square between four points that flow,
and no flow crosses a shore. A uniform target without shores is reproduced.

Convention: velocities in px of the grid per second, (x, y); the border of the picture is open.

Source: stream functions on a staggered grid, Harlow & Welch 1965; sparse hints made dense by
smoothness, Levin, Lischinski & Weiss 2004.
"""

import numpy as np
import torch

from ..shapes import Bool, Float, Tensor
from ..still.filters import pull_push

HELD = 1e-6  # weight of rest everywhere: what nothing tells to flow is at rest
UNSEEN = 1e-10  # of the diagonal: of stream functions that give one velocity, the smallest


def solve_velocity(
    target: Float[Tensor, "2 h w"],
    weight: Float[Tensor, "h w"],
    flows: Bool[Tensor, "h w"],
    scale: Float[Tensor, "h w"],
    divergence_free: bool,
) -> Float[Tensor, "2 h w"]:
    """Minimize over the velocities of the cells that flow; beyond them the result is continued.

    Args:
        target: Velocity before perspective, where the weight is above zero.
        weight: Against the squared difference of two neighbours: a target of weight 1 / n^2 is
            followed over some n cells.
        flows: The cells that flow; their outline is a shore if `divergence_free`, else no bound.
        scale: Speed by perspective, above 0.
    """
    if not flows.any():
        return torch.zeros_like(target)
    if not divergence_free:
        return _free(target, weight, scale) * scale
    found = _without_sources(target, weight, flows, scale)
    return pull_push(found[None], flows[None, None].float())[0]


def divergence(velocity: Float[Tensor, "2 h w"]) -> Float[Tensor, "h1 w1"]:
    """Mean divergence in every square between four grid points, of the bilinear interpolant."""
    u, v = velocity
    across = u.diff(dim=1)
    down = v.diff(dim=0)
    return (across[1:] + across[:-1]) / 2 + (down[:, 1:] + down[:, :-1]) / 2


def squares_inside(flows: Bool[Tensor, "h w"]) -> Bool[Tensor, "h1 w1"]:
    """The squares between four grid points that all flow."""
    return flows[1:, 1:] & flows[1:, :-1] & flows[:-1, 1:] & flows[:-1, :-1]


def _free(target, weight, scale):
    """Each component by itself, on the whole grid: screened smoothing."""
    from scipy.sparse import diags, eye, kron
    from scipy.sparse.linalg import splu

    height, width = weight.shape
    rows = [kron(eye(height), _step(width - 1)), kron(_step(height - 1), eye(width))]
    weight = weight.double().numpy()
    system = diags((weight + HELD).ravel()) + sum(r.T @ r for r in rows)
    right = (target.double().numpy() * weight).reshape(2, -1).T
    solved = splu(system.tocsc()).solve(right).T
    return torch.from_numpy(solved.reshape(2, height, width)).to(target.dtype)


def _without_sources(target, weight, flows, scale):
    """By a stream function at the corners: one unknown a corner, and a single one a shore."""
    from scipy.sparse import diags, eye, kron
    from scipy.sparse.linalg import splu

    (height, width), inside = flows.shape, flows.numpy()
    to_corners = _one_unknown_a_shore(inside)
    # Velocities through the faces between cells: u = d psi / dy, v = -d psi / dx.
    u = kron(_step(height), eye(width + 1)) @ to_corners
    v = -kron(eye(height + 1), _step(width)) @ to_corners
    slow = scale.double().numpy()
    in_row, in_column = _apart(inside, 1), _apart(inside, 0)
    # Differences of neighbouring faces, before perspective. A shore's own face is left out: its
    # steps along the cells of a slanted bank would slow the flow down.
    pace_u, pace_v = diags(1 / _at_faces(slow, 1)) @ u, diags(1 / _at_faces(slow, 0)) @ v
    smooth = [
        (kron(eye(height), _step(width)) @ pace_u, in_row[:, 1:] & in_row[:, :-1]),
        (kron(_step(height - 1), eye(width + 1)) @ pace_u, in_row[1:] & in_row[:-1]),
        (kron(_step(height), eye(width)) @ pace_v, in_column[1:] & in_column[:-1]),
        (kron(eye(height + 1), _step(width - 1)) @ pace_v, in_column[:, 1:] & in_column[:, :-1]),
    ]
    cells = [kron(eye(height), _mean(width)) @ u, kron(_mean(height), eye(width)) @ v]
    system = sum(_normal(rows, where) for rows, where in smooth)
    pull = (weight.double().numpy() + HELD) * inside / slow**2
    right = 0
    for rows, goal in zip(cells, target.double().numpy()):
        system = system + _normal(rows, pull)
        right = right + rows.T @ (pull * slow * goal).ravel()
    # A stream function is known up to a constant, and only where cells see it.
    seen, stream = np.flatnonzero(system.diagonal()), np.zeros(system.shape[0])
    if len(seen):
        part = system.tocsr()[seen][:, seen]
        part = part + diags(np.full(len(seen), UNSEEN * part.diagonal().mean()))
        stream[seen] = splu(part.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(right[seen])
    found = [torch.from_numpy(rows @ stream).view(height, width) for rows in cells]
    return (torch.stack(found) * flows).to(target.dtype)


def _one_unknown_a_shore(inside):
    """The matrix from unknowns to corners: corners that a shore connects share one."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    height, width = inside.shape
    corner = np.arange((height + 1) * (width + 1)).reshape(height + 1, width + 1)
    # The face between two cells of which one flows is a shore; it joins its two corners.
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    start = np.concatenate([corner[:-1, 1:-1][across], corner[1:-1, :-1][down]])
    end = np.concatenate([corner[1:, 1:-1][across], corner[1:-1, 1:][down]])
    graph = csr_array((np.ones(len(start)), (start, end)), shape=(corner.size, corner.size))
    count, label = connected_components(graph, directed=False)
    return csr_array((np.ones(corner.size), (corner.ravel(), label)), shape=(corner.size, count))


def _apart(inside, axis):
    """Of the faces between cells along an axis, and at the border: whether flow can pass."""
    padded = np.pad(inside, [(1, 1) if i == axis else (0, 0) for i in (0, 1)], mode="edge")
    return (padded[:, 1:] & padded[:, :-1]) if axis else (padded[1:] & padded[:-1])


def _at_faces(values, axis):
    """Means of the two cells beside every face along an axis, flat."""
    padded = np.pad(values, [(1, 1) if i == axis else (0, 0) for i in (0, 1)], mode="edge")
    faces = (padded[:, 1:] + padded[:, :-1]) if axis else (padded[1:] + padded[:-1])
    return faces.ravel() / 2


def _step(count):
    """Differences of count + 1 neighbours."""
    from scipy.sparse import diags

    return diags([-1.0, 1.0], [0, 1], shape=(count, count + 1))


def _mean(count):
    """Means of count + 1 neighbours."""
    from scipy.sparse import diags

    return diags([0.5, 0.5], [0, 1], shape=(count, count + 1))


def _normal(rows, weight):
    """The normal matrix of weighted rows."""
    from scipy.sparse import diags

    return rows.T @ diags(weight.ravel().astype(float)) @ rows
