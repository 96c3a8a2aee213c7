import numpy as np
import pytest
import torch
from PIL import Image

from gid_core.files.stills import read_mask, read_still, to_bytes


def test_bytes_are_rounded_and_clamped():
    frame = torch.tensor([-0.5, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0]).view(1, 1, 6)
    assert to_bytes(frame)[..., 0].tolist() == [[0, 0, 0, 1, 255, 255]]
    assert to_bytes(torch.zeros(3, 2, 5)).shape == (2, 5, 3)


def saved(path, pixels, **options):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


def test_a_still_is_read_as_it_is(tmp_path, rng):
    pixels = torch.randint(0, 256, (5, 7, 3), generator=rng)
    read = read_still(saved(tmp_path / "a.png", pixels))
    assert torch.equal(read, pixels.movedim(-1, 0) / 255)
    assert torch.equal(read_still(str(tmp_path / "a.png")), read)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_still_is_upright_as_its_exif_says(tmp_path, rng, orientation):
    pixels = torch.randint(0, 256, (5, 7, 3), generator=rng)
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = read_still(saved(tmp_path / "a.png", pixels, exif=exif))
    upright = pixels.movedim(-1, 0) / 255
    if orientation in (2, 4, 5, 7):  # EXIF 2.3, tag 274: these are mirrored
        upright = upright.flip(2)
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}[orientation]
    assert torch.equal(read, torch.rot90(upright, turns, (1, 2)))


def test_grey_palette_and_transparency_become_colours(tmp_path):
    grey = saved(tmp_path / "grey.png", [[0, 51, 255]])
    assert torch.equal(read_still(grey), torch.tensor([[[0, 0.2, 1]]]).expand(3, 1, 3))

    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "palette.png")
    expected = torch.tensor([[[1.0, 0]], [[0, 0]], [[0, 1]]])
    assert torch.equal(read_still(tmp_path / "palette.png"), expected)
    palette.save(tmp_path / "see-through.png", transparency=1)
    read = read_still(tmp_path / "see-through.png")
    assert torch.equal(read, torch.cat([expected, torch.tensor([[[1.0, 0]]])]))

    rgba = saved(tmp_path / "rgba.png", [[[255, 0, 51, 102]]])
    torch.testing.assert_close(read_still(rgba).flatten(), torch.tensor([1, 0, 0.2, 0.4]))
    both = Image.fromarray(np.array([[[51, 102]]], np.uint8), "LA")
    both.save(tmp_path / "la.png")
    read = read_still(tmp_path / "la.png").flatten()
    torch.testing.assert_close(read, torch.tensor([0.2, 0.2, 0.2, 0.4]))


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_keep_their_brightness(tmp_path, ending):
    deep = np.array([[0, 65535 // 4, 65535 // 2, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / f"a{ending}")
    expected = torch.tensor([0, 0.25, 0.5, 1]).expand(3, 1, 4)
    torch.testing.assert_close(read_still(tmp_path / f"a{ending}"), expected, atol=1e-4, rtol=0)


def test_the_grey_that_is_transparent_is_so_in_sixteen_bits(tmp_path):
    grey = np.uint16([[0, 700, 65535], [700, 9, 700]])
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=700)
    still = read_still(tmp_path / "a.png")
    assert still.shape == (4, 2, 3) and torch.equal(still[3], torch.from_numpy(grey != 700).float())
    torch.testing.assert_close(still[1], torch.from_numpy(np.float32(grey) / 65535))


def test_cmyk_and_one_bit_pictures_are_read(tmp_path):
    Image.new("CMYK", (3, 2), (0, 0, 0, 0)).save(tmp_path / "a.tif")
    assert torch.equal(read_still(tmp_path / "a.tif"), torch.ones(3, 2, 3))
    Image.new("1", (3, 2), 1).save(tmp_path / "b.png")
    assert torch.equal(read_still(tmp_path / "b.png"), torch.ones(3, 2, 3))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 20])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match="'a.png' is not a readable picture"):
        read_still(tmp_path / "a.png")


def test_a_truncated_picture_is_refused(tmp_path, rng):
    for ending in ("png", "jpg", "webp", "bmp"):
        path = saved(tmp_path / f"a.{ending}", torch.randint(0, 256, (50, 70, 3), generator=rng))
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(ValueError, match=f"'a.{ending}' is not a readable picture"):
            read_still(path)


def test_a_missing_picture_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "no.png", tmp_path):
        with pytest.raises(ValueError, match="Expected a picture, found no file"):
            read_still(path)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", np.zeros((40, 60, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="'a.png' is too large.*Scale it down"):
        read_still(path)


def test_a_mask_is_grey_times_opacity(tmp_path):
    grey = read_mask(saved(tmp_path / "a.png", [[0, 102, 255]]))
    torch.testing.assert_close(grey, torch.tensor([[[0, 0.4, 1]]]))
    see_through = saved(tmp_path / "b.png", [[[255, 255, 255, 51], [255, 0, 0, 255]]])
    torch.testing.assert_close(read_mask(see_through), torch.tensor([[[0.2, 1 / 3]]]))
