"""Diffusion: how clean codes are made of noise. Every formula of noise levels is here.

Law: D(x, sigma) = c_skip x + c_out F(c_in x, c_noise) is the clean estimate; sampling solves
dx/dsigma = (x - D) / sigma from the largest sigma to none. Guidance changes D and nothing else.

Convention: codes have unit deviation (`sigma_data` = 1); sigmas fall, the last is 0.

Source: Karras et al. 2022 (EDM), Table 1 and Eq. 5, 8; Lu et al. 2022 (DPM-Solver++(2M)); Song et al. 2021:
DDIM is Euler's method in these variables. Ho & Salimans 2022 for guidance without a classifier.
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
    """Noise levels: of sampling, and how they are drawn in training (ln sigma is normal)."""

    least: float = 0.02
    most: float = 40.0
    bend: float = 7.0  # rho: steps gather at low noise
    train_mean: float = -0.4
    train_deviation: float = 1.4

    def steps(self, count: int) -> Float[Tensor, " n"]:
        """Sigmas of a sampling run, count + 1 of them, float64 (Eq. 5).

        Raises:
            ValueError: For less than one step.
        """
        if count < 1:
            raise ValueError(f"Expected at least 1 step, got {count}.")
        share = torch.linspace(0, 1, count, dtype=torch.float64)
        high, low = self.most ** (1 / self.bend), self.least ** (1 / self.bend)
        sigmas = (high + share * (low - high)) ** self.bend
        return torch.cat([sigmas, sigmas.new_zeros(1)])

    def drawn(self, count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Sigmas of a training batch, spread evenly over their distribution."""
        place = (torch.rand((), generator=generator) + torch.arange(count)) / count
        normal = torch.erfinv((2 * place - 1).clamp(-0.9999, 0.9999)) * 2**0.5
        return (self.train_mean + self.train_deviation * normal).exp()


def denoised(
    network: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "b ..."],
    sigma: Float[Tensor, " b"],
) -> Float[Tensor, "b ..."]:
    """The clean estimate of a network that sees c_in x and ln(sigma) / 4 (EDM, Table 1)."""
    field = sigma.view(-1, *[1] * (x.ndim - 1))
    total = 1 + field.square()
    seen = network(x / total.sqrt(), sigma.log() / 4)
    return x / total + field / total.sqrt() * seen


def loss(
    network: Callable[[Tensor, Tensor], Tensor],
    clean: Float[Tensor, "b ..."],
    sigma: Float[Tensor, " b"],
    noise: Float[Tensor, "b ..."],
) -> Float[Tensor, "b ..."]:
    """Squared error, weighted so that the network's own output is worth the same at all levels (Eq. 8)."""
    field = sigma.view(-1, *[1] * (clean.ndim - 1))
    error = denoised(network, clean + field * noise, sigma) - clean
    return error.square() * (1 + field.square()) / field.square()


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
    """Clean codes from noise of unit deviation.

    Args:
        guide: Changes the clean estimate at every step.
        repeats: Times that a step is taken: after each but the last its noise is put back, so that a
            guide can work again ("self-recurrence", Bansal et al. 2023).
        callback: (steps done, the clean estimate); may raise to cancel.

    Raises:
        ValueError: For an unknown sampler, or repeats without a generator to draw noise from.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"Expected a sampler among {', '.join(SAMPLERS)}, got {sampler!r}.")
    if repeats > 1 and generator is None:
        raise ValueError("Expected a generator: repeated steps draw noise.")

    def estimate(x, sigma):
        clean = denoise(x, sigma.to(x).expand(len(x)))
        return clean if guide is None else guide(clean, x, sigma.to(x))

    x, before = noise * sigmas[0].to(noise), None
    for i, (sigma, lower) in enumerate(zip(sigmas[:-1], sigmas[1:])):
        for again in reversed(range(repeats)):
            clean = estimate(x, sigma)
            if sampler == "dpmpp_2m":
                there = _multistep(x, clean, before, sigmas, i)
            else:
                slope = (x - clean) / sigma.to(x)
                there = x + slope * (lower - sigma).to(x)
                if sampler == "heun" and lower > 0:
                    end = (there - estimate(there, lower)) / lower.to(x)
                    there = x + (slope + end) / 2 * (lower - sigma).to(x)
            if again:
                fresh = torch.randn(x.shape, generator=generator).to(x)
                x = there + (sigma.square() - lower.square()).sqrt().to(x) * fresh
        x, before = there, clean
        callback(i + 1, clean)
    return x


def _multistep(x, clean, before, sigmas, i):
    """A step of DPM-Solver++(2M), in the variable -ln sigma; of first order where it has no past."""
    sigma, lower = sigmas[i], sigmas[i + 1]
    if lower == 0:
        return clean
    ahead = (sigma / lower).log()
    if before is not None:
        behind = (sigmas[i - 1] / sigma).log()
        weight = (ahead / (2 * behind)).to(x)
        clean = (1 + weight) * clean - weight * before
    return (lower / sigma).to(x) * x - torch.expm1(-ahead).to(x) * clean


def guided(told: Denoise, untold: Denoise, strength: float) -> Denoise:
    """Away from what a model estimates that is told nothing: (1 + w) told - w untold."""
    if strength == 0:
        return told
    return lambda x, sigma: torch.lerp(untold(x, sigma), told(x, sigma), 1 + strength)
