"""Modal coordinates q_k(t) of playback, at any time and between frames.

Law: q = exp(i 2 pi f t) is an analytic signal, so that phase differences between pixels appear as
travelling waves. It is exact at any time, and periodic if all f are multiples of 1 / period.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Eq. 2 inverted.
"""

import math

import torch

from ..shapes import Complex, Float, Tensor


def harmonic_coords(
    frequencies_hz: Float[Tensor, " k"], times_s: Float[Tensor, " t"]
) -> Complex[Tensor, "k t"]:
    """q = exp(i 2 pi f t). The phase is reduced in float64, so that long clips stay exact."""
    cycles = frequencies_hz.double()[:, None] * times_s.double()[None]
    phase = 2 * math.pi * (cycles - cycles.floor())
    exact = torch.polar(torch.ones_like(phase), phase)
    return exact if times_s.dtype == torch.float64 else exact.to(torch.complex64)


def coords_between(
    modal_coords: Complex[Tensor, "k t"], frames: Float[Tensor, " n"], loop: bool
) -> Complex[Tensor, "k n"]:
    """Modal coordinates at fractional frames.

    A loop is interpolated by its Fourier series: exact for frequencies below half the frame rate. A
    clip is interpolated by a Catmull-Rom cubic through four frames, and extrapolated linearly.
    """
    count = modal_coords.shape[1]
    if loop:
        series = torch.fft.fft(modal_coords.to(torch.complex128)) / count
        cycles = torch.fft.fftfreq(count, 1 / count, dtype=torch.float64)
        # The sign of the Nyquist frequency is ambiguous: half of it is taken for each sign.
        phase = torch.exp(2j * math.pi * cycles[:, None] * frames.double() / count)
        if count % 2 == 0:
            phase[count // 2] = phase[count // 2].real.to(phase.dtype)
        return (series @ phase).to(modal_coords.dtype)
    # Two frames of padding on each side, along the line through the two end frames.
    first, last = modal_coords[:, :1], modal_coords[:, -1:]
    start_step, end_step = 0, 0  # a single frame is constant
    if count > 1:
        start_step, end_step = modal_coords[:, :2].diff(), modal_coords[:, -2:].diff()
    ahead = [first - 2 * start_step, first - start_step]
    padded = torch.cat([*ahead, modal_coords, last + end_step, last + 2 * end_step], 1)
    clamped = frames.double().clamp(-1, count)
    before = clamped.floor().clamp(-1, count - 1).long()
    u = (clamped - before).to(modal_coords.real.dtype)
    a, b, c, d = (padded[:, before + 1 + i] for i in range(4))
    second, third = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    return b + u / 2 * (c - a + u * (second + u * third))
