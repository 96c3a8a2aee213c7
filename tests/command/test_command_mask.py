"""The command that writes what the recognizer sees as a mask."""

import os
import re
from pathlib import Path

import oracles
import pytest
import torch
from PIL import Image

from gid_core.__main__ import main
from gid_core.files.stills import read_mask, read_still, write_picture
from gid_core.pipeline import recognize_masks

STILL = Path(__file__).resolve().parents[2] / "docs" / "demo" / "still.png"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with the demo's still, small, in which grass sways."""
    monkeypatch.chdir(tmp_path)
    Image.open(STILL).convert("RGB").resize((192, 108)).save("still.png")
    return tmp_path


@pytest.mark.parametrize("flows", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_the_mask_is_what_the_recognizer_sees(capsys, flows, exact):
    options = ["--flows"] * flows + ["--exact"] * exact
    assert main(["mask", "still.png", "-o", "m.png", *options]) == 0
    wanted = recognize_masks(read_still("still.png")[None], flows, refine=not exact)[0]
    torch.testing.assert_close(read_mask("m.png"), wanted, atol=0.5 / 255 + 1e-6, rtol=0)
    share = round(100 * float(wanted.mean()))
    what = "flows" if flows else "sways"
    assert f"wrote m.png: {what}, {share} % of the picture" in capsys.readouterr().out
    assert flows or share > 1


def test_animate_moves_what_the_mask_shows(capsys):
    short = ["--frames", "3", "--fps", "8", "--quiet", "--renderer", "splat"]
    assert main(["mask", "still.png", "-o", "m.png", "--exact"]) == 0
    assert main(["animate", "still.png", "-o", "a.webp", *short]) == 0
    said = capsys.readouterr().out
    assert re.search(r"note: No mask: what sways was recognized, \d+ % of the picture", said)
    assert main(["animate", "still.png", "-o", "b.webp", "--mask", "m.png", *short]) == 0
    assert "note: No mask" not in capsys.readouterr().out
    assert Path("a.webp").read_bytes() == Path("b.webp").read_bytes()


def test_a_still_in_which_nothing_moves_is_said(capsys):
    image, _ = oracles.stalk_picture(16, 24)
    write_picture("grey.png", torch.full_like(image[0], 0.5))
    write_picture("held.png", torch.ones(1, 16, 24))
    short = ["-o", "a.gif", "--frames", "3", "--fps", "8", "--quiet"]
    assert main(["animate", "grey.png", *short]) == 0
    assert "note: No mask, and nothing here looks as if it could sway" in capsys.readouterr().out
    held = ["--mask", "held.png", "--anchor", "held.png", "--exact-mask"]
    assert main(["animate", "grey.png", *held, *short]) == 0
    assert "Nothing moves: the mask is empty, or all of it is held." in capsys.readouterr().out


@pytest.mark.parametrize(
    "command, sentence",
    [
        ("still.png -o m", "Expected a file name ending in .jpg"),
        ("still.png -o Still.png", "would replace the still"),
        ("none.png -o m.png", "found no file at 'none.png'"),
        ("still.png -o no/m.png", "Expected an existing folder"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_left(capsys, command, sentence):
    assert main(["mask", *command.split()]) == 1
    assert sentence in capsys.readouterr().out
    assert os.listdir() == ["still.png"]
