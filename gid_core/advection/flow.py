"""From a still, a mask and hints to a spectral volume of kind "flow".

Law: the same generator state gives the same flow. Where the mask is 0 nothing shows; without
strokes everything goes the way asked for, as far as shores allow.

Convention: speed in % of the picture's width per second, where perspective is 1: nearest.

Source: motion as a steady velocity, Holynski et al., "Animating Pictures with Eulerian Motion
Fields", CVPR 2021; a flow from hints, with a mask, is ours.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..config import FlowConfig
from ..motion.displacement import front_to_back
from ..motion.spectrum import SpectralVolume, counting
from ..shapes import Bool, Float, Tensor
from ..still.filters import box_mean, dilated, pull_push
from ..still.grid import grid_size
from .kinds import FlowKind, flow_kind
from .strokes import Stroke, on_grid
from .turbulence import curl, eddies, flicker, ripples, smooth_noise
from .velocity import solve_velocity

DRAWN = 100.0  # weight of a stroke against the smoothness of the flow
SPREAD = 3.0  # grid points over which a flow turns from the way asked for to that along a shore
FARTHEST = 0.08  # least speed by perspective, against the nearest
AT_FOOT = 0.05  # speed of what is rooted at its foot, against that at its top
CLOSED = 0.3  # share of the speed asked for below which shores are said to close the flow off
CONTRADICTED = 0.5  # share of the strokes' speed that the flow misses on them
MOST_FLOWS = 4  # behind each other in one still
FASTEST_PCT = 1000.0  # % of the width per second
MOST_BANDS = 64
STEADY = 0.3  # of eddies that stay where they are, against those that are carried along


@dataclass(frozen=True)
class FlowReport:
    """What was made of the hints of one still.

    speed_pct: Median speed of what flows, % of the width per second.
    share: Of the picture, what flows, 0 to 1.
    notes: What should be known, in sentences.
    """

    speed_pct: float
    share: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.share == 0:
            return "Nothing flows: the mask is empty."
        said = (
            f"{100 * self.share:.0f} % of the picture flows, at {self.speed_pct:.2g} % of the "
            "width per second in the median."
        )
        return " ".join([said, *self.notes])


def flow(
    size: tuple[int, int],
    matte: Float[Tensor, "1 1 h w"],
    generator: torch.Generator,
    config: FlowConfig = FlowConfig(),
    strokes: tuple[Stroke, ...] = (),
    depth: Float[Tensor, "1 1 h w"] | None = None,
) -> tuple[SpectralVolume, FlowReport]:
    """The flow of one still.

    Args:
        size: (height, width) of the still.
        matte: What flows, 0 to 1, at the still's size.
        depth: White is near and flows faster.

    Raises:
        ValueError: For a kind that is not known, or numbers out of range.
    """
    kind = flow_kind(config.kind)
    _check(config)
    grid = grid_size(*size, config.longest_side)
    covered = F.interpolate(matte, grid, mode="area")[0, 0]
    flows = counting(covered) & (covered > 0)
    hints = on_grid(strokes, grid)
    flows = flows & ~hints.obstacle
    soft = _feathered(matte, kind.feather * max(size))
    velocity, notes = _velocity(grid, flows, hints, strokes, kind, config, depth)

    frequencies = _frequencies(kind, config)
    pace = velocity.norm(dim=0)
    inner = _inner(flows, kind, grid) * (pace / pace.max().clamp(min=1e-12))
    eddy = kind.eddy * max(grid)
    stirred = kind.stirred * config.turbulence
    if not kind.confined and stirred > 0 and flows.any():
        speed = float(velocity[:, flows].norm(dim=0).mean())
        velocity = velocity + _steady(grid, eddy, STEADY * stirred * speed, generator)
    swirls = eddies(velocity, inner, frequencies, kind.lowest_hz, eddy, stirred, generator)
    light = None
    if config.light > 0:
        shine = F.interpolate(soft, grid, mode="area")[0, 0] * (covered > 0)
        patch = kind.flicker * max(grid)
        light = flicker(shine, frequencies, kind.flicker_hz, patch, config.light, generator)[None]
        if frequencies[0] > kind.flicker_hz * (1 + 1e-6):
            notes = (
                *notes,
                f"Its light flickers at {float(frequencies[0]):.2g} Hz, which is fast for "
                f"{config.kind}: from {1 / kind.flicker_hz:.2g} s of duration on it is slower.",
            )
    if config.ripples_pct > 0 and flows.any():
        if kind.divergence_free:
            near = _inner(flows, kind, grid) * perspective(grid, depth, config.horizon)
            heading, amplitude = _asked(kind, config), config.ripples_pct / 100 * grid[1]
            swirls = swirls + ripples(near, heading, frequencies, amplitude, generator)
        else:
            notes = (*notes, "Ripples are for water, and there are none here.")
    seen = velocity[:, flows].norm(dim=0)
    speed = 100 * float(seen.median()) / grid[1] if flows.any() else 0.0
    volume = SpectralVolume(
        coeffs=swirls[None],
        frequencies_hz=frequencies,
        reference_size=size,
        mask=soft,
        kind="flow",
        velocity=velocity[None],
        confined=kind.confined,
        light=light,
    )
    return volume, FlowReport(speed, float(flows.float().mean()), notes)


def behind(motion: SpectralVolume, flowing: SpectralVolume) -> SpectralVolume:
    """A motion with a flow that goes on behind it, and behind what flows behind it already.

    Raises:
        ValueError: If they are of different stills, the one in front is no motion to play, or more
            than `MOST_FLOWS` flow.
    """
    if motion.kind == "modes":
        raise ValueError(
            "Expected a motion to play in front of the flow, got one of modes. Connect the "
            "spectrum of the Motion Spectrum Sampler, of kind motion to play, or of Flow Motion."
        )
    flows = [m for m in (*front_to_back(motion), *front_to_back(flowing)) if m.kind == "flow"]
    if len(flows) > MOST_FLOWS:
        raise ValueError(
            f"Expected at most {MOST_FLOWS} motions that flow in one still, got {len(flows)}. Let "
            "some of them flow by one Flow Motion, with a mask of all and strokes."
        )
    if motion.reference_size != flowing.reference_size:
        (height, width), (h, w) = motion.reference_size, flowing.reference_size
        raise ValueError(
            f"Expected both motions of one still, got one of {width}x{height} in front of one of "
            f"{w}x{h}. Make both from the same picture."
        )
    if len(motion.coeffs) != len(flowing.coeffs) and len(flowing.coeffs) != 1:
        raise ValueError(
            f"Expected one flow, or one for each of the {len(motion.coeffs)} motions in front, got "
            f"{len(flowing.coeffs)}."
        )
    if motion.behind is not None:
        flowing = behind(motion.behind, flowing)
    return replace(motion, behind=flowing)


def perspective(
    grid: tuple[int, int],
    depth: Float[Tensor, "1 1 hd wd"] | None = None,
    horizon: float | None = None,
) -> Float[Tensor, "h w"]:
    """Speed against that of the nearest, by depth (white is near) and by a horizon.

    On a plane below the horizon, or a ceiling of clouds above it, what lies d below or above it is
    seen to move with a speed proportional to d.
    """
    height, width = grid
    scale = torch.ones(grid)
    if depth is not None:
        near = F.interpolate(depth, grid, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
        scale = scale * near / near.max().clamp(min=1e-6)
    if horizon is not None:
        away = ((torch.arange(height) + 0.5) / height - horizon).abs()
        scale = scale * (away / away.max())[:, None]
    return scale.clamp(min=FARTHEST)


def _velocity(grid, flows, hints, strokes, kind, config, depth):
    """The velocity on the grid, and notes on what the hints met."""
    notes = []
    speed = config.speed_pct / 100 * grid[1]
    asked = speed * _asked(kind, config).view(2, 1, 1)
    scale = perspective(grid, depth, config.horizon)
    if kind.rooted:
        scale = scale * _height_above_foot(flows)
    drawn = (hints.count > 0) & flows
    missed = sum(not _touches(stroke, flows) for stroke in strokes if not stroke.obstacle)
    if missed:
        notes.append(
            f"{missed} of {len(strokes)} strokes lie outside the mask and count for nothing."
        )
    untold = flows & ~_told(flows, hints, kind.divergence_free)
    weight = torch.where(untold, 1 / SPREAD**2, 0.0)
    target = asked.expand(2, *grid) * untold
    mean = speed * hints.heading / hints.count.clamp(min=1)
    target = torch.where(drawn, mean, target)
    weight = torch.where(drawn, DRAWN, weight)
    if not kind.divergence_free:  # what flows behind an outline flows there, too
        weight = torch.where(hints.obstacle, DRAWN, weight)
    velocity = solve_velocity(target, weight, flows, scale, kind.divergence_free)
    wanted = (asked.norm() * scale)[untold]
    if untold.any() and speed > 0 and kind.divergence_free:
        got = velocity[:, untold].norm(dim=0)
        share = float(got.mean() / wanted.mean())
        if share < CLOSED:
            notes.append(
                "What flows is closed in on all sides, so that it could only turn round: it passes "
                "through its outline. Draw strokes for another way."
            )
            velocity = solve_velocity(target, weight, flows, scale, divergence_free=False)
        else:
            velocity = velocity / min(1.0, share)
    if drawn.any() and speed > 0:
        got = (velocity / scale)[:, drawn]
        missing = (got - mean[:, drawn]).norm(dim=0).mean()
        opposed = hints.heading[:, drawn].norm(dim=0).mean() / hints.count[drawn].mean()
        if missing > CONTRADICTED * speed or opposed < CONTRADICTED / 2:
            notes.append("Strokes contradict each other, or a shore: their mean is followed.")
    return velocity, tuple(notes)


def _asked(kind, config) -> Float[Tensor, "2"]:
    """The way asked for, (x, y), of length 1."""
    angle = math.radians(kind.heading_deg + config.direction_deg)
    return torch.tensor([math.cos(angle), -math.sin(angle)])


def _told(flows, hints, by_parts):
    """Where strokes say which way it flows: the parts of the mask that a moving stroke touches."""
    from scipy.ndimage import label

    moving = (hints.heading.norm(dim=0) > 0) & flows
    if not by_parts:
        return torch.full_like(flows, bool(moving.any()))
    parts, _ = label(flows.numpy())
    parts = torch.from_numpy(parts)
    return torch.isin(parts, parts[moving].unique()) & flows


def _touches(stroke, flows):
    alone = on_grid((stroke,), tuple(flows.shape))
    return bool(((alone.count > 0) & flows).any())


def _height_above_foot(flows):
    """0 at the foot of every part of the mask, 1 at its top; continued smoothly beyond it."""
    from scipy.ndimage import find_objects, label

    parts, _ = label(flows.numpy())
    height = torch.zeros(flows.shape)
    for i, (rows, columns) in enumerate(find_objects(parts), 1):
        count = rows.stop - rows.start
        rise = (torch.arange(count, 0, -1) - 0.5) / count
        here = torch.from_numpy(parts[rows, columns] == i)
        part = height[rows, columns]
        height[rows, columns] = torch.where(here, rise[:, None].expand_as(part), part)
    if flows.any():
        height = pull_push(height[None, None], flows[None, None].float())[0, 0]
    return AT_FOOT + (1 - AT_FOOT) * height


def _inner(flows: Bool[Tensor, "h w"], kind: FlowKind, grid) -> Float[Tensor, "h w"]:
    """How strong eddies are: 0 along shores and outside of them."""
    from scipy.ndimage import distance_transform_edt

    if not kind.confined:
        return torch.ones(grid) if flows.any() else torch.zeros(grid)
    if flows.all() or not flows.any():
        return flows.float()
    away = torch.from_numpy(distance_transform_edt(flows.numpy())).float() - 1
    return (away / max(1.0, kind.eddy * max(grid) / 2)).clamp(0, 1)


def _steady(grid, size, rms, generator):
    """Eddies that stay: a flow is not the same everywhere."""
    swirl = curl(smooth_noise((grid[0] + 1, grid[1] + 1), max(3.0, size), generator)).real
    return swirl * (rms / swirl.square().sum(0).mean().sqrt().clamp(min=1e-12))


def _frequencies(kind, config):
    """Harmonics of 1 / duration, up to the highest that eddies or light have; one at least."""
    highest = max(kind.highest_hz, kind.flicker_hz if config.light > 0 else 0.0)
    count = min(MOST_BANDS, max(1, math.floor(highest * config.duration_s + 1e-6)))
    return torch.arange(1, count + 1, dtype=torch.float32) / config.duration_s


def _feathered(matte, radius):
    """The mask with a soft outline that reaches outwards."""
    radius = round(radius)
    if radius < 1 or not matte.any():
        return matte
    wide = dilated(matte[0], radius)[None]
    half = max(1, radius // 2)
    return torch.maximum(matte, box_mean(box_mean(wide, half), half)).clamp(0, 1)


def _check(config):
    if not 0 <= config.speed_pct <= FASTEST_PCT:
        raise ValueError(
            f"Expected a speed from 0 to {FASTEST_PCT:g} % of the width per second, got "
            f"{config.speed_pct}."
        )
    if not math.isfinite(config.direction_deg):
        raise ValueError(f"Expected a direction in degrees, got {config.direction_deg}.")
    for name, value, most in (
        ("turbulence", config.turbulence, 10),
        ("light", config.light, 1),
        ("ripples", config.ripples_pct, 5),
    ):
        if not 0 <= value <= most:
            raise ValueError(f"Expected a {name} from 0 to {most}, got {value}.")
    if config.horizon is not None and not 0 <= config.horizon <= 1:
        raise ValueError(
            f"Expected a horizon from 0 to 1 of the height, from the top, got {config.horizon}."
        )
    if not 0 < config.duration_s < math.inf:
        raise ValueError(f"Expected a duration above 0 s, got {config.duration_s}.")
