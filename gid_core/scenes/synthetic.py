"""Scenes whose truth is known exactly: a still, any later frame, and every pixel's motion between.

A scene is a cloud of coloured points on rigid pieces, in slabs from back to front. A frame moves the
points and lets the nearest in every cell of a fine grid be seen, so occlusion and disocclusion come by
themselves; the cells are averaged to pixels, and slabs out of focus blurred.

Law: D(p, t) = Re sum_k S_k(p) (q_k(t) - q_k(0)): frame 0 is the still. A frame depends on (seed, t) alone.

Source: ours; z-buffered point rendering after Pfister et al. 2000 ("Surfels").
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from einops import rearrange

from ..motion.coords import harmonic_coords
from ..motion.spectrum import SpectralVolume
from ..scenes import hangings, plants
from ..shapes import Complex, Float, Int, Tensor
from ..still.grid import pixel_grid, resize_displacement
from .builder import SceneBuilder, add_props, open_builder
from .point_cloud import Light, Slab, points_of
from .textures import (
    BACKGROUNDS,
    at_home,
    blur,
    choose,
    develop,
    integers,
    made_on,
    normal,
    pages,
    photograph_pages,
    uniform,
)

STILL_PX = 0.05  # what can move by less than this stands still, in px of the picture
ALIKE_PX = 0.1  # what has moved as far as this pixel, within this, shows what the pixel showed

# How each kind is added to a stage, and what it may stand before.
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
    """How light becomes a picture: the arguments of `develop`, and the deviation of its grain."""

    exposure: float
    contrast: float
    saturation: float
    warmth: float
    vignette: float
    grain: float


@dataclass(frozen=True)
class Frame:
    """A moment of a scene.

    displacement: from the still to here, px, at the still's pixels.
    visible: 1 where what the still's pixel shows, or what moves along with it, is still seen.
    """

    image: Float[Tensor, "3 h w"]
    displacement: Float[Tensor, "2 h w"]
    visible: Float[Tensor, "1 h w"]


@dataclass(frozen=True)
class Scene:
    """A scene, complete. Pieces: pivot (px), shift (px) and strain (1) per band."""

    kind: str
    size: tuple[int, int]
    frequencies_hz: Float[Tensor, " k"]
    pivot: Float[Tensor, "n 2"]
    shift: Complex[Tensor, "n k 2"]
    strain: Complex[Tensor, "n k 2 2"]
    slabs: tuple[Slab, ...]
    background: Float[Tensor, "3 h w"]
    film: Film
    cells: int  # per pixel and axis
    seed: int
    first: tuple[Int[Tensor, " c"], ...] = ()  # the point seen in every cell of the still, or -1

    @cached_property
    @at_home
    def still(self) -> Float[Tensor, "3 h w"]:
        return self._picture(self.first, 0.0)

    @cached_property
    @at_home
    def mask(self) -> Float[Tensor, "1 h w"]:
        """Where anything moves by more than a hair, as far as it covers the pixel."""
        reach = torch.zeros(len(self.pivot))
        for slab in self.slabs:
            far = (slab.position - self.pivot[slab.piece]).norm(dim=1)
            reach = reach.scatter_reduce(0, slab.piece, far, "amax")
        # At most: the peaks of the bands add up.
        peak = 2 * self.shift.abs().sum(1).norm(dim=1)
        peak = peak + 2 * self.strain.abs().sum(1).flatten(1).norm(dim=1) * reach
        seen = torch.zeros(1, *self.size)
        for slab, winner in zip(self.slabs, self.first):
            moves = (winner >= 0) & (peak[slab.piece[winner.clamp(min=0)]] > STILL_PX)
            share = blur(self._pool(moves.float()[None]), slab.blur)
            covered = blur(self._pool((winner >= 0).float()[None]), slab.blur)
            seen = seen * (1 - covered) + share
        return seen.clamp(0, 1)

    @at_home
    def frame(self, t_s: float) -> Frame:
        """The picture at a time, with where the still's pixels have gone."""
        motion = self._piece_motion(t_s)
        winners = self._winners(t_s, motion)
        moved = torch.zeros(2, *self.size)
        visible = torch.ones(1, *self.size)
        height, width = self.size
        for number, (slab, pixels, point) in enumerate(self._shown):
            field = self._at_points(slab, point, motion)
            moved.flatten(1)[:, pixels] = field.T
            there = slab.position[point] + field
            cell, inside = self._cell_of(there)
            seen = winners[number][cell]
            ok = inside & (seen >= 0)
            seen = seen.clamp(min=0)
            # Pieces of one cloth or stem overlap at their joints, and hide nothing there.
            apart = (self._at_points(slab, seen, motion) - field).norm(dim=1)
            ok &= (slab.piece[seen] == slab.piece[point]) | (apart < ALIKE_PX)
            x = (pixels % width + field[:, 0]).round().long().clamp(0, width - 1)
            y = (pixels // width + field[:, 1]).round().long().clamp(0, height - 1)
            at = y * width + x
            for front, covering in zip(winners[number + 1 :], self.slabs[number + 1 :]):
                ok &= ~self._covered(covering, front).flatten()[at]
            visible.view(-1)[pixels] = ok.float()
        for slab, winner in zip(self.slabs, winners):
            visible = torch.where(self._bare & self._covered(slab, winner), 0.0, visible)
        return Frame(self._picture(winners, t_s), moved, visible)

    @at_home
    def image_at(self, t_s: float) -> Float[Tensor, "3 h w"]:
        """The picture at a time, without its truth."""
        return self._picture(self._winners(t_s), t_s)

    @at_home
    def spectrum(self, grid: tuple[int, int] | None = None) -> SpectralVolume:
        """The motion as a spectral volume on a grid, the picture's own by default."""
        height, width = self.size
        k = len(self.frequencies_hz)
        coeffs = torch.zeros(height * width, k, 2, dtype=torch.complex64)
        for slab, pixels, point in self._shown:
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
        """S_k of points, n k 2."""
        piece = slab.piece[point]
        rel = (slab.position[point] - self.pivot[piece])[:, None].to(torch.complex64)
        strain = self.strain[piece]
        return self.shift[piece] + strain[..., 0] * rel[..., :1] + strain[..., 1] * rel[..., 1:]

    def _piece_motion(self, t_s):
        """(displacement at the pivot, strain) of every piece, real: n 2 and n 2 2."""
        times = torch.tensor([0.0, t_s], dtype=torch.float64)
        q = harmonic_coords(self.frequencies_hz, times).to(torch.complex64)
        q = q[:, 1] - q[:, 0]
        flat = torch.cat([self.shift, self.strain.flatten(2)], 2)  # n k 6
        played = torch.einsum("nkc,k->nc", flat.real, q.real)
        played = played - torch.einsum("nkc,k->nc", flat.imag, q.imag)
        return played[:, :2], played[:, 2:].view(-1, 2, 2)

    def _at_points(self, slab, point, motion):
        piece = slab.piece if point is None else slab.piece[point]
        position = slab.position if point is None else slab.position[point]
        rel = position - self.pivot[piece]
        strain = motion[1].flatten(1)[piece]
        x = strain[:, 0] * rel[:, 0] + strain[:, 1] * rel[:, 1]
        y = strain[:, 2] * rel[:, 0] + strain[:, 3] * rel[:, 1]
        return motion[0][piece] + torch.stack([x, y], 1)

    def _cell_of(self, position):
        """Flat index of the cell that every position lies in, and whether it lies in the picture."""
        height, width = (n * self.cells for n in self.size)
        x, y = ((position + 0.5) * self.cells).floor().long().unbind(1)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return torch.where(inside, y * width + x, 0), inside

    def _winners(self, t_s, motion=None):
        """The point seen in every cell, slab by slab; -1 where none is."""
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
        """Cells, c flat, averaged to pixels."""
        grid = [n * self.cells for n in self.size]
        return F.avg_pool2d(cells.view(1, -1, *grid), self.cells)[0]

    def _light(self, winners):
        light = self.background
        for slab, winner in zip(self.slabs, winners):
            hit = winner >= 0
            layer = torch.cat([slab.light[winner.clamp(min=0)], torch.ones(len(hit), 1)], 1)
            layer = blur(self._pool((layer * hit[:, None]).T), slab.blur)
            light = light * (1 - layer[3:]) + layer[:3]
        return light

    def _picture(self, winners, t_s):
        film, light = self.film, self._light(winners)
        picture = develop(
            light, film.exposure, film.contrast, film.saturation, film.warmth, film.vignette
        )
        if film.grain:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + round(t_s * 1000))
            picture = picture + film.grain * normal(generator, *picture.shape)
        return picture.clamp(0, 1)

    def _covered(self, slab, winner):
        """The pixels a slab is seen at, 1 h w: by their middle, or where it is blurred by their half."""
        if slab.blur:
            return blur(self._pool((winner >= 0).float()[None]), slab.blur) > 0.5
        return (winner[self._middles] >= 0).view(1, *self.size)

    @cached_property
    def _middles(self):
        """The cell in the middle of every pixel."""
        x, y = pixel_grid(*self.size, like=self.background).long() * self.cells + self.cells // 2
        return (y * (self.size[1] * self.cells) + x).flatten()

    @cached_property
    def _shown(self):
        """Per slab: the still's pixels that show it, and the point in the middle of each."""
        free = torch.ones(self.size[0] * self.size[1], dtype=torch.bool)
        shown = []
        for slab, winner in zip(reversed(self.slabs), reversed(self.first)):
            covered = self._covered(slab, winner).flatten()
            middle = winner[self._middles]
            if slab.blur:
                middle = self._carried(middle, covered)
            pixels = (free & covered & (middle >= 0)).nonzero().squeeze(1)
            shown.append((slab, pixels, middle[pixels]))
            free &= ~covered
        return tuple(reversed(shown))

    def _carried(self, middle, covered):
        """Where blur covers pixels that have no point in their middle: the foremost of the nearest."""
        grid = middle.double().view(1, *self.size)  # exact for any number of points
        wanted = covered.view(1, *self.size) & (middle >= 0).any()
        while (wanted & (grid < 0)).any():
            grid = torch.where(grid < 0, F.max_pool2d(grid, 3, 1, 1), grid)
        return grid.flatten().long()

    @cached_property
    def _bare(self):
        """Where the still shows the background, 1 h w."""
        covered = [self._covered(*pair) for pair in zip(self.slabs, self.first)]
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
    """A scene from a seed.

    Args:
        kind: One of `KINDS`; drawn by default.
        amplitude_pct: Peak displacement, 95th percentile over what moves, in % of the longer side;
            drawn between 0.4 and 4 by default, small ones as likely as large.
        photographs: To texture things with, in place of procedural textures.
        cells: Per pixel and axis, of the grid that points are seen in.
        device: Where it is made and stays. Its random numbers come from the CPU, so that a seed is the
            same scene everywhere, to the device's arithmetic.

    Raises:
        ValueError: For an unknown kind, or a size below 16.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"Expected a kind of scene among {', '.join(KINDS)}, got {kind!r}.")
    if min(size) < 16:
        raise ValueError(f"Expected a scene of at least 16 x 16 px, got {size[1]} x {size[0]}.")
    with made_on(device):
        return _made(seed, size, kind, bands, duration_s, amplitude_pct, photographs, cells)


def _made(seed, size, kind, bands, duration_s, amplitude_pct, photographs, cells):
    generator = torch.Generator().manual_seed(seed)
    kind = kind or choose(generator, *KINDS)
    height, width = size
    frequencies = torch.arange(1, bands + 1) / duration_s
    # At other sizes the same scene: what is drawn never depends on the number of pixels.
    stages = [open_builder(generator, width / height, frequencies)]
    KINDS[kind][0](stages[0])
    if uniform(generator, 0, 1) < 0.5:
        stages[0].closer(2.5 ** float(uniform(generator, 0, 1)))
    if uniform(generator, 0, 1) < 0.3:
        add_props(stages[0], stages[0].number(1, 4))
    blurs = [0.0 if uniform(generator, 0, 1) < 0.8 else 0.004]
    behind = uniform(generator, 0, 1)
    if behind < 0.35 and kind not in ("candles", "laundry", "lanterns"):
        other = open_builder(generator, width / height, frequencies)
        KINDS[choose(generator, "foliage", "shrub", "grass", "tree")][0](other)
        stages.insert(0, other)
        blurs.insert(0, float(uniform(generator, 0.006, 0.02)))
    if amplitude_pct is None:
        amplitude_pct = 0.4 * 10 ** float(uniform(generator, 0, 1))
    name = choose(generator, *KINDS[kind][1])
    light = Light.drawn(generator)
    scenery = torch.Generator().manual_seed(int(integers(generator, 0, 2**31)))
    dimmed = 0.2 * 6 ** float(uniform(generator, 0, 1))
    background = BACKGROUNDS[name](scenery, size) * dimmed
    background = blur(background, float(uniform(generator, 0, 0.008)) * height)
    surfaces = photograph_pages(photographs, generator) if photographs else pages(generator)
    slabs, pivots, shifts, strains, first = [], [], [], [], 0
    for stage, sigma in zip(stages, blurs):
        dim = 1.0 if stage is stages[-1] else float(uniform(generator, 0.4, 0.9))
        slabs.append(points_of(stage, size, cells, surfaces, light, first, dim, sigma * height))
        pivot, shift, strain = stage.pieces()
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
    scene = Scene(
        kind, size, frequencies, torch.cat(pivots), torch.cat(shifts), torch.cat(strains),
        tuple(slabs), background, film, cells, seed,
    )  # fmt: skip
    scene = replace(scene, first=tuple(scene._winners(0.0)))
    return _resized(_exposed(scene), amplitude_pct)


def _exposed(scene: Scene) -> Scene:
    """As a camera would: mean light to a middle grey, more or less."""
    light = scene._light(scene.first).mean(0).clamp(min=1e-3).log().mean().exp()
    exposure = scene.film.exposure * 0.28 / float(light)
    return replace(scene, film=replace(scene.film, exposure=exposure))


def _resized(scene: Scene, amplitude_pct: float) -> Scene:
    """The same scene, swaying as far as asked for."""
    peaks = []
    times = torch.arange(60) / 60 / float(scene.frequencies_hz[0])
    q = harmonic_coords(scene.frequencies_hz, times.double()).to(torch.complex64)
    q = q - q[:, :1]
    for slab, _, point in scene._shown:
        some = point[:: max(1, len(point) // 3000)]
        if len(some):
            played = torch.einsum("nkc,kt->nct", scene._coeffs_at(slab, some), q).real
            peaks.append(played.square().sum(1).amax(1).sqrt())
    peak = torch.cat(peaks) if peaks else torch.zeros(1)
    moving = peak[peak > 0.05 * peak.max()]
    size = float(moving.quantile(0.95)) if len(moving) else 0.0
    gain = amplitude_pct / 100 * max(scene.size) / size if size > 0 else 0.0
    return replace(scene, shift=scene.shift * gain, strain=scene.strain * gain)
