import errno
import os
import shutil
import weakref

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gid_core.files.stills import read_still
from gid_core.files.video import (
    CONTAINERS,
    as_tag,
    check_clip_path,
    copy_clip,
    format_notes,
    frame_step,
    hide_transparent,
    save_clip,
    write_clip,
)

H, W, FRAMES = 24, 32, 6
PLAIN = (0.8, 0.3, 0.2)


def clip(height=H, width=W, frames=FRAMES, channels=3):
    """A plain picture over which a dark bar moves; the alpha is half on the right."""
    for t in range(frames):
        frame = torch.tensor(PLAIN).view(3, 1, 1).expand(3, height, width).clone()
        frame[:, :, 2 * (t % 7) : 2 * (t % 7) + 2] = 0.1
        if channels == 4:
            alpha = torch.ones(1, height, width)
            alpha[..., width // 2 :] = 0.5
            frame = torch.cat([frame, alpha])
        yield frame


def decoded(path):
    """Frames of a video, t h w 3 in bytes, and its stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pixels = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        facts = {
            "rate": stream.average_rate,
            "codec": stream.codec_context.name,
            "colorspace": stream.codec_context.colorspace,
            "primaries": stream.codec_context.color_primaries,
            "transfer": stream.codec_context.color_trc,
            "range": stream.codec_context.color_range,
            "alpha": stream.metadata.get("alpha_mode"),
            "tags": dict(container.metadata),
            "format": stream.codec_context.pix_fmt,
        }
    return np.stack(pixels).astype(float) / 255, facts


def animation(path):
    """Frames of an animated picture as rgba, its durations in ms, and how often it repeats."""
    with Image.open(path) as picture:
        frames, durations = [], []
        for t in range(picture.n_frames):
            picture.seek(t)
            frames.append(np.array(picture.convert("RGBA")))
            durations.append(picture.info["duration"])
        return np.stack(frames).astype(float) / 255, durations, picture.info.get("loop")


def plain_corner(frames):
    """Mean colour of the lower right, which the bar never reaches."""
    return frames[:, H // 2 :, -8:, :3].mean((0, 1, 2))


@pytest.mark.parametrize("ending, codec", [(".mp4", "h264"), (".webm", "libvpx-vp9")])
@pytest.mark.parametrize("fps", [30.0, 24000 / 1001, 12.5])
def test_videos_come_back_as_they_were_written(tmp_path, ending, codec, fps):
    write_clip(tmp_path / f"a{ending}", clip(), fps)
    frames, facts = decoded(tmp_path / f"a{ending}")
    assert frames.shape == (FRAMES, H, W, 3)
    # Matroska counts in milliseconds.
    assert float(facts["rate"]) == pytest.approx(fps, rel=1e-9 if ending == ".mp4" else 1e-4)
    assert codec.endswith(facts["codec"])
    np.testing.assert_allclose(plain_corner(frames), PLAIN, atol=0.03)
    for t in range(FRAMES):
        assert frames[t, :, :14].mean((0, 2)).reshape(7, 2).mean(1).argmin() == t
    assert [facts[k] for k in ("colorspace", "primaries", "transfer", "range")] == [1, 1, 1, 1]
    assert os.listdir(tmp_path) == [f"a{ending}"]


@pytest.mark.parametrize("ending", [".webp", ".gif"])
@pytest.mark.parametrize("fps", [25.0, 10.0])
def test_animations_come_back_as_they_were_written(tmp_path, ending, fps):
    write_clip(tmp_path / f"a{ending}", clip(), fps)
    frames, durations, loop = animation(tmp_path / f"a{ending}")
    assert frames.shape == (FRAMES, H, W, 4)
    assert durations == [1000 / fps] * FRAMES and loop == 0
    np.testing.assert_allclose(plain_corner(frames), PLAIN, atol=0.03)
    for t in range(FRAMES):
        assert frames[t, :, :14, :3].mean((0, 2)).reshape(7, 2).mean(1).argmin() == t


@pytest.mark.parametrize("fps", [30.0, 24.0, 60.0])
@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_an_animation_lasts_as_long_as_its_frames(tmp_path, ending, fps):
    # Both count in whole ms or cs: the clip may be off by one of them, not by one for each frame.
    count = 120
    write_clip(tmp_path / f"a{ending}", clip(frames=count), fps)
    durations = animation(tmp_path / f"a{ending}")[1]
    assert sum(durations) == pytest.approx(1000 * count / fps, abs=11)


@pytest.mark.parametrize(
    "ending, fps, shortest_ms",
    [
        (".gif", 60.0, 20),
        (".gif", 50.0, 20),
        (".gif", 119.88, 20),
        (".gif", 240.0, 20),
        (".webp", 100.0, 11),
        (".webp", 120.0, 11),
        (".webp", 240.0, 11),
        (".webp", 90.0, 11),
    ],
)
def test_no_frame_is_shorter_than_browsers_show(tmp_path, ending, fps, shortest_ms):
    count = 240
    write_clip(tmp_path / f"a{ending}", clip(frames=count), fps)
    frames, durations, _ = animation(tmp_path / f"a{ending}")
    assert min(durations) >= shortest_ms
    assert sum(durations) == pytest.approx(1000 * count / fps, abs=40)
    step = frame_step(ending, fps)
    assert len(frames) == -(-count // step)
    for t in range(0, 7, step):
        assert frames[t // step, :, :14, :3].mean((0, 2)).reshape(7, 2).mean(1).argmin() == t
    assert bool(format_notes(ending, fps, False)) == (step > 1)


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("fps", [1e-9, 0.0, float("nan"), -1.0])
def test_a_rate_that_means_nothing_is_a_sentence(tmp_path, ending, fps):
    with pytest.raises(ValueError, match="Expected 0.001 frames per second or more"):
        write_clip(tmp_path / f"a{ending}", clip(), fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("height, width", [(23, 31), (1, 1), (2, 33)])
def test_odd_sizes_grow_by_one(tmp_path, ending, height, width):
    write_clip(tmp_path / f"a{ending}", clip(height, width, 2), 8.0)
    frames, _ = decoded(tmp_path / f"a{ending}")
    assert frames.shape == (2, height + height % 2, width + width % 2, 3)
    if min(height, width) > 20:  # by a repeated row and column
        np.testing.assert_allclose(frames[:, -1, 20:].mean((0, 1)), PLAIN, atol=0.03)
        np.testing.assert_allclose(frames[:, :, -1].mean((0, 1)), PLAIN, atol=0.03)


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_animations_keep_odd_sizes(tmp_path, ending):
    write_clip(tmp_path / f"a{ending}", clip(23, 31, 2), 10.0)
    assert animation(tmp_path / f"a{ending}")[0].shape == (2, 23, 31, 4)


def test_webp_keeps_transparency(tmp_path):
    write_clip(tmp_path / "a.webp", clip(channels=4), 10.0)
    alpha = animation(tmp_path / "a.webp")[0][..., 3]
    np.testing.assert_allclose(alpha[..., : W // 2 - 1].mean(), 1, atol=0.02)
    np.testing.assert_allclose(alpha[..., W // 2 + 1 :].mean(), 0.5, atol=0.02)


def test_webm_keeps_transparency(tmp_path):
    write_clip(tmp_path / "a.webm", clip(channels=4), 10.0)
    _, facts = decoded(tmp_path / "a.webm")
    assert facts["alpha"] == "1"
    with av.open(str(tmp_path / "a.webm")) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # ffmpeg's own decoder drops alpha
        frames = [f for packet in container.demux() for f in decoder.decode(packet)]
    alpha = np.stack([f.to_ndarray(format="rgba")[..., 3] for f in frames]) / 255
    np.testing.assert_allclose(alpha[..., : W // 2 - 1].mean(), 1, atol=0.02)
    np.testing.assert_allclose(alpha[..., W // 2 + 1 :].mean(), 0.5, atol=0.02)


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.1, 0.2, 0.9)])
def test_where_there_is_no_transparency_a_colour_lies_behind(tmp_path, ending, colour):
    # What was removed from the still is green, which nobody may see.
    removed = torch.tensor([0.0, 1, 0, 0]).view(4, 1, 1).expand(4, H, W).clone()
    removed[:, :, : W // 2] = torch.tensor([0.8, 0.3, 0.2, 0.5]).view(4, 1, 1)
    options = {} if colour == (1.0, 1.0, 1.0) else {"background": colour}  # white by default
    write_clip(tmp_path / f"a{ending}", [removed] * 3, 10.0, **options)
    frames = (decoded if ending == ".mp4" else animation)(tmp_path / f"a{ending}")[0]
    np.testing.assert_allclose(plain_corner(frames), colour, atol=0.04)
    half = [(c + b) / 2 for c, b in zip((0.8, 0.3, 0.2), colour, strict=True)]
    np.testing.assert_allclose(frames[:, 4:20, 4:12, :3].mean((0, 1, 2)), half, atol=0.04)


@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_background_behind_opaque_frames_changes_nothing(tmp_path, ending, rng):
    frames = torch.rand(3, 4, H, W, generator=rng)
    frames[:, 3] = 1
    write_clip(tmp_path / f"a{ending}", frames, 10.0)
    write_clip(tmp_path / f"b{ending}", frames[:, :3], 10.0)
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_grey_stills_can_be_written(tmp_path):
    for ending in CONTAINERS:
        frames = (frame[:1] for frame in clip())
        write_clip(tmp_path / f"a{ending}", frames, 10.0)
        read = (decoded if ending in (".mp4", ".webm") else animation)(tmp_path / f"a{ending}")
        np.testing.assert_allclose(plain_corner(read[0]), PLAIN[:1] * 3, atol=0.03)


@pytest.mark.parametrize("ending", CONTAINERS)
def test_memory_does_not_grow_with_the_clip(tmp_path, ending):
    alive = []

    def frames():
        for frame in clip(frames=40):
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            assert sum(reference() is not None for reference in alive) <= 3

    write_clip(tmp_path / f"a{ending}", frames(), 10.0)
    assert len(alive) == 40


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 3])
def test_an_interrupted_clip_leaves_nothing_and_the_old_one(tmp_path, ending, error, after):
    path = tmp_path / f"a{ending}"

    def interrupted():
        yield from clip(frames=after)
        raise error("stop")

    for old in (None, b"the old one"):
        if old is not None:
            path.write_bytes(old)
        with pytest.raises(error, match="stop"):
            write_clip(path, interrupted(), 10.0)
        assert os.listdir(tmp_path) == ([] if old is None else [path.name])
    assert path.read_bytes() == b"the old one"


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_clip_without_frames_is_refused(tmp_path, ending):
    with pytest.raises(ValueError, match="at least one frame|no frames"):
        write_clip(tmp_path / f"a{ending}", iter([]), 10.0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_full_disk_is_said_in_a_sentence(tmp_path, ending, monkeypatch):
    def full():
        yield from clip(frames=2)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ValueError, match="the disk is full. Nothing was left behind"):
        write_clip(tmp_path / f"a{ending}", full(), 10.0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_folder_that_vanishes_while_frames_are_made_is_said(tmp_path, ending):
    def vanishing():
        yield torch.zeros(3, 16, 24)
        shutil.rmtree(tmp_path / "sub")
        yield torch.ones(3, 16, 24)

    (tmp_path / "sub").mkdir()
    with pytest.raises(
        ValueError, match="^Could not write '.*sub.*': No such file or directory. N"
    ):
        write_clip(tmp_path / "sub" / f"a{ending}", vanishing(), 10.0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("code", [errno.EFBIG, errno.EDQUOT, errno.EROFS])
def test_what_a_disk_refuses_is_not_blamed_on_the_size(tmp_path, ending, code, monkeypatch):
    def refuses(*encoding):
        raise av.error.OSError(code, os.strerror(code), "a")

    for encoder in ("_encode_gif", "_encode_video"):
        monkeypatch.setattr(f"gid_core.files.video.{encoder}", refuses)
    with pytest.raises(ValueError, match=f"^Could not write .*: {os.strerror(code)}. Nothing"):
        write_clip(tmp_path / f"a{ending}", iter(torch.zeros(2, 3, 16, 24)), 10.0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.avi", "a", "a.mp4.png", ".mp4"])
def test_unknown_endings_are_refused_before_anything_is_computed(tmp_path, name):
    def never():
        raise AssertionError("a frame was asked for")
        yield

    with pytest.raises(ValueError, match=r"ending in \.mp4, \.webm, \.webp, \.gif, got"):
        write_clip(tmp_path / name, never(), 10.0)
    assert os.listdir(tmp_path) == []


def test_endings_in_capitals_are_known(tmp_path):
    check_clip_path(tmp_path / "A.MP4")
    write_clip(tmp_path / "A.MP4", clip(), 10.0)
    assert decoded(tmp_path / "A.MP4")[0].shape == (FRAMES, H, W, 3)


def test_folders_that_are_not_there_or_are_the_target_are_refused(tmp_path):
    with pytest.raises(ValueError, match="existing folder to write to.*Create it"):
        write_clip(tmp_path / "nowhere" / "a.mp4", clip(), 10.0)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="got the folder"):
        write_clip(tmp_path / "folder.mp4", clip(), 10.0)


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_an_open_file_can_be_written_with_tags(tmp_path, ending):
    with open(tmp_path / "a", "w+b") as file:
        tags = {"prompt": as_tag({"a": [1]}), "note": as_tag("text")}
        save_clip(file, clip(), 10.0, ending, tags)
    frames, facts = decoded(tmp_path / "a")
    assert len(frames) == FRAMES
    tags = {key.lower(): value for key, value in facts["tags"].items()}
    assert tags["prompt"] == '{"a": [1]}' and tags["note"] == "text"


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_smaller_crf_is_better(tmp_path, ending, rng):
    noise = torch.rand(4, 3, 48, 64, generator=rng)
    sizes = []
    for crf in (10.0, 40.0):
        save_clip(tmp_path / f"a{ending}", noise, 10.0, ending, crf=crf)
        sizes.append((tmp_path / f"a{ending}").stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]


def test_the_wrap_of_a_video_is_as_sharp_as_the_rest(tmp_path, rng):
    # All frames are one picture; what differs between them was made by the encoder.
    still = torch.rand(3, 48, 64, generator=rng)
    write_clip(tmp_path / "a.mp4", still.expand(20, 3, 48, 64), 10.0)
    frames, _ = decoded(tmp_path / "a.mp4")
    steps = np.sqrt(((frames - np.roll(frames, 1, 0)) ** 2).mean((1, 2, 3)))
    assert steps[0] < 0.02


def test_the_first_frame_of_an_animation_is_the_still(tmp_path):
    write_clip(tmp_path / "a.gif", clip(), 10.0)
    assert read_still(tmp_path / "a.gif").shape[-2:] == (H, W)
    assert read_still(tmp_path / "a.gif")[:3, :, :2].max() < 0.2


def cut_out(frames=3):
    """A subject of PLAIN on the left; on the right a green background that was removed."""
    for _ in range(frames):
        frame = torch.tensor((*PLAIN, 1.0)).view(4, 1, 1).expand(4, H, W).clone()
        frame[:, :, W // 2 :] = torch.tensor((0.0, 0.9, 0.0, 0.0)).view(4, 1, 1)
        yield frame


def test_a_player_that_ignores_alpha_shows_no_removed_background(tmp_path):
    write_clip(tmp_path / "a.webm", cut_out(), 10.0)
    frames, _ = decoded(tmp_path / "a.webm")  # by a decoder that drops alpha
    np.testing.assert_allclose(frames[:, :, W // 2 + 6 :], 1, atol=0.05)
    write_clip(tmp_path / "a.webp", cut_out(), 10.0)
    pictures = animation(tmp_path / "a.webp")[0]
    assert pictures[:, :, W // 2 + 1 :, 3].max() == 0
    green = pictures[..., 1] - pictures[..., [0, 2]].max(-1)
    assert green.max() < 0.2


def test_what_is_hidden_draws_no_rim_and_what_is_visible_stays():
    frame = next(cut_out(1))
    filled = hide_transparent(frame, (1.0, 1.0, 1.0))
    assert torch.equal(filled[3], frame[3])
    assert torch.equal(filled[:, :, : W // 2], frame[:, :, : W // 2])
    near = filled[:3, :, W // 2 : W // 2 + 2]
    torch.testing.assert_close(near, torch.tensor(PLAIN).view(3, 1, 1).expand_as(near))
    assert torch.equal(filled[:3, :, W // 2 + 2 :], torch.ones(3, H, W // 2 - 2))
    for opaque in next(clip(channels=3)), torch.ones(4, 5, 7):
        assert hide_transparent(opaque, (1.0, 1.0, 1.0)) is opaque


def test_a_webp_whose_border_is_transparent_says_that_it_has_alpha(tmp_path):
    frame = next(cut_out(1)).roll(W // 4, 2)
    frame[:, :3] = frame[:, -3:] = 0
    write_clip(tmp_path / "a.webp", [frame] * 3, 10.0)
    head = (tmp_path / "a.webp").read_bytes()[:21]
    assert head[12:16] == b"VP8X" and head[20] & 0x10  # RFC 9649, 2.7
    assert animation(tmp_path / "a.webp")[0][:, 0, :, 3].max() == 0


@pytest.mark.parametrize(("ending", "channels"), [(".mp4", 3), (".webm", 3), (".webm", 4)])
def test_a_copy_has_the_same_frames_and_its_own_tags(tmp_path, ending, channels):
    source, copy = tmp_path / f"source{ending}", tmp_path / f"copy{ending}"
    save_clip(source, clip(channels=channels), 12.5, ending, {"by": "source", "old": "yes"})
    copy_clip(source, copy, ending, {"by": "copy"})
    (before, was), (after, facts) = decoded(source), decoded(copy)
    np.testing.assert_array_equal(after, before)
    tags = {name.lower(): text for name, text in facts.pop("tags").items()}
    assert tags["by"] == "copy" and "old" not in tags
    del was["tags"], was["alpha"], facts["alpha"]
    assert facts == was
    assert b"\x53\xc0" in copy.read_bytes() or channels == 3  # the element AlphaMode


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    source = tmp_path / "source.mp4"
    save_clip(source, clip(), 12.5, ".mp4")
    with pytest.raises(ValueError):
        copy_clip(source, tmp_path / "copy.webm", ".webm", {})
    assert list(tmp_path.iterdir()) == [source]
