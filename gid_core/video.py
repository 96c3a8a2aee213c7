"""Stills in, clips out, one frame in memory at a time.

Law: a clip is written beside its place and moved there whole; an interrupted encode leaves nothing.

Convention: frames are rgb or rgba in [0, 1]; video is tagged bt709, limited range.
"""

import errno
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from .checkpoint import written_whole
from .shapes import Float, Tensor

CONTAINERS = (".mp4", ".webm", ".webp", ".gif")
# A loop's wrap is a keyframe beside a predicted frame. One quantizer for both kinds, and no
# lookahead that spends bits on what is predicted from: then the wrap shows no pulse.
X264 = {
    "preset": "veryfast",
    "crf": "17",
    "x264-params": "ipratio=1:pbratio=1:mbtree=0:scenecut=0:keyint=infinite:aq-mode=1",
}


def read_still(path: str | Path) -> Float[Tensor, "c h w"]:
    """Read a picture, upright as its EXIF says, as rgb or rgba.

    Raises:
        ValueError: If there is no such file, or it is not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Expected a picture, found no file at {str(path)!r}.")
    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture)
            alpha = "A" in picture.getbands() or "transparency" in picture.info
            pixels = np.array(picture.convert("RGBA" if alpha else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error) as error:
        raise ValueError(f"{path.name!r} is not a readable picture: {error}.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path.name!r} is too large: {error}. Scale it down first.") from error
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").float() / 255


def read_mask(path: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a mask: white moves. A picture with transparency counts by its opacity times its grey."""
    pixels = read_still(path)
    grey = pixels[:3].mean(0, keepdim=True)
    return grey * pixels[3:] if len(pixels) == 4 else grey


def to_bytes(frame: Float[Tensor, "c h w"]) -> np.ndarray:
    """A frame as h w c bytes."""
    scaled = (frame.clamp(0, 1) * 255).round().to(torch.uint8)
    return rearrange(scaled, "c h w -> h w c").contiguous().cpu().numpy()


def write_clip(path: str | Path, frames: Iterable[Float[Tensor, "c h w"]], fps: float) -> None:
    """Encode frames as they come, by the file name's ending.

    mp4: H.264; webm: VP9, with transparency if the frames have it; webp, gif: endless animations,
    in webp with transparency. Odd sizes grow by a repeated row or column in mp4 and webm.

    Raises:
        ValueError: If the ending is unknown, or the place cannot be written to.
    """
    path = Path(path)
    check_clip_path(path)
    with written_whole(path) as temporary:
        try:
            encode_clip(str(temporary), frames, fps, path.suffix.lower())
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise ValueError(
                    f"The disk is full: {str(path)!r} could not be written. Nothing was left behind."
                ) from error
            raise ValueError(f"Could not write {str(path)!r}: {error}.") from error


def check_clip_path(path: Path) -> None:
    """Refuse an ending no encoder is known for, before anything is computed."""
    if path.suffix.lower() not in CONTAINERS:
        raise ValueError(
            f"Expected a file name ending in {', '.join(CONTAINERS)}, got {path.name!r}."
        )


def encode_clip(
    file, frames, fps: float, suffix: str, metadata: dict[str, str] | None = None
) -> None:
    """Encode into an open file or path; see `write_clip`."""
    encode = {".webp": _encode_webp, ".gif": _encode_gif}.get(suffix, _encode_video)
    encode(file, iter(frames), fps, suffix, metadata or {})


def _encode_video(file, frames, fps, suffix, metadata):
    import av
    from av.video.reformatter import ColorRange, Colorspace

    webm = suffix == ".webm"
    options = {"movflags": "use_metadata_tags+faststart"} if not webm else {}
    with av.open(file, "w", format=suffix[1:], options=options) as container:
        container.metadata.update(metadata)
        stream = None
        for frame in frames:
            pixels = to_bytes(frame)
            pixels = np.pad(pixels, [(0, n % 2) for n in pixels.shape[:2]] + [(0, 0)], "edge")
            alpha = pixels.shape[2] == 4 and webm
            if stream is None:
                rate = Fraction(fps).limit_denominator(1001 * 60)
                stream = container.add_stream("libvpx-vp9" if webm else "libx264", rate)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuva420p" if alpha else "yuv420p"
                vp9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
                stream.options = vp9 if webm else X264
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = 1  # bt709
                context.color_range = 1  # limited
            source = np.ascontiguousarray(pixels if alpha else pixels[..., :3])
            picture = av.VideoFrame.from_ndarray(source, "rgba" if alpha else "rgb24")
            picture = picture.reformat(
                format=stream.pix_fmt,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode())


def _encode_webp(file, frames, fps, suffix, metadata):
    from PIL import Image

    pictures = (Image.fromarray(to_bytes(frame)) for frame in frames)
    first = next(pictures)
    first.save(
        file, "WEBP", save_all=True, append_images=pictures, loop=0, quality=85, method=2,
        duration=round(1000 / fps),
    )  # fmt: skip


def _encode_gif(file, frames, fps, suffix, metadata):
    import av
    from PIL import Image

    first = Image.fromarray(to_bytes(next(frames))[..., :3])
    # One palette for the whole clip: colours that change from frame to frame would shimmer.
    palette = first.quantize(256, Image.Quantize.MEDIANCUT)
    colours = np.zeros((256, 4), np.uint8)
    used = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colours[: len(used), 0], colours[: len(used), 1:] = 255, used
    with av.open(file, "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = first.size
        stream.pix_fmt = "pal8"

        def pictures():
            yield first
            for frame in frames:
                yield Image.fromarray(to_bytes(frame)[..., :3])

        for picture in pictures():
            indices = picture.quantize(palette=palette, dither=Image.Dither.NONE)
            encoded = av.VideoFrame.from_ndarray((np.array(indices), colours), "pal8")
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())
