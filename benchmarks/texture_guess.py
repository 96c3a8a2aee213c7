"""What could move, guessed from texture and colour: the baseline that recognition is measured
against."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.shapes import Float, Tensor
from gid_core.still.filters import box_mean

LONGEST_SIDE = 256  # px of the picture that is looked at


def flexibility(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
    """Guess what could move where nobody painted: finely textured, coloured, not sky.

    Fine texture against its surroundings (vegetation is rough everywhere, walls and sky are not)
    times saturation, thresholded where it best parts the picture in two (Otsu 1979). Simple cues
    hardly predict what moves: this is a start to be painted over, not a segmentation.
    """
    height, width = image.shape[-2:]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    small = F.interpolate(
        image.cpu(), (max(1, round(height * scale)), max(1, round(width * scale))), mode="area"
    )
    luma = small.mean(1, keepdim=True)
    rough = box_mean((luma - box_mean(luma, 2)).abs(), 4)
    saturation = small.amax(1, keepdim=True) - small.amin(1, keepdim=True)
    cue = box_mean(rough.sqrt() * (0.15 + saturation).sqrt(), 4)
    moving = (cue > _otsu(cue)).float()
    moving = (box_mean(moving, 5) > 0.5).float()  # specks leave, small gaps close
    return F.interpolate(moving, (height, width), mode="bilinear").round()


def _otsu(cue):
    """The threshold that leaves the least variance on its two sides."""
    ordered = cue.flatten().sort().values
    n = torch.arange(1, len(ordered), dtype=torch.float64)
    below = ordered.double().cumsum(0)[:-1]
    total = ordered.double().sum()
    between = (below * len(ordered) - total * n).square() / (n * (len(ordered) - n))
    return ordered[between.argmax()] if len(between) else ordered[0]
