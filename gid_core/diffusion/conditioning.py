"""What conditions a learned model on one still, and what turns latents into a motion.

Law: `decode` is differentiable, so that guidance can look through it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from ..shapes import Float, Tensor


@dataclass(frozen=True)
class Conditioning:
    """One still, before any noise is drawn.

    features: For the denoiser, on the places of the latents.
    latent: Channels of a band's latent.
    decode: From latents to a motion's channels on its grid, of about unit size.
    finish: What is done to the motion at the end; what guides sampling does not see it.
    start: From white noise of unit deviation to what sampling begins with.
    """

    features: Float[Tensor, "1 f hl wl"]
    latent: int
    decode: Callable[[Float[Tensor, "1 k c hl wl"]], Float[Tensor, "1 k 4 h w"]]
    finish: Callable[[Float[Tensor, "1 k 4 h w"]], Float[Tensor, "1 k 4 h w"]] = lambda x: x
    start: Callable[[Float[Tensor, "1 k c hl wl"], Generator], Float[Tensor, "1 k c hl wl"]] = (
        lambda noise, generator: noise
    )
