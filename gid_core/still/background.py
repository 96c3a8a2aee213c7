"""The background behind what moves: the still with the moving thing filled in from its surroundings.

Law: where the matte is zero the background is the picture itself; no colour comes from what moves,
unless everything does.

Source: filling by mirrored neighbours is ours; pull-push, Gortler et al., "The Lumigraph", 1996.
"""

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from .filters import box_mean

UNKNOWN = 1e-12  # weight of an unknown pixel: never 0, so that every mean is defined
AWAY = 2  # px around the matte whose colours are not used either: its soft edge has mixed colours


def fill_background(
    image: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"]
) -> Float[Tensor, "c h w"]:
    """The background: what moves is filled from what lies around it, mirrored inwards.

    A pixel takes its colour from as far on the other side of its nearest still pixel, so that
    texture continues; where that pixel moves too, from a nearer one. No colour is taken from what
    moves, unless everything moves.
    """
    from scipy.ndimage import distance_transform_edt

    moving = matte[0] > 0
    unsafe = F.max_pool2d(moving[None].float(), 2 * AWAY + 1, 1, AWAY)[0] > 0
    if not moving.any() or unsafe.all():
        return image
    height, width = moving.shape
    nearest = distance_transform_edt(
        unsafe.cpu().numpy(), return_distances=False, return_indices=True
    )
    target = moving.flatten().nonzero().squeeze(1)
    y, x = target // width, target % width
    ny, nx = torch.from_numpy(nearest).to(image.device).long().flatten(1)[:, target]
    source = ny * width + nx
    still = ~unsafe.flatten()
    for step in (0.25, 0.5, 1.0):  # the farthest still one wins
        sy = (ny + ((ny - y) * step).round().long()).clamp(0, height - 1)
        sx = (nx + ((nx - x) * step).round().long()).clamp(0, width - 1)
        mirrored = sy * width + sx
        source = torch.where(still[mirrored], mirrored, source)
    background = image.flatten(1).clone()
    background[:, target] = background[:, source]
    background = background.view_as(image)
    # Neighbours may take their colours from far apart: smooth what was filled, by two 3 x 3 means.
    return torch.where(moving, box_mean(box_mean(background[None], 1), 1)[0], background)


def pull_push(
    picture: Float[Tensor, "b c h w"], known: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """Fill unknown pixels smoothly from the known ones around them, however far: pull-push.

    Where nothing is known at all, the mean of the picture. Source: Gortler et al., "The Lumigraph",
    SIGGRAPH 1996, Sec. 5.

    Args:
        known: 1 for known pixels, 0 for unknown ones; in between for a mixture.
    """
    height, width = picture.shape[-2:]
    if max(height, width) == 1:
        return picture
    weight = known.clamp(min=UNKNOWN)
    even = (0, width % 2, 0, height % 2)
    pulled = F.avg_pool2d(F.pad(torch.cat([picture * weight, weight], 1), even), 2)
    coarse = pull_push(pulled[:, :-1] / pulled[:, -1:], (4 * pulled[:, -1:]).clamp(max=1))
    pushed = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return picture * known + pushed * (1 - known)
