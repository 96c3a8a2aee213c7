import pytest
import torch

from gid_core.still.objects import depth_of, order, shared_out


def boxes(*at, size=(20, 30)):
    masks = torch.zeros(len(at), 1, *size)
    for mask, (top, bottom, left, right) in zip(masks, at):
        mask[0, top:bottom, left:right] = 1
    return masks


def test_objects_that_do_not_overlap_share_the_matte_and_add_up_to_it(rng):
    masks = boxes((2, 18, 3, 9), (4, 16, 14, 20), (1, 5, 22, 29))
    matte = torch.rand(1, 1, 20, 30, generator=rng) * (
        torch.rand(1, 1, 20, 30, generator=rng) > 0.3
    )
    mattes = shared_out(matte, masks)
    torch.testing.assert_close(mattes.sum(0, keepdim=True), matte)
    for i in range(3):
        for other in {0, 1, 2} - {i}:
            assert not mattes[i][masks[other] > 0].any()


def test_what_joined_goes_to_the_nearest_object():
    masks = boxes((5, 15, 2, 8), (5, 15, 20, 26))
    matte = torch.ones(1, 1, 20, 30)
    mattes = shared_out(matte, masks)
    assert (mattes[0, ..., :13] == 1).all() and not mattes[0, ..., 16:].any()
    assert (mattes[1, ..., 16:] == 1).all() and not mattes[1, ..., :13].any()


def test_overlapping_objects_both_keep_what_they_cover():
    masks = boxes((5, 15, 2, 18), (5, 15, 10, 26))
    mattes = shared_out(torch.ones(1, 1, 20, 30), masks)
    assert (mattes[:, 0, 5:15, 10:18] == 1).all()


def test_an_object_that_refining_takes_away_keeps_its_mask():
    masks = boxes((5, 15, 2, 8), (5, 15, 20, 26))
    mattes = shared_out(masks[:1], masks)
    assert torch.equal(mattes, masks)


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_object_stays_empty(empty):
    masks = boxes((5, 15, 2, 8), (5, 15, 20, 26))
    masks[empty] = 0
    mattes = shared_out(masks.amax(0, keepdim=True), masks)
    assert not mattes[empty].any() and mattes[1 - empty].any()


def test_objects_are_in_order_as_they_come_or_by_depth():
    mattes = boxes((5, 15, 2, 8), (5, 15, 20, 26), (5, 15, 10, 14))
    assert order(mattes) == [0, 1, 2]
    depth = torch.linspace(1, 0, 30).expand(1, 1, 20, 30)  # near at the left
    assert order(mattes, depth) == [1, 2, 0]
    assert order(mattes, torch.ones_like(depth)) == [0, 1, 2]


def test_the_last_object_is_nearest_where_they_overlap():
    mattes = boxes((5, 15, 2, 18), (5, 15, 10, 26))
    depth = depth_of(list(mattes.split(1)))
    assert depth[0, 0, 10, 4] == 0.5 and depth[0, 0, 10, 12] == 1 and depth[0, 0, 0, 0] == 0
