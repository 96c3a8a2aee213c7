"""What the wind does to a sheet: the motion of its parts, and of the leaves on them.

S_k = sum_j phi_j (phi_j . F_k) / (omega_j^2 - Omega_k^2 + 2 i zeta omega_j Omega_k), and leaves on
top.

Law: `wind_response` without leaves is `free_modes` summed over modes, S_k = sum_j phi_j ambient_jk.
"""

import math

import numpy as np
import torch

from ..config import ElasticConfig, SpectrumConfig, WindConfig
from ..motion.spectrum import SpectralVolume
from ..motion.wind import wind
from ..shapes import Float, Tensor
from .flutter import LEAST_LEAF, flutter, leaves_on
from .modes import receptance
from .sheet import Sheet
from .unfolding import continue_outside


def wind_response(
    sheet: Sheet,
    matte: Float[Tensor, "1 1 hr wr"],
    elastic: ElasticConfig,
    wind_config: WindConfig,
    spectrum: SpectrumConfig,
    generator: torch.Generator,
) -> SpectralVolume:
    """The forced motion of a sheet in the wind, in arbitrary units of amplitude."""
    frequencies, velocity, states = _blown(sheet, wind_config, spectrum, generator)
    coeffs = np.zeros((len(frequencies), 2, sheet.coverage.size), np.complex128)
    for body, state in zip(sheet.bodies, states):
        moved = np.einsum("nxj,kj->kxn", body.part.shapes, state)
        coeffs[:, :, body.part.nodes] += body.seen * moved
    coeffs = coeffs.reshape(-1, 2, *sheet.grid)
    coeffs += _leaves(sheet, coeffs, velocity, frequencies)
    return SpectralVolume(
        _on_grid(sheet, coeffs), frequencies.float(), tuple(matte.shape[-2:]), matte
    )


def _leaves(sheet, coeffs, velocity, frequencies):
    """The flutter of all leaves, as strong beside the motion of the whole as their kinds say."""
    motion = np.square(np.abs(coeffs)).sum((0, 1))
    if not motion.any():
        return 0
    size = math.sqrt(np.quantile(motion[motion > 0], 0.9))
    Omega = 2 * math.pi * frequencies.double().numpy()
    added = 0
    for seed, (own, share) in enumerate(sheet.leafy):
        if own.flutter == 0:
            continue
        random = np.random.default_rng(seed)
        leaf = max(LEAST_LEAF, own.leaf * max(sheet.grid))
        leaves = leaves_on(sheet.colour, leaf, random)
        moved = flutter(leaves, velocity, Omega, own.flutter_hz, own.flutter_damping, random)
        usual = math.sqrt(np.median(np.square(np.abs(moved)).sum((0, 1))))
        added = added + own.flutter * size / usual * share * moved
    return added


def free_modes(
    sheet: Sheet,
    matte: Float[Tensor, "1 1 hr wr"],
    elastic: ElasticConfig,
    wind_config: WindConfig,
    spectrum: SpectrumConfig,
    generator: torch.Generator,
) -> SpectralVolume:
    """The lowest modes of all parts together, and what the wind does to them.

    The same motion as `wind_response` without leaves, before its sum over modes: S_k = sum_j phi_j
    ambient_jk.
    """
    frequencies, _, states = _blown(sheet, wind_config, spectrum, generator)
    every = [(w, i, j) for i, part in enumerate(sheet.parts) for j, w in enumerate(part.omega)]
    lowest = sorted(every)[: elastic.modes]
    count = max(1, len(lowest))  # where nothing is free to move, one mode of no size
    shapes = np.zeros((count, 2, sheet.coverage.size))
    ambient = np.zeros((count, len(frequencies)), np.complex128)
    omega, damping = np.ones(count), np.full(count, elastic.damping_ratio)
    for row, (omega[row], i, j) in enumerate(lowest):
        body = sheet.bodies[i]
        shapes[row][:, body.part.nodes] = body.seen * body.part.shapes[:, :, j].T
        ambient[row] = states[i][:, j]
        damping[row] = body.elastic.damping_ratio
    return SpectralVolume(
        _on_grid(sheet, shapes.reshape(count, 2, *sheet.grid)),
        torch.from_numpy(omega / (2 * math.pi)).float(),
        tuple(matte.shape[-2:]),
        matte,
        damping_ratio=torch.from_numpy(damping).float(),
        kind="modes",
        ambient=torch.from_numpy(ambient).to(torch.complex64),
        ambient_hz=frequencies.float(),
    )


def _blown(sheet, wind_config, spectrum, generator):
    """The bands' frequencies, the wind, and what it does to every part's modes, (k, j) each."""
    band_hz = 1 / spectrum.duration_s
    frequencies = torch.arange(1, spectrum.bands + 1) * band_hz
    velocity = wind(frequencies, sheet.grid, band_hz, wind_config, generator).numpy()
    flat = velocity.reshape(len(frequencies), 2, -1)
    Omega = 2 * math.pi * frequencies.double().numpy()
    states = [
        np.einsum("nxj,kxn->kj", body.part.shapes, flat[:, :, body.part.nodes] * body.part.mass)
        * receptance(body.part.omega, Omega, body.elastic.damping_ratio)
        for body in sheet.bodies
    ]
    return frequencies, velocity, states


def _on_grid(sheet, coeffs):
    """(k, 2, h, w) as one still's field, continued a little outside the material."""
    coeffs = torch.from_numpy(coeffs)[None]
    return continue_outside(coeffs + 0j, torch.from_numpy(sheet.material)).to(torch.complex64)
