"""Forward warping (splatting): every source pixel adds its value where it moves to.

Law: `splat` is the adjoint of bilinear sampling, <splat(x, D), y> = <x, backward_warp(y, D)>.
torch ships this adjoint as the backward pass of `grid_sample`, which is used as the kernel.

Source: Niklaus & Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020, Eq. 2-14.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange

from ..shapes import Float, Tensor
from ..still.grid import normalized, pixel_grid, sample_points

# Range of logits that are splatted together: exp(-64) to exp(64) leaves single precision room for
# values up to 1e9 and for shares down to 1e-9.
BAND = 128.0
# A target pixel that receives less than this share of one source pixel is a hole: rounded positions
# leave about 1e-4 in pixels where nothing should land.
MIN_COVERAGE = 1e-3
OUTSIDE = -2.0  # px: a position from which no share falls into the target
CHUNK = 2**17  # points that are splatted at once on the CPU
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
    values, positions = _finite(values, positions)
    if impl == "auto":
        deterministic_cuda = values.is_cuda and torch.are_deterministic_algorithms_enabled()
        native = values.device.type in ("cpu", "cuda") and not deterministic_cuda
        impl = "native" if native else "index"
    if impl == "index":
        return _splat_by_index(values, positions, size)
    if impl == "triton":
        return _triton(values)(values, positions, size)
    return _NativeSplat.apply(values, positions, size)


def _finite(values, positions):
    """Points without those whose position is not finite: they are put outside."""
    if positions.is_cpu and positions.numel():
        if all(bound.isfinite() for bound in positions.aminmax()):
            return values, positions
    finite = positions.isfinite().all(1, keepdim=True)
    return torch.where(finite, values, 0.0), torch.where(finite, positions, OUTSIDE)


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
        importance: Logits; the pixel with the larger value occludes the other. Only differences
            between pixels that land together count, whatever is elsewhere in the picture.

    Returns:
        The average, zero in holes, and the coverage: how many pixels landed, by their bilinear
        shares (0 marks a hole).
    """
    height, width = values.shape[-2:]
    positions = pixel_grid(height, width, like=displacement) + displacement
    flat = [rearrange(x, "b c h w -> b c (h w)") for x in (values, positions, importance)]
    return softmax_splat_points(*flat, (height, width), impl)


