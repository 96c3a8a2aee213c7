import numpy as np
import oracles
import pytest
import torch

from gid_core.config import SpectrumConfig
from gid_core.elastic.modes import Part
from gid_core.elastic.unfolding import least_jacobian, set_amplitude
from gid_core.motion.spectrum import (
    SpectralVolume,
    amplitude_pct,
    displacement_at,
    moving_points,
    one_period,
)
from gid_core.still.grid import pixel_grid

BANDS = SpectrumConfig(bands=6, duration_s=2.5)


def size_of(volume):
    return amplitude_pct(one_period(volume), moving_points(volume)).item()


def moves(volume):
    """The largest amplitude at every point of the grid."""
    return volume.coeffs[0].abs().amax((0, 1))


def moved_by(field):
    """A sheet all of which moves by a field, 2 h w, in one band; and its volume."""
    grid = tuple(field.shape[1:])
    count = grid[0] * grid[1]
    part = Part(np.arange(count), np.zeros((count, 2, 1)), np.ones(1), np.ones(count))
    coeffs = field[None, None].to(torch.complex64)
    sheet = oracles.sheet_of_one_part(part, grid)
    return sheet, SpectralVolume(coeffs, torch.tensor([1.0]), grid)


def test_nothing_swings_much_farther_than_the_rest():
    # A bump of thirty times the rest's motion, on 2 % of the sheet.
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    bump = torch.exp(-((x - 20).square() + (y - 12).square()) / 4)
    sheet, volume = moved_by(torch.stack([1 + 30 * bump, 0 * bump]))
    resized = moves(set_amplitude(volume, sheet, SpectrumConfig(1, 1.0, 0.2)))
    size = 0.002 * 40
    assert 2 * size < resized.max() < 1.05 * 3 * size
    assert resized.flatten().quantile(0.95) == pytest.approx(size, rel=0.01)


def test_a_fold_is_evened_out():
    # The two halves of a sheet run into each other, by three grid cells.
    x = torch.arange(24.0).expand(20, 24)
    sheet, volume = moved_by(torch.stack([torch.where(x < 12, 1.0, -1.0), 0 * x]))
    asked = SpectrumConfig(1, 1.0, 100 * 1.5 / 24)
    assert least_jacobian(displacement_at(volume, torch.zeros(1))[0] * 1.5).min() < 0
    evened = set_amplitude(volume, sheet, asked)
    assert least_jacobian(displacement_at(evened, torch.zeros(1))[0]).min() > 0.05
    assert size_of(evened) == pytest.approx(asked.amplitude_pct, rel=0.01)


def test_the_jacobian_of_an_affine_field_is_its_determinant(rng):
    slopes = torch.randn(3, 2, 2, generator=rng, dtype=torch.float64)
    points = pixel_grid(5, 7, like=slopes)
    field = torch.einsum("tij,jhw->tihw", slopes, points)
    expected = torch.linalg.det(torch.eye(2) + slopes)
    found = least_jacobian(field)
    torch.testing.assert_close(found, expected.view(3, 1, 1).expand(3, 4, 6))


def test_the_jacobian_sees_a_fold_at_one_corner_of_a_cell():
    # One point pushed over the diagonal of its cell: on average the cell still is upright.
    field = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    field[0, :, 0, 0] = 0.7
    found = least_jacobian(field)[0]
    # At the corner opposite nothing changes; beside the moved one, 1 - 0.7 - 0.7.
    torch.testing.assert_close(found[0, 0], torch.tensor(-0.4).double())
    assert (found.flatten()[1:] == 1).all()
