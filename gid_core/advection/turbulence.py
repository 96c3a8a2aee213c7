"""Eddies that a flow carries along, ripples, and flickering light: random bands, periodic in time.

Law: eddies are the curl of a stream function, so their `divergence` is zero in every grid square;
bands are harmonics of one period, so that both repeat exactly.

Convention: eddies are amplitudes of a displacement, px of the grid; their velocity is
d/dt Re sum_k S_k exp(i 2 pi f_k t). Light is an amplitude of the gain of brightness.

Source: turbulence that travels with the flow, Taylor 1938, here faster; curl noise, Bridson,
Houriham & Nordenstam 2007; energy that falls with frequency as f^(-5/3), Kolmogorov 1941; waves on
deep water, omega^2 = g k, Airy 1841.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Complex, Float, Tensor

DECAY = 5 / 3  # of the power of velocity with frequency
LONGEST_RIPPLE = 0.25  # share of the picture's longer side, at the lowest frequency
SLOWEST_RIPPLE_HZ = 0.4
FINEST_RIPPLE = 8.0  # grid points in the shortest wave
ASIDE_DEG = 50.0  # that ripples go to either side of the flow, at most
AHEAD = 4.0  # speed of eddies against that of what they stir
FEWEST_CELLS = 12.0  # grid points in the shortest wave that the grid can carry


def eddies(
    velocity: Float[Tensor, "2 h w"],
    envelope: Float[Tensor, "h w"],
    frequencies_hz: Float[Tensor, " k"],
    lowest_hz: float,
    size: float,
    strength: float,
    generator: torch.Generator,
) -> Complex[Tensor, "k 2 h w"]:
    """Eddies of a given share of the flow's speed.

    The stream function of a band is smooth noise times exp(-i 2 pi f d / U), where d is the way
    along the mean flow: eddies travel downstream and change as they go. U is `AHEAD` times the
    speed of the flow. With the flow's own speed they would never leave what they wind up.

    Args:
        envelope: How strong they are, 0 to 1; 0 along shores, so that nothing crosses them.
        lowest_hz: Bands below it have no eddies.
        size: Of the largest ones, px of the grid.
        strength: Root mean square of their velocity, as a share of the mean speed.
    """
    height, width = envelope.shape
    inside = envelope > 0
    mean = velocity[:, inside].mean(1) if inside.any() else velocity.new_zeros(2)
    speed = float(velocity[:, inside].norm(dim=0).mean()) if inside.any() else 0.0
    bands = [i for i, f in enumerate(frequencies_hz.tolist()) if f >= lowest_hz * (1 - 1e-6)]
    result = torch.zeros(len(frequencies_hz), 2, height, width, dtype=torch.complex64)
    if speed == 0 or strength == 0 or not bands:
        return result
    heading = mean / mean.norm().clamp(min=1e-12)
    y, x = torch.meshgrid(torch.arange(height + 1.0), torch.arange(width + 1.0), indexing="ij")
    way = x * heading[0] + y * heading[1]
    corners = F.pad(envelope[None, None], (1, 1, 1, 1), mode="replicate")
    corners = -F.max_pool2d(-corners, 2, 1)[0, 0]  # the least of the four cells around
    for i in bands:
        f = float(frequencies_hz[i])
        smaller = (lowest_hz / f) ** 0.5
        wave = max(FEWEST_CELLS, AHEAD * speed / f)
        smooth = max(FEWEST_CELLS / 2, size * smaller)
        noise = smooth_noise((height + 1, width + 1), smooth, generator)
        carried = torch.polar(torch.ones_like(way), -2 * math.pi * way / wave)
        stream = noise * carried * corners
        power = (lowest_hz / f) ** DECAY
        swirl = curl(stream)
        rms = swirl[:, inside].abs().square().sum(0).mean().sqrt().clamp(min=1e-12)
        result[i] = swirl * (math.sqrt(power) / rms)
    # |V|^2 / 2 of a band is its mean square velocity.
    total = result[:, :, inside].abs().square().sum((0, 1)).mean() / 2
    result = result * (strength * speed / total.sqrt().clamp(min=1e-12))
    turn = 2j * math.pi * frequencies_hz.view(-1, 1, 1, 1)
    return result / turn


def ripples(
    envelope: Float[Tensor, "h w"],
    heading: Float[Tensor, "2"],
    frequencies_hz: Float[Tensor, " k"],
    amplitude: float,
    generator: torch.Generator,
) -> Complex[Tensor, "k 2 h w"]:
    """Waves that run over water and tilt it, so that what it mirrors sways up and down.

    A band has the wavelength of deep water, which falls with the square of the frequency, and a
    direction of its own around the flow's. Bands whose waves the grid cannot carry, and those below
    `SLOWEST_RIPPLE_HZ`, have none. The slope of the surface is as strong in every band.

    Args:
        envelope: How strong they are, 0 to 1; 0 along shores.
        heading: Of the flow, any length.
        amplitude: Root mean square of the displacement where the envelope is 1, px of the grid.
    """
    height, width = envelope.shape
    longest = LONGEST_RIPPLE * max(height, width)
    result = torch.zeros(len(frequencies_hz), 2, height, width, dtype=torch.complex64)
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    mean = math.atan2(float(heading[1]), float(heading[0]))
    for i, f in enumerate(frequencies_hz.tolist()):
        wave = longest * (SLOWEST_RIPPLE_HZ / f) ** 2
        if f < SLOWEST_RIPPLE_HZ * (1 - 1e-6) or wave < FINEST_RIPPLE:
            continue
        aside = 2 * float(torch.rand((), generator=generator)) - 1
        angle = mean + math.radians(ASIDE_DEG) * aside
        way = x * math.cos(angle) + y * math.sin(angle)
        carried = torch.polar(torch.ones_like(way), -2 * math.pi * way / wave)
        result[i, 1] = smooth_noise((height, width), 2 * wave, generator) * carried
    bands = int(result.flatten(1).any(1).sum())
    return result * (amplitude * math.sqrt(2 / max(1, bands)) * envelope)


def flicker(
    envelope: Float[Tensor, "h w"],
    frequencies_hz: Float[Tensor, " k"],
    highest_hz: float,
    size: float,
    strength: float,
    generator: torch.Generator,
) -> Complex[Tensor, "k 1 h w"]:
    """Gain of brightness: smooth patches of `size` px that brighten and darken together.

    Args:
        highest_hz: Bands above it have no light, but for the lowest.
        strength: Root mean square of the gain where the envelope is 1.
    """
    grid = tuple(envelope.shape)
    share = torch.zeros(len(frequencies_hz))
    shown = frequencies_hz <= highest_hz * (1 + 1e-6)
    shown[0] = True
    share[shown] = (frequencies_hz[shown] / highest_hz) ** (-DECAY / 2)
    share = share / share.square().sum().sqrt().clamp(min=1e-12)
    light = [smooth_noise(grid, size, generator) * (strength * math.sqrt(2) * s) for s in share]
    return (torch.stack(light) * envelope)[:, None]


def smooth_noise(
    grid: tuple[int, int], size: float, generator: torch.Generator
) -> Complex[Tensor, "h w"]:
    """Complex Gaussian noise of unit power, without waves much shorter than `size` px."""
    height, width = grid
    # Larger than the grid by what is correlated: on a torus the far end would be next door.
    margin = math.ceil(2 * size)
    rows, columns = height + margin, width + margin
    y = torch.fft.fftfreq(rows)[:, None]
    x = torch.fft.fftfreq(columns)[None]
    keep = torch.exp(-0.5 * (x.square() + y.square()) * (math.pi * size) ** 2)
    white = torch.randn(rows, columns, 2, generator=generator, device="cpu")
    field = torch.fft.ifft2(torch.fft.fft2(torch.view_as_complex(white)) * keep)
    power = keep.square().mean().sqrt() * math.sqrt(2)
    return field[:height, :width] / power


def curl(stream: Complex[Tensor, "h1 w1"]) -> Complex[Tensor, "2 h w"]:
    """(d psi / dy, -d psi / dx) in the cells between corners."""
    down, right = stream.diff(dim=0), stream.diff(dim=1)
    return torch.stack([(down[:, 1:] + down[:, :-1]) / 2, -(right[1:] + right[:-1]) / 2])
