"""How things move in synthetic scenes: rods and what sits on them, each piece with its exact motion.

A scene is made of rigid pieces, to first order: a piece's point p moves by Re sum_k (shift_k + turn_k
perp(p - pivot)) q_k(t). Pieces hang together in chains: a branch carries its twigs, a twig its leaves.
What is seen are strips laid on pieces: blades, leaves, petals, stems, cloth.

Law: chains are inextensible to first order and never come apart, shift(child) = motion of the parent at
the child's pivot; every motion is the wind at the place times an oscillator's transfer.

Convention: lengths in picture heights, y down, while a scene is built; pixels of the still after that.

Source: a cantilever under an even load (curvature falls as (1 - s)^2), a pendulum's sqrt(g / l), natural
frequencies and damping as measured on trees (James et al. 2006; de Langre 2008).
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..config import WindConfig
from ..motion.wind import wind
from ..shapes import Complex, Float, Int, Tensor
from .textures import PAGES, integers, normal, uniform

RODS = 6  # pieces along a rod


@dataclass
class SceneBuilder:
    """A scene while it is built: pieces and strips are added, nothing is taken away."""

    generator: torch.Generator
    aspect: float
    frequencies_hz: Float[Tensor, " k"]
    gusts: Complex[Tensor, "k 2 gh gw"]
    pivots: list[Tensor] = field(default_factory=list)
    shifts: list[Tensor] = field(default_factory=list)
    strains: list[Tensor] = field(default_factory=list)
    strips: list[dict[str, Tensor]] = field(default_factory=list)
    count: int = 0

    def draw(self, low: float | int, high: float | int, *shape: int) -> Tensor:
        return uniform(self.generator, low, high, *shape)

    def number(self, low: int, high: int) -> int:
        return int(integers(self.generator, low, high + 1))

    def normal(self, *shape: int) -> Tensor:
        return normal(self.generator, *shape)

    def wind_at(self, points: Float[Tensor, "n 2"]) -> Complex[Tensor, "n k 2"]:
        """The wind's velocity at places in the picture, past its borders as at them."""
        places = points / torch.tensor([self.aspect, 1.0]) * 2 - 1
        flat = torch.view_as_real(self.gusts).movedim(-1, 1).flatten(0, 2)[None]
        read = F.grid_sample(
            flat, places.view(1, 1, -1, 2), padding_mode="border", align_corners=False
        )
        read = read.view(len(self.frequencies_hz), 2, 2, -1)
        return torch.complex(read[:, 0], read[:, 1]).permute(2, 0, 1)

    def transfer(self, natural_hz: Float[Tensor, " n"], damping: float) -> Complex[Tensor, "n k"]:
        """Of an oscillator, against its static response."""
        ratio = self.frequencies_hz[None] / natural_hz[:, None]
        return 1 / torch.complex(1 - ratio.square(), 2 * damping * ratio)

    def add_pieces(self, pivot, shift, strain) -> Int[Tensor, " n"]:
        """Pieces with their motion; their numbers."""
        self.pivots.append(pivot)
        self.shifts.append(shift)
        self.strains.append(strain)
        first, self.count = self.count, self.count + len(pivot)
        return torch.arange(first, self.count)

    def add_strips(self, piece, base, angle, length, width, z, colour, **look) -> None:
        """Strips on pieces. What `look` leaves out has the defaults of `LOOK`."""
        given = {"base": base, "angle": angle, "length": length, "width": width, "z": z}
        strip = {"piece": piece, "colour": colour}
        for name, value in (LOOK | given | look).items():
            value = torch.as_tensor(value, dtype=torch.float32)
            strip[name] = value if value.ndim > 1 else value.expand(len(piece))
        self.strips.append(strip)

    def closer(self, zoom: float) -> None:
        """Steps up to one of the things that move; what was outside the picture stays there."""
        edge = torch.tensor([self.aspect, 1.0])
        _, shift, strain = self.pieces()
        moves = (shift.abs().flatten(1).sum(1) + strain.abs().flatten(1).sum(1)) > 0
        bases = torch.cat([strip["base"][moves[strip["piece"]]] for strip in self.strips])
        at = bases[self.number(0, len(bases) - 1)]
        at = at.clamp(min=0).minimum(edge)
        to = edge * self.draw(0.25, 0.75, 2)
        to = to.maximum(edge - zoom * (edge - at)).minimum(zoom * at)
        self.pivots = [zoom * (x - at) + to for x in self.pivots]
        self.shifts = [zoom * x for x in self.shifts]
        for strip in self.strips:
            strip["base"] = zoom * (strip["base"] - at) + to
            for name in ("length", "width", "z"):
                strip[name] = zoom * strip[name]

    def motion_of(self, piece, points):
        """(shift, turn as strain) of given points that ride on pieces."""
        pivot, shift, strain = self.pieces()
        rel = (points - pivot[piece]).to(shift.dtype)
        return shift[piece] + torch.einsum("nkij,nj->nki", strain[piece], rel), strain[piece]

    def pieces(self):
        """Everything so far: pivots (n 2), shifts (n k 2), strains (n k 2 2)."""
        for parts in (self.pivots, self.shifts, self.strains):
            if len(parts) > 1:
                parts[:] = [torch.cat(parts)]
        return self.pivots[0], self.shifts[0], self.strains[0]


