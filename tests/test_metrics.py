import math

import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from scipy.linalg import sqrtm

from gid_core import metrics
from gid_core.grid import pixel_grid
from gid_core.spectrum import analyze, displacement_at


def random_bands(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.complex64)


def noise(rng, *shape):
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


def covariance(rng, size, rank=None):
    root = torch.randn(size, rank or size + 2, generator=rng, dtype=torch.float64)
    return root @ root.T / size


# What is measured against itself


def test_a_thing_measured_against_itself_gives_the_best_value(rng):
    frames, coeffs = noise(rng, 3, 3, 12, 14), random_bands(rng, 4, 2, 5, 7)
    field = torch.randn(3, 2, 5, 7, generator=rng)
    assert metrics.end_point_error(field, field).max() == 0
    assert metrics.spectral_error(coeffs, coeffs).pooled() == (0, 0)
    assert metrics.psnr(frames, frames) == math.inf
    torch.testing.assert_close(metrics.ssim(frames, frames), torch.ones(3).double())
    spectrum = metrics.amplitude_spectrum(coeffs)
    assert metrics.temporal_spectrum_distance(spectrum, spectrum) == 0
    features = metrics.motion_descriptors(random_bands(rng, 40, 3, 2, 5, 7)).double()
    assert metrics.frechet_distance(features, features) < 1e-9


# Motion against its truth


def test_end_point_error_is_the_length_of_the_difference():
    truth = torch.zeros(3, 2, 5, 7)
    estimate = truth + torch.tensor([3.0, -4.0]).view(2, 1, 1)
    assert metrics.end_point_error(estimate, truth).tolist() == [5.0] * (3 * 5 * 7)


def test_only_what_counts_is_in_the_end_point_error(rng):
    truth, estimate = torch.zeros(3, 2, 5, 7), torch.zeros(3, 2, 5, 7)
    estimate[1, :, 2, 4], estimate[:, :, 0, 0] = 1.0, 100.0
    moving = torch.ones(1, 5, 7, dtype=torch.bool)
    moving[0, 0, 0] = False
    error = metrics.end_point_error(estimate, truth, moving)
    assert len(error) == 3 * 34 and error.max() == pytest.approx(math.sqrt(2))
    visible = moving.expand(3, 1, 5, 7).clone()
    visible[1, 0, 2, 4] = False
    assert metrics.end_point_error(estimate, truth, visible).max() == 0


