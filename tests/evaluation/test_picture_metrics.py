import math

import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.evaluation import picture_metrics


def noise(rng, *shape):
    return torch.rand(*shape, generator=rng, dtype=torch.float64)


# Pictures


def test_psnr_of_a_known_error():
    still = torch.full((2, 3, 5, 7), 0.5)
    assert picture_metrics.psnr(still + 0.1, still) == pytest.approx(20, abs=1e-4)
    half = torch.zeros(1, 5, 7, dtype=torch.bool)
    half[..., :3] = True
    off = torch.where(half, 0.01, 0.5)
    assert picture_metrics.psnr(still + off, still, half) == pytest.approx(40, abs=1e-3)


def test_ssim_equals_the_loop(rng):
    a, b = noise(rng, 2, 3, 13, 15), noise(rng, 2, 3, 13, 15)
    b[1] = 0.8 * a[1] + 0.2 * b[1]
    expected = torch.tensor([oracles.ssim(*pair) for pair in zip(a, b)], dtype=torch.float64)
    torch.testing.assert_close(picture_metrics.ssim(a, b), expected, rtol=0, atol=1e-10)
    assert expected[1] > expected[0]


def test_pictures_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="at least 11x11, got 12x10"):
        picture_metrics.ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))


# Clips over time


def test_flicker_measures_noise_and_not_a_fade(rng):
    noisy = 0.5 + 0.03 * torch.randn(40, 1, 20, 30, generator=rng, dtype=torch.float64)
    assert picture_metrics.flicker(noisy) == pytest.approx(0.03, rel=0.02)
    fade = torch.linspace(0, 1, 40, dtype=torch.float64).view(-1, 1, 1, 1).expand(40, 3, 5, 7)
    assert picture_metrics.flicker(fade) < 1e-12
    moving = noisy.clone()
    moving[:, :, :, 15:] = torch.rand(40, 1, 20, 15, generator=rng, dtype=torch.float64)
    still = torch.zeros(1, 20, 30, dtype=torch.bool)
    still[..., :15] = True
    assert picture_metrics.flicker(moving, still) == pytest.approx(0.03, rel=0.03)
    assert math.isnan(picture_metrics.flicker(noisy[:2]))


def test_flicker_of_the_mean_is_that_of_a_uniform_pulse(rng):
    still = torch.rand(1, 3, 5, 7, generator=rng)
    pulse = 0.02 * torch.randn(60, 1, 1, 1, generator=rng)
    clip = still + pulse
    assert picture_metrics.flicker(clip.mean((2, 3), keepdim=True)) == pytest.approx(
        picture_metrics.flicker(clip), rel=1e-4
    )


def test_an_oscillation_of_brightness_is_found_at_its_frequency(rng):
    t = torch.arange(50, dtype=torch.float64)
    swing = 0.2 * torch.cos(2 * math.pi * 3 * t / 50).view(-1, 1, 1, 1)
    frequencies, amplitude = picture_metrics.brightness_spectrum(
        noise(rng, 1, 3, 5, 7) + swing, 25.0
    )
    assert len(frequencies) == len(amplitude) == 24
    assert amplitude.argmax() == 2 and frequencies[2] == pytest.approx(1.5)
    # The straight line through the ends of a cosine is not quite level.
    assert amplitude[2] == pytest.approx(0.2, rel=0.01)


def test_gradient_deviation_is_zero_for_equal_pictures_and_depends_on_edges_alone(rng):
    picture = torch.rand(2, 3, 40, 56, generator=rng)
    assert not picture_metrics.gradient_deviation(picture, picture).any()
    # Brighter everywhere: no edge differs. Blurred in one half: edges are kept unevenly.
    assert picture_metrics.gradient_deviation(0.5 * picture + 0.3, 0.5 * picture).max() < 1e-4
    blurred = picture.clone()
    blurred[..., 28:] = F.avg_pool2d(picture, 3, 1, 1)[..., 28:]
    more = picture.clone()
    more[..., 28:] = F.avg_pool2d(picture, 7, 1, 3)[..., 28:]
    some, most = (
        picture_metrics.gradient_deviation(blurred, picture),
        picture_metrics.gradient_deviation(more, picture),
    )
    assert (0.05 < some).all() and (some < most).all()
    torch.testing.assert_close(
        picture_metrics.gradient_deviation(picture, blurred), some
    )  # either way round


def test_gradient_deviation_by_hand(rng):
    # A step of one quarter against one of one half, both up and down: slopes of 1/2 and 1 per 2 px.
    picture, other = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    picture[..., 4:], other[..., 4:] = 0.25, 0.5
    alike = (2 * 0.25 * 0.5 + 170 / 255**2) / (0.25**2 + 0.5**2 + 170 / 255**2)
    # Of 2 x 2 places where the window fits, all see the step.
    assert picture_metrics.gradient_deviation(picture, other) == pytest.approx(0, abs=1e-4)
    wide = lambda x: F.pad(x, (4, 4, 0, 0), mode="replicate")
    values = torch.tensor([1.0, alike, alike, 1.0])  # columns: flat, at the step, at the step, flat
    expected = float(torch.cat([values[:1], values, values[-1:]]).std(correction=0))
    found = picture_metrics.gradient_deviation(wide(picture), wide(other))
    assert found == pytest.approx(expected, abs=1e-4)
