"""Procedural textures and backgrounds for synthetic scenes: noise, cloth, bark, sky, walls, ground.

Convention: colours are linear light until `develop` maps them to a picture. A texture is a factor
with a mean near 1, so that a photograph can replace it.

Source: fractal value noise, Perlin 1985 and Musgrave 1994; the rest is our own observation.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from ..still.grid import pixel_grid

PAGE = 128  # side of a texture page, px; pages repeat
PAGES = ("leaf", "bark", "paper", "weave", "checks", "petal")
# Colours in linear light.
WALL_TONES = (
    [0.55, 0.5, 0.42],
    [0.42, 0.42, 0.42],
    [0.36, 0.2, 0.14],
    [0.3, 0.34, 0.4],
    [0.62, 0.58, 0.5],
    [0.16, 0.14, 0.13],
)
GROUND_TONES = (
    [0.16, 0.11, 0.07],
    [0.35, 0.33, 0.3],
    [0.5, 0.42, 0.3],
    [0.1, 0.16, 0.04],
    [0.75, 0.77, 0.8],
)
FOLIAGE_TONES = (
    [0.25, 0.38, 0.1],
    [0.4, 0.42, 0.14],
    [0.16, 0.3, 0.16],
    [0.4, 0.3, 0.15],
)


def uniform(generator: torch.Generator, low: float | int, high: float | int, *shape: int) -> Tensor:
    """Uniform random numbers in [low, high); a scalar tensor if no shape is given.

    All random numbers are drawn on the CPU, so a seed gives the same scene on every device.
    """
    drawn = torch.rand(shape, generator=generator, device="cpu")
    return low + (high - low) * drawn.to(default_device())


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal random numbers."""
    return torch.randn(shape, generator=generator, device="cpu").to(default_device())


def integers(generator: torch.Generator, low: int, high: int, *shape: int) -> Tensor:
    """Random integers from low to high, without high."""
    drawn = torch.randint(low, high, shape, generator=generator, device="cpu")
    return drawn.to(default_device())


def default_device() -> torch.device:
    """The device on which new tensors are made."""
    return torch.empty(0).device


def default_on(device: torch.device | str):
    """A context in which new tensors are made on a device by default."""
    device = torch.device(device)
    return nullcontext() if device.type == "cpu" else device


def on_own_device(method):
    """Decorator: run a method with the device of its object's `pivot` as the default."""

    @wraps(method)
    def run(self, *given, **named):
        with default_on(self.pivot.device):
            return method(self, *given, **named)

    return run


def choose(generator: torch.Generator, *options):
    """One of the options, each with the same probability."""
    return options[int(integers(generator, 0, len(options)))]


def noise(
    generator: torch.Generator,
    size: tuple[int, int],
    cells: float | int = 4.0,
    octaves: int = 5,
    falloff: float = 0.5,
) -> Float[Tensor, "h w"]:
    """Fractal value noise, about 0 on the mean and 1 in deviation.

    Args:
        cells: Of the coarsest octave, along the longer side. Each octave doubles them.
        falloff: Amplitude of an octave relative to the one before.
    """
    longest = max(size)
    total = torch.zeros(1, 1, *size)
    for octave in range(octaves):
        scale = cells * 2**octave / longest
        if scale > 1:
            break
        grid = [max(2, math.ceil(n * scale) + 1) for n in size]
        values = normal(generator, 1, 1, *grid)
        total = total + falloff**octave * F.interpolate(
            values, size, mode="bicubic", align_corners=True
        )
    total = total[0, 0] - total.mean()
    return total / total.std().clamp(min=1e-3)


