"""The interface of motion priors: an object that samples a spectral volume for a still.

Law: generators in equal states give equal samples.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from ..config import SpectrumConfig
from ..shapes import Float, Tensor
from .spectrum import SpectralVolume


@runtime_checkable
class MotionPrior(Protocol):
    """The elastic prior, or a learned model."""

    def sample(
        self,
        image: Float[Tensor, "1 3 h w"],
        matte: Float[Tensor, "1 1 h w"],
        generator: torch.Generator,
        spectrum: SpectrumConfig,
        anchor: Float[Tensor, "1 1 h w"] | None,
        poll: Callable[[], None],
    ) -> SpectralVolume:
        """Sample the motion of one still.

        Args:
            image: In [0, 1].
            matte: What may move, 0 ... 1.
            generator: On the CPU; all random numbers come from it.
            anchor: What stands still, 0 ... 1.
            poll: Called between the steps of the work; may raise to cancel.
        """
        ...
