"""Tracks as text, there and back, and the times that ATI reads."""

import json
import math

import pytest
import torch

from gid_core.exchange.text import ATI_SAMPLES, as_text, ati_times, from_text


def test_text_read_back_is_the_tracks_to_a_hundredth(rng):
    paths = 900 * torch.rand(7, 5, 2, generator=rng) - 20
    read, known = from_text(as_text(paths))
    assert known.all() and known.shape == (7, 5)
    assert (read - paths).abs().max() <= 0.0051


def test_convention_a_track_is_a_list_of_x_and_y():
    text = as_text(torch.tensor([[[1.0, 2.0]], [[3.5, 4.256]]]))
    assert json.loads(text) == [[{"x": 1.0, "y": 2.0}, {"x": 3.5, "y": 4.26}]]


def read_by_ati(samples, frames):
    """Which of 121 samples ATI reads for each frame, as its code repeats and skips them."""
    steps = frames - 1
    common = math.gcd(120, steps)
    later = torch.repeat_interleave(samples[1:], steps // common)[1 :: 120 // common]
    return torch.cat([samples[:1], later])


@pytest.mark.parametrize("frames", [2, 5, 17, 33, 49, 61, 81, 113])
def test_ati_reads_every_frames_own_time(frames):
    read = read_by_ati(ati_times(frames), frames)
    assert len(read) == frames
    torch.testing.assert_close(read, torch.linspace(0, 1, frames, dtype=torch.float64))


@pytest.mark.parametrize("frames", [2, 49, 81, 121, 161, 257])
def test_ati_times_rise_from_start_to_end(frames):
    times = ati_times(frames)
    assert len(times) == ATI_SAMPLES and times[0] == 0 and times[-1] > 0.99
    assert (times.diff() >= 0).all()


def test_a_single_track_and_short_tracks_are_read():
    read, known = from_text('[{"x": 1, "y": 2}, {"x": 3, "y": 4}]')
    assert read[:, 0].tolist() == [[1, 2], [3, 4]]
    read, known = from_text('[[{"x":1,"y":2},{"x":3,"y":4}],[{"x":5,"y":6}]]')
    assert known.tolist() == [[True, True], [True, False]]
    assert read[1, 1].tolist() == [5, 6]


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "{}", "[[]]", '[[{"x": 1}]]', '[[{"x": NaN, "y": 0}]]', '["a"]', "[" * 20_000],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="Expected tracks as JSON"):
        from_text(text)


def test_one_frame_has_no_times():
    with pytest.raises(ValueError, match="at least 2 frames"):
        ati_times(1)
