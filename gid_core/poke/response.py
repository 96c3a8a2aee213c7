"""Poking a still: from gestures to modal coordinates.

Whatever a spectrum holds, bands of a motion or modes of vibration, is taken for shapes S_k with an
oscillator each, q'' + 2 zeta omega q' + omega^2 q = force. A force f at the point p is f . conj(S_k(p))
to mode k, so it moves the point by C f, with the compliance C = Re sum_k S_k(p) S_k(p)^* / omega_k^2.

A pull takes hold: what it holds is where the finger is, at once, in the shape of least energy; let go,
it rings from there. A push is a force. What moves is D = Re sum_k S_k (q_k - i q'_k / omega_k): the
second part is the same motion a quarter period later, so that phases between pixels travel as they do
in playback; shapes of vibration are real, and it is not seen in them. Its size is the mode's energy.

Law: nothing moves without a gesture or wind; without force, energy never grows, at any step; what was
computed here is what `web/gid_modal.js` shows.

Source: Davis et al. 2015, Sec. 6; Li et al. 2024, Sec. 6, whose rule leaves the 1 / omega^2 out.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import torch

from ..motion.coords import harmonic_coords
from ..motion.displacement import Displacement
from ..motion.spectrum import SpectralVolume, moving_points
from ..shapes import Complex, Float, Tensor
from .gestures import Gesture
from .oscillators import rayleigh, step

RULES = {  # damping (alpha, beta), None = the spectrum's own; whether low modes give more
    "physical": (None, True),
    "paper": ((0.4, 0.08), False),  # Li et al. 2024, Sec. 6
    "demo": ((0.8, 0.05), False),  # their page's
}
OWN_DAMPING = 0.09  # of bands, which have none of their own: trees in leaf
SLIP = 0.03  # the softest points follow a finger but for so much, stiffer ones slip more
FARTHEST_PULL = 0.25  # of the longer side: the farther a pull, the less comes of it
PUSH_S = 0.05  # a push by a finger is as a pull by what it passes in this time
PACE_S = 0.02  # and is found so often on its way
FLICK_S = 0.1  # how long a flick lasts
ELSEWHERE = 1.5  # nothing goes farther than so many times the pull
COARSE = 4  # which is looked at in every so many points of the grid
OTHER_SHAPE = 0.03  # difference of two aspect ratios, as a logarithm, that scaling does not explain
NOTHING = 1e-3  # of the softest points' compliance: there is nothing to get hold of


@dataclass(frozen=True)
class Body:
    """What can be poked: the shapes of one still, and the oscillator that each is.

    shapes: px of their grid per unit of q. give: what a unit of force holds a mode at.
    omega, damping_ratio: as they ring; stiffness: what omega^2 was multiplied by.
    softest: the largest compliance of the softest points, but for the last 5 %.
    """

    shapes: Complex[Tensor, "k 2 h w"]
    give: Float[Tensor, " k"]
    omega: Float[Tensor, " k"]
    damping_ratio: Float[Tensor, " k"]
    stiffness: float
    softest: float

    def at(self, x: float, y: float) -> Complex[Tensor, "k 2"]:
        """Shapes at a place in fractions of the picture, between grid points."""
        height, width = self.shapes.shape[-2:]
        x = min(max(x * width - 0.5, 0.0), width - 1.0)
        y = min(max(y * height - 0.5, 0.0), height - 1.0)
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        fx, fy = x - left, y - top
        s = self.shapes[:, :, [top, top, bottom, bottom], [left, right, left, right]]
        near = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
        return s.to(torch.complex128) @ torch.tensor(near, dtype=torch.complex128)


def body_of(
    spectrum: SpectralVolume,
    rule: str = "physical",
    damping_ratio: float = 0.0,
    stiffness: float = 1.0,
) -> Body:
    """The oscillators of one still.

    Args:
        damping_ratio: Of all modes; 0 takes the rule's.
        stiffness: 4 rings twice as fast, and gives way to a push by a quarter.

    Raises:
        ValueError: For several stills, or values out of range.
    """
    if len(spectrum.coeffs) != 1:
        raise ValueError(
            f"Expected the spectrum of one still, got one of {len(spectrum.coeffs)}. A hand pokes "
            "one picture at a time: split the batch before."
        )
    if rule not in RULES:
        raise ValueError(f"Expected the rule to be one of {', '.join(RULES)}, got {rule!r}.")
    if not 0 <= damping_ratio < math.inf or not 0 < stiffness < math.inf:
        raise ValueError(
            f"Expected a damping ratio of 0 or more and a stiffness above 0, got {damping_ratio} and "
            f"{stiffness}."
        )
    shapes = spectrum.coeffs[0]
    nominal = 2 * math.pi * spectrum.frequencies_hz.double()
    omega = nominal * math.sqrt(stiffness)
    law, low_give_more = RULES[rule]
    give = nominal.pow(-2) if low_give_more else torch.ones_like(nominal)
    if damping_ratio > 0:
        ratio = torch.full_like(omega, damping_ratio)
    elif law is not None:
        ratio = rayleigh(omega, *law)
    elif spectrum.damping_ratio is not None:
        ratio = spectrum.damping_ratio.double()
    else:
        ratio = torch.full_like(omega, OWN_DAMPING)
    return Body(shapes, give, omega, ratio, stiffness, _softest(shapes, give, spectrum))


def _softest(shapes, give, spectrum):
    """The larger eigenvalue of the compliance, over what moves: 95th percentile."""
    give = give.to(shapes.real.dtype).view(-1, 1, 1)
    x, y = shapes[:, 0], shapes[:, 1]
    xx, yy = (give * x.abs().square()).sum(0), (give * y.abs().square()).sum(0)
    xy = (give * (x * y.conj()).real).sum(0)
    largest = (xx + yy) / 2 + ((xx - yy).square() / 4 + xy.square()).sqrt()
    share = moving_points(spectrum)
    counted = largest > 0
    if share is not None:
        counted &= share[0, 0] >= 0.5 * share.max()
    return float(largest[counted].quantile(0.95)) if counted.any() else 0.0


def pull(
    body: Body, x: float, y: float, dx: float, dy: float
) -> tuple[Complex[Tensor, " k"], bool]:
    """Where a pull at a place holds every mode for good, and whether there is anything to pull.

    The point goes with the finger, f = (C + slip)^-1 d: nearly all the way where it is soft, less
    where it is stiff, and less where something else would go much farther.
    """
    shape = body.at(x, y)
    height, width = body.shapes.shape[-2:]
    way = torch.tensor([dx * width, dy * height], dtype=torch.float64)
    far = float(way.norm()) / (FARTHEST_PULL * max(height, width))
    if far > 0:
        way = way * (math.tanh(far) / far)
    compliance = torch.einsum("k,kx,ky->xy", body.give + 0j, shape, shape.conj()).real
    size = float(compliance.trace())
    if size <= NOTHING * body.softest or size == 0:
        return torch.zeros(len(shape), dtype=torch.complex128), False
    slip = SLIP * body.softest * torch.eye(2, dtype=torch.float64)
    force = torch.linalg.solve(compliance + slip, way)
    state = body.give * (shape.conj() @ (force + 0j))
    coarse = body.shapes[:, :, ::COARSE, ::COARSE].to(torch.complex128)
    elsewhere = float(torch.einsum("kxhw,k->xhw", coarse, state).real.norm(dim=0).max())
    return state * min(1.0, ELSEWHERE * float(way.norm()) / max(elsewhere, 1e-12)), True


def gesture_response(
    body: Body,
    gestures: Sequence[Gesture],
    times_s: Float[Tensor, " t"],
    strength: float = 1.0,
) -> tuple[Complex[Tensor, "k t"], list[bool]]:
    """Modal coordinates at rising times from 0, and which gestures touched something.

    Every stretch between two events is stepped exactly, so the result does not depend on the frames.
    """
    forces, releases, touched = [], [], []
    for gesture in gestures:
        if gesture.push or gesture.is_flick:
            pushed, any_touch = _force(body, gesture, strength)
            forces.append(pushed)
        else:
            held, any_touch = _held(body, gesture, gesture.way[-1][0], strength)
            releases.append((gesture.end, held))
        touched.append(any_touch)
    held = [g for g in gestures if not g.push and not g.is_flick]
    q = torch.zeros(len(body.omega), dtype=torch.complex128)
    velocity, now = torch.zeros_like(q), 0.0
    coords = torch.zeros(len(q), len(times_s), dtype=torch.complex128)
    wanted = {time: i for i, time in enumerate(times_s.tolist())}
    events = {t for f in forces for t, _ in f} | {t for t, _ in releases} | set(wanted)
    for time in sorted(t for t in events if t <= max(wanted)):
        if time > now:
            first, last = (_sum_at(forces, t, now, time, q) for t in (now, time))
            q, velocity = step(q, velocity, body.omega, body.damping_ratio, time - now, first, last)
            now = time
        q = q + sum(state for end, state in releases if end == time)
        if time in wanted:
            grip = [_held(body, g, time - g.t, strength)[0] for g in held if g.t <= time < g.end]
            coords[:, wanted[time]] = q - 1j * velocity / body.omega + sum(grip)
    return coords, touched


def _held(body, gesture, s, strength):
    dx, dy = gesture.offset(s)
    return pull(body, gesture.x, gesture.y, strength * dx, strength * dy)


def _force(body, gesture, strength):
    """[(time, force by where it would hold)] of a push or flick, straight lines between; none around."""
    if gesture.is_flick:
        _, dx, dy = gesture.way[0]
        state, touched = pull(body, gesture.x, gesture.y, strength * dx, strength * dy)
        # An impulse that starts every mode so fast that it swings as far as the pull would hold it.
        nominal = body.omega / math.sqrt(body.stiffness)
        peak = 2 / (FLICK_S * nominal * body.stiffness) * state
        nothing = torch.zeros_like(state)
        t = gesture.t
        return [(t, nothing), (t + FLICK_S / 2, peak), (t + FLICK_S, nothing)], touched
    places = list(_paced(gesture.way))
    pushed, any_touch = [], False
    for i, (s, dx, dy) in enumerate(places):
        speed_x, speed_y = _speed(places, i)
        x, y = min(max(gesture.x + dx, 0), 1), min(max(gesture.y + dy, 0), 1)
        far = strength * PUSH_S
        state, touched = pull(body, x, y, far * speed_x, far * speed_y)
        pushed.append((gesture.t + s, state / body.stiffness))
        any_touch |= touched
    return pushed, any_touch


def _paced(way) -> Iterator[tuple[float, float, float]]:
    """The places of a way, and more between, PACE_S apart at most."""
    yield way[0]
    for (a, ax, ay), (b, bx, by) in zip(way, way[1:]):
        count = max(1, math.ceil((b - a) / PACE_S))
        for i in range(1, count + 1):
            yield a + (b - a) * i / count, ax + (bx - ax) * i / count, ay + (by - ay) * i / count


def _speed(places, i):
    """Of a finger on its way, from the places before and after; it comes and goes at rest."""
    if i in (0, len(places) - 1):
        return 0.0, 0.0
    (a, ax, ay), (b, bx, by) = places[i - 1], places[i + 1]
    return (bx - ax) / (b - a), (by - ay) / (b - a)


def _sum_at(forces, time, start, end, like):
    """All forces at one end of a stretch in which each is a straight line."""
    total = torch.zeros_like(like)
    for places in forces:
        i = bisect_right(places, start, key=itemgetter(0)) - 1
        if 0 <= i < len(places) - 1 and end <= places[i + 1][0]:
            (a, first), (b, last) = places[i : i + 2]
            total = total + first + (last - first) * ((time - a) / (b - a))
    return total


def poke(
    spectrum: SpectralVolume,
    gestures: Sequence[Gesture],
    duration_s: float = 5.0,
    fps: float = 30.0,
    wind: float = 0.0,
    rule: str = "physical",
    damping_ratio: float = 0.0,
    stiffness: float = 1.0,
    strength: float = 1.0,
) -> tuple[Displacement, str]:
    """What becomes of a still that is poked, and a report of what the gestures met.

    Args:
        wind: Share of the spectrum's own motion that goes on beneath; 1 is all of it.
        strength: 2 pulls and pushes twice as far.

    Raises:
        ValueError: For several stills, or values out of range.
    """
    frames = round(duration_s * fps) if 0 < duration_s * fps < math.inf else 0
    if frames < 1 or not 0 < fps < math.inf:
        raise ValueError(
            f"Expected a clip of at least one frame, got {duration_s:g} s at {fps:g} per second."
        )
    body = body_of(spectrum, rule, damping_ratio, stiffness)
    times = torch.arange(frames, dtype=torch.float64) / fps
    coords, touched = gesture_response(body, gestures, times, strength)
    if wind != 0:
        coords = coords + wind * ambient_coords(spectrum, times)
    motion = Displacement(
        spectrum.coeffs,
        coords.to(spectrum.coeffs.dtype),
        fps,
        spectrum.reference_size,
        spectrum.mask,
    )
    return motion, _report(gestures, touched, frames / fps, wind)


def check_still(spectrum: SpectralVolume, stills: Float[Tensor, "b c h w"]) -> None:
    """Refuse a still that a spectrum is not of. Its size may differ, its shape may not.

    Raises:
        ValueError: With both.
    """
    if len(stills) != 1:
        raise ValueError(f"Expected one still to poke, got {len(stills)}. Split the batch before.")
    (height, width), (h, w) = spectrum.reference_size, stills.shape[-2:]
    if abs(math.log(width * h / (height * w))) > OTHER_SHAPE:
        raise ValueError(
            f"The spectrum is of a still of {width}x{height}, and this one is {w}x{h}: another shape. "
            "Connect the still that the spectrum was made for."
        )


def ambient_coords(
    spectrum: SpectralVolume, times_s: Float[Tensor, " t"]
) -> Complex[Tensor, "k t"]:
    """The motion that a spectrum has without being poked: its playback, or the wind in its modes."""
    if spectrum.kind == "response":
        return harmonic_coords(spectrum.frequencies_hz, times_s)
    if spectrum.ambient is None:
        return torch.zeros(len(spectrum.frequencies_hz), len(times_s), dtype=torch.complex128)
    bands = harmonic_coords(spectrum.ambient_hz, times_s)
    return spectrum.ambient.to(bands.dtype) @ bands


def _report(gestures, touched, duration_s, wind):
    count = f"{len(gestures)} gesture{'s' * (len(gestures) != 1)} in {duration_s:g} s"
    said = [f"{count}, {f'over {wind:g} of the wind' if wind else 'no wind'}."]
    for i, (gesture, touch) in enumerate(zip(gestures, touched)):
        if gesture.t >= duration_s:
            said.append(f"Gesture {i + 1} comes after the end, at {gesture.t:g} s.")
        elif not touch:
            at = f"({gesture.x:.2f}, {gesture.y:.2f})"
            said.append(f"Gesture {i + 1} at {at} touches nothing that moves.")
    return " ".join(said)
