"""Shapes and kinds of pictures and masks from other nodes, as the host's own nodes take them."""

import numpy as np
import pytest
from graphs import Graph, assert_ran, node, painted, refusal, still

MASK = painted()[0]  # h w


def sampled(host, folder, picture, mask=None, **sampler):
    graph = Graph(folder).animate(picture, mask, sampler)
    graph.nodes = {k: v for k, v in graph.nodes.items() if k not in ("motion", "render")}
    graph.keep(spectrum=("sampler", 0), report=("sampler", 2))
    return graph, graph.run(host)


def coeffs(host, folder, picture, mask=None, **sampler):
    graph, ran = sampled(host, folder, picture, mask, **sampler)
    assert_ran(ran)
    return graph.kept("spectrum", "coeffs"), str(graph.kept("report"))


def test_masks_of_every_shape_that_hosts_make_are_one_mask(host, tmp_path):
    picture = still()
    expected, _ = coeffs(host, tmp_path, picture, MASK[None])
    assert np.abs(expected).max() > 0
    for mask in (MASK, MASK[None, None], MASK[None, ..., None], np.uint8(255 * MASK)[None]):
        found, _ = coeffs(host, tmp_path, picture, mask)
        np.testing.assert_array_equal(found, expected)


def test_pictures_without_a_batch_and_in_bytes_are_pictures(host, tmp_path):
    picture = np.round(still() * 255) / 255
    expected, _ = coeffs(host, tmp_path, picture.astype(np.float32), MASK[None])
    for other in (picture[0].astype(np.float32), np.uint8(np.round(picture * 255))):
        found, _ = coeffs(host, tmp_path, other, MASK[None])
        np.testing.assert_array_equal(found, expected)


def test_whole_numbers_of_sixteen_bits_are_pictures(host, tmp_path):
    picture = np.round(still() * 65535)
    expected, _ = coeffs(host, tmp_path, np.float32(picture / 65535), MASK[None])
    found, _ = coeffs(host, tmp_path, picture.astype(np.uint16), MASK[None])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("odd, name", [("picture", "IMAGE"), ("mask", "mask (MASK)")])
def test_what_holds_no_numbers_is_a_sentence(host, tmp_path, odd, name):
    given = {"picture": still(), "mask": MASK[None]}
    given[odd] = given[odd].astype(np.complex64)
    _, ran = sampled(host, tmp_path, **given)
    assert f"Expected a tensor of numbers as {name}, got one of torch.complex64" in refusal(ran)


def test_values_that_are_no_numbers_are_said_and_depth_of_any_grey_counts(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), np.where(MASK > 0, MASK, np.nan)[None])
    graph.given("depth", MASK[None] * 0.3)
    graph.nodes["sampler"]["inputs"]["depth"] = ("depth", 1)
    graph.keep(report=("sampler", 2))
    assert_ran(graph.run(host))
    said, unknown = str(graph.kept("report")), int((MASK == 0).sum())
    assert f"The mask holds {unknown} values that are no numbers: they count as 0." in said
    assert "empty" not in said


def test_frames_that_are_not_finite_are_no_clip_to_close(host, tmp_path):
    graph = Graph(tmp_path)
    graph.given("clip", np.where(still() > 0.5, np.nan, still()).repeat(12, 0).astype(np.float32))
    graph.nodes["blend"] = node("LoopBlend", frames=("clip", 0), overlap=3, clips=1)
    assert "Expected finite" in refusal(graph.keep(closed=("blend", 0)).run(host))


@pytest.mark.parametrize(
    "picture, mask, shape",
    [
        (still(), np.ones((1, 2, 3, 5, 7), np.float32), "(1, 2, 3, 5, 7)"),
        (still(), np.ones((1, 4, 5, 3), np.float32), "(1, 4, 5, 3)"),
        (still().transpose(0, 3, 1, 2), MASK[None], "(1, 3, 64, 96)"),
        (np.ones((2, 1, 5, 7, 3), np.float32), MASK[None], "(2, 1, 5, 7, 3)"),
    ],
)
def test_other_shapes_are_a_sentence_with_the_shape(host, tmp_path, picture, mask, shape):
    _, ran = sampled(host, tmp_path, np.ascontiguousarray(picture), mask)
    said = refusal(ran)
    assert shape in said and "Expected a" in said


