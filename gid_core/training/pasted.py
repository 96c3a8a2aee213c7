"""What few photographs show is pasted into others: lanterns, flags, flames, hair, reeds.

Things of rare kinds are cut out along their outlines and put into views of other photographs, at
another size, place and light. So a kind that three photographs show is seen before hundreds of
backgrounds, and what it hangs or burns before is not taken for it. Decoys have the same shapes and
show a part of a photograph in which nothing moves: that something was pasted says nothing.
Synthetic scenes of such things are views as well; nothing is cut out of them, for their plain
shapes could be anything.

Law: what is pasted is in front, and its outline lies where it was put.

Source: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation", CVPR 2021.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..recognition.kinds import SWAYS
from ..scenes.synthetic import make_scene
from ..scenes.textures import blur, uniform
from ..shapes import Bool, Float, Tensor
from .outlines import drawn
from .views import moved, relit

FEW = 20  # photographs that show a kind: with fewer it is rare
SMALLEST_PX = 20  # longer side of what is cut out
HIDDEN = 0.2  # share of a thing that others may hide
MOST = 3  # things pasted into one view
DECOYS = 0.25  # share of what is pasted
SMALL, LARGE = 0.05, 0.6  # longer side of what is pasted, of the view's
LARGER = 2.5  # most that a thing is enlarged
SOFT_PX = 1.0  # standard deviation of the edge of what is pasted
SCENES = {"lanterns": "hanging", "laundry": "cloth", "candles": "flame"}  # and what moves in them
SCENE_SIZE = (200, 264)  # px (height, width)
SCENE_SEEDS = 7_000_000  # first seed
WHOLE = (0.0, 0.0, 1.0, 1.0)
SPARK = 12  # px: fewer of a scene's mask are no thing


@dataclass(frozen=True)
class CutOut:
    """A thing, the picture of its surroundings, and its outline in fractions of that picture."""

    picture: Float[Tensor, "1 3 h w"]
    thing: dict

    def mask(self, size: tuple[int, int]) -> Float[Tensor, "1 h w"]:
        """Where the thing is, at a size."""
        return (drawn([self.thing], size) == 0).float()[None]


def rare_kinds(outlines: Sequence[list[dict]]) -> list[str]:
    """Kinds that sway and that few photographs show, in the order of their names."""
    seen = Counter(kind for objects in outlines for kind in {o["kind"] for o in objects})
    return sorted(kind for kind, count in seen.items() if count < FEW and kind in SWAYS)


def cut_outs(
    stills: Sequence[Float[Tensor, "1 3 h w"]], outlines: Sequence[list[dict]], kinds: Sequence[str]
) -> list[CutOut]:
    """Things of some kinds, cut out of pictures; what others hide and what is tiny is left."""
    found = []
    for still, objects in zip(stills, outlines, strict=True):
        rare = [number for number, thing in enumerate(objects) if thing["kind"] in kinds]
        index = drawn(objects, tuple(still.shape[-2:])) if rare else None
        for number in rare:
            cut = _cut(still, objects[number])
            if cut is None:
                continue
            alone = int((drawn([objects[number]], tuple(still.shape[-2:])) == 0).sum())
            if int((index == number).sum()) >= (1 - HIDDEN) * alone:
                found.append(cut)
    return found


def scene_views(count: int) -> list[tuple[Float[Tensor, "1 3 h w"], list[dict]]]:
    """Synthetic scenes of things that few photographs show, each with its outlines."""
    made = []
    for number in range(count):
        name = list(SCENES)[number % len(SCENES)]
        scene = make_scene(SCENE_SEEDS + number, SCENE_SIZE, name, 2, 5.0, cells=2)
        things = traced(scene.mask[0] > 0.5, SCENES[name])
        made.append((scene.still[None].clamp(0, 1), things))
    return made


def traced(mask: Bool[Tensor, "h w"], kind: str) -> list[dict]:
    """Objects of a mask: every connected part, outlined by where its rows begin and end."""
    from scipy import ndimage

    height, width = mask.shape
    parts, count = ndimage.label(mask.numpy())
    objects = []
    for number, rows in enumerate(ndimage.find_objects(parts)[:count], 1):
        inside = torch.from_numpy(parts[rows] == number)
        if int(inside.sum()) < SPARK or len(inside) < 2:
            continue
        first = inside.float().argmax(1) + rows[1].start
        last = rows[1].stop - inside.flip(1).float().argmax(1)
        y = torch.arange(rows[0].start, rows[0].stop) + 0.5
        left, right = (torch.stack([x / width, y / height], 1).tolist() for x in (first, last))
        thing = {"kind": kind, "outline": left + right[::-1], "degree": 1.0, "front": 1.0}
        objects.append(thing)
    return objects


def pasted(
    view: Float[Tensor, "1 3 h w"],
    objects: list[dict],
    things: list[CutOut],
    stills: Sequence[Float[Tensor, "1 3 _ _"]],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "1 3 h w"], list[dict]]:
    """A view with one to `MOST` more things in front, and all its outlines.

    Args:
        stills: Photographs in which nothing moves, for decoys; without any there are none.
    """
    draw = lambda low, high: float(uniform(generator, low, high))
    among = lambda several: several[min(len(several) - 1, int(draw(0, 1) * len(several)))]
    view, objects = view.clone(), list(objects)
    height, width = view.shape[-2:]
    for _ in range(1 + int(draw(0, MOST))):
        cut = among(things)
        high, wide = cut.picture.shape[-2:]
        side = math.exp(draw(math.log(SMALL), math.log(LARGE))) * max(height, width)
        scale = min(side / max(high, wide), LARGER, height / high, width / wide)
        size = max(2, int(high * scale)), max(2, int(wide * scale))
        top, left = (int(draw(0, n - m + 1)) for n, m in zip((height, width), size, strict=True))
        decoy = stills and draw(0, 1) < DECOYS
        shown = _part(among(stills), draw) if decoy else cut.picture
        picture = F.interpolate(shown, size, mode="bilinear", antialias=True).clamp(0, 1)
        share = blur(cut.mask(size), SOFT_PX)
        mirrored = draw(0, 1) < 0.5
        if mirrored:
            picture, share = picture.flip(-1), share.flip(-1)
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        below = view[..., rows, columns]
        view[..., rows, columns] = torch.lerp(below, relit(picture, generator), share)
        (thing,) = moved([cut.thing], WHOLE, mirrored)
        seen = (-left / size[1], -top / size[0], (width - left) / size[1], (height - top) / size[0])
        (thing,) = moved([thing], seen, False)
        front = max((o["front"] for o in objects), default=0) + 1
        objects.append({**thing, "front": front, **({"kind": None} if decoy else {})})
    return view, objects


def _part(still, draw):
    """A random part of a picture."""
    height, width = still.shape[-2:]
    share = draw(0.1, 0.5)
    high, wide = max(2, int(share * height)), max(2, int(share * width))
    top, left = int(draw(0, height - high)), int(draw(0, width - wide))
    return still[..., top : top + high, left : left + wide]


def _cut(still, thing) -> CutOut | None:
    """A thing with the picture around it; None if it is too small."""
    height, width = still.shape[-2:]
    x, y = zip(*thing["outline"], strict=True)
    left, right = (min(width, max(0, round(v * width))) for v in (min(x), max(x)))
    top, bottom = (min(height, max(0, round(v * height))) for v in (min(y), max(y)))
    if max(right - left, bottom - top) < SMALLEST_PX or min(right - left, bottom - top) < 2:
        return None
    box = left / width, top / height, right / width, bottom / height
    return CutOut(still[..., top:bottom, left:right], moved([thing], box, False)[0])
