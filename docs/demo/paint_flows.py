"""Paint the stills that flow: clouds over a meadow, and a candle.

All of it is procedural and seeded, in linear light until the end. make_examples.py saves them.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from gid_core.scenes.synthetic import Film, make_scene
from gid_core.scenes.textures import noise

SIZE = (512, 768)  # px
MEADOW = 2  # seed
HORIZON = 0.62  # of the height, from the top
FIELD = [0.05, 0.10, 0.02]  # colour of the ground behind the plants
FLAME, WAX = (384.0, 318.0), 62  # px: foot of the flame, and half the width of the candle
FLAME_PX = (34.0, 128.0)  # half its width, and its height
EMBER = np.array([1.0, 0.42, 0.12])  # colour of the light it throws
CREAM = np.array([0.80, 0.62, 0.42])
STRANDS = 14  # of smoke
ABOVE = 18.0  # px between the flame's foot and the wax


def clouds(size=SIZE):
    """A meadow under clouds: (still, what sways), as (3, h, w) and (h, w)."""
    scene = make_scene(MEADOW, size, "meadow")
    slabs = tuple(replace(slab, blur=0.0) for slab in scene.slabs)
    film = Film(exposure=0.8, contrast=1.25, saturation=1.0, warmth=0.03, vignette=0.1, grain=0.0)
    scene = replace(scene, background=_sky(size), slabs=slabs, film=film)
    plants = ndimage.binary_closing(np.pad(scene.mask[0].numpy() > 0.3, 20, "edge"), iterations=9)
    plants = plants[20:-20, 20:-20]
    plants[round(0.8 * size[0]) :] = True
    return scene.still, plants


def _sky(size):
    """Clouds on a ceiling: the closer to the horizon, the smaller and the flatter."""
    generator = torch.Generator().manual_seed(11)
    height, width = size
    texture = noise(generator, (1024, 1024), 9, 7, 0.55)
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height,
        (torch.arange(width) + 0.5) / width - 0.5,
        indexing="ij",
    )
    above = (HORIZON - y).clamp(min=0.02) / HORIZON + 0.25
    where = torch.stack([0.55 * x / above, 0.7 / above - 1.6], -1)

    def density(shift):
        at = where + torch.tensor([shift, -shift])
        return F.grid_sample(texture[None, None], at[None], "bicubic", "reflection", False)[0, 0]

    here, sunward = density(0.0), density(0.02)
    cover = torch.sigmoid(4.0 * (here - 0.15))
    lit = torch.sigmoid(1.0 - 1.1 * (sunward.clamp(min=0) + 0.5 * here.clamp(min=0) - 0.6))
    down = (y / HORIZON).clamp(0, 1) ** 1.3
    zenith, low = (torch.tensor(c).view(3, 1, 1) for c in ([0.06, 0.20, 0.55], [0.45, 0.62, 0.80]))
    blue = zenith * (1 - down) + low * down
    white = torch.tensor([1.0, 0.97, 0.93]).view(3, 1, 1) * lit
    white = white + torch.tensor([0.30, 0.34, 0.42]).view(3, 1, 1) * (1 - lit)
    haze = 0.5 * down**3
    picture = (blue * (1 - cover) + white * cover) * (1 - haze) + low * haze
    field = torch.tensor(FIELD).view(3, 1, 1) * (1 + 0.3 * texture[:height, :width])
    near = ((y - HORIZON) / 0.25).clamp(0, 1) ** 0.5
    field = 0.3 * low * (1 - near) + field * (0.4 + 0.6 * near)
    edge = ((y - HORIZON) * height / 3 + 0.5).clamp(0, 1)
    return picture * (1 - edge) + field * edge


def candle(size=SIZE):
    """A candle before a dark wall: (still, flame, what its light does not reach, smoke)."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(float)
    random = torch.Generator().manual_seed(4)
    grain = noise(random, size, 6, 6).numpy()
    foot, (half, tall) = FLAME, FLAME_PX
    heart = foot[1] - 0.45 * tall
    away = np.hypot(x - foot[0], 1.1 * (y - heart))
    glow = 1 / (1 + (away / 90) ** 2)
    picture = (0.012 + 0.30 * glow)[..., None] * EMBER * (1 + 0.08 * grain)[..., None]
    smoke = _smoke(x, y, (foot[0] + 6, foot[1] - tall))
    # What rises is lit from below, and pale before the dark wall.
    picture = picture + (smoke * (0.05 + 0.5 * glow))[..., None] * np.array([1.0, 0.80, 0.62])
    body, wax = _wax(x, y, foot)
    picture = np.where(body[..., None], wax, picture)
    wick = _line(x, y, foot, lean=5.0, length=30.0, radius=2.6)
    picture = picture * (1 - wick)[..., None] + wick[..., None] * np.array([0.03, 0.02, 0.02])
    shape, colour = _flame(x, y, foot, half, tall)
    picture = picture * (1 - 0.9 * shape[..., None]) + colour
    still = 1 - np.exp(-1.5 * picture)  # what is brightest goes to white
    still = np.clip(still, 0, 1) ** (1 / 2.2)
    mask = ndimage.binary_dilation(shape > 0.15, iterations=7)
    unlit = np.clip((away - 60) / 260, 0, 1)
    # From above the flame, so that nothing of it is carried along.
    rising = ndimage.binary_dilation((smoke > 0.05) & (y < foot[1] - tall - 55), iterations=12)
    return torch.from_numpy(still).permute(2, 0, 1).float(), mask, unlit, rising


