"""The gesture that a poked still starts with: one early pull where it moves most.

Law: it depends on the motion and the length of the clip alone, and touches what moves.
"""

import json
import math

import torch
import torch.nn.functional as F

from ..motion.spectrum import SpectralVolume, moving_points
from .gestures import Gesture, read_gestures

FIRST = "auto"  # the text that stands for it
AT_S, HOLD_S = 0.3, 0.6  # when it begins, and how long it holds, in a clip of some seconds
PULL = 0.05  # how far, of the longer side
AROUND = 0.03  # radius in which the motion is averaged, of the longer side


def gestures_of(text: str, spectrum: SpectralVolume, duration_s: float) -> tuple[Gesture, ...]:
    """The gestures of a text; of `FIRST`, the first gesture of this motion.

    Raises:
        ValueError: As `read_gestures`.
    """
    if text.strip() == FIRST:
        text = first_gesture(spectrum, duration_s)
    return read_gestures(text)


def first_gesture(spectrum: SpectralVolume, duration_s: float) -> str:
    """The text of one pull at the point that moves most, along the way it moves."""
    coeffs = spectrum.coeffs[0]
    if spectrum.ambient is not None:  # modes, as the wind moves them
        coeffs = torch.einsum("kxhw,km->mxhw", coeffs, spectrum.ambient)
    elif spectrum.kind == "modes":  # soft modes give way more
        coeffs = coeffs / spectrum.frequencies_hz.clamp(min=1e-3).square().view(-1, 1, 1, 1)
    size = coeffs.abs().square().sum((0, 1))
    points = moving_points(spectrum)
    size = size if points is None else size * points[0, 0]
    # Around a point as well, so that a stray point of large motion, or a thin tip, is not taken.
    around = max(1, round(AROUND * max(size.shape)))
    size = F.avg_pool2d(size[None, None], 2 * around + 1, 1, around)[0, 0]
    if not size.any():
        return "[]"
    row, column = divmod(int(size.argmax()), size.shape[1])
    x, y = _direction(coeffs[:, :, row, column])
    rows, columns = size.shape
    far = PULL * max(rows, columns)
    pull = {
        "t": min(AT_S, duration_s / 10),
        "x": (column + 0.5) / columns,
        "y": (row + 0.5) / rows,
        "dx": far * x / columns,
        "dy": far * y / rows,
        "hold": min(HOLD_S, duration_s / 4),
    }
    return json.dumps([{name: round(value, 4) for name, value in pull.items()}])


def _direction(bands):
    """The unit vector (x, y) along which a point moves most; rightwards, or upwards."""
    vectors = torch.cat([bands.real, bands.imag])
    x, y = torch.linalg.eigh(vectors.mT @ vectors).eigenvectors[:, -1].tolist()
    sign = -1.0 if x < -1e-6 or (abs(x) <= 1e-6 and y > 0) else 1.0
    return sign * x / math.hypot(x, y), sign * y / math.hypot(x, y)
