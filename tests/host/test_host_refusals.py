"""Odd input: either it runs, or it is refused with a sentence that says what to do."""

import hosts
import numpy as np
import pytest
from graphs import Graph, node, painted, refusal, still

BATCH = np.concatenate([still(seed=0), still(seed=1)])


def with_nan():
    picture = still()
    picture[0, 3, 4, 1] = np.nan
    return picture


def refused_runs():
    """name: (words of the sentence, arguments of animate)"""
    yield "NaN", (["Expected finite", "1 that"], {"picture": with_nan()})
    yield "two channels", (["Expected", "channels", "96, 2)"], {"picture": still()[..., :2]})
    masks = np.concatenate([painted()] * 3)
    yield (
        "3 masks for 2 stills",
        (["Expected one mask", "got 3"], {"picture": BATCH, "mask": masks}),
    )
    slow = {"fps": 1.5}
    yield "frame rate below twice all bands", (["Use more than"], {"motion": slow})
    fast = {"speed": 7.0}
    yield "all bands above half the frame rate", (["Use more than"], {"motion": fast})
    for field, value in (("frames", 0), ("fps", 0.0), ("fps", -1.0), ("speed", 0.0)):
        yield f"{field} {value:g}", (["smaller than min", field], {"motion": {field: value}})
    yield "bands 0", (["smaller than min", "bands"], {"sampler": {"bands": 0}})


@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in refused_runs()])
def test_refused_with_a_sentence_and_nothing_written(host, tmp_path, case):
    words, arguments = case
    before = set(host.folder("output").rglob("*"))
    graph = Graph(tmp_path).animate(**{"picture": still(), "mask": painted(), **arguments})
    sentence = refusal(graph.save().run(host))
    for word in words:
        assert word.lower() in sentence.lower()
    assert sentence.rstrip().endswith(".") or "min" in sentence
    assert "Traceback" not in sentence and "\n" not in sentence.strip()
    assert set(host.folder("output").rglob("*")) == before


@hosts.newest_only
def test_motions_that_do_not_fit_the_stills_are_refused(host, tmp_path):
    graph = Graph(tmp_path).animate(BATCH, painted()).save()
    graph.given("others", np.concatenate([still()] * 3))
    graph.nodes["render"]["inputs"]["image"] = ("others", 0)
    assert "got 2 motions for 3 stills" in refusal(graph.run(host))


@hosts.newest_only
def test_too_wide_an_overlap_is_refused(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("clip", np.repeat(still(), 12, 0))
    graph.nodes["blend"] = node("LoopBlend", frames=("clip", 0), overlap=7, clips=1)
    sentence = refusal(graph.keep(closed=("blend", 0)).run(host))
    assert "half the clip's 12 frames, got 7" in sentence and "Choose" in sentence


@hosts.newest_only
def test_clips_of_unequal_length_are_refused(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("clip", np.repeat(still(), 12, 0))
    graph.nodes["blend"] = node("LoopBlend", frames=("clip", 0), overlap=2, clips=5)
    sentence = refusal(graph.keep(closed=("blend", 0)).run(host))
    assert "Expected" in sentence and "12" in sentence and "5" in sentence


@hosts.newest_only
def test_paths_without_their_still_are_refused(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted(), motion={"loop": False})
    graph.nodes["blend"] = node(
        "LoopBlend", frames=("render", 0), overlap=4, clips=1, displacement=("motion", 0)
    )
    sentence = refusal(graph.keep(closed=("blend", 0)).run(host))
    assert "Expected the still" in sentence and "Connect" in sentence


def islands():
    mask = np.zeros((1, 64, 96), np.float32)
    mask[:, 1::4, 1::4] = 1  # 384 of one pixel
    return mask


def one_pixel():
    mask = np.zeros((1, 64, 96), np.float32)
    mask[:, 30, 40] = 1
    return mask


def accepted_runs():
    yield "1x1", {"picture": still((1, 1)), "mask": np.ones((1, 1, 1), np.float32)}
    yield "1x1 without a mask", {"picture": still((1, 1)), "mask": None}
    yield "7x5", {"picture": still((5, 7)), "mask": painted((5, 7))}
    yield "7x5 without a mask", {"picture": still((5, 7)), "mask": None}
    yield "1x40", {"picture": still((40, 1)), "mask": np.ones((1, 40, 1), np.float32)}
    yield "40x1", {"picture": still((1, 40)), "mask": None}
    yield "values outside 0 ... 1", {"picture": 3 * still() - 1}
    yield "empty mask", {"mask": np.zeros((1, 64, 96), np.float32)}
    yield "full mask", {"mask": np.ones((1, 64, 96), np.float32)}
    yield "one pixel", {"mask": one_pixel()}
    yield "hundreds of islands", {"mask": islands()}
    yield "hundreds of islands as painted", {"mask": islands(), "sampler": {"refine_mask": False}}
    yield "a mask that is not a number", {"mask": np.full((1, 64, 96), np.nan, np.float32)}
    yield "amplitude 0", {"sampler": {"amplitude": 0.0}}
    yield "amplitude 20", {"sampler": {"amplitude": 20.0}}
    yield "one frame", {"motion": {"frames": 1}}
    yield "one band", {"sampler": {"bands": 1}}
    yield "grey", {"picture": still()[..., :1]}


@hosts.newest_only
@pytest.mark.parametrize("case", [pytest.param(c, id=name) for name, c in accepted_runs()])
def test_odd_but_accepted(host, tmp_path, case):
    arguments = {"picture": still(), "mask": painted(), **case}
    frames = Graph(tmp_path).animate(**arguments).frames(host)
    count = arguments.get("motion", {}).get("frames", 12)
    assert frames.shape == (count, *arguments["picture"].shape[1:])
    assert np.isfinite(frames).all() and frames.min() >= 0 and frames.max() <= 1


@hosts.newest_only
def test_an_anchor_outside_the_mask_changes_nothing(host, tmp_path):
    frames = {}
    corner = np.zeros((1, 64, 96), np.float32)
    corner[:, -4:, :4] = 1
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
        graph = Graph(tmp_path / name).animate(still(), painted())
        if name == "with":
            graph.given("anchor", corner)
            graph.nodes["sampler"]["inputs"]["anchor"] = ("anchor", 1)
        frames[name] = graph.frames(host)
    np.testing.assert_array_equal(frames["with"], frames["without"])
