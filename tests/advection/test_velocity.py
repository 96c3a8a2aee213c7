import pytest
import torch

from gid_core.advection.velocity import divergence, solve_velocity, squares_inside

SIZE = 24, 36


def river(rng=None):
    """A river between banks that are not straight, with an island."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(36.0), indexing="ij")
    middle = 12 + 4 * torch.sin(x / 6)
    flows = (y - middle).abs() < 6
    return flows & ~((y - 10).square() + (x - 20).square() < 6)


def solved(flows, divergence_free=True, toward=(2.0, 0.0), weight=1 / 9, scale=None):
    target = torch.tensor(toward).view(2, 1, 1).expand(2, *flows.shape).clone()
    scale = torch.ones(flows.shape) if scale is None else scale
    return solve_velocity(target, weight * flows.float(), flows, scale, divergence_free)


@pytest.mark.parametrize("divergence_free", [True, False])
def test_a_uniform_target_without_shores_is_reproduced(divergence_free):
    found = solved(torch.ones(SIZE, dtype=torch.bool), divergence_free, (1.5, -0.5))
    expected = torch.tensor([1.5, -0.5]).view(2, 1, 1).expand_as(found)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_a_river_has_neither_sources_nor_sinks():
    flows = river()
    found = solved(flows).double()
    inside = squares_inside(flows)
    gradient = torch.stack([found.diff(dim=1)[:, :, 1:], found.diff(dim=2)[:, 1:]])
    rms = gradient[:, :, inside].square().sum((0, 1)).mean().sqrt()
    assert divergence(found)[inside].abs().max() < 1e-3 * rms
    # Without the condition, the same target has sources at the banks.
    free = solved(flows, divergence_free=False, weight=1.0)
    free[:, ~flows] = 0
    assert divergence(free).abs().max() > 0.1


def test_what_enters_a_river_leaves_it():
    flows = river()
    found = solved(flows) * flows
    through = found[0].sum(0)  # across every column of cells
    torch.testing.assert_close(through, through.mean().expand(36), rtol=0.02, atol=0)
    assert through.mean() > 10


def test_no_flow_crosses_a_shore():
    # A channel of 6 rows: along a straight shore nothing goes up or down.
    flows = torch.zeros(SIZE, dtype=torch.bool)
    flows[9:15] = True
    found = solved(flows, toward=(2.0, 1.0))
    assert found[1][flows].abs().max() < 0.2 and found[0][flows].min() > 1.7
    assert found[1, 9:15, 12:24].abs().max() < 1e-3  # away from the open ends


def test_a_hint_is_followed_and_smooth_away_from_it():
    flows = torch.ones(SIZE, dtype=torch.bool)
    target, weight = torch.zeros(2, *SIZE), torch.zeros(SIZE)
    target[:, 12, 4] = torch.tensor([1.0, 0.0])
    target[:, 12, 30] = torch.tensor([3.0, 0.0])
    weight[12, [4, 30]] = 100.0
    for divergence_free in (True, False):
        found = solve_velocity(target, weight, flows, torch.ones(SIZE), divergence_free)
        torch.testing.assert_close(
            found[0, 12, [4, 30]], torch.tensor([1.0, 3.0]), atol=0.1, rtol=0
        )
        assert 1.0 < found[0, 12, 17] < 3.0


def test_what_is_farther_is_slower_by_the_scale():
    flows = torch.ones(SIZE, dtype=torch.bool)
    scale = torch.linspace(0.2, 1.0, 24)[:, None].expand(SIZE).contiguous()
    found = solved(flows, scale=scale)
    torch.testing.assert_close(found[0], 2 * scale, rtol=0.02, atol=0)


@pytest.mark.parametrize("divergence_free", [True, False])
def test_one_cell_all_cells_and_none(divergence_free):
    one = torch.zeros(SIZE, dtype=torch.bool)
    assert not solved(one, divergence_free).any()
    one[3, 5] = True
    assert solved(one, divergence_free).isfinite().all()
    assert solved(torch.ones(1, 1, dtype=torch.bool), divergence_free).shape == (2, 1, 1)