# How a strip looks: exponents of its outline at base and tip, bend along it (rad), cross rounding and
# rounding along it, fold along the midrib, tilt of its normal (x, y), light let through, texture page
# and strength and place (negative: one of its own for every strip), brightening of the midrib, light of
# its own, and waves in the tilt: their strength and their phase at both ends.
LOOK = {
    "start": 0.0,
    "end": 0.15,
    "bend": 0.0,
    "round": 0.0,
    "along": 0.0,
    "fold": 0.0,
    "tilt_x": 0.0,
    "tilt_y": 0.0,
    "through": 0.0,
    "page": 0.0,
    "texture": 1.0,
    "texel_x": -1.0,
    "texel_y": -1.0,
    "rib": 0.0,
    "glow": 0.0,
    "waves": 0.0,
    "wave_from": 0.0,
    "wave_to": 0.0,
}
PAGE_OF = {name: float(i) for i, name in enumerate(PAGES)}


def open_builder(
    generator: torch.Generator, aspect: float, frequencies_hz: Float[Tensor, " k"]
) -> SceneBuilder:
    """An empty stage in a wind of its own."""
    towards = float(uniform(generator, -25, 25)) + 180 * int(integers(generator, 0, 2))
    config = WindConfig(
        towards,
        0.4 * 10 ** float(uniform(generator, 0, 1)),  # from far trees to a flower's portrait
        float(uniform(generator, 0.2, 1.0)),
        float(uniform(generator, 0.2, 0.7)),
        float(uniform(generator, 3, 12)),
    )
    band_hz = float(frequencies_hz[0])
    gusts = wind(frequencies_hz, (7, max(2, round(7 * aspect))), band_hz, config, generator)
    return SceneBuilder(generator, aspect, frequencies_hz, gusts)


def add_ground(stage: SceneBuilder) -> Tensor:
    """The one piece that stands still."""
    k = len(stage.frequencies_hz)
    zero = torch.zeros(1, k, 2, dtype=torch.complex64)
    return stage.add_pieces(torch.zeros(1, 2), zero, zero.new_zeros(1, k, 2, 2))


def add_props(stage: SceneBuilder, count: int) -> None:
    """What stands still among the rest: posts, rails, pots, stones."""
    ground = add_ground(stage).expand(count)
    kind = integers(stage.generator, 0, 4, count)
    upright = kind != 1
    angle = torch.where(upright, -math.pi / 2, 0.0) + 0.06 * stage.draw(-1, 1, count)
    length = torch.tensor([1.0, 2.5, 0.25, 0.2])[kind] * stage.draw(0.5, 1.3, count)
    width = torch.tensor([0.07, 0.05, 0.3, 0.3])[kind] * stage.draw(0.4, 1.3, count)
    base = torch.stack([stage.draw(0, 1, count) * stage.aspect, stage.draw(0.6, 1.15, count)], 1)
    base[~upright, 0] = -0.1
    colour = stage.draw(0.02, 0.7, count, 1) * (1 + 0.6 * stage.draw(-1, 1, count, 3))
    stone = (kind == 3).float() * 0.5
    page = torch.tensor([PAGE_OF[name] for name in ("bark", "bark", "paper", "bark")])[kind]
    stage.add_strips(
        ground, base, angle, length, width, stage.draw(-0.6, 0.3, count), colour.clamp(0.01, 0.9),
        start=stone, end=stone, round=stage.draw(0.2, 1.2, count), page=page, texture=1.5,
    )  # fmt: skip


