"""What hangs and burns in synthetic scenes: lanterns and notes, laundry, curtains and flags, candles.

Pendulums swing at about 0.5 / sqrt(length in picture heights) Hz, as in a picture of one metre; flames
lean at 1.5 ... 3 Hz. Their flicker of 10 Hz and more is outside the bands.

Convention: lengths in picture heights, y down, z towards the viewer.

Source: ours.
"""

import torch

from .builder import PAGE_OF, SceneBuilder, add_cloth, add_ground, add_pendulums, add_rods
from .plants import BLOOMS, UP, tinted
from .textures import choose


def lanterns(stage: SceneBuilder) -> None:
    """Paper lanterns, lamps, notes or wind chimes on strings."""
    ground = add_ground(stage)
    n = stage.number(2, 9)
    x = (torch.arange(n) + stage.draw(0.2, 0.8, n)) / n * stage.aspect
    top = torch.stack([x, stage.draw(-0.05, 0.15, n)], 1)
    cord = stage.draw(0.08, 0.45, n)
    swing = add_pendulums(stage, ground.expand(n), top, 0.5 / cord.sqrt() * stage.draw(0.7, 1.1, n), stage.draw(0.06, 0.2, n))  # fmt: skip
    z = 0.1 * stage.normal(n)
    down = torch.full((n,), -UP)
    stage.add_strips(swing, top, down, cord, torch.full((n,), 0.006), z, tinted(stage, [0.05, 0.04, 0.03], n), round=0.8)  # fmt: skip
    size = stage.draw(0.1, 0.28, n)
    lit = float(stage.draw(0, 1)) < 0.5
    slim = float(stage.draw(0.5, 1.15))
    flat = float(stage.draw(0, 1)) < 0.3  # notes of paper
    ends = 0.0 if flat else 0.35
    white = [0.75, 0.73, 0.68]
    hue = torch.stack([torch.tensor(choose(stage.generator, *BLOOMS, white)) for _ in range(n)])
    bottom = top + torch.stack([0 * cord, cord], 1)
    stage.add_strips(
        swing, bottom, down, size, size * slim, z + 0.02, hue * 0.9, start=ends, end=ends, round=0.1 if flat else 1.2, along=0.0 if flat else 0.5,
        page=PAGE_OF["petal" if flat else "paper"], texture=1.6, tilt_x=stage.draw(-0.4, 0.4, n) * flat, glow=0.9 if lit else 0.0, through=0.3,
    )  # fmt: skip
    if flat:
        return
    for place, thick in ((bottom, 0.3), (bottom + torch.stack([0 * size, 0.94 * size], 1), 0.26)):
        stage.add_strips(swing, place, down, 0.07 * size, thick * size * slim, z + 0.03, hue * 0.25, round=0.9)  # fmt: skip
    tail = add_pendulums(stage, swing, bottom + torch.stack([0 * size, size], 1), stage.draw(1.2, 2.2, n), stage.draw(0.1, 0.3, n))  # fmt: skip
    stage.add_strips(tail, bottom + torch.stack([0 * size, size], 1), down, 0.4 * size, 0.08 * size, z, hue * 0.7, round=0.6, texture=2.0)  # fmt: skip


