"""What is one thing: the parts that a painted area falls into, and where each of them is held.

Connected elements are a piece of paint. A piece falls apart along strong edges of colour and depth,
by Felzenszwalb and Huttenlocher's rule: two regions stay apart if the step between them is larger
than the steps inside either. What has no root of its own stays with the neighbour it is most alike.

Source: Felzenszwalb & Huttenlocher 2004, "Efficient graph-based image segmentation".
"""

import math
from dataclasses import dataclass

import numpy as np

from ..shapes import Bool, Float, Int
from .modes import corners_of

ANCHORED_SHARE = 0.04  # of a part's height or width that the ground, ceiling or border holds
FIELD_WIDTH = 0.5  # of the picture's lower border that cuts a field off
RIM = 3  # cells that an edge in the picture is wide, at most
CORNER = 1.0  # added to a step over a corner: things hang by a corner only where they must
DEPTH_STEP = 2.0  # how much more a step of depth counts than one of colour


@dataclass(frozen=True)
class Piece:
    """Elements and nodes of one part, as flat indices, and the nodes of it that hold still."""

    cells: Int[np.ndarray, " c"]
    nodes: Int[np.ndarray, " n"]
    fixed: Int[np.ndarray, " f"]


def pieces_of(
    covered: Bool[np.ndarray, "hc wc"],
    colour: Float[np.ndarray, "hc wc c"],
    held: Bool[np.ndarray, "h w"] | None,
    anchor: str,
    rooting: str,
    parting: float,
    smallest: float,
) -> list[Piece]:
    """The parts of all that is covered, each with what holds it.

    Args:
        colour: Of every element, depth as one more channel where it is known.
        held: Nodes that are painted as held; where they touch a part, they replace its rule.
        rooting: "one root": a piece of paint is held at its foot, and is parted only into what
            reaches it; "each its own": every part is held at its own foot; "field": everything
            stands where it is, and nothing is clamped; "auto": a field, or one root.
        parting: Step of colour above the usual that parts what is of the smallest size; larger
            parts need less. 0 parts nothing.
        smallest: Inside of a part, of the picture; what has less belongs to a neighbour.
    """
    grid = covered.shape[0] + 1, covered.shape[1] + 1
    least = smallest * covered.size
    found = []
    for cells in connected(covered):
        nodes = _nodes_of(cells, grid)
        painted = held is not None and bool(held.flat[nodes].any())
        law = _rooting(nodes, grid, anchor, painted) if rooting == "auto" else rooting
        rule = "none" if law == "field" else anchor
        fixed = fixed_nodes(nodes, grid, rule, held)
        root = _near(fixed, grid).flat[corners_of(cells, grid)].any(1)
        needs_root = law == "one root" and len(fixed) > 0
        for part in _parted(cells, covered.shape, colour, parting, least, root, needs_root):
            own = _nodes_of(part, grid)
            foot = np.intersect1d(own, fixed)
            if law == "each its own" and not painted or len(foot) == 0:
                foot = fixed_nodes(own, grid, rule)
            found.append(Piece(part, own, foot))
    return found


def connected(covered: Bool[np.ndarray, "h w"]) -> list[Int[np.ndarray, " c"]]:
    """Flat indices of every connected set of covered elements; a corner connects."""
    from scipy.ndimage import label

    labels, count = label(covered, np.ones((3, 3)))
    order = np.argsort(labels, axis=None, kind="stable")
    ends = np.searchsorted(labels.flatten()[order], np.arange(count + 2))
    return [order[ends[i] : ends[i + 1]] for i in range(1, count + 1)]


def extent(nodes: Int[np.ndarray, " n"], grid: tuple[int, int]) -> float:
    """Diagonal of the bounding box, in cells."""
    rows, columns = nodes // grid[1], nodes % grid[1]
    return math.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)


def fixed_nodes(
    nodes: Int[np.ndarray, " n"],
    grid: tuple[int, int],
    rule: str,
    held: Bool[np.ndarray, "h w"] | None = None,
) -> Int[np.ndarray, " f"]:
    """The nodes of a part that hold still: painted, or by rule."""
    height, width = grid
    if held is not None:
        painted = nodes[held.flatten()[nodes]]
        if len(painted):
            return painted
    y, x = nodes // width, nodes % width
    if rule == "auto":
        hangs = y.min() == 0 and y.max() < height - 1
        rule = "hanging" if hangs else "ground"
    rows = np.ptp(y) + 1
    depth = min(max(2.0, ANCHORED_SHARE * rows), rows / 2)
    if rule == "ground":
        return nodes[y > y.max() - depth]
    if rule == "hanging":
        return nodes[y < y.min() + depth]
    if rule == "border":
        return nodes[(y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)]
    return nodes[:0]


