import cmath
import math

import numpy as np
import pytest
import torch

from gid_core.config import WindConfig
from gid_core.dynamics import (
    coherent_noise,
    harmonic_coords,
    rayleigh,
    step,
    von_karman,
    wind,
)

DRAWS = 6000  # bands of one frequency are independent draws


def generator(seed):
    return torch.Generator().manual_seed(seed)


def repeated(frequency, times=DRAWS):
    return torch.full((times,), frequency)


def test_coordinates_have_unit_modulus(rng):
    times = 1e4 * torch.rand(50, generator=rng, dtype=torch.float64)
    coords = harmonic_coords(torch.tensor([0.2, 1.7, 3.2]).double(), times)
    torch.testing.assert_close(coords.abs(), torch.ones_like(times).expand(3, 50))


def test_coordinates_are_exp_i_2_pi_f_t():
    coords = harmonic_coords(torch.tensor([0.5, 2.0]), torch.tensor([0.0, 0.125, 0.7]))
    for k, f in enumerate((0.5, 2.0)):
        for t, time in enumerate((0.0, 0.125, 0.7)):
            expected = cmath.exp(2j * math.pi * f * time)
            assert complex(coords[k, t]) == pytest.approx(expected, abs=1e-6)


def test_coordinates_are_periodic_after_a_day():
    frequencies = torch.arange(1, 17, dtype=torch.float64) / 5
    times = torch.arange(150, dtype=torch.float64) / 30
    first = harmonic_coords(frequencies, times)
    later = harmonic_coords(frequencies, times + 1e5)  # 20,000 periods of 5 s
    torch.testing.assert_close(later, first, rtol=0, atol=1e-9)


def test_long_clips_stay_exact_in_single_precision():
    # 2^-6 s and eighths of a hertz are exact in float32, so nothing but the phase could err.
    times, frequencies = 4096 + torch.arange(64) / 64, torch.tensor([0.125, 3.125])
    late = harmonic_coords(frequencies, times)
    early = harmonic_coords(frequencies, times - 4096)
    assert late.dtype == torch.complex64
    torch.testing.assert_close(late, early, rtol=0, atol=1e-7)


@pytest.mark.parametrize("across", [False, True])
def test_turbulence_has_unit_variance(across):
    log_x = torch.linspace(math.log(1e-6), math.log(1e6), 20_001, dtype=torch.float64)
    energy = torch.trapezoid(von_karman(log_x.exp(), across), log_x)
    assert energy.item() == pytest.approx(1, abs=1e-3)  # the constants are printed to 3 digits


@pytest.mark.parametrize("across", [False, True])
def test_turbulence_falls_with_five_thirds(across):
    x = torch.tensor([1e4, 1e5], dtype=torch.float64)
    low, high = von_karman(x, across).log10()
    assert (high - low).item() == pytest.approx(-2 / 3, abs=1e-3)  # n S(n), so one power less


def test_in_the_inertial_range_across_is_four_thirds_of_along():
    x = torch.tensor([1e4], dtype=torch.float64)
    assert (von_karman(x, True) / von_karman(x)).item() == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("frequency", [0.2, 1.0, 3.0])
def test_the_variance_of_a_band_is_the_turbulence_in_it(frequency):
    config, band_hz = WindConfig(speed=0.7, gust_length=0.3, gustiness=0.5), 0.2
    velocity = wind(repeated(frequency), (2, 3), band_hz, config, generator(1))
    power = velocity.abs().square().mean(0)[:, 1, 2]  # of one point: draws are independent
    reduced = torch.tensor([frequency * 0.3 / 0.7], dtype=torch.float64)
    for axis, (share, across) in enumerate(((1.0, False), (0.5, True))):
        density = von_karman(reduced, across).item() / frequency  # S(n) / sigma^2
        # The power of a complex Gaussian has a standard error of 1 / sqrt(draws): 4 of them.
        expected = share**2 * 2 * density * band_hz
        assert power[axis].item() == pytest.approx(expected, rel=4 / math.sqrt(DRAWS))


