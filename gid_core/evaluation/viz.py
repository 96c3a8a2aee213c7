"""Pictures of motion: flow wheel, spectra, motion energy, x-t slices, contact sheets.

Convention: every result is a picture, c h w in [0, 1], unless its type says otherwise.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ..motion.spectrum import SpectralVolume, counting
from ..shapes import Complex, Float, Tensor


def flow_wheel(
    vectors: Float[Tensor, "2 h w"], largest: float | None = None
) -> Float[Tensor, "3 h w"]:
    """Direction as hue (right is red, up is green-yellow), length as brightness."""
    x, y = vectors[0], -vectors[1]
    length = vectors.square().sum(0).sqrt()
    largest = largest or float(length.flatten().quantile(0.99)) or 1.0
    hue = torch.atan2(y, x) / (2 * math.pi) % 1
    return hsv(hue, torch.ones_like(hue), (length / largest).clamp(0, 1))


def wheel_disc(size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """The colours of all directions, as a disc."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij"
    )
    disc = torch.stack([x * size[1] / size[0], y])
    return flow_wheel(disc * (disc.square().sum(0) <= 1), 1.0)


def hsv(hue, saturation, value) -> Float[Tensor, "3 h w"]:
    """RGB from hue, saturation and value, all 0 ... 1 (Smith 1978)."""
    sector = torch.stack([hue * 6 + offset for offset in (5.0, 3.0, 1.0)]) % 6
    ramp = torch.minimum(sector, 4 - sector).clamp(0, 1)
    return value * (1 - saturation * ramp)


def band_picture(coeffs: Complex[Tensor, "2 h w"]) -> Float[Tensor, "3 h w"]:
    """One band at the phase of largest displacement, as a flow wheel."""
    widest = torch.polar(torch.ones(()), -coeffs.square().sum().angle() / 2)
    return flow_wheel((coeffs * widest).real)


def heat(values: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Black, red, yellow, white for 0 ... 1."""
    return torch.stack([(3 * values - k).clamp(0, 1) for k in range(3)])


def motion_energy_picture(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "3 h w"]:
    """Standard deviation of a clip over time, relative to its 99.5th percentile."""
    deviation = frames.var(0, correction=0).sum(0).sqrt()
    top = deviation.flatten()[:: max(1, deviation.numel() // 100_000)].quantile(0.995)
    return heat((deviation / top.clamp(min=1e-6)).clamp(0, 1))


def busiest_row(frames: Float[Tensor, "t c h w"]) -> int:
    """The row with the largest variance over time, for an x-t slice."""
    return int(frames.var(0, correction=0).sum((0, 2)).argmax())


def slice_xt(frames: Float[Tensor, "t c h w"], row: int) -> Float[Tensor, "c t w"]:
    """One row over time, time downwards."""
    return frames[:, :, row].movedim(0, 1)


def resized(picture: Float[Tensor, "c h w"], size: tuple[int, int]) -> Float[Tensor, "c h2 w2"]:
    return F.interpolate(picture[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def tiles(
    pictures: list[Float[Tensor, "3 h w"]], columns: int, gap: int = 4
) -> Float[Tensor, "3 h2 w2"]:
    """Pictures of one size in rows, with a gap."""
    _, height, width = pictures[0].shape
    rows = math.ceil(len(pictures) / columns)
    sheet = torch.full((3, rows * (height + gap) - gap, columns * (width + gap) - gap), 0.1)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[:, y : y + height, x : x + width] = picture[:3]
    return sheet


def amplitude_plot(
    frequencies_hz: Float[Tensor, " k"], amplitudes: Float[Tensor, " k"], size: tuple[int, int]
) -> Float[Tensor, "3 h w"]:
    """Bars of amplitude per band; the amplitude axis is logarithmic over the range of the data."""
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("RGB", (width, height), (18, 18, 22))
    draw = ImageDraw.Draw(picture)
    left, bottom, top = 46, height - 24, 18
    level = amplitudes.clamp(min=float(amplitudes.max()) * 1e-3).clamp(min=1e-12).log10()
    low, high = float(level.min()) - 0.1, float(level.max()) + 0.05
    step = (width - left - 8) / max(len(level), 1)
    for k, value in enumerate(level.tolist()):
        y = bottom - (value - low) / max(high - low, 1e-6) * (bottom - top)
        start = left + k * step + 1
        draw.rectangle([start, y, max(start, start + step - 2), bottom], fill=(86, 170, 220))
    draw.line([left, top, left, bottom, width - 6, bottom], fill=(150, 150, 160))
    draw.text((4, top - 8), f"{10**high:.2g} px", fill=(210, 210, 215))
    draw.text((4, bottom - 10), f"{10**low:.2g}", fill=(210, 210, 215))
    draw.text((left, bottom + 6), f"{float(frequencies_hz[0]):.2g} Hz", fill=(210, 210, 215))
    end = f"{float(frequencies_hz[-1]):.2g} Hz"
    draw.text((width - 8 - draw.textlength(end), bottom + 6), end, fill=(210, 210, 215))
    draw.text((left + 6, 2), "median amplitude of what moves, px of the grid", fill=(210, 210, 215))
    return of_image(picture)


def of_image(image) -> Float[Tensor, "3 h w"]:
    """A picture of Pillow's as ours."""
    return torch.from_numpy(np.array(image)).movedim(-1, 0).float() / 255


def cell_of(spectrum: SpectralVolume, width: int) -> tuple[int, int]:
    """(height, width) of a still on a sheet: very tall or wide ones are distorted."""
    height = round(width * spectrum.reference_size[0] / spectrum.reference_size[1])
    return min(max(48, height), 2 * width), width


def band_pictures(
    coeffs: Complex[Tensor, "k 2 h w"], size: tuple[int, int]
) -> list[Float[Tensor, "3 h2 w2"]]:
    """Eight bands, evenly spaced, or all if there are fewer."""
    shown = torch.linspace(0, len(coeffs) - 1, min(8, len(coeffs))).round().long().tolist()
    return [resized(band_picture(coeffs[k]), size) for k in shown]


def spectrum_sheet(
    spectrum: SpectralVolume, item: int = 0, width: int = 320
) -> Float[Tensor, "3 h w"]:
    """A sheet of a spectrum: mask, total amplitude, amplitude per band, flow wheel, 8 bands.

    Of a flow, its velocity in place of the total amplitude.
    """
    size, coeffs = cell_of(spectrum, width), spectrum.coeffs[item]
    amplitude = coeffs.abs().square().sum(1).sqrt()
    mask = torch.ones(1, *spectrum.reference_size) if spectrum.mask is None else spectrum.mask[item]
    counted = counting(resized(mask, spectrum.grid)[0])
    typical = amplitude[:, counted].median(1).values
    total = amplitude.square().sum(0).sqrt()
    whole = heat((total / total.max().clamp(min=1e-9)).clamp(0, 1))
    if spectrum.velocity is not None:
        whole = flow_wheel(spectrum.velocity[item] * counted)
    pictures = [
        resized(mask, size).expand(3, -1, -1),
        resized(whole, size),
        amplitude_plot(spectrum.frequencies_hz, typical, size),
        wheel_disc(size),
        *band_pictures(coeffs, size),
    ]
    return tiles(pictures, 4)
