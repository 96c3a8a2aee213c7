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
        sigmas = Noise(least=0.05, most=20.0).steps(count)[:-1]
        grown = math.sqrt((DEVIATION**2 + sigmas[-1] ** 2) / (DEVIATION**2 + sigmas[0] ** 2))
        exact = noise * sigmas[0] * grown
        errors.append(float((sample(gaussian, noise, sigmas, sampler) - exact).abs().max()))
    order = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert order == pytest.approx([ORDER[sampler]] * 2, abs=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_distributions_deviation(sampler):
    noise = torch.randn(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = sample(gaussian, noise, Noise().steps(60), sampler)
    assert float(drawn.std()) == pytest.approx(DEVIATION, rel=0.06)


def test_a_perfect_network_has_no_loss_and_noise_is_weighed_evenly():
    clean, noise = torch.randn(4, 6), torch.randn(4, 6)
    sigma = torch.tensor([0.03, 0.4, 2.0, 30.0])
    field = sigma[:, None]

    def perfect(x, level):
        assert torch.allclose((4 * level).exp(), sigma, rtol=1e-4)
        return (field * clean - noise) / (1 + field.square()).sqrt()

    assert sampling.loss(perfect, clean, sigma, noise).max() < 1e-4
    silent = sampling.loss(lambda x, level: 0 * x, clean, sigma, noise)
    # (sigma clean - noise)^2 / (1 + sigma^2): of unit size at every level.
    wanted = (field * clean - noise).square() / (1 + field.square())
    assert torch.allclose(silent, wanted, rtol=1e-3, atol=1e-4)


def test_preconditioned_inputs_have_unit_deviation():
    clean = torch.randn(3, 5000)
    sigma = torch.tensor([0.1, 1.0, 20.0])
    seen = []
    x = clean + sigma[:, None] * torch.randn(3, 5000)
    denoised(lambda x, level: seen.append(x) or x, x, sigma)
    assert torch.allclose(seen[0].std(1), torch.ones(3), atol=0.05)


def test_steps_fall_from_most_to_none():
    noise = Noise()
    sigmas = noise.steps(7)
    assert len(sigmas) == 8 and sigmas[-1] == 0
    assert sigmas[0] == pytest.approx(noise.most) and sigmas[-2] == pytest.approx(noise.least)
    assert (sigmas.diff() < 0).all()
    assert noise.steps(1).tolist() == pytest.approx([noise.most, 0])


def test_training_levels_are_log_normal():
    noise = Noise()
    drawn = noise.drawn(4000, torch.Generator().manual_seed(0)).log()
    assert float(drawn.mean()) == pytest.approx(noise.train_mean, abs=0.02)
    assert float(drawn.std()) == pytest.approx(noise.train_deviation, rel=0.02)


def test_guidance_goes_away_from_what_is_untold():
    told, untold = (lambda x, s: x + 3), (lambda x, s: x + 1)
    assert guided(told, untold, 0.0) is told
    assert guided(told, untold, 1.5)(torch.zeros(2), torch.ones(1)).tolist() == [6.0, 6.0]


def test_a_guide_has_the_last_word_on_the_clean_estimate():
    noise = torch.randn(2, 3)
    towards = lambda clean, x, sigma: torch.full_like(clean, 5.0)
    for sampler in SAMPLERS:
        assert torch.allclose(sample(gaussian, noise, Noise().steps(6), sampler, towards), torch.tensor(5.0))  # fmt: skip


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


def test_what_it_refuses():
    with pytest.raises(ValueError, match="ddim, heun, dpmpp_2m, got 'plms'"):
        sample(gaussian, torch.randn(1, 2), Noise().steps(2), "plms")
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        Noise().steps(0)
    with pytest.raises(ValueError, match="Expected a generator"):
        sample(gaussian, torch.randn(1, 2), Noise().steps(2), repeats=2)
