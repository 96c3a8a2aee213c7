"""The motion desk in the host: what cannot be edited is refused with a sentence."""

import hosts
import numpy as np
import pytest
from graphs import Graph, node, painted, refusal, still

EDITED = {"preset": "as it is", "gain": 1.0, "x": 1.0, "y": 1.0, "turn": 0.0, "delay": 0.0}
EDITED |= {"scatter": 0.0, "seed": 0, "smooth": 0.0, "bands": "", "mute": "", "solo": ""}
PULSE = {"strength": "", "bpm": 0.0, "attack": 0.05, "release": 0.3, "floor": 0.2}
PULSE |= {"low": 20.0, "high": 20000.0}
ADDED = {"way": "add (both move)", "duration": 0.0}
CAMERA = {"move": "sway (from side to side)", "strength": 1.5, "focus": 0.5, "duration": 1.0}
CAMERA |= {"seed": 0, "borders": "left to the renderer", "near": "white is near", "preview": False}


def edited(**change):
    return {"desk": node("MotionEdit", spectrum=("sampler", 0), **EDITED | change)}


def pulsing(**change):
    return {"desk": node("MotionEnvelope", displacement=("motion", 0), **PULSE | change)}


def beats(**change):
    return {
        "desk": node(
            "MotionBeat", **{"bpm": 100.0, "bars": 2, "beats_per_bar": 4, "fps": 8.0} | change
        )
    }


def filmed(depth):
    """A camera by a depth; the depth is given as a picture of that many values."""
    return {"desk": node("CameraMotion", image=("still", 0), depth=("depth", 0), **CAMERA)}, depth


def of_another_still():
    other = {"seed": 1, "amplitude": 3.0, "duration": 1.0, "bands": 4, "refine_mask": False}
    return {
        "other": node("MotionSpectrumSampler", image=("depth", 0), **other),
        "desk": node("MotionCombine", base=("sampler", 0), top=("other", 0), **ADDED),
    }, still((48, 40))


def of_another_kind():
    rings = {"seed": 1, "amplitude": 3.0, "duration": 1.0, "bands": 4, "refine_mask": False}
    return {
        "other": node(
            "MotionSpectrumSampler",
            image=("still", 0),
            mask=("mask", 1),
            kind="modes to poke",
            **rings,
        ),
        "desk": node("MotionCombine", base=("sampler", 0), top=("other", 0), **ADDED),
    }, None


CASES = {  # what is wrong: (words of the sentence, nodes, a picture beside the still)
    "gains that are no curve": (["points", "'low'"], edited(bands="low"), None),
    "a curve of one point": (["points", "got 1"], edited(bands="0.2:1"), None),
    "ranges that are none": (["what to mute"], edited(mute="fast"), None),
    "a strength that is no curve": (["curve of strength"], pulsing(strength="loud"), None),
    "bpm 0": (["smaller than min", "bpm"], beats(bpm=0.0), None),
    "depth all alike": (["near and far"], *filmed(np.full((1, 9, 7, 3), 0.4, np.float32))),
    "another still": (["still"], *of_another_still()),
    "another kind": (["kind"], *of_another_kind()),
}


@hosts.newest_only
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_edited_is_refused(host, tmp_path, name):
    words, nodes, picture = CASES[name]
    graph = Graph(tmp_path).animate(still(), painted())
    if picture is not None:
        graph.given("depth", picture)
    graph.nodes |= nodes
    sentence = refusal(graph.keep(changed=("desk", 0)).run(host))
    for word in words:
        assert word.lower() in sentence.lower(), sentence
    assert "Traceback" not in sentence and "\n" not in sentence.strip()


@hosts.newest_only
def test_forty_motions_in_a_chain_are_one(host, tmp_path):
    graph, last = Graph(tmp_path).animate(still(), painted()), ("sampler", 0)
    for i in range(39):
        graph.nodes[f"{i}"] = node("MotionCombine", base=last, top=("sampler", 0), **ADDED)
        last = (f"{i}", 0)
    assert graph.keep(one=("sampler", 0), all=last).run(host)["success"]
    one, chained = graph.kept("one", "coeffs"), graph.kept("all", "coeffs")
    assert one.shape == chained.shape
    assert np.abs(chained - 40 * one).max() < 1e-5 * np.abs(chained).max()
