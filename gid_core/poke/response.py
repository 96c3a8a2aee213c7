"""Poking a still: from gestures to modal coordinates.

A spectrum of bands and a spectrum of modes are treated alike: shapes S_k with one oscillator each,
q'' + 2 zeta omega q' + omega^2 q = force. A force f at the point p is f . conj(S_k(p)) to mode k.
It moves that point by C f, with the compliance C = Re sum_k S_k(p) S_k(p)^* / omega_k^2.

A pull grabs a point: while held, the shape with the least energy that puts the point at the finger
is there at once; released, it rings from there. By the paper's rule the force lies along the pull d
instead, so that q_k is d . conj(S_k(p)) times one number for all bands. A push is a force.

The displacement is D = Re sum_k S_k (q_k - i q'_k / omega_k). Its second part is the same motion a
quarter period later, so that phase differences between pixels travel as they do in playback. Shapes
of vibration are real, so it does not show in them. |q - i q' / omega| grows with the energy of the
mode.

Law: nothing moves without a gesture or wind. Without a force the energy never grows, for any time
step. `web/gid_modal.js` computes the same.

Source: Davis et al. 2015, Sec. 6; Li et al. 2024, Sec. 6, whose rule leaves out the 1 / omega^2.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import torch

from ..motion.coords import harmonic_coords
from ..motion.displacement import Displacement
from ..motion.spectrum import SpectralVolume, counting, moving_points
from ..shapes import Complex, Float, Tensor
from .gestures import Gesture
from .oscillators import rayleigh, step

RULES = {
    # Rayleigh damping (alpha, beta), None: the spectrum's own; is compliance 1 / omega^2?; does the
    # force lie along the pull?
    "physical": (None, True, False),
    "paper": ((0.4, 0.08), False, True),  # Li et al. 2024, Sec. 6
    "grip": ((0.4, 0.08), False, False),  # a grip, with the paper's damping
    "demo": ((0.8, 0.05), False, False),  # a grip, with the damping of the paper's demo page
}
DEFAULT_DAMPING = 0.09  # ratio of bands, which have none of their own: trees in leaf
SLIP = (
    0.03  # share of the peak compliance: soft points follow a finger but for this, stiff ones less
)
PULL_LIMIT = 0.25  # of the longer side: scale of the tanh that limits the length of a pull
PUSH_S = 0.05  # a push is as strong as a pull by the distance that the finger moves in this time
PUSH_STEP_S = 0.02  # longest time between two points at which the force of a push is computed
FLICK_S = 0.1  # duration of a flick
MAX_OVERSHOOT = 1.5  # no point goes farther than this many times the pull
OVERSHOOT_STRIDE = 4  # grid points from one to the next of those that are tested for this
LATE_S = 0.5  # before the end of a clip: a release from there on is hardly seen to ring
ASPECT_TOLERANCE = 0.03  # logarithm of the ratio of two aspect ratios that rounding can explain
STANDS = "What flows behind it stands still: a poke moves only what sways."
RIGID = 1e-3  # share of the peak compliance under which a point cannot be pulled


@dataclass(frozen=True)
class Body:
    """What can be poked: the shapes of one still, and one damped oscillator for each.

    shapes: px of their grid per unit of q.
    modal_compliance: static q under a unit force, before `stiffness`.
    omega: rad/s, and damping_ratio: of the free motion, with `stiffness`.
    stiffness: the factor by which omega^2 was multiplied.
    peak_compliance: 95th percentile, over what moves, of a point's largest compliance.
    along: a pull is a force along it; else one that brings the point to the finger.
    """

    shapes: Complex[Tensor, "k 2 h w"]
    modal_compliance: Float[Tensor, " k"]
    omega: Float[Tensor, " k"]
    damping_ratio: Float[Tensor, " k"]
    stiffness: float
    peak_compliance: float
    along: bool = False

    def at(self, x: float, y: float) -> Complex[Tensor, "k 2"]:
        """Shapes at a place in fractions of the picture, bilinear between grid points."""
        height, width = self.shapes.shape[-2:]
        x = min(max(x * width - 0.5, 0.0), width - 1.0)
        y = min(max(y * height - 0.5, 0.0), height - 1.0)
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        fx, fy = x - left, y - top
        s = self.shapes[:, :, [top, top, bottom, bottom], [left, right, left, right]]
        weights = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
        return s.to(torch.complex128) @ torch.tensor(weights, dtype=torch.complex128)


def body_of(
    spectrum: SpectralVolume,
    rule: str = "physical",
    damping_ratio: float = 0.0,
    stiffness: float = 1.0,
) -> Body:
    """The oscillators of one still.

    Args:
        rule: A key of `RULES`.
        damping_ratio: Of all modes; 0 takes the rule's.
        stiffness: A factor: 4 rings twice as fast, and a push moves it a quarter as far.

    Raises:
        ValueError: For several stills, a flow, or values out of range.
    """
    if len(spectrum.coeffs) != 1:
        raise ValueError(
            f"Expected the spectrum of one still, got one of {len(spectrum.coeffs)}. A hand pokes "
            "one picture at a time: split the batch before."
        )
    if spectrum.kind == "flow":
        raise ValueError(
            "Expected a motion that sways, got one that flows: what flows does not ring. Connect "
            "the spectrum of the Motion Spectrum Sampler."
        )
    if rule not in RULES:
        raise ValueError(f"Expected the rule to be one of {', '.join(RULES)}, got {rule!r}.")
    if not 0 <= damping_ratio < math.inf or not 0 < stiffness < math.inf:
        raise ValueError(
            "Expected a damping ratio of 0 or more and a stiffness above 0, got "
            f"{damping_ratio} and {stiffness}."
        )
    shapes = spectrum.coeffs[0]
    nominal = 2 * math.pi * spectrum.frequencies_hz.double()
    omega = nominal * math.sqrt(stiffness)
    rayleigh_damping, is_physical, along = RULES[rule]
    compliance = nominal.pow(-2) if is_physical else torch.ones_like(nominal)
    if damping_ratio > 0:
        ratio = torch.full_like(omega, damping_ratio)
    elif rayleigh_damping is not None:
        ratio = rayleigh(omega, *rayleigh_damping)
    elif spectrum.damping_ratio is not None:
        ratio = spectrum.damping_ratio.double()
    else:
        ratio = torch.full_like(omega, DEFAULT_DAMPING)
    peak = _peak_compliance(shapes, compliance, spectrum)
    return Body(shapes, compliance, omega, ratio, stiffness, peak, along)


def _peak_compliance(shapes, modal_compliance, spectrum):
    """95th percentile, over what moves, of the larger eigenvalue of a point's compliance."""
    modal = modal_compliance.to(shapes.real.dtype).view(-1, 1, 1)
    x, y = shapes[:, 0], shapes[:, 1]
    xx, yy = (modal * x.abs().square()).sum(0), (modal * y.abs().square()).sum(0)
    xy = (modal * (x * y.conj()).real).sum(0)
    largest = (xx + yy) / 2 + ((xx - yy).square() / 4 + xy.square()).sqrt()
    movable = moving_points(spectrum)
    counted = largest > 0
    if movable is not None:
        counted &= counting(movable[0, 0])
    return float(largest[counted].quantile(0.95)) if counted.any() else 0.0


