import math
from dataclasses import replace

import oracles
import pytest
import torch
from hypothesis import given, strategies as st

from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import Displacement, displacement
from gid_core.motion.spectrum import (
    SpectralVolume,
    amplitude_pct,
    analyze,
    displacement_at,
    moving_points,
    of_still,
    one_period,
    scale,
    summary,
)

FPS, FRAMES = 8.0, 32  # harmonics of 1/4 Hz: exact in float32


def volume(rng, bands=3, dtype=torch.complex128, batch=2, grid=(5, 7), **fields):
    coeffs = torch.randn(batch, bands, 2, *grid, generator=rng, dtype=dtype)
    frequencies = torch.arange(1, bands + 1) * (FPS / FRAMES)
    return SpectralVolume(coeffs, frequencies, (20, 28), **fields)


def play(spectrum, frames=FRAMES, fps=FPS):
    times = torch.arange(frames, dtype=torch.float64) / fps
    return displacement(spectrum.coeffs, harmonic_coords(spectrum.frequencies_hz, times))


def recorded(motion):
    """Frames of displacement, b t 2 h w, as a motion."""
    return Displacement.of_frames(motion, FPS, tuple(motion.shape[-2:]))


@given(seed=st.integers(0, 2**32), frames=st.integers(9, 40), data=st.data())
def test_analysis_inverts_playback(seed, frames, data):
    rng = torch.Generator().manual_seed(seed)
    bands = data.draw(st.integers(1, (frames - 1) // 2))
    frequencies = torch.arange(1, bands + 1, dtype=torch.float64) * (FPS / frames)
    coeffs = torch.randn(2, bands, 2, 3, 4, generator=rng, dtype=torch.complex128)
    played = play(SpectralVolume(coeffs, frequencies, (3, 4)), frames)
    read = analyze(played, FPS, bands, detrend=False)
    torch.testing.assert_close(read.coeffs, coeffs, rtol=0, atol=1e-12)
    torch.testing.assert_close(read.frequencies_hz, frequencies.float())
    assert read.mean.abs().max() < 1e-12


def test_analysis_inverts_playback_in_single_precision(rng):
    spectrum = volume(rng, bands=15, dtype=torch.complex64)
    played = displacement_at(spectrum, torch.arange(FRAMES) / FPS)
    read = analyze(played, FPS, 15, detrend=False)
    torch.testing.assert_close(read.coeffs, spectrum.coeffs, rtol=0, atol=1e-6 * 3)
    assert torch.equal(read.frequencies_hz, spectrum.frequencies_hz)


def test_parseval(rng):
    motion = torch.randn(2, 9, 2, 5, 7, generator=rng, dtype=torch.float64)
    read = analyze(motion, FPS, 4, detrend=False)  # nine frames have a mean and four bands
    energy = read.mean.square() + 0.5 * read.coeffs.abs().square().sum(1)
    torch.testing.assert_close(motion.square().mean(1), energy, rtol=1e-12, atol=1e-13)


def test_playback_equals_the_sum_of_cosines(rng):
    spectrum = volume(rng)
    times = torch.tensor([0.0, 0.3, 1 / 3, 2.71828, 7.5], dtype=torch.float64)
    expected = oracles.displacement_at(spectrum.coeffs, spectrum.frequencies_hz, times)
    coords = harmonic_coords(spectrum.frequencies_hz, times)
    torch.testing.assert_close(displacement(spectrum.coeffs, coords), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(displacement_at(spectrum, times), expected, rtol=0, atol=1e-12)


def test_fractional_times_in_single_precision_equal_the_closed_form(rng):
    spectrum = volume(rng, dtype=torch.complex64)
    times = torch.tensor([0.1, 0.37, 2.6, 11.93])
    expected = oracles.displacement_at(
        spectrum.coeffs.to(torch.complex128), spectrum.frequencies_hz, times.double()
    )
    played = displacement_at(spectrum, times).double()
    torch.testing.assert_close(played, expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("band", [1, 2, 5])
@pytest.mark.parametrize("phase", [0.0, 0.7, -math.pi / 2])
def test_convention_a_cosine_of_amplitude_a_has_the_coefficient_a(band, phase):
    times = torch.arange(FRAMES, dtype=torch.float64) / FPS
    cosine = 1.5 * torch.cos(2 * math.pi * band * FPS / FRAMES * times + phase)
    motion = torch.zeros(1, FRAMES, 2, 2, 3, dtype=torch.float64)
    motion[:, :, 1] = cosine.view(1, -1, 1, 1)
    read = analyze(motion, FPS, 6, detrend=False)
    expected = torch.zeros(1, 6, 2, 2, 3, dtype=torch.complex128)
    expected[:, band - 1, 1] = 1.5 * complex(math.cos(phase), math.sin(phase))
    torch.testing.assert_close(read.coeffs, expected, rtol=0, atol=1e-13)
    assert read.frequencies_hz[band - 1] == band * FPS / FRAMES


def test_convention_a_positive_phase_is_ahead_of_time():
    # S = i gives -sin, which leads the cosine by a quarter period.
    coeffs = torch.full((1, 1, 2, 1, 1), 1j, dtype=torch.complex64)
    spectrum = SpectralVolume(coeffs, torch.tensor([1.0]), (1, 1))
    played = displacement_at(spectrum, torch.tensor([0.0, 0.25, 0.5, 0.75]))
    expected = torch.tensor([0.0, -1.0, 0.0, 1.0])
    torch.testing.assert_close(played[0, :, 0, 0, 0], expected, rtol=0, atol=1e-6)


def test_playback_is_linear_in_the_spectrum(rng):
    one, two = volume(rng), volume(rng)
    both = SpectralVolume(2 * one.coeffs - 3 * two.coeffs, one.frequencies_hz, (20, 28))
    torch.testing.assert_close(play(both), 2 * play(one) - 3 * play(two), rtol=0, atol=1e-12)


def test_playback_includes_mean_and_drift(rng):
    mean, drift = torch.randn(2, 2, 2, 5, 7, generator=rng, dtype=torch.float64)
    spectrum = volume(rng, mean=mean, drift=drift)
    times = torch.tensor([0.0, 0.3, 11.0], dtype=torch.float64)
    bands = oracles.displacement_at(spectrum.coeffs, spectrum.frequencies_hz, times)
    expected = bands + mean[:, None] + drift[:, None] * times.view(-1, 1, 1, 1)
    torch.testing.assert_close(displacement_at(spectrum, times), expected, rtol=0, atol=1e-12)


def test_frames_given_are_returned_bit_for_bit(rng):
    frames = torch.randn(2, 9, 2, 5, 7, generator=rng)
    motion = recorded(frames)
    for item in range(2):
        assert torch.equal(motion.at(item), frames[item])


def test_a_ramp_is_drift_alone(rng):
    start, speed = torch.randn(2, 2, 2, 5, 7, generator=rng)
    times = torch.arange(FRAMES) / FPS
    motion = start[:, None] + speed[:, None] * times.view(1, -1, 1, 1, 1)
    read = analyze(motion, FPS, 6)
    torch.testing.assert_close(read.drift, speed, rtol=0, atol=1e-6)
    torch.testing.assert_close(read.mean, start, rtol=0, atol=1e-6)
    assert read.coeffs.abs().max() < 1e-6
    torch.testing.assert_close(displacement_at(read, times), motion, rtol=0, atol=1e-5)


def test_a_periodic_motion_has_almost_no_drift():
    cosine = 3 * torch.cos(2 * math.pi * torch.arange(60) / 30 - 1)
    read = analyze(cosine.view(1, -1, 1, 1, 1).expand(1, 60, 2, 1, 1), 30.0, 4)
    last_step = float((cosine[0] - cosine[-1]).abs())
    assert read.drift.abs().max() * 2 < 0.05 * last_step  # over two seconds
    assert (read.coeffs[0, :, 0, 0, 0].abs() - torch.tensor([0, 3.0, 0, 0])).abs().max() < 0.005


def test_detrending_reduces_the_truncation_error_of_a_drifting_motion():
    times = torch.arange(60) / 30
    path = 2 * times + torch.sin(2 * math.pi * 1.5 * times)
    motion = path.view(1, -1, 1, 1, 1).expand(1, 60, 2, 1, 1)

    def error(detrend):
        read = analyze(motion, 30.0, 4, detrend)
        return float((displacement_at(read, times) - motion).square().mean().sqrt())

    assert error(True) < error(False) / 4


@pytest.mark.parametrize("bands, frames", [(5, 10), (6, 10), (0, 10), (1, 2), (1, 1), (-1, 9)])
def test_bands_at_or_above_half_the_frames_are_refused(bands, frames):
    with pytest.raises(ValueError, match=rf"fewer bands than half the frames.*{frames} frames"):
        analyze(torch.zeros(1, frames, 2, 3, 4), FPS, bands)


def test_the_amplitude_is_the_peak_in_percent_of_the_longer_side():
    times = torch.arange(100) / 100
    motion = torch.zeros(2, 100, 2, 5, 8)
    motion[0, :, 0] = 0.4 * torch.cos(2 * math.pi * times).view(-1, 1, 1)
    motion[1, :, 0] = 0.3 * torch.cos(2 * math.pi * times).view(-1, 1, 1)
    motion[1, :, 1] = -0.4 * torch.cos(2 * math.pi * times).view(-1, 1, 1)
    size = amplitude_pct(recorded(motion))
    torch.testing.assert_close(size, torch.tensor([100 * 0.4 / 8, 100 * 0.5 / 8]))
    torch.testing.assert_close(amplitude_pct(recorded(3 * motion)), 3 * size)
    torch.testing.assert_close(amplitude_pct(recorded(motion.transpose(3, 4))), size)


def test_the_amplitude_is_that_of_the_moving_points():
    motion = torch.zeros(1, 4, 2, 5, 8)
    motion[..., 2:4] = 2.0
    motion[..., 0], motion[..., 7] = 100.0, 5.0
    moving = torch.zeros(1, 1, 5, 8)  # half of the largest counts
    moving[..., 2:4], moving[..., 0], moving[..., 7] = 0.3, 0.14, 0.16
    size = amplitude_pct(recorded(motion), moving)
    torch.testing.assert_close(size, torch.tensor([100 * 50**0.5 / 8]))


def test_the_amplitude_is_the_95th_percentile_of_the_points():
    motion = torch.arange(1.0, 101.0).view(1, 1, 1, 10, 10) * torch.tensor([1.0, 0]).view(2, 1, 1)
    size = amplitude_pct(recorded(motion)).item()
    assert size == pytest.approx(10 * (1 + 0.95 * 99), rel=1e-6)


def test_one_period_is_the_bands_over_the_inverse_of_their_spacing(rng):
    spectrum = volume(rng, dtype=torch.complex64)
    motion = one_period(spectrum)
    assert motion.loop and motion.frames / motion.fps == pytest.approx(FRAMES / FPS)
    times = torch.arange(motion.frames, dtype=torch.float64) / motion.fps
    expected = oracles.displacement_at(
        spectrum.coeffs.to(torch.complex128), spectrum.frequencies_hz, times
    )
    torch.testing.assert_close(motion.at(1).double(), expected[1], rtol=0, atol=5e-6)


def test_the_period_is_that_of_the_closest_bands(rng):
    coeffs = torch.randn(1, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    motion = one_period(SpectralVolume(coeffs, torch.tensor([0.4, 0.6, 1.4]), (5, 7)))
    assert motion.frames / motion.fps == pytest.approx(5)


def test_a_single_band_has_the_period_of_its_frequency(rng):
    coeffs = torch.randn(1, 1, 2, 5, 7, generator=rng, dtype=torch.complex64)
    motion = one_period(SpectralVolume(coeffs, torch.tensor([0.4]), (5, 7)))
    assert motion.frames / motion.fps == pytest.approx(2.5)


def test_scaling_includes_mean_and_drift(rng):
    fields = {name: torch.randn(2, 2, 5, 7, generator=rng) for name in ("mean", "drift")}
    spectrum = volume(rng, dtype=torch.complex64, **fields)
    times, gain = torch.tensor([0.0, 0.4, 5.0]), torch.tensor([2.0, -0.5])
    expected = gain.view(-1, 1, 1, 1, 1) * displacement_at(spectrum, times)
    torch.testing.assert_close(displacement_at(scale(spectrum, gain), times), expected)


def test_moving_points_are_the_mean_of_the_mask_over_each_point(rng):
    mask = torch.rand(2, 1, 10, 14, generator=rng)
    spectrum = volume(rng, mask=mask)
    expected = mask.view(2, 1, 5, 2, 7, 2).mean((3, 5))
    torch.testing.assert_close(moving_points(spectrum), expected)
    assert moving_points(volume(rng)) is None


def test_the_scale_to_a_picture_is_per_axis():
    motion = recorded(torch.zeros(1, 4, 2, 5, 7))
    assert motion.scaled_to((15, 14)).flatten().tolist() == [2.0, 3.0]


def test_fields_of_inconsistent_shapes_are_refused(rng):
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    with pytest.raises(TypeError, match="frequencies_hz"):
        SpectralVolume(coeffs, torch.arange(1.0, 5.0), (5, 7))


def test_a_summary_names_bands_grid_and_amplitude(rng):
    coeffs = torch.randn(1, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    bare = SpectralVolume(coeffs, torch.tensor([0.2, 0.4, 0.6]), (20, 28))
    size = float(amplitude_pct(one_period(bare))[0])
    text = summary(bare)
    assert "3 bands from 0.20 to 0.60 Hz, of a still of 28x20, on a grid of 7x5." in text
    assert f"Amplitude {size:.2f} % of the longer side." in text and "Recorded" not in text
    field = torch.randn(2, 2, 5, 7, generator=rng)
    recorded = summary(replace(bare, coeffs=coeffs.repeat(2, 1, 1, 1, 1), mean=field))
    assert "of 2 stills" in recorded and "Recorded: mean and drift are kept" in recorded
    modes = summary(replace(bare, kind="modes", damping_ratio=torch.ones(3)))
    assert "3 modes" in modes and "Amplitude" not in modes


def test_an_item_of_a_batch_is_its_motion_alone(rng):
    masks, mean = torch.rand(2, 1, 20, 28), torch.rand(2, 2, 5, 7, dtype=torch.float64)
    both = volume(rng, mask=masks, mean=mean)
    one = of_still(both, 1)
    assert torch.equal(one.coeffs, both.coeffs[1:]) and torch.equal(one.mask, masks[1:])
    assert torch.equal(one.mean, mean[1:]) and one.drift is None


def test_of_still_takes_all_that_belongs_to_one(rng):
    fields = {"velocity": 2, "light": (3, 1), "mean": 2, "drift": 2}
    made = {
        name: torch.randn(2, *((size,) if name != "light" else size), 5, 7, generator=rng)
        for name, size in fields.items()
    }
    made["light"] = made["light"].to(torch.complex64)
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    both = SpectralVolume(coeffs, torch.arange(1.0, 4), (20, 28), **made)
    found = of_still(replace(both, behind=both), 1)
    for part in (found, found.behind):
        for name in ("coeffs", *fields):
            assert torch.equal(getattr(part, name), getattr(both, name)[1:]), name
    alone = of_still(replace(both, behind=found), 1)  # one behind for all
    assert torch.equal(alone.behind.coeffs, coeffs[1:])
