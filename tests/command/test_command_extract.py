"""The command that reads the motion of a clip, and how its motion is rendered."""

import json
import math
import os
import sys
from pathlib import Path

import av
import oracles
import pytest
import torch

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import read_still
from gid_core.files.video import save_clip
from gid_core.motion import playback
from gid_core.motion.spectrum import displacement_at

H, W, FPS, T = 40, 64, 10.0, 30
SHORT = ["--window", "3", "--bands", "4", "--flow", "torch", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with clip.mp4, a strip that sways by 3 px at 2/3 Hz and creeps."""
    monkeypatch.chdir(tmp_path)
    t = torch.arange(float(T)) / T
    sway = 3 * torch.sin(4 * math.pi * t) + t
    frames, _, _ = oracles.swaying(H, W, sway)
    save_clip("clip.mp4", frames, FPS, ".mp4", crf=4.0)
    return tmp_path


def extract(*options, clip="clip.mp4", out="m.safetensors"):
    return main(["extract", clip, "-o", out, *SHORT, *options])


def render(out, *options):
    command = ["render", "s.png", "-o", out, "--spectrum", "m.safetensors"]
    return main([*command, "--frames", str(T), "--fps", "10", "--quiet", *options])


def frames_of(name):
    with av.open(name) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.stack([torch.from_numpy(f).movedim(-1, 0).float() / 255 for f in frames])


def test_a_clip_becomes_a_spectrum_a_still_and_a_report(capsys):
    assert extract("--still", "s.png", "--report", "r.json") == 0
    spectrum = load_spectrum("m.safetensors")
    assert spectrum.frequencies_hz.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3])
    assert spectrum.mean is not None and spectrum.drift is not None
    assert spectrum.reference_size == (H, W)
    by_band = spectrum.coeffs[0, :, 0].abs().amax((1, 2))
    assert by_band.argmax() == 1 and by_band[1] == pytest.approx(3, rel=0.15)
    report = json.loads(Path("r.json").read_text())
    assert report["accepted"] and report["frames"] == T and report["notes"] == []
    first = frames_of("clip.mp4")[0]
    assert (read_still("s.png") - first).abs().mean() < 0.01
    assert "wrote m.safetensors: Read 30 frames at 10 fps" in capsys.readouterr().out


def test_what_was_read_from_a_clip_plays_as_recorded_unless_a_loop_is_asked_for():
    extract("--still", "s.png")
    for name, options in (("as_is.mp4", []), ("no.mp4", ["--no-loop"]), ("loop.mp4", ["--loop"])):
        assert render(name, *options) == 0
    as_is, no, loop = map(frames_of, ("as_is.mp4", "no.mp4", "loop.mp4"))
    assert (as_is == no).all() and (as_is != loop).any()
    spectrum = load_spectrum("m.safetensors")
    motion, _ = playback.play(spectrum, T, FPS, loop=False)
    wanted = displacement_at(spectrum, torch.arange(T) / FPS)[0]
    torch.testing.assert_close(motion.at(0), wanted, atol=1e-4, rtol=0)
    # It is the clip again, but for what both codecs and the strip's edges leave: 5 dB better.
    clip = frames_of("clip.mp4")
    still = (clip - clip[:1]).square().mean()
    assert (as_is - clip).square().mean() < 0.33 * still


def test_raw_keeps_the_trend_in_the_bands():
    extract("--raw")
    assert load_spectrum("m.safetensors").drift is None


def test_a_refused_clip_leaves_its_report_and_no_spectrum(capsys):
    frames = torch.stack([oracles.swaying(H, W, torch.zeros(1))[0][0]] * T)
    save_clip("still.mp4", frames, FPS, ".mp4", crf=4.0)
    assert extract("--report", "r.json", "--still", "s.png", clip="still.mp4") == 1
    assert "error: Nothing moves in the clip" in capsys.readouterr().out
    assert sorted(os.listdir()) == ["clip.mp4", "r.json", "still.mp4"]
    assert json.loads(Path("r.json").read_text())["accepted"] is False


def test_a_clip_shorter_than_the_window_says_what_to_do(capsys):
    assert extract("--start", "1") == 1
    assert "one period of 0.333 Hz at 10 fps needs 30" in capsys.readouterr().out
    assert extract("--start", "1", "--window", "2") == 0


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"out": "m.mp4"}, "Expected a file name ending in .safetensors"),
        ({"out": "no/m.safetensors"}, "Expected an existing folder"),
        ({"clip": "none.mp4"}, "found no file at 'none.mp4'"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_first(capsys, options, sentence):
    assert extract(**options) == 1
    assert sentence in capsys.readouterr().out
    assert os.listdir() == ["clip.mp4"]


def test_without_opencv_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert extract("--flow", "dis") == 1
    assert "Install opencv-python-headless" in capsys.readouterr().out
