"""Plants of synthetic scenes: trees, shrubs, foliage, grass, reeds, flowers.

Every function adds one kind of plant. Natural frequencies: trees 0.3 to 1 Hz, branches, stems and
twigs 0.5 to 3, leaves 1.5 to 6. Damping ratios: 0.09 of wood, 0.12 of grass, 0.15 of leaves.

Convention: lengths in picture heights, y down, z towards the viewer.

Source: our own choice of shapes and ranges; branching angles and ratios by eye, after Honda 1971.
"""

import math

import torch

from ..shapes import Tensor
from .builder import PAGE_OF, Rods, SceneBuilder, add_ground, add_leaves, add_rods, show_rods
from .textures import choose, integers

UP = -math.pi / 2
# Colours in linear light.
GREENS = (
    [0.10, 0.20, 0.04],
    [0.07, 0.15, 0.05],
    [0.16, 0.24, 0.05],
    [0.20, 0.26, 0.08],
    [0.06, 0.12, 0.04],
    [0.13, 0.19, 0.10],
    [0.24, 0.22, 0.06],
    [0.30, 0.14, 0.04],
)
BLOOMS = (
    [0.75, 0.55, 0.03],
    [0.7, 0.08, 0.06],
    [0.8, 0.78, 0.72],
    [0.55, 0.2, 0.5],
    [0.75, 0.3, 0.4],
    [0.25, 0.25, 0.65],
    [0.8, 0.35, 0.05],
)
BARKS = ([0.10, 0.07, 0.05], [0.17, 0.14, 0.11], [0.06, 0.05, 0.045], [0.3, 0.28, 0.25])
STRAW = [0.42, 0.31, 0.12]
PLUME = [0.4, 0.3, 0.25]
CATTAIL = [0.12, 0.06, 0.03]
FLOWER_CENTRES = ([0.5, 0.32, 0.03], [0.08, 0.05, 0.03], [0.2, 0.25, 0.05])


def tinted(builder: SceneBuilder, colour, n: int, spread: float = 0.25) -> Tensor:
    """A colour n times (n 3), each a little lighter or darker, yellower or bluer."""
    base = torch.as_tensor(colour, dtype=torch.float32)
    light = (spread * builder.normal(n, 1)).exp()
    hue = 1 + 0.35 * spread * builder.normal(n, 3)
    return (base * light * hue).clamp(0.005, 0.95)


def cover_with_leaves(
    builder, rods, count, size, colour, z, depth, slenderness=0.45, first=0.25
) -> None:
    """Add leaves along rods, hanging out to both sides.

    Args:
        z: Depth order of each rod. depth: deviation of the leaves' own z from it.
        slenderness: Width of a leaf as a share of its length.
        first: Where leaves begin, as a share of the rod's length.
    """
    r = len(rods.length)
    rod = integers(builder.generator, 0, r, count)
    piece, place, along = rods.at(rod, builder.draw(first, 1.0, count))
    side = torch.where(builder.draw(0, 1, count) < 0.5, -1.0, 1.0)
    droop = builder.draw(0.0, 0.5, count)
    angle = along + side * builder.draw(0.4, 1.5, count)
    angle = angle + droop * torch.sin(math.pi / 2 - angle)
    length = size * builder.draw(0.6, 1.35, count)
    leaf_z = z[rod] + depth * builder.normal(count)
    leaf = add_leaves(
        builder, piece, place, builder.draw(1.5, 6.0, count), builder.draw(0.15, 0.7, count)
    )
    builder.add_strips(
        leaf,
        place,
        angle,
        length,
        length * slenderness * builder.draw(0.75, 1.25, count),
        leaf_z,
        tinted(builder, colour, count),
        start=builder.draw(0.45, 0.7, count),
        end=builder.draw(0.6, 1.1, count),
        bend=builder.draw(-0.7, 0.7, count),
        fold=builder.draw(0.1, 0.5, count),
        tilt_x=0.7 * builder.normal(count),
        tilt_y=0.7 * builder.normal(count) - 0.35,
        transmission=builder.draw(0.25, 0.6, count),
        page=PAGE_OF["leaf"],
        rib=builder.draw(0.05, 0.3, count),
    )


