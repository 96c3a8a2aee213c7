"""Loop Blend: clips that do not close, and loops that do already."""

import av
import hosts
import numpy as np
import pytest
from graphs import (
    Graph,
    assert_ran,
    decoded,
    largest_steps,
    node,
    painted,
    saved,
    still,
    with_sound,
)


def blend(graph, host, **inputs):
    graph.nodes["blend"] = node("LoopBlend", **{"overlap": 4, "clips": 1} | inputs)
    graph.keep(closed=("blend", 0), report=("blend", 1), before=("blend", 2), after=("blend", 3))
    assert_ran(graph.run(host))
    return graph.kept("closed")


def drifting_clip(frames=24):
    """A clip that is no loop: the plant slides sideways, half a pixel a frame."""
    x = np.arange(96)
    return np.concatenate(
        [
            np.stack(
                [[np.interp(x - t / 2, x, line) for line in row.T] for row in still()[0]]
            ).transpose(0, 2, 1)[None]
            for t in range(frames)
        ]
    ).astype(np.float32)


def test_an_exact_loop_passes_bit_for_bit(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted()).keep(frames=("render", 0))
    closed = blend(graph, host, frames=("render", 0), displacement=("motion", 0))
    np.testing.assert_array_equal(closed, graph.kept("frames"))
    assert "untouched" in str(graph.kept("report"))
    assert graph.kept("before") == graph.kept("after")


def test_a_foreign_clip_closes(host, tmp_path):
    graph = Graph(tmp_path)
    clip = drifting_clip()
    graph.given("clip", clip)
    closed = blend(graph, host, frames=("clip", 0), overlap=8)
    assert len(closed) == 16
    np.testing.assert_array_equal(closed[8:], clip[8:16])
    before, after = largest_steps(clip), largest_steps(closed)
    assert after[0] < 0.25 * before[0]
    assert graph.kept("before") == pytest.approx(before[0], rel=1e-4)
    assert graph.kept("after") == pytest.approx(after[0], rel=1e-4)


@hosts.newest_only
def test_a_motion_that_is_no_loop_closes_along_its_paths(host, tmp_path):
    motion = {"frames": 16, "loop": False}
    sampler = {"duration": 2.5}
    graph = Graph(tmp_path).animate(still(), painted(), motion=motion, sampler=sampler)
    graph.keep(frames=("render", 0))
    inputs = {"frames": ("render", 0), "displacement": ("motion", 0), "still": ("still", 0)}
    graph.nodes["blend"] = node("LoopBlend", overlap=4, clips=1, **inputs)
    graph.save(video=("blend", 4)).keep(closed=("blend", 0), report=("blend", 1))
    ran = graph.run(host)
    assert_ran(ran)
    closed = graph.kept("closed")
    assert closed.shape == (12, 64, 96, 3)
    assert decoded(saved(host, ran))[1] == 12  # the motion's own, not that of the input fps
    before, after = largest_steps(graph.kept("frames")), largest_steps(closed)
    assert before[0] > before[1]
    assert after[0] <= after[1]
    assert "paths" in str(graph.kept("report"))


@hosts.newest_only
def test_an_open_motion_does_not_close_by_itself(host, tmp_path):
    motion = {"frames": 16, "loop": False}
    graph = Graph(tmp_path).animate(still(), painted(), motion=motion, sampler={"duration": 2.5})
    wrap, inside = largest_steps(graph.frames(host))
    assert wrap > inside


@hosts.newest_only
def test_the_report_says_what_closing_moved(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted(), motion={"frames": 15})
    graph.keep(report=("motion", 1))
    assert_ran(graph.run(host))
    assert "moved by up to" in str(graph.kept("report"))


@hosts.newest_only
def test_several_clips_close_each_by_itself(host, tmp_path):
    clips = [drifting_clip(), drifting_clip()[::-1]]
    closed = {}
    for name, frames in {"both": np.concatenate(clips), "second": clips[1]}.items():
        (tmp_path / name).mkdir()
        graph = Graph(tmp_path / name)
        graph.given("clip", np.ascontiguousarray(frames))
        closed[name] = blend(graph, host, frames=("clip", 0), clips=len(frames) // 24)
    assert len(closed["both"]) == 2 * len(closed["second"]) == 40
    np.testing.assert_array_equal(closed["both"][20:], closed["second"])


def test_a_video_closes_with_its_sound(host, tmp_path):
    clip = np.uint8(drifting_clip() * 255 + 0.5)
    with_sound(host.folder("input") / "sounding.mp4", clip, 12, 440)
    graph = Graph(tmp_path)
    graph.nodes["clip"] = node("LoadVideo", file="sounding.mp4")
    closed = blend(graph, host, frames=("clip", 0), overlap=8)
    assert len(closed) == 16
    graph.save().nodes["save"]["inputs"]["video"] = ("blend", 4)
    ran = graph.run(host)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran))
    assert len(frames) == 16 and rate == 12
    with av.open(str(saved(host, ran))) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        seconds = len(sound) / container.streams.audio[0].rate
    assert seconds == pytest.approx(16 / 12, abs=0.08)
    assert 0.1 < np.sqrt(np.square(sound).mean()) < 0.3


@hosts.newest_only
def test_frames_become_a_video_at_the_rate_that_is_said(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("clip", drifting_clip())
    blend(graph, host, frames=("clip", 0), fps=24.0)
    graph.save().nodes["save"]["inputs"]["video"] = ("blend", 4)
    ran = graph.run(host)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran))
    assert len(frames) == 20 and rate == 24


@hosts.newest_only
@pytest.mark.parametrize("size, channels", [((29, 1), 1), ((33, 47), 3)])
def test_closed_clips_of_any_size_can_be_saved(host, tmp_path, size, channels):
    graph = Graph(tmp_path)
    graph.given("clip", np.repeat(still(size)[..., :channels], 12, 0))
    graph.nodes["blend"] = node("LoopBlend", frames=("clip", 0), overlap=4, clips=1, fps=12.0)
    graph.save(video=("blend", 4))
    ran = graph.run(host)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran))
    assert frames.shape == (8, size[0] + size[0] % 2, size[1] + size[1] % 2, 3) and rate == 12
    if channels == 1:
        assert np.ptp(frames, axis=3).max() < 8
