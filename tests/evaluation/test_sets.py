import json
import math

import pytest
import torch
from oracles import ball, swaying_blob

from gid_core.evaluation import feature_distances, sets
from gid_core.evaluation.feature_distances import Network
from gid_core.evaluation.looks import load_looks
from gid_core.evaluation.sets import evaluate, pair_up
from gid_core.files.spectra import save_spectrum
from gid_core.files.video import write_clip


@pytest.fixture
def folders(tmp_path):
    for side in ("refs", "cands"):
        (tmp_path / side).mkdir()
    return tmp_path / "refs", tmp_path / "cands"


# Pairs


def test_files_are_paired_by_name_and_kind(folders):
    references = ["a.mp4", "b.safetensors", "c.mp4", "x.txt"]
    candidates = ["a.webm", "a.safetensors", "b.safetensors"]
    for folder, files in zip(folders, (references, candidates)):
        for file in files:
            (folder / file).touch()
    pairs, notes = pair_up(*folders)
    assert [(name, kind, one.name, other.name) for name, kind, one, other in pairs] == [
        ("a", "clip", "a.mp4", "a.webm"),
        ("b", "spectrum", "b.safetensors", "b.safetensors"),
    ]
    assert notes == [
        "only among the references, left out: c.mp4",
        "only among the candidates, left out: a.safetensors",
    ]


def test_two_files_are_a_pair_whatever_their_names(folders):
    one, other = folders[0] / "a.mp4", folders[1] / "b.mov"
    one.touch(), other.touch()
    assert pair_up(one, other) == ([("b", "clip", one, other)], [])


def test_files_that_cannot_be_paired_are_refused(folders):
    refs, cands = folders
    with pytest.raises(ValueError, match="has the same name. Name every candidate"):
        pair_up(refs, cands)
    with pytest.raises(ValueError, match="found nothing at"):
        pair_up(refs, cands / "gone")
    (refs / "a.mp4").touch(), (refs / "a.mov").touch(), (cands / "a.safetensors").touch()
    with pytest.raises(ValueError, match="'a.mov' and 'a.mp4' have one name"):
        pair_up(refs, cands)
    with pytest.raises(ValueError, match="two clips or two spectra, got 'a.mp4' and 'a.safet"):
        pair_up(refs / "a.mp4", cands / "a.safetensors")


# Sets


def test_folders_may_hold_clips_and_spectra(folders):
    refs, cands = folders
    for i in range(3):
        save_spectrum(swaying_blob(i), refs / f"s{i}.safetensors")
        save_spectrum(swaying_blob(i + 10), cands / f"s{i}.safetensors")
    write_clip(refs / "ball.mp4", ball(), 10.0)
    write_clip(cands / "ball.mp4", ball(shift=2.0), 10.0)
    seen = []
    found = evaluate(refs, cands, callback=lambda *at: seen.append(at))
    assert seen == [(i, 4) for i in range(5)]
    assert [pair.kind for pair in found.pairs].count("spectrum") == 3
    assert found.sets["motion_distance"] > 0
    assert any("3 motions by 12 descriptors" in note for note in found.notes)
    assert evaluate(refs, refs).sets["motion_distance"] == pytest.approx(0, abs=1e-6)
    middle = sorted(p.values["auc"] for p in found.pairs if p.kind == "spectrum")[1]
    assert found.median("spectrum")["auc"] == middle
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain["median"]["spectrum"]["auc"] == middle and len(plain["pairs"]) == 4


def test_networks_get_every_clip_and_distances_slide(folders):
    refs, cands = folders
    for name in ("a", "b"):
        write_clip(refs / f"{name}.mp4", ball(60), 10.0)
        fade = torch.linspace(1, 0.5, 60).view(-1, 1, 1, 1)
        write_clip(cands / f"{name}.mp4", ball(60) * fade, 10.0)
    brightness = lambda frames: frames.mean((2, 3))[:, :1]
    apart = lambda some, others: abs(float(some.mean() - others.mean()))
    found = evaluate(refs, cands, [Network(brightness, {"fid": apart})])
    assert [start for start, _ in found.sliding["fid"]] == [0, 15, 30]
    values = [value for _, value in found.sliding["fid"]]
    assert values == sorted(values) and values[0] > 0
    assert found.sets["fid"] == pytest.approx(values[1], rel=0.05)  # its windows are symmetric


