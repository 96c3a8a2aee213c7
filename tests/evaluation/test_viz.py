import math

import pytest
import torch

from gid_core.evaluation.viz import (
    amplitude_plot,
    band_picture,
    busiest_row,
    flow_wheel,
    heat,
    hsv,
    motion_energy_picture,
    resized,
    slice_xt,
    spectrum_sheet,
    tiles,
)
from gid_core.motion.spectrum import SpectralVolume


def arrow(dx, dy):
    return torch.tensor([float(dx), float(dy)]).view(2, 1, 1)


def test_hsv_gives_the_corners_of_the_rgb_cube():
    hues = torch.tensor([[0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1]])
    one = torch.ones(1, 7)
    expected = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
    torch.testing.assert_close(hsv(hues, one, one)[:, 0].T, torch.tensor(expected).float())
    torch.testing.assert_close(hsv(hues, 0 * one, 0.3 * one), torch.full((3, 1, 7), 0.3))
    torch.testing.assert_close(hsv(hues, one, 0 * one), torch.zeros(3, 1, 7))


@pytest.mark.parametrize(
    "dx, dy, rgb",
    [(1, 0, (1, 0, 0)), (0, -1, (0.5, 1, 0)), (-1, 0, (0, 1, 1)), (0, 1, (0.5, 0, 1))],
)
def test_convention_the_wheel_is_red_right_and_green_yellow_up(dx, dy, rgb):
    seen = flow_wheel(arrow(dx, dy), largest=1.0).flatten()
    torch.testing.assert_close(seen, torch.tensor(rgb).float(), atol=1e-6, rtol=0)


def test_length_is_brightness(rng):
    vectors = torch.randn(2, 5, 7, generator=rng)
    full = flow_wheel(vectors / vectors.norm(dim=0), largest=1.0)
    half = flow_wheel(0.5 * vectors / vectors.norm(dim=0), largest=1.0)
    torch.testing.assert_close(half, 0.5 * full)
    torch.testing.assert_close(flow_wheel(3 * vectors), flow_wheel(vectors), atol=1e-5, rtol=0)


def test_no_motion_is_black():
    assert not flow_wheel(torch.zeros(2, 5, 7)).any()
    assert not band_picture(torch.zeros(2, 5, 7, dtype=torch.complex64)).any()


@pytest.mark.parametrize("phase", [0.0, 1.0, math.pi / 2, 2.5])
def test_a_band_shows_its_direction_at_every_phase(phase):
    # All points move along one line with one phase; half a period later the direction is reversed.
    turn = torch.polar(torch.ones(()), torch.tensor(phase))
    coeffs = (arrow(0.6, -0.8) * torch.linspace(0.2, 1, 35).view(1, 5, 7)) * turn
    seen = band_picture(coeffs)
    field = torch.linspace(0.2, 1, 35).view(1, 5, 7)
    expected = [flow_wheel(sign * arrow(0.6, -0.8) * field) for sign in (1, -1)]
    assert min(float((seen - one).abs().max()) for one in expected) < 1e-4


def test_a_band_is_shown_at_the_phase_of_largest_displacement():
    # The left half moves farther. The right half is a quarter period later, at zero displacement.
    phase = torch.polar(torch.ones(()), torch.tensor(1.3))
    coeffs = (arrow(1, 0) * torch.ones(1, 4, 6)).to(torch.complex64) * phase
    coeffs[:, :, 3:] *= 0.5j
    seen = band_picture(coeffs)
    assert seen[:, :, :3].amax() > 0.9 and seen[:, :, 3:].amax() < 1e-5


