"""Files that are no pictures, or other ones than they seem: each is a sentence with what to do."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from gid_core.files import formats, stills
from gid_core.files.stills import read_mask, read_still

SHORT, LONG = 3, 4


def tiff(order, *directories, start=b""):
    """A TIFF file of directories {tag: (type, values)}; "next" as a value leads on."""
    offset, body = 8 + len(start), b""
    for tags in directories:
        size = 2 + 12 * len(tags) + 4
        extra = offset + len(body) + size
        entries = struct.pack(order + "H", len(tags))
        more = b""
        for tag, (kind, values) in sorted(tags.items()):
            values = [extra if v == "next" else v for v in values]
            entries += struct.pack(order + "HHI", tag, kind, len(values))
            data = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
            entries += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", extra)
            more += data if len(data) > 4 else b""
        body += entries + struct.pack(order + "I", 0) + more
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", offset) + start + body


def raw(order="<", first=None, second=None, start=b""):
    """A TIFF whose first directory is a 160x120 thumbnail, and whose second holds sensor values."""
    first = {
        254: (LONG, [1]),
        256: (SHORT, [16]),
        257: (SHORT, [12]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        273: (LONG, [0]),
        277: (SHORT, [1]),
        278: (SHORT, [12]),
        279: (LONG, [192]),
        330: (LONG, ["next"]),
    } | (first or {})
    second = {256: (SHORT, [640]), 257: (SHORT, [480]), 262: (SHORT, [32803])} | (second or {})
    first = {tag: entry for tag, entry in first.items() if entry}
    return tiff(order, first, second, start=start) + bytes(400)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "name, changes",
    [
        ("a.nef", {}),
        ("a.tif", {}),
        ("a.dng", {"first": {50706: (LONG, [1 << 16])}, "second": {262: (SHORT, [34892])}}),
        ("a.tif", {"first": {254: None}}),
        ("a.arw", {"second": {262: (SHORT, [1])}}),
        ("a.cr2", {"start": b"CR\2\0" + bytes(4), "first": {254: None, 330: None}}),
    ],
)
def test_a_camera_raw_is_not_its_thumbnail(tmp_path, order, name, changes):
    (tmp_path / name).write_bytes(raw(order, **changes))
    for read in (read_still, read_mask):
        with pytest.raises(ValueError, match=f"'{name}' is not a readable picture.*Develop it"):
            read(tmp_path / name)


@pytest.mark.parametrize("start", [b"IIU\0", b"IIRO", b"FUJIFILMCCD-RAW 0201", b"FOVb"])
def test_raws_of_other_makers_are_known(tmp_path, start):
    (tmp_path / "a.jpg").write_bytes(start + bytes(range(200)))
    with pytest.raises(ValueError, match="It is a camera raw. Develop it"):
        read_still(tmp_path / "a.jpg")


def test_ordinary_tiffs_are_no_raws(tmp_path, rng):
    pixels = torch.randint(0, 256, (5, 7, 3), generator=rng).byte()
    picture = Image.fromarray(pixels.numpy())
    for name, options in {
        "plain": {},
        "pages": {"save_all": True, "append_images": [picture.resize((2, 3))]},
        "packed": {"compression": "tiff_lzw"},
    }.items():
        picture.save(tmp_path / f"{name}.tif", **options)
        assert torch.equal(read_still(tmp_path / f"{name}.tif"), pixels.movedim(-1, 0) / 255)


def test_directories_that_lead_in_a_circle_end(tmp_path):
    data = bytearray(tiff("<", {256: (SHORT, [4]), 330: (LONG, [8])}))
    data[-4:] = struct.pack("<I", 8)
    assert formats.is_camera_raw(io.BytesIO(bytes(data)), ".tif") is False


def box(brand):
    return struct.pack(">I4s4s", 24, b"ftyp", brand) + bytes(12)


@pytest.mark.parametrize(
    "content, remedy",
    [
        (box(b"heic") + bytes(300), "HEIC picture. Install pillow-heif .* or save it as JPEG"),
        (box(b"mif1") + bytes(300), "HEIC picture"),
        (box(b"crx ") + bytes(300), "camera raw"),
        (box(b"isom") + bytes(300), "It is a video. The command extract"),
        (b"\x1aE\xdf\xa3" + bytes(300), "It is a video"),
        (b"\xff\x0a" + bytes(300), "JPEG XL"),
        (b"v/1\x01" + bytes(300), "OpenEXR"),
        (b"%PDF-1.7" + bytes(300), "document"),
        (b"<svg xmlns=''>" + bytes(300), "vector drawing"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <!doctype HTML>", "web page"),
        (b"<HTML><body>", "web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "points to the picture: run `git lfs pull`",
        ),
        (b"PK\x03\x04" + bytes(300), "archive"),
        (b"", "it is empty"),
        (b"plain text", "format is unknown. Save it as PNG or JPEG"),
    ],
)
def test_what_pillow_does_not_read_comes_with_advice(tmp_path, content, remedy):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=f"^'a.png' is not a readable picture: .*{remedy}"):
        read_still(tmp_path / "a.png")


def dds(pixel_format):
    """A header that names a compression nobody knows."""
    head = struct.pack("<7I", 124, 0x1007, 8, 8, 0, 0, 0) + bytes(44)
    head += struct.pack("<2I4s5I", 32, 4, pixel_format, 0, 0, 0, 0, 0) + bytes(20)
    return b"DDS " + head + bytes(256)


@pytest.mark.parametrize("content", [dds(b"ABCD"), dds(b"\0\0\0\0"), b"DDS " + bytes(124)])
def test_a_dds_that_nobody_decodes_is_a_sentence(tmp_path, content):
    (tmp_path / "a.dds").write_bytes(content)
    with pytest.raises(ValueError, match="^'a.dds' is not a readable picture: "):
        read_still(tmp_path / "a.dds")


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("x"),
        IndexError(),
        KeyError("y"),
        OverflowError(),
        EOFError(),
        TypeError("z"),
        AssertionError(),
        RecursionError(),
        AttributeError("w"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_decoder_raises_is_a_sentence(tmp_path, monkeypatch, error):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.bmp")

    def fails(self):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fails)
    with pytest.raises(ValueError, match="^'a.bmp' is not a readable picture: .*Save it as"):
        read_still(tmp_path / "a.bmp")


def test_too_little_memory_is_a_sentence(tmp_path, monkeypatch):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.bmp")

    def fails(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fails)
    with pytest.raises(ValueError, match="'a.bmp' is too large for the memory"):
        read_still(tmp_path / "a.bmp")


def test_a_postscript_drawing_starts_no_other_program(tmp_path, monkeypatch):
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (tmp_path / "a.eps").write_bytes(drawing)
    monkeypatch.setattr("subprocess.check_call", lambda *a, **k: pytest.fail("it was run"))
    with pytest.raises(ValueError, match="'a.eps' is a drawing .EPS.. Export it as PNG"):
        read_still(tmp_path / "a.eps")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
@pytest.mark.parametrize("count", [1, 70])
def test_a_png_with_much_compressed_text_is_read(tmp_path, rng, kind, count):
    # Workflows of a million letters; Pillow stops at one, and at 64 in all.
    pixels = torch.randint(0, 256, (5, 7, 3), generator=rng).byte()
    packed = zlib.compress(b"w" * (2**20 + 9 if count == 1 else 2**20))
    body = {b"zTXt": b"workflow\0\0" + packed, b"iTXt": b"workflow\0\1\0\0\0" + packed}[kind]
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for place in (33, len(data) - 12):  # before the pixels, and after them
        (tmp_path / "a.png").write_bytes(data[:place] + chunk * count + data[place:])
        assert torch.equal(read_still(tmp_path / "a.png"), pixels.movedim(-1, 0) / 255)


def test_the_orientation_is_kept_where_text_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    packed = b"zTXtworkflow\0\0" + zlib.compress(b"w" * (2**20 + 9))
    chunk = struct.pack(">I", len(packed) - 4) + packed + struct.pack(">I", zlib.crc32(packed))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    assert read_still(tmp_path / "a.png").shape == (3, 7, 5)


def test_a_picture_beyond_the_limit_is_refused_unread(tmp_path, monkeypatch):
    Image.new("L", (60, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(stills, "MAX_PIXELS", 60 * 40 - 1)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="'a.png' is too large: 60x40.*Scale it down first"):
        read_still(tmp_path / "a.png")


def test_a_picture_beyond_what_pillow_opens_is_refused_in_the_same_words(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    head = b"IHDR" + struct.pack(">II", 2**31 - 1, 2**31 - 1) + data[24:29]
    head += struct.pack(">I", zlib.crc32(head))
    (tmp_path / "a.png").write_bytes(data[:12] + head + data[33:])
    with pytest.raises(
        ValueError, match="'a.png' is too large: .*67 million pixels are allowed. S"
    ):
        read_still(tmp_path / "a.png")
