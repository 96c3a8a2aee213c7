"""The motion of one picture put onto another: registered by what moves in both.

Law: a motion put onto the mask it has is that motion, bit for bit; moving or stretching the target's
mask moves and stretches where things happen, never how far or which way they go. Linear in S.

Convention: amplitude is kept in % of the longer side, direction as it is seen. Mean and drift stay
behind: the other still is the rest pose.

Source: ours. Past where it is known, a motion is continued by Laplace's equation.
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
SPECKS = 0.002  # share of a mask on each side of a box that may lie outside it
KNOWN = 0.02  # least coverage of a grid point whose motion is believed
RINGS = 3  # of grid points around a mask that move along: between points a motion is interpolated
TELLING_SIZE = 1.25  # times larger or smaller, from which a thing's size is worth a word


@dataclass(frozen=True)
class Registration:
    """Where a place of the target lies in the source: source + ratio * (place - target).

    In pixels of the pictures, (x, y). A negative ratio mirrors.
    """

    source: tuple[float, float]
    target: tuple[float, float]
    ratio: tuple[float, float]


@dataclass(frozen=True)
class _Frame:
    """A picture's size, and that of the grid over it; (height, width)."""

    grid: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class RetargetReport:
    """What a transfer did.

    amplitude_pct: Of each motion made, in % of the longer side; source_pct: of each that came in.
    size: How large the target's box is against the source's, both as shares of the longer side.
    beyond: Share of what moves in the targets that lies beyond the source's motion.
    """

    amplitude_pct: tuple[float, ...]
    source_pct: tuple[float, ...]
    size: float
    beyond: float

    def __str__(self) -> str:
        made, came = (
            ", ".join(f"{a:.2f}" for a in sizes) for sizes in (self.amplitude_pct, self.source_pct)
        )
        text = f"Amplitude {made} % of the longer side, {came} % in the source." if made else ""
        if max(self.size, 1 / self.size) > TELLING_SIZE:
            text += (
                f" What moves is {self.size:.2f} times as large in the picture as in the source: with "
                f"a gain of {self.size:.2f} it bends as much."
            )
        if self.beyond > 0.005:
            text += (
                f" {100 * self.beyond:.0f} % of it lies beyond the source's motion and follows what "
                "is next to it."
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
    """Put a motion onto other stills.

    Args:
        mask: What moves in the targets, at their own size. Outside it, but for a ring that pixels
            at its edge interpolate with, the result is exactly zero.
        source_mask: What the motion is taken from, at any size; by default the spectrum's own mask.
        fit: "box": the masks' bounding boxes, each axis by its own ratio; "proportional": the boxes'
            centers, both axes by one ratio; "picture": the whole pictures.
        mirror: Left and right exchanged, in place and in direction.
        smooth_pct: Points so far apart, in % of the target's longer side, move alike. What shakes by
            itself in the source, a leaf, a petal, lies over something else in another still, and
            would bend a stem there.

    Raises:
        ValueError: If an empty mask is to be fitted, or the numbers of motions and masks differ.
    """
    if fit not in FITS:
        raise ValueError(f"Expected the fit to be one of {', '.join(FITS)}, got {fit!r}.")
    own = torch.ones(1, 1, 1, 1) if spectrum.mask is None else spectrum.mask
    taken = own if source_mask is None else source_mask
    count = _together(len(mask), len(spectrum.coeffs), len(taken))
    source = _Frame(spectrum.grid, spectrum.reference_size)
    size = tuple(mask.shape[-2:])
    same = size == source.size
    target = _Frame(source.grid if same else grid_size(*size, max(source.grid)), size)
    moved, sizes, beyond = [], [], []
    for i in range(count):
        theirs = mask[i % len(mask)]
        mine = _resized(taken[i % len(taken)], source.size)
        place = register(mine[0], theirs[0], fit, mirror)
        coeffs = spectrum.coeffs[i % len(spectrum.coeffs)]
        known = _known(coeffs, own[i % len(own)], mine)
        moves = _resized(theirs, target.grid) > 0
        read, seen = _read(coeffs, known, place, source, target, smooth_pct / 100 * max(size))
        ringed = F.max_pool2d(moves.float(), 2 * RINGS + 1, 1, RINGS) > 0
        moved.append(read * ringed * (gain * _vectors(source, target, mirror)).to(coeffs.dtype))
        sizes.append(_relative_size(place, source, target))
        beyond.append(float((moves & ~seen).sum() / moves.sum().clamp(min=1)))
    result = replace(
        spectrum,
        coeffs=torch.stack(moved),
        reference_size=size,
        mask=mask.expand(count, -1, -1, -1),
        mean=None,
        drift=None,
    )
    larger = math.prod(sizes) ** (1 / count)
    return result, RetargetReport(
        _amplitudes(result), _amplitudes(spectrum), larger, sum(beyond) / count
    )


def register(
    source: Float[Tensor, "hs ws"], target: Float[Tensor, "h w"], fit: str, mirror: bool = False
) -> Registration:
    """Lay what moves in one picture over what moves in the other.

    Raises:
        ValueError: If a box is asked of a mask that is empty.
    """
    whole = fit == "picture"
    (sx, sw), (sy, sh) = _box(torch.ones_like(source) if whole else source, "source")
    (tx, tw), (ty, th) = _box(torch.ones_like(target) if whole else target, "target")
    ratio = sw / tw, sh / th
    if fit == "proportional":
        ratio = (math.sqrt(ratio[0] * ratio[1]),) * 2
    return Registration((sx, sy), (tx, ty), (-ratio[0] if mirror else ratio[0], ratio[1]))


def _box(mask: Float[Tensor, "h w"], whose: str) -> list[tuple[float, float]]:
    """(middle, length) along x and y of what a mask holds, but for specks at its sides."""
    if not (mask > 0).any():
        raise ValueError(
            f"Expected a {whose} mask with something white in it, to fit boxes. Paint what moves, or "
            "fit whole pictures."
        )
    spans = []
    for axis in (0, 1):
        mass = mask.double().sum(axis)
        ends = torch.cat([mass.new_zeros(1), mass.cumsum(0) / mass.sum()])
        low, high = (_crossing(ends, share) for share in (SPECKS, 1 - SPECKS))
        spans.append(((low + high) / 2 - 0.5, high - low))
    return spans


def _crossing(ends: Float[Tensor, " n1"], share: float) -> float:
    """Where a running share, known at pixels' ends, reaches a value."""
    i = int(torch.searchsorted(ends, share).clamp(1, len(ends) - 1))
    before, after = float(ends[i - 1]), float(ends[i])
    return i - 1 + (share - before) / max(after - before, 1e-12)


def continued(
    field: Float[Tensor, "c h w"], known: Bool[Tensor, "1 h w"]
) -> Float[Tensor, "c h w"]:
    """The field where it is known, and carried on smoothly where not; zero if nothing is known.

    Law: what is known stays, bit for bit; every other point is the mean of its neighbours, so that
    nothing goes beyond the range of what is known.
    """
    import scipy.sparse as sparse
    from scipy.sparse.linalg import splu

    if known.all() or not known.any():
        return field * known
    height, width = known.shape[-2:]
    there = known.flatten().numpy()
    along_y, along_x = (_neighbours(n) for n in (height, width))
    near = sparse.kronsum(along_x, along_y, "csr")[~there]
    count = sparse.diags_array(near.sum(1)).tocsr()
    solver = splu(
        (count - near[:, ~there]).tocsc(), "MMD_AT_PLUS_A", 0.0, options={"SymmetricMode": True}
    )
    values = field.flatten(1).T.double().numpy()
    carried = solver.solve(near[:, there] @ values[there])
    filled = field.flatten(1).clone()
    filled[:, torch.from_numpy(~there)] = torch.from_numpy(carried.T).to(field.dtype)
    return filled.view_as(field)


def _neighbours(n):
    """1 between every two neighbours in a row of n."""
    import scipy.sparse as sparse

    return sparse.diags_array((np.ones(n - 1), np.ones(n - 1)), offsets=(-1, 1), shape=(n, n))


def _known(coeffs, own, taken) -> Bool[Tensor, "1 h w"]:
    """Which points of a motion say how something moves.

    What does not move where the motion's own mask ends says nothing: masks reach a little farther
    than what moves in a clip, and painted ones much.
    """
    moves = (coeffs != 0).any(1).any(0)
    own, taken = (_resized(m, tuple(coeffs.shape[-2:])) for m in (own, taken))
    return (taken > KNOWN) & (moves | (own >= 0.5))


def _read(coeffs, known, place, source, target, smooth):
    """A motion read where the registration says, and where in the target it is known."""
    k = len(coeffs)
    parts = torch.view_as_real(coeffs).movedim(-1, 1).reshape(4 * k, *source.grid)
    rows, columns = (_readings(place, axis, source, target, smooth) for axis in (1, 0))
    read = rows @ (continued(parts, known).double() @ columns.T)
    read = read.to(parts.dtype).reshape(k, 2, 2, *target.grid)
    seen = rows @ known.double() @ columns.T > 0.5
    return torch.complex(read[:, 0], read[:, 1]), seen


def _readings(place, axis, source, target, smooth) -> Float[Tensor, "n m"]:
    """What every point of the target's grid reads of the source's along an axis: rows that sum to 1.

    A tent, as wide as the wider of the grids' steps, or as `smooth` px of the target; past the
    border, what is on it.
    """
    side = 1 - axis
    old, new = (frame.size[side] / frame.grid[side] for frame in (source, target))  # px a point
    points = torch.arange(target.grid[side], dtype=torch.float64)
    places = (points + 0.5) * new - 0.5
    found = place.source[axis] + place.ratio[axis] * (places - place.target[axis])
    # Rounded, so that points which fall on points read nothing but them.
    last = source.grid[side] - 1
    at = torch.round((found + 0.5) / old - 0.5, decimals=9).clamp(0, last)
    reach = max(1.0, round(abs(place.ratio[axis]) * max(new, smooth) / old, 9))
    away = (torch.arange(last + 1, dtype=torch.float64) - at[:, None]).abs()
    weight = (1 - away / reach).clamp(min=0)
    return weight / weight.sum(1, keepdim=True)


def _vectors(source, target, mirror) -> Float[Tensor, "2 1 1"]:
    """Factor of a vector's x and y that keeps it the same share of the longer side."""
    factors = [
        (target.grid[side] * source.size[side] * max(target.size))
        / (source.grid[side] * target.size[side] * max(source.size))
        for side in (1, 0)
    ]
    sign = -1.0 if mirror else 1.0
    return torch.tensor([sign * factors[0], factors[1]], dtype=torch.float64).view(2, 1, 1)


def _relative_size(place, source, target) -> float:
    """How large the target's box is against the source's, both as shares of the longer side."""
    shrinks = math.sqrt(abs(place.ratio[0] * place.ratio[1]))
    return max(source.size) / (shrinks * max(target.size))


def _resized(mask: Float[Tensor, "1 h w"], size: tuple[int, int]) -> Float[Tensor, "1 h2 w2"]:
    return F.interpolate(mask[None], size, mode="area")[0]


def _amplitudes(spectrum) -> tuple[float, ...]:
    """In % of the longer side; modes that no wind moves have none."""
    if spectrum.kind == "modes" and spectrum.ambient is None:
        return ()
    return tuple(amplitude_pct(one_period(spectrum), moving_points(spectrum)).tolist())


def _together(masks, motions, source_masks) -> int:
    """How many motions come out.

    Raises:
        ValueError: Unless all numbers are equal or 1, the source's masks as many as motions.
    """
    if source_masks not in (1, motions):
        raise ValueError(
            f"Expected one source mask or one for each of the {motions} motions, got {source_masks}."
        )
    if masks != motions and 1 not in (masks, motions):
        raise ValueError(
            f"Expected as many motions as stills, or one of either, got {motions} motions for "
            f"{masks} stills."
        )
    return max(masks, motions)
