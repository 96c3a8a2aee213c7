"""Loops of any length: guidance of the sampling, and an exact projection afterwards.

Bands that are harmonics of the loop are periodic by themselves. Other bands leave a gap between the
ends of the loop, in position and in velocity. Both gaps are linear functions of the bands, at every
pixel and axis.

Guidance moves the clean estimate against the gradient of the gaps. By the rule "paper" that is the
gradient through the denoiser; "fast" takes the denoiser's derivative for that of white noise,
1 / (1 + sigma^2), which leaves the decoder alone to be differentiated.

Law: `project` leaves no gap, and does not change a motion without gaps. For a denoiser of white
noise both rules give the same estimate, with u 1000 times as large for "fast".

Source: Li et al., CVPR 2024, Sec. 6, Eq. 5 (guidance by |F_T - F_1| + |dF_T - dF_1|); the
projection is the least change that satisfies both constraints.
"""

import math
from collections.abc import Callable

import torch
from einops import rearrange

from ..shapes import Complex, Float, Tensor
from .sampling import Denoise

LOOP_RULES = ("fast", "paper")
STRENGTH_SCALE = (
    1e-3  # of the rule "fast": its useful strengths are of the order of the paper's 200
)


def constraints(frequencies_hz: Float[Tensor, " k"], loop_s: float) -> Float[Tensor, "2 k2"]:
    """The matrix from (Re S_1 .. Re S_k, Im S_1 .. Im S_k) to the gaps, float64.

    The rows give D(loop) - D(0), and the difference of the velocities divided by the mean angular
    frequency, so that both gaps are in px.
    """
    omega = 2 * math.pi * frequencies_hz.double()
    position = torch.polar(torch.ones_like(omega), omega * loop_s) - 1
    # Rounding errors of whole numbers of cycles are set to zero.
    position = torch.where(position.abs() < 1e-5, 0.0, position)
    velocity = 1j * omega / omega.mean() * position
    return torch.stack([torch.cat([x.real, -x.imag]) for x in (position, velocity)])


def gaps(
    channels: Float[Tensor, "b k 4 h w"], frequencies_hz: Float[Tensor, " k"], loop_s: float
) -> Float[Tensor, "b 2 2 h w"]:
    """(position, velocity) gaps in x and y, px."""
    rows = constraints(frequencies_hz, loop_s).to(channels).unflatten(1, (2, -1))
    parts = channels.unflatten(2, (2, 2))  # b k xy part h w
    return torch.einsum("gpk,bkxphw->bgxhw", rows, parts)


def project(
    coeffs: Complex[Tensor, "b k 2 h w"], frequencies_hz: Float[Tensor, " k"], loop_s: float
) -> Complex[Tensor, "b k 2 h w"]:
    """The nearest motion without gaps, in a norm that weighs bands by their inverse energy."""
    c = constraints(frequencies_hz, loop_s)
    energy = coeffs.abs().square().mean((0, 2, 3, 4)).double().clamp(min=1e-30)
    weight = (energy / energy.sum()).repeat(2)
    back = (weight[:, None] * c.T) @ torch.linalg.pinv(c * weight @ c.T, hermitian=True)
    flat = rearrange(torch.view_as_real(coeffs), "b k xy h w part -> (part k) (b xy h w)")
    flat = flat.double() - back @ (c @ flat.double())
    b, k, _, h, w = coeffs.shape
    pairs = rearrange(flat, "(part k) (b xy h w) -> b k xy h w part", k=k, b=b, h=h, w=w)
    return torch.view_as_complex(pairs.contiguous()).to(coeffs.dtype)


def loop_guide(
    bands: Callable[[Tensor], Tensor],
    frequencies_hz: Float[Tensor, " k"],
    loop_s: float,
    strength: float,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Guidance of sampling towards small gaps, by the rule "fast".

    Args:
        bands: Decodes latents to channels in px, b k 4 h w; must be differentiable.
        strength: u. The clean estimate moves by -u / 1000 sigma^2 / (1 + sigma^2) times the
            gradient of the sum of all gaps. The sum, not the mean, makes the step of a pixel
            independent of the size of the picture.
    """

    def guide(clean, x, sigma):
        with torch.inference_mode(False), torch.enable_grad():
            code = clean.detach().clone().requires_grad_()
            gap = gaps(bands(code), frequencies_hz, loop_s).abs().sum()
            (gradient,) = torch.autograd.grad(gap, code)
        share = sigma.square() / (1 + sigma.square())
        return clean - STRENGTH_SCALE * strength * share * gradient

    return guide


def loop_guided(
    denoise: Denoise,
    bands: Callable[[Tensor], Tensor],
    frequencies_hz: Float[Tensor, " k"],
    loop_s: float,
    strength: float,
) -> Denoise:
    """A denoiser that is guided towards small gaps, by the rule "paper" (Eq. 5).

    The paper adds u s dL/dz to the estimate of the noise, where z = x / sqrt(1 + sigma^2) and
    s = sigma / sqrt(1 + sigma^2). So the clean estimate moves by -u sigma^2 dL/dx.

    Args:
        denoise: Gives the clean estimate; must be differentiable.
        bands: As in `loop_guide`.
        strength: u, for gaps in px, summed over pixels and axes.
    """

    def guided(x, sigma):
        with torch.inference_mode(False), torch.enable_grad():
            noisy = x.detach().clone().requires_grad_()
            clean = denoise(noisy, sigma)
            gap = gaps(bands(clean), frequencies_hz, loop_s).abs().sum()
            (gradient,) = torch.autograd.grad(gap, noisy)
        sigmas = sigma.view(-1, *[1] * (x.ndim - 1))
        return clean.detach() - strength * sigmas.square() * gradient

    return guided
