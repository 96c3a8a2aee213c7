import numpy as np
import pytest

from gid_core.footage.timing import as_browsers, average_rate, shown_s, webp_times


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001, 59.94])
@pytest.mark.parametrize("digits", [2, 3])
def test_a_header_that_nearly_agrees_is_exact(fps, digits):
    times = np.round(np.arange(100) / fps, digits).tolist()
    assert average_rate(times, fps) == fps
    assert average_rate(times[::-1], None) == pytest.approx(fps, rel=0.01)


def test_a_header_that_disagrees_does_not_count():
    assert average_rate([0.0, 0.03, 0.07, 0.1], 1 / 0.03) == pytest.approx(30)
    assert average_rate([0.0, 0.1, 0.4], 10.0) == pytest.approx(5)


def test_fields_are_no_frames():
    assert average_rate((np.arange(90) / 50).tolist(), 25.0) == 25


@pytest.mark.parametrize("times", [[], [3.0], [1.0, 1.0]])
def test_without_two_times_the_header_is_all(times):
    assert average_rate(times, 25.0) == 25 and average_rate(times, None) is None


def test_what_follows_a_pause_does_not_count():
    assert average_rate([0.0, 0.1, 0.2, 1e6, 1e6 + 1], None) == pytest.approx(10)


def test_short_frames_last_a_tenth_of_a_second():
    assert shown_s([0, 0.01, 0.011, 0.02]).tolist() == [0.1, 0.1, 0.011, 0.02]
    assert as_browsers([5.0, 5.01, 5.03]) == pytest.approx([0, 0.1, 0.12])
    assert as_browsers([]) == []


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF1234WEBPANMF\xff\xff\xff\xff", bytes(400)])
def test_what_is_no_webp_has_no_times(data):
    assert webp_times(data) in ([], [0.0])
