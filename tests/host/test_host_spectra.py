"""Spectra read from clips, put onto other stills, and played as they were recorded."""

import subprocess

import av
import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, decoded, node, painted, refusal, still, swaying
from scipy.ndimage import gaussian_filter
from test_host_cancel import assert_cancelled, assert_still_works

FPS, FRAMES, AMPLITUDE = 10.0, 20, 1.5  # a window of two seconds; px


def clip(size=(64, 96), frames=FRAMES):
    """A plant that sways, with a texture that flow can follow: not of single pixels."""
    texture = gaussian_filter(np.random.default_rng(5).standard_normal((*size, 1)), (1, 1, 0))
    plant = 0.4 + 0.5 * texture * [0.6, 1.0, 0.4]
    moves = painted(size)[0]
    picture = np.where(moves[..., None] > 0, plant, still(size)[0]).clip(0, 1)
    return swaying(picture.astype(np.float32), moves, frames, FPS, AMPLITUDE * size[1] / 96)


def reading(graph, frames=None, **inputs):
    """A graph that reads a clip's motion."""
    graph.given("clip", clip() if frames is None else frames)
    settings = {"clip": ("clip", 0), "fps": FPS, "bands": 4, "window": 2.0, "raw": False}
    graph.nodes["read"] = node("MotionSpectrumFromVideo", **settings | inputs)
    return graph.keep(
        spectrum=("read", 0), still=("read", 1), moving=("read", 2), report=("read", 3)
    )


def put_onto(graph, picture, mask, **inputs):
    """The motion that was read, put onto another still, played and rendered."""
    graph.given("other", picture)
    graph.given("mask", mask)
    settings = {"fit": "box to box", "mirror": False, "gain": 1.0, "smooth": 0.0}
    settings["refine_mask"] = False
    links = {"spectrum": ("read", 0), "image": ("other", 0), "mask": ("mask", 1)}
    graph.nodes["put"] = node("MotionSpectrumTransfer", **links, **settings | inputs)
    graph.nodes["motion"] = node(
        "SpectrumToDisplacement",
        **{"spectrum": ("put", 0), "frames": 12, "fps": 12.0, "loop": True},
        **{"speed": 1.0, "gain": 1.0, "pose": "rest pose", "seed": 0},
    )
    links = {"image": ("other", 0), "displacement": ("motion", 0)}
    graph.nodes["render"] = node(
        "FeatureSplatRender", **links, output="frames and video", deterministic=False
    )
    return graph.keep(put=("put", 0), matte=("put", 1), said=("put", 2), frames=("render", 0))


