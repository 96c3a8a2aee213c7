import math

import pytest
import torch
from hypothesis import given, strategies as st

from gid_core.evaluation import frechet, motion_metrics, picture_metrics
from gid_core.motion.spectrum import analyze, displacement_at
from gid_core.still.grid import pixel_grid


def random_bands(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.complex64)


def noise(rng, *shape):
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


# A thing compared with itself


def test_a_thing_compared_with_itself_has_the_best_value(rng):
    frames, coeffs = noise(rng, 3, 3, 12, 14), random_bands(rng, 4, 2, 5, 7)
    field = torch.randn(3, 2, 5, 7, generator=rng)
    assert motion_metrics.end_point_error(field, field).max() == 0
    assert motion_metrics.spectral_error(coeffs, coeffs).pooled() == (0, 0)
    assert picture_metrics.psnr(frames, frames) == math.inf
    torch.testing.assert_close(picture_metrics.ssim(frames, frames), torch.ones(3).double())
    spectrum = motion_metrics.amplitude_spectrum(coeffs)
    assert motion_metrics.temporal_spectrum_distance(spectrum, spectrum) == 0
    features = motion_metrics.motion_descriptors(random_bands(rng, 40, 3, 2, 5, 7)).double()
    assert frechet.frechet_distance(features, features) < 1e-9


# Errors against the truth


def test_end_point_error_is_the_length_of_the_difference():
    truth = torch.zeros(3, 2, 5, 7)
    estimate = truth + torch.tensor([3.0, -4.0]).view(2, 1, 1)
    assert motion_metrics.end_point_error(estimate, truth).tolist() == [5.0] * (3 * 5 * 7)


def test_the_end_point_error_covers_only_counted_pixels(rng):
    truth, estimate = torch.zeros(3, 2, 5, 7), torch.zeros(3, 2, 5, 7)
    estimate[1, :, 2, 4], estimate[:, :, 0, 0] = 1.0, 100.0
    moving = torch.ones(1, 5, 7, dtype=torch.bool)
    moving[0, 0, 0] = False
    error = motion_metrics.end_point_error(estimate, truth, moving)
    assert len(error) == 3 * 34 and error.max() == pytest.approx(math.sqrt(2))
    visible = moving.expand(3, 1, 5, 7).clone()
    visible[1, 0, 2, 4] = False
    assert motion_metrics.end_point_error(estimate, truth, visible).max() == 0


