import json
import math
import os
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gid_core.files.spectra import HEADER, fingerprint, holds_spectrum, load_spectrum, save_spectrum
from gid_core.motion.displacement import front_to_back
from gid_core.motion.spectrum import SpectralVolume

TENSORS = ("coeffs", "frequencies_hz", "mask", "mean", "drift", "damping_ratio")


@pytest.fixture
def spectrum(rng):
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    return SpectralVolume(
        coeffs,
        torch.tensor([0.2, 0.4, 1.1]),
        (10, 14),
        mask=torch.rand(2, 1, 10, 14, generator=rng),
        mean=torch.randn(2, 2, 5, 7, generator=rng),
        drift=torch.randn(2, 2, 5, 7, generator=rng),
    )


def good():
    """The tensors and header of a sound file, to be spoilt."""
    tensors = {"coeffs": torch.ones(1, 2, 2, 3, 4, 2), "frequencies_hz": torch.tensor([0.5, 1.0])}
    header = {"version": 1, "kind": "response", "grid": [3, 4], "reference_size": [6, 8]}
    return tensors, header


def written(path, tensors, header):
    save_file(tensors, path, {HEADER: json.dumps(header)})
    return path


def test_loading_what_was_saved_returns_it(spectrum, tmp_path):
    save_spectrum(spectrum, tmp_path / "a.safetensors")
    read = load_spectrum(tmp_path / "a.safetensors")
    for name in TENSORS:
        saved, loaded = getattr(spectrum, name), getattr(read, name)
        if name == "mask":
            torch.testing.assert_close(loaded, saved, rtol=0, atol=0.5 / 255 + 1e-6)
        else:
            assert loaded is None if saved is None else torch.equal(loaded, saved)
    assert (read.reference_size, read.kind, read.grid) == ((10, 14), "response", (5, 7))


def test_depth_and_what_is_protected_are_kept(spectrum, tmp_path, rng):
    depth, protect = torch.rand(2, 2, 1, 10, 14, generator=rng)
    protect = (protect > 0.5).float()
    save_spectrum(replace(spectrum, depth=depth, protect=protect), tmp_path / "a.safetensors")
    read = load_spectrum(tmp_path / "a.safetensors")
    torch.testing.assert_close(read.depth, depth, rtol=0, atol=0.5 / 255 + 1e-6)
    assert torch.equal(read.protect, protect)


def test_modes_and_bare_spectra_are_kept_too(spectrum, tmp_path):
    damping = torch.tensor([0.1, 0.2, 0.3])
    modes = SpectralVolume(
        spectrum.coeffs, spectrum.frequencies_hz, (10, 14), damping_ratio=damping, kind="modes"
    )
    save_spectrum(modes, tmp_path / "a.safetensors")
    read = load_spectrum(str(tmp_path / "a.safetensors"))
    assert read.kind == "modes" and torch.equal(read.damping_ratio, damping)
    assert read.mask is None and read.mean is None and read.drift is None
    assert read.ambient is None and read.ambient_hz is None


def with_modes(spectrum, **changes):
    fields = {
        "damping_ratio": torch.tensor([0.1, 0.2, 0.3]),
        "ambient": torch.full((3, 4), 0.5 - 2j, dtype=torch.complex64),
        "ambient_hz": torch.arange(1, 5) / 5,
    }
    return SpectralVolume(
        spectrum.coeffs, spectrum.frequencies_hz, (10, 14), kind="modes", **fields | changes
    )


