"""Pixel coordinates, sampling and resizing: the only place that knows how grids line up.

Convention: pixel centers at integers, (0, 0) top-left, x right, y down. A picture of another size
covers the same rectangle, so the center of pixel i of w lies at (i + 1/2) / w of its width.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ..shapes import Float, Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "2 h w"]:
    """(x, y) of every pixel center, on the device and in the dtype of `like`."""
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]))


def normalized(
    positions: Float[Tensor, "b 2 n"], size: tuple[int, int]
) -> Float[Tensor, "b 1 n 2"]:
    """Pixel positions as `grid_sample` wants them (align_corners=False)."""
    scale = positions.new_tensor([2 / size[1], 2 / size[0]]).view(1, 2, 1)
    return rearrange((positions + 0.5) * scale - 1, "b xy n -> b 1 n xy")


def sample_points(
    image: Float[Tensor, "b c h w"], positions: Float[Tensor, "b 2 n"], mode: str = "bilinear"
) -> Float[Tensor, "b c n"]:
    """Read an image at (x, y) positions in pixels; zero outside."""
    grid = normalized(positions, image.shape[-2:])
    return F.grid_sample(image, grid, mode, "zeros", align_corners=False).squeeze(2)


def backward_warp(
    image: Float[Tensor, "b c h w"], displacement: Float[Tensor, "b 2 h w"], mode: str = "bilinear"
) -> Float[Tensor, "b c h w"]:
    """Read an image at p + displacement(p), in pixels; zero outside."""
    height, width = displacement.shape[-2:]
    positions = pixel_grid(height, width, like=displacement) + displacement
    read = sample_points(image, rearrange(positions, "b xy h w -> b xy (h w)"), mode)
    return rearrange(read, "b c (h w) -> b c h w", h=height)


def resize_displacement(
    displacement: Float[Tensor, "... 2 h w"], size: tuple[int, int]
) -> Float[Tensor, "... 2 h2 w2"]:
    """Resize a displacement field and express it in pixels of the new grid, each axis by its
    ratio."""
    height, width = displacement.shape[-2:]
    flat = displacement.reshape(-1, 2, height, width)
    resized = F.interpolate(flat, size, mode="bilinear", align_corners=False, antialias=True)
    scale = displacement.new_tensor([size[1] / width, size[0] / height]).view(2, 1, 1)
    return (resized * scale).reshape(*displacement.shape[:-2], *size)


def grid_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """(height, width) of the coarse grid over a picture: its shape, at most `longest` on a side."""
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def reduced(images: Float[Tensor, "b c h w"], factor: int) -> Float[Tensor, "b c h2 w2"]:
    """Pictures a whole number of times smaller on either side, at least 1 px; 1 changes nothing."""
    return _resized(images, tuple(max(1, round(n / factor)) for n in images.shape[-2:]))


def fitted(images: Float[Tensor, "b c h w"], longest: int) -> Float[Tensor, "b c h2 w2"]:
    """Pictures whose longer side is at most so many pixels; smaller ones as they are."""
    return _resized(images, grid_size(*images.shape[-2:], longest))


def _resized(images, size):
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
