"""Spectra in files: what was saved comes back, and no name leads out of the host's folders."""

import json
import os
import time
from dataclasses import replace

import hosts
import numpy as np
import pytest
import torch
from graphs import Graph, assert_ran, node, painted, refusal, still

from gid_core.files.spectra import save_spectrum
from gid_core.motion.spectrum import SpectralVolume

MOTION = SpectralVolume(
    torch.ones(1, 2, 2, 5, 7, dtype=torch.complex64), torch.tensor([0.5, 1.0]), (20, 28)
)


def saving(folder, prefix="spectra/oak"):
    graph = Graph(folder).animate(still(), painted())
    graph.nodes = {k: v for k, v in graph.nodes.items() if k not in ("motion", "render")}
    graph.nodes["save"] = node(
        "SaveMotionSpectrum", spectrum=("sampler", 0), filename_prefix=prefix
    )
    return graph


def loading(folder, file):
    graph = Graph(folder)
    graph.nodes["load"] = node("LoadMotionSpectrum", file=file)
    return graph.keep(loaded=("load", 0), report=("load", 1))


def a_file(host, folder, prefix):
    """A sound file in the output folder: (path, as it is listed)."""
    ran = saving(folder, prefix).run(host)
    assert_ran(ran)
    listed = ran["outputs"]["save"]["text"][0]
    return host.folder("output") / listed.removesuffix(" [output]"), listed


def test_loading_what_was_saved_returns_it(host, tmp_path):
    graph = saving(tmp_path).keep(saved=("sampler", 0), file=("save", 0))
    ran = graph.run(host)
    assert_ran(ran)
    listed = str(graph.kept("file"))
    assert ran["outputs"]["save"]["text"] == [listed]
    assert listed.startswith("spectra/oak_0000") and listed.endswith("_.safetensors [output]")
    loaded = loading(tmp_path, listed)
    assert_ran(loaded.run(host))
    for field in ("coeffs", "frequencies_hz", "reference_size"):
        np.testing.assert_array_equal(loaded.kept("loaded", field), graph.kept("saved", field))
    np.testing.assert_allclose(
        loaded.kept("loaded", "mask"), graph.kept("saved", "mask"), atol=0.5 / 255 + 1e-6
    )
    assert "4 bands from 1.00 to 4.00 Hz, of a still of 96x64" in str(loaded.kept("report"))


@hosts.newest_only
def test_files_are_numbered_and_none_is_overwritten(host, tmp_path):
    one, _ = a_file(host, tmp_path, "numbered/%year%")
    before = one.read_bytes()
    other, _ = a_file(host, tmp_path, r"numbered\%year%")  # as typed on Windows
    assert one.parent == other.parent and one.name[:2] == "20" and one != other
    assert one.read_bytes() == before and len(list(one.parent.iterdir())) == 2


def test_a_file_in_the_input_folder_is_read(host, tmp_path):
    path, _ = a_file(host, tmp_path, "moved")
    place = host.folder("input") / "motions"
    place.mkdir(exist_ok=True)
    path.replace(place / "oak.safetensors")
    graph = loading(tmp_path, "motions/oak.safetensors")
    assert_ran(graph.run(host))
    assert graph.kept("loaded", "coeffs").shape[:3] == (1, 4, 2)


ESCAPES = ["../oak", "/tmp/oak", "a/../../oak", r"..\oak", "C:\\oak", "oak/", "", ".hidden"]
ESCAPES += ["a\nb", "nul", "oak?", "n" * 300]


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out_of_the_folder(host, tmp_path, name):
    assert host.hello["loaded"]  # it makes its folders first
    before = set(host.work.rglob("*"))
    for ran in (saving(tmp_path, name).run(host), loading(tmp_path, name + " [output]").run(host)):
        sentence = refusal(ran)
        assert "Expected the name of a file inside" in sentence and "got " in sentence
    assert set(host.work.rglob("*")) == before


