"""Outlines of what would move in a breeze, drawn by eye on photographs, as maps of any size.

A label is `photographs/NAME.json` beside this file: `objects`, each with `kind`, a closed `outline`
and optional `holes` in fractions of width and height, `degree` (0 to 1, how far it goes against
what moves most in the picture), `front` (larger is nearer) and `anchor`: the points at which it is
held, "everywhere" for what stands as a field, or "none". No objects: nothing moves. The photographs
themselves are not here: `CREDITS.tsv` says where each is from, and their folder is given by path.

Law: what lies in front decides: every place belongs to one object or to none.

The split, once and for all: a photograph is for validation if the first byte of the SHA-256 of its
name without suffix is below 51 (one in five by chance), else for training.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ..recognition.kinds import FLOWS, KINDS, SWAYS
from ..shapes import Bool, Float, Int, Tensor

FOLDER = Path(__file__).parent / "photographs"
VALIDATION_BYTE = 51  # of 256
FINENESS = 2  # places are drawn this much finer, on a side, than maps are
BAND = 0.01  # how far an outline may be off, of the longer side
UNSURE = 0.25  # what a place within that counts, against one that is surely on its side
NONE = -1
HARDLY = 0.1  # degree below which a thing, a thick trunk, neither sways nor stays


@dataclass(frozen=True)
class Labels:
    """What the outlines of a photograph say of every place.

    `sways` and `flows` are shares of a place; `kind` an index of `KINDS`, `NONE` where nothing is;
    `certain` is 1 well inside and outside, `UNSURE` near an outline, 0 where a thing hardly sways.
    """

    sways: Float[Tensor, "h w"]
    flows: Float[Tensor, "h w"]
    kind: Int[Tensor, "h w"]
    degree: Float[Tensor, "h w"]
    front: Float[Tensor, "h w"]
    certain: Float[Tensor, "h w"]


def validates(name: str) -> bool:
    """Whether a photograph (its file name without suffix) is kept apart for validation."""
    return hashlib.sha256(name.encode()).digest()[0] < VALIDATION_BYTE


def names(validation: bool, folder: Path = FOLDER) -> list[str]:
    """The photographs of one side of the split, in order."""
    return [p.stem for p in sorted(folder.glob("*.json")) if validates(p.stem) == validation]


def read_outlines(name: str, folder: Path = FOLDER) -> list[dict]:
    """The objects of a photograph, farthest first.

    Raises:
        ValueError: If an object has a kind that is not known, or an outline that is no polygon.
    """
    objects = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["objects"]
    for thing in objects:
        if thing["kind"] not in KINDS:
            raise ValueError(
                f"{name}.json has an object of kind {thing['kind']!r}. Expected one of "
                f"{', '.join(KINDS)}."
            )
        for polygon in (thing["outline"], *thing.get("holes", ())):
            if len(polygon) < 3:
                raise ValueError(
                    f"{name}.json has an outline of {len(polygon)} points. Expected 3 or more."
                )
    return sorted(objects, key=lambda thing: thing["front"])


def drawn(objects: list[dict], size: tuple[int, int]) -> Int[Tensor, "h w"]:
    """Which object is in front at every pixel centre: its place in the list, or `NONE`."""
    from PIL import Image, ImageDraw

    height, width = size

    def inside(polygon) -> Bool[Tensor, "h w"]:
        # Pillow's pixels are centred at integers, ours cover [i, i + 1) of the picture.
        mask = Image.new("L", (width, height))
        points = [(x * width - 0.5, y * height - 0.5) for x, y in polygon]
        ImageDraw.Draw(mask).polygon(points, fill=1)
        return torch.frombuffer(bytearray(mask.tobytes()), dtype=torch.uint8).view(size).bool()

    index = torch.full(size, NONE)
    for number, thing in enumerate(objects):
        covered = inside(thing["outline"])
        for hole in thing.get("holes", ()):
            covered = covered & ~inside(hole)
        index[covered] = number
    return index


def labels(objects: list[dict], size: tuple[int, int]) -> Labels:
    """Maps of a photograph's outlines at (height, width). What has no kind (`None`) is still."""
    height, width = size
    index = drawn(objects, (FINENESS * height, FINENESS * width))

    def read(values, otherwise) -> Tensor:
        """One value an object, where it is in front; `otherwise` where nothing is."""
        table = torch.tensor([*values, otherwise])  # the last is that of NONE, -1
        return table[index]

    def mean(fine):
        return F.avg_pool2d(fine.float()[None, None], FINENESS)[0, 0]

    kinds = [thing["kind"] for thing in objects]
    degrees = [float(thing["degree"]) for thing in objects]
    sways = mean(read([float(kind in SWAYS) for kind in kinds], 0.0))
    flows = mean(read([float(kind in FLOWS) for kind in kinds], 0.0))
    hardly = mean(
        read([kind in SWAYS and d < HARDLY for kind, d in zip(kinds, degrees, strict=True)], False)
    )
    certain = torch.where(_near_an_edge(sways) | _near_an_edge(flows), UNSURE, 1.0)
    middle = (slice(FINENESS // 2, None, FINENESS),) * 2
    return Labels(
        sways,
        flows,
        read([NONE if kind is None else KINDS.index(kind) for kind in kinds], NONE)[middle],
        read(degrees, 0.0)[middle],
        read([float(thing["front"]) for thing in objects], 0.0)[middle],
        torch.where(hardly > 0.5, 0.0, certain),
    )


def _near_an_edge(share: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Whether both sides are found within `BAND`."""
    reach = round(BAND * max(share.shape))
    side = F.pad((share > 0.5).float()[None, None], (reach,) * 4, mode="replicate")
    highest = F.max_pool2d(side, 2 * reach + 1, 1)
    lowest = -F.max_pool2d(-side, 2 * reach + 1, 1)
    return (highest > lowest)[0, 0]