def test_heat_goes_from_black_through_red_and_yellow_to_white():
    seen = heat(torch.tensor([[0, 1 / 3, 2 / 3, 1]]))
    expected = torch.tensor([(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]).float()
    torch.testing.assert_close(seen[:, 0].T, expected, atol=1e-6, rtol=0)


def test_motion_energy_is_zero_where_a_clip_does_not_change(rng):
    frames = torch.rand(1, 3, 9, 11, generator=rng).repeat(6, 1, 1, 1)
    frames[:, :, 4, 2:8] = torch.rand(6, 3, 6, generator=rng)
    energy = motion_energy_picture(frames).sum(0)
    assert (energy[4, 2:8] > 0).all() and energy.sum() == pytest.approx(energy[4, 2:8].sum().item())
    assert busiest_row(frames) == 4
    assert not motion_energy_picture(frames[:1]).any()


def test_a_slice_is_one_row_over_time(rng):
    frames = torch.rand(6, 3, 9, 11, generator=rng)
    cut = slice_xt(frames, 4)
    for t in range(6):
        assert torch.equal(cut[:, t], frames[t, :, 4])


def test_tiles_lie_in_rows_with_a_gap(rng):
    pictures = list(torch.rand(5, 3, 4, 6, generator=rng))
    sheet = tiles(pictures, columns=3, gap=2)
    assert sheet.shape == (3, 2 * 4 + 2, 3 * 6 + 2 * 2)
    for i, picture in enumerate(pictures):
        y, x = i // 3 * 6, i % 3 * 8
        assert torch.equal(sheet[:, y : y + 4, x : x + 6], picture)
    assert (sheet[:, 4:6] == 0.1).all() and (sheet[:, 6:, 16:] == 0.1).all()


def test_resizing_keeps_a_constant_in_range(rng):
    assert torch.allclose(resized(torch.full((3, 5, 7), 0.3), (10, 9)), torch.full((3, 10, 9), 0.3))
    assert resized(2 * torch.rand(3, 5, 7, generator=rng) - 0.5, (9, 8)).max() <= 1


def test_bars_grow_with_amplitude():
    amplitudes = torch.tensor([1.0, 0.3, 0.1, 0.01])
    picture = amplitude_plot(torch.tensor([0.2, 0.4, 0.6, 0.8]), amplitudes, (120, 200))
    bar = torch.tensor([86, 170, 220]).view(3, 1, 1) / 255
    columns = ((picture - bar).abs().amax(0) < 0.01).sum(0)
    left, step = 46, (200 - 46 - 8) / 4
    heights = [int(columns[int(left + (k + 0.5) * step)]) for k in range(4)]
    assert heights == sorted(heights, reverse=True) and heights[-1] > 0
    # Logarithmic: 1 to 0.1 is as far as 0.1 to 0.01.
    assert heights[0] - heights[2] == pytest.approx(heights[2] - heights[3], abs=2)


@pytest.mark.parametrize("amplitudes", [[0.0], [0.0, 0.0, 0.0], [2.0], [1e-20, 1.0]])
def test_zero_and_extreme_amplitudes_can_be_drawn(amplitudes):
    frequencies = torch.arange(1, len(amplitudes) + 1) / 5
    picture = amplitude_plot(frequencies, torch.tensor(amplitudes), (90, 120))
    assert picture.shape == (3, 90, 120) and picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("bands, masked", [(1, False), (3, True), (12, True)])
def test_a_sheet_shows_mask_energy_spectrum_wheel_and_bands(rng, bands, masked):
    coeffs = torch.randn(2, bands, 2, 5, 7, generator=rng, dtype=torch.complex64)
    mask = torch.zeros(2, 1, 40, 56)
    mask[1, :, :, :28] = 1
    frequencies = torch.arange(1, bands + 1) / 5
    spectrum = SpectralVolume(coeffs, frequencies, (40, 56), mask if masked else None)
    sheet = spectrum_sheet(spectrum, item=1, width=112)
    rows = math.ceil((4 + min(8, bands)) / 4)
    assert sheet.shape == (3, rows * 84 - 4, 4 * 116 - 4)
    assert sheet.min() >= 0 and sheet.max() <= 1
    assert (sheet[:, :80, :50] == 1).all()
    assert (sheet[:, :80, 62:112] == (0 if masked else 1)).all()
    wheel = sheet[:, :80, 3 * 116 : 3 * 116 + 112]
    assert not wheel[:, 40, :10].any() and wheel[0, 40, -30] > 0.6 > 0.1 > wheel[1, 40, -30]


def test_a_sheet_of_a_zero_spectrum_can_be_drawn():
    spectrum = SpectralVolume(
        torch.zeros(1, 2, 2, 5, 7, dtype=torch.complex64),
        torch.tensor([0.2, 0.4]),
        (10, 14),
        torch.zeros(1, 1, 10, 14),
    )
    assert spectrum_sheet(spectrum).isfinite().all()
