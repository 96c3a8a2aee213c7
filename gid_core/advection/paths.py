"""Paths of all points of a still in a flow, forward and backward in time, as a sum of fields.

    x'(t) = v(x) + d/dt Re sum_k S_k(x) exp(i 2 pi f_k t),    x(0) = p

is solved by Runge-Kutta steps of order 4. Between knots a path is a cubic through positions and
velocities, so that D(p, t) = sum_m C_m(p) h_m(t): a displacement whose modal coordinates are the
Hermite basis h. It is exact to order 4 as well.

Law: D(p, 0) = 0, exactly. In a field that is linear in x the error falls with the fourth power of
the step. A path that starts inside a shore stays inside.

Convention: px of the grid. Beyond the grid the velocity is that of its border.

Source: Butcher 2016, Sec. 235; Hairer, Norsett & Wanner 1993, Sec. II.6 (dense output).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange

from ..motion.coords import harmonic_coords
from ..motion.displacement import displacement
from ..shapes import Bool, Complex, Float, Int, Tensor
from ..still.grid import pixel_grid, sample_points

STRIDE = 0.7  # grid points that a step goes at most
STEPS_A_CYCLE = 8  # of the fastest band
MOST_STEPS = 800  # in one direction


@dataclass(frozen=True)
class Paths:
    """Displacements along paths from -duration to +duration.

    fields: Positions at the knots minus the start, then velocities times the time between knots.
    duration_s: of each direction; the knots are evenly spaced, with one at time 0.
    """

    fields: Float[Tensor, "m 2 h w"]
    duration_s: float

    @property
    def knots(self) -> int:
        """Intervals between knots in each direction."""
        return (len(self.fields) // 2 - 1) // 2

    def coords(self, times_s: Float[Tensor, " t"]) -> Complex[Tensor, "m t"]:
        """The Hermite basis at some times: modal coordinates of `fields`."""
        count = len(self.fields) // 2
        at = (times_s.double() / self.duration_s + 1) * self.knots
        before = at.floor().clamp(0, count - 2).long()
        u = at - before
        basis = torch.zeros(2, count, len(times_s), dtype=torch.float64)
        each = torch.arange(len(times_s))
        basis[0, before, each] = (1 + 2 * u) * (1 - u) ** 2
        basis[0, before + 1, each] = u**2 * (3 - 2 * u)
        basis[1, before, each] = u * (1 - u) ** 2
        basis[1, before + 1, each] = u**2 * (u - 1)
        return basis.flatten(0, 1).to(torch.complex64)


def integrate(
    velocity: Float[Tensor, "2 h w"],
    duration_s: float,
    bands: Complex[Tensor, "k 2 h w"] | None = None,
    frequencies_hz: Float[Tensor, " k"] | None = None,
    inside: Bool[Tensor, "h w"] | None = None,
    knots: int = 32,
    poll: Callable[[], None] = lambda: None,
) -> Paths:
    """Follow every grid point forward and backward for `duration_s`.

    Args:
        bands: S_k, amplitudes of a displacement that oscillates in place; none by default.
        inside: What lies within shores: paths that start there stay there.
        knots: Intervals between knots in each direction. The cubic between two of them is wrong by
            at most gap^4 |x''''| / 384.
        poll: Called at every knot; may raise to cancel.
    """
    height, width = velocity.shape[-2:]
    start = rearrange(pixel_grid(height, width, like=velocity), "xy h w -> xy (h w)")
    flow = _unsteady(velocity, bands, frequencies_hz)
    shore = None if inside is None or inside.all() or not inside.any() else _Shore(inside)
    steps = math.ceil(_steps(velocity, duration_s, bands, frequencies_hz) / knots)
    gap = duration_s / knots
    first = flow(0.0)
    found = {0: (torch.zeros_like(start), _read(first, start))}
    for sign in (1, -1):
        place = start.clone()
        h = sign * gap / steps
        for knot in range(1, knots + 1):
            poll()
            t = sign * (knot - 1) * gap
            for i in range(steps):
                place = _runge_kutta(flow, place, t + i * h, h)
                if shore is not None:
                    place = shore.kept(start, place)
            found[sign * knot] = place - start, _read(flow(sign * knot * gap), place)
    order = range(-knots, knots + 1)
    fields = [found[i][0] for i in order] + [found[i][1] * gap for i in order]
    return Paths(rearrange(torch.stack(fields), "m xy (h w) -> m xy h w", h=height), duration_s)


def _runge_kutta(flow, place, t, h):
    """One step of order 4."""
    middle = flow(t + h / 2)
    a = _read(flow(t), place)
    b = _read(middle, place + h / 2 * a)
    c = _read(middle, place + h / 2 * b)
    d = _read(flow(t + h), place + h * c)
    return place + h / 6 * (a + 2 * b + 2 * c + d)


def _read(field, places):
    """A field at some places, bilinear; beyond the grid that of its border."""
    height, width = field.shape[-2:]
    limit = places.new_tensor([[width - 1.0], [height - 1.0]])
    inside = torch.minimum(places.clamp(min=0), limit)
    return sample_points(field[None], inside[None])[0]


def _unsteady(velocity, bands, frequencies_hz):
    """The velocity on the grid as a function of time; the last few are remembered."""
    if bands is None or not bands.any():
        return lambda t: velocity
    turn = 2j * math.pi * frequencies_hz.view(-1, 1, 1, 1)
    rates, recent = (bands * turn)[None], {}

    def at(t):
        if t not in recent:
            coords = harmonic_coords(frequencies_hz, torch.tensor([t], dtype=torch.float64))
            recent[t] = velocity + displacement(rates, coords)[0, 0].to(velocity)
            for old in list(recent)[:-3]:
                del recent[old]
        return recent[t]

    return at


def _steps(velocity, duration_s, bands, frequencies_hz):
    """Steps in one direction: short against the grid, a turn of the flow and a cycle of a band."""
    speed, fastest = float(velocity.norm(dim=0).max()), 0.0
    turns = [part.abs().max() for d in (1, 2) if (part := velocity.diff(dim=d)).numel()]
    if bands is not None and bands.any():
        sizes = bands.abs().square().sum(1).sqrt().flatten(1).amax(1)
        speed += float((sizes * 2 * math.pi * frequencies_hz).square().sum().sqrt())
        fastest = float(frequencies_hz[sizes > 1e-3 * sizes.max()].max())
    rate = max(speed / STRIDE, STEPS_A_CYCLE * max([fastest, *map(float, turns)]))
    return max(1, min(MOST_STEPS, math.ceil(rate * duration_s)))


class _Shore:
    """What holds paths inside: a point that left goes back to the rim of the nearest cell."""

    def __init__(self, inside: Bool[Tensor, "h w"]):
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(
            ~inside.numpy(), return_distances=False, return_indices=True
        )
        self.nearest: Int[Tensor, "2 n"] = torch.from_numpy(nearest).flatten(1).flip(0).long()
        self.began = inside.flatten()
        self.size = tuple(inside.shape)

    def kept(self, start, place):
        height, width = self.size
        limit = place.new_tensor([[width - 1.0], [height - 1.0]])
        within = torch.minimum(place.clamp(min=0), limit)
        x, y = within.round().long()
        cell = self.nearest[:, y * width + x].to(place)
        left = self.began & ((cell - within.round()) != 0).any(0)
        # What left the picture goes on; the shore is followed along the border.
        held = place + (torch.minimum(torch.maximum(within, cell - 0.5), cell + 0.5) - within)
        return torch.where(left, held, place)