def laundry(stage: SceneBuilder) -> None:
    """Cloths on a line, or a curtain, or a flag."""
    ground = add_ground(stage)
    line_y = float(stage.draw(0.05, 0.25))
    pinned = choose(stage.generator, "top", "top", "top", "left")
    n = stage.number(1, 5)
    if pinned == "top":
        stage.add_strips(ground, torch.tensor([[-0.1, line_y]]), torch.zeros(1), torch.tensor([stage.aspect + 0.2]), torch.tensor([0.006]), torch.tensor([-0.01]), torch.tensor([[0.3, 0.3, 0.3]]))  # fmt: skip
    for i in range(n):
        width = stage.aspect / n * float(stage.draw(0.5, 0.95))
        height = float(stage.draw(0.3, 0.8))
        corner = torch.tensor([(i + 0.05) * stage.aspect / n, line_y])
        if pinned == "left":
            height = float(stage.draw(0.2, 0.5))
            corner = torch.tensor([float(stage.draw(0.1, 0.3)) * stage.aspect, float(stage.draw(0.05, 0.4))])  # fmt: skip
            width = float(stage.draw(0.4, 0.65)) * stage.aspect
        pieces, corners, cell = add_cloth(
            stage, corner, (width, height), pinned, float(stage.draw(0.5, 1.4)), float(stage.draw(0.03, 0.12)) * height
        )  # fmt: skip
        m = len(pieces)
        colour = torch.tensor(choose(stage.generator, *BLOOMS, [0.7, 0.7, 0.7], [0.1, 0.12, 0.3], [0.5, 0.45, 0.4]))  # fmt: skip
        # Folds run down from where it hangs: waves in the tilt, along the way across.
        rate, slant, start = float(stage.draw(14, 45)), float(stage.draw(-6, 6)), corners - corner
        texel = (start / torch.tensor([1 / 3.0, 1 / 3.0])) % 1
        phase = rate * start[:, 0] + slant * start[:, 1]
        stage.add_strips(
            pieces, corners + torch.tensor([-0.02, 0.5]) * cell, torch.zeros(m), 1.06 * cell[0].expand(m),
            1.06 * cell[1].expand(m), 1e-4 * i + torch.zeros(m), colour.expand(m, 3), start=0.0, end=0.0,
            waves=float(stage.draw(0.1, 0.8)), wave_from=phase, wave_to=phase + 1.06 * rate * cell[0],
            tilt_y=0.1 * torch.sin(phase), through=0.35, texel_x=texel[:, 0], texel_y=texel[:, 1] + 1,
            page=PAGE_OF[choose(stage.generator, "weave", "weave", "checks")],
        )  # fmt: skip
        if pinned == "left":
            pole = torch.tensor([[corner[0] - 0.01, corner[1] - 0.05]])
            stage.add_strips(ground, pole, torch.tensor([-UP]), torch.tensor([1.2]), torch.tensor([0.02]), torch.tensor([0.01]), torch.tensor([[0.25, 0.25, 0.27]]), round=1.0)  # fmt: skip
            return


def candles(stage: SceneBuilder) -> None:
    """Flames that lean and flicker sideways on candles that stand still."""
    ground = add_ground(stage)
    n = stage.number(1, 5)
    x = (torch.arange(n) + stage.draw(0.25, 0.75, n)) / n * stage.aspect
    wick = torch.stack([x, stage.draw(0.4, 0.65, n)], 1)
    width = stage.draw(0.06, 0.14, n)
    z = 0.1 * stage.normal(n)
    wax = choose(stage.generator, [0.5, 0.45, 0.36], [0.5, 0.08, 0.06], [0.5, 0.48, 0.44])
    stage.add_strips(
        ground.expand(n), wick + torch.tensor([0.0, 0.02]), torch.full((n,), -UP), torch.full((n,), 0.8), width, z,
        tinted(stage, wax, n, 0.1), start=0.02, end=0.0, round=1.0, through=0.3,
    )  # fmt: skip
    tall = stage.draw(0.1, 0.2, n)
    flames = add_rods(
        stage, ground.expand(n), wick, torch.full((n,), UP), tall, stage.draw(-0.1, 0.1, n),
        stage.draw(1.5, 3.0, n), stage.draw(0.15, 0.5, n), 0.3,
    )  # fmt: skip
    r, k = flames.pieces.shape
    outline = torch.tensor([0.75, 1.0, 0.95, 0.72, 0.45, 0.18])
    for share, tone, lift in ((1.0, [1.0, 0.5, 0.1], 0.0), (0.55, [1.0, 0.85, 0.5], 0.01)):
        steps = flames.joints.diff(dim=1)
        stage.add_strips(
            flames.pieces.flatten(), flames.joints[:, :-1].flatten(0, 1), flames.angles.flatten(),
            1.1 * steps.norm(dim=-1).flatten(), (0.34 * share * tall[:, None] * outline).flatten(),
            (z + 0.02 + lift)[:, None].expand(r, k).flatten(), torch.tensor(tone).expand(r * k, 3), end=0.0, glow=3.0, texture=0.2,
        )  # fmt: skip