def pull(
    body: Body, x: float, y: float, dx: float, dy: float
) -> tuple[Complex[Tensor, " k"], bool]:
    """The static q of every mode under a pull at (x, y), and whether anything can be pulled there.

    The force is f = (C + slip)^-1 d, or, along the pull, d |d|^2 / (d . (C + slip) d). The point
    follows the finger by d nearly all the way where it is soft, and less where it is stiff. The
    pull is reduced where another point would go much farther than the finger.

    Args:
        x, y: Fractions of the picture.
        dx, dy: The pull, in fractions of the picture's width and height.
    """
    shape = body.at(x, y)
    height, width = body.shapes.shape[-2:]
    target = torch.tensor([dx * width, dy * height], dtype=torch.float64)
    relative = float(target.norm()) / (PULL_LIMIT * max(height, width))
    if relative > 0:
        target = target * (math.tanh(relative) / relative)
    modal = body.modal_compliance
    compliance = torch.einsum("k,kx,ky->xy", modal + 0j, shape, shape.conj()).real
    trace = float(compliance.trace())
    if trace <= RIGID * body.peak_compliance or trace == 0:
        return torch.zeros(len(shape), dtype=torch.complex128), False
    gives = compliance + SLIP * body.peak_compliance * torch.eye(2, dtype=torch.float64)
    if body.along:
        # Without a pull both products are zero.
        force = target * (target @ target / (target @ gives @ target).clamp(min=1e-300))
    else:
        force = torch.linalg.solve(gives, target)
    state = modal * (shape.conj() @ (force + 0j))
    coarse = body.shapes[:, :, ::OVERSHOOT_STRIDE, ::OVERSHOOT_STRIDE].to(torch.complex128)
    farthest = float(torch.einsum("kxhw,k->xhw", coarse, state).real.norm(dim=0).max())
    return state * min(1.0, MAX_OVERSHOOT * float(target.norm()) / max(farthest, 1e-12)), True


