import io
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import oracles
import pytest
import torch
from PIL import Image

from gid_core.__main__ import main
from gid_core.files.spectra import load_spectrum
from gid_core.files.stills import read_still, to_bytes

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--frames", "8", "--fps", "8", "--quiet"]  # 1 s: three bands


@pytest.fixture(autouse=True)
def handlers_stay():
    """`main` takes over SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with still.png and mask.png, 24 x 16."""
    image, mask = oracles.stalk_picture(16, 24)
    for name, picture in (("still", image[0]), ("mask", mask[0])):
        Image.fromarray(to_bytes(picture).squeeze()).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def animate(*options):
    mask = [] if "--mask" in options else ["--mask", "mask.png"]
    return main(["animate", "still.png", *mask, *QUICK, *options])


def render(*options):
    return main(["render", "still.png", *QUICK, *options])


def frames_of(name):
    with av.open(name) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def files():
    return sorted(set(os.listdir()) - {"still.png", "mask.png"})


def fails(capsys, status, sentence, leaves=()):
    """What a refused command says and leaves behind."""
    said = capsys.readouterr()
    assert status == 1 and re.search(sentence, said.out + said.err)
    assert "Traceback" not in said.out + said.err
    assert files() == sorted(leaves)


def painted(name, top, bottom, left, right):
    mask = np.zeros((16, 24), np.uint8)
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(name)


def test_several_masks_are_objects_each_with_its_kind_and_anchor(folder, capsys):
    painted("left.png", 2, 15, 2, 10)
    painted("right.png", 2, 15, 8, 20)
    painted("top.png", 0, 5, 0, 24)
    painted("stays.png", 6, 8, 12, 16)
    objects = ["--mask", "left.png", "--mask", "right.png"]
    command = ["animate", "still.png", "-o", "a.webp", *QUICK, "--exact-mask", *objects]
    each = ["--anchor", "none", "--anchor", "top.png", "--kind", "grass", "--kind", "hanging"]
    kept = ["--depth", "left.png", "--protect", "stays.png", "--pose", "first frame"]
    assert main([*command, *each, *kept, "--save-spectrum", "s.safetensors"]) == 0
    assert "Frame 0 is the still." in capsys.readouterr().out
    spectrum = load_spectrum("s.safetensors")
    assert spectrum.depth[0, 0, 10, 4] == 1 and spectrum.protect[0, 0, 7, 13] == 1
    assert spectrum.coeffs.any() and not spectrum.mask[0, 0, 6:8, 12:16].any()
    for wrong, sentence in (
        (["--kind", "grass"] * 3, "kinds for each of the 2 objects, got 3"),
        (["--anchor", "top.png"] * 3, "one for each of the 2 objects, got 3"),
        (["--anchor", "gone.png", "--anchor", "none"], "gone.png"),
        (["--model", "learned"], "elastic model for several objects"),
    ):
        assert main([*command, *wrong]) == 1
        assert sentence in capsys.readouterr().out


def test_flames_have_bands_up_to_8_hertz_and_what_is_asked_for_wins(folder):
    for options, highest in ((["--kind", "flame"], 8), (["--kind", "flame", "--bands", "3"], 3)):
        assert (
            animate(
                "-o",
                "a.webp",
                "--fps",
                "20",
                "--frames",
                "20",
                *options,
                "--save-spectrum",
                "s.safetensors",
            )
            == 0
        )
        assert load_spectrum("s.safetensors").frequencies_hz[-1] == highest


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".webp", ".gif"])
def test_a_still_becomes_a_clip(folder, capsys, ending):
    assert animate("-o", f"a{ending}", "--amplitude", "4") == 0
    assert files() == [f"a{ending}"]
    assert f"wrote a{ending}: 8 frames, 1.00 s" in capsys.readouterr().out
    if ending == ".webp":
        with Image.open("a.webp") as picture:
            assert (picture.n_frames, picture.size) == (8, (24, 16))
    else:
        frames = frames_of(f"a{ending}")
        assert len(frames) == 8 and frames[0].shape == (16, 24, 3)
        assert any((frame != frames[0]).any() for frame in frames)


@pytest.mark.parametrize("frames, fps", [("1", "30"), ("2", "30"), ("12", "5")])
def test_the_defaults_fit_any_length_and_frame_rate(folder, capsys, frames, fps):
    assert animate("-o", "a.webm", "--frames", frames, "--fps", fps) == 0, capsys.readouterr().out
    assert len(frames_of("a.webm")) == int(frames)


