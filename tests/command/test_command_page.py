import re

import oracles
import pytest
from PIL import Image

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import to_bytes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with still.png, its mask and its modes."""
    image, mask = oracles.stalk_picture(32, 48)
    for name, picture in (("still", image[0]), ("mask", mask[0])):
        Image.fromarray(to_bytes(picture).squeeze()).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    options = ["--mask", "mask.png", "--frames", "2", "--fps", "8", "--quiet"]
    command = ["animate", "still.png", "-o", "a.gif", "--save-modes", "modes.safetensors"]
    assert main([*command, *options]) == 0
    return tmp_path


def test_animate_writes_modes_and_page_makes_a_page_of_them(folder, capsys):
    modes = load_spectrum("modes.safetensors")
    assert modes.kind == "modes" and modes.ambient is not None and modes.coeffs.abs().max() > 0
    command = ["page", "still.png", "--spectrum", "modes.safetensors", "-o", "a.html"]
    assert main([*command, "--title", "A stalk", "--wind", "0.25"]) == 0
    text = (folder / "a.html").read_text(encoding="utf-8")
    assert "<title>A stalk</title>" in text and "wind: 0.25" in text
    assert re.search(r"wrote a\.html: 0\.\d\d MB", capsys.readouterr().out)


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["-o", "a.txt"], r"ending in \.html, \.htm, got 'a\.txt'"),
        (["-o", "no/a.html"], "existing folder"),
        (["-o", "b.html", "--spectrum", "still.png"], "not a readable safetensors"),
        (["-o", "b.html", "--spectrum", "none"], "found nothing"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_left(folder, capsys, options, sentence):
    assert main(["page", "still.png", "--spectrum", "modes.safetensors", *options]) == 1
    assert re.search(sentence, capsys.readouterr().out)
    assert not list(folder.glob("*.html")) and not list(folder.glob("*.txt"))
