import math

import pytest
import torch

from gid_core.diffusion.encoding import as_channels
from gid_core.diffusion.guidance import constraints, gaps, loop_guide, project
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
