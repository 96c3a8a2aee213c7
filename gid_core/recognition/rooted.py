"""What was recognized as swaying, apart by how it is rooted.

A tree that stands on a lawn is held where its trunk begins, not where the lawn ends. So what is
woody, what stands as a field, what hangs and what burns become objects of their own, which share no
material. What is in front is what reaches farther down.

Law: the objects' mattes add up to the matte; where all is rooted alike there is one object.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F

from ..config import ElasticConfig
from ..elastic.sheet import Thing
from ..shapes import Float, Int, Tensor
from ..still.filters import box_mean, pull_push
from ..still.grid import grid_size
from .kinds import KINDS

GROUPS = {  # name of a group: its kinds, and what is told of their rooting
    "woody plants": (("tree", "trunk", "shrub", "leaves"), {"rooting": "one root"}),
    "meadow": (("grass", "reeds", "flower", "hair"), {"rooting": "field"}),
    "what hangs": (("hanging", "cloth"), {"rooting": "each its own", "anchor": "hanging"}),
    "flames": (("flame",), {"rooting": "each its own", "anchor": "ground"}),
}
FINE = 4  # times that grid: kinds are counted on it
GRID = 96  # longest side of the grid on which groups are told apart
AROUND = (
    2  # grid points: the kinds of so many around decide, so that specks join what is beside them
)
LEAST = 0.05  # of all that sways: a smaller group joins another
REACH = 0.98  # of a matte lies above its foot


def rooted_apart(
    matte: Float[Tensor, "1 1 h w"], kind: Int[Tensor, "1 1 h w"], elastic: ElasticConfig
) -> tuple[tuple[Thing, ...], tuple[str, ...]]:
    """Objects from back to front, and their names; none where all is rooted alike.

    Args:
        matte: What sways.
        kind: As in `Recognition`.
        elastic: What everything is made of; each object is rooted in its own way.
    """
    size = tuple(matte.shape[-2:])
    fine, grid = grid_size(*size, FINE * GRID), grid_size(*size, GRID)
    seen = F.interpolate(kind.float(), fine, mode="nearest-exact").long()
    moves = F.interpolate(matte, fine, mode="area")
    shares = []
    for kinds, _ in GROUPS.values():
        among = torch.isin(seen, torch.tensor([KINDS.index(name) for name in kinds]))
        shares.append(F.interpolate(moves * among, grid, mode="area"))
    shares = torch.cat(shares, 1)
    whole = shares.sum((0, 2, 3))
    kept = whole >= LEAST * whole.sum()
    if not whole.sum() > 0 or int(kept.sum()) < 2:
        return (), ()
    shares = box_mean(box_mean(shares, AROUND), AROUND) * kept.view(1, -1, 1, 1)
    # Far from all groups, where something sways that is taken for water, say: what is nearest.
    shares = pull_push(shares, (shares.sum(1, keepdim=True) > 0).float())
    owner = F.interpolate(shares, size, mode="bilinear").argmax(1, keepdim=True)
    found = []
    for i, (name, (_, rooting)) in enumerate(GROUPS.items()):
        own = matte * (owner == i)
        if own.sum() >= LEAST * matte.sum():
            found.append((_foot(own), name, Thing(own, replace(elastic, **rooting))))
    if len(found) < 2:
        return (), ()
    rest = matte - sum(thing.matte for _, _, thing in found)
    _, names, things = zip(*sorted(found, key=lambda part: part[0]))
    first = replace(things[0], matte=things[0].matte + rest)
    return (first, *things[1:]), names


def _foot(matte) -> float:
    """How far down something reaches, 0 at the top and 1 at the bottom."""
    rows = matte.sum((0, 1, 3)).cumsum(0)
    return float((rows < REACH * rows[-1]).sum()) / len(rows)
