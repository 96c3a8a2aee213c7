"""The short form of `make fuzz`: every file ends as a result or a sentence."""

import os

import fuzz
import pytest


def test_mutated_files_end_as_results_or_sentences():
    found = fuzz.run(300)
    assert found["faults"] == []
    assert found["files"] == 300 and found["slowest_s"] < fuzz.LONGEST_S
    for kind in fuzz.KINDS:  # a fuzz of nothing but refusals, or of none, tests nothing
        assert found["ends"][f"{kind} ends as a sentence"] > 5
        assert sum(n for end, n in found["ends"].items() if end.startswith(kind)) == 50


@pytest.mark.parametrize("fault", ["raise KeyError(1)", "raise ValueError('no')", "open('b', 'w')"])
def test_faults_are_found(tmp_path, monkeypatch, capsys, fault):
    fuzz.make_corpus(tmp_path)

    def reads(kind, path):
        os.chdir(path.parent)
        exec(fault)
        return "a result"

    monkeypatch.setattr(fuzz, "read", reads)
    monkeypatch.chdir(tmp_path)
    fuzz.work(tmp_path, 0, 0, 1)
    assert '"fault": null' not in capsys.readouterr().out


def test_a_file_of_a_seed_is_always_the_same(tmp_path):
    fuzz.make_corpus(tmp_path)
    corpus = {kind: sorted((tmp_path / kind).iterdir()) for kind in fuzz.KINDS}
    first, again, other = (fuzz.file_number(n, s, corpus) for n, s in ((7, 1), (7, 1), (7, 2)))
    assert first == again and first[2] != other[2]
