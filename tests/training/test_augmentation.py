import pytest
import torch

from gid_core.still.grid import pixel_grid
from gid_core.training.augmentation import KERNELS, _through_a_filter, augment_appearance, relight
from gid_core.training.data import generator_of

SIZE = (30, 46)


def scene():
    """A dark disc before a bright, striped wall."""
    x, y = pixel_grid(*SIZE, like=torch.zeros(()))
    wall = 0.6 + 0.2 * torch.sin(x / 2)
    disc = torch.hypot(x - 20, y - 14) < 9
    return torch.where(disc, 0.2, torch.stack([wall, 0.8 * wall, 0.6 * wall])), disc


@pytest.mark.parametrize("look", [relight, augment_appearance])
def test_a_look_is_drawn_by_its_generator_alone(look):
    still, _ = scene()
    for seed in range(20):
        torch.manual_seed(seed)  # which nothing may draw from
        one = look(still, generator_of(7, seed))
        torch.manual_seed(99)
        assert torch.equal(one, look(still, generator_of(7, seed)))
        assert one.shape == still.shape and 0 <= float(one.min()) and float(one.max()) <= 1
    assert torch.equal(still, scene()[0])
    assert not torch.equal(one, look(still, generator_of(8, seed)))


def test_stuff_changes_and_shapes_stay():
    """Where the disc ends there is an edge in nearly every disguise; now and then the dark side is the brighter."""
    still, disc = scene()
    ring = (disc[:, 1:] != disc[:, :-1]).float()
    brighter, edges = 0, 0
    for seed in range(60):
        seen = augment_appearance(still, generator_of(seed))
        slope = seen.diff(dim=-1).abs().sum(0)
        edges += float((slope * ring).sum() / ring.sum()) > float(slope.mean())
        brighter += float(seen[:, disc].mean()) > float(seen[:, ~disc].mean())
    assert edges >= 48
    assert 4 <= brighter <= 56


def test_a_filter_keeps_brightness_and_contrast():
    still = 0.5 + 0.05 * torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0))
    for seed in range(3 * len(KERNELS)):
        seen = _through_a_filter(still, 1.0, generator_of(seed))
        assert torch.allclose(seen.mean((1, 2)), still.mean((1, 2)), atol=1e-4)
        assert torch.allclose(seen.std((1, 2)), still.std((1, 2)), rtol=1e-3)
        assert torch.equal(_through_a_filter(still, 0.0, generator_of(seed)), still)


def test_what_is_plain_stays_finite():
    for value in (0.0, 0.5, 1.0):
        still = torch.full((3, *SIZE), value)
        for seed in range(20):
            assert torch.isfinite(
                relight(augment_appearance(still, generator_of(seed)), generator_of(seed))
            ).all()
