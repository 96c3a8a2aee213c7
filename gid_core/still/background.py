"""The background behind what moves: the still with the moving thing filled in from its
surroundings.

Law: where the matte is zero the background is the picture itself; no colour comes from what moves,
unless everything does.

Mirroring is fast and continues thin holes; `texture` continues lines and texture in large ones.

Source: filling by mirrored neighbours is ours.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from .filters import box_mean, dilated
from .texture import continue_texture

MOST_SEARCHED = 2**21  # pixels that are searched one by one; larger pictures by blocks of pixels
AWAY = 2  # px around the matte whose colours are not used either: its soft edge has mixed colours


def fill_background(
    image: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"], texture: bool = False
) -> Float[Tensor, "c h w"]:
    """The background: what moves is filled from what lies around it.

    With `texture` by `continue_texture`, some seconds a picture; else, and where no patch of the
    surroundings is whole, mirrored inwards.

    A pixel takes its colour from as far on the other side of its nearest still pixel, so that
    texture continues; where that pixel moves too, from a nearer one. No colour is taken from what
    moves, unless everything moves.
    """
    moving = matte[0] > 0
    unsafe = dilated(moving[None].float(), AWAY)[0] > 0
    if not moving.any() or unsafe.all():
        return image
    height, width = moving.shape
    # Large pictures are searched by blocks: a block takes its pixels from a block of still ones.
    block = math.ceil(math.sqrt(height * width / MOST_SEARCHED))
    taken = _blocks(unsafe, block)
    if taken.all():  # every block holds something that moves
        block, taken = 1, unsafe
    source_y, source_x = _sources(taken)
    target = moving.flatten().nonzero().squeeze(1)
    y, x = target // width, target % width
    at = (y // block) * source_y.shape[1] + x // block
    y = (source_y.flatten()[at] * block + y % block).clamp(max=height - 1)
    x = (source_x.flatten()[at] * block + x % block).clamp(max=width - 1)
    source = y * width + x
    background = image.flatten(1).clone()
    background[:, target] = background[:, source]
    background = background.view_as(image)
    # Neighbours may take their colours from far apart: smooth what was filled, by two 3 x 3 means.
    rows, columns = (_around(moving.any(axis), 2) for axis in (1, 0))
    part = background[:, rows, columns]
    smooth = box_mean(box_mean(part[None], 1), 1)[0]
    background[:, rows, columns] = torch.where(moving[rows, columns], smooth, part)
    if texture:
        patches = continue_texture(image.cpu(), unsafe.cpu(), background.cpu())
        if patches is not None:
            background[:, moving] = patches[:, moving[unsafe].cpu()].to(background)
    return background


def _around(present, margin):
    """The slice from the first to the last that is set, and a margin."""
    at = present.nonzero().squeeze(1)
    return slice(max(0, int(at[0]) - margin), int(at[-1]) + 1 + margin)


def _blocks(unsafe, size):
    """Whether a block of so many pixels to a side holds any that is unsafe; cut ones at the end
    too."""
    if size == 1:
        return unsafe
    return F.max_pool2d(unsafe[None].float(), size, ceil_mode=True)[0] > 0


def _sources(unsafe):
    """(y, x) of the cell that every cell takes its colour from; its own where that is safe."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(
        unsafe.cpu().numpy(), return_distances=False, return_indices=True
    )
    ny, nx = torch.from_numpy(nearest).to(unsafe.device).long()
    height, width = unsafe.shape
    y = torch.arange(height, device=unsafe.device).view(-1, 1)
    x = torch.arange(width, device=unsafe.device)
    source, safe = ny * width + nx, ~unsafe.flatten()
    for step in (0.25, 0.5, 1.0):  # the farthest still one wins
        sy = (ny + ((ny - y) * step).round().long()).clamp(0, height - 1)
        sx = (nx + ((nx - x) * step).round().long()).clamp(0, width - 1)
        mirrored = sy * width + sx
        source = torch.where(safe[mirrored], mirrored, source)
    return source // width, source % width
