"""Build a synthetic scene from rigid pieces with exact motion, and from strips that cover them.

A piece moves rigidly, to first order: its point p is displaced by

    Re sum_k (shift_k + turn_k perp(p - pivot)) q_k(t).

Pieces form chains: a branch carries its twigs, a twig carries its leaves. Strips (blades, leaves,
petals, stems, cloth) are the visible surfaces; each strip lies on one piece.

Law: a chain is inextensible to first order and its joints stay closed: shift(child) = motion of the
parent at the child's pivot. Every motion is the local wind times the frequency response of an
oscillator.

Convention: lengths in picture heights, y down, while a scene is built; pixels of the still later.

Source: a cantilever under an even load (curvature falls as (1 - s)^2); a pendulum's sqrt(g / l);
natural frequencies and damping as measured on trees (James et al. 2006; de Langre 2008).
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..config import WindConfig
from ..motion.wind import wind
from ..shapes import Complex, Float, Int, Tensor
from .textures import PAGES, integers, normal, uniform

ROD_PIECES = 6  # pieces along a rod

# The properties of a strip that `add_strips` may leave out.
STRIP_DEFAULTS = {
    # Outline: the width goes as s^start at the base and as (1 - s)^end at the tip.
    "start": 0.0,
    "end": 0.15,
    "bend": 0.0,  # turn of the midline from base to tip, rad
    # Surface normal.
    "round": 0.0,  # rounding across the strip
    "along": 0.0,  # rounding along the strip
    "fold": 0.0,  # fold along the midrib
    "tilt_x": 0.0,
    "tilt_y": 0.0,
    "waves": 0.0,  # amplitude of waves in the tilt
    "wave_from": 0.0,  # their phase at the base, rad
    "wave_to": 0.0,  # their phase at the tip, rad
    # Material.
    "transmission": 0.0,  # share of the light that comes through from behind
    "emission": 0.0,  # light of its own
    "rib": 0.0,  # how much brighter the midrib is
    # Texture: page, contrast, and place on the page; a negative place is drawn for each strip.
    "page": 0.0,
    "texture": 1.0,
    "texel_x": -1.0,
    "texel_y": -1.0,
}
PAGE_OF = {name: float(i) for i, name in enumerate(PAGES)}


@dataclass
class SceneBuilder:
    """A scene under construction: pieces and strips are added, never removed."""

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
        """Uniform random numbers in [low, high)."""
        return uniform(self.generator, low, high, *shape)

    def integer(self, low: int, high: int) -> int:
        """A random integer from low to high, both included."""
        return int(integers(self.generator, low, high + 1))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal random numbers."""
        return normal(self.generator, *shape)

    def wind_at(self, points: Float[Tensor, "n 2"]) -> Complex[Tensor, "n k 2"]:
        """Wind velocity at points of the picture. Outside, the value at the border is used."""
        places = points / torch.tensor([self.aspect, 1.0]) * 2 - 1
        flat = torch.view_as_real(self.gusts).movedim(-1, 1).flatten(0, 2)[None]
        read = F.grid_sample(
            flat, places.view(1, 1, -1, 2), padding_mode="border", align_corners=False
        )
        read = read.view(len(self.frequencies_hz), 2, 2, -1)
        return torch.complex(read[:, 0], read[:, 1]).permute(2, 0, 1)

    def frequency_response(
        self, natural_hz: Float[Tensor, " n"], damping: float
    ) -> Complex[Tensor, "n k"]:
        """Response of damped oscillators at every band, relative to their static response."""
        ratio = self.frequencies_hz[None] / natural_hz[:, None]
        return 1 / torch.complex(1 - ratio.square(), 2 * damping * ratio)

    def add_pieces(self, pivot, shift, strain) -> Int[Tensor, " n"]:
        """Add pieces with their motion. Returns their indices."""
        self.pivots.append(pivot)
        self.shifts.append(shift)
        self.strains.append(strain)
        first, self.count = self.count, self.count + len(pivot)
        return torch.arange(first, self.count)

    def add_strips(self, piece, base, angle, length, width, z, colour, **properties) -> None:
        """Add strips on pieces.

        Args:
            piece: Index of the piece that carries each strip.
            base: Middle of the strip's near end. angle: direction of its midline there, rad.
            z: Depth order; a larger z is nearer to the viewer.
            properties: Any of `STRIP_DEFAULTS`, as one number or one for each strip.
        """
        given = {"base": base, "angle": angle, "length": length, "width": width, "z": z}
        strip = {"piece": piece, "colour": colour}
        for name, value in (STRIP_DEFAULTS | given | properties).items():
            value = torch.as_tensor(value, dtype=torch.float32)
            strip[name] = value if value.ndim > 1 else value.expand(len(piece))
        self.strips.append(strip)

    def zoom_in(self, zoom: float) -> None:
        """Magnify around a moving strip. What was outside the picture stays outside."""
        edge = torch.tensor([self.aspect, 1.0])
        _, shift, strain = self.pieces()
        moves = (shift.abs().flatten(1).sum(1) + strain.abs().flatten(1).sum(1)) > 0
        bases = torch.cat([strip["base"][moves[strip["piece"]]] for strip in self.strips])
        at = bases[self.integer(0, len(bases) - 1)]
        at = at.clamp(min=0).minimum(edge)
        to = edge * self.draw(0.25, 0.75, 2)
        to = to.maximum(edge - zoom * (edge - at)).minimum(zoom * at)
        self.pivots = [zoom * (x - at) + to for x in self.pivots]
        self.shifts = [zoom * x for x in self.shifts]
        for strip in self.strips:
            strip["base"] = zoom * (strip["base"] - at) + to
            for name in ("length", "width", "z"):
                strip[name] = zoom * strip[name]

    def motion_of(
        self, piece, points
    ) -> tuple[Complex[Tensor, "n k 2"], Complex[Tensor, "n k 2 2"]]:
        """(shift, strain) of points that are fixed to pieces."""
        pivot, shift, strain = self.pieces()
        rel = (points - pivot[piece]).to(shift.dtype)
        return shift[piece] + torch.einsum("nkij,nj->nki", strain[piece], rel), strain[piece]

    def pieces(self) -> tuple[Tensor, Tensor, Tensor]:
        """All pieces so far: pivots (n 2), shifts (n k 2), strains (n k 2 2)."""
        for parts in (self.pivots, self.shifts, self.strains):
            if len(parts) > 1:
                parts[:] = [torch.cat(parts)]
        return self.pivots[0], self.shifts[0], self.strains[0]


