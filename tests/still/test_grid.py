import oracles
import pytest
import torch

from gid_core.render.splat import splat
from gid_core.still.grid import (
    backward_warp,
    fitted,
    grid_size,
    pixel_grid,
    reduced,
    resize_displacement,
    sample_points,
)


def dot(*at, size=(3, 3)):
    image = torch.zeros(1, 1, *size, dtype=torch.float64)
    image[0, 0][at] = 1
    return image


def constant(dx, dy, size=(3, 3)):
    return torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, *size)


def test_convention_x_right_y_down_centers_at_integers():
    x, y = pixel_grid(2, 3, like=torch.zeros(1, dtype=torch.float64))
    assert x.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert y.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_convention_dx_of_one_moves_content_right():
    torch.testing.assert_close(splat(dot(1, 1), constant(1, 0)), dot(1, 2), rtol=0, atol=1e-15)


def test_convention_dy_of_one_moves_content_down():
    torch.testing.assert_close(splat(dot(1, 1), constant(0, 1)), dot(2, 1), rtol=0, atol=1e-15)


def test_convention_backward_warp_reads_at_p_plus_displacement():
    read = backward_warp(dot(1, 1), constant(1, 0))
    torch.testing.assert_close(read, dot(1, 0), rtol=0, atol=1e-15)
    read = backward_warp(dot(1, 1), constant(0, 1))
    torch.testing.assert_close(read, dot(0, 1), rtol=0, atol=1e-15)


def test_convention_points_are_x_then_y():
    image = torch.arange(6, dtype=torch.float64).view(1, 1, 2, 3)
    points = torch.tensor([[2.0, 0.0, 0.5], [0.0, 1.0, 1.0]], dtype=torch.float64)[None]
    read = sample_points(image, points)
    torch.testing.assert_close(read, torch.tensor([[[2, 3, 3.5]]]).double(), rtol=0, atol=1e-14)


def test_backward_warp_equals_the_loop(rng):
    image = torch.randn(2, 4, 5, 7, generator=rng, dtype=torch.float64)
    displacement = 2 * torch.randn(2, 2, 5, 7, generator=rng, dtype=torch.float64)
    expected = oracles.backward_warp(image, displacement)
    read = backward_warp(image, displacement)
    torch.testing.assert_close(read, expected, rtol=0, atol=1e-13)


def test_backward_warp_has_the_gradients_of_its_formula(rng):
    image = torch.randn(2, 2, 3, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    off = 0.2 + 0.6 * torch.rand(2, 2, 3, 4, generator=rng, dtype=torch.float64)
    assert torch.autograd.gradcheck(backward_warp, (image, off.requires_grad_()))


def test_warping_a_ramp_adds_slope_times_displacement(rng):
    x, y = pixel_grid(9, 11, like=torch.zeros(1, dtype=torch.float64))
    ramp = (0.25 * x - 0.75 * y)[None, None]
    displacement = 4 * torch.rand(1, 2, 9, 11, generator=rng, dtype=torch.float64) - 2
    read = backward_warp(ramp, displacement)
    expected = ramp + 0.25 * displacement[:, :1] - 0.75 * displacement[:, 1:]
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(read[inside], expected[inside], rtol=0, atol=1e-13)


def test_outside_the_picture_is_zero():
    image = torch.ones(1, 1, 3, 4, dtype=torch.float64)
    assert (backward_warp(image, constant(5, 0, (3, 4))) == 0).all()
    half = backward_warp(image, constant(0, -0.5, (3, 4)))
    torch.testing.assert_close(half[0, 0, 0], torch.full((4,), 0.5).double(), rtol=0, atol=1e-15)


# By a whole ratio or up: of others the antialiasing window has its middle off the pixel's.
@pytest.mark.parametrize("size", [(10, 14), (4, 7), (5, 28), (33, 61)])
def test_resizing_keeps_a_ramp_on_half_pixel_centers(size):
    # u = (x + 1/2) / w in fractions of the picture; a picture of another size covers the same.
    def ramp(height, width):
        x, y = pixel_grid(height, width, like=torch.zeros(1, dtype=torch.float64))
        u, v = (x + 0.5) / width, (y + 0.5) / height
        return torch.stack([(2 * u - 3 * v) * width, (u + 5 * v) * height])[None, None]

    resized = resize_displacement(ramp(20, 28), size)
    expected = ramp(*size)
    # Windows at the border are cut off; those at least one new pixel inside are whole.
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(resized[inside], expected[inside], rtol=0, atol=1e-12)


def test_resizing_scales_each_axis_by_its_own_ratio():
    field = constant(1, 1, (5, 7))
    resized = resize_displacement(field, (10, 21))
    torch.testing.assert_close(resized, constant(3, 2, (10, 21)), rtol=0, atol=1e-14)
    back = resize_displacement(resized, (5, 7))
    torch.testing.assert_close(back, field, rtol=0, atol=1e-14)


def test_shrinking_averages_what_it_cannot_show():
    columns = torch.tensor([1.0, -1.0]).repeat(12).double()  # alternating, at the finest there is
    shrunk = resize_displacement(columns.expand(1, 2, 18, 24), (6, 8))
    assert shrunk[..., 1:-1].abs().max() < 0.05


def test_resizing_commutes_with_scaling_and_with_batching(rng):
    field = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.float64)
    resized = resize_displacement(field, (8, 6))
    torch.testing.assert_close(resize_displacement(2.5 * field, (8, 6)), 2.5 * resized)
    assert torch.equal(resize_displacement(field[1, 2], (8, 6)), resized[1, 2])


def test_one_pixel_is_a_size():
    image = torch.full((1, 2, 1, 1), 0.75, dtype=torch.float64)
    assert torch.equal(backward_warp(image, constant(0, 0, (1, 1))), image)
    half = backward_warp(image, constant(0.5, 0, (1, 1)))
    torch.testing.assert_close(half, image / 2, rtol=0, atol=1e-15)
    spread = resize_displacement(constant(1, 2, (1, 1)), (4, 6))
    torch.testing.assert_close(spread, constant(6, 8, (4, 6)), rtol=0, atol=1e-14)
    column = resize_displacement(constant(1, 2, (1, 9)), (1, 3))
    torch.testing.assert_close(column, constant(1 / 3, 2, (1, 3)), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "height, width, expected",
    [(512, 768, (107, 160)), (768, 512, (160, 107)), (90, 160, (90, 160)), (7, 5, (7, 5)),
     (1, 4000, (1, 160)), (1, 1, (1, 1))],
)  # fmt: skip
def test_the_coarse_grid_keeps_the_shape_and_never_enlarges(height, width, expected):
    assert grid_size(height, width, 160) == expected


def test_a_smaller_picture_shows_the_same_and_never_less_than_a_pixel():
    ramp = torch.linspace(0, 1, 24).view(1, 1, 1, 24).expand(2, 3, 12, 24)
    half = reduced(ramp, 2)
    assert half.shape == (2, 3, 6, 12)
    means = ramp.unflatten(3, (12, 2)).mean(4)[..., :6, :]
    torch.testing.assert_close(half[..., 1:-1], means[..., 1:-1])
    assert reduced(ramp, 100).shape == (2, 3, 1, 1)
    assert reduced(ramp, 1) is ramp


def test_a_picture_is_fitted_by_its_longer_side_and_never_enlarged():
    picture = torch.rand(1, 3, 10, 40)
    assert fitted(picture, 20).shape == (1, 3, 5, 20)
    assert fitted(picture.mT, 20).shape == (1, 3, 20, 5)
    assert fitted(picture, 41) is picture
