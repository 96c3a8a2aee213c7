"""What nodes show after a run: text, a small loop and the mask; and nothing is sampled twice."""

import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, node, painted, still
from PIL import Image

SIDE_PX, FRAMES = 320, 16
WARNS = "\u26a0"


def shown(host, graph, name="sampler"):
    ran = graph.keep(kept=(name, 0)).run(host)
    assert_ran(ran)
    return ran["outputs"].get(name, {})


def pictures(host, output):
    for item in output["images"]:
        with Image.open(host.folder(item["type"]) / item["subfolder"] / item["filename"]) as found:
            yield found


def test_the_sampler_shows_a_small_loop_and_the_mask(host, tmp_path):
    output = shown(host, Graph(tmp_path).animate(still((300, 480)), painted((300, 480))))
    ((size, frames, sheet),) = [
        (p.size, p.n_frames, np.array(p.convert("RGB"))) for p in pictures(host, output)
    ]
    assert output["animated"] == [True] and frames == FRAMES
    assert size == (SIDE_PX, 2 * 200)  # the mask below the loop
    overlay = sheet[200 + 2 :].astype(int)  # colours of the loop run over the seam by a block
    assert np.ptp(overlay[:10], axis=2).max() < 12  # grey where nothing moves
    assert "painted" in " ".join(output["text"])


def test_the_preview_can_be_switched_off_and_text_stays(host, tmp_path):
    output = shown(host, Graph(tmp_path).animate(still(), painted(), {"preview": False}))
    assert "images" not in output and output["text"]


def test_a_batch_shows_its_first_four_stills(host, tmp_path):
    batch = np.concatenate([still(seed=i) for i in range(5)])
    output = shown(host, Graph(tmp_path).animate(batch, painted()))
    (found,) = pictures(host, output)
    assert found.size == (4 * 96, 2 * 64)


def test_what_is_odd_warns_on_the_node(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted((64, 64)), motion={"frames": 8})
    assert any(
        line.startswith(WARNS) and "stretched" in line for line in shown(host, graph)["text"]
    )
    line = shown(host, graph, "motion")["text"][0]
    assert line.startswith(WARNS) and "bands moved by up to" in line
    graph = Graph(tmp_path).animate(still(), painted())
    graph.nodes["sampler"]["inputs"]["anchor"] = ("all", 1)
    graph.given("all", np.ones((1, 64, 96), np.float32))
    assert any("Nothing moves" in line for line in shown(host, graph)["text"])


def test_another_picture_than_the_motion_was_made_for_warns_on_the_renderer(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted())
    graph.given("other", still((90, 50)))
    graph.nodes["render"]["inputs"]["image"] = ("other", 0)
    line = shown(host, graph, "render")["text"][0]
    assert line.startswith(WARNS) and "was made for a picture of 96x64" in line


@hosts.newest_only
def test_a_flow_behind_what_stands_still_is_no_warning(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted(), {"amplitude": 0.0}, {"frames": 4})
    graph.nodes["flow"] = node(
        "FlowMotion",
        **{"image": ("still", 0), "mask": ("mask", 1), "in_front": ("sampler", 0)},
        **{"kind": "clouds", "direction": 0.0, "speed": 2.0, "turbulence": 0.3, "seed": 0},
        **{"strokes": "[]", "horizon": -1.0, "light": 0.0, "duration": 1.0},
    )
    for spectrum, warned in ((("flow", 0), False), (("sampler", 0), True)):
        graph.nodes["motion"]["inputs"]["spectrum"] = spectrum
        ran = graph.keep(kept=("render", 0)).run(host)
        assert_ran(ran)
        for name in ("motion", "render"):
            said = " ".join(ran["outputs"][name]["text"])
            assert ("Nothing moves" in said) == warned


@hosts.newest_only
def test_a_long_rendering_says_how_many_frames_and_how_long(host, tmp_path):
    graph = (
        Graph(tmp_path)
        .animate(
            still((288, 512)),
            painted((288, 512)),
            motion={"frames": 90, "fps": 60.0},
            render={"output": "video only", "renderer": "splat only"},
        )
        .save()
    )
    ran = graph.run(host, quiet_s=0.1)
    assert_ran(ran)
    told = [line["text"] for line in ran["told"] if line["node"] == "save"]
    assert told and told[-1].startswith("90 frames in ")
    assert all(" of 90 frames, " in line and line.endswith(" left") for line in told[:-1])
    bars = [p for p in ran["progress"] if p["node"] == "save"]
    assert bars[-1]["value"] == bars[-1]["max"] == 90


def test_a_saved_page_can_be_opened(host, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted(), {"kind": "modes to poke"})
    for name in ("motion", "render"):
        del graph.nodes[name]
    graph.nodes["page"] = node(
        "SaveInteractivePage",
        spectrum=("sampler", 0),
        still=("still", 0),
        filename_prefix="poke",
        title="A still",
        wind=0.5,
        size=64,
    )
    ran = graph.run(host)
    assert_ran(ran)
    output = ran["outputs"]["page"]
    (page,) = output["gid_page"]
    path = host.folder(page["type"]) / page["subfolder"] / page["filename"]
    assert path.is_file() and output["text"] == [page["filename"]]


@pytest.mark.parametrize("text", ["auto", " auto "])
def test_poking_starts_with_one_early_pull_that_is_seen(host, tmp_path, text):
    graph = Graph(tmp_path).animate(still(), painted(), {"kind": "modes to poke"})
    del graph.nodes["motion"], graph.nodes["render"]
    graph.nodes["poke"] = node(
        "PokeDynamics",
        spectrum=("sampler", 0),
        still=("still", 0),
        gestures=text,
        duration=2.0,
        fps=12.0,
        wind=0.0,
        damping_ratio=0.0,
        stiffness=1.0,
        strength=1.0,
        rule="physical",
    )
    output = shown(host, graph, "poke")
    assert output["text"] == ["1 gesture in 2 s, no wind."]
    motion = graph.displacement("kept")[0]
    assert np.abs(motion[:2]).max() == 0 and np.abs(motion[4:]).max() > 0.01 * motion.shape[-1]
    assert output["image_dynamics"][0]["first"].startswith("[{")
