"""Two motions of one still as one: by masks, one over the other or added.

Law: S is linear, so the displacement of the combination is the sum of both, each times its degree,
at all times. A motion combined with itself by a mask and its complement is that motion.

Convention: the grid is that of the finer motion; bands of one frequency add, all others stay beside
each other. The depth is the top's, where it has one; what either protects is protected.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from ..still.grid import resize_displacement
from .loops import close_loop
from .spectrum import SpectralVolume

MOST_BANDS = 512  # of a combination
SAME_FREQUENCY = 1e-6  # relative: bands that are one
LONGEST_PERIOD_S = 3600.0  # within which two motions are said to fit one loop
OTHER_SHAPE = 0.03  # difference of two aspect ratios, as a logarithm, beyond rounding
NOTABLE = 0.005  # share of the picture that the report mentions
WAYS = ("over", "add")


@dataclass(frozen=True)
class CombineReport:
    """What was joined.

    bands: of the combination, and of the two motions.
    period_s: shortest loop that all bands fit; None for none within an hour.
    periods_s: the same of each motion.
    overlap, holes: share of the picture that both motions move, or that neither of the two masks
        covers.
    """

    bands: int
    each: tuple[int, int]
    period_s: float | None
    periods_s: tuple[float | None, float | None]
    overlap: float
    holes: float
    kind: str

    def __str__(self) -> str:
        noun = "modes" if self.kind == "modes" else "bands"
        text = f"{self.each[0]} and {self.each[1]} {noun} became {self.bands}."
        if self.kind == "response":
            text += self._loop()
        if self.overlap > NOTABLE:
            text += f" In {100 * self.overlap:.0f} % of the picture both masks count, and add up."
        if self.holes > NOTABLE:
            text += f" In {100 * self.holes:.0f} % of it neither does: nothing moves there."
        return text

    def _loop(self):
        if self.period_s is None:
            return (
                " No loop within an hour holds both without moving bands. Set a duration to fit "
                "both to one loop."
            )
        first, second = self.periods_s
        if first is not None and second is not None and abs(first - second) > 1e-3 * first:
            return (
                f" They close after {first:.4g} s and {second:.4g} s: a loop of "
                f"{self.period_s:.4g} s, or a multiple, holds both exactly."
            )
        return f" A loop of {self.period_s:.4g} s, or a multiple, holds both exactly."


def combine(
    base: SpectralVolume,
    top: SpectralVolume,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    base_mask: Float[Tensor, "n 1 hn wn"] | None = None,
    way: str = "over",
    duration_s: float = 0.0,
) -> tuple[SpectralVolume, CombineReport]:
    """One motion of two.

    Args:
        mask: Degree of `top`, 0 ... 1, at any size; by default, over: where the top's own mask is;
            added: 1 everywhere.
        base_mask: Degree of `base`; 1 everywhere by default.
        way: "over": the base counts where the top does not; "add": both count.
        duration_s: Both are fitted to loops of this length first, as `close_loop` does; 0 keeps all
            frequencies as they are.

    Raises:
        ValueError: For motions of different stills or kinds, other ways, batches that do not fit,
            or more bands than `MOST_BANDS`.
    """
    _check(base, top, way, duration_s)
    if duration_s > 0 and base.kind == "response":
        base, top = (close_loop(motion, duration_s)[0] for motion in (base, top))
    count = _batch_size(len(base.coeffs), len(top.coeffs), mask, base_mask)
    grid = max((base, top), key=lambda motion: math.prod(motion.grid)).grid
    size = base.reference_size
    above, below = _degrees(base, top, mask, base_mask, way, grid)
    first, second = (_on_grid(m, grid) for m in (base, top))
    trends = {
        name: _sum(_times(getattr(first, name), below), _times(getattr(second, name), above))
        for name in ("mean", "drift")
    }
    joined = _modes if base.kind == "modes" else _bands
    combined = joined(
        replace(first, coeffs=_times(first.coeffs, below[:, None])),
        replace(second, coeffs=_times(second.coeffs, above[:, None])),
    )
    if len(combined.frequencies_hz) > MOST_BANDS:
        raise ValueError(
            f"Expected a motion of at most {MOST_BANDS} bands, got {len(combined.frequencies_hz)}. "
            "Set a duration: motions that are fitted to one loop share their bands."
        )
    moving = _moving(base, top, mask, base_mask, way, size)
    combined = replace(
        combined,
        reference_size=size,
        mask=None if moving is None else moving.expand(count, -1, -1, -1),
        depth=_picture(top.depth if top.depth is not None else base.depth, count, size),
        protect=_protected(base, top, count, size),
        behind=base.behind if base.behind is not None else top.behind,
        **trends,
    )
    counts = len(base.frequencies_hz), len(top.frequencies_hz)
    periods = tuple(None if m.kind == "modes" else _period(m) for m in (base, top))
    both = float((above + below > 1 + 1e-3).float().mean()) if _masked(mask, base_mask) else 0.0
    none = float((above + below < 1e-3).float().mean()) if _masked(mask, base_mask) else 0.0
    period = None if base.kind == "modes" else _period(combined)
    bands = len(combined.frequencies_hz)
    report = CombineReport(bands, counts, period, periods, both, none, base.kind)
    return combined, report


def _masked(mask, base_mask):
    return mask is not None or base_mask is not None


def _check(base, top, way, duration_s):
    if way not in WAYS:
        raise ValueError(f"Expected the way to be one of {', '.join(WAYS)}, got {way!r}.")
    if not 0 <= duration_s <= LONGEST_PERIOD_S:
        raise ValueError(
            f"Expected a duration from 0 to {LONGEST_PERIOD_S:g} s, got {duration_s:g}."
        )
    if "flow" in (base.kind, top.kind):
        raise ValueError(
            "Expected motions that sway, got one that flows. Flow Motion puts what flows behind "
            "what sways (in_front): combine first, and give it the result."
        )
    if base.kind != top.kind:
        raise ValueError(
            f"Expected two motions or two sets of modes, got {_kind(base)} and {_kind(top)}. "
            "Sample both with the same kind."
        )
    (h, w), (height, width) = base.reference_size, top.reference_size
    if abs(math.log(w * height / (h * width))) > OTHER_SHAPE:
        raise ValueError(
            f"Expected two motions of one still, got one of {w}x{h} and one of {width}x{height}. "
            "Put one onto the still with Motion Spectrum Transfer first."
        )


def _kind(spectrum):
    return "modes to poke" if spectrum.kind == "modes" else "a motion"


def _batch_size(base, top, mask, base_mask) -> int:
    given = [base, top, *(len(m) for m in (mask, base_mask) if m is not None)]
    count = max(given)
    if any(n not in (1, count) for n in given):
        raise ValueError(
            f"Expected one motion and mask for all stills, or one for each, got {base} and {top} "
            f"motions and {' and '.join(map(str, given[2:])) or 'no'} masks."
        )
    return count


def _degrees(base, top, mask, base_mask, way, grid):
    """Degrees of top and base on the grid, b 1 h w."""
    fitted = lambda m: torch.ones(1, 1, *grid) if m is None else F.interpolate(m, grid, mode="area")
    if mask is None and way == "over":
        mask = top.mask
    above, below = fitted(mask), fitted(base_mask)
    return above, below * (1 - above) if way == "over" else below


def _moving(base, top, mask, base_mask, way, size):
    """What moves, at the still's size; None for everywhere.

    What moves by half still is as opaque as it was: a degree takes only from the mask where it is
    zero.
    """
    resized = lambda m: (
        m if m.shape[-2:] == size else F.interpolate(m, size, mode="bilinear", antialias=True)
    )
    own = lambda m: torch.ones(1, 1, *size) if m.mask is None else resized(m.mask).clamp(0, 1)
    parts = []
    top_degree = torch.ones(1, 1, *size) if mask is None else resized(mask)
    base_degree = torch.ones(1, 1, *size) if base_mask is None else resized(base_mask)
    if way == "over":
        over = (own(top) if mask is None else top_degree).clamp(0, 1)
        base_degree = base_degree * (1 - over)
    for motion, degree in ((base, base_degree), (top, top_degree)):
        parts.append(own(motion) * (degree > 1e-3))
    union = torch.maximum(*parts)
    everywhere = (base.mask is None or top.mask is None) and bool((union == 1).all())
    return None if everywhere else union


def _picture(values, count, size):
    """Depth at the still's size, one for each still; None stays None."""
    if values is None:
        return None
    if values.shape[-2:] != size:
        values = F.interpolate(values, size, mode="bilinear", antialias=True).clamp(0, 1)
    return values.expand(count, -1, -1, -1)


