import io
import struct
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image, features

from gid_core.files.video import write_clip
from gid_core.footage import clips
from gid_core.footage.clips import read_clip

H, W = 24, 32


def quarters(height=H, width=W):
    """Red, green, blue and grey quarters: every way of turning it looks different."""
    picture = torch.zeros(3, height, width)
    picture[0, : height // 2, : width // 2] = picture[1, : height // 2, width // 2 :] = 0.9
    picture[2, height // 2 :, : width // 2] = 0.9
    picture[:, height // 2 :, width // 2 :] = 0.5
    return picture


def greys(count, height=H, width=W):
    """Frames told apart by their grey: 0.1, 0.2, ..."""
    return [torch.full((3, height, width), 0.1 * (n + 1)) for n in range(count)]


def encode(
    path, frames, times=None, codec="mpeg4", pix_fmt="yuv420p", rate=10, shape=None, **context
):
    """Frames at times in seconds, by default at the rate; lossless codecs where values matter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate)
        stream.width, stream.height = (frames[0].shape[-1], frames[0].shape[-2])
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for n, frame in enumerate(frames):
            pixels = (frame.movedim(0, -1).numpy() * 255).round().astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            picture.pts = round(times[n] * 1000) if times else n
            picture.time_base = stream.codec_context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def numbers(frames):
    """Which of the greys every frame is."""
    return [round(float(frame.mean()) * 10) for frame in frames]


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".webp"])
def test_what_is_written_comes_back(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_clip(path, greys(6), 12.5)
    clip = read_clip(path)
    assert (clip.size, clip.frame_size, clip.notes) == ((H, W), (H, W), [])
    assert clip.fps == pytest.approx(12.5)
    assert numbers(clip.frames) == [1, 2, 3, 4, 5, 6] == numbers(clip.frames)  # any number of times
    assert clip.notes == []


@pytest.mark.parametrize(
    "ending, codec, pix_fmt",
    [
        ("avi", "mpeg4", "yuv420p"),
        ("mov", "mjpeg", "yuvj420p"),
        ("mkv", "ffv1", "gray"),
        ("mkv", "ffv1", "yuv444p16le"),
        ("avi", "rawvideo", "bgr24"),
        ("mkv", "ffv1", "bgr0"),
        ("avi", "ffv1", "yuva420p"),
    ],
)
def test_any_container_and_pixel_format_is_read(tmp_path, ending, codec, pix_fmt):
    path = encode(tmp_path / f"a.{ending}", greys(4), codec=codec, pix_fmt=pix_fmt)
    clip = read_clip(path)
    assert clip.fps == 10 and numbers(clip.frames) == [1, 2, 3, 4]


def test_open_files_are_read_too(tmp_path):
    for ending in ("mp4", "webp"):
        write_clip(tmp_path / f"a.{ending}", greys(3), 10.0)
        clip = read_clip(io.BytesIO((tmp_path / f"a.{ending}").read_bytes()))
        assert numbers(clip.frames) == [1, 2, 3] == numbers(clip.frames)


def test_colours_come_back(tmp_path):
    write_clip(tmp_path / "a.mp4", [quarters()] * 2, 10.0)
    for frame in read_clip(tmp_path / "a.mp4").frames:
        inside = (
            (frame - quarters())[:, 3:9, 3:13].abs(),
            (frame - quarters())[:, 15:21, 3:13].abs(),
        )
        assert max(part.max() for part in inside) < 0.04


def display_matrix(path, a, b, c, d):
    """Write a matrix into an mp4's track header, as cameras do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


# x' = a x + c y, y' = b x + d y (ISO 14496-12, 6.2.2): the four ways to hold a phone, and mirrors.
TURNS = {
    (1, 0, 0, 1): lambda x: x,
    (0, 1, -1, 0): lambda x: x.rot90(-1, (1, 2)),  # portrait: a quarter turn clockwise
    (-1, 0, 0, -1): lambda x: x.rot90(2, (1, 2)),
    (0, -1, 1, 0): lambda x: x.rot90(1, (1, 2)),
    (-1, 0, 0, 1): lambda x: x.flip(2),
    (1, 0, 0, -1): lambda x: x.flip(1),
    (0, 1, 1, 0): lambda x: x.transpose(1, 2),
}


@pytest.mark.parametrize("matrix", TURNS)
@pytest.mark.parametrize("longest", [None, 16])
def test_a_phone_held_any_way_gives_upright_frames(tmp_path, matrix, longest):
    path = encode(tmp_path / "a.mp4", [quarters()] * 2)
    display_matrix(path, *matrix)
    upright = TURNS[matrix](quarters())
    clip = read_clip(path, longest)
    assert clip.size == tuple(upright.shape[1:])
    frame = next(clip.frames)
    assert tuple(frame.shape[1:]) == clip.frame_size
    wanted = torch.nn.functional.interpolate(upright[None], clip.frame_size, mode="area")[0]
    assert (frame - wanted).abs().mean() < 0.06
    assert (clip.still() - upright).abs().mean() < 0.06


def test_pixels_that_are_not_square_become_so(tmp_path):
    frames = [quarters()] * 2
    path = encode(tmp_path / "a.mkv", frames, sample_aspect_ratio=Fraction(3, 2))
    clip = read_clip(path)
    assert clip.size == (H, 48) and next(clip.frames).shape == (3, H, 48)


def test_more_than_eight_bits_are_kept(tmp_path):
    # A ramp of 10 bits over a tenth of the range, of which 8 bits would leave some 25 steps.
    ramp = torch.linspace(0.4, 0.5, 256).mul(65535).round().numpy().astype(np.uint16)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = 256, 4, "yuv444p10le"
        deep = np.broadcast_to(ramp[None, :, None], (4, 256, 3))
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(deep), "rgb48le")
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    row = read_clip(tmp_path / "a.mkv").still()[0, 1]
    assert len(row.unique()) > 60
    assert (row - torch.linspace(0.4, 0.5, 256)).abs().max() < 0.003


@pytest.mark.parametrize("jitter", [0, 0.012])
def test_a_constant_rate_stays_frame_by_frame(tmp_path, jitter):
    times = [n / 10 + jitter * (-1) ** n * (n > 0) for n in range(9)]
    clip = read_clip(encode(tmp_path / "a.mkv", greys(9), times, "ffv1"), fps=10.0)
    assert numbers(clip.frames) == list(range(1, 10)) and clip.notes == []


def test_a_varying_rate_is_resampled_to_the_nearest_in_time_and_said(tmp_path):
    times = [0, 0.1, 0.2, 0.63, 0.71, 0.74, 0.8]
    clip = read_clip(encode(tmp_path / "a.mkv", greys(7), times, "ffv1"), fps=10.0)
    # At 0.3 and 0.4 the third frame is nearest; at 0.5 and 0.6 the fourth; the sixth never.
    assert numbers(clip.frames) == [1, 2, 3, 3, 3, 4, 4, 5, 7]
    assert clip.notes == ["Resampled to 10 fps by its time stamps: 3 frames repeated, 1 left out."]


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_an_animations_own_durations_count(tmp_path, name):
    pictures = [Image.new("RGB", (W, H), (n * 51,) * 3) for n in (1, 3, 5)]
    lossless = {"lossless": True} if name == "a.webp" else {}
    times = [100, 300, 100]
    pictures[0].save(
        tmp_path / name, save_all=True, append_images=pictures[1:], duration=times, **lossless
    )
    clip = read_clip(tmp_path / name, fps=10.0)
    # Pictures at 0, 0.1 and 0.4 s: 0.3 is nearest to the last.
    assert [round(float(f.mean()) * 5) for f in clip.frames] == [1, 3, 3, 5, 5]


def test_another_rate_and_start_can_be_asked_for(tmp_path):
    path = encode(tmp_path / "a.avi", greys(9))
    assert numbers(read_clip(path, fps=5.0).frames) == [1, 3, 5, 7, 9]
    assert numbers(read_clip(path, start_s=0.4).frames) == [5, 6, 7, 8, 9]
    assert list(read_clip(path, start_s=3.0).frames) == []


def test_any_frame_can_be_had_at_full_size(tmp_path):
    clip = read_clip(encode(tmp_path / "a.avi", greys(5)), longest_side=8, start_s=0.1)
    assert clip.frame_size == (6, 8) and next(clip.frames).shape == (3, 6, 8)
    assert numbers([clip.still(), clip.still(2)]) == [2, 4] and clip.still(2).shape == (3, H, W)
    with pytest.raises(ValueError, match="a frame 4 in 'a.avi', which ends before"):
        clip.still(4)


def test_4k_is_scaled_while_it_is_read(tmp_path):
    path = encode(tmp_path / "a.mp4", [quarters(2160, 3840)] * 2, codec="libx264", colorspace=5)
    clip = read_clip(path, longest_side=256)
    frames = list(clip.frames)
    assert clip.size == (2160, 3840) and [f.shape for f in frames] == [(3, 144, 256)] * 2
    assert (frames[0] - quarters(144, 256)).abs().mean() < 0.02


def test_a_limit_on_frames_is_kept_and_said(tmp_path):
    clip = read_clip(encode(tmp_path / "a.avi", greys(9)), most_frames=4)
    assert numbers(clip.frames) == [1, 2, 3, 4]
    assert clip.notes == ["Only its first 4 frames were read."]


def test_a_time_stamp_in_a_million_seconds_does_not_make_a_million_frames(tmp_path):
    path = encode(tmp_path / "a.mkv", greys(4), [0, 0.1, 0.2, 1e6], "ffv1")
    clip = read_clip(path, fps=10.0)
    assert numbers(clip.frames) == [1, 2, 3]
    assert clip.notes == ["Its time stamps jump by 1e+06 s: read up to there."]


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_what_breaks_off_is_read_as_far_as_it_goes(tmp_path, ending, rng):
    frames = [torch.rand(3, H, W, generator=rng) for _ in range(40)]
    path = tmp_path / f"a{ending}"
    write_clip(path, frames, 10.0)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.6 * len(data))])
    clip = read_clip(path)
    count = sum(1 for _ in clip.frames)
    assert 5 < count < 36
    if ending != ".gif":  # a gif does not say how long it should be
        assert any("breaks off" in note or "damaged" in note for note in clip.notes), clip.notes


