"""The learned model in a real host: it needs no mask, obeys one, stops when told to."""

import numpy as np
from graphs import (
    Graph,
    assert_ran,
    decoded,
    demo_inputs,
    find,
    node,
    painted,
    refusal,
    saved,
    still,
    workflow,
)
from test_host_cancel import assert_cancelled, assert_still_works

SHIPPED = "shipped (small)"


def learned(folder, mask=None, steps=2, **options):
    """A still, sampled by the shipped model."""
    defaults = {"sampler": "dpmpp_2m", "guidance": 0.0, "loop_guidance": 0.0, "loop_seconds": 5.0, "precision": "float32"}  # fmt: skip
    graph = Graph(folder).animate(still(), painted() if mask is None else mask)
    graph.nodes["model"] = node("LoadMotionModel", **{"weights": SHIPPED, "steps": steps, **defaults, **options})  # fmt: skip
    graph.nodes["sampler"]["inputs"]["model"] = ("model", 0)
    return graph


def test_the_workflow_needs_no_mask_and_leaves_the_rest_alone(host):
    demo_inputs(host.folder("input"), 120)
    prompt = workflow("still_to_learned_loop")
    prompt[find(prompt, "LoadMotionModel")]["inputs"]["steps"] = 2
    prompt[find(prompt, "SpectrumToDisplacement")]["inputs"]["frames"] = 40
    prompt[find(prompt, "MotionSpectrumSampler")]["inputs"]["duration"] = 40 / 30
    prompt[find(prompt, "MotionSpectrumSampler")]["inputs"]["bands"] = 4
    ran = host.run(prompt)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert frames.shape == (40, 80, 120, 3) and rate == 30
    assert np.abs(frames[0].astype(int) - frames[20]).max() > 20


def test_a_mask_restricts_it_and_a_seed_is_a_motion(host, tmp_path):
    frames = {}
    for name, options in {
        "one": {},
        "again": {},
        "guided": {"guidance": 1.0},
        "looped": {"loop_guidance": 200.0, "loop_seconds": 0.7},
    }.items():
        (tmp_path / name).mkdir()
        frames[name] = learned(tmp_path / name, **options).frames(host)
    assert np.array_equal(frames["one"], frames["again"])
    assert not np.array_equal(frames["one"], frames["guided"])
    assert not np.array_equal(frames["one"], frames["looped"])
    assert (frames["one"][0] != frames["one"][5]).any()


def test_half_precision_moves_much_the_same(host, tmp_path):
    motions = {}
    for name in ("float32", "bfloat16", "float16"):
        (tmp_path / name).mkdir()
        motions[name] = learned(tmp_path / name, precision=name).frames(host)
    away = np.abs(motions["float32"] - motions["float32"][:1]).mean()
    for name in ("bfloat16", "float16"):
        assert np.abs(motions["float32"] - motions[name]).mean() < 0.3 * away


def test_sampling_stops(host, tmp_path):
    graph = learned(tmp_path, steps=900).keep(frames=("render", 0))
    assert_cancelled(graph.run(host, interrupt={"node": "sampler", "after": 0.5}))
    assert_still_works(host, tmp_path)


def test_weights_that_are_not_there_are_refused(host, tmp_path):
    graph = learned(tmp_path, weights="nothing.safetensors").keep(frames=("render", 0))
    assert "nothing.safetensors" in refusal(graph.run(host))
