"""Clips on disk: frames are encoded as they come, one in memory at a time.

Law: a clip is written to a temporary file and then moved; an interrupted encode leaves nothing.

Convention: frames are grey, rgb or rgba in [0, 1]; video is tagged bt709, limited range. Formats
without transparency (mp4, gif) show rgba over a background colour, white unless another is given.
The others store no colour of pixels that are wholly transparent, since some players ignore alpha.

Browsers show a frame of a gif for 2 cs at least, and one of a webp for 11 ms: shorter ones take
100 ms. Above these rates every second, third, ... frame is written, so that time stays right.
Source: Chromium, third_party/blink/renderer/platform/graphics/bitmap_image.cc.
"""

import json
import math
from collections.abc import Iterable
from contextlib import nullcontext
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from ..shapes import Float, Tensor
from .paths import check_ending
from .stills import to_bytes
from .whole import written_whole

CONTAINERS = (".mp4", ".webm", ".webp", ".gif")
OPAQUE = (".mp4", ".gif")
WHITE = (1.0, 1.0, 1.0)
CONTAINER_NAMES = {".mkv": "matroska"}  # of FFmpeg, where they are not the ending
MAX_FPS = {".gif": 50, ".webp": 90}
MIN_FPS = 1e-3  # below it, encoders count no more
# At the wrap of a loop a keyframe follows a predicted frame. The keyframe is quantized more finely
# than predicted frames. So predicted frames have nothing to add where nothing moves: such areas are
# copies of the keyframe, and the wrap shows no pulse there.
X264 = {
    "preset": "veryfast",
    "crf": "17",
    "x264-params": "ipratio=2:pbratio=1:mbtree=0:scenecut=0:keyint=infinite:aq-mode=0",
}
VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
CODECS = {  # by ending: encoder, pixels without and with alpha, options of the encoder
    ".mp4": ("libx264", ("yuv420p", "yuv420p"), X264),
    ".webm": ("libvpx-vp9", ("yuv420p", "yuva420p"), VP9),
    ".webp": ("libwebp_anim", ("bgra", "bgra"), {"quality": "85", "compression_level": "2"}),
}


def write_clip(
    path: str | Path,
    frames: Iterable[Float[Tensor, "c h w"]],
    fps: float,
    background: tuple[float, float, float] = WHITE,
) -> None:
    """Encode frames as they come, in the format of the file name's ending.

    mp4: H.264. webm: VP9, with alpha if the frames have it. webp and gif: animations that repeat
    for ever, webp with alpha. In mp4 and webm an odd size grows by a repeated row or column.

    Raises:
        ValueError: If the ending is unknown, or the path cannot be written to.
    """
    path = Path(path)
    check_clip_path(path)
    save_clip(path, frames, fps, path.suffix.lower(), background=background)


def save_clip(
    file: str | Path | BinaryIO,
    frames: Iterable[Float[Tensor, "c h w"]],
    fps: float,
    suffix: str,
    tags: dict[str, str] | None = None,
    crf: float | None = None,
    background: tuple[float, float, float] = WHITE,
) -> None:
    """Encode into a path, which gets the complete clip or nothing, or into an open file.

    Args:
        tags: Metadata of the container (mp4, webm).
        crf: Quality of H.264 and VP9, smaller is better; None for the default.
        background: Red, green and blue behind rgba frames, where the format has no alpha.
    """
    encode = _encode_gif if suffix == ".gif" else _encode_video
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"Expected at least one frame to write to {str(file)!r}, got none.")
    if not fps >= MIN_FPS:
        raise ValueError(f"Expected {MIN_FPS:g} frames per second or more, got {fps:g}.")
    step = frame_step(suffix, fps)
    frames, fps = islice(chain([first], frames), 0, None, step), fps / step
    shown = over if suffix in OPAQUE else hide_transparent
    frames = (shown(frame, background) for frame in frames)
    if not isinstance(file, str | Path):
        encode(file, frames, fps, suffix, tags or {}, crf)
        return
    from av.error import FFmpegError

    with written_whole(Path(file), suffix) as temporary:
        try:
            encode(str(temporary), frames, fps, suffix, tags or {}, crf)
        except FFmpegError as error:
            if isinstance(error, OSError):  # of the disk or the folder, not of the encoder
                raise
            height, width = first.shape[-2:]
            raise ValueError(
                f"The {suffix} encoder refuses {width}x{height} at {fps:g} frames per second: "
                f"{error.strerror}. Use another size, rate or format. Nothing was left behind."
            ) from error


