import json
import math

import pytest
import torch

from gid_core.advection.strokes import MOST_POINTS, Stroke, on_grid, read_strokes

LINE = [[0.25, 0.5], [0.75, 0.5]]


def test_a_text_of_strokes_is_read():
    text = json.dumps([{"path": LINE, "speed": 1.5}, {"path": [[0, 1]], "speed": 0}])
    first, second = read_strokes(text)
    assert first == Stroke(((0.25, 0.5), (0.75, 0.5)), 1.5)
    assert second == Stroke(((0.0, 1.0),), 0.0)
    assert read_strokes(json.dumps({"version": 1, "strokes": json.loads(text)})) == (first, second)
    assert read_strokes(" ") == read_strokes("[]") == ()


@pytest.mark.parametrize(
    "text, message",
    [
        ("nonsense", "not readable as JSON"),
        ("[NaN]", "NaN, which is no number"),
        ("[" * 100_000, "not readable as JSON"),
        ("3", "Expected a list of strokes, got int"),
        ('{"version": 2, "strokes": []}', "format version 2"),
        ("[3]", "Stroke 1 is no object"),
        ('[{"path": [[0, 0], [1, 1]], "colour": 3}]', "'colour', which this release"),
        ("[{}]", "Stroke 1 has no path"),
        ('[{"path": [[0, 0, 0]]}]', r"points \[x, y\]"),
        ('[{"path": [[0, 2], [0, 1]]}]', "leaves the picture at"),
        ('[{"path": [[0, 1e999], [0, 1]]}]', "path to be a number"),
        ('[{"path": [[0, %s], [0, 1]]}]' % ("9" * 5000), "path to be a number"),
        ('[{"path": [[0, 0.5]]}]', "a single point, which leads nowhere"),
        ('[{"path": [[0, 0.5], [1, 0.5]], "speed": -1}]', "a speed from 0"),
        ('[{"path": [[0, 0.5], [1, 0.5]], "obstacle": 1}]', "true or false"),
    ],
)
def test_a_wrong_text_is_refused_with_its_reason(text, message):
    with pytest.raises(ValueError, match=message):
        read_strokes(text)


def test_thousands_of_points_are_read_and_too_many_refused():
    wave = [[i / 4999, 0.5 + 0.4 * math.sin(i / 50)] for i in range(5000)]
    (stroke,) = read_strokes(json.dumps([{"path": wave}]))
    assert len(stroke.path) == 5000 and (on_grid((stroke,), (12, 16)).count > 0).any()
    with pytest.raises(ValueError, match=f"at most {MOST_POINTS} points in all, got 25000"):
        read_strokes(json.dumps([{"path": wave}] * 5))


def test_convention_a_stroke_points_from_its_first_point_to_its_last():
    hints = on_grid((Stroke(((0.1, 0.5), (0.9, 0.5)), 2.0),), (3, 10))
    heading = hints.heading / hints.count.clamp(min=1)
    assert hints.count[1].tolist() == [0.0] + [2.0] * 8 + [0.0]
    assert not hints.count[[0, 2]].any()
    torch.testing.assert_close(heading[0, 1, 1:9], torch.full((8,), 2.0))
    assert not heading[1].any()


def test_the_order_of_strokes_does_not_matter():
    strokes = Stroke(((0.1, 0.2), (0.9, 0.7))), Stroke(((0.9, 0.1), (0.2, 0.9)), 0.5)
    one, other = on_grid(strokes, (9, 13)), on_grid(strokes[::-1], (9, 13))
    torch.testing.assert_close(one.heading, other.heading)
    assert torch.equal(one.count, other.count)


def test_an_obstacle_and_a_still_point_lead_nowhere():
    strokes = Stroke(((0.5, 0.5),), 0.0), Stroke(((0.0, 0.0), (0.9, 0.0)), obstacle=True)
    hints = on_grid(strokes, (4, 5))
    assert hints.obstacle.sum() == 5 and hints.obstacle[0].all()
    assert hints.count.sum() == 1 and not hints.heading.any()