def tree(builder: SceneBuilder) -> None:
    """One to three trees: trunk, branches, twigs, leaves."""
    ground = add_ground(builder)
    for _ in range(choose(builder.generator, 1, 1, 2, 3)):
        _add_tree(builder, ground)


def _add_tree(builder, ground):
    tall = float(builder.draw(0.7, 1.5))
    x = float(builder.draw(0.1, 0.9)) * builder.aspect
    foot = float(builder.draw(0.85, 1.0)) + 0.3 * (tall - 0.7)
    z = float(builder.draw(-0.4, 0.1))
    bark = torch.tensor(choose(builder.generator, *BARKS))
    page = PAGE_OF["bark"]
    natural_hz = 0.3 + 0.5 * float(builder.draw(0, 1)) / tall
    trunk = add_rods(
        builder,
        ground,
        torch.tensor([[x, foot]]),
        UP + builder.draw(-0.12, 0.12, 1),
        torch.tensor([0.75 * tall]),
        builder.draw(-0.3, 0.3, 1),
        torch.tensor([natural_hz]),
        torch.tensor([0.05]),
    )
    thick = tall * float(builder.draw(0.03, 0.06))
    show_rods(builder, trunk, torch.tensor([thick]), torch.tensor([z]), bark[None], 0.3, page=page)
    n = builder.integer(12, 22)
    share = torch.linspace(float(builder.draw(0.25, 0.45)), 1.0, n)
    piece, place, along = trunk.at(torch.zeros(n).long(), share)
    side = torch.where(torch.arange(n) % 2 == 0, -1.0, 1.0)
    spread = float(builder.draw(0.5, 1.2))
    branches = add_rods(
        builder,
        piece,
        place,
        along + side * spread * builder.draw(0.5, 1.2, n) * (1.1 - 0.8 * share),
        tall * builder.draw(0.22, 0.46, n) * (1.25 - 0.6 * share),
        side * builder.draw(-0.5, 0.2, n),
        builder.draw(0.7, 1.6, n),
        builder.draw(0.04, 0.14, n),
    )
    branch_z = z + 0.14 * tall * builder.normal(n)
    branch_width = thick * (0.5 - 0.25 * share)
    show_rods(builder, branches, branch_width, branch_z, bark.expand(n, 3), 0.3, page=page)
    m = 7 * n
    rod = torch.arange(m) % n
    piece, place, along = branches.at(rod, builder.draw(0.15, 1.0, m))
    twigs = add_rods(
        builder,
        piece,
        place,
        along + builder.draw(-1.3, 1.3, m),
        tall * builder.draw(0.06, 0.16, m),
        builder.draw(-0.4, 0.6, m),
        builder.draw(1.2, 3.2, m),
        builder.draw(0.06, 0.25, m),
    )
    twig_z = branch_z[rod] + 0.06 * tall * builder.normal(m)
    twig_width = thick * builder.draw(0.06, 0.14, m)
    show_rods(builder, twigs, twig_width, twig_z, bark.expand(m, 3), 0.4)
    if builder.draw(0, 1) < 0.92:  # the rest of the trees are bare
        green = choose(builder.generator, *GREENS)
        size = tall * float(builder.draw(0.02, 0.045))
        count = int(float(builder.draw(0.4, 1.0)) * min(4500, 5 / size**2))
        cover_with_leaves(builder, twigs, count, size, green, twig_z, 0.02 * tall, first=0.0)


