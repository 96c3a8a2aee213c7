import math

import pytest
import torch

from gid_core.advection.turbulence import (
    FINEST_RIPPLE,
    LONGEST_RIPPLE,
    SLOWEST_RIPPLE_HZ,
    curl,
    eddies,
    flicker,
    ripples,
    smooth_noise,
)
from gid_core.advection.velocity import divergence

GRID = 40, 56
BANDS = torch.arange(1, 11) / 5.0


def made(rng, strength=0.3, envelope=None):
    velocity = torch.tensor([0.0, -4.0]).view(2, 1, 1).expand(2, *GRID).clone()
    envelope = torch.ones(GRID) if envelope is None else envelope
    return eddies(velocity, envelope, BANDS, 0.4, 6.0, strength, rng)


def test_eddies_have_no_sources(rng):
    found = made(rng)
    for part in (found.real, found.imag):
        for band in part:
            assert divergence(band).abs().max() < 1e-5 * max(1.0, float(band.abs().max()))


def test_eddies_have_the_speed_asked_for(rng):
    found = made(rng)
    rates = 2 * math.pi * BANDS.view(-1, 1, 1, 1) * found
    rms = (rates.abs().square().sum((0, 1)).mean() / 2).sqrt()
    assert rms == pytest.approx(0.3 * 4.0, rel=0.01)
    assert not found[0].any() and found[1].any()  # none below the lowest frequency


def test_eddies_end_where_the_envelope_does(rng):
    envelope = torch.zeros(GRID)
    envelope[10:30, 20:40] = 1
    found = made(rng, envelope=envelope)
    assert not (found.abs().sum((0, 1)) * (envelope == 0)).any() and found.any()


def test_without_speed_or_turbulence_there_are_no_eddies(rng):
    assert not made(rng, strength=0.0).any()
    still = torch.zeros(2, *GRID)
    assert not eddies(still, torch.ones(GRID), BANDS, 0.4, 6.0, 0.3, rng).any()


def test_a_seed_means_the_same_eddies():
    one, other, third = (made(torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(one, other) and not torch.equal(one, third)


def test_light_has_the_strength_asked_for_and_stays_within_its_envelope(rng):
    envelope = torch.zeros(GRID)
    envelope[:, 20:] = 1
    light = flicker(envelope, BANDS, 1.6, 3.0, 0.2, rng)
    rms = (light.abs().square().sum((0, 1))[envelope > 0].mean() / 2).sqrt()
    assert rms == pytest.approx(0.2, rel=0.15)
    assert not light[..., :20].any() and not light[BANDS > 1.7].any()


def test_noise_has_unit_power_and_is_smooth(rng):
    noise = smooth_noise((60, 80), 4.0, rng)
    assert noise.abs().square().mean() == pytest.approx(1.0, rel=0.2)
    assert noise.diff(dim=0).abs().square().mean() < 0.2


def test_the_curl_of_a_slope_is_a_uniform_flow():
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    turned = curl((2 * y - 3 * x).to(torch.complex64)).real
    assert torch.equal(turned, torch.tensor([2.0, 3.0]).view(2, 1, 1).expand(2, 3, 4))


def rippled(rng, envelope=None, heading=(3.0, 0.0)):
    envelope = torch.ones(GRID) if envelope is None else envelope
    return ripples(envelope, torch.tensor(heading), BANDS, 0.5, rng)


def test_ripples_sway_up_and_down_as_far_as_asked(rng):
    # The mean of many draws: a few long waves do not fill the picture evenly.
    power = [rippled(rng).abs().square().sum((0, 1)).mean() / 2 for _ in range(40)]
    assert math.sqrt(sum(power) / 40) == pytest.approx(0.5, rel=0.1)
    assert not rippled(rng)[:, 0].any()


def test_ripples_have_the_waves_of_deep_water_and_no_others(rng):
    """The phase falls along the way by 2 pi in LONGEST (f0 / f)^2, in some direction."""
    found = rippled(rng)[:, 1]
    shown = found.flatten(1).any(1)
    longest = LONGEST_RIPPLE * max(GRID)
    for f, band, is_shown in zip(BANDS.tolist(), found, shown):
        wave = longest * (SLOWEST_RIPPLE_HZ / f) ** 2
        assert is_shown == (f > 0.39 and wave >= FINEST_RIPPLE)
        if is_shown:
            across = (band[:, 1:] * band[:, :-1].conj()).sum().angle()
            down = (band[1:] * band[:-1].conj()).sum().angle()
            assert math.hypot(across, down) == pytest.approx(2 * math.pi / wave, rel=0.25)
            assert across < 0  # with the flow


def test_ripples_end_at_shores():
    envelope = torch.zeros(GRID)
    envelope[10:30, 20:40] = 1
    found = rippled(torch.Generator().manual_seed(1), envelope)
    assert not (found.abs().sum((0, 1)) * (envelope == 0)).any() and found.any()
