"""Colours of pictures: to sRGB, from what a file says that its numbers mean.

Law: a picture that is sRGB already stays as it is, bit for bit. Numbers without a profile are sRGB.

Convention: in PNG the code points (cICP) rule over the profile, and that over gamma and
chromaticities; in HEIF and AVIF the profile rules over the code points (nclx).

Sources: ITU-T H.273 (code points); IEC 61966-2-1 (sRGB); PNG 3rd edition, 11.3.2; Adobe RGB (1998);
ICC.1:2022, 9.2.17 (cicp).
"""

import io
import re
import struct
from io import IOBase

import numpy as np

from .formats import png_chunks

PRIMARIES = {  # H.273, table 2: x, y of red, green, blue and white
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290),  # bt709, sRGB
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, 0.3100, 0.3160),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, 0.3127, 0.3290),  # bt601, 625 lines
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290),  # bt601, 525 lines
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),  # bt2020
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3140, 0.3510),  # DCI P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),  # Display P3
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfer characteristics that are powers; others are as sRGB
HDR = {16: "PQ", 18: "HLG"}
ADOBE_RGB = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060, 0.3127, 0.3290)
ADOBE_GAMMA = 563 / 256
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
UNSEEN = 2  # of 255: a profile that changes no colour by more is sRGB's
ROWS = 256  # converted at once, which bounds memory
LCMS_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def to_srgb(picture, file: IOBase, name: str):
    """A Pillow picture in RGB or RGBA of sRGB, by the colours that its file states.

    Args:
        file: The open file that the picture came from.

    Raises:
        ValueError: For HDR pictures.
    """
    from PIL import Image

    alpha = picture.convert("RGBA").getchannel("A") if has_alpha(picture) else None
    colours = _converter(picture, file, name)(_without_alpha(picture))
    if alpha is None:
        return colours
    return Image.merge("RGBA", (*colours.split(), alpha))


def has_alpha(picture) -> bool:
    """Whether a Pillow picture has transparency in any form."""
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def grey_to_srgb(picture, file: IOBase, name: str) -> np.ndarray:
    """What 256 even steps from black to white of a grey picture are in sRGB: 256 3, in [0, 1]."""
    from PIL import Image

    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return np.asarray(_converter(picture, file, name)(ramp), np.float32)[0] / 255


def _without_alpha(picture):
    """The colours of a picture in a mode that profiles are for."""
    mode = picture.mode
    if mode in ("RGB", "L", "CMYK", "LAB"):
        return picture
    if mode in ("LA", "La", "1"):
        return picture.convert("LA" if mode == "La" else mode).convert("L")
    return picture.convert("RGBA").convert("RGB") if mode != "RGBX" else picture.convert("RGB")


def _converter(picture, file, name):
    """A function from RGB, L, CMYK or LAB to RGB of sRGB."""
    profile = picture.info.get("icc_profile")
    codes = code_points(picture.format, file)
    if profile and codes and picture.format != "PNG":
        codes = None
    if codes is None and profile:
        codes = _codes_of_profile(profile)
        _refuse_hdr(codes, _description(profile), name)
        return lambda colours: _by_profile(colours, profile)
    _refuse_hdr(codes, "", name)
    primaries, gamma = PRIMARIES[1], None
    if codes is not None:
        primaries, gamma = PRIMARIES.get(codes[0], PRIMARIES[1]), GAMMAS.get(codes[1])
    elif _states_adobe_rgb(picture):
        primaries, gamma = ADOBE_RGB, ADOBE_GAMMA
    elif picture.format == "PNG" and "srgb" not in picture.info:
        gamma = _gamma(picture)
        primaries = _chromaticities(picture)
    if gamma is None and np.allclose(primaries, PRIMARIES[1], atol=0.002):
        return _plain
    return lambda colours: _by_primaries(_plain(colours), primaries, gamma)


def _plain(colours):
    """Colours without a profile, as RGB."""
    if colours.mode == "LAB":
        from PIL import ImageCms

        return _transformed(colours, ImageCms.createProfile("LAB"))
    return colours.convert("RGB")


def code_points(format: str | None, file: IOBase) -> tuple[int, int] | None:
    """(primaries, transfer characteristics) of a PNG, AVIF or HEIF file that states them."""
    if format == "PNG":
        for kind, offset, length in png_chunks(file):
            if kind == b"cICP" and length >= 14:
                file.seek(offset + 8)
                return tuple(file.read(2))
            if kind == b"IDAT":
                return None
    if format in ("AVIF", "HEIF"):
        file.seek(0)
        head = file.read(2**16)
        at = head.find(b"colrnclx")
        if at >= 0 and len(head) >= at + 12:
            return struct.unpack(">HH", head[at + 8 : at + 12])
    return None


