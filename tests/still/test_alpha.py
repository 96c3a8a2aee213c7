import pytest
import torch

from gid_core.still.alpha import premultiplied, straight


def test_straight_undoes_premultiplied_wherever_there_is_alpha(rng):
    picture = torch.rand(4, 5, 7, generator=rng, dtype=torch.float64)
    picture[3] = picture[3].clamp(min=1e-3)
    torch.testing.assert_close(straight(premultiplied(picture)), picture, atol=1e-12, rtol=0)


def test_premultiplied_colours_of_what_is_transparent_are_black(rng):
    picture = torch.rand(4, 5, 7, generator=rng)
    picture[3] = 0
    assert not premultiplied(picture).any()
    assert straight(premultiplied(picture)).isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_without_alpha_pass_as_they_are(rng, channels):
    picture = torch.rand(channels, 5, 7, generator=rng)
    assert premultiplied(picture) is picture
    assert torch.equal(straight(picture), picture)


def test_a_colour_is_in_range_however_far_mixing_overshoots():
    mixed = torch.tensor([0.9, -0.2, 0.3, 0.5]).view(4, 1, 1)
    assert straight(mixed).flatten().tolist() == pytest.approx([1.0, 0.0, 0.6, 0.5])
