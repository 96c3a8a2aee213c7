"""Closing a loop of any length while a motion is sampled, or at once afterwards.

Bands that are harmonics of the loop close by themselves. Others leave a gap between its ends, in position
and in velocity: two linear functions of the bands, at every pixel and axis.

Law: `project` leaves no gap, and changes nothing where there was none.

Source: Li et al., CVPR 2024, Sec. 6, Eq. 5 (guidance by |F_T - F_1| + |dF_T - dF_1|); the projection is
the least change that satisfies both constraints.
"""

import math
from collections.abc import Callable

import torch
from einops import rearrange

from ..shapes import Complex, Float, Tensor

STRENGTH_UNIT = 1e-3  # so that useful strengths are numbers as the paper's


def constraints(frequencies_hz: Float[Tensor, " k"], loop_s: float) -> Float[Tensor, "2 k2"]:
    """Rows that take (Re S_1 .. Re S_k, Im S_1 .. Im S_k) to D(loop) - D(0), and to the same of its
    velocity over the mean frequency, so that both are in px. float64."""
    omega = 2 * math.pi * frequencies_hz.double()
    turn = torch.polar(torch.ones_like(omega), omega * loop_s) - 1
    # Of what is a whole number of cycles, rounding shall leave nothing.
    turn = torch.where(turn.abs() < 1e-5, 0.0, turn)
    speed = 1j * omega / omega.mean() * turn
    return torch.stack([torch.cat([x.real, -x.imag]) for x in (turn, speed)])


def gaps(
    channels: Float[Tensor, "b k 4 h w"], frequencies_hz: Float[Tensor, " k"], loop_s: float
) -> Float[Tensor, "b 2 2 h w"]:
    """(position, velocity) gaps in x and y."""
    rows = constraints(frequencies_hz, loop_s).to(channels).unflatten(1, (2, -1))
    parts = channels.unflatten(2, (2, 2))  # b k xy part h w
    return torch.einsum("gpk,bkxphw->bgxhw", rows, parts)


def project(
    coeffs: Complex[Tensor, "b k 2 h w"], frequencies_hz: Float[Tensor, " k"], loop_s: float
) -> Complex[Tensor, "b k 2 h w"]:
    """The nearest motion whose loop closes; bands give way in proportion to their energy."""
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
    """A guide of sampling towards a loop that closes.

    Args:
        bands: Takes codes to channels in px, b k 4 h w: the gradient goes through it.
        strength: u. The clean estimate moves by u / 1000 sigma^2 / (1 + sigma^2) times the slope of the
            sum of all gaps: a pixel's code by the slope of its own, however large the picture is.
    """

    def guide(clean, x, sigma):
        with torch.inference_mode(False), torch.enable_grad():
            code = clean.detach().clone().requires_grad_()
            gap = gaps(bands(code), frequencies_hz, loop_s).abs().sum()
            (slope,) = torch.autograd.grad(gap, code)
        share = sigma.square() / (1 + sigma.square())
        return clean - STRENGTH_UNIT * strength * share * slope

    return guide
