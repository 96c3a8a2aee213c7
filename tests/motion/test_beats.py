import pytest

from gid_core.motion.beats import bars


@pytest.mark.parametrize("bpm, count, beats", [(120.0, 2, 4), (97.3, 3, 3), (174.0, 1, 7)])
def test_the_frames_last_exactly_as_long_as_the_bars(bpm, count, beats):
    found = bars(bpm, count, beats, 30.0)
    assert found.duration_s == pytest.approx(count * beats * 60 / bpm)
    assert found.frames / found.fps == pytest.approx(found.duration_s, rel=1e-12)
    assert found.fps == pytest.approx(30, rel=0.5 / found.frames)


def test_the_report_says_what_goes_once_in_a_bar():
    assert "A beat is 0.5000 s, a bar 2.0000 s. What moves at 0.500 Hz" in str(bars(120.0, 2))


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"bpm": 0.0}, "beats per minute above 0, up to 1000, got 0"),
        ({"bpm": float("nan")}, "beats per minute"),
        ({"count": 0}, "1 to 1000 bars of at least one beat, got 0 of 4"),
        ({"beats_per_bar": 0}, "got 2 of 0"),
        ({"fps": 0.0}, "frame rate above 0"),
        ({"bpm": 1.0, "count": 100}, "at most 600 s in all, got 24000 s"),
    ],
)
def test_bars_out_of_range_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        bars(**{"bpm": 120.0, "count": 2} | change)
