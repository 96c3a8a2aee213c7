import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from gid_core.diffusion.encoding import as_channels, as_complex, of_unit_size, unit_size
from gid_core.files.spectra import save_spectrum
from gid_core.motion.spectrum import SpectralVolume
from gid_core.still.grid import pixel_grid
from gid_core.training import data
from gid_core.training.data import Clips, Mixture, Photographs, Scenes, augment_geometry, statistics

DEMO = Path(__file__).parents[2] / "docs/demo/still.png"
SIZE = (24, 40)


class Constant:
    """A source of one uniform picture whose motion points along x everywhere."""

    size, frequencies_hz = SIZE, torch.arange(1, 4) / 5

    def __init__(self, value=0.5):
        self.value = value

    def sample(self, number):
        still = torch.full((3, *SIZE), self.value)
        channels = torch.zeros(3, 4, *SIZE)
        channels[:, 0] = 1.0
        return still, channels


def test_scenes_are_the_same_from_memory_and_from_the_cache(tmp_path):
    made, kept = (Scenes(SIZE, 3, bands=4, cache=cache) for cache in (None, tmp_path))
    for number in (0, 2, 3):  # number 3 repeats number 0
        still, channels = made.sample(number)
        for _ in range(2):
            still_, channels_ = kept.sample(number)
            assert torch.allclose(still_, still, atol=0.5 / 255 + 1e-6)
            assert torch.allclose(channels_, channels, atol=2e-3)
    assert len(list(tmp_path.iterdir())) == 2
    assert float(unit_size(as_complex(channels[None]))) == pytest.approx(1, rel=1e-4)


def test_photographs_have_a_motion_of_their_own_for_every_number(tmp_path):
    shutil.copy(DEMO, tmp_path / "p.png")
    source = Photographs(SIZE, tmp_path, bands=3)
    still, channels = source.sample(5)
    assert still.shape == (3, *SIZE) and channels.shape == (3, 4, *SIZE)
    assert torch.equal(source.sample(5)[1], channels)
    assert not torch.allclose(source.sample(6)[1], channels)  # another wind
    with pytest.raises(ValueError, match="found none"):
        Photographs(SIZE, tmp_path / "nothing")


def test_clips_come_from_shards(tmp_path):
    import tarfile

    parts = torch.randn(2, 1, 5, 2, 12, 20, generator=torch.Generator().manual_seed(0))
    volume = SpectralVolume(torch.complex(*parts), torch.arange(1, 6) / 5, (48, 80))
    save_spectrum(volume, tmp_path / "s.safetensors")
    Image.new("RGB", (80, 48), (10, 200, 30)).save(tmp_path / "p.png")
    with tarfile.open(tmp_path / "shard-000000.tar", "w") as tar:
        tar.add(tmp_path / "s.safetensors", "a.spectrum.safetensors")
        tar.add(tmp_path / "p.png", "a.still.png")
    source = Clips(SIZE, tmp_path, bands=4)
    still, channels = source.sample(7)
    assert channels.shape == (4, 4, *SIZE)
    assert torch.allclose(still[:, 3, 4], torch.tensor([10, 200, 30]) / 255, atol=1e-6)
    assert torch.equal(source.frequencies_hz, volume.frequencies_hz[:4])
    with pytest.raises(ValueError, match="these have 5"):
        Clips(SIZE, tmp_path, bands=6)
    with pytest.raises(ValueError, match="found no samples"):
        Clips(SIZE, tmp_path / "nothing")
    data.check_bands(source, 4, 5.0)
    with pytest.raises(ValueError, match="from 0.25 to 1 Hz, got 4 from 0.2 to 0.8 Hz"):
        data.check_bands(source, 4, 4.0)


def test_a_mixture_takes_sources_by_weight_and_depends_on_the_number_alone():
    mixture = Mixture((Constant(0.2), Constant(0.8)), (3.0, 1.0), seed=4, length=400, augment=None)
    firsts = torch.stack([mixture[n][0].mean() for n in range(400)])
    assert float((firsts < 0.5).float().mean()) == pytest.approx(0.75, abs=0.06)
    again = Mixture((Constant(0.2), Constant(0.8)), (3.0, 1.0), seed=4, length=9, augment=None)
    assert torch.equal(again[7][0], mixture[7][0])
    whole = Mixture((Constant(),), (1.0,), seed=4, length=9, augment=data.augment)
    other = Mixture((Constant(),), (1.0,), seed=5, length=9, augment=data.augment)
    assert torch.equal(whole[3][0], whole[3][0]) and not torch.equal(whole[3][0], other[3][0])


