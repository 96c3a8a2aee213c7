"""The network that refines frames, in a real host: optional, and without effect off the motion."""

import sys

import hosts
import numpy as np
import oracles
import pytest
from graphs import Graph, painted, refusal, still
from scipy import ndimage
from test_host_cancel import assert_cancelled, assert_still_works, slow

from gid_core.config import RendererConfig
from gid_core.render.network import fresh_renderer
from gid_core.render.renderer import save_renderer

SHIPPED, SPLAT = "learned (shipped)", "splat only"


def rendered(host, folder, **inputs):
    folder.mkdir()
    return Graph(folder).animate(still(), painted(), render=inputs).frames(host)


def unmoved():
    """Pixels that nothing moves away from or onto."""
    away = ~ndimage.binary_dilation(painted()[0] > 0, iterations=16)
    assert away.any()
    return away


def test_new_nodes_use_the_network_and_graphs_saved_before_it_do_not(host, tmp_path):
    offered = host.hello["nodes"]["FeatureSplatRender"]["input"]["optional"]["renderer"]
    assert offered[1]["default"] == SHIPPED
    plain, splat, learned = (
        rendered(host, tmp_path / name, **inputs)
        for name, inputs in (("a", {}), ("b", {"renderer": SPLAT}), ("c", {"renderer": SHIPPED}))
    )
    assert np.array_equal(plain, splat) and not np.array_equal(learned, splat)
    assert np.abs(learned - splat).mean() < 0.01
    assert (learned[:, unmoved()] == still()[0][unmoved()]).all()


@hosts.newest_only
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_changes_no_colour_by_a_step(host, tmp_path, precision):
    whole = rendered(host, tmp_path / "a", renderer=SHIPPED)
    half = rendered(host, tmp_path / "b", renderer=SHIPPED, precision=precision)
    assert 0 < np.abs(half - whole).max() < 1 / 255
    assert (half[:, unmoved()] == still()[0][unmoved()]).all()


@hosts.newest_only
def test_an_open_shutter_blurs_only_what_moves(host, tmp_path):
    sharp = rendered(host, tmp_path / "a", renderer=SPLAT)
    blurred = rendered(host, tmp_path / "b", renderer=SPLAT, motion_blur=1.0)
    assert not np.array_equal(sharp, blurred)
    assert (blurred[:, unmoved()] == still()[0][unmoved()]).all()


@hosts.newest_only
def test_depth_changes_what_occludes_what(host, tmp_path):
    # The painted plant is nearer on its right side, or on its left.
    frames = []
    for sign in (1, -1):
        (tmp_path / str(sign)).mkdir()
        graph = Graph(tmp_path / str(sign))
        graph.animate(still(), painted(), {"amplitude": 8.0}, render={"renderer": SPLAT})
        slope = np.linspace(0, 1, 96, dtype=np.float32)[None, None, ::sign]
        graph.given("slope", np.ascontiguousarray(slope.repeat(64, 1)))
        graph.nodes["render"]["inputs"]["depth"] = ("slope", 1)
        frames.append(graph.frames(host))
    assert not np.array_equal(*frames)


def test_weights_of_another_kind_are_not_offered_and_none_are_refused(host, tmp_path):
    offered = host.hello["nodes"]["FeatureSplatRender"]["input"]["optional"]["renderer"]
    options = offered[1].get("options", offered[0])
    assert options[:2] == [SPLAT, SHIPPED] and "shipped (small)" not in options
    graph = Graph(tmp_path).animate(still(), painted(), render={"renderer": "mine.safetensors"})
    assert "mine.safetensors" in refusal(graph.keep(frames=("render", 0)).run(host))


@hosts.newest_only
def test_rendering_with_an_open_shutter_stops(host, tmp_path):
    graph = slow(tmp_path, renderer=SHIPPED, motion_blur=0.5).keep(frames=("render", 0))
    assert_cancelled(graph.run(host, interrupt={"node": "render", "after": 1.0}))
    assert_still_works(host, tmp_path)


@hosts.newest_only
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_with_little_memory_tiles_get_smaller_and_with_too_little_it_is_refused(
    host, tmp_path, monkeypatch
):
    # In a process of its own: others have memory to spare. And with a network so wide that it needs
    # more than what an earlier run has left allocated.
    wide = oracles.stirred(fresh_renderer(RendererConfig((12, 24, 32), (160, 32, 48), 1)))
    (tmp_path / "work/gid").mkdir(parents=True)
    save_renderer(wide, tmp_path / "work/gid/wide.safetensors")
    # Freed memory goes back to the system: else a thread keeps some, and grows by 128 MB or not at
    # all.
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**20))
    size, said = (512, 768), "Out of memory with tiles of"
    alone = hosts.Host(host.install, tmp_path / "work")
    try:
        graph = Graph(tmp_path).animate(
            still(size),
            painted(size),
            {"refine_mask": False},
            motion={"frames": 1},
            render={"renderer": "wide.safetensors"},
        )
        whole = graph.frames(alone)
        assert said not in alone.log()
        budget = {"node": "render", "more_mb": 40}
        assert "too little memory" in refusal(graph.run(alone, memory=budget))
        smaller, refused = 0, []
        for more_mb in (40, 80, 120):  # from the first tile on
            before = len(alone.log())
            ran = graph.run(alone, memory=budget | {"more_mb": more_mb, "network": "RenderModel"})
            if ran["success"]:
                smaller += said in alone.log()[before:]
                assert np.abs(graph.kept("frames") - whole).max() < 1e-5
            else:
                refused.append(refusal(ran))
                assert "too little memory" in refused[-1]
        assert smaller > 0, (len(refused), alone.log()[-1500:])
        assert np.array_equal(graph.frames(alone), whole)  # and it goes on as before
    finally:
        alone.close()
