"""The background behind what moves: the still with the moving thing filled in from its surroundings.

Law: where the matte is zero the background is the picture itself; no colour comes from what moves,
unless everything does.

Source: filling by mirrored neighbours is ours; pull-push, Gortler et al., "The Lumigraph", 1996.
"""

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from .filters import box_mean

SURMISED = 1e-12  # weight of what is not known, so that there is always something; halving a side adds four
AWAY = 2  # px from the matte where the plate starts to take its colours


def fill_background(
    image: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"]
) -> Float[Tensor, "c h w"]:
    """The plate: what moves is painted over by what lies around it, mirrored inwards.

    A pixel takes its colour from as far on the other side of its nearest still pixel, so that
    texture goes on; where that is not still either, from nearer. Nothing is ever taken from what
    moves, unless everything does.
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
    for step in (0.25, 0.5, 1.0):  # the farthest that is still wins
        sy = (ny + ((ny - y) * step).round().long()).clamp(0, height - 1)
        sx = (nx + ((nx - x) * step).round().long()).clamp(0, width - 1)
        mirrored = sy * width + sx
        source = torch.where(still[mirrored], mirrored, source)
    plate = image.flatten(1).clone()
    plate[:, target] = plate[:, source]
    plate = plate.view_as(image)
    # Sources of neighbours can lie apart: soften what was filled, more than texture, less than edges.
    return torch.where(moving, box_mean(box_mean(plate[None], 1), 1)[0], plate)


def pull_push(
    picture: Float[Tensor, "b c h w"], known: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """What is not known (0, against 1) smoothly from what is around it, however far: pull and push.

    Where nothing is known at all, the mean of the picture. Source: Gortler et al., "The Lumigraph", SIGGRAPH
    1996, Sec. 5.
    """
    height, width = picture.shape[-2:]
    if max(height, width) == 1:
        return picture
    weight = known.clamp(min=SURMISED)
    even = (0, width % 2, 0, height % 2)
    pulled = F.avg_pool2d(F.pad(torch.cat([picture * weight, weight], 1), even), 2)
    coarse = pull_push(pulled[:, :-1] / pulled[:, -1:], (4 * pulled[:, -1:]).clamp(max=1))
    pushed = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return picture * known + pushed * (1 - known)
