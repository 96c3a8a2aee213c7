import pytest
import torch

from gid_core.config import ElasticConfig, SpectrumConfig
from gid_core.elastic.prior import ElasticPrior
from gid_core.pipeline import sample_motion
from gid_core.still.inputs import check_images

MODEL = ElasticPrior(ElasticConfig(longest_side=24))
BANDS = SpectrumConfig(bands=4, duration_s=2.0, amplitude_pct=2.0)


def sample(images, mask=None, anchor=None, **options):
    given = {"model": MODEL, "spectrum": BANDS} | options
    return sample_motion(images, mask, anchor, **given)[0]


@pytest.mark.parametrize(
    "shape, sentence",
    [((0, 3, 4, 5), "at least one picture"), ((1, 3, 0, 5), "at least one pixel, got 1 of 5x0"),
     ((1, 2, 4, 5), "1, 3 or 4 channels, got 2"), ((1, 5, 4, 5), "channels, got 5")],
)  # fmt: skip
def test_what_are_no_pictures_is_refused(shape, sentence):
    for call in (check_images, sample):
        with pytest.raises(ValueError, match=sentence):
            call(torch.zeros(shape))