def test_an_index_that_was_never_written_is_refused(tmp_path):
    path = encode(tmp_path / "a.mov", greys(30))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    with pytest.raises(ValueError, match="'a.mov' is not a video that can be read"):
        read_clip(path)


@pytest.mark.parametrize("content", [b"", b"hello " * 500, b"RIFF1234WEBPgarbage", b"GIF89a"])
def test_what_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match="'a.mp4' (is not a|has no)"):
        read_clip(tmp_path / "a.mp4")


def test_a_list_of_other_files_is_refused(tmp_path):
    encode(tmp_path / "a.mp4", greys(3))
    for text in (
        "ffconcat version 1.0\nfile a.mp4\n",
        "#EXTM3U\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n",
    ):
        (tmp_path / "b.mp4").write_text(text)
        with pytest.raises(ValueError, match="'b.mp4' is not a video"):
            read_clip(tmp_path / "b.mp4")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found no file at '.*nowhere.mp4'"):
        read_clip(tmp_path / "nowhere.mp4")


def test_sound_alone_is_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    with pytest.raises(ValueError, match="'a.wav' has sound but no picture. Expected a video."):
        read_clip(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "name, size, sentence",
    [
        ("a.gif", 9000, "is 9000x9000, more than the 67 million pixels"),
        ("a.gif", 60000, "not a video that can be read"),
        ("a.webp", 9000, "is 9000x9000, more than the 67 million pixels"),
        ("a.webp", 16000, "not a webp that can be read: .*bomb"),
    ],
)
def test_an_absurd_size_is_refused_before_it_is_decoded(tmp_path, name, size, sentence):
    write_clip(tmp_path / name, greys(2), 10.0)
    data = bytearray((tmp_path / name).read_bytes())
    if name == "a.gif":
        data[6:10] = struct.pack("<2H", size, size)
    else:  # width and height of the canvas less one, 24 bits each
        at = data.index(b"VP8X") + 12
        data[at : at + 6] = (size - 1).to_bytes(3, "little") * 2
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=sentence):
        read_clip(tmp_path / name)


