from dataclasses import replace

import pytest
import torch

from gid_core.motion.curves import Curve
from gid_core.motion.envelope import Pulse, Sound, envelope, followed, sound_level
from gid_core.motion.playback import play
from gid_core.motion.spectrum import SpectralVolume

FPS, FRAMES = 30.0, 60  # two seconds
RATE = 8000.0


@pytest.fixture
def motion(rng):
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    return play(SpectralVolume(coeffs, torch.arange(1, 4) / 2, (20, 28)), FRAMES, FPS)[0]


def clicks(times, seconds=2.0, hz=1000.0):
    """A sound of short bursts of a tone, each 20 ms long."""
    samples = torch.zeros(2, round(seconds * RATE))
    burst = torch.sin(2 * torch.pi * hz * torch.arange(160) / RATE)
    for t in times:
        samples[:, round(t * RATE) : round(t * RATE) + 160] += burst
    return Sound(samples, RATE, 200.0, 3000.0)


def peaks_of(strength):
    """Frames at which the strength is larger than around, by half at least."""
    around = torch.nn.functional.max_pool1d(strength[None], 7, 1, 3)[0]
    return ((strength == around) & (strength > 0.5)).nonzero().flatten().tolist()


def test_the_displacement_is_times_the_strength_at_every_frame(motion):
    changed, report, strength = envelope(motion, "0:0.2, 0.5:2, 2:0.2")
    expected = motion.at(1) * strength[:-1].view(-1, 1, 1, 1).float()
    torch.testing.assert_close(changed.at(1), expected, rtol=1e-5, atol=1e-5)
    assert changed.loop and str(report) == "Strength from 0.20 to 2.00."
    assert strength[15] == pytest.approx(2) and strength[30] == pytest.approx(1.4)


def test_no_envelope_is_the_same_bits(motion):
    changed, _, _ = envelope(motion)
    assert torch.equal(changed.modal_coords, motion.modal_coords) and changed.loop


def test_a_curve_that_does_not_close_is_no_loop_and_says_so(motion):
    changed, report, _ = envelope(motion, "0:1, 2:0.4")
    assert not changed.loop
    assert "No loop any more: the strength ends 0.60 from where it begins" in str(report)


def test_a_list_goes_once_around_a_loop(motion):
    changed, _, strength = envelope(motion, "1, 0, 0.5")
    assert changed.loop and strength[[0, 20, 40, 60]].tolist() == pytest.approx([1, 0, 0.5, 1])


def test_the_text_wins_over_the_drawn_curve_which_spans_the_clip(motion):
    drawn = Curve((0.0, 0.5, 1.0), (1.0, 0.0, 1.0))
    assert envelope(motion, drawn=drawn)[2][30] == 0
    assert envelope(motion, "0:3, 1:3", drawn)[2].tolist() == [3] * 61


@pytest.mark.parametrize("attack", [0.0, 0.05, 0.2])
def test_peaks_lie_within_a_frame_of_the_clicks_after_the_attack(motion, attack):
    times = [0.31, 0.87, 1.44]
    changed, _, strength = envelope(motion, sound=clicks(times), pulse=Pulse(attack, 0.15))
    assert changed.loop and strength.max() <= 1
    found = peaks_of(strength[:-1])
    assert len(found) == 3
    for frame, t in zip(found, times):
        assert -1 <= frame - (t + attack) * FPS <= 1.6  # a burst lasts 0.6 of a frame


def test_a_sound_of_another_band_is_not_heard(motion):
    sound = clicks([0.5])
    other = clicks([1.3], hz=100.0)
    both = Sound(sound.samples + other.samples, RATE, 200.0, 3000.0)
    _, _, strength = envelope(motion, sound=both, pulse=Pulse(0.0, 0.1))
    assert peaks_of(strength[:-1]) in ([15], [16]) and strength[39:42].max() < 0.15


def test_attack_is_linear_and_release_exponential():
    level = torch.zeros(2000, dtype=torch.float64)
    level[300] = 1
    found = followed(level, Pulse(0.1, 0.25), loop=False)
    assert found[300:401].diff().max() < 0.011 and found[400] == pytest.approx(1)
    assert found[350] == pytest.approx(0.5, abs=0.02)
    assert found[650] / found[400] == pytest.approx(1 / torch.e, rel=1e-2)


