import oracles
import pytest
import torch

from gid_core.still.matte import flexibility, refine_mask
from gid_core.still.moving_area import moving_area


def test_paint_always_decides_whatever_a_prior_can_find():
    still, paint = oracles.stalk_picture(32, 48)
    for prior_finds_it in (False, True):
        area = moving_area(still, paint, True, prior_finds_it)
        assert torch.equal(area.matte, refine_mask(still, paint))
        assert (area.source, area.refined) == ("painted", True)


def test_exact_paint_is_the_matte_itself():
    still, paint = oracles.stalk_picture(32, 48)
    assert moving_area(still, paint, refine=False).matte is paint


@pytest.mark.parametrize("refine", [True, False])
def test_without_paint_there_is_a_guess(refine):
    still, _ = oracles.stalk_picture(32, 48)
    area, guess = moving_area(still, None, refine), flexibility(still)
    assert torch.equal(area.matte, refine_mask(still, guess) if refine else guess)
    assert area.source == "guessed" and "guessed from texture" in str(area)


def test_a_prior_that_finds_what_moves_is_left_to_it():
    still, _ = oracles.stalk_picture(32, 48)
    area = moving_area(still, None, prior_finds_it=True)
    assert area.matte is None and "motion model finds" in str(area)
