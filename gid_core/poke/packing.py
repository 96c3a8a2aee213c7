"""What a browser needs to let a still be poked: its shapes in bytes, and two pictures.

Law: a value v of a shape whose largest is m is kept as sign(v) sqrt(|v| / m) in steps of 1/127, and so
comes back within m / 127, small ones much closer; the browser computes with the same oscillators as
`poke`. In even steps pulls went 4 % too far: at a place most of many modes are small. Read by
`web/gid_modal.js`.

Source: the square root is that of Li et al. 2024, Sec. 4.2, for the same reason.

Layout, deflated as a whole: four bytes, little-endian, the length of a JSON header; the header; then
int8 planes, of each mode x and y, of complex ones x real, x imaginary, y real, y imaginary, each row
as differences to the value on the left.
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
from ..still.grid import grid_size
from .response import Body

FORMAT_VERSION = 1
STEPS = 127
QUALITY = 88  # of the pictures


def quantized(body: Body) -> tuple[Int[Tensor, "k 2 p h w"], Float[Tensor, " k"]]:
    """Shapes in steps, and each one's largest value; p is 2 where they are complex."""
    parts = torch.view_as_real(body.shapes).movedim(-1, 2)
    if not body.shapes.imag.any():
        parts = parts[:, :, :1]
    largest = parts.abs().amax((1, 2, 3, 4))
    share = parts / largest.clamp(min=1e-30).view(-1, 1, 1, 1, 1)
    steps = (share.sign() * share.abs().sqrt() * STEPS).round()
    return steps.to(torch.int8), largest.double()


def pack(body: Body, spectrum: SpectralVolume, **settings: float) -> bytes:
    """A body and its wind. Settings go into the header as they are: wind, strength, duration, fps."""
    planes, largest = quantized(body)
    header = {
        "version": FORMAT_VERSION,
        "grid": list(body.shapes.shape[-2:]),
        "complex": planes.shape[2] == 2,
        "largest": largest.tolist(),
        "omega": body.omega.tolist(),
        "damping": body.damping_ratio.tolist(),
        "give": body.give.tolist(),
        "stiffness": body.stiffness,
        "softest": body.softest,
        "wind_bands": _wind_bands(spectrum),
        **settings,
    }
    text = json.dumps(header, allow_nan=False).encode()
    values = planes.numpy()
    rows = np.diff(values, axis=-1, prepend=np.int8(0))  # differences wrap, and add up again
    return zlib.compress(struct.pack("<I", len(text)) + text + rows.astype(np.int8).tobytes(), 6)


def _wind_bands(spectrum):
    if spectrum.kind == "response":
        return {"hz": spectrum.frequencies_hz.tolist()}
    if spectrum.ambient is None:
        return None
    hz, ambient = spectrum.ambient_hz.tolist(), spectrum.ambient
    return {"hz": hz, "re": ambient.real.tolist(), "im": ambient.imag.tolist()}


def layer_pictures(
    still: Float[Tensor, "c h w"], spectrum: SpectralVolume, longest: int
) -> tuple[bytes, bytes]:
    """(layer, plate) as WebP: what moves, transparent elsewhere, and what lies behind it."""
    size = grid_size(*still.shape[-2:], longest)
    colour = still[:3] if len(still) > 2 else still[:1].expand(3, -1, -1)
    colour = F.interpolate(colour[None], size, mode="area")[0].clamp(0, 1)
    matte = torch.ones(1, *size)
    if spectrum.mask is not None:
        matte = F.interpolate(spectrum.mask[:1], size, mode="bilinear", antialias=True)[0]
    parts = separate_layers(colour, matte.clamp(0, 1), spectrum.grid, (0, 0))
    layer = torch.zeros(4, *size)
    (top, left), (height, width) = parts.origin, parts.layer.shape[-2:]
    layer[:, top : top + height, left : left + width] = parts.layer
    layer[:3] = (layer[:3] / layer[3:].clamp(min=1e-3)).clamp(0, 1)
    return _webp(layer), _webp(parts.plate)


def _webp(picture):
    from PIL import Image

    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY, method=4)
    return file.getvalue()