def turn(angle: Complex[Tensor, "..."]) -> Complex[Tensor, "... 2 2"]:
    """Small rotations as strains: a point at r moves by angle * (-r_y, r_x)."""
    zero = torch.zeros_like(angle)
    return torch.stack([torch.stack([zero, -angle], -1), torch.stack([angle, zero], -1)], -2)


@dataclass(frozen=True)
class Rods:
    """Rods that were added: their joints and the pieces between them."""

    joints: Float[Tensor, "r n1 2"]
    pieces: Int[Tensor, "r n"]
    angles: Float[Tensor, "r n"]
    length: Float[Tensor, " r"]

    def at(self, rod, share) -> tuple[Tensor, Tensor, Tensor]:
        """(piece, place, direction) at shares of rods' lengths."""
        n = self.pieces.shape[1]
        along = (share * n).clamp(0, n - 1e-4)
        i = along.long()
        start, end = self.joints[rod, i], self.joints[rod, i + 1]
        place = start + (along - i)[:, None] * (end - start)
        return self.pieces[rod, i], place, self.angles[rod, i]


def add_rods(
    stage: SceneBuilder,
    parent: Int[Tensor, " r"],
    base: Float[Tensor, "r 2"],
    angle: Float[Tensor, " r"],
    length: Float[Tensor, " r"],
    curve: Float[Tensor, " r"],
    natural_hz: Float[Tensor, " r"],
    sway: Float[Tensor, " r"],
    damping: float = 0.09,
    pieces: int = RODS,
) -> Rods:
    """Elastic rods that stand on pieces and bend in the wind at their middle.

    Args:
        angle: Direction at the base, radians, 0 = right, pi/2 = down. curve: how much it turns to the
            tip.
        sway: Tip's angle against the base per unit of wind, at rest frequency.
    """
    s = (torch.arange(pieces) + 0.5) / pieces
    angles = angle[:, None] + curve[:, None] * s
    steps = torch.stack([angles.cos(), angles.sin()], -1) * (length / pieces)[:, None, None]
    joints = torch.cat([base[:, None], base[:, None] + steps.cumsum(1)], 1)
    across = torch.stack([-angles.sin(), angles.cos()], -1).mean(1)
    blown = stage.wind_at(joints[:, pieces // 2])
    force = torch.einsum("rki,ri->rk", blown, across.to(blown.dtype))
    bending = force * stage.transfer(natural_hz, damping) * sway[:, None]
    profile = (1 - s).square().cumsum(0)
    own = bending[:, None] * (profile / profile[-1]).view(1, -1, 1)  # r n k

    start, strain = stage.motion_of(parent, base)
    inherited = strain[..., 1, 0] - strain[..., 0, 1]
    turns = own + 0.5 * inherited[:, None]
    perp = torch.stack([-steps[..., 1], steps[..., 0]], -1)
    moved = turns[..., None] * perp[:, :, None].to(turns.dtype)  # r n k 2
    shift = start[:, None] + torch.cat([torch.zeros_like(moved[:, :1]), moved[:, :-1]], 1).cumsum(1)
    numbers = stage.add_pieces(
        joints[:, :-1].flatten(0, 1), shift.flatten(0, 1), turn(turns).flatten(0, 1)
    )
    return Rods(joints, numbers.view(len(base), pieces), angles, length)


def show_rods(stage: SceneBuilder, rods: Rods, thick, z, colour, tip: float = 0.4, **look) -> None:
    """Stems: one strip a piece, tapering to a share of the width at the base."""
    r, n = rods.pieces.shape
    share = torch.linspace(1, tip, n + 1)[:-1].expand(r, n)
    steps = rods.joints.diff(dim=1)
    overlap = 1.12  # so that a bend shows no gap
    each = lambda x: x[:, None].expand(r, n).flatten()
    stage.add_strips(
        rods.pieces.flatten(),
        rods.joints[:, :-1].flatten(0, 1) - (0.06 * steps).flatten(0, 1),
        rods.angles.flatten(),
        overlap * steps.norm(dim=-1).flatten(),
        (thick[:, None] * share).flatten(),
        each(z),
        colour[:, None].expand(r, n, 3).flatten(0, 1),
        **{"round": 0.9, "start": 0.0, "end": 0.0} | look,
    )


def add_leaves(
    stage: SceneBuilder,
    parent: Int[Tensor, " n"],
    base: Float[Tensor, "n 2"],
    natural_hz: Float[Tensor, " n"],
    sway: Float[Tensor, " n"],
    damping: float = 0.15,
) -> Int[Tensor, " n"]:
    """Pieces that ride on others and flutter about where they sit, each by itself."""
    shift, strain = stage.motion_of(parent, base)
    blown = stage.wind_at(base).sum(-1)
    phase = torch.polar(torch.ones(len(base)), stage.draw(-1.2, 1.2, len(base)))
    own = blown * stage.transfer(natural_hz, damping) * (sway * phase)[:, None]
    return stage.add_pieces(base, shift, strain + turn(own))


def add_pendulums(
    stage: SceneBuilder,
    parent: Int[Tensor, " n"],
    top: Float[Tensor, "n 2"],
    natural_hz: Float[Tensor, " n"],
    sway: Float[Tensor, " n"],
    damping: float = 0.05,
) -> Int[Tensor, " n"]:
    """Rigid things that swing about where they hang."""
    shift, _ = stage.motion_of(parent, top)
    blown = stage.wind_at(top)[..., 0]
    own = -blown * stage.transfer(natural_hz, damping) * sway[:, None]
    return stage.add_pieces(top, shift, turn(own))


def add_cloth(
    stage: SceneBuilder,
    corner: Float[Tensor, " 2"],
    size: tuple[float, float],
    pinned: str,
    natural_hz: float,
    sway: float,
    cells: tuple[int, int] = (10, 12),
) -> tuple[Tensor, Tensor, Tensor]:
    """A cloth held at its top or left edge: waves that grow away from it. (pieces, corners, cell size).

    The field is that of a few travelling waves, its gradient taken from the same formula.
    """
    rows, columns = cells
    t, s = torch.meshgrid(torch.arange(rows) / rows, torch.arange(columns) / columns, indexing="ij")
    here = torch.stack([s, t], -1).flatten(0, 1) + torch.tensor([0.5 / columns, 0.5 / rows])
    extent = torch.tensor(size)
    k = len(stage.frequencies_hz)
    blown = stage.wind_at((corner + extent / 2)[None])[0]  # k 2
    swing = blown * stage.transfer(torch.tensor([natural_hz]), 0.15)[0][:, None] * sway
    waves = stage.draw(0.5, 1.6, k)
    along, across = (1, 0) if pinned == "top" else (0, 1)

    def displaced(place):
        far = place[:, along]
        grows = far.clamp(min=0).pow(1.5)
        travel = -2 * math.pi * waves[None] * (0.5 * far[:, None] + 0.6 * place[:, across, None])
        wave = grows[:, None] * torch.polar(torch.ones_like(travel), travel)  # n k
        share = torch.ones(2)
        share[along] = 0.3
        return wave[..., None] * swing[None] * share

    step = 1e-2
    shift = displaced(here)
    strain = []
    for axis in (0, 1):
        d = torch.zeros(2)
        d[axis] = step
        strain.append((displaced(here + d) - displaced(here - d)) / (2 * step * extent[axis]))
    pieces = stage.add_pieces(corner + here * extent, shift, torch.stack(strain, -1))
    corners = corner + torch.stack([s, t], -1).flatten(0, 1) * extent
    return pieces, corners, extent / torch.tensor([columns, rows])