@given(gain=st.floats(0.1, 3), turn=st.floats(-3, 3))
def test_spectral_error_reads_gain_and_turn_of_a_band(gain, turn):
    rng = torch.Generator().manual_seed(1)
    truth = 0.5 + 5 * torch.rand(3, 2, 5, 7, generator=rng)  # all above what counts
    truth = torch.polar(truth, 6 * torch.rand(3, 2, 5, 7, generator=rng))
    estimate = truth.clone()
    estimate[1] = estimate[1] * torch.polar(torch.tensor(gain), torch.tensor(turn))
    error = metrics.spectral_error(estimate, truth)
    torch.testing.assert_close(
        error.amplitude, torch.tensor([0, abs(gain - 1), 0]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(error.phase_rad, torch.tensor([0, abs(turn), 0]), atol=1e-3, rtol=0)
    share = float(error.energy[1] / error.energy.sum())
    assert error.pooled() == pytest.approx((share * abs(gain - 1), share * abs(turn)), abs=1e-3)


def test_spectral_error_is_weighted_by_true_energy_and_ignores_what_is_small():
    truth = torch.tensor([2.0, 1.0, 0.05]).to(torch.complex64).expand(1, 2, 4, 3)
    estimate = torch.tensor([1.0, 1.0, 9.0]).to(torch.complex64).expand(1, 2, 4, 3)
    error = metrics.spectral_error(estimate, truth)  # off by half where the energy is 4 of 5
    assert error.amplitude.item() == pytest.approx(0.5 * 4 / 5)
    nothing = metrics.spectral_error(estimate, truth / 100)
    assert nothing.amplitude.isnan().all() and math.isnan(nothing.pooled()[0])


def test_an_estimate_of_nothing_is_all_off_in_amplitude_and_a_quarter_turn_in_phase(rng):
    truth = random_bands(rng, 3, 2, 5, 7)
    assert metrics.spectral_error(0 * truth, truth).pooled() == pytest.approx((1, math.pi / 2))


def test_a_spectrum_moves_as_much_as_its_displacement(rng):
    # Parseval, over a whole period.
    motion = torch.randn(1, 40, 2, 5, 7, generator=rng, dtype=torch.float64)
    spectrum = analyze(motion, 20.0, 19, detrend=False)
    played = displacement_at(spectrum, torch.arange(40, dtype=torch.float64) / 20)[0]
    torch.testing.assert_close(
        metrics.spectral_energy(spectrum.coeffs[0]), metrics.motion_energy(played)
    )


# Where things move


def test_the_moving_region_is_the_fifth_that_moves_most_and_moves_at_all():
    energy = torch.linspace(0, 1, 10 * 256).view(10, 256)
    region = metrics.moving_region(energy)
    assert region.sum() == 512 and energy[region].min() > energy[~region].max()
    assert not metrics.moving_region(energy * 0.19).any()  # at most 0.19 px, of 256
    assert metrics.moving_region(energy[:, :128] * 0.19).any()  # of 128: twice as much


@pytest.mark.parametrize("seed", range(5))
def test_area_under_the_curve_is_the_share_of_pairs_in_order(seed):
    rng = torch.Generator().manual_seed(seed)
    score = torch.randint(0, 6, (40,), generator=rng).double()  # many ties
    positive = torch.rand(40, generator=rng) < 0.3
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0 for p in score[positive] for n in score[~positive]
    ]
    expected = sum(pairs) / len(pairs)
    assert metrics.area_under_curve(score, positive) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_score_is_1_its_reverse_0_and_any_monotone_map_the_same(rng):
    energy = torch.rand(30, 40, generator=rng)
    assert metrics.moving_region_auc(energy, energy) == 1
    assert metrics.moving_region_auc(-energy, energy) == 0
    score = energy + torch.rand(30, 40, generator=rng)
    first = metrics.moving_region_auc(score, energy)
    assert 0.5 < first < 1 and metrics.moving_region_auc(score.exp(), energy) == first
    assert metrics.moving_region_auc(torch.ones(30, 40), energy) == 0.5
    assert math.isnan(metrics.moving_region_auc(energy, 0 * energy))


def test_coherence_is_1_for_a_shift_0_for_noise_and_minus_1_for_a_checkerboard(rng):
    shift = torch.randn(4, 2, 1, 1, generator=rng).expand(4, 2, 30, 40)
    assert metrics.local_coherence(shift) == pytest.approx(1)
    white = torch.randn(4, 2, 30, 40, generator=rng)
    assert abs(metrics.local_coherence(white)) < 0.02
    x, y = pixel_grid(30, 40, like=shift)
    assert metrics.local_coherence(shift * (-1) ** (x + y)) == pytest.approx(-1)
    assert math.isnan(metrics.local_coherence(0 * white))


def test_coherence_of_bands_is_that_of_their_motion_and_only_counted_pairs_count(rng):
    coeffs = random_bands(rng, 3, 2, 5, 7) + random_bands(rng, 3, 2, 1, 1)
    times = torch.arange(20) / 20
    turns = torch.exp(2j * math.pi * torch.arange(1, 4)[:, None] * times).to(torch.complex64)
    played = torch.einsum("kchw,kt->tchw", coeffs, turns).real
    of_bands = metrics.local_coherence(metrics.as_motion(coeffs))
    assert of_bands == pytest.approx(metrics.local_coherence(played), abs=1e-5)
    left = torch.zeros(1, 5, 7, dtype=torch.bool)
    left[..., :3] = True
    broken = played.clone()
    broken[..., 3:] = 1e3
    assert metrics.local_coherence(broken, left) == metrics.local_coherence(played, left)


# Pictures


def test_psnr_of_a_known_error():
    still = torch.full((2, 3, 5, 7), 0.5)
    assert metrics.psnr(still + 0.1, still) == pytest.approx(20, abs=1e-4)
    half = torch.zeros(1, 5, 7, dtype=torch.bool)
    half[..., :3] = True
    off = torch.where(half, 0.01, 0.5)
    assert metrics.psnr(still + off, still, half) == pytest.approx(40, abs=1e-3)


def test_ssim_equals_the_loop(rng):
    a, b = noise(rng, 2, 3, 13, 15), noise(rng, 2, 3, 13, 15)
    b[1] = 0.8 * a[1] + 0.2 * b[1]
    expected = torch.tensor([oracles.ssim(*pair) for pair in zip(a, b)], dtype=torch.float64)
    torch.testing.assert_close(metrics.ssim(a, b), expected, rtol=0, atol=1e-10)
    assert expected[1] > expected[0]


def test_pictures_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="at least 11x11, got 12x10"):
        metrics.ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))


