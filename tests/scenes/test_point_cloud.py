import math

import pytest
import torch

from gid_core.scenes.builder import add_ground, open_builder
from gid_core.scenes.point_cloud import OFF_SCREEN, Light, points_of
from gid_core.scenes.textures import PAGES

SIZE, CELLS = (40, 60), 3
PLAIN = torch.ones(len(PAGES), 3, 128, 128)


def light(towards=(0.0, 0.0, 1.0), sun=1.0, sky=0.0, contrast=1.0):
    towards = torch.tensor(towards)
    return Light(towards / towards.norm(), sun * torch.ones(3), sky * torch.ones(3), contrast)


def stage():
    on = open_builder(torch.Generator().manual_seed(0), SIZE[1] / SIZE[0], torch.arange(1, 3) / 1.0)
    add_ground(on)
    return on


def strip(on, base, angle=0.0, length=0.5, width=0.3, z=0.0, colour=(1.0, 1.0, 1.0), **look):
    look = {"start": 0.0, "end": 0.0, "texture": 0.0} | look
    on.add_strips(torch.zeros(1).long(), torch.tensor([base]), angle, length, width, z, torch.tensor([colour]), **look)  # fmt: skip


def cloud(on, lit=None, size=SIZE):
    return points_of(on, size, CELLS, PLAIN, lit or light(), 0, 1.0, 0.0)


def seen(slab, size=SIZE):
    """Which cells have a point in them, h w."""
    cell = ((slab.position + 0.5) * CELLS).floor().long()
    grid = torch.zeros(size[0] * CELLS, size[1] * CELLS, dtype=torch.bool)
    inside = (cell >= 0).all(1) & (cell[:, 0] < grid.shape[1]) & (cell[:, 1] < grid.shape[0])
    grid[cell[inside, 1], cell[inside, 0]] = True
    return grid


@pytest.mark.parametrize("degrees", range(0, 180, 13))
def test_a_strip_is_seen_in_every_cell_inside_it_and_in_none_outside(degrees):
    on, angle = stage(), math.radians(degrees)
    length, width = 0.5, 0.3
    middle = torch.tensor([0.75, 0.5])
    along = torch.tensor([math.cos(angle), math.sin(angle)])
    strip(on, (middle - along * length / 2).tolist(), angle, length, width)
    found = seen(cloud(on))
    y, x = torch.meshgrid(*(torch.arange(n * CELLS) + 0.5 for n in SIZE), indexing="ij")
    place = torch.stack([x, y], -1) / (CELLS * SIZE[0]) - middle
    u, v = (place @ along).abs(), (place @ torch.stack([-along[1], along[0]])).abs()
    cell = 1 / (CELLS * SIZE[0])
    inside = (u < length / 2 - cell) & (v < width / 2 - cell)
    near = (u < length / 2 + cell) & (v < width / 2 + cell)
    assert inside.sum() > 1000
    assert found[inside].all() and not found[~near].any()


def test_an_outline_narrows_as_its_exponents_say():
    on = stage()
    strip(on, (0.1, 0.5), 0.0, 1.2, 0.4, start=0.0, end=1.0)
    height = seen(cloud(on)).sum(0).float()
    columns = torch.arange(30, 150)
    wanted = 0.4 * SIZE[0] * CELLS * (1 - ((columns + 0.5) / CELLS / SIZE[0] - 0.1) / 1.2)
    assert (height[columns] - wanted).abs().max() < 2


def test_a_bent_strip_ends_where_an_arc_ends():
    on = stage()
    strip(on, (0.5, 0.2), 0.0, 0.6, 0.02, bend=math.pi / 2)
    last = cloud(on).position.max(0).values / SIZE[0]
    radius = 0.6 / (math.pi / 2)
    assert last[1] == pytest.approx(0.2 + radius, abs=0.03)
    assert last[0] == pytest.approx(0.5 + radius, abs=0.03)


