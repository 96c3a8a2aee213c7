import gc
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import ball
from PIL import Image

from gid_core.config import ExtractionConfig, ShardConfig
from gid_core.files.spectra import load_spectrum
from gid_core.files.video import write_clip
from gid_core.training import shards, workers
from gid_core.training.shards import Job, listed, read_part, windows_of, write_shards

FPS = 12.0
# Windows of one second, of a small grid.
QUICK = ShardConfig(
    every=4,
    samples=2,
    longest_side=48,
    flow="dis",
    extraction=ExtractionConfig(bands=3, window_s=1.0, longest_side=32),
)
CLIPS = ("a.mp4", "b.mp4", "c d.mp4", "e.mp4")
ROOT = Path(__file__).resolve().parents[2]
TESTS = str(ROOT / "tests"), str(ROOT / "tests/training")  # where workers find this file


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of two windows each, one clip without motion, one file that is no clip."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / CLIPS[0], ball(16, fps=FPS, size=(36, 48)), FPS)
    (folder / CLIPS[1]).write_bytes(b"no clip at all")
    write_clip(folder / CLIPS[2], ball(16, shift=4.0, fps=FPS, size=(36, 48)), FPS)
    write_clip(folder / CLIPS[3], ball(1, size=(36, 48)).expand(12, -1, -1, -1), FPS)
    return folder


@pytest.fixture(scope="module")
def expected(clips, tmp_path_factory):
    """(files, summary, folder) of an undisturbed run in two processes."""
    out = tmp_path_factory.mktemp("expected") / "set"
    summary = write_shards(listed(clips), out, QUICK, workers=2)
    return contents(out), summary, out


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def samples(shard):
    """{key: {ending: bytes}} as webdataset groups members: by what comes before the first dot."""
    grouped = {}
    with tarfile.open(shard) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            key, _, ending = member.name.partition(".")
            grouped.setdefault(key, {})[ending] = tar.extractfile(member).read()
    return grouped


