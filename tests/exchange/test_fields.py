"""Dense fields: a source is where a pixel came from, as exactly as the renderer shows it."""

import pytest
import torch
import torch.nn.functional as F

from gid_core.exchange.fields import fields_of, found_in, moving_pixels
from gid_core.motion.displacement import Displacement
from gid_core.render.layers import splatted_frames
from gid_core.still.grid import backward_warp, pixel_grid

H, W = 40, 56


def smooth(rng, frames=3, reach=2.5):
    field = F.interpolate(torch.randn(frames, 2, 2, 3, generator=rng), (20, 28), mode="bicubic")
    return Displacement.of_frames(reach * field[None] / field.abs().max(), 8.0, (H, W))


def disc():
    x, y = pixel_grid(H, W, torch.zeros(1))
    return (((x - 28) ** 2 + (y - 20) ** 2).sqrt() < 12).float()[None]


def grey(rng):
    return F.interpolate(torch.rand(1, 3, 4, 5, generator=rng), (H, W), mode="bilinear")[0]


def ramps():
    """A still whose colours say where a pixel is."""
    x, y = pixel_grid(H, W, torch.zeros(1))
    return torch.stack([(x + 0.5) / W, (y + 0.5) / H, torch.full_like(x, 0.5)])


def test_the_source_undoes_the_displacement(rng):
    for fields in fields_of(grey(rng), smooth(rng)):
        back = backward_warp(fields.source[None], fields.forward[None])[0]
        here = pixel_grid(H, W, like=back)
        inner = slice(6, -6)
        off = (back - here)[:, inner, inner].square().sum(0).sqrt()
        assert fields.forward.abs().max() > 1
        assert off.max() < 0.1  # of which most is reading the source between pixels
        assert fields.found[:, inner, inner].all()


def test_the_source_is_what_the_rendered_frame_shows(rng):
    motion = smooth(rng)
    size = torch.tensor([W, H]).view(2, 1, 1)
    for fields, moved in zip(fields_of(ramps(), motion), splatted_frames(ramps(), motion)):
        shown = moved.frame[:2] * size - 0.5
        off = (shown - fields.source).abs()[:, 6:-6, 6:-6]
        assert off.max() < 0.1  # of which 0.07 are the cubic kernel's, between pixels


def test_without_iterations_the_source_is_good_to_a_pixel(rng):
    still, motion = grey(rng), smooth(rng)
    for exact, rough in zip(fields_of(still, motion), fields_of(still, motion, iterations=0)):
        inner = slice(6, -6)
        assert (exact.source - rough.source)[:, inner, inner].abs().max() < 1


def test_what_nothing_touches_shows_itself(rng):
    matte = disc()
    apart = F.max_pool2d(matte, 13, 1, 6)[0] == 0
    for fields in fields_of(grey(rng), smooth(rng), matte=matte):
        assert not fields.forward[:, apart].any()
        assert not fields.coverage[0, apart].any() and not fields.hidden[0, apart].any()
        assert torch.equal(fields.source[:, apart], pixel_grid(H, W, matte)[:, apart])
        assert fields.found[0, apart].all()


def test_a_shifted_disc_covers_and_uncovers(rng):
    matte, shift = disc(), torch.tensor([6.0, 0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 10, 14)
    (fields,) = fields_of(grey(rng), Displacement.of_frames(shift / 4, 8.0, (H, W)), matte=matte)
    moved = torch.zeros_like(matte)
    moved[..., 6:] = matte[..., :-6]
    assert torch.equal(fields.coverage >= 0.5, moved > 0)
    left = (matte > 0) & (moved == 0)
    assert fields.hidden[left].min() > 0.5 and not fields.found[left].any()
    assert torch.allclose(
        fields.source[0][moved[0] > 0], pixel_grid(H, W, matte)[0][moved[0] > 0] - 6
    )


@pytest.mark.parametrize("x, y", [(0, 0), (55, 39), (28, 20), (2, 31)])
def test_pixels_are_found_where_they_are(rng, x, y):
    matte = disc()
    layers = next(splatted_frames(grey(rng), smooth(rng), matte=matte)).layers
    at, _, alpha = moving_pixels(layers, (H, W))
    place, moving = found_in(layers, torch.tensor([[x, y]]))
    assert bool(moving) == bool((at == y * W + x).any())
    assert alpha.view(H, W)[y, x] == matte[0, y, x]
    if moving:
        wide = layers.foreground.shape[-1]
        assert (
            int(layers.source_pixels[place]) == (y - layers.origin[0]) * wide + x - layers.origin[1]
        )
