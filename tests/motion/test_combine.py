from dataclasses import replace

import pytest
import torch

from gid_core.files.spectra import load_spectrum, save_spectrum
from gid_core.motion.combine import combine
from gid_core.motion.playback import play
from gid_core.motion.spectrum import (
    MOST_FRAMES,
    SpectralVolume,
    amplitude_pct,
    displacement_at,
    one_period,
)

SIZE = (20, 28)


def volume(rng, bands=3, period_s=2.0, grid=(5, 7), stills=2, **fields):
    coeffs = torch.randn(stills, bands, 2, *grid, generator=rng, dtype=torch.complex64)
    return SpectralVolume(coeffs, torch.arange(1, bands + 1) / period_s, SIZE, **fields)


def modes(rng, count=3, ambient=None):
    driven = {}
    if ambient is not None:
        driven["ambient"] = torch.randn(count, len(ambient), generator=rng, dtype=torch.complex64)
        driven["ambient_hz"] = torch.tensor(ambient)
    damping = torch.rand(count, generator=rng)
    return volume(rng, count, kind="modes", damping_ratio=damping, **driven)


@pytest.mark.parametrize("way", ["over", "add"])
def test_a_motion_and_itself_by_complementary_masks_is_that_motion(rng, way):
    trends = {n: torch.randn(2, 2, 5, 7, generator=rng) for n in ("mean", "drift")}
    spectrum = volume(rng, **trends)
    mask = torch.rand(2, 1, *SIZE, generator=rng)
    found, _ = combine(spectrum, spectrum, mask, 1 - mask if way == "add" else None, way)
    for name in ("coeffs", "frequencies_hz", "mean", "drift"):
        torch.testing.assert_close(
            getattr(found, name), getattr(spectrum, name), rtol=0, atol=1e-6, msg=name
        )


def test_the_displacement_is_the_sum_of_both_at_all_times(rng):
    first, second = volume(rng), volume(rng, 4, 1.7, mean=torch.randn(2, 2, 5, 7, generator=rng))
    mask, other = (torch.rand(1, 1, *SIZE, generator=rng) for _ in range(2))
    found, _ = combine(first, second, mask, other, "add")
    times = torch.linspace(0, 9, 23, dtype=torch.float64)
    on_grid = lambda m: torch.nn.functional.interpolate(m, (5, 7), mode="area")[:, None]
    expected = on_grid(other) * displacement_at(first, times)
    expected = expected + on_grid(mask) * displacement_at(second, times)
    torch.testing.assert_close(displacement_at(found, times), expected, rtol=0, atol=2e-5)
    assert len(found.frequencies_hz) == 7 and (found.frequencies_hz.diff() > 0).all()


def test_bands_of_one_frequency_are_one_band(rng):
    found, report = combine(volume(rng), volume(rng, 5), way="add")
    assert found.frequencies_hz.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert (
        str(report) == "3 and 5 bands became 5. A loop of 2 s, or a multiple, holds both exactly."
    )


@pytest.mark.parametrize("periods, common", [((2.0, 3.0), 6), ((5.0, 4.0), 20), ((2.5, 2.5), 2.5)])
def test_the_report_names_the_loop_that_both_fit_and_it_closes(rng, periods, common):
    found, report = combine(*(volume(rng, period_s=p) for p in periods), way="add")
    assert f"loop of {common:g} s" in str(report) and report.period_s == pytest.approx(common)
    motion, played = play(found, 8 * round(2 * common), 16.0)
    assert not played.changed
    now, later = (
        displacement_at(found, torch.tensor([t], dtype=torch.float64)) for t in (0.3, 0.3 + common)
    )
    torch.testing.assert_close(now, later, rtol=0, atol=1e-4)


def test_a_duration_puts_both_onto_one_loop(rng):
    found, report = combine(volume(rng), volume(rng, 4, 1.7), way="add", duration_s=2.0)
    assert found.frequencies_hz.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5][: len(found.frequencies_hz)]
    assert report.period_s == pytest.approx(2)
    motion, played = play(found, 16, 8.0)
    assert not played.changed


def test_periods_without_a_common_multiple_are_said(rng):
    _, report = combine(volume(rng), volume(rng, 4, 1.7000123), way="add")
    assert "No loop within an hour holds both" in str(report)