# Clips over time


def test_flicker_reads_the_noise_and_not_the_fade(rng):
    noisy = 0.5 + 0.03 * torch.randn(40, 1, 20, 30, generator=rng, dtype=torch.float64)
    assert metrics.flicker(noisy) == pytest.approx(0.03, rel=0.02)
    fade = torch.linspace(0, 1, 40, dtype=torch.float64).view(-1, 1, 1, 1).expand(40, 3, 5, 7)
    assert metrics.flicker(fade) < 1e-12
    moving = noisy.clone()
    moving[:, :, :, 15:] = torch.rand(40, 1, 20, 15, generator=rng, dtype=torch.float64)
    still = torch.zeros(1, 20, 30, dtype=torch.bool)
    still[..., :15] = True
    assert metrics.flicker(moving, still) == pytest.approx(0.03, rel=0.03)
    assert math.isnan(metrics.flicker(noisy[:2]))


def test_the_pulse_of_a_clip_is_the_flicker_of_its_mean(rng):
    still = torch.rand(1, 3, 5, 7, generator=rng)
    pulse = 0.02 * torch.randn(60, 1, 1, 1, generator=rng)
    clip = still + pulse
    assert metrics.flicker(clip.mean((2, 3), keepdim=True)) == pytest.approx(
        metrics.flicker(clip), rel=1e-4
    )


def test_what_moves_along_the_displacement_has_no_warp_error():
    # A brightness linear in x, y is read exactly between pixels; it moves by (0.7, -0.4) t.
    times = torch.arange(5, dtype=torch.float64)
    displacement = times.view(-1, 1, 1, 1) * torch.tensor([0.7, -0.4]).double().view(2, 1, 1)
    displacement = displacement.expand(5, 2, 12, 16)
    x, y = pixel_grid(12, 16, like=displacement)
    frames = torch.stack([(0.02 * (x - d[0]) + 0.03 * (y - d[1]))[None] for d in displacement])
    assert metrics.warp_error(frames, displacement) < 1e-20
    assert metrics.warp_error(frames, 0 * displacement) == pytest.approx(0.002**2, rel=1e-6)


def test_warp_error_leaves_out_what_is_hidden_or_gone(rng):
    frames = torch.full((4, 1, 6, 8), 0.5)
    frames[2, :, 3, 4] = 1.0
    visible = torch.ones(4, 1, 6, 8, dtype=torch.bool)
    at_rest = torch.zeros(4, 2, 6, 8)
    assert metrics.warp_error(frames, at_rest, visible) > 0
    visible[2, :, 3, 4] = False
    assert metrics.warp_error(frames, at_rest, visible) == 0
    leaving = at_rest + torch.arange(4.0).view(4, 1, 1, 1)  # would read black outside
    assert metrics.warp_error(torch.full((4, 1, 6, 8), 0.5), leaving) < 1e-12