def open_builder(
    generator: torch.Generator, aspect: float, frequencies_hz: Float[Tensor, " k"]
) -> SceneBuilder:
    """An empty scene with its own random wind."""
    towards = float(uniform(generator, -25, 25)) + 180 * int(integers(generator, 0, 2))
    config = WindConfig(
        towards,
        0.4 * 10 ** float(uniform(generator, 0, 1)),  # from distant trees to one flower close up
        float(uniform(generator, 0.2, 1.0)),
        float(uniform(generator, 0.2, 0.7)),
        float(uniform(generator, 3, 12)),
    )
    band_hz = float(frequencies_hz[0])
    gusts = wind(frequencies_hz, (7, max(2, round(7 * aspect))), band_hz, config, generator)
    return SceneBuilder(generator, aspect, frequencies_hz, gusts)


def add_ground(builder: SceneBuilder) -> Tensor:
    """Add the one piece that does not move."""
    k = len(builder.frequencies_hz)
    zero = torch.zeros(1, k, 2, dtype=torch.complex64)
    return builder.add_pieces(torch.zeros(1, 2), zero, zero.new_zeros(1, k, 2, 2))


def add_props(builder: SceneBuilder, count: int) -> None:
    """Add static objects among the moving ones: posts, rails, pots, stones."""
    ground = add_ground(builder).expand(count)
    kind = integers(builder.generator, 0, 4, count)
    upright = kind != 1
    angle = torch.where(upright, -math.pi / 2, 0.0) + 0.06 * builder.draw(-1, 1, count)
    length = torch.tensor([1.0, 2.5, 0.25, 0.2])[kind] * builder.draw(0.5, 1.3, count)
    width = torch.tensor([0.07, 0.05, 0.3, 0.3])[kind] * builder.draw(0.4, 1.3, count)
    base = torch.stack(
        [builder.draw(0, 1, count) * builder.aspect, builder.draw(0.6, 1.15, count)], 1
    )
    base[~upright, 0] = -0.1
    colour = builder.draw(0.02, 0.7, count, 1) * (1 + 0.6 * builder.draw(-1, 1, count, 3))
    stone = (kind == 3).float() * 0.5
    page = torch.tensor([PAGE_OF[name] for name in ("bark", "bark", "paper", "bark")])[kind]
    z = builder.draw(-0.6, 0.3, count)
    rounding = builder.draw(0.2, 1.2, count)
    look = {"start": stone, "end": stone, "round": rounding, "page": page, "texture": 1.5}
    builder.add_strips(ground, base, angle, length, width, z, colour.clamp(0.01, 0.9), **look)


