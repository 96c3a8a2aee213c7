"""Never render twice: frames that the host still holds are used, clips are encoded once."""

import re

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, decoded, node, painted, saved, still

FRAMES = 12


def rendered(host, graph):
    """(a run, how many frames the renderer made in it)."""
    before = len(host.log())
    ran = graph.run(host)
    assert_ran(ran)
    made = re.findall(r"Rendered (\d+) frames", host.log()[before:])
    return ran, sum(map(int, made))


def swaying(folder, seed, output="video only", **motion):
    """A graph that saves; every seed is a motion that no other test has rendered."""
    graph = Graph(folder).animate(
        still(), painted(), {"seed": seed}, motion or None, {"output": output}
    )
    return graph.save()


@pytest.mark.parametrize(("output", "seed"), [("video only", 1000), ("frames and video", 1001)])
def test_every_frame_is_rendered_once(host, tmp_path, output, seed):
    graph = swaying(tmp_path, seed, output)
    graph.nodes["again"] = node("SaveVideo", **graph.nodes["save"]["inputs"])
    graph.nodes["again"]["inputs"]["filename_prefix"] = "other"
    ran, made = rendered(host, graph.keep(frames=("render", 0)))
    assert made == FRAMES
    first, _, _ = decoded(saved(host, ran))
    second, _, _ = decoded(saved(host, ran, "again"))
    np.testing.assert_array_equal(first, second)
    assert len(graph.kept("frames")) == (1 if output == "video only" else FRAMES)


@hosts.newest_only
def test_only_what_changes_the_frames_renders_again(host, tmp_path):
    graph = swaying(tmp_path, 2000)
    first = {}
    for change, expected in {
        "nothing yet": FRAMES,
        "nothing": 1,  # the frame that the node shows: this harness forgets what nodes made
        "prefix": 1,
        "fps": FRAMES,
        "renderer": FRAMES,
        "renderer back": 1,
        "format": FRAMES,
        "format again": 1,
    }.items():
        if change == "prefix":
            graph.nodes["save"]["inputs"]["filename_prefix"] = "another"
        if change == "fps":
            graph.nodes["motion"]["inputs"]["fps"] = 11.0
        if change.startswith("renderer"):
            name = "splat only" if change.endswith("back") else "learned (shipped)"
            graph.nodes["render"]["inputs"]["renderer"] = name
        if change == "format":
            graph.nodes["save"]["inputs"]["format"] = "mkv"
        ran, made = rendered(host, graph)
        assert made == expected, change
        frames, _, tags = decoded(saved(host, ran))
        assert len(frames) == FRAMES
        assert "prompt" in {tag.lower() for tag in tags}
        first.setdefault(change, frames)
    np.testing.assert_array_equal(first["nothing yet"], first["prefix"])
    assert (first["fps"] != first["renderer"]).any()


@hosts.newest_only
def test_a_trimmed_video_uses_frames_that_are_held(host, tmp_path):
    graph = swaying(tmp_path, 3000, "frames and video")
    graph.nodes["trim"] = node(
        "Video Slice", video=("render", 2), start_time=0.25, duration=0.5, strict_duration=False
    )
    graph.nodes["save"]["inputs"]["video"] = ("trim", 0)
    ran, made = rendered(host, graph.keep(frames=("render", 0)))
    assert made == FRAMES
    frames, _, _ = decoded(saved(host, ran))
    assert len(frames) == 6
    error = np.abs(frames / 255 - graph.kept("frames")[3:9])
    assert error.mean() < 0.02