def test_brightness_that_swings_is_seen_at_its_frequency(rng):
    t = torch.arange(50, dtype=torch.float64)
    swing = 0.2 * torch.cos(2 * math.pi * 3 * t / 50).view(-1, 1, 1, 1)
    frequencies, amplitude = metrics.brightness_spectrum(noise(rng, 1, 3, 5, 7) + swing, 25.0)
    assert len(frequencies) == len(amplitude) == 24
    assert amplitude.argmax() == 2 and frequencies[2] == pytest.approx(1.5)
    # The straight line through the ends of a cosine is not quite level.
    assert amplitude[2] == pytest.approx(0.2, rel=0.01)


def test_temporal_spectra_a_factor_apart(rng):
    spectrum = torch.rand(16, generator=rng) + 0.1
    distance = metrics.temporal_spectrum_distance(1.5 * spectrum, spectrum)
    assert distance == pytest.approx(math.log(1.5), rel=1e-5)
    assert metrics.temporal_spectrum_distance(spectrum, 1.5 * spectrum) == pytest.approx(distance)
    tiny = torch.full((16,), 1e-7)
    assert metrics.temporal_spectrum_distance(tiny, 0 * tiny) == 0  # both below the floor


def test_the_amplitude_spectrum_is_the_mean_over_what_counts():
    coeffs = torch.zeros(2, 2, 4, 5, dtype=torch.complex64)
    coeffs[1, 0, :, :2] = 3j
    left = torch.zeros(1, 4, 5, dtype=torch.bool)
    left[..., :2] = True
    torch.testing.assert_close(metrics.amplitude_spectrum(coeffs), torch.tensor([0, 0.6]))
    torch.testing.assert_close(metrics.amplitude_spectrum(coeffs, left), torch.tensor([0, 1.5]))


# Sets of clips


def test_descriptors_do_not_depend_on_the_grid():
    x, y = pixel_grid(40, 64, like=torch.zeros(1))
    field = torch.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 300)
    coeffs = torch.stack([field * (1 + k) * torch.tensor([1, 0.5j]).view(2, 1, 1) for k in (2, 1)])
    coarse = coeffs.unflatten(-1, (-1, 2)).mean(-1).unflatten(-2, (-1, 2)).mean(-2) / 2
    one, other = (metrics.motion_descriptors(c[None])[0] for c in (coeffs, coarse))
    assert len(one) == 3 * 2 + 3
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_descriptors_tell_bands_that_belong_together_from_bands_that_do_not(rng):
    envelope = torch.rand(12, 1, 1, 16, 20, generator=rng)
    shared = random_bands(rng, 12, 3, 2, 1, 1) * envelope
    apart = random_bands(rng, 12, 3, 2, 1, 1) * torch.rand(12, 3, 1, 16, 20, generator=rng)
    together, independent = (metrics.motion_descriptors(c)[:, 6:8].mean() for c in (shared, apart))
    assert together > 0.95 and independent.abs() < 0.15


def test_frechet_distance_of_known_gaussians(rng):
    mean_a, mean_b = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    a, b = covariance(rng, 6), covariance(rng, 6)
    zero, one = torch.zeros(6).double(), torch.eye(6).double()
    assert metrics.frechet_distance_of(mean_a, a, mean_b, a) == pytest.approx(
        float((mean_a - mean_b).square().sum())
    )
    assert metrics.frechet_distance_of(zero, 9 * a, zero, a) == pytest.approx(float(4 * a.trace()))
    assert metrics.frechet_distance_of(zero, one * 4, zero, one) == pytest.approx(6)
    root = sqrtm(a.numpy() @ b.numpy())
    expected = float((a + b).trace()) - 2 * root.trace().real
    assert metrics.frechet_distance_of(zero, a, zero, b) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance_of(mean_a, a, mean_b, b) == pytest.approx(
        metrics.frechet_distance_of(mean_b, b, mean_a, a)
    )