def gesture_response(
    body: Body,
    gestures: Sequence[Gesture],
    times_s: Float[Tensor, " t"],
    strength: float = 1.0,
) -> tuple[Complex[Tensor, "k t"], list[bool]]:
    """Modal coordinates at rising times from 0, and for each gesture whether it touched something.

    Every interval between two events is stepped exactly, so the result does not depend on the
    times asked for.

    Args:
        strength: 2 pulls and pushes twice as far.
    """
    forces, releases, touched = [], [], []
    for gesture in gestures:
        if gesture.push or gesture.is_flick:
            force, is_touch = _force(body, gesture, strength)
            forces.append(force)
        else:
            state, is_touch = _held(body, gesture, gesture.trajectory[-1][0], strength)
            releases.append((gesture.end, state))
        touched.append(is_touch)
    pulls = [g for g in gestures if not g.push and not g.is_flick]
    q = torch.zeros(len(body.omega), dtype=torch.complex128)
    velocity, now = torch.zeros_like(q), 0.0
    coords = torch.zeros(len(q), len(times_s), dtype=torch.complex128)
    index_of = {time: i for i, time in enumerate(times_s.tolist())}
    events = {t for f in forces for t, _ in f} | {t for t, _ in releases} | set(index_of)
    for time in sorted(t for t in events if t <= max(index_of)):
        if time > now:
            first, last = (_total_force(forces, t, now, time, q) for t in (now, time))
            q, velocity = step(q, velocity, body.omega, body.damping_ratio, time - now, first, last)
            now = time
        q = q + sum(state for end, state in releases if end == time)
        if time in index_of:
            held = [_held(body, g, time - g.t, strength)[0] for g in pulls if g.t <= time < g.end]
            coords[:, index_of[time]] = q - 1j * velocity / body.omega + sum(held)
    return coords, touched


def _held(body, gesture, s, strength):
    """`pull` to where the finger is s seconds after its touch."""
    dx, dy = gesture.offset(s)
    return pull(body, gesture.x, gesture.y, strength * dx, strength * dy)


def _force(body, gesture, strength):
    """A push or flick as [(time, static q of the force)], linear in between; and if it touches.

    There is no force before the first time and after the last.
    """
    if gesture.is_flick:
        _, dx, dy = gesture.trajectory[0]
        state, is_touch = pull(body, gesture.x, gesture.y, strength * dx, strength * dy)
        # An impulse after which every mode swings as far as the pull would hold it.
        nominal = body.omega / math.sqrt(body.stiffness)
        peak = 2 / (FLICK_S * nominal * body.stiffness) * state
        zero = torch.zeros_like(state)
        t = gesture.t
        return [(t, zero), (t + FLICK_S / 2, peak), (t + FLICK_S, zero)], is_touch
    points = list(_subdivided(gesture.trajectory))
    force, any_touch = [], False
    for i, (s, dx, dy) in enumerate(points):
        speed_x, speed_y = _velocity(points, i)
        x, y = min(max(gesture.x + dx, 0), 1), min(max(gesture.y + dy, 0), 1)
        scale = strength * PUSH_S
        state, is_touch = pull(body, x, y, scale * speed_x, scale * speed_y)
        force.append((gesture.t + s, state / body.stiffness))
        any_touch |= is_touch
    return force, any_touch


def _subdivided(trajectory) -> Iterator[tuple[float, float, float]]:
    """The points of a trajectory, and more in between, at most PUSH_STEP_S apart."""
    yield trajectory[0]
    for (a, ax, ay), (b, bx, by) in zip(trajectory, trajectory[1:]):
        count = max(1, math.ceil((b - a) / PUSH_STEP_S))
        for i in range(1, count + 1):
            yield a + (b - a) * i / count, ax + (bx - ax) * i / count, ay + (by - ay) * i / count


