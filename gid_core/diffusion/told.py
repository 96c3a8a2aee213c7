"""What a learned model is told of a still, and what it makes of chance.

Law: `decode` is differentiable, so that guidance can look through it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..shapes import Float, Tensor


@dataclass(frozen=True)
class Told:
    """One still, before any noise is drawn.

    features: For the denoiser, on the places of the codes.
    latent: Channels of a band's code.
    decode: From codes to a motion's channels on its grid, of about unit size.
    finish: What is done to the motion at the end; what guides sampling does not see it.
    """

    features: Float[Tensor, "1 f hl wl"]
    latent: int
    decode: Callable[[Float[Tensor, "1 k c hl wl"]], Float[Tensor, "1 k 4 h w"]]
    finish: Callable[[Float[Tensor, "1 k 4 h w"]], Float[Tensor, "1 k 4 h w"]] = lambda x: x
