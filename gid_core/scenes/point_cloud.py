"""Turn the strips of a scene into a cloud of shaded points: outlines, normals, light, texture.

Shading is computed once, in the still, and each point keeps its colour: colours are constant in
time, as optical flow assumes.

Convention: strips in picture heights, points in px of the still; colours are linear light.

Source: Lambert's law with transmitted light; shadows by ray marching a height field to the light.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Float, Int, Tensor
from .builder import SceneBuilder
from .textures import PAGE, blur, uniform

SPACING = 0.68  # of points, in cells: so fine a lattice has a point in every cell at any rotation
OFF_SCREEN = 0.15  # picture heights outside the border where points are kept: they may come in
OUTLINE = ("base", "angle", "length", "width", "start", "end", "bend")
OUTLINE_ONLY = set(OUTLINE) - {"length", "width"}
SHADOW_STEPS = (0.008, 0.02, 0.045, 0.1)  # of the ray towards the light, picture heights


@dataclass(frozen=True)
class Slab:
    """Points at one distance of focus, ordered from back to front.

    position: px of the still. piece: index of the piece that carries each point.
    light: colour in linear light. blur: sigma of the defocus in px.
    """

    position: Float[Tensor, "m 2"]
    piece: Int[Tensor, " m"]
    light: Float[Tensor, "m 3"]
    blur: float


@dataclass(frozen=True)
class Light:
    """Sun and sky.

    towards: unit vector to the sun (x right, y down, z to the viewer).
    sun, sky: their colours in linear light.
    contrast: darkness of shadows, 0 to 1.
    """

    towards: Float[Tensor, " 3"]
    sun: Float[Tensor, " 3"]
    sky: Float[Tensor, " 3"]
    contrast: float

    @classmethod
    def drawn(cls, generator):
        angle, height = uniform(generator, -2.6, -0.5), uniform(generator, 0.25, 1.1)
        towards = torch.stack([angle.cos(), angle.sin(), height])
        strength = float(uniform(generator, 0.3, 2.0))
        warm = float(uniform(generator, 0.0, 0.35))
        return cls(
            towards / towards.norm(),
            strength * torch.tensor([1 + warm, 1.0, 1 - warm]),
            float(uniform(generator, 0.35, 0.9)) * torch.tensor([0.92, 1.0, 1.12]),
            float(uniform(generator, 0.5, 0.95)),
        )


def points_of(
    builder: SceneBuilder,
    size: tuple[int, int],
    cells: int,
    pages: Float[Tensor, "p 3 n n"],
    light: Light,
    first: int,
    dim: float,
    blur_px: float,
) -> Slab:
    """The strips of a scene under construction as shaded points, ordered from back to front.

    Args:
        size: Of the still, px. cells: of the z-buffer, per pixel and axis.
        pages: Texture pages, in the order of `textures.PAGES`.
        first: Index that the builder's first piece has in the whole scene.
        dim: Factor on all colours.
    """
    table = {name: torch.cat([s[name] for s in builder.strips]) for name in builder.strips[0]}
    aspect = size[1] / size[0]
    reach = (table["length"] + table["width"])[:, None] + OFF_SCREEN
    edge = torch.tensor([aspect, 1.0])
    near = ((table["base"] > -reach) & (table["base"] < edge + reach)).all(1)
    table = {name: values[near] for name, values in table.items()}
    scale = size[0] * cells / SPACING
    along = (table["length"] * scale).ceil().long().clamp(min=1)
    across = (table["width"] * scale).ceil().long().clamp(min=1)
    count = along * across
    strip = torch.arange(len(count)).repeat_interleave(count)
    number = torch.arange(len(strip)) - (count.cumsum(0) - count)[strip]
    across = across[strip]
    u = ((number // across) + 0.5) / along[strip]
    v = 2 * ((number % across) + 0.5) / across - 1
    position, angle = _placed({name: table[name][strip] for name in OUTLINE}, u, v)
    near = (position[:, 0] > -OFF_SCREEN) & (position[:, 0] < aspect + OFF_SCREEN)
    near &= (position[:, 1] > -OFF_SCREEN) & (position[:, 1] < 1 + OFF_SCREEN)
    keep = near.nonzero().squeeze(1)
    keep = keep[table["z"][strip[keep]].argsort(stable=True)]
    position, angle, u, v, strip = position[keep], angle[keep], u[keep], v[keep], strip[keep]
    at = {name: values[strip] for name, values in table.items() if name not in OUTLINE_ONLY}

    normal = _normals(at, angle, u, v)
    facing = normal @ light.towards
    transmitted = at["transmission"] * (-facing).clamp(min=0) * 0.8
    sunlit, open_sky = _visibility(position, at["z"], light.towards, aspect, size[0])
    shade = (facing.clamp(min=0) + transmitted) * (1 - light.contrast * (1 - sunlit))
    sky = (0.55 - 0.45 * normal[:, 1]) * (1 - 0.75 * light.contrast * (1 - open_sky))
    albedo = at["colour"] * _texture(at, pages, u, v, strip)
    albedo = albedo * (1 + at["rib"] * torch.exp(-(v / 0.12).square()))[:, None]
    lit = shade[:, None] * light.sun + sky[:, None] * light.sky + at["emission"][:, None]
    # Light that is transmitted by a leaf is yellower.
    yellow = (transmitted / (shade + 0.2))[:, None] * torch.tensor([0.35, 0.25, -0.5])
    colour = albedo * lit * (1 + yellow).clamp(min=0.2) * dim
    pixels = position * size[0] - 0.5
    return Slab(pixels, at["piece"] + first, colour, blur_px)


def _placed(at, u, v):
    """Positions on strips, and the direction of the midline there: an arc with an outline.

    u: 0 to 1 along the strip. v: -1 to 1 across it.
    """
    bend = at["bend"] * u
    chord = at["length"] * u * torch.sinc(bend / (2 * math.pi))
    middle = at["angle"] + bend / 2
    angle = at["angle"] + bend
    start, end = at["start"].clamp(min=1e-3), at["end"].clamp(min=1e-3)
    widest = start / (start + end)
    outline = (u / widest).pow(start) * ((1 - u) / (1 - widest)).pow(end)
    aside = 0.5 * at["width"] * outline * v
    x = at["base"][:, 0] + chord * middle.cos() - aside * angle.sin()
    y = at["base"][:, 1] + chord * middle.sin() + aside * angle.cos()
    return torch.stack([x, y], 1), angle


def _normals(at, angle, u, v):
    """Unit normals: tilted, folded along the midrib, rounded across and along the strip."""
    aside = at["fold"] * v.sign() + at["round"] * v
    ahead = at["along"] * (2 * u - 1)
    phase = at["wave_from"] + u * (at["wave_to"] - at["wave_from"])
    ahead = ahead + at["waves"] * (phase.sin() + 0.4 * (2.3 * phase + 1).sin())
    x = at["tilt_x"] - aside * angle.sin() + ahead * angle.cos()
    y = at["tilt_y"] + aside * angle.cos() + ahead * angle.sin()
    normal = torch.stack([x, y, torch.ones_like(x)], 1)
    return normal / normal.norm(dim=1, keepdim=True)


def _texture(at, pages, u, v, strip):
    """The texture's factor at every point. Every strip reads the page at another offset."""
    offset = (strip * 0.618034) % 1
    own = at["texel_x"] < 0
    x = u * at["length"] * 3.0 + torch.where(own, offset, at["texel_x"])
    y = v * at["width"] * 1.5 + torch.where(own, offset * 7.3, at["texel_y"])
    x, y = x % 1 * PAGE, y % 1 * PAGE
    texel = pages[at["page"].long(), :, y.long() % PAGE, x.long() % PAGE]
    return (1 + at["texture"][:, None] * (texel - 1)).clamp(min=0.05)


