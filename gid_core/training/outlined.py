"""Motion for outlined photographs: the elastic prior, told by outlines what things are.

Every outlined thing has the material of its kind, is held where its outline says, and goes as far
as its degree says. Winds blow one after the other over the same things, each in its own weather.

Convention: unit motion is what goes farthest in the whole photograph, in any weather. A crop shows
the same thing larger, and its motion as much larger, in shares of the picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..config import ElasticConfig, SpectrumConfig
from ..elastic.kinds import KINDS, WEATHER, prior
from ..elastic.response import wind_response
from ..elastic.sheet import Thing, solve
from ..motion.spectrum import counting
from ..recognition.kinds import SWAYS
from ..scenes.textures import uniform
from ..shapes import Complex, Float, Int, Tensor
from ..still.matte import refine_mask
from .outlines import drawn

ALIKE = {"trunk": "tree", "leaves": "shrub"}  # kinds of outlines to kinds of the elastic prior
GRID = 72  # longest side of the sheet
MODES = 24  # of the largest part
LEAST = 3e-4  # of a view: what is seen less of does not count
HELD = 0.02  # radius of the disc at which a thing is held, of the longer side
VARIED = 0.25  # deviation of the logarithm of natural frequencies and damping
PERCENTILE = 0.95  # of the points of a thing, whose amplitude is its degree
FARTHEST = 2.5  # no point goes farther than so many times that


@dataclass(frozen=True)
class Moved:
    """A view of a photograph in several winds.

    coeffs: One motion a wind, px of nothing: unit motion is 1.
    matte: Share of every pixel of the view that moves.
    """

    coeffs: Complex[Tensor, "n k 2 h w"]
    matte: Float[Tensor, "1 1 hr wr"]


def blown(
    view: Float[Tensor, "1 3 hr wr"],
    objects: Sequence[dict],
    enlarged: float,
    winds: int,
    spectrum: SpectrumConfig,
    generator: torch.Generator,
) -> Moved | None:
    """A view in several winds; None if nothing in it sways.

    Args:
        objects: Outlines of the view, farthest first (`outlines.read_outlines`, `views.moved`).
        enlarged: How many times larger the view shows things than the photograph does.
    """
    size = tuple(view.shape[-2:])
    index = drawn(list(objects), size)
    seen = [i for i, o in enumerate(objects) if o["kind"] in SWAYS and o["degree"] > 0]
    seen = [i for i in seen if (index == i).float().mean() > LEAST]
    if not seen:
        return None
    matte = refine_mask(view, sum((index == i).float() for i in seen)[None, None])
    varied = [math.exp(VARIED * float(torch.randn((), generator=generator))) for _ in range(2)]
    things = [_thing(objects[i], (index == i).float()[None, None], *varied) for i in seen]
    sheet = solve(view, matte, None, ElasticConfig(longest_side=GRID), things=things)
    motions = [_in_wind(sheet, matte, things, spectrum, generator) for _ in range(winds)]
    coeffs = (
        torch.cat([m for m in motions if m is not None])
        if any(m is not None for m in motions)
        else None
    )
    if coeffs is None:
        return None
    gains = _gains(coeffs, index, objects, seen)
    return Moved(enlarged * coeffs * gains, matte)


def _thing(thing, mask, faster, damped) -> Thing:
    """An outlined thing: the material of its kind, varied, and where it is held."""
    own = KINDS[ALIKE.get(thing["kind"], thing["kind"])].elastic
    own = replace(
        own,
        longest_side=GRID,
        modes=MODES,
        sway_hz=own.sway_hz * faster,
        damping_ratio=own.damping_ratio * damped,
    )
    if thing["anchor"] == "everywhere":
        return Thing(mask, replace(own, rooting="field", rooted=max(own.rooted, 0.7)))
    if thing["anchor"] == "none":
        return Thing(mask, own)
    inside = [(x, y) for x, y in thing["anchor"] if -HELD < x < 1 + HELD and -HELD < y < 1 + HELD]
    if not inside:  # it is held outside of the view
        return Thing(mask, replace(own, anchor="border"))
    height, width = mask.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    reach = HELD * max(height, width)
    discs = [torch.hypot(x - px * width, y - py * height) < reach for px, py in inside]
    return Thing(mask, own, torch.stack(discs).any(0).float()[None, None])


def _in_wind(sheet, matte, things, spectrum, generator):
    """The motion in one wind, of unit size over all; None if nothing moves."""
    names = list(WEATHER)
    weather = names[int(torch.randint(len(names), (), generator=generator))]
    air = prior("custom", weather).wind
    way = 0.0 if uniform(generator, 0, 1) < 0.5 else 180.0
    way += float(uniform(generator, -25, 25))
    coeffs = wind_response(
        sheet, matte, things[0].elastic, replace(air, direction_deg=way), spectrum, generator
    ).coeffs
    size = coeffs.abs().square().sum((1, 2)).sqrt()
    moving = size[size > 0.02 * size.max()]
    return coeffs / moving.quantile(PERCENTILE) if len(moving) else None


def _gains(
    coeffs: Complex[Tensor, "n k 2 h w"], index: Int[Tensor, "hr wr"], objects, seen
) -> Float[Tensor, "n 1 1 h w"]:
    """What brings every thing to its degree, and no point much farther."""
    grid = tuple(coeffs.shape[-2:])
    size = coeffs.abs().square().sum((1, 2)).mean(0).sqrt()
    gain = torch.zeros(grid)
    known = torch.zeros(grid)
    for i in seen:
        share = F.adaptive_avg_pool2d((index == i).float()[None, None], grid)[0, 0]
        own = counting(share)
        typical = size[own].quantile(PERCENTILE)
        if typical > 0:
            gain += share * objects[i]["degree"] / typical
            known += share
    gain, known = gain[None, None], known[None, None]
    near = lambda x: F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    gain = torch.where(
        known > 0, gain / known.clamp(min=1e-6), near(gain) / near(known).clamp(min=1e-6)
    )
    size = coeffs.abs().square().sum((1, 2))[:, None].sqrt() * gain
    far = size / FARTHEST
    return (gain * far.clamp(min=1e-6).tanh() / far.clamp(min=1e-6))[:, :, None]
