import base64
import io
import json
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch
from PIL import Image

from gid_core.motion.spectrum import SpectralVolume
from gid_core.poke.packing import layer_pictures, pack, quantized, web_picture
from gid_core.poke.response import body_of, pull

ROOT = Path(__file__).resolve().parents[2]


def volume(rng, real, k=3, size=(40, 60)):
    coeffs = torch.randn(1, k, 2, 5, 7, generator=rng, dtype=torch.complex64)
    kind = {"kind": "modes", "damping_ratio": torch.full((k,), 0.1)} if real else {}
    coeffs = coeffs.real + 0j if real else coeffs
    return SpectralVolume(coeffs, torch.arange(1.0, k + 1), size, **kind)


def unpacked(data):
    """(header, planes) by the layout that the docstring of `packing` describes."""
    data = zlib.decompress(data)
    (length,) = struct.unpack("<I", data[:4])
    header = json.loads(data[4 : 4 + length])
    parts = 2 if header["complex"] else 1
    rows = np.frombuffer(data[4 + length :], np.int8)
    rows = rows.reshape(len(header["omega"]), 2, parts, *header["grid"])
    return header, rows.astype(np.int64).cumsum(-1).astype(np.int8)


@pytest.mark.parametrize("real", [True, False])
def test_a_value_comes_back_within_half_a_step_of_its_root(rng, real):
    spectrum = volume(rng, real)
    header, planes = unpacked(pack(body_of(spectrum), spectrum, wind=0.25))
    assert header["complex"] is not real and header["wind"] == 0.25
    shapes = torch.view_as_real(spectrum.coeffs[0]).movedim(-1, 2)[:, :, : planes.shape[2]].numpy()
    largest = np.array(header["largest"]).reshape(-1, 1, 1, 1, 1)
    assert largest.flatten() == pytest.approx(np.abs(shapes).max((1, 2, 3, 4)))
    back = planes * np.abs(planes.astype(float)) / 127**2 * largest
    root, half = np.sqrt(np.abs(shapes) / largest), 0.5 / 127
    assert (np.abs(back - shapes) <= largest * ((root + half) ** 2 - root**2) * (1 + 1e-5)).all()


def test_a_shape_that_is_zero_is_packed_as_zero(rng):
    spectrum = volume(rng, True)
    spectrum.coeffs[0, 1] = 0
    planes, largest = quantized(body_of(spectrum))
    assert largest[1] == 0 and not planes[1].any() and planes[0].any()


def test_a_pull_on_many_packed_modes_goes_as_far_as_on_the_modes(rng):
    # At any one place most of many modes are small, where uniform steps are too coarse.
    y, x = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 36), indexing="ij")
    n = torch.arange(1, 9).view(-1, 1, 1)
    waves = ((n * x * 3).sin()[:, None] * (n * y * 3).sin()[None]).flatten(0, 1)
    waves = torch.stack([waves, waves.flip(0)], 1) * (x > 0.5) ** 2
    kind = {"kind": "modes", "damping_ratio": torch.full((64,), 0.1)}
    spectrum = SpectralVolume(waves[None] + 0j, torch.linspace(1, 6, 64), (24, 36), **kind)
    body = body_of(spectrum)
    shown = replace(body, shapes=oracles.packed_body(pack(body, spectrum)).shapes)
    for place in ((0.6, 0.2), (0.7, 0.5), (0.9, 0.8)):
        far = [pull(b, *place, 0.06, 0.02)[0].abs().square().sum().sqrt() for b in (body, shown)]
        assert float(far[1] / far[0]) == pytest.approx(1, abs=0.01)


def test_oscillators_and_wind_are_packed_unchanged(rng):
    spectrum = volume(rng, False)
    body = body_of(spectrum, "paper", stiffness=2.0)
    header, _ = unpacked(pack(body, spectrum))
    assert (
        header["omega"] == body.omega.tolist() and header["give"] == body.modal_compliance.tolist()
    )
    assert header["damping"] == body.damping_ratio.tolist() and header["stiffness"] == 2.0
    assert header["along"] is True
    assert header["wind_bands"] == {"hz": [1.0, 2.0, 3.0]}
    calm = volume(rng, True)
    assert unpacked(pack(body_of(calm), calm))[0]["wind_bands"] is None


