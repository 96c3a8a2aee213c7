"""`splat.splat_points` as two Triton kernels, for graphics cards that have Triton.

Points have few values each and land anywhere, so the time is that of the memory traffic. Here the
channels of a pixel are adjacent in memory, so that a point adds contiguous runs at each of its four
corners. In torch's layout every channel is a separate plane, and every addition touches a separate
cache line.

Law: equal to `splat_points` but for the order of the sums, which changes from run to run on a
graphics card.

Imported only by `splat`, and only for impl="triton". Source: the method as in `splat`; Tillet et
al., "Triton", MAPL 2019.
"""

import inspect

import torch
import triton
import triton.language as tl
from einops import rearrange

from ..shapes import Float, Tensor

POINTS, CHANNELS = 64, 32  # block of one program; narrower if there are fewer channels


def _kernel(function):
    """`triton.jit` of the bare function: tests wrap it to check types, and Triton reads source."""
    return triton.jit(inspect.unwrap(function))


@_kernel
def _corners(x, y, is_point, height, width, dx: tl.constexpr, dy: tl.constexpr):
    """One of four pixels around points: index, whether it is inside, and its x and y weights."""
    left, top = tl.floor(x), tl.floor(y)
    weight_x = x - left if dx else 1 - (x - left)
    weight_y = y - top if dy else 1 - (y - top)
    u, v = left + dx, top + dy
    inside = is_point & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixel = tl.where(inside, v, 0.0).to(tl.int64) * width + tl.where(inside, u, 0.0).to(tl.int64)
    return pixel, inside, weight_x, weight_y


@_kernel
def _scatter(
    values, positions, target, n, c, height, width, points: tl.constexpr, channels: tl.constexpr
):
    """target[pixel, channel] += weight * value, for a block of points and channels."""
    b = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * points + tl.arange(0, points)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    is_point, is_channel = point < n, channel < c
    x = tl.load(positions + 2 * b * n + point, mask=is_point, other=0.0)
    y = tl.load(positions + (2 * b + 1) * n + point, mask=is_point, other=0.0)
    is_value = is_point[:, None] & is_channel[None, :]
    value = tl.load(
        values + (b * n + point[:, None]) * c + channel[None, :], mask=is_value, other=0.0
    )
    for corner in tl.static_range(4):
        pixel, inside, weight_x, weight_y = _corners(
            x, y, is_point, height, width, corner % 2, corner // 2
        )
        at = target + (b * height * width + pixel[:, None]) * c + channel[None, :]
        is_target = inside[:, None] & is_channel[None, :]
        tl.atomic_add(at, value * (weight_x * weight_y)[:, None], mask=is_target, sem="relaxed")


@_kernel
def _gather(
    grad,
    values,
    positions,
    by_values,
    by_positions,
    n,
    c,
    height,
    width,
    points: tl.constexpr,
    channels: tl.constexpr,
):
    """Gradients with respect to values and positions, for a block of points."""
    b = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * points + tl.arange(0, points)
    is_point = point < n
    x = tl.load(positions + 2 * b * n + point, mask=is_point, other=0.0)
    y = tl.load(positions + (2 * b + 1) * n + point, mask=is_point, other=0.0)
    by_x, by_y = 0.0 * x, 0.0 * y
    for first in range(0, c, channels):
        channel = first + tl.arange(0, channels)
        is_channel = channel < c
        is_value = is_point[:, None] & is_channel[None, :]
        index = (b * n + point[:, None]) * c + channel[None, :]
        value = tl.load(values + index, mask=is_value, other=0.0)
        by_value = 0.0 * value
        for corner in tl.static_range(4):
            pixel, inside, weight_x, weight_y = _corners(
                x, y, is_point, height, width, corner % 2, corner // 2
            )
            at = grad + (b * height * width + pixel[:, None]) * c + channel[None, :]
            slope = tl.load(at, mask=inside[:, None] & is_channel[None, :], other=0.0)
            by_value += slope * (weight_x * weight_y)[:, None]
            along = tl.sum(slope * value, 1)
            by_x += along * weight_y * (2 * (corner % 2) - 1)
            by_y += along * weight_x * (2 * (corner // 2) - 1)
        tl.store(by_values + index, by_value, mask=is_value)
    tl.store(by_positions + 2 * b * n + point, by_x, mask=is_point)
    tl.store(by_positions + (2 * b + 1) * n + point, by_y, mask=is_point)


INTERPRETED = not isinstance(_scatter, triton.JITFunction)  # for tests: runs on any device


class TritonSplat(torch.autograd.Function):
    """`splat_points` for finite points; differentiable once."""

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
        with torch.cuda.device_of(rows):  # kernels start on the current device otherwise
            _scatter[blocks](rows, positions, target, n, c, *size, points=POINTS, channels=channels)
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
            gradients = by_values, by_positions
            arguments = grad, rows, positions, *gradients, n, c, *grad.shape[1:3]
            _gather[triton.cdiv(n, POINTS), b](*arguments, points=POINTS, channels=channels)
        return rearrange(by_values, "b n c -> b c n"), by_positions, None
