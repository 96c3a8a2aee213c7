import cmath
import math

import numpy as np
import pytest
import torch

from gid_core.config import WindConfig
from gid_core.motion.coords import harmonic_coords
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


@pytest.mark.parametrize("direction", [0.0, 90.0, -30.0])
@pytest.mark.parametrize("frequency", [0.4, 1.0])
def test_the_wind_is_as_alike_as_davenport_and_taylor_say(direction, frequency):
    """Coherence and phase between points, at the default decays, along the wind and across it."""
    config, (height, width) = WindConfig(direction, gustiness=0.0), (5, 7)
    velocity = wind(repeated(frequency), (height, width), 0.2, config, generator(2))
    along = math.cos(math.radians(direction)), -math.sin(math.radians(direction))
    speed = velocity[:, 0] * along[0] + velocity[:, 1] * along[1]
    power = speed.abs().square().mean()
    for y, x in ((0, 1), (1, 0), (0, 6), (4, 0), (3, 4)):
        alike = complex((speed[:, y, x] * speed[:, 0, 0].conj()).mean() / power)
        away = (x * along[0] + y * along[1]) / width
        aside = (y * along[0] - x * along[1]) / width
        decay = math.hypot(config.travel_decay * away, config.coherence_decay * aside)
        coherence = math.exp(-frequency * decay / config.speed)
        lag = 2 * math.pi * frequency * away / config.speed
        assert abs(alike - cmath.rect(coherence, -lag)) < 4 / math.sqrt(DRAWS)


def test_gusts_live_longer_along_the_wind_than_across():
    config = WindConfig()
    noise = coherent_noise(repeated(1.0), (9, 20), config, generator(2))
    wavelength = round(config.speed / 1.0 * 20)  # grid points that a gust travels in a period
    along = (noise[:, 0, wavelength] * noise[:, 0, 0].conj()).mean().abs()
    across = (noise[:, 8, 0] * noise[:, 0, 0].conj()).mean().abs()  # at less of a distance
    assert along > 0.3 and across < 0.06


@pytest.mark.parametrize("lull", [0.0, 0.8])
def test_a_long_loop_has_gusts_and_lulls(lull):
    """How unlike the seconds of a loop of 20 s are in power, the mean of many winds."""
    frequencies, config = torch.arange(1, 65) / 20, WindConfig(lull=lull, gustiness=0.0)
    coords = harmonic_coords(frequencies, torch.arange(200) / 10)
    uneven = []
    for seed in range(60):
        at = wind(frequencies, (1, 2), 1 / 20, config, generator(seed))[:, 0, 0, 1]
        seconds = (at @ coords).abs().square().view(20, 10).mean(1)
        uneven.append(float(seconds.std() / seconds.mean()))
    assert sum(uneven) / len(uneven) == pytest.approx(0.69 if lull == 0 else 1.07, abs=0.1)


def test_gust_and_lull_are_a_product_in_time():
    """The wind at a point is the flat wind times one slow wave, whose bands are all still in the
    loop."""
    frequencies = torch.arange(1, 25) / 10
    flat, gusty = (
        wind(frequencies, (2, 3), 0.1, WindConfig(lull=lull), generator(8)) for lull in (0.0, 0.6)
    )
    coords = harmonic_coords(frequencies, torch.arange(100) / 10)
    flat, gusty = (torch.einsum("kxhw,kt->txhw", v, coords).real for v in (flat, gusty))
    calm = flat.abs() < 0.05 * flat.abs().max()
    envelope = torch.where(calm, torch.nan, gusty / flat)
    # The highest band would need one above it: where the wind is strong that is little.
    series = envelope[:, 0, 1, 2]
    assert 0.3 < series.nanmedian() < 1.3
    low, high = (float(series.nan_to_num(1.0).quantile(q)) for q in (0.05, 0.95))
    assert 0.2 < low < 0.6 and 1.2 < high < 1.7  # (1 -+ 0.6) / sqrt(1.18)


def test_noise_has_unit_power_in_every_band():
    frequencies = torch.cat([repeated(f, 2000) for f in (0.1, 1.0, 8.0)])
    power = coherent_noise(frequencies, (3, 4), WindConfig(), generator(3)).abs().square()
    for band in power.view(3, 2000, 3, 4):
        assert band.mean(0)[1, 2].item() == pytest.approx(1, abs=4 / math.sqrt(2000))


@pytest.mark.parametrize("direction", [0.0, 90.0, 180.0, -30.0])
def test_gusts_travel_with_the_wind(direction):
    # All points of the noise are one, so that only the way is left.
    config = WindConfig(direction, 0.6, gustiness=0.0, coherence_decay=0.0, travel_decay=0.0)
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
    draws = [
        wind(torch.tensor([0.2, 3.0]), (4, 6), 0.2, WindConfig(), generator(s)) for s in (7, 7, 8)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2])