def turn(angle: Complex[Tensor, "..."]) -> Complex[Tensor, "... 2 2"]:
    """Small rotations as strains: a point at r is displaced by angle * (-r_y, r_x)."""
    zero = torch.zeros_like(angle)
    return torch.stack([torch.stack([zero, -angle], -1), torch.stack([angle, zero], -1)], -2)


@dataclass(frozen=True)
class Rods:
    """Rods that were added: their joints and the pieces between the joints."""

    joints: Float[Tensor, "r n1 2"]
    pieces: Int[Tensor, "r n"]
    angles: Float[Tensor, "r n"]
    length: Float[Tensor, " r"]

    def at(self, rod, share) -> tuple[Tensor, Tensor, Tensor]:
        """(piece, place, direction) at given shares of the lengths of given rods."""
        n = self.pieces.shape[1]
        along = (share * n).clamp(0, n - 1e-4)
        i = along.long()
        start, end = self.joints[rod, i], self.joints[rod, i + 1]
        place = start + (along - i)[:, None] * (end - start)
        return self.pieces[rod, i], place, self.angles[rod, i]


def add_rods(
    builder: SceneBuilder,
    parent: Int[Tensor, " r"],
    base: Float[Tensor, "r 2"],
    angle: Float[Tensor, " r"],
    length: Float[Tensor, " r"],
    curve: Float[Tensor, " r"],
    natural_hz: Float[Tensor, " r"],
    sway: Float[Tensor, " r"],
    damping: float = 0.09,
    pieces: int = ROD_PIECES,
) -> Rods:
    """Add elastic rods that stand on pieces and bend in the wind at their middle.

    Args:
        angle: Direction at the base, radians, 0 = right, pi/2 = down.
        curve: How much the direction turns from base to tip, radians.
        sway: Static angle of the tip against the base, radians per unit of wind.
        damping: Damping ratio.
    """
    s = (torch.arange(pieces) + 0.5) / pieces
    angles = angle[:, None] + curve[:, None] * s
    steps = torch.stack([angles.cos(), angles.sin()], -1) * (length / pieces)[:, None, None]
    joints = torch.cat([base[:, None], base[:, None] + steps.cumsum(1)], 1)
    across = torch.stack([-angles.sin(), angles.cos()], -1).mean(1)
    velocity = builder.wind_at(joints[:, pieces // 2])
    force = torch.einsum("rki,ri->rk", velocity, across.to(velocity.dtype))
    bending = force * builder.frequency_response(natural_hz, damping) * sway[:, None]
    profile = (1 - s).square().cumsum(0)
    own = bending[:, None] * (profile / profile[-1]).view(1, -1, 1)  # r n k

    start, strain = builder.motion_of(parent, base)
    inherited = strain[..., 1, 0] - strain[..., 0, 1]
    turns = own + 0.5 * inherited[:, None]
    perp = torch.stack([-steps[..., 1], steps[..., 0]], -1)
    moved = turns[..., None] * perp[:, :, None].to(turns.dtype)  # r n k 2
    shift = start[:, None] + torch.cat([torch.zeros_like(moved[:, :1]), moved[:, :-1]], 1).cumsum(1)
    indices = builder.add_pieces(
        joints[:, :-1].flatten(0, 1), shift.flatten(0, 1), turn(turns).flatten(0, 1)
    )
    return Rods(joints, indices.view(len(base), pieces), angles, length)


def show_rods(
    builder: SceneBuilder, rods: Rods, thick, z, colour, tip: float = 0.4, **properties
) -> None:
    """Cover rods with stems: one strip for each piece, tapering to a share `tip` of the width."""
    r, n = rods.pieces.shape
    share = torch.linspace(1, tip, n + 1)[:-1].expand(r, n)
    steps = rods.joints.diff(dim=1)
    overlap = 1.12  # so that a bend shows no gap
    each = lambda x: x[:, None].expand(r, n).flatten()
    builder.add_strips(
        rods.pieces.flatten(),
        rods.joints[:, :-1].flatten(0, 1) - (0.06 * steps).flatten(0, 1),
        rods.angles.flatten(),
        overlap * steps.norm(dim=-1).flatten(),
        (thick[:, None] * share).flatten(),
        each(z),
        colour[:, None].expand(r, n, 3).flatten(0, 1),
        **{"round": 0.9, "start": 0.0, "end": 0.0} | properties,
    )


def add_leaves(
    builder: SceneBuilder,
    parent: Int[Tensor, " n"],
    base: Float[Tensor, "n 2"],
    natural_hz: Float[Tensor, " n"],
    sway: Float[Tensor, " n"],
    damping: float = 0.15,
) -> Int[Tensor, " n"]:
    """Add pieces that turn with their parents and flutter around their base, each on its own."""
    force = builder.wind_at(base).sum(-1)
    phase = torch.polar(torch.ones(len(base)), builder.draw(-1.2, 1.2, len(base)))
    own = force * builder.frequency_response(natural_hz, damping) * (sway * phase)[:, None]
    return _add_hinged(builder, parent, base, own, turns_with_parent=True)


def add_pendulums(
    builder: SceneBuilder,
    parent: Int[Tensor, " n"],
    top: Float[Tensor, "n 2"],
    natural_hz: Float[Tensor, " n"],
    sway: Float[Tensor, " n"],
    damping: float = 0.05,
) -> Int[Tensor, " n"]:
    """Add rigid pieces that swing around their top and do not turn with their parents."""
    force = -builder.wind_at(top)[..., 0]
    own = force * builder.frequency_response(natural_hz, damping) * sway[:, None]
    return _add_hinged(builder, parent, top, own, turns_with_parent=False)


def _add_hinged(builder, parent, pivot, angle: Complex[Tensor, "n k"], turns_with_parent: bool):
    """Add pieces that are fixed to their parents at the pivot and turn around it by an angle."""
    shift, inherited = builder.motion_of(parent, pivot)
    strain = inherited + turn(angle) if turns_with_parent else turn(angle)
    return builder.add_pieces(pivot, shift, strain)


def add_cloth(
    builder: SceneBuilder,
    corner: Float[Tensor, " 2"],
    size: tuple[float, float],
    pinned: str,
    natural_hz: float,
    sway: float,
    cells: tuple[int, int] = (10, 12),
) -> tuple[Tensor, Tensor, Tensor]:
    """Add a cloth that is held at its "top" or "left" edge, with waves that grow away from it.

    The displacement is a sum of travelling waves. Its gradient is taken from the same formula.

    Args:
        corner: Top left corner. size: width and height.
        cells: Rows and columns of pieces.

    Returns:
        The pieces, the top left corner of each, and the size of a cell.
    """
    rows, columns = cells
    t, s = torch.meshgrid(torch.arange(rows) / rows, torch.arange(columns) / columns, indexing="ij")
    centres = torch.stack([s, t], -1).flatten(0, 1) + torch.tensor([0.5 / columns, 0.5 / rows])
    extent = torch.tensor(size)
    k = len(builder.frequencies_hz)
    velocity = builder.wind_at((corner + extent / 2)[None])[0]  # k 2
    response = builder.frequency_response(torch.tensor([natural_hz]), 0.15)[0]
    swing = velocity * response[:, None] * sway
    waves = builder.draw(0.5, 1.6, k)
    along, across = (1, 0) if pinned == "top" else (0, 1)

    def displacement(place):
        distance = place[:, along]  # from the edge that is held
        growth = distance.clamp(min=0).pow(1.5)
        travelled = 0.5 * distance[:, None] + 0.6 * place[:, across, None]
        phase = -2 * math.pi * waves[None] * travelled
        wave = growth[:, None] * torch.polar(torch.ones_like(phase), phase)  # n k
        share = torch.ones(2)
        share[along] = 0.3
        return wave[..., None] * swing[None] * share

    step = 1e-2
    shift = displacement(centres)
    strain = []
    for axis in (0, 1):
        d = torch.zeros(2)
        d[axis] = step
        difference = displacement(centres + d) - displacement(centres - d)
        strain.append(difference / (2 * step * extent[axis]))
    pieces = builder.add_pieces(corner + centres * extent, shift, torch.stack(strain, -1))
    corners = corner + torch.stack([s, t], -1).flatten(0, 1) * extent
    return pieces, corners, extent / torch.tensor([columns, rows])
