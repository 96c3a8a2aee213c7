import math

import pytest
import torch

from gid_core.diffusion import sampling
from gid_core.diffusion.sampling import SAMPLERS, Noise, denoised, guided, sample

DEVIATION = 0.7  # of the Gaussian whose clean estimate is known
ORDER = {"ddim": 1, "heun": 2, "dpmpp_2m": 2}


def gaussian(x, sigma):
    """E[clean | x] of a Gaussian of that deviation."""
    return x * DEVIATION**2 / (DEVIATION**2 + sigma.view(-1, 1) ** 2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_converge_to_the_closed_form_at_their_order(sampler):
    noise = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    errors = []
    for count in (40, 80, 160):
        sigmas = Noise(sigma_min=0.05, sigma_max=20.0).steps(count)[:-1]
        grown = math.sqrt((DEVIATION**2 + sigmas[-1] ** 2) / (DEVIATION**2 + sigmas[0] ** 2))
        exact = noise * sigmas[0] * grown
        errors.append(float((sample(gaussian, noise, sigmas, sampler) - exact).abs().max()))
    order = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert order == pytest.approx([ORDER[sampler]] * 2, abs=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_standard_deviation_of_the_distribution(sampler):
    noise = torch.randn(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = sample(gaussian, noise, Noise().steps(60), sampler)
    assert float(drawn.std()) == pytest.approx(DEVIATION, rel=0.06)


def test_a_perfect_network_has_no_loss_and_all_levels_have_equal_weight():
    clean, noise = torch.randn(4, 6), torch.randn(4, 6)
    sigma = torch.tensor([0.03, 0.4, 2.0, 30.0])
    sigmas = sigma[:, None]

    def perfect(x, level):
        assert torch.allclose((4 * level).exp(), sigma, rtol=1e-4)
        return (sigmas * clean - noise) / (1 + sigmas.square()).sqrt()

    assert sampling.loss(perfect, clean, sigma, noise).max() < 1e-4
    untrained = sampling.loss(lambda x, level: 0 * x, clean, sigma, noise)
    # (sigma clean - noise)^2 / (1 + sigma^2) has unit mean at every level.
    expected = (sigmas * clean - noise).square() / (1 + sigmas.square())
    assert torch.allclose(untrained, expected, rtol=1e-3, atol=1e-4)


def test_preconditioned_inputs_have_unit_standard_deviation():
    clean = torch.randn(3, 5000)
    sigma = torch.tensor([0.1, 1.0, 20.0])
    inputs = []
    x = clean + sigma[:, None] * torch.randn(3, 5000)
    denoised(lambda x, level: inputs.append(x) or x, x, sigma)
    assert torch.allclose(inputs[0].std(1), torch.ones(3), atol=0.05)


def test_sigmas_decrease_from_the_largest_to_zero():
    noise = Noise()
    sigmas = noise.steps(7)
    assert len(sigmas) == 8 and sigmas[-1] == 0
    assert sigmas[0] == pytest.approx(noise.sigma_max)
    assert sigmas[-2] == pytest.approx(noise.sigma_min)
    assert (sigmas.diff() < 0).all()
    assert noise.steps(1).tolist() == pytest.approx([noise.sigma_max, 0])


def test_training_levels_are_log_normal():
    noise = Noise()
    drawn = noise.drawn(4000, torch.Generator().manual_seed(0)).log()
    assert float(drawn.mean()) == pytest.approx(noise.train_mean, abs=0.02)
    assert float(drawn.std()) == pytest.approx(noise.train_deviation, rel=0.02)


def test_classifier_free_guidance_is_its_formula():
    conditional, unconditional = (lambda x, s: x + 3), (lambda x, s: x + 1)
    assert guided(conditional, unconditional, 0.0) is conditional
    estimate = guided(conditional, unconditional, 1.5)
    assert estimate(torch.zeros(2), torch.ones(1)).tolist() == [6.0, 6.0]


def test_a_guide_replaces_the_clean_estimate():
    noise = torch.randn(2, 3)
    towards = lambda clean, x, sigma: torch.full_like(clean, 5.0)
    for sampler in SAMPLERS:
        result = sample(gaussian, noise, Noise().steps(6), sampler, towards)
        assert torch.allclose(result, torch.tensor(5.0))


def test_repeated_steps_are_seeded_and_keep_the_distribution():
    noise = torch.randn(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    run = lambda seed: sample(
        gaussian, noise, Noise().steps(30), repeats=2, generator=torch.Generator().manual_seed(seed)
    )
    assert torch.equal(run(3), run(3)) and not torch.equal(run(3), run(4))
    assert float(run(3).std()) == pytest.approx(DEVIATION, rel=0.1)


def test_every_step_reports_and_may_stop():
    seen = []

    def callback(step, clean):
        seen.append(step)
        if step == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sample(gaussian, torch.randn(1, 2), Noise().steps(9), callback=callback)
    assert seen == [1, 2, 3]


def test_unknown_samplers_and_missing_arguments_are_refused():
    with pytest.raises(ValueError, match="ddim, heun, dpmpp_2m, got 'plms'"):
        sample(gaussian, torch.randn(1, 2), Noise().steps(2), "plms")
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        Noise().steps(0)
    with pytest.raises(ValueError, match="Expected a generator"):
        sample(gaussian, torch.randn(1, 2), Noise().steps(2), repeats=2)
