from dataclasses import replace

import pytest
import torch

from gid_core.evaluation import inspection
from gid_core.motion.edit import Edit, edit
from gid_core.motion.loops import seam
from gid_core.motion.spectrum import SpectralVolume, amplitude_pct, of_still, one_period

GRID, SIZE = (20, 30), (80, 120)


def volume(rng, gain=0.3, **fields):
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in GRID), indexing="ij")
    shape = torch.stack([torch.sin(x / 5), torch.cos(y / 7)]) * gain
    phases = torch.randn(2, 4, 1, 1, 1, generator=rng, dtype=torch.complex64)
    return SpectralVolume(phases * shape, torch.arange(1, 5) / 4, SIZE, **fields)


def of(picture, spectrum, item=0):
    return picture(of_still(spectrum, item), inspection.course_of(spectrum, item))


def test_a_smooth_motion_neither_folds_nor_leaks(rng):
    found = inspection.inspect(volume(rng))
    assert found.folded == 0 and found.leaked_pct == 0 and 0 < found.seam <= 1
    assert found.moving > 0.9 and "folds" not in str(found) and "Outside" not in str(found)
    assert (of(inspection.leak_picture, volume(rng)) == 0).all()


def test_folds_are_where_the_jacobian_changes_its_sign(rng):
    strong = volume(rng, gain=0.3)
    coeffs = strong.coeffs.clone()
    coeffs[:, 0, 0, :, 14] += 3  # one column is pushed past its neighbour and back
    folded = replace(strong, coeffs=coeffs)
    map_ = inspection.course_of(folded).least
    assert (map_ < 0).any(0).nonzero().flatten().tolist() in ([13, 14], [13], [14])
    found = inspection.inspect(folded)
    assert found.folded > 0 and "folds over" in str(found)
    red = inspection.fold_picture(inspection.course_of(folded))
    assert red[0].max() == 1 and (red[0] - red[1]).max() > 0.5


def test_leaks_are_what_moves_outside_the_mask(rng):
    mask = torch.zeros(2, 1, *SIZE)
    mask[..., :60] = 1
    leaking = volume(rng, mask=mask)
    tight, _ = edit(leaking, Edit(), mask)
    assert inspection.inspect(tight).leaked_pct == 0
    found = inspection.inspect(leaking, 1)
    assert found.leaked_pct > 0.5 and "Outside its mask it moves" in str(found)
    picture = of(inspection.leak_picture, leaking, 1)
    assert not picture[..., :15].any() and picture[..., 15:].any()


def test_the_numbers_are_those_of_the_other_measures(rng):
    spectrum = volume(rng)
    motion = one_period(spectrum)
    found = inspection.inspect(spectrum, 1)
    assert found.amplitude_pct == pytest.approx(float(amplitude_pct(motion)[1]), rel=1e-5)
    steps = seam(motion.at(1))
    assert found.seam == pytest.approx(steps.wrap / steps.largest_inside, rel=1e-5)


def test_amplitudes_are_in_percent_whatever_the_grid(rng):
    coarse = volume(rng)
    found = inspection.typical_amplitude(coarse, 1)
    expected = 100 * coarse.coeffs[1].abs().square().sum(1).sqrt().flatten(1).median(1).values / 30
    torch.testing.assert_close(found, expected)


def test_the_papers_curve_is_the_fit_of_its_clips():
    hz = torch.tensor([0.2, 1.0, 3.2])
    px = inspection.paper_amplitude(hz) / 100 * 256
    torch.testing.assert_close(px, torch.tensor([1.09, 0.29, 0.087]), rtol=0.25, atol=0)


def test_arrows_point_where_things_move(rng):
    right = volume(rng)
    coeffs = torch.zeros_like(right.coeffs)
    coeffs[:, 0, 0] = 1.0
    picture = inspection.quiver(inspection.course_of(replace(right, coeffs=coeffs)).widest, SIZE)
    white = (picture == 1).all(0)
    assert white.any() and white.sum(1).max() > white.sum(0).max()  # shafts lie in rows


def test_sheets_have_one_size_and_modes_have_their_old_one(rng):
    sheet, found = inspection.motion_sheet(volume(rng), 1, 120)
    assert sheet.shape == (3, 3 * 84 - 4, 4 * 124 - 4) and found.amplitude_pct > 0
    modes = volume(rng, kind="modes", damping_ratio=torch.full((4,), 0.1))
    _, none = inspection.motion_sheet(modes, 0, 120)
    assert none.amplitude_pct == 0


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_plots_show_even_what_does_not_move(rng, gain):
    spectrum = volume(rng)
    edited, _ = edit(spectrum, Edit(gain=gain))
    plot = inspection.edit_plot(spectrum, edited)
    assert plot.shape == (3, 200, 420) and plot.std() > 0.02
    course = inspection.course_plot(torch.tensor([0.0, gain, 0.0], dtype=torch.float64), 30.0)
    assert course.shape == (3, 160, 420)
