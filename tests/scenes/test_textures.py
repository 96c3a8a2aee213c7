import pytest
import torch
from torch import nn

from gid_core.scenes.textures import (
    BACKGROUNDS,
    PAGES,
    blur,
    choose,
    develop,
    noise,
    pages,
    photograph_pages,
    uniform,
)

FILM = {"exposure": 1.3, "contrast": 1.0, "saturation": 1.0, "warmth": 0.0, "vignette": 0.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(24, 36), (35, 17), (2, 50)])
def test_noise_is_seeded_with_mean_zero_and_deviation_one(size):
    field = noise(seeded(3), size, 3.0)
    assert field.shape == size
    assert field.mean().abs() < 1e-5 and field.std() == pytest.approx(1, abs=1e-4)
    assert torch.equal(field, noise(seeded(3), size, 3.0))
    assert not torch.equal(field, noise(seeded(4), size, 3.0))


def test_noise_of_more_cells_is_finer():
    def step(cells):
        return noise(seeded(), (64, 96), cells, 1).diff(dim=1).square().mean()

    assert 4 * step(3) < step(12)


def test_uniform_fills_its_range_and_choose_every_option():
    values = uniform(seeded(), -2.0, 3.0, 500)
    assert -2 <= values.min() < -1.9 and 2.9 < values.max() <= 3
    generator = seeded()
    assert {choose(generator, "a", "b", "c") for _ in range(40)} == {"a", "b", "c"}


@pytest.mark.parametrize("sigma", [0.7, 1.5, 4.0, 9.0])
def test_blur_spreads_a_point_by_its_sigma_and_loses_no_light(sigma):
    point = torch.zeros(1, 120, 144)
    point[0, 60, 72] = 1
    spread = blur(point, sigma)
    assert spread.sum() == pytest.approx(1, abs=0.01)
    y, x = torch.meshgrid(torch.arange(120.0) - 60, torch.arange(144.0) - 72, indexing="ij")
    # Wide ones are made on a smaller copy, whose pixels spread the point a little by themselves.
    for axis in (y, x):
        assert (spread[0] * axis.square()).sum().sqrt() == pytest.approx(sigma, rel=0.12, abs=0.05)


def test_no_blur_is_the_picture_itself(rng):
    picture = torch.rand(3, 6, 7, generator=rng)
    assert torch.equal(blur(picture, 0.0), picture)


def test_blur_keeps_what_is_even():
    assert torch.allclose(blur(torch.full((2, 20, 31), 0.3), 5.0), torch.tensor(0.3), atol=1e-6)


def test_pages_are_factors_about_one():
    made = pages(seeded())
    assert made.shape[:2] == (len(PAGES), 3) and made.min() > 0
    assert (made.mean((2, 3)) - 1).abs().max() < 0.1
    assert (made.std((2, 3)) > 0.02).all()


def test_a_photograph_lends_its_texture_and_not_its_colour(rng):
    grain = 0.5 + 0.2 * torch.rand(1, 40, 60, generator=rng)
    picture = grain * torch.tensor([0.9, 0.3, 0.6]).view(3, 1, 1)
    made = photograph_pages([picture], seeded())
    assert torch.allclose(made.mean((2, 3)), torch.tensor(1.0), atol=0.01)
    assert torch.allclose(made[:, 0], made[:, 1], atol=0.02) and made.std() > 0.05


@pytest.mark.parametrize("size", [(24, 37), (61, 33), (16, 16)])
@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_is_light_everywhere(name, size):
    for seed in range(4):
        light = BACKGROUNDS[name](seeded(seed), size)
        assert light.shape == (3, *size)
        assert light.isfinite().all() and light.min() >= 0 and light.mean() > 0.003


def test_developing_keeps_order_and_range():
    light = torch.linspace(0, 40, 300).expand(3, 1, 300)
    picture = develop(light, **FILM)
    assert (picture.diff(dim=2) >= -1e-6).all() and 0 <= picture.min() and picture.max() <= 1
    assert (develop(light / 60, **FILM).diff(dim=2) > 0).all()


def test_warmth_saturation_and_vignette_do_as_they_say():
    light = torch.full((3, 21, 31), 0.2) * torch.tensor([1.2, 1.0, 0.8]).view(3, 1, 1)
    plain = develop(light, **FILM)
    warm = develop(light, **FILM | {"warmth": 0.1})
    assert (warm[0] > plain[0]).all() and (warm[2] < plain[2]).all()
    grey = develop(light, **FILM | {"saturation": 0.0})
    assert grey.std(0).max() < 1e-6
    dark = develop(light, **FILM | {"vignette": 0.4})
    middle = dark[:, 10, 15]
    assert nn.functional.l1_loss(middle, plain[:, 10, 15]) < 0.01
    assert (dark[:, 0, 0] < 0.9 * plain[:, 0, 0]).all()
