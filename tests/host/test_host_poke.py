"""Poking in the host: gestures as text become motion, the same every time."""

import json
import re
import zlib

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, node, painted, refusal, still

PULL = {"t": 0.1, "x": 0.5, "y": 0.3, "dx": 0.08, "dy": 0.0, "hold": 0.4}


def poked(folder, gestures, sampler=None, **inputs):
    """Still to modes to poke to frames: 12 frames of a second."""
    graph = Graph(folder).animate(still(), painted(), {"kind": "modes to poke"} | (sampler or {}))
    del graph.nodes["motion"]
    text = gestures if isinstance(gestures, str) else json.dumps(gestures)
    settings = {"duration": 1.0, "fps": 12.0, "wind": 0.0, "damping_ratio": 0.0, "stiffness": 1.0}
    settings |= {"strength": 1.0, "rule": "physical", "gestures": text} | inputs
    graph.nodes["poke"] = node(
        "PokeDynamics", spectrum=("sampler", 0), still=("still", 0), **settings
    )
    graph.nodes["render"]["inputs"]["displacement"] = ("poke", 0)
    return graph.keep(motion=("poke", 0), report=("poke", 1))


def test_a_pulled_still_rings(host, tmp_path):
    graph = poked(tmp_path, [PULL])
    frames = graph.frames(host)
    assert frames.shape == (12, 64, 96, 3)
    assert np.array_equal(frames[0], still()[0]) and np.array_equal(frames[1], still()[0])
    moved = graph.displacement("motion")[0]
    far = np.abs(moved).max((1, 2, 3))
    assert far[:2].max() == 0 and far[4] > 0.03 * moved.shape[-1]
    assert np.abs(np.diff(far[6:])).max() > 0  # let go at 0.5 s
    assert str(graph.kept("report")) == "1 gesture in 1 s, no wind."


@hosts.newest_only
def test_the_same_gestures_are_the_same_motion(host, tmp_path):
    motions = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        graph = poked(tmp_path / name, [PULL], wind=0.5)
        assert_ran(graph.run(host))
        motions.append(graph.displacement("motion"))
    assert np.array_equal(*motions) and motions[0].any()


@hosts.newest_only
def test_bands_of_a_motion_can_be_poked_and_old_graphs_play_the_same(host, tmp_path):
    motions = {}
    for rule in ("paper", "grip, paper's damping", "the paper's"):
        (tmp_path / rule).mkdir()
        graph = poked(tmp_path / rule, [PULL], {"kind": "motion to play"}, rule=rule)
        assert_ran(graph.run(host))
        motions[rule] = graph.displacement("motion")
    assert motions["paper"].any()
    assert np.array_equal(motions["the paper's"], motions["grip, paper's damping"])
    assert not np.array_equal(motions["paper"], motions["the paper's"])


@hosts.newest_only
def test_poking_beside_the_plant_moves_nothing_and_says_so(host, tmp_path):
    graph = poked(tmp_path, [PULL | {"x": 0.02, "y": 0.02}])
    assert_ran(graph.run(host))
    assert not graph.displacement("motion").any()
    assert "touches nothing that moves" in str(graph.kept("report"))


@pytest.mark.parametrize(
    "gestures, sentence",
    [
        ("not JSON", "not readable as JSON"),
        ([PULL | {"x": 1.5}], "outside the picture"),
        ('[{"t": NaN, "x": 0, "y": 0, "dx": 0, "dy": 0}]', "holds? NaN|hold NaN"),
        ({"version": 9, "gestures": []}, "format version 9"),
        ([PULL] * 1001, "at most 1000 gestures"),
    ],
)
def test_what_is_no_list_of_gestures_is_refused(host, tmp_path, gestures, sentence):
    assert re.search(sentence, refusal(poked(tmp_path, gestures).run(host)))


@hosts.newest_only
def test_another_stills_spectrum_is_refused(host, tmp_path):
    graph = poked(tmp_path, [PULL])
    graph.given("other", still((96, 64)))
    graph.nodes["poke"]["inputs"]["still"] = ("other", 0)
    assert "another shape" in refusal(graph.run(host))


@hosts.newest_only
def test_modes_cannot_be_played_and_say_so(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted(), {"kind": "modes to poke"})
    assert "Modes have no motion" in refusal(graph.keep(frames=("render", 0)).run(host))


def test_what_the_nodes_panel_shows_lies_in_the_temp_folder_once(host, tmp_path):
    seen = []
    runs = (0.0, [PULL], "physical"), (0.3, [], "physical"), (0.3, [], "the paper's")
    for damping, gestures, rule in runs:
        ran = poked(tmp_path, gestures, damping_ratio=damping, wind=0.5, rule=rule).run(host)
        assert_ran(ran)
        (shown,) = ran["outputs"]["poke"]["image_dynamics"]
        settings = {"duration": 1.0, "wind": 0.5, "strength": 1.0, "stiffness": 1.0}
        law = None if rule == "physical" else [0.4, 0.08]
        assert json.loads(json.dumps(shown["settings"])) == settings | {
            "damping_ratio": damping,
            "law": law,
        }
        files = [host.folder(f["type"]) / f["subfolder"] / f["filename"] for f in shown["files"]]
        modes, layer, plate = (path.read_bytes() for path in files)
        assert zlib.decompress(modes)[4:14] == b'{"version"'
        assert layer[8:12] == plate[8:12] == b"WEBP"
        seen.append((files, [path.stat().st_mtime_ns for path in files]))
    # Other gestures and another damping need no other files; another rule does.
    assert seen[0] == seen[1] and not set(seen[1][0]) & set(seen[2][0])


def test_a_page_is_kept_in_the_output_folder(host, tmp_path):
    graph = poked(tmp_path, [])
    graph.nodes["page"] = node(
        "SaveInteractivePage",
        spectrum=("sampler", 0),
        still=("still", 0),
        **{"filename_prefix": "pages/plant", "title": "A plant", "wind": 0.5, "size": 64},
    )
    graph.keep(file=("page", 0))
    names = []
    for _ in range(2):
        assert_ran(graph.run(host))
        names.append(str(graph.kept("file")))
    assert names == ["pages/plant_00001_.html", "pages/plant_00002_.html"]
    text = (host.folder("output") / names[0]).read_text(encoding="utf-8")
    assert "<title>A plant</title>" in text and len(text) < 500_000


def test_a_page_does_not_leave_the_output_folder(host, tmp_path):
    graph = poked(tmp_path, [])
    graph.nodes = {name: graph.nodes[name] for name in ("still", "mask", "sampler")}
    inputs = {"filename_prefix": "../plant", "title": "", "wind": 0.5, "size": 64}
    graph.nodes["page"] = node(
        "SaveInteractivePage", spectrum=("sampler", 0), still=("still", 0), **inputs
    )
    assert "Expected the name of a file" in refusal(graph.run(host))