def test_periods_that_are_nearly_one_become_one_and_can_be_saved(rng, tmp_path):
    trend = torch.randn(2, 2, 5, 7, generator=rng)
    first, second = volume(rng, 16, 5.0), volume(rng, 16, 5.004, drift=trend)
    found, report = combine(first, second, way="add")
    torch.testing.assert_close(found.frequencies_hz, first.frequencies_hz)
    torch.testing.assert_close(found.coeffs, first.coeffs + second.coeffs)
    torch.testing.assert_close(found.drift, trend * (5.004 / 5))
    assert "the second is played 0.08 % faster, so that a loop of 5 s" in str(report)
    assert not play(found, 50, 10.0)[1].changed
    save_spectrum(found, tmp_path / "both.safetensors")
    # Half a percent apart they stay what they are.
    found, report = combine(first, volume(rng, 16, 5.03), way="add")
    assert len(found.frequencies_hz) == 32 and "played" not in str(report)


def test_bands_that_nearly_meet_are_measured_in_bounded_time_and_can_be_saved(rng, tmp_path):
    found, report = combine(volume(rng, 10, 5.0), volume(rng, 14, 7.0001), way="add")
    assert "Set a duration, such as 5 s or 7.0001 s, to fit both" in str(report)
    save_spectrum(found, tmp_path / "both.safetensors")
    assert load_spectrum(tmp_path / "both.safetensors").grid == found.grid
    period = one_period(found)
    assert period.frames == MOST_FRAMES
    # Moments met at random, one after the other for an hour, show no larger motion.
    times = 3600 * torch.rand(4000, generator=rng, dtype=torch.float64)
    peak = displacement_at(found, times).norm(dim=2).amax(1)
    often = torch.quantile(peak.flatten(1), 0.95, 1) * 100 / 7
    torch.testing.assert_close(amplitude_pct(period), often, rtol=0.1, atol=0)


def test_masks_for_every_still_of_one_motion_give_each_its_own(rng):
    masks = torch.rand(3, 1, *SIZE, generator=rng)
    trend = torch.randn(1, 2, 5, 7, generator=rng)
    base, top = volume(rng, stills=1, mean=trend), volume(rng, 4, 1.7, stills=1, drift=trend)
    for given, way in (((masks, None), "over"), ((None, masks), "add"), ((masks, masks), "add")):
        found, _ = combine(base, top, *given, way)
        for name in ("coeffs", "mean", "drift"):
            assert len(getattr(found, name)) == 3, name
        one, _ = combine(base, top, *(None if m is None else m[1:2] for m in given), way)
        times = torch.linspace(0, 3, 5, dtype=torch.float64)
        moved = displacement_at(found, times)
        torch.testing.assert_close(moved[1:2], displacement_at(one, times), rtol=0, atol=1e-5)


def test_modes_of_one_still_serve_the_masks_of_all(rng):
    one = volume(rng, 3, stills=1, kind="modes", damping_ratio=torch.rand(3, generator=rng))
    masks = torch.rand(2, 1, *SIZE, generator=rng)
    found, _ = combine(one, one, masks, way="add")
    assert found.coeffs.shape[:2] == (2, 6)


def test_over_hides_the_base_where_the_tops_own_mask_is(rng):
    mask = torch.zeros(2, 1, *SIZE)
    mask[..., 12:] = 1
    base, top = volume(rng), volume(rng, mask=mask)
    found, _ = combine(base, top)
    torch.testing.assert_close(found.coeffs[..., :3], base.coeffs[..., :3])
    torch.testing.assert_close(found.coeffs[..., 3:], top.coeffs[..., 3:])
    assert found.mask is None  # the base moves everywhere else


def test_a_degree_moves_less_and_is_as_opaque(rng):
    left = torch.zeros(1, 1, *SIZE)
    left[..., :12] = 1
    grey = torch.full((1, 1, *SIZE), 0.5)
    base = volume(rng, stills=1, mask=left)
    top = volume(rng, stills=1, mask=1 - left)
    found, _ = combine(base, top, grey, way="add")
    torch.testing.assert_close(found.coeffs, base.coeffs + 0.5 * top.coeffs)
    assert (found.mask == 1).all()
    alone, _ = combine(base, top, 0 * grey, way="add")
    torch.testing.assert_close(alone.mask, left)


def test_grids_become_the_finer_one_and_lengths_stay(rng):
    coarse = volume(rng)
    coarse = replace(coarse, coeffs=torch.full_like(coarse.coeffs, 2 + 1j))
    found, _ = combine(volume(rng, grid=(10, 14)), coarse, torch.ones(1, 1, 4, 4))
    assert found.grid == (10, 14)
    torch.testing.assert_close(found.coeffs, torch.full_like(found.coeffs, 4 + 2j))


