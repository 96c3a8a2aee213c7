"""The command that changes motions in files, and the camera of animate."""

from pathlib import Path

import oracles
import pytest
import torch

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum, save_spectrum
from gid_core.files.stills import write_picture
from gid_core.motion.combine import combine
from gid_core.motion.edit import Edit, edit
from gid_core.motion.spectrum import SpectralVolume

SIZE = (32, 48)


def volume(rng, period_s=2.0):
    coeffs = torch.randn(1, 3, 2, 8, 12, generator=rng, dtype=torch.complex64)
    return SpectralVolume(coeffs, torch.arange(1, 4) / period_s, SIZE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, rng):
    """A working folder with a still, its mask, half a mask and two motions."""
    monkeypatch.chdir(tmp_path)
    picture, mask = oracles.stalk_picture(*SIZE)
    write_picture("still.png", picture[0])
    write_picture("mask.png", mask[0])
    half = torch.zeros(1, *SIZE)
    half[..., :24] = 1
    write_picture("half.png", half)
    save_spectrum(volume(rng), "f.safetensors")
    save_spectrum(volume(rng, 1.5), "h.safetensors")
    return tmp_path


def test_an_edit_of_a_file_is_that_of_the_function(capsys):
    options = "--bands 0.5:1,1.5:0.5 --turn 90 --gain 2 --smooth 3 --delay 0.2 --mute 1"
    command = f"edit f.safetensors -o g.safetensors --degree half.png {options}"
    assert main(command.split()) == 0
    half = torch.zeros(1, 1, *SIZE)
    half[..., :24] = 1
    change = Edit(
        bands="0.5:1,1.5:0.5", turn_deg=90.0, gain=2.0, smooth_pct=3.0, delay_s=0.2, mute="1"
    )
    expected, report = edit(load_spectrum("f.safetensors"), change, half)
    assert torch.equal(load_spectrum("g.safetensors").coeffs, expected.coeffs)
    assert f"wrote g.safetensors: {report}" in capsys.readouterr().out


@pytest.mark.parametrize("option, way, duration_s", [("", "over", 0.0), ("--add", "add", 3.0)])
def test_combining_files_is_that_of_the_function(capsys, option, way, duration_s):
    command = "edit f.safetensors -o g.safetensors --combine h.safetensors --mask half.png"
    assert main(f"{command} {option} --loop-duration {duration_s}".split()) == 0
    half = torch.zeros(1, 1, *SIZE)
    half[..., :24] = 1
    both = (load_spectrum(f"{name}.safetensors") for name in "fh")
    expected, report = combine(*both, half, None, way, duration_s)
    assert torch.equal(load_spectrum("g.safetensors").coeffs, expected.coeffs)
    assert str(report) in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, sentence",
    [
        ("-o g.mp4", ".safetensors"),
        ("-o g.safetensors --bands loud", "curve of gains as points"),
        ("-o g.safetensors --mask half.png", "Expected --combine with --mask"),
        ("-o f.safetensors", "f.safetensors"),
        ("-o g.safetensors --degree nothing.png", "nothing.png"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(capsys, options, sentence):
    assert main(["edit", "f.safetensors", *options.split()]) == 1
    said = capsys.readouterr().out
    assert said.startswith("error: ") and sentence in said and said.count("\n") == 1


@pytest.mark.parametrize("depth", [False, True])
def test_animate_adds_a_camera_to_the_wind(capsys, depth):
    clip = "--frames 6 --fps 6 --bands 2 --quiet --renderer splat --mask mask.png"
    camera = "--camera sway --camera-strength 4" + " --depth mask.png" * depth
    for name, options in (("plain", ""), ("moved", camera)):
        command = f"animate still.png -o {name}.webp {clip} --save-spectrum {name}.safetensors"
        assert main(f"{command} {options}".split()) == 0
    said = capsys.readouterr().out
    assert f"note: The camera's move: sway, by {'the depth' if depth else 'a tilted plane'}" in said
    plain, moved = (load_spectrum(f"{name}.safetensors") for name in ("plain", "moved"))
    assert plain.mask is not None and moved.mask is None
    torch.testing.assert_close(moved.frequencies_hz, plain.frequencies_hz)
    added = (moved.coeffs - plain.coeffs).abs()
    assert added[:, 0, 0].max() > 0.3 and not added[:, 1].gt(1e-5).any()
    assert Path("moved.webp").read_bytes() != Path("plain.webp").read_bytes()
