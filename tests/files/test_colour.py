"""Pictures whose numbers are not sRGB come out as sRGB, the kinds of files that state it one by
one."""

import io
import struct
import zlib

import numpy as np
import profiles
import pytest
import torch
from PIL import Image, ImageCms

from gid_core.files.colour import code_points
from gid_core.files.stills import read_mask, read_still

RED = (200, 30, 30)  # of sRGB, and what it is in other spaces
IN_SPACE = {
    "P3": ((184, 50, 41), profiles.rgb(profiles.P3, profiles.SRGB_CURVE)),
    "Adobe RGB": ((171, 35, 35), profiles.rgb(profiles.ADOBE_RGB, 563 / 256)),
    "ProPhoto": ((133, 58, 31), profiles.rgb(profiles.PROPHOTO, 1.8)),
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def levels(path):
    """The colour of the first pixel, 0 to 255."""
    return (read_still(path)[:, 0, 0] * 255).tolist()


def png(path, *chunks, colour=RED):
    """A PNG of one colour, with chunks before its data."""
    data = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(data, "PNG")
    data = data.getvalue()
    for kind, body in chunks:
        made = struct.pack(">I", len(body)) + kind + body
        made += struct.pack(">I", zlib.crc32(kind + body))
        data = data[:33] + made + data[33:]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("space", IN_SPACE)
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_rgb_profiles_are_obeyed(tmp_path, space, ending):
    numbers, profile = IN_SPACE[space]
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
    path = tmp_path / f"a.{ending}"
    picture = Image.new("RGB", (16, 8), numbers)
    picture.save(path, icc_profile=profile, **lossless.get(ending, {}))
    assert levels(path) == pytest.approx(RED, abs=3)


def test_alpha_stays_as_it_is_beside_a_profile(tmp_path):
    numbers, profile = IN_SPACE["P3"]
    Image.new("RGBA", (5, 4), (*numbers, 77)).save(tmp_path / "a.png", icc_profile=profile)
    assert levels(tmp_path / "a.png") == pytest.approx((*RED, 77), abs=2)
    palette = Image.new("P", (2, 1))
    palette.putpalette([*numbers, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "b.png", icc_profile=profile, transparency=1)
    read = read_still(tmp_path / "b.png")
    assert read.shape == (4, 1, 2) and read[3].tolist() == [[1, 0]]
    assert levels(tmp_path / "b.png")[:3] == pytest.approx(RED, abs=2)


@pytest.mark.parametrize("profile", [SRGB, profiles.rgb(profiles.SRGB, profiles.SRGB_CURVE)])
def test_srgb_stays_bit_for_bit(tmp_path, rng, profile):
    pixels = torch.randint(0, 256, (3, 31, 42), generator=rng)
    picture = Image.fromarray(pixels.movedim(0, -1).numpy().astype(np.uint8))
    picture.save(tmp_path / "a.png", icc_profile=profile)
    assert torch.equal(read_still(tmp_path / "a.png"), pixels / 255)


def test_grey_profiles_are_obeyed(tmp_path):
    # Linear light of a fifth is 0.4845 in sRGB.
    Image.new("L", (5, 4), 51).save(tmp_path / "a.png", icc_profile=profiles.grey(1.0))
    assert levels(tmp_path / "a.png") == pytest.approx([0.4845 * 255] * 3, abs=1.5)
    Image.new("LA", (5, 4), (51, 99)).save(tmp_path / "b.png", icc_profile=profiles.grey(1.0))
    assert levels(tmp_path / "b.png") == pytest.approx([*[0.4845 * 255] * 3, 99], abs=1.5)
    deep = Image.fromarray(np.full((4, 5), 13107, np.uint16))
    deep.save(tmp_path / "c.png", icc_profile=profiles.grey(1.0))
    assert levels(tmp_path / "c.png") == pytest.approx([0.4845 * 255] * 3, abs=1.5)


def test_grey_pictures_with_the_profile_of_rgb_are_read(tmp_path):
    Image.new("L", (5, 4), 51).save(tmp_path / "a.png", icc_profile=SRGB)
    assert levels(tmp_path / "a.png") == [51] * 3
    profile = profiles.rgb(profiles.P3, 1.0)
    Image.new("L", (5, 4), 51).save(tmp_path / "a.png", icc_profile=profile)
    assert levels(tmp_path / "a.png") == pytest.approx([0.4845 * 255] * 3, abs=1.5)


@pytest.mark.parametrize("ending", ["tif", "jpg"])
def test_cmyk_profiles_are_obeyed(tmp_path, ending):
    colours = {}
    for name, inks in (
        ("paper", (0, 0, 0, 0)),
        ("black", (0, 0, 0, 255)),
        ("red", (0, 255, 255, 0)),
    ):
        path = tmp_path / f"{name}.{ending}"
        Image.new("CMYK", (16, 16), inks).save(path, icc_profile=profiles.cmyk())
        colours[name] = levels(path)
    assert colours["paper"] == pytest.approx([255] * 3, abs=4)
    assert colours["black"] == pytest.approx([0] * 3, abs=4)
    # Lab (55, 60, 55) of the table is (231, 77, 41) in sRGB; without the profile it is (255, 0, 0).
    assert colours["red"] == pytest.approx((231, 77, 41), abs=8)


def test_lab_pictures_are_read(tmp_path):
    Image.new("LAB", (5, 4), (138, 188 - 128, 183 - 128)).save(tmp_path / "a.tif")
    assert read_still(tmp_path / "a.tif").shape == (3, 4, 5)


@pytest.mark.parametrize(
    "profile", [b"", b"x", b"garbage" * 40, SRGB[:200], profiles.cmyk(), profiles.grey(1.0)]
)
def test_a_profile_that_is_damaged_or_of_other_colours_says_nothing(tmp_path, profile):
    Image.new("RGB", (5, 4), RED).save(tmp_path / "a.png", icc_profile=profile)
    assert levels(tmp_path / "a.png") == pytest.approx(RED)


HDR_PROFILES = [
    profiles.rgb(profiles.P3, 2.2, "Rec2020 Gamut with PQ Transfer"),
    profiles.rgb(profiles.P3, 2.2, "Rec. ITU-R BT.2100 HLG"),
    profiles.rgb(profiles.P3, 2.2, cicp=b"cicp\0\0\0\0\x09\x10\0\1"),
]


@pytest.mark.parametrize("profile", HDR_PROFILES)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_hdr_profiles_are_refused(tmp_path, ending, profile):
    Image.new("RGB", (5, 4), RED).save(tmp_path / f"a.{ending}", icc_profile=profile)
    with pytest.raises(ValueError, match="'a.*' is an HDR picture .*(PQ|HLG).*Tone-map it"):
        read_still(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("transfer, kind", [(16, "PQ"), (18, "HLG")])
def test_hdr_code_points_are_refused(tmp_path, transfer, kind):
    path = png(tmp_path / "a.png", (b"cICP", bytes([9, transfer, 0, 1])))
    with pytest.raises(ValueError, match=f"'a.png' is an HDR picture \\({kind}\\)"):
        read_still(path)
    assert read_mask(path).shape == (1, 4, 5)  # a mask is data


def test_hdr_of_sixteen_bits_is_one_sentence(tmp_path):
    data = io.BytesIO()
    Image.fromarray(np.full((4, 5), 9000, np.uint16)).save(data, "PNG")
    data, body = data.getvalue(), b"cICP" + bytes([9, 18, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(
        ValueError, match="^'a.png' is an HDR picture .HLG.: .* PNG or JPEG.$"
    ) as no:
        read_still(tmp_path / "a.png")
    assert str(no.value).count("a.png") == 1


def test_code_points_of_png_are_obeyed_and_rule_over_the_profile(tmp_path):
    path = png(tmp_path / "a.png", (b"cICP", bytes([12, 13, 0, 1])), colour=IN_SPACE["P3"][0])
    assert levels(path) == pytest.approx(RED, abs=2)
    profile = zlib.compress(IN_SPACE["Adobe RGB"][1])
    chunks = (b"iCCP", b"a\0\0" + profile), (b"cICP", bytes([1, 13, 0, 1]))
    assert levels(png(tmp_path / "b.png", *chunks)) == list(RED)


def test_gamma_and_chromaticities_of_png_are_obeyed(tmp_path):
    linear = png(tmp_path / "a.png", (b"gAMA", struct.pack(">I", 100_000)), colour=(51, 51, 51))
    assert levels(linear) == pytest.approx([0.4845 * 255] * 3, abs=1.5)
    usual = png(tmp_path / "b.png", (b"gAMA", struct.pack(">I", 45_455)))
    assert levels(usual) == list(RED)
    white_first = [*profiles.ADOBE_RGB[6:], *profiles.ADOBE_RGB[:6]]
    wide = b"cHRM", struct.pack(">8I", *(round(v * 1e5) for v in white_first))
    gamma = b"gAMA", struct.pack(">I", 45_470)
    adobe = png(tmp_path / "c.png", wide, gamma, colour=IN_SPACE["Adobe RGB"][0])
    assert levels(adobe) == pytest.approx(RED, abs=6)
    for odd in (bytes(32), b"\xff" * 32):
        assert levels(png(tmp_path / "d.png", (b"cHRM", odd))) == list(RED)


def test_adobe_rgb_by_exif_alone_is_obeyed(tmp_path):
    # Three directories of one or two entries: Exif in the first, interoperability in the second.
    entry = lambda tag, kind, count, value: struct.pack(">HHI4s", tag, kind, count, value)
    last = struct.pack(">H", 1) + entry(1, 2, 4, b"R03\0") + bytes(4)
    second = struct.pack(">H", 2) + entry(0xA001, 3, 1, b"\xff\xff\0\0")
    second += entry(0xA005, 4, 1, struct.pack(">I", 56)) + bytes(4)
    first = struct.pack(">H", 1) + entry(0x8769, 4, 1, struct.pack(">I", 26)) + bytes(4)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + first + second + last
    picture = Image.new("RGB", (16, 16), IN_SPACE["Adobe RGB"][0])
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert levels(tmp_path / "a.jpg") == pytest.approx(RED, abs=4)


@pytest.mark.parametrize("primaries, transfer, expected", [(12, 13, RED), (9, 16, None)])
def test_code_points_of_avif_are_obeyed(tmp_path, primaries, transfer, expected):
    path = tmp_path / "a.avif"
    try:
        Image.new("RGB", (16, 16), IN_SPACE["P3"][0]).save(path, quality=100, subsampling="4:4:4")
    except (KeyError, OSError, ValueError):
        pytest.skip("This Pillow writes no AVIF.")
    data = bytearray(path.read_bytes())
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    path.write_bytes(data)
    with open(path, "rb") as file:
        assert code_points("AVIF", file) == (primaries, transfer)
    if expected is None:
        with pytest.raises(ValueError, match="HDR picture .PQ."):
            read_still(path)
    else:
        assert levels(path) == pytest.approx(expected, abs=6)


def test_masks_are_data_that_no_profile_changes(tmp_path):
    Image.new("L", (5, 4), 51).save(tmp_path / "a.png", icc_profile=profiles.grey(1.0))
    torch.testing.assert_close(read_mask(tmp_path / "a.png"), torch.full((1, 4, 5), 0.2))
