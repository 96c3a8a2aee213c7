from dataclasses import replace

import pytest
import torch

from gid_core.motion.retarget import KNOWN, RINGS, SPECKS, extrapolate, register, retarget
from gid_core.motion.spectrum import SpectralVolume

SIZE, GRID = (40, 60), (20, 30)  # two pixels per grid point
BOX = (8, 30, 12, 44)  # top, bottom, left, right, px


def painted(box=BOX, size=SIZE):
    mask = torch.zeros(1, 1, *size)
    mask[..., box[0] : box[1], box[2] : box[3]] = 1
    return mask


def volume(coeffs, size=SIZE, mask=None, **fields):
    frequencies = torch.arange(1, coeffs.shape[1] + 1) * 0.2
    return SpectralVolume(coeffs, frequencies, size, mask, **fields)


def noise(rng, grid=GRID, b=1, k=3):
    return torch.randn(b, k, 2, *grid, generator=rng, dtype=torch.complex64)


def points(mask, grid):
    """Grid points that a mask touches."""
    return torch.nn.functional.interpolate(mask, grid, mode="area")[0, 0] > 0


def ramp(box, grid, size, vector=(1.0, 0.5)):
    """A motion whose amplitude is the position in a box: 0 to 1 along x, 0 to i along y."""
    top, bottom, left, right = box
    y = ((torch.arange(grid[0]) + 0.5) * size[0] / grid[0] - top) / (bottom - top)
    x = ((torch.arange(grid[1]) + 0.5) * size[1] / grid[1] - left) / (right - left)
    field = x[None, :] + 1j * y[:, None]
    return (torch.tensor(vector).view(1, 1, 2, 1, 1) * field).to(torch.complex64)


@pytest.mark.parametrize("fit", ["box", "proportional", "picture"])
@pytest.mark.parametrize("size, grid", [(SIZE, GRID), ((37, 53), (19, 28)), ((11, 7), (11, 7))])
def test_transfer_to_its_own_mask_returns_a_motion_bit_for_bit(rng, fit, size, grid):
    mask = painted((1, size[0] - 3, 2, size[1] - 1), size)
    motion = volume(noise(rng, grid), size, mask)
    moved, report = retarget(motion, mask, fit=fit)
    at = torch.nn.functional.interpolate(mask, grid, mode="area")[0, 0] > KNOWN
    assert at.sum() > 10 and torch.equal(moved.coeffs[..., at], motion.coeffs[..., at])
    assert torch.equal(moved.mask, mask) and moved.reference_size == size
    assert torch.equal(moved.frequencies_hz, motion.frequencies_hz)
    assert report.size == pytest.approx(1) and report.beyond == 0


def test_transfer_is_linear_in_the_motion(rng):
    mask, target = painted(), painted((3, 20, 2, 59))
    one, two = noise(rng), noise(rng)
    put = lambda coeffs: retarget(volume(coeffs, mask=mask), target)[0].coeffs
    torch.testing.assert_close(put(2 * one - 3j * two), 2 * put(one) - 3j * put(two))


@pytest.mark.parametrize("shift", [(2, 3), (-4, 5), (0, -6)])  # grid points, down and right
def test_shifting_the_targets_mask_shifts_the_motion(rng, shift):
    motion = volume(noise(rng), mask=painted())
    down, right = 2 * shift[0], 2 * shift[1]
    there = painted((BOX[0] + down, BOX[1] + down, BOX[2] + right, BOX[3] + right))
    moved = retarget(motion, there)[0].coeffs
    expected = motion.coeffs.roll(shift, (-2, -1))
    at = points(there, GRID)
    torch.testing.assert_close(moved[..., at], expected[..., at])


@pytest.mark.parametrize("box", [(2, 38, 3, 57), (20, 28, 10, 17), (0, 31, 30, 60)])
def test_stretching_the_targets_mask_stretches_positions_and_not_vectors(box):
    motion = volume(ramp(BOX, GRID, SIZE), mask=painted())
    moved = retarget(motion, painted(box))[0].coeffs
    expected = ramp(box, GRID, SIZE)
    top, bottom, left, right = box
    # Points well inside: at an edge the kernel includes extrapolated points.
    inside = points(painted((top + 3, bottom - 3, left + 3, right - 3)), GRID)
    assert inside.any()
    torch.testing.assert_close(moved[..., inside], expected[..., inside], atol=2e-2, rtol=0)


