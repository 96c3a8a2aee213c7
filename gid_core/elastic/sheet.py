"""The parts of a still as elastic material: what they are made of, how they are held, how fast they
sway.

Finite elements on a coarse grid, the nodes at its pixel centers. Every part is solved on its own
for its modes of vibration, K phi = omega^2 M phi. It bends from where it is held, and rests on
roots of its
own, which hold every point alike: they add the same to every omega^2, and change no shape.

Law: no unit of stiffness or mass survives. A part's modes give ratios of frequencies; its dominant
frequency is what is asked for, the largest part's, and that of smaller ones by their size.

Source: Davis et al. 2015 for modes as a basis of motion; the rest is textbook elasticity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..config import ElasticConfig
from ..shapes import Bool, Float, Tensor
from ..still.grid import grid_size
from .modes import Part, modes_of, receptance
from .parts import DEPTH_STEP, extent, pieces_of

COVERED = 0.04  # least coverage that makes a cell of material
LEAST_STIFFNESS = 0.2  # of a covered cell, before edges soften it
FASTEST_PART = 2.5  # a tiny part sways at most so much faster than the largest
HARDLY_RINGS = 0.5  # damping ratio
STILL_OUTLINE = 0.6  # of the flutter, that an outline takes where the thing goes on beyond it


@dataclass(frozen=True)
class Thing:
    """One object of a still, that shares no material with any other.

    elastic: What it is made of; None: as the model says for all.
    anchor: Where it is held, painted; None: by rule.
    """

    matte: Float[Tensor, "1 1 hr wr"]
    elastic: ElasticConfig | None = None
    anchor: Float[Tensor, "1 1 hr wr"] | None = None


@dataclass(frozen=True)
class Body:
    """A part as it is solved, and as it is seen.

    part: its modes, at the frequencies asked for.
    seen: share of every node of it that is seen to be its own, 0 ... 1.
    elastic: what it is made of.
    faster: its dominant frequency over that of the largest part of its kind.
    """

    part: Part
    seen: Float[np.ndarray, " n"]
    elastic: ElasticConfig
    faster: float


@dataclass(frozen=True)
class Sheet:
    """All parts of one still.

    coverage: the share of material around every node; material: the nodes of parts, held ones too,
        and those that nothing moves.
    inside: cells of material whose four nodes belong to one part and to no other.
    leafy: how much flutters at every node, by what it is made of. colour: of every node.
    """

    grid: tuple[int, int]
    coverage: Float[np.ndarray, "h w"]
    material: Bool[np.ndarray, "h w"]
    bodies: tuple[Body, ...]
    inside: Bool[np.ndarray, "h1 w1"]
    leafy: tuple[tuple[ElasticConfig, Float[np.ndarray, "h w"]], ...] = ()
    colour: Float[np.ndarray, "h w c"] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(body.part for body in self.bodies)


def solve(
    image: Float[Tensor, "1 3 hr wr"],
    matte: Float[Tensor, "1 1 hr wr"],
    anchor: Float[Tensor, "1 1 hr wr"] | None = None,
    config: ElasticConfig = ElasticConfig(),
    poll: Callable[[], None] = lambda: None,
    things: Sequence[Thing] = (),
    depth: Float[Tensor, "1 1 hd wd"] | None = None,
    protect: Float[Tensor, "1 1 hr wr"] | None = None,
) -> Sheet:
    """Modes of every part of the matte, or of every part of things.

    Args:
        anchor: What holds still, painted; where it touches a part, it replaces the rule for it.
        things, depth, protect: As `ElasticPrior.sample` has them.
    """
    grid = tuple(max(2, n) for n in grid_size(*image.shape[-2:], config.longest_side))
    colour = _resize(image, grid)
    features = colour[0].permute(1, 2, 0)
    if depth is not None:
        features = torch.cat([features, DEPTH_STEP * _resize(depth, grid)[0].permute(1, 2, 0)], 2)
    features = features.double().numpy()
    stays = np.zeros(grid, bool)
    if protect is not None:
        # Every point whose neighbourhood is protected in part: nothing is interpolated into it.
        stays = F.adaptive_max_pool2d(protect, grid) > 0
        stays = (F.max_pool2d(stays.float(), 3, 1, 1) > 0)[0, 0].numpy()
    held = None if anchor is None else _resize(anchor, grid)[0, 0].numpy() >= 0.5
    things = things or (Thing(matte),)
    hidden = np.ones(grid)  # share of every node that nothing in front covers
    found, leafy, total = [], {}, np.zeros(grid)
    # The part that every node belongs to: 0 is none, -1 several.
    of_part, count = np.zeros(grid, int), 0
    for thing in reversed(things):
        own = thing.elastic or config
        own_held = (
            held if thing.anchor is None else _resize(thing.anchor, grid)[0, 0].numpy() >= 0.5
        )
        pieces, mass, at_outline = _material(
            image, thing.matte, grid, own, features, own_held, stays, poll
        )
        seen, hidden = hidden * mass, hidden * (1 - np.minimum(mass, 1))
        total += seen
        still = stays if own_held is None else stays | own_held
        at = leafy.setdefault(own, np.zeros(grid))
        at += np.where(still, 0, seen * (1 - STILL_OUTLINE * at_outline))
        found[:0] = [(piece, part, seen, mass, own) for piece, part in pieces]
        for piece, _ in pieces:
            count += 1
            of_part.flat[piece.nodes] = np.where(of_part.flat[piece.nodes] == 0, count, -1)
    weights = {own: at / np.maximum(total, 1e-6) for own, at in leafy.items()}
    bodies = _at_their_frequencies(found, total, grid)
    corners = np.stack([of_part[:-1, :-1], of_part[:-1, 1:], of_part[1:, :-1], of_part[1:, 1:]])
    inside = (corners > 0).all(0) & (corners == corners[0]).all(0)
    material = (of_part != 0) | stays
    return Sheet(grid, total, material, bodies, inside, tuple(weights.items()), features)


def _material(image, matte, grid, config, features, held, stays, poll):
    """The solved parts of one matte, the mass at every node, and where its outline is in a
    thing."""
    coverage = _cell_coverage(matte, grid)
    # A hardly covered cell is light; were it soft too, it would flap.
    stiffness = np.maximum(coverage, LEAST_STIFFNESS) * _edge_weight(features[..., :3], config)
    outline = _goes_on(image, matte, grid, config)
    covered = coverage > COVERED
    colour = (features[1:] + features[:-1]) / 2
    colour = (colour[:, 1:] + colour[:, :-1]) / 2
    how = config.anchor, config.rooting, config.parting, config.smallest
    pieces = pieces_of(covered, colour, held, *how)
    most = max((len(piece.nodes) for piece in pieces), default=1)
    found = []
    for piece in pieces:
        alone = np.zeros(coverage.size)
        alone[piece.cells] = coverage.flat[piece.cells]
        own = to_nodes(alone.reshape(coverage.shape))
        springs = config.hold * np.minimum(1, own) * outline
        fixed = np.union1d(piece.fixed, piece.nodes[stays.flat[piece.nodes]])
        count = max(4, math.ceil(config.modes * len(piece.nodes) / most))
        part = modes_of(
            piece.cells,
            piece.nodes,
            grid,
            stiffness,
            own,
            springs,
            fixed,
            count,
            poll,
            config.across,
        )
        if part is not None:  # else every node of it is held
            found.append((piece, part))
    return found, to_nodes(np.where(covered, coverage, 0)), outline


def _at_their_frequencies(found, total, grid) -> tuple[Body, ...]:
    """Parts whose dominant modes have the frequencies asked for, back to front."""
    largest = {}
    for piece, _, _, _, own in found:
        largest[own] = max(largest.get(own, 0), extent(piece.nodes, grid))
    bodies = []
    for piece, part, seen, mass, own in found:
        faster = min(FASTEST_PART, math.sqrt(largest[own] / extent(piece.nodes, grid)))
        bends = np.square(part.omega)
        if len(piece.fixed):  # a share of its stiffness is its roots', the rest its bending
            bends = np.maximum(bends / bends[leading(part)], 1)
            omega = np.sqrt(own.rooted + (1 - own.rooted) * bends)
        else:
            # It rests on its roots alone; a wave as long as its reach is as stiff as they are.
            omega = np.sqrt(1 + (own.reach * max(grid)) ** 2 * bends)
        rescale = 2 * math.pi * own.sway_hz * faster / dominant(omega, own.damping_ratio)
        at = part.nodes
        share = seen.flat[at] * np.minimum(1, part.mass / np.maximum(mass.flat[at], 1e-3))
        share = share / np.maximum(total.flat[at], 1e-3)
        bodies.append(Body(replace(part, omega=omega * rescale), share, own, faster))
    return tuple(bodies)


def leading(part: Part) -> int:
    """The slowest mode that moves much of a part: half the largest effective mass, |phi . M 1|^2.

    Slower ones are scraps that hang by a corner; they are taken to be held as well as the whole.
    """
    effective = np.square(np.einsum("nxj,n->xj", part.shapes, part.mass)).sum(0)
    return int((effective >= effective.max() / 2).argmax())


def dominant(omega: Float[np.ndarray, " j"], damping_ratio: float) -> float:
    """Where modes answer most to a force that is white in time and space, rad/s.

    The mean square motion of mass-normalized modes is sum_j |H_j|^2. What hardly rings has no peak
    there: then it is the slowest mode.
    """
    if damping_ratio > HARDLY_RINGS:
        return float(omega[0])
    Omega = np.geomspace(omega[0] / 2, omega[-1], 1000)
    power = np.square(np.abs(receptance(omega, Omega, damping_ratio))).sum(1)
    return float(Omega[power.argmax()])


def report(sheet: Sheet) -> str:
    """How many parts there are, and how fast they sway, in a sentence."""
    if not sheet.bodies:
        return "No part is free to move."
    hz = [body.faster * body.elastic.sway_hz for body in sheet.bodies]
    if len(hz) == 1:
        return f"1 part, which sways at {hz[0]:.2f} Hz."
    return (
        f"{len(hz)} parts; the slowest sways at {min(hz):.2f} Hz, the fastest at {max(hz):.2f} Hz: "
        f"a smaller one faster by the square root of its size, at most {FASTEST_PART} times."
    )


# --- material ---------------------------------------------------------------------------------


def _resize(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def _cell_coverage(matte, grid) -> np.ndarray:
    """Share of material in every element, whose corners are the centers of four grid pixels.

    A little of it is lent to the neighbours, so that a stem one pixel wide which crosses cells
    diagonally hangs together by more than a corner.
    """
    height, width = grid
    fine = F.interpolate(matte, (2 * height, 2 * width), mode="area")
    cells = F.avg_pool2d(fine[:, :, 1:-1, 1:-1], 2)
    kernel = torch.tensor([1.0, 6.0, 1.0]) / 8
    padded = F.pad(cells, (1, 1, 1, 1), mode="replicate")
    lent = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 3)), kernel.view(1, 1, 3, 1))
    return lent[0, 0].double().numpy()


def _edge_weight(colour, config) -> np.ndarray:
    """eps + exp(-|grad I|^2 / sigma^2) per element: what is on two sides of an edge moves apart."""
    dy, dx = np.diff(colour, axis=0), np.diff(colour, axis=1)
    dy, dx = (dy[:, 1:] + dy[:, :-1]) / 2, (dx[1:] + dx[:-1]) / 2
    squared = (np.square(dx) + np.square(dy)).max(-1)
    return config.edge_stiffness + np.exp(-squared / config.edge_contrast**2)


def to_nodes(cells) -> np.ndarray:
    """A quarter of every element to each of its corners."""
    nodes = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1))
    for dy in (0, 1):
        for dx in (0, 1):
            nodes[dy : dy + cells.shape[0], dx : dx + cells.shape[1]] += cells / 4
    return nodes


def _goes_on(image, matte, grid, config) -> np.ndarray:
    """How far material goes on past the outline, 0 ... 1 at every node.

    It does where the mean colour just inside is the mean colour just outside: there the outline
    runs through something, which holds. Along an edge of the picture the outline is free.
    """

    def around(weight):
        share = F.avg_pool2d(_resize(weight, grid), 5, 1, 2)
        return F.avg_pool2d(_resize(weight * image, grid), 5, 1, 2) / share.clamp(min=1e-4), share

    inside, share_inside = around(matte)
    outside, share_outside = around(1 - matte)
    apart = (inside - outside).square().amax(1)[0]
    alike = torch.exp(-apart / config.edge_contrast**2)
    return (alike * 4 * (share_outside * share_inside)[0, 0]).clamp(max=1).double().numpy()
