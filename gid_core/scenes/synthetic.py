"""Synthetic scenes with exact ground truth: a still, any later frame, every pixel's motion.

A scene is a cloud of coloured points on rigid pieces, in slabs from back to front. A frame moves
the points into a z-buffer of fine cells and keeps the front-most point of every cell, so occlusion
and disocclusion need no rule of their own. Cells are averaged to pixels; slabs out of focus are
blurred.

Law: D(p, t) = Re sum_k S_k(p) (q_k(t) - q_k(0)), so frame 0 is the still. A frame depends on
(seed, t) alone.

Source: our own; z-buffered point rendering after Pfister et al. 2000 ("Surfels").
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from einops import rearrange

from ..motion.coords import harmonic_coords
from ..motion.spectrum import SpectralVolume
from ..shapes import Complex, Float, Int, Tensor
from ..still.grid import pixel_grid, resize_displacement
from . import hangings, plants
from .builder import SceneBuilder, add_props, open_builder
from .point_cloud import Light, Slab, points_of
from .textures import (
    BACKGROUNDS,
    blur,
    choose,
    default_on,
    develop,
    integers,
    normal,
    on_own_device,
    pages,
    photograph_pages,
    uniform,
)

STATIC_PX = 0.05  # px of the picture: a piece that can move by less counts as static
SAME_MOTION_PX = 0.1  # px: points whose displacements differ by less do not occlude each other

# The function that adds each kind to a scene, and the backgrounds it may have.
KINDS: dict[str, tuple[Callable[[SceneBuilder], None], tuple[str, ...]]] = {
    "tree": (plants.tree, ("landscape", "sky", "landscape", "street")),
    "foliage": (plants.foliage, ("sky", "foliage", "foliage", "landscape", "wall", "street")),
    "shrub": (plants.shrub, ("foliage", "wall", "ground", "landscape", "room", "street")),
    "grass": (plants.grass, ("foliage", "sky", "landscape", "ground")),
    "flowers": (plants.flowers, ("foliage", "foliage", "wall", "sky", "room", "room")),
    "meadow": (plants.meadow, ("foliage", "landscape", "sky")),
    "reeds": (plants.reeds, ("water", "water", "foliage", "sky")),
    "lanterns": (hangings.lanterns, ("wall", "foliage", "sky", "street", "room")),
    "laundry": (hangings.laundry, ("wall", "landscape", "sky", "street", "room")),
    "candles": (hangings.candles, ("wall", "foliage", "room")),
}


@dataclass(frozen=True)
class Film:
    """Tone mapping: the arguments of `develop`, and the standard deviation of the grain."""

    exposure: float
    contrast: float
    saturation: float
    warmth: float
    vignette: float
    grain: float


@dataclass(frozen=True)
class Frame:
    """One frame of a scene with its ground truth.

    displacement: from the still to this frame, px, at the still's pixels.
    visible: 1 where the point that the still's pixel shows is not occluded in this frame, or only
        by points that move along with it.
    """

    image: Float[Tensor, "3 h w"]
    displacement: Float[Tensor, "2 h w"]
    visible: Float[Tensor, "1 h w"]


@dataclass(frozen=True)
class Scene:
    """A complete scene.

    pivot, shift, strain: of every piece, px, px and 1; shift and strain per band.
    cells: of the z-buffer, per pixel and axis.
    front_points: for every slab, the front-most point in every cell of the still, or -1.
    """

    kind: str
    size: tuple[int, int]
    frequencies_hz: Float[Tensor, " k"]
    pivot: Float[Tensor, "n 2"]
    shift: Complex[Tensor, "n k 2"]
    strain: Complex[Tensor, "n k 2 2"]
    slabs: tuple[Slab, ...]
    background: Float[Tensor, "3 h w"]
    film: Film
    cells: int
    seed: int
    front_points: tuple[Int[Tensor, " c"], ...] = ()

    @cached_property
    @on_own_device
    def still(self) -> Float[Tensor, "3 h w"]:
        return self._picture(self.front_points, 0.0)

    @cached_property
    @on_own_device
    def mask(self) -> Float[Tensor, "1 h w"]:
        """How much of every pixel is covered by pieces that can move, 0 to 1."""
        reach = torch.zeros(len(self.pivot))
        for slab in self.slabs:
            distance = (slab.position - self.pivot[slab.piece]).norm(dim=1)
            reach = reach.scatter_reduce(0, slab.piece, distance, "amax")
        # An upper bound: as if the peaks of all bands came together.
        peak = 2 * self.shift.abs().sum(1).norm(dim=1)
        peak = peak + 2 * self.strain.abs().sum(1).flatten(1).norm(dim=1) * reach
        mask = torch.zeros(1, *self.size)
        for slab, front in zip(self.slabs, self.front_points):
            moves = (front >= 0) & (peak[slab.piece[front.clamp(min=0)]] > STATIC_PX)
            moving = blur(self._pool(moves.float()[None]), slab.blur)
            covered = blur(self._pool((front >= 0).float()[None]), slab.blur)
            mask = mask * (1 - covered) + moving
        return mask.clamp(0, 1)

    @on_own_device
    def frame(self, t_s: float) -> Frame:
        """The picture at a time, with the displacement and visibility of the still's pixels."""
        motion = self._piece_motion(t_s)
        fronts = self._front_points(t_s, motion)
        displacement = torch.zeros(2, *self.size)
        visible = torch.ones(1, *self.size)
        height, width = self.size
        for number, (slab, pixels, point) in enumerate(self._still_points):
            field = self._at_points(slab, point, motion)
            displacement.flatten(1)[:, pixels] = field.T
            cell, inside = self._cell_of(slab.position[point] + field)
            front = fronts[number][cell]
            ok = inside & (front >= 0)
            front = front.clamp(min=0)
            # Pieces of one cloth or stem overlap at their joints without occluding each other.
            difference = (self._at_points(slab, front, motion) - field).norm(dim=1)
            ok &= (slab.piece[front] == slab.piece[point]) | (difference < SAME_MOTION_PX)
            x = (pixels % width + field[:, 0]).round().long().clamp(0, width - 1)
            y = (pixels // width + field[:, 1]).round().long().clamp(0, height - 1)
            at = y * width + x
            for nearer, nearer_front in zip(self.slabs[number + 1 :], fronts[number + 1 :]):
                ok &= ~self._covered(nearer, nearer_front).flatten()[at]
            visible.view(-1)[pixels] = ok.float()
        for slab, front in zip(self.slabs, fronts):
            occluded = self._shows_background & self._covered(slab, front)
            visible = torch.where(occluded, 0.0, visible)
        return Frame(self._picture(fronts, t_s), displacement, visible)

    @on_own_device
    def image_at(self, t_s: float) -> Float[Tensor, "3 h w"]:
        """The picture at a time, without the ground truth."""
        return self._picture(self._front_points(t_s), t_s)

    @on_own_device
    def spectrum(self, grid: tuple[int, int] | None = None) -> SpectralVolume:
        """The motion as a spectral volume on a grid, by default the picture's own."""
        height, width = self.size
        k = len(self.frequencies_hz)
        coeffs = torch.zeros(height * width, k, 2, dtype=torch.complex64)
        for slab, pixels, point in self._still_points:
            coeffs[pixels] = self._coeffs_at(slab, point)
        field = rearrange(torch.view_as_real(coeffs), "(h w) k xy c -> c k xy h w", h=height)
        if grid is not None and grid != self.size:
            field = resize_displacement(field, grid)
        coeffs = torch.complex(field[0], field[1])[None]
        return SpectralVolume(
            coeffs,
            self.frequencies_hz,
            self.size,
            self.mask[None],
            mean=-coeffs.real.sum(1),
        )

    # --- points -----------------------------------------------------------------------------------

    def _coeffs_at(self, slab, point):
        """S_k of points of a slab, n k 2."""
        piece = slab.piece[point]
        rel = (slab.position[point] - self.pivot[piece])[:, None].to(torch.complex64)
        strain = self.strain[piece]
        return self.shift[piece] + strain[..., 0] * rel[..., :1] + strain[..., 1] * rel[..., 1:]

    def _piece_motion(self, t_s):
        """(displacement at the pivot, strain) of every piece at a time: real, n 2 and n 2 2."""
        times = torch.tensor([0.0, t_s], dtype=torch.float64)
        q = harmonic_coords(self.frequencies_hz, times).to(torch.complex64)
        q = q[:, 1] - q[:, 0]
        flat = torch.cat([self.shift, self.strain.flatten(2)], 2)  # n k 6
        played = torch.einsum("nkc,k->nc", flat.real, q.real)
        played = played - torch.einsum("nkc,k->nc", flat.imag, q.imag)
        return played[:, :2], played[:, 2:].view(-1, 2, 2)

    def _at_points(self, slab, point, motion):
        """Displacement of points of a slab, n 2; of all its points without `point`."""
        piece = slab.piece if point is None else slab.piece[point]
        position = slab.position if point is None else slab.position[point]
        rel = position - self.pivot[piece]
        strain = motion[1].flatten(1)[piece]
        x = strain[:, 0] * rel[:, 0] + strain[:, 1] * rel[:, 1]
        y = strain[:, 2] * rel[:, 0] + strain[:, 3] * rel[:, 1]
        return motion[0][piece] + torch.stack([x, y], 1)

    def _cell_of(self, position):
        """(flat index of the cell at every position, whether the position is in the picture)."""
        height, width = (n * self.cells for n in self.size)
        x, y = ((position + 0.5) * self.cells).floor().long().unbind(1)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return torch.where(inside, y * width + x, 0), inside

    def _front_points(self, t_s, motion=None):
        """For every slab, the front-most point in every cell at a time, or -1."""
        if motion is None:
            motion = self._piece_motion(t_s)
        count = self.size[0] * self.size[1] * self.cells**2
        result = []
        for slab in self.slabs:
            cell, inside = self._cell_of(slab.position + self._at_points(slab, None, motion))
            number = torch.where(inside, torch.arange(len(cell)), -1)
            result.append(torch.full((count,), -1).scatter_reduce_(0, cell, number, "amax"))
        return result

    def _pool(self, cells):
        """Average cells (c, flat) to pixels (c h w)."""
        grid = [n * self.cells for n in self.size]
        return F.avg_pool2d(cells.view(1, -1, *grid), self.cells)[0]

    def _light(self, fronts):
        """The picture in linear light: the background with every slab composited over it."""
        light = self.background
        for slab, front in zip(self.slabs, fronts):
            hit = front >= 0
            layer = torch.cat([slab.light[front.clamp(min=0)], torch.ones(len(hit), 1)], 1)
            layer = blur(self._pool((layer * hit[:, None]).T), slab.blur)
            light = light * (1 - layer[3:]) + layer[:3]
        return light

    def _picture(self, fronts, t_s):
        film, light = self.film, self._light(fronts)
        picture = develop(
            light, film.exposure, film.contrast, film.saturation, film.warmth, film.vignette
        )
        if film.grain:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + round(t_s * 1000))
            picture = picture + film.grain * normal(generator, *picture.shape)
        return picture.clamp(0, 1)

    def _covered(self, slab, front):
        """Which pixels a slab covers, 1 h w.

        A sharp slab covers a pixel if it covers its middle cell; a blurred slab, if it covers half.
        """
        if slab.blur:
            return blur(self._pool((front >= 0).float()[None]), slab.blur) > 0.5
        return (front[self._middle_cells] >= 0).view(1, *self.size)

    @cached_property
    def _middle_cells(self):
        """The cell in the middle of every pixel."""
        x, y = pixel_grid(*self.size, like=self.background).long() * self.cells + self.cells // 2
        return (y * (self.size[1] * self.cells) + x).flatten()

    @cached_property
    def _still_points(self):
        """For every slab: (slab, the still's pixels that show it, the point that each shows)."""
        free = torch.ones(self.size[0] * self.size[1], dtype=torch.bool)
        found = []
        for slab, front in zip(reversed(self.slabs), reversed(self.front_points)):
            covered = self._covered(slab, front).flatten()
            middle = front[self._middle_cells]
            if slab.blur:
                middle = self._filled(middle, covered)
            pixels = (free & covered & (middle >= 0)).nonzero().squeeze(1)
            found.append((slab, pixels, middle[pixels]))
            free &= ~covered
        return tuple(reversed(found))

    def _filled(self, middle, covered):
        """Give pixels that blur covers, but that have no point in their middle, a point.

        It is the front-most of the nearest pixels that have one.
        """
        grid = middle.double().view(1, *self.size)  # exact for any number of points
        needed = covered.view(1, *self.size) & (middle >= 0).any()
        while (needed & (grid < 0)).any():
            grid = torch.where(grid < 0, F.max_pool2d(grid, 3, 1, 1), grid)
        return grid.flatten().long()

    @cached_property
    def _shows_background(self):
        """Where the still shows the background, 1 h w."""
        covered = [self._covered(*pair) for pair in zip(self.slabs, self.front_points)]
        return ~torch.stack(covered).any(0)