def test_a_proportional_fit_has_one_ratio_for_both_axes():
    target = painted((4, 36, 20, 28))
    place = register(painted()[0, 0], target[0, 0], "proportional")
    boxes = register(painted()[0, 0], target[0, 0], "box")
    assert place.ratio[0] == place.ratio[1]
    assert place.ratio[0] ** 2 == pytest.approx(boxes.ratio[0] * boxes.ratio[1])
    assert place.source == boxes.source and place.target == boxes.target


def test_a_box_is_the_bounding_box_of_the_mask():
    place = register(painted()[0, 0], painted((0, 10, 5, 12))[0, 0], "box")
    assert place.source == pytest.approx((27.5, 18.5)) and place.target == pytest.approx((8, 4.5))
    assert place.ratio == pytest.approx((32 / 7, 22 / 10))


def test_a_fit_of_pictures_ignores_the_masks():
    place = register(painted()[0, 0], torch.zeros(20, 120), "picture")
    assert place.source == pytest.approx((29.5, 19.5)) and place.target == pytest.approx(
        (59.5, 9.5)
    )
    assert place.ratio == pytest.approx((0.5, 2))


def test_a_box_ignores_specks():
    speckled = painted((8, 30, 12, 44))
    speckled[..., 38, 57] = 1  # 1 of 704 px
    assert 1 / 704 < SPECKS
    a, b = (register(m[0, 0], m[0, 0], "box") for m in (painted(), speckled))
    assert a.source == pytest.approx(b.source, abs=0.1)


