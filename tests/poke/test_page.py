import base64
import math
import re
import shutil
import subprocess
from dataclasses import replace

import oracles
import pytest
import torch

from gid_core.motion.spectrum import SpectralVolume
from gid_core.poke import page
from gid_core.poke.packing import pack
from gid_core.poke.page import bundled, page_html, save_page
from gid_core.poke.response import body_of


def modes(rng, k=3, grid=(5, 7), size=(40, 56)):
    shapes = oracles.box(torch.randn(1, 2 * k, *grid, generator=rng), 1).view(1, k, 2, *grid)
    ratio = torch.full((k,), 0.1)
    return SpectralVolume(
        shapes + 0j, torch.arange(1.0, k + 1), size, damping_ratio=ratio, kind="modes"
    )


def test_a_page_loads_nothing_from_any_network(rng):
    text = page_html(torch.rand(3, 40, 56, generator=rng), modes(rng))
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')> ]+)', text)
    assert sources and all(source.startswith("data:image/webp;base64,") for source in sources)
    code = re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)
    assert not re.search(
        r"https?:|//[a-z]+\.|\bfetch\(|XMLHttpRequest|^\s*import |\bexport ", code, re.M
    )


def test_a_page_holds_the_packed_modes(rng):
    spectrum = modes(rng)
    text = page_html(torch.rand(3, 40, 56, generator=rng), spectrum)
    (held,) = re.findall(r'\{ modes: "([^"]+)"', text)
    assert base64.b64decode(held) == pack(body_of(spectrum), spectrum)


def test_the_title_is_the_label_and_is_escaped(rng):
    text = page_html(torch.rand(3, 40, 56, generator=rng), modes(rng), title='<b>"Oak" & {elm}')
    assert "<title>&lt;b&gt;&quot;Oak&quot; &amp; {elm}</title>" in text
    label = 'aria-label="&lt;b&gt;&quot;Oak&quot; &amp; {elm}. Drag to pull it'
    assert label in text and "<b>" not in text


def test_a_page_of_512_px_and_64_modes_stays_below_2_MB(rng):
    # Like real modes: standing waves with 1 to 8 half waves in each direction.
    still = oracles.box(torch.rand(1, 3, 340, 512, generator=rng), 1)[0]
    y, x = torch.linspace(0, math.pi, 107), torch.linspace(0, math.pi, 160)
    n = torch.arange(1.0, 9)[:, None]
    waves = torch.einsum("ah,bw->abhw", (n * y).sin(), (n * x).sin()).flatten(0, 1)
    spectrum = modes(rng, 64, (107, 160), (340, 512))
    spectrum = replace(spectrum, coeffs=torch.stack([waves, waves.flip(0)], 1)[None] + 0j)
    text = page_html(still, spectrum, longest=512)
    assert len(text.encode()) < 2e6


def test_the_bundled_scripts_are_a_valid_script(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("NODE NOT FOUND: the page's script was NOT parsed.")
    (tmp_path / "page.mjs").write_text(bundled() + "\nif (!gid_modal.respond) throw 1;\n")
    ran = subprocess.run([node, tmp_path / "page.mjs"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_page_is_written_only_for_the_right_still(rng, tmp_path):
    path = tmp_path / "a.html"
    with pytest.raises(ValueError, match="another shape"):
        save_page(path, torch.rand(1, 3, 56, 40, generator=rng), modes(rng))
    with pytest.raises(ValueError, match="one still to poke, got 2"):
        save_page(path, torch.rand(2, 3, 40, 56, generator=rng), modes(rng))
    assert not list(tmp_path.iterdir())
    save_page(path, torch.rand(1, 3, 80, 112, generator=rng), modes(rng), longest=56)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_without_its_scripts_a_page_is_refused(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "WEB", tmp_path)
    with pytest.raises(ValueError, match=r"no gid_gestures\.js.*folder web/"):
        page_html(torch.rand(3, 40, 56, generator=rng), modes(rng))