@pytest.mark.parametrize("decay, frequency", [(10.0, 0.4), (3.0, 1.0)])
def test_noise_is_as_alike_as_davenport_says(decay, frequency):
    config, (height, width) = WindConfig(speed=0.8, coherence_decay=decay), (5, 7)
    noise = coherent_noise(repeated(frequency), (height, width), config, generator(2))
    for y, x in ((0, 1), (1, 0), (0, 6), (4, 0), (3, 4)):
        alike = (noise[:, y, x] * noise[:, 0, 0].conj()).mean()
        distance = math.hypot(x, y) / width
        expected = math.exp(-decay * frequency * distance / 0.8)
        assert abs(complex(alike) - expected) < 4 / math.sqrt(DRAWS)


def test_noise_has_unit_power_in_every_band():
    frequencies = torch.cat([repeated(f, 2000) for f in (0.1, 1.0, 8.0)])
    power = coherent_noise(frequencies, (3, 4), WindConfig(), generator(3)).abs().square()
    for band in power.view(3, 2000, 3, 4):
        assert band.mean(0)[1, 2].item() == pytest.approx(1, abs=4 / math.sqrt(2000))


@pytest.mark.parametrize("direction", [0.0, 90.0, 180.0, -30.0])
def test_gusts_travel_with_the_wind(direction):
    # All points of the noise are one, so that only the way is left.
    config = WindConfig(direction, speed=0.6, coherence_decay=0.0, gustiness=0.0)
    frequencies = torch.tensor([0.2, 1.4])
    velocity = wind(frequencies, (4, 6), 0.2, config, generator(4))
    along = np.array([math.cos(math.radians(direction)), -math.sin(math.radians(direction))])
    axis = int(np.abs(along).argmax())
    for k, f in enumerate(frequencies.tolist()):
        for y in range(4):
            for x in range(6):
                way = (x * along[0] + y * along[1]) / 6  # in widths
                lag = cmath.exp(-2j * math.pi * f * way / 0.6)
                ratio = complex(velocity[k, axis, y, x] / velocity[k, axis, 0, 0])
                assert ratio == pytest.approx(lag, abs=1e-4)


@pytest.mark.parametrize("direction, dx, dy", [(0, 1, 0), (90, 0, -1), (180, -1, 0), (45, 1, -1)])
def test_convention_direction_0_blows_right_and_90_up(direction, dx, dy):
    config = WindConfig(float(direction), gustiness=0.0)
    velocity = wind(torch.tensor([0.2, 0.4]), (3, 5), 0.2, config, generator(5))
    unit = torch.tensor([dx, dy]) / math.hypot(dx, dy)
    speed = (velocity * unit.view(1, 2, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(velocity, speed * unit.view(1, 2, 1, 1), rtol=0, atol=1e-6)
    assert speed.abs().min() > 0


def test_a_turned_wind_is_the_same_wind_turned():
    # One point: nothing travels. Turning by 180 degrees turns every gust.
    here = wind(torch.tensor([0.2, 0.4]), (1, 1), 0.2, WindConfig(20.0), generator(6))
    there = wind(torch.tensor([0.2, 0.4]), (1, 1), 0.2, WindConfig(200.0), generator(6))
    torch.testing.assert_close(there, -here, rtol=0, atol=1e-6)


def test_a_seed_is_a_wind():
    draws = [wind(torch.tensor([0.2, 3.0]), (4, 6), 0.2, WindConfig(), generator(s)) for s in (7, 7, 8)]  # fmt: skip
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2])


# --- oscillators ----------------------------------------------------------------------------------

OMEGA = torch.tensor([1.3, 4.0, 20.0], dtype=torch.float64)
DAMPING = [0.0, 0.05, 0.999999, 1.0, 1.000001, 4.0]


def state_matrix(omega, damping):
    return torch.tensor([[0, 1], [-(omega**2), -2 * damping * omega]], dtype=torch.float64)