def in_a_file(host, name, frames):
    """A clip as a file in the host's input folder."""
    with av.open(str(host.folder("input") / name), "w") as container:
        stream = container.add_stream("libx264", round(FPS), options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in (frames * 255).round().astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def of_the_head(coeffs):
    """Mean motion of the head's middle to the right, by band."""
    return coeffs[0, :, 0, 15:20, 44:52].mean((1, 2))


def test_a_clips_motion_is_read(host, tmp_path):
    graph = reading(Graph(tmp_path))
    ran = graph.run(host)
    assert_ran(ran)
    np.testing.assert_array_equal(graph.kept("still"), clip()[:1])
    moving = graph.kept("moving")[0] > 0.5
    assert moving.shape == (64, 96) and moving[20:30, 40:56].mean() > 0.9
    assert not moving[:, :20].any() and not moving[:, 76:].any()
    coeffs = graph.kept("spectrum", "coeffs")
    assert coeffs.shape == (1, 4, 2, 64, 96)
    np.testing.assert_allclose(graph.kept("spectrum", "frequencies_hz"), [0.5, 1, 1.5, 2])
    sway = np.abs(of_the_head(coeffs))
    bend = ((57 - 17) / (57 - 7)) ** 2  # of the head's middle, between its top and the foot
    np.testing.assert_allclose(sway[[1, 3]], [AMPLITUDE * bend, 0.5 * AMPLITUDE * bend], rtol=0.15)
    assert sway[[0, 2]].max() < 0.15
    assert "Read 20 frames at 10 fps" in str(graph.kept("report"))
    told = [(p["value"], p["max"]) for p in ran["progress"] if p["node"] == "read"]
    assert told[-1] == (19, 19)


def test_a_video_gives_the_same_spectrum_as_its_frames(host, tmp_path):
    graph = reading(Graph(tmp_path))
    graph.nodes["video"] = node("CreateVideo", images=("clip", 0), fps=FPS)
    inputs = graph.nodes["read"]["inputs"] | {"clip": ("video", 0), "fps": 7.0}
    graph.nodes["again"] = node("MotionSpectrumFromVideo", **inputs)
    assert_ran(graph.keep(again=("again", 0)).run(host))
    for field in ("coeffs", "mask", "mean", "drift", "frequencies_hz"):
        np.testing.assert_array_equal(graph.kept("again", field), graph.kept("spectrum", field))


def test_a_file_gives_nearly_the_same_spectrum_as_its_frames(host, tmp_path):
    in_a_file(host, "swaying.mp4", clip())
    graph = reading(Graph(tmp_path))
    graph.nodes["video"] = node("LoadVideo", file="swaying.mp4")
    inputs = graph.nodes["read"]["inputs"] | {"clip": ("video", 0), "fps": 7.0}
    graph.nodes["again"] = node("MotionSpectrumFromVideo", **inputs)
    assert_ran(graph.keep(again=("again", 0), first=("again", 1)).run(host))
    one, other = (of_the_head(graph.kept(name, "coeffs")) for name in ("spectrum", "again"))
    np.testing.assert_allclose(other, one, atol=0.05)
    assert np.abs(graph.kept("first") - clip()[:1]).mean() < 0.02


def test_a_trimmed_file_is_read_from_where_it_begins(host, tmp_path):
    if host.install.is_old:
        return  # it cannot trim
    in_a_file(host, "longer.mp4", clip(frames=FRAMES + 10))
    frames, _, _ = decoded(host.folder("input") / "longer.mp4")
    graph = reading(Graph(tmp_path))
    graph.nodes["whole"] = node("LoadVideo", file="longer.mp4")
    cut = {"start_time": 0.5, "duration": 2.0, "strict_duration": True}
    graph.nodes["video"] = node("Video Slice", video=("whole", 0), **cut)
    graph.nodes["read"]["inputs"] |= {"clip": ("video", 0)}
    ran = graph.run(host)
    assert_ran(ran)
    np.testing.assert_allclose(graph.kept("still")[0] * 255, frames[5], atol=1)
    assert (frames[4] != frames[5]).any() and "Read 20 frames" in str(graph.kept("report"))
    graph.nodes["video"]["inputs"]["duration"] = 1.5
    assert "has 15 frames" in refusal(graph.run(host))


def test_the_hosts_flow_model_is_used_where_one_is_connected(host, tmp_path):
    graph = reading(Graph(tmp_path), window=0.3, bands=1)
    graph.nodes["raft"] = node("UntrainedFlow")
    graph.nodes["read"]["inputs"]["flow_model"] = ("raft", 0)
    ran = graph.run(host)
    told = [(p["value"], p["max"]) for p in ran["progress"] if p["node"] == "read"]
    assert told[-1] == (2, 2)  # the network ran for every frame; its flow is noise
    assert ran["success"] or "Nothing moves" in refusal(ran) or "camera" in refusal(ran)


def test_dis_reads_a_clip_where_opencv_is_and_else_says_what_to_install(host, tmp_path):
    graph = reading(Graph(tmp_path))
    graph.nodes["read"]["inputs"]["flow"] = "DIS, if OpenCV is installed"
    ran = graph.run(host)
    has_opencv = subprocess.run([hosts.python(), "-c", "import cv2"], capture_output=True)
    if has_opencv.returncode:
        assert "Install opencv-python-headless" in refusal(ran)
    else:
        assert_ran(ran)
        assert "Flow: DIS." in str(graph.kept("report"))


@hosts.newest_only
@pytest.mark.parametrize(
    "frames, inputs, words",
    [
        (np.repeat(still(), 20, 0), {}, ["Nothing moves", "Use a clip"]),
        (np.zeros((20, 64, 96, 3), np.float32), {}, ["Nothing moves"]),
        (clip(frames=13), {}, ["has 13 frames", "needs 20", "longer clip"]),
        (still(), {}, ["has 1 frame;", "needs 20"]),
        (clip(), {"bands": 10}, ["10 bands", "at most 9 bands"]),
        (np.full((20, 64, 96, 3), np.nan, np.float32), {}, ["Expected finite"]),
    ],
    ids=["still", "black", "short", "one frame", "bands", "NaN"],
)
def test_clips_that_are_unfit_are_refused_with_a_sentence(host, tmp_path, frames, inputs, words):
    sentence = refusal(reading(Graph(tmp_path), frames, **inputs).run(host))
    for word in words:
        assert word in sentence
    assert sentence.rstrip().endswith(".") and "\n" not in sentence.strip()


@hosts.newest_only
def test_files_that_are_no_clips_are_refused_with_a_sentence(host, tmp_path):
    folder = host.folder("input")
    in_a_file(host, "torn.mp4", clip(frames=5))
    (folder / "torn.mp4").write_bytes((folder / "torn.mp4").read_bytes()[:900])
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", 16_000)
        stream.layout = "mono"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        silence.sample_rate = 16_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    for name in ("torn.mp4", "sound.mp4"):
        graph = reading(Graph(tmp_path))
        graph.nodes["video"] = node("LoadVideo", file=name)
        graph.nodes["read"]["inputs"]["clip"] = ("video", 0)
        sentence = refusal(graph.run(host))
        assert repr(name) in sentence and sentence.rstrip().endswith("."), sentence
        assert "Traceback" not in sentence and "\n" not in sentence.strip()


@hosts.newest_only
def test_without_a_loop_it_plays_as_recorded_and_a_loop_says_what_it_drops(host, tmp_path):
    graph = reading(Graph(tmp_path))
    playing = {"frames": FRAMES, "fps": FPS, "speed": 1.0, "gain": 1.0, "pose": "rest pose"}
    for name, loop in (("recorded", False), ("looped", True)):
        graph.nodes[name] = node(
            "SpectrumToDisplacement", spectrum=("read", 0), loop=loop, seed=0, **playing
        )
        graph.keep(**{name: (name, 0), f"{name} report": (name, 1)})
    assert_ran(graph.run(host))
    assert "mean and drift included" in str(graph.kept("recorded report"))
    assert "mean and drift are left out" in str(graph.kept("looped report"))
    recorded, looped = (graph.displacement(name) for name in ("recorded", "looped"))
    mean, drift = (graph.kept("spectrum", name) for name in ("mean", "drift"))
    trend = mean[:, None] + drift[:, None] * (np.arange(FRAMES) / FPS)[:, None, None, None]
    assert np.abs(trend).max() > 0.3
    np.testing.assert_allclose(recorded, looped + trend, atol=1e-4)
    # The clip begins at the still, and so does what was recorded.
    begun = [np.abs(d[0, 0, 0, 12:40, 46:50]).mean() for d in (recorded, looped)]
    assert begun[0] < 0.1 < 0.2 < begun[1]


@hosts.newest_only
@pytest.mark.parametrize("fit", ["box to box", "box, proportions kept", "picture to picture"])
def test_a_still_moves_as_the_clip_and_nothing_outside_its_mask(host, tmp_path, fit):
    size = 80, 72
    mask = np.zeros((1, *size), np.float32)
    mask[:, 20:70, 15:45] = 1
    graph = put_onto(reading(Graph(tmp_path)), still(size, seed=3), mask, fit=fit)
    assert_ran(graph.run(host))
    np.testing.assert_array_equal(graph.kept("matte"), mask)
    frames, other = graph.kept("frames"), still(size, seed=3)
    reach = np.zeros((1, *size), bool)
    reach[:, 13:77, 8:52] = True  # what moves by 4 px at most, and 2 px
    changed = (frames != other).any((0, 3))[None]
    assert changed[mask > 0].mean() > 0.5 and not changed[~reach].any()
    assert "Amplitude" in str(graph.kept("said"))


@hosts.newest_only
def test_a_mirrored_motion_goes_the_other_way(host, tmp_path):
    put = {}
    for mirror in (False, True):
        folder = tmp_path / str(mirror)
        folder.mkdir()
        graph = put_onto(reading(Graph(folder)), still(), painted(), mirror=mirror)
        assert_ran(graph.run(host))
        put[mirror] = graph.kept("put", "coeffs")
    flipped = put[False][..., ::-1] * np.array([-1, 1]).reshape(2, 1, 1)
    inside = np.s_[..., 15:45, 46:50]
    np.testing.assert_allclose(put[True][inside], flipped[inside], atol=0.1)
    assert np.abs(put[False][inside]).max() > 0.5


def test_reading_stops_when_cancelled(host, tmp_path):
    frames = np.tile(clip((144, 256), 15), (10, 1, 1, 1))
    graph = reading(Graph(tmp_path), frames, window=10.0)
    assert_cancelled(graph.run(host, interrupt={"node": "read", "after": 0.8}))
    assert_still_works(host, tmp_path)


def test_the_clip_input_takes_frames_and_video(host):
    inputs = host.hello["nodes"]["MotionSpectrumFromVideo"]["input"]["required"]
    assert inputs["clip"][0] == "IMAGE,VIDEO"