def softmax_splat_points(
    values: Float[Tensor, "b c n"],
    positions: Float[Tensor, "b 2 n"],
    importance: Float[Tensor, "b 1 n"],
    size: tuple[int, int],
    impl: str = "auto",
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
    """`softmax_splat` of points, into a target of any size."""
    batch, channels, count = values.shape
    sums = SoftmaxSums(values.new_zeros(batch, channels, *size), importance)
    # A few rows of a picture at a time: few of their products are held at once.
    step = CHUNK if values.is_cpu else max(1, count)
    for first in range(0, count, step):
        part = slice(first, first + step)
        sums.add(values[..., part], positions[..., part], importance[..., part], impl)
    return sums.average()


class SoftmaxSums:
    """The sums of softmax splatting (Eq. 14), to which points are added part by part.

    A weight is exp(importance), scaled so that it fits single precision. Where one scale does not
    fit all, there are sums for every band of importance, the most important first. A pixel is
    scaled by the first band that covers it; the next band adds to it, and what lies lower vanishes
    beside it.

    Args:
        target: Only its shape (b, c, h, w), device and type are used.
        importance: Of all points: its range decides the bands.
    """

    def __init__(self, target: Float[Tensor, "b c h w"], importance: Float[Tensor, "b 1 n"]):
        self.size = tuple(target.shape[-2:])
        flat = importance.detach().flatten(1)
        empty = flat.shape[1] == 0
        self.top = flat.new_zeros(len(flat), 1, 1) if empty else flat.amax(1).view(-1, 1, 1)
        lowest = self.top if empty else flat.amin(1).view(-1, 1, 1)
        self.bands = int((self.top - lowest).amax() / BAND) + 1
        channels = target.shape[1] + 2  # values times weight, the weight, and 1: the coverage
        self.sums = target.new_zeros(self.bands, len(target), channels, *self.size)

    def add(
        self,
        values: Float[Tensor, "b c n"],
        positions: Float[Tensor, "b 2 n"],
        importance: Float[Tensor, "b 1 n"],
        impl: str = "auto",
    ) -> None:
        # On the CPU into the rows where points land; else, and where a gradient is wanted, at once.
        plain = values.is_cpu and len(values) == 1 and impl == "auto"
        below = self.top - importance
        for k in range(self.bands):
            logits, one = 0.5 * BAND - below, torch.ones_like(importance)
            if self.bands > 1:
                inside = (below >= k * BAND) & (below < (k + 1) * BAND)
                logits = torch.where(inside, logits + k * BAND, -torch.inf)
                one = inside.to(values)
            weight = logits.exp()
            carried = torch.cat([values * weight, weight, one], 1)
            if plain and not (carried.requires_grad or positions.requires_grad):
                _add_to_rows(self.sums[k], *_finite(carried, positions))
            else:
                self.sums[k] += splat_points(carried, positions, self.size, impl)

    def average(
        self, rows: slice = slice(None)
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 1 h w"]]:
        """The average, zero in holes, and the coverage (0 marks a hole), of some rows."""
        total = self.sums[0, :, :, rows]
        if self.bands > 1:
            total = self._all_bands(rows)
        average, _ = normalize_splat(total)
        coverage = total[:, -1:]
        return average, torch.where(coverage > MIN_COVERAGE, coverage, 0.0)

    def _all_bands(self, rows):
        """The sums of all bands in the scale of the first that covers a pixel."""
        total = self.sums[0, :, :, rows]
        half = math.exp(-BAND / 2)  # twice, as exp(-BAND) is too small for single precision
        level = torch.where(total[:, -1:] > MIN_COVERAGE, 0, -1)
        for k in range(1, self.bands):
            part = self.sums[k, :, :, rows]
            added = torch.where(level == k - 1, part[:, :-1] * half * half, 0.0)
            weighted = torch.where(level < 0, part[:, :-1], total[:, :-1] + added)
            level = torch.where((level < 0) & (part[:, -1:] > MIN_COVERAGE), k, level)
            total = torch.cat([weighted, total[:, -1:] + part[:, -1:]], 1)
        return torch.where(level < 0, 0.0, total)


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
    inverse = torch.where(covered, 1 / torch.where(covered, weight, 1.0), 0.0)
    return values * inverse, torch.where(covered, weight, 0.0)


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
        if len(values) > 1 or not values.is_cpu or values.shape[-1] < MIN_POINTS_TO_HALVE:
            return _sampling_backward(values, positions, size, want=(True, False))[0]
        return _add_to_rows(values.new_zeros(1, values.shape[1], *size), values, positions)

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


def _add_to_rows(target, values, positions):
    """Add points to a target in place, some at a time, in the rows where they land.

    On the CPU torch's kernel runs one thread for each batch item, so points are given to it as two
    items, each with rows of its own. Always two, so that the order of the sums, and with it every
    bit, does not depend on the number of cores.
    """
    height, width = target.shape[-2:]
    count = values.shape[-1]
    if count % 2:  # an even number of points: the last one again, of value 0
        values = F.pad(values, (0, 1))
        positions = torch.cat([positions, positions[..., -1:]], -1)
    for first in range(0, count, CHUNK):
        part = slice(first, first + CHUNK)
        half_values, half_positions = (
            rearrange(x[..., part], "1 c (two n) -> two c n", two=2) for x in (values, positions)
        )
        bounds = [half[1].aminmax() for half in half_positions]
        tops = [min(max(0, math.floor(float(low))), height - 1) for low, _ in bounds]
        ends = [min(max(0, math.floor(float(high)) + 2), height) for _, high in bounds]
        rows = max(1, *(end - top for top, end in zip(tops, ends)))
        tops = [min(top, height - rows) for top in tops]
        shift = positions.new_tensor([[0, top] for top in tops]).unsqueeze(2)
        size = rows, width
        parts = _sampling_backward(half_values, half_positions - shift, size, want=(True, False))[0]
        for top, part in zip(tops, parts):
            target[0, :, top : top + rows] += part
    return target


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
