"""The nodes' laws, as seen through sockets: batches, stillness, loops, masks, seeds, progress."""

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, largest_steps, may_change, painted, still


@pytest.fixture
def graph(tmp_path):
    return Graph(tmp_path)


def frames_of(host, folder, *arguments, **settings):
    folder.mkdir()
    return Graph(folder).animate(*arguments, **settings).frames(host)


def test_where_nothing_moves_every_frame_is_the_still(host, graph):
    picture = still()
    graph.animate(picture, painted()).keep(motion=("motion", 0), mask=("sampler", 1))
    frames = graph.frames(host)
    moving = may_change(graph.kept("mask"), graph.displacement("motion"))
    changed = (frames != picture).any((0, 3))
    assert 0.05 < moving.mean() < 0.6
    assert changed.sum() > 200
    assert not changed[~moving[0]].any()


@hosts.newest_only
def test_the_step_over_the_seam_is_no_larger_than_those_inside(host, graph):
    frames = graph.animate(still(), painted()).frames(host)
    wrap, inside = largest_steps(frames)
    assert 0 < wrap <= inside


@hosts.newest_only
def test_a_batch_is_still_major_and_item_i_is_the_single_run_with_seed_plus_i(host, tmp_path):
    stills = [still(seed=0), still(seed=1)]
    batch = frames_of(host, tmp_path / "both", np.concatenate(stills), painted())
    assert len(batch) == 24
    for i, picture in enumerate(stills):
        settings = {"sampler": {"seed": 7 + i}}
        single = frames_of(host, tmp_path / str(i), picture, painted(), **settings)
        np.testing.assert_array_equal(batch[12 * i : 12 * (i + 1)], single)
    assert (batch[:12] != batch[12:]).any()


@hosts.newest_only
def test_one_motion_moves_several_stills(host, graph):
    graph.animate(still(), painted())
    graph.given("others", np.concatenate([still(seed=1), still(seed=2), still(seed=3)]))
    graph.nodes["render"]["inputs"]["image"] = ("others", 0)
    assert len(graph.frames(host)) == 36


@hosts.newest_only
def test_the_same_seed_gives_the_same_bits_and_another_others(host, tmp_path):
    first = frames_of(host, tmp_path / "first", still(), painted())
    again = frames_of(host, tmp_path / "again", still(), painted())
    other = frames_of(host, tmp_path / "other", still(), painted(), sampler={"seed": 8})
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_alpha_moves_with_the_picture(host, graph):
    picture = still(channels=4)
    graph.animate(picture, painted()).keep(motion=("motion", 0), mask=("sampler", 1))
    frames = graph.frames(host)
    assert frames.shape == (12, *picture.shape[1:])
    moving = may_change(graph.kept("mask"), graph.displacement("motion"))[0]
    changed = (frames[..., 3] != picture[..., 3]).any(0)
    assert changed.sum() > 50
    assert not changed[~moving].any()
    assert frames[..., 3].min() >= 0 and frames[..., 3].max() <= 1


@hosts.newest_only
def test_half_precision_stills_render(host, graph):
    frames = graph.animate(still().astype(np.float16), painted()).frames(host)
    assert frames.dtype == np.float32
    assert np.isfinite(frames).all()


@hosts.newest_only
def test_an_empty_mask_of_the_size_hosts_make_is_no_mask(host, tmp_path):
    without = frames_of(host, tmp_path / "without", still())
    empty = frames_of(host, tmp_path / "empty", still(), np.zeros((1, 64, 64), np.float32))
    np.testing.assert_array_equal(without, empty)


@hosts.newest_only
def test_a_mask_of_another_size_covers_the_same_rectangle(host, tmp_path):
    masks = {}
    for name, size in {"same": (64, 96), "double": (128, 192), "square": (80, 80)}.items():
        (tmp_path / name).mkdir()
        graph = Graph(tmp_path / name).animate(still(), painted(size)).keep(mask=("sampler", 1))
        assert_ran(graph.run(host))
        masks[name] = graph.kept("mask")
        assert masks[name].shape == (1, 64, 96)
    assert np.abs(masks["double"] - masks["same"]).mean() < 0.02
    assert np.abs(masks["square"] - masks["same"]).mean() < 0.02


@hosts.newest_only
def test_the_mask_is_taken_as_painted_when_refining_is_off(host, graph):
    graph.animate(still(), painted(), sampler={"refine_mask": False}).keep(mask=("sampler", 1))
    assert_ran(graph.run(host))
    np.testing.assert_array_equal(graph.kept("mask"), painted())


@hosts.newest_only
def test_a_painted_anchor_holds_still(host, tmp_path):
    head = np.zeros((1, 64, 96), np.float32)
    head[:, :26] = 1
    swings = {}
    for name in ("free", "held"):
        (tmp_path / name).mkdir()
        graph = Graph(tmp_path / name).animate(still(), painted()).keep(motion=("motion", 0))
        if name == "held":
            graph.given("anchor", head)
            graph.nodes["sampler"]["inputs"]["anchor"] = ("anchor", 1)
        assert_ran(graph.run(host))
        motion = np.abs(graph.displacement("motion")).max((0, 1, 2))
        swings[name] = motion[10:24, 46:50].max(), motion[40:54, 46:50].max()
    assert min(swings["free"]) > 1
    assert swings["held"][0] == 0
    assert swings["held"][1] > 1


def test_the_elastic_model_node_at_its_defaults_is_the_default_model(host, tmp_path):
    info = host.hello["nodes"]["ElasticMotionModel"]["input"]["required"]
    without = frames_of(host, tmp_path / "without", still(), painted())
    (tmp_path / "with").mkdir()
    graph = Graph(tmp_path / "with").animate(still(), painted())
    defaults = {name: spec[1]["default"] for name, spec in info.items()}
    graph.nodes["model"] = {"class_type": "ElasticMotionModel", "inputs": defaults}
    graph.nodes["sampler"]["inputs"]["model"] = ("model", 0)
    np.testing.assert_array_equal(graph.frames(host), without)


def test_rendering_reports_every_frame_as_progress(host, graph):
    graph.animate(still(), painted(), motion={"frames": 40, "fps": 40.0})
    graph.keep(frames=("render", 0))
    ran = graph.run(host)
    assert_ran(ran)
    told = [(p["value"], p["max"]) for p in ran["progress"] if p["node"] == "render"]
    assert told[-1] == (40, 40)
    assert told == sorted(told)


@hosts.newest_only
def test_a_very_wide_still_renders(host, graph):
    picture = still((32, 7680))
    frames = graph.animate(picture, painted((32, 7680)), motion={"frames": 4, "fps": 10.0}).frames(
        host
    )
    assert frames.shape == (4, 32, 7680, 3)
    assert (frames != picture).any()


def test_the_preview_shows_one_sheet_a_still(host, graph):
    graph.animate(np.concatenate([still(seed=0), still(seed=1)]), painted())
    graph.nodes["sheet"] = {
        "class_type": "MotionSpectrumPreview",
        "inputs": {"spectrum": ("sampler", 0), "width": 96},
    }
    graph.keep(sheet=("sheet", 0))
    ran = graph.run(host)
    assert_ran(ran)
    assert len(graph.kept("sheet")) == len(ran["outputs"]["sheet"]["images"]) == 2
