import pytest
import torch

from gid_core.still.grid import pixel_grid
from gid_core.training.augmentation import KERNELS, _randomly_convolved, augment_appearance, relight
from gid_core.training.data import generator_of

SIZE = (30, 46)


def scene():
    """A dark disc before a bright, striped wall."""
    x, y = pixel_grid(*SIZE, like=torch.zeros(()))
    wall = 0.6 + 0.2 * torch.sin(x / 2)
    disc = torch.hypot(x - 20, y - 14) < 9
    return torch.where(disc, 0.2, torch.stack([wall, 0.8 * wall, 0.6 * wall])), disc


@pytest.mark.parametrize("augment", [relight, augment_appearance])
def test_an_augmentation_depends_on_its_generator_alone(augment):
    still, _ = scene()
    for seed in range(20):
        torch.manual_seed(seed)  # the global generator must not be used
        one = augment(still, generator_of(7, seed))
        torch.manual_seed(99)
        assert torch.equal(one, augment(still, generator_of(7, seed)))
        assert one.shape == still.shape and 0 <= float(one.min()) and float(one.max()) <= 1
    assert torch.equal(still, scene()[0])
    assert not torch.equal(one, augment(still, generator_of(8, seed)))


def test_surfaces_change_and_edges_stay():
    """The disc keeps its edge in nearly every view; in some views the dark side is the brighter."""
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


def test_a_random_convolution_keeps_brightness_and_contrast():
    still = 0.5 + 0.05 * torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0))
    for seed in range(3 * len(KERNELS)):
        seen = _randomly_convolved(still, 1.0, generator_of(seed))
        assert torch.allclose(seen.mean((1, 2)), still.mean((1, 2)), atol=1e-4)
        assert torch.allclose(seen.std((1, 2)), still.std((1, 2)), rtol=1e-3)
        assert torch.equal(_randomly_convolved(still, 0.0, generator_of(seed)), still)


def test_uniform_pictures_stay_finite():
    for value in (0.0, 0.5, 1.0):
        still = torch.full((3, *SIZE), value)
        for seed in range(20):
            view = augment_appearance(still, generator_of(seed))
            assert torch.isfinite(relight(view, generator_of(seed))).all()
