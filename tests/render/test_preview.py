import pytest
import torch

from gid_core.motion.spectrum import SpectralVolume
from gid_core.render.preview import (
    FRAMES,
    LEAST_FPS,
    MOST_FPS,
    SIDE_PX,
    mask_overlay,
    motion_preview,
    preview_sheet,
)

SIZE = 30, 44


@pytest.fixture
def still(rng):
    return torch.rand(1, 3, *SIZE, generator=rng)


def spectrum(rng, hertz=(0.5, 1.0), **fields):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 5:25, 10:30] = 1
    coeffs = torch.randn(1, len(hertz), 2, 8, 11, generator=rng, dtype=torch.complex64)
    fields = {"coeffs": 0.3 * coeffs, "mask": mask} | fields
    return SpectralVolume(frequencies_hz=torch.tensor(hertz), reference_size=SIZE, **fields)


def test_it_is_a_short_loop_that_moves_inside_the_mask_and_has_no_seam(still, rng):
    frames, fps = motion_preview(still, spectrum(rng))
    assert frames.shape == (FRAMES, 3, *SIZE) and fps == LEAST_FPS
    steps = (frames - frames.roll(1, 0)).square().mean((1, 2, 3)).sqrt()
    assert steps.min() > 0 and steps[0] <= steps[1:].max()
    assert torch.equal(frames[:, :, 28:], still[:, :, 28:].expand(FRAMES, -1, -1, -1))


@pytest.mark.parametrize("size", [(700, 300), (3, 2000), (1, 1)])
def test_it_is_small_whatever_the_still_is(rng, size):
    frames, _ = motion_preview(torch.rand(1, 1, *size, generator=rng), spectrum(rng))
    assert frames.shape[:2] == (FRAMES, 3) and max(frames.shape[2:]) <= SIDE_PX


@pytest.mark.parametrize("hertz, expected", [((4.0, 8.0), 18.0), ((1.0, 30.0), MOST_FPS)])
def test_fast_bands_play_faster_and_those_too_fast_are_left_out(still, rng, hertz, expected):
    frames, fps = motion_preview(still, spectrum(rng, hertz))
    assert fps == expected and not torch.equal(frames[0], frames[1])


def test_what_only_moves_too_fast_or_not_at_all_rests(still, rng):
    for given in (
        spectrum(rng, (40.0, 50.0)),
        spectrum(rng, coeffs=torch.zeros(1, 2, 2, 8, 11) * 1j),
    ):
        frames, _ = motion_preview(still, given)
        assert torch.equal(frames, still.expand(FRAMES, -1, -1, -1))


def test_modes_move_as_their_wind_says(still, rng):
    ambient = torch.randn(2, 3, generator=rng, dtype=torch.complex64)
    hertz = torch.tensor([0.5, 1.0, 1.5])
    modes = spectrum(rng, kind="modes", damping_ratio=torch.tensor([0.1, 0.1]))
    windy = spectrum(rng, coeffs=modes.coeffs, kind="modes", ambient=ambient, ambient_hz=hertz)
    bands = torch.einsum("bkxhw,km->bmxhw", modes.coeffs, ambient)
    played = motion_preview(still, spectrum(rng, (0.5, 1.0, 1.5), coeffs=bands))[0]
    assert torch.equal(motion_preview(still, windy)[0], played)
    assert not played.var(0).max() == 0
    assert torch.equal(motion_preview(still, modes)[0][3], still[0])


def test_a_transparent_still_stays_transparent_and_a_batch_gives_each_its_own(rng):
    still = torch.rand(1, 4, *SIZE, generator=rng)
    assert motion_preview(still, spectrum(rng))[0].shape[1] == 4
    coeffs = torch.randn(2, 2, 2, 8, 11, generator=rng, dtype=torch.complex64)
    two = spectrum(rng, coeffs=coeffs, mask=spectrum(rng).mask.expand(2, -1, -1, -1))
    first, second = (motion_preview(still, two, i)[0] for i in range(2))
    assert not torch.equal(first, second)


def test_what_moves_is_tinted_and_what_stays_is_grey(still, rng):
    overlay = mask_overlay(still, spectrum(rng).mask)[0]
    outside = overlay[:, :5]
    assert torch.equal(outside[0], outside[1]) and torch.equal(outside[1], outside[2])
    assert (outside < still[0, :, :5].amax(0)).all()
    inside = overlay[:, 5:25, 10:30].mean((1, 2)) - still[0, :, 5:25, 10:30].mean((1, 2))
    assert inside[1] > inside[0] and inside[1] > 0


@pytest.mark.parametrize("size, sheet", [((30, 44), (60, 88)), ((44, 30), (88, 60))])
def test_a_sheet_shows_each_loop_beside_its_mask_in_one_picture(rng, size, sheet):
    stills = torch.rand(2, 4, *size, generator=rng)
    coeffs = torch.randn(2, 2, 2, 8, 11, generator=rng, dtype=torch.complex64)
    mask = torch.rand(2, 1, *size, generator=rng)
    two = spectrum(rng, coeffs=coeffs, mask=mask)
    frames, fps = preview_sheet(stills, two)
    assert frames.shape == (FRAMES, 4, *sheet) and fps == LEAST_FPS
    h, w = size
    for i, still in enumerate(stills):
        y, x = (0, i * w) if w > h else (i * h, 0)
        assert torch.equal(
            frames[..., y : y + h, x : x + w], motion_preview(still[None], two, i)[0]
        )
        y, x = (y + h, x) if w > h else (y, x + w)
        overlay = frames[..., y : y + h, x : x + w]
        assert torch.equal(overlay[3, :3], mask_overlay(still[None], mask[i : i + 1])[0])
        assert (overlay[:, 3] == 1).all()
    unmasked, _ = preview_sheet(stills, spectrum(rng, coeffs=coeffs, mask=None))
    assert unmasked.shape[2] * unmasked.shape[3] == 2 * h * w


def test_a_still_of_nan_is_refused_with_a_sentence(rng):
    with pytest.raises(ValueError, match="Expected finite pixel values"):
        preview_sheet(torch.full((1, 3, *SIZE), torch.nan), spectrum(rng))