def test_clips_are_compared_by_their_looks_if_a_network_is_given(folders):
    refs, cands = folders
    for name in ("a", "b"):
        write_clip(refs / f"{name}.mp4", ball(4), 10.0)
        write_clip(cands / f"{name}.mp4", 0.6 * ball(4), 10.0)
    backbone = load_looks()
    found = evaluate(refs, cands, backbone=backbone)
    assert found.median("clip")["look_distance"] > 0 and found.sets["frechet_looks"] > 0
    own = evaluate(refs, refs, backbone=backbone)
    assert own.median("clip")["look_distance"] == 0
    assert own.sets["frechet_looks"] < 1e-3 * found.sets["frechet_looks"]
    assert "look_distance" not in evaluate(refs, refs).median("clip")


def test_a_clip_that_is_too_long_to_be_compared_whole_has_no_seam(folders, monkeypatch):
    monkeypatch.setattr(sets, "MOST_FRAMES", 6)
    for folder in folders:
        for name, count in (("a", 6), ("b", 7)):
            write_clip(folder / f"{name}.mp4", ball(count), 10.0)
    found = evaluate(*folders)
    assert [math.isnan(pair.values["seam"]) for pair in found.pairs] == [False, True]
    assert found.notes == ["b: the first 6 frames are compared, no seams"]


def test_clips_are_compared_by_motion_if_a_reader_is_given(folders):
    refs, cands = folders
    for folder in folders:
        for name in ("a", "b"):
            write_clip(folder / f"{name}.mp4", ball(4), 10.0)
    read = lambda path: swaying_blob() if path.stem == "a" else "nothing moves"
    found = evaluate(refs, cands, motion=read)
    pairs = sorted((p.name, p.kind) for p in found.pairs)
    assert pairs == [("a", "clip"), ("a", "spectrum"), ("b", "clip")]
    assert found.notes == ["b.mp4: nothing moves"] * 2


@pytest.mark.parametrize(
    "kind, also, why",
    [
        ("modes", {"damping_ratio": torch.full((3,), 0.1)}, "holds modes, not bands: left out"),
        ("flow", {"velocity": torch.ones(1, 2, 12, 20)}, "holds what flows, not what sways"),
    ],
)
def test_what_has_no_bands_of_swaying_is_left_out_and_it_is_said_why(folders, kind, also, why):
    for folder in folders:
        save_spectrum(swaying_blob(kind=kind, **also), folder / "m.safetensors")
        save_spectrum(swaying_blob(), folder / "s.safetensors")
    found = evaluate(*folders)
    assert [pair.name for pair in found.pairs] == ["s"]
    assert len(found.notes) == 2 and all(why in note for note in found.notes)


def test_a_damaged_file_does_not_stop_the_others(folders):
    refs, cands = folders
    for folder in folders:
        for name in ("a", "b"):
            write_clip(folder / f"{name}.mp4", ball(4), 10.0)
            save_spectrum(swaying_blob(), folder / f"{name}.safetensors")
    (cands / "a.mp4").write_bytes(b"nothing")
    (refs / "b.safetensors").write_bytes(b"nothing")
    found = evaluate(refs, cands)
    assert sorted((p.name, p.kind) for p in found.pairs) == [("a", "spectrum"), ("b", "clip")]
    assert len(found.notes) == 2
    assert "a: left out. 'a.mp4' is not a video" in found.notes[0]
    assert "b.safetensors" in found.notes[1]
    with pytest.raises(ValueError, match="Nothing could be compared. .*'a.mp4' is not a video"):
        evaluate(refs / "a.mp4", cands / "a.mp4")


def test_a_set_too_small_for_a_distance_gives_a_note(folders):
    for folder in folders:
        write_clip(folder / "a.mp4", ball(1), 10.0)
    few = Network(lambda frames: frames.mean((2, 3)), {"fid": feature_distances.video_distance})
    found = evaluate(*folders, [few])
    assert found.sets == {} and len(found.pairs) == 1
    assert any(note.startswith("FID: A distance between sets needs two") for note in found.notes)
