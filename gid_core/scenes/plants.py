"""What grows in synthetic scenes: trees, shrubs, foliage, grass, reeds, flowers.

Every function adds one kind to a stage. Natural frequencies and damping: trees 0.2 ... 0.6 Hz, branches
and stems 0.5 ... 2, leaves 1.5 ... 5; damping ratios 0.05 bare, 0.09 ... 0.2 in leaf.

Convention: lengths in picture heights, y down, z towards the viewer.

Source: ours; branching angles and ratios by eye, after Honda 1971.
"""

import math

import torch

from ..shapes import Tensor
from .builder import PAGE_OF, SceneBuilder, add_ground, add_leaves, add_rods, show_rods
from .textures import choose, integers

UP = -math.pi / 2
GREENS = ([0.10, 0.20, 0.04], [0.07, 0.15, 0.05], [0.16, 0.24, 0.05], [0.20, 0.26, 0.08], [0.06, 0.12, 0.04], [0.13, 0.19, 0.10], [0.24, 0.22, 0.06], [0.30, 0.14, 0.04])  # fmt: skip
BLOOMS = ([0.75, 0.55, 0.03], [0.7, 0.08, 0.06], [0.8, 0.78, 0.72], [0.55, 0.2, 0.5], [0.75, 0.3, 0.4], [0.25, 0.25, 0.65], [0.8, 0.35, 0.05])  # fmt: skip
BARKS = ([0.10, 0.07, 0.05], [0.17, 0.14, 0.11], [0.06, 0.05, 0.045], [0.3, 0.28, 0.25])
STRAW = [0.42, 0.31, 0.12]


def tinted(stage: SceneBuilder, colour, n: int, spread: float = 0.25) -> Tensor:
    """A colour n times, each a little lighter or darker, yellower or bluer."""
    base = torch.as_tensor(colour, dtype=torch.float32)
    light = (spread * stage.normal(n, 1)).exp()
    hue = 1 + 0.35 * spread * stage.normal(n, 3)
    return (base * light * hue).clamp(0.005, 0.95)


def cover_with_leaves(stage, rods, count, size, colour, z, depth, slender=0.45, first=0.25) -> None:
    """Leaves along rods, hanging out from them to both sides."""
    r = len(rods.length)
    rod = integers(stage.generator, 0, r, count)
    piece, place, along = rods.at(rod, stage.draw(first, 1.0, count))
    side = torch.where(stage.draw(0, 1, count) < 0.5, -1.0, 1.0)
    droop = stage.draw(0.0, 0.5, count)
    angle = along + side * stage.draw(0.4, 1.5, count)
    angle = angle + droop * torch.sin(math.pi / 2 - angle)
    length = size * stage.draw(0.6, 1.35, count)
    near = z[rod] + depth * stage.normal(count)
    leaf = add_leaves(
        stage, piece, place, stage.draw(1.5, 6.0, count), stage.draw(0.15, 0.7, count)
    )
    stage.add_strips(
        leaf,
        place,
        angle,
        length,
        length * slender * stage.draw(0.75, 1.25, count),
        near,
        tinted(stage, colour, count),
        start=stage.draw(0.45, 0.7, count),
        end=stage.draw(0.6, 1.1, count),
        bend=stage.draw(-0.7, 0.7, count),
        fold=stage.draw(0.1, 0.5, count),
        tilt_x=0.7 * stage.normal(count),
        tilt_y=0.7 * stage.normal(count) - 0.35,
        through=stage.draw(0.25, 0.6, count),
        page=PAGE_OF["leaf"],
        rib=stage.draw(0.05, 0.3, count),
    )


