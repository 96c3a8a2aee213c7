"""Modal coordinates q_k(t) of playback, at any time and between frames.

Law: q = exp(i 2 pi f t) is an analytic signal, so that phase differences between pixels travel; it is
exact at any time, and periodic wherever all f are multiples of 1 / period.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Eq. 2 inverted.
"""

import math

import torch

from ..shapes import Complex, Float, Tensor


def harmonic_coords(
    frequencies_hz: Float[Tensor, " k"], times_s: Float[Tensor, " t"]
) -> Complex[Tensor, "k t"]:
    """q = exp(i 2 pi f t): playback. The phase is reduced in float64, so long clips stay exact."""
    cycles = frequencies_hz.double()[:, None] * times_s.double()[None]
    phase = 2 * math.pi * (cycles - cycles.floor())
    exact = torch.polar(torch.ones_like(phase), phase)
    return exact if times_s.dtype == torch.float64 else exact.to(torch.complex64)


def coords_between(
    modal_coords: Complex[Tensor, "k t"], frames: Float[Tensor, " n"], loop: bool
) -> Complex[Tensor, "k n"]:
    """Modal coordinates at fractional frames.

    Of a loop they are exact, by its Fourier series, for all that lies below half the frame rate. Else
    they are read from a cubic through four frames, and the ends go on as a straight line.
    """
    count = modal_coords.shape[1]
    if loop:
        series = torch.fft.fft(modal_coords.to(torch.complex128)) / count
        cycles = torch.fft.fftfreq(count, 1 / count, dtype=torch.float64)
        # What beats at half the frame rate could turn either way: it is split.
        phase = torch.exp(2j * math.pi * cycles[:, None] * frames.double() / count)
        if count % 2 == 0:
            phase[count // 2] = phase[count // 2].real.to(phase.dtype)
        return (series @ phase).to(modal_coords.dtype)
    # Two frames ahead and after: the line through the ends, or a single frame all along.
    first, last = modal_coords[:, :1], modal_coords[:, -1:]
    into, out = (modal_coords[:, :2].diff(), modal_coords[:, -2:].diff()) if count > 1 else (0, 0)
    padded = torch.cat(
        [first - 2 * into, first - into, modal_coords, last + out, last + 2 * out], 1
    )
    at = frames.double().clamp(-1, count)
    before = at.floor().clamp(-1, count - 1).long()
    u = (at - before).to(modal_coords.real.dtype)
    a, b, c, d = (padded[:, before + 1 + i] for i in range(4))
    bend, twist = 2 * a - 5 * b + 4 * c - d, 3 * (b - c) + d - a
    return b + u / 2 * (c - a + u * (bend + u * twist))
