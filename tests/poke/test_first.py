import pytest
import torch
from test_response import H, W, modes

from gid_core.motion.spectrum import SpectralVolume
from gid_core.poke.first import FIRST, first_gesture, gestures_of
from gid_core.poke.gestures import read_gestures
from gid_core.poke.response import body_of, gesture_response, poke


def leaning(direction=(1.0, 0.0), mask=None):
    """One band that is largest at row 2, column 13."""
    y, x = torch.meshgrid(torch.arange(H) - 2.0, torch.arange(W) - 13.0, indexing="ij")
    size = torch.exp(-(x.square() + y.square()) / 8)
    coeffs = torch.stack([size * part for part in direction])[None, None].to(torch.complex64)
    return SpectralVolume(coeffs, torch.tensor([1.0]), (60, 90), mask=mask)


def test_it_pulls_where_and_along_the_way_it_moves_most():
    (gesture,) = gestures_of(FIRST, leaning((0.6, -0.8)), 5.0)
    assert (gesture.x, gesture.y) == pytest.approx((13.5 / W, 2.5 / H), abs=1e-4)
    _, dx, dy = gesture.trajectory[-1]
    assert (dx * W, dy * H) == pytest.approx((0.6 * 0.05 * W, -0.8 * 0.05 * W), abs=1e-2)
    assert gesture.t == 0.3 and gesture.end == pytest.approx(0.9)


def test_it_follows_the_mask():
    mask = torch.zeros(1, 1, 60, 90)
    mask[..., :45] = 1
    (gesture,) = gestures_of(FIRST, leaning(mask=mask), 5.0)
    assert gesture.x < 0.5


@pytest.mark.parametrize("duration", [0.1, 1.0, 60.0])
def test_it_touches_what_moves_and_is_seen_to_ring_in_any_clip(duration):
    gestures = gestures_of(FIRST, modes(), duration)
    _, touched = gesture_response(body_of(modes()), gestures, torch.arange(3.0).double())
    assert touched == [True] or bool(touched[0])
    _, report = poke(modes(), gestures, max(duration, 0.1), 60.0)
    assert "Gesture " not in report


def test_where_nothing_moves_there_is_none_and_other_texts_mean_themselves():
    assert first_gesture(leaning((0.0, 0.0)), 5.0) == "[]"
    text = '[{"t": 0, "x": 0.5, "y": 0.5, "dx": 0.1, "dy": 0}]'
    assert gestures_of(text, leaning(), 5.0) == read_gestures(text)
    with pytest.raises(ValueError, match="JSON"):
        gestures_of("automatic", leaning(), 5.0)


def test_a_release_too_late_to_be_seen_is_reported():
    late = read_gestures('[{"t": 4.2, "x": 0.5, "y": 0.3, "dx": 0.05, "dy": 0, "hold": 0.5}]')
    _, report = poke(modes(), late, 5.0, 10.0)
    assert "Gesture 1 lets go at 4.7 s of 5 s" in report
    assert "lets go" not in poke(modes(), late, 5.3, 10.0)[1]
