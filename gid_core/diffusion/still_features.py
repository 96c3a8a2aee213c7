"""What the motion model sees of a still: a frozen recognizer's features, on the places of latents.

In: a still of any size. Out: per place of the latents what the recognizer knows of it, and colours;
per place of the grid whether it sways. Sides that are no multiples are filled up by repeating.

Only the recognizer runs on its device. Pictures and maps are resized on the CPU: other devices
cannot do it at all sizes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..recognition.head import DEGREE, OUTPUTS, SWAYS
from ..recognition.model import Recognizer, seen_size
from ..shapes import Float, Tensor
from .motion_latents import REDUCTION

COLOURS = 3 * REDUCTION**2  # channels: every pixel of a place
MOST_LOGIT = 8.0


@dataclass(frozen=True)
class StillFeatures:
    """What is seen of one still.

    features: The recognizer's joined features and its logits, and the still's pixels.
    sways: Share of every place of the grid that sways.
    degree: How far it goes, against what goes farthest.
    """

    features: Float[Tensor, "1 f hl wl"]
    sways: Float[Tensor, "1 1 h w"]
    degree: Float[Tensor, "1 1 h w"]


def channels(recognizer: Recognizer) -> int:
    """How many features there are."""
    return recognizer.config.width + OUTPUTS + COLOURS


@torch.no_grad()
def still_features(
    recognizer: Recognizer,
    image: Float[Tensor, "1 3 hr wr"],
    grid: tuple[int, int],
    multiple: int = REDUCTION,
) -> StillFeatures:
    """Look at a still in [0, 1] on a grid, filled up to multiples of `multiple`; on the CPU."""
    image, like = image.cpu().float(), recognizer.head.say.weight
    size = seen_size(tuple(image.shape[-2:]), recognizer.config.longest_side)
    seen = F.interpolate(image, size, mode="bilinear", antialias=True).clamp(0, 1)
    joined = recognizer.head.joined(recognizer.backbone(seen.to(like)))
    logits = recognizer.head.say(F.silu(joined)).float().clamp(-MOST_LOGIT, MOST_LOGIT).cpu()
    right, below = (-n % multiple for n in reversed(grid))
    around = lambda x: F.pad(x, (0, right, 0, below), mode="replicate")

    def at(field):
        return around(F.interpolate(field, grid, mode="bilinear", antialias=True))

    small = F.interpolate(image, grid, mode="bilinear", antialias=True).clamp(0, 1)
    colours = F.pixel_unshuffle(2 * around(small) - 1, REDUCTION)
    known = torch.cat([F.silu(joined).float().cpu(), logits], 1)
    # Of the recognizer's places, which are finer than the latents', those that a latent covers.
    known = F.avg_pool2d(at(known), REDUCTION)
    features = torch.cat([known, colours], 1)
    return StillFeatures(features, at(logits[:, SWAYS]).sigmoid(), at(logits[:, DEGREE]).sigmoid())