def _protected(base, top, count, size):
    """What either of the two protects."""
    given = [m.protect for m in (base, top) if m.protect is not None]
    if not given:
        return None
    parts = [F.adaptive_max_pool2d(p, size) for p in given]
    return torch.stack([p.expand(count, -1, -1, -1) for p in parts]).amax(0)


def _on_grid(spectrum, grid):
    """A motion on another grid of the same picture; the same bits on its own."""
    if spectrum.grid == grid:
        return spectrum
    real, imaginary = (resize_displacement(p, grid) for p in _parts(spectrum.coeffs))
    resized = lambda f: None if f is None else resize_displacement(f, grid)
    return replace(
        spectrum,
        coeffs=torch.complex(real, imaginary),
        mean=resized(spectrum.mean),
        drift=resized(spectrum.drift),
    )


def _parts(field):
    return field.real.contiguous(), field.imag.contiguous()


def _times(field, degree):
    return None if field is None else field * degree


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _bands(base, top) -> SpectralVolume:
    """Bands of both, in order of frequency; those of one frequency are added."""
    count = max(len(base.coeffs), len(top.coeffs))
    expand = lambda m: m.coeffs.expand(count, -1, -1, -1, -1)
    listed = [
        (float(f), band)
        for motion in (base, top)
        for f, band in zip(motion.frequencies_hz.double(), expand(motion).unbind(1))
    ]
    frequencies, coeffs = [], []
    for f, band in sorted(listed, key=lambda pair: pair[0]):
        if frequencies and f - frequencies[-1] <= SAME_FREQUENCY * f:
            coeffs[-1] = coeffs[-1] + band
        else:
            frequencies.append(f)
            coeffs.append(band)
    return replace(
        base, coeffs=torch.stack(coeffs, 1), frequencies_hz=torch.tensor(frequencies).float()
    )