def test_a_size_that_only_the_frames_tell_is_refused_too(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", greys(2, 48, 64))
    monkeypatch.setattr(clips, "MAX_PIXELS", 48 * 64 - 1)
    monkeypatch.setattr(clips, "_check_size", lambda *args: None)
    with pytest.raises(ValueError, match="'a.mp4' is not a video that can be read"):
        read_clip(path)


def test_one_frame_is_a_clip_of_one_frame(tmp_path):
    Image.new("RGB", (W, H)).save(tmp_path / "a.gif")
    assert len(list(read_clip(tmp_path / "a.gif").frames)) == 1
    assert len(list(read_clip(encode(tmp_path / "a.mp4", greys(1))).frames)) == 1


def test_nonsense_for_a_rate_is_refused(tmp_path):
    path = encode(tmp_path / "a.mp4", greys(2))
    with pytest.raises(ValueError, match="'a.mp4' tells no frame rate .*1e\\+06 fps"):
        read_clip(path, fps=1e6)


def test_hdr_is_said(tmp_path):
    path = encode(tmp_path / "a.mkv", greys(2), codec="ffv1", pix_fmt="yuv420p10le", color_trc=16)
    if not hasattr(av.VideoFrame(), "color_trc"):
        pytest.skip("this PyAV does not tell")
    assert "HDR" in read_clip(path).notes[0]


def gif(path, delays_cs):
    """A gif of frames told apart by their grey, with delays as they are stored."""
    pictures = [Image.new("L", (W, H), 8 * n + 4) for n in range(len(delays_cs))]
    later = pictures[1:]
    pictures[0].save(path, save_all=True, append_images=later, duration=20, loop=0)
    data = bytearray(path.read_bytes())
    at = -1
    for delay in delays_cs:
        at = data.index(b"\x21\xf9\x04", at + 1)
        data[at + 4 : at + 6] = struct.pack("<H", delay)
    path.write_bytes(data)
    return path


def webp(path, delays_ms):
    pictures = [Image.new("L", (W, H), 8 * n + 4) for n in range(len(delays_ms))]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=delays_ms, lossless=True
    )
    return path