def test_augmentation_of_appearance_leaves_the_motion_alone(monkeypatch):
    generator = lambda: torch.Generator().manual_seed(3)
    still, channels = torch.rand(3, *SIZE, generator=generator()), torch.zeros(3, 4, *SIZE)
    channels[:, 0] = torch.linspace(0, 2, SIZE[1])
    seen, moved = data.augment(still, channels, generator())
    turned = as_complex(augment_geometry(still, channels, generator())[1][None])
    assert torch.equal(moved, as_channels(of_unit_size(turned))[0])
    monkeypatch.setattr(data.augmentation, "augment_appearance", lambda still, generator: 0 * still)
    assert not torch.allclose(data.augment(still, channels, generator())[0], seen, atol=0.1)


def test_a_rotated_picture_has_rotated_vectors():
    """A field of vectors away from the middle stays one in every view."""
    x, y = pixel_grid(80, 96, like=torch.zeros(()))
    away = torch.stack([x - 47.5, y - 39.5]) / 40
    still = torch.stack([x / 96, y / 80, 0 * x])
    channels = torch.zeros(2, 4, 80, 96)
    channels[:, 0], channels[:, 2] = away
    channels[:, 1], channels[:, 3] = 2 * away
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        seen, moved = augment_geometry(still, channels, generator)
        # The view's colours give the place that each pixel had; their differences, the transform.
        from_x, from_y = seen[0] * 96, seen[1] * 80
        middle = lambda x, y: torch.stack([x[8:-8, 8:-8], y[8:-8, 8:-8]])
        step_x = middle(from_x.diff(dim=1)[:-1], from_y.diff(dim=1)[:-1])
        step_y = middle(from_x.diff(dim=0)[:, :-1], from_y.diff(dim=0)[:, :-1])
        back = torch.stack([step_x, step_y], 1)  # from : to
        zoom = 1 / step_x.square().sum(0).sqrt().median()
        old = middle(from_x[:-1, :-1] - 47.5, from_y[:-1, :-1] - 39.5) / 40
        new = middle(moved[0, 0, :-1, :-1], moved[0, 2, :-1, :-1])
        carried = torch.einsum("ijhw,jhw->ihw", back * zoom, new)
        error = (carried - old).norm(dim=0)
        assert float(error.median()) < 0.02  # the border is filled by reflection
        assert torch.allclose(moved[:, 1], 2 * moved[:, 0], atol=1e-4)


def test_a_view_stays_inside_the_picture():
    x, y = pixel_grid(80, 128, like=torch.zeros(()))
    still = torch.stack([x, y, 0 * x])
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        seen, _ = augment_geometry(still, torch.zeros(1, 4, 80, 128), generator)
        # With reflection at the border, places would not be an affine function of the pixel.
        for field in seen[:2]:
            assert field.diff(dim=0).std() < 1e-3 and field.diff(dim=1).std() < 1e-3, seed


def test_turned_vectors_keep_their_length():
    _, channels = Constant().sample(0)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        _, moved = augment_geometry(torch.rand(3, *SIZE), channels, generator)
        length = torch.hypot(moved[:, 0], moved[:, 2])
        assert torch.allclose(length, torch.ones_like(length), atol=1e-4)
        tilt = torch.atan2(moved[:, 2], moved[:, 0].abs()).abs().max()
        assert float(tilt) <= math.radians(data.TURN_DEG) + 1e-4


def test_augmented_stills_are_pictures_and_differ():
    still, channels = Scenes(SIZE, 3, bands=2).sample(1)
    generators = [torch.Generator().manual_seed(n) for n in range(6)]
    views = [augment_geometry(still, channels, generator)[0] for generator in generators]
    assert all(0 <= float(v.min()) and float(v.max()) <= 1 for v in views)
    assert torch.pdist(torch.stack(views).flatten(1)).min() > 0.5


def test_a_generator_depends_on_all_its_numbers_and_their_order():
    drawn = {
        float(torch.rand((), generator=data.generator_of(*numbers)))
        for numbers in ((0, 1), (1, 0), (1, 1), (2**40, 1), (0, 1, 1), (0, 2**40))
    }
    assert len(drawn) == 6


def test_an_encoding_is_fitted_to_samples_without_augmentation():
    plain = Mixture((Scenes(SIZE, 4, bands=3),), (1.0,), seed=0, length=8)
    augmented = replace(plain, augment=lambda *sample: pytest.fail("augmented"))
    encoding = statistics(augmented)
    assert torch.equal(encoding.scale, statistics(plain).scale)
    assert (encoding.scale > 0).all() and encoding.frequencies_hz.tolist() == pytest.approx(
        [0.2, 0.4, 0.6]
    )
