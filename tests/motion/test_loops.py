import math
from dataclasses import replace

import pytest
import torch

from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import Displacement, displacement
from gid_core.motion.loops import (
    STEEP,
    LoopReport,
    blend_trajectories,
    close_loop,
    crossfade,
    crossfade_sound,
    passage,
    seam,
    split_clips,
)
from gid_core.motion.spectrum import SpectralVolume


def volume(rng, frequencies, batch=2, grid=(5, 7), **fields):
    shape = batch, len(frequencies), 2, *grid
    coeffs = torch.randn(shape, generator=rng, dtype=torch.complex64)
    return SpectralVolume(coeffs, torch.tensor(frequencies), (20, 28), **fields)


def energy(spectrum):
    return spectrum.coeffs.abs().square().sum((1, 2, 3, 4))


def position(spectrum, times):
    """Evaluated in float64, on the frequencies as they are stored."""
    times = torch.as_tensor(times, dtype=torch.float64)
    coords = harmonic_coords(spectrum.frequencies_hz.double(), times)
    return displacement(spectrum.coeffs.to(torch.complex128), coords)


def velocity(spectrum, times):
    turn = 2j * math.pi * spectrum.frequencies_hz.view(1, -1, 1, 1, 1)
    return position(replace(spectrum, coeffs=spectrum.coeffs * turn), times)


CLIPS = [  # frames, frames per second, speed
    (150, 30.0, 1.0),
    (100, 24.0, 1.0),
    (48, 25.0, 0.5),
    (61, 29.97, 2.0),
    (450, 30.0, 1.0),
    (7, 12.0, 1.0),
]