def order(frames):
    """Which of the greys of `gif` and `webp` every frame is."""
    return [round((float(frame.mean()) * 255 - 4) / 8) for frame in frames]


@pytest.mark.parametrize(
    "delays_cs, fps",
    [
        ([3, 4, 3] * 4, 30),
        ([7, 6, 7] * 4, 15),
        ([4, 4, 4, 4, 5] * 3, 24),
        ([2] * 9, 50),
        ([5] * 7, 20),
    ],
)
def test_every_frame_of_a_gif_comes_once_at_its_average_rate(tmp_path, delays_cs, fps):
    clip = read_clip(gif(tmp_path / "a.gif", delays_cs))
    count = len(delays_cs)
    assert clip.fps == pytest.approx((count - 1) / (sum(delays_cs[:-1]) / 100))
    assert clip.fps == pytest.approx(fps, rel=0.06)
    assert order(clip.frames) == list(range(count)) and clip.notes == []


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_every_frame_of_an_animated_avif_is_read(tmp_path):
    greys = [Image.new("L", (32, 16), 20 + 30 * i).convert("RGB") for i in range(6)]
    path = tmp_path / "a.avif"
    greys[0].save(path, save_all=True, append_images=greys[1:], duration=40)
    clip = read_clip(path)
    levels = [float(frame.mean()) * 255 for frame in clip.frames]
    assert clip.fps == pytest.approx(25)
    assert levels == pytest.approx([20 + 30 * i for i in range(6)], abs=3)


