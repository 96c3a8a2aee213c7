import json
import math

import pytest

from gid_core.poke.gestures import MAX_GESTURES, RISE_S, read_gestures

PULL = {"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": -0.02, "hold": 0.6}


def read(*gestures):
    return read_gestures(json.dumps(gestures))


@pytest.mark.parametrize("text", ["", "  \n", "[]", '{"version": 1, "gestures": []}'])
def test_no_gestures_are_none(text):
    assert read_gestures(text) == ()


def test_a_pull_rises_and_is_held():
    (pull,) = read(PULL)
    assert (pull.t, pull.x, pull.y, pull.push) == (0.5, 0.4, 0.3, False)
    assert pull.end == pytest.approx(1.1)
    assert pull.offset(0) == (0, 0)
    assert pull.offset(RISE_S / 2) == pytest.approx((0.025, -0.01))
    assert pull.offset(RISE_S) == pull.offset(0.5) == pull.offset(9) == (0.05, -0.02)


def test_a_short_pull_rises_in_half_its_hold():
    (pull,) = read(PULL | {"hold": 0.1})
    assert pull.offset(0.05) == (0.05, -0.02)


def test_a_gesture_without_hold_is_a_flick():
    without = {k: v for k, v in PULL.items() if k != "hold"}
    assert [g.is_flick for g in read(PULL, without, PULL | {"hold": 0})] == [False, True, True]


def test_a_path_is_linear_between_its_points():
    (pull,) = read(PULL | {"path": [[0.2, 0.1, 0.0], [0.4, 0.1, 0.2]]})
    assert pull.offset(0.1) == pytest.approx((0.05, 0.0))
    assert pull.offset(0.3) == pytest.approx((0.1, 0.1))
    assert pull.offset(0.6) == (0.05, -0.02)


def test_several_fingers_keep_their_order():
    later, sooner = PULL | {"t": 3}, PULL | {"t": 0.7, "push": True}
    assert [g.t for g in read(later, sooner, PULL)] == [3, 0.7, 0.5]


def test_a_versioned_text_means_the_same():
    assert read_gestures(json.dumps({"version": 1, "gestures": [PULL]})) == read(PULL)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x": 1.2}, r"Gesture 1 is outside the picture: \(1.20, 0.30\)"),
        ({"y": -0.1}, "outside the picture"),
        ({"t": -1}, "expected t in seconds, 0 to 3600, got -1"),
        ({"hold": 1e6}, "expected hold in seconds"),
        ({"dx": 3}, "farther than the picture is large"),
        ({"dx": "far"}, "expected dx to be a number, got 'far'"),
        ({"x": True}, "expected x to be a number, got True"),
        ({"pressure": 1}, "has 'pressure', which this release does not know"),
        ({"push": 1}, "push to be true or false"),
        ({"push": True, "hold": 0}, "pushes for no time"),
        ({"path": [[0.1, 0]]}, r"expected places \[s, dx, dy\]"),
        ({"path": [[0.3, 0, 0], [0.2, 0, 0]]}, "must rise from above 0 to below its hold"),
        ({"path": "curve"}, "expected a path of at most"),
        ({"path": [[0.1, 2, 0]]}, "farther than the picture"),
    ],
)
def test_an_invalid_gesture_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(PULL | change)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("pull it", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ('[{"t": NaN, "x": 0, "y": 0, "dx": 0, "dy": 0}]', "hold NaN, which is no number"),
        ('[{"t": Infinity}]', "hold Infinity"),
        ("3", "Expected a list of gestures, got int"),
        ("[3]", "Gesture 1 is no object"),
        ('[{"t": 1, "x": 0}]', "Gesture 1 lacks y, dx, dy"),
        ('{"version": 2, "gestures": []}', "format version 2, this release reads version 1"),
        ('{"gestures": []}', "format version None"),
        (json.dumps([PULL] * (MAX_GESTURES + 1)), f"at most {MAX_GESTURES} gestures, got 1001"),
    ],
)
def test_a_text_that_is_no_list_of_gestures_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_gestures(text)


def test_as_many_gestures_as_allowed_are_read():
    assert len(read(*[PULL] * MAX_GESTURES)) == MAX_GESTURES
    assert math.isfinite(read(PULL)[0].end)


@pytest.mark.parametrize("digits", [301, 400, 5000])
def test_a_number_larger_than_any_is_a_sentence(digits):
    text = '[{"t": %s, "x": 0.1, "y": 0.2, "dx": 0.1, "dy": 0}]' % ("9" * digits)
    with pytest.raises(ValueError, match="Gesture 1: expected t to be a number, got inf"):
        read_gestures(text)