def _codes_of_profile(profile) -> tuple[int, int] | None:
    """What the tag cicp of an ICC profile states."""
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * min(count, 100), 12):
        if profile[at : at + 4] == b"cicp":
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            return tuple(profile[start + 8 : start + 10]) or None
    return None


def _description(profile) -> str:
    from PIL import ImageCms

    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return ""


def _refuse_hdr(codes, description, name) -> None:
    named = re.search(r"\b(PQ|HLG)\b|2084|2100", description)
    kind = HDR.get(codes[1]) if codes and len(codes) > 1 else None
    kind = kind or (named and (named[1] or "PQ or HLG"))
    if kind:
        raise ValueError(
            f"{name!r} is an HDR picture ({kind}): its brightness means nothing in sRGB. Tone-map "
            "it, and save it as an ordinary PNG or JPEG."
        )


def _by_profile(colours, data):
    """Colours by an ICC profile. One of another kind of colours, or a damaged one, says nothing."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        mode = LCMS_SPACES.get(profile.profile.xcolor_space.strip())
        if mode == "RGB" and colours.mode == "L":
            colours = colours.convert("RGB")
        return _transformed(colours, profile) if mode == colours.mode else _plain(colours)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return _plain(colours)


def _transformed(colours, profile):
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        colours.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if colours.mode in ("RGB", "L") and _changes_nothing(transform, colours.mode):
        return colours.convert("RGB")
    return ImageCms.applyTransform(colours, transform)


def _changes_nothing(transform, mode) -> bool:
    """Whether a transform leaves a lattice of colours as it is."""
    from PIL import Image, ImageCms

    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    sample = Image.fromarray(lattice) if mode == "RGB" else Image.fromarray(steps[None])
    after = np.asarray(ImageCms.applyTransform(sample, transform), int)
    return int(np.abs(after - np.asarray(sample.convert("RGB"), int)).max()) <= UNSEEN


def _states_adobe_rgb(picture) -> bool:
    """Whether Exif says so, as cameras do that add no profile: interoperability R03."""
    exif = picture.getexif() if picture.format in ("JPEG", "MPO", "TIFF") else {}
    if not exif or 0x8769 not in exif:
        return False
    interoperability = exif.get_ifd(0xA005).get(1, "")
    return str(interoperability).startswith("R03") or exif.get_ifd(0x8769).get(0xA001) == 2


def _gamma(picture) -> float | None:
    """The exponent of a PNG whose gAMA is not sRGB's."""
    gamma = picture.info.get("gamma")
    return 1 / gamma if gamma and 0.05 < gamma < 5 and abs(gamma - 0.45455) > 0.01 else None


def _chromaticities(picture):
    """x, y of red, green, blue and white of a PNG that states plausible ones, else sRGB's."""
    stated = picture.info.get("chromaticity") or ()
    if len(stated) != 8 or not all(0 < value < 0.9 for value in stated):
        return PRIMARIES[1]
    primaries = (*stated[2:], *stated[:2])
    with np.errstate(all="ignore"):
        return primaries if np.linalg.cond(_to_xyz(primaries)) < 1e3 else PRIMARIES[1]


def _by_primaries(colours, primaries, gamma):
    """RGB of other primaries, or another exponent, as sRGB; adapted to its white by Bradford's."""
    from PIL import Image

    matrix = (np.linalg.inv(_to_xyz(PRIMARIES[1])) @ _to_xyz(primaries)).astype(np.float32)
    steps = np.arange(256, dtype=np.float32) / 255
    linear = steps**gamma if gamma else _linear(steps)
    pixels = np.asarray(colours)
    result = np.empty_like(pixels)
    for row in range(0, len(pixels), ROWS):
        mixed = np.clip(linear[pixels[row : row + ROWS]] @ matrix.T, 0, 1)
        result[row : row + ROWS] = np.rint(255 * _encoded(mixed))
    return Image.fromarray(result)


def _linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values):
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def _to_xyz(primaries) -> np.ndarray:
    """The matrix from linear RGB to XYZ, adapted to the white D65."""
    x, y = np.array(primaries).reshape(4, 2).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    matrix, white = columns[:, :3], columns[:, 3]
    try:
        matrix = matrix * np.linalg.solve(matrix, white)
    except np.linalg.LinAlgError:
        return np.full((3, 3), np.nan)
    x, y = PRIMARIES[1][6:]
    target = np.array([x / y, 1, (1 - x - y) / y])
    adapted = np.diag((BRADFORD @ target) / (BRADFORD @ white))
    return np.linalg.inv(BRADFORD) @ adapted @ BRADFORD @ matrix
