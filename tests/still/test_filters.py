import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.still import filters
from gid_core.still.filters import dilated, guided_filter, largest_within


def test_the_guided_filter_equals_the_fit_in_every_window(rng):
    guide = torch.rand(1, 3, 6, 7, generator=rng, dtype=torch.float64)
    values = torch.rand(1, 1, 6, 7, generator=rng, dtype=torch.float64)
    expected = oracles.guided_filter(guide, values, 2, 0.01)
    found = guided_filter(guide, values, 2, 0.01)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_the_guided_filter_returns_linear_functions_of_the_guide(rng):
    guide = torch.rand(1, 3, 12, 15, generator=rng, dtype=torch.float64)
    values = (guide * torch.tensor([0.3, -0.5, 0.7]).view(1, 3, 1, 1)).sum(1, keepdim=True) + 0.2
    found = guided_filter(guide, values, 3, 1e-12)
    torch.testing.assert_close(found, values, rtol=0, atol=1e-8)


def test_the_guided_filter_preserves_constants_and_is_linear(rng):
    guide = torch.rand(1, 3, 12, 15, generator=rng, dtype=torch.float64)
    a, b = torch.rand(2, 1, 1, 12, 15, generator=rng, dtype=torch.float64)
    constant = guided_filter(guide, torch.full_like(a, 0.7), 3, 1e-3)
    torch.testing.assert_close(constant, torch.full_like(a, 0.7), rtol=0, atol=1e-12)
    both = guided_filter(guide, 2 * a - b, 3, 1e-3)
    apart = 2 * guided_filter(guide, a, 3, 1e-3) - guided_filter(guide, b, 3, 1e-3)
    torch.testing.assert_close(both, apart, rtol=0, atol=1e-12)


def test_over_a_flat_guide_the_filter_is_two_box_means(rng):
    values = torch.rand(1, 1, 9, 11, generator=rng, dtype=torch.float64)
    found = guided_filter(torch.full((1, 3, 9, 11), 0.5).double(), values, 2, 1e-3)
    expected = oracles.box(oracles.box(values[0], 2), 2)[None]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_large_pictures_are_fitted_at_a_reduced_size_to_the_same_linear_function(rng, monkeypatch):
    guide = torch.rand(1, 3, 50, 70, generator=rng, dtype=torch.float64)
    slope = torch.tensor([0.5, -0.2, 0.3], dtype=torch.float64).view(1, 3, 1, 1)
    values = (slope * guide).sum(1, keepdim=True) + 0.1
    monkeypatch.setattr(filters, "MOST_FITTED", 50 * 70 // 9)
    monkeypatch.setattr(filters, "REDUCED", 50 * 70 // 9)
    monkeypatch.setattr(filters, "AT_ONCE", 400)
    torch.testing.assert_close(guided_filter(guide, values, 6, 1e-9), values, atol=1e-5, rtol=0)


def test_a_dilated_mask_reaches_as_far_as_its_radius(rng):
    mask = torch.zeros(2, 9, 13)
    mask[0, 4, 5] = 1
    expected = torch.zeros_like(mask)
    expected[0, 2:7, 3:8] = 1
    assert torch.equal(dilated(mask, 2), expected)


def test_rows_of_an_enlarged_picture_are_those_of_the_whole(rng):
    x = torch.rand(1, 2, 7, 9, generator=rng, dtype=torch.float64)
    whole = torch.nn.functional.interpolate(x, (31, 40), mode="bilinear", align_corners=False)
    for rows in (slice(0, 5), slice(5, 30), slice(30, 31)):
        found = filters._rows_enlarged(x, rows, (31, 40))
        torch.testing.assert_close(found, whole[:, :, rows], atol=1e-12, rtol=0)


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 9])
def test_the_largest_of_every_window_is_that_of_max_pooling(rng, window):
    values = torch.randn(2, 11, 13, generator=rng)
    values[0, 3, 4], values[1, 5, 6] = -torch.inf, torch.nan
    pooled = F.max_pool2d(values[None], window, 1)[0]
    assert torch.equal(largest_within(values, window).nan_to_num(99), pooled.nan_to_num(99))
    spread = F.max_pool2d(values[None], 2 * window + 1, 1, window)[0]
    assert torch.equal(dilated(values, window).nan_to_num(99), spread.nan_to_num(99))


@pytest.mark.parametrize("radius", [0, 1, 3, 8, 20])
def test_a_mean_has_the_bits_of_average_pooling(rng, radius):
    x, k = torch.randn(2, 3, 9, 14, generator=rng), 2 * radius + 1
    pooled = F.avg_pool2d(x, (k, 1), 1, (radius, 0), count_include_pad=False)
    pooled = F.avg_pool2d(pooled, (1, k), 1, (0, radius), count_include_pad=False)
    assert torch.equal(filters.box_mean(x, radius), pooled)