def _smoke(x, y, tip):
    """How dense it is: strands that rise from the tip, part, curl and fade."""
    random = np.random.default_rng(5)
    up = np.clip((tip[1] - y) / tip[1], 0, 1)
    dense = np.zeros_like(x)
    for _ in range(STRANDS):
        aside, thick = random.normal(0, 1), random.uniform(0.5, 1.5)
        waves = [(random.uniform(1, 4), random.uniform(0, 6.3), random.normal(0, 1)) for _ in "abc"]
        bend = sum(a * np.sin(6.3 * f * up**0.8 + p) / f for f, p, a in waves)
        centre = tip[0] + (42 * aside * up + 26 * bend * up**0.7) + 14 * up
        radius = thick * (1.5 + 13 * up)
        dense += np.exp(-0.5 * ((x - centre) / radius) ** 2) / (1 + 4 * up) * random.uniform(0.4, 1)
    return dense * np.clip(up / 0.12, 0, 1) * np.clip((1.25 - up) / 0.5, 0, 1) * (y < tip[1])


def _wax(x, y, foot):
    """Where the candle is, and its colour: light shines through its upper end."""
    across = (x - foot[0]) / WAX
    rim = foot[1] + ABOVE
    bend = np.sqrt(np.clip(1 - across**2, 0, 1))
    body = (np.abs(across) <= 1) & (y > rim - 9 * bend)
    shading = 0.25 + 0.75 * bend
    through = 0.05 + 1.1 * np.exp(-np.clip(y - rim, 0, None) / 70)
    wax = (shading * through)[..., None] * CREAM * (0.55 + 0.45 * EMBER)
    pool = np.hypot(across / 0.86, (y - rim) / 8) < 1
    return body, np.where(pool[..., None], 1.5 * CREAM * (0.5 + 0.5 * EMBER), wax)


def _line(x, y, foot, lean, length, radius):
    up = np.clip((foot[1] + 14 - y) / length, 0, 1)
    away = np.hypot(x - foot[0] - lean * up**2, y - (foot[1] + 14 - length * up))
    return np.clip(radius + 0.5 - away, 0, 1)


def _flame(x, y, foot, half, tall):
    """How much of it covers a pixel, and its light: blue at the foot, white inside."""
    up = (foot[1] + 8 - y) / tall
    inside = np.clip(up, 0, 1)
    outline = half * 1.5 * inside**0.55 * (1 - inside) ** 0.8
    bent = foot[0] + 6 * inside**2
    across = np.abs(x - bent) / np.maximum(outline, 1e-3)
    edge = np.clip((1 - across) * np.maximum(outline, 1e-3) / 7, 0, 1)
    shape = edge * edge * (3 - 2 * edge) * (up > 0) * (up < 1)
    core = np.clip(1 - across**2, 0, 1) * np.clip(4 * inside, 0, 1)
    yellow, white = np.array([1.6, 0.72, 0.14]), np.array([1.4, 1.5, 1.0])
    hot = 0.35 + 0.65 * np.clip(inside / 0.3, 0, 1)
    colour = shape[..., None] * (hot[..., None] * yellow + core[..., None] * white)
    blue = shape * np.clip(1 - inside / 0.22, 0, 1)
    return shape, colour + blue[..., None] * np.array([0.02, 0.08, 0.45])
