"""Nodes for a quick start: one that does all, variations to pick from, examples, drafts."""

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, node, painted, refusal, still

FRAMES, FPS, SEED = 10, 10.0, 7
WIND = {"kind": "flower", "weather": "wind"}


def one_node(folder, **inputs):
    """Animate Still on the small still, with all of its outputs kept."""
    graph = Graph(folder)
    graph.given("still", still())
    graph.given("mask", painted())
    settings = {"direction": 20.0, "strength": 2.0, "seconds": FRAMES / FPS, "fps": FPS}
    settings |= {"seed": SEED, "draft": "full size", "output": "frames and video"}
    links = {"image": ("still", 0), "mask": ("mask", 1)}
    graph.nodes["one"] = node("AnimateStill", **WIND | settings | links | inputs)
    return graph.keep(frames=("one", 1), motion=("one", 2), moves=("one", 3), said=("one", 4))


@hosts.newest_only
def test_one_node_does_what_the_chain_does_bit_for_bit(host, tmp_path):
    (tmp_path / "chain").mkdir()
    graph = one_node(tmp_path)
    assert_ran(graph.run(host))
    chain = Graph(tmp_path / "chain").animate(
        still(),
        painted(),
        {"seed": SEED, "amplitude": 2.0, "duration": FRAMES / FPS, "bands": 3},
        {"frames": FRAMES, "fps": FPS},
        {"renderer": "learned (shipped)"},
    )
    numbers = {"sway_hz": 1.0, "damping_ratio": 0.1, "wind_direction": 20.0, "wind_speed": 0.5}
    numbers |= {"gust_length": 0.5, "gustiness": 0.5, "anchor": "auto"}
    chain.nodes["model"] = node("ElasticMotionModel", **numbers | WIND)
    chain.nodes["sampler"]["inputs"]["model"] = ("model", 0)
    frames = chain.keep(moves=("sampler", 1)).frames(host)
    assert frames.std(0).max() > 0.05
    np.testing.assert_array_equal(graph.kept("frames"), frames)
    np.testing.assert_array_equal(graph.kept("moves"), chain.kept("moves"))


def test_one_node_needs_nothing_but_a_picture(host, tmp_path):
    graph = one_node(tmp_path, output="video only", kind="anything")
    del graph.nodes["one"]["inputs"]["mask"]
    ran = graph.run(host)
    assert_ran(ran)
    assert graph.kept("frames").shape == (1, 64, 96, 3)
    assert ran["outputs"]["one"]["text"][0].removeprefix("⚠ ") == str(graph.kept("said"))


@hosts.newest_only
@pytest.mark.parametrize(("draft", "size"), [("half", (32, 48)), ("quarter", (16, 24))])
def test_a_draft_is_small_and_moves_exactly_as_the_whole(host, tmp_path, draft, size):
    (tmp_path / "draft").mkdir()
    whole, small = one_node(tmp_path), one_node(tmp_path / "draft", draft=draft)
    assert_ran(whole.run(host))
    assert_ran(small.run(host))
    for field in ("coeffs", "modal_coords"):
        np.testing.assert_array_equal(whole.kept("motion", field), small.kept("motion", field))
    frames, factor = small.kept("frames"), 64 // size[0]
    assert frames.shape == (FRAMES, *size, 3)
    blocks = whole.kept("frames").reshape(FRAMES, size[0], factor, size[1], factor, 3)
    mean = blocks.mean((2, 4))
    assert np.abs(frames - mean).mean() < 0.3 * np.abs(mean - mean[:1]).max()
    assert np.corrcoef((frames - frames[:1]).ravel(), (mean - mean[:1]).ravel())[0, 1] > 0.6


