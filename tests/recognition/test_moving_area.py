from pathlib import Path

import oracles
import pytest
import torch

from gid_core.files.stills import read_mask, read_still
from gid_core.recognition.model import Recognizer, RecognizerConfig
from gid_core.recognition.moving_area import moving_area, what_sways
from gid_core.still.matte import refine_mask

DEMO = Path(__file__).parents[2] / "docs/demo"


class Says(Recognizer):
    """A recognizer that sees one chance of swaying everywhere."""

    def __init__(self, logit):
        super().__init__(RecognizerConfig())
        self.logit = logit

    def forward(self, image):
        return torch.full_like(super().forward(image), self.logit)


def test_paint_always_decides():
    still, paint = oracles.stalk_picture(32, 48)
    area = moving_area(still, paint, True, Says(-4.0))
    assert torch.equal(area.matte, refine_mask(still, paint))
    assert area.source == "painted" and str(area.refinement) in str(area)


def test_exact_paint_is_the_matte_itself():
    still, paint = oracles.stalk_picture(32, 48)
    assert moving_area(still, paint, refine=False).matte is paint


@pytest.mark.parametrize("logit, moves", [(4.0, 1.0), (-4.0, 0.0)])
def test_without_paint_the_recognizer_decides(logit, moves):
    still, _ = oracles.stalk_picture(32, 48)
    area = moving_area(still, None, refine=False, recognizer=Says(logit))
    assert (area.matte == moves).all() and area.source == "recognized"
    assert ("nothing here looks as if it could sway" in str(area)) == (moves == 0)


def test_the_shipped_recognizer_finds_the_plants_of_the_demo_still_and_not_its_sky():
    still, painted = read_still(DEMO / "still.png")[None], read_mask(DEMO / "still_mask.png")[None]
    found = what_sways(still[:, :3]) > 0.5
    assert found[painted > 0.5].float().mean() > 0.8  # .86 measured
    assert found[..., : still.shape[-2] // 8, :].float().mean() < 0.55  # .47, of it blurred leaves
