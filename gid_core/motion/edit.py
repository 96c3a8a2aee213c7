"""Edits of a motion: gain by frequency, phase, direction, smoothness, degree by a mask.

Law: an edit is linear in S and touches neither frequencies nor q, so a loop stays a loop, and to
edit and then play is to play and then edit. An edit that asks for nothing returns the same bits.

Convention: directions are turned anticlockwise as seen in the picture, in degrees.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor
from .curves import Curve, parse_curve, ranges
from .spectrum import SpectralVolume, scale

# By name: gain over frequency in Hz. They multiply the curve of the user.
PRESETS = {
    "as it is": "",
    "calmer": "0:0.7, 1:0.4, 3:0.2",
    "livelier": "0:1, 1:1.5, 3:2.5",
    "slow sway only": "0.6:1, 1:0",
    "flutter only": "1:0, 1.5:1",
}


@dataclass(frozen=True)
class Edit:
    """What to change. The defaults change nothing.

    preset: One of `PRESETS`.
    bands: Gain over frequency in Hz, as text; "" for none.
    curve: The same as a curve, used where `bands` is empty.
    mute, solo: Frequencies in Hz that are silenced, or kept alone, as text: `0.4, 1-2`. A single
        number means the band next to it.
    gain, x, y: Factors of the displacement, and of its two directions.
    turn_deg: Turn of the direction.
    delay_s: The motion comes so much later.
    scatter: 0 ... 1: random shift of each band's phase, up to half a cycle either way at 1.
    seed: Of the scatter.
    smooth_pct: Standard deviation of a Gaussian filter, % of the longer side.
    """

    preset: str = "as it is"
    bands: str = ""
    curve: Curve | None = None
    mute: str = ""
    solo: str = ""
    gain: float = 1.0
    x: float = 1.0
    y: float = 1.0
    turn_deg: float = 0.0
    delay_s: float = 0.0
    scatter: float = 0.0
    seed: int = 0
    smooth_pct: float = 0.0


@dataclass(frozen=True)
class EditReport:
    """How many bands an edit silenced, of how many, and whether anything is left.

    dropped: Silent bands at the top that were left out, so that a lower frame rate can show the
        rest.
    """

    bands: int
    silent: int
    dropped: int
    moves: bool

    def __str__(self) -> str:
        if not self.moves:
            return "Nothing moves: the edit has silenced all of the motion."
        if not self.silent:
            return f"All {self.bands} bands move."
        text = f"{self.silent} of {self.bands} bands are silent."
        return text + (f" The fastest {self.dropped} of them are left out." if self.dropped else "")


def edit(
    spectrum: SpectralVolume, change: Edit, mask: Float[Tensor, "m 1 hm wm"] | None = None
) -> tuple[SpectralVolume, EditReport]:
    """Change a motion.

    Modes to poke answer a push by their shape twice, so that their shapes get the root of a gain by
    frequency; `gain` multiplies the shapes themselves. Phases, delay and scatter mean nothing to
    them.

    Args:
        mask: Degree of the motion, 0 ... 1, at any size: one for all stills or one for each.

    Raises:
        ValueError: For texts that are no curve, negative gains, values out of range, masks that fit
            neither one still nor all, or a flow.
    """
    if spectrum.kind == "flow":
        raise ValueError(
            "Expected a motion that sways, got one that flows. Set its speed, direction and "
            "turbulence where it is made, in Flow Motion."
        )
    _check(spectrum, change)
    if mask is not None:
        spectrum = _for_each(spectrum, len(mask))
    gains = band_gains(spectrum, change)
    coeffs, mean, drift = spectrum.coeffs, spectrum.mean, spectrum.drift
    if (gains != 1).any():
        factor = gains.sqrt() if spectrum.kind == "modes" else gains
        coeffs = coeffs * factor.to(coeffs.real.dtype).view(-1, 1, 1, 1)
    rotation = _rotations(spectrum, change)
    if rotation is not None:
        coeffs = coeffs * rotation.to(coeffs.dtype).view(-1, 1, 1, 1)
    fields = [coeffs, *(None if f is None else f[:, None] for f in (mean, drift))]
    if change.smooth_pct > 0:
        radius = change.smooth_pct / 100 * max(spectrum.reference_size)
        support = _support(spectrum)
        fields = [_smoothed(f, support, spectrum, radius) for f in fields]
    matrix = _vector_map(spectrum, change)
    if matrix is not None:
        fields = [_mapped(f, matrix) for f in fields]
    if mask is not None:
        degree = _degree(mask, spectrum)[:, None]
        fields = [None if f is None else f * degree for f in fields]
    coeffs, mean, drift = fields
    edited = replace(
        spectrum,
        coeffs=coeffs,
        mean=None if mean is None else mean[:, 0],
        drift=None if drift is None else drift[:, 0],
    )
    if change.gain != 1:
        edited = scale(edited, torch.full((len(coeffs),), float(change.gain)))
    return _without_silent_top(edited, spectrum)


def band_gains(spectrum: SpectralVolume, change: Edit) -> Float[Tensor, " k"]:
    """The gain of every band, in float64: preset, curve, mute and solo.

    Raises:
        ValueError: For texts that are no curve, or gains below 0.
    """
    frequencies = spectrum.frequencies_hz.double()
    top = float(frequencies.max())
    curves = [
        parse_curve(PRESETS[change.preset], top),
        parse_curve(change.bands, top, "curve of gains") or change.curve,
    ]
    gains = torch.ones_like(frequencies)
    for curve in filter(None, curves):
        gains = gains * curve.at(frequencies)
    if (gains < 0).any():
        raise ValueError(
            f"Expected gains from 0 on, got {float(gains.min()):g} at "
            f"{float(frequencies[gains.argmin()]):.2f} Hz. To turn a motion round, use a turn of "
            "180 degrees."
        )
    if change.solo.strip():
        gains = gains * _within(frequencies, ranges(change.solo, "what to solo"))
    if change.mute.strip():
        gains = gains * ~_within(frequencies, ranges(change.mute, "what to mute"))
    return gains


def _within(frequencies, wanted) -> Bool[Tensor, " k"]:
    """Which bands lie in any of the ranges. A range of no width means the band next to it."""
    chosen = torch.zeros(len(frequencies), dtype=torch.bool)
    for low, high in wanted:
        if low == high:
            chosen[(frequencies - low).abs().argmin()] = True
        # Frequencies are float32: the ends of a range have their tolerance.
        chosen |= (frequencies >= low * (1 - 1e-6)) & (frequencies <= high * (1 + 1e-6))
    return chosen


def _check(spectrum, change):
    if change.preset not in PRESETS:
        raise ValueError(
            f"Expected the preset to be one of {', '.join(PRESETS)}, got {change.preset!r}."
        )
    numbers = ("gain", "x", "y", "turn_deg", "delay_s", "scatter", "smooth_pct")
    for name in numbers:
        if not math.isfinite(getattr(change, name)):
            raise ValueError(f"Expected a number for {name}, got {getattr(change, name)}.")
    if change.smooth_pct < 0 or not 0 <= change.scatter <= 1:
        raise ValueError(
            "Expected a smooth of 0 % or more and a scatter from 0 to 1, got "
            f"{change.smooth_pct:g} and {change.scatter:g}."
        )
    if spectrum.kind == "modes" and (change.delay_s or change.scatter):
        raise ValueError(
            "Expected a motion, to shift its phases in time, got modes to poke: they have no "
            "phases of their own. Set delay and scatter to 0."
        )


def _rotations(spectrum, change):
    """exp(i phase) of every band, or None where no phase changes."""
    if not change.delay_s and not change.scatter:
        return None
    cycles = -spectrum.frequencies_hz.double() * change.delay_s
    if change.scatter:
        generator = torch.Generator().manual_seed(change.seed % 2**64)
        random = torch.rand(len(cycles), generator=generator, dtype=torch.float64)
        cycles = cycles + change.scatter * (random - 0.5)
    return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)


def _vector_map(spectrum, change):
    """The 2 x 2 matrix of turn and stretch, from and to pixels of the grid; None for identity."""
    if change.turn_deg % 360 == 0 and change.x == 1 and change.y == 1:
        return None
    angle = math.radians(change.turn_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)  # y points down
    stretch = torch.diag(torch.tensor([change.x, change.y], dtype=torch.float64))
    (height, width), (rows, columns) = spectrum.reference_size, spectrum.grid
    to_picture = torch.diag(torch.tensor([width / columns, height / rows], dtype=torch.float64))
    return to_picture.inverse() @ turn @ stretch @ to_picture


def _mapped(field, matrix):
    """2 x 2 matrix times the vectors of b k 2 h w."""
    if field is None:
        return None
    (a, b), (c, d) = matrix.tolist()
    x, y = field.unbind(2)
    return torch.stack([a * x + b * y, c * x + d * y], 2)


def _support(spectrum) -> Float[Tensor, "b 1 1 h w"]:
    """1 where anything moves in any band, else 0: what stands still is not filtered."""
    moves = (spectrum.coeffs != 0).any(2).any(1)
    for field in (spectrum.mean, spectrum.drift):
        moves = moves if field is None else moves | (field != 0).any(1)
    return moves[:, None, None].to(spectrum.coeffs.real.dtype)


def _smoothed(field, support, spectrum, radius_px):
    """A Gaussian mean over what moves; what stands still neither counts nor changes."""
    if field is None:
        return None
    values = field * support
    parts = torch.view_as_real(values).movedim(-1, 0) if field.is_complex() else values[None]
    weight = _blurred(support, spectrum, radius_px)
    smooth = [_blurred(p, spectrum, radius_px) / weight.clamp(min=1e-12) for p in parts]
    mean = torch.complex(*smooth) if field.is_complex() else smooth[0]
    return mean * support


def _blurred(values, spectrum, radius_px):
    """A Gaussian filter along both axes; nothing lies beyond the border."""
    for axis in (-2, -1):
        step = spectrum.reference_size[axis] / spectrum.grid[axis]  # px per grid point
        place = torch.arange(values.shape[axis], dtype=torch.float64) * step
        kernel = torch.exp(-((place[:, None] - place) ** 2) / (2 * radius_px**2))
        kernel = kernel.to(values.dtype)
        values = values @ kernel.T if axis == -1 else kernel @ values
    return values


def _for_each(spectrum, masks) -> SpectralVolume:
    """The motion, once for each of several masks of it; a motion of several stills as it is.

    Raises:
        ValueError: For several motions, and another number of masks.
    """
    motions = len(spectrum.coeffs)
    if masks in (1, motions):
        return spectrum
    if motions > 1:
        raise ValueError(
            f"Expected one mask for all stills, or one for each, got {masks} masks for {motions} "
            "motions. Give as many masks as there are motions."
        )
    names = "coeffs", "mask", "mean", "drift", "depth", "protect", "light"
    fields = {n: f for n in names if (f := getattr(spectrum, n)) is not None}
    return replace(spectrum, **{n: f.expand(masks, *f.shape[1:]) for n, f in fields.items()})


def _degree(mask, spectrum) -> Float[Tensor, "m 1 h w"]:
    return F.interpolate(mask, spectrum.grid, mode="area")


def _without_silent_top(edited, original):
    """The motion without silent bands at its top, and the report.

    Lower silent bands stay: their distance says how long the motion's period is.
    """
    loud = (edited.coeffs != 0).flatten(2).any(2).any(0)
    count = int(loud.nonzero().max()) + 1 if loud.any() else len(loud)
    trend = any(f is not None and f.any() for f in (edited.mean, edited.drift))
    report = EditReport(len(loud), int((~loud).sum()), len(loud) - count, bool(loud.any()) or trend)
    if count == len(loud) or original.kind == "modes":
        return edited, replace(report, dropped=0)
    shorter = edited.coeffs[:, :count], edited.frequencies_hz[:count]
    return replace(edited, coeffs=shorter[0], frequencies_hz=shorter[1]), report
