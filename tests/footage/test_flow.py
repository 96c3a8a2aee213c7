import oracles
import pytest
import torch

from gid_core.footage import flow

H, W = 48, 72


def known(name):
    if name == "dis":
        pytest.importorskip("cv2", reason="the [data] extra is not installed")
    return flow.estimator(name)


def textures(shift_x, shift_y):
    """A texture and the same moved by so much, exactly."""
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    return oracles.plane_waves(x, y, 3), oracles.plane_waves(x - shift_x, y - shift_y, 3)


names = pytest.mark.parametrize("name", sorted(flow.ESTIMATORS))


@names
@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, 0.0), (0.0, -0.4), (3.3, -2.2), (-6.0, 5.0)])
def test_a_rigid_shift_is_recovered(name, shift):
    found = known(name)(*textures(*shift), None)
    inside = found[:, 8:-8, 8:-8] - torch.tensor(shift).view(2, 1, 1)
    assert inside.square().sum(0).sqrt().median() < 0.06


@names
def test_convention_flow_is_forward_x_right_y_down(name):
    first = torch.zeros(3, H, W)
    frame = first.clone()
    first[:, 20:28, 30:40] = frame[:, 22:30, 34:44] = torch.rand(
        3, 8, 10, generator=torch.Generator().manual_seed(1)
    )
    found = known(name)(first, frame, None)[:, 20:28, 30:40].flatten(1).median(1).values
    torch.testing.assert_close(found, torch.tensor([4.0, 2.0]), atol=0.2, rtol=0)


@names
def test_equal_pictures_have_no_flow(name):
    one, _ = textures(0, 0)
    assert known(name)(one, one, None).abs().max() < 1e-3


@names
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (29, 1), (3, 5), (11, 40), (12, 11)])
def test_pictures_of_any_size_have_a_flow(name, size):
    one = torch.rand(3, *size, generator=torch.Generator().manual_seed(2))
    for start in (None, torch.zeros(2, *size)):
        found = known(name)(one, one, start)
        assert found.shape == (2, *size) and found.abs().max() < 1e-3


@names
def test_an_initial_flow_recovers_a_shift_that_is_too_large_without_it(name):
    # A texture of fine detail alone: twenty pixels are many of its periods.
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    fine = lambda x: oracles.plane_waves(x, y, 5, finest=3.0, waves=200)
    first, frame = fine(x), fine(x - 20)
    start = torch.zeros(2, H, W)
    start[0] = 19.5
    shift = torch.tensor([20.0, 0.0]).view(2, 1, 1)
    error = lambda flow: (flow - shift)[:, 8:-8, 8:-30].square().sum(0).sqrt().median()
    assert error(known(name)(first, frame, start)) < 0.1
    assert error(known(name)(first, frame, None)) > 1
    assert (start == torch.tensor([19.5, 0.0]).view(2, 1, 1)).all()  # not written to


@names
def test_tiny_and_flat_pictures_have_a_finite_flow(name):
    for size in ((16, 17), (33, 20)):
        flat = torch.full((3, *size), 0.5)
        found = known(name)(flat, flat, None)
        assert found.shape == (2, *size) and found.abs().max() < 1e-3


@names
def test_noise_moves_little(name, rng):
    """Grain of two grey values in a hundred, on a texture that is weak in one half."""
    first, frame = textures(1.5, -0.7)
    contrast = torch.where(torch.arange(W) < W // 2, 0.15, 1.0)
    pair = [0.5 + contrast * (x - 0.5) for x in (first, frame)]
    pair = [(x + 0.02 * torch.randn(x.shape, generator=rng)).clamp(0, 1) for x in pair]
    found = known(name)(*pair, None)[:, 8:-8, 8:-8]
    error = (found - torch.tensor([1.5, -0.7]).view(2, 1, 1)).square().sum(0).sqrt()
    assert error.median() < 0.3


def test_gathering_keeps_constants_and_does_not_cross_an_edge(rng):
    grey = torch.zeros(H, W)
    grey[:, W // 2 :] = 1
    alike = flow._alike(grey)
    ones = torch.ones(2, H, W)
    torch.testing.assert_close(flow._gathered(ones, alike), ones)
    noise = torch.randn(1, H, W, generator=rng)
    noise[..., W // 2 :] += 100
    gathered = flow._gathered(noise, alike)
    assert gathered[..., : W // 2].abs().max() < 2  # a hundred weighs exp(-10) across the edge
    assert gathered[..., : W // 2].std() < 0.35 * noise[..., : W // 2].std()
