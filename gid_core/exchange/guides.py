"""Guides for video models: a crude clip, where it moves, what it uncovers, and what moves alone.

Law: what moves, laid over the still's background, is the crude clip.

Source: a crude animation with a mask as the guide of a video model: Singer et al., "Time-to-Move:
Training-Free Motion Controlled Video Generation via Dual-Clock Denoising", 2025.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..motion.displacement import Displacement
from ..render.layers import shown
from ..shapes import Float, Tensor
from ..still.alpha import straight
from .fields import fields_of

FAINT = 1e-3  # share of a pixel from which on what moves has a colour there


@dataclass(frozen=True)
class Guide:
    """One frame.

    frame: the still, moved; what it uncovers is filled from what lies around.
    moving: share of each pixel that what moves covers.
    hidden: share of each pixel that the still does not show.
    layer: what moves, without what lies behind it; straight alpha in the fourth channel.
    """

    frame: Float[Tensor, "c h w"]
    moving: Float[Tensor, "1 h w"]
    hidden: Float[Tensor, "1 h w"]
    layer: Float[Tensor, "4 h w"]


def guides(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
) -> Iterator[Guide]:
    """The guides of a clip, frame by frame."""
    for fields in fields_of(still, motion, item, matte, frames, iterations=0):
        moved, alpha = fields.moved, fields.coverage
        behind = moved.layers.background
        colour = behind + (moved.frame - behind) / alpha.clamp(min=FAINT)
        colour = torch.where(alpha >= FAINT, colour, 0.0).clamp(0, 1)
        if len(still) == 4:  # premultiplied: the picture's own alpha is part of what moves
            colour = straight(colour)
            alpha, colour = alpha * colour[3:], colour[:3]
        layer = torch.cat([colour.expand(3, -1, -1), alpha])
        yield Guide(shown(moved), fields.coverage, fields.hidden, layer)
