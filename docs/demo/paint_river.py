"""Paint a river between a wooded shore and reeds, with three stones in it.

All of it is procedural and seeded, in linear light until the end. make_examples.py saves it.
Lengths are in heights of the picture, so that it looks alike at every size.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from gid_core.scenes.synthetic import Film, make_scene
from gid_core.scenes.textures import noise

SIZE = (512, 768)  # px
REEDS, LIGHT = 0, 1.7  # seed of the reeds, and how bright they are painted
SHORE, BANK = 0.40, 0.95  # where the far bank and the near one meet the water, from the top
STONES = ((0.42, 0.60, 0.085, 0.055), (0.93, 0.50, 0.040, 0.025), (1.10, 0.74, 0.13, 0.085))
HAZE, LEAVES = np.array([0.42, 0.52, 0.60]), np.array([0.10, 0.155, 0.035])
BED, FOAM = np.array([0.040, 0.070, 0.055]), np.array([0.85, 0.92, 0.95])
STONE, MOSS = np.array([0.23, 0.21, 0.185]), np.array([0.075, 0.10, 0.028])


def river(size=SIZE):
    """(still, water, reeds), as (3, h, w), (h, w) and (h, w): what flows and what sways.

    What mirrors a stone stays where the stone is, so it does not count as flowing.
    """
    scene = make_scene(REEDS, size, "reeds")
    slabs = tuple(replace(slab, blur=0.0, light=LIGHT * slab.light) for slab in scene.slabs)
    film = Film(exposure=1.0, contrast=1.2, saturation=1.05, warmth=0.03, vignette=0.15, grain=0.0)
    valley, water = _valley(size)
    picture = torch.from_numpy(valley).permute(2, 0, 1).float()
    scene = replace(scene, background=picture, slabs=slabs, film=film)
    return scene.still, water, scene.mask[0].numpy() > 0.3


def _valley(size):
    """What is behind the reeds, and where there is water."""
    rough = _Roughness(size)
    y = rough.y
    picture = _sky(y, rough)
    ridge = 0.27 + 0.03 * rough.line(3, 6)
    picture = _over(picture, (y - ridge) / 0.003, HAZE * (0.55 + 0.05 * rough.page(20)[..., None]))
    crowns = rough.page(45, 5, 0.7)
    wood = 0.325 + 0.018 * rough.line(9, 3) + 0.010 * crowns
    lit = np.clip(0.75 + 0.45 * np.roll(crowns, size[0] // 100, 0) - 6 * (y - wood), 0.10, 1.6)
    picture = _over(picture, (y - wood) / 0.004, LEAVES * lit[..., None])
    shore = SHORE + 0.006 * rough.line(5, 5)
    picture = _over(picture, (y - shore) / 0.002, _water(picture, shore, rough))
    water = y > shore
    for stone in STONES:
        picture, water = _with_stone(picture, water, *stone, rough)
    bank = BANK + 0.012 * rough.line(5, 5)
    picture = picture * (1 - 0.5 * np.exp(-np.clip(bank - y, 0, None) / 0.012))[..., None]
    soil = MOSS * np.clip(0.8 + 0.4 * rough.page(70, 5, 0.8), 0.2, 2.0)[..., None]
    return _over(picture, (y - bank) / 0.003, soil), water & (y < bank)


class _Roughness:
    """Noise of one picture: `x` and `y` in picture heights, pages and lines of noise."""

    def __init__(self, size):
        self.size, self.random = size, torch.Generator().manual_seed(21)
        height, width = size
        self.y, self.x = ((v + 0.5) / height for v in np.mgrid[0:height, 0:width].astype(float))

    def page(self, cells, octaves=6, falloff=0.5, size=None):
        return noise(self.random, size or self.size, cells, octaves, falloff).numpy()

    def line(self, cells, octaves):
        return self.page(cells, octaves, size=(1, self.size[1]))[0]


def _over(picture, cover, colour):
    cover = np.clip(cover + 0.5, 0, 1)[..., None]
    return picture * (1 - cover) + colour * cover


def _sky(y, rough):
    cloud = 1 / (1 + np.exp(-3 * (rough.page(4, 6) - 0.5)))[..., None]
    down = np.clip(y / SHORE, 0, 1)[..., None]
    blue = np.array([0.12, 0.30, 0.62]) * (1 - down) + np.array([0.60, 0.70, 0.78]) * down
    return blue * (1 - 0.55 * cloud) + np.array([0.92, 0.90, 0.87]) * 0.55 * cloud


def _water(picture, shore, rough):
    """Waves on a level plane: they mirror what is beyond them, the farther the more."""
    x, y = rough.x, rough.y
    below = np.maximum(y - shore, 1e-3)
    near = below / (1 - SHORE)  # 0 at the far shore, 1 at the lower border
    away = 1 / (near + 0.08)  # on the plane
    across, along = (x - x.mean()) * away, away
    ripple, swell, current = (rough.page(c, 6, 0.6, (1024, 1024)) for c in (60, 24, 16))
    wave = _read(ripple, 190 * across, 900 * along)
    swell = _read(swell, 120 * across, 420 * along)
    current = _read(current, 34 * across, 300 * along)
    # What is small on the plane than a pixel there averages out.
    fine = np.clip(5 * near, 0.1, 1)
    slope = fine * (0.7 * wave + 0.6 * swell)
    height, width = y.shape
    up = np.clip(shore - 0.75 * below - (0.006 + 0.03 * near) * slope, 0, None) * height
    side = np.clip(x * height + 2 * slope, 0, width - 1)
    mirrored = np.stack([_read(picture[..., c], side, up, "nearest") for c in range(3)], -1)
    share = np.clip(0.30 + 0.6 * (1 - near) ** 2 + 0.10 * slope, 0.05, 1)[..., None]
    water = 0.85 * share * mirrored + (1 - share) * BED * (1 + 0.25 * swell)[..., None]
    streaks = np.exp(-(((current + 0.2 * wave - 0.3) / 0.12) ** 2)) * np.clip(4 * near, 0, 1)
    water = water + (0.10 * streaks * np.clip(0.5 + wave, 0, 2))[..., None] * FOAM
    glint = np.clip(slope - 1.3, 0, 1) * np.clip(4 * near, 0, 1)
    water = water + 0.35 * glint[..., None] * FOAM
    return water * (1 - 0.6 * np.exp(-below / 0.006))[..., None]


def _read(page, across, down, mode="grid-wrap"):
    return ndimage.map_coordinates(page, [down, across], order=1, mode=mode)


def _with_stone(picture, water, x, y, half, tall, rough):
    """A stone that stands out of the water, its reflection, and the foam that it throws up.

    x, y: its middle. half, tall: half its width and its height above it.
    """
    page = ndimage.gaussian_filter(rough.page(50, 6, 0.75), 0.6)
    across, up = (rough.x - x) / half, (y - rough.y) / tall
    turn = (np.arctan2(up, across) / np.pi + 1) * 128
    outline = 1 + 0.13 * np.interp(turn, np.arange(257), rough.page(7, 4, size=(1, 257))[0])
    distance = np.hypot(across, up) / outline
    line = -0.35 + 0.05 * np.sin(5 * across)  # of the water
    body = (distance < 1) & (up > line)
    mirrored = (np.hypot(across, (line - up) / 0.8) < 1 + 0.05 * page) & (up <= line)
    dark = ndimage.gaussian_filter(mirrored.astype(float), 0.004 * rough.size[0])[..., None]
    picture = picture * (1 - 0.7 * dark)
    bulge = np.sqrt(np.clip(1 - np.minimum(distance, 1) ** 2, 0, 1))
    light = 0.30 + 0.55 * np.clip(up, 0, 1) - 0.30 * across * (1 - bulge) + 0.25 * bulge
    light = np.clip(light + 0.16 * page, 0.06, 1.3) * np.clip((up - line) / 0.3, 0.35, 1)
    green = np.clip(0.5 * page + up - 0.6, 0, 1)[..., None] * 0.7
    colour = (STONE * (1 - green) + MOSS * 1.6 * green) * light[..., None]
    cover = ndimage.gaussian_filter(body.astype(float), 0.6)[..., None]
    picture = picture * (1 - cover) + colour * cover
    # The water piles up before it and goes on in two lines behind it, towards the right.
    trail = np.clip(across, 0, None)
    edge = line - 0.08 - 0.16 * np.clip(trail - 0.8, 0, None)
    width = 0.07 + 0.05 * trail
    foam = np.exp(-(((up - edge) / width) ** 2)) * np.exp(-np.clip(trail - 1, 0, None) / 0.9)
    foam = foam * (across > -1.0) * np.clip(0.35 + 0.6 * page, 0, 1)
    return picture + 0.45 * foam[..., None] * FOAM * (1 - cover), water & ~body & ~mirrored
