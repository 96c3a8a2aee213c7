"""A turbulent wind over the picture: spectra of gusts, their travel, and how alike they are.

Law: n S(n) / sigma^2 integrates to 1 over ln n, along and across; fields have unit power per band.

Convention: lengths in picture widths; direction in degrees, 0 = to the right, 90 = to the top.

Source: von Karman spectra (ESDU 85020); coherence across the wind, Davenport 1961; along it
turbulence is carried almost frozen, Taylor 1938, and decays otherwise and more slowly, Kristensen
1979.
"""

import math

import torch

from ..config import WindConfig
from ..shapes import Complex, Float, Tensor

SLOWEST_GUST_HZ = 0.1  # what is slower than this, a loop shows as gust and lull


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
    are alike by exp(-f r / U), r the distance weighed by a decay along the wind and one across it.
    In loops of 10 s and longer, what blows comes and goes. The scale is sigma_u = 1; only ratios
    matter.

    Args:
        band_hz: Width of a band: the amplitude holds the turbulence's energy in one band.
        generator: On the CPU, so that a seed means the same wind on every device.
    """
    reduced = frequencies_hz * (config.gust_length / config.speed)
    along, across, way = _axes(grid, config)
    travel = -2 * math.pi * frequencies_hz.view(-1, 1, 1) * way / config.speed
    carried = torch.polar(torch.ones_like(travel), travel)

    velocity = 0
    for direction, share, is_across in ((along, 1.0, False), (across, config.gustiness, True)):
        energy = von_karman(reduced, is_across) * band_hz / frequencies_hz
        amplitude = share * (2 * energy).sqrt().view(-1, 1, 1)
        gusts = coherent_noise(frequencies_hz, grid, config, generator) * carried * amplitude
        velocity = velocity + direction.view(1, 2, 1, 1) * gusts[:, None]
    slow = int(SLOWEST_GUST_HZ / band_hz + 1e-6)
    if slow == 0 or config.lull == 0:
        return velocity
    return _come_and_go(velocity, way / config.speed, band_hz, slow, config.lull, generator)


def coherent_noise(
    frequencies_hz: Float[Tensor, " k"],
    grid: tuple[int, int],
    config: WindConfig,
    generator: torch.Generator,
) -> Complex[Tensor, "k h w"]:
    """Complex Gaussian fields of unit power, alike at a distance (d, s) along and across the wind
    by exp(-f sqrt((c_along d)^2 + (c_across s)^2) / U) in each band."""
    height, width = grid
    # Twice the grid: on a torus the far end would otherwise be next door.
    rows, columns = 2 * height, 2 * width
    y = torch.fft.fftfreq(rows, 1 / rows)[:, None] / width
    x = torch.fft.fftfreq(columns, 1 / columns)[None] / width
    along, across, _ = _axes(grid, config)
    away = config.travel_decay * (x * along[0] + y * along[1])
    aside = config.coherence_decay * (x * across[0] + y * across[1])
    distance = (away.square() + aside.square()).sqrt()
    decay = frequencies_hz.view(-1, 1, 1) / config.speed
    power = torch.fft.fft2(torch.exp(-decay * distance)).real.clamp(min=0)
    power = power / power.mean((-2, -1), keepdim=True)
    white = torch.randn(len(frequencies_hz), rows, columns, 2, generator=generator, device="cpu")
    white = white.to(frequencies_hz.device)
    white = torch.view_as_complex(white) * math.sqrt(0.5)
    field = torch.fft.ifft2(torch.fft.fft2(white) * power.sqrt())
    return field[:, :height, :width]


def _axes(grid, config):
    """Unit vectors (x, y) along and across the wind, and every point's way along it in widths."""
    height, width = grid
    angle = math.radians(config.direction_deg)
    along = torch.tensor([math.cos(angle), -math.sin(angle)])  # y points down
    across = torch.tensor([math.sin(angle), math.cos(angle)])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return along, across, (x * along[0] + y * along[1]) / width


def _come_and_go(velocity, delay_s, band_hz, slow, lull, generator):
    """The wind times 1 + lull * (slow waves that travel with it), at the same mean power.

    A product in time: every band takes from the bands so many slow ones away, negative ones too.
    """
    wave = 2 * math.pi * torch.rand(slow, generator=generator, device="cpu")
    bands = torch.cat([velocity.flip(0).conj(), torch.zeros_like(velocity[:1]), velocity])
    count, gusty = len(velocity), velocity.clone()
    for m in range(1, slow + 1):
        phase = wave[m - 1] - 2 * math.pi * m * band_hz * delay_s
        envelope = torch.polar(torch.full_like(phase, lull / math.sqrt(slow) / 2), phase)
        for k in range(1, count + 1):
            gusty[k - 1] += envelope * bands[count + k - m] if m <= count + k else 0
            if k + m <= count:
                gusty[k - 1] += envelope.conj() * bands[count + k + m]
    return gusty / math.sqrt(1 + lull**2 / 2)