def test_what_is_in_front_comes_last():
    on = stage()
    strip(on, (0.5, 0.5), z=0.3, colour=(1.0, 0.0, 0.0))
    strip(on, (0.5, 0.5), z=-0.2, colour=(0.0, 1.0, 0.0))
    front = cloud(on).light[:, 0] > 0
    assert not front[: (~front).sum()].any() and front.sum() * 2 == len(front)


def test_what_is_far_off_screen_is_left_out():
    on = stage()
    strip(on, (-1.0, 0.5), length=3.5)
    x = cloud(on).position[:, 0] / SIZE[0]
    assert x.min() >= -OFF_SCREEN - 0.02 and x.max() <= SIZE[1] / SIZE[0] + OFF_SCREEN


def test_light_falls_by_the_cosine():
    def brightness(towards):
        on = stage()
        strip(on, (0.5, 0.5))
        return float(cloud(on, light(towards)).light.mean())

    assert brightness((0.0, 0.0, 1.0)) == pytest.approx(1.0, abs=0.03)
    assert brightness((1.0, 0.0, 1.0)) == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_a_tilted_strip_faces_where_it_is_tilted():
    def brightness(tilt):
        on = stage()
        strip(on, (0.5, 0.5), tilt_x=tilt)
        return float(cloud(on, light((1.0, 0.0, 1.0))).light.mean())

    assert brightness(-1.0) < 0.05 < brightness(0.0) < brightness(1.0)


def test_light_from_behind_comes_through_and_is_yellow():
    on = stage()
    strip(on, (0.5, 0.5), tilt_x=-3.0, through=0.5)
    red, green, blue = cloud(on, light((1.0, 0.0, 0.3))).light.mean(0).tolist()
    assert red > green > blue >= 0 and red > 0.05


def test_what_stands_towards_the_sun_casts_a_shadow():
    def lower_strip(occluded):
        on = stage()
        strip(on, (0.5, 0.5), z=-0.05)
        if occluded:  # up to the right, where the sun is
            strip(on, (0.5, 0.3), length=0.9, width=0.3, z=0.1, colour=(0.0, 0.0, 0.0))
        lit = cloud(on, light((0.4, -0.6, 0.5))).light
        return lit[lit.sum(1) > 0]  # the occluder is black

    bright, dark = lower_strip(False), lower_strip(True)
    assert dark.mean() < 0.8 * bright.mean()


def test_the_open_sky_reaches_the_front_and_not_what_is_deep_behind():
    on = stage()
    strip(on, (0.4, 0.5), length=0.8, width=0.8, z=0.4, colour=(0.5, 0.0, 0.0))
    strip(on, (0.4, 0.5), length=0.8, width=0.8, z=-0.2, colour=(0.0, 0.5, 0.0))
    lit = cloud(on, light(sun=0.0, sky=1.0)).light
    front, back = lit[lit[:, 0] > 0, 0], lit[lit[:, 1] > 0, 1]
    assert back.median() < 0.8 * front.median()


def test_texture_multiplies_the_colour():
    pages = PLAIN.clone()
    pages[2] = 0.5
    on = stage()
    strip(on, (0.5, 0.5), texture=1.0, page=2.0)
    half = points_of(on, SIZE, CELLS, pages, light(), 0, 1.0, 0.0)
    assert torch.allclose(half.light, 0.5 * cloud(on).light)


def test_points_know_their_piece_and_their_place_in_pixels():
    on = stage()
    strip(on, (0.5, 0.5), length=0.1, width=0.1)
    slab = points_of(on, SIZE, CELLS, PLAIN, light(), 7, 1.0, 2.5)
    assert (slab.piece == 7).all() and slab.blur == 2.5
    middle = torch.tensor([0.55, 0.5]) * SIZE[0] - 0.5
    assert torch.allclose(slab.position.mean(0), middle, atol=0.05)