def test_no_link_leads_out_of_the_folder(host, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path, _ = a_file(host, tmp_path, "linked")
    path.replace(outside / "secret.safetensors")
    link = host.folder("output") / "away"
    try:
        link.symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("Links cannot be made here.")
    try:
        assert "a link leads out" in refusal(saving(tmp_path, "away/oak").run(host))
        ran = loading(tmp_path, "away/secret.safetensors [output]").run(host)
        assert "a link leads out" in refusal(ran)
        assert os.listdir(outside) == ["secret.safetensors"]
    finally:
        link.unlink()


def test_names_that_come_by_a_link_are_checked_too(host, tmp_path):
    """The validation does not see linked inputs."""
    graph = saving(tmp_path)
    graph.nodes["name"] = node("PrimitiveString", value="../oak")
    graph.nodes["save"]["inputs"]["filename_prefix"] = ("name", 0)
    before = set(host.work.rglob("*"))
    assert "Expected the name of a file inside" in refusal(graph.run(host))
    assert set(host.work.rglob("*")) == before


def damaged(content, header):
    """name: (bytes of a file, words of the sentence)"""
    yield "nothing", (b"", ["not a readable"])
    yield "text", (b"a motion, I promise", ["not a readable"])
    yield "truncated", (content[: len(content) // 2], ["not a readable"])
    yield "a header that never ends", ((2**40).to_bytes(8, "little") + content[8:], ["too long"])
    changed = header.replace(b'\\"version\\": 1', b'\\"version\\": 7')
    assert changed != header
    yield "of another version", (content.replace(header, changed), ["version 7", "Update"])
    nan = np.full(4, np.nan, np.float32).tobytes()
    begun = 8 + len(header)
    spoilt = content[:begun] + nan + content[begun + len(nan) :]
    yield "not finite", (spoilt, ["not finite", "Save the"])


@hosts.newest_only
def test_hostile_files_are_refused_with_a_sentence(host, tmp_path):
    path, listed = a_file(host, tmp_path, "hostile")
    content = path.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    for name, (spoilt, words) in damaged(content, header):
        path.write_bytes(spoilt)
        sentence = refusal(loading(tmp_path, listed).run(host))
        assert all(word in sentence for word in words), f"{name}: {sentence}"
        assert "Traceback" not in sentence and "\n" not in sentence.strip()


def test_a_missing_file_is_refused(host, tmp_path):
    assert "found nothing at" in refusal(loading(tmp_path, "none.safetensors").run(host))


@pytest.fixture
def placed(server):
    """The server with one spectrum, and one file that is none, in its input folder."""
    inputs = server.base / "input"
    save_spectrum(MOTION, inputs / "motion.safetensors")
    (inputs / "lora.safetensors").write_bytes(b"not one")
    yield server, inputs / "motion.safetensors"
    for path in inputs.glob("*.safetensors"):
        path.unlink()


def test_spectra_are_listed_and_nothing_else(placed):
    server, _ = placed
    answer = json.loads(server.get("/object_info/LoadMotionSpectrum")[1])["LoadMotionSpectrum"]
    kind, options = answer["input"]["required"]["file"]
    listed = kind if isinstance(kind, list) else options["options"]
    own = sorted(p.name for p in (hosts.PACK / "nodes/examples").glob("*.safetensors"))
    listed = [name for name in listed if not name.endswith("[output]")]  # what other tests saved
    assert listed == ["motion.safetensors", *(f"{name} [example]" for name in own)]


def test_a_file_is_read_again_when_it_has_changed_and_only_then(placed):
    server, path = placed
    graph = {"load": node("LoadMotionSpectrum", file=path.name)}
    graph["show"] = node("MotionSpectrumPreview", spectrum=["load", 0], width=96)
    assert "load" not in cached(server, graph)
    assert "load" in cached(server, graph)
    save_spectrum(replace(MOTION, coeffs=2 * MOTION.coeffs), path)
    assert "load" not in cached(server, graph)


def cached(server, graph) -> list[str]:
    """Run a graph; the nodes that did not have to."""
    number = json.loads(server.post("/prompt", {"prompt": graph}))["prompt_id"]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        history = json.loads(server.get(f"/history/{number}")[1])
        if number in history:
            told = dict(history[number]["status"]["messages"])
            assert "execution_success" in told, told
            return told["execution_cached"]["nodes"]
        time.sleep(0.1)
    raise AssertionError("The server did not finish.")
