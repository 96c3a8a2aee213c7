"""OpenEXR images of any channels, as half or single floats, compressed by ZIP without loss.

Law: what is read back is what was written: bit for bit as float, rounded once as half.

Convention: row 0 is the top row, as in memory. Values are data: no colour space is stated.

Source: the file layout of OpenEXR 2, "OpenEXR File Layout" and "Technical Introduction to OpenEXR"
of the Academy Software Foundation: single-part scan lines in blocks of 16, predictor and
interleaving before deflate.
"""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..shapes import Float, Tensor
from .whole import written_whole

MAGIC, VERSION = 20000630, 2
HALF, FLOAT = 1, 2
ZIP, ROWS = 3, 16  # the compression, and the rows of one of its blocks
MOST_SIDE = 2**16
LONGEST_NAME = 31  # letters; longer names need another flag in the header


def save_exr(
    path: str | Path,
    channels: Mapping[str, Float[Tensor, "h w"]],
    half: bool = False,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write one picture.

    Args:
        channels: By name, such as R, G, B, A, or forward.u and forward.v for a layer.
        half: Half floats, of 11 significant bits; else single floats.
        notes: Texts for the header, by names of letters.

    Raises:
        ValueError: For no channels, other names, differing sizes, or a path that cannot be written.
    """
    names = sorted(channels)
    sizes = {tuple(channels[n].shape) for n in names}
    if len(sizes) != 1 or not all(0 < s <= MOST_SIDE for s in next(iter(sizes), (0,))):
        raise ValueError(
            f"Expected channels of one size, up to {MOST_SIDE} px a side, got {sorted(sizes)}."
        )
    for name in [*names, *(notes or {})]:
        if not (
            0 < len(name) <= LONGEST_NAME and name.replace(".", "").isalnum() and name.isascii()
        ):
            raise ValueError(
                f"Expected names of up to {LONGEST_NAME} letters, digits and dots, got {name!r}."
            )
    ((height, width),) = sizes
    kind = np.dtype("<f2" if half else "<f4")
    with np.errstate(over="ignore"):  # too large for a half: infinity, as OpenEXR does it
        planes = [channels[n].detach().cpu().numpy().astype(kind) for n in names]
    blocks = [
        _compressed(
            b"".join(p[y].tobytes() for y in range(top, min(top + ROWS, height)) for p in planes)
        )
        for top in range(0, height, ROWS)
    ]
    header = _header(names, half, width, height, notes or {})
    offset = len(header) + 8 * len(blocks)
    with written_whole(Path(path)) as temporary, open(temporary, "wb") as file:
        file.write(header)
        for block in blocks:
            file.write(struct.pack("<Q", offset))
            offset += 8 + len(block)
        for number, block in enumerate(blocks):
            file.write(struct.pack("<ii", number * ROWS, len(block)) + block)


def _header(names, half, width, height, notes) -> bytes:
    kind = HALF if half else FLOAT
    listed = b"".join(n.encode() + b"\0" + struct.pack("<iB3xii", kind, 0, 1, 1) for n in names)
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = [
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", struct.pack("<B", ZIP)),
        ("dataWindow", "box2i", box),
        ("displayWindow", "box2i", box),
        ("lineOrder", "lineOrder", struct.pack("<B", 0)),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", text.encode()) for name, text in sorted(notes.items())),
    ]
    parts = [struct.pack("<ii", MAGIC, VERSION)]
    for name, kind_name, value in attributes:
        parts.append(name.encode() + b"\0" + kind_name.encode() + b"\0")
        parts.append(struct.pack("<i", len(value)) + value)
    return b"".join([*parts, b"\0"])


def _compressed(block: bytes) -> bytes:
    """A block by ZIP: even bytes, then odd ones, their differences, deflated if that is shorter."""
    raw = np.frombuffer(block, np.uint8)
    apart = np.concatenate([raw[::2], raw[1::2]]).astype(np.int16)
    apart[1:] = apart[1:] - apart[:-1] + 128
    packed = zlib.compress(apart.astype(np.uint8).tobytes(), 4)
    return packed if len(packed) < len(block) else block
