"""Transfer of a motion to another still, registered by the moving masks of both.

Law: transfer to its own mask returns a motion bit for bit. A shift or stretch of the target's mask
shifts and stretches the places of the motion, not its amplitudes or directions. Linear in S.

Convention: the amplitude in % of the longer side and the direction in the picture are kept. Mean
and drift are dropped: the other still is the rest pose.

Source: ours. Outside its known region a motion is extrapolated by Laplace's equation.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor
from ..still.grid import grid_size
from .spectrum import SpectralVolume, amplitude_pct, moving_points, one_period

FITS = ("box", "proportional", "picture")
SPECKS = 0.002  # share of a mask's area that may lie outside its box, on each side
KNOWN = 0.02  # least coverage by the mask of a grid point whose motion is used
RINGS = 3  # rings of grid points around the mask that move too: rendering interpolates across them
NOTABLE_RATIO = 1.25  # ratio of sizes above which the report mentions it


@dataclass(frozen=True)
class Registration:
    """Map from points of the target to points of the source: source + ratio * (point - target).

    In pixels of the pictures, (x, y). A negative ratio mirrors.
    """

    source: tuple[float, float]
    target: tuple[float, float]
    ratio: tuple[float, float]


@dataclass(frozen=True)
class _Frame:
    """Size of a picture and of the grid over it, both (height, width)."""

    grid: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class RetargetReport:
    """Measurements of a transfer.

    amplitude_pct: Of each resulting motion, in % of the longer side; source_pct: of each source.
    size: Ratio of the target's box to the source's box, both as shares of the longer side.
    beyond: Share of the targets' moving area that lies outside the source's motion, 0 ... 1.
    """

    amplitude_pct: tuple[float, ...]
    source_pct: tuple[float, ...]
    size: float
    beyond: float

    def __str__(self) -> str:
        listed = lambda amplitudes: ", ".join(f"{a:.2f}" for a in amplitudes)
        here, source = listed(self.amplitude_pct), listed(self.source_pct)
        text = f"Amplitude {here} % of the longer side, {source} % in the source." if here else ""
        if max(self.size, 1 / self.size) > NOTABLE_RATIO:
            text += (
                f" What moves is {self.size:.2f} times as large in the picture as in the source: "
                f"with a gain of {self.size:.2f} it bends as much."
            )
        if self.beyond > 0.005:
            text += (
                f" {100 * self.beyond:.0f} % of it lies beyond the source's motion and follows "
                "what is next to it."
            )
        return text.strip() or "Laid over the source."


def retarget(
    spectrum: SpectralVolume,
    mask: Float[Tensor, "m 1 h w"],
    source_mask: Float[Tensor, "s 1 hs ws"] | None = None,
    fit: str = "box",
    mirror: bool = False,
    gain: float = 1.0,
    smooth_pct: float = 0.0,
) -> tuple[SpectralVolume, RetargetReport]:
    """Transfer a motion to other stills.

    Args:
        mask: What moves in the targets, at their own size. The result is exactly zero outside the
            mask and `RINGS` grid points around it.
        source_mask: The region of the source's motion, at any size; by default the spectrum's mask.
        fit: "box": bounding boxes of the masks, with a ratio per axis; "proportional": centres of
            the boxes, with one ratio for both axes; "picture": the whole pictures.
        mirror: Exchange left and right, in position and in direction.
        gain: Factor of the displacement.
        smooth_pct: Radius of a smoothing filter, in % of the target's longer side. It removes the
            motion of single leaves and petals, which would bend a stem at that place in the target.

    Raises:
        ValueError: If a box is fitted to an empty mask, the numbers of motions and masks differ, or
            the motion flows.
    """
    if fit not in FITS:
        raise ValueError(f"Expected the fit to be one of {', '.join(FITS)}, got {fit!r}.")
    if spectrum.kind == "flow" or spectrum.behind is not None:
        raise ValueError(
            "Expected a motion that sways, got one that flows: a flow follows the shores of its "
            "own still. Make one for the other still with Flow Motion (animate --flow)."
        )
    own = torch.ones(1, 1, 1, 1) if spectrum.mask is None else spectrum.mask
    region = own if source_mask is None else source_mask
    count = _batch_size(len(mask), len(spectrum.coeffs), len(region))
    source = _Frame(spectrum.grid, spectrum.reference_size)
    size = tuple(mask.shape[-2:])
    same = size == source.size
    target = _Frame(source.grid if same else grid_size(*size, max(source.grid)), size)
    transferred, sizes, beyond = [], [], []
    for i in range(count):
        target_mask = mask[i % len(mask)]
        source_region = _resized(region[i % len(region)], source.size)
        place = register(source_region[0], target_mask[0], fit, mirror)
        coeffs = spectrum.coeffs[i % len(spectrum.coeffs)]
        known = _known(coeffs, own[i % len(own)], source_region)
        moving = _resized(target_mask, target.grid) > 0
        radius = smooth_pct / 100 * max(size)
        sampled, covered = _sample(coeffs, known, place, source, target, radius)
        dilated = F.max_pool2d(moving.float(), 2 * RINGS + 1, 1, RINGS) > 0
        factor = (gain * _vector_scale(source, target, mirror)).to(coeffs.dtype)
        transferred.append(sampled * dilated * factor)
        sizes.append(_relative_size(place, source, target))
        beyond.append(float((moving & ~covered).sum() / moving.sum().clamp(min=1)))
    result = replace(
        spectrum,
        coeffs=torch.stack(transferred),
        reference_size=size,
        mask=mask.expand(count, -1, -1, -1),
        depth=None,
        protect=None,
        mean=None,
        drift=None,
        light=None,
    )
    mean_size = math.prod(sizes) ** (1 / count)
    amplitudes = _amplitudes(result), _amplitudes(spectrum)
    return result, RetargetReport(*amplitudes, mean_size, sum(beyond) / count)


def register(
    source: Float[Tensor, "hs ws"], target: Float[Tensor, "h w"], fit: str, mirror: bool = False
) -> Registration:
    """Register the moving masks of two pictures.

    Raises:
        ValueError: If a box is fitted to an empty mask.
    """
    whole = fit == "picture"
    (sx, sw), (sy, sh) = _box(torch.ones_like(source) if whole else source, "source")
    (tx, tw), (ty, th) = _box(torch.ones_like(target) if whole else target, "target")
    ratio = sw / tw, sh / th
    if fit == "proportional":
        ratio = (math.sqrt(ratio[0] * ratio[1]),) * 2
    return Registration((sx, sy), (tx, ty), (-ratio[0] if mirror else ratio[0], ratio[1]))


def _box(mask: Float[Tensor, "h w"], whose: str) -> list[tuple[float, float]]:
    """(centre, length) of a mask along x and y, without `SPECKS` of its area on each side."""
    if not (mask > 0).any():
        raise ValueError(
            f"Expected a {whose} mask with something white in it, to fit boxes. Paint what moves, "
            "or fit whole pictures."
        )
    spans = []
    for axis in (0, 1):
        mass = mask.double().sum(axis)
        ends = torch.cat([mass.new_zeros(1), mass.cumsum(0) / mass.sum()])
        low, high = (_crossing(ends, share) for share in (SPECKS, 1 - SPECKS))
        spans.append(((low + high) / 2 - 0.5, high - low))
    return spans


def _crossing(ends: Float[Tensor, " n1"], share: float) -> float:
    """Position at which a cumulative share, given at pixel boundaries, reaches a value."""
    i = int(torch.searchsorted(ends, share).clamp(1, len(ends) - 1))
    before, after = float(ends[i - 1]), float(ends[i])
    return i - 1 + (share - before) / max(after - before, 1e-12)


def extrapolate(
    field: Float[Tensor, "c h w"], known: Bool[Tensor, "1 h w"]
) -> Float[Tensor, "c h w"]:
    """Extrapolate a field from its known points by Laplace's equation; zero if nothing is known.

    Law: known points are unchanged, bit for bit. Every other point is the mean of its neighbours,
    so that no value lies outside the range of the known values.
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    if known.all() or not known.any():
        return field * known
    height, width = known.shape[-2:]
    given = known.flatten().numpy()
    along_y, along_x = (_adjacency(n) for n in (height, width))
    adjacency = sparse.kronsum(along_x, along_y, "csr")[~given]
    degree = sparse.diags_array(adjacency.sum(1)).tocsr()
    laplacian = (degree - adjacency[:, ~given]).tocsc()
    solver = splu(laplacian, "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True})
    values = field.flatten(1).T.double().numpy()
    solution = solver.solve(adjacency[:, given] @ values[given])
    filled = field.flatten(1).clone()
    filled[:, torch.from_numpy(~given)] = torch.from_numpy(solution.T).to(field.dtype)
    return filled.view_as(field)


def _adjacency(n):
    """Adjacency matrix of n points in a row."""
    import scipy.sparse as sparse

    return sparse.diags_array((np.ones(n - 1), np.ones(n - 1)), offsets=(-1, 1), shape=(n, n))


def _known(coeffs, own, region) -> Bool[Tensor, "1 h w"]:
    """Points whose motion is used: inside the region, and not static points at the mask's edge.

    A static point near the edge of the motion's own mask carries no information: masks of clips
    reach a little beyond the moving area, painted masks often far beyond it.
    """
    moving = (coeffs != 0).any(1).any(0)
    own, region = (_resized(m, tuple(coeffs.shape[-2:])) for m in (own, region))
    return (region > KNOWN) & (moving | (own >= 0.5))


def _sample(coeffs, known, place, source, target, radius):
    """The motion at the registered points of the target's grid, and where it is known there."""
    k = len(coeffs)
    parts = torch.view_as_real(coeffs).movedim(-1, 1).reshape(4 * k, *source.grid)
    rows, columns = (_weights(place, axis, source, target, radius) for axis in (1, 0))
    sampled = rows @ (extrapolate(parts, known).double() @ columns.T)
    sampled = sampled.to(parts.dtype).reshape(k, 2, 2, *target.grid)
    covered = rows @ known.double() @ columns.T > 0.5
    return torch.complex(sampled[:, 0], sampled[:, 1]), covered


def _weights(place, axis, source, target, radius) -> Float[Tensor, "n m"]:
    """Interpolation weights from the source's grid to the target's along an axis; rows sum to 1.

    A triangular kernel, as wide as the wider of the two grids' steps, or as `radius` px of the
    target. Beyond the border the outermost points are used.
    """
    side = 1 - axis
    # px per grid point
    source_step, target_step = (frame.size[side] / frame.grid[side] for frame in (source, target))
    points = torch.arange(target.grid[side], dtype=torch.float64)
    pixels = (points + 0.5) * target_step - 0.5
    registered = place.source[axis] + place.ratio[axis] * (pixels - place.target[axis])
    # Rounded, so that a point which falls on a point takes its value alone.
    last = source.grid[side] - 1
    position = torch.round((registered + 0.5) / source_step - 0.5, decimals=9).clamp(0, last)
    width = abs(place.ratio[axis]) * max(target_step, radius) / source_step
    width = max(1.0, round(width, 9))
    distance = (torch.arange(last + 1, dtype=torch.float64) - position[:, None]).abs()
    weight = (1 - distance / width).clamp(min=0)
    return weight / weight.sum(1, keepdim=True)


def _vector_scale(source, target, mirror) -> Float[Tensor, "2 1 1"]:
    """Factors of x and y that keep a vector the same share of the longer side."""
    factors = [
        (target.grid[side] * source.size[side] * max(target.size))
        / (source.grid[side] * target.size[side] * max(source.size))
        for side in (1, 0)
    ]
    sign = -1.0 if mirror else 1.0
    return torch.tensor([sign * factors[0], factors[1]], dtype=torch.float64).view(2, 1, 1)


def _relative_size(place, source, target) -> float:
    """Ratio of the target's box to the source's box, both as shares of the longer side."""
    ratio = math.sqrt(abs(place.ratio[0] * place.ratio[1]))
    return max(source.size) / (ratio * max(target.size))


def _resized(mask: Float[Tensor, "1 h w"], size: tuple[int, int]) -> Float[Tensor, "1 h2 w2"]:
    return F.interpolate(mask[None], size, mode="area")[0]


def _amplitudes(spectrum) -> tuple[float, ...]:
    """In % of the longer side; none for modes without ambient motion."""
    if spectrum.kind == "modes" and spectrum.ambient is None:
        return ()
    return tuple(amplitude_pct(one_period(spectrum), moving_points(spectrum)).tolist())


def _batch_size(masks, motions, source_masks) -> int:
    """Number of resulting motions.

    Raises:
        ValueError: Unless masks and motions are equal in number or one of them is 1, and there is 1
            source mask or one per motion.
    """
    if source_masks not in (1, motions):
        raise ValueError(
            f"Expected one source mask or one for each of the {motions} motions, got "
            f"{source_masks}."
        )
    if masks != motions and 1 not in (masks, motions):
        raise ValueError(
            f"Expected as many motions as stills, or one of either, got {motions} motions for "
            f"{masks} stills."
        )
    return max(masks, motions)
