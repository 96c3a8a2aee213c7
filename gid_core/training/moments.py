"""Frames to learn rendering from, by number: synthetic scenes at exact moments, and extracted clips.

Law: sample n is the same on every machine and in every run, and needs no sample before it.

Convention: a sample is (given, frame): what `RenderModel` is given, GIVEN h w (still, weightless frame,
uncovered, displacement, importance, how far things moved), and the frame that should come of it. The
weightless frame is made as in use, from the motion on its grid, so that what is learned is what is left.
Motions in use are not exact and pictures have grain: half of the moments have a motion as it might be
read or drawn, and the frame that should come of a grainy still has its grain, carried along.
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import safe_open
from safetensors.torch import save_file

from ..config import ExtractionConfig
from ..files.whole import written_whole
from ..footage.clips import read_clip
from ..footage.extraction import extract
from ..footage.flow import estimator
from ..motion.displacement import Displacement
from ..motion.spectrum import SpectralVolume, with_trend
from ..render.layers import Moved, moved_frames
from ..render.network import given_of
from ..scenes.synthetic import make_scene
from ..scenes.textures import blur, normal
from ..shapes import Float, Tensor
from ..still.grid import grid_size
from .data import GENERATION, covering, generator_of

RECIPE = 2  # of moments in caches: how they are made here, and by `separation`
MOMENTS = 4  # of a scene or a clip
LOUDEST = 3.0  # times the motion of a scene
GRAIN, GRAIN_PX = (0.002, 0.03), (0.1, 1.5)  # deviation, and how far it is out of focus
SMEAR_PX, SPREAD_PX = (0.3, 4.0), 6  # of a motion over edges, and of what it is thought to move
OFF_PX, OFF_SIZE_PX = (
    (0.03, 0.3),
    (4.0, 40.0),
)  # deviation of a motion that is off, and the size of its errors
EVERYTHING = 0.3  # share of mistaken motions that come without a mask
MOST_S, SHORTEST = 6.0, 8  # s and frames of a clip that is read
CLIPS = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif")
CLIP_TIMES = 24  # over which importance is a mean
CROP = 128  # px to a side of what is learned from at once
COARSEST = 3.0  # px of the picture to one of the motion's grid
# Where what is, among the given.
STILL, FRAME, UNCOVERED, DISPLACEMENT = slice(0, 3), slice(3, 6), slice(6, 7), slice(7, 9)


@dataclass(frozen=True)
class Moments:
    """Synthetic scenes, `count` of them over and over, each at some moments.

    cache: A folder that keeps moments once made; a scene of 256 x 160 takes 3 MB.
    """

    size: tuple[int, int]
    count: int
    first_seed: int = 2_000_000
    cache: Path | None = None

    def sample(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        seed = self.first_seed + number // MOMENTS % self.count
        made = lambda: _moments(seed, self.size)
        return _kept(
            self.cache,
            f"moments_{GENERATION}_{RECIPE}_{seed}",
            self.size,
            made,
            number % MOMENTS,
        )


def _kept(cache, name, size, make, moment):
    """A pair of many from a cache, where they are bytes and half precision, or made and put there."""
    if cache is None:
        return make()[moment]
    path = cache / f"{name}_{size[1]}x{size[0]}.safetensors"
    if not path.exists():
        given, frames = (torch.stack(x) for x in zip(*make()))
        pictures = torch.cat([given[:, : UNCOVERED.stop], frames], 1)
        fields = given[:, UNCOVERED.stop :].half()
        with written_whole(path) as temporary:
            save_file({"pictures": (pictures * 255).round().byte(), "fields": fields}, temporary)
    with safe_open(path, "pt") as file:  # a moment is read, not all of them
        pictures, fields = (file.get_slice(n)[moment] for n in ("pictures", "fields"))
    pictures = pictures.float() / 255
    return torch.cat([pictures[:-3], fields.float()]), pictures[-3:]


def _moments(seed, size):
    generator = generator_of(seed, 0)
    scene = make_scene(seed, size)
    gain = LOUDEST ** max(0.0, _between(-1, 1, generator))
    # Without grain: that of another moment is another, and cannot be learned.
    film = replace(scene.film, grain=0.0)
    scene = replace(scene, film=film, shift=scene.shift * gain, strain=scene.strain * gain)
    duration_s = 1 / float(scene.frequencies_hz[0])
    pairs = []
    for moment in range(MOMENTS):
        t_s = _between(0, duration_s, generator)
        coarse = COARSEST ** (_between(0, 1, generator) * (moment % 2))
        spectrum = scene.spectrum(grid_size(*size, round(max(size) / coarse)))
        if moment >= MOMENTS // 2:
            spectrum = mistaken(spectrum, generator)
        moved, frame = moved_at(scene.still, spectrum, t_s), scene.image_at(t_s)
        grainy = moved_at(grained(scene.still, generator), spectrum, t_s)
        pairs.append((given_of(grainy), (frame + grainy.frame - moved.frame).clamp(0, 1)))
    return pairs


def grained(still: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
    """A still as cameras give them."""
    noise = blur(normal(generator, *still.shape), _likely(GRAIN_PX, generator))
    return (still + _likely(GRAIN, generator) / noise.std() * noise).clamp(0, 1)


def mistaken(spectrum: SpectralVolume, generator: torch.Generator) -> SpectralVolume:
    """A motion as it might be read from a clip or drawn: over edges, on what stands still, a little off."""
    exact, mask = torch.view_as_real(spectrum.coeffs[0]), spectrum.mask
    k, _, height, width = spectrum.coeffs.shape[1:]
    px = spectrum.reference_size[1] / width  # of the picture, to one of the grid
    channels = rearrange(exact, "k xy h w part -> (k xy part) h w")
    channels = blur(channels, _likely(SMEAR_PX, generator) / px)
    off = blur(normal(generator, *channels.shape), _likely(OFF_SIZE_PX, generator) / px)
    off = off / off.square().mean((1, 2), keepdim=True).sqrt()
    # As strong in a band as the motion is.
    size = channels.unflatten(0, (k, 4)).square().mean((1, 2, 3)).sqrt().repeat_interleave(4)
    off = off * size.view(-1, 1, 1)
    # Deviation of a coordinate over time; of what is off no more than there is motion to be wrong about.
    rms = px * (channels.square().sum(0).mean() / 4).sqrt()
    strength = (_likely(OFF_PX, generator) / rms.clamp(min=1e-9)).clamp(max=0.5)
    reach = round(_between(0, SPREAD_PX, generator))
    mask = F.max_pool2d(mask, 2 * reach + 1, 1, reach)
    where = F.interpolate(mask, (height, width), mode="area")[0]
    channels = where * (channels + strength * off)
    if _between(0, 1, generator) < EVERYTHING:
        mask = None
    coeffs = rearrange(channels, "(k xy part) h w -> k xy h w part", k=k, xy=2).contiguous()
    coeffs = torch.view_as_complex(coeffs)[None]
    return replace(spectrum, coeffs=coeffs, mask=mask, mean=-coeffs.real.sum(1))


def _between(low, high, generator):
    return low + (high - low) * float(torch.rand((), generator=generator))


def _likely(bounds, generator):
    """A size between two, each factor as likely."""
    low, high = bounds
    return low * (high / low) ** _between(0, 1, generator)


@dataclass(frozen=True)
class Recordings:
    """Clips of a folder, each at some moments: its first frame, the motion that was read from it, and what
    was seen.

    size: that clips are scaled to fill.
    cache: A folder that keeps moments once made; without one every sample reads its clip anew.
    """

    size: tuple[int, int]
    folder: Path
    cache: Path | None = None
    flow: str = "dis"
    paths: tuple[Path, ...] = field(default=(), init=False)

    def __post_init__(self):
        found = tuple(sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in CLIPS))
        if not found:
            raise ValueError(
                f"Expected clips ({', '.join(CLIPS)}) in {str(self.folder)!r}, found none."
            )
        for path in found:  # a run of hours should not end at a clip that is drawn late
            clip = read_clip(path, 64)
            seen = sum(1 for _ in zip(clip.frames, range(SHORTEST)))
            if seen < SHORTEST:
                raise ValueError(
                    f"{path.name!r} has {seen} frames, and {SHORTEST} are needed to read a motion from. "
                    "Take it out of the folder."
                )
        object.__setattr__(self, "paths", found)

    def sample(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        path = self.paths[number // MOMENTS % len(self.paths)]
        made = lambda: _recorded(path, self.size, self.flow)
        stat = path.stat()
        what = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, self.flow, RECIPE)
        name = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        return _kept(self.cache, f"clip_{name}", self.size, made, number % MOMENTS)


def _recorded(path, size, flow):
    clip = read_clip(path)
    frames = [
        covering(f[None, :3], size)[0] for f, _ in zip(clip.frames, range(round(MOST_S * clip.fps)))
    ]
    frames = torch.stack(frames)
    window = min(ExtractionConfig().window_s, len(frames) / clip.fps)
    bands = min(ExtractionConfig().bands, (round(window * clip.fps) - 1) // 2)
    config = ExtractionConfig(bands, window)
    found = extract(frames, clip.fps, config, estimator(flow), size)
    if found.spectrum is None:
        raise ValueError(
            f"{path.name!r} cannot be learned from: {found.report} Take it out of the folder."
        )
    first, length = found.report.start_frame, round(window * clip.fps)
    pairs = []
    for moment in range(MOMENTS):
        number = min(
            first + length - 1,
            len(frames) - 1,
            first + round(length * (moment + 1) / (MOMENTS + 1)),
        )
        moved = moved_at(frames[first], found.spectrum, (number - first) / clip.fps)
        pairs.append((given_of(moved), frames[number]))
    return pairs


def moved_at(still: Float[Tensor, "3 h w"], spectrum: SpectralVolume, t_s: float) -> Moved:
    """A moment of a motion as it is rendered without weights, importance from all of it."""
    base = float(spectrum.frequencies_hz[0])
    times = torch.arange(CLIP_TIMES, dtype=torch.float64) / CLIP_TIMES / base
    coeffs, coords = with_trend(spectrum, torch.cat([times, times.new_tensor([t_s])]))
    motion = Displacement(
        coeffs, coords.to(coeffs.dtype), CLIP_TIMES * base, spectrum.reference_size, spectrum.mask
    )
    return next(moved_frames(still, motion, frames=[CLIP_TIMES]))


def augment(
    given: Float[Tensor, "g h w"],
    frame: Float[Tensor, "3 h w"],
    generator: torch.Generator,
    crop: int = CROP,
) -> tuple[Float[Tensor, "g h2 w2"], Float[Tensor, "3 h2 w2"]]:
    """Another view of a part."""
    return augment_pair(*cropped(given, frame, crop, generator), generator)


def cropped(given, frame, size, generator):
    """A square part, likelier where more was uncovered."""
    height, width = frame.shape[-2:]
    size = min(size, height, width)
    tries = []
    for _ in range(3):
        top, left = (
            int(torch.randint(n - size + 1, (), generator=generator)) for n in (height, width)
        )
        tries.append(
            (float(given[UNCOVERED, top : top + size, left : left + size].sum()), top, left)
        )
    _, top, left = max(tries)
    cut = lambda x: x[:, top : top + size, left : left + size]
    return cut(given), cut(frame)


def augment_pair(given, frame, generator):
    """Another view of the same: mirrored, turned by a right angle, in other hues."""
    given = given.clone()
    for axis, sign in ((-1, 0), (-2, 1)):
        if float(torch.rand((), generator=generator)) < 0.5:
            given, frame = given.flip(axis), frame.flip(axis)
            given[DISPLACEMENT][sign] *= -1
    if float(torch.rand((), generator=generator)) < 0.5 and frame.shape[-1] == frame.shape[-2]:
        given, frame = given.mT.clone(), frame.mT
        given[DISPLACEMENT] = given[DISPLACEMENT].flip(0).clone()
    if float(torch.rand((), generator=generator)) < 0.3:  # through a worse lens
        pictures = torch.cat([given[: FRAME.stop], frame])[None]
        pictures = F.avg_pool2d(F.pad(pictures, (1,) * 4, mode="reflect"), 3, 1)[0]
        given[: FRAME.stop], frame = pictures[:-3], pictures[-3:]
    # Mixing by colour and brightness commutes with mixing by place.
    hues = torch.randperm(3, generator=generator)
    gain = 1 - 0.4 * torch.rand(3, 1, 1, generator=generator)
    alike = lambda x: x[hues] * gain
    given[STILL], given[FRAME] = alike(given[STILL]), alike(given[FRAME])
    return given, alike(frame)