def test_one_motion_serves_all_stills_of_another(rng):
    base, top = volume(rng), volume(rng, stills=1)
    for pair in ((base, top), (top, base)):
        found, _ = combine(*pair, way="add")
        torch.testing.assert_close(found.coeffs, base.coeffs + top.coeffs)


def test_modes_stand_beside_each_other_each_with_its_wind(rng):
    first, second = modes(rng, 3, [0.5, 1.0]), modes(rng, 2, [1.0, 1.5])
    first = replace(first, frequencies_hz=torch.tensor([0.3, 0.9, 2.0]))
    found, report = combine(first, second, way="add")
    assert found.frequencies_hz.tolist() == pytest.approx([0.3, 0.5, 0.9, 1.0, 2.0])
    assert found.ambient_hz.tolist() == [0.5, 1.0, 1.5] and "5." in str(report)
    # Mode by mode: shape, damping and wind stay together.
    torch.testing.assert_close(found.coeffs[:, 1], second.coeffs[:, 0])
    torch.testing.assert_close(found.damping_ratio[1:2], second.damping_ratio[:1])
    torch.testing.assert_close(found.ambient[1, 1:], second.ambient[0])
    assert found.ambient[1, 0] == 0 and found.ambient[0, 2] == 0


def test_forty_motions_in_a_chain_are_one(rng):
    parts = [volume(rng, 2, 1 + i / 7, stills=1) for i in range(40)]
    joined = parts[0]
    for part in parts[1:]:
        joined, report = combine(joined, part, way="add", duration_s=4.0)
    motion, played = play(joined, 64, 16.0)
    assert len(joined.frequencies_hz) <= 12 and not played.changed


def test_overlaps_and_holes_of_masks_are_said(rng):
    left, right = torch.zeros(1, 1, *SIZE), torch.zeros(1, 1, *SIZE)
    left[..., :16], right[..., 8:20] = 1, 1
    _, report = combine(volume(rng), volume(rng), left, right, "add")
    assert "In 29 % of the picture both masks count" in str(report)
    assert "In 29 % of it neither does" in str(report)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"way": "under"}, "one of over, add, got 'under'"),
        ({"duration_s": -1.0}, "duration from 0 to 3600 s, got -1"),
        ({"duration_s": float("nan")}, "duration from 0"),
        ({"mask": torch.ones(3, 1, 4, 4)}, "one motion and mask for all stills"),
    ],
)
def test_what_does_not_fit_is_refused(rng, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        combine(volume(rng), volume(rng), **change)


def test_other_stills_kinds_and_too_many_bands_are_refused(rng):
    base = volume(rng)
    with pytest.raises(ValueError, match="28x20 and one of 20x28.*Motion Spectrum Transfer"):
        combine(base, replace(volume(rng), reference_size=SIZE[::-1]))
    with pytest.raises(ValueError, match="got a motion and modes to poke"):
        combine(base, modes(rng))
    flowing = volume(rng, kind="flow", velocity=torch.zeros(2, 2, 5, 7))
    for pair in ((base, flowing), (flowing, flowing)):
        with pytest.raises(ValueError, match="motions that sway, got one that flows.*in_front"):
            combine(*pair)
    behind, _ = combine(base, replace(volume(rng), behind=flowing), way="add")
    assert behind.behind is flowing
    many = (volume(rng, 300, p, (2, 3), 1) for p in (1.0, 1.01))
    with pytest.raises(ValueError, match="at most 512 bands, got .*Set a duration"):
        combine(*many, way="add")


def test_depth_is_the_tops_and_what_either_protects_is_protected(rng):
    fields = {n: (torch.rand(2, 1, *SIZE, generator=rng) > 0.5).float() for n in ("a", "b", "c")}
    base = volume(rng, depth=fields["a"], protect=fields["b"])
    top = volume(rng, depth=fields["c"], protect=fields["a"])
    found, _ = combine(base, top, way="add")
    assert torch.equal(found.depth, fields["c"])
    assert torch.equal(found.protect, torch.maximum(fields["a"], fields["b"]))
    found, _ = combine(base, volume(rng), way="add")
    assert torch.equal(found.depth, fields["a"]) and torch.equal(found.protect, fields["b"])
