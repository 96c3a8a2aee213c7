"""The video that renders itself while it is saved: its answers, its files, its memory."""

import json

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, decoded, node, painted, saved, still

SIZE = (160, 256)


def video_only(folder, frames, fps=30.0, size=(64, 96)):
    motion = {"frames": frames, "fps": fps}
    graph = Graph(folder).animate(
        still(size), painted(size), motion=motion, render={"output": "video only"}
    )
    return graph.save()


def test_video_only_gives_one_frame_and_saves_all(host, tmp_path):
    graph = video_only(tmp_path, 45).keep(frames=("render", 0), uncovered=("render", 1))
    ran = graph.run(host)
    assert_ran(ran)
    assert graph.kept("frames").shape == (1, 64, 96, 3)
    assert graph.kept("uncovered").shape == (1, 64, 96)
    frames, rate, _ = decoded(saved(host, ran))
    assert frames.shape == (45, 64, 96, 3)
    assert rate == 30
    told = [(p["value"], p["max"]) for p in ran["progress"] if p["node"] == "save"]
    assert told[-1] == (45, 45)


def test_the_saved_video_shows_the_frames(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted()).save().keep(frames=("render", 0))
    ran = graph.run(host)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran))
    assert rate == 12
    error = np.abs(frames / 255 - graph.kept("frames"))
    assert error.mean() < 0.02


def test_the_file_holds_the_graph_it_was_made_by(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted()).save()
    ran = graph.run(host)
    assert_ran(ran)
    _, _, tags = decoded(saved(host, ran))
    assert json.loads(tags["prompt"])["sampler"]["class_type"] == "MotionSpectrumSampler"
    assert json.loads(tags["workflow"]) == {"named": "by the tests"}


@pytest.mark.parametrize("fps", [29.97, 12.5])
def test_fractional_frame_rates_are_kept(host, tmp_path, fps):
    graph = Graph(tmp_path).animate(still(), painted(), motion={"fps": fps}).save()
    ran = graph.run(host)
    assert_ran(ran)
    _, rate, _ = decoded(saved(host, ran))
    assert float(rate) == pytest.approx(fps, abs=1e-4)


def test_odd_sizes_are_saved(host, tmp_path):
    graph = Graph(tmp_path).animate(still((33, 51)), painted((33, 51))).save()
    ran = graph.run(host)
    assert_ran(ran)
    frames, _, _ = decoded(saved(host, ran))
    assert frames.shape == (12, 34, 52, 3)


def test_containers_and_codecs_the_host_offers(host, tmp_path):
    if host.install.is_old:
        offered = [{"format": "auto", "format.codec": "auto"}, {"format.codec": "auto"}]
    else:
        offered = [
            {"format": "auto", "format.codec": "auto"},
            {"format": "webm", "format.codec": "auto"},
            {"format": "webm", "format.codec": "av1", "format.codec.encoding": "auto"},
            {"format": "mkv", "format.codec": "h264", "format.codec.encoding": "auto"},
            {
                **{"format": "mp4", "format.codec": "h264", "format.codec.encoding": "re-encode"},
                **{"format.codec.encoding.crf": 30.0, "format.codec.encoding.color_space": "auto"},
            },
            {
                **{"format": "mp4", "format.codec": "h264", "format.codec.encoding": "re-encode"},
                **{"format.codec.encoding.crf": 30.0, "format.codec.encoding.color_space": "HDR"},
            },
        ]
    for choice in offered:
        graph = Graph(tmp_path).animate(still(), painted()).save(**choice)
        ran = graph.run(host)
        assert_ran(ran)
        path = saved(host, ran)
        assert path.suffix == "." + {"auto": "mp4"}.get(
            choice.get("format", "mp4"), choice.get("format", "mp4")
        )
        frames, rate, tags = decoded(path)
        assert frames.shape == (12, 64, 96, 3) and rate == 12, choice
        assert {"prompt", "workflow"} <= {tag.lower() for tag in tags}, choice


def test_a_video_answers_what_hosts_ask(host, tmp_path):
    motion = {"frames": 24, "fps": 24.0}
    graph = Graph(tmp_path).animate(still(), painted(), motion=motion)
    graph.nodes["probe"] = node("Probed", video=("render", 2), folder=str(tmp_path))
    ran = graph.run(host)
    assert_ran(ran)
    answers = json.loads(ran["outputs"]["probe"]["answers"][0])
    assert answers["dimensions"] == [96, 64]
    assert answers["frame_count"] == 24
    assert answers["frame_rate"] == "24"
    assert answers["duration"] == 1
    assert "mp4" in answers["container"]
    assert answers["components"] == [[24, 64, 96, 3], "24"]
    trims = answers["trims"]
    assert trims["middle"] == {"frames": 12, "duration": 0.5, "first": 12}
    assert trims["rest"] == {"frames": 12, "duration": 0.5, "first": 12}
    assert trims["last"] == {"frames": 6, "duration": 0.25, "first": 18}
    assert trims["too long"]["frames"] == 12
    assert trims["none"]["frames"] == 24
    assert trims["too long, strict"] is None and trims["past the end"] is None
    for name, count in {"buffer": 24, "path": 24, "trimmed": 12, "small": 24}.items():
        frames, rate, _ = decoded(tmp_path / f"{name}.mp4")
        assert frames.shape == (count, 64, 96, 3) and rate == 24
    assert decoded(tmp_path / "small.mp4")[2]["said"] == '{"by": "us"}'
    assert (tmp_path / "small.mp4").stat().st_size < (tmp_path / "path.mp4").stat().st_size


def test_the_hosts_own_video_nodes_take_it_apart(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted())
    graph.nodes["parts"] = node("GetVideoComponents", video=("render", 2))
    graph.keep(parts=("parts", 0), rate=("parts", 2), frames=("render", 0))
    assert_ran(graph.run(host))
    np.testing.assert_array_equal(graph.kept("parts"), graph.kept("frames"))
    assert graph.kept("rate") == 12


@hosts.newest_only
def test_memory_does_not_grow_with_a_saved_videos_length(host, tmp_path):
    # In a process of its own, whose largest use of memory is this test's.
    alone = hosts.Host(host.install, tmp_path / "work")
    try:
        peaks = []
        for frames in (30, 200):
            (tmp_path / str(frames)).mkdir()
            graph = video_only(tmp_path / str(frames), frames, size=SIZE)
            ran = graph.run(alone)
            assert_ran(ran)
            peaks.append(ran["peak_mb"])
        graph.nodes["render"]["inputs"]["output"] = "frames and video"
        graph.nodes["motion"]["inputs"]["frames"] = 1500
        del graph.nodes["save"]
        ran = graph.keep(frames=("render", 0)).run(alone)
        assert_ran(ran)
        peaks.append(ran["peak_mb"])
    finally:
        alone.close()
    assert peaks[1] - peaks[0] < 60
    # Frames that are kept are seen by this measure: 170 more would be 84 MB, and 1500 are 740 MB.
    assert peaks[2] - peaks[1] > 100
