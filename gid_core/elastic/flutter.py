"""Flutter: leaves as a bank of resonators at leaf scale, each driven by the wind where it is.

The picture is divided into patches of the size of a leaf, their middles jittered and their borders
drawn by colour. Each is an oscillator with a natural frequency of its own, riding on what bends.

Law: the patches' shares add up to 1 at every point, so no point is left without a leaf, and where
all leaves move alike, the whole does.

Source: leaves in wind at 2 to 6 Hz, lightly damped by air: de Langre 2008, "Effects of wind on
plants"; receptance of an oscillator, as of the sheet's modes.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..shapes import Complex, Float, Int
from .modes import receptance

SPREAD = 0.15  # standard deviation of ln of the leaves' natural frequencies
JITTER = 0.35  # of a leaf's middle, in leaves
SHARPNESS = 0.45  # width of a leaf's share, in leaves
COLOUR = 0.15  # steps of colour at which one leaf ends and the next begins
LEAST_LEAF = 4.0  # cells: a finer one would fold


@dataclass(frozen=True)
class Leaves:
    """Patches on a grid: every point's nine nearest, and how much of each it is.

    middles: Flat indices of the points where leaves are.
    which, share: At every point, the leaves it belongs to, and by how much.
    """

    middles: Int[np.ndarray, " n"]
    which: Int[np.ndarray, "9 h w"]
    share: Float[np.ndarray, "9 h w"]


def leaves_on(
    colour: Float[np.ndarray, "h w c"], size: float, random: np.random.Generator
) -> Leaves:
    """Leaves of a size in cells, on a jittered lattice."""
    height, width = colour.shape[:2]
    rows, columns = math.ceil(height / size), math.ceil(width / size)
    # One leaf more all around, so that all points have nine.
    lattice = np.stack(
        np.meshgrid(np.arange(-1, rows + 1), np.arange(-1, columns + 1), indexing="ij")
    )
    jitter = JITTER * (2 * random.random(lattice.shape) - 1)
    y, x = (lattice + 0.5 + jitter) * size - 0.5
    inside_y = np.clip(np.rint(y), 0, height - 1).astype(int)
    inside_x = np.clip(np.rint(x), 0, width - 1).astype(int)
    hue = colour[inside_y, inside_x]
    row, column = np.arange(height)[:, None], np.arange(width)
    which, nearness = [], []
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            i, j = np.broadcast_arrays(
                (row / size).astype(int) + dy, (column / size).astype(int) + dx
            )
            far = (np.square(y[i, j] - row) + np.square(x[i, j] - column)) / (SHARPNESS * size) ** 2
            apart = np.square(hue[i, j] - colour).sum(-1) / COLOUR**2
            which.append(i * (columns + 2) + j)
            nearness.append(-(far + np.minimum(apart, 4)) / 2)
    nearness = np.stack(nearness)
    share = np.exp(nearness - nearness.max(0))
    return Leaves(
        inside_y.flatten() * width + inside_x.flatten(), np.stack(which), share / share.sum(0)
    )


def flutter(
    leaves: Leaves,
    velocity: Complex[np.ndarray, "k 2 h w"],
    Omega: Float[np.ndarray, " k"],
    natural_hz: float,
    damping_ratio: float,
    random: np.random.Generator,
) -> Complex[np.ndarray, "k 2 h w"]:
    """What the wind does to leaves, in arbitrary units."""
    count = len(leaves.middles)
    omega = 2 * math.pi * natural_hz * np.exp(SPREAD * random.standard_normal(count))
    answer = receptance(omega, Omega, damping_ratio)
    bands, _, height, width = velocity.shape
    state = velocity.reshape(bands, 2, -1)[:, :, leaves.middles] * answer[:, None]
    moved = np.zeros((bands, 2, height, width), np.complex128)
    for which, share in zip(leaves.which, leaves.share):
        moved += share * state[:, :, which]
    return moved