@given(gain=st.floats(0.1, 3), turn=st.floats(-3, 3))
def test_spectral_error_is_the_gain_and_phase_of_a_band(gain, turn):
    rng = torch.Generator().manual_seed(1)
    truth = 0.5 + 5 * torch.rand(3, 2, 5, 7, generator=rng)  # all above what counts
    truth = torch.polar(truth, 6 * torch.rand(3, 2, 5, 7, generator=rng))
    estimate = truth.clone()
    estimate[1] = estimate[1] * torch.polar(torch.tensor(gain), torch.tensor(turn))
    error = motion_metrics.spectral_error(estimate, truth)
    torch.testing.assert_close(
        error.amplitude, torch.tensor([0, abs(gain - 1), 0]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(error.phase_rad, torch.tensor([0, abs(turn), 0]), atol=1e-3, rtol=0)
    share = float(error.energy[1] / error.energy.sum())
    assert error.pooled() == pytest.approx((share * abs(gain - 1), share * abs(turn)), abs=1e-3)


def test_spectral_error_is_weighted_by_true_energy_and_ignores_small_amplitudes():
    truth = torch.tensor([2.0, 1.0, 0.05]).to(torch.complex64).expand(1, 2, 4, 3)
    estimate = torch.tensor([1.0, 1.0, 9.0]).to(torch.complex64).expand(1, 2, 4, 3)
    error = motion_metrics.spectral_error(estimate, truth)  # off by half where the energy is 4 of 5
    assert error.amplitude.item() == pytest.approx(0.5 * 4 / 5)
    nothing = motion_metrics.spectral_error(estimate, truth / 100)
    assert nothing.amplitude.isnan().all() and math.isnan(nothing.pooled()[0])


def test_an_estimate_of_zero_has_amplitude_error_1_and_phase_error_of_a_quarter_turn(rng):
    truth = random_bands(rng, 3, 2, 5, 7)
    assert motion_metrics.spectral_error(0 * truth, truth).pooled() == pytest.approx(
        (1, math.pi / 2)
    )


def test_the_energy_of_a_spectrum_is_that_of_its_displacement(rng):
    # Parseval, over a whole period.
    motion = torch.randn(1, 40, 2, 5, 7, generator=rng, dtype=torch.float64)
    spectrum = analyze(motion, 20.0, 19, detrend=False)
    played = displacement_at(spectrum, torch.arange(40, dtype=torch.float64) / 20)[0]
    torch.testing.assert_close(
        motion_metrics.spectral_energy(spectrum.coeffs[0]), motion_metrics.motion_energy(played)
    )


# The moving region


def test_the_moving_region_is_the_most_moving_fifth_above_the_threshold():
    energy = torch.linspace(0, 1, 10 * 256).view(10, 256)
    region = motion_metrics.moving_region(energy)
    assert region.sum() == 512 and energy[region].min() > energy[~region].max()
    assert not motion_metrics.moving_region(energy * 0.19).any()  # at most 0.19 px, of 256
    assert motion_metrics.moving_region(energy[:, :128] * 0.19).any()  # of 128: twice as much


def test_the_moving_region_of_what_was_turned_is_turned(rng):
    energy = 0.17 * torch.rand(60, 200, generator=rng)  # a tenth is above the threshold
    region = motion_metrics.moving_region(energy)
    assert 0 < region.sum() and torch.equal(motion_metrics.moving_region(energy.mT), region.mT)


@pytest.mark.parametrize("seed", range(5))
def test_area_under_the_curve_is_the_share_of_pairs_in_order(seed):
    rng = torch.Generator().manual_seed(seed)
    score = torch.randint(0, 6, (40,), generator=rng).double()  # many ties
    positive = torch.rand(40, generator=rng) < 0.3
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0 for p in score[positive] for n in score[~positive]
    ]
    expected = sum(pairs) / len(pairs)
    assert motion_metrics.area_under_curve(score, positive) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_score_is_1_its_reverse_0_and_any_monotone_map_the_same(rng):
    energy = torch.rand(30, 40, generator=rng)
    assert motion_metrics.moving_region_auc(energy, energy) == 1
    assert motion_metrics.moving_region_auc(-energy, energy) == 0
    score = energy + torch.rand(30, 40, generator=rng)
    first = motion_metrics.moving_region_auc(score, energy)
    assert 0.5 < first < 1 and motion_metrics.moving_region_auc(score.exp(), energy) == first
    assert motion_metrics.moving_region_auc(torch.ones(30, 40), energy) == 0.5
    assert math.isnan(motion_metrics.moving_region_auc(energy, 0 * energy))


def test_coherence_is_1_for_a_shift_0_for_noise_and_minus_1_for_a_checkerboard(rng):
    shift = torch.randn(4, 2, 1, 1, generator=rng).expand(4, 2, 30, 40)
    assert motion_metrics.local_coherence(shift) == pytest.approx(1)
    white = torch.randn(4, 2, 30, 40, generator=rng)
    assert abs(motion_metrics.local_coherence(white)) < 0.02
    x, y = pixel_grid(30, 40, like=shift)
    assert motion_metrics.local_coherence(shift * (-1) ** (x + y)) == pytest.approx(-1)
    assert math.isnan(motion_metrics.local_coherence(0 * white))


def test_coherence_of_bands_is_that_of_their_motion_and_only_counted_pairs_count(rng):
    coeffs = random_bands(rng, 3, 2, 5, 7) + random_bands(rng, 3, 2, 1, 1)
    times = torch.arange(20) / 20
    turns = torch.exp(2j * math.pi * torch.arange(1, 4)[:, None] * times).to(torch.complex64)
    played = torch.einsum("kchw,kt->tchw", coeffs, turns).real
    of_bands = motion_metrics.local_coherence(motion_metrics.as_motion(coeffs))
    assert of_bands == pytest.approx(motion_metrics.local_coherence(played), abs=1e-5)
    left = torch.zeros(1, 5, 7, dtype=torch.bool)
    left[..., :3] = True
    broken = played.clone()
    broken[..., 3:] = 1e3
    assert motion_metrics.local_coherence(broken, left) == motion_metrics.local_coherence(
        played, left
    )


def test_the_distance_of_spectra_is_the_log_of_their_factor(rng):
    spectrum = torch.rand(16, generator=rng) + 0.1
    distance = motion_metrics.temporal_spectrum_distance(1.5 * spectrum, spectrum)
    assert distance == pytest.approx(math.log(1.5), rel=1e-5)
    assert motion_metrics.temporal_spectrum_distance(spectrum, 1.5 * spectrum) == pytest.approx(
        distance
    )
    tiny = torch.full((16,), 1e-7)
    assert motion_metrics.temporal_spectrum_distance(tiny, 0 * tiny) == 0  # both below the floor


def test_the_amplitude_spectrum_is_the_mean_over_counted_pixels():
    coeffs = torch.zeros(2, 2, 4, 5, dtype=torch.complex64)
    coeffs[1, 0, :, :2] = 3j
    left = torch.zeros(1, 4, 5, dtype=torch.bool)
    left[..., :2] = True
    torch.testing.assert_close(motion_metrics.amplitude_spectrum(coeffs), torch.tensor([0, 0.6]))
    torch.testing.assert_close(
        motion_metrics.amplitude_spectrum(coeffs, left), torch.tensor([0, 1.5])
    )


# Sets of clips


def test_descriptors_do_not_depend_on_the_grid():
    x, y = pixel_grid(40, 64, like=torch.zeros(1))
    field = torch.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 300)
    coeffs = torch.stack([field * (1 + k) * torch.tensor([1, 0.5j]).view(2, 1, 1) for k in (2, 1)])
    coarse = coeffs.unflatten(-1, (-1, 2)).mean(-1).unflatten(-2, (-1, 2)).mean(-2) / 2
    one, other = (motion_metrics.motion_descriptors(c[None])[0] for c in (coeffs, coarse))
    assert len(one) == 3 * 2 + 3
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_descriptors_separate_correlated_bands_from_independent_bands(rng):
    envelope = torch.rand(12, 1, 1, 16, 20, generator=rng)
    shared = random_bands(rng, 12, 3, 2, 1, 1) * envelope
    apart = random_bands(rng, 12, 3, 2, 1, 1) * torch.rand(12, 3, 1, 16, 20, generator=rng)
    together, independent = (
        motion_metrics.motion_descriptors(c)[:, 6:8].mean() for c in (shared, apart)
    )
    assert together > 0.95 and independent.abs() < 0.15
