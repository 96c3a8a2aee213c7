import pytest
import torch
from safetensors.torch import save_file

from gid_core.diffusion.encoding import as_channels
from gid_core.files.whole import written_whole
from gid_core.training.batches import Prepared, shifted

K, H, W = 3, 8, 12  # bands, places of the grid


def sample(winds, seed, h=H, w=W):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=generator)
    return {
        "features": draw(5, h // 4, w // 4).half(),
        "sways": draw(1, h, w).half(),
        "matte": draw(1, h, w).half(),
        "motions": (draw(winds, K, 4, h // 4, w // 4) - 0.5).half(),
    }


@pytest.fixture()
def folder(tmp_path):
    for i, winds in enumerate((4, 1, 4)):
        save_file(sample(winds, i), tmp_path / f"a_{i}.safetensors")
    save_file(sample(2, 9, W, H), tmp_path / "b_0.safetensors")
    return tmp_path


def test_a_shift_in_time_turns_every_band_by_its_phase():
    generator = torch.Generator().manual_seed(0)
    coeffs = torch.randn(2, K, 2, 4, 5, 2, generator=generator)
    coeffs = torch.view_as_complex(coeffs)
    turn = torch.tensor([0.3, 0.8])
    phase = 2 * torch.pi * turn[:, None] * torch.arange(1, K + 1)
    turned = coeffs * torch.polar(torch.ones_like(phase), phase)[..., None, None, None]
    torch.testing.assert_close(shifted(as_channels(coeffs), turn), as_channels(turned))


def test_a_batch_has_one_shape_and_is_the_same_for_the_same_generator(folder):
    data = Prepared(folder)
    assert len(data) == 4
    shapes = set()
    for seed in range(12):
        one, again = (data.batch(3, torch.Generator().manual_seed(seed)) for _ in range(2))
        assert torch.equal(one.motion, again.motion) and torch.equal(one.seen, again.seen)
        shapes.add(tuple(one.motion.shape[-2:]))
    assert shapes == {(2, 3), (3, 2)}


def test_energy_is_the_mean_over_the_winds_that_there_are(folder):
    data = Prepared(folder)
    batch = data.stacks[K, 4, 2, 3].chosen(torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    for row, (winds, seed) in enumerate(((4, 0), (1, 1))):
        motions = sample(winds, seed)["motions"].float()
        size = motions.square().mean(0).unflatten(1, (2, 2)).mean(2)  # k xy h w
        expected = size.repeat_interleave(2, 1)
        torch.testing.assert_close(batch.energy[row], expected)


def test_the_share_is_the_recognizer_s_or_the_outlines_and_what_counts_is_theirs(folder):
    stack = Prepared(folder).stacks[K, 4, 2, 3]
    rows = torch.zeros(64, dtype=torch.long)
    batch = stack.chosen(rows, torch.Generator().manual_seed(1))
    outlined = [bool(torch.equal(share, stack.outlined[0])) for share in batch.share]
    recognized = [bool(torch.equal(share, stack.recognized[0])) for share in batch.share]
    assert all(a != b for a, b in zip(outlined, recognized)) and 16 < sum(outlined) < 48
    assert all(torch.equal(counts, stack.outlined[0]) for counts in batch.counts)


def test_what_is_added_is_taken_up(folder):
    data = Prepared(folder)
    before = data.usual()
    save_file(sample(4, 20), folder / "c_0.safetensors")
    data.refresh()
    assert len(data) == 5 and not torch.equal(data.usual(), before)


def test_a_batch_does_not_depend_on_what_came_first(folder):
    """Samples of more winds, of a new shape, and such as lie between those that were there."""
    data = Prepared(folder)
    for names in (("a_05",), ("0", "c", "b_1"), ("a_1b",)):
        for number, name in enumerate(names):
            turned = (W, H) if name.startswith("b") else (H, W)
            save_file(sample(3 + 3 * number, len(name), *turned), folder / f"{name}.safetensors")
        data.refresh()
    assert torch.equal(data.usual(), Prepared(folder).usual())
    for seed in range(8):
        one, other = (
            stored.batch(5, torch.Generator().manual_seed(seed))
            for stored in (data, Prepared(folder))
        )
        for part in ("seen", "share", "counts", "motion", "energy"):
            assert torch.equal(getattr(one, part), getattr(other, part))


def test_a_file_that_is_being_written_is_not_read(folder):
    data = Prepared(folder)
    with written_whole(folder / "c_0.safetensors") as temporary:
        temporary.write_bytes(b"half of a")
        data.refresh()
        assert len(data) == 4
        save_file(sample(4, 20), temporary)
    data.refresh()
    assert len(data) == 5


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found none. Make them with"):
        Prepared(tmp_path)