def _velocity(points, i):
    """Central difference of the finger's place; zero at both ends."""
    if i in (0, len(points) - 1):
        return 0.0, 0.0
    (a, ax, ay), (b, bx, by) = points[i - 1], points[i + 1]
    return (bx - ax) / (b - a), (by - ay) / (b - a)


def _total_force(forces, time, start, end, like):
    """Sum of all forces at `time`, one end of an interval [start, end] in which each is linear."""
    total = torch.zeros_like(like)
    for points in forces:
        i = bisect_right(points, start, key=itemgetter(0)) - 1
        if 0 <= i < len(points) - 1 and end <= points[i + 1][0]:
            (a, first), (b, last) = points[i : i + 2]
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
    """The motion of a still that is poked, and a report of what the gestures touched.

    Args:
        wind: Share of the spectrum's own motion that is added; 1 is all of it.
        rule, damping_ratio, stiffness: As in `body_of`.
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
        coords = coords + wind * ambient_coords(spectrum, times, fps / 2)
    motion = Displacement(
        spectrum.coeffs,
        coords.to(spectrum.coeffs.dtype),
        fps,
        spectrum.reference_size,
        spectrum.mask,
        depth=spectrum.depth,
        protect=spectrum.protect,
    )
    report = _report(gestures, touched, frames / fps, wind)
    if wind != 0 and (fast := int((_wind_hz(spectrum) >= fps / 2).sum())):
        report += (
            f" {fast} of {len(_wind_hz(spectrum))} bands of the wind are left out: {fps:g} frames "
            f"per second show less than {fps / 2:g} Hz."
        )
    if spectrum.behind is not None:
        report += f" {STANDS}"
    return motion, report


def check_still(spectrum: SpectralVolume, stills: Float[Tensor, "b c h w"]) -> None:
    """Refuse a still that the spectrum is not of: its size may differ, its aspect ratio may not.

    Raises:
        ValueError: For another aspect ratio, or for several stills.
    """
    if len(stills) != 1:
        raise ValueError(f"Expected one still to poke, got {len(stills)}. Split the batch before.")
    (height, width), (h, w) = spectrum.reference_size, stills.shape[-2:]
    if abs(math.log(width * h / (height * w))) > ASPECT_TOLERANCE:
        raise ValueError(
            f"The spectrum is of a still of {width}x{height}, and this one is {w}x{h}: another "
            "shape. Connect the still that the spectrum was made for."
        )


def ambient_coords(
    spectrum: SpectralVolume, times_s: Float[Tensor, " t"], below_hz: float = math.inf
) -> Complex[Tensor, "k t"]:
    """Modal coordinates without a gesture: playback of bands, or the wind in modes.

    Args:
        below_hz: Bands from this frequency on are left out.
    """
    if spectrum.kind != "response" and spectrum.ambient is None:
        return torch.zeros(len(spectrum.frequencies_hz), len(times_s), dtype=torch.complex128)
    hertz = _wind_hz(spectrum)
    bands = harmonic_coords(hertz, times_s)
    bands[hertz >= below_hz] = 0
    return bands if spectrum.kind == "response" else spectrum.ambient.to(bands.dtype) @ bands


def _wind_hz(spectrum) -> Float[Tensor, " m"]:
    """Frequencies of the motion without a gesture."""
    if spectrum.kind == "response":
        return spectrum.frequencies_hz
    return spectrum.frequencies_hz[:0] if spectrum.ambient is None else spectrum.ambient_hz


def _report(gestures, touched, duration_s, wind):
    count = f"{len(gestures)} gesture{'s' * (len(gestures) != 1)} in {duration_s:g} s"
    sentences = [f"{count}, {f'over {wind:g} of the wind' if wind else 'no wind'}."]
    for i, (gesture, touch) in enumerate(zip(gestures, touched)):
        if gesture.t >= duration_s:
            sentences.append(f"Gesture {i + 1} comes after the end, at {gesture.t:g} s.")
        elif not touch:
            at = f"({gesture.x:.2f}, {gesture.y:.2f})"
            sentences.append(f"Gesture {i + 1} at {at} touches nothing that moves.")
        elif gesture.end > duration_s - min(LATE_S, duration_s / 4):
            sentences.append(
                f"Gesture {i + 1} lets go at {gesture.end:g} s of {duration_s:g} s: its ringing is "
                "hardly seen. Begin it earlier, or make the clip longer."
            )
    return " ".join(sentences)
