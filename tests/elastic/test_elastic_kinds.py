from dataclasses import replace

import numpy as np
import pytest
import torch

from gid_core.config import ANCHORS, ROOTINGS, ElasticConfig, SpectrumConfig, WindConfig
from gid_core.elastic.kinds import KINDS, WEATHER, highest_hz, named, prior, reaching, things
from gid_core.elastic.prior import ElasticPrior
from gid_core.elastic.sheet import solve
from gid_core.motion.spectrum import amplitude_pct, displacement_at, moving_points, one_period

BASE = ElasticPrior(ElasticConfig(sway_hz=0.7), WindConfig(speed=0.3))


def bands(kind, spectrum=SpectrumConfig()):
    return reaching(highest_hz(kind), spectrum)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flame():
    """A bright flame before the dark, painted with much of the dark around it."""
    height, width = 60, 44
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = ((x - 22) / 6.0).square() + ((y - 28) / 18.0).square() < 1
    image = torch.where(inside, 0.9, 0.05).expand(1, 3, height, width)
    return image, inside[None, None].float()


def test_custom_leaves_the_widgets_in_charge():
    assert prior("custom", "custom", BASE) == BASE
    assert bands("custom", SpectrumConfig(7, 2.0)) == SpectrumConfig(7, 2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_leaves_the_wind_unless_it_pulses_by_itself(kind):
    thing, row = prior(kind, "custom", BASE), KINDS[kind]
    assert thing.elastic == row.elastic and thing.strength == BASE.strength
    assert (thing.wind == BASE.wind) == (kind != "flame")
    pulse = {"gust_length": BASE.wind.gust_length, "gustiness": BASE.wind.gustiness}
    assert replace(thing.wind, **pulse) == BASE.wind


@pytest.mark.parametrize("weather", WEATHER)
def test_weather_leaves_the_thing_and_where_the_wind_blows_to(weather):
    windy, air = prior("custom", weather, BASE), WEATHER[weather]
    assert windy.elastic == BASE.elastic and windy.highest_hz == BASE.highest_hz
    assert windy.wind.direction_deg == BASE.wind.direction_deg
    assert windy.wind.gust_length == pytest.approx(windy.wind.speed * air.gust_s)
    assert (windy.wind.gustiness, windy.wind.lull) == (air.across, air.lull)
    wide, narrow = (prior(kind, weather).wind.speed for kind in ("tree", "flower"))
    assert wide <= windy.wind.speed <= narrow


@pytest.mark.parametrize("name, what", [("treee", "kind"), ("hail", "weather")])
def test_what_is_not_in_the_table_is_refused_with_the_table(name, what):
    given = (name, "custom") if what == "kind" else ("custom", name)
    with pytest.raises(ValueError, match=f"Expected a {what} of custom, .*got '{name}'"):
        prior(*given)


def test_rows_are_physical():
    for kind in KINDS.values():
        row = kind.elastic
        assert row.anchor in ANCHORS and row.rooting in ROOTINGS
        assert 0.1 <= row.sway_hz <= 8 and 0 < row.damping_ratio < 1 and 0 <= row.rooted < 1
        assert 0 < row.across <= 1 and 0 <= row.flutter < 1 and row.flutter_hz >= row.sway_hz
        assert kind.highest_hz > row.sway_hz and kind.width_m > 0
    speeds = [weather.speed for weather in WEATHER.values()]
    strengths = [weather.strength for weather in WEATHER.values()]
    assert speeds == sorted(speeds) and strengths == sorted(strengths)
    assert WEATHER["breeze"].strength == 1


def test_flames_ask_for_bands_up_to_eight_hertz():
    wide = bands("flame", SpectrumConfig(16, 5.0))
    assert wide.bands == 40 and wide.bands / wide.duration_s == 8
    assert bands("flame", SpectrumConfig(50, 5.0)).bands == 50  # never fewer than asked for
    assert bands("flame", SpectrumConfig(16, 60.0)).bands == 128  # as many as there can be
    assert prior("flame", "custom").highest_hz == 8
    few = SpectrumConfig(4, 5.0)  # what is no faster than the default bands keeps what is asked for
    assert bands("tree", few) == few


def test_kinds_are_typed_with_commas_or_line_ends():
    assert named(" tree, grass\nflower ,\n") == ("tree", "grass", "flower") and named("") == ()


def test_a_flame_is_held_at_its_wick_and_sways_and_stretches_higher_up():
    image, matte = flame()
    model = prior("flame", "breath")
    volume = model.sample(image, matte, generator(), bands("flame"))
    played = displacement_at(volume, torch.arange(150) / 30)[0]
    rms = (played - played.mean(0)).square().mean(0).sqrt()[:, :, 22]  # x and y, up the middle
    rows = [44, 36, 28, 20, 13]  # wick to tip, where the flame is
    for axis in rms:
        assert axis[rows[0]] < 0.5 * axis[rows[-1]]
        assert (axis[rows].diff() > 0).sum() >= 3
    energy = volume.coeffs.abs().square().sum((0, 2, 3, 4))
    fast = volume.frequencies_hz >= 2
    assert energy[fast].sum() > 0.2 * energy.sum()


def test_a_storm_moves_farther_than_a_breath():
    image, matte = flame()
    sizes = []
    for weather in ("breath", "breeze", "storm"):
        volume = prior("flower", weather).sample(image, matte, generator(), SpectrumConfig())
        sizes.append(amplitude_pct(one_period(volume), moving_points(volume)).item())
    np.testing.assert_allclose(
        sizes, [WEATHER[w].strength for w in ("breath", "breeze", "storm")], rtol=0.02
    )


def test_a_storm_on_a_stem_of_one_pixel_stays_finite():
    image, matte = torch.full((1, 3, 50, 70), 0.5), torch.zeros(1, 1, 50, 70)
    matte[..., 5:45, 30] = 1
    for kind in KINDS:
        volume = prior(kind, "storm").sample(image, matte, generator(), bands(kind))
        assert volume.coeffs.isfinite().all() and volume.coeffs.any()


def test_gusts_cross_a_meadow_at_the_winds_speed():
    """The lag of the motion between columns of a meadow, over the way: one speed, within 10 %."""
    image = 0.4 + 0.1 * torch.rand(1, 3, 48, 120, generator=generator(3))
    model = prior("grass", "breeze")
    model = replace(model, elastic=replace(model.elastic, flutter=0.0))
    asked, speeds = SpectrumConfig(32, 10.0), []
    for seed in range(6):
        volume = model.sample(image, torch.ones(1, 1, 48, 120), generator(seed), asked)
        at = displacement_at(volume, torch.arange(300) / 30)[0, :, 0, 10:38]  # t y x
        series = torch.fft.rfft(at, dim=0)[1:16]  # to 1.5 Hz, below resonance
        cross = (series[:, :, 12:] * series[:, :, :-12].conj()).sum((1, 2))
        hz = torch.arange(1, 16) / 10
        # Phase falls with frequency by 2 pi way / speed: the slope through 0, weighed by power.
        phase = torch.from_numpy(np.unwrap(cross.angle().numpy()))
        weight = cross.abs()
        slope = (weight * phase * hz).sum() / (weight * hz * hz).sum()
        speeds.append(float(-2 * np.pi * 12 / 120 / slope))
    assert np.median(speeds) == pytest.approx(model.wind.speed, rel=0.1)


def masks(count=3):
    found = torch.zeros(count, 1, 30, 44)
    for i in range(count):
        found[i, :, 5:28, 3 + 13 * i : 11 + 13 * i] = 1
    return found


def test_things_have_each_their_own_kind():
    made = things(masks(), ["tree", "custom", "hanging"])
    assert [thing.elastic for thing in made] == [
        KINDS["tree"].elastic,
        None,
        KINDS["hanging"].elastic,
    ]
    image = torch.full((1, 3, 30, 44), 0.5)
    sheet = solve(image, masks().amax(0, keepdim=True), things=made)
    assert {body.elastic.sway_hz for body in sheet.bodies} == {0.4, 1.0, 0.7}


@pytest.mark.parametrize("given", [{"kinds": ["tree"]}, {"anchors": [None]}])
def test_kinds_and_anchors_are_one_for_each_or_none(given):
    with pytest.raises(ValueError, match="for each of the 3 objects, got 1"):
        things(masks(), **given)