def test_a_saved_spectrum_renders_the_same_frames(folder, capsys):
    assert animate("-o", "a.mp4", "--save-spectrum", "s.safetensors", "--seed", "3") == 0
    assert render("-o", "b.mp4", "--spectrum", "s.safetensors") == 0
    for one, other in zip(frames_of("a.mp4"), frames_of("b.mp4"), strict=True):
        assert (one == other).all()
    assert "wrote s.safetensors" in capsys.readouterr().out
    assert load_spectrum("s.safetensors").frequencies_hz.tolist() == [1, 2, 3]


def test_options_reach_the_method(folder):
    Image.new("L", (24, 16), 200).save("grey.png")
    for name, options in {
        "near": ["--amplitude", "0.5"],
        "far": ["--amplitude", "2"],
        "exact": ["--mask", "grey.png", "--exact-mask"],
        "long": ["--duration", "2", "--bands", "5"],
        "fast": ["--frames", "16", "--fps", "16", "--speed", "2"],
        "ten": ["--frames", "88"],
    }.items():
        assert animate("-o", "a.gif", "--save-spectrum", f"{name}.safetensors", *options) == 0
    near, far, exact, long, fast, ten = (
        load_spectrum(f"{name}.safetensors")
        for name in ("near", "far", "exact", "long", "fast", "ten")
    )
    assert far.coeffs.abs().mean() > 3 * near.coeffs.abs().mean()
    torch.testing.assert_close(exact.mask, torch.full((1, 1, 16, 24), 200 / 255))
    assert long.frequencies_hz.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    # The clip's own harmonics as the sampler's clock runs, and of ten seconds at most, to 3.2 Hz.
    assert fast.frequencies_hz.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    torch.testing.assert_close(ten.frequencies_hz, torch.arange(1, 33) / 10)


@pytest.mark.parametrize(
    "option",
    [
        ["--seed", "1"],
        ["--sway-hz", "2"],
        ["--damping", "0.5"],
        ["--wind-direction", "90"],
        ["--wind-speed", "2"],
        ["--gust-length", "2"],
        ["--anchor-rule", "none"],
        ["--anchor", "anchor.png"],
    ],
    ids=lambda option: option[0],
)
def test_every_option_of_the_model_changes_the_motion(folder, option):
    anchor = Image.new("L", (24, 16), 0)
    anchor.paste(255, (0, 0, 24, 6))
    anchor.save("anchor.png")
    animate("-o", "a.gif", "--save-spectrum", "a.safetensors")
    animate("-o", "a.gif", "--save-spectrum", "b.safetensors", *option)
    one, other = (load_spectrum(f"{name}.safetensors").coeffs for name in "ab")
    assert (one - other).abs().max() > 1e-4 * one.abs().max()


def test_a_mask_of_another_size_is_resized_and_said(folder, capsys):
    Image.open("mask.png").resize((48, 32)).save("mask.png")
    assert animate("-o", "a.gif") == 0
    assert "note: the mask is 48x32, the still 24x16: resized to fit" in capsys.readouterr().out


def test_an_anchor_that_misses_the_mask_is_said(folder, capsys):
    anchor = Image.new("L", (24, 16), 0)
    anchor.paste(255, (0, 0, 4, 4))
    anchor.save("anchor.png")
    assert animate("-o", "a.gif", "--anchor", "anchor.png") == 0
    assert "anchor mask does not touch the mask" in capsys.readouterr().out


def test_moved_bands_are_said(folder, capsys):
    animate("-o", "a.gif", "--save-spectrum", "s.safetensors")
    capsys.readouterr()
    render("-o", "b.gif", "--spectrum", "s.safetensors", "--frames", "10")
    assert "note: To close the loop, bands moved by up to" in capsys.readouterr().out
    render("-o", "b.gif", "--spectrum", "s.safetensors", "--frames", "10", "--no-loop")
    assert "note" not in capsys.readouterr().out


