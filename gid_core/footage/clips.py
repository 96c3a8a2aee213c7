"""Clips are read upright, at one frame rate, one frame in memory at a time.

Law: a clip of constant rate gives each of its frames once. Any other clip gives, at every tick of
the rate, the frame that is nearest in time. Its rate is its average: (frames - 1) / (last - first).
A clip that breaks off is read up to there, with a note.

Convention: frames are rgb in [0, 1]. Sizes are (height, width) as shown, after the picture was
turned upright and its pixels were made square. Animated pictures last as in browsers (`timing`).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from io import IOBase
from itertools import islice
from pathlib import Path

import numpy as np

from ..shapes import Float, Tensor
from ..still.grid import grid_size
from . import frames, timing

CLIP_SUFFIXES = tuple(
    ".mp4 .m4v .mov .webm .mkv .avi .gif .webp .mpg .mpeg .ts .wmv .3gp .ogv .flv .mxf".split()
)
MAX_PIXELS = 2**26  # of a frame: 8K video has half as many
MAX_FRAMES = 20_000
MAX_SHOWN = 300  # letters of a path in a message
RATES = (0.1, 1000.0)  # plausible frames per second
PROBED = 600  # frames whose time stamps are compared with the rate that a header states
# Containers of pictures and sound that refer to no other file or address.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,ogg,mpegts,mpeg,mpegvideo,flv,asf,m4v,h264,hevc,"
    "ivf,nut,mxf,dv,yuv4mpegpipe,apng,mp3,wav,flac,aac"
)
ANIMATED = {"gif", "apng"}
HDR = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Clip:
    """A clip that can be read any number of times.

    size: (height, width) of the file; frame_size: of the frames that `frames` gives.
    notes: what a user should know; some notes are added only while frames are read.
    """

    source: Path | IOBase
    size: tuple[int, int]
    frame_size: tuple[int, int]
    fps: float
    start_s: float
    most_frames: int
    notes: list[str] = field(default_factory=list)

    @property
    def frames(self) -> Iterator[Float[Tensor, "3 h w"]]:
        """All frames from the start, decoded when they are asked for."""
        from av.video.reformatter import VideoReformatter

        scaler = VideoReformatter()  # one for all frames: its tables cost more than a frame
        return (frames.upright(picture, self.frame_size, scaler) for picture in self._ticks())

    def still(self, number: int = 0) -> Float[Tensor, "3 h w"]:
        """One of the frames at full size.

        Raises:
            ValueError: If the clip ends before it.
        """
        picture = next(islice(self._ticks(), number, None), None)
        if picture is None:
            raise ValueError(
                f"Expected a frame {number} in {_name(self.source)!r}, which ends before."
            )
        return frames.upright(picture, self.size)

    def _ticks(self):
        """At every tick of the frame rate the picture that is nearest in time."""
        notes: list[str] = []
        given = repeated = dropped = 0
        last, last_s, origin = None, 0.0, None
        with _opened(self.source, notes) as (*_, pictures):
            for time, picture in pictures:
                origin = time + self.start_s if origin is None else origin
                if last is not None and time - last_s > timing.MAX_PAUSE_S:
                    jump_s = time - last_s
                    notes.append(f"Its time stamps jump by {jump_s:.4g} s: read up to there.")
                    break
                if last is not None:
                    shown, until = 0, (last_s + time) / 2 - origin
                    while given / self.fps < until and given < self.most_frames:
                        yield last
                        given, shown = given + 1, shown + 1
                    repeated += max(0, shown - 1)
                    dropped += shown == 0 and last_s >= origin
                last, last_s = picture, time
                if given == self.most_frames:
                    notes.append(f"Only its first {given} frames were read.")
                    last = None
                    break
            while last is not None and (given - 0.5) / self.fps < last_s - origin:
                if given == self.most_frames:
                    break
                yield last
                given += 1
        if repeated + dropped > max(1, 0.01 * given):
            notes.append(
                f"Resampled to {self.fps:.6g} fps by its time stamps: {repeated} frames repeated, "
                f"{dropped} left out."
            )
        self.notes.extend(note for note in notes if note not in self.notes)


def read_clip(
    source: str | Path | IOBase,
    longest_side: int | None = None,
    fps: float | None = None,
    start_s: float = 0.0,
    most_frames: int = MAX_FRAMES,
) -> Clip:
    """Open a clip: a video of any format, an animated gif or webp.

    Args:
        longest_side: Longer side in px that frames are scaled down to while they are decoded.
        fps: Frame rate to resample to; by default the clip's own average.
        start_s: Where to begin, in seconds.
        most_frames: How many frames are read at most.

    Raises:
        ValueError: If it is no clip, has no picture, is too large, or has no plausible frame rate.
    """
    source = Path(source) if isinstance(source, str | Path) else source
    name = _name(source)
    _check_file(source)
    notes: list[str] = []
    with _opened(source, notes) as (rate, aspect, pictures):
        _, first = next(pictures, (0.0, None))
    if first is None:
        raise ValueError(f"{name!r} has no frame that can be read. Copy or save it again.")
    rate = fps or timing.average_rate(_times(source), rate) or RATES[0]
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(
            f"{name!r} tells no frame rate that can be meant ({rate:.3g} fps). Say what it is."
        )
    size = frames.shown_size(first, aspect)
    if getattr(first, "color_trc", None) in HDR:
        notes.append("It is HDR video, read without tone mapping: the colours of stills look pale.")
    if frames.is_transparent(first):
        notes.append("It is transparent: its frames are shown over white.")
    if frames.is_interlaced(first):
        notes.append(
            "It is interlaced: what moves has combed edges. Deinterlace it first, to twice the "
            "rate."
        )
    frame_size = grid_size(*size, longest_side) if longest_side else size
    return Clip(source, size, frame_size, float(rate), start_s, most_frames, notes)


@contextmanager
def _opened(source, notes):
    """(rate or None, pixel aspect ratio, iterator over (seconds, picture)) of a clip.

    Notes on what happens while it is read are added to `notes`.
    """
    from av.error import FFmpegError

    name = _name(source)
    try:
        with _webp(source, notes) if _is_webp(source) else _video(source, notes) as opened:
            yield opened
    except FFmpegError as error:
        raise ValueError(
            f"{name!r} is not a video that can be read ({error.strerror}). If it plays elsewhere, "
            "save it as mp4 or webm."
        ) from error
    except (OSError, RuntimeError, LookupError, UnicodeError, TypeError, MemoryError) as error:
        why = str(error)[:200].rstrip(".") or type(error).__name__  # decoders raise anything
        raise ValueError(
            f"{name!r} is not a video that can be read: {why}. Save it as mp4 or webm."
        ) from error


@contextmanager
def _video(source, notes):
    with _container(source) as container:
        stream = _stream(container, source)
        context = stream.codec_context
        _check_size(source, context.height, context.width)
        context.options = {"max_pixels": str(MAX_PIXELS)}
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or 0)
        rate = rate if RATES[0] <= rate <= 240 else None
        aspect = float(stream.sample_aspect_ratio or 1)
        yield rate, aspect, _decoded(container, stream, notes)


def _container(source):
    import av

    if not isinstance(source, Path):
        source.seek(0)
    file = str(source.resolve()) if isinstance(source, Path) else source
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return av.open(file, options=options, metadata_errors="replace")  # tags of any encoding


def _stream(container, source):
    """The first stream that moves: the cover picture of a record is a video stream, too, and so is
    the still in an animated AVIF."""
    streams = [s for s in container.streams.video if "attached_pic" not in str(s.disposition)]
    streams.sort(key=lambda stream: stream.frames == 1)
    if not streams:
        has = "sound but no picture" if container.streams.audio else "no picture"
        raise ValueError(f"{_name(source)!r} has {has}. Expected a video.")
    if streams[0].codec_context is None:
        raise ValueError(
            f"{_name(source)!r} is in a codec that is not known here. Save it as mp4 or webm."
        )
    return streams[0]


def _frames(container, stream):
    """Decoded frames. Alpha of webm is a second picture, which only libvpx decodes."""
    import av

    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        yield from container.decode(stream)
        return
    decoder = av.CodecContext.create(name, "r")
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    for packet in container.demux(stream):
        for frame in decoder.decode(packet):
            frame.time_base = frame.time_base or stream.time_base
            yield frame


def _times(source) -> list[float]:
    """When frames are shown, in seconds: all of an animated picture, the first of a video."""
    import av

    if _is_webp(source):
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            file.seek(0)
            return timing.webp_times(file.read())
    times: list[float] = []
    with _container(source) as container:
        stream = _stream(container, source)
        if stream.codec_context.name == "vp8":  # some of its packets are never shown
            return times
        animated = container.format.name in ANIMATED
        try:
            for packet in container.demux(stream):
                shown = packet.dts if packet.pts is None else packet.pts
                if shown is not None and packet.size and not packet.is_corrupt:
                    times.append(float(shown * packet.time_base))
                if len(times) == (MAX_FRAMES if animated else PROBED):
                    break
        except av.error.FFmpegError:
            pass  # it breaks off, as reading its frames will say
    return timing.as_browsers(times) if animated else times


def _decoded(container, stream, notes):
    """(seconds, frame) of every frame, up to the end or to where the file breaks off."""
    from av.error import FFmpegError

    count, damaged, time, stored = 0, 0, None, None
    animated = container.format.name in ANIMATED
    step = 1 / float(stream.average_rate or 25)
    try:
        for frame in _frames(container, stream):
            after = 0.0 if time is None else time + step
            if animated and stored is not None and frame.time is not None:
                time += float(timing.shown_s(frame.time - stored))
            else:
                time = after if frame.time is None else float(frame.time)
            stored = frame.time
            if frame.is_corrupt:
                damaged += 1
                continue
            yield time, frame
            count += 1
    except FFmpegError as error:
        if count == 0:
            raise
        notes.append(f"It breaks off after {count} frames: read up to there ({error.strerror}).")
        return
    if damaged:
        notes.append(f"{damaged} damaged frames were left out.")
    if stream.frames - count - damaged > max(2, 0.02 * stream.frames):
        notes.append(f"It breaks off: read {count} of {stream.frames} frames.")
    elif not stream.frames and container.duration and not container.streams.audio and count:
        seconds = container.duration / 1e6
        reached = time - (stream.start_time or 0) * stream.time_base
        if seconds - reached > max(3 * step, 0.02 * seconds):
            notes.append(f"It breaks off: read {float(reached):.2f} of {seconds:.2f} s.")


@contextmanager
def _webp(source, notes):
    """An animated webp, which ffmpeg cannot decode."""
    from PIL import Image, UnidentifiedImageError

    if not isinstance(source, Path):
        source.seek(0)
    try:
        with Image.open(source) as image:
            _check_size(source, *image.size[::-1])
            yield None, 1.0, _webp_pictures(image, notes)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{_name(source)!r} is not a webp that can be read: {error}.") from error


def _webp_pictures(image, notes):
    import av

    time = 0.0
    for number in range(getattr(image, "n_frames", 1)):
        try:
            image.seek(number)
            pixels = np.asarray(image.convert("RGBA"))
        except (OSError, EOFError, SyntaxError) as error:
            notes.append(f"It breaks off after {number} frames: read up to there ({error}).")
            return
        yield time, av.VideoFrame.from_ndarray(pixels, "rgba")
        time += float(timing.shown_s(image.info.get("duration", 0) / 1000))


def _is_webp(source):
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        file.seek(0)
        start = file.read(12)
    return start[:4] == b"RIFF" and start[8:] == b"WEBP"


def _check_file(source) -> None:
    """Refuse a path from which nothing can be read."""
    if not isinstance(source, Path):
        return
    shown = repr(str(source)[-MAX_SHOWN:])
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISREG(mode):
            source.open("rb").close()
            return
        why = ": it is a folder" if stat.S_ISDIR(mode) else ": it is a device or a pipe"
    except FileNotFoundError:
        why = ""
    except PermissionError as error:
        raise ValueError(f"Cannot read {shown}: {error.strerror}.") from error
    except (OSError, ValueError) as error:
        why = f": {getattr(error, 'strerror', None) or error}"
    raise ValueError(f"Expected a clip, found no file at {shown}{why}.")


def _check_size(source, height, width):
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{_name(source)!r} says it is {width}x{height}, more than the {MAX_PIXELS // 10**6} "
            "million pixels of any video. Scale it down first."
        )


def _name(source):
    return source.name if isinstance(source, Path) else str(getattr(source, "name", "the clip"))
