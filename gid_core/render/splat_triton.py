"""`splat.splat_points` as two Triton kernels, for graphics cards that have Triton.

Points are few numbers each, and what they hit is anywhere: time goes by the memory that is touched. Here a
pixel's channels lie side by side, so that a point adds whole runs of memory at each of its four corners;
in torch's own layout every channel is a picture of its own, and every addition a line of memory of its own.

Law: as `splat_points`, to the order in which sums are taken, which on a graphics card is not the same twice.

Imported by `splat` alone, and only when asked for. Source: the method as there; Tillet et al., "Triton",
MAPL 2019.
"""

import inspect

import torch
import triton
import triton.language as tl
from einops import rearrange

from ..shapes import Float, Tensor

POINTS, CHANNELS = 64, 32  # of a program at once, the latter at most


def _kernel(function):
    """Triton reads the source: of the function itself, not of what checks its types in tests."""
    return triton.jit(inspect.unwrap(function))


@_kernel
def _corners(x, y, there, height, width, dx: tl.constexpr, dy: tl.constexpr):
    """One of the four pixels around points: where it lies in the picture, if it does, and its share by axis."""
    left, top = tl.floor(x), tl.floor(y)
    share_x = x - left if dx else 1 - (x - left)
    share_y = y - top if dy else 1 - (y - top)
    u, v = left + dx, top + dy
    inside = there & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    place = tl.where(inside, v, 0.0).to(tl.int64) * width + tl.where(inside, u, 0.0).to(tl.int64)
    return place, inside, share_x, share_y


@_kernel
def _drop(
    values, positions, target, n, c, height, width, points: tl.constexpr, channels: tl.constexpr
):
    """target[pixel, channel] += share * value, of a block of points and channels."""
    b = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * points + tl.arange(0, points)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    there, known = point < n, channel < c
    x = tl.load(positions + 2 * b * n + point, mask=there, other=0.0)
    y = tl.load(positions + (2 * b + 1) * n + point, mask=there, other=0.0)
    each = there[:, None] & known[None, :]
    value = tl.load(values + (b * n + point[:, None]) * c + channel[None, :], mask=each, other=0.0)
    for corner in tl.static_range(4):
        place, inside, share_x, share_y = _corners(
            x, y, there, height, width, corner % 2, corner // 2
        )
        at = target + (b * height * width + place[:, None]) * c + channel[None, :]
        hit = inside[:, None] & known[None, :]
        tl.atomic_add(at, value * (share_x * share_y)[:, None], mask=hit, sem="relaxed")


@_kernel
def _read(
    grad, values, positions, by_values, by_positions, n, c, height, width,
    points: tl.constexpr, channels: tl.constexpr,
):  # fmt: skip
    """Gradients of a block of points by their values and positions."""
    b = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * points + tl.arange(0, points)
    there = point < n
    x = tl.load(positions + 2 * b * n + point, mask=there, other=0.0)
    y = tl.load(positions + (2 * b + 1) * n + point, mask=there, other=0.0)
    by_x, by_y = 0.0 * x, 0.0 * y
    for first in range(0, c, channels):
        channel = first + tl.arange(0, channels)
        known = channel < c
        each = there[:, None] & known[None, :]
        mine = (b * n + point[:, None]) * c + channel[None, :]
        value = tl.load(values + mine, mask=each, other=0.0)
        by_value = 0.0 * value
        for corner in tl.static_range(4):
            place, inside, share_x, share_y = _corners(
                x, y, there, height, width, corner % 2, corner // 2
            )
            at = grad + (b * height * width + place[:, None]) * c + channel[None, :]
            slope = tl.load(at, mask=inside[:, None] & known[None, :], other=0.0)
            by_value += slope * (share_x * share_y)[:, None]
            along = tl.sum(slope * value, 1)
            by_x += along * share_y * (2 * (corner % 2) - 1)
            by_y += along * share_x * (2 * (corner // 2) - 1)
        tl.store(by_values + mine, by_value, mask=each)
    tl.store(by_positions + 2 * b * n + point, by_x, mask=there)
    tl.store(by_positions + (2 * b + 1) * n + point, by_y, mask=there)


INTERPRETED = not isinstance(_drop, triton.JITFunction)  # step by step, on any device: for tests


class TritonSplat(torch.autograd.Function):
    """`splat_points` of finite points; differentiable once."""

    @staticmethod
    def forward(
        ctx,
        values: Float[Tensor, "b c n"],
        positions: Float[Tensor, "b 2 n"],
        size: tuple[int, int],
    ) -> Float[Tensor, "b c h w"]:
        b, c, n = values.shape
        rows, positions = rearrange(values, "b c n -> b n c").contiguous(), positions.contiguous()
        target = rows.new_zeros(b, *size, c)
        channels = min(CHANNELS, triton.next_power_of_2(c))
        blocks = triton.cdiv(n, POINTS), b, triton.cdiv(c, channels)
        with torch.cuda.device_of(rows):  # else it would be launched on the current one
            _drop[blocks](rows, positions, target, n, c, *size, points=POINTS, channels=channels)
        ctx.save_for_backward(rows, positions)
        return rearrange(target, "b h w c -> b c h w")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        rows, positions = ctx.saved_tensors
        b, n, c = rows.shape
        grad = rearrange(grad, "b c h w -> b h w c").contiguous()
        by_values, by_positions = torch.empty_like(rows), torch.empty_like(positions)
        channels = min(CHANNELS, triton.next_power_of_2(c))
        with torch.cuda.device_of(rows):
            _read[triton.cdiv(n, POINTS), b](
                grad, rows, positions, by_values, by_positions, n, c, *grad.shape[1:3],
                points=POINTS, channels=channels,
            )  # fmt: skip
        return rearrange(by_values, "b n c -> b c n"), by_positions, None
