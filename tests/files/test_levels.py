import struct

import numpy as np
import pytest
import torch
from PIL import Image

from gid_core.files.levels import levels
from gid_core.files.stills import read_mask, read_still

RAMP = np.linspace(0, 1, 12).reshape(3, 4)


@pytest.mark.parametrize(
    "white, kind",
    [
        (1, np.float32),
        (1, np.float64),
        (255, np.float32),
        (65535, np.float32),
        (255, np.uint16),
        (65535, np.uint16),
        (65535, np.int32),
        (2**31 - 1, np.int32),
        (2**32 - 1, np.uint32),
        (255, np.uint8),
    ],
)
def test_white_is_the_smallest_that_no_value_exceeds(white, kind):
    read = levels((RAMP * white).astype(kind), "m")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, RAMP, atol=1 / min(white, 255) if white > 1 else 1e-6)


def test_zeros_and_ones_are_black_and_white():
    for kind in (bool, np.uint8, np.uint16, np.int32, np.float32):
        assert levels(np.eye(3, 4).astype(kind), "m").tolist() == np.eye(3, 4).tolist()


def test_resampled_floats_may_overshoot():
    assert levels(np.float32([-0.04, 0.5, 1.04]), "m").tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    "values, found",
    [
        ([0, 7.5], "from 0 to 7.5"),
        ([0, 4095], "0 to 4095"),
        ([-1, 1], "from -1 to 1"),
        ([0, 1e12], "to 1e.12"),
        ([0, 12], "0 to 12"),
    ],
)
def test_what_no_white_explains_is_refused_with_the_values_found(values, found):
    with pytest.raises(ValueError, match=f"'m' holds values .*{found}.*Scale them"):
        levels(np.float64(values), "m")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="'m' holds 2 values that are NaN or infinite"):
        levels(np.float32([0, bad, bad, 1]), "m")


def test_black_is_black():
    assert levels(np.zeros((2, 3), np.float32), "m").tolist() == [[0, 0, 0]] * 2


def saved(path, values):
    Image.fromarray(values).save(path)
    return path


BLOCK = np.zeros((6, 8), bool)
BLOCK[1:3, 2:7] = True


@pytest.mark.parametrize(
    "name, values",
    [
        ("8.png", BLOCK.astype(np.uint8)),
        ("rgb.png", np.uint8(BLOCK)[..., None].repeat(3, -1)),
        ("bits.png", BLOCK),
        ("16.png", BLOCK.astype(np.uint16)),
        ("8in16.png", np.uint16(BLOCK * 255)),
        ("16full.png", np.uint16(BLOCK * 65535)),
        ("32.tif", BLOCK.astype(np.int32)),
        ("8in32.tif", np.int32(BLOCK * 255)),
        ("16in32.tif", np.int32(BLOCK * 65535)),
        ("float.tif", BLOCK.astype(np.float32)),
        ("float.pfm", BLOCK.astype(np.float32)),
        ("255.tif", np.float32(BLOCK * 255)),
        ("grey.bmp", BLOCK.astype(np.uint8)),
    ],
)
def test_masks_of_any_type_are_black_and_white(tmp_path, name, values):
    read = read_mask(saved(tmp_path / name, values))
    assert torch.equal(read, torch.from_numpy(BLOCK)[None].float())


def test_masks_of_palettes_and_alpha_of_zeros_and_ones_are_read(tmp_path):
    palette = Image.fromarray(BLOCK.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 1, 1, 1])
    palette.save(tmp_path / "a.png")
    assert torch.equal(read_mask(tmp_path / "a.png")[0] > 0.5, torch.from_numpy(BLOCK))
    ink = np.stack([np.full((6, 8), 255), BLOCK], -1).astype(np.uint8)
    Image.fromarray(ink, "LA").save(tmp_path / "b.png")
    assert torch.equal(read_mask(tmp_path / "b.png"), torch.from_numpy(BLOCK)[None].float())


