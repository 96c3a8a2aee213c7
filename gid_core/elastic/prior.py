"""The elastic prior: a masked still is a sheet of elastic material that wind sets swaying.

Finite elements on a coarse grid, the nodes at its pixel centers. Every connected part is solved on
its own for its lowest modes of vibration, K phi = omega^2 M phi, and responds to the wind, S_k = sum_j phi_j (phi_j . F_k) / (omega_j^2 - Omega_k^2 + 2 i zeta omega_j Omega_k).

Law: no unit of stiffness or mass survives: a part's modes give ratios of frequencies, its lowest
frequency is set from the picture, and the amplitude from what is asked for.

Source: Davis et al. 2015 for motion spectra as modal bases; the rest is textbook elasticity.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..config import ElasticConfig, SpectrumConfig, WindConfig
from ..motion.displacement import peaks
from ..motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, scale
from ..motion.wind import wind
from ..shapes import Bool, Float, Tensor
from ..still.grid import grid_size
from .modes import Part, corners_of, modes_of

COVERED = 0.04  # least coverage that makes a cell of material
LEAST_STIFFNESS = 0.2  # of a covered cell, before edges soften it
ANCHORED_SHARE = 0.06  # of a part's height or width that the ground, ceiling or border holds
FASTEST_PART = 2.5  # a tiny part sways at most so much faster than the largest
HELD_FASTER = 2.0  # and a part held along its outline at most so much faster than a free one
LARGEST = 3.0  # no point moves much more than so many times the amplitude asked for
LEAST_JACOBIAN = 0.1  # of any cell, in any frame
UNFOLDING_ROUNDS = 24


@dataclass(frozen=True)
class Sheet:
    """All parts of one still.

    coverage: the share of material around every node; material: the nodes of parts, held ones too.
    """

    grid: tuple[int, int]
    coverage: Float[np.ndarray, "h w"]
    material: Bool[np.ndarray, "h w"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ElasticPrior:
    """A motion model without weights: `sample` solves a still and lets the wind blow."""

    elastic: ElasticConfig = ElasticConfig()
    wind: WindConfig = WindConfig()
    finds_what_moves = False

    def sample(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"] | None,
        generator: torch.Generator,
        spectrum: SpectrumConfig = SpectrumConfig(),
        anchor: Float[Tensor, "1 1 hr wr"] | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> SpectralVolume:
        """Sample one still; the matte is needed. `poll` is called many times a second, and may raise to cancel."""
        # A hand pulls farther than wind blows: held by its outline, a head would tear off its stem.
        elastic = self.elastic if spectrum.kind == "response" else replace(self.elastic, hold=0.0)
        sheet = solve(image, matte, anchor, elastic, poll)
        poll()
        blow = wind_response if spectrum.kind == "response" else free_modes
        volume = blow(sheet, matte, elastic, self.wind, spectrum, generator)
        poll()
        if spectrum.kind == "response":
            return set_amplitude(volume, sheet, spectrum, poll)
        # A shape is what it is in any wind: how far the wind moves it is the ambient's affair.
        volume = set_amplitude(volume, sheet, replace(spectrum, amplitude_pct=1.0), poll)
        return replace(volume, ambient=volume.ambient * spectrum.amplitude_pct)


def solve(
    image: Float[Tensor, "1 3 hr wr"],
    matte: Float[Tensor, "1 1 hr wr"],
    anchor: Float[Tensor, "1 1 hr wr"] | None = None,
    config: ElasticConfig = ElasticConfig(),
    poll: Callable[[], None] = lambda: None,
) -> Sheet:
    """Modes of every connected part of the matte.

    Args:
        anchor: What holds still, painted; where it touches a part, it replaces the rule for it.
    """
    grid = tuple(max(2, n) for n in grid_size(*image.shape[-2:], config.longest_side))
    coverage = _cell_coverage(matte, grid)
    # A hardly covered cell is light; were it soft too, it would flap.
    stiffness = np.maximum(coverage, LEAST_STIFFNESS) * _edge_weight(image, grid, config)
    node_mass = _to_nodes(coverage)
    held = None if anchor is None else _resize(anchor, grid)[0, 0].numpy() >= 0.5
    rooting = config.rooting * node_mass
    outline = config.hold * np.minimum(1, node_mass) * _goes_on(image, matte, grid, config)
    parts = []
    pieces = _connected(coverage > COVERED)
    largest = max((_extent(nodes, grid) for _, nodes in pieces), default=1.0)
    for cells, nodes in pieces:
        fixed = _fixed_nodes(nodes, grid, config.anchor, held)
        share = len(nodes) / max(len(n) for _, n in pieces)
        count = max(4, math.ceil(config.modes * share))
        part = modes_of(
            cells, nodes, grid, stiffness, node_mass, rooting + outline, fixed, count, poll
        )
        if part is None:  # every node of it is held
            continue
        lowest = config.sway_hz * min(FASTEST_PART, math.sqrt(largest / _extent(nodes, grid)))
        if len(fixed):
            # Bigger is slower holds for a part that stands free. Held along its outline it is
            # faster by as much as its first mode is.
            unheld = modes_of(cells, nodes, grid, stiffness, node_mass, rooting, fixed, 1, poll)
            lowest *= min(HELD_FASTER, part.omega[0] / unheld.omega[0])
        rescale = 2 * math.pi * lowest / max(part.omega[0], 1e-12)
        parts.append(Part(part.nodes, part.shapes, part.omega * rescale))
    material = np.zeros(grid, bool)
    for _, nodes in pieces:
        material.flat[nodes] = True
    return Sheet(grid, node_mass, material, tuple(parts))


def wind_response(
    sheet: Sheet,
    matte: Float[Tensor, "1 1 hr wr"],
    elastic: ElasticConfig,
    wind_config: WindConfig,
    spectrum: SpectrumConfig,
    generator: torch.Generator,
) -> SpectralVolume:
    """The forced motion of a sheet in the wind, in arbitrary units of amplitude."""
    frequencies, states = _blown(sheet, elastic, wind_config, spectrum, generator)
    coeffs = np.zeros((len(frequencies), 2, sheet.coverage.size), np.complex128)
    for part, state in zip(sheet.parts, states):
        coeffs[:, :, part.nodes] += np.einsum("nxj,kj->kxn", part.shapes, state)
    return SpectralVolume(
        _on_grid(sheet, coeffs), frequencies.float(), tuple(matte.shape[-2:]), matte
    )


def free_modes(
    sheet: Sheet,
    matte: Float[Tensor, "1 1 hr wr"],
    elastic: ElasticConfig,
    wind_config: WindConfig,
    spectrum: SpectrumConfig,
    generator: torch.Generator,
) -> SpectralVolume:
    """The lowest modes of all parts together, and what the wind does to them.

    The same motion as `respond`, before its sum over modes: S_k = sum_j phi_j ambient_jk.
    """
    frequencies, states = _blown(sheet, elastic, wind_config, spectrum, generator)
    every = [(w, i, j) for i, part in enumerate(sheet.parts) for j, w in enumerate(part.omega)]
    lowest = sorted(every)[: elastic.modes]
    count = max(1, len(lowest))  # where nothing is free to move, one mode of no size
    shapes = np.zeros((count, 2, sheet.coverage.size))
    ambient = np.zeros((count, len(frequencies)), np.complex128)
    omega = np.ones(count)
    for row, (omega[row], i, j) in enumerate(lowest):
        shapes[row][:, sheet.parts[i].nodes] = sheet.parts[i].shapes[:, :, j].T
        ambient[row] = states[i][:, j]
    return SpectralVolume(
        _on_grid(sheet, shapes),
        torch.from_numpy(omega / (2 * math.pi)).float(),
        tuple(matte.shape[-2:]),
        matte,
        damping_ratio=torch.full((count,), elastic.damping_ratio),
        kind="modes",
        ambient=torch.from_numpy(ambient).to(torch.complex64),
        ambient_hz=frequencies.float(),
    )


def _blown(sheet, elastic, wind_config, spectrum, generator):
    """The bands' frequencies, and the wind's response of every part's modes in them, (k, j) each."""
    band_hz = 1 / spectrum.duration_s
    frequencies = torch.arange(1, spectrum.bands + 1) * band_hz
    velocity = wind(frequencies, sheet.grid, band_hz, wind_config, generator).numpy()
    drag = velocity.reshape(len(frequencies), 2, -1) * sheet.coverage.flatten()
    Omega = 2 * math.pi * frequencies.double().numpy()
    states = [
        np.einsum("nxj,kxn->kj", part.shapes, drag[:, :, part.nodes])
        * receptance(part.omega, Omega, elastic.damping_ratio)
        for part in sheet.parts
    ]
    return frequencies, states