@pytest.mark.parametrize("delay", [0, 1])
def test_delays_too_short_for_browsers_last_a_tenth_of_a_second(tmp_path, delay):
    clip = read_clip(gif(tmp_path / "a.gif", [delay] * 5))
    assert clip.fps == pytest.approx(10) and order(clip.frames) == list(range(5))
    clip = read_clip(webp(tmp_path / "a.webp", [10 * delay] * 5))
    assert clip.fps == pytest.approx(10) and order(clip.frames) == list(range(5))


@pytest.mark.parametrize("delays_ms", [[33, 34, 33] * 4, [66, 67, 67] * 3, [11, 12] * 5])
def test_every_frame_of_a_webp_comes_once_at_its_average_rate(tmp_path, delays_ms):
    clip = read_clip(webp(tmp_path / "a.webp", delays_ms))
    count = len(delays_ms)
    assert clip.fps == pytest.approx((count - 1) / (sum(delays_ms[:-1]) / 1000))
    assert order(clip.frames) == list(range(count)) and clip.notes == []


@pytest.mark.parametrize("fps", [30.0, 15.0, 24.0, 12.5, 30000 / 1001, 50.0])
@pytest.mark.parametrize("ending", [".gif", ".webp", ".webm", ".mp4"])
def test_our_own_clips_keep_their_rate(tmp_path, ending, fps):
    pictures = greys(9)
    for picture in pictures:  # the palette of a gif is its first frame's
        picture[:, :, :9] = torch.arange(1, 10) / 10
    write_clip(tmp_path / f"a{ending}", pictures, fps)
    clip = read_clip(tmp_path / f"a{ending}")
    # Nine frames of a gif tell their rate to 1 cs in eight frames.
    assert clip.fps == pytest.approx(fps, rel=0.0101 / (8 / fps) if ending == ".gif" else 5e-3)
    shown = [frame[:, :, 12:] for frame in clip.frames]
    assert numbers(shown) == list(range(1, 10)) and clip.notes == []


@pytest.mark.parametrize("ending", ["flv", "mkv"])
def test_rates_that_milliseconds_round_are_averages(tmp_path, ending):
    times = [round(n / 30, 3) for n in range(24)]
    codec = {"flv": "flv1", "mkv": "ffv1"}[ending]
    path = encode(tmp_path / f"a.{ending}", greys(9) + greys(9) + greys(6), times, codec, rate=30)
    clip = read_clip(path)
    assert clip.fps == pytest.approx(30, rel=0.01) and len(list(clip.frames)) == 24


def test_a_clip_of_varying_rate_has_its_average(tmp_path):
    # The header says 10; seven frames take 1.6 s.
    times = [0, 0.1, 0.2, 0.7, 1.2, 1.5, 1.6]
    clip = read_clip(encode(tmp_path / "a.mkv", greys(7), times, "ffv1"))
    assert clip.fps == pytest.approx(6 / 1.6)
    assert "Resampled to 3.75 fps" in (list(clip.frames), clip.notes)[1][0]


@pytest.mark.parametrize("height, matrix", [(480, 5), (576, 5), (718, 5), (720, 1), (1080, 1)])
@pytest.mark.parametrize("stated", [True, False])
def test_a_clip_that_states_no_matrix_looks_as_in_browsers(tmp_path, height, matrix, stated):
    # (0.8, 0.2, 0.3) by BT.601 or BT.709, limited range, from their definitions.
    kr, kb = {5: (0.299, 0.114), 1: (0.2126, 0.0722)}[matrix]
    red, green, blue = 0.8, 0.2, 0.3
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = [16 + 219 * luma]
    planes += [128 + 112 * (blue - luma) / (1 - kb), 128 + 112 * (red - luma) / (1 - kr)]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv444p"
        if stated:
            stream.codec_context.colorspace = matrix
        pixels = np.stack([np.full((height, 64), round(plane), np.uint8) for plane in planes])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "yuv444p")))
        container.mux(stream.encode())
    colour = read_clip(tmp_path / "a.mkv").still().mean((1, 2))
    assert colour.tolist() == pytest.approx([red, green, blue], abs=0.015)


