import pytest
import torch

from gid_core.scenes.flows import FLOWS, flowing_scene
from gid_core.still.grid import pixel_grid

SIZE = 20, 28


def scene(kind, speed=6.0, seed=0):
    return flowing_scene(kind, SIZE, speed, 4.0, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", FLOWS)
def test_places_come_from_along_the_velocity(kind):
    made, dt = scene(kind), 1e-4
    place = pixel_grid(*SIZE, like=made.waves)
    assert torch.equal(made.came_from(0), place)
    speed = (place - made.came_from(dt)) / dt
    torch.testing.assert_close(speed, made.velocity(), rtol=0, atol=1e-2)
    assert made.velocity().norm(dim=0).max() == pytest.approx(6.0, rel=1e-6)


def test_a_vortex_comes_back_after_a_turn():
    made = scene("vortex")
    turn = 2 * torch.pi / made._rate()
    torch.testing.assert_close(made.frame(turn), made.frame(0))
    assert (made.frame(turn / 3) - made.frame(0)).abs().max() > 0.1


def test_a_river_carries_its_texture_along():
    made = scene("river", speed=5.0)
    later, still = made.frame(1.0), made.frame(0)  # 4 px right, 3 px down
    torch.testing.assert_close(later[:, 3:, 4:], still[:, :-3, :-4])
    assert still.min() >= 0 and still.max() <= 1 and still.std() > 0.05


def test_a_seed_means_the_same_scene_and_an_unknown_kind_is_named():
    assert torch.equal(scene("sea").frame(1), scene("sea").frame(1))
    assert not torch.equal(scene("sea").frame(1), scene("sea", seed=1).frame(1))
    with pytest.raises(ValueError, match="one of river, shear, vortex, sea, got 'lava'"):
        scene("lava")
