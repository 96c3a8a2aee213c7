"""Hanging and burning objects of synthetic scenes: lanterns and notes, laundry and flags, candles.

A pendulum swings at about 0.5 / sqrt(length in picture heights) Hz, as in a picture that is one
metre high. Flames lean at 1.5 to 3 Hz; real flames also flicker at 10 Hz and more, which is above
the bands.

Convention: lengths in picture heights, y down, z towards the viewer.

Source: our own choice of shapes and ranges.
"""

import torch

from .builder import PAGE_OF, SceneBuilder, add_cloth, add_ground, add_pendulums, add_rods
from .plants import BLOOMS, UP, tinted
from .textures import choose

DOWN = -UP
LINE = [0.3, 0.3, 0.3]  # colour of a clothes line
POLE = [0.25, 0.25, 0.27]
CORD = [0.05, 0.04, 0.03]
WHITE_PAPER = [0.75, 0.73, 0.68]
FABRICS = (*BLOOMS, [0.7, 0.7, 0.7], [0.1, 0.12, 0.3], [0.5, 0.45, 0.4])
WAXES = ([0.5, 0.45, 0.36], [0.5, 0.08, 0.06], [0.5, 0.48, 0.44])
FLAME_OUTLINE = (0.75, 1.0, 0.95, 0.72, 0.45, 0.18)  # width of each piece, from wick to tip


def lanterns(builder: SceneBuilder) -> None:
    """Paper lanterns, lamps, paper notes or wind chimes on cords."""
    ground = add_ground(builder)
    n = builder.integer(2, 9)
    x = (torch.arange(n) + builder.draw(0.2, 0.8, n)) / n * builder.aspect
    top = torch.stack([x, builder.draw(-0.05, 0.15, n)], 1)
    cord = builder.draw(0.08, 0.45, n)
    natural_hz = 0.5 / cord.sqrt() * builder.draw(0.7, 1.1, n)
    sway = builder.draw(0.06, 0.2, n)
    swing = add_pendulums(builder, ground.expand(n), top, natural_hz, sway)
    z = 0.1 * builder.normal(n)
    down, cord_width = torch.full((n,), DOWN), torch.full((n,), 0.006)
    cord_colour = tinted(builder, CORD, n)
    builder.add_strips(swing, top, down, cord, cord_width, z, cord_colour, round=0.8)
    size = builder.draw(0.1, 0.28, n)
    lit = float(builder.draw(0, 1)) < 0.5
    slim = float(builder.draw(0.5, 1.15))
    flat = float(builder.draw(0, 1)) < 0.3  # paper notes
    ends = 0.0 if flat else 0.35
    hues = [torch.tensor(choose(builder.generator, *BLOOMS, WHITE_PAPER)) for _ in range(n)]
    hue = torch.stack(hues)
    bottom = top + torch.stack([0 * cord, cord], 1)
    shape = {"start": ends, "end": ends, "tilt_x": builder.draw(-0.4, 0.4, n) * flat}
    shape |= {"round": 0.1, "along": 0.0} if flat else {"round": 1.2, "along": 0.5}
    material = {"page": PAGE_OF["petal" if flat else "paper"], "texture": 1.6}
    material |= {"emission": 0.9 if lit else 0.0, "transmission": 0.3}
    builder.add_strips(
        swing, bottom, down, size, size * slim, z + 0.02, hue * 0.9, **shape, **material
    )
    if flat:
        return
    dark = hue * 0.25
    for place, share in ((bottom, 0.3), (bottom + torch.stack([0 * size, 0.94 * size], 1), 0.26)):
        rim, width = 0.07 * size, share * size * slim
        builder.add_strips(swing, place, down, rim, width, z + 0.03, dark, round=0.9)
    end = bottom + torch.stack([0 * size, size], 1)
    tail_hz, tail_sway = builder.draw(1.2, 2.2, n), builder.draw(0.1, 0.3, n)
    tail = add_pendulums(builder, swing, end, tail_hz, tail_sway)
    width = 0.08 * size
    builder.add_strips(tail, end, down, 0.4 * size, width, z, hue * 0.7, round=0.6, texture=2.0)