def pages(generator: torch.Generator) -> Float[Tensor, "p 3 n n"]:
    """A procedural texture for every kind of surface, in the order of `PAGES`."""
    size = (PAGE, PAGE)
    rough = [noise(generator, size, cells, 6) for cells in (4, 8, 3, 16, 5)]
    y, x = torch.meshgrid(torch.arange(PAGE), torch.arange(PAGE), indexing="ij")
    turns = 2 * math.pi / PAGE
    veins = torch.cos(turns * (12 * x + 10 * (y - PAGE / 2).abs()))
    leaf = 1 + 0.09 * rough[0] + 0.05 * veins
    bark = 1 + 0.22 * noise(generator, size, 6, 5, 0.7) + 0.12 * torch.cos(turns * 9 * y + rough[1])
    paper = 1 + 0.04 * rough[1] + 0.08 * torch.cos(turns * 10 * x)
    weave = 1 + 0.05 * torch.cos(turns * 32 * x) * torch.cos(turns * 32 * y) + 0.03 * rough[2]
    bands = torch.stack([(turns * 4 * a).cos() for a in (x, y)])
    checks = weave * (1 + 0.35 * bands.sum(0).clamp(-1, 1))
    petal = 1 + 0.05 * rough[4] + 0.06 * torch.cos(turns * 14 * y + 0.3 * rough[2])
    grey = torch.stack([leaf, bark, paper, weave, checks, petal])
    tint = 1 + 0.05 * torch.stack([rough[2], 0 * rough[2], -rough[2]])
    return (grey[:, None] * tint).clamp(0.1, 2.5)


def photograph_pages(
    photographs: list[Float[Tensor, "3 h w"]], generator: torch.Generator
) -> Float[Tensor, "p 3 n n"]:
    """Textures from photographs: random crops, each divided by its mean colour."""
    crops = []
    for _ in PAGES:
        picture = photographs[int(integers(generator, 0, len(photographs)))]
        side = min(picture.shape[-2:])
        side = max(1, int(side * uniform(generator, 0.3, 0.8)))
        top, left = (int(integers(generator, 0, n - side + 1)) for n in picture.shape[-2:])
        crop = picture[None, :, top : top + side, left : left + side].clamp(0, 1).pow(2.2)
        crop = F.interpolate(crop, (PAGE, PAGE), mode="bilinear", antialias=True)
        crops.append(crop / crop.mean((2, 3), keepdim=True).clamp(min=0.02))
    return torch.cat(crops).clamp(0.1, 2.5)