def see_through(count=3):
    """Frames with green that is removed on the right, and half there on the left."""
    frame = torch.tensor([0.0, 1, 0, 0]).view(4, 1, 1).expand(4, H, W).clone()
    frame[:, :, : W // 2] = torch.tensor([0.8, 0.3, 0.2, 0.5]).view(4, 1, 1)
    return [frame] * count


@pytest.mark.parametrize("ending", [".webm", ".webp"])
def test_transparent_clips_are_shown_over_white_and_said(tmp_path, ending):
    write_clip(tmp_path / f"a{ending}", see_through(), 10.0)
    clip = read_clip(tmp_path / f"a{ending}")
    assert clip.notes == ["It is transparent: its frames are shown over white."]
    for frame in clip.frames:
        assert frame[:, 4:20, W // 2 + 4 :].min() > 0.95
        inside = frame[:, 4:20, 4 : W // 2 - 4].mean((1, 2))
        assert inside.tolist() == pytest.approx([0.9, 0.65, 0.6], abs=0.04)


def test_a_transparent_gif_and_more_than_eight_bits_are_shown_over_white(tmp_path):
    picture = Image.new("P", (W, H), 0)
    picture.putpalette([0, 255, 0, 255, 0, 0])
    picture.paste(1, (0, 0, W // 2, H))
    later = [picture.copy()]
    picture.save(tmp_path / "a.gif", save_all=True, append_images=later, transparency=0, disposal=2)
    deep = np.zeros((H, W, 4), np.uint16)
    deep[..., 1], deep[:, : W // 2] = 65535, (65535, 0, 0, 65535)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 10)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuva444p10le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(deep, "rgba64le")))
        container.mux(stream.encode())
    for name in ("a.gif", "a.mkv"):
        clip = read_clip(tmp_path / name)
        assert any("over white" in note for note in clip.notes)
        frame = clip.still()
        assert frame[:, :, W // 2 + 1 :].min() > 0.98
        assert frame[:, :, 1 : W // 2 - 1].mean((1, 2)).tolist() == pytest.approx(
            [1, 0, 0], abs=0.02
        )


def test_opaque_alpha_changes_nothing(tmp_path):
    path = encode(tmp_path / "a.avi", greys(4), codec="ffv1", pix_fmt="yuva420p")
    assert read_clip(path).notes == []


def test_interlaced_clips_are_said(tmp_path):
    with av.open(str(tmp_path / "a.mpg"), "w") as container:
        stream = container.add_stream("mpeg2video", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"flags": "+ildct+ilme", "top": "1"}
        for n in range(6):
            picture = np.full((48, 64, 3), 30 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    clip = read_clip(tmp_path / "a.mpg")
    assert any("interlaced" in note and "Deinterlace" in note for note in clip.notes)
    assert not any("interlaced" in n for n in read_clip(encode(tmp_path / "b.mkv", greys(3))).notes)


def test_tags_of_any_encoding_are_no_fault(tmp_path):
    path = encode(tmp_path / "a.avi", greys(3))
    data = path.read_bytes()
    at = data.index(b"Lavf")
    path.write_bytes(data[:at] + b"\xe9t\xe9 " + data[at + 4 :])  # in Latin-1
    assert numbers(read_clip(path).frames) == [1, 2, 3]


def test_a_codec_that_nobody_knows_is_a_sentence(tmp_path):
    path = encode(tmp_path / "a.mkv", greys(3))
    data = path.read_bytes()
    codec = b"V_MPEG4/ISO/ASP"
    assert codec in data
    path.write_bytes(data.replace(codec, b"V_XXXX4/ISO/ASP"))
    with pytest.raises(ValueError, match="'a.mkv' is in a codec that is not known here. Save it"):
        read_clip(path)