@pytest.mark.parametrize("colour", [(128, 0, 0), (0, 0, 3), (255, 255, 0)])
def test_a_palette_of_black_and_one_colour_is_a_label(tmp_path, colour):
    for path in (tmp_path / "a.png", tmp_path / "b.gif"):
        palette = Image.fromarray(BLOCK.astype(np.uint8), "P")
        palette.putpalette([0, 0, 0, *colour])
        palette.save(path)
        assert torch.equal(read_mask(path)[0], torch.from_numpy(BLOCK).float())


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 90), (3, 200, 7)])
def test_black_and_one_colour_are_a_label_in_any_kind_of_picture(tmp_path, colour):
    rgb = BLOCK[..., None] * np.uint8(colour)
    opaque = read_mask(saved(tmp_path / "a.png", rgb))
    assert torch.equal(opaque[0], torch.from_numpy(BLOCK).float())
    # Paint on a layer of its own, of a soft brush; what is hidden has any colour.
    alpha = np.where(BLOCK, np.arange(60, 68, dtype=np.uint8), 0).astype(np.uint8)
    hidden = np.where(BLOCK[..., None], rgb, np.uint8([9, 80, 10]))
    layer = read_mask(saved(tmp_path / "b.png", np.dstack([hidden, alpha])))
    torch.testing.assert_close(layer[0], torch.from_numpy(alpha).float() / 255)


def test_white_below_black_is_turned_round_in_16_bits(tmp_path):
    """A TIFF of 16 bits in which 0 is white, which Pillow reads as if it were black."""
    Image.fromarray(np.uint16((1 - RAMP) * 65535 + 0.5)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[at : at + 2] = b"\0\0"
    (tmp_path / "a.tif").write_bytes(data)
    for read in (read_mask, read_still):
        found = read(tmp_path / "a.tif")[0]
        torch.testing.assert_close(found, torch.from_numpy(RAMP).float(), atol=2e-5, rtol=0)


def test_a_palette_of_greys_is_read_by_its_greys(tmp_path):
    palette = Image.fromarray(BLOCK.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 128, 128])
    palette.save(tmp_path / "a.png")
    half = torch.from_numpy(BLOCK).float() * 128 / 255
    torch.testing.assert_close(read_mask(tmp_path / "a.png")[0], half)


def test_32_bits_without_a_sign_fill_their_range(tmp_path):
    """Pillow writes no such TIFF: its 12 tags are put together here."""
    values = (RAMP * (2**32 - 1)).round().astype("<u4")
    tags = {256: 4, 257: 3, 258: 32, 259: 1, 262: 1, 277: 1, 278: 3, 279: values.nbytes, 339: 1}
    tags[273] = 14 + 12 * (len(tags) + 1)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    (tmp_path / "a.tif").write_bytes(head + entries + bytes(4) + values.tobytes())
    read = read_mask(tmp_path / "a.tif")
    torch.testing.assert_close(read[0], torch.from_numpy(RAMP).float())


@pytest.mark.parametrize("values", [np.uint8(BLOCK * 3), np.uint16(BLOCK * 1023)])
def test_masks_that_are_nearly_black_are_refused_with_the_values_found(tmp_path, values):
    with pytest.raises(ValueError, match=f"'a.png' holds values from 0 to {values.max()}"):
        read_mask(saved(tmp_path / "a.png", values))


def test_soft_masks_keep_their_greys(tmp_path):
    greys = np.uint8([[0, 51, 102, 204]])
    torch.testing.assert_close(
        read_mask(saved(tmp_path / "a.png", greys)), torch.tensor([[[0, 0.2, 0.4, 0.8]]])
    )


@pytest.mark.parametrize("ending", ["tif", "pfm"])
def test_float_stills_are_read_by_their_range(tmp_path, ending):
    grey = np.float32([[0, 0.25, 0.5, 1]])
    read = read_still(saved(tmp_path / f"a.{ending}", grey))
    torch.testing.assert_close(read, torch.from_numpy(grey).expand(3, 1, 4))
    read = read_still(saved(tmp_path / f"b.{ending}", grey * 255))
    torch.testing.assert_close(read, torch.from_numpy(grey).expand(3, 1, 4))
    with pytest.raises(ValueError, match=f"'c.{ending}' holds values from 0 to 12"):
        read_still(saved(tmp_path / f"c.{ending}", grey * 12))


def test_dark_stills_of_16_bits_stay_dark(tmp_path):
    dark = saved(tmp_path / "a.png", np.uint16([[0, 100, 200]]))
    assert read_still(dark).max() == pytest.approx(200 / 65535)