def blur(picture: Float[Tensor, "c h w"], sigma: float) -> Float[Tensor, "c h w"]:
    """Gaussian blur with a deviation of `sigma` px. Wide ones are computed on a smaller copy."""
    if sigma < 0.3:
        return picture
    size = tuple(picture.shape[-2:])
    factor = max(1, int(sigma / 2))
    small = [max(2, n // factor) for n in size]
    image = F.interpolate(picture[None], small, mode="area") if factor > 1 else picture[None]
    for axis, n in ((2, small[0]), (3, small[1])):
        width = sigma * n / size[axis - 2]
        reach = min(max(1, math.ceil(2.5 * width)), n - 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(width, 0.2)).square())
        kernel = (kernel / kernel.sum()).view(1, 1, *((-1, 1) if axis == 2 else (1, -1)))
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        padded = F.pad(image, pad, mode="reflect").movedim(1, 0)
        image = F.conv2d(padded, kernel).movedim(0, 1)
    if factor > 1:
        image = F.interpolate(image, size, mode="bilinear", align_corners=False)
    return image[0]


# --- static backgrounds ---------------------------------------------------------------------------


def sky(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Blue that gets paler towards the horizon, an overcast white, or an evening; maybe clouds."""
    down = torch.linspace(0, 1, size[0]).view(1, -1, 1)
    zenith = torch.tensor([0.10, 0.24, 0.62]) * uniform(generator, 0.6, 1.3)
    horizon = torch.tensor([0.55, 0.68, 0.85]) * uniform(generator, 0.7, 1.2)
    if uniform(generator, 0, 1) < 0.3:
        zenith = horizon = torch.tensor([0.72, 0.76, 0.80]) * uniform(generator, 0.6, 1.2)
    if uniform(generator, 0, 1) < 0.2:  # evening
        horizon = torch.tensor([0.95, 0.55, 0.28]) * uniform(generator, 0.6, 1.1)
    gradient = zenith.view(3, 1, 1) * (1 - down) + horizon.view(3, 1, 1) * down
    cover = uniform(generator, -1.5, 2.5)
    clouds = torch.sigmoid(
        2.5 * (noise(generator, size, float(uniform(generator, 1.5, 4)), 5, 0.5) - cover)
    )
    white = torch.tensor([0.92, 0.92, 0.95]).view(3, 1, 1) * uniform(generator, 0.7, 1.1)
    shade = 1 + 0.08 * noise(generator, size, 5, 4)
    return gradient * (1 - 0.85 * clouds) + 0.85 * clouds * white * shade


def wall(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Plaster, concrete, bricks or boards, with light that falls off to one side."""
    tone = torch.tensor(choose(generator, *WALL_TONES)).view(3, 1, 1) * uniform(generator, 0.6, 1.3)
    picture = tone * (
        1 + 0.07 * noise(generator, size, 3, 6, 0.6) + 0.05 * noise(generator, size, 40, 3, 0.8)
    )
    x, y = pixel_grid(*size, like=picture) / max(size)
    kind = choose(generator, "plain", "bricks", "boards", "plain")
    if kind == "bricks":
        rows = int(integers(generator, 8, 20))
        row = (y * rows).floor()
        column = x * rows / 2.3 + 0.5 * (row % 2)
        joint = torch.minimum((y * rows) % 1, (column % 1) * 2.3)
        each = torch.sin(row * 12.9898 + column.floor() * 78.233) * 43758.5453
        picture = picture * (0.85 + 0.3 * (each % 1))
        picture = torch.where(joint < 0.1, picture.mean() * 1.1, picture)
    elif kind == "boards":
        count = int(integers(generator, 6, 16))
        across = choose(generator, x, y) * count
        each = torch.sin(across.floor() * 12.9898) * 43758.5453
        grain = noise(generator, size, 20, 4, 0.7)
        picture = picture * (0.85 + 0.3 * (each % 1)) * (1 + 0.06 * grain)
        picture = picture * (1 - 0.6 * ((across % 1) < 0.04))
    angle = uniform(generator, 0, 2 * math.pi)
    light = 1 + 0.5 * ((x - 0.5) * angle.cos() + (y - 0.3) * angle.sin())
    return (picture * light).clamp(min=0.01)


def ground(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Soil, gravel, sand, lawn or snow in perspective: its texture is finer towards the top."""
    tone = torch.tensor(choose(generator, *GROUND_TONES)).view(3, 1, 1) * uniform(
        generator, 0.6, 1.3
    )
    texture = noise(generator, (2 * size[0], 2 * size[1]), 14, 6, 0.75)
    x, y = pixel_grid(*size, like=texture)
    depth = 1 / (0.3 + 0.7 * (y + 1) / size[0])  # farther up is farther away
    rows = (2 * size[0] - 1) * (1 - 0.3 * depth).clamp(0, 1)
    columns = ((x - size[1] / 2) * depth * 0.6 + size[1]) % (2 * size[1])
    seen = texture[rows.long(), columns.long()]
    return (tone * (1 + 0.22 * seen + 0.12 * noise(generator, size, 3, 4))).clamp(min=0.01)


def distant_foliage(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Leaves far out of focus: blurred spots of light among dark greens and browns."""
    dark = torch.tensor([0.03, 0.06, 0.02]) * uniform(generator, 0.5, 2.5)
    light = torch.tensor(choose(generator, *FOLIAGE_TONES))
    field = torch.sigmoid(1.6 * noise(generator, size, float(uniform(generator, 3, 8)), 4, 0.6))
    picture = dark.view(3, 1, 1) * (1 - field) + light.view(3, 1, 1) * field
    tint = 1 + 0.25 * noise(generator, size, 3, 3)
    picture = picture * torch.stack([tint, torch.ones_like(tint), 2 - tint]).clamp(0.4, 1.8)
    spots = torch.relu(noise(generator, size, float(uniform(generator, 8, 20)), 2) - 1.7)
    picture = picture + uniform(generator, 0, 0.5) * spots * torch.tensor([1, 1, 0.8]).view(3, 1, 1)
    down = torch.linspace(1.25, 0.75, size[0]).view(1, -1, 1)
    sigma = float(uniform(generator, 0.008, 0.03)) * max(size)
    return blur((picture * down).clamp(min=0.005), sigma)


def landscape(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Sky, up to two lines of distant trees or hills in haze, and ground."""
    picture = sky(generator, size)
    horizon = float(uniform(generator, 0.35, 0.75))
    x, y = pixel_grid(*size, like=picture)
    haze = picture[:, int(horizon * (size[0] - 1))].mean(1).view(3, 1, 1)
    for layer in range(int(integers(generator, 0, 3))):
        tall = float(uniform(generator, 0.02, 0.14))
        rough = float(uniform(generator, 2, 5)) if layer == 0 else float(uniform(generator, 6, 14))
        ridge = noise(generator, (2, size[1]), rough, 5, 0.55)[0]
        top = (horizon - tall * (1 + 0.35 * ridge)) * size[0]
        trees = torch.tensor([0.05, 0.09, 0.04]).view(3, 1, 1) * (
            1 + 0.25 * noise(generator, size, 12, 4, 0.7)
        )
        mix = float(uniform(generator, 0.25, 0.7)) / (layer + 1)
        picture = torch.where(y > top, trees * (1 - mix) + haze * mix, picture)
    earth = ground(generator, size)
    picture = torch.where(y > horizon * size[0], earth, picture)
    return blur(picture, float(uniform(generator, 0.0, 0.012)) * max(size))


def water(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """A distant shore above the horizon and its reflection below, stretched downwards."""
    upper = landscape(generator, size)
    horizon = int(uniform(generator, 0.35, 0.6) * size[0])
    mirrored = upper[:, :horizon].flip(1)
    mirrored = F.interpolate(mirrored[None], (size[0] - horizon, size[1]), mode="bilinear")[0]
    ripple = noise(generator, (size[0] - horizon, size[1] // 6 + 2), 24, 3, 0.7)
    ripple = F.interpolate(ripple[None, None], mirrored.shape[-2:], mode="bilinear")[0]
    tint = torch.tensor([0.6, 0.72, 0.75]).view(3, 1, 1)
    return torch.cat([upper[:, :horizon], (mirrored * tint * (1 + 0.1 * ripple)).clamp(min=0)], 1)


def with_objects(
    picture: Float[Tensor, "3 h w"],
    generator: torch.Generator,
    count: int,
    top: float,
    square: float,
) -> Float[Tensor, "3 h w"]:
    """The picture with solid objects in front: boxes, bottles, balls, books, in any colour.

    Args:
        top: The least y of an object's middle, in picture heights.
        square: Share of boxes; the rest are round.
    """
    size = tuple(picture.shape[-2:])
    x, y = pixel_grid(*size, like=picture) / size[0]
    for _ in range(count):
        place = uniform(generator, 0, 1, 2)
        place = torch.stack([place[0] * size[1] / size[0], top + (1.1 - top) * place[1]])
        half = 0.03 * 8 ** uniform(generator, 0, 1, 2)  # half width and height
        angle = 0.15 * normal(generator)
        u = ((x - place[0]) * angle.cos() + (y - place[1]) * angle.sin()) / half[0]
        v = ((y - place[1]) * angle.cos() - (x - place[0]) * angle.sin()) / half[1]
        power = 8 if uniform(generator, 0, 1) < square else 2
        radius = (u.abs().pow(power) + v.abs().pow(power)).clamp(max=9)  # 1 at the outline
        inside = torch.sigmoid((1 - radius) * half.min() * size[0])
        colour = (uniform(generator, 0, 1, 3).pow(2) * uniform(generator, 0.2, 1)).view(3, 1, 1)
        rate = uniform(generator, 3, 20)
        pattern = choose(generator, "plain", "rough", "stripes", "windows")
        if pattern == "rough":
            colour = colour * (1 + 0.08 * noise(generator, size, 20, 3, 0.7))
        elif pattern == "stripes":
            colour = colour * (1 + 0.4 * torch.sin(rate * u).sign())
        elif pattern == "windows":
            panes = (torch.sin(rate * u) > 0.3) & (torch.sin(0.7 * rate * v) > 0.3)
            colour = colour * (1 - 0.6 * panes)
        lit = 1 + uniform(generator, -0.5, 0.5) * u - uniform(generator, 0, 0.6) * u.square()
        shaded = picture * (1 - 0.5 * torch.exp(-2 * (radius - 1).clamp(min=0)))
        picture = shaded * (1 - inside) + colour * lit.clamp(min=0.1) * inside
    return picture.clamp(min=0.005)


def room(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """A wall or a curtain, sometimes a table, and objects."""
    picture = wall(generator, size)
    x, y = pixel_grid(*size, like=picture) / size[0]
    if uniform(generator, 0, 1) < 0.35:
        dye = uniform(generator, 0.02, 0.6, 3).view(3, 1, 1)
        across = x + 0.03 * noise(generator, size, 3, 2)
        folds = 1 + 0.5 * torch.sin(float(uniform(generator, 8, 50)) * across)
        print_ = noise(generator, size, float(uniform(generator, 4, 12)), 2)
        picture = dye * folds * (1 + 1.5 * (print_ > uniform(generator, 0.5, 3)))
    table = uniform(generator, 0.55, 1.1)
    wood = 1 + 0.1 * noise(generator, size, 6, 5, 0.7)
    top = uniform(generator, 0.05, 0.6, 3).view(3, 1, 1) * wood
    picture = torch.where(y > table, top, picture)
    count = int(integers(generator, 0, 9))
    picture = with_objects(picture, generator, count, float(uniform(generator, 0, 0.9)), 0.6)
    return blur(picture, float(uniform(generator, 0, 0.02)) * size[0])


def street(generator: torch.Generator, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Houses in front of a sky or a landscape."""
    picture = choose(generator, sky, landscape)(generator, size)
    count = int(integers(generator, 2, 10))
    picture = with_objects(picture, generator, count, float(uniform(generator, 0.1, 0.6)), 0.95)
    return blur(picture, float(uniform(generator, 0, 0.015)) * size[0])


BACKGROUNDS: dict[str, Callable[[torch.Generator, tuple[int, int]], Tensor]] = {
    "sky": sky,
    "wall": wall,
    "ground": ground,
    "foliage": distant_foliage,
    "landscape": landscape,
    "water": water,
    "room": room,
    "street": street,
}


@torch.no_grad()
def develop(
    light: Float[Tensor, "3 h w"],
    exposure: float,
    contrast: float,
    saturation: float,
    warmth: float,
    vignette: float,
) -> Float[Tensor, "3 h w"]:
    """Tone mapping, from linear light to a picture in [0, 1].

    White balance, exposure and vignette, a film's shoulder, gamma, saturation, contrast.

    Args:
        warmth: Gain of red less 1, and 1 less the gain of blue.
        vignette: How much darker the corners are, 0 to 1.
    """
    x, y = pixel_grid(*light.shape[-2:], like=light)
    height, width = light.shape[-2:]
    radius = ((2 * x / width - 1).square() + (2 * y / height - 1).square()) / 2  # 1 in the corners
    balance = light.new_tensor([1 + warmth, 1, 1 - warmth]).view(3, 1, 1)
    light = (light * balance * exposure * (1 - vignette * radius)).clamp(min=0)
    light = light * (1 + light / 6) / (1 + light)  # Reinhard 2002; with the gain, 1.1 is white
    picture = (light * 1.6).clamp(min=1e-5).pow(1 / 2.2)
    grey = picture.mean(0, keepdim=True)
    picture = grey + saturation * (picture - grey)
    return (0.5 + contrast * (picture - 0.5)).clamp(0, 1)
