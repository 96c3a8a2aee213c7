import math

import pytest
import torch

from gid_core.diffusion.smoothing import FAINT, REACH, smoothed


def slowly(noisy, weights, sigma, radius):
    """The same by the sum over all pairs of places."""
    n, channels, height, width = noisy.shape
    reach = round(REACH * radius)
    one = [math.exp(-0.5 * (d / radius) ** 2) for d in range(-reach, reach + 1)]
    taps = {d - reach: v / sum(one) for d, v in enumerate(one)}
    out = torch.zeros_like(noisy)
    for item in range(n):
        for y in range(height):
            for x in range(width):
                total, whole, squares = torch.zeros(channels), 0.0, 0.0
                for v in range(height):
                    for u in range(width):
                        g = taps.get(v - y, 0) * taps.get(u - x, 0)
                        g = g * (float(weights[item, 0, v, u]) + FAINT)
                        total += g * noisy[item, :, v, u]
                        whole, squares = whole + g, squares + g * g
                kept = squares / whole**2
                gain = math.sqrt((1 + sigma[item] ** 2) / (1 + kept * sigma[item] ** 2))
                out[item, :, y, x] = total / whole * gain
    return out


def test_it_is_the_sum_over_all_places(rng):
    noisy, weights = torch.randn(2, 3, 4, 5, generator=rng), torch.rand(2, 1, 4, 5, generator=rng)
    sigma = torch.tensor([0.5, 7.0])
    found = smoothed(noisy, weights, sigma, 1.3)
    torch.testing.assert_close(found, slowly(noisy, weights, sigma, 1.3), atol=1e-5, rtol=1e-5)


def test_what_is_the_same_everywhere_keeps_its_value_whatever_the_weights(rng):
    field = torch.tensor([0.7, -2.0]).view(1, 2, 1, 1).expand(1, 2, 11, 14)
    weights = torch.rand(1, 1, 11, 14, generator=rng).round()
    torch.testing.assert_close(smoothed(field, weights, torch.zeros(1), 3), field)


def test_what_does_not_count_is_not_heard(rng):
    field = torch.ones(1, 1, 12, 16)
    field[..., 8:] = 1000.0
    weights = torch.ones(1, 1, 12, 16)
    weights[..., 8:] = 0
    near = smoothed(field, weights, torch.zeros(1), 2)[..., :4]
    assert float((near - 1).abs().max()) < 0.2


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0, 40.0])
@pytest.mark.parametrize("radius", [2, 8])
def test_things_under_noise_keep_about_unit_size(sigma, radius, rng):
    level = torch.full((400,), sigma)
    clean = torch.randn(400, 1, 1, 1, generator=rng)
    noise = torch.randn(400, 1, 24, 32, generator=rng)
    noisy = (clean + sigma * noise) / math.sqrt(1 + sigma**2)
    middle = smoothed(noisy, torch.ones(400, 1, 24, 32), level, radius)[:, 0, 12, 16]
    assert float(middle.square().mean()) == pytest.approx(1, abs=0.25)


def test_much_noise_hides_a_place_and_not_its_surroundings(rng):
    sigma, clean = 6.0, torch.randn(300, 1, 1, 1, generator=rng)
    noisy = (clean + sigma * torch.randn(300, 1, 24, 32, generator=rng)) / math.sqrt(1 + sigma**2)
    seen = smoothed(noisy, torch.ones(300, 1, 24, 32), torch.full((300,), sigma), 4)
    alike = lambda x: float(torch.corrcoef(torch.stack([x[:, 0, 12, 16], clean[:, 0, 0, 0]]))[0, 1])
    assert alike(noisy) < 0.35
    assert alike(seen) > 0.8
