"""What a motion prior is: anything that can sample a spectral volume for a still.

Law: one generator in the same state gives the same sample.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from ..config import SpectrumConfig
from ..shapes import Float, Tensor
from .spectrum import SpectralVolume


@runtime_checkable
class MotionPrior(Protocol):
    """The elastic prior, or a learned model.

    finds_what_moves: Whether it finds what moves when it gets no matte; else it always gets one.
    """

    finds_what_moves: bool

    def sample(
        self,
        image: Float[Tensor, "1 3 h w"],
        matte: Float[Tensor, "1 1 h w"] | None,
        generator: torch.Generator,
        spectrum: SpectrumConfig,
        anchor: Float[Tensor, "1 1 h w"] | None,
        poll: Callable[[], None],
    ) -> SpectralVolume: ...
