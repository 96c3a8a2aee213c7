import pytest
import torch

from gid_core.training.outlines import labels
from gid_core.training.views import LEAST_AREA, cropped, moved, random_box, relit

TRIANGLE = [
    {"kind": "tree", "outline": [[0.2, 0.1], [0.9, 0.4], [0.3, 0.8]], "degree": 1, "front": 1}
]


def test_a_box_lies_in_the_picture_and_is_no_sliver(rng):
    for _ in range(200):
        left, top, right, bottom = random_box((300, 500), rng)
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        assert (right - left) * (bottom - top) > 0.5 * LEAST_AREA


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_move_with_the_picture(mirrored):
    # A picture that is white where its label is: whatever the view, it stays so.
    picture = labels(TRIANGLE, (200, 320)).sways.expand(1, 3, -1, -1)
    for view in ((0.0, 0.0, 1.0, 1.0), (0.125, 0.25, 0.75, 0.75)):
        shown = cropped(picture, view, mirrored, (100, 140))[0, 0]
        label = labels(moved(TRIANGLE, view, mirrored), (100, 140)).sways
        assert (shown - label).abs().mean() < 0.02


def test_other_light_keeps_colours_in_range_and_things_in_place(rng):
    image = torch.rand(1, 3, 20, 30, generator=rng)
    lit = relit(image, rng)
    assert lit.min() >= 0 and lit.max() <= 1 and not torch.equal(lit, image)
    together = torch.corrcoef(torch.stack([image.mean(1).flatten(), lit.mean(1).flatten()]))
    assert together[0, 1] > 0.8
