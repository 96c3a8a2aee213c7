"""Files that are made once: equal content has equal keys, and a folder stays small."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gid_core.files.kept import digest, kept
from gid_core.motion.displacement import Displacement

MOTION = Displacement(
    torch.randn(1, 3, 2, 4, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)),
    torch.ones(3, 6, dtype=torch.complex64),
    12.0,
    (8, 10),
)
FIVE_BYTES = lambda path: path.write_bytes(b"12345")


def test_equal_content_has_one_key_whatever_the_objects():
    copy = replace(MOTION, coeffs=MOTION.coeffs.clone())
    assert digest(MOTION, {"a": [1, None]}) == digest(copy, {"a": [1, None]})


@pytest.mark.parametrize(
    "other",
    [
        replace(MOTION, fps=12.5),
        replace(MOTION, loop=True),
        replace(MOTION, mask=torch.ones(1, 1, 8, 10)),
        replace(MOTION, coeffs=MOTION.coeffs.conj()),
        replace(MOTION, coeffs=MOTION.coeffs.reshape(1, 3, 2, 5, 4)),
    ],
)
def test_whatever_changes_the_content_changes_the_key(other):
    assert digest(MOTION) != digest(other)


def test_values_do_not_run_into_each_other():
    keys = [digest("ab", "c"), digest("a", "bc"), digest(["a"], "bc"), digest(1), digest(1.0)]
    keys += [digest(True), digest(None), digest("None"), digest(range(3)), digest([0, 1, 2])]
    assert len(set(keys)) == len(keys)


def test_a_network_is_known_by_its_weights():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert digest(one) != digest(other)
    other.load_state_dict(one.state_dict())
    assert digest(one) == digest(other)


def test_what_has_no_known_content_is_refused():
    with pytest.raises(TypeError, match="compared by content"):
        digest(object())


def test_a_file_is_made_once(tmp_path):
    made = []

    def write(path):
        made.append(path)
        path.write_bytes(b"clip")

    paths = [kept(tmp_path, key, ".mp4", write) for key in ("a", "a", "b", "a")]
    assert [path.name for path in paths] == ["a.mp4", "a.mp4", "b.mp4", "a.mp4"]
    assert made == [tmp_path / "a.mp4", tmp_path / "b.mp4"]


def _three_of_rising_age(folder):
    """Files a, b and c, of five bytes each; a was used longest ago."""
    for age, key in enumerate("abc"):
        os.utime(kept(folder, key, "", FIVE_BYTES), ns=(age, age))


def test_what_was_used_longest_ago_goes_first(tmp_path):
    _three_of_rising_age(tmp_path)
    kept(tmp_path, "a", "", FIVE_BYTES, limit=10)  # used again
    kept(tmp_path, "d", "", FIVE_BYTES, limit=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]
    kept(tmp_path, "e", "", FIVE_BYTES, limit=0)  # the newest stays, however large
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_a_file_that_vanishes_when_it_is_asked_for_is_made_again(tmp_path, monkeypatch):
    write = lambda path: path.write_bytes(b"clip")
    path = kept(tmp_path, "a", "", write)
    seen = Path.is_file
    vanished = lambda self: seen(self) and (self.unlink() or True)  # someone else removes it
    monkeypatch.setattr(Path, "is_file", vanished)
    assert kept(tmp_path, "a", "", write) == path  # it was there, and that is all that can be said
    assert kept(tmp_path, "a", "", write) == path and path.read_bytes() == b"clip"


def test_files_that_vanish_while_a_folder_is_cleaned_do_not_matter(tmp_path, monkeypatch):
    _three_of_rising_age(tmp_path)
    state = Path.stat

    def vanishing(self, **options):
        if self.name == "b":
            self.unlink(missing_ok=True)
        return state(self, **options)

    monkeypatch.setattr(Path, "stat", vanishing)
    kept(tmp_path, "d", "", FIVE_BYTES, limit=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


def test_what_is_still_being_written_is_not_counted_and_stays(tmp_path):
    (tmp_path / ".half-1f.mp4").write_bytes(bytes(100))
    (tmp_path / "folder").mkdir()
    for key in "ab":
        kept(tmp_path, key, "", FIVE_BYTES, limit=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".half-1f.mp4", "a", "b", "folder"]


def test_what_cannot_be_removed_still_counts(tmp_path, monkeypatch):
    _three_of_rising_age(tmp_path)
    unlink = Path.unlink

    def open_elsewhere(self, **options):
        if self.name == "a":
            raise PermissionError("It is used by another process.")
        unlink(self, **options)

    monkeypatch.setattr(Path, "unlink", open_elsewhere)
    kept(tmp_path, "d", "", FIVE_BYTES, limit=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d"]
