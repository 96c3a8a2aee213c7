import math
from dataclasses import replace

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import ElasticConfig, SpectrumConfig, WindConfig
from gid_core.elastic.modes import ELEMENT, Part, modes_of
from gid_core.elastic.prior import (
    ElasticPrior,
    Sheet,
    free_modes,
    least_jacobian,
    receptance,
    set_amplitude,
    solve,
    wind_response,
)
from gid_core.motion.playback import play
from gid_core.motion.spectrum import (
    SpectralVolume,
    amplitude_pct,
    displacement_at,
    moving_points,
    one_period,
)
from gid_core.motion.wind import von_karman, wind
from gid_core.still.grid import pixel_grid

BANDS = SpectrumConfig(bands=6, duration_s=2.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def hand_made(rows=4, columns=5, sway=1.0, count=10_000):
    """A sheet of elastic squares held at its left side, with its K and M; no picture involved."""
    grid = rows + 1, columns + 1
    cells, nodes = np.arange(rows * columns), np.arange(grid[0] * grid[1])
    stiffness = 0.5 + (cells.reshape(rows, columns) % 3) / 4
    mass, springs = oracles.node_mass(np.ones((rows, columns))), np.zeros(grid)
    fixed = nodes[nodes % grid[1] == 0]
    part = modes_of(cells, nodes, grid, stiffness, mass, springs, fixed, count)
    to_hertz = 2 * math.pi * sway / part.omega[0]
    part = replace(part, omega=part.omega * to_hertz)
    free = np.stack([2 * part.nodes, 2 * part.nodes + 1], 1).flatten()
    stiff = oracles.stiffness_matrix(cells, grid, stiffness, springs, ELEMENT)
    stiff = stiff[np.ix_(free, free)] * to_hertz**2
    return (
        Sheet(grid, mass, np.ones(grid, bool), (part,)),
        stiff,
        np.repeat(mass.flatten()[part.nodes], 2),
    )


def wind_on(sheet, config, bands, seed=0):
    """The force on every node and axis of a sheet's first part, (k, 2 n)."""
    frequencies = torch.arange(1, bands.bands + 1) / bands.duration_s
    velocity = wind(frequencies, sheet.grid, 1 / bands.duration_s, config, generator(seed)).numpy()
    force = (velocity * sheet.coverage).reshape(bands.bands, 2, -1)[:, :, sheet.parts[0].nodes]
    return force.transpose(0, 2, 1).reshape(bands.bands, -1)


def at_nodes(volume, part):
    coeffs = volume.coeffs[0].flatten(2).numpy()[:, :, part.nodes]
    return coeffs.transpose(0, 2, 1).reshape(len(coeffs), -1)


def blown(sheet, bands=BANDS, config=WindConfig(), elastic=ElasticConfig(), seed=0):
    return wind_response(sheet, torch.ones(1, 1, 20, 24), elastic, config, bands, generator(seed))


def still_and_matte():
    return oracles.two_blobs(36, 48)


def size_of(volume):
    return amplitude_pct(one_period(volume), moving_points(volume)).item()


def moves(volume):
    """The largest amplitude at every point of the grid."""
    return volume.coeffs[0].abs().amax((0, 1))


def test_the_response_solves_the_equation_of_motion():
    sheet, stiff, mass = hand_made()
    response, force = at_nodes(blown(sheet), sheet.parts[0]), wind_on(sheet, WindConfig(), BANDS)
    for k in range(BANDS.bands):
        Omega = 2 * math.pi * (k + 1) / BANDS.duration_s
        expected = oracles.damped_response(stiff, mass, 0.09, Omega, force[k])
        np.testing.assert_allclose(response[k], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("sway, damping", [(0.7, 0.09), (2.0, 0.02)])
def test_every_mode_answers_the_wind_by_its_transfer(sway, damping):
    sheet, _, mass = hand_made(sway=sway, count=7)
    part, elastic = sheet.parts[0], ElasticConfig(damping_ratio=damping)
    response = at_nodes(blown(sheet, elastic=elastic), part)
    force = wind_on(sheet, WindConfig(), BANDS)
    shapes = part.shapes.reshape(len(mass), -1)
    Omega = 2 * math.pi * np.arange(1, BANDS.bands + 1)[:, None] / BANDS.duration_s
    expected = force @ shapes / (part.omega**2 - Omega**2 + 2j * damping * part.omega * Omega)
    found = (response * mass) @ shapes
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_mode_peaks_at_resonance_and_lags_by_a_quarter_period():
    omega, zeta = np.array([3.0]), 0.1
    Omega = np.linspace(0, 6, 6001)
    answer = receptance(omega, Omega, zeta)[:, 0]
    assert answer[0] == pytest.approx(1 / 9)  # static: 1 / stiffness
    assert answer[3000] == pytest.approx(-1j / (2 * zeta * 9))
    assert Omega[np.abs(answer).argmax()] == pytest.approx(3 * math.sqrt(1 - 2 * zeta**2), abs=2e-3)


def test_the_spectrum_of_the_response_is_winds_times_transfer():
    sheet, _, mass = hand_made(2, 3, count=2)
    part, config, draws = sheet.parts[0], WindConfig(gustiness=0.5), 500
    bands = SpectrumConfig(bands=4, duration_s=2.0)
    shapes = part.shapes.reshape(len(mass), -1)
    power = 0
    for seed in range(draws):
        found = (at_nodes(blown(sheet, bands, config, seed=seed), part) * mass) @ shapes
        power = power + np.abs(found) ** 2 / draws
    # What von Karman, Davenport and Taylor make of the force on each mode.
    m = sheet.coverage.flatten()[part.nodes]
    y, x = np.divmod(part.nodes, sheet.grid[1])
    apart = np.hypot(x[:, None] - x, y[:, None] - y) / sheet.grid[1]
    later = (x[:, None] - x) / sheet.grid[1]
    for k in range(4):
        f = (k + 1) / 2
        alike = np.exp(-config.coherence_decay * f * apart / config.speed)
        alike = alike * np.exp(-2j * math.pi * f * later / config.speed)
        H = receptance(part.omega, np.array([2 * math.pi * f]), 0.09)[0]
        for j in range(2):
            force = 0
            for axis, share in ((0, 1.0), (1, 0.5)):
                reduced = torch.tensor([f * config.gust_length / config.speed])
                density = von_karman(reduced, axis == 1).item() / f
                pushed = m * part.shapes[:, axis, j]
                force += share**2 * 2 * density / 2 * (pushed @ alike @ pushed).real
            # The mean of an exponential variable: four standard errors.
            assert power[k, j] == pytest.approx(abs(H[j]) ** 2 * force, rel=4 / math.sqrt(draws))


def test_every_part_moves():
    image, matte = oracles.dots(40, 60, 5)
    sheet = solve(image, matte)
    volume = set_amplitude(blown(sheet), sheet, BANDS)
    assert len(sheet.parts) == 96
    largest = np.array([moves(volume).flatten()[p.nodes].max() for p in sheet.parts])
    assert largest.min() > 0.01 * largest.max()


@pytest.mark.parametrize("percent", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("duration_s, bands", [(5.0, 16), (2.0, 6), (10.0, 32), (40.0, 128)])
def test_the_motion_has_the_size_asked_for(percent, duration_s, bands):
    image, matte = still_and_matte()
    asked = SpectrumConfig(bands, duration_s, percent)
    volume = ElasticPrior().sample(image, matte, generator(), asked)
    assert size_of(volume) == pytest.approx(percent, rel=0.01)
    played, _ = play(volume, round(30 * duration_s), 30.0)
    measured = amplitude_pct(played, moving_points(volume)).item()
    assert measured == pytest.approx(percent, rel=0.01)


def test_no_amplitude_is_no_motion():
    image, matte = still_and_matte()
    volume = ElasticPrior().sample(image, matte, generator(), replace(BANDS, amplitude_pct=0.0))
    assert not volume.coeffs.any()


def moved_by(field):
    """A sheet all of which moves by a field, 2 h w, in one band; and its volume."""
    grid = tuple(field.shape[1:])
    count = grid[0] * grid[1]
    part = Part(np.arange(count), np.zeros((count, 2, 1)), np.ones(1))
    coeffs = field[None, None].to(torch.complex64)
    sheet = Sheet(grid, np.ones(grid), np.ones(grid, bool), (part,))
    return sheet, SpectralVolume(coeffs, torch.tensor([1.0]), grid)


def test_nothing_swings_much_farther_than_the_rest():
    # A bump of thirty times the rest's motion, on 2 % of the sheet.
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    bump = torch.exp(-((x - 20).square() + (y - 12).square()) / 4)
    sheet, volume = moved_by(torch.stack([1 + 30 * bump, 0 * bump]))
    resized = moves(set_amplitude(volume, sheet, SpectrumConfig(1, 1.0, 0.2)))
    size = 0.002 * 40
    assert 2 * size < resized.max() < 1.05 * 3 * size
    assert resized.flatten().quantile(0.95) == pytest.approx(size, rel=0.01)


def test_a_fold_is_evened_out():
    # The two halves of a sheet run into each other, by three grid cells.
    x = torch.arange(24.0).expand(20, 24)
    sheet, volume = moved_by(torch.stack([torch.where(x < 12, 1.0, -1.0), 0 * x]))
    asked = SpectrumConfig(1, 1.0, 100 * 1.5 / 24)
    assert least_jacobian(displacement_at(volume, torch.zeros(1))[0] * 1.5).min() < 0
    evened = set_amplitude(volume, sheet, asked)
    assert least_jacobian(displacement_at(evened, torch.zeros(1))[0]).min() > 0.05
    assert size_of(evened) == pytest.approx(asked.amplitude_pct, rel=0.01)


@pytest.mark.parametrize("size", [(32, 7680), (40, 1600), (1600, 40)])
def test_no_point_runs_away_while_a_narrow_sheet_is_unfolded(size):
    """Two rows of cells that fold in every round; what lies outside them once grew in each."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in size), indexing="ij")
    matte = (((x - 0.5) / 0.12).square() + ((y - 0.4) / 0.3).square() < 1).float()[None, None]
    image = 0.3 + 0.4 * matte.expand(1, 3, -1, -1)
    volume = ElasticPrior().sample(image, matte, generator(7), SpectrumConfig(4, 1.0, 3.0))
    far = torch.stack([d.square().sum(1).amax(0) for d in one_period(volume).in_parts(0)])
    assert 0 < far.amax().sqrt() <= 1.01 * 3 * 0.03 * max(volume.grid)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_folds_at_the_default_amplitude(seed):
    image, matte = still_and_matte()
    volume = ElasticPrior().sample(image, matte, generator(seed), SpectrumConfig())
    material = torch.from_numpy(solve(image, matte).coverage > 0).float()
    inside = F.avg_pool2d(material[None], 2, 1)[0] == 1
    played = displacement_at(volume, torch.arange(150) / 30)
    assert least_jacobian(played[0]).amin(0)[inside].min() > 0.05


def test_the_jacobian_of_an_affine_field_is_its_determinant(rng):
    slopes = torch.randn(3, 2, 2, generator=rng, dtype=torch.float64)
    points = pixel_grid(5, 7, like=slopes)
    field = torch.einsum("tij,jhw->tihw", slopes, points)
    expected = torch.linalg.det(torch.eye(2) + slopes)
    found = least_jacobian(field)
    torch.testing.assert_close(found, expected.view(3, 1, 1).expand(3, 4, 6))


def test_the_jacobian_sees_a_fold_at_one_corner_of_a_cell():
    # One point pushed over the diagonal of its cell: on average the cell still is upright.
    field = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    field[0, :, 0, 0] = 0.7
    found = least_jacobian(field)[0]
    # At the corner opposite nothing changes; beside the moved one, 1 - 0.7 - 0.7.
    torch.testing.assert_close(found[0, 0], torch.tensor(-0.4).double())
    assert (found.flatten()[1:] == 1).all()


@pytest.mark.parametrize("percent", [1.0, 8.0])
def test_what_a_painted_anchor_covers_stays_still(percent):
    # An edge of the picture lies along the anchor: beside it the material gives way most.
    matte, anchor = torch.zeros(1, 1, 32, 40), torch.zeros(1, 1, 32, 40)
    matte[..., 5:27, 7:33], anchor[..., 16:, :] = 1, 1
    image = torch.full((1, 3, 32, 40), 0.5)
    image[:, 0, 16:], image[:, 0, :16] = 0.9, 0.1
    asked = replace(BANDS, amplitude_pct=percent)
    volume = ElasticPrior().sample(image, matte, generator(), asked, anchor)
    material = torch.from_numpy(solve(image, matte).coverage > 0)
    held = material & (anchor[0, 0] == 1)
    assert moves(volume)[held].max() == 0
    assert moves(volume)[material & (anchor[0, 0] == 0)].max() > 0


def test_motion_goes_on_past_the_outline():
    # Pixels at the outline are interpolated between points inside and outside.
    image, matte = still_and_matte()
    free = ElasticConfig(anchor="none")
    sheet = solve(image, matte, config=free)
    material = torch.zeros(sheet.grid)
    for part in sheet.parts:
        material.view(-1)[part.nodes] = 1
    beside = (F.max_pool2d(material[None], 3, 1, 1)[0] - material).bool()
    volume = wind_response(sheet, matte, free, WindConfig(), BANDS, generator())
    assert moves(volume)[beside].min() > 0.01 * moves(volume)[material.bool()].median()


def test_a_seed_is_a_motion():
    image, matte = still_and_matte()
    one, same, other = (ElasticPrior().sample(image, matte, generator(s), BANDS) for s in (4, 4, 5))
    assert torch.equal(one.coeffs, same.coeffs)
    assert (one.coeffs - other.coeffs).abs().max() > 0.1 * one.coeffs.abs().max()


def test_wind_from_the_other_side_pushes_the_other_way():
    sheet, _, _ = hand_made()
    still = WindConfig(coherence_decay=0.0, speed=1e4, gust_length=1e4)
    right, left = (blown(sheet, config=replace(still, direction_deg=d)) for d in (0.0, 180.0))
    near = 1e-3 * right.coeffs.abs().max().item()  # gusts cross the picture in 0.1 ms
    torch.testing.assert_close(left.coeffs, -right.coeffs, rtol=0, atol=near)


@pytest.mark.parametrize(
    "height, width, painted",
    [(1, 1, ":"), (7, 5, ":"), (1, 40, ":"), (40, 1, ":"), (30, 40, "pixel"), (30, 40, ":"),
     (64, 88, "dots"), (30, 40, "nothing"), (3, 500, ":")],
)  # fmt: skip
def test_odd_masks_move_finitely_and_as_far_as_asked(height, width, painted):
    matte = torch.ones(1, 1, height, width)
    if painted == "dots":
        matte = oracles.dots(height, width, 4)[1]
    elif painted != ":":
        matte *= 0
        matte[..., height // 2, width // 2] = float(painted == "pixel")
    image = torch.where(matte > 0, 0.8, 0.3).expand(1, 3, height, width)
    volume = ElasticPrior().sample(image, matte, generator(), BANDS)
    assert volume.coeffs.isfinite().all() and volume.reference_size == (height, width)
    expected = 0 if painted == "nothing" else 1
    assert size_of(volume) == pytest.approx(expected, rel=0.01)


# --- modes, to be poked ---------------------------------------------------------------------------

MODES = replace(BANDS, kind="modes")


def test_modes_in_their_wind_are_the_response():
    # The same motion before its sum: S_k = sum_j phi_j ambient_jk, all modes of both parts.
    image, matte = still_and_matte()
    sheet = solve(image, matte, config=ElasticConfig(modes=30))
    everything = ElasticConfig(modes=sum(len(part.omega) for part in sheet.parts))
    blow = (sheet, matte, everything, WindConfig(), BANDS)
    volume = free_modes(*blow, generator())
    response = wind_response(*blow, generator())
    summed = torch.einsum("bjxhw,jk->bkxhw", volume.coeffs, volume.ambient)
    assert torch.allclose(volume.ambient_hz, response.frequencies_hz)
    scale = response.coeffs.abs().max()
    assert torch.allclose(summed / scale, response.coeffs / scale, atol=1e-4)


def test_modes_are_the_lowest_of_all_parts_in_order():
    image, matte = still_and_matte()
    sheet = solve(image, matte)
    volume = free_modes(sheet, matte, ElasticConfig(), WindConfig(), BANDS, generator())
    every = np.sort(np.concatenate([part.omega for part in sheet.parts]))[:64] / (2 * math.pi)
    assert volume.kind == "modes" and volume.coeffs.shape[1] == len(every)
    assert np.allclose(volume.frequencies_hz, every, rtol=1e-5)
    assert (volume.damping_ratio == ElasticConfig().damping_ratio).all()


def test_modes_are_real_and_mass_normalized():
    image, matte = still_and_matte()
    sheet = solve(image, matte)
    volume = free_modes(sheet, matte, ElasticConfig(), WindConfig(), BANDS, generator())
    assert not volume.coeffs.imag.any()
    for part in sheet.parts:
        nodes = torch.from_numpy(part.nodes)
        at = volume.coeffs[0].real.flatten(2)[:, :, nodes]
        own = at.abs().amax((1, 2)) > 1e-4 * at.abs().max()
        mass = torch.from_numpy(np.maximum(sheet.coverage.flatten()[part.nodes], 1e-3)).float()
        norms = (at.square() * mass).sum((1, 2))
        lonely = own & (volume.coeffs[0].abs().flatten(1).amax(1) == at.abs().flatten(1).amax(1))
        assert lonely.any() and torch.allclose(
            norms[lonely], torch.ones(int(lonely.sum())), atol=0.02
        )


def test_sampled_modes_sway_in_the_wind_as_far_as_asked():
    image, matte = still_and_matte()
    for percent in (0.5, 2.0):
        asked = replace(MODES, amplitude_pct=percent)
        volume = ElasticPrior().sample(image, matte, generator(), asked)
        assert volume.kind == "modes"
        assert size_of(volume) == pytest.approx(percent, rel=0.02)


def test_shapes_do_not_depend_on_how_far_the_wind_moves_them():
    image, matte = still_and_matte()
    small, large = (
        ElasticPrior().sample(image, matte, generator(), replace(MODES, amplitude_pct=p))
        for p in (0.5, 4.0)
    )
    assert torch.equal(small.coeffs, large.coeffs)
    assert torch.allclose(8 * small.ambient, large.ambient)