def tree(stage: SceneBuilder) -> None:
    """A trunk, branches, twigs, leaves."""
    ground = add_ground(stage)
    for _ in range(choose(stage.generator, 1, 1, 2, 3)):
        tall = float(stage.draw(0.7, 1.5))
        x, foot = float(stage.draw(0.1, 0.9)) * stage.aspect, float(stage.draw(0.85, 1.0)) + 0.3 * (tall - 0.7)  # fmt: skip
        z = float(stage.draw(-0.4, 0.1))
        bark = torch.tensor(choose(stage.generator, *BARKS))
        hertz = 0.3 + 0.5 * float(stage.draw(0, 1)) / tall
        trunk = add_rods(
            stage,
            ground,
            torch.tensor([[x, foot]]),
            UP + stage.draw(-0.12, 0.12, 1),
            torch.tensor([0.75 * tall]),
            stage.draw(-0.3, 0.3, 1),
            torch.tensor([hertz]),
            torch.tensor([0.05]),
        )
        thick = tall * float(stage.draw(0.03, 0.06))
        show_rods(stage, trunk, torch.tensor([thick]), torch.tensor([z]), bark[None], 0.3, page=PAGE_OF["bark"])  # fmt: skip
        n = stage.number(12, 22)
        share = torch.linspace(float(stage.draw(0.25, 0.45)), 1.0, n)
        piece, place, along = trunk.at(torch.zeros(n).long(), share)
        side = torch.where(torch.arange(n) % 2 == 0, -1.0, 1.0)
        spread = float(stage.draw(0.5, 1.2))
        limbs = add_rods(
            stage,
            piece,
            place,
            along + side * spread * stage.draw(0.5, 1.2, n) * (1.1 - 0.8 * share),
            tall * stage.draw(0.22, 0.46, n) * (1.25 - 0.6 * share),
            side * stage.draw(-0.5, 0.2, n),
            stage.draw(0.7, 1.6, n),
            stage.draw(0.04, 0.14, n),
        )
        depth = z + 0.14 * tall * stage.normal(n)
        show_rods(stage, limbs, thick * (0.5 - 0.25 * share), depth, bark.expand(n, 3), 0.3, page=PAGE_OF["bark"])  # fmt: skip
        m = 7 * n
        rod = torch.arange(m) % n
        piece, place, along = limbs.at(rod, stage.draw(0.15, 1.0, m))
        twigs = add_rods(
            stage,
            piece,
            place,
            along + stage.draw(-1.3, 1.3, m),
            tall * stage.draw(0.06, 0.16, m),
            stage.draw(-0.4, 0.6, m),
            stage.draw(1.2, 3.2, m),
            stage.draw(0.06, 0.25, m),
        )
        near = depth[rod] + 0.06 * tall * stage.normal(m)
        show_rods(stage, twigs, thick * stage.draw(0.06, 0.14, m), near, bark.expand(m, 3), 0.4)
        if stage.draw(0, 1) < 0.92:  # else bare
            green = choose(stage.generator, *GREENS)
            size = tall * float(stage.draw(0.02, 0.045))
            count = int(float(stage.draw(0.4, 1.0)) * min(4500, 5 / size**2))
            cover_with_leaves(stage, twigs, count, size, green, near, 0.02 * tall, first=0.0)