def _on_grid(sheet, coeffs):
    """(k, 2, all nodes) as one still's field, continued a little outside the material."""
    coeffs = torch.from_numpy(coeffs).reshape(1, len(coeffs), 2, *sheet.grid)
    return _continue_outside(coeffs + 0j, torch.from_numpy(sheet.material)).to(torch.complex64)


def receptance(omega, Omega, damping_ratio) -> np.ndarray:
    """Receptance of every mode j in every band k, (k, j): motion by force."""
    Omega = Omega[:, None]
    return 1 / (omega**2 - Omega**2 + 2j * damping_ratio * omega * Omega)


def set_amplitude(
    volume: SpectralVolume,
    sheet: Sheet,
    config: SpectrumConfig,
    poll: Callable[[], None] = lambda: None,
) -> SpectralVolume:
    """Scale a volume so that its motion over its own period has the size asked for.

    What hangs by a thread would swing through the whole picture: no point moves much more than
    `LARGEST` times that size. Where the motion would turn the picture inside out it is evened out
    with its neighbours', until nothing folds.
    """
    percent = config.amplitude_pct
    material = torch.from_numpy(sheet.material)
    known = material[None, None].float()
    cells = F.avg_pool2d(known, 2, 1)[0, 0] == 1
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
    for _ in range(UNFOLDING_ROUNDS):
        poll()
        volume = resized(volume, lambda far: 1 / far.clamp(min=1))
        parts = [least_jacobian(d).amin(0) for d in one_period(volume).in_parts(0)]
        folded = (torch.stack(parts).amin(0) < LEAST_JACOBIAN) & cells
        if not folded.any():
            break
        # The nodes of folded cells, and theirs around.
        near = F.max_pool2d(F.pad(folded[None, None].float(), (2, 2, 2, 2)), 4, 1)
        coeffs = torch.where((near > 0) & free, _evened(volume.coeffs[0], known), volume.coeffs)
        # What lies outside follows what is inside, in every round: by itself it would only grow.
        volume = replace(volume, coeffs=_continue_outside(coeffs, material))
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


