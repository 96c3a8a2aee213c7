"""Modal coordinates q_k(t): how the state of every band goes on in time; and the wind that drives it.

Law: playing back is q = exp(i 2 pi f t), an analytic signal, so that phase differences between
pixels travel; it is exact at any time, and periodic wherever all f are multiples of 1 / period. What
is pushed rings, q'' + 2 zeta omega q' + omega^2 q = omega^2 s(t), and is stepped exactly: for any
step, and at any damping.

Source: Li et al. 2024, Eq. 2 inverted; oscillators: Davis et al. 2015, Rayleigh damping; turbulence:
von Karman spectra (ESDU 85020), coherence: Davenport 1961, frozen gusts: Taylor 1938.
"""

import math

import torch

from .config import WindConfig
from .shapes import Complex, Float, Tensor


def harmonic_coords(
    frequencies_hz: Float[Tensor, " k"], times_s: Float[Tensor, " t"]
) -> Complex[Tensor, "k t"]:
    """q = exp(i 2 pi f t): playback. The phase is reduced in float64, so long clips stay exact."""
    cycles = frequencies_hz.double()[:, None] * times_s.double()[None]
    phase = 2 * math.pi * (cycles - cycles.floor())
    exact = torch.polar(torch.ones_like(phase), phase)
    return exact if times_s.dtype == torch.float64 else exact.to(torch.complex64)


def rayleigh(omega: Float[Tensor, " k"], alpha: float, beta: float) -> Float[Tensor, " k"]:
    """Damping ratios of q'' + (alpha + beta omega^2) q' + omega^2 q = 0."""
    return (alpha + beta * omega.square()) / (2 * omega)


def propagator(
    omega: Float[Tensor, " k"], damping_ratio: Float[Tensor, " k"], dt: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """(c, s) of free motion: q(dt) = (c + zeta omega s) q + s q', q'(dt) = (c - zeta omega s) q' - omega^2 s q.

    c = e cos(omega_d dt) and s = e sin(omega_d dt) / omega_d with e = exp(-zeta omega dt), and what
    becomes of them where omega_d is zero or imaginary.
    """
    decay = damping_ratio * omega
    root = omega * (1 - damping_ratio.square()).abs().sqrt()
    turn, fade = root * dt, torch.exp(-decay * dt)
    # Past critical damping, both in terms of exp: cosh alone would overflow.
    slow = torch.exp(-omega.square() / (decay + root) * dt)
    fast = torch.exp(-(decay + root) * dt)
    rings = damping_ratio < 1
    c = torch.where(rings, fade * torch.cos(turn), (slow + fast) / 2)
    s = torch.where(rings, fade * torch.sin(turn), (slow - fast) / 2) / root.clamp(min=1e-30)
    return c, torch.where(turn < 1e-4, fade * dt, s)


def step(
    q: Complex[Tensor, " k"],
    velocity: Complex[Tensor, " k"],
    omega: Float[Tensor, " k"],
    damping_ratio: Float[Tensor, " k"],
    dt: float,
    first: Complex[Tensor, " k"] | None = None,
    last: Complex[Tensor, " k"] | None = None,
) -> tuple[Complex[Tensor, " k"], Complex[Tensor, " k"]]:
    """q and q' after dt, exactly, under a force that goes in a straight line from first to last.

    A force is given by where it would hold q for good, force / omega^2. None is no force.
    """
    c, s = propagator(omega, damping_ratio, dt)
    decay = damping_ratio * omega
    if first is not None and last is not None:
        # q = force - (2 zeta / omega) slope, q' = slope is one motion under it; the rest is free.
        slope = (last - first) / dt
        lag = 2 * damping_ratio / omega * slope
        q, velocity = q - first + lag, velocity - slope
    moved = (c + decay * s) * q + s * velocity
    velocity = (c - decay * s) * velocity - omega.square() * s * q
    if first is not None and last is not None:
        return moved + last - lag, velocity + slope
    return moved, velocity


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
