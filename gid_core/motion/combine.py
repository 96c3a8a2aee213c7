"""Two motions of one still as one: by masks, one over the other or added.

Law: S is linear, so the displacement of the combination is the sum of both, each times its degree,
at all times. A motion combined with itself by a mask and its complement is that motion. Periods
that differ by less than `SAME_PERIOD` become one first: the top is played so much faster or slower.

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
SAME_FREQUENCY = 1e-6  # of the highest: bands that are one; they would beat for days
SAME_PERIOD = 0.005  # relative: nobody sees it, and the loop of both is minutes or hours else
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
    paced: factor of the top's speed that gave both one period; 1 for none.
    """

    bands: int
    each: tuple[int, int]
    period_s: float | None
    periods_s: tuple[float | None, float | None]
    overlap: float
    holes: float
    kind: str
    paced: float = 1.0

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
        first, second = self.periods_s
        if self.period_s is None:
            named = [f"{period:.6g} s" for period in self.periods_s if period is not None]
            such_as = f", such as {' or '.join(named)}," if named else ""
            return (
                f" No loop within an hour holds both without moving bands. Set a duration{such_as} "
                "to fit both to one loop."
            )
        if self.paced != 1:
            return (
                f" They close after {first:.6g} s and {second:.6g} s, which is nearly the same: "
                f"the second is played {100 * abs(self.paced - 1):.2g} % "
                f"{'faster' if self.paced > 1 else 'slower'}, so that a loop of {first:.6g} s, or "
                "a multiple, holds both."
            )
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
    periods = tuple(None if m.kind == "modes" else _period(m) for m in (base, top))
    paced = _nearly_one(*periods)
    top = _faster(top, paced) if paced != 1 else top
    count = _batch_size(len(base.coeffs), len(top.coeffs), mask, base_mask)
    grid = max((base, top), key=lambda motion: math.prod(motion.grid)).grid
    size = base.reference_size
    above, below = _degrees(base, top, mask, base_mask, way, grid)
    first, second = (_on_grid(m, grid) for m in (base, top))
    first, second = _by_degree(first, below, count), _by_degree(second, above, count)
    trends = {n: _sum(getattr(first, n), getattr(second, n)) for n in ("mean", "drift")}
    combined = (_modes if base.kind == "modes" else _bands)(first, second)
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
    both = float((above + below > 1 + 1e-3).float().mean()) if _masked(mask, base_mask) else 0.0
    none = float((above + below < 1e-3).float().mean()) if _masked(mask, base_mask) else 0.0
    period = None if base.kind == "modes" else _period(combined)
    bands = len(combined.frequencies_hz)
    report = CombineReport(bands, counts, period, periods, both, none, base.kind, paced)
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


def _by_degree(spectrum, degree, count):
    """The motion times its degree, once for each of so many stills."""
    fields = {"coeffs": spectrum.coeffs * degree[:, None]}
    for name in ("mean", "drift"):
        if getattr(spectrum, name) is not None:
            fields[name] = getattr(spectrum, name) * degree
    each = {name: f.expand(count, *f.shape[1:]) for name, f in fields.items()}
    return replace(spectrum, **each)


def _nearly_one(first, second) -> float:
    """The factor of the second's speed that gives two periods one length; 1 where they differ."""
    if first is None or second is None or first == second:
        return 1.0
    return second / first if abs(first - second) < SAME_PERIOD * first else 1.0


def _faster(spectrum, factor):
    """A motion at another speed."""
    return replace(
        spectrum,
        frequencies_hz=spectrum.frequencies_hz * factor,
        drift=None if spectrum.drift is None else spectrum.drift * factor,
    )


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _bands(base, top) -> SpectralVolume:
    """Bands of both, in order of frequency; those of one frequency are added."""
    listed = [
        (float(f), band)
        for motion in (base, top)
        for f, band in zip(motion.frequencies_hz.double(), motion.coeffs.unbind(1))
    ]
    frequencies, coeffs, highest = [], [], max(f for f, _ in listed)
    for f, band in sorted(listed, key=lambda pair: pair[0]):
        if frequencies and f - frequencies[-1] <= SAME_FREQUENCY * highest:
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
    fundamental = _fundamental(spectrum.frequencies_hz.double())
    if fundamental is not None:
        return float(_simplest(1 / fundamental)) if fundamental * LONGEST_PERIOD_S >= 1 else None
    period = Fraction(0)
    for f in spectrum.frequencies_hz.double().tolist():
        cycle = _simplest(1 / f)
        period = cycle if not period else _common_multiple(period, cycle)
        if period > LONGEST_PERIOD_S:
            return None
    return float(period)


def _fundamental(frequencies) -> float | None:
    """The frequency that all are harmonics of, if it is the lowest or the smallest step between."""
    steps = frequencies.diff()
    for lowest in (frequencies[0], *([steps.min()] if len(steps) else [])):
        harmonics = (frequencies / lowest).round()
        fundamental = frequencies[-1] / harmonics[-1]  # of the best precision
        if ((harmonics * fundamental - frequencies).abs() <= 3e-7 * frequencies).all():
            return float(fundamental)
    return None


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
