"""EXR files, read back by another decoder: FFmpeg's."""

import struct
import zlib

import av
import numpy as np
import pytest
import torch

from gid_core.files.exr import save_exr


def decoded(path) -> dict:
    """Channels R, G, B, A as FFmpeg reads them."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    kind = {"gbrapf32le": np.float32, "gbrapf16le": np.float16}[frame.format.name]
    planes = {}
    for name, plane in zip("GBRA", frame.planes):
        row = plane.line_size // np.dtype(kind).itemsize
        values = np.frombuffer(plane, kind).reshape(-1, row)
        planes[name] = values[: frame.height, : frame.width]
    return planes


@pytest.mark.parametrize("height, width", [(1, 1), (16, 5), (17, 40), (37, 53)])
@pytest.mark.parametrize("half", [False, True])
def test_what_another_decoder_reads_is_what_was_written(tmp_path, rng, height, width, half):
    values = {n: torch.randn(height, width, generator=rng) * 300 for n in "RGBA"}
    values["B"] = torch.linspace(-1, 1, height * width).view(height, width)  # compresses well
    save_exr(tmp_path / "a.exr", values, half)
    read = decoded(tmp_path / "a.exr")
    for name, written in values.items():
        expected = written.numpy().astype(np.float16 if half else np.float32)
        np.testing.assert_array_equal(read[name], expected)


def header_of(data: bytes) -> tuple[dict, int]:
    """The attributes of a file, and where they end."""
    assert struct.unpack("<ii", data[:8]) == (20000630, 2)
    found, at = {}, 8
    while data[at]:
        name, kind, rest = data[at:].split(b"\0", 2)
        (size,) = struct.unpack("<i", rest[:4])
        found[name.decode()] = kind.decode(), rest[4 : 4 + size]
        at += len(name) + len(kind) + 2 + 4 + size
    return found, at + 1


def test_layers_and_notes_are_in_the_header(tmp_path):
    flow = {"forward.v": torch.ones(3, 4), "forward.u": torch.zeros(3, 4)}
    save_exr(tmp_path / "flow.exr", flow, half=True, notes={"comment": "from the still"})
    data = (tmp_path / "flow.exr").read_bytes()
    found, end = header_of(data)
    kind = struct.pack("<iB3xii", 1, 0, 1, 1)
    assert found["channels"][1] == b"forward.u\0" + kind + b"forward.v\0" + kind + b"\0"
    assert found["comment"] == ("string", b"from the still")
    assert found["dataWindow"][1] == struct.pack("<4i", 0, 0, 3, 2)
    (offset,) = struct.unpack("<Q", data[end : end + 8])
    row, size = struct.unpack("<ii", data[offset : offset + 8])
    assert row == 0 and len(data) == offset + 8 + size
    packed = np.frombuffer(zlib.decompress(data[offset + 8 :]), np.uint8).astype(int)
    apart = (np.cumsum(packed) - 128 * np.arange(len(packed))).astype(np.uint8)
    raw = np.empty_like(apart)
    raw[::2], raw[1::2] = np.split(apart, 2)
    np.testing.assert_array_equal(raw.view(np.float16).reshape(3, 2, 4)[:, 1], 1)


@pytest.mark.parametrize(
    "channels, why",
    [
        ({}, "channels of one size"),
        ({"R": torch.zeros(2, 3), "G": torch.zeros(3, 2)}, "channels of one size"),
        ({"R": torch.zeros(0, 3)}, "channels of one size"),
        ({"R\0": torch.zeros(2, 3)}, "letters, digits and dots"),
        ({"": torch.zeros(2, 3)}, "letters, digits and dots"),
        ({"R" * 32: torch.zeros(2, 3)}, "letters, digits and dots"),
    ],
)
def test_other_channels_are_refused_and_nothing_is_written(tmp_path, channels, why):
    with pytest.raises(ValueError, match=why):
        save_exr(tmp_path / "a.exr", channels)
    assert not list(tmp_path.iterdir())
