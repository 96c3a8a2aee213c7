"""The command that measures clips and spectra against others."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from oracles import ball, swaying, swaying_blob

from gid_core.__main__ import main
from gid_core.files.spectra import save_spectrum
from gid_core.files.video import write_clip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with refs and cands: a clip and three spectra each; the clips differ."""
    monkeypatch.chdir(tmp_path)
    for side, shift in (("refs", 0.0), ("cands", 2.0)):
        Path(side).mkdir()
        write_clip(f"{side}/ball.mp4", ball(shift=shift), 10.0)
        for seed in range(2):
            save_spectrum(swaying_blob(seed), f"{side}/s{seed}.safetensors")
    return tmp_path


def evaluate(*options):
    return main(["evaluate", "refs", "cands", "--quiet", *options])


def fails(capsys, sentence, *options):
    assert evaluate(*options) == 1
    said = capsys.readouterr().out
    assert said.startswith("error: ") and sentence in said and "Traceback" not in said


def test_a_table_is_printed_and_nothing_is_written(capsys):
    assert evaluate() == 0
    said = capsys.readouterr().out
    clip, motion = ([*said.splitlines()[i].split()] for i in (1, 5))
    assert clip[0] == "ball" and 15 < float(clip[1]) < 40
    assert motion[0] == "s0" and motion[1:5] == ["0", "0", "1", "1"]
    assert "Frechet motion distance  0" in said and "2 motions by 12 descriptors" in said
    assert sorted(os.listdir()) == ["cands", "refs"]


def test_the_report_holds_what_the_table_says(capsys):
    assert evaluate("-o", "deep/out") == 0
    said = capsys.readouterr().out
    assert sorted(os.listdir("deep/out")) == ["evaluation.html", "evaluation.json"]
    assert f"wrote {Path('deep/out/evaluation.html')}" in said
    found = json.loads(Path("deep/out/evaluation.json").read_text())
    (clip,) = (pair for pair in found["pairs"] if pair["kind"] == "clip")
    assert f"{clip['values']['psnr_db']:.3g}" == said.splitlines()[1].split()[1]
    assert found["median"]["spectrum"]["phase_error_rad"] == 0
    page = Path("deep/out/evaluation.html").read_text()
    assert "<title>cands against refs</title>" in page and page.count("<img") == 6


def test_clips_are_compared_by_the_motion_that_a_flow_reads(capsys):
    pytest.importorskip("cv2", reason="the [data] extra is not installed")
    times = torch.arange(40) / 8
    for side, phase in (("refs", 0.0), ("cands", 0.5)):
        sway = torch.sin(2 * math.pi * times / 2.5 + phase) - math.sin(phase)
        write_clip(f"{side}/sway.mp4", swaying(32, 48, 2 * sway)[0], 8.0)
        Path(side, "ball.mp4").rename(f"{side}/short.mp4")
    assert evaluate("--flow", "dis") == 0
    said = capsys.readouterr().out
    clips, motion, *_ = said.split("\n\n")
    assert "short" in clips and "short" not in motion
    # Two seconds are less than a period of the lowest band.
    assert said.count("short.mp4: The") == 2 and "one period of 0.2 Hz" in said
    (row,) = (line.split() for line in motion.splitlines() if line.startswith("sway"))
    amplitude_pct, phase_rad, auc = map(float, row[1:4])
    assert amplitude_pct < 15 and phase_rad == pytest.approx(0.5, abs=0.1) and auc > 0.95


def test_what_cannot_be_done_is_a_sentence_and_leaves_nothing(capsys):
    fails(capsys, "found no file there. Download them once", "--inception-weights", "gone.pth")
    fails(capsys, "found no file there. Download them once", "--i3d-weights", "gone.pt")
    fails(capsys, "found no file there. Download them once", "--texture-weights", "gone.pth")
    Path("file").touch()
    fails(capsys, "Cannot make the folder 'file'", "-o", "file")
    if not torch.cuda.is_available():
        fails(capsys, "There is no cuda device here", "--device", "cuda")
    assert sorted(os.listdir()) == ["cands", "file", "refs"]
    assert main(["evaluate", "refs", "gone", "--quiet"]) == 1
    assert "found nothing at 'gone'" in capsys.readouterr().out
