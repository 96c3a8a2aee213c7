"""What a file is that Pillow misreads or cannot read, and what to do about it.

Law: a camera raw is never taken for its thumbnail. Sources: TIFF 6.0; DNG 1.7; Exif 2.32; ISO
14496-12 (boxes); PNG 3rd edition (chunks).
"""

import struct
from collections.abc import Iterator
from io import IOBase

RAW_ENDINGS = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
RAW_STARTS = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
RAW_ADVICE = "It is a camera raw. Develop it, and save it as PNG, TIFF or JPEG."
ADVICE = {  # by what a file starts with
    b"\xff\x0a": "It is a JPEG XL picture. Save it as PNG or JPEG.",
    b"\0\0\0\x0cJXL ": "It is a JPEG XL picture. Save it as PNG or JPEG.",
    b"v/1\x01": "It is an OpenEXR picture. Tone-map it, and save it as PNG.",
    b"#?": "It is a Radiance HDR picture. Tone-map it, and save it as PNG.",
    b"%PDF": "It is a document. Export the page as PNG.",
    b"<svg": "It is a vector drawing. Export it as PNG.",
    b"<?xml": "It is XML, perhaps a vector drawing. Export it as PNG.",
    b"<!doc": "It is a web page. Download the picture itself.",
    b"<html": "It is a web page. Download the picture itself.",
    b"version https://git-lfs": "It only points to the picture: run `git lfs pull`.",
    b"PK\x03\x04": "It is an archive, or a painting program's own file. Export it as PNG.",
    b"\x1aE\xdf\xa3": "It is a video. The command extract reads its motion.",
}
BRANDS = {  # of ISO media files
    b"avif": "It is an AVIF picture. Update Pillow, or save it as PNG or JPEG.",
    b"avis": "It is an AVIF sequence. Update Pillow, or save a frame of it as PNG or JPEG.",
    b"crx ": RAW_ADVICE,
}
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEIC_ADVICE = (
    "It is a HEIC picture. Install pillow-heif where your programs find it, or save it as JPEG or "
    "PNG."
)
CFA, LINEAR_RAW = 32803, 34892  # photometric interpretations of sensor values
SUBFILE, PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 254, 262, 330, 50706
MAX_IFDS = 32


def advice(start: bytes, suffix: str) -> str:
    """What to do with a file that is no picture, by its first bytes and its ending."""
    if _starts_raw(start) or suffix.lower() in RAW_ENDINGS:
        return RAW_ADVICE
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand in HEIC:
            return HEIC_ADVICE
        return BRANDS.get(brand, "It is a video. The command extract reads its motion.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()  # of pages and drawings
    known = (
        told for begins, told in ADVICE.items() if any(x.startswith(begins) for x in (start, text))
    )
    return next(known, "Save it as PNG or JPEG.")


def is_camera_raw(file: IOBase, suffix: str) -> bool:
    """Whether a TIFF file is a camera raw, whose first picture is a thumbnail or a preview."""
    start = _at(file, 0, 16)
    if _starts_raw(start):
        return True
    if start[:4] not in (b"II*\0", b"MM\0*"):
        return False
    directories = list(_directories(file, "<" if start[:1] == b"I" else ">", start))
    raw = any(d.get(PHOTOMETRIC) in ([CFA], [LINEAR_RAW]) for d in directories)
    first = directories[0] if directories else {}
    thumbnail = first.get(SUBFILE, [0])[0] & 1 and SUB_IFDS in first
    return raw or DNG_VERSION in first or bool(thumbnail) or suffix.lower() in RAW_ENDINGS


def _starts_raw(start) -> bool:
    return start.startswith(RAW_STARTS) or (start[:2] == b"II" and start[8:10] == b"CR")


def _directories(file, order, start) -> Iterator[dict[int, list[int]]]:
    """The tags of integers of every directory of a TIFF file, and of their sub-directories."""
    waiting, seen = [struct.unpack(order + "I", start[4:8])[0]], set()
    while waiting and len(seen) < MAX_IFDS:
        offset = waiting.pop(0)
        if offset in seen or not offset:
            continue
        seen.add(offset)
        tags, after = _directory(file, order, offset)
        waiting += [*tags.get(SUB_IFDS, []), after]
        yield tags


def _directory(file, order, offset) -> tuple[dict[int, list[int]], int]:
    """Tags of integers of one directory, and the offset of the one after."""
    count = _numbers(order + "H", _at(file, offset, 2), [0])[0]
    entries = _at(file, offset + 2, 12 * count)
    after = _numbers(order + "I", _at(file, offset + 2 + 12 * count, 4), [0])[0]
    tags = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind, length = struct.unpack(order + "HHI", entries[at : at + 8])
        letter, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}.get(kind, ("", 0))
        if not size or not 0 < length <= MAX_IFDS:
            continue
        value = entries[at + 8 : at + 12]
        if length * size > 4:
            value = _at(file, struct.unpack(order + "I", value)[0], length * size)
        tags[tag] = _numbers(f"{order}{length}{letter}", value[: length * size], [0])
    return tags, after


def _numbers(form, data, otherwise):
    return list(struct.unpack(form, data)) if len(data) == struct.calcsize(form) else otherwise


def _at(file, offset, length) -> bytes:
    file.seek(offset)
    return file.read(length)


def png_chunks(file: IOBase) -> Iterator[tuple[bytes, int, int]]:
    """(type, offset of the whole chunk, its whole length) of every chunk of a PNG file."""
    offset = 8
    while len(head := _at(file, offset, 8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield kind, offset, length + 12
        offset += length + 12


def png_without_text(file: IOBase) -> bytes:
    """A PNG file without its texts, but for XMP and Exif, which may hold the orientation."""
    kept = [_at(file, 0, 8)]
    for kind, offset, length in png_chunks(file):
        named = _at(file, offset + 8, 24)
        turned = named.startswith((b"XML:com.adobe.xmp", b"Raw profile type"))
        if kind not in (b"tEXt", b"zTXt", b"iTXt") or turned:
            kept.append(_at(file, offset, length))
    return b"".join(kept)
