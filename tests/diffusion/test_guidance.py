import math

import pytest
import torch

from gid_core.diffusion.encoding import as_channels
from gid_core.diffusion.guidance import constraints, gaps, loop_guide, loop_guided, project
from gid_core.motion.spectrum import SpectralVolume, displacement_at

HERTZ = torch.arange(1, 6) / 5


def motion(seed=0):
    parts = torch.randn(2, 2, 5, 2, 4, 7, generator=torch.Generator().manual_seed(seed))
    return torch.complex(parts[0], parts[1]) / (5 * HERTZ).view(-1, 1, 1, 1)


def ends(coeffs, loop_s):
    """Position and velocity gaps, by playing."""
    volume = SpectralVolume(coeffs.to(torch.complex128), HERTZ, (4, 7))
    step = 1e-3
    times = torch.tensor([0.0, -step, step], dtype=torch.float64)
    at, later = (displacement_at(volume, t) for t in (times, times + loop_s))
    jump = later - at
    return jump[:, 0], (jump[:, 2] - jump[:, 1]) / (2 * step)


@pytest.mark.parametrize("loop_s", [1.7, 3.0, 4.0])
def test_gaps_equal_those_of_playback(loop_s):
    coeffs = motion()
    found = gaps(as_channels(coeffs).double(), HERTZ, loop_s)
    position, velocity = ends(coeffs, loop_s)
    assert torch.allclose(found[:, 0], position, atol=1e-5)
    mean = 2 * math.pi * float(HERTZ.mean())
    assert torch.allclose(found[:, 1] * mean, velocity, atol=1e-2)


@pytest.mark.parametrize("loop_s", [1.7, 3.0, 4.0])
def test_a_projected_motion_has_no_gaps(loop_s):
    closed = project(motion().to(torch.complex128), HERTZ, loop_s)
    position, velocity = ends(closed, loop_s)
    assert position.abs().max() < 1e-5 and velocity.abs().max() < 1e-3


@pytest.mark.parametrize("loop_s", [5.0, 10.0])
def test_harmonics_have_no_gaps_and_are_unchanged(loop_s):
    coeffs = motion()
    assert not constraints(HERTZ, loop_s).any()
    assert torch.allclose(project(coeffs, HERTZ, loop_s), coeffs, atol=1e-7)


def test_projection_is_idempotent_and_the_least_change():
    coeffs, loop_s = motion(), 3.0
    closed = project(coeffs, HERTZ, loop_s)
    assert torch.allclose(project(closed, HERTZ, loop_s), closed, atol=1e-4)
    # Every other motion without gaps has a larger distance, weighted by the inverse energy.
    energy = coeffs.abs().square().mean((0, 2, 3, 4)).view(-1, 1, 1, 1)
    cost = lambda other: ((other - coeffs).abs().square() / energy).sum()
    for seed in (1, 2, 3):
        free = project(motion(seed), HERTZ, loop_s)  # has no gaps either
        assert cost(closed) < cost(closed + 0.1 * free)
        assert cost(closed) < cost(closed - 0.1 * free)


def test_guidance_reduces_the_gaps():
    clean = as_channels(motion())
    guide = loop_guide(lambda code: code, HERTZ, 3.0, 40.0)
    gap = lambda code: gaps(code, HERTZ, 3.0).abs().mean()
    guided = clean
    with torch.inference_mode():  # as nodes run
        for _ in range(100):
            guided = guide(guided, guided, torch.tensor(1.0))
    assert gap(guided) < 0.3 * gap(clean)
    assert (guided - clean).abs().mean() < 0.6 * clean.abs().mean()
    harmonic = loop_guide(lambda code: code, HERTZ, 5.0, 40.0)
    assert torch.equal(harmonic(clean, clean, torch.tensor(1.0)), clean)


def test_the_papers_rule_is_equation_5():
    """In the paper's variables: the estimate of the noise gets u s dL/dz."""
    weight = torch.randn(20, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def bands(code):  # a decoder that is not linear
        return torch.einsum("ij,bjhw->bihw", weight, code.flatten(1, 2)).sin().view_as(code)

    def denoise(x, sigma):
        return (0.3 * x).tanh() / (1 + sigma.view(-1, 1, 1, 1, 1))

    x = as_channels(motion()).double()
    sigma, u = torch.tensor([0.7, 2.0]).double(), 0.3
    s = (sigma / (1 + sigma.square()).sqrt()).view(-1, 1, 1, 1, 1)
    sigmas = sigma.view(-1, 1, 1, 1, 1)
    z = (x / (1 + sigmas.square()).sqrt()).requires_grad_()
    clean = denoise(z * (1 + sigmas.square()).sqrt(), sigma)
    (gradient,) = torch.autograd.grad(gaps(bands(clean), HERTZ, 3.0).abs().sum(), z)
    noise = (x - clean) / sigmas + u * s * gradient
    with torch.inference_mode():  # as nodes run
        found = loop_guided(denoise, bands, HERTZ, 3.0, u)(x, sigma)
    assert torch.allclose(found, (x - sigmas * noise).detach(), atol=1e-12)
    assert not torch.allclose(found, clean.detach(), atol=1e-2)


def test_both_rules_agree_for_white_noise():
    x, sigma = as_channels(motion()).double(), torch.tensor([0.4, 3.0]).double()
    denoise = lambda x, sigma: x / (1 + sigma.view(-1, 1, 1, 1, 1).square())
    bands, clean = torch.sin, denoise(x, sigma)
    paper = loop_guided(denoise, bands, HERTZ, 3.0, 0.2)(x, sigma)
    fast = loop_guide(bands, HERTZ, 3.0, 200.0)
    for i in range(2):
        expected = fast(clean[i : i + 1], x[i : i + 1], sigma[i])
        assert torch.allclose(paper[i : i + 1], expected, atol=1e-12)