def test_in_a_loop_what_rings_at_the_end_is_heard_at_the_beginning():
    level = torch.zeros(1000, dtype=torch.float64)
    level[900] = 1
    round_ = followed(level, Pulse(0.05, 0.3), loop=True)
    torch.testing.assert_close(followed(level.roll(550), Pulse(0.05, 0.3), True), round_.roll(550))
    assert followed(level, Pulse(0.05, 0.3), loop=False)[0] < 1e-9 < round_[0]


def test_beats_pulse_at_each_beat_above_the_floor(motion):
    changed, report, strength = envelope(motion, bpm=120.0, pulse=Pulse(0.0, 0.05, 0.4))
    assert peaks_of(strength[:-1]) == [0, 15, 30, 45] and changed.loop
    assert strength.min() == pytest.approx(0.4, abs=1e-3) and strength.max() == 1
    assert "4 beats in 2 s" in str(report)


def test_beats_that_do_not_fill_a_loop_are_said(motion):
    _, report, _ = envelope(motion, bpm=100.0)
    assert "3.33 beats in 2 s" in str(report) and "loop of 1.8 s holds whole beats" in str(report)


def test_a_sound_of_another_length_is_said(motion):
    _, report, _ = envelope(motion, sound=clicks([0.5], 3.0))
    assert "lasts 3.00 s, the clip 2.00 s: the beginning is heard" in str(report)
    _, report, _ = envelope(motion, sound=clicks([0.2], 0.5))
    assert "the rest is silent" in str(report)


@pytest.mark.parametrize(
    "sound, sentence",
    [
        (Sound(torch.zeros(2, 0), RATE), "a sound, got an empty one"),
        (Sound(torch.zeros(0, 100), RATE), "a sound, got an empty one"),
        (Sound(torch.zeros(2, 16000), RATE), "silent from 0 to 20000 Hz within the clip's 2.00 s"),
        (Sound(torch.ones(1, 100), RATE, 500.0, 500.0), "from a lower to a higher frequency"),
        (Sound(torch.full((1, 100), torch.nan), RATE), "finite samples"),
        (Sound(torch.ones(1, 100), 0.0), "a rate above 0"),
    ],
)
def test_sounds_that_cannot_be_heard_are_refused(sound, sentence):
    with pytest.raises(ValueError, match=sentence):
        sound_level(sound, 2.0)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"curve": "0:1"}, "at least two"),
        ({"curve": "loud"}, "curve of strength as points"),
        ({"curve": "0:1e4, 2:1e4"}, "strengths from -100 to 100"),
        ({"bpm": -1.0}, "beats per minute above 0, up to 1000, got -1"),
        ({"bpm": 1e6}, "beats per minute"),
        ({"bpm": float("nan")}, "beats per minute"),
    ],
)
def test_envelopes_out_of_range_are_refused(motion, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        envelope(motion, **change)


@pytest.mark.parametrize("numbers", [(-0.1, 0.3, 0.0), (0.1, 0.0, 0.0), (0.1, 0.3, 1.1)])
def test_pulses_out_of_range_are_refused(numbers):
    with pytest.raises(ValueError, match="an attack from 0 to 60 s, a release above 0"):
        Pulse(*numbers)


def test_a_flow_is_refused_and_one_behind_keeps_its_course(motion):
    second = motion.modal_coords[None] - 1
    flowing = replace(motion, further=second, weights=torch.full((2, FRAMES), 0.5))
    with pytest.raises(ValueError, match="that sways, got one that flows"):
        envelope(flowing, "0:0.5, 2:0.5")
    changed, report, _ = envelope(replace(motion, behind=flowing), "0:0.5, 2:0.5")
    assert torch.equal(changed.modal_coords, 0.5 * motion.modal_coords)
    assert changed.behind is flowing
    assert str(report) == "Strength from 0.50 to 0.50. What flows behind it keeps its course."
