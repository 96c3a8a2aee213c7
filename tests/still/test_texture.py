import pytest
import torch

from gid_core.still import texture as texture_fill
from gid_core.still.background import AWAY, fill_background, mirrored
from gid_core.still.filters import dilated
from gid_core.still.texture import continue_texture

H, W = 60, 84


def disc(radius=13):
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    return (x - 40).square() + (y - 28).square() < radius**2


def filled(picture, hole):
    moving = torch.where(hole, 0.5, picture)  # what moves is grey
    return fill_background(moving, hole[None].float(), texture=True)


def test_lines_go_on_behind_a_large_thing(rng):
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    stripes = (((x + y) // 6) % 2).float().expand(3, H, W) * 0.8 + 0.1
    hole = disc()
    made = filled(stripes, hole)
    mirrored = fill_background(torch.where(hole, 0.5, stripes), hole[None].float())
    error = lambda picture: (picture - stripes)[:, hole].square().mean()
    assert error(made) < 0.25 * error(mirrored) and error(made) < 0.06


def test_texture_keeps_its_contrast(rng):
    texture = torch.rand(3, H, W, generator=rng)
    hole = disc()
    made = filled(texture, hole)
    assert made[:, hole].std() > 0.7 * texture[:, ~hole].std()


def test_a_fill_is_as_bright_as_what_is_around_it(rng, monkeypatch):
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    glow = 0.6 * torch.exp(-((x - 40).square() + (y - 28).square()) / 400)
    picture = (glow + 0.1 + 0.02 * torch.rand(3, H, W, generator=rng)).clamp(0, 1)
    hole = disc()
    outer = dilated(hole[None].float(), 4)[0].bool() & ~dilated(hole[None].float(), 2)[0].bool()
    inner = hole & dilated((~hole)[None].float(), 2)[0].bool()
    unsafe = dilated(hole[None].float(), AWAY)[0].bool()
    first = mirrored(torch.where(hole, 0.5, picture), hole, unsafe)

    def step():
        made = picture.masked_scatter(unsafe, continue_texture(picture, unsafe, first))
        return (made[:, inner].mean() - made[:, outer].mean()).abs()

    shifted = step()
    monkeypatch.setattr(texture_fill, "_shift", lambda picture, known: torch.zeros_like(picture))
    assert shifted < 0.5 * step()


def test_what_is_known_stays_and_what_moves_gives_no_colour(rng):
    picture = torch.rand(3, H, W, generator=rng) * torch.tensor([0.0, 0.5, 0.5]).view(3, 1, 1)
    hole = disc()
    picture[0][hole] = 1.0  # red is only in what moves
    made = fill_background(picture, hole[None].float(), texture=True)
    assert torch.equal(made[:, ~hole], picture[:, ~hole])
    assert made[0].max() == 0 and made.max() <= 0.5 + 1e-6


def test_the_same_picture_is_filled_the_same_way(rng):
    picture, hole = torch.rand(3, H, W, generator=rng), disc(7)
    assert torch.equal(filled(picture, hole), filled(picture, hole))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_channels_and_a_hole_at_the_border(rng, channels):
    picture = 0.3 * torch.rand(channels, H, W, generator=rng)
    hole = disc(7).roll((-25, 40), (0, 1))
    made = fill_background(picture, hole[None].float(), texture=True)
    assert made.isfinite().all() and made.max() <= 0.3 + 1e-6


@pytest.mark.parametrize("height, width", [(1, 1), (5, 7), (9, 40)])
def test_without_a_whole_patch_around_it_keeps_the_fast_fill(rng, height, width):
    picture = torch.rand(3, height, width, generator=rng)
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[:, : max(1, width // 3)] = width > 1
    fast = fill_background(picture, hole[None].float())
    made = fill_background(picture, hole[None].float(), texture=True)
    assert made.isfinite().all()
    if height < 9:
        assert torch.equal(made, fast)
        assert not hole.any() or continue_texture(picture, hole, fast) is None
