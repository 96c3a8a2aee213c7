import math
from dataclasses import replace

import pytest
import torch

from gid_core.motion.playback import play
from gid_core.motion.spectrum import SpectralVolume
from gid_core.poke.gestures import Gesture, read_gestures
from gid_core.poke.response import (
    ambient_coords,
    body_of,
    check_still,
    gesture_response,
    poke,
    pull,
)

H, W = 12, 18
HERTZ = torch.tensor([0.7, 1.3, 2.9])


def pulling(t=0.2, x=0.5, y=0.3, dx=0.05, dy=0.0, hold=0.5):
    return read_gestures(f'[{{"t":{t},"x":{x},"y":{y},"dx":{dx},"dy":{dy},"hold":{hold}}}]')


def modes(damping=0.1, hertz=HERTZ, ambient=None):
    """Real shapes that are zero at the lower border and largest at the upper."""
    y, x = torch.meshgrid(torch.linspace(1, 0, H), torch.linspace(-1, 1, W), indexing="ij")
    components = (y, 0.2 * x * y), (y * x, y.square()), (y.pow(3), -x * y)
    shapes = torch.stack([torch.stack(xy) for xy in components])
    n = len(hertz)
    return SpectralVolume(
        shapes[:n][None].to(torch.complex64) * (1 + torch.arange(n)).view(1, n, 1, 1, 1) / n,
        hertz,
        (60, 90),
        damping_ratio=torch.full((n,), damping),
        kind="modes",
        ambient=ambient,
        ambient_hz=None if ambient is None else torch.tensor([0.4, 0.8]),
    )


def bands(rng):
    coeffs = torch.randn(1, 3, 2, H, W, generator=rng, dtype=torch.complex64)
    return SpectralVolume(coeffs, HERTZ, (60, 90))


def times(count=200, fps=50.0):
    return torch.arange(count, dtype=torch.float64) / fps


@pytest.mark.parametrize("damping", [0.02, 0.3, 1.0, 2.5])
def test_a_released_pull_rings_as_the_closed_form(damping):
    # q(0) = s, q'(0) = 0 of a damped oscillator.
    body = body_of(modes(damping))
    gesture = Gesture(0.0, 0.5, 0.2, ((0.0, 0.0, 0.0), (0.1, 0.04, 0.01), (0.4, 0.04, 0.01)))
    at = times()
    coords, touched = gesture_response(body, [gesture], at)
    state, _ = pull(body, 0.5, 0.2, 0.04, 0.01)
    assert touched == [True]
    after = at >= 0.4
    s = (at[after] - 0.4)[None]
    omega, zeta = body.omega[:, None], torch.tensor(damping, dtype=torch.float64)
    if damping < 1:
        wd = omega * (1 - zeta**2).sqrt()
        shape = (-zeta * omega * s).exp() * ((wd * s).cos() + zeta * omega / wd * (wd * s).sin())
    elif damping == 1:
        shape = (-omega * s).exp() * (1 + omega * s)
    else:
        root = omega * (zeta**2 - 1).sqrt()
        slow, fast = zeta * omega - root, zeta * omega + root
        shape = (fast * (-slow * s).exp() - slow * (-fast * s).exp()) / (fast - slow)
    # The second part of D, a quarter period later, is imaginary where the state is real.
    assert not state.imag.abs().max() > 0
    assert torch.allclose(coords[:, after].real, state.real[:, None] * shape, atol=1e-9)


def test_a_held_point_follows_the_finger():
    spectrum = modes()
    body = body_of(spectrum)
    (gesture,) = pulling(dx=0.03, dy=0.02, y=0.1)
    coords, _ = gesture_response(body, [gesture], times())
    still, _ = pull(body, 0.5, 0.1, 0.03, 0.02)
    during = (times() > 0.45) & (times() < 0.69)
    assert torch.allclose(coords[:, during].real, still.real[:, None].expand(-1, int(during.sum())))
    moved = (body.at(0.5, 0.1).T @ still).real
    target = torch.tensor([0.03 * W, 0.02 * H], dtype=torch.float64)
    # Soft points follow nearly all the way; tanh and slip take a little off.
    assert 0.8 < float(moved.norm() / target.norm()) < 1.0
    assert float(moved @ target / moved.norm() / target.norm()) > 0.95