def copy_clip(
    source: str | Path, file: str | Path | BinaryIO, suffix: str, tags: dict[str, str]
) -> None:
    """Copy a clip with other metadata. Nothing is decoded: every frame keeps its bits and its time.

    Args:
        file: A path, which gets the complete clip or nothing, or an open file.
        suffix: The container of the copy, which has to know the codec of the source.
        tags: Metadata of the container, in place of the source's.
    """
    if not isinstance(file, str | Path):
        _copy_packets(source, file, suffix, tags)
        return
    with written_whole(Path(file), suffix) as temporary:
        _copy_packets(source, str(temporary), suffix, tags)


def frame_step(suffix: str, fps: float) -> int:
    """Of how many frames one is written, so that the clip plays as long as it should."""
    return math.ceil(fps / MAX_FPS[suffix]) if suffix in MAX_FPS else 1


def format_notes(suffix: str, fps: float, transparent: bool) -> list[str]:
    """What a format cannot keep of a clip, in sentences for the user."""
    found, step = [], frame_step(suffix, fps)
    if step > 1:
        found.append(
            f"players show {suffix} at {MAX_FPS[suffix]} frames per second at most: one of {step} "
            "frames is written"
        )
    if transparent and suffix in OPAQUE:
        found.append(
            f"{suffix} has no transparency: frames are shown over a background colour "
            "(--background); .webm and .webp stay transparent"
        )
    return found


def over(
    frame: Float[Tensor, "c h w"], background: tuple[float, float, float]
) -> Float[Tensor, "c2 h w"]:
    """An rgba frame composited over a colour; others as they are."""
    if len(frame) < 4:
        return frame
    alpha = frame[3:].clamp(0, 1)
    behind = frame.new_tensor(background).view(3, 1, 1)
    return frame[:3] * alpha + behind * (1 - alpha)


def hide_transparent(
    frame: Float[Tensor, "c h w"], background: tuple[float, float, float]
) -> Float[Tensor, "c h w"]:
    """Replace the colours of rgba pixels whose alpha is 0; other frames as they are.

    Within 2 px of a visible pixel they get its colour, so that chroma that is stored at half
    resolution draws no rim around it; elsewhere the background colour.
    """
    hidden = frame[3:] < 0.5 / 255
    if not bool(hidden.any()):
        return frame
    visible = frame[3:].clamp(0, 1) * ~hidden
    near = avg_pool2d(torch.cat([frame[:3] * visible, visible])[None], 5, 1, 2)[0]
    behind = frame.new_tensor(background).view(3, 1, 1)
    colour = torch.where(near[3:] > 0, near[:3] / near[3:].clamp(min=1e-6), behind)
    return torch.cat([torch.where(hidden, colour, frame[:3]), frame[3:]])


def as_tag(value) -> str:
    """Metadata as text: JSON, unless it is text already."""
    return value if isinstance(value, str) else json.dumps(value)


def check_clip_path(path: Path) -> None:
    """Refuse an unknown ending, before anything is computed.

    Raises:
        ValueError: If no encoder is known for the ending.
    """
    check_ending(path, CONTAINERS)