def test_a_variation_is_what_the_sampler_makes_of_its_seed(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("still", still())
    graph.given("mask", painted())
    settings = {"amplitude": 3.0, "duration": 1.0, "bands": 3}
    links = {"image": ("still", 0), "mask": ("mask", 1)}
    graph.nodes["four"] = node("MotionVariations", seed=SEED, pick=3, **settings, **links)
    graph.nodes["sampler"] = node(
        "MotionSpectrumSampler", seed=SEED + 2, refine_mask=True, **settings, **links
    )
    graph.keep(picked=("four", 0), seed=("four", 1), sheet=("four", 3), sampled=("sampler", 0))
    ran = graph.run(host)
    assert_ran(ran)
    assert graph.kept("seed") == SEED + 2
    for field in ("coeffs", "frequencies_hz", "mask"):
        np.testing.assert_array_equal(graph.kept("picked", field), graph.kept("sampled", field))
    sheet = graph.kept("sheet")
    assert sheet.shape == (12, 2 * 64, 2 * 96, 3)
    parts = [sheet[:, y : y + 64, x : x + 96] for y in (0, 64) for x in (0, 96)]
    assert all((part.std(0) > 0.02).any() for part in parts)
    assert all((parts[0] != part).any() for part in parts[1:])
    (shown,) = ran["outputs"]["four"]["images"]
    assert shown["subfolder"] == "image_dynamics/previews"  # apart from clips
    assert ran["outputs"]["four"]["animated"] == [True]
    assert (host.folder(shown["type"]) / shown["subfolder"] / shown["filename"]).is_file()


@hosts.newest_only
def test_a_variation_of_what_is_fast_has_the_samplers_bands(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("still", still())
    graph.given("mask", painted())
    numbers = {"sway_hz": 1.0, "damping_ratio": 0.1, "wind_direction": 20.0, "wind_speed": 0.5}
    numbers |= {"gust_length": 0.5, "gustiness": 0.5, "anchor": "auto"}
    graph.nodes["flame"] = node("ElasticMotionModel", **numbers, kind="flame", weather="wind")
    settings = {"amplitude": 3.0, "duration": 1.0, "bands": 3, "model": ("flame", 0)}
    links = {"image": ("still", 0), "mask": ("mask", 1)}
    graph.nodes["four"] = node("MotionVariations", seed=SEED, pick=2, **settings, **links)
    graph.nodes["sampler"] = node(
        "MotionSpectrumSampler", seed=SEED + 1, refine_mask=True, **settings, **links
    )
    assert_ran(graph.keep(picked=("four", 0), sampled=("sampler", 0)).run(host))
    assert graph.kept("picked", "coeffs").shape[1] == 8  # up to 8 Hz
    for field in ("coeffs", "frequencies_hz", "mask"):
        np.testing.assert_array_equal(graph.kept("picked", field), graph.kept("sampled", field))


@hosts.newest_only
def test_bands_that_the_frame_rate_cannot_show_are_said(host, tmp_path):
    graph = one_node(tmp_path, kind="flame", output="video only")
    ran = graph.run(host)
    assert_ran(ran)
    assert "4 of 8 bands are left out" in str(graph.kept("said"))
    assert any("4 of 8 bands are left out" in line for line in ran["outputs"]["one"]["text"])


@hosts.newest_only
def test_a_loop_of_two_frames_is_refused_with_lengths_and_rates_that_work(host, tmp_path):
    sentence = refusal(one_node(tmp_path, seconds=0.2, fps=10.0).run(host))
    assert "3 frames or more, got 2" in sentence
    assert "use 0.3 s or more, or for 0.2 s more than 12.5 frames per second." in sentence


def test_there_is_no_fifth_variation(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("still", still())
    settings = {"seed": 0, "amplitude": 1.0, "duration": 1.0, "bands": 3}
    graph.nodes["four"] = node("MotionVariations", image=("still", 0), pick=5, **settings)
    assert "bigger than max" in refusal(graph.run(host))


@pytest.mark.parametrize("example", ["meadow", "lanterns"])
def test_an_example_has_all_that_templates_want(host, tmp_path, example):
    graph = Graph(tmp_path)
    graph.nodes["still"] = node("ExampleStill", example=example)
    graph.nodes["parts"] = node("GetVideoComponents", video=("still", 3))
    graph.keep(image=("still", 0), mask=("still", 1), anchor=("still", 2), clip=("parts", 0))
    ran = graph.run(host)
    assert_ran(ran)
    image, mask, anchor = (graph.kept(name) for name in ("image", "mask", "anchor"))
    assert image.shape == (1, 512, 768, 3) and image.std() > 0.1
    assert mask.shape == anchor.shape == (1, 512, 768)
    assert 0.02 < (mask > 0.5).mean() < 0.7
    assert bool(anchor.any()) == (example == "meadow")
    assert len(graph.kept("clip")) == 75
    assert len(ran["outputs"]["still"]["images"]) == 1
