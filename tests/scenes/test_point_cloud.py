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


def new_builder():
    builder = open_builder(
        torch.Generator().manual_seed(0), SIZE[1] / SIZE[0], torch.arange(1, 3) / 1.0
    )
    add_ground(builder)
    return builder


def strip(
    builder, base, angle=0.0, length=0.5, width=0.3, z=0.0, colour=(1.0, 1.0, 1.0), **properties
):
    properties = {"start": 0.0, "end": 0.0, "texture": 0.0} | properties
    piece, base, colour = torch.zeros(1).long(), torch.tensor([base]), torch.tensor([colour])
    builder.add_strips(piece, base, angle, length, width, z, colour, **properties)


def cloud(builder, lit=None, size=SIZE):
    return points_of(builder, size, CELLS, PLAIN, lit or light(), 0, 1.0, 0.0)


def seen(slab, size=SIZE):
    """Which cells have a point in them, h w."""
    cell = ((slab.position + 0.5) * CELLS).floor().long()
    grid = torch.zeros(size[0] * CELLS, size[1] * CELLS, dtype=torch.bool)
    inside = (cell >= 0).all(1) & (cell[:, 0] < grid.shape[1]) & (cell[:, 1] < grid.shape[0])
    grid[cell[inside, 1], cell[inside, 0]] = True
    return grid


@pytest.mark.parametrize("degrees", range(0, 180, 13))
def test_a_strip_has_points_in_every_cell_inside_it_and_in_none_outside(degrees):
    builder, angle = new_builder(), math.radians(degrees)
    length, width = 0.5, 0.3
    middle = torch.tensor([0.75, 0.5])
    along = torch.tensor([math.cos(angle), math.sin(angle)])
    strip(builder, (middle - along * length / 2).tolist(), angle, length, width)
    found = seen(cloud(builder))
    y, x = torch.meshgrid(*(torch.arange(n * CELLS) + 0.5 for n in SIZE), indexing="ij")
    place = torch.stack([x, y], -1) / (CELLS * SIZE[0]) - middle
    u, v = (place @ along).abs(), (place @ torch.stack([-along[1], along[0]])).abs()
    cell = 1 / (CELLS * SIZE[0])
    inside = (u < length / 2 - cell) & (v < width / 2 - cell)
    near = (u < length / 2 + cell) & (v < width / 2 + cell)
    assert inside.sum() > 1000
    assert found[inside].all() and not found[~near].any()


def test_an_outline_narrows_as_its_exponents_say():
    builder = new_builder()
    strip(builder, (0.1, 0.5), 0.0, 1.2, 0.4, start=0.0, end=1.0)
    height = seen(cloud(builder)).sum(0).float()
    columns = torch.arange(30, 150)
    expected = 0.4 * SIZE[0] * CELLS * (1 - ((columns + 0.5) / CELLS / SIZE[0] - 0.1) / 1.2)
    assert (height[columns] - expected).abs().max() < 2


def test_a_bent_strip_is_an_arc():
    builder = new_builder()
    strip(builder, (0.5, 0.2), 0.0, 0.6, 0.02, bend=math.pi / 2)
    last = cloud(builder).position.max(0).values / SIZE[0]
    radius = 0.6 / (math.pi / 2)
    assert last[1] == pytest.approx(0.2 + radius, abs=0.03)
    assert last[0] == pytest.approx(0.5 + radius, abs=0.03)


def test_points_are_ordered_from_back_to_front():
    builder = new_builder()
    strip(builder, (0.5, 0.5), z=0.3, colour=(1.0, 0.0, 0.0))
    strip(builder, (0.5, 0.5), z=-0.2, colour=(0.0, 1.0, 0.0))
    front = cloud(builder).light[:, 0] > 0
    assert not front[: (~front).sum()].any() and front.sum() * 2 == len(front)


def test_points_far_outside_the_picture_are_left_out():
    builder = new_builder()
    strip(builder, (-1.0, 0.5), length=3.5)
    x = cloud(builder).position[:, 0] / SIZE[0]
    assert x.min() >= -OFF_SCREEN - 0.02 and x.max() <= SIZE[1] / SIZE[0] + OFF_SCREEN


def test_light_falls_with_the_cosine_of_its_angle():
    def brightness(towards):
        builder = new_builder()
        strip(builder, (0.5, 0.5))
        return float(cloud(builder, light(towards)).light.mean())

    assert brightness((0.0, 0.0, 1.0)) == pytest.approx(1.0, abs=0.03)
    assert brightness((1.0, 0.0, 1.0)) == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_a_strip_tilted_towards_the_light_is_brighter():
    def brightness(tilt):
        builder = new_builder()
        strip(builder, (0.5, 0.5), tilt_x=tilt)
        return float(cloud(builder, light((1.0, 0.0, 1.0))).light.mean())

    assert brightness(-1.0) < 0.05 < brightness(0.0) < brightness(1.0)


def test_transmitted_light_is_yellow():
    builder = new_builder()
    strip(builder, (0.5, 0.5), tilt_x=-3.0, transmission=0.5)
    red, green, blue = cloud(builder, light((1.0, 0.0, 0.3))).light.mean(0).tolist()
    assert red > green > blue >= 0 and red > 0.05


def test_an_occluder_towards_the_sun_casts_a_shadow():
    def lower_strip(occluded):
        builder = new_builder()
        strip(builder, (0.5, 0.5), z=-0.05)
        if occluded:  # up to the right, where the sun is
            strip(builder, (0.5, 0.3), length=0.9, width=0.3, z=0.1, colour=(0.0, 0.0, 0.0))
        lit = cloud(builder, light((0.4, -0.6, 0.5))).light
        return lit[lit.sum(1) > 0]  # the occluder is black

    bright, dark = lower_strip(False), lower_strip(True)
    assert dark.mean() < 0.8 * bright.mean()


def test_the_sky_lights_the_front_more_than_what_lies_behind():
    builder = new_builder()
    strip(builder, (0.4, 0.5), length=0.8, width=0.8, z=0.4, colour=(0.5, 0.0, 0.0))
    strip(builder, (0.4, 0.5), length=0.8, width=0.8, z=-0.2, colour=(0.0, 0.5, 0.0))
    lit = cloud(builder, light(sun=0.0, sky=1.0)).light
    front, back = lit[lit[:, 0] > 0, 0], lit[lit[:, 1] > 0, 1]
    assert back.median() < 0.8 * front.median()


def test_texture_multiplies_the_colour():
    pages = PLAIN.clone()
    pages[2] = 0.5
    builder = new_builder()
    strip(builder, (0.5, 0.5), texture=1.0, page=2.0)
    half = points_of(builder, SIZE, CELLS, pages, light(), 0, 1.0, 0.0)
    assert torch.allclose(half.light, 0.5 * cloud(builder).light)


def test_points_have_the_index_of_their_piece_and_a_place_in_pixels():
    builder = new_builder()
    strip(builder, (0.5, 0.5), length=0.1, width=0.1)
    slab = points_of(builder, SIZE, CELLS, PLAIN, light(), 7, 1.0, 2.5)
    assert (slab.piece == 7).all() and slab.blur == 2.5
    middle = torch.tensor([0.55, 0.5]) * SIZE[0] - 0.5
    assert torch.allclose(slab.position.mean(0), middle, atol=0.05)
