"""Views of outlined photographs: a crop, maybe mirrored, in another light, with its labels.

Convention: a box is (left, top, right, bottom) in fractions of the picture; labels are drawn anew
for every view, so that an outline is as sharp in a crop as in the whole.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F

from ..scenes.textures import uniform
from ..shapes import Float, Tensor

SIDE = 448  # px of a view, both sides: whatever its shape, like most training of such networks
LEAST_AREA = 0.3  # of a crop
WHOLE = 0.3  # share of views that show everything
SHAPES = (3 / 4, 4 / 3)  # of a crop, in px
GREY = 0.05  # share of views without colour

Box = tuple[float, float, float, float]
Point = tuple[float, float]


def random_box(size: tuple[int, int], generator: torch.Generator) -> Box:
    """A crop of a picture of (height, width) px."""
    height, width = size
    draw = lambda low, high: float(uniform(generator, low, high))
    if draw(0, 1) < WHOLE:
        return 0.0, 0.0, 1.0, 1.0
    area = draw(LEAST_AREA, 1) * height * width
    shape = math.exp(draw(math.log(SHAPES[0]), math.log(SHAPES[1])))
    wide = min(1.0, math.sqrt(area * shape) / width)
    high = min(1.0, math.sqrt(area / shape) / height)
    left, top = draw(0, 1 - wide), draw(0, 1 - high)
    return left, top, left + wide, top + high


def cropped(
    image: Float[Tensor, "1 3 h w"], box: Box, mirrored: bool, size: tuple[int, int]
) -> Float[Tensor, "1 3 h2 w2"]:
    """What a box shows, at a size of its own."""
    height, width = image.shape[-2:]
    left, top, right, bottom = box
    rows = slice(round(top * height), max(round(top * height) + 1, round(bottom * height)))
    columns = slice(round(left * width), max(round(left * width) + 1, round(right * width)))
    view = F.interpolate(image[..., rows, columns], size, mode="bilinear", antialias=True)
    return view.flip(-1) if mirrored else view


def moved(objects: list[dict], box: Box, mirrored: bool) -> list[dict]:
    """Outlines in fractions of a box."""
    move = lambda polygon: moved_points(polygon, box, mirrored)
    return [
        {**o, "outline": move(o["outline"]), "holes": [move(h) for h in o.get("holes", ())]}
        for o in objects
    ]


def moved_points(points: Iterable[Sequence[float | int]], box: Box, mirrored: bool) -> list[Point]:
    """Points (x, y) in fractions of a picture, in fractions of a box."""
    left, top, right, bottom = box
    points = (((x - left) / (right - left), (y - top) / (bottom - top)) for x, y in points)
    return [((1 - x) if mirrored else x, y) for x, y in points]


def relit(image: Float[Tensor, "1 3 h w"], generator: torch.Generator) -> Float[Tensor, "1 3 h w"]:
    """Another exposure, contrast, saturation and tint, each by a little."""
    draw = lambda low, high: float(uniform(generator, low, high))
    light = image.clamp(min=1e-4) ** math.exp(draw(-0.4, 0.4))
    light = light * draw(0.75, 1.2)
    middle = light.mean()
    light = middle + (light - middle) * draw(0.75, 1.25)
    grey = light.mean(1, keepdim=True)
    saturation = 0.0 if draw(0, 1) < GREY else draw(0.5, 1.4)
    light = grey + (light - grey) * saturation
    tint = torch.tensor([draw(0.92, 1.08) for _ in range(3)]).view(1, 3, 1, 1)
    return (light * tint).clamp(0, 1)