def test_the_wind_in_modes_is_kept(spectrum, tmp_path):
    modes = with_modes(spectrum)
    save_spectrum(modes, tmp_path / "a.safetensors")
    read = load_spectrum(tmp_path / "a.safetensors")
    assert torch.equal(read.ambient, modes.ambient)
    assert torch.equal(read.ambient_hz, modes.ambient_hz)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"ambient_hz": None}, "one without the other"),
        ({"damping_ratio": torch.tensor([0.1, -0.2, 0.3])}, "driven by its damping"),
        (
            {"ambient": torch.full((3, 4), math.nan + 0j)},
            "ambient holds values that are not finite",
        ),
    ],
)
def test_modes_that_contradict_themselves_are_refused(spectrum, tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        save_spectrum(with_modes(spectrum, **changes), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def flowing(spectrum, rng):
    return SpectralVolume(
        spectrum.coeffs,
        spectrum.frequencies_hz,
        (10, 14),
        mask=spectrum.mask,
        kind="flow",
        velocity=torch.randn(2, 2, 5, 7, generator=rng),
        confined=True,
        light=torch.randn(2, 3, 1, 5, 7, generator=rng, dtype=torch.complex64),
    )


def test_a_flow_is_kept_and_what_is_behind_a_motion(spectrum, tmp_path, rng):
    flow, path = flowing(spectrum, rng), tmp_path / "a.safetensors"
    for saved in (flow, replace(spectrum, behind=flow)):
        save_spectrum(saved, path)
        read = load_spectrum(path)
        with safe_open(path, "pt") as file:
            assert json.loads(file.metadata()[HEADER])["version"] == 2
        found = read if saved is flow else read.behind
        assert found.kind == "flow" and found.confined and found.reference_size == (10, 14)
        for name in ("coeffs", "velocity", "light"):
            assert torch.equal(getattr(found, name), getattr(flow, name))
        assert (read.behind is None) == (saved is flow) and not read.behind or not read.confined


def test_several_flows_behind_each_other_are_kept_in_their_order(spectrum, tmp_path, rng):
    first, second = flowing(spectrum, rng), flowing(spectrum, rng)
    path = tmp_path / "a.safetensors"
    save_spectrum(replace(spectrum, behind=replace(first, behind=second)), path)
    read = list(front_to_back(load_spectrum(path)))
    assert [motion.kind for motion in read] == [spectrum.kind, "flow", "flow"]
    for found, saved in zip(read[1:], (first, second)):
        assert torch.equal(found.velocity, saved.velocity)
        assert torch.equal(found.light, saved.light)


BEHIND = {"behind.coeffs": torch.ones(1, 1, 2, 3, 4, 2), "behind.frequencies_hz": torch.ones(1)}
ABOUT = {"kind": "flow", "grid": [3, 4], "reference_size": [6, 8]}


@pytest.mark.parametrize(
    "tensors, header, sentence",
    [
        ({"velocity": torch.ones(1, 2, 3, 4)}, {}, "a flow has one"),
        ({}, {"kind": "flow"}, "a flow has one"),
        ({"velocity": torch.ones(1, 2, 3, 5)}, {"kind": "flow"}, "velocity is F32 with shape"),
        ({"velocity": torch.full((1, 2, 3, 4), 1e9)}, {"kind": "flow"}, "velocity reach 1e"),
        ({"light": torch.ones(1, 3, 1, 3, 4, 2)}, {}, "light is F32 with shape"),
        ({"light": torch.full((1, 2, 1, 3, 4, 2), torch.nan)}, {}, "light holds values that"),
        ({"velocity": torch.ones(1, 2, 3, 4)}, {"kind": "flow", "confined": 3}, "of its shores"),
        (BEHIND, {}, "what moves behind is not complete"),
        (BEHIND, {"behind": ABOUT}, "a flow has one"),
        ({f"behind.{n}": t for n, t in BEHIND.items()}, {}, "what moves behind is not complete"),
        (
            BEHIND | {"behind.velocity": torch.ones(1, 2, 3, 4)},
            {"behind": ABOUT | {"reference_size": [6, 9]}},
            "what moves behind is of another still",
        ),
        (
            BEHIND | {"behind.velocity": torch.full((1, 2, 3, 4), torch.inf)},
            {"behind": ABOUT},
            "velocity holds values that are not finite",
        ),
    ],
)
def test_flows_that_contradict_themselves_are_refused(tmp_path, tensors, header, sentence):
    sound, about = good()
    path = written(tmp_path / "a.safetensors", sound | tensors, about | {"version": 2} | header)
    with pytest.raises(ValueError, match=sentence):
        load_spectrum(path)


def test_saving_what_was_loaded_gives_the_same_bytes(spectrum, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_spectrum(spectrum, one)
    save_spectrum(load_spectrum(one), two)
    assert one.read_bytes() == two.read_bytes()


def test_a_file_has_the_documented_header_and_tensors(spectrum, tmp_path):
    from safetensors import safe_open

    save_spectrum(spectrum, tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        header = json.loads(file.metadata()["image_dynamics"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    shapes = {name: (str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()}
    assert header == {"version": 1, "kind": "response", "grid": [5, 7], "reference_size": [10, 14]}
    assert shapes == {
        "coeffs": ("torch.float32", (2, 3, 2, 5, 7, 2)),
        "frequencies_hz": ("torch.float32", (3,)),
        "mask": ("torch.uint8", (2, 1, 10, 14)),
        "mean": ("torch.float32", (2, 2, 5, 7)),
        "drift": ("torch.float32", (2, 2, 5, 7)),
    }


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(spectrum, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_spectrum(spectrum, path)
    before = path.read_bytes()

    def fails(tensors, name, header):
        with open(name, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gid_core.files.spectra.save_file", fails)
    with pytest.raises((OSError, ValueError), match="[Nn]o space left|disk is full"):
        save_spectrum(spectrum, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
    ],
)
def test_a_full_disk_is_said_in_a_sentence(spectrum, tmp_path, monkeypatch, error):
    def full(tensors, name, header):
        raise error

    monkeypatch.setattr("gid_core.files.spectra.save_file", full)
    with pytest.raises(ValueError, match="Could not write .*a.safetensors"):
        save_spectrum(spectrum, tmp_path / "a.safetensors")
    assert os.listdir(tmp_path) == []


def test_folders_that_are_not_there_or_are_the_target_are_refused(spectrum, tmp_path):
    with pytest.raises(ValueError, match="existing folder.*nowhere.*Create it"):
        save_spectrum(spectrum, tmp_path / "nowhere" / "a.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="got the folder"):
        save_spectrum(spectrum, tmp_path / "folder.safetensors")
    assert os.listdir(tmp_path) == ["folder.safetensors"]


def test_a_folder_that_cannot_be_written_to_is_refused(spectrum, tmp_path, monkeypatch):
    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    with pytest.raises(ValueError, match="Cannot write in .*Permission denied. Write elsewhere"):
        save_spectrum(spectrum, tmp_path / "a.safetensors")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found nothing at .*no.safetensors"):
        load_spectrum(tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match="found nothing at"):
        load_spectrum(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0garbage!"])
def test_bytes_that_are_no_safetensors_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="'a.safetensors' is not a readable safetensors file"):
        load_spectrum(tmp_path / "a.safetensors")


@pytest.mark.parametrize("keep", [4, 60, 0.5, 0.99])
def test_a_truncated_file_is_refused(spectrum, tmp_path, keep):
    save_spectrum(spectrum, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[: keep if keep > 1 else int(keep * len(whole))])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_spectrum(tmp_path / "a.safetensors")


def test_a_pickle_is_refused_unread(tmp_path):
    torch.save({"coeffs": torch.ones(3)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_spectrum(tmp_path / "a.safetensors")


@pytest.mark.parametrize("header", [{}, {"format": "pt"}, {HEADER: "null"}, {HEADER: "[1]"}])
def test_safetensors_of_something_else_are_refused(tmp_path, header):
    save_file(good()[0] | {"weight": torch.ones(3)}, tmp_path / "a.safetensors", header)
    with pytest.raises(ValueError, match="holds no motion spectrum"):
        load_spectrum(tmp_path / "a.safetensors")


@pytest.mark.parametrize("missing", ["coeffs", "frequencies_hz"])
def test_a_file_without_its_tensors_is_refused(tmp_path, missing):
    tensors, header = good()
    del tensors[missing]
    with pytest.raises(ValueError, match="holds no motion spectrum"):
        load_spectrum(written(tmp_path / "a.safetensors", tensors, header))


def test_a_header_that_is_no_json_is_refused(tmp_path):
    save_file(good()[0], tmp_path / "a.safetensors", {HEADER: "{"})
    with pytest.raises(ValueError, match="holds no motion spectrum"):
        load_spectrum(tmp_path / "a.safetensors")


@pytest.mark.parametrize("version", [3, 0, None, "1", True])
def test_another_version_is_refused(tmp_path, version):
    tensors, header = good()
    path = written(tmp_path / "a.safetensors", tensors, header | {"version": version})
    with pytest.raises(ValueError, match=f"format version {version!r}, this release reads"):
        load_spectrum(path)


NAN = torch.full((1, 2, 2, 3, 4, 2), float("nan"))
DAMAGE = {
    "coeffs are NaN": ({"coeffs": NAN}, {}, "coeffs holds values that are not finite"),
    "coeffs of another type": ({"coeffs": torch.ones(1, 2, 2, 3, 4, 2).half()}, {}, "F16"),
    "coeffs without parts": ({"coeffs": torch.ones(1, 2, 2, 3, 4)}, {}, "coeffs are"),
    "coeffs of three axes": ({"coeffs": torch.ones(1, 2, 3, 3, 4, 2)}, {}, "not b k 2 h w 2"),
    "coeffs of no band": ({"coeffs": torch.ones(1, 0, 2, 3, 4, 2)}, {}, "not b k 2 h w 2"),
    "too few frequencies": ({"frequencies_hz": torch.ones(1)}, {}, "frequencies_hz is"),
    "frequencies fall": ({"frequencies_hz": torch.tensor([1.0, 0.5])}, {}, "do not rise"),
    "frequencies repeat": ({"frequencies_hz": torch.tensor([1.0, 1.0])}, {}, "do not rise"),
    "a frequency of zero": ({"frequencies_hz": torch.tensor([0.0, 1.0])}, {}, "do not rise"),
    "an endless frequency": ({"frequencies_hz": torch.tensor([1, torch.inf])}, {}, "not finite"),
    "a small mask": ({"mask": torch.ones(1, 1, 3, 4).byte()}, {}, "mask is"),
    "a mask of floats": ({"mask": torch.ones(1, 1, 6, 8)}, {}, "mask is"),
    "masks for more stills": ({"mask": torch.ones(2, 1, 6, 8).byte()}, {}, "mask is"),
    "a mean of one axis": ({"mean": torch.ones(1, 1, 3, 4)}, {}, "mean is"),
    "a drift of NaN": ({"drift": torch.full((1, 2, 3, 4), torch.nan)}, {}, "drift holds"),
    "damping of another number": ({"damping_ratio": torch.ones(3)}, {}, "damping_ratio is"),
    "another kind": ({}, {"kind": "dance"}, "its kind is 'dance', not one of response, modes"),
    "no reference size": ({}, {"reference_size": None}, "its reference size is None"),
    "an empty reference size": ({}, {"reference_size": [0, 8]}, "its reference size is"),
    "another grid": ({}, {"grid": [4, 3]}, r"its grid is \[4, 3\], and its coeffs have one of"),
    "no grid": ({}, {"grid": None}, "its grid is None"),
    "a still as large as a town": ({}, {"reference_size": [70_000, 8]}, "its reference size is"),
    "a kind that is a list": ({}, {"kind": [["response"]]}, "its kind is"),
    "frequencies next to each other": (
        {"frequencies_hz": torch.tensor([1.0, 1.0000003])},
        {},
        "frequencies lie as close as 3.6e-07",
    ),
    "a motion out of the world": ({"coeffs": torch.full((1, 2, 2, 3, 4, 2), 1e30)}, {}, "1e.30 px"),
    "a mean out of the world": (
        {"mean": torch.full((1, 2, 3, 4), -1e9)},
        {},
        "mean reach 1e.09 px",
    ),
    "a reference size of text": ({}, {"reference_size": "68"}, "its reference size is '68'"),
}


@pytest.mark.parametrize("tensors, header, sentence", DAMAGE.values(), ids=DAMAGE)
def test_what_contradicts_itself_is_refused(tmp_path, tensors, header, sentence):
    sound, sound_header = good()
    load_spectrum(written(tmp_path / "sound.safetensors", sound, sound_header))
    path = written(tmp_path / "a.safetensors", sound | tensors, sound_header | header)
    with pytest.raises(ValueError, match=f"'a.safetensors' is damaged: .*{sentence}.*Save"):
        load_spectrum(path)


def test_nothing_tensors_could_mean_is_run(tmp_path):
    # A header full of code is text.
    tensors, header = good()
    path = written(tmp_path / "a.safetensors", tensors, header | {"kind": "__import__('os')"})
    with pytest.raises(ValueError, match="its kind is"):
        load_spectrum(path)


def test_what_was_loaded_does_not_change_with_the_file(spectrum, tmp_path):
    path = tmp_path / "a.safetensors"
    save_spectrum(spectrum, path)
    read = load_spectrum(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(read.coeffs, spectrum.coeffs) and torch.equal(read.mean, spectrum.mean)


def test_tensors_that_are_not_ours_are_left_where_they_are(tmp_path):
    tensors, header = good()
    path = written(tmp_path / "a.safetensors", tensors | {"passenger": torch.ones(9)}, header)
    assert load_spectrum(path).coeffs.shape == (1, 2, 2, 3, 4)


@pytest.mark.parametrize(
    "field, value, sentence",
    [
        ("coeffs", NAN[..., 0] + 0j, "coeffs holds values that are not finite"),
        ("frequencies_hz", torch.tensor([1.0, 0.5]), "its frequencies do not rise"),
        ("mask", torch.ones(1, 1, 5, 8), "mask is U8 with shape"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, field, value, sentence):
    tensors, header = good()
    sound = SpectralVolume(
        torch.view_as_complex(tensors["coeffs"]), tensors["frequencies_hz"], (6, 8)
    )
    with pytest.raises(ValueError, match=f"motion that can be kept, got one where {sentence}"):
        save_spectrum(replace(sound, **{field: value}), tmp_path / "a.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_fingerprint_is_of_what_a_file_holds(spectrum, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_spectrum(spectrum, one)
    save_spectrum(spectrum, two)
    assert fingerprint(one) == fingerprint(two) != "no spectrum"
    save_spectrum(replace(spectrum, mean=None), two)
    assert fingerprint(one) != fingerprint(two)
    (tmp_path / "three").write_bytes(b"three")
    assert fingerprint(tmp_path / "three") == fingerprint(tmp_path / "none") == "no spectrum"


def test_files_that_hold_a_spectrum_are_told_from_others(spectrum, tmp_path):
    save_spectrum(spectrum, tmp_path / "a.safetensors")
    assert holds_spectrum(tmp_path / "a.safetensors")
    save_file({"lora": torch.ones(3)}, tmp_path / "b.safetensors", {"format": "pt"})
    (tmp_path / "c.safetensors").write_bytes(b"")
    assert not holds_spectrum(tmp_path / "b.safetensors")
    assert not holds_spectrum(tmp_path / "c.safetensors")
    assert not holds_spectrum(tmp_path / "none") and not holds_spectrum(tmp_path)
