"""A turbulent wind over the picture: spectra of gusts, their travel, and how alike they are.

Law: n S(n) / sigma^2 integrates to 1 over ln n, along and across; fields have unit power per band.

Convention: lengths in picture widths; direction in degrees, 0 = to the right, 90 = to the top.

Source: von Karman spectra (ESDU 85020); coherence, Davenport 1961; frozen turbulence, Taylor 1938.
"""

import math

import torch

from ..config import WindConfig
from ..shapes import Complex, Float, Tensor


def von_karman(reduced: Float[Tensor, " k"], across: bool = False) -> Float[Tensor, " k"]:
    """n S(n) / sigma^2 of turbulence along or across the wind, by reduced frequency x = n L / U.

    Both integrate to 1 over ln n. Across the wind, L_v = L_u / 2 is applied here.
    """
    if not across:
        return 4 * reduced / (1 + 70.8 * reduced.square()) ** (5 / 6)
    x = reduced / 2
    return 4 * x * (1 + 755.2 * x.square()) / (1 + 283.2 * x.square()) ** (11 / 6)


def wind(
    frequencies_hz: Float[Tensor, " k"],
    grid: tuple[int, int],
    band_hz: float,
    config: WindConfig,
    generator: torch.Generator,
) -> Complex[Tensor, "k 2 h w"]:
    """Velocity of a turbulent wind at every grid point, as one-sided peak amplitudes.

    Gusts travel across the picture with phase exp(-i 2 pi f d / U), d the way along the wind, and
    are alike at distance r by exp(-c f r / U). The scale is sigma_u = 1; only ratios matter.

    Args:
        band_hz: Width of a band: the amplitude holds the turbulence's energy in one band.
        generator: On the CPU, so that a seed means the same wind on every device.
    """
    height, width = grid
    reduced = frequencies_hz * (config.gust_length / config.speed)
    angle = math.radians(config.direction_deg)
    along = torch.tensor([math.cos(angle), -math.sin(angle)])  # y points down
    across = torch.tensor([math.sin(angle), math.cos(angle)])

    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    way = (x * along[0] + y * along[1]) / width
    travel = -2 * math.pi * frequencies_hz.view(-1, 1, 1) * way / config.speed
    carried = torch.polar(torch.ones_like(travel), travel)

    velocity = 0
    for direction, share, is_across in ((along, 1.0, False), (across, config.gustiness, True)):
        energy = von_karman(reduced, is_across) * band_hz / frequencies_hz
        amplitude = share * (2 * energy).sqrt().view(-1, 1, 1)
        gusts = coherent_noise(frequencies_hz, grid, config, generator) * carried * amplitude
        velocity = velocity + direction.view(1, 2, 1, 1) * gusts[:, None]
    return velocity


def coherent_noise(
    frequencies_hz: Float[Tensor, " k"],
    grid: tuple[int, int],
    config: WindConfig,
    generator: torch.Generator,
) -> Complex[Tensor, "k h w"]:
    """Complex Gaussian fields of unit power, alike at distance r by exp(-c f r / U) in each band."""
    height, width = grid
    # Twice the grid: on a torus the far end would otherwise be next door.
    rows, columns = 2 * height, 2 * width
    y = torch.fft.fftfreq(rows, 1 / rows).abs() / width
    x = torch.fft.fftfreq(columns, 1 / columns).abs() / width
    distance = (y[:, None].square() + x[None].square()).sqrt()
    decay = config.coherence_decay * frequencies_hz.view(-1, 1, 1) / config.speed
    power = torch.fft.fft2(torch.exp(-decay * distance)).real.clamp(min=0)
    power = power / power.mean((-2, -1), keepdim=True)
    white = torch.randn(len(frequencies_hz), rows, columns, 2, generator=generator, device="cpu")
    white = white.to(frequencies_hz.device)
    white = torch.view_as_complex(white) * math.sqrt(0.5)
    field = torch.fft.ifft2(torch.fft.fft2(white) * power.sqrt())
    return field[:, :height, :width]
