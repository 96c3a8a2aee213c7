import cmath
import math

import numpy as np
import pytest
import torch

from gid_core.config import WindConfig
from gid_core.motion.wind import coherent_noise, von_karman, wind

DRAWS = 6000  # bands of one frequency are independent draws


def generator(seed):
    return torch.Generator().manual_seed(seed)


def repeated(frequency, times=DRAWS):
    return torch.full((times,), frequency)


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
