import cmath
import math

import pytest
import torch

from gid_core.motion.coords import coords_between, harmonic_coords


def test_coordinates_have_unit_modulus(rng):
    times = 1e4 * torch.rand(50, generator=rng, dtype=torch.float64)
    coords = harmonic_coords(torch.tensor([0.2, 1.7, 3.2]).double(), times)
    torch.testing.assert_close(coords.abs(), torch.ones_like(times).expand(3, 50))


def test_coordinates_are_exp_i_2_pi_f_t():
    coords = harmonic_coords(torch.tensor([0.5, 2.0]), torch.tensor([0.0, 0.125, 0.7]))
    for k, f in enumerate((0.5, 2.0)):
        for t, time in enumerate((0.0, 0.125, 0.7)):
            expected = cmath.exp(2j * math.pi * f * time)
            assert complex(coords[k, t]) == pytest.approx(expected, abs=1e-6)


def test_coordinates_are_periodic_after_a_day():
    frequencies = torch.arange(1, 17, dtype=torch.float64) / 5
    times = torch.arange(150, dtype=torch.float64) / 30
    first = harmonic_coords(frequencies, times)
    later = harmonic_coords(frequencies, times + 1e5)  # 20,000 periods of 5 s
    torch.testing.assert_close(later, first, rtol=0, atol=1e-9)


def test_long_clips_stay_exact_in_single_precision():
    # 2^-6 s and eighths of a hertz are exact in float32, so the phase is the only source of error.
    times, frequencies = 4096 + torch.arange(64) / 64, torch.tensor([0.125, 3.125])
    late = harmonic_coords(frequencies, times)
    early = harmonic_coords(frequencies, times - 4096)
    assert late.dtype == torch.complex64
    torch.testing.assert_close(late, early, rtol=0, atol=1e-7)


@pytest.mark.parametrize("frames", [8, 9])
def test_coordinates_between_frames_of_a_loop_are_exact(frames):
    hertz, duration = torch.tensor([1.0, 2.0, 3.0]), 1.0
    times = torch.arange(frames, dtype=torch.float64) / frames
    coords = harmonic_coords(hertz, times * duration)
    between = torch.tensor([0.0, 0.25, 2.5, 6.9, -0.5, frames + 1.75], dtype=torch.float64)
    exact = harmonic_coords(hertz, between / frames)
    torch.testing.assert_close(coords_between(coords, between, True), exact, atol=1e-12, rtol=0)


def test_coordinates_between_frames_of_a_clip_have_an_error_of_third_order():
    errors = []
    for frames in (40, 80, 160):
        times = torch.arange(frames, dtype=torch.float64) / frames
        coords = harmonic_coords(torch.tensor([1.0]), times)
        between = torch.arange(2, frames - 3, dtype=torch.float64) + 0.3
        exact = harmonic_coords(torch.tensor([1.0]), between / frames)
        errors.append(float((coords_between(coords, between, False) - exact).abs().max()))
        torch.testing.assert_close(
            coords_between(coords, torch.arange(float(frames)), False), coords
        )
    assert errors[0] / errors[1] > 7 and errors[1] / errors[2] > 7
    line = torch.arange(4.0, dtype=torch.float64).to(torch.complex128).view(1, 4)
    at = torch.tensor([-0.5, 0.5, 2.75, 3.5])
    torch.testing.assert_close(coords_between(line, at, False).real, at[None].double())
    # Beyond its ends a curve is extrapolated linearly.
    bent = torch.tensor([[0.0, 1.0, 0.0, -1.0, 3.0]]).to(torch.complex128)
    past = torch.tensor([-1.0, -0.75, -0.5, 4.5, 5.0])
    found = coords_between(bent, past, False).real[0]
    torch.testing.assert_close(found[[0, 4]], torch.tensor([-1.0, 7.0]).double())
    assert -1 < found[1] < found[2] < 0 and 3 < found[3] < 7
    once = torch.tensor([[2 + 1j]])
    assert torch.equal(coords_between(once, at[:1], False), once)
