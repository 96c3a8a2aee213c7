"""Diffusion sampling: noise schedule, preconditioning, loss and samplers.

All formulas of noise levels are in this file.

Law: D(x, sigma) = c_skip x + c_out F(c_in x, c_noise) is the clean estimate. Sampling solves
dx/dsigma = (x - D) / sigma from the largest sigma to 0. Guidance changes D alone.

Convention: latents have unit standard deviation (`sigma_data` = 1); sigmas decrease, the last is 0.

Source: Karras et al. 2022 (EDM), Table 1 and Eq. 5, 8; Lu et al. 2022 (DPM-Solver++(2M)); Song et
al. 2021 (DDIM, which is Euler's method in these variables); Ho & Salimans 2022 (classifier-free
guidance).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..shapes import Float, Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]  # (x, sigma) -> clean estimate
Guide = Callable[[Tensor, Tensor, Tensor], Tensor]  # (clean estimate, x, sigma) -> another
SAMPLERS = ("ddim", "heun", "dpmpp_2m")


@dataclass(frozen=True)
class Noise:
    """Noise levels of sampling and of training; in training ln(sigma) is normally distributed."""

    sigma_min: float = 0.02
    sigma_max: float = 40.0
    rho: float = 7.0  # larger values give more steps at low noise
    train_mean: float = -0.4
    train_deviation: float = 1.4

    def steps(self, count: int) -> Float[Tensor, " n"]:
        """Sigmas of a sampling run: count + 1 values, float64 (Eq. 5).

        Raises:
            ValueError: For fewer than one step.
        """
        if count < 1:
            raise ValueError(f"Expected at least 1 step, got {count}.")
        share = torch.linspace(0, 1, count, dtype=torch.float64)
        high, low = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        sigmas = (high + share * (low - high)) ** self.rho
        return torch.cat([sigmas, sigmas.new_zeros(1)])

    def drawn(self, count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Sigmas of a training batch, at evenly spaced quantiles of their distribution."""
        quantile = (torch.rand((), generator=generator) + torch.arange(count)) / count
        normal = torch.erfinv((2 * quantile - 1).clamp(-0.9999, 0.9999)) * 2**0.5
        return (self.train_mean + self.train_deviation * normal).exp()


def denoised(
    network: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "b ..."],
    sigma: Float[Tensor, " b"],
) -> Float[Tensor, "b ..."]:
    """The clean estimate of a network with inputs c_in x and ln(sigma) / 4 (EDM, Table 1)."""
    sigmas = sigma.view(-1, *[1] * (x.ndim - 1))
    variance = 1 + sigmas.square()
    output = network(x / variance.sqrt(), sigma.log() / 4)
    return x / variance + sigmas / variance.sqrt() * output


def loss(
    network: Callable[[Tensor, Tensor], Tensor],
    clean: Float[Tensor, "b ..."],
    sigma: Float[Tensor, " b"],
    noise: Float[Tensor, "b ..."],
) -> Float[Tensor, "b ..."]:
    """Squared error, weighted so that the error of the network's output counts equally (Eq. 8)."""
    sigmas = sigma.view(-1, *[1] * (clean.ndim - 1))
    error = denoised(network, clean + sigmas * noise, sigma) - clean
    return error.square() * (1 + sigmas.square()) / sigmas.square()


def sample(
    denoise: Denoise,
    noise: Float[Tensor, "b ..."],
    sigmas: Float[Tensor, " n"],
    sampler: str = "dpmpp_2m",
    guide: Guide | None = None,
    repeats: int = 1,
    generator: torch.Generator | None = None,
    callback: Callable[[int, Tensor], None] = lambda step, clean: None,
) -> Float[Tensor, "b ..."]:
    """Clean latents from noise of unit standard deviation.

    Args:
        guide: Changes the clean estimate at every step.
        repeats: How often every step is taken. After each time but the last, noise is added back,
            so that guidance acts again ("self-recurrence", Bansal et al. 2023).
        generator: Of the noise of repeated steps.
        callback: Called with (steps done, clean estimate); may raise to cancel.

    Raises:
        ValueError: For an unknown sampler, or repeats without a generator.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"Expected a sampler among {', '.join(SAMPLERS)}, got {sampler!r}.")
    if repeats > 1 and generator is None:
        raise ValueError("Expected a generator: repeated steps draw noise.")

    def estimate(x, sigma):
        clean = denoise(x, sigma.to(x).expand(len(x)))
        return clean if guide is None else guide(clean, x, sigma.to(x))

    x, previous = noise * sigmas[0].to(noise), None
    for i, (sigma, lower) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        for again in reversed(range(repeats)):
            clean = estimate(x, sigma)
            if sampler == "dpmpp_2m":
                following = _multistep(x, clean, previous, sigmas, i)
            else:
                slope = (x - clean) / sigma.to(x)
                following = x + slope * (lower - sigma).to(x)
                if sampler == "heun" and lower > 0:
                    end_slope = (following - estimate(following, lower)) / lower.to(x)
                    following = x + (slope + end_slope) / 2 * (lower - sigma).to(x)
            if again:
                fresh = torch.randn(x.shape, generator=generator).to(x)
                x = following + (sigma.square() - lower.square()).sqrt().to(x) * fresh
        x, previous = following, clean
        callback(i + 1, clean)
    return x


def _multistep(x, clean, previous, sigmas, i):
    """A step of DPM-Solver++(2M) in lambda = -ln sigma; the first step is of first order."""
    sigma, lower = sigmas[i], sigmas[i + 1]
    if lower == 0:
        return clean
    step = (sigma / lower).log()
    if previous is not None:
        previous_step = (sigmas[i - 1] / sigma).log()
        weight = (step / (2 * previous_step)).to(x)
        clean = (1 + weight) * clean - weight * previous
    return (lower / sigma).to(x) * x - torch.expm1(-step).to(x) * clean


def guided(conditional: Denoise, unconditional: Denoise, strength: float) -> Denoise:
    """Classifier-free guidance: (1 + w) conditional - w unconditional."""
    if strength == 0:
        return conditional
    return lambda x, sigma: torch.lerp(unconditional(x, sigma), conditional(x, sigma), 1 + strength)
