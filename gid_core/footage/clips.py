"""Clips are read upright, at one frame rate, one frame in memory at a time.

Law: a clip of constant rate gives each of its frames once. Any other clip gives, at every tick of
the rate, the frame that is nearest in time. A clip that breaks off is read up to there, with a
note.

Convention: frames are rgb in [0, 1]. Sizes are (height, width) as shown, after the picture was
turned upright and its pixels were made square.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import IOBase
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..shapes import Float, Tensor
from ..still.grid import grid_size

CLIP_SUFFIXES = tuple(
    ".mp4 .m4v .mov .webm .mkv .avi .gif .webp .mpg .mpeg .ts .wmv .3gp .ogv .flv .mxf".split()
)
MAX_PIXELS = 2**26  # of a frame: 8K video has half as many
MAX_FRAMES = 20_000
MAX_PAUSE_S = 10.0  # between two frames; longer ones mean that time stamps are broken
RATES = (0.1, 1000.0)  # plausible frames per second
PROBED = 120  # frames whose time stamps give the rate where no header states one
# Containers of pictures and sound that refer to no other file or address.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,ogg,mpegts,mpeg,mpegvideo,flv,asf,m4v,h264,hevc,"
    "ivf,nut,mxf,dv,yuv4mpegpipe,apng,mp3,wav,flac,aac"
)
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
        return (_pixels(picture, self.frame_size, scaler) for picture in self._ticks())

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
        return _pixels(picture, self.size)

    def _ticks(self):
        """At every tick of the frame rate the picture that is nearest in time."""
        notes: list[str] = []
        given = repeated = dropped = 0
        last, last_s, origin = None, 0.0, None
        with _opened(self.source, notes) as (*_, pictures):
            for time, picture in pictures:
                origin = time + self.start_s if origin is None else origin
                if last is not None and time - last_s > MAX_PAUSE_S:
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
    if isinstance(source, Path) and not source.is_file():
        raise ValueError(f"Expected a clip, found no file at {str(source)!r}.")
    notes: list[str] = []
    with _opened(source, notes) as (rate, aspect, pictures):
        times, first = [], None
        for time, picture in pictures:
            first = first or picture
            times.append(time)
            if fps or rate or len(times) == PROBED:
                break
    if first is None:
        raise ValueError(f"{name!r} has no frame that can be read. Copy or save it again.")
    steps = np.diff(times)
    rate = fps or rate or (1 / max(1e-9, float(np.median(steps))) if len(steps) else RATES[0])
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(
            f"{name!r} tells no frame rate that can be meant ({rate:.3g} fps). Say what it is."
        )
    size = _shown_size(first, aspect)
    if getattr(first, "color_trc", None) in HDR:
        notes.append("It is HDR video, read without tone mapping: the colours of stills look pale.")
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


@contextmanager
def _video(source, notes):
    import av

    if not isinstance(source, Path):
        source.seek(0)
    file = str(source.resolve()) if isinstance(source, Path) else source
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    with av.open(file, options=options) as container:
        # The cover picture of a record is a video stream, too.
        streams = [s for s in container.streams.video if "attached_pic" not in str(s.disposition)]
        if not streams:
            has = "sound but no picture" if container.streams.audio else "no picture"
            raise ValueError(f"{_name(source)!r} has {has}. Expected a video.")
        context = streams[0].codec_context
        _check_size(source, context.height, context.width)
        context.options = {"max_pixels": str(MAX_PIXELS)}
        streams[0].thread_type = "AUTO"
        rate = float(streams[0].average_rate or 0)
        rate = rate if RATES[0] <= rate <= 240 else None
        aspect = float(streams[0].sample_aspect_ratio or 1)
        yield rate, aspect, _decoded(container, streams[0], notes)


def _decoded(container, stream, notes):
    """(seconds, frame) of every frame, up to the end or to where the file breaks off."""
    from av.error import FFmpegError

    count, damaged, time = 0, 0, None
    step = 1 / float(stream.average_rate or 25)
    try:
        for frame in container.decode(stream):
            after = 0.0 if time is None else time + step
            time = after if frame.time is None else float(frame.time)
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
            pixels = image.convert("RGB")
        except (OSError, EOFError, SyntaxError) as error:
            notes.append(f"It breaks off after {number} frames: read up to there ({error}).")
            return
        yield time, av.VideoFrame.from_image(pixels)
        time += max(1, image.info.get("duration", 100)) / 1000


def _is_webp(source):
    if isinstance(source, Path):
        with source.open("rb") as file:
            start = file.read(12)
    else:
        source.seek(0)
        start = source.read(12)
    return start[:4] == b"RIFF" and start[8:] == b"WEBP"


def _check_size(source, height, width):
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{_name(source)!r} says it is {width}x{height}, more than the {MAX_PIXELS // 10**6} "
            "million pixels of any video. Scale it down first."
        )


def _pixels(frame, size, scaler=None) -> Float[Tensor, "3 h w"]:
    """A frame upright at a size, with all its bits."""
    turned, left, up = _turn(frame)
    height, width = reversed(size) if turned else size
    deep = max(component.bits for component in frame.format.components) > 8
    kernel = "AREA" if height * width < frame.height * frame.width else "BICUBIC"
    form = "rgb48le" if deep else "rgb24"
    if scaler is None:
        picture = frame.reformat(width, height, form, interpolation=kernel)
    else:
        picture = scaler.reformat(frame, width, height, form, interpolation=kernel)
    pixels = picture.to_ndarray().astype(np.float32) / (65535 if deep else 255)
    pixels = torch.from_numpy(pixels).movedim(-1, 0)
    pixels = pixels.transpose(1, 2) if turned else pixels
    return pixels.flip([axis for axis, mirrored in ((1, up), (2, left)) if mirrored]).contiguous()


def _turn(frame):
    """Three booleans: transpose first, then flip left-right, then flip top-bottom."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    # A row vector times this: x' = a x + c y, y' = b x + d y, to the nearest quarter turn.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    return (True, c < 0, b < 0) if abs(int(b)) > abs(int(a)) else (False, a < 0, d < 0)


def _shown_size(frame, aspect):
    """(height, width) upright, with square pixels."""
    height, width = frame.height, frame.width
    if 0.1 < aspect < 10:
        width = max(1, round(width * aspect))
    return (width, height) if _turn(frame)[0] else (height, width)


def _name(source):
    return source.name if isinstance(source, Path) else str(getattr(source, "name", "the clip"))