def test_alpha_that_is_nearly_opaque_is_no_mask(host, tmp_path):
    picture = still()
    nearly = np.zeros_like(MASK)[None]
    nearly[0, 3, 5] = 1 / 255  # what Load Image makes of one pixel of alpha 254
    found, report = coeffs(host, tmp_path, picture, nearly)
    expected, _ = coeffs(host, tmp_path, picture)
    np.testing.assert_array_equal(found, expected)
    assert "counts as empty" in report and "recognized" in report
    one = np.zeros_like(MASK)[None]
    one[0, 3, 5] = 1  # 1 of 6144 pixels: paint, if little
    _, report = coeffs(host, tmp_path, picture, one)
    assert "The mask is the painted one." in report


def test_a_mask_of_another_shape_than_the_picture_is_said_to_be_stretched(host, tmp_path):
    _, report = coeffs(host, tmp_path, still(), np.rot90(MASK)[None].copy())
    assert "The mask is 64x96, the picture 96x64: it was stretched to fit." in report
    _, report = coeffs(host, tmp_path, still(), MASK[None, ::2, ::2].copy())
    assert "stretched" not in report


@pytest.mark.parametrize(
    "prefix, starts",
    [
        ("spectra/%date:yyyy-MM-dd%/oak", "spectra/%date_yyyy-MM-dd%/oak_"),
        ("%LoadImage.image%", "%LoadImage.image%_"),
        ("%width%x%height%", "96x64_"),
    ],
)
def test_tokens_that_nobody_filled_are_part_of_the_name(host, tmp_path, prefix, starts):
    graph = Graph(tmp_path).animate(still(), MASK[None])
    graph.nodes = {k: v for k, v in graph.nodes.items() if k not in ("motion", "render")}
    graph.nodes["save"] = node(
        "SaveMotionSpectrum", spectrum=("sampler", 0), filename_prefix=prefix
    )
    ran = graph.run(host)
    assert_ran(ran)
    assert ran["outputs"]["save"]["text"][0].startswith(starts)


def test_what_is_recognized_is_what_the_sampler_takes_without_a_mask(host, tmp_path):
    picture = still()
    graph = Graph(tmp_path).animate(picture)
    graph.nodes = {k: v for k, v in graph.nodes.items() if k not in ("motion", "render")}
    for name, what in (("sways", "what sways"), ("flows", "what flows")):
        graph.nodes[name] = node("MotionMask", image=("still", 0), what=what, refine_mask=True)
    graph.keep(used=("sampler", 1), sways=("sways", 0), flows=("flows", 0))
    assert_ran(graph.run(host))
    np.testing.assert_array_equal(graph.kept("used"), graph.kept("sways"))
    assert graph.kept("flows").shape == picture.shape[:3]


@pytest.mark.parametrize("kind, weather", [("reeds", "custom"), ("custom", "storm")])
def test_kinds_and_weather_make_other_motions_and_custom_makes_the_usual_one(
    host, tmp_path, kind, weather
):
    numbers = {"sway_hz": 1.0, "damping_ratio": 0.09, "wind_direction": 0.0, "wind_speed": 0.5}
    numbers |= {"gust_length": 0.5, "gustiness": 0.5, "anchor": "auto"}
    graph = Graph(tmp_path).animate(still(), MASK[None], {"model": ("model", 0)})
    graph.nodes = {k: v for k, v in graph.nodes.items() if k not in ("motion", "render")}
    graph.nodes["model"] = node("ElasticMotionModel", **numbers, kind=kind, weather=weather)
    assert_ran(graph.keep(spectrum=("sampler", 0)).run(host))
    found = graph.kept("spectrum", "coeffs")
    usual, _ = coeffs(host, tmp_path, still(), MASK[None])
    assert found.shape == usual.shape and np.abs(found - usual).max() > 0.1
    graph.nodes["model"] = node("ElasticMotionModel", **numbers)  # a graph from before
    assert_ran(graph.keep(spectrum=("sampler", 0)).run(host))
    np.testing.assert_array_equal(graph.kept("spectrum", "coeffs"), usual)
