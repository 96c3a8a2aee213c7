"""What a browser needs to poke a still: mode shapes in bytes, and two pictures.

Law: a value v of a shape whose largest value is m is stored as sign(v) sqrt(|v| / m) in steps of
1/127. It comes back within m / 127, and small values much closer. The browser computes with the
same oscillators as `poke`. With uniform steps pulls went 4 % too far: at any one place most of many
modes are small. `web/gid_modal.js` reads this format.

Source: the square root is that of Li et al. 2024, Sec. 4.2, for the same reason.

Layout, deflated as a whole: the length of a JSON header in four bytes, little-endian; the header;
then int8 planes, for each mode x and y, or for complex modes x real, x imaginary, y real, y
imaginary. Each row holds differences to the value on the left.
"""

import io
import json
import struct
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from ..motion.spectrum import SpectralVolume
from ..render.layers import separate_layers
from ..shapes import Float, Int, Tensor
from ..still.alpha import premultiplied, straight
from ..still.grid import grid_size
from .response import Body

FORMAT_VERSION = 1
STEPS = 127  # quantization steps from zero to the largest value
QUALITY = 88  # of the pictures, as WebP


def quantized(body: Body) -> tuple[Int[Tensor, "k 2 p h w"], Float[Tensor, " k"]]:
    """Shapes in quantization steps, and the largest value of each.

    The axis p has the real and the imaginary part, or only the real part if none is imaginary.
    """
    parts = torch.view_as_real(body.shapes).movedim(-1, 2)
    if not body.shapes.imag.any():
        parts = parts[:, :, :1]
    largest = parts.abs().amax((1, 2, 3, 4))
    relative = parts / largest.clamp(min=1e-30).view(-1, 1, 1, 1, 1)
    steps = (relative.sign() * relative.abs().sqrt() * STEPS).round()
    return steps.to(torch.int8), largest.double()


def pack(body: Body, spectrum: SpectralVolume, **settings: float) -> bytes:
    """The bytes of a body and its wind.

    Args:
        settings: Written into the header as they are: wind, strength, duration, fps.
    """
    planes, largest = quantized(body)
    header = {
        "version": FORMAT_VERSION,
        "grid": list(body.shapes.shape[-2:]),
        "complex": planes.shape[2] == 2,
        "largest": largest.tolist(),
        "omega": body.omega.tolist(),
        "damping": body.damping_ratio.tolist(),
        "give": body.modal_compliance.tolist(),
        "stiffness": body.stiffness,
        "softest": body.peak_compliance,
        "along": body.along,
        "wind_bands": _wind_bands(spectrum),
        **settings,
    }
    text = json.dumps(header, allow_nan=False).encode()
    values = planes.numpy()
    # Differences wrap around in int8; so do their sums, which give the values back.
    rows = np.diff(values, axis=-1, prepend=np.int8(0))
    return zlib.compress(struct.pack("<I", len(text)) + text + rows.astype(np.int8).tobytes(), 6)


def _wind_bands(spectrum):
    """Frequencies of the wind, and its amplitudes in the modes; None without wind."""
    if spectrum.kind == "response":
        return {"hz": spectrum.frequencies_hz.tolist()}
    if spectrum.ambient is None:
        return None
    hz, ambient = spectrum.ambient_hz.tolist(), spectrum.ambient
    return {"hz": hz, "re": ambient.real.tolist(), "im": ambient.imag.tolist()}


def layer_pictures(
    still: Float[Tensor, "c h w"], spectrum: SpectralVolume, longest: int
) -> tuple[bytes, bytes]:
    """(foreground, background) as WebP; the foreground is transparent where nothing moves.

    What is transparent in the still is so in both; its hidden colours are not shown.

    Args:
        longest: Longer side of the pictures at most, px.
    """
    picture = _small(still, longest)
    size = tuple(picture.shape[-2:])
    matte = torch.ones(1, *size)
    if spectrum.mask is not None:
        matte = F.interpolate(spectrum.mask[:1], size, mode="bilinear", antialias=True)[0]
    parts = separate_layers(picture, matte.clamp(0, 1), spectrum.grid, (0, 0))
    foreground = torch.zeros(4, *size)
    (top, left), (height, width) = parts.origin, parts.foreground.shape[-2:]
    # Without alpha of the still's own, that of the foreground is its matte: channel 3 in both
    # cases.
    foreground[:, top : top + height, left : left + width] = parts.foreground[:4]
    foreground[:3] = (foreground[:3] / foreground[3:].clamp(min=1e-3)).clamp(0, 1)
    return _webp(foreground), _webp(straight(parts.background))


def web_picture(still: Float[Tensor, "c h w"], longest: int) -> bytes:
    """A still as WebP, its longer side at most `longest` px."""
    return _webp(_small(still, longest))


def _small(still, longest):
    """In colour, straight alpha, and no larger than that."""
    size = grid_size(*still.shape[-2:], longest)
    picture = premultiplied(still if len(still) > 2 else still[:1].expand(3, -1, -1))
    return straight(F.interpolate(picture[None], size, mode="area")[0])


def _webp(picture):
    from PIL import Image

    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue()
