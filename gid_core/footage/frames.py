"""Decoded frames as tensors: upright, with square pixels, in the colours that players show.

Law: a frame with alpha is composited over white. YUV that states no matrix is BT.601 below 720
lines and BT.709 from there on, as Chromium and Firefox show it.

Source: Chromium, media/ffmpeg/ffmpeg_common.cc; Firefox, gfx/ycbcr (DefaultColorSpace).
"""

import numpy as np
import torch

from ..shapes import Float, Tensor

HD_LINES = 720
STATED = {1, 4, 5, 6, 7, 9, 10}  # YUV matrices of H.273 that are known


def upright(frame, size: tuple[int, int], scaler=None) -> Float[Tensor, "3 h w"]:
    """A frame (av.VideoFrame) upright at a size (height, width), with all its bits.

    Args:
        scaler: A VideoReformatter for many frames: its tables cost more than a frame.
    """
    turned, left, up = turn(frame)
    height, width = reversed(size) if turned else size
    deep = max(component.bits for component in frame.format.components) > 8
    frame = _over_white(frame, deep)
    kernel = "AREA" if height * width < frame.height * frame.width else "BICUBIC"
    form = "rgb48le" if deep else "rgb24"
    reformat = frame.reformat if scaler is None else lambda *a, **k: scaler.reformat(frame, *a, **k)
    picture = reformat(width, height, form, src_colorspace=_matrix(frame), interpolation=kernel)
    pixels = picture.to_ndarray().astype(np.float32) / (65535 if deep else 255)
    pixels = torch.from_numpy(pixels).movedim(-1, 0)
    pixels = pixels.transpose(1, 2) if turned else pixels
    return pixels.flip([axis for axis, mirrored in ((1, up), (2, left)) if mirrored]).contiguous()


def turn(frame) -> tuple[bool, bool, bool]:
    """How a frame comes upright: transpose first, then flip left-right, then flip top-bottom."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    # A row vector times this: x' = a x + c y, y' = b x + d y, to the nearest quarter turn.
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    return (True, c < 0, b < 0) if abs(b) > abs(a) else (False, a < 0, d < 0)


def shown_size(frame, aspect: float) -> tuple[int, int]:
    """(height, width) upright, with square pixels; aspect is a pixel's width over its height."""
    height, width = frame.height, frame.width
    if 0.1 < aspect < 10:
        width = max(1, round(width * aspect))
    return (width, height) if turn(frame)[0] else (height, width)


def is_transparent(frame) -> bool:
    """Whether any pixel of a frame is not opaque."""
    if not _may_be_transparent(frame):
        return False
    return bool((_rgba(frame, False)[..., 3] < 255).any())


def is_interlaced(frame) -> bool:
    return bool(getattr(frame, "interlaced_frame", False))


def _may_be_transparent(frame) -> bool:
    return frame.format.name == "pal8" or any(c.is_alpha for c in frame.format.components)


def _rgba(frame, deep):
    form = "rgba64le" if deep else "rgba"
    return frame.reformat(format=form, src_colorspace=_matrix(frame)).to_ndarray()


def _over_white(frame, deep):
    """A frame whose pixels are opaque: composited before it is scaled, so that no rim appears."""
    if not _may_be_transparent(frame):
        return frame
    import av

    pixels = _rgba(frame, deep)
    white = np.float32(65535 if deep else 255)
    if (pixels[..., 3] == white).all():
        return frame
    alpha = pixels[..., 3:].astype(np.float32) / white
    mixed = np.rint(pixels[..., :3] * alpha + white * (1 - alpha)).astype(pixels.dtype)
    return av.VideoFrame.from_ndarray(mixed, "rgb48le" if deep else "rgb24")


def _matrix(frame):
    """The YUV matrix of a frame that states none; None where it states one, or is no YUV."""
    colour = len(frame.format.components) >= 3 and not frame.format.is_rgb
    if not colour or frame.format.name == "pal8" or int(frame.colorspace) in STATED:
        return None
    return "ITU601" if frame.height < HD_LINES else "ITU709"
