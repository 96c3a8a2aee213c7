import pytest
import torch

from gid_core import pipeline
from gid_core.motion.displacement import Displacement
from gid_core.render.layers import BORDERS, Behind
from gid_core.render.renderer import render_frames
from gid_core.still.alpha import premultiplied

H, W = 24, 36


def motion(dx, dy, frames=1):
    field = torch.tensor([float(dx), float(dy)]).view(1, 1, 2, 1, 1)
    return Displacement.of_frames(field.expand(1, frames, 2, H, W).clone(), 8.0, (H, W))


@pytest.fixture
def post(rng):
    """A post that the lower border cuts, before blue."""
    matte = torch.zeros(1, H, W)
    matte[:, 8:, 12:20] = 1
    red = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1) * (
        0.5 + 0.5 * torch.rand(1, H, W, generator=rng)
    )
    return torch.where(matte > 0, red, torch.tensor([0.1, 0.3, 0.8]).view(3, 1, 1)), matte


def first(still, moving, matte, **options):
    return next(render_frames(still, moving, matte=matte, **options))[0]


def test_past_the_border_it_is_mirrored_extended_or_transparent(post):
    still, matte = post
    moving = motion(0, -5)  # up: five rows come in from below
    inside = (slice(None), slice(19, 24), slice(14, 18))
    frames = {b: first(still, moving, matte, behind=Behind(border=b)) for b in BORDERS}
    mirrored = still[:, [22, 21, 20, 19, 18], 14:18]
    torch.testing.assert_close(frames["mirror"][inside], mirrored, atol=1e-4, rtol=0)
    edge = still[:, 23:, 14:18].expand(3, 5, 4)
    torch.testing.assert_close(frames["extend"][inside], edge, atol=1e-4, rtol=0)
    assert len(frames["transparent"]) == 4
    assert frames["transparent"][3, 20:, 14:18].max() < 1e-4
    above = (slice(None, 3), slice(0, 18))
    torch.testing.assert_close(frames["transparent"][above], frames["mirror"][above])
    assert (frames["transparent"][3, :18] == 1).all()


def test_cropped_frames_show_nothing_from_past_the_border(post):
    still, matte = post
    images, moving = still[None], motion(0, -5)
    rows, columns = pipeline.crop(moving, matte[None], (H, W), "crop")
    assert (rows.start, columns) == (0, slice(0, W)) and rows.stop in (17, 18)
    frame, hole = next(pipeline.render(images, moving, matte[None], border="crop"))
    assert frame.shape == (3, rows.stop, W) and hole.shape == (1, rows.stop, W)
    mirrored, _ = next(pipeline.render(images, moving, matte[None]))
    torch.testing.assert_close(frame, mirrored[:, rows], atol=1e-5, rtol=0)


def test_an_unknown_border_is_refused():
    with pytest.raises(ValueError, match="border of mirror, extend, crop, transparent, got 'wrap'"):
        Behind(border="wrap")


def test_the_layer_alone_over_the_background_is_the_frame(post):
    still, matte = post
    matte = matte * 0.8
    moving = motion(3, -2)
    whole = first(still, moving, matte)
    layer = first(still, moving, matte, alone=True)
    filled = pipeline.fill_backgrounds(still[None], moving, matte[None])[0]
    seen = premultiplied(layer)
    torch.testing.assert_close(seen[:3] + (1 - seen[3:]) * filled, whole, atol=1e-4, rtol=0)
    assert layer[3].max() > 0.7 and layer[3, :4].max() == 0


def test_a_layer_that_does_not_move_is_where_it_was(post):
    still, matte = post
    layer = first(still, motion(0, 0), matte, alone=True)
    assert torch.equal(layer[3:], matte)
    torch.testing.assert_close(layer[:3] * matte, still * matte, atol=1e-6, rtol=0)


@pytest.mark.parametrize("alpha", [False, True])
def test_a_given_background_is_used_as_it_comes(rng, post, alpha):
    still, matte = post
    given = torch.rand(3, H // 2, W // 2, generator=rng)
    images = torch.cat([still, torch.ones(1, H, W)])[None] if alpha else still[None]
    moving = motion(9, 0)
    frame, _ = next(pipeline.render(images, moving, matte[None], background=given[None]))
    at_size = torch.nn.functional.interpolate(given[None], (H, W), mode="bilinear", antialias=True)
    left = (slice(0, 3), slice(10, H), slice(12, 19))
    torch.testing.assert_close(frame[left], at_size[0][left], atol=1e-5, rtol=0)
    assert torch.equal(frame[:3, :, :11], still[:, :, :11])
    filled = pipeline.fill_backgrounds(images, moving, matte[None])
    default, _ = next(pipeline.render(images, moving, matte[None]))
    same, _ = next(pipeline.render(images, moving, matte[None], background=filled))
    torch.testing.assert_close(same, default, atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [{}, {"alone": True}, {"behind": Behind(border="extend")}])
def test_a_constant_colour_stays_that_colour_under_any_alpha(rng, options):
    colour = torch.tensor([0.7, 0.2, 0.4]).view(3, 1, 1)
    alpha, matte = torch.rand(2, 1, H, W, generator=rng)
    still = torch.cat([colour.expand(3, H, W), alpha])
    field = torch.randn(1, 2, 2, 4, 6, generator=rng)
    moving = Displacement.of_frames(field, 8.0, (H, W))
    for frame, _ in render_frames(still, moving, matte=matte, **options):
        seen = frame[3] > 0.01
        assert seen.sum() > 200
        off = (frame[:3] - colour).abs()[:, seen]
        assert off.max() < 1e-3
