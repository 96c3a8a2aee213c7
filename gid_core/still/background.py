"""The background behind what moves: the still with the moving thing filled in from its
surroundings.

Law: where the matte is zero the background is the picture itself, and it goes on from there without
a step that the picture does not have. Farther in no colour comes from what moves, unless everything
does.

Mirroring is fast and continues thin holes; `texture` continues lines and texture in large ones.

Source: filling by mirrored neighbours is ours.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor
from .filters import box_mean, dilated, pull_push
from .texture import continue_texture

MOST_SEARCHED = 2**21  # pixels that are searched one by one; larger pictures by blocks of pixels
REACHES = 6  # px: how far the colours at the end of the matte go on at most
BESIDE = 4  # px around a part of the picture that is filled smoothly
AWAY = 2  # px around the matte whose colours are not used either: its soft edge has mixed colours
STEP = 0.05  # of a depth's range: what is nearer than its surroundings by that stands in front


def fill_background(
    image: Float[Tensor, "c h w"], matte: Float[Tensor, "1 h w"], texture: bool = False
) -> Float[Tensor, "c h w"]:
    """The background: what moves is filled from what lies around it.

    With `texture` by `continue_texture`, some seconds a picture; else, and where no patch of the
    surroundings is whole, by `mirrored`. Either begins where the matte ends with the colours that
    stay there (`continued`).
    """
    moving = matte[0] > 0
    unsafe = dilated(moving[None].float(), AWAY)[0] > 0
    if not moving.any() or unsafe.all():
        return image
    background = mirrored(image, moving, unsafe)
    if texture:
        patches = continue_texture(image.cpu(), unsafe.cpu(), background.cpu())
        if patches is not None:
            background[:, moving] = patches[:, moving[unsafe].cpu()].to(background)
    rows, columns = (_around(moving.any(axis), REACHES + AWAY) for axis in (1, 0))
    part = (slice(None), rows, columns)
    background[part] = continued(image[part], background[part], moving[rows, columns])
    return background


def mirrored(
    image: Float[Tensor, "c h w"], moving: Bool[Tensor, "h w"], unsafe: Bool[Tensor, "h w"]
) -> Float[Tensor, "c h w"]:
    """The picture with what moves mirrored inwards, softened.

    A pixel takes its colour from as far on the other side of its nearest safe pixel, so that
    texture continues; where that pixel is not safe, from a nearer one.
    """
    height, width = moving.shape
    # Large pictures are searched by blocks: a block takes its pixels from a block of still ones.
    block = math.ceil(math.sqrt(height * width / MOST_SEARCHED))
    taken = _blocks(unsafe, block)
    if taken.all():  # every block holds something that moves
        block, taken = 1, unsafe
    source_y, source_x, blind = _sources(taken)
    target = moving.flatten().nonzero().squeeze(1)
    y, x = target // width, target % width
    at = (y // block) * source_y.shape[1] + x // block
    y = (source_y.flatten()[at] * block + y % block).clamp(max=height - 1)
    x = (source_x.flatten()[at] * block + x % block).clamp(max=width - 1)
    source = y * width + x
    background = image.flatten(1).clone()
    background[:, target] = background[:, source]
    background = background.view_as(image)
    blind = moving.flatten().new_zeros(height * width).index_put((target,), blind.flatten()[at])
    if blind.any():
        background = _smoothly(background, blind.view_as(moving))
    # Neighbours may take their colours from far apart: smooth what was filled, by two 3 x 3 means.
    rows, columns = (_around(moving.any(axis), 2) for axis in (1, 0))
    part = background[:, rows, columns]
    smooth = box_mean(box_mean(part[None], 1), 1)[0]
    background[:, rows, columns] = torch.where(moving[rows, columns], smooth, part)
    return background


def continued(
    image: Float[Tensor, "c h w"], filled: Float[Tensor, "c h w"], moving: Bool[Tensor, "h w"]
) -> Float[Tensor, "c h w"]:
    """A filled picture without a step where what moves ends.

    An edge that is out of focus, or a thing that the matte cuts through, goes on outside. What was
    filled in begins with the colours that stay there, and goes over into its own within as many
    pixels as the picture's slope there would take: one at a sharp edge, `REACHES` at most.
    """
    from scipy.ndimage import distance_transform_edt

    far, nearest = distance_transform_edt(moving.cpu().numpy(), return_indices=True)
    far = torch.from_numpy(far).to(image)
    y, x = ((far > 0) & (far < REACHES)).nonzero().unbind(1)
    ny, nx = torch.from_numpy(nearest).to(image.device).long()[:, y, x]
    far = far[y, x]
    height, width = moving.shape
    inwards = [((here - there) / far).round().long() for here, there in ((y, ny), (x, nx))]

    def at(picture, steps):
        """Colours so many pixels inside of the nearest pixel that stays."""
        row, column = (n + steps * way for n, way in zip((ny, nx), inwards))
        return picture[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]

    edge = at(image, 0)
    step = edge - at(filled, 1)
    slope = (edge - at(image, -AWAY)).norm(dim=0) / AWAY
    wide = (step.norm(dim=0) / slope.clamp(min=1e-6)).clamp(1, REACHES)
    share = (1.5 - far / wide).clamp(0, 1)
    # Shares, colours times shares, and what moves: means of all three, so that no ray stands out.
    fields = filled.new_zeros(len(filled) + 2, height, width)
    fields[:-2, y, x], fields[-2, y, x], fields[-1] = edge * share, share, moving.to(image)
    *colours, share, inside = box_mean(fields[None], 1)[0].unbind(0)
    colours = torch.stack(colours) / share.clamp(min=1e-6)
    return torch.where(moving, torch.lerp(filled, colours, share / inside.clamp(min=1e-6)), filled)


def in_front(depth: Float[Tensor, "1 h w"], reach: int) -> Float[Tensor, "1 h w"]:
    """1 where something stands in front of what lies within `reach` px, else 0.

    A slope is no step: what its mean over the picture explains within that reach is left out.

    Args:
        depth: 1 = nearest.
    """
    slope = sum(float(depth.diff(dim=i).abs().mean()) for i in (1, 2) if depth.shape[i] > 1)
    farthest = 1 - dilated(1 - depth, reach)
    return (depth - farthest > STEP + reach * slope).to(depth)


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
    blind = unsafe.clone()
    for step in (0.25, 0.5, 1.0):  # the farthest still one wins
        sy = (ny + ((ny - y) * step).round().long()).clamp(0, height - 1)
        sx = (nx + ((nx - x) * step).round().long()).clamp(0, width - 1)
        mirrored = sy * width + sx
        source = torch.where(safe[mirrored], mirrored, source)
        blind &= ~safe[mirrored]
    return source // width, source % width, blind


def _smoothly(picture, unknown):
    """Unknown pixels by what lies around them, in the part of the picture that holds them."""
    part = tuple(_around(unknown.any(axis), BESIDE) for axis in (1, 0))
    here = (slice(None), *part)
    picture = picture.clone()
    known = (~unknown[part]).to(picture)[None, None]
    picture[here] = pull_push(picture[here][None], known)[0]
    return picture
