"""The shipped workflows: both forms of each are one graph, and each does what its note says."""

import json
import re

import hosts
import numpy as np
import pytest
from graphs import (
    WORKFLOWS,
    assert_ran,
    decoded,
    demo_inputs,
    find,
    largest_steps,
    may_change,
    node,
    played,
    saved,
    small,
    workflow,
)
from make_templates import LANGUAGES, NOTES
from templates import TEMPLATES, foreign_weights

NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
STILLS = ["Photo to loop", "Photo to loop, with an anchor"]
FLOWS = [
    "Clouds over a meadow that sways",
    "A river behind reeds",
    "A candle, flame, smoke and light",
]
CLIPS = ["Clip to calm loop", "Motion of a clip on a photo"]
WAN_MOVE = "Photo to Wan-Move"  # a part of it runs without weights
FOREIGN = [t for t in TEMPLATES if foreign_weights(t) and t.name != WAN_MOVE]
TEXT, ANY_CLIP = "Text to loop (Stable Diffusion 1.5)", "Any clip to a loop"
WIDTH, HEIGHT = 120, 80
NOTE_TYPES = ("Note", "MarkdownNote")
WRITTEN = {"zh": "[^\\n]*[\\u4e00-\\u9fff]", "ja": "[^\\n]*[\\u3040-\\u30ff]"}  # its letters
NEWER = "SAM3_Detect", "LoadDA3Model", "DA3Inference", "DA3Render"


def saved_form(name):
    return json.loads((hosts.PACK / "workflows" / f"{name}.json").read_text())


def keep(prompt, folder, **links):
    """Add what the test wants to see; a function that reads it."""
    for name, link in links.items():
        file = str(folder / f"{name}.npz")
        prompt[f"keep {name}"] = node("Kept", value=list(link), file=file)

    def kept(name, field="value"):
        with np.load(folder / f"{name}.npz") as file:
            return file[field]

    return kept


