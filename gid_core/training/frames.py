"""Frames to learn rendering from, by number: synthetic scenes at exact moments, and extracted clips.

Law: sample n is the same on every machine and in every run, and needs no sample before it.

Convention: a sample is (given, frame): what `RenderModel` is given, GIVEN h w (still, weightless frame,
uncovered, displacement, importance, how far things moved), and the frame that should come of it. The
weightless frame is made as in use, from the motion on its grid, so that what is learned is what is left.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..checkpoint import written_whole
from ..grid import grid_size
from ..renderer import GIVEN
from ..separation import Moved, moved_frames
from ..shapes import Float, Tensor
from ..spectrum import Displacement, SpectralVolume, with_trend
from ..synthetic import make_scene
from .data import GENERATION, generator_of

MOMENTS = 4  # of a scene
CLIP_TIMES = 24  # over which importance is a mean
COARSEST = 3.0  # px of the picture to one of the motion's grid
# Where what is, among the given.
STILL, FRAME, UNCOVERED, DISPLACEMENT = slice(0, 3), slice(3, 6), slice(6, 7), slice(7, 9)


@dataclass(frozen=True)
class Moments(torch.utils.data.Dataset):
    """Synthetic scenes, `count` of them over and over, each at some moments.

    size: of the scenes; crop: of a sample, none for whole pictures.
    cache: A folder that keeps moments once made; a scene of 256 x 160 takes 3 MB.
    """

    size: tuple[int, int]
    count: int
    crop: int | None = 128
    seed: int = 0
    first_seed: int = 2_000_000
    cache: Path | None = None
    length: int = 2**31

    @property
    def described(self) -> list[list]:
        return [[type(self).__name__, str(self.count), 1.0]]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        generator = generator_of(self.seed, number)
        place = int(torch.randint(2**31, (), generator=generator))
        given, frame = self.sample(place)
        if self.crop is None:
            return given, frame
        return augmented(*cropped(given, frame, self.crop, generator), generator)

    def sample(self, number: int) -> tuple[Float[Tensor, "g h w"], Float[Tensor, "3 h w"]]:
        seed, moment = self.first_seed + number // MOMENTS % self.count, number % MOMENTS
        if self.cache is None:
            return _moments(seed, self.size)[moment]
        height, width = self.size
        path = self.cache / f"moments_{GENERATION}_{width}x{height}_{seed}.safetensors"
        if not path.exists():
            pairs = _moments(seed, self.size)
            given, frames = (torch.stack(x) for x in zip(*pairs))
            pictures = torch.cat([given[:, : UNCOVERED.stop], frames], 1)
            kept = {
                "pictures": (pictures * 255).round().byte(),
                "fields": given[:, UNCOVERED.stop :].half(),
            }
            with written_whole(path) as temporary:
                save_file(kept, temporary)
        kept = {name: tensor[moment] for name, tensor in load_file(path).items()}
        pictures = kept["pictures"].float() / 255
        return torch.cat([pictures[:-3], kept["fields"].float()]), pictures[-3:]


def _moments(seed, size):
    scene = make_scene(seed, size)
    # Without grain: that of another moment is another, and cannot be learned.
    scene = replace(scene, film=replace(scene.film, grain=0.0))
    generator = generator_of(seed, 0)
    duration_s = 1 / float(scene.frequencies_hz[0])
    pairs = []
    for moment in range(MOMENTS):
        t_s = duration_s * float(torch.rand((), generator=generator))
        coarse = COARSEST ** (float(torch.rand((), generator=generator)) * (moment % 2))
        grid = grid_size(*size, round(max(size) / coarse))
        moved = moved_at(scene.still, scene.spectrum(grid), t_s)
        pairs.append((given_of(moved), scene.image_at(t_s)))
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


def given_of(moved: Moved) -> Float[Tensor, "g h w"]:
    """What `RenderModel` is given of a frame."""
    given = torch.cat([moved.layers.still, moved.frame, moved.uncovered, moved.fields])
    assert len(given) == GIVEN, given.shape
    return given


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


def augmented(given, frame, generator):
    """Another view of the same: mirrored, turned by a right angle, in other hues."""
    given = given.clone()
    for axis, sign in ((-1, 0), (-2, 1)):
        if float(torch.rand((), generator=generator)) < 0.5:
            given, frame = given.flip(axis), frame.flip(axis)
            given[DISPLACEMENT][sign] *= -1
    if float(torch.rand((), generator=generator)) < 0.5 and frame.shape[-1] == frame.shape[-2]:
        given, frame = given.mT.clone(), frame.mT
        given[DISPLACEMENT] = given[DISPLACEMENT].flip(0).clone()
    # Mixing by colour and brightness commutes with mixing by place.
    hues = torch.randperm(3, generator=generator)
    gain = 1 - 0.4 * torch.rand(3, 1, 1, generator=generator)
    alike = lambda x: x[hues] * gain
    given[STILL], given[FRAME] = alike(given[STILL]), alike(given[FRAME])
    return given, alike(frame)
