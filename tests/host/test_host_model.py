"""The learned model in a real host: it needs no mask, respects one, and can be cancelled."""

import hosts
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
    small,
    still,
    workflow,
)
from test_host_cancel import assert_cancelled, assert_still_works

SHIPPED = "shipped (small)"


def learned(folder, mask=None, steps=2, **options):
    """A still, sampled by the shipped model."""
    settings = {"weights": SHIPPED, "steps": steps, "sampler": "dpmpp_2m", "guidance": 0.0}
    settings |= {"loop_guidance": 0.0, "loop_seconds": 5.0, "precision": "float32"}
    graph = Graph(folder).animate(still(), painted() if mask is None else mask)
    graph.nodes["model"] = node("LoadMotionModel", **settings | options)
    graph.nodes["sampler"]["inputs"]["model"] = ("model", 0)
    return graph


def test_the_workflow_needs_no_mask(host):
    demo_inputs(host.folder("input"), 120)
    prompt = small(workflow("Photo to loop, nothing painted"))
    prompt[find(prompt, "LoadMotionModel")]["inputs"]["steps"] = 2
    prompt[find(prompt, "SpectrumToDisplacement")]["inputs"]["frames"] = 40
    prompt[find(prompt, "MotionSpectrumSampler")]["inputs"]["duration"] = 40 / 30
    prompt[find(prompt, "MotionSpectrumSampler")]["inputs"]["bands"] = 4
    ran = host.run(prompt)
    assert_ran(ran)
    frames, rate, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert frames.shape == (40, 80, 120, 3) and rate == 30
    assert np.abs(frames[0].astype(int) - frames[20]).max() > 20


@hosts.newest_only
def test_a_seed_gives_one_motion_and_guidance_changes_it(host, tmp_path):
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


@hosts.newest_only
def test_half_precision_gives_nearly_the_same_motion(host, tmp_path):
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
