import math
from dataclasses import replace

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import ElasticConfig, SpectrumConfig, WindConfig
from gid_core.elastic.modes import element, modes_of, receptance
from gid_core.elastic.response import free_modes, wind_response
from gid_core.elastic.sheet import solve
from gid_core.motion.wind import von_karman, wind

BANDS = SpectrumConfig(bands=6, duration_s=2.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def still_and_matte():
    return oracles.two_blobs(36, 48)


def moves(volume):
    """The largest amplitude at every point of the grid."""
    return volume.coeffs[0].abs().amax((0, 1))


def hand_made(rows=4, columns=5, sway=1.0, count=10_000, damping=0.09):
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
    stiff = oracles.stiffness_matrix(cells, grid, stiffness, springs, element())
    stiff = stiff[np.ix_(free, free)] * to_hertz**2
    return (
        oracles.sheet_of_one_part(part, grid, mass, ElasticConfig(damping_ratio=damping)),
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


def test_the_response_solves_the_equation_of_motion():
    sheet, stiff, mass = hand_made()
    response, force = at_nodes(blown(sheet), sheet.parts[0]), wind_on(sheet, WindConfig(), BANDS)
    for k in range(BANDS.bands):
        Omega = 2 * math.pi * (k + 1) / BANDS.duration_s
        expected = oracles.damped_response(stiff, mass, 0.09, Omega, force[k])
        np.testing.assert_allclose(response[k], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("sway, damping", [(0.7, 0.09), (2.0, 0.02)])
def test_every_mode_answers_the_wind_by_its_receptance(sway, damping):
    sheet, _, mass = hand_made(sway=sway, count=7, damping=damping)
    part = sheet.parts[0]
    response = at_nodes(blown(sheet), part)
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


def test_the_spectrum_of_the_response_is_winds_times_receptance():
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
    later = (x[:, None] - x) / sheet.grid[1]
    aside = (y[:, None] - y) / sheet.grid[1]
    apart = np.hypot(config.travel_decay * later, config.coherence_decay * aside)
    for k in range(4):
        f = (k + 1) / 2
        alike = np.exp(-f * apart / config.speed)
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


def test_wind_from_the_other_side_pushes_the_other_way():
    sheet, _, _ = hand_made()
    still = WindConfig(coherence_decay=0.0, travel_decay=0.0, speed=1e4, gust_length=1e4)
    right, left = (blown(sheet, config=replace(still, direction_deg=d)) for d in (0.0, 180.0))
    near = 1e-3 * right.coeffs.abs().max().item()  # gusts cross the picture in 0.1 ms
    torch.testing.assert_close(left.coeffs, -right.coeffs, rtol=0, atol=near)


def test_modes_in_their_wind_are_the_response():
    # The same motion before its sum: S_k = sum_j phi_j ambient_jk, all modes of both parts.
    image, matte = still_and_matte()
    sheet = replace(solve(image, matte, config=ElasticConfig(modes=30)), leafy=())
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