@pytest.mark.parametrize("damping", DAMPING)
@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0])
def test_a_free_step_is_the_matrix_exponential(damping, dt):
    q = torch.tensor([1.0 + 0.5j, -0.2j, 0.3], dtype=torch.complex128)
    velocity = torch.tensor([0.1, 2.0 - 1j, -4.0], dtype=torch.complex128)
    moved, faster = step(q, velocity, OMEGA, torch.full_like(OMEGA, damping), dt)
    for k, omega in enumerate(OMEGA.tolist()):
        exact = torch.matrix_exp(dt * state_matrix(omega, damping)) + 0j
        wanted = exact @ torch.stack([q[k], velocity[k]])
        assert torch.allclose(torch.stack([moved[k], faster[k]]), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("damping", [0.05, 1.0, 3.0])
def test_a_step_under_a_force_that_rises_evenly_is_exact(damping):
    # As the free motion of a system that carries the force along: (q, q', force, slope).
    dt, zeta = 0.7, torch.full_like(OMEGA, damping)
    first = torch.tensor([0.4, -1.0, 2.0 + 1j], dtype=torch.complex128)
    last = torch.tensor([-0.6, 0.5j, 2.5], dtype=torch.complex128)
    q, velocity = torch.ones(3, dtype=torch.complex128), torch.zeros(3, dtype=torch.complex128)
    moved, faster = step(q, velocity, OMEGA, zeta, dt, first, last)
    for k, omega in enumerate(OMEGA.tolist()):
        matrix = torch.zeros(4, 4, dtype=torch.float64)
        matrix[:2, :2] = state_matrix(omega, damping)
        matrix[1, 2], matrix[2, 3] = omega**2, 1
        start = torch.stack([q[k], velocity[k], first[k], (last[k] - first[k]) / dt])
        wanted = (torch.matrix_exp(dt * matrix) + 0j) @ start
        assert torch.allclose(torch.stack([moved[k], faster[k]]), wanted[:2], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("damping", [0.03, 0.7, 1.0, 5.0])
def test_two_steps_are_one(damping):
    zeta = torch.full_like(OMEGA, damping)
    q, velocity = torch.ones(3, dtype=torch.complex128), torch.ones(3, dtype=torch.complex128)
    once = step(q, velocity, OMEGA, zeta, 0.5)
    twice = step(*step(q, velocity, OMEGA, zeta, 0.2), OMEGA, zeta, 0.3)
    assert torch.allclose(torch.stack(once), torch.stack(twice), atol=1e-9)


@pytest.mark.parametrize("dt", [1e-3, 1 / 30, 1.0])
@pytest.mark.parametrize("damping", [0.0, 0.05, 1.0, 4.0])
def test_free_energy_never_grows(dt, damping):
    zeta = torch.full_like(OMEGA, damping)
    q, velocity = torch.ones(3, dtype=torch.complex128), -2 * torch.ones(3, dtype=torch.complex128)
    before = None
    for _ in range(50):
        energy = OMEGA.square() * q.abs().square() + velocity.abs().square()
        assert before is None or (energy <= before * (1 + 1e-9) + 1e-12).all()
        before = energy
        q, velocity = step(q, velocity, OMEGA, zeta, dt)


def test_a_force_that_stays_holds_where_it_says():
    q = torch.zeros(3, dtype=torch.complex128)
    force = torch.tensor([1.0, 2j, -0.5], dtype=torch.complex128)
    held, velocity = step(q, q, OMEGA, torch.full_like(OMEGA, 0.4), 100.0, force, force)
    assert torch.allclose(held, force, atol=1e-9) and velocity.abs().max() < 1e-9


def test_rayleigh_damping_has_the_ratios_of_the_papers_numbers():
    # 0.21 / 0.18 / 0.28 / 0.52 / 0.76 at 0.2 / 0.4 / 1 / 2 / 3 Hz, and past 1 above 3.95 Hz.
    omega = 2 * math.pi * torch.tensor([0.2, 0.4, 1.0, 2.0, 3.0, 3.9, 4.0])
    ratio = rayleigh(omega, 0.4, 0.08)
    assert torch.allclose(ratio[:5], torch.tensor([0.21, 0.18, 0.28, 0.52, 0.76]), atol=0.006)
    assert ratio[5] < 1 < ratio[6]
