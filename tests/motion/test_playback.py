from dataclasses import replace

import pytest
import torch

from gid_core.motion.curves import Curve
from gid_core.motion.displacement import Light
from gid_core.motion.playback import first_frame, left_out, pace_curve, play
from gid_core.motion.spectrum import (
    SpectralVolume,
    amplitude_pct,
    displacement_at,
    moving_points,
    one_period,
)


def volume(rng, bands=3, **fields):
    coeffs = torch.randn(2, bands, 2, 5, 7, generator=rng, dtype=torch.complex64)
    frequencies = torch.arange(1, bands + 1) / 2  # of a period of two seconds
    return SpectralVolume(coeffs, frequencies, (20, 28), **fields)


def trended(rng):
    return volume(rng, **{n: torch.randn(2, 2, 5, 7, generator=rng) for n in ("mean", "drift")})


def paced(frames, fps, text, loop=True):
    return pace_curve(text, frames / fps, loop)


def frames_of(motion, item=0):
    return motion.at(item)


def amplitude_of(motion, spectrum):
    return amplitude_pct(motion, moving_points(spectrum))


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"frames": 0}, "at least 1 frame, got 0"),
        ({"frames": -3}, "got -3"),
        ({"fps": 0.0}, "frame rate above 0"),
        ({"fps": -8.0}, "frame rate above 0, got -8"),
        ({"fps": float("nan")}, "frame rate above 0"),
        ({"fps": float("inf")}, "frame rate above 0"),
        ({"speed": 0.0}, "speed above 0"),
        ({"speed": -1.0}, "speed above 0, got -1"),
        ({"speed": float("nan")}, "speed above 0"),
        ({"pose": "lotus"}, "rest pose, first frame, got"),
        ({"fps": 1.0}, r"below 0\.50 Hz; 1 frames per second.*less than 0\.50.*more than 1\.00"),
        ({"speed": 8.0}, r"below 4\.00 Hz; 8 frames per second.*a lower speed"),
    ],
)
def test_values_out_of_range_are_refused(rng, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        play(volume(rng), **{"frames": 16, "fps": 8.0} | change)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("change", [{"fps": 3.0}, {"speed": 3.0, "fps": 8.0}])
def test_bands_that_a_rate_cannot_show_are_left_out_and_said(rng, loop, change):
    spectrum = volume(rng)
    fewer = replace(
        spectrum, coeffs=spectrum.coeffs[:, :2], frequencies_hz=spectrum.frequencies_hz[:2]
    )
    said = left_out(spectrum, change["fps"], change.get("speed", 1.0))
    motion, _ = play(spectrum, 6, loop=loop, **change)
    expected, _ = play(fewer, 6, loop=loop, **change)
    assert torch.equal(motion.coeffs, expected.coeffs)
    assert torch.equal(motion.modal_coords, expected.modal_coords)
    lost = spectrum.coeffs[:, 2].abs().square().sum() / spectrum.coeffs.abs().square().sum()
    assert said.startswith("1 of 3 bands are left out") and f"{100 * lost:.0f} %" in said
    assert left_out(spectrum, 8.0) == ""


def test_modes_cannot_be_played(rng):
    modes = volume(rng, damping_ratio=torch.full((3,), 0.1), kind="modes")
    with pytest.raises(ValueError, match="got one of modes.*until something pushes them"):
        play(modes, 16, 8.0)


def test_a_loop_of_the_spectrums_period_is_the_spectrum(rng):
    spectrum = volume(rng)
    motion, report = play(spectrum, 16, 8.0)
    expected = displacement_at(spectrum, torch.arange(16) / 8)
    assert motion.loop and motion.frames == 16 and report.shift_hz == 0 and not report.changed
    torch.testing.assert_close(frames_of(motion, 1), expected[1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("frames, fps, speed", [(16, 8.0, 1.0), (23, 8.0, 1.0), (100, 29.97, 0.7)])
def test_the_frame_after_a_loops_last_is_its_first(rng, frames, fps, speed):
    spectrum = volume(rng)
    motion, _ = play(spectrum, frames, fps, speed=speed)
    path = frames_of(motion, 1)
    ahead = path.roll(-1, 0)
    for _ in ("position", "velocity", "acceleration"):  # each continues across the seam
        step = (ahead - path).square().mean((1, 2, 3)).sqrt()
        assert step[-1] <= 1.5 * step[:-1].max()
        path, ahead = ahead - path, ahead.roll(-1, 0) - ahead


def test_a_clip_is_played_as_recorded(rng):
    spectrum = trended(rng)
    motion, report = play(spectrum, 21, 8.0, loop=False)
    expected = displacement_at(spectrum, torch.arange(21, dtype=torch.float64) / 8)
    assert report is None and not motion.loop
    torch.testing.assert_close(frames_of(motion, 1), expected[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_twice_the_speed_is_every_second_frame(rng, loop):
    spectrum = trended(rng)
    slow, _ = play(spectrum, 32, 16.0, loop)
    fast, _ = play(spectrum, 16, 16.0, loop, speed=2.0)
    torch.testing.assert_close(frames_of(fast), frames_of(slow)[::2], rtol=0, atol=2e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_the_gain_is_a_factor(rng, loop):
    spectrum = trended(rng)
    once, _ = play(spectrum, 16, 8.0, loop)
    for gain in (0.0, 2.5):
        scaled, _ = play(spectrum, 16, 8.0, loop, gain=gain)
        torch.testing.assert_close(frames_of(scaled), gain * frames_of(once))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("frames", [1, 16, 23])
def test_in_the_pose_first_frame_a_clip_starts_with_the_still(rng, loop, frames):
    motion, _ = play(trended(rng), frames, 8.0, loop, pose="first frame")
    for item in range(2):
        assert not frames_of(motion, item)[0].any()
        assert frames == 1 or frames_of(motion, item)[1:].any()


def test_reports_say_whether_frame_0_is_the_still(rng):
    first, _ = play(trended(rng), 12, 8.0, pose="first frame")
    assert first_frame(first) == "Frame 0 is the still."
    rest, _ = play(trended(rng), 12, 8.0)
    far = float((rest.at(0, [0])[0] * rest.scaled_to(rest.reference_size)).norm(dim=0).max())
    for item in range(1, len(rest.coeffs)):
        part = rest.at(item, [0])[0] * rest.scaled_to(rest.reference_size)
        far = max(far, float(part.norm(dim=0).max()))
    assert first_frame(rest).startswith(f"Frame 0 is not the still: things are up to {far:.1f} px")
    assert first_frame(replace(rest, coeffs=0 * rest.coeffs)) == "Frame 0 is the still."


def test_light_phases_and_what_flows_behind_count_in_frame_0(rng):
    rest, _ = play(volume(rng), 12, 8.0)
    calm = replace(rest, coeffs=0 * rest.coeffs)
    bright = torch.full((1, 1, 1, 2, 3), 0.08, dtype=torch.complex64)
    lit = replace(calm, light=Light(bright, torch.ones(1, 12, dtype=torch.complex64)))
    assert first_frame(lit) == "Frame 0 is not the still: its light differs by up to 8 % there."
    assert first_frame(replace(calm, behind=rest)) == first_frame(rest)
    both = first_frame(replace(rest, behind=lit))
    assert both.startswith("Frame 0 is not the still: things are up to")
    assert "there, and its light differs" in both
    # A second phase is elsewhere, and does not count while its weight is 0.
    still = torch.zeros_like(rest.modal_coords)
    weights = torch.zeros(2, 12)
    weights[0] = 1
    phases = replace(rest, modal_coords=still, further=rest.modal_coords[None], weights=weights)
    assert first_frame(phases) == "Frame 0 is the still."
    assert first_frame(replace(phases, weights=weights.flip(0))) == first_frame(rest)


@pytest.mark.parametrize("fps", [2.112294005376123, 10.0])
def test_a_loop_of_two_frames_is_refused_whatever_the_rate(rng, fps):
    spectrum = volume(rng, 1)
    spectrum = replace(spectrum, frequencies_hz=torch.tensor([fps / 2]))
    with pytest.raises(ValueError, match="no frequency below"):
        play(spectrum, 2, fps)


def test_the_pose_first_frame_keeps_the_motion_up_to_a_factor(rng):
    spectrum = volume(rng)
    rest, first = (play(spectrum, 16, 8.0, pose=p)[0] for p in ("rest pose", "first frame"))
    for item in range(2):
        course = frames_of(rest, item) - frames_of(rest, item)[:1]
        ratio = (frames_of(first, item) * course).sum() / course.square().sum()
        torch.testing.assert_close(frames_of(first, item), ratio * course, rtol=0, atol=1e-5)
        assert ratio > 0


def test_a_recording_in_the_pose_first_frame_is_not_scaled(rng):
    spectrum = trended(rng)
    rest, first = (play(spectrum, 21, 8.0, False, pose=p)[0] for p in ("rest pose", "first frame"))
    course = frames_of(rest, 1) - frames_of(rest, 1)[:1]
    torch.testing.assert_close(frames_of(first, 1), course, rtol=0, atol=1e-5)


@pytest.mark.parametrize("frames", [16, 9, 32, 75])
@pytest.mark.parametrize("pose", ["rest pose", "first frame"])
def test_a_loop_has_the_amplitude_of_the_spectrums_period(rng, frames, pose):
    mask = torch.zeros(2, 1, 20, 28)
    mask[..., 4:16, 6:20] = 1
    spectrum = volume(rng, mask=mask)
    motion, _ = play(spectrum, frames, 8.0, pose=pose)
    own = amplitude_of(one_period(spectrum), spectrum)
    # 16 frames in the rest pose are one period without a scale: peaks lie between its frames.
    tolerance = 0.08 if (frames, pose) == (16, "rest pose") else 1e-4
    torch.testing.assert_close(amplitude_of(motion, spectrum), own, rtol=tolerance, atol=0)


def test_the_seed_determines_a_long_loop(rng):
    spectrum = volume(rng)
    one, same, other = (frames_of(play(spectrum, 80, 8.0, seed=s)[0]) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    assert not torch.allclose(one[:16], one[16:32], atol=0.1)


def test_a_motion_carries_what_rendering_needs(rng):
    mask = torch.rand(2, 1, 20, 28, generator=rng)
    motion, _ = play(volume(rng, mask=mask), 16, 8.0)
    assert (motion.fps, motion.reference_size, motion.grid) == (8.0, (20, 28), (5, 7))
    assert torch.equal(motion.mask, mask)


def test_variable_speed_evaluates_the_motion_at_the_integral_of_the_speed(rng):
    spectrum = trended(rng)
    motion, _ = play(spectrum, 17, 8.0, loop=False, speed=1.5, pace=paced(17, 8.0, "0:1, 1:0, 2:1"))
    t = torch.arange(17, dtype=torch.float64) / 8
    # The speed falls as 1 - t until 1 s, and rises as t - 1 from there.
    elapsed = torch.where(t <= 1, t - t**2 / 2, 1 - t + t**2 / 2)
    expected = displacement_at(spectrum, 1.5 * elapsed)
    torch.testing.assert_close(frames_of(motion, 1), expected[1], rtol=0, atol=1e-5)


def test_a_loop_of_variable_speed_closes_exactly(rng):
    spectrum = volume(rng)
    motion, report = play(spectrum, 40, 20.0, pace=paced(40, 20.0, "0:0.5, 1:1.5, 2:0.5"))
    assert motion.loop and not report.changed and "jumps" not in str(report)  # 2 s of the motion
    path = frames_of(motion)
    step = (path.roll(-1, 0) - path).square().mean((1, 2, 3)).sqrt()
    assert step[-1] <= step[:-1].max()


def test_a_speed_that_jumps_at_the_seam_is_said(rng):
    _, report = play(volume(rng), 40, 20.0, pace=paced(40, 20.0, "0:0.5, 2:1.5"))
    assert "speed jumps by 1.00 where the loop begins again" in str(report)


def test_a_constant_pace_is_the_speed_and_a_drawn_one_spans_the_clip(rng):
    spectrum = volume(rng)
    plain = frames_of(play(spectrum, 16, 8.0)[0])
    drawn = pace_curve("", 2.0, True, Curve((0.0, 1.0), (1.0, 1.0)))
    for pace in (paced(16, 8.0, "0:1, 2:1"), drawn):
        torch.testing.assert_close(frames_of(play(spectrum, 16, 8.0, pace=pace)[0]), plain)
    assert drawn.x == (0, 2) and pace_curve("", 2.0, True) is None


def test_bands_that_are_too_fast_at_the_fastest_place_are_left_out(rng):
    spectrum = volume(rng)
    motion, _ = play(spectrum, 16, 8.0, loop=False, pace=paced(16, 8.0, "0:1, 1:3, 2:1"))
    assert len(motion.modal_coords) == 2  # of 0.5, 1 and 1.5 Hz the last would reach 4.5 Hz


@pytest.mark.parametrize(
    "pace, sentence",
    [
        ("0:1, 2:-1", "speeds from 0 on.*got -1 to 1.*backwards"),
        ("0:0, 2:0", "some above 0, got 0 to 0"),
        ("0:0, 2:0, 3:1", "above 0 somewhere within the clip"),
        ("fast", "curve of speed as points"),
        ("0:1, 1:20, 2:1", "no frequency below 10.00 Hz"),
    ],
)
def test_paces_out_of_range_are_refused(rng, pace, sentence):
    with pytest.raises(ValueError, match=sentence):
        play(volume(rng), 16, 8.0, pace=paced(16, 8.0, pace))