def make_scene(
    seed: int,
    size: tuple[int, int] = (160, 256),
    kind: str | None = None,
    bands: int = 16,
    duration_s: float = 5.0,
    amplitude_pct: float | None = None,
    photographs: list[Float[Tensor, "3 h w"]] | None = None,
    cells: int = 3,
    device: torch.device | str = "cpu",
) -> Scene:
    """Make a scene from a seed.

    Args:
        size: (height, width) of the still, px; at least 16.
        kind: One of `KINDS`; random by default.
        amplitude_pct: Peak displacement, 95th percentile over the moving pixels, in % of the longer
            side; by default random from 0.4 to 4, uniform in its logarithm.
        photographs: Take textures from these pictures instead of making procedural ones.
        cells: Of the z-buffer, per pixel and axis.
        device: Where the scene is made and stays. Random numbers come from the CPU, so a seed gives
            the same scene on every device, up to the device's rounding.

    Raises:
        ValueError: For an unknown kind, or a size below 16.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"Expected a kind of scene among {', '.join(KINDS)}, got {kind!r}.")
    if min(size) < 16:
        raise ValueError(f"Expected a scene of at least 16 x 16 px, got {size[1]} x {size[0]}.")
    with default_on(device):
        return _build(seed, size, kind, bands, duration_s, amplitude_pct, photographs, cells)


def _build(seed, size, kind, bands, duration_s, amplitude_pct, photographs, cells):
    generator = torch.Generator().manual_seed(seed)
    kind = kind or choose(generator, *KINDS)
    height, width = size
    frequencies = torch.arange(1, bands + 1) / duration_s
    # No random number of what moves depends on the count of pixels: every size shows the same. Of
    # backgrounds some do, for noise finer than a pixel is not drawn.
    main = open_builder(generator, width / height, frequencies)
    KINDS[kind][0](main)
    if uniform(generator, 0, 1) < 0.5:
        main.zoom_in(2.5 ** float(uniform(generator, 0, 1)))
    if uniform(generator, 0, 1) < 0.3:
        add_props(main, main.integer(1, 4))
    builders = [main]
    blurs = [0.0 if uniform(generator, 0, 1) < 0.8 else 0.004]
    drawn = uniform(generator, 0, 1)
    if drawn < 0.35 and kind not in ("candles", "laundry", "lanterns"):
        behind = open_builder(generator, width / height, frequencies)
        KINDS[choose(generator, "foliage", "shrub", "grass", "tree")][0](behind)
        builders.insert(0, behind)
        blurs.insert(0, float(uniform(generator, 0.006, 0.02)))
    if amplitude_pct is None:
        amplitude_pct = 0.4 * 10 ** float(uniform(generator, 0, 1))
    name = choose(generator, *KINDS[kind][1])
    light = Light.drawn(generator)
    scenery = torch.Generator().manual_seed(int(integers(generator, 0, 2**31)))
    dimmed = 0.2 * 6 ** float(uniform(generator, 0, 1))
    background = BACKGROUNDS[name](scenery, size) * dimmed
    background = blur(background, float(uniform(generator, 0, 0.008)) * height)
    textures = photograph_pages(photographs, generator) if photographs else pages(generator)
    slabs, pivots, shifts, strains, first = [], [], [], [], 0
    for builder, sigma in zip(builders, blurs):
        dim = 1.0 if builder is main else float(uniform(generator, 0.4, 0.9))
        slabs.append(points_of(builder, size, cells, textures, light, first, dim, sigma * height))
        pivot, shift, strain = builder.pieces()
        pivots.append(pivot * height)
        shifts.append(shift * height)
        strains.append(strain)
        first += len(pivot)
    film = Film(
        0.12 * 9 ** float(uniform(generator, 0, 1)),
        float(uniform(generator, 1.1, 1.9)),
        float(uniform(generator, 0.5, 1.3)),
        float(uniform(generator, -0.08, 0.1)),
        float(uniform(generator, 0.0, 0.45)),
        float(uniform(generator, 0.0, 0.008)),
    )
    pieces = torch.cat(pivots), torch.cat(shifts), torch.cat(strains)
    scene = Scene(kind, size, frequencies, *pieces, tuple(slabs), background, film, cells, seed)
    scene = replace(scene, front_points=tuple(scene._front_points(0.0)))
    return _scaled(_exposed(scene), amplitude_pct)


def _exposed(scene: Scene) -> Scene:
    """The scene with automatic exposure: the geometric mean of the light becomes a middle grey."""
    light = scene._light(scene.front_points).mean(0).clamp(min=1e-3).log().mean().exp()
    exposure = scene.film.exposure * 0.28 / float(light)
    return replace(scene, film=replace(scene.film, exposure=exposure))


def _scaled(scene: Scene, amplitude_pct: float) -> Scene:
    """The same scene with its motion scaled to an amplitude."""
    peaks = []
    times = torch.arange(60) / 60 / float(scene.frequencies_hz[0])
    q = harmonic_coords(scene.frequencies_hz, times.double()).to(torch.complex64)
    q = q - q[:, :1]
    for slab, _, point in scene._still_points:
        some = point[:: max(1, len(point) // 3000)]
        if len(some):
            played = torch.einsum("nkc,kt->nct", scene._coeffs_at(slab, some), q).real
            peaks.append(played.square().sum(1).amax(1).sqrt())
    peak = torch.cat(peaks) if peaks else torch.zeros(1)
    moving = peak[peak > 0.05 * peak.max()]
    amplitude = float(moving.quantile(0.95)) if len(moving) else 0.0
    gain = amplitude_pct / 100 * max(scene.size) / amplitude if amplitude > 0 else 0.0
    return replace(scene, shift=scene.shift * gain, strain=scene.strain * gain)
