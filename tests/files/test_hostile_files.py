"""Files and names that somebody made to do harm: each is refused with a sentence, before it can."""

import json
import math
import time

import pytest
from safetensors.torch import save_file
from test_spectra import good

from gid_core.files.spectra import HEADER, holds_spectrum, load_spectrum
from gid_core.files.whole import confined


def bomb(path, shape, mask=(1, 1, 6, 8), claimed=None):
    """A sparse file whose tensors have any shape; on disk it is some hundred bytes."""
    size, more = 4 * math.prod(shape), math.prod(mask)
    whole = size + 4 * shape[1] + more
    header = good()[1] | {"grid": shape[3:5], "reference_size": mask[2:]}
    text = {
        "__metadata__": {HEADER: json.dumps(header)},
        "coeffs": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]},
        "frequencies_hz": {
            "dtype": "F32",
            "shape": shape[1:2],
            "data_offsets": [size, whole - more],
        },
        "mask": {"dtype": "U8", "shape": mask, "data_offsets": [whole - more, whole]},
    }
    text = json.dumps(text).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + (whole if claimed is None else claimed))
    return path


def test_a_file_that_nobody_could_hold_is_refused_unopened(tmp_path):
    path = bomb(tmp_path / "a.safetensors", [1, 1, 2, 17_000, 16_000, 2])  # 4.4 GB
    with pytest.raises(ValueError, match="not a readable .* too long"):
        load_spectrum(path)


def test_what_would_grow_in_memory_is_refused_before_memory_is_asked_for(tmp_path):
    path = bomb(tmp_path / "a.safetensors", [1, 2, 2, 3, 4, 2], mask=[1, 1, 60_000, 40_000])
    begun = time.process_time()
    with pytest.raises(ValueError, match="damaged: it would take 10 GB, and 4 GB are allowed"):
        load_spectrum(path)
    assert time.process_time() - begun < 0.5  # reading 2.4 GB takes longer


def test_shapes_that_the_file_does_not_hold_are_refused(tmp_path):
    path = bomb(tmp_path / "a.safetensors", [1, 2, 2, 100_000, 50_000, 2], claimed=64)
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_spectrum(path)


def test_shapes_without_values_are_refused(tmp_path):
    path = bomb(tmp_path / "a.safetensors", [0, 2, 2, 2**60, 2**60, 2])
    with pytest.raises(ValueError, match="not b k 2 h w 2"):
        load_spectrum(path)


@pytest.mark.parametrize("length", [2**17, 2**40, 2**64 - 1])
def test_a_header_too_long_is_refused_unread(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{" * 200_000)
    with pytest.raises(ValueError, match="not a readable .* too long"):
        load_spectrum(path)
    assert not holds_spectrum(path)


@pytest.mark.parametrize("text", ["[" * 30_000, "9" * 5_000, '{"version": 1' + " " * 9])
def test_a_header_made_to_break_its_reader_is_refused(tmp_path, text):
    save_file(good()[0], tmp_path / "a.safetensors", {HEADER: text})
    with pytest.raises(ValueError, match="holds no motion spectrum"):
        load_spectrum(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "name", ["oak", "spectra/oak", r"spectra\oak", "Eiche im März", "樹/風 2", "a.b"]
)
def test_names_inside_the_folder_are_taken(tmp_path, name):
    path = confined(tmp_path, name)
    assert path == tmp_path.joinpath(*name.replace("\\", "/").split("/"))


ODD = {
    "absolute": "/etc/passwd",
    "of another drive": r"C:\oak",
    "of a share": r"\\host\oak",
    "a stream": "oak:hidden",
    "climbing": "../oak",
    "climbing later": "a/../../oak",
    "climbing the other way": r"a\..\..\oak",
    "the folder itself": ".",
    "nothing": "",
    "a folder": "oak/",
    "an empty part": "a//oak",
    "hidden": ".oak",
    "hidden folder": ".git/oak",
    "of dots": "...",
    "ending in a dot": "oak.",
    "ending in a space": "oak ",
    "a space": "a/ /oak",
    "two lines": "oak\nfir",
    "NUL": "oak\0.txt",
    "invisible": "o\u202eak",
    "a question": "oak?",
    "a pattern": "oak*",
    "markup": "<oak>",
    "a device": "nul",
    "a device with an ending": "a/COM1.txt",
    "long": "n" * 201,
    "long in bytes": "樹" * 70,
}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_names_that_lead_out_or_are_odd_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="Expected the name of a file inside .*, got ") as refused:
        confined(tmp_path, name)
    assert "\n" not in str(refused.value) and "\0" not in str(refused.value)


def test_links_that_lead_out_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "in").mkdir()
    folder = tmp_path / "in"
    try:
        (folder / "away").symlink_to(tmp_path / "out", target_is_directory=True)
        (folder / "stolen.safetensors").symlink_to(tmp_path / "secret")
        (folder / "within").symlink_to(folder, target_is_directory=True)
        (folder / "round").symlink_to(folder / "round")
    except OSError:
        pytest.skip("Links cannot be made here.")
    for name in ("away/oak", "stolen.safetensors"):
        with pytest.raises(ValueError, match="a link leads out of the folder"):
            confined(folder, name)
    assert confined(folder, "within/oak") == folder / "within/oak"
    linked = tmp_path / "linked"
    linked.symlink_to(folder, target_is_directory=True)
    assert confined(linked, "oak") == linked / "oak"