def records(folder):
    paths = sorted(folder.glob("shard-*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


# Contents of a set


def test_a_set_holds_every_accepted_window_and_a_reason_for_every_other(expected):
    files, summary, out = expected
    assert sorted(files) == [
        "manifest.json",
        "shard-000000.jsonl",
        "shard-000000.tar",
        "shard-000001.jsonl",
        "shard-000001.tar",
        "shard-000002.jsonl",
    ]
    assert str(summary) == (
        "4 samples in 2 shards; 1 windows refused, 1 clips not read (the .jsonl files say why)"
    )
    told = records(out)
    windows = [(r["clip"], r["window_start"], r["accepted"]) for r in told if "accepted" in r]
    assert windows == [
        ("a.mp4", 0, True),
        ("a.mp4", 4, True),
        ("c d.mp4", 0, True),
        ("c d.mp4", 4, True),
        ("e.mp4", 0, False),
    ]
    assert "Nothing moves" in told[-2]["reasons"][0]
    whole = {r["clip"]: r for r in told if "windows" in r}
    assert [whole[name]["windows"] for name in CLIPS] == [2, 0, 2, 1]
    assert "'b.mp4' is not a video" in whole["b.mp4"]["reasons"][0]


def test_a_sample_is_a_still_and_its_motion_on_it(expected, clips, tmp_path):
    found = samples(expected[2] / "shard-000000.tar")
    assert list(found) == ["000000-a-000000", "000000-a-000004"]
    second = found["000000-a-000004"]
    assert set(second) == {"still.png", "spectrum.safetensors", "mask.png", "json"}
    still = Image.open(io.BytesIO(second["still.png"]))
    assert still.size == (48, 36) and still.mode == "RGB"
    # The still is the frame that the window starts at.
    truth = ball(16, fps=FPS, size=(36, 48))[4]
    pixels = torch.from_numpy(np.array(still)).movedim(-1, 0) / 255
    assert (pixels - truth).abs().mean() < 0.02
    (tmp_path / "s.safetensors").write_bytes(second["spectrum.safetensors"])
    spectrum = load_spectrum(tmp_path / "s.safetensors")
    assert spectrum.reference_size == (36, 48) and spectrum.grid == (24, 32)
    # The ball swings once a second, sideways, by 6 px of the still: 4 of the grid.
    by_band = spectrum.coeffs[0].abs().amax((2, 3))
    assert by_band[0, 0] == by_band.max() and 2.5 < by_band[0, 0] < 5.5
    mask = Image.open(io.BytesIO(second["mask.png"]))
    assert mask.size == (48, 36) and mask.mode == "L"
    assert mask.getpixel((20, 12)) > 128 and mask.getpixel((2, 33)) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_reads_the_shards(expected):
    wds = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted(expected[2].glob("*.tar"))]
    read = wds.WebDataset(urls, shardshuffle=False, empty_check=False).decode("torchrgb")
    read = list(read.to_tuple("__key__", "still.png", "json"))
    gc.collect()  # it leaves closing the shards to that
    assert [r[0] for r in read] == [k for url in urls for k in samples(url)]
    assert all(r[1].shape == (3, 36, 48) and r[2]["accepted"] for r in read)


# Windows


def test_windows_start_at_every_nth_frame_and_are_whole():
    frames = [torch.full((3, 6, 10), i / 255) for i in range(23)]
    config = replace(QUICK, every=5)
    found = [(start, still, window) for start, still, window in windows_of(frames, 8, config)]
    assert [start for start, *_ in found] == [0, 5, 10, 15]
    for start, still, window in found:
        assert (still == start).all()
        assert [int(frame[0, 0, 0]) for frame in window] == list(range(start, start + 8))


def test_a_clip_shorter_than_a_window_gives_one_window():
    frames = torch.rand(5, 1, 6, 10, generator=torch.Generator().manual_seed(0))
    ((start, still, window),) = windows_of(frames, 8, QUICK)
    assert start == 0 and still.shape == (3, 6, 10) and len(window) == 5
    assert list(windows_of([], 8, QUICK)) == []


# Clips


def test_a_folder_is_read_by_name_and_a_list_in_its_own_order(tmp_path):
    for name in ("b.mov", "sub/a.mp4", "note.txt", "c.MP4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [name for name, _ in listed(tmp_path)] == ["b.mov", "c.MP4", "sub/a.mp4"]
    clips = tmp_path / "list.txt"
    clips.write_text("# mine\nsub/a.mp4\n\n  b.mov\n/far/away.mp4\n", encoding="utf-8")
    assert listed(clips) == [
        ("sub/a.mp4", tmp_path / "sub" / "a.mp4"),
        ("b.mov", tmp_path / "b.mov"),
        ("/far/away.mp4", Path("/far/away.mp4")),
    ]
    clips.write_text("sub/a.mp4", encoding="utf-8-sig")  # as editors on Windows save it
    assert listed(clips) == [("sub/a.mp4", tmp_path / "sub" / "a.mp4")]
    for empty in (tmp_path / "none", tmp_path / "none.txt"):
        empty.mkdir() if not empty.suffix else empty.touch()
        with pytest.raises(ValueError, match="Expected clips .* found none"):
            listed(empty)
    clips.write_bytes(b"\xff\xfe\x00\x01")
    for wrong in (clips, tmp_path / "gone"):
        with pytest.raises(ValueError, match="a text file with a path on every line, got"):
            listed(wrong)


# Interrupted runs


def test_a_second_run_has_nothing_to_do_and_changes_nothing(expected, clips, tmp_path, monkeypatch):
    files, summary, out = expected
    fail = lambda task, jobs, workers: iter(map(pytest.fail, jobs))
    monkeypatch.setattr(shards, "in_processes", fail)
    seen = []
    again = write_shards(listed(clips), out, QUICK, callback=lambda *at: seen.append(at))
    assert again == summary and contents(out) == files and seen == [(4, 4)]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_an_interrupted_run_resumes_to_the_same_bytes(expected, clips, tmp_path, kept):
    files, _, _ = expected
    out, stopped = tmp_path / "set", RuntimeError("the power went")

    def one_by_one(task, jobs, workers):
        for job in list(jobs)[::-1][:kept]:  # in another order than the clips have
            task(job)
            yield job, None
        raise stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "in_processes", one_by_one)
        with pytest.raises(RuntimeError, match="the power went"):
            write_shards(listed(clips), out, QUICK)
    (out / "parts" / ".half-written.tmp").write_bytes(b"half")
    assert contents(out) != files
    write_shards(listed(clips), out, QUICK)
    assert contents(out) == files and not (out / "parts").exists()


def test_a_killed_run_resumes_to_the_same_bytes(expected, clips, tmp_path):
    files, _, _ = expected
    out = tmp_path / "set"
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[1:4]\n"
        "import test_shards as t\n"
        "if __name__ == '__main__':\n"
        "    t.write_shards(t.listed(Path(sys.argv[4])), Path(sys.argv[5]), t.QUICK)\n"
    )
    (tmp_path / "driver.py").write_text(code)
    run = [sys.executable, str(tmp_path / "driver.py"), str(ROOT), *TESTS]
    driver = subprocess.Popen([*run, str(clips), str(out)])
    until = time.monotonic() + 60
    while not (out / "shard-000000.jsonl").exists():
        assert driver.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert "shard-000002.jsonl" not in contents(out)
    write_shards(listed(clips), out, QUICK)
    assert contents(out) == files