def _rooting(nodes, grid, anchor, painted) -> str:
    """What the lower border cuts off along much of its width, and is wider than high, is a
    field."""
    y, x = nodes // grid[1], nodes % grid[1]
    cut_off = np.count_nonzero(y == grid[0] - 1) > FIELD_WIDTH * grid[1]
    wide = np.ptp(x) > np.ptp(y)
    return "field" if cut_off and wide and anchor == "auto" and not painted else "one root"


def _near(fixed, grid):
    """Nodes so near to what is held that only the rim of something may lie between."""
    from scipy.ndimage import maximum_filter

    held = np.zeros(grid, bool)
    held.flat[fixed] = True
    return maximum_filter(held, 2 * RIM + 1)


def _nodes_of(cells, grid):
    return np.unique(corners_of(cells, grid))


def _parted(cells, shape, colour, parting, least, root, needs_root):
    """The parts of one connected piece, as flat indices of elements."""
    if parting == 0 or len(cells) < 2 * least:
        return [cells]
    one, other, step = _spanning_tree(cells, shape, colour)
    scale, count = parting * least, len(cells)
    # Felzenszwalb and Huttenlocher: a step parts if it is larger than those inside either region.
    size, inner = np.ones(count), np.zeros(count)

    def joined(a, b, s):
        if s > min(inner[a] + scale / size[a], inner[b] + scale / size[b]):
            return False
        size[a] += size[b]
        inner[a] = max(inner[a], inner[b], s)
        return True

    labels = _joined(count, one, other, step, joined)
    labels = _without_rims(cells, shape, labels, least)
    if needs_root:
        rooted = np.bincount(labels, root, minlength=count)

        def leans(a, b, s):
            if rooted[a] > 0 and rooted[b] > 0:
                return False
            rooted[a] += rooted[b]
            return True

        labels = _joined(count, one, other, step, leans, labels.tolist())
    return [cells[labels == i] for i in np.unique(labels)]


def _joined(count, one, other, step, joined, parent=None):
    """Union of elements along edges, in their order, wherever `joined` takes b into a."""
    parent = list(range(count)) if parent is None else parent

    def top(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j, s in zip(one, other, step):
        a, b = top(i), top(j)
        if a != b and joined(a, b, s):
            parent[b] = a
    return np.array([top(i) for i in range(count)])


def _without_rims(cells, shape, labels, least):
    """What has too little inside goes to the nearest that has enough: scraps, and the rims of
    edges.

    An edge is seldom sharp. What lies between its two sides is like neither, and long; it has no
    inside.
    """
    from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

    of = np.full(shape, -1)
    of.flat[cells] = labels
    surrounded = (minimum_filter(of, 3) == maximum_filter(of, 3)).flat[cells]
    inside = np.bincount(labels[surrounded], minlength=len(cells))
    if inside.max() < least:
        return np.full(len(cells), 0)
    large = np.zeros(shape, bool)
    large.flat[cells] = inside[labels] >= least
    y, x = distance_transform_edt(~large, return_distances=False, return_indices=True)
    found = of[y, x].flat[cells]
    # Every part is named by one of its own elements.
    _, first, which = np.unique(found, return_index=True, return_inverse=True)
    return first[which]


def _spanning_tree(cells, shape, colour):
    """The edges of the minimum spanning tree of touching elements by colour, weakest first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    number = np.full((shape[0] + 2, shape[1] + 2), -1)
    number[1:-1, 1:-1].flat[cells] = np.arange(len(cells))
    inside = number[1:-1, 1:-1]
    flat = colour.reshape(-1, colour.shape[-1])
    one, other, step = [], [], []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        beside = number[1 + dy : 1 + dy + shape[0], 1 + dx : 1 + dx + shape[1]]
        both = (inside >= 0) & (beside >= 0)
        one.append(inside[both])
        other.append(beside[both])
        step.append(np.linalg.norm(flat[cells[one[-1]]] - flat[cells[other[-1]]], axis=1))
        step[-1] += CORNER * (dy * dx != 0)
    one, other, step = np.concatenate(one), np.concatenate(other), np.concatenate(step)
    # A sparse matrix takes a zero for no edge.
    tree = minimum_spanning_tree(coo_array((step + 1e-6, (one, other)), (len(cells),) * 2)).tocoo()
    order = np.argsort(tree.data, kind="stable")
    return tree.row[order].tolist(), tree.col[order].tolist(), tree.data[order].tolist()