def _visibility(position, z, towards, aspect, height):
    """(share of the sun, share of the sky) seen by every point: 0 in deep shade, 1 in the open."""
    rows = max(16, min(height, 160))
    shape = rows, max(16, round(rows * aspect))
    border = round(OFF_SCREEN * rows)
    full = [n + 2 * border for n in shape]
    cell = (position * rows).long() + border
    cell = cell[:, 1].clamp(0, full[0] - 1) * full[1] + cell[:, 0].clamp(0, full[1] - 1)
    low = float(z.min()) - 0.3
    front = torch.full((full[0] * full[1],), low).scatter_reduce(0, cell, z, "amax")
    front = blur(front.view(1, *full), 0.8)
    wide = blur(front, 0.03 * rows)
    places = (position * rows + border + 0.5) / torch.tensor([full[1], full[0]]) * 2 - 1
    step = towards[:2] * rows / torch.tensor([full[1], full[0]]) * 2

    def read(field, shift):
        grid = (places + shift).view(1, 1, -1, 2)
        return F.grid_sample(
            field[None], grid, padding_mode="border", align_corners=False
        ).flatten()

    sun = torch.ones_like(z)
    for length in SHADOW_STEPS:
        above = read(front, length * step) - (z + length * towards[2] + 0.004)
        sun = torch.minimum(sun, 1 - torch.sigmoid(above / (0.15 * length)))
    sky = torch.exp(-6.0 * (read(wide, 0 * step) - z).clamp(min=0))
    return sun, sky