def test_a_seed_spreads_a_long_loop_of_a_saved_spectrum(folder):
    animate("-o", "a.mp4", "--save-spectrum", "s.safetensors", "--amplitude", "5")
    for name, seed in (("one", "1"), ("same", "1"), ("other", "2")):
        render("-o", f"{name}.mp4", "--spectrum", "s.safetensors", "--frames", "24", "--seed", seed)
    one, same, other = (np.stack(frames_of(f"{name}.mp4")) for name in ("one", "same", "other"))
    assert (one == same).all() and (one != other).any()


def test_a_mask_given_to_render_says_what_may_move(folder):
    animate("-o", "a.webp", "--save-spectrum", "s.safetensors", "--amplitude", "5")
    nothing = Image.new("L", (24, 16), 0)
    nothing.putpixel((0, 0), 255)
    nothing.save("corner.png")
    render("-o", "b.gif", "--spectrum", "s.safetensors", "--mask", "corner.png")
    render("-o", "c.gif", "--spectrum", "s.safetensors")
    for name, moves in (("b", False), ("c", True)):
        frames = np.stack(frames_of(f"{name}.gif"))[:, :, 6:].astype(int)
        assert (np.abs(frames - frames[0]).max() > 20) == moves


def test_the_first_frame_can_be_the_still(folder):
    animate("-o", "a.webp", "--pose", "first frame")
    shown = read_still("a.webp")
    assert (shown - read_still("still.png")).abs().mean() < 0.03  # webp is lossy


@pytest.mark.parametrize("name", ["mask", "anchor"])
def test_an_empty_mask_is_refused(folder, capsys, name):
    Image.new("L", (24, 16), 0).save("empty.png")
    status = animate("-o", "a.mp4", f"--{name}", "empty.png")
    fails(capsys, status, f"The {name} 'empty.png' is empty: paint", ["empty.png"])


def test_an_unknown_ending_is_refused_before_anything_is_read(folder, capsys):
    status = main(["animate", "nowhere.png", "-o", "a.avi"])
    fails(capsys, status, r"ending in .*\.mp4.*got 'a.avi'")
    status = main(["render", "nowhere.png", "--spectrum", "nowhere", "-o", "a"])
    fails(capsys, status, r"ending in .*got 'a'")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["animate", "nowhere.png", "-o", "a.mp4"], "no file at 'nowhere.png'"),
        (["animate", "still.png", "--mask", "no.png", "-o", "a.mp4"], "no file at 'no.png'"),
        (["animate", "still.png", "-o", "no/a.mp4"], "existing folder to write to, got 'no'"),
        (
            ["animate", "still.png", "-o", "a.mp4", "--save-spectrum", "no/s.safetensors"],
            "got 'no'",
        ),
        (["render", "still.png", "--spectrum", "no", "-o", "a.mp4"], "found nothing at 'no'"),
        (
            ["animate", "still.png", "-o", "a.mp4", "--bands", "1", "--duration", "0.2"],
            "5.00 Hz; 8 frames per second",
        ),
        (["animate", "still.png", "-o", "a.mp4", "--speed", "9", "--bands", "1"], r"frames|Hz"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder, capsys, arguments, sentence):
    if "--speed" in arguments:
        arguments = [*arguments, "--duration", "1"]
    fails(capsys, main([*arguments, *QUICK]), sentence)


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_a_damaged_spectrum_or_still_is_refused(folder, capsys, content):
    (folder / "s.safetensors").write_bytes(content)
    status = render("-o", "a.mp4", "--spectrum", "s.safetensors")
    fails(capsys, status, "error: 's.safetensors' is not a readable safetensors", ["s.safetensors"])
    (folder / "bad.png").write_bytes(content)
    status = main(["animate", "bad.png", "-o", "a.mp4", *QUICK])
    fails(capsys, status, "'bad.png' is not a readable picture", ["bad.png", "s.safetensors"])


@pytest.mark.parametrize(
    "writer, options, name",
    [
        ("files.video.to_bytes", [], "a.mp4"),
        ("files.spectra.save_file", ["--save-spectrum", "s.safetensors"], "s.safetensors"),
    ],
)
def test_a_full_disk_is_said_in_a_sentence(folder, capsys, monkeypatch, writer, options, name):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"gid_core.{writer}", full)
    fails(capsys, animate("-o", "a.mp4", *options), f"Could not write '{name}': ")


