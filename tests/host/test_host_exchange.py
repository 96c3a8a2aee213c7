"""Motion for other programs, in the real host: its nodes take tracks, its parsers read texts."""

import av
import hosts
import numpy as np
import pytest
from graphs import Graph, assert_ran, node, painted, refusal, still

from gid_core.exchange.text import from_text

HEIGHT, WIDTH, FRAMES = 64, 96, 13
ASKED = {
    **{"points": 10, "still_points": 4, "layout": "random, denser where more moves", "seed": 1},
    **{"frames": 12, "rule": "Wan: 4n + 1", "timing": "the whole motion", "fps": 12.0},
    **{"width": WIDTH, "height": HEIGHT, "fit": "cut to the shape", "from_still": True},
}
BACK = {
    **{"fps": 12.0, "bands": 4, "width": WIDTH, "height": HEIGHT, "fit": "cut to the shape"},
    **{"convention": "Nuke: y up"},
}


def tracked(folder, picture=None, **changes) -> Graph:
    picture = still() if picture is None else picture
    graph = Graph(folder).animate(picture, painted(), render={"renderer": "splat only"})
    graph.nodes["tracks"] = node(
        "MotionToTracks", image=("still", 0), displacement=("motion", 0), **ASKED | changes
    )
    return graph


def knows_tracks(host) -> bool:
    return (host.install.folder / "comfy_extras/nodes_wanmove.py").exists()


def test_tracks_are_what_the_host_calls_tracks(host, tmp_path):
    graph = tracked(tmp_path).keep(tracks=("tracks", 0), frames=("tracks", 4), report=("tracks", 5))
    assert_ran(graph.run(host))
    paths, seen = graph.kept("tracks", "track_path"), graph.kept("tracks", "track_visibility")
    assert paths.shape == (FRAMES, 14, 2) and paths.dtype == np.float32
    assert seen.shape == (FRAMES, 14) and seen.dtype == bool
    assert graph.kept("frames") == FRAMES
    moved = np.abs(paths - paths[0]).max((0, 2))
    assert (moved[:10] > 0.5).all() and not moved[10:].any()
    report = str(graph.kept("report"))
    assert "Followed 10 points that move and 4 that do not" in report
    assert ("use the texts" in report) != knows_tracks(host)


@hosts.newest_only
def test_the_hosts_own_nodes_take_them(host, tmp_path):
    """Drawn on black by the host, the dots sit on what the renderer moved, within half a pixel."""
    picture = np.zeros((1, HEIGHT, WIDTH, 3), np.float32)
    graph = tracked(tmp_path)
    graph.given("black", np.repeat(picture, FRAMES, 0))
    drawing = {"line_resolution": 1, "circle_size": 1, "opacity": 1.0, "line_width": 1}
    graph.nodes["drawn"] = node(
        "WanMoveVisualizeTracks", images=("black", 0), tracks=("tracks", 0), **drawing
    )
    graph.nodes["again"] = node("WanMoveTracksFromCoords", track_coords=("tracks", 1))
    graph.nodes["both"] = node("WanMoveConcatTrack", tracks_1=("tracks", 0), tracks_2=("again", 0))
    graph.keep(drawn=("drawn", 0), both=("both", 0), tracks=("tracks", 0))
    assert_ran(graph.run(host))
    drawn, paths = graph.kept("drawn"), graph.kept("tracks", "track_path")
    both = graph.kept("both", "track_path")
    np.testing.assert_allclose(both[:, 14:], paths, atol=0.0051)
    assert drawn.shape == (FRAMES, HEIGHT, WIDTH, 3)
    for t in range(FRAMES):
        x, y = paths[t].astype(int).T  # the host draws at whole pixels, cut off
        assert (drawn[t, y, x].max(1) > 0.2).all()


