"""Frames as tensors; clips in all their forms are in test_clips."""

import av
import numpy as np
import pytest
import torch

from gid_core.footage.frames import is_interlaced, is_transparent, shown_size, turn, upright


def test_a_plain_frame_is_its_pixels(rng):
    pixels = torch.randint(0, 256, (5, 8, 3), generator=rng).byte()
    frame = av.VideoFrame.from_ndarray(pixels.numpy(), "rgb24")
    assert torch.equal(upright(frame, (5, 8)), pixels.movedim(-1, 0) / 255)
    assert turn(frame) == (False, False, False)
    assert not is_transparent(frame) and not is_interlaced(frame)


@pytest.mark.parametrize(
    "aspect, expected", [(1.0, (6, 8)), (1.5, (6, 12)), (0.0, (6, 8)), (99.0, (6, 8))]
)
def test_pixels_are_made_square_where_the_aspect_means_something(aspect, expected):
    assert shown_size(av.VideoFrame(8, 6, "rgb24"), aspect) == expected


@pytest.mark.parametrize("alpha, transparent", [(255, False), (254, True), (0, True)])
def test_a_pixel_that_is_not_opaque_makes_a_frame_transparent(alpha, transparent):
    pixels = np.full((4, 6, 4), 255, np.uint8)
    pixels[1, 2, 3] = alpha
    assert is_transparent(av.VideoFrame.from_ndarray(pixels, "rgba")) == transparent


@pytest.mark.parametrize("size", [(4, 6), (2, 3)])
def test_what_is_transparent_is_white_and_bleeds_no_colour(size):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3] = 255, 0, 0, 255
    pixels[:, 3:] = 0, 255, 0, 0
    shown = upright(av.VideoFrame.from_ndarray(pixels, "rgba"), size)
    half = torch.tensor([1.0, 1, 1]).view(3, 1, 1)
    torch.testing.assert_close(shown[:, :, -1:], half.expand(3, size[0], 1), atol=0.01, rtol=0)
    assert (shown[1] <= shown[0] + 0.01).all()  # nothing is greener than it is red