@pytest.mark.parametrize("frames, fps, speed", CLIPS)
def test_a_closed_loop_is_periodic_in_position_and_velocity(rng, frames, fps, speed):
    spectrum = volume(rng, [0.2 * k * speed for k in range(1, 17)])
    period_s = frames / fps
    closed, _ = close_loop(spectrum, period_s, seed=5)
    times = torch.tensor([0.0, 0.31, 1.7], dtype=torch.float64)
    # Frequencies are stored in float32: 16 bands of amplitude 1, 2 pi f T up to 300 rad, 6e-8.
    torch.testing.assert_close(
        position(closed, times + period_s), position(closed, times), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(
        velocity(closed, times + period_s), velocity(closed, times), rtol=0, atol=1e-2
    )
    cycles = closed.frequencies_hz * period_s
    torch.testing.assert_close(cycles, cycles.round().clamp(min=1))


@pytest.mark.parametrize("period_s", [0.5, 2.0, 4.0, 8.0, 16.0])
def test_a_loop_of_frequencies_exact_in_float32_is_exactly_periodic(rng, period_s):
    # Such periods, and their harmonics, are exact in float32: nothing is left to round.
    closed, _ = close_loop(volume(rng, [0.25 * k for k in range(1, 13)]), period_s, seed=5)
    times = torch.tensor([0.0, 0.31, 1.7], dtype=torch.float64)
    for motion in (position, velocity):
        before, after = motion(closed, times), motion(closed, times + period_s)
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("period_s", [5.0, 2.5])
def test_bands_that_are_harmonics_are_unchanged(rng, period_s):
    spectrum = volume(rng, [k / period_s for k in range(1, 9)])
    closed, report = close_loop(spectrum, period_s)
    assert torch.equal(closed.coeffs, spectrum.coeffs)
    torch.testing.assert_close(closed.frequencies_hz, spectrum.frequencies_hz)
    assert report == LoopReport(0.0, 0.0, False) and "nothing was moved" in str(report)


def test_a_band_moves_to_the_nearest_harmonic_that_is_not_zero(rng):
    # 0.4 Hz would be nearest to zero.
    spectrum = volume(rng, [0.4, 2.2, 2.9])
    closed, report = close_loop(spectrum, 1.0)
    assert closed.frequencies_hz.tolist() == [1.0, 2.0, 3.0]
    assert torch.equal(closed.coeffs, spectrum.coeffs)
    assert report.shift_hz == pytest.approx(0.6)
    assert report.shift_share == pytest.approx(1.5) and report.changed


def test_energies_add_where_bands_are_merged(rng):
    spectrum = volume(rng, [0.2 * k for k in range(1, 17)])
    closed, _ = close_loop(spectrum, 1.0)
    assert closed.frequencies_hz.tolist() == [1.0, 2.0, 3.0]
    torch.testing.assert_close(energy(closed), energy(spectrum), rtol=1e-5, atol=0)


def test_energies_add_although_the_bands_cancel(rng):
    spectrum = volume(rng, [0.9, 1.1])
    opposed = spectrum.coeffs.clone()
    opposed[:, 1] = -0.9 * opposed[:, 0]
    closed, _ = close_loop(replace(spectrum, coeffs=opposed), 1.0)
    expected = energy(replace(spectrum, coeffs=opposed))
    torch.testing.assert_close(energy(closed), expected, rtol=1e-4, atol=0)


def test_a_long_loop_spreads_its_bands_and_keeps_their_energy(rng):
    spectrum = volume(rng, [0.2 * k for k in range(1, 9)])
    closed, report = close_loop(spectrum, 15.0, seed=3)
    torch.testing.assert_close(energy(closed), energy(spectrum), rtol=1e-5, atol=0)
    # Three harmonics of 1 / 15 s in every 0.2 Hz, from half of it below the first band.
    assert (closed.frequencies_hz * 15).round().tolist() == list(range(2, 26))
    assert report.shift_hz == 0 and report.changed and "spread" in str(report)


@pytest.mark.parametrize("period_s", [5.1, 7.0, 12.5])
def test_a_slightly_longer_loop_has_no_gaps_between_its_harmonics(rng, period_s):
    spectrum = volume(rng, [0.2 * k for k in range(1, 9)])
    closed, report = close_loop(spectrum, period_s)
    torch.testing.assert_close(energy(closed), energy(spectrum), rtol=1e-5, atol=0)
    assert (closed.frequencies_hz * period_s).round().diff().max() == 1
    assert report.changed and report.shift_hz < 0.1
    # The energy of a band goes to harmonics within half its spacing and half of theirs.
    alone = replace(spectrum, coeffs=torch.zeros_like(spectrum.coeffs))
    alone.coeffs[:, 3] = 1
    spread, _ = close_loop(alone, period_s)
    there = spread.frequencies_hz[spread.coeffs.abs().amax((0, 2, 3, 4)) > 0]
    assert (there - 0.8).abs().max() < 0.1 + 0.5 / period_s


@pytest.mark.parametrize("period_s", [80.0, 100.0, 137.0, 900.0])
def test_a_very_long_loop_keeps_the_energy(rng, period_s):
    # The number of harmonics is limited.
    spectrum = volume(rng, [0.2 * k for k in range(1, 17)], grid=(2, 3))
    for seed in range(3):
        closed, report = close_loop(spectrum, period_s, seed)
        torch.testing.assert_close(energy(closed), energy(spectrum), rtol=1e-4, atol=0)
        assert len(closed.frequencies_hz) <= 16 * 16 + 16 and report.shift_hz < 0.2


def test_a_long_loop_does_not_repeat_within_itself(rng):
    spectrum = volume(rng, [0.2 * k for k in range(1, 9)])
    closed, _ = close_loop(spectrum, 15.0, seed=3)
    times = torch.arange(0, 5, 0.1)
    first, size = position(closed, times), position(closed, times).square().mean()
    for later in (5.0, 10.0):
        assert (position(closed, times + later) - first).square().mean() > size / 2
    after = position(closed, times + 15.0)
    torch.testing.assert_close(after, first, rtol=0, atol=1e-4)


def test_the_seed_determines_the_phases_of_a_long_loop(rng):
    spectrum = volume(rng, [0.2, 0.4, 0.6])
    one, same, other = (close_loop(spectrum, 15.0, seed)[0].coeffs for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_a_loop_has_neither_mean_nor_drift(rng):
    fields = {name: torch.randn(2, 2, 5, 7, generator=rng) for name in ("mean", "drift")}
    for names in ([], ["mean"], ["drift"], ["mean", "drift"]):
        kept = {name: fields[name] for name in names}
        closed, report = close_loop(volume(rng, [0.2, 0.4], **kept), 5.0)
        assert closed.mean is None and closed.drift is None
        assert report.dropped == ("mean and drift are left out" in str(report)) == bool(names)


def test_the_report_warns_of_shifts_above_a_tenth():
    small, large = (str(LoopReport(0.05, share, True)) for share in (0.1, 0.11))
    assert "0.050 Hz" in small and "%" not in small
    assert "11 %" in large and "a multiple of it" in large


def test_the_seam_of_a_sampled_circle_equals_every_other_step():
    angle = 2 * math.pi * torch.arange(12) / 12
    frames = torch.stack([angle.cos(), angle.sin()], 1)
    measured = seam(frames)
    step = 2 * math.sin(math.pi / 12) / math.sqrt(2)
    for value in (measured.wrap, measured.largest_inside, measured.median_inside):
        assert value == pytest.approx(step, rel=1e-5)
    assert "(1.00 times)" in str(measured)


def test_the_seam_of_a_ramp_is_its_jump():
    frames = torch.arange(5.0).view(5, 1, 1).expand(5, 2, 3)
    measured = seam(frames)
    assert (measured.wrap, measured.largest_inside, measured.median_inside) == (4, 1, 1)


def test_the_seam_of_a_single_frame_is_zero():
    measured = seam(torch.ones(1, 2, 3))
    assert (measured.wrap, measured.largest_inside, measured.median_inside) == (0, 0, 0)
    assert "(0.00 times)" in str(measured)


def test_crossfading_a_constant_clip_changes_nothing():
    frames = torch.full((9, 2, 3), 0.7)
    torch.testing.assert_close(torch.stack(list(crossfade(frames, 4))), frames[:5])


@pytest.mark.parametrize("count, overlap", [(9, 1), (9, 4), (10, 5), (2, 1)])
def test_crossfading_shortens_by_the_overlap_and_keeps_the_rest(rng, count, overlap):
    frames = torch.randn(count, 2, 3, generator=rng)
    closed = list(crossfade(frames, overlap))
    assert len(closed) == count - overlap
    for t in range(overlap, count - overlap):
        assert torch.equal(closed[t], frames[t])


def test_after_a_crossfade_the_first_frame_continues_the_last():
    # Every frame holds its own number, so that the result shows the weights of the fade.
    count, overlap = 40, 16
    closed = torch.stack(list(crossfade(torch.arange(float(count)).view(-1, 1), overlap)))[:, 0]
    shares = [0.5 - 0.5 * math.cos(math.pi * (t + 0.5) / overlap) for t in range(overlap)]
    kept = count - overlap
    expected = [(1 - s) * (kept + t) + s * t for t, s in enumerate(shares)]
    torch.testing.assert_close(closed[:overlap], torch.tensor(expected))
    assert closed[-1] == kept - 1  # which frame `kept` follows in the clip:
    assert abs(closed[0] - kept) < 0.003 * kept
    assert abs(closed[overlap] - closed[overlap - 1] - 1) < 0.003 * kept


def test_a_crossfade_of_more_than_one_period_of_a_loop_gives_the_loop():
    angle = 2 * math.pi * torch.arange(26) / 20
    frames = torch.stack([angle.cos(), angle.sin()], 1)
    closed = torch.stack(list(crossfade(frames, 6)))
    torch.testing.assert_close(closed, frames[:20], rtol=0, atol=1e-5)


@pytest.mark.parametrize("count, overlap", [(9, 5), (9, 0), (9, -1), (1, 1), (0, 1)])
def test_an_overlap_longer_than_half_the_clip_is_refused(count, overlap):
    with pytest.raises(ValueError, match=rf"half the clip's {count} frames, got {overlap}"):
        list(crossfade(torch.zeros(count, 2, 3), overlap))


def test_blended_trajectories_are_a_loop(rng):
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    coords = torch.randn(3, 9, generator=rng, dtype=torch.complex64)
    motion = Displacement(coeffs, coords, 8.0, (20, 28))
    blended = blend_trajectories(motion, 4)
    assert blended.loop and blended.frames == 5
    for item in range(2):
        expected = torch.stack(list(crossfade(motion.at(item), 4)))
        torch.testing.assert_close(blended.at(item), expected)


def test_what_flows_is_not_faded(rng):
    coeffs = torch.randn(1, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    coords = torch.randn(3, 9, generator=rng, dtype=torch.complex64)
    motion = Displacement(coeffs, coords, 8.0, (20, 28))
    flowing = replace(motion, further=coords[None], weights=torch.full((2, 9), 0.5))
    for flows in (flowing, replace(motion, behind=flowing)):
        with pytest.raises(ValueError, match="got one that flows.*connect the flow itself"):
            blend_trajectories(flows, 4)


def test_frames_are_split_into_consecutive_clips(rng):
    frames = torch.randn(6, 2, 3, generator=rng)
    for clips in (1, 2, 3, 6):
        assert torch.equal(torch.stack(split_clips(frames, clips)).flatten(0, 1), frames)
        assert len(split_clips(frames, clips)) == clips


@pytest.mark.parametrize("clips", [4, 0, -2, 7])
def test_clips_of_different_lengths_are_refused(clips):
    with pytest.raises(ValueError, match=f"Expected {clips} clips of one length, got 6 frames"):
        split_clips(torch.zeros(6, 2, 3), clips)


def test_a_sound_is_closed_as_the_frames_are(rng):
    sound = torch.randn(1, 2, 1000, generator=rng)
    closed = crossfade_sound(sound, 1000.0, 200.0)
    assert closed.shape == (1, 2, 800)
    assert torch.equal(closed[..., 200:], sound[..., 200:800])
    # At the seam the end goes on: what came after sample 799 was sample 800.
    assert (closed[..., 0] - sound[..., 800]).abs().max() < 0.02
    assert (closed[..., 199] - sound[..., 199]).abs().max() < 0.02
    assert closed[..., :200].std() == pytest.approx(float(sound.std()), rel=0.15)


@pytest.mark.parametrize("samples", [700, 1300])
def test_a_sound_of_another_length_is_cut_or_ends_in_silence(samples):
    closed = crossfade_sound(torch.ones(1, 1, samples), 1000.0, 100.0)
    assert closed.shape == (1, 1, 900)
    assert (closed[..., -100:] == (0 if samples < 900 else 1)).all()


def test_a_passage_goes_from_one_to_the_other_at_rest_at_both_ends():
    done = torch.linspace(0, 1, 101, dtype=torch.float64)
    left, arrived = passage(done)
    torch.testing.assert_close(left + arrived, torch.ones_like(done))
    torch.testing.assert_close(left.flip(0), arrived)
    assert left[0] == 1 and arrived[0] == 0 and arrived[50] == pytest.approx(0.5)
    assert (arrived.diff() > 0).all() and arrived[1] < 1e-6
    # The logit is that of a fade by cos^2, so many times.
    turn = math.pi / 2 * done[1:-1]
    torch.testing.assert_close((arrived / left).log()[1:-1], 2 * STEEP * turn.tan().log())