def test_a_clip_that_kills_its_workers_gives_a_record(expected, clips, tmp_path, monkeypatch):
    def deadly(task, jobs, workers):
        for job in jobs:
            if job.name != "a.mp4":
                task(job)
            yield job, "It ended the process 3 times." if job.name == "a.mp4" else None

    monkeypatch.setattr(shards, "in_processes", deadly)
    summary = write_shards(listed(clips), tmp_path / "set", QUICK)
    assert summary.samples == 2 and summary.unread == 2
    assert records(tmp_path / "set")[0]["reasons"] == ["It ended the process 3 times."]


def test_the_folder_of_another_set_is_refused(expected, clips, tmp_path):
    _, _, out = expected
    for others in (replace(QUICK, every=5), replace(QUICK, extraction=ExtractionConfig())):
        with pytest.raises(ValueError, match="holds shards of other settings. Use another folder"):
            write_shards(listed(clips), out, others)
    with pytest.raises(ValueError, match="holds shards of other clips"):
        write_shards(listed(clips)[:2], out, QUICK)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="manifest.json' is damaged"):
        write_shards(listed(clips), tmp_path, QUICK)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="Cannot make the folder"):
        write_shards(listed(clips), tmp_path / "file", QUICK)


# Workers that die, in processes and on a cluster


def killed_once(job: Job) -> None:
    """The first worker that takes clip a is killed while it works, as by an operator."""
    tried = job.part.parent.parent.parent / "tried"
    if job.name == "a.mp4" and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    read_part(job)


@pytest.mark.parametrize("cluster", [None, pytest.param("local", marks=pytest.mark.slow)])
def test_a_lost_worker_changes_nothing(expected, clips, tmp_path, monkeypatch, cluster):
    if cluster:
        pytest.importorskip("ray", reason="ray is not installed: `make install` brings it")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(TESTS))  # of `killed_once`
    files, summary, _ = expected
    monkeypatch.setattr(shards, "read_part", killed_once)
    found = write_shards(listed(clips), tmp_path / "set", QUICK, 2, cluster)
    assert (tmp_path / "tried").exists()
    assert found == summary and contents(tmp_path / "set") == files


def test_a_missing_cluster_is_one_sentence(monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed: `make install` brings it")
    # "auto" must not find another cluster that runs on this machine.
    monkeypatch.setattr(ray._private.services, "find_gcs_addresses", cache(set))
    with pytest.raises(ValueError, match="Found no Ray cluster at 'auto'"):
        next(workers.on_ray(read_part, [1], 1, "auto"))
