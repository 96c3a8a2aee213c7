import os

import pytest

from gid_core.files.paths import check_distinct, check_ending, check_input
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import read_mask, read_still
from gid_core.files.weights import load_weights
from gid_core.footage.clips import read_clip

READERS = {
    "still": read_still,
    "mask": read_mask,
    "spectrum": load_spectrum,
    "clip": read_clip,
    "weights": lambda path: load_weights(path, "test network", dict, bool, dict),
    "any": lambda path: check_input(path, "a file"),
}
NAMES = {
    "missing": "none",
    "long": "n" * 300,
    "long in bytes": "樹" * 100,
    "a NUL": "a\0b",
    "no text": "\udcff",
    "deep": "d/" * 3000,
    "empty": "",
}
readers = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@readers
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_what_is_not_there_is_a_sentence(tmp_path, read, name):
    with pytest.raises(ValueError, match="^(Expected|Cannot)") as refused:
        read(tmp_path / name)
    assert len(str(refused.value)) < 400


@readers
def test_folders_pipes_and_links_to_themselves_are_sentences(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "round", tmp_path / "pipe" / "below"):
        with pytest.raises(ValueError, match="^Expected .*found no"):
            read(path)


@readers
def test_files_without_permission_are_sentences(shared_folder, unprivileged, read):
    (shared_folder / "a").write_bytes(b"secret")
    (shared_folder / "a").chmod(0)
    (shared_folder / "locked").mkdir()
    (shared_folder / "locked" / "a").write_bytes(b"secret")
    (shared_folder / "locked").chmod(0)
    with unprivileged():
        for path in (shared_folder / "a", shared_folder / "locked" / "a"):
            with pytest.raises(ValueError, match="Cannot read .*Permission denied"):
                read(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="only Linux has such a file")
@pytest.mark.parametrize("name", ["still", "mask", "spectrum"])
def test_a_disk_that_fails_while_it_is_read_is_a_sentence(name):
    with pytest.raises(ValueError, match="'mem' is not a readable .*Input/output error"):
        READERS[name]("/proc/self/mem")  # opens, and cannot be read


def test_endings_are_known_in_any_case(tmp_path):
    check_ending(tmp_path / "A.PNG", [".png"])
    for name in ("a.jpg", "a", ".png"):
        with pytest.raises(ValueError, match=r"ending in \.png, \.tif, got"):
            check_ending(tmp_path / name, [".png", ".tif"])


def aliases(folder):
    """Other names of still.png."""
    (folder / "sub").mkdir()
    os.link(folder / "still.png", folder / "hard.png")
    os.symlink(folder / "still.png", folder / "soft.png")
    os.symlink(folder / "sub", folder / "linked")
    return [
        "still.png",
        "hard.png",
        "soft.png",
        "sub/../still.png",
        "STILL.png",
        "linked/../Still.PNG",
    ]


def test_no_output_is_an_input_or_another_output(tmp_path):
    (tmp_path / "still.png").write_bytes(b"still")
    for alias in aliases(tmp_path):
        with pytest.raises(ValueError, match="The clip would replace the still .*Name another"):
            check_distinct({"still": tmp_path / "still.png"}, {"clip": tmp_path / alias})
    two = {"spectrum": tmp_path / "a.safetensors", "modes": tmp_path / "A.safetensors"}
    with pytest.raises(ValueError, match="The modes would replace the spectrum"):
        check_distinct({}, two)
    check_distinct({"still": tmp_path / "still.png"}, {"clip": tmp_path / "still.mp4"})


def test_letters_written_in_two_ways_are_one_name(tmp_path):
    with pytest.raises(ValueError, match="would replace"):
        check_distinct({"still": tmp_path / "u\u0308.png"}, {"clip": tmp_path / "\u00fc.png"})