@pytest.mark.parametrize("dt", [0.001, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("damping", [0.0, 0.05, 1.0, 3.0])
def test_energy_never_grows_without_a_force(dt, damping):
    spectrum = modes(max(damping, 1e-9))
    body = body_of(spectrum)
    at = torch.arange(60, dtype=torch.float64) * dt + 0.5
    coords, _ = gesture_response(body, pulling(t=0.0, hold=0.3), at)
    # omega^2 |q - i q' / omega|^2 is twice the energy of a mode with a real state.
    energy = (body.omega[:, None].square() * coords.abs().square()).sum(0)
    assert energy[0] > 0
    assert (energy.diff() <= 1e-12 * energy[0]).all()


def test_frames_are_samples_of_one_motion():
    body = body_of(modes())
    gestures = [*pulling(), *pulling(t=0.9, x=0.2, dy=0.05, hold=0.0)]
    coarse, _ = gesture_response(body, gestures, times(40, 10.0))
    fine, _ = gesture_response(body, gestures, times(400, 100.0))
    assert torch.allclose(coarse, fine[:, ::10], atol=1e-9)


def test_an_oscillating_push_gives_the_resonance_curve():
    # One mode of 1.3 Hz, a push back and forth at three rates, the response after the transient.
    spectrum = modes(0.05, HERTZ[1:2])
    body = body_of(spectrum)
    rates, amplitudes = torch.tensor([0.6, 1.3, 2.2]), []
    for rate in rates.tolist():
        s = torch.arange(1, 300) / 25
        path = [[float(a), float(0.02 * torch.sin(2 * math.pi * rate * a)), 0.0] for a in s]
        way = ((0.0, 0.0, 0.0), *map(tuple, path), (12.0, 0.0, 0.0))
        coords, _ = gesture_response(body, [Gesture(0.0, 0.5, 0.3, way, push=True)], times(600))
        # A push is proportional to the finger's speed, which grows with the rate: divided out.
        amplitudes.append(float(coords[0, 400:].real.abs().max()) / rate)
    ratio = rates / 1.3
    theory = 1 / torch.sqrt((1 - ratio**2).square() + (2 * 0.05 * ratio).square())
    found = torch.tensor(amplitudes) / amplitudes[0] * float(theory[0])
    assert int(found.argmax()) == 1
    # The finger passes soft and stiff points, and its speed is read from points 0.02 s apart.
    assert torch.allclose(found.log(), theory.log(), atol=0.15)


def test_nothing_moves_without_a_gesture_or_wind():
    motion, report = poke(modes(), [])
    assert not motion.modal_coords.any() and "0 gestures in 5 s, no wind" in report


def test_two_fingers_add_up():
    body = body_of(modes())
    one, two = pulling(dx=0.02), pulling(t=0.6, x=0.2, y=0.4, dx=-0.01, dy=0.02)
    together, _ = gesture_response(body, [*one, *two], times())
    apart = gesture_response(body, one, times())[0] + gesture_response(body, two, times())[0]
    assert torch.allclose(together, apart, atol=1e-12)


def test_the_order_of_gestures_means_nothing():
    body = body_of(modes())
    gestures = [*pulling(), *pulling(t=0.1, x=0.8), *pulling(t=1.0, hold=0.0)]
    first, _ = gesture_response(body, gestures, times())
    again, _ = gesture_response(body, gestures[::-1], times())
    assert torch.allclose(first, again, atol=1e-12)


def test_a_stiffer_body_rings_faster_and_a_flick_moves_it_less():
    soft, stiff = (body_of(modes(1e-6), stiffness=s) for s in (1.0, 4.0))
    assert torch.allclose(stiff.omega, 2 * soft.omega)
    flick = pulling(t=0.0, x=0.3, hold=0.0)
    sizes = [gesture_response(b, flick, times())[0].abs().amax(1) for b in (soft, stiff)]
    assert (sizes[1] < sizes[0]).all()


def test_a_flick_swings_as_far_as_a_pull_would_hold():
    # For slow modes: a flick is no impulse for a mode whose period is as short as the flick.
    spectrum = modes(1e-6, HERTZ[:1])
    body = body_of(spectrum)
    state, _ = pull(body, 0.5, 0.3, 0.05, 0.0)
    coords, _ = gesture_response(body, pulling(t=0.0, hold=0.0), times())
    assert coords.real.abs().max() == pytest.approx(float(state.abs().max()), rel=0.05)


def test_poking_where_nothing_moves_moves_nothing_and_is_reported():
    motion, report = poke(modes(), pulling(y=0.999))
    assert not motion.modal_coords.any()
    assert "Gesture 1 at (0.50, 1.00) touches nothing that moves." in report


def test_a_gesture_after_the_end_is_reported():
    _, report = poke(modes(), pulling(t=7.0))
    assert "comes after the end, at 7 s" in report


def test_longer_pulls_go_farther_up_to_a_limit():
    body = body_of(modes())
    far = [float(pull(body, 0.5, 0.1, d, 0.0)[0].norm()) for d in (0.01, 0.02, 0.1, 0.5, 1.0)]
    assert far[1] == pytest.approx(2 * far[0], rel=0.01)
    assert all(a < b for a, b in zip(far, far[1:])) and far[4] < 30 * far[0]


def test_the_papers_rule_gives_all_modes_the_same_compliance():
    body = body_of(modes(), "paper")
    omega = 2 * math.pi * HERTZ.double()
    assert torch.allclose(body.damping_ratio, (0.4 + 0.08 * omega**2) / (2 * omega))
    assert (body.modal_compliance == 1).all() and body.along
    grip = body_of(modes(), "grip")
    assert torch.equal(grip.damping_ratio, body.damping_ratio) and not grip.along
    demo = body_of(modes(), "demo")
    assert torch.allclose(demo.damping_ratio, (0.8 + 0.05 * omega**2) / (2 * omega))


def test_by_the_papers_rule_every_band_takes_the_pull_along_its_shape(rng):
    spectrum = bands(rng)
    width, height = spectrum.coeffs.shape[-1], spectrum.coeffs.shape[-2]
    for x, y, dx, dy in ((0.3, 0.6, 0.03, 0.01), (0.8, 0.2, -0.02, 0.04)):
        body = body_of(spectrum, "paper")
        state, touched = pull(body, x, y, dx, dy)
        d = torch.tensor([dx * width, dy * height], dtype=torch.float64)
        along = body.at(x, y).conj() @ (d + 0j)
        share = state / along
        assert touched and torch.allclose(share, share.mean(), rtol=1e-9) and share[0].real > 0
        moved = (body.at(x, y).T @ state).real @ d / (d @ d)
        assert 0 < float(moved) < 1  # the finger takes the point along
        apart = pull(body_of(spectrum, "grip"), x, y, dx, dy)[0] / along
        assert apart.abs().max() > 1.01 * apart.abs().min()
    assert not pull(body, x, y, 0.0, 0.0)[0].any()


def test_bands_can_be_poked_and_their_phases_travel(rng):
    spectrum = bands(rng)
    motion, report = poke(spectrum, pulling(hold=0.3), 2.0, 30.0)
    assert "touches nothing" not in report
    played = motion.at(0)
    assert played.shape == (60, 2, H, W) and played.isfinite().all() and played.abs().max() > 0
    # Free motion of a band is its decaying playback: q turns in a circle that shrinks.
    q = motion.modal_coords[0, 20:40]
    assert (q.abs().diff() <= 1e-6).all()


def test_wind_is_added_to_the_motion(rng):
    ambient = torch.randn(3, 2, generator=rng, dtype=torch.complex64)
    spectrum = modes(ambient=ambient)
    calm, _ = poke(spectrum, pulling())
    blown, report = poke(spectrum, pulling(), wind=0.5)
    at = torch.arange(150, dtype=torch.float64) / 30
    wind = 0.5 * ambient_coords(spectrum, at)
    difference = blown.modal_coords - calm.modal_coords
    assert torch.allclose(difference, wind.to(torch.complex64), atol=1e-5)
    assert "over 0.5 of the wind" in report


def test_wind_that_the_frames_cannot_show_is_left_out(rng):
    spectrum = bands(rng)  # up to 2.9 Hz
    motion, report = poke(spectrum, [], 5.0, 5.0, wind=0.5)
    played, _ = play(spectrum, 25, 5.0, loop=False)
    torch.testing.assert_close(2 * motion.at(0), played.at(0))
    assert report.endswith(
        "1 of 3 bands of the wind are left out: 5 frames per second show less than 2.5 Hz."
    )
    blown = modes(ambient=torch.randn(3, 2, generator=rng, dtype=torch.complex64))
    slow, _ = poke(blown, [], 5.0, 1.6, wind=1.0)  # 0.8 Hz is half the rate
    expected = blown.ambient[:, :1] * torch.exp(2j * math.pi * 0.4 * torch.arange(8) / 1.6)
    torch.testing.assert_close(slow.modal_coords, expected, rtol=0, atol=1e-5)


def test_a_poke_says_that_what_flows_behind_stands_still(rng):
    swaying = bands(rng)
    flowing = replace(swaying, kind="flow", velocity=torch.ones(1, 2, H, W))
    motion, report = poke(replace(swaying, behind=flowing), pulling())
    assert motion.behind is None and "What flows behind it stands still" in report
    assert "flows" not in poke(swaying, pulling())[1]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"rule": "magic"}, "rule to be one of physical, paper, grip, demo, got 'magic'"),
        ({"damping_ratio": -1.0}, "damping ratio of 0 or more"),
        ({"stiffness": 0.0}, "stiffness above 0"),
        ({"duration_s": 0.0}, "at least one frame"),
        ({"fps": math.inf}, "at least one frame"),
    ],
)
def test_values_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        poke(modes(), [], **options)


def test_several_stills_are_refused(rng):
    two = torch.randn(2, 3, 2, H, W, generator=rng, dtype=torch.complex64)
    with pytest.raises(ValueError, match="spectrum of one still, got one of 2"):
        poke(SpectralVolume(two, HERTZ, (60, 90)), [])


def test_a_still_of_another_shape_is_refused_and_a_larger_one_is_not():
    check_still(modes(), torch.zeros(1, 3, 120, 181))
    with pytest.raises(ValueError, match="of a still of 90x60, and this one is 60x90"):
        check_still(modes(), torch.zeros(1, 3, 90, 60))
    with pytest.raises(ValueError, match="Expected one still to poke, got 2"):
        check_still(modes(), torch.zeros(2, 3, 60, 90))
