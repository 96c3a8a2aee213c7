"""The command that reads the motion of many clips."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from oracles import ball

from gid_core.__main__ import main
from gid_core.files.video import write_clip

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--window", "1", "--bands", "3", "--size", "32", "--every", "4", "--any-motion", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with clips/a.mp4 and clips/b.mp4, and something that is no clip."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for i, name in enumerate("ab"):
        write_clip(f"clips/{name}.mp4", ball(16, float(i), (36, 48), 12.0), 12.0)
    Path("clips/c.mp4").write_text("no clip")
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def extract(*arguments):
    return main(["extract", *arguments, *SHORT])


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_folder_becomes_shards_and_a_list_of_it_the_same(capsys):
    assert extract("clips", "-o", "set") == 0
    said = capsys.readouterr().out
    assert "wrote set: 4 samples in 1 shard; 0 windows refused, 1 clips not read" in said
    Path("all.txt").write_text("clips/a.mp4\nclips/b.mp4\nclips/c.mp4\n")
    assert extract("all.txt", "-o", "again", "--workers", "2") == 0
    one, other = contents("set"), contents("again")
    assert one.keys() == other.keys()
    names = [json.loads(files["manifest.json"])["clips"][0][0] for files in (one, other)]
    assert names == ["a.mp4", "clips/a.mp4"]
    manifest = json.loads(one["manifest.json"])
    assert manifest["settings"]["extraction"]["training"] is False


def test_a_run_that_is_stopped_says_how_it_goes_on_and_does(capsys):
    assert extract("clips", "-o", "set") == 0
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "gid_core", "extract", "clips", "-o", "stopped", *SHORT]
    process = subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not Path("stopped/parts/000000.tar").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "the same command goes on from here" in said
    assert extract("clips", "-o", "stopped") == 0
    assert contents("stopped") == contents("set")


@pytest.mark.parametrize(
    "options, why",
    [
        (["--still", "s.png"], "--still can be said of one clip"),
        (["--start", "2", "--fps", "9"], "--start and --fps can be said of one clip"),
    ],
)
def test_what_is_meant_for_one_clip_is_refused_for_many(options, why, capsys):
    assert extract("clips", "-o", "set", *options) == 1
    assert why in capsys.readouterr().out and not Path("set").exists()


def test_a_file_where_the_folder_should_be_is_a_sentence(capsys):
    Path("set").touch()
    assert extract("clips", "-o", "set") == 1
    assert "Cannot make the folder 'set/parts'" in capsys.readouterr().out