def test_frechet_distance_of_covariances_without_full_rank(rng):
    # Fewer samples than features: the root of a product would be complex or not converge.
    a, b = covariance(rng, 30, rank=3), covariance(rng, 30, rank=2)
    zero = torch.zeros(30).double()
    assert metrics.frechet_distance_of(zero, a, zero, a) == pytest.approx(0, abs=1e-9)
    apart = metrics.frechet_distance_of(zero, a, zero, 0 * b)
    assert apart == pytest.approx(float(a.trace()))
    assert 0 < metrics.frechet_distance_of(zero, a, zero, b) < float((a + b).trace())


def test_frechet_distance_of_samples_is_that_of_their_gaussians(rng):
    features = torch.randn(50, 4, generator=rng, dtype=torch.float64)
    shifted = features + torch.tensor([2.0, 0, 0, 0]).double()
    assert metrics.frechet_distance(features, shifted) == pytest.approx(4)
    mean, spread = metrics.gaussian(features)
    torch.testing.assert_close(spread, features.T.cov())
    torch.testing.assert_close(mean, features.mean(0))
    biased = metrics.gaussian(features, unbiased=False)[1]
    torch.testing.assert_close(biased, features.T.cov(correction=0))


def test_windows_slide_over_whole_ranges():
    assert metrics.windows(10, 4, 3) == [range(0, 4), range(3, 7), range(6, 10)]
    assert metrics.windows(3, 4, 1) == []


def test_a_sliding_distance_shows_where_candidates_fall_off():
    references = [torch.zeros(12, 2), torch.zeros(6, 2)]
    candidates = [torch.arange(12.0)[:, None].expand(12, 2)] * 2

    def apart(some, others):
        return len(some) * 100 + float(torch.cat(others).mean() - torch.cat(some).mean())

    ranges = metrics.windows(12, 4, 4)
    # The second reference is too short for the later windows.
    assert metrics.sliding_distance(references, candidates, ranges, apart) == [201.5, 105.5, 109.5]


def test_gradient_deviation_is_zero_for_equals_and_heeds_edges_alone(rng):
    picture = torch.rand(2, 3, 40, 56, generator=rng)
    assert not metrics.gradient_deviation(picture, picture).any()
    # Brighter everywhere: no edge differs. Blurred in one half: edges are kept unevenly.
    assert metrics.gradient_deviation(0.5 * picture + 0.3, 0.5 * picture).max() < 1e-4
    blurred = picture.clone()
    blurred[..., 28:] = F.avg_pool2d(picture, 3, 1, 1)[..., 28:]
    more = picture.clone()
    more[..., 28:] = F.avg_pool2d(picture, 7, 1, 3)[..., 28:]
    some, most = (
        metrics.gradient_deviation(blurred, picture),
        metrics.gradient_deviation(more, picture),
    )
    assert (0.05 < some).all() and (some < most).all()
    torch.testing.assert_close(
        metrics.gradient_deviation(picture, blurred), some
    )  # either way round


def test_gradient_deviation_by_hand(rng):
    # A step of one quarter against one of one half, both up and down: slopes of 1/2 and 1 per 2 px.
    picture, other = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    picture[..., 4:], other[..., 4:] = 0.25, 0.5
    alike = (2 * 0.25 * 0.5 + 170 / 255**2) / (0.25**2 + 0.5**2 + 170 / 255**2)
    # Of 2 x 2 places where the window fits, all see the step.
    assert metrics.gradient_deviation(picture, other) == pytest.approx(0, abs=1e-4)
    wide = lambda x: F.pad(x, (4, 4, 0, 0), mode="replicate")
    values = torch.tensor([1.0, alike, alike, 1.0])  # columns: flat, at the step, at the step, flat
    expected = float(torch.cat([values[:1], values, values[-1:]]).std(correction=0))
    found = metrics.gradient_deviation(wide(picture), wide(other))
    assert found == pytest.approx(expected, abs=1e-4)
