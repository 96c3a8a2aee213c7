"""Guides: what moves, laid over the background, is the crude clip."""

import pytest
import torch

from gid_core.exchange.guides import guides
from gid_core.motion.displacement import Displacement
from gid_core.render.layers import splatted_frames
from gid_core.still.alpha import premultiplied
from gid_core.still.grid import pixel_grid

H, W = 36, 50


def turned(frames=3):
    field = torch.zeros(1, frames, 2, H, W)
    field[0, :, 0] = torch.arange(frames).view(-1, 1, 1) * 2.3
    return Displacement.of_frames(field, 8.0, (H, W))


def soft_disc():
    x, y = pixel_grid(H, W, torch.zeros(1))
    return (6 - ((x - 22) ** 2 + (y - 18) ** 2).sqrt() / 2).clamp(0, 1)[None]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_layer_over_the_background_is_the_clip(rng, channels):
    still = torch.rand(channels, H, W, generator=rng) * 0.4 + 0.3
    for guide, moved in zip(
        guides(still, turned(), matte=soft_disc()),
        splatted_frames(still, turned(), matte=soft_disc()),
    ):
        plate, colour, alpha = moved.layers.background, guide.layer[:3], guide.layer[3:]
        if channels == 4:
            behind = plate[:3] * (1 - guide.moving)
            over = colour * alpha + behind
            expected = premultiplied(guide.frame)[:3]
        else:
            over = colour * alpha + plate.expand(3, -1, -1) * (1 - alpha)
            expected = guide.frame.expand(3, -1, -1)
        off = (over - expected).abs().amax(0)
        assert off[guide.moving[0] > 0.5].max() < 0.02
        assert off.median() < 1e-6


def test_the_first_guide_is_the_still_and_nothing_is_uncovered(rng):
    still = torch.rand(3, H, W, generator=rng)
    first = next(guides(still, turned(), matte=soft_disc()))
    torch.testing.assert_close(first.frame, still)
    assert not first.hidden.any()
    # Where the picture needs it, the renderer makes a soft matte more opaque.
    assert (first.moving - soft_disc()).min() > -1e-5
    flat = (soft_disc() == 0) | (soft_disc() == 1)
    torch.testing.assert_close(first.moving[flat], soft_disc()[flat], atol=1e-5, rtol=0)


def test_what_moves_is_where_it_went(rng):
    still = torch.rand(3, H, W, generator=rng)
    *_, last = guides(still, turned(), matte=soft_disc())
    x, _ = pixel_grid(H, W, still)
    center = (x * last.moving[0]).sum() / last.moving.sum()
    assert center == pytest.approx(22 + 4.6, abs=0.05)
    assert last.hidden.sum() > 20
