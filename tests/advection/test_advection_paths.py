import math

import pytest
import torch

from gid_core.advection import paths as module
from gid_core.advection.paths import integrate
from gid_core.motion.displacement import displacement
from gid_core.still.grid import pixel_grid

GRID = 48, 64
DURATION = 5.0


def linear(matrix, centre=(31.5, 23.5), dtype=torch.float64):
    """A velocity that is linear in place: v = A (x - centre)."""
    place = pixel_grid(*GRID, like=torch.zeros(1, dtype=dtype))
    away = place - torch.tensor(centre, dtype=dtype).view(2, 1, 1)
    return torch.einsum("ij,jhw->ihw", torch.tensor(matrix, dtype=dtype), away), away


def at(paths, times):
    coords = paths.coords(torch.tensor(times, dtype=torch.float64)).to(torch.complex128)
    return displacement(paths.fields[None].to(torch.complex128), coords)[0]


FIELDS = {
    "rotation": [[0.0, -0.8], [0.8, 0.0]],
    "shear": [[0.0, 0.3], [0.0, 0.0]],
    "stagnation point": [[-0.3, 0.0], [0.0, 0.3]],
    "spiral": [[-0.1, -0.6], [0.6, -0.1]],
}


@pytest.mark.parametrize("name", FIELDS)
def test_paths_are_those_of_closed_forms(name):
    velocity, away = linear(FIELDS[name])
    found = integrate(velocity, DURATION)
    times = torch.linspace(-DURATION, DURATION, 11, dtype=torch.float64)
    matrix, counted = torch.tensor(FIELDS[name]).double(), 0
    for t, field in zip(times, at(found, times.tolist())):
        way = torch.linalg.matrix_exp(matrix * (t * torch.linspace(0, 1, 40)[:, None, None]))
        path = torch.einsum("nij,jhw->nihw", way, away)
        # The formula holds as long as the path, to its next knot, stays on the grid.
        inside = ((path[:, 0].abs() < 26) & (path[:, 1].abs() < 18)).all(0)
        counted += int(inside.sum())
        assert ((field - path[-1] + away) * inside).abs().max() < 1e-3
    assert counted > 11 * 300


def test_the_error_falls_with_the_fourth_power_of_the_step(monkeypatch):
    velocity, away = linear(FIELDS["rotation"])
    turn = torch.linalg.matrix_exp(torch.tensor(FIELDS["rotation"]).double() * DURATION)
    expected = torch.einsum("ij,jhw->ihw", turn, away) - away
    near = away.norm(dim=0) < 20
    errors = []
    for steps in (8, 16, 32):
        monkeypatch.setattr(module, "_steps", lambda *given, n=steps: n)
        found = at(integrate(velocity, DURATION, knots=1), [DURATION])[0]
        errors.append(float((found - expected)[:, near].abs().max()))
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert all(3.7 < order < 4.5 for order in orders), orders


def test_an_unsteady_flow_is_the_integral_of_its_velocity():
    # The same everywhere: D(t) = v t + Re S (exp(i 2 pi f t) - 1).
    velocity = torch.tensor([3.0, -1.0], dtype=torch.float64).view(2, 1, 1).expand(2, 3, 4).clone()
    bands = torch.full((1, 2, 3, 4), 0.7 + 0.4j, dtype=torch.complex64)
    frequency = torch.tensor([0.6])
    found = integrate(velocity, 2.0, bands, frequency)
    for t in (-1.91, -0.3, 0.0, 1.234, 2.0):
        swing = (0.7 + 0.4j) * (torch.exp(torch.tensor(2j * math.pi * 0.6 * t)) - 1)
        expected = velocity[:, 0, 0] * t + swing.real
        torch.testing.assert_close(at(found, [t])[0, :, 1, 2], expected.double(), rtol=0, atol=1e-3)


def test_at_time_zero_nothing_has_moved():
    velocity, _ = linear(FIELDS["spiral"], dtype=torch.float32)
    found = integrate(velocity, 2.0)
    assert not at(found, [0.0]).any()


def test_no_path_leaves_through_a_shore():
    # A flow straight against the banks of a slanted river.
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    inside = (y - x // 2 - 6).abs() < 7
    velocity = torch.tensor([1.0, 4.0]).view(2, 1, 1).expand(2, *GRID).clone()
    found = integrate(velocity, DURATION, inside=inside)
    moved = at(found, torch.linspace(-DURATION, DURATION, 21).tolist())
    places = moved + pixel_grid(*GRID, like=moved)
    column, row = places[:, :, inside].unbind(1)
    near = [
        inside[(row + dy).round().long().clamp(0, 47), (column + dx).round().long().clamp(0, 63)]
        for dy in (-0.75, 0, 0.75)
        for dx in (-0.75, 0, 0.75)
    ]
    assert torch.stack(near).any(0).all()
    # Without shores most would leave.
    free = at(integrate(velocity, DURATION), [DURATION])[0] + pixel_grid(*GRID, like=moved)
    assert free[1, inside].max() > 47


def test_a_grid_of_one_point_and_no_speed():
    found = integrate(torch.zeros(2, 1, 1), 1.0)
    assert not at(found, [-1.0, 0.3, 1.0]).any()
    assert not at(integrate(torch.zeros(2, 3, 4), 0.04, knots=1), [0.02]).any()
