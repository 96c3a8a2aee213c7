import math
from dataclasses import replace

import pytest
import torch
from oracles import ball, swaying_blob

from gid_core.evaluation import comparison, picture_metrics
from gid_core.evaluation.comparison import compare_clips, compare_spectra
from gid_core.motion.spectrum import moving_points, scale
from gid_core.still.grid import resize_displacement

# Spectra


def test_a_spectrum_against_itself_has_no_error():
    spectrum, notes = swaying_blob(), []
    pair = compare_spectra("a", spectrum, spectrum, notes)
    assert pair.values["amplitude_error_pct"] == pair.values["phase_error_rad"] == 0
    assert pair.values["auc"] == pair.values["amplitude_factor"] == 1
    assert pair.values["coherence"] == pair.values["coherence_reference"]
    assert notes == []


def test_half_the_motion_has_an_amplitude_error_of_half():
    spectrum, notes = swaying_blob(), []
    half = scale(spectrum, torch.tensor([0.5]))
    values = compare_spectra("a", spectrum, half, notes).values
    assert values["amplitude_error_pct"] == pytest.approx(50, abs=1e-3)
    assert values["phase_error_rad"] == pytest.approx(0, abs=1e-3)
    assert values["amplitude_factor"] == pytest.approx(2, rel=0.01)  # but for the floor
    assert values["energy_px"] == pytest.approx(values["energy_px_reference"] / 2)
    assert values["auc"] == 1


def test_the_same_motion_on_another_grid_has_almost_no_error():
    coarse, notes = swaying_blob(), []
    parts = (
        resize_displacement(part, (24, 40)) for part in (coarse.coeffs.real, coarse.coeffs.imag)
    )
    fine = replace(coarse, coeffs=torch.complex(*parts))
    values = compare_spectra("a", coarse, fine, notes).values
    assert values["amplitude_error_pct"] < 5 and values["phase_error_rad"] < 0.02
    assert notes == []


def test_only_points_in_the_references_mask_count():
    mask = torch.zeros(1, 1, 24, 40)
    mask[..., :20] = 1
    spectrum, notes = swaying_blob(mask=mask), []
    wrong = spectrum.coeffs.clone()
    wrong[..., 10:] *= 7
    values = compare_spectra("a", spectrum, replace(spectrum, coeffs=wrong), notes).values
    assert values["amplitude_error_pct"] == 0 and values["amplitude_factor"] == 1


def test_what_is_finer_than_the_grid_against_itself_has_no_error():
    mask = torch.zeros(1, 1, 24, 40)
    mask[..., ::2, ::5] = 1  # dots: no point of the grid is covered by half
    spectrum = swaying_blob(mask=mask)
    assert moving_points(spectrum).max() < 0.5
    values = compare_spectra("a", spectrum, spectrum, []).values
    assert values["amplitude_error_pct"] == values["phase_error_rad"] == 0
    assert values["amplitude_factor"] == 1 and values["energy_px_reference"] > 0
    assert values["coherence"] == values["coherence_reference"]


def test_other_bands_are_compared_by_amplitude_alone_with_a_note():
    spectrum, notes = swaying_blob(), []
    other = swaying_blob(frequencies=(0.25, 0.5))
    values = compare_spectra("a", spectrum, other, notes).values
    assert "amplitude_error_pct" not in values and values["amplitude_factor"] > 1
    assert notes == ["a: other bands, compared by amplitude alone"]


def test_an_amplitude_spectrum_is_interpolated_between_its_bands():
    read = comparison.at_frequencies(
        torch.tensor([1.0, 3.0]), torch.tensor([0.2, 0.4]), torch.tensor([0.2, 0.3, 0.9])
    )
    torch.testing.assert_close(read, torch.tensor([1.0, 2.0, 3.0]))


# Clips


def test_a_clip_against_itself_and_against_another():
    clip, notes = ball(), []
    same = compare_clips("a", clip, clip, 10.0, 10.0, notes)
    assert same.values["psnr_db"] == math.inf and same.values["ssim"] == pytest.approx(1)
    assert same.values["brightness_factor"] == 1
    other = compare_clips("a", clip, ball(shift=1.0), 10.0, 10.0, notes).values
    assert other["psnr_db"] == pytest.approx(picture_metrics.psnr(ball(shift=1.0), clip))
    assert 0.5 < other["ssim"] < 1 and notes == []


def test_the_seam_of_a_loop_equals_its_steps_and_that_of_a_cut_clip_is_larger():
    loop, cut = ball(20), ball(20, fps=8.7)  # two whole swings, and 2.3
    values = compare_clips("a", loop, cut, 10.0, 10.0, []).values
    assert values["seam_reference"] == pytest.approx(1, abs=0.05) and values["seam"] > 1.1


@pytest.mark.parametrize("longer", [0, 1])
def test_seams_are_those_of_whole_clips_and_not_of_what_is_compared(longer):
    clips = [ball(20), ball(30, fps=15.0)]  # the same two swings
    clips = clips[::-1] if longer == 0 else clips
    values = compare_clips("a", *clips, 10.0, 15.0, []).values
    assert values["seam"] == pytest.approx(1, abs=0.1)
    assert values["seam_reference"] == pytest.approx(1, abs=0.1)
    values = compare_clips("a", *clips, 10.0, 15.0, [], whole=False).values
    assert math.isnan(values["seam"]) and math.isnan(values["seam_reference"])


def test_flicker_is_measured_where_the_reference_is_static(rng):
    clip = ball(40)
    noisy = clip + 0.01 * torch.randn(40, 1, 24, 40, generator=rng)
    values = compare_clips("a", clip, noisy, 10.0, 10.0, []).values
    assert values["flicker"] == pytest.approx(10, rel=0.05)
    assert values["flicker_reference"] < 0.5
    assert values["pulse"] < 1


def test_clips_of_different_size_length_and_rate_are_compared_with_notes():
    notes = []
    small = ball(15, size=(12, 20))
    pair = compare_clips("a", ball(20), small, 10.0, 25.0, notes)
    assert "brightness_factor" not in pair.values and len(pair.curves["psnr"].candidate) == 15
    assert notes == [
        "a: the candidate is 20x12, resized to 40x24",
        "a: 20 and 15 frames, 15 compared",
        "a: 10 and 25 frames per second; compared by frame",
    ]


def test_undefined_values_of_tiny_and_short_clips_are_nan():
    values = compare_clips("a", ball(1, size=(6, 8)), ball(1, size=(6, 8)), 10.0, 10.0, []).values
    assert math.isnan(values["ssim"]) and math.isnan(values["flicker"])