def test_the_foreground_over_the_background_is_the_still(rng):
    still = oracles.box(torch.rand(1, 3, 40, 60, generator=rng), 3)[0]
    mask = torch.zeros(1, 1, 40, 60)
    mask[:, :, 8:30, 20:45] = 1
    spectrum = SpectralVolume(
        torch.zeros(1, 1, 2, 5, 7) + 0j, torch.ones(1), (40, 60), oracles.box(mask, 1)
    )
    pictures = layer_pictures(still, spectrum, 60)
    foreground, background = (Image.open(io.BytesIO(picture)) for picture in pictures)
    assert (foreground.mode, background.mode) == ("RGBA", "RGB")
    assert foreground.size == background.size == (60, 40)
    alpha = np.array(foreground)[..., 3:] / 255
    assert not alpha[:5].any() and (alpha[10:28, 22:43] == 1).all()
    foreground, background = (np.array(p)[..., :3] / 255 for p in (foreground, background))
    shown = foreground * alpha + background * (1 - alpha)
    assert np.abs(shown - still.movedim(0, -1).numpy()).mean() < 0.02


def test_what_is_transparent_stays_so_and_its_hidden_colours_are_not_shown(rng):
    still = torch.cat([torch.full((3, 40, 60), 0.5), torch.ones(1, 40, 60)])
    still[:, :, 30:] = torch.tensor([0.0, 1.0, 0.0, 0.0]).view(4, 1, 1)  # green under alpha 0
    mask = torch.zeros(1, 1, 40, 60)
    mask[:, :, 8:30, 10:25] = 1
    spectrum = SpectralVolume(torch.zeros(1, 1, 2, 5, 7) + 0j, torch.ones(1), (40, 60), mask)
    foreground, background = (
        np.array(Image.open(io.BytesIO(picture)).convert("RGBA")) / 255
        for picture in layer_pictures(still, spectrum, 60)
    )
    alpha = foreground[..., 3] + background[..., 3] * (1 - foreground[..., 3])
    assert (alpha[:, :29] > 0.99).all() and not alpha[:, 31:].any()
    for picture in (foreground, background):
        seen = picture[..., :3] * picture[..., 3:]
        assert np.abs(seen - 0.5 * picture[..., 3:]).max() < 0.03  # grey: WebP is lossy


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_grey_and_transparent_stills_are_reduced(rng, channels):
    still = torch.rand(channels, 40, 60, generator=rng)
    for picture in layer_pictures(still, volume(rng, True), 30):
        assert Image.open(io.BytesIO(picture)).size == (30, 20)


GOLDEN = json.loads((ROOT / "tests/golden/modal_response.json").read_text())
PACKED = {name: base64.b64decode(case["packed"]) for name, case in GOLDEN.items()}


def test_python_still_gives_what_the_browser_is_compared_with():
    # After the committed bytes all is float64: only the last bits of sums may differ.
    for name, case in oracles.modal_response(PACKED).items():
        largest = max(np.abs(case["re"]).max(), np.abs(case["im"]).max())
        for part in ("re", "im"):
            assert np.allclose(GOLDEN[name][part], case[part], rtol=0, atol=1e-9 * largest), name
        assert GOLDEN[name]["gestures"] == case["gestures"]


@pytest.mark.parametrize("name", sorted(PACKED))
def test_shapes_are_packed_as_in_the_golden_file_but_for_rounding(name):
    # A value half way between two steps is rounded up or down, as its last bit is on this machine.
    header, planes = unpacked(oracles.packed_volume(name))
    golden, steps = unpacked(PACKED[name])
    away = np.abs(planes.astype(int) - steps)
    assert away.max() <= 1 and (away > 0).mean() <= 0.01
    assert header.keys() == golden.keys() and header["complex"] == golden["complex"]
    for key in ("largest", "omega", "damping", "give", "softest"):
        assert header[key] == pytest.approx(golden[key], rel=1e-5), key


def test_the_browsers_mathematics_is_pythons():
    node = shutil.which("node")
    if node is None:
        pytest.skip("NODE NOT FOUND: web/*.js was NOT compared with Python.")
    tests = sorted(map(str, (ROOT / "tests/js").glob("*.mjs")))
    ran = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_still_for_the_web_is_small_and_keeps_its_shape(rng, channels):
    data = web_picture(torch.rand(channels, 40, 80, generator=rng), 32)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (32, 16) and picture.format == "WEBP"
