"""How far a motion goes: the amplitude asked for, nothing much farther, and nothing turned inside
out.

Law: det(I + grad D) stays above `LEAST_JACOBIAN` in every cell inside a part, in every frame that
is measured; of motions beyond a tenth of the picture `UNFOLDING_ROUNDS` may leave folds.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F

from ..config import SpectrumConfig
from ..motion.displacement import peaks
from ..motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, scale
from ..shapes import Float, Tensor
from .sheet import Sheet

LARGEST = 3.0  # no point moves much more than so many times the amplitude asked for
LEAST_JACOBIAN = 0.1  # of any cell, in any frame
UNFOLDING_ROUNDS = 24
ROUNDS_BETWEEN = 4  # of them for folds between two parts, which may pass in front of each other


def set_amplitude(
    volume: SpectralVolume,
    sheet: Sheet,
    config: SpectrumConfig,
    poll: Callable[[], None] = lambda: None,
) -> SpectralVolume:
    """Scale a volume so that its motion over its own period has the size asked for.

    What hangs by a thread would swing through the whole picture: no point moves much more than
    `LARGEST` times that size. Where the motion would turn the picture inside out it is evened out
    with its neighbours', until nothing folds inside a part, `UNFOLDING_ROUNDS` times at most.
    """
    percent = config.amplitude_pct
    material = torch.from_numpy(sheet.material)
    known = material[None, None].float()
    cells = F.avg_pool2d(known, 2, 1)[0, 0] == 1
    inside = torch.from_numpy(sheet.inside)
    free = torch.zeros_like(material)
    for part in sheet.parts:
        free.view(-1)[torch.from_numpy(part.nodes)] = True
    moving = moving_points(volume)
    farthest = LARGEST * percent / 100 * max(volume.grid)

    def resized(volume, limit):
        motion = one_period(volume)
        size = amplitude_pct(motion, moving)
        gain = torch.where(size > 0, percent / size.clamp(min=1e-12), 0.0)
        return replace(
            volume, coeffs=volume.coeffs * gain * limit(peaks(motion, 0) * gain / farthest)
        )

    if percent == 0:
        return scale(volume, torch.zeros(1))
    volume = resized(volume, lambda far: far.clamp(min=1e-6).tanh() / far.clamp(min=1e-6))
    for turn in range(UNFOLDING_ROUNDS):
        poll()
        volume = resized(volume, lambda far: 1 / far.clamp(min=1))
        parts = [least_jacobian(d).amin(0) for d in one_period(volume).in_parts(0)]
        folded = (torch.stack(parts).amin(0) < LEAST_JACOBIAN) & cells
        if not (folded & inside).any() and (turn >= ROUNDS_BETWEEN or not folded.any()):
            break
        # The nodes of folded cells, and theirs around.
        near = F.max_pool2d(F.pad(folded[None, None].float(), (2, 2, 2, 2)), 4, 1)
        coeffs = torch.where((near > 0) & free, _evened(volume.coeffs[0], known), volume.coeffs)
        # What lies outside follows what is inside, in every round: by itself it would only grow.
        volume = replace(volume, coeffs=continue_outside(coeffs, material))
    return resized(volume, lambda far: 1 / far.clamp(min=1))


def least_jacobian(displacement: Float[Tensor, "t 2 h w"]) -> Float[Tensor, "t h1 w1"]:
    """Least det(I + grad D) in every cell between four grid points: 0 or less where it folds.

    Between four points D is bilinear, and its determinant least at one of the four corners.
    """
    x, y = displacement.unbind(1)
    xx, yx = 1 + x.diff(dim=-1), y.diff(dim=-1)  # along the upper and lower edge of a cell
    xy, yy = x.diff(dim=-2), 1 + y.diff(dim=-2)  # along its left and right edge
    corners = [
        xx[..., rows, :] * yy[..., columns] - yx[..., rows, :] * xy[..., columns]
        for rows in (slice(None, -1), slice(1, None))
        for columns in (slice(None, -1), slice(1, None))
    ]
    return torch.stack(corners).amin(0)


def continue_outside(coeffs, known, rings: int = 3):
    """Let the motion go on a few cells beyond the material: between grid points it is
    interpolated."""
    known = known.double()
    field = torch.cat([coeffs.real, coeffs.imag], 1).flatten(0, 2)[:, None].double() * known
    known = known[None, None]
    kernel = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    for _ in range(rings):
        count = F.conv2d(known, kernel, padding=1)
        spread = F.conv2d(field, kernel, padding=1)
        field = torch.where(known > 0, field, spread / count.clamp(min=1))
        known = (count > 0).double()
    real, imag = field.view(len(coeffs), 2, *coeffs.shape[1:]).unbind(1)
    return torch.complex(real, imag).to(coeffs.dtype)


def _evened(coeffs, known):
    """Every point's mean with the known points around it."""
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel)[None, None]
    field = torch.cat([coeffs.real, coeffs.imag]).flatten(0, 1)[:, None]
    count = F.conv2d(known, kernel, padding=1).clamp(min=1e-6)
    even = F.conv2d(field * known, kernel, padding=1) / count
    real, imag = even.view(2, *coeffs.shape)
    return torch.complex(real, imag)
