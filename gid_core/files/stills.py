"""Pictures on disk: stills and masks are read, pictures are written.

Law: a still that was read is upright, rgb or rgba of sRGB, in [0, 1]. A mask is data: no colour
management touches it.
"""

import io
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from ..shapes import Float, Tensor
from . import colour, formats
from .levels import DARKEST, levels
from .paths import check_ending, check_input
from .whole import written_whole

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm")
MAX_PIXELS = 2**26  # of a still or a mask; reading takes 15 bytes of memory for each
DEEP = "IF"  # first letters of Pillow's modes of more than 8 bits
SAMPLE_FORMAT, PHOTOMETRIC = 339, 262  # tags of TIFF
MAX_LABEL = 258  # colours of a label: black, and one with every alpha
NEVER = {"EPS", "WMF"}  # formats for which Pillow would start another program


def read_still(path: str | Path) -> Float[Tensor, "c h w"]:
    """Read a picture as rgb or rgba of sRGB, turned upright by its EXIF orientation.

    Raises:
        ValueError: If there is no such file, or it is no picture, a camera raw, HDR or too large.
    """
    return _read(check_input(path, "a picture"), _still_pixels)


def read_mask(path: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a mask: white moves. Where the picture has alpha, the mask is grey times alpha.

    White is 1, 255 or 65535, the smallest that no value exceeds (`levels`). Black and one colour
    are a label, as segmentation tools save them, or paint on its own layer: the colour is white.

    Raises:
        ValueError: As `read_still`, and if no value comes near white.
    """
    return _read(check_input(path, "a picture"), _mask_pixels)


def write_picture(path: str | Path, picture: Float[Tensor, "c h w"]) -> None:
    """Write a picture in the format of the file name's ending; the write is atomic.

    Raises:
        ValueError: If the ending is unknown, or the path cannot be written to.
    """
    from PIL import Image

    check_ending(Path(path), PICTURE_ENDINGS)
    with written_whole(Path(path)) as temporary:
        Image.fromarray(to_bytes(picture)).save(temporary)


def to_bytes(frame: Float[Tensor, "c h w"]) -> np.ndarray:
    """A frame as bytes of shape h w c; grey becomes rgb."""
    scaled = (frame.clamp(0, 1) * 255).round().to(torch.uint8)
    if len(scaled) == 1:
        scaled = scaled.expand(3, -1, -1)
    return rearrange(scaled, "c h w -> h w c").contiguous().cpu().numpy()


def _read(path, pixels_of):
    """What a function makes of a decoded picture and its file; of its faults, a sentence.

    Decoders of damaged files raise anything, so that all of it is caught here, and only here.
    """
    with open(path, "rb") as file:
        start = b""
        try:
            start = file.read(64)
            picture = _decoded(file, path, start)
            return pixels_of(picture, file, path.name)
        except _Refused as error:
            raise ValueError(str(error)) from None
        except MemoryError as error:
            raise ValueError(
                f"{path.name!r} is too large for the memory. Scale it down first."
            ) from error
        except Exception as error:
            raise ValueError(_no_picture(path, start, error)) from error


class _Refused(Exception):
    """A sentence about a file, to be told from the errors of decoders."""


def _decoded(file, path, start):
    """The first picture of a file, upright."""
    file.seek(0)
    try:
        return _opened(file, path)
    except ValueError:
        if not start.startswith(b"\x89PNG"):
            raise
        # Pillow refuses a PNG with much compressed text, which no reader of pixels needs.
        return _opened(io.BytesIO(formats.png_without_text(file)), path)


def _opened(file, path):
    from PIL import Image, ImageOps

    picture = Image.open(file)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise _Refused(_too_large(path, f"{width}x{height}"))
    if picture.format in NEVER:
        raise _Refused(f"{path.name!r} is a drawing ({picture.format}). Export it as PNG.")
    if picture.format in ("TIFF", "DNG") and formats.is_camera_raw(file, path.suffix):
        raise _Refused(f"{path.name!r} is not a readable picture. {formats.RAW_ADVICE}")
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _too_large(path, what):
    most = MAX_PIXELS // 10**6
    return (
        f"{path.name!r} is too large: {what}, where {most} million pixels are allowed. Scale it "
        "down first."
    )


def _no_picture(path, start, error):
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        return _too_large(path, "it has more pixels than any picture")
    what = str(error)[:200].rstrip(".") or type(error).__name__
    unknown = "its format is unknown" if start else "it is empty"
    what = unknown if isinstance(error, UnidentifiedImageError) else what
    return f"{path.name!r} is not a readable picture: {what}. {formats.advice(start, path.suffix)}"


def _still_pixels(picture, file, name):
    if picture.mode[0] in DEEP:
        return _deep_still(picture, file, name)
    pixels = np.array(_said(colour.to_srgb, picture, file, name))
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").float() / 255


def _deep_still(picture, file, name):
    """Grey of 16 or 32 bits, or floats, which Pillow would clip to 8 bits."""
    values = _numbers(picture)
    if picture.mode.startswith("I;16") or picture.format == "PNG":
        grey = (values.astype(np.float32) / 65535).clip(0, 1)
    else:
        grey = _said(levels, values, name)
    steps = _said(colour.grey_to_srgb, picture, file, name)
    clear = picture.info.get("transparency")  # of a PNG: the grey that is transparent
    alpha = [] if clear is None else [np.float32(values != clear)]
    if np.abs(steps - np.linspace(0, 1, 256, dtype=np.float32)[:, None]).max() > 1e-6:
        places = np.linspace(0, 1, 256, dtype=np.float32)
        rgb = [np.interp(grey, places, steps[:, i]).astype(np.float32) for i in range(3)]
    else:
        rgb = [grey] * 3
    return torch.from_numpy(np.stack([*rgb, *alpha]))


def _mask_pixels(picture, file, name):
    if picture.mode[0] in DEEP:
        return torch.from_numpy(_said(levels, _numbers(picture), name))[None]
    alpha = colour.has_alpha(picture)
    picture = picture.convert("RGBA" if alpha else "RGB")
    pixels = torch.from_numpy(np.array(picture)).movedim(-1, 0)
    label = _is_label(picture)
    grey = pixels[:3].any(0, True).float() if label else _of_white(pixels[:3]).mean(0, keepdim=True)
    grey = grey * _of_white(pixels[3:]) if alpha else grey
    if 0 < grey.max() < DARKEST:
        _said(levels, (grey * 255).numpy(), name)
    return grey


def _numbers(picture):
    """Values of more than 8 bits. Of a TIFF, Pillow reads 32 bits without a sign as if they had
    one, and 16 bits of which 0 is white as if it were black."""
    values, tags = np.array(picture), getattr(picture, "tag_v2", {})
    if picture.format != "TIFF":
        return values
    if values.dtype == np.int32 and tags.get(SAMPLE_FORMAT, (1,)) in (1, (1,)):
        return values.view(np.uint32)
    return ~values if values.dtype == np.uint16 and tags.get(PHOTOMETRIC) == 0 else values


def _is_label(picture):
    """Whether what is seen of a picture is black and one colour that is no grey."""
    alpha = picture.mode == "RGBA"
    seen = [c for _, c in picture.getcolors(MAX_LABEL) or () if not alpha or c[3]]
    colours = {c[:3] for c in seen} - {(0, 0, 0)}
    return len(colours) == 1 and len(set(*colours)) > 1


def _of_white(planes):
    """Bytes in [0, 1], where white is 255, or 1 if there are only zeros and ones."""
    return planes.float() / (1 if planes.max() == 1 else 255)


def _said(read, *given):
    """What a function gives; its ValueError is the sentence for the user."""
    try:
        return read(*given)
    except ValueError as error:
        raise _Refused(str(error)) from None
