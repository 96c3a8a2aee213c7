import pytest
import torch
from hypothesis import given, strategies as st

from gid_core.motion.curves import Curve, parse_curve, ranges

numbers = st.floats(-100, 100).map(lambda x: round(x, 3))
points = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6, unique_by=lambda p: p[0])


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@given(points)
def test_a_curve_goes_through_its_points_and_is_flat_beyond_them(given_points):
    curve = Curve.of_points(given_points)
    torch.testing.assert_close(curve.at(doubles(*curve.x)), doubles(*curve.y), rtol=0, atol=1e-9)
    ends = curve.at(doubles(curve.x[0] - 7, curve.x[-1] + 7))
    assert ends.tolist() == pytest.approx([curve.y[0], curve.y[-1]])


@given(points, numbers, numbers)
def test_the_integral_is_that_of_the_trapezoidal_rule_between_all_corners(points, a, b):
    curve = Curve.of_points(points)
    low, high = sorted((a, b))
    stops = sorted({low, high, *(x for x in curve.x if low < x < high)})
    values = curve.at(doubles(*stops)).tolist()
    area = sum(
        (x1 - x0) * (y0 + y1) / 2 for x0, x1, y0, y1 in zip(stops, stops[1:], values, values[1:])
    )
    found = curve.integral(doubles(low, high))
    assert float(found[1] - found[0]) == pytest.approx(area, abs=1e-6)
    assert float(curve.integral(doubles(0.0))[0]) == 0


def test_convention_pairs_are_places_and_values():
    assert parse_curve(" 1:0.5, 0.2:1 ,3:0, ", 9.0) == Curve((0.2, 1.0, 3.0), (1.0, 0.5, 0.0))


def test_convention_values_alone_are_spread_and_in_a_circle_begin_again():
    assert parse_curve("1, 0.5, 0", 4.0) == Curve((0.0, 2.0, 4.0), (1.0, 0.5, 0.0))
    assert parse_curve("1 0.5 0 0", 4.0, periodic=True) == Curve(
        (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 0.5, 0.0, 0.0, 1.0)
    )


def test_no_text_is_no_curve():
    assert parse_curve(" \n", 4.0) is None


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("loud", "Expected a strength as points x:y.*got 'loud'"),
        ("1:2, 3", "as points x:y"),
        ("1:2:3, 4:5", "as points x:y"),
        ("1:nan, 2:0", "as points x:y"),
        ("1:1e400, 2:0", "as points x:y"),
        ("0:1e9, 1:0", "finite numbers up to 1e"),
        ("0.2:1", "2 to 10000 points, got 1"),
        ("0.7", "2 to 10000 points, got 1"),
        ("1:0, 1:2", "each place once in the strength, got 1 twice"),
        ("::", "as points x:y"),
        (",,", None),
    ],
)
def test_a_text_that_is_no_curve_is_refused(text, sentence):
    if sentence is None:
        assert parse_curve(text, 4.0, "strength") is None
        return
    with pytest.raises(ValueError, match=sentence):
        parse_curve(text, 4.0, "strength")


def test_ranges_of_frequencies_are_read():
    assert ranges("0.4, 1-2", "what to mute") == [(0.4, 0.4), (1.0, 2.0)]


@pytest.mark.parametrize("text", ["low", "2-1", "-1", "1-", "nan", "1-inf"])
def test_a_text_that_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match="what to mute as frequencies in Hz, as 0.4, 1-2, got"):
        ranges(text, "what to mute")
