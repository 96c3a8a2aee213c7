import json
import logging
import tarfile

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gid_core.diffusion.motion_latents import REDUCTION
from gid_core.diffusion.still_features import channels
from gid_core.files.spectra import save_spectrum
from gid_core.motion.spectrum import SpectralVolume
from gid_core.recognition.model import Recognizer, RecognizerConfig
from gid_core.training import prepared
from gid_core.training.outlines import validates
from gid_core.training.prepared import GRID, Folder, Outlined, Recorded, Scenes, fill

FLOWER = {
    "kind": "flower",
    "outline": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.98], [0.2, 0.98]],
    "anchor": [[0.5, 0.98]],
    "degree": 1.0,
    "front": 1,
}


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer(RecognizerConfig(stages=3, finest=2, width=8, longest_side=64)).eval()


@pytest.fixture()
def photographs(tmp_path, monkeypatch):
    """Three photographs for training and one that is kept apart, with outlines."""
    monkeypatch.setattr(prepared, "SEEN", 1)  # px of a view for one of the grid
    monkeypatch.setattr(prepared, "WINDS", 2)
    chosen = [n for n in (f"p{i}" for i in range(99)) if not validates(n)][:3]
    chosen += [n for n in (f"p{i}" for i in range(99)) if validates(n)][:1]
    for name in chosen:
        tall = name == chosen[0]
        Image.new("RGB", (60, 90) if tall else (90, 60), "olive").save(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.json").write_text(json.dumps({"objects": [FLOWER]}))
    return tmp_path


def test_photographs_that_are_kept_apart_are_not_opened(photographs):
    training = Outlined(photographs, labels=photographs)
    kept = Outlined(photographs, validation=True, labels=photographs)
    assert len(training.known) == 3 and len(kept.known) == 1
    assert not set(training.known) & set(kept.known)
    assert kept.source != training.source


def test_every_photograph_comes_once_before_any_comes_again(photographs, recognizer):
    maker = Outlined(photographs, labels=photographs)
    opened = []
    maker.known = {n: opened.append(n) or o for n, o in maker.known.items()}
    shapes = [maker.sample(n, recognizer)["motions"].shape[-2:] for n in range(3)]
    small = tuple(n // REDUCTION for n in GRID)
    assert sorted(map(tuple, shapes)) == sorted([small, small, small[::-1]])


def test_a_sample_is_the_same_again_and_has_what_the_model_sees(photographs, recognizer):
    maker = Outlined(photographs, labels=photographs)
    one, again = (maker.sample(2, recognizer) for _ in range(2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    places = one["motions"].shape[-2:]
    assert one["features"].shape == (channels(recognizer), *places)
    assert one["motions"].shape[:3] == (2, 16, 4)
    assert one["matte"].shape == one["sways"].shape == (1, *(REDUCTION * n for n in places))
    assert not one["motions"][..., one["matte"][0, ::4, ::4] < -1].any()


def test_clips_come_from_shards_with_their_own_mask(tmp_path, recognizer, monkeypatch):
    monkeypatch.setattr(prepared, "SEEN", 1)
    parts = torch.randn(2, 1, 16, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., :32] = 1
    volume = SpectralVolume(torch.complex(*parts), torch.arange(1, 17) / 5, (48, 64), mask)
    save_spectrum(volume, tmp_path / "s.safetensors")
    Image.new("RGB", (64, 48), "olive").save(tmp_path / "p.png")
    with tarfile.open(tmp_path / "shard-000000.tar", "w") as tar:
        tar.add(tmp_path / "s.safetensors", "a.spectrum.safetensors")
        tar.add(tmp_path / "p.png", "a.still.png")
    sample = Recorded(tmp_path).sample(5, recognizer)
    assert sample["motions"].shape == (1, 16, 4, 24, 32)
    assert (sample["matte"][..., :60] == 1).all() and not sample["matte"][..., 68:].any()
    assert not sample["motions"][..., 17:].any() and sample["motions"][..., :15].abs().max() > 0.05


def test_what_is_in_the_folder_is_not_made_again(tmp_path, recognizer, monkeypatch, caplog):
    monkeypatch.setattr(prepared, "SEEN", 2)
    folder = Folder(tmp_path)
    with caplog.at_level(logging.INFO):
        fill(folder, Scenes(), range(0, 2), recognizer)
        first = folder.place("scene", 0).stat().st_mtime_ns
        fill(folder, Scenes(), range(0, 2), recognizer)
    assert folder.place("scene", 0).stat().st_mtime_ns == first
    assert len(caplog.records) == 2
    sample = load_file(folder.place("scene", 1))
    assert len(sample["motions"]) == 1 and sample["motions"].abs().max() > 0.05


@pytest.mark.parametrize("source", [[], ["--clips", "s"], ["--clips", "s", "--photographs", "p"]])
def test_only_photographs_can_be_kept_apart(tmp_path, monkeypatch, capsys, source):
    folder = tmp_path / "kept-apart"
    monkeypatch.setattr("sys.argv", ["prepared", str(folder), "--validation", *source])
    with pytest.raises(SystemExit, match="2"):
        prepared.main()
    assert "Expected --photographs with --validation, and no --clips" in capsys.readouterr().err
    assert not folder.exists()


def test_one_source_is_made_at_a_time(tmp_path, monkeypatch, capsys):
    given = ["prepared", str(tmp_path / "s"), "--clips", "s", "--photographs", "p"]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit, match="2"):
        prepared.main()
    assert "Expected --photographs or --clips, got both" in capsys.readouterr().err


def test_outlines_of_one_s_own_are_taken_from_their_folder(photographs, recognizer, monkeypatch):
    monkeypatch.setattr(prepared, "load_recognizer", lambda path: recognizer)
    given = ["prepared", str(photographs / "samples"), "--photographs", str(photographs)]
    monkeypatch.setattr("sys.argv", [*given, "--outlines", str(photographs), "--count", "1"])
    prepared.main()
    assert [p.name for p in (photographs / "samples").iterdir()] == [
        "photograph_000000.safetensors"
    ]


@pytest.mark.parametrize("validation", [False, True])
def test_outlines_of_nothing_that_sways_are_refused(tmp_path, validation):
    for name in ("p0", "p1", "p2", "p3", "p4", "p5"):
        if validates(name) != validation:
            (tmp_path / f"{name}.json").write_text(json.dumps({"objects": [FLOWER]}))
    side = "validation" if validation else "training"
    with pytest.raises(ValueError, match=f"found none that are for {side}. Outline more"):
        Outlined(tmp_path, validation=validation, labels=tmp_path)