def foliage(stage: SceneBuilder) -> None:
    """Branches that come in from a border, near enough to see their leaves."""
    ground = add_ground(stage)
    n = stage.number(3, 8)
    side = choose(stage.generator, "top", "left", "right", "bottom")
    at = stage.draw(0.0, 1.0, n)
    a = stage.aspect
    base, angle = {
        "top": (torch.stack([at * a, torch.full((n,), -0.06)], 1), -UP),
        "bottom": (torch.stack([at * a, torch.full((n,), 1.06)], 1), UP),
        "left": (torch.stack([torch.full((n,), -0.06), at * 0.8], 1), 0.0),
        "right": (torch.stack([torch.full((n,), a + 0.06), at * 0.8], 1), math.pi),
    }[side]
    angle = angle + stage.draw(-0.6, 0.6, n)
    length = stage.draw(0.45, 1.0, n)
    droop = stage.draw(-0.1, 0.7, n) * torch.sign(angle.cos())
    limbs = add_rods(
        stage, ground.expand(n), base, angle, length, droop, stage.draw(0.5, 1.5, n), stage.draw(0.06, 0.16, n)
    )  # fmt: skip
    z = 0.12 * stage.normal(n)
    bark = tinted(stage, choose(stage.generator, *BARKS), n)
    show_rods(stage, limbs, 0.02 * length, z, bark, 0.25, page=PAGE_OF["bark"])
    m = n * stage.number(6, 12)
    rod = torch.arange(m) % n
    piece, place, along = limbs.at(rod, stage.draw(0.05, 1.0, m))
    turned = torch.where(torch.arange(m) // n % 2 == 0, -1.0, 1.0) * stage.draw(0.3, 1.1, m)
    twigs = add_rods(
        stage, piece, place, along + turned, length[rod] * stage.draw(0.15, 0.4, m),
        stage.draw(-0.3, 0.3, m), stage.draw(1.0, 3.0, m), stage.draw(0.06, 0.25, m),
    )  # fmt: skip
    near = z[rod] + 0.05 * stage.normal(m)
    show_rods(stage, twigs, 0.006 * length[rod] + 0.002, near, bark[rod], 0.4)
    size = float(stage.draw(0.04, 0.14))
    count = int(min(1800, float(stage.draw(0.8, 2.4)) * m * 0.5 / size * 0.4))
    slender = float(stage.draw(0.2, 0.65))
    green = choose(stage.generator, *GREENS)
    cover_with_leaves(stage, twigs, count, size, green, near, 0.02, slender, 0.05)


def shrub(stage: SceneBuilder) -> None:
    """Stems from the ground up with leaves to the foot: hedges, ferns, house plants."""
    ground = add_ground(stage)
    n = stage.number(12, 40)
    middle, width = float(stage.draw(0.2, 0.8)) * stage.aspect, float(stage.draw(0.1, 0.9))
    foot = float(stage.draw(0.8, 1.1))
    base = torch.stack([middle + width * 0.5 * stage.draw(-1, 1, n), torch.full((n,), foot)], 1)
    tall = float(stage.draw(0.4, 1.0))
    spread = (base[:, 0] - middle) / max(width, 0.1)
    stems = add_rods(
        stage, ground.expand(n), base, UP + 1.1 * spread + stage.draw(-0.4, 0.4, n),
        tall * stage.draw(0.6, 1.1, n), spread.sign() * stage.draw(-0.2, 1.1, n),
        stage.draw(0.8, 2.4, n), stage.draw(0.06, 0.2, n),
    )  # fmt: skip
    z = 0.1 * stage.normal(n)
    green = torch.tensor(choose(stage.generator, *GREENS))
    show_rods(stage, stems, stage.draw(0.006, 0.014, n), z, tinted(stage, 0.7 * green, n), 0.3)
    size = tall * float(stage.draw(0.05, 0.2))
    count = int(min(2600, n * 4.5 / size * 0.35))
    cover_with_leaves(stage, stems, count, size, green.tolist(), z, 0.03, float(stage.draw(0.12, 0.7)), 0.05)  # fmt: skip


def blades(stage, count, foot, tall, colour, z, straw=0.0, width=0.012, lean=0.35) -> tuple:
    """Grass: each blade a rod of its own, drawn in strips."""
    ground = add_ground(stage)
    base = torch.stack([stage.draw(-0.05, 1.05, count) * stage.aspect, foot], 1)
    length = tall * stage.draw(0.5, 1.15, count)
    rods = add_rods(
        stage, ground.expand(count), base, UP + lean * stage.normal(count),
        length, stage.draw(-1.0, 1.0, count), (stage.draw(1.0, 2.5, count) * (0.3 / length).clamp(0.5, 1.6).sqrt()),
        stage.draw(0.1, 0.35, count), 0.12, 4,
    )  # fmt: skip
    tones = tinted(stage, colour, count)
    dry = (stage.draw(0, 1, count) < straw)[:, None]
    tones = torch.where(dry, tinted(stage, STRAW, count), tones)
    show_rods(
        stage, rods, width * stage.draw(0.5, 1.3, count), z, tones, 0.15,
        round=0.15, fold=0.25, through=0.5, tilt_y=-0.5, tilt_x=float(stage.draw(-0.4, 0.4)),
    )  # fmt: skip
    return rods, z


def grass(stage: SceneBuilder) -> None:
    """A meadow from the lower border up, with ears or without."""
    green = choose(stage.generator, *GREENS)
    straw, tall = float(stage.draw(0, 0.6)) ** 2, float(stage.draw(0.15, 0.55))
    rows = stage.number(3, 5)
    eared = stage.draw(0, 1) < 0.55
    horizon = float(stage.draw(0.35, 0.8))
    for row in range(rows):
        near = (row + 0.5) / rows  # 0 far, 1 near
        count = int(260 - 120 * near)
        foot = horizon + (1.12 - horizon) * (near + 0.3 / rows * stage.draw(-1, 1, count))
        scale = 0.45 + 0.75 * near
        z = -0.3 + 0.6 * (foot - horizon)
        shade = torch.tensor(green) * (1.1 - 0.25 * near)
        rods, z = blades(stage, count, foot, tall * scale, shade.tolist(), z, straw, 0.011 * scale)
        if eared:
            ears(stage, rods, z, count // 5, scale, choose(stage.generator, "ear", "plume"))


def ears(stage, rods, z, count, scale, kind) -> None:
    """Ears of wheat, or plumes, at the tips of stalks."""
    rod = integers(stage.generator, 0, len(rods.length), count)
    n = 9
    at = torch.arange(n).repeat(count)
    rod = rod.repeat_interleave(n)
    size = 0.03 * scale if kind == "ear" else 0.045 * scale
    piece, place, along = rods.at(rod, 1 - 0.022 * at)
    side = torch.where(at % 2 == 0, -1.0, 1.0) * (0.35 if kind == "ear" else 0.8)
    m = len(rod)
    stage.add_strips(
        piece, place, along + side, size * stage.draw(0.7, 1.2, m), size * (0.35 if kind == "ear" else 0.18),
        z[rod] + 0.005, tinted(stage, STRAW if kind == "ear" else [0.4, 0.3, 0.25], m, 0.15),
        start=0.4, end=0.6, round=0.5, through=0.3, tilt_y=-0.4,
    )  # fmt: skip


def reeds(stage: SceneBuilder) -> None:
    """Tall stems by the water, some with cattails."""
    count = stage.number(40, 120)
    foot = stage.draw(0.85, 1.1, count)
    colour = choose(stage.generator, *GREENS[:6], STRAW)
    z = -0.2 + 0.4 * (foot - 0.85) + 0.05 * stage.normal(count)
    tall = float(stage.draw(0.5, 0.95))
    rods, z = blades(stage, count, foot, tall, colour, z, 0.15, 0.012, 0.13)
    n = count // 6
    rod = integers(stage.generator, 0, count, n)
    piece, place, along = rods.at(rod, torch.full((n,), 0.8))
    stage.add_strips(
        piece, place, along, torch.full((n,), 0.09), torch.full((n,), 0.02), z[rod] + 0.01,
        tinted(stage, [0.12, 0.06, 0.03], n, 0.1), start=0.12, end=0.12, round=1.0, page=PAGE_OF["bark"],
    )  # fmt: skip


def flowers(stage: SceneBuilder, most: int = 9, tall: float | None = None, ground_y: float | None = None) -> None:  # fmt: skip
    """Stems with leaves and heads: daisies, poppies, tulips, sunflowers."""
    ground = add_ground(stage)
    n = stage.number(1, most)
    foot = float(stage.draw(0.95, 1.2)) if ground_y is None else ground_y
    tall = float(stage.draw(0.4, 0.95)) if tall is None else tall
    base = torch.stack([stage.draw(0.1, 0.9, n) * stage.aspect, torch.full((n,), foot)], 1)
    length = tall * stage.draw(0.65, 1.15, n)
    stems = add_rods(
        stage, ground.expand(n), base, UP + 0.15 * stage.normal(n),
        length, stage.draw(-0.4, 0.4, n), stage.draw(0.8, 2.4, n), stage.draw(0.08, 0.3, n),
    )  # fmt: skip
    z = torch.linspace(-0.15, 0.15, n)
    green = torch.tensor(choose(stage.generator, *GREENS[:6]))
    head = length * 0.08 * 5 ** float(stage.draw(0.0, 1.0))  # from a daisy to a portrait
    show_rods(stage, stems, 0.16 * head.clamp(max=0.16), z, tinted(stage, green, n), 0.7)
    cover_with_leaves(stage, stems, n * stage.number(2, 7), 0.35 * tall, green.tolist(), z, 0.02, float(stage.draw(0.15, 0.4)), 0.02)  # fmt: skip
    bloom = choose(stage.generator, *BLOOMS)
    petals, rings = stage.number(5, 18), stage.number(1, 3)
    oblique = stage.draw(0.35, 1.0, n)  # how far the head is turned towards us
    piece, place, along = stems.at(torch.arange(n), torch.ones(n))
    crown = add_leaves(stage, piece, place, stage.draw(1.2, 2.5, n), stage.draw(0.05, 0.2, n))
    for ring in range(rings):
        k = n * petals
        of = torch.arange(n).repeat_interleave(petals)
        around = torch.arange(petals).repeat(n) * (2 * math.pi / petals) + 0.5 * ring
        around = around + stage.draw(-0.12, 0.12, k)
        x, y = around.cos(), around.sin() * oblique[of]
        reach = head[of] * (1 - 0.22 * ring) * stage.draw(0.85, 1.1, k) * torch.hypot(x, y)
        petal = add_leaves(
            stage, crown[of], place[of], stage.draw(2.0, 5.0, k), stage.draw(0.03, 0.15, k)
        )
        stage.add_strips(
            petal, place[of], torch.atan2(y, x), reach,
            head[of] * (2.6 / petals + 0.12) * (0.5 + 0.5 * oblique[of]),
            z[of] + 0.01 + 0.01 * ring + 0.004 * torch.sin(around),
            tinted(stage, bloom, k, 0.1), start=0.8, end=0.4, fold=stage.draw(0.0, 0.3, k),
            tilt_x=0.6 * around.cos(), tilt_y=0.6 * around.sin() - 0.2, through=0.45, page=PAGE_OF["petal"],
        )  # fmt: skip
    eye = choose(stage.generator, [0.5, 0.32, 0.03], [0.08, 0.05, 0.03], [0.2, 0.25, 0.05])
    r = 0.3 * head
    stage.add_strips(
        crown, place - torch.stack([r, 0 * r], 1), torch.zeros(n), 2 * r, 2 * r * oblique, z + 0.06,
        tinted(stage, eye, n, 0.1), start=0.5, end=0.5, round=0.8, along=0.8, page=PAGE_OF["bark"], texture=1.5,
    )  # fmt: skip


def meadow(stage: SceneBuilder) -> None:
    """Flowers in grass."""
    grass(stage)
    for _ in range(stage.number(1, 3)):
        flowers(stage, 12, float(stage.draw(0.2, 0.5)), float(stage.draw(0.9, 1.1)))