@pytest.mark.parametrize(
    "size, grid", [((60, 40), (30, 20)), ((80, 120), (20, 30)), ((33, 91), (11, 30))]
)
def test_amplitude_is_kept_in_percent_of_the_longer_side_and_direction_as_seen(size, grid):
    shove = torch.tensor([3.0, -1.0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, *GRID).to(torch.complex64)
    target = torch.ones(1, 1, *size)
    moved = retarget(volume(shove, mask=painted()), target, fit="picture")[0]
    assert moved.grid == grid
    of_source = [2 * 3.0 / 60, 2 * -1.0 / 60]  # px of the picture, over its longer side
    seen = moved.coeffs[0, 0].real.mean((-2, -1)) * torch.tensor(
        [size[1] / grid[1], size[0] / grid[0]]
    )
    torch.testing.assert_close(seen / max(size), torch.tensor(of_source))


def test_gain_is_a_factor_and_is_in_the_report(rng):
    motion, target = volume(noise(rng), mask=painted()), painted((3, 20, 2, 59))
    (once, report), (twice, larger) = (retarget(motion, target, gain=g) for g in (1.0, 2.0))
    torch.testing.assert_close(twice.coeffs, 2 * once.coeffs)
    assert larger.amplitude_pct[0] == pytest.approx(2 * report.amplitude_pct[0])
    assert larger.source_pct == report.source_pct
    assert f"{larger.amplitude_pct[0]:.2f} %" in str(larger)


def test_smoothing_keeps_a_uniform_motion_and_reduces_differences(rng):
    target = painted((2, 38, 3, 57))
    alike = torch.full((1, 3, 2, *GRID), 1 - 2j)
    moved, _ = retarget(volume(alike, mask=painted()), target, smooth_pct=10.0)
    at = points(target, GRID)
    torch.testing.assert_close(moved.coeffs[..., at], alike[..., at])
    steps = []
    for smooth in (0.0, 5.0, 20.0):
        moved, report = retarget(volume(noise(rng)), target, fit="picture", smooth_pct=smooth)
        steps.append(float(moved.coeffs[..., 2:18, 3:27].diff(dim=-1).abs().mean()))
        assert report.amplitude_pct[0] <= report.source_pct[0] + 1e-6
    assert steps[0] > 2 * steps[1] > 8 * steps[2]


def test_the_smoothing_radius_is_measured_in_the_target():
    """An impulse becomes a triangle of half width 10 % of 60 px: six pixels, three grid points."""
    one = torch.zeros(1, 1, 2, *GRID, dtype=torch.complex64)
    one[..., 10, 15] = 1
    moved, _ = retarget(volume(one), torch.ones(1, 1, *SIZE), fit="picture", smooth_pct=10.0)
    row = moved.coeffs[0, 0, 0, 10].real
    torch.testing.assert_close(row[11:20] / row[15], torch.tensor([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 3)


def test_mirroring_twice_is_the_identity(rng):
    mask = painted((8, 30, 6, 30))
    motion = volume(noise(rng), mask=mask)
    there = retarget(motion, mask.flip(-1), mirror=True)[0]
    expected = (motion.coeffs * torch.tensor([-1, 1]).view(2, 1, 1)).flip(-1)
    at = points(mask.flip(-1), GRID)
    torch.testing.assert_close(there.coeffs[..., at], expected[..., at])
    back = retarget(there, mask, mirror=True)[0]
    at = points(mask, GRID)
    torch.testing.assert_close(back.coeffs[..., at], motion.coeffs[..., at])


def test_outside_the_mask_and_its_rings_nothing_moves(rng):
    target = painted((10, 20, 30, 40))
    moved, _ = retarget(volume(noise(rng), mask=painted()), target)
    at = points(target, GRID).float()[None]
    ringed = torch.nn.functional.max_pool2d(at, 2 * RINGS + 1, 1, RINGS)[0] > 0
    assert not moved.coeffs[..., ~ringed].any() and moved.coeffs[..., ringed].all()


def test_points_beyond_the_source_follow_their_neighbours(rng):
    sway = torch.full((1, 1, 2, *GRID), 2.0 + 1j)
    sway[..., ~points(painted(), GRID)] = 77  # not the motion: outside its mask
    target = painted((0, 40, 20, 34))
    moved, report = retarget(volume(sway, mask=painted()), target, fit="proportional")
    inside = moved.coeffs[..., points(target, GRID)]
    torch.testing.assert_close(inside, torch.full_like(inside, 2.0 + 1j))
    assert 0.2 < report.beyond < 0.8
    assert f"{100 * report.beyond:.0f} % of it lies beyond" in str(report)


def test_a_source_mask_selects_the_region_of_the_source(rng):
    motion = volume(noise(rng), mask=torch.ones(1, 1, *SIZE))
    there = painted((BOX[0] + 4, BOX[1] + 4, BOX[2] - 6, BOX[3] - 6))
    moved = retarget(motion, there, painted())[0].coeffs
    at = points(there, GRID)
    expected = motion.coeffs.roll((2, -3), (-2, -1))
    torch.testing.assert_close(moved[..., at], expected[..., at])
    double = torch.nn.functional.interpolate(painted(), scale_factor=2, mode="nearest")
    torch.testing.assert_close(retarget(motion, there, double)[0].coeffs, moved)


def test_static_points_at_the_edge_of_the_mask_are_not_used():
    """Masks of clips fade out over static points; painted masks reach much farther."""
    still = torch.zeros(1, 2, 2, *GRID, dtype=torch.complex64)
    still[..., points(painted(), GRID)] = 3j
    faded = torch.nn.functional.avg_pool2d(painted(), 5, 1, 2)
    target = painted((0, 40, 0, 60))
    for mask, source_mask in ((faded, None), (faded, painted((0, 40, 2, 50))), (faded, target)):
        moved, _ = retarget(volume(still, mask=mask), target, source_mask)
        torch.testing.assert_close(moved.coeffs, torch.full_like(moved.coeffs, 3j))


def test_static_points_inside_the_mask_stay_static(rng):
    held = noise(rng)
    held[..., 12:15, :] = 0  # the foot of what is painted
    moved = retarget(volume(held, mask=painted()), painted())[0].coeffs
    at = points(painted(), GRID)
    assert torch.equal(moved[..., at], held[..., at]) and not moved[..., 12:15, 10:20].any()


def test_without_a_mask_the_whole_picture_is_the_source(rng):
    motion = volume(noise(rng))
    moved = retarget(motion, torch.ones(1, 1, *SIZE))[0]
    assert torch.equal(moved.coeffs, motion.coeffs)


def test_mean_and_drift_are_dropped(rng):
    field = torch.randn(1, 2, *GRID, generator=rng)
    moved = retarget(volume(noise(rng), mean=field, drift=field), painted())[0]
    assert moved.mean is None and moved.drift is None


def test_for_a_smaller_target_the_report_names_the_gain_of_equal_bending(rng):
    motion = volume(noise(rng), mask=painted((0, 40, 0, 60)))
    _, report = retarget(motion, painted((10, 30, 15, 45)))
    assert report.size == pytest.approx(0.5)
    assert "a gain of 0.50 it bends as much" in str(report)
    assert "gain" not in str(retarget(motion, painted((2, 38, 3, 57)))[1])


def test_one_motion_or_one_still_is_broadcast_to_many(rng):
    masks = torch.cat([painted(), painted((2, 20, 30, 55))])
    two = volume(noise(rng, b=2), mask=masks)
    ones = [volume(two.coeffs[i : i + 1], mask=masks[i : i + 1]) for i in range(2)]
    spread = retarget(ones[0], masks)[0].coeffs
    gathered = retarget(two, masks[:1])[0]
    paired = retarget(two, masks.flip(0))[0].coeffs
    for i in range(2):
        assert torch.equal(spread[i], retarget(ones[0], masks[i : i + 1])[0].coeffs[0])
        assert torch.equal(gathered.coeffs[i], retarget(ones[i], masks[:1])[0].coeffs[0])
        assert torch.equal(paired[i], retarget(ones[i], masks[1 - i : 2 - i])[0].coeffs[0])
    assert gathered.mask.shape == (2, 1, *SIZE)


def test_extrapolation_keeps_known_values_and_their_range(rng):
    field = torch.rand(3, 13, 22, generator=rng)
    known = torch.rand(1, 13, 22, generator=rng) < 0.1
    filled = extrapolate(field, known)
    assert torch.equal(filled[:, known[0]], field[:, known[0]])
    inside = field[:, known[0]]
    assert (filled >= inside.amin(1)[:, None, None] - 1e-6).all()
    assert (filled <= inside.amax(1)[:, None, None] + 1e-6).all()


def test_extrapolation_ignores_unknown_values(rng):
    known = torch.rand(1, 13, 22, generator=rng) < 0.3
    a = torch.rand(2, 13, 22, generator=rng)
    b = torch.where(known, a, torch.rand(2, 13, 22, generator=rng))
    assert torch.equal(extrapolate(a, known), extrapolate(b, known))


@pytest.mark.parametrize("size", [(13, 22), (1, 9), (9, 1), (2, 2)])
def test_every_extrapolated_point_is_the_mean_of_its_neighbours(rng, size):
    field = torch.rand(2, *size, generator=rng, dtype=torch.float64)
    known = torch.rand(1, *size, generator=rng) < 0.2
    known[..., 0, 0], known[..., -1, -1] = True, False
    filled = extrapolate(field, known)
    for y, x in (~known[0]).nonzero().tolist():
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        near = [filled[:, j, i] for j, i in around if 0 <= j < size[0] and 0 <= i < size[1]]
        torch.testing.assert_close(filled[:, y, x], torch.stack(near).mean(0))


def test_extrapolation_is_smooth():
    """A ramp known on a disc is extrapolated as R^2 / r, in steps no larger than its own."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(70.0), indexing="ij")
    known = ((y - 24) ** 2 + (x - 30) ** 2 < 14**2)[None]
    filled = extrapolate(x[None], known)[0]
    assert filled.diff(dim=1).abs().max() < 1.1 and filled.diff(dim=0).abs().max() < 1.1


def test_modes_are_transferred_and_have_no_amplitude(rng):
    modes = replace(volume(noise(rng), mask=painted()), kind="modes", damping_ratio=torch.ones(3))
    moved, report = retarget(modes, painted())
    at = points(painted(), GRID)
    assert moved.kind == "modes" and torch.equal(moved.damping_ratio, modes.damping_ratio)
    assert torch.equal(moved.coeffs[..., at], modes.coeffs[..., at])
    assert report.amplitude_pct == report.source_pct == ()
    assert str(report) == "Laid over the source."


def test_without_known_points_the_result_is_zero(rng):
    field = torch.rand(2, 5, 7, generator=rng)
    assert not extrapolate(field, torch.zeros(1, 5, 7, dtype=torch.bool)).any()


def test_refusals(rng):
    motion = volume(noise(rng, b=2), mask=torch.cat([painted()] * 2))
    with pytest.raises(ValueError, match="one of box, proportional, picture, got 'round'"):
        retarget(motion, painted(), fit="round")
    with pytest.raises(ValueError, match="target mask with something white.*Paint"):
        retarget(motion, torch.zeros(1, 1, *SIZE))
    with pytest.raises(ValueError, match="source mask with something white"):
        retarget(motion, painted(), torch.zeros(1, 1, *SIZE))
    with pytest.raises(ValueError, match="one source mask or one for each of the 2 motions, got 3"):
        retarget(motion, painted(), torch.cat([painted()] * 3))
    with pytest.raises(ValueError, match="got 2 motions for 3 stills"):
        retarget(motion, torch.cat([painted()] * 3))
