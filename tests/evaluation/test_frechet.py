import pytest
import torch
from scipy.linalg import sqrtm

from gid_core.evaluation import frechet


def covariance(rng, size, rank=None):
    root = torch.randn(size, rank or size + 2, generator=rng, dtype=torch.float64)
    return root @ root.T / size


def test_frechet_distance_of_known_gaussians(rng):
    mean_a, mean_b = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    a, b = covariance(rng, 6), covariance(rng, 6)
    zero, one = torch.zeros(6).double(), torch.eye(6).double()
    assert frechet.frechet_distance_of(mean_a, a, mean_b, a) == pytest.approx(
        float((mean_a - mean_b).square().sum())
    )
    assert frechet.frechet_distance_of(zero, 9 * a, zero, a) == pytest.approx(float(4 * a.trace()))
    assert frechet.frechet_distance_of(zero, one * 4, zero, one) == pytest.approx(6)
    root = sqrtm(a.numpy() @ b.numpy())
    expected = float((a + b).trace()) - 2 * root.trace().real
    assert frechet.frechet_distance_of(zero, a, zero, b) == pytest.approx(expected, rel=1e-9)
    assert frechet.frechet_distance_of(mean_a, a, mean_b, b) == pytest.approx(
        frechet.frechet_distance_of(mean_b, b, mean_a, a)
    )


def test_frechet_distance_of_covariances_without_full_rank(rng):
    # Fewer samples than features: the root of the product could be complex or not converge.
    a, b = covariance(rng, 30, rank=3), covariance(rng, 30, rank=2)
    zero = torch.zeros(30).double()
    assert frechet.frechet_distance_of(zero, a, zero, a) == pytest.approx(0, abs=1e-9)
    apart = frechet.frechet_distance_of(zero, a, zero, 0 * b)
    assert apart == pytest.approx(float(a.trace()))
    assert 0 < frechet.frechet_distance_of(zero, a, zero, b) < float((a + b).trace())


def test_frechet_distance_of_samples_is_that_of_their_gaussians(rng):
    features = torch.randn(50, 4, generator=rng, dtype=torch.float64)
    shifted = features + torch.tensor([2.0, 0, 0, 0]).double()
    assert frechet.frechet_distance(features, shifted) == pytest.approx(4)
    mean, spread = frechet.gaussian(features)
    torch.testing.assert_close(spread, features.T.cov())
    torch.testing.assert_close(mean, features.mean(0))
    biased = frechet.gaussian(features, unbiased=False)[1]
    torch.testing.assert_close(biased, features.T.cov(correction=0))


def test_windows_are_complete():
    assert frechet.windows(10, 4, 3) == [range(0, 4), range(3, 7), range(6, 10)]
    assert frechet.windows(3, 4, 1) == []


def test_a_sliding_distance_is_the_distance_of_every_window():
    references = [torch.zeros(12, 2), torch.zeros(6, 2)]
    candidates = [torch.arange(12.0)[:, None].expand(12, 2)] * 2

    def distance(some, others):
        return len(some) * 100 + float(torch.cat(others).mean() - torch.cat(some).mean())

    ranges = frechet.windows(12, 4, 4)
    # The second reference is too short for the later windows.
    assert frechet.sliding_distance(references, candidates, ranges, distance) == [
        201.5,
        105.5,
        109.5,
    ]
