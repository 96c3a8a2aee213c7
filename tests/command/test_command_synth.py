"""The command that makes scenes."""

import os

import av
import pytest
import torch

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import read_mask, read_still, write_picture
from gid_core.motion.spectrum import displacement_at
from gid_core.scenes.synthetic import make_scene

SMALL = ["--size", "32x20", "--frames", "6", "--fps", "6", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def synth(*options):
    return main(["synth", "-o", "out", *SMALL, *options])


def test_scenes_come_with_their_truth(capsys):
    assert synth("--count", "2", "--seed", "5", "--kind", "shrub") == 0
    names = [f"00000{seed}_shrub" for seed in (5, 6)]
    endings = (".mp4", ".png", "_mask.png", ".safetensors")
    assert sorted(os.listdir("out")) == sorted(n + ending for n in names for ending in endings)
    scene = make_scene(6, (20, 32), "shrub")
    assert torch.allclose(read_still("out/000006_shrub.png"), scene.still, atol=0.5 / 255)
    assert torch.allclose(read_mask("out/000006_shrub_mask.png"), scene.mask, atol=0.5 / 255)
    read = load_spectrum("out/000006_shrub.safetensors")
    times = torch.arange(6) / 6
    assert torch.allclose(displacement_at(read, times), displacement_at(scene.spectrum(), times))
    with av.open("out/000006_shrub.mp4") as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 6 and frames[0].shape == (20, 32, 3)
    last = torch.from_numpy(frames[5]).movedim(-1, 0) / 255
    assert (last - scene.image_at(5 / 6)).abs().mean() < 0.03
    assert "wrote out/000005_shrub" in capsys.readouterr().out


def test_a_seed_makes_the_same_scene_whichever_came_before():
    assert synth("--count", "2", "--seed", "7") == 0
    (later,) = (name for name in os.listdir("out") if name[:6] == "000008" and name[-4:] == ".mp4")
    with open(f"out/{later}", "rb") as file:
        first = file.read()
    assert synth("--seed", "8") == 0
    with open(f"out/{later}", "rb") as file:
        assert file.read() == first


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--size", "15x40"], "each 16 to 4096, got '15x40'"),
        (["--size", "9999999x40"], "each 16 to 4096"),
        (["--size", "big"], "expected WxH"),
        (["--kind", "cat"], "invalid choice"),
        (["--count", "0"], "expected from 1"),
        (["--frames", "0"], "expected from 1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(capsys, arguments, sentence):
    with pytest.raises(SystemExit):
        synth(*arguments)
    assert sentence in capsys.readouterr().err
    assert not os.path.exists("out")


def test_a_folder_without_photographs_is_said(capsys):
    os.mkdir("empty")
    assert synth("--photographs", "empty") == 1
    assert "found none in 'empty'" in capsys.readouterr().out


def test_a_file_in_place_of_the_folder_is_said(capsys):
    with open("out", "w") as file:
        file.write("mine")
    assert synth() == 1
    assert "Cannot make the folder 'out': File exists" in capsys.readouterr().out
    with open("out") as file:
        assert file.read() == "mine"


def test_photographs_texture_the_scenes(rng):
    os.mkdir("pictures")
    write_picture("pictures/a.png", torch.rand(3, 24, 30, generator=rng))
    assert synth("--photographs", "pictures", "--kind", "shrub") == 0
    textured = read_still("out/000000_shrub.png")
    assert not torch.allclose(textured, make_scene(0, (20, 32), "shrub").still, atol=0.05)
