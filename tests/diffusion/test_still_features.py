import pytest
import torch

from gid_core.diffusion.motion_latents import REDUCTION
from gid_core.diffusion.still_features import COLOURS, channels, still_features
from gid_core.recognition.model import Recognizer, RecognizerConfig

SEES = RecognizerConfig(stages=3, finest=2, width=8, longest_side=64)


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    return Recognizer(SEES).eval()


def still(h=37, w=58):
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("grid, multiple", [((24, 40), 4), ((23, 41), 8), ((40, 17), 16)])
def test_a_still_is_seen_on_the_places_of_codes(recognizer, grid, multiple):
    seen = still_features(recognizer, still(*grid), grid, multiple)
    filled = [-(-n // multiple) * multiple for n in grid]
    assert seen.sways.shape == seen.degree.shape == (1, 1, *filled)
    assert seen.features.shape[1] == channels(recognizer)
    assert list(seen.features.shape[-2:]) == [n // REDUCTION for n in filled]
    assert 0 <= seen.sways.min() and seen.sways.max() <= 1


def test_the_last_channels_are_the_pixels_of_a_place(recognizer):
    image = still(24, 40)
    seen = still_features(recognizer, image, (24, 40))
    pixels = torch.nn.functional.pixel_shuffle(seen.features[:, -COLOURS:], REDUCTION)
    torch.testing.assert_close((pixels + 1) / 2, image)


def test_what_is_filled_up_repeats_the_border(recognizer):
    seen = still_features(recognizer, still(24, 38), (24, 38), 4)
    torch.testing.assert_close(seen.sways[..., 37], seen.sways[..., 39])