def test_every_workflow_has_both_forms_and_a_picture():
    folder = hosts.PACK / "workflows"
    assert {template.name for template in TEMPLATES} <= set(NAMES)
    assert sorted(path.stem for path in folder.glob("*.json")) == NAMES
    assert sorted(path.stem for path in folder.glob("*.jpg")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_say_the_same(name):
    graph, prompt = saved_form(name), workflow(name)
    nodes = {str(n["id"]): n for n in graph["nodes"] if n["type"] not in NOTE_TYPES}
    assert len(nodes) < len(graph["nodes"]), "There is no note."
    assert {k: n["type"] for k, n in nodes.items()} == {
        k: n["class_type"] for k, n in prompt.items()
    }
    links = {link[0]: link for link in graph["links"]}
    for key, n in nodes.items():
        inputs = prompt[key]["inputs"]
        linked = {i["name"]: links[i["link"]] for i in n["inputs"] if i.get("link") is not None}
        expected = {k: [str(link[1]), link[2]] for k, link in linked.items()}
        assert {k: v for k, v in inputs.items() if isinstance(v, list)} == expected
        named = n.get("widgets_values_named", {})
        for field, value in inputs.items():
            assert field in linked or named[field] == value, f"{n['type']}.{field}"
        assert list(named.values()) == n.get("widgets_values", [])


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_form_names_no_place_on_a_disk(name):
    text = json.dumps(saved_form(name))
    assert not [mark for mark in (":\\\\", "/home/", "/root/", "/tmp/", "/Users/") if mark in text]


@pytest.mark.parametrize("name", NAMES)
def test_a_note_says_what_a_template_does_in_three_languages(name):
    (text,) = next(n for n in saved_form(name)["nodes"] if n["type"] == "MarkdownNote")[
        "widgets_values"
    ]
    assert text.startswith("# ") and len(text.split("\n\n")[1]) > 40
    for key, language in LANGUAGES.items():
        assert re.search(rf"\*\*{language}\*\*: {WRITTEN[key]}", text), key


@pytest.mark.parametrize("name", STILLS)
def test_a_still_becomes_a_video(host, name):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = small(workflow(name))
    ran = host.run(prompt)
    assert_ran(ran)
    frames, rate, tags = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert frames.shape == (150, HEIGHT, WIDTH, 3) and rate == 30
    assert json.loads(tags["prompt"])
    for kind in ("MaskPreview", "MotionSpectrumPreview"):
        assert len(ran["outputs"][find(prompt, kind)]["images"]) == 1


@pytest.mark.parametrize("name", FLOWS)
def test_what_flows_becomes_a_video(host, name):
    prompt = workflow(name)
    prompt[find(prompt, "SpectrumToDisplacement")]["inputs"]["frames"] = 12
    prompt[find(prompt, "FeatureSplatRender")]["inputs"]["draft"] = "quarter"
    ran = host.run(prompt)
    assert_ran(ran)
    frames, _, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert len(frames) == 12
    assert np.abs(frames[6].astype(int) - frames[0]).mean() > 0.2


@hosts.newest_only
@pytest.mark.parametrize("name", STILLS)
def test_the_video_is_a_seamless_loop_and_still_outside_the_mask(host, tmp_path, name):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = small(workflow(name))
    render = find(prompt, "FeatureSplatRender")
    prompt[render]["inputs"]["output"] = "frames and video"
    del prompt[find(prompt, "SaveVideo")]
    kept = keep(
        prompt,
        tmp_path,
        still=(find(prompt, "LoadImage"), 0),
        mask=(find(prompt, "MotionSpectrumSampler"), 1),
        motion=(find(prompt, "SpectrumToDisplacement"), 0),
        report=(find(prompt, "SpectrumToDisplacement"), 1),
        frames=(render, 0),
    )
    assert_ran(host.run(prompt))
    frames = kept("frames")
    motion = played(kept("motion", "coeffs"), kept("motion", "modal_coords"))
    assert "nothing was moved" in str(kept("report"))
    wrap, inside = largest_steps(frames)
    assert 0 < wrap <= inside
    moving = may_change(kept("mask"), motion)[0]
    assert 0.1 < moving.mean() < 0.9
    assert not (frames != kept("still")).any((0, 3))[~moving].any()
    lowest, highest = np.abs(motion[..., -20:, :]).max(), np.abs(motion[..., :40, :]).max()
    assert highest > 0.5
    assert (lowest == 0) == (name == STILLS[1])


@pytest.mark.parametrize("template", FOREIGN, ids=lambda template: template.name)
def test_a_template_lacks_nothing_but_what_it_names(host, template):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = small(workflow(template.name))
    ran = host.run(prompt)
    assert not ran["valid"]
    if template.newest and host.install.is_old:
        lacking = {node["class_type"] for node in prompt.values()}  # by the host's own sentence
        assert any(kind in ran["invalid"]["message"] for kind in lacking & set(NEWER))
        assert "Needs ComfyUI" in (NOTES / f"{template.name}.md").read_text()
        return
    lacking = [prompt[node]["class_type"] for node in ran["node_errors"]]
    assert sorted(lacking) == sorted(foreign_weights(template))
    errors = [error for node in ran["node_errors"].values() for error in node["errors"]]
    assert {error["type"] for error in errors} == {"value_not_in_list"}


@hosts.newest_only
def test_text_to_loop_moves_what_the_checkpoint_paints(host, tmp_path):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = workflow(TEXT)
    prompt = without_checkpoint(prompt)
    kept = keep(prompt, tmp_path, frames=(find(prompt, "FeatureSplatRender"), 0))
    ran = host.run(prompt)
    assert_ran(ran)
    assert len(kept("frames")) == 1
    frames, rate, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert len(frames) == 150 and rate == 30
    assert (frames[0] != frames[40]).any()


def without_checkpoint(prompt):
    """The graph with a loaded still where the checkpoint would paint one."""
    painting = "CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler"
    rest = {k: v for k, v in prompt.items() if v["class_type"] not in painting}
    rest[find(prompt, "VAEDecode")] = node("LoadImage", image="image_dynamics_still.png")
    return rest


MODELS = {
    "UNETLoader": "unet_name",
    "LoraLoaderModelOnly": "lora_name",
    "CLIPLoader": "clip_name",
    "VAELoader": "vae_name",
    "CLIPVisionLoader": "clip_name",
}


@hosts.newest_only
def test_wan_move_lacks_nothing_but_its_models(host):
    prompt = workflow(WAN_MOVE)
    ran = host.run(prompt)
    assert {prompt[key]["class_type"] for key in ran["node_errors"]} == set(MODELS)
    for key, answer in ran["node_errors"].items():
        (error,) = answer["errors"]
        found = error["type"], error["extra_info"]["input_name"]
        assert found == ("value_not_in_list", MODELS[prompt[key]["class_type"]])


@hosts.newest_only
def test_wan_move_draws_its_tracks_without_the_model(host, tmp_path):
    prompt = workflow(WAN_MOVE)
    drawn = find(prompt, "WanMoveVisualizeTracks")
    wanted, needed = [drawn], set()
    while wanted:
        key = wanted.pop()
        needed.add(key)
        wanted += [v[0] for v in prompt[key]["inputs"].values() if isinstance(v, list)]
    part = {key: prompt[key] for key in needed}
    kept = keep(part, tmp_path, drawn=(drawn, 0), tracks=(find(part, "MotionToTracks"), 0))
    assert_ran(host.run(part))
    assert kept("drawn").shape == (81, 480, 832, 3)
    paths = kept("tracks", "track_path")
    assert paths.shape == (81, 88, 2)
    np.testing.assert_allclose(paths[0], paths[-1], atol=1e-3)
    assert np.abs(paths - paths[0])[:, :64].max() > 8 and not np.ptp(paths[:, 64:], axis=0).any()


def test_a_foreign_clip_closes(host, tmp_path):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = small(workflow(ANY_CLIP), "image_dynamics_clip.mp4")
    blend, parts = find(prompt, "LoopBlend"), find(prompt, "GetVideoComponents")
    kept = keep(prompt, tmp_path, clip=(parts, 0), closed=(blend, 0), after=(blend, 3))
    ran = host.run(prompt)
    assert_ran(ran)
    before, after = largest_steps(kept("clip")), largest_steps(kept("closed"))
    assert len(kept("closed")) == 25
    assert after[0] < before[0] / 3
    assert kept("after") == pytest.approx(after[0], rel=1e-4)
    frames, rate, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert len(frames) == 25 and rate == 30
    assert "Blended pixels" in ran["outputs"][find(prompt, "PreviewAny")]["text"][0]


@pytest.mark.parametrize("name", CLIPS)
def test_a_clips_motion_becomes_a_loop_and_nothing_else_moves(host, tmp_path, name):
    demo_inputs(host.folder("input"), WIDTH)
    prompt = small(workflow(name))
    read, play, render = (
        find(prompt, kind)
        for kind in ("MotionSpectrumFromVideo", "SpectrumToDisplacement", "FeatureSplatRender")
    )
    # The laws of frames are tested in one host; the other runs the workflow as shipped.
    has_frames = host.install == hosts.FOUND[0]
    if has_frames:
        prompt[render]["inputs"]["output"] = "frames and video"
    is_calm = name == CLIPS[0]
    mask = (read, 2) if is_calm else (find(prompt, "MotionSpectrumTransfer"), 1)
    kept = keep(
        prompt,
        tmp_path,
        still=prompt[render]["inputs"]["image"],
        mask=mask,
        recorded=(read, 0),
        played=prompt[play]["inputs"]["spectrum"],
        motion=(play, 0),
        read=(read, 3),
        report=(play, 1),
        frames=(render, 0),
    )
    ran = host.run(prompt)
    assert_ran(ran)
    assert "Read 50 frames at 10 fps" in str(kept("read"))
    assert ("mean and drift" in str(kept("report"))) == is_calm
    shown, rate, _ = decoded(saved(host, ran, find(prompt, "SaveVideo")))
    assert shown.shape == (150, HEIGHT, WIDTH, 3) and rate == 30
    frames = kept("frames")
    motion = played(kept("motion", "coeffs"), kept("motion", "modal_coords"))
    moving = may_change(kept("mask"), motion)[0]
    changed = (frames != kept("still")).any((0, 3))
    assert not changed[~moving].any()
    if has_frames:
        assert frames.shape == shown.shape and changed[moving].mean() > 0.3
        wrap, inside = largest_steps(frames)
        assert 0 < wrap <= inside
    # The clip sways at 1 Hz, and half as far at 2 Hz: bands 5 and 10 of those that are read.
    amplitude = np.abs(kept("recorded", "coeffs")).max((0, 2, 3, 4))
    largest = amplitude.argsort()[::-1][: len(amplitude) // 8]
    assert set(largest) <= {4, 9} and amplitude.max() > 1
    gain = prompt[play]["inputs"]["gain"]
    np.testing.assert_allclose(
        kept("motion", "coeffs"), gain * kept("played", "coeffs"), rtol=1e-5, atol=1e-6
    )