def laundry(builder: SceneBuilder) -> None:
    """Cloths on a line, a curtain, or a flag."""
    ground = add_ground(builder)
    line_y = float(builder.draw(0.05, 0.25))
    pinned = choose(builder.generator, "top", "top", "top", "left")
    n = builder.integer(1, 5)
    if pinned == "top":
        _add_bar(builder, ground, [-0.1, line_y], 0.0, builder.aspect + 0.2, 0.006, -0.01, LINE)
    for i in range(n):
        width = builder.aspect / n * float(builder.draw(0.5, 0.95))
        height = float(builder.draw(0.3, 0.8))
        corner = torch.tensor([(i + 0.05) * builder.aspect / n, line_y])
        if pinned == "left":
            height = float(builder.draw(0.2, 0.5))
            left, top = float(builder.draw(0.1, 0.3)), float(builder.draw(0.05, 0.4))
            corner = torch.tensor([left * builder.aspect, top])
            width = float(builder.draw(0.4, 0.65)) * builder.aspect
        natural_hz = float(builder.draw(0.5, 1.4))
        sway = float(builder.draw(0.03, 0.12)) * height
        pieces, corners, cell = add_cloth(
            builder, corner, (width, height), pinned, natural_hz, sway
        )
        _add_fabric(builder, pieces, corner, corners, cell, 1e-4 * i)
        if pinned == "left":
            foot = [corner[0] - 0.01, corner[1] - 0.05]
            _add_bar(builder, ground, foot, DOWN, 1.2, 0.02, 0.01, POLE, round=1.0)
            return


def _add_bar(builder, ground, base, angle, length, width, z, colour, **properties):
    """One static strip: a line or a pole."""
    angle, length, width, z = (torch.tensor([value]) for value in (angle, length, width, z))
    base, colour = torch.tensor([base]), torch.tensor([colour])
    builder.add_strips(ground, base, angle, length, width, z, colour, **properties)


def _add_fabric(builder, pieces, corner, corners, cell, z):
    """Cover the pieces of a cloth: one strip for each, all with the same pattern and folds."""
    m = len(pieces)
    colour = torch.tensor(choose(builder.generator, *FABRICS))
    # Folds run down from the edge that is held: waves in the tilt, seen across the cloth.
    rate, slant = float(builder.draw(14, 45)), float(builder.draw(-6, 6))
    start = corners - corner
    texel = (start / torch.tensor([1 / 3.0, 1 / 3.0])) % 1
    phase = rate * start[:, 0] + slant * start[:, 1]
    base = corners + torch.tensor([-0.02, 0.5]) * cell
    length, width = 1.06 * cell[0].expand(m), 1.06 * cell[1].expand(m)
    properties = {
        "start": 0.0,
        "end": 0.0,
        "tilt_y": 0.1 * torch.sin(phase),
        "waves": float(builder.draw(0.1, 0.8)),
        "wave_from": phase,
        "wave_to": phase + 1.06 * rate * cell[0],
        "transmission": 0.35,
        "page": PAGE_OF[choose(builder.generator, "weave", "weave", "checks")],
        "texel_x": texel[:, 0],
        "texel_y": texel[:, 1] + 1,
    }
    z, colour = z + torch.zeros(m), colour.expand(m, 3)
    builder.add_strips(pieces, base, torch.zeros(m), length, width, z, colour, **properties)


def candles(builder: SceneBuilder) -> None:
    """Static candles whose flames lean and flicker sideways."""
    ground = add_ground(builder)
    n = builder.integer(1, 5)
    x = (torch.arange(n) + builder.draw(0.25, 0.75, n)) / n * builder.aspect
    wick = torch.stack([x, builder.draw(0.4, 0.65, n)], 1)
    width = builder.draw(0.06, 0.14, n)
    z = 0.1 * builder.normal(n)
    wax = tinted(builder, choose(builder.generator, *WAXES), n, 0.1)
    top, down, length = (
        wick + torch.tensor([0.0, 0.02]),
        torch.full((n,), DOWN),
        torch.full((n,), 0.8),
    )
    shape = {"start": 0.02, "end": 0.0, "round": 1.0}
    builder.add_strips(
        ground.expand(n), top, down, length, width, z, wax, transmission=0.3, **shape
    )
    tall = builder.draw(0.1, 0.2, n)
    curve, natural_hz = builder.draw(-0.1, 0.1, n), builder.draw(1.5, 3.0, n)
    sway, up = builder.draw(0.15, 0.5, n), torch.full((n,), UP)
    flames = add_rods(
        builder, ground.expand(n), wick, up, tall, curve, natural_hz, sway, damping=0.3
    )
    r, k = flames.pieces.shape
    outline = torch.tensor(FLAME_OUTLINE)
    base = flames.joints[:, :-1].flatten(0, 1)
    length = 1.1 * flames.joints.diff(dim=1).norm(dim=-1).flatten()
    for share, tone, lift in ((1.0, [1.0, 0.5, 0.1], 0.0), (0.55, [1.0, 0.85, 0.5], 0.01)):
        builder.add_strips(
            flames.pieces.flatten(),
            base,
            flames.angles.flatten(),
            length,
            (0.34 * share * tall[:, None] * outline).flatten(),
            (z + 0.02 + lift)[:, None].expand(r, k).flatten(),
            torch.tensor(tone).expand(r * k, 3),
            end=0.0,
            emission=3.0,
            texture=0.2,
        )
