"""The latents that the model denoises: what moves in a small square of places moves as one.

A motion is S = g A c: g is the share of a place that moves, A the amplitude that is expected there,
band by band, and c what chance makes of it, of about unit size. g is as fine as the grid; A and c
have one value for `REDUCTION` x `REDUCTION` places, and are read in between. So edges and thin
blades stay as sharp as g, and latents are smooth, of one size in all bands, and never near zero by
themselves.

Law: the latent of a motion is the least squares fit of g c to it in every square.

Source: latent diffusion, Rombach et al. 2022, Sec. 3.1, with a linear latent in place of a trained
one; amplitudes by band, Li et al. 2024, Sec. 4.2.
"""

import torch.nn.functional as F

from ..shapes import Float, Tensor

REDUCTION = 4  # places of the grid on a side of one place of a latent
FAINT = 1e-4  # mean square share below which a square has no latent


def coverage(share: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 hl wl"]:
    """How much of every square moves: the mean of squared shares."""
    return F.avg_pool2d(share.square(), REDUCTION)


def encode(
    motion: Float[Tensor, "n c h w"], share: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "n c hl wl"]:
    """The values c for which share x c is nearest to a motion, square by square; 0 where nothing
    moves."""
    whole = coverage(share)
    return F.avg_pool2d(motion * share, REDUCTION) / whole.clamp(min=FAINT) * (whole > FAINT)


def decode(
    latents: Float[Tensor, "n c hl wl"], share: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "n c h w"]:
    """The motion share x c. Between squares c is read from those that move, by how much they do."""
    whole = coverage(share)
    fine = lambda x: F.interpolate(x, scale_factor=REDUCTION, mode="bilinear")
    return share * fine(whole * latents) / fine(whole).clamp(min=FAINT)