@hosts.newest_only
def test_dots_sit_on_the_rendered_frames(host, tmp_path):
    """Every dot lies where the frame shows the still's colour of its start: colours are places."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ramps = np.stack([(x + 0.5) / WIDTH, (y + 0.5) / HEIGHT, 0 * x + 0.5], 2)[None]
    graph = tracked(tmp_path, ramps)
    graph.nodes["render"]["inputs"]["displacement"] = ["tracks", 3]
    graph.keep(tracks=("tracks", 0), frames=("render", 0))
    assert_ran(graph.run(host))
    paths, seen = graph.kept("tracks", "track_path"), graph.kept("tracks", "track_visibility")
    frames = graph.kept("frames")
    assert len(frames) == FRAMES and np.abs(paths - paths[0]).max() > 1
    off = []
    for t in range(FRAMES):
        column, row = np.round(paths[t]).astype(int).T
        shown = frames[t, row, column, :2] * [WIDTH, HEIGHT] - 0.5
        error = (shown - paths[0]) - (np.round(paths[t]) - paths[t])
        off += np.linalg.norm(error, axis=1)[seen[t]].tolist()
    assert len(off) > 100 and np.quantile(off, 0.9) < 0.5
    assert np.median(off) < 0.1


@pytest.mark.parametrize("length", [FRAMES, 81])
def test_the_hosts_ati_reads_every_frames_own_place(host, tmp_path, length):
    graph = tracked(tmp_path, frames=length)
    size = {"width": WIDTH, "height": HEIGHT, "length": length}
    graph.nodes["read"] = node("ReadByATI", text=("tracks", 2), **size)
    graph.keep(read=("read", 0), seen=("read", 1), tracks=("tracks", 0), text=("tracks", 1))
    assert_ran(graph.run(host))
    paths, read = graph.kept("tracks", "track_path"), graph.kept("read")
    assert read.shape == paths.shape
    np.testing.assert_allclose(read, paths, atol=0.006)
    assert (graph.kept("seen") == 1).all()
    np.testing.assert_allclose(from_text(str(graph.kept("text")))[0], paths, atol=0.006)


def test_what_goes_out_comes_back_as_the_same_motion(host, tmp_path):
    graph = tracked(tmp_path)
    back = {"image": ("still", 0), "mask": ("mask", 1), **BACK}
    graph.nodes["maps"] = node(
        "MotionToMaps",
        image=("still", 0),
        displacement=("tracks", 3),
        map="flow: push the still",
        convention="Nuke: y up",
    )
    graph.nodes["by text"] = node("TracksToMotion", text=("tracks", 1), **back)
    graph.nodes["by flow"] = node("TracksToMotion", flow=("maps", 0), **back)
    graph.keep(out=("tracks", 3), text=("by text", 1), flow=("by flow", 1), spectrum=("by flow", 0))
    graph.keep(report=("by text", 2), tracks=("tracks", 0))
    assert_ran(graph.run(host))
    out, text, flow = (graph.displacement(name)[0] for name in ("out", "text", "flow"))
    assert flow.shape == out.shape == text.shape
    inner = painted()[0] > 0
    assert (
        np.abs(flow - out)[..., inner].max() < 0.35 and np.abs(flow - out)[..., inner].mean() < 0.03
    )
    x, y = graph.kept("tracks", "track_path")[0, :10].round().astype(int).T
    assert np.abs(text - out)[..., y, x].max() < 0.25
    assert graph.kept("spectrum", "coeffs").shape[1] == 4
    assert "14 tracks" in str(graph.kept("report"))


def test_maps_are_saved_as_exr(host, tmp_path):
    graph = tracked(tmp_path)
    wanted = {"image": ("still", 0), "displacement": ("motion", 0), "convention": "Nuke: y up"}
    stmap = {"map": "STMap: pull the frame", **wanted}
    graph.nodes["save"] = node("SaveMotionMaps", filename_prefix="maps/st", **stmap)
    graph.nodes["maps"] = node("MotionToMaps", **stmap)
    graph.keep(name=("save", 0), maps=("maps", 0), holes=("maps", 1))
    assert_ran(graph.run(host))
    first = host.folder("output") / str(graph.kept("name"))
    files = sorted(first.parent.glob(first.name.replace("0001.exr", "*.exr")))
    assert first in files and len(files) == 12
    maps, holes = graph.kept("maps"), graph.kept("holes")
    for t in (0, 7):
        with av.open(str(files[t])) as container:
            read = next(container.decode(video=0)).to_ndarray()
        np.testing.assert_array_equal(read[..., :2], maps[t, ..., :2])
        np.testing.assert_array_equal(read[..., 3], 1 - holes[t])


def test_guides_are_the_rendered_clip_and_its_masks(host, tmp_path):
    graph = tracked(tmp_path)
    graph.nodes["guides"] = node("MotionToGuides", image=("still", 0), displacement=("motion", 0))
    names = "clip", "moving", "uncovered", "layer", "first", "last"
    graph.keep(frames=("render", 0), **{name: ("guides", i) for i, name in enumerate(names)})
    assert_ran(graph.run(host))
    clip, moving, layer = (graph.kept(n) for n in ("clip", "moving", "layer"))
    np.testing.assert_allclose(clip, graph.kept("frames"), atol=1e-6)
    assert layer.shape == (12, HEIGHT, WIDTH, 4)
    np.testing.assert_allclose(layer[..., 3], moving, atol=1e-6)
    assert 0.05 < moving.mean() < 0.5 and graph.kept("uncovered").max() > 0.5
    np.testing.assert_array_equal(graph.kept("first"), clip[:1])
    np.testing.assert_array_equal(graph.kept("last"), clip[-1:])


def back_from(folder, **tracks) -> Graph:
    """Tracks to Motion, of TRACKS with these fields."""
    graph = Graph(folder)
    graph.given("still", still())
    np.savez(folder / "tracks.npz", **tracks)
    graph.nodes["tracks"] = node("GivenTracks", file=str(folder / "tracks.npz"))
    links = {"image": ("still", 0), "tracks": ("tracks", 0)}
    graph.nodes["back"] = node("TracksToMotion", **links, **BACK)
    return graph.keep(spectrum=("back", 0))


@hosts.newest_only
def test_one_visibility_a_frame_counts_for_all_tracks(host, tmp_path):
    rng = np.random.default_rng(0)
    start = rng.uniform((30, 10), (66, 50), (13, 2))
    paths = np.float32(start + 3 * np.sin(np.arange(13) / 2)[:, None, None])
    seen = np.ones((13, 13), bool)  # as many frames as tracks
    seen[4:6] = False
    found = []
    for i, visible in enumerate((seen, seen[:, 0], seen[:, :1])):
        (tmp_path / str(i)).mkdir()
        graph = back_from(tmp_path / str(i), track_path=paths, track_visibility=visible)
        assert_ran(graph.run(host))
        found.append(graph.kept("spectrum", "coeffs"))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@hosts.newest_only
def test_tracks_of_another_shape_are_a_sentence(host, tmp_path):
    paths = np.zeros((13, 5, 2), np.float32)
    odd = {"track_path": paths, "track_visibility": np.ones((13, 4), bool)}
    sentence = refusal(back_from(tmp_path, **odd).run(host))
    assert "shape (13, 5) for paths of 13 frames and 5 tracks, or of 13 values, got (13, 4)" in (
        sentence
    )
    sentence = refusal(back_from(tmp_path, tracks=paths).run(host))
    assert "paths of shape (frames, tracks, 2) as track_path, got none" in sentence


@hosts.newest_only
def test_batches_and_odd_texts_are_refused(host, tmp_path):
    two = tracked(tmp_path, np.concatenate([still(), still()]))
    assert "one still and one motion" in refusal(two.keep(text=("tracks", 1)).run(host))
    graph = Graph(tmp_path)
    graph.given("still", still())
    graph.nodes["back"] = node("TracksToMotion", image=("still", 0), text="{}", **BACK)
    assert "Expected tracks as JSON" in refusal(graph.keep(spectrum=("back", 0)).run(host))
