"""Pictures on disk: stills and masks are read, pictures are written.

Law: a still that was read is upright, rgb or rgba, in [0, 1].
"""

import struct
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from ..shapes import Float, Tensor
from .whole import written_whole


def read_still(path: str | Path) -> Float[Tensor, "c h w"]:
    """Read a picture as rgb or rgba, turned upright by its EXIF orientation.

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
            if picture.mode.startswith("I"):  # 16 bits per channel, which PIL would clip to 8
                deep = torch.from_numpy(np.array(picture).astype(np.float32))
                return (deep / 65535).clamp(0, 1).expand(3, -1, -1)
            alpha = "A" in picture.getbands() or "transparency" in picture.info
            pixels = np.array(picture.convert("RGBA" if alpha else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error) as error:
        raise ValueError(f"{path.name!r} is not a readable picture: {error}.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path.name!r} is too large: {error}. Scale it down first.") from error
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w").float() / 255


def read_mask(path: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a mask: white moves. Where the picture has alpha, the mask is grey times alpha."""
    pixels = read_still(path)
    grey = pixels[:3].mean(0, keepdim=True)
    return grey * pixels[3:] if len(pixels) == 4 else grey


def write_picture(path: str | Path, picture: Float[Tensor, "c h w"]) -> None:
    """Write a picture in the format of the file name's ending; the write is atomic.

    Raises:
        ValueError: If the path cannot be written to.
    """
    from PIL import Image

    with written_whole(Path(path)) as temporary:
        Image.fromarray(to_bytes(picture)).save(temporary)


def to_bytes(frame: Float[Tensor, "c h w"]) -> np.ndarray:
    """A frame as bytes of shape h w c; grey becomes rgb."""
    scaled = (frame.clamp(0, 1) * 255).round().to(torch.uint8)
    if len(scaled) == 1:
        scaled = scaled.expand(3, -1, -1)
    return rearrange(scaled, "c h w -> h w c").contiguous().cpu().numpy()