def foliage(builder: SceneBuilder) -> None:
    """Branches that come in from one border, near enough to see their leaves."""
    ground = add_ground(builder)
    n = builder.integer(3, 8)
    side = choose(builder.generator, "top", "left", "right", "bottom")
    at = builder.draw(0.0, 1.0, n)
    a = builder.aspect
    base, angle = {
        "top": (torch.stack([at * a, torch.full((n,), -0.06)], 1), -UP),
        "bottom": (torch.stack([at * a, torch.full((n,), 1.06)], 1), UP),
        "left": (torch.stack([torch.full((n,), -0.06), at * 0.8], 1), 0.0),
        "right": (torch.stack([torch.full((n,), a + 0.06), at * 0.8], 1), math.pi),
    }[side]
    angle = angle + builder.draw(-0.6, 0.6, n)
    length = builder.draw(0.45, 1.0, n)
    droop = builder.draw(-0.1, 0.7, n) * torch.sign(angle.cos())
    natural_hz, sway = builder.draw(0.5, 1.5, n), builder.draw(0.06, 0.16, n)
    branches = add_rods(builder, ground.expand(n), base, angle, length, droop, natural_hz, sway)
    z = 0.12 * builder.normal(n)
    bark = tinted(builder, choose(builder.generator, *BARKS), n)
    show_rods(builder, branches, 0.02 * length, z, bark, 0.25, page=PAGE_OF["bark"])
    m = n * builder.integer(6, 12)
    rod = torch.arange(m) % n
    piece, place, along = branches.at(rod, builder.draw(0.05, 1.0, m))
    turned = torch.where(torch.arange(m) // n % 2 == 0, -1.0, 1.0) * builder.draw(0.3, 1.1, m)
    twigs = add_rods(
        builder,
        piece,
        place,
        along + turned,
        length[rod] * builder.draw(0.15, 0.4, m),
        builder.draw(-0.3, 0.3, m),
        builder.draw(1.0, 3.0, m),
        builder.draw(0.06, 0.25, m),
    )
    twig_z = z[rod] + 0.05 * builder.normal(m)
    show_rods(builder, twigs, 0.006 * length[rod] + 0.002, twig_z, bark[rod], 0.4)
    size = float(builder.draw(0.04, 0.14))
    count = int(min(1800, float(builder.draw(0.8, 2.4)) * m * 0.5 / size * 0.4))
    slenderness = float(builder.draw(0.2, 0.65))
    green = choose(builder.generator, *GREENS)
    cover_with_leaves(builder, twigs, count, size, green, twig_z, 0.02, slenderness, 0.05)


def shrub(builder: SceneBuilder) -> None:
    """Stems with leaves from the ground up: hedges, ferns, house plants."""
    ground = add_ground(builder)
    n = builder.integer(12, 40)
    middle, width = float(builder.draw(0.2, 0.8)) * builder.aspect, float(builder.draw(0.1, 0.9))
    foot = float(builder.draw(0.8, 1.1))
    x = middle + width * 0.5 * builder.draw(-1, 1, n)
    base = torch.stack([x, torch.full((n,), foot)], 1)
    tall = float(builder.draw(0.4, 1.0))
    spread = (base[:, 0] - middle) / max(width, 0.1)
    stems = add_rods(
        builder,
        ground.expand(n),
        base,
        UP + 1.1 * spread + builder.draw(-0.4, 0.4, n),
        tall * builder.draw(0.6, 1.1, n),
        spread.sign() * builder.draw(-0.2, 1.1, n),
        builder.draw(0.8, 2.4, n),
        builder.draw(0.06, 0.2, n),
    )
    z = 0.1 * builder.normal(n)
    green = torch.tensor(choose(builder.generator, *GREENS))
    thick = builder.draw(0.006, 0.014, n)
    show_rods(builder, stems, thick, z, tinted(builder, 0.7 * green, n), 0.3)
    size = tall * float(builder.draw(0.05, 0.2))
    count = int(min(2600, n * 4.5 / size * 0.35))
    slenderness = float(builder.draw(0.12, 0.7))
    cover_with_leaves(builder, stems, count, size, green.tolist(), z, 0.03, slenderness, 0.05)


def blades(
    builder, count, foot, tall, colour, z, straw=0.0, width=0.012, lean=0.35
) -> tuple[Rods, Tensor]:
    """Add grass: each blade is its own rod. Returns the rods and their z.

    Args:
        foot: y of each blade's base.
        straw: Share of dry blades.
        lean: Deviation of the blades from upright, radians.
    """
    ground = add_ground(builder)
    base = torch.stack([builder.draw(-0.05, 1.05, count) * builder.aspect, foot], 1)
    length = tall * builder.draw(0.5, 1.15, count)
    rods = add_rods(
        builder,
        ground.expand(count),
        base,
        UP + lean * builder.normal(count),
        length,
        builder.draw(-1.0, 1.0, count),
        builder.draw(1.0, 2.5, count) * (0.3 / length).clamp(0.5, 1.6).sqrt(),
        builder.draw(0.1, 0.35, count),
        damping=0.12,
        pieces=4,
    )
    tones = tinted(builder, colour, count)
    dry = (builder.draw(0, 1, count) < straw)[:, None]
    tones = torch.where(dry, tinted(builder, STRAW, count), tones)
    widths = width * builder.draw(0.5, 1.3, count)
    look = {"round": 0.15, "fold": 0.25, "transmission": 0.5}
    look |= {"tilt_x": float(builder.draw(-0.4, 0.4)), "tilt_y": -0.5}
    show_rods(builder, rods, widths, z, tones, 0.15, **look)
    return rods, z


def grass(builder: SceneBuilder) -> None:
    """A meadow from the lower border up, with ears or without."""
    green = choose(builder.generator, *GREENS)
    straw, tall = float(builder.draw(0, 0.6)) ** 2, float(builder.draw(0.15, 0.55))
    rows = builder.integer(3, 5)
    eared = builder.draw(0, 1) < 0.55
    horizon = float(builder.draw(0.35, 0.8))
    for row in range(rows):
        nearness = (row + 0.5) / rows  # 0 far, 1 near
        count = int(260 - 120 * nearness)
        foot = horizon + (1.12 - horizon) * (nearness + 0.3 / rows * builder.draw(-1, 1, count))
        scale = 0.45 + 0.75 * nearness
        z = -0.3 + 0.6 * (foot - horizon)
        shade = (torch.tensor(green) * (1.1 - 0.25 * nearness)).tolist()
        rods, z = blades(builder, count, foot, tall * scale, shade, z, straw, 0.011 * scale)
        if eared:
            ears(builder, rods, z, count // 5, scale, choose(builder.generator, "ear", "plume"))


def ears(builder, rods, z, count, scale, kind) -> None:
    """Add ears of wheat ("ear") or plumes ("plume") at the tips of some stalks."""
    rod = integers(builder.generator, 0, len(rods.length), count)
    n = 9
    at = torch.arange(n).repeat(count)
    rod = rod.repeat_interleave(n)
    # Length of a grain, its angle to the stalk, its width as a share of its length, its colour.
    length, angle, slenderness, colour = {
        "ear": (0.03, 0.35, 0.35, STRAW),
        "plume": (0.045, 0.8, 0.18, PLUME),
    }[kind]
    size = length * scale
    piece, place, along = rods.at(rod, 1 - 0.022 * at)
    side = torch.where(at % 2 == 0, -1.0, 1.0) * angle
    m = len(rod)
    lengths = size * builder.draw(0.7, 1.2, m)
    tones = tinted(builder, colour, m, 0.15)
    look = {"start": 0.4, "end": 0.6, "round": 0.5, "transmission": 0.3, "tilt_y": -0.4}
    width = size * slenderness
    builder.add_strips(piece, place, along + side, lengths, width, z[rod] + 0.005, tones, **look)


def reeds(builder: SceneBuilder) -> None:
    """Tall stems by the water, some with cattails."""
    count = builder.integer(40, 120)
    foot = builder.draw(0.85, 1.1, count)
    colour = choose(builder.generator, *GREENS[:6], STRAW)
    z = -0.2 + 0.4 * (foot - 0.85) + 0.05 * builder.normal(count)
    tall = float(builder.draw(0.5, 0.95))
    rods, z = blades(builder, count, foot, tall, colour, z, 0.15, 0.012, 0.13)
    n = count // 6
    rod = integers(builder.generator, 0, count, n)
    piece, place, along = rods.at(rod, torch.full((n,), 0.8))
    length, width = torch.full((n,), 0.09), torch.full((n,), 0.02)
    brown = tinted(builder, CATTAIL, n, 0.1)
    look = {"start": 0.12, "end": 0.12, "round": 1.0, "page": PAGE_OF["bark"]}
    builder.add_strips(piece, place, along, length, width, z[rod] + 0.01, brown, **look)


def flowers(
    builder: SceneBuilder, most: int = 9, tall: float | None = None, ground_y: float | None = None
) -> None:
    """Stems with leaves and flower heads: daisies, poppies, tulips, sunflowers."""
    ground = add_ground(builder)
    n = builder.integer(1, most)
    foot = float(builder.draw(0.95, 1.2)) if ground_y is None else ground_y
    tall = float(builder.draw(0.4, 0.95)) if tall is None else tall
    base = torch.stack([builder.draw(0.1, 0.9, n) * builder.aspect, torch.full((n,), foot)], 1)
    length = tall * builder.draw(0.65, 1.15, n)
    angle, curve = UP + 0.15 * builder.normal(n), builder.draw(-0.4, 0.4, n)
    natural_hz, sway = builder.draw(0.8, 2.4, n), builder.draw(0.08, 0.3, n)
    stems = add_rods(builder, ground.expand(n), base, angle, length, curve, natural_hz, sway)
    z = torch.linspace(-0.15, 0.15, n)
    green = torch.tensor(choose(builder.generator, *GREENS[:6]))
    head = length * 0.08 * 5 ** float(builder.draw(0.0, 1.0))  # from a daisy to a head close up
    thick = 0.16 * head.clamp(max=0.16)
    show_rods(builder, stems, thick, z, tinted(builder, green, n), 0.7)
    count = n * builder.integer(2, 7)
    slenderness = float(builder.draw(0.15, 0.4))
    cover_with_leaves(
        builder, stems, count, 0.35 * tall, green.tolist(), z, 0.02, slenderness, 0.02
    )
    _add_heads(builder, stems, head, z)


def _add_heads(builder, stems, head, z):
    """Add a flower head of radius `head` at the tip of every stem: rings of petals, a centre."""
    n = len(head)
    bloom = choose(builder.generator, *BLOOMS)
    petals, rings = builder.integer(5, 18), builder.integer(1, 3)
    oblique = builder.draw(0.35, 1.0, n)  # height over width of the head as it is seen
    piece, place, along = stems.at(torch.arange(n), torch.ones(n))
    crown = add_leaves(builder, piece, place, builder.draw(1.2, 2.5, n), builder.draw(0.05, 0.2, n))
    for ring in range(rings):
        k = n * petals
        of = torch.arange(n).repeat_interleave(petals)
        around = torch.arange(petals).repeat(n) * (2 * math.pi / petals) + 0.5 * ring
        around = around + builder.draw(-0.12, 0.12, k)
        x, y = around.cos(), around.sin() * oblique[of]
        radius = head[of] * (1 - 0.22 * ring) * builder.draw(0.85, 1.1, k) * torch.hypot(x, y)
        petal = add_leaves(
            builder, crown[of], place[of], builder.draw(2.0, 5.0, k), builder.draw(0.03, 0.15, k)
        )
        builder.add_strips(
            petal,
            place[of],
            torch.atan2(y, x),
            radius,
            head[of] * (2.6 / petals + 0.12) * (0.5 + 0.5 * oblique[of]),
            z[of] + 0.01 + 0.01 * ring + 0.004 * torch.sin(around),
            tinted(builder, bloom, k, 0.1),
            start=0.8,
            end=0.4,
            fold=builder.draw(0.0, 0.3, k),
            tilt_x=0.6 * around.cos(),
            tilt_y=0.6 * around.sin() - 0.2,
            transmission=0.45,
            page=PAGE_OF["petal"],
        )
    centre = choose(builder.generator, *FLOWER_CENTRES)
    r = 0.3 * head
    base, height = place - torch.stack([r, 0 * r], 1), 2 * r * oblique
    colour = tinted(builder, centre, n, 0.1)
    shape = {"start": 0.5, "end": 0.5, "round": 0.8, "along": 0.8}
    material = {"page": PAGE_OF["bark"], "texture": 1.5}
    builder.add_strips(
        crown, base, torch.zeros(n), 2 * r, height, z + 0.06, colour, **shape, **material
    )


def meadow(builder: SceneBuilder) -> None:
    """Flowers in grass."""
    grass(builder)
    for _ in range(builder.integer(1, 3)):
        flowers(builder, 12, float(builder.draw(0.2, 0.5)), float(builder.draw(0.9, 1.1)))
