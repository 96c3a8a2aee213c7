import json
import signal

import oracles
import pytest
import torch
from PIL import Image

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import to_bytes

QUICK = ["--frames", "6", "--fps", "6", "--quiet", "--renderer", "splat"]


@pytest.fixture(autouse=True)
def handlers_stay():
    """`main` takes over SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with still.png, mask.png and sky.png, 24 x 16."""
    image, mask = oracles.stalk_picture(16, 24)
    sky = torch.zeros(1, 16, 24)
    sky[:, :10] = 1
    for name, picture in (("still", image[0]), ("mask", mask[0]), ("sky", sky)):
        Image.fromarray(to_bytes(picture).squeeze()).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def animate(*options):
    return main(["animate", "still.png", "-o", "a.mp4", *QUICK, *options])


def test_clouds_flow_and_are_kept(folder, capsys):
    kept = ["--save-spectrum", "a.safetensors"]
    assert (
        animate("--flow", "clouds", "--mask", "sky.png", "--direction", "10", "--speed", "2", *kept)
        == 0
    )
    said = capsys.readouterr().out
    assert "of the picture flows" in said and "wrote a.mp4: 6 frames" in said
    spectrum = load_spectrum("a.safetensors")
    assert spectrum.kind == "flow" and spectrum.velocity[0, 1].mean() < 0 < (
        spectrum.velocity[0, 0].mean()
    )
    assert main(["render", "still.png", "--spectrum", "a.safetensors", "-o", "b.mp4", *QUICK]) == 0


def test_clouds_flow_behind_what_sways(folder):
    assert (
        animate(
            "--flow",
            "clouds",
            "--mask",
            "mask.png",
            "--flow-mask",
            "sky.png",
            "--light",
            "0.1",
            "--horizon",
            "0.6",
            "--save-spectrum",
            "a.safetensors",
        )
        == 0
    )
    spectrum = load_spectrum("a.safetensors")
    assert spectrum.kind == "response" and spectrum.behind.kind == "flow"
    assert spectrum.behind.light is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # as editors on Windows save it
def test_strokes_say_where_it_flows(folder, encoding):
    strokes = [{"path": [[0.9, 0.3], [0.1, 0.3]]}]
    (folder / "strokes.json").write_text(json.dumps(strokes), encoding)
    assert (
        animate(
            "--flow",
            "water",
            "--mask",
            "sky.png",
            "--exact-mask",
            "--strokes",
            "strokes.json",
            "--save-spectrum",
            "a.safetensors",
        )
        == 0
    )
    assert load_spectrum("a.safetensors").velocity[0, 0, 5].mean() < 0


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--strokes", "mask.png"], "Expected --flow with --flow-mask or --strokes"),
        (["--flow", "water", "--strokes", "none.json"], "Expected strokes as JSON"),
        (["--flow", "water", "--strokes", "mask.png"], "not readable as JSON"),
        (["--flow", "water", "--save-modes", "m.safetensors"], "what flows does not ring"),
    ],
)
def test_what_cannot_flow_is_one_sentence(folder, capsys, options, sentence):
    assert animate("--mask", "sky.png", *options) == 1
    assert sentence in capsys.readouterr().out and not (folder / "a.mp4").exists()