@pytest.mark.parametrize(
    "option, value",
    [
        ("--frames", "0"),
        ("--frames", "1.5"),
        ("--fps", "0"),
        ("--fps", "nan"),
        ("--fps", "fast"),
        ("--amplitude", "-1"),
        ("--amplitude", "21"),
        ("--speed", "0"),
        ("--seed", "-1"),
        ("--bands", "0"),
        ("--sway-hz", "inf"),
        ("--damping", "0"),
        ("--pose", "lotus"),
        ("--anchor-rule", "rope"),
        ("--sampler", "magic"),
        ("--steps", "0"),
    ],
)
def test_values_out_of_range_are_refused_by_name(folder, capsys, option, value):
    with pytest.raises(SystemExit) as stopped:
        animate("-o", "a.mp4", option, value)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: " in said and value in said and files() == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["animate"], ["animate", "still.png"], ["render", "still.png", "-o", "a.mp4"]],
)
def test_incomplete_commands_show_their_usage(folder, capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m gid_core" in capsys.readouterr().err


class Gone(io.StringIO):
    """An output whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stdout", [None, Gone()], ids=["closed", "nobody reads"])
def test_no_work_ends_because_nobody_reads(folder, monkeypatch, stdout):
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", None)
    quick = "--mask mask.png --frames 2 --bands 1 --renderer splat -o a.gif"
    assert main(f"animate still.png {quick}".split()) == 0
    assert Path("a.gif").exists()
    assert main(f"animate gone.png {quick}".split()) == 1


def test_an_interrupt_leaves_nothing_and_says_so(folder, capsys, monkeypatch):
    calls = []

    def stopped(frame):
        calls.append(frame)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return to_bytes(frame)

    monkeypatch.setattr("gid_core.files.video.to_bytes", stopped)
    assert animate("-o", "a.mp4") == 130
    assert files() == [] and len(calls) == 4
    assert "interrupted: " in capsys.readouterr().out


def test_an_interrupt_does_not_deny_the_spectrum_that_was_written(folder, capsys, monkeypatch):
    def stopped(frame):
        raise KeyboardInterrupt

    monkeypatch.setattr("gid_core.files.video.to_bytes", stopped)
    assert animate("-o", "a.mp4", "--save-spectrum", "s.safetensors") == 130
    assert files() == ["s.safetensors"]
    assert "nothing was written" not in capsys.readouterr().out


def test_a_killed_process_leaves_nothing(folder):
    command = [sys.executable, "-m", "gid_core", "animate", "still.png", "--mask", "mask.png"]
    command += ["-o", "a.mp4", "--frames", "9000", "--duration", "1", "--bands", "3", "--no-loop"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not any(name.startswith(".a-") for name in files()):  # the clip, unfinished
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and "interrupted" in said
    assert files() == []


def normalized_help(text):
    """Whitespace aside, and as Python before 3.13 wrote `-o OUT, --out OUT`."""
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"(-\w)(, --\w+ ([A-Z]+))", r"\1 \3\2", text).strip()


@pytest.mark.parametrize(
    "command",
    ["animate", "extract", "render", "edit", "mask", "synth", "train", "evaluate", "page"],
)
def test_help_is_as_committed(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    committed = (Path(__file__).parents[1] / "golden" / f"help_{command}.txt").read_text()
    assert normalized_help(capsys.readouterr().out) == normalized_help(committed)


def test_a_renderer_is_trained_and_renders(folder, capsys):
    pytest.importorskip("accelerate", reason="training needs accelerate: image-dynamics[train]")
    run = ["train", "renderer", "--preset", "tiny", "-o", "r", "--rate", "1e-2"]
    run += ["--steps", "2", "--batch", "2", "--scenes", "1", "--quiet"]
    assert main([*run, "--cache", "kept"]) == 0
    assert len(list(Path("kept").iterdir())) == 1
    clips = {}
    for renderer in ("splat", "learned", "r/model.safetensors"):
        assert animate("-o", "a.webp", "--amplitude", "8", "--renderer", renderer) == 0
        clips[renderer] = Path("a.webp").read_bytes()
    assert len(set(clips.values())) == 3
    capsys.readouterr()
    assert animate("-o", "b.webp", "--renderer", "nowhere.safetensors") == 1
    assert "error: Expected a file of weights, found nothing at" in capsys.readouterr().out


def test_a_shutter_and_depth_are_taken(folder):
    seen, plain = [], ("-o", "a.webp", "--renderer", "splat", "--amplitude", "8")
    Image.fromarray(np.uint8(np.arange(24) * 10)[None].repeat(16, 0)).save("depth.png")
    for options in ([], ["--shutter", "0.5"], ["--depth", "depth.png"]):
        assert animate(*plain, *options) == 0
        seen.append(Path("a.webp").read_bytes())
    assert len(set(seen)) == 3
    assert animate(*plain, "--depth", "none.png") == 1


def pixels(name):
    """All frames of a webp, n h w 4."""
    with Image.open(name) as picture:
        shown = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown.append(np.asarray(picture.convert("RGBA")))
    return np.stack(shown)


def test_what_is_behind_is_filled_in_two_ways_or_comes_from_a_picture(folder, capsys):
    plain = ("-o", "a.webp", "--renderer", "splat", "--amplitude", "12", "--exact-mask")
    seen = {}
    for fill in ("mirrored", "textured"):
        assert animate(*plain, "--fill", fill, "--save-background", f"{fill}.png") == 0
        seen[fill] = Path("a.webp").read_bytes()
        kept, still = (np.asarray(Image.open(f"{name}.png")) for name in (fill, "still"))
        moves = np.asarray(Image.open("mask.png").convert("L")) > 0
        assert (kept[~moves] == still[~moves]).all() and (kept[moves] != still[moves]).any()
    assert animate(*plain) == 0 and Path("a.webp").read_bytes() == seen["mirrored"]
    Image.new("RGB", (24, 16), "#ff0000").save("red.png")
    assert animate(*plain, "--fill", "red.png", "--save-background", "b.jpg") == 0
    red = (pixels("a.webp")[..., :3] > (200, -1, -1)).all(-1) & (pixels("a.webp")[..., 1] < 60)
    assert red.any() and not red[0].all()
    capsys.readouterr()
    leaves = files()
    assert animate(*plain, "--fill", "torn") == 1
    fails(capsys, 1, "Expected --fill mirrored, textured or a picture, .* 'torn'", leaves)
    assert animate(*plain, "--fill", "red.png", "--save-background", "red.png") == 1
    fails(capsys, 1, "red.png", leaves)


@pytest.mark.parametrize("ending", ["jpg", "bmp", "png", "tif", "webp"])
def test_a_background_is_transparent_or_over_a_colour(folder, ending):
    picture = np.asarray(Image.open("still.png").convert("RGBA")).copy()
    picture[:9] = 0  # transparent, and black where that is not known
    Image.fromarray(picture).save("clear.png")
    options = "--mask mask.png --exact-mask --frames 1 --bands 1 --renderer splat --quiet"
    options += f" --save-background b.{ending} --background #336699"
    assert main(f"animate clear.png -o a.webp {options}".split()) == 0
    kept = np.asarray(Image.open(f"b.{ending}")).astype(int)[:4, :4]
    if kept.shape[2] == 4:
        assert (kept[..., 3] == 0).all()
    else:
        assert np.abs(kept - (0x33, 0x66, 0x99)).max() <= 3


def test_borders_and_what_moves_alone_are_chosen(folder, capsys):
    plain = ("-o", "a.webp", "--renderer", "splat", "--amplitude", "12", "--exact-mask")
    seen = {}
    for border in ("mirror", "extend", "crop", "transparent"):
        assert animate(*plain, "--border", border) == 0
        seen[border] = pixels("a.webp")
    assert animate(*plain) == 0 and (pixels("a.webp") == seen["mirror"]).all()
    assert seen["crop"][0].size < seen["extend"][0].size
    assert (seen["mirror"][..., 3] == 255).all() and (seen["transparent"][..., 3] < 255).any()
    assert animate(*plain, "--alone", "--pose", "first frame") == 0
    moves = np.asarray(Image.open("mask.png").convert("L")) > 0
    assert ((pixels("a.webp")[0, ..., 3] > 0) == moves).mean() > 0.98
    capsys.readouterr()
    assert animate("-o", "a.gif", "--alone", "--background", "#0000ff") == 0
    assert ".gif has no transparency" in capsys.readouterr().out
    blue = frames_of("a.gif")[0][0, 0]
    assert blue[2] > 240 and max(blue[:2]) < 16
    assert animate("-o", "b.webp", "--alone", "--flow", "water") == 1
    assert "Expected --alone without --flow" in capsys.readouterr().out


def test_training_ends_in_weights_that_animate(folder, capsys):
    pytest.importorskip("accelerate", reason="training needs accelerate: image-dynamics[train]")
    scenes = ["--scenes", "3", "--cache", "scenes", "--batch", "2", "--steps", "2", "--quiet"]
    assert main(["train", "encoder", "--preset", "tiny", "-o", "a", *scenes]) == 0
    begin = ["--from", "a/model.safetensors", "-o", "b"]
    assert main(["train", "bands", "-o", "b", *scenes]) == 1
    assert "Expected --from with the weights" in capsys.readouterr().out
    assert main(["train", "bands", *begin, "--bands", "3", *scenes]) == 1
    assert (
        "Expected no --bands here: the weights 'model.safetensors' have theirs"
        in capsys.readouterr().out
    )
    assert main(["train", "bands", *begin[:2], "--layout", "volume", "-o", "v", *scenes]) == 0
    assert main(["train", "bands", *begin, *scenes]) == 0
    assert main(["train", "bands", *begin, *scenes]) == 0  # goes on: nothing is left to do
    model = ["--model", "b/model.safetensors", "--steps", "2"]
    assert animate("-o", "learned.mp4", *model) == 0
    assert main(["animate", "still.png", "-o", "bare.mp4", *QUICK, *model]) == 0
    assert animate("-o", "guided.mp4", *model, "--loop-guidance", "100") == 0
    assert len(frames_of("bare.mp4")) == 8
    capsys.readouterr()
    fails_with = lambda *options: (animate("-o", "c.mp4", *options), capsys.readouterr().out)
    status, said = fails_with("--model", "nothing.safetensors")
    assert status == 1 and "found nothing at 'nothing.safetensors'" in said
    status, said = fails_with(*model, "--save-modes", "m.safetensors")
    assert status == 1 and "knows no modes" in said
    assert main(["train", "encoder", "--preset", "tiny", "-o", "b", *scenes]) == 1
    assert "holds another run: its stage differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, rate",
    [
        ("30000/1001", Fraction(30000, 1001)),
        ("24000/1001", Fraction(24000, 1001)),
        ("120/1.001", Fraction(120000, 1001)),
        ("60/2", Fraction(30)),
        ("29.97", Fraction(2997, 100)),
        ("1e1", Fraction(10)),
    ],
)
def test_frame_rates_can_be_ratios(folder, text, rate):
    assert animate("-o", "a.mp4", "--fps", text, "--renderer", "splat") == 0
    with av.open("a.mp4") as container:
        assert container.streams.video[0].average_rate == rate


@pytest.mark.parametrize(
    "text", ["30/0", "1/2/3", "/2", "30/", "/", "0/5", "-30/1", "1/nan", "1/inf"]
)
def test_what_is_no_frame_rate_is_refused(folder, capsys, text):
    with pytest.raises(SystemExit):
        animate("-o", "a.mp4", f"--fps={text}")
    assert "argument --fps: expected " in capsys.readouterr().err and files() == []


def test_other_numbers_can_be_ratios_and_whole_ones_cannot(folder, capsys):
    animate(
        "-o", "a.gif", "--save-spectrum", "a.safetensors", "--amplitude", "3/2", "--speed", "1/1"
    )
    animate("-o", "b.gif", "--save-spectrum", "b.safetensors", "--amplitude", "1.5")
    one, other = (load_spectrum(f"{name}.safetensors").coeffs for name in "ab")
    assert (one == other).all()
    with pytest.raises(SystemExit):
        animate("-o", "c.gif", "--frames", "8/2")
    assert "argument --frames: expected a number, got '8/2'" in capsys.readouterr().err


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200"}])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(own):
    waits = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
    # What the environment says when torch is imported, which is when OpenMP reads it.
    code = f"""
import os, sys
class Seen:
    def find_spec(self, name, *rest):
        if name == "torch":
            print(*(os.environ[n] for n in {list(waits)}))
            sys.exit()
sys.meta_path.insert(0, Seen())
import gid_core.__main__
"""
    environment = {n: v for n, v in os.environ.items() if n not in waits} | own
    environment["PYTHONPATH"] = str(ROOT)
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert said.stdout.decode().split() == list((waits | own).values())
