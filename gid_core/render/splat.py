"""Forward warping: every source pixel drops its value where it moves to.

Law: `splat` is the adjoint of bilinear sampling, <splat(x, D), y> = <x, backward_warp(y, D)>.
torch ships that adjoint as the backward pass of `grid_sample`, so it is used as the kernel.

Source: Niklaus & Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020, Eq. 2-14.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ..shapes import Float, Tensor
from ..still.grid import normalized, pixel_grid, sample_points

# exp(-IMPORTANCE_RANGE) is the least weight a pixel can have against the most important one. Wider
# would push a lone unimportant pixel under the weight that counts as a hole.
IMPORTANCE_RANGE = 20.0
# Least share of a pixel that counts as landed on. Positions are rounded: crumbs of 1e-4 fall beside.
COVERED = 1e-3
OUTSIDE = -2.0  # px: a position from which nothing lands
HALVED_FROM = 2**14  # points from which splatting in two halves pays


def splat_points(
    values: Float[Tensor, "b c n"],
    positions: Float[Tensor, "b 2 n"],
    size: tuple[int, int],
    impl: str = "auto",
) -> Float[Tensor, "b c h w"]:
    """Add each value to the four pixels around its position, with bilinear weights.

    Args:
        positions: (x, y) in pixels of the target. Shares that fall outside are dropped, and points
            that are not finite are skipped.
        size: (height, width) of the target.
        impl: "native" is torch's adjoint of `grid_sample`; "index" adds four times with `index_add_`,
            which also runs where the native kernel is missing (MPS) or refuses (CUDA under
            `torch.use_deterministic_algorithms`); "triton" has kernels of its own (`splat_triton`);
            "auto" chooses among the first two.

    Raises:
        ValueError: For "triton" where it is not installed, not on a graphics card, or not deterministic and
            should be.
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
    """Splat where colliding pixels are averaged with the given weights.

    A weight of one gives average splatting (Eq. 7), an importance its linear form (Eq. 8).

    Returns:
        The average, zero in holes, and the total weight received (0 marks a hole).
    """
    carried = torch.cat([values * weight, weight, torch.ones_like(weight)], 1)
    return normalize_splat(splat(carried, displacement, impl))


def softmax_splat(
    values: Float[Tensor, "b c h w"],
    displacement: Float[Tensor, "b 2 h w"],
    importance: Float[Tensor, "b 1 h w"],
    impl: str = "auto",
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """Splat where colliding pixels are averaged with weights softmax(importance) (Eq. 14).

    Args:
        importance: Logits; the pixel with the larger value occludes. Invariant to a constant.
            Differences are cut off at `IMPORTANCE_RANGE`.

    Returns:
        The average, zero in holes, and the total weight received (0 marks a hole).
    """
    return weighted_splat(values, displacement, softmax_weight(importance), impl)


def softmax_weight(importance: Float[Tensor, "b 1 ..."]) -> Float[Tensor, "b 1 ..."]:
    """exp(importance - max), with the range bounded so that no pixel vanishes."""
    top = importance.flatten(1).amax(1).view(-1, *[1] * (importance.ndim - 1))
    return (importance - top).clamp(min=-IMPORTANCE_RANGE).exp()


def normalize_splat(
    moved: Float[Tensor, "b c2 h w"],
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """Divide splatted values by the weight that came along.

    Args:
        moved: Weighted values, then their weight, then a share of 1 from every pixel. The last tells
            what was landed on, which a weight of any size cannot.
    """
    values, weight, share = moved[:, :-2], moved[:, -2:-1], moved[:, -1:]
    landed = share > COVERED
    average = torch.where(landed, values / torch.where(landed, weight, 1.0), 0.0)
    return average, torch.where(landed, weight, 0.0)


def _triton(values):
    """Its splat.

    Raises:
        ValueError: If there is none, or not there, or its sums are not to be had in a fixed order.
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
            f'Expected tensors on a graphics card for impl="triton", got them on {values.device}: leave impl '
            'at "auto".'
        )
    return TritonSplat.apply


class _NativeSplat(torch.autograd.Function):
    """The adjoint of bilinear sampling as a forward pass; its own gradients are sampling again."""

    @staticmethod
    def forward(ctx, values, positions, size):
        ctx.save_for_backward(values, positions)
        count = values.shape[-1]
        if len(values) > 1 or not values.is_cpu or count < HALVED_FROM:
            return _sampling_backward(values, positions, size, want=(True, False))[0]
        # On the CPU torch's kernel has a thread for each batch item: two halves of the points keep
        # two busy. Two on any machine, so that the order of sums, and with it every bit, is one.
        values = F.pad(values, (0, count % 2))
        positions = F.pad(positions, (0, count % 2), value=OUTSIDE)
        halves = [rearrange(x, "1 c (two n) -> two c n", two=2) for x in (values, positions)]
        return _sampling_backward(*halves, size, want=(True, False))[0].sum(0, keepdim=True)

    @staticmethod
    def backward(ctx, grad):
        values, positions = ctx.saved_tensors
        # <values, sample(grad, positions)> has the same gradient by the positions as the splat.
        by_positions = None
        if ctx.needs_input_grad[1]:
            size = grad.shape[-2:]
            by_grid = _sampling_backward(values, positions, size, grad, want=(False, True))[1]
            scale = positions.new_tensor([2 / size[1], 2 / size[0]]).view(1, 2, 1)
            by_positions = rearrange(by_grid, "b 1 n xy -> b xy n") * scale
        return sample_points(grad, positions), by_positions, None


def _sampling_backward(values, positions, size, image=None, want=(True, True)):
    if image is None:  # only its shape is read while the gradient by the grid is not asked for
        image = values.new_empty(1).expand(*values.shape[:2], *size)
    return torch.ops.aten.grid_sampler_2d_backward(
        values.unsqueeze(2), image, normalized(positions, size), 0, 0, False, want
    )


def _splat_by_index(values, positions, size):
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
