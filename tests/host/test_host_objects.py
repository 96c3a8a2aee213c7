"""Objects, depth and protection in the sampler, from the masks that a host's nodes make."""

import numpy as np
import pytest
from graphs import SIZE, Graph, assert_ran, refusal, still


def two_objects() -> np.ndarray:
    """n h w: the left and the right half of the middle, overlapping."""
    masks = np.zeros((2, *SIZE), np.float32)
    masks[0, 10:60, 20:52] = 1
    masks[1, 10:60, 44:80] = 1
    return masks


def graph_of(folder, masks, **sampler):
    graph = Graph(folder)
    for name in ("protect", "depth", "anchor"):
        if name in sampler:
            graph.given(name, sampler[name])
            sampler[name] = (name, 1)
    graph.animate(still(), masks, {"refine_mask": False} | sampler)
    graph.nodes["motion"]["inputs"]["pose"] = "first frame"
    return graph


def test_objects_move_apart_and_what_is_protected_stays(host, tmp_path):
    protect = np.zeros((1, *SIZE), np.float32)
    protect[0, 20:40, 30:60] = 1
    held = np.zeros((2, *SIZE), np.float32)
    held[1, :20] = 1
    given = {"protect": protect, "depth": two_objects()[:1], "anchor": held}
    graph = graph_of(tmp_path, two_objects(), object_kinds="grass, hanging", **given)
    graph.keep(mask=("sampler", 1), report=("sampler", 2), played=("motion", 1))
    frames = graph.frames(host)
    assert np.array_equal(frames[:, 20:40, 30:60], np.repeat(still()[:, 20:40, 30:60], 12, 0))
    assert (frames != frames[:1]).any() and not graph.kept("mask")[0, 20:40, 30:60].any()
    assert "The mask is the painted one." in str(graph.kept("report"))
    assert "Frame 0 is the still." in str(graph.kept("played"))


def test_flames_get_bands_up_to_8_hertz_and_it_is_said(host, tmp_path):
    graph = graph_of(tmp_path, two_objects()[:1], object_kinds="flame")
    graph.nodes = {n: node for n, node in graph.nodes.items() if n not in ("motion", "render")}
    assert_ran(graph.keep(spectrum=("sampler", 0), report=("sampler", 2)).run(host))
    assert graph.kept("spectrum", "coeffs").shape[1] == 8  # over one second
    assert "8 bands, up to 8.0 Hz" in str(graph.kept("report"))


@pytest.mark.parametrize(
    "sampler, sentence",
    [
        ({"object_kinds": "tree"}, "Expected one of the kinds for each of the 2 objects, got 1"),
        ({"object_kinds": "tree, cheese"}, "got 'cheese'"),
        ({"anchor": np.ones((3, *SIZE), np.float32)}, "each of the 2 objects, got 3"),
    ],
)
def test_what_does_not_fit_the_objects_is_a_sentence(host, tmp_path, sampler, sentence):
    graph = graph_of(tmp_path, two_objects(), **dict(sampler)).keep(frames=("render", 0))
    assert sentence in refusal(graph.run(host))