def _modes(base, top) -> SpectralVolume:
    """Modes of both beside each other: each is an oscillator of its own."""
    coeffs = torch.cat([base.coeffs, top.coeffs], 1)
    order = torch.argsort(torch.cat([base.frequencies_hz, top.frequencies_hz]), stable=True)
    joined = {}
    for name in ("frequencies_hz", "damping_ratio"):
        joined[name] = torch.cat([getattr(base, name), getattr(top, name)])[order]
    ambient = _ambient(base, top)
    if ambient is not None:
        joined["ambient"], joined["ambient_hz"] = ambient[0][order], ambient[1]
    return replace(base, coeffs=coeffs[:, order], **joined)


def _ambient(base, top):
    """What wind does to the modes of both: (k m, m), or None where neither has any."""
    if base.ambient is None and top.ambient is None:
        return None
    bands = [(m.ambient_hz, m.ambient) for m in (base, top) if m.ambient is not None]
    frequencies = torch.cat([hz for hz, _ in bands]).double().unique()
    apart = torch.cat([torch.ones(1).bool(), frequencies.diff() > SAME_FREQUENCY * frequencies[1:]])
    frequencies = frequencies[apart].float()
    rows = []
    for motion in (base, top):
        row = motion.coeffs.new_zeros(len(motion.frequencies_hz), len(frequencies))
        if motion.ambient is not None:
            at = (frequencies - motion.ambient_hz[:, None]).abs().argmin(1)
            row[:, at] = motion.ambient
        rows.append(row)
    return torch.cat(rows), frequencies


def _period(spectrum) -> float | None:
    """The shortest time after which all bands are whole cycles, s; None for none within an hour.

    Frequencies are float32: they are read as the simplest fractions within that precision.
    """
    period = Fraction(0)
    for f in spectrum.frequencies_hz.double().tolist():
        cycle = _simplest(1 / f)
        period = cycle if not period else _common_multiple(period, cycle)
        if period > LONGEST_PERIOD_S:
            return None
    return float(period)


def _simplest(value) -> Fraction:
    """The fraction of the smallest denominator within float32 of a value."""
    for most in (1, 10, 100, 1000, 10_000, 100_000):
        fraction = Fraction(value).limit_denominator(most)
        if abs(float(fraction) - value) <= 3e-7 * value:
            return fraction
    return Fraction(value).limit_denominator(10**6)


def _common_multiple(a, b) -> Fraction:
    numerator = math.lcm(a.numerator * b.denominator, b.numerator * a.denominator)
    return Fraction(numerator, a.denominator * b.denominator)
