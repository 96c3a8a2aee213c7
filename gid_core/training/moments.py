"""Numbered training samples for the renderer: frames of synthetic scenes and of clips.

Law: sample n is the same on every machine and in every run, and does not depend on other samples.

Convention: a sample is (given, frame). `given` is the input of `RenderModel`, GIVEN h w: still,
splatted frame, disocclusion, displacement, importance, amount of motion. `frame` is the target.

The splatted frame is the one of the renderer without a network, made as in use from the motion on
its grid, so the network learns to correct its errors. In use motions are not exact and pictures
have grain. So half of the moments have a perturbed motion, and every still has grain; the target
has the same grain, moved along.
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
from ..render.layers import SplattedFrame, splatted_frames
from ..render.network import given_of
from ..scenes.synthetic import make_scene
from ..scenes.textures import blur, normal
from ..shapes import Float, Tensor
from ..still.grid import grid_size
from .data import GENERATION, covering, generator_of

RECIPE = 2  # of cached moments: raised when they are made in another way, here or in `render`
MOMENTS = 4  # of a scene or a clip
LARGEST_GAIN = 3.0  # on the motion of a scene
GRAIN = (0.002, 0.03)  # least and largest standard deviation
GRAIN_PX = (0.1, 1.5)  # sigma of its blur
# Errors of a perturbed motion: least and largest value, px of the picture.
SMEAR_PX = (0.3, 4.0)  # sigma of its blur over edges
ERROR_PX = (0.03, 0.3)  # deviation of the random error that is added
ERROR_SIZE_PX = (4.0, 40.0)  # sigma of that error's blur
DILATION_PX = 6  # how far the mask may be too large, at most
UNMASKED = 0.3  # share of perturbed motions without a mask
MOST_S, SHORTEST = 6.0, 8  # of a clip: seconds that are read at most, frames that are needed
CLIPS = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif")
CLIP_TIMES = 24  # times of one period over which importance is averaged
CROP = 128  # side of a training crop, px
COARSEST = 3.0  # px of the picture per cell of the motion's grid, at most
# Channels of `given`.
STILL, FRAME, DISOCCLUSION, DISPLACEMENT = slice(0, 3), slice(3, 6), slice(6, 7), slice(7, 9)


@dataclass(frozen=True)
class Moments:
    """Synthetic scenes at `MOMENTS` random moments each: `count` scenes, repeated.

    cache: A folder that keeps moments once they are made; 3 MB for a scene of 256 x 160.
    """

    size: tuple[int, int]
    count: int
    first_seed: int = 2_000_000
    cache: Path | None = None

    def sample(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        seed = self.first_seed + number // MOMENTS % self.count
        name = f"moments_{GENERATION}_{RECIPE}_{seed}"
        make = lambda: _moments(seed, self.size)
        return _cached(self.cache, name, self.size, make, number % MOMENTS)


def _cached(cache, name, size, make, moment):
    """One of the pairs that `make` returns, from the cache if it has them; else made and kept.

    The cache holds pictures as bytes and fields in half precision.
    """
    if cache is None:
        return make()[moment]
    path = cache / f"{name}_{size[1]}x{size[0]}.safetensors"
    if not path.exists():
        given, frames = (torch.stack(x) for x in zip(*make()))
        pictures = torch.cat([given[:, : DISOCCLUSION.stop], frames], 1)
        fields = given[:, DISOCCLUSION.stop :].half()
        with written_whole(path) as temporary:
            save_file({"pictures": (pictures * 255).round().byte(), "fields": fields}, temporary)
    with safe_open(path, "pt") as file:  # reads one moment, not all
        pictures, fields = (file.get_slice(n)[moment] for n in ("pictures", "fields"))
    pictures = pictures.float() / 255
    return torch.cat([pictures[:-3], fields.float()]), pictures[-3:]


def _moments(seed, size):
    generator = generator_of(seed, 0)
    scene = make_scene(seed, size)
    gain = LARGEST_GAIN ** max(0.0, _between(-1, 1, generator))
    # The scene's own grain changes from frame to frame and cannot be learned.
    film = replace(scene.film, grain=0.0)
    scene = replace(scene, film=film, shift=scene.shift * gain, strain=scene.strain * gain)
    duration_s = 1 / float(scene.frequencies_hz[0])
    pairs = []
    for moment in range(MOMENTS):
        t_s = _between(0, duration_s, generator)
        coarse = COARSEST ** (_between(0, 1, generator) * (moment % 2))
        spectrum = scene.spectrum(grid_size(*size, round(max(size) / coarse)))
        if moment >= MOMENTS // 2:
            spectrum = perturbed(spectrum, generator)
        moved, frame = moved_at(scene.still, spectrum, t_s), scene.image_at(t_s)
        grainy = moved_at(grained(scene.still, generator), spectrum, t_s)
        pairs.append((given_of(grainy), (frame + grainy.frame - moved.frame).clamp(0, 1)))
    return pairs


def grained(still: Float[Tensor, "3 h w"], generator: torch.Generator) -> Float[Tensor, "3 h w"]:
    """A still with the grain of a camera."""
    noise = blur(normal(generator, *still.shape), _log_between(GRAIN_PX, generator))
    return (still + _log_between(GRAIN, generator) / noise.std() * noise).clamp(0, 1)


def perturbed(spectrum: SpectralVolume, generator: torch.Generator) -> SpectralVolume:
    """A motion with errors as of one that was read from a clip or drawn by hand.

    It is blurred over edges, it has small random errors, and its mask is too large or missing.
    """
    exact, mask = torch.view_as_real(spectrum.coeffs[0]), spectrum.mask
    k, _, height, width = spectrum.coeffs.shape[1:]
    px = spectrum.reference_size[1] / width  # of the picture, per px of the grid
    channels = rearrange(exact, "k xy h w part -> (k xy part) h w")
    channels = blur(channels, _log_between(SMEAR_PX, generator) / px)
    error = blur(normal(generator, *channels.shape), _log_between(ERROR_SIZE_PX, generator) / px)
    error = error / error.square().mean((1, 2), keepdim=True).sqrt()
    # In every band the error is proportional to the motion.
    rms_of_band = channels.unflatten(0, (k, 4)).square().mean((1, 2, 3)).sqrt()
    error = error * rms_of_band.repeat_interleave(4).view(-1, 1, 1)
    # Deviation of a coordinate over time, px. The error is at most half as large as the motion.
    rms = px * (channels.square().sum(0).mean() / 4).sqrt()
    share = (_log_between(ERROR_PX, generator) / rms.clamp(min=1e-9)).clamp(max=0.5)
    reach = round(_between(0, DILATION_PX, generator))
    mask = F.max_pool2d(mask, 2 * reach + 1, 1, reach)
    inside = F.interpolate(mask, (height, width), mode="area")[0]
    channels = inside * (channels + share * error)
    if _between(0, 1, generator) < UNMASKED:
        mask = None
    coeffs = rearrange(channels, "(k xy part) h w -> k xy h w part", k=k, xy=2).contiguous()
    coeffs = torch.view_as_complex(coeffs)[None]
    return replace(spectrum, coeffs=coeffs, mask=mask, mean=-coeffs.real.sum(1))


def _between(low, high, generator):
    return low + (high - low) * float(torch.rand((), generator=generator))


def _log_between(bounds, generator):
    """A random number between two bounds, uniform in its logarithm."""
    low, high = bounds
    return low * (high / low) ** _between(0, 1, generator)


@dataclass(frozen=True)
class Recordings:
    """Clips of a folder at `MOMENTS` moments each: first frame, extracted motion, recorded frame.

    size: (height, width) that clips are scaled to fill, px.
    cache: A folder that keeps moments once they are made; without it every sample reads its clip.
    flow: Optical flow that motion is extracted with.
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
        for path in found:  # before the run: else a short clip would end it hours later
            clip = read_clip(path, 64)
            count = sum(1 for _ in zip(clip.frames, range(SHORTEST)))
            if count < SHORTEST:
                raise ValueError(
                    f"{path.name!r} has {count} frames, and {SHORTEST} are needed to read a motion "
                    "from. Take it out of the folder."
                )
        object.__setattr__(self, "paths", found)

    def sample(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        path = self.paths[number // MOMENTS % len(self.paths)]
        make = lambda: _recorded(path, self.size, self.flow)
        stat = path.stat()
        identity = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, self.flow, RECIPE)
        name = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        return _cached(self.cache, f"clip_{name}", self.size, make, number % MOMENTS)


def _recorded(path, size, flow):
    clip = read_clip(path)
    read = zip(clip.frames, range(round(MOST_S * clip.fps)))
    frames = torch.stack([covering(frame[None, :3], size)[0] for frame, _ in read])
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
        even = first + round(length * (moment + 1) / (MOMENTS + 1))
        number = min(first + length - 1, len(frames) - 1, even)
        moved = moved_at(frames[first], found.spectrum, (number - first) / clip.fps)
        pairs.append((given_of(moved), frames[number]))
    return pairs


def moved_at(still: Float[Tensor, "3 h w"], spectrum: SpectralVolume, t_s: float) -> SplattedFrame:
    """A still at one time of its motion, as the renderer without a network moves it.

    Importance is that of the whole motion, as in use.
    """
    base = float(spectrum.frequencies_hz[0])
    times = torch.arange(CLIP_TIMES, dtype=torch.float64) / CLIP_TIMES / base
    coeffs, coords = with_trend(spectrum, torch.cat([times, times.new_tensor([t_s])]))
    motion = Displacement(
        coeffs, coords.to(coeffs.dtype), CLIP_TIMES * base, spectrum.reference_size, spectrum.mask
    )
    return next(splatted_frames(still, motion, frames=[CLIP_TIMES]))


def augment(
    given: Float[Tensor, "g h w"],
    frame: Float[Tensor, "3 h w"],
    generator: torch.Generator,
    crop: int = CROP,
) -> tuple[Float[Tensor, "g h2 w2"], Float[Tensor, "3 h2 w2"]]:
    """A random crop, mirrored, turned and recoloured at random."""
    return augment_pair(*cropped(given, frame, crop, generator), generator)


def cropped(given, frame, size, generator):
    """The one of three random square crops that has most disocclusion."""
    height, width = frame.shape[-2:]
    size = min(size, height, width)
    tries = []
    for _ in range(3):
        place = (int(torch.randint(n - size + 1, (), generator=generator)) for n in (height, width))
        top, left = place
        disoccluded = given[DISOCCLUSION, top : top + size, left : left + size]
        tries.append((float(disoccluded.sum()), top, left))
    _, top, left = max(tries)
    cut = lambda x: x[:, top : top + size, left : left + size]
    return cut(given), cut(frame)


def augment_pair(given, frame, generator):
    """Mirror, transpose, blur and recolour a sample, each at random and all its pictures alike."""
    given = given.clone()
    for axis, sign in ((-1, 0), (-2, 1)):
        if float(torch.rand((), generator=generator)) < 0.5:
            given, frame = given.flip(axis), frame.flip(axis)
            given[DISPLACEMENT][sign] *= -1
    if float(torch.rand((), generator=generator)) < 0.5 and frame.shape[-1] == frame.shape[-2]:
        given, frame = given.mT.clone(), frame.mT
        given[DISPLACEMENT] = given[DISPLACEMENT].flip(0).clone()
    if float(torch.rand((), generator=generator)) < 0.3:  # as by a worse lens
        pictures = torch.cat([given[: FRAME.stop], frame])[None]
        pictures = F.avg_pool2d(F.pad(pictures, (1,) * 4, mode="reflect"), 3, 1)[0]
        given[: FRAME.stop], frame = pictures[:-3], pictures[-3:]
    # Splatting is linear in the colours, so recolouring its inputs recolours its output.
    hues = torch.randperm(3, generator=generator)
    gain = 1 - 0.4 * torch.rand(3, 1, 1, generator=generator)
    recoloured = lambda x: x[hues] * gain
    given[STILL], given[FRAME] = recoloured(given[STILL]), recoloured(given[FRAME])
    return given, recoloured(frame)
