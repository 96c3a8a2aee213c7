"""Cancelling: it acts at once, leaves nothing behind, and the next run works as before."""

import shutil

import numpy as np
import pytest
from graphs import Graph, filmed, node, painted, still

SIZE = (288, 512)


def slow(folder, **render):
    motion = {"frames": 600, "fps": 60.0}
    return Graph(folder).animate(still(SIZE), painted(SIZE), motion=motion, render=render)


def assert_cancelled(ran, within_s=30):
    """Cancelled before the frame after the next, on a slow machine too."""
    assert ran["valid"] and not ran["success"]
    assert ran["interrupted"] and ran["error"] is None
    assert ran["progress_after"] <= 1
    assert 0 <= ran["stopped_after"] < within_s


def assert_still_works(host, folder):
    (folder / "next").mkdir()
    frames = Graph(folder / "next").animate(still(), painted()).frames(host)
    assert frames.shape == (12, 64, 96, 3)


def test_rendering_stops(host, tmp_path):
    graph = slow(tmp_path).keep(frames=("render", 0))
    assert_cancelled(graph.run(host, interrupt={"node": "render", "after": 1.0}))
    assert_still_works(host, tmp_path)


def test_sampling_stops(host, tmp_path):
    graph = slow(tmp_path).keep(frames=("render", 0))
    graph.nodes["sampler"]["inputs"]["bands"] = 28
    ran = graph.run(host, interrupt={"node": "sampler", "after": 0.2})
    assert_cancelled(ran)
    assert not [p for p in ran["progress"] if p["node"] == "render"]


def test_saving_stops_and_leaves_no_file(host, tmp_path):
    before = set(host.folder("output").rglob("*"))
    graph = slow(tmp_path, output="video only").save()
    assert_cancelled(graph.run(host, interrupt={"node": "save", "after": 1.0}))
    left = set(host.folder("output").rglob("*")) - before
    assert not left
    assert_still_works(host, tmp_path)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory):
    """A clip of 40 s at 60 fps."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    frames = np.uint8(255 * np.concatenate([still((192, 320), seed=i) for i in range(2)]))
    filmed(path, (320, 192), frames[np.arange(2400) // 1200], 60)
    return path


def test_reading_a_clip_stops_before_its_window_is_read(host, tmp_path, long_clip):
    shutil.copy(long_clip, host.folder("input"))
    graph = Graph(tmp_path)
    graph.nodes["video"] = node("LoadVideo", file="long.mp4")
    reading = {"clip": ("video", 0), "fps": 60.0, "bands": 4, "window": 40.0, "raw": False}
    graph.nodes["read"] = node("MotionSpectrumFromVideo", **reading)
    graph.keep(spectrum=("read", 0))
    ran = graph.run(host, interrupt={"node": "read", "after": 0.5})
    assert_cancelled(ran)
    assert not [p for p in ran["progress"] if p["node"] == "read"]  # no flow was computed yet