def as_picture(frame: Float[Tensor, "c h w"], pix_fmt: str, even: int = 2):
    """A frame for an encoder: sides are multiples of `even`; bt709, limited range."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    pixels = to_bytes(frame)
    pixels = np.pad(pixels, [(0, n % even) for n in pixels.shape[:2]] + [(0, 0)], "edge")
    alpha = "a" in pix_fmt and pixels.shape[2] == 4
    source = np.ascontiguousarray(pixels if alpha else pixels[..., :3])
    picture = av.VideoFrame.from_ndarray(source, "rgba" if alpha else "rgb24")
    if pix_fmt == "bgra":  # webp: its encoder converts the colours
        return picture.reformat(format=pix_fmt)
    return picture.reformat(
        format=pix_fmt,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


def _encode_video(file, frames, fps, suffix, tags, crf):
    """Encode mp4, webm or webp: one stream, frames as they come."""
    import av

    codec, pix_fmts, options = CODECS[suffix]
    with av.open(file, "w", format=suffix[1:], options=_muxing(file, suffix)) as container:
        container.metadata.update(tags)
        stream, alpha = None, False
        for frame in frames:
            alpha = alpha or len(frame) == 4
            if stream is None:
                stream = container.add_stream(codec, _rate(fps))
                even = 1 if suffix == ".webp" else 2
                stream.height, stream.width = (n + n % even for n in frame.shape[-2:])
                stream.pix_fmt = pix_fmts[len(frame) == 4]
                stream.options = options if crf is None else options | {"crf": f"{crf:g}"}
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = 1  # bt709
                context.color_range = 1  # limited
            container.mux(stream.encode(as_picture(frame, stream.pix_fmt, even)))
        container.mux(stream.encode())
    if suffix == ".webp" and alpha:
        _flag_alpha(file)


def _flag_alpha(webp):
    """Set the alpha flag of an animated webp (VP8X chunk, RFC 9649, 2.7).

    The encoder leaves it out if all visible pixels fit into frames smaller than the canvas; then
    viewers show black around them.
    """
    with open(webp, "r+b") if isinstance(webp, str) else nullcontext(webp) as file:
        file.seek(0)
        head = file.read(21)
        if head[12:16] == b"VP8X":
            file.seek(20)
            file.write(bytes([head[20] | 0x10]))
        file.seek(0, 2)


def _copy_packets(source, file, suffix, tags):
    """Copy the video stream of a clip into a container with tags."""
    import av

    kind = CONTAINER_NAMES.get(suffix, suffix[1:])
    with (
        av.open(str(source)) as read,
        av.open(file, "w", format=kind, options=_muxing(file, suffix)) as container,
    ):
        container.metadata.update(tags)
        stream = container.add_stream_from_template(read.streams.video[0], opaque=True)
        stream.metadata.update(read.streams.video[0].metadata)
        for packet in read.demux(read.streams.video[0]):
            if packet.size:  # the last one is empty; not every container gives a dts
                packet.stream = stream
                container.mux(packet)


def _muxing(file, suffix):
    """Options of a container. Faststart reopens the file, which needs a name."""
    if suffix == ".mp4":
        start = "+faststart" if isinstance(file, str) else ""
        return {"movflags": "use_metadata_tags" + start}
    return {"loop": "0"} if suffix == ".webp" else {}


def _encode_gif(file, frames, fps, suffix, tags, crf):
    import av
    from PIL import Image

    pictures = (Image.fromarray(to_bytes(frame)[..., :3]) for frame in frames)
    first = next(pictures)
    # One palette for the whole clip: colours that change from frame to frame would shimmer.
    palette = first.quantize(256, Image.Quantize.MEDIANCUT)
    colours = np.zeros((256, 4), np.uint8)
    used = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colours[: len(used), 0], colours[: len(used), 1:] = 255, used
    with av.open(file, "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", _rate(fps))
        stream.width, stream.height = first.size
        stream.pix_fmt = "pal8"
        for picture in chain([first], pictures):
            indices = picture.quantize(palette=palette, dither=Image.Dither.NONE)
            encoded = av.VideoFrame.from_ndarray((np.array(indices), colours), "pal8")
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())


def _rate(fps):
    return Fraction(fps).limit_denominator(60_060)
