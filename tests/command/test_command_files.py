"""No command replaces one of its inputs, and names are checked before any work."""

import hashlib
import os
import re
import signal
from pathlib import Path

import oracles
import pytest
from PIL import Image

from gid_core.__main__ import main
from gid_core.diffusion import motion_model
from gid_core.files.spectra import save_spectrum
from gid_core.files.stills import to_bytes
from gid_core.files.video import write_clip
from gid_core.recognition import model as recognizer
from gid_core.render import renderer

READERS = (
    "files.stills.read_still",
    "files.stills.read_mask",
    "files.spectra.load_spectrum",
    "footage.clips.read_clip",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with every kind of input, and links to each."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    image, mask = oracles.stalk_picture(16, 24)
    for name, picture in (("still", image[0]), ("mask", mask[0]), ("anchor", mask[0])):
        Image.fromarray(to_bytes(picture).squeeze()).save(f"{name}.png")
    Image.open("still.png").save("still.webp")
    Image.open("still.png").save("still.gif")
    save_spectrum(oracles.swaying_blob(0), "s.safetensors")
    for name in ("clip.mp4", "refs/a.mp4", "cands/a.mp4", "photographs/000000_tree.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(name, oracles.ball(), 10.0)
    Path("photographs/000000_tree.png").write_bytes(Path("still.png").read_bytes())
    Path("weights.safetensors").write_bytes(b"weights")
    for name, target in {
        "link.mp4": "clip.mp4",
        "link.gif": "mask.png",
        "link.safetensors": "still.png",
        "link.json": "clip.mp4",
        "link.png": "clip.mp4",
        "link.html": "still.png",
    }.items():
        Path(name).symlink_to(target)
    os.link("mask.png", "hard.safetensors")
    os.link("still.png", "hard.html")
    yield
    signal.signal(signal.SIGTERM, before)


def contents():
    """Every file below the working folder, as a hash, and every link."""
    files = {}
    for path in sorted(Path().rglob("*")):
        if path.is_symlink():
            files[str(path)] = os.readlink(path)
        elif path.is_file():
            files[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


def refused(capsys, monkeypatch, command, sentence):
    """A command is refused before anything is read, and leaves all files as they were."""
    for reader in READERS:
        monkeypatch.setattr(f"gid_core.{reader}", None)
    before = contents()
    assert main(command.split()) == 1
    said = capsys.readouterr().out
    assert re.search(sentence, said) and said.startswith("error: "), said
    assert contents() == before


@pytest.mark.parametrize(
    "command",
    [
        "animate still.webp -o still.webp",
        "animate still.webp -o ./Still.WEBP",
        "animate still.png --mask still.webp -o still.webp",
        "animate still.png --mask mask.png -o link.gif",
        "animate still.png --anchor still.gif -o still.gif",
        "animate still.png --depth still.gif -o still.gif",
        "animate still.png -o a.mp4 --save-spectrum link.safetensors",
        "animate still.png --mask mask.png -o a.mp4 --save-modes hard.safetensors",
        "animate still.png -o a.mp4 --save-modes s.safetensors --save-spectrum S.safetensors",
        "animate still.png -o a.mp4 --model weights.safetensors "
        "--save-spectrum weights.safetensors",
        "animate still.png -o a.mp4 --renderer weights.safetensors "
        "--save-spectrum weights.safetensors",
        "render still.gif --spectrum s.safetensors -o still.gif",
        "render still.png --mask still.gif --spectrum s.safetensors -o still.gif",
        "render still.png --depth still.gif --spectrum s.safetensors -o still.gif",
        "extract clip.mp4 -o m.safetensors --report link.json",
        "extract clip.mp4 -o m.safetensors --still link.png",
        "extract still.webp -o m.safetensors --still still.webp",
        "page still.png --spectrum s.safetensors -o link.html",
        "page still.png --spectrum s.safetensors -o hard.html",
    ],
)
def test_no_output_replaces_an_input_or_another_output(capsys, monkeypatch, command):
    refused(capsys, monkeypatch, command, "would replace the .*. Name another file")


@pytest.mark.parametrize(
    "shipped, name",
    [
        (motion_model.shipped, "motion model"),
        (renderer.shipped_renderer, "renderer"),
        (recognizer.shipped, "recognizer"),
    ],
)
def test_shipped_weights_are_inputs_too(capsys, monkeypatch, shipped, name):
    command = f"animate still.png -o a.mp4 --model learned --save-spectrum {shipped()}"
    refused(capsys, monkeypatch, command, f"would replace the {name}")


@pytest.mark.parametrize(
    "command, endings",
    [
        ("animate still.png -o a.avi", ".mp4"),
        ("animate still.png -o a.mp4 --save-spectrum still.png", ".safetensors"),
        ("animate still.png -o a.mp4 --save-modes mask.png", ".safetensors"),
        ("animate still.png -o a.mp4 --save-modes modes", ".safetensors"),
        ("render still.png --spectrum s.safetensors -o a", ".mp4"),
        ("extract clip.mp4 -o m", ".safetensors"),
        ("extract clip.mp4 -o m.safetensors --still first", ".jpg, .jpeg, .png"),
        ("extract clip.mp4 -o m.safetensors --still first.mp4", ".jpg, .jpeg, .png"),
        ("extract clip.mp4 -o m.safetensors --report clip.mp4", ".json"),
        ("page still.png --spectrum s.safetensors -o page", ".html"),
    ],
)
def test_endings_are_checked_before_any_work(capsys, monkeypatch, command, endings):
    refused(capsys, monkeypatch, command, f"Expected a file name ending in .*{endings}")


@pytest.mark.parametrize(
    "command",
    [
        "animate still.png -o a.mp4 --save-spectrum LONG.safetensors",
        "animate still.png -o LONG.mp4",
        "extract clip.mp4 -o m.safetensors --report LONG.json",
        "page still.png --spectrum s.safetensors -o LONG.html",
    ],
)
def test_long_names_are_refused_before_any_work(capsys, monkeypatch, command):
    refused(capsys, monkeypatch, command.replace("LONG", "n" * 256), "too long")


@pytest.mark.parametrize(
    "command",
    [
        "animate still.png -o LOST.mp4",
        "animate still.png -o a.mp4 --save-modes LOST.safetensors",
        "animate still.png -o a.mp4 --save-background LOST.png",
        "render still.png --spectrum s.safetensors -o LOST.webp",
        "edit s.safetensors -o LOST.safetensors",
        "mask still.png -o LOST.png",
        "extract clip.mp4 -o m.safetensors --report LOST.json",
        "page still.png --spectrum s.safetensors -o LOST.html",
    ],
)
def test_where_nothing_can_be_made_is_said_before_any_work(capsys, monkeypatch, command):
    name = next(word for word in command.split() if word.startswith("LOST"))
    Path(name).symlink_to(Path("gone") / name)  # as a folder that may not be written to
    refused(capsys, monkeypatch, command, "Cannot write in '.*gone': No such file")


def test_scenes_do_not_replace_the_photographs_they_are_made_of(capsys, monkeypatch):
    before = contents()
    options = "--count 1 --size 32x20 --frames 2 --kind tree --quiet"
    kinds = main(f"synth -o photographs --photographs photographs {options}".split())
    assert kinds == 1 and "would replace the photograph" in capsys.readouterr().out
    assert contents() == before


def test_an_evaluation_does_not_replace_what_it_measures(capsys):
    Path("out").mkdir()
    Path("out/evaluation.html").symlink_to("../refs/a.mp4")
    before = contents()
    assert main("evaluate refs cands -o out --quiet".split()) == 1
    assert "would replace the reference a.mp4" in capsys.readouterr().out
    assert contents() == before


def test_training_does_not_replace_the_weights_it_begins_with(capsys):
    Path("run").mkdir()
    Path("run/model.safetensors").write_bytes(b"weights")
    before = contents()
    assert main("train encoder --from run/model.safetensors -o run --steps 2".split()) == 1
    assert "would replace the weights" in capsys.readouterr().out
    assert contents() == before