# --- the sheet's material ---------------------------------------------------------------------


def _resize(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def _cell_coverage(matte, grid) -> np.ndarray:
    """Share of material in every element, whose corners are the centers of four grid pixels.

    A little of it is lent to the neighbours, so that a stem one pixel wide which crosses cells
    diagonally hangs together by more than a corner.
    """
    height, width = grid
    fine = F.interpolate(matte, (2 * height, 2 * width), mode="area")
    cells = F.avg_pool2d(fine[:, :, 1:-1, 1:-1], 2)
    kernel = torch.tensor([1.0, 6.0, 1.0]) / 8
    padded = F.pad(cells, (1, 1, 1, 1), mode="replicate")
    lent = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 3)), kernel.view(1, 1, 3, 1))
    return lent[0, 0].double().numpy()


def _edge_weight(image, grid, config) -> np.ndarray:
    """eps + exp(-|grad I|^2 / sigma^2) per element: parts on two sides of an edge move apart."""
    small = _resize(image, grid)[0]
    dx, dy = small[:, :, 1:] - small[:, :, :-1], small[:, 1:] - small[:, :-1]
    dx, dy = (dx[:, 1:] + dx[:, :-1]) / 2, (dy[:, :, 1:] + dy[:, :, :-1]) / 2
    squared = (dx.square() + dy.square()).amax(0).double().numpy()
    return config.edge_stiffness + np.exp(-squared / config.edge_contrast**2)


def _to_nodes(cells) -> np.ndarray:
    """A quarter of every element to each of its corners."""
    nodes = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1))
    for dy in (0, 1):
        for dx in (0, 1):
            nodes[dy : dy + cells.shape[0], dx : dx + cells.shape[1]] += cells / 4
    return nodes


def _goes_on(image, matte, grid, config) -> np.ndarray:
    """How far material goes on past the outline, 0 ... 1 at every node.

    It does where the mean colour just inside is the mean colour just outside: there the outline
    runs through something, which holds. Along an edge of the picture the outline is free.
    """

    def around(weight):
        share = F.avg_pool2d(_resize(weight, grid), 5, 1, 2)
        return F.avg_pool2d(_resize(weight * image, grid), 5, 1, 2) / share.clamp(min=1e-4), share

    inside, share_inside = around(matte)
    outside, share_outside = around(1 - matte)
    apart = (inside - outside).square().amax(1)[0]
    alike = torch.exp(-apart / config.edge_contrast**2)
    return (alike * 4 * (share_outside * share_inside)[0, 0]).clamp(max=1).double().numpy()


def _connected(covered: Bool[np.ndarray, "h w"]):
    """(elements, nodes) of every connected set of covered elements, as flat indices."""
    from scipy.ndimage import label

    labels, count = label(covered, np.ones((3, 3)))
    order = np.argsort(labels, axis=None, kind="stable")
    ends = np.searchsorted(labels.flatten()[order], np.arange(count + 2))
    grid = covered.shape[0] + 1, covered.shape[1] + 1
    pieces = []
    for i in range(1, count + 1):
        cells = order[ends[i] : ends[i + 1]]
        pieces.append((cells, np.unique(corners_of(cells, grid))))
    return pieces


def _extent(nodes, grid) -> float:
    rows, columns = nodes // grid[1], nodes % grid[1]
    return math.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)


def _fixed_nodes(nodes, grid, rule, held) -> np.ndarray:
    """The nodes of a part that hold still: painted, or by rule."""
    height, width = grid
    if held is not None:
        painted = nodes[held.flatten()[nodes]]
        if len(painted):
            return painted
    y, x = nodes // width, nodes % width
    if rule == "auto":
        hangs = y.min() == 0 and y.max() < height - 1
        rule = "hanging" if hangs else "ground"
    depth = max(1.0, ANCHORED_SHARE * (np.ptp(y) + 1))
    if rule == "ground":
        return nodes[y > y.max() - depth]
    if rule == "hanging":
        return nodes[y < y.min() + depth]
    if rule == "border":
        return nodes[(y == 0) | (x == 0) | (y == height - 1) | (x == width - 1)]
    return nodes[:0]


def _continue_outside(coeffs, known, rings: int = 3):
    """Let the motion go on a few cells beyond the material: between grid points it is interpolated."""
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
