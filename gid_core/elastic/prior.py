"""The elastic prior: what is painted is elastic material that wind sets swaying, at every scale.

A still becomes a sheet of parts (`sheet`), the wind moves them and their leaves (`response`), and
the motion is brought to its size (`unfolding`).
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..config import ElasticConfig, SpectrumConfig, WindConfig
from ..motion.spectrum import SpectralVolume
from ..shapes import Float, Tensor
from .response import free_modes, wind_response
from .sheet import Thing, report, solve
from .unfolding import set_amplitude

log = logging.getLogger("gid")


@dataclass(frozen=True)
class ElasticPrior:
    """A motion model without weights: `sample` solves a still and lets the wind blow.

    strength: of the weather, which multiplies the amplitude asked for.
    highest_hz: up to which the kind of thing is seen to move; 0 where that is not known.
    """

    elastic: ElasticConfig = ElasticConfig()
    wind: WindConfig = WindConfig()
    strength: float = 1.0
    highest_hz: float = 0.0

    def sample(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"] | None,
        generator: torch.Generator,
        spectrum: SpectrumConfig = SpectrumConfig(),
        anchor: Float[Tensor, "1 1 hr wr"] | None = None,
        poll: Callable[[], None] = lambda: None,
        *,
        things: Sequence[Thing] = (),
        depth: Float[Tensor, "1 1 hd wd"] | None = None,
        protect: Float[Tensor, "1 1 hr wr"] | None = None,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> SpectralVolume:
        """Sample one still; without things, the matte is needed.

        Args:
            poll: Called many times a second; may raise to cancel.
            things: Objects that move apart, later ones in front; they take the matte's place.
            depth: White is near; parts end where it steps. Of any size.
            protect: What never moves, whatever is painted.
            say: Called with a sentence on the parts and how fast they sway.

        Raises:
            ValueError: If things do not fit the still, or one is empty.
        """
        things = checked(image, things)
        if things:
            matte = 1 - math.prod(1 - thing.matte for thing in things)
        if protect is not None:
            matte = matte * (protect == 0)
        sheet = solve(image, matte, anchor, self.elastic, poll, things, depth, protect)
        log.info("%s", report(sheet))
        say(report(sheet))
        poll()
        spectrum = replace(spectrum, amplitude_pct=self.strength * spectrum.amplitude_pct)
        blow = wind_response if spectrum.kind == "response" else free_modes
        volume = blow(sheet, matte, self.elastic, self.wind, spectrum, generator)
        poll()
        if spectrum.kind == "response":
            return set_amplitude(volume, sheet, spectrum, poll)
        # A shape is what it is in any wind: how far the wind moves it is the ambient's affair.
        volume = set_amplitude(volume, sheet, replace(spectrum, amplitude_pct=1.0), poll)
        return replace(volume, ambient=volume.ambient * spectrum.amplitude_pct)


def checked(image: Float[Tensor, "1 3 hr wr"], things: Sequence[Thing]) -> tuple[Thing, ...]:
    """The things, if they fit the still.

    Raises:
        ValueError: If one has another size, or is empty.
    """
    size = tuple(image.shape[-2:])
    for number, thing in enumerate(things, 1):
        for name, mask in (("mask", thing.matte), ("anchor", thing.anchor)):
            if mask is not None and tuple(mask.shape[-2:]) != size:
                raise ValueError(
                    f"Expected the {name} of object {number} at the still's size, "
                    f"{size[1]}x{size[0]}, got {mask.shape[-1]}x{mask.shape[-2]}. Resize it."
                )
        if not (thing.matte > 0).any():
            raise ValueError(
                f"The mask of object {number} of {len(things)} is empty. Leave it out, or paint it."
            )
    return tuple(things)
