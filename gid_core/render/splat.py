"""Forward warping (splatting): every source pixel adds its value where it moves to.

Law: `splat` is the adjoint of bilinear sampling, <splat(x, D), y> = <x, backward_warp(y, D)>.
torch ships this adjoint as the backward pass of `grid_sample`, which is used as the kernel.

Source: Niklaus & Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020, Eq. 2-14.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ..shapes import Float, Tensor
from ..still.grid import normalized, pixel_grid, sample_points

# exp(-IMPORTANCE_RANGE) is the smallest weight of a pixel relative to the most important one. With
# a wider range, an unimportant pixel that lands alone would weigh too little and count as a hole.
IMPORTANCE_RANGE = 20.0
# A target pixel that receives less than this share of one source pixel is a hole: rounded positions
# leave about 1e-4 in pixels where nothing should land.
MIN_COVERAGE = 1e-3
OUTSIDE = -2.0  # px: a position from which no share falls into the target
MIN_POINTS_TO_HALVE = 2**14  # from this many points on, two threads are faster than one


def splat_points(
    values: Float[Tensor, "b c n"],
    positions: Float[Tensor, "b 2 n"],
    size: tuple[int, int],
    impl: str = "auto",
) -> Float[Tensor, "b c h w"]:
    """Add each value to the four pixels around its position, with bilinear weights.

    Args:
        positions: (x, y) in pixels of the target. Shares outside the target are dropped. Points
            that are not finite are skipped.
        size: (height, width) of the target.
        impl: "native" is torch's adjoint of `grid_sample`. "index" calls `index_add` four times; it
            also runs where the native kernel is missing (MPS) or raises (CUDA under
            `torch.use_deterministic_algorithms`). "triton" is `splat_triton`. "auto" chooses
            "native" where it runs, else "index".

    Raises:
        ValueError: For "triton" if Triton is not installed, if the tensors are not on a graphics
            card, or under deterministic algorithms.
    """
    finite = positions.isfinite().all(1, keepdim=True)
    positions = torch.where(finite, positions, OUTSIDE)
    values = torch.where(finite, values, 0.0)
    if impl == "auto":
        deterministic_cuda = values.is_cuda and torch.are_deterministic_algorithms_enabled()
        native = values.device.type in ("cpu", "cuda") and not deterministic_cuda
        impl = "native" if native else "index"
    if impl == "index":
        return _splat_by_index(values, positions, size)
    if impl == "triton":
        return _triton(values)(values, positions, size)
    return _NativeSplat.apply(values, positions, size)


def splat(
    values: Float[Tensor, "b c h w"],
    displacement: Float[Tensor, "b 2 h w"],
    impl: str = "auto",
) -> Float[Tensor, "b c h w"]:
    """Sum splatting (Eq. 2-4): move every pixel by its displacement and add where it lands.

    Args:
        displacement: (dx, dy) in pixels, forward: the pixel at p lands at p + displacement(p).
    """
    height, width = values.shape[-2:]
    positions = pixel_grid(height, width, like=displacement) + displacement
    return splat_points(
        rearrange(values, "b c h w -> b c (h w)"),
        rearrange(positions, "b xy h w -> b xy (h w)"),
        (height, width),
        impl,
    )


def weighted_splat(
    values: Float[Tensor, "b c h w"],
    displacement: Float[Tensor, "b 2 h w"],
    weight: Float[Tensor, "b 1 h w"],
    impl: str = "auto",
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """Splatting that averages pixels which land together, with the given weights.

    A weight of one gives average splatting (Eq. 7), an importance gives its linear form (Eq. 8).

    Returns:
        The average, zero in holes, and the total weight received (0 marks a hole).
    """
    weighted = torch.cat([values * weight, weight, torch.ones_like(weight)], 1)
    return normalize_splat(splat(weighted, displacement, impl))


def softmax_splat(
    values: Float[Tensor, "b c h w"],
    displacement: Float[Tensor, "b 2 h w"],
    importance: Float[Tensor, "b 1 h w"],
    impl: str = "auto",
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """Splatting that averages pixels which land together with softmax(importance) (Eq. 14).

    Args:
        importance: Logits; the pixel with the larger value occludes the other. Adding a constant
            changes nothing. Differences to the largest are clamped to `IMPORTANCE_RANGE`.

    Returns:
        The average, zero in holes, and the total weight received (0 marks a hole).
    """
    return weighted_splat(values, displacement, softmax_weight(importance), impl)


def softmax_weight(importance: Float[Tensor, "b 1 ..."]) -> Float[Tensor, "b 1 ..."]:
    """exp(importance - max), clamped from below so that no pixel vanishes."""
    top = importance.flatten(1).amax(1).view(-1, *[1] * (importance.ndim - 1))
    return (importance - top).clamp(min=-IMPORTANCE_RANGE).exp()


def normalize_splat(
    moved: Float[Tensor, "b c2 h w"],
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """Divide splatted values by their splatted weight.

    Args:
        moved: Splatted channels: values times weight, the weight, and a constant 1. The last is the
            coverage, which tells holes from pixels of small weight.

    Returns:
        The average, zero in holes, and the total weight received (0 marks a hole).
    """
    values, weight, coverage = moved[:, :-2], moved[:, -2:-1], moved[:, -1:]
    covered = coverage > MIN_COVERAGE
    average = torch.where(covered, values / torch.where(covered, weight, 1.0), 0.0)
    return average, torch.where(covered, weight, 0.0)


def _triton(values):
    """The splat of `splat_triton`.

    Raises:
        ValueError: As `splat_points`.
    """
    if torch.are_deterministic_algorithms_enabled():
        raise ValueError(
            'Expected impl="index" under deterministic algorithms: Triton adds in any order.'
        )
    try:
        from .splat_triton import INTERPRETED, TritonSplat
    except ImportError as error:
        raise ValueError(
            'Expected Triton to be installed for impl="triton", got none: leave impl at "auto".'
        ) from error
    if not (values.is_cuda or INTERPRETED):
        raise ValueError(
            'Expected tensors on a graphics card for impl="triton", got them on '
            f'{values.device}: leave impl at "auto".'
        )
    return TritonSplat.apply


class _NativeSplat(torch.autograd.Function):
    """The adjoint of bilinear sampling as a forward pass; its gradients are sampling again."""

    @staticmethod
    def forward(ctx, values, positions, size):
        ctx.save_for_backward(values, positions)
        count = values.shape[-1]
        if len(values) > 1 or not values.is_cpu or count < MIN_POINTS_TO_HALVE:
            return _sampling_backward(values, positions, size, want=(True, False))[0]
        # On the CPU torch's kernel runs one thread for each batch item, so one item is split into
        # two halves of its points. Always two, so that the order of the sums, and with it every
        # bit, does not depend on the number of cores.
        values = F.pad(values, (0, count % 2))
        positions = F.pad(positions, (0, count % 2), value=OUTSIDE)
        halves = [rearrange(x, "1 c (two n) -> two c n", two=2) for x in (values, positions)]
        return _sampling_backward(*halves, size, want=(True, False))[0].sum(0, keepdim=True)

    @staticmethod
    def backward(ctx, grad):
        values, positions = ctx.saved_tensors
        # <values, sample(grad, positions)> has the same gradient with respect to the positions.
        by_positions = None
        if ctx.needs_input_grad[1]:
            size = grad.shape[-2:]
            by_grid = _sampling_backward(values, positions, size, grad, want=(False, True))[1]
            scale = positions.new_tensor([2 / size[1], 2 / size[0]]).view(1, 2, 1)
            by_positions = rearrange(by_grid, "b 1 n xy -> b xy n") * scale
        return sample_points(grad, positions), by_positions, None


def _sampling_backward(values, positions, size, image=None, want=(True, True)):
    """The backward pass of `grid_sample`: (gradient of the image, gradient of the grid)."""
    if image is None:  # only its shape is read unless the gradient of the grid is wanted
        image = values.new_empty(1).expand(*values.shape[:2], *size)
    return torch.ops.aten.grid_sampler_2d_backward(
        values.unsqueeze(2), image, normalized(positions, size), 0, 0, False, want
    )


def _splat_by_index(values, positions, size):
    """One `index_add` for each of the four pixels around a position."""
    height, width = size
    batch, channels, _ = values.shape
    corner = positions.detach().floor()
    fraction = positions - corner
    target = values.new_zeros(batch * height * width, channels)
    offset = torch.arange(batch, device=values.device).view(-1, 1) * (height * width)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = corner[:, 0] + dx, corner[:, 1] + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            share = (1 - dx - (1 - 2 * dx) * fraction[:, 0]) * (
                1 - dy - (1 - 2 * dy) * fraction[:, 1]
            )
            index = torch.where(inside, y * width + x, 0.0).long() + offset
            share = torch.where(inside, share, 0.0).unsqueeze(1)
            target = target.index_add(
                0, index.flatten(), rearrange(values * share, "b c n -> (b n) c")
            )
    return rearrange(target, "(b h w) c -> b c h w", b=batch, h=height)
