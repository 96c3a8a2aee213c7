import pytest
import torch

from gid_core.config import SpectrumConfig
from gid_core.training.outlined import blown

BANDS = SpectrumConfig(bands=5)
GROUND = {
    "kind": "grass",
    "outline": [(0.0, 0.6), (0.45, 0.6), (0.45, 1.0), (0.0, 1.0)],
    "anchor": "everywhere",
    "degree": 0.3,
    "front": 0,
}
FLOWER = {
    "kind": "flower",
    "outline": [(0.6, 0.2), (0.9, 0.2), (0.9, 0.95), (0.6, 0.95)],
    "anchor": [(0.75, 0.95)],
    "degree": 1.0,
    "front": 1,
}
WATER = {**GROUND, "kind": "water", "anchor": "none"}


def picture(h=64, w=96):
    """Two things on a plain ground, by their colours."""
    view = torch.full((1, 3, h, w), 0.5)
    view[:, 1, int(0.6 * h) :, : int(0.45 * w)] = 0.9
    view[:, 0, int(0.2 * h) : int(0.95 * h), int(0.6 * w) : int(0.9 * w)] = 0.9
    return view


def moved(objects, winds=3, enlarged=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return blown(picture(), objects, enlarged, winds, BANDS, generator)


@pytest.fixture(scope="module")
def both():
    return moved([GROUND, FLOWER])


def size(motion):
    """Root mean square over winds of the amplitude of every point."""
    return motion.coeffs.abs().square().sum((1, 2)).mean(0).sqrt()


def test_things_go_as_far_as_their_degrees(both):
    found = size(both)
    width = found.shape[1]
    ground, flower = found[:, : int(0.4 * width)], found[:, int(0.6 * width) : int(0.9 * width)]
    top = lambda part: float(part[part > 0].quantile(0.95))
    assert top(ground) == pytest.approx(0.3, rel=0.35)
    assert top(flower) == pytest.approx(1.0, rel=0.35)


def test_a_thing_is_held_where_its_outline_says(both):
    found = size(both)
    height, width = found.shape
    column = found[:, int(0.75 * width)]
    assert column[int(0.93 * height)] < 0.3 * column[int(0.25 * height)]


def test_every_wind_is_another_and_a_seed_is_the_same(both):
    again = moved([GROUND, FLOWER])
    assert torch.equal(both.coeffs, again.coeffs) and both.coeffs.shape[:3] == (3, 5, 2)
    one, other = both.coeffs[0].flatten(), both.coeffs[1].flatten()
    assert (one - other).norm() > 0.5 * one.norm()


def test_a_crop_shows_motion_as_much_larger(both):
    larger = moved([GROUND, FLOWER], enlarged=2.0)
    torch.testing.assert_close(larger.coeffs, 2 * both.coeffs)


def test_what_flows_and_what_stands_still_does_not_move():
    assert moved([WATER]) is None and moved([]) is None
    assert moved([{**FLOWER, "degree": 0.0}]) is None
