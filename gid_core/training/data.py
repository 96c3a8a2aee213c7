"""Numbered training samples of motion: synthetic scenes, the elastic prior on photographs, clips.

Law: sample n of a source is the same on every machine and in every run, and does not depend on
other samples. So a run can resume exactly, and processes can share a batch in any way.

Convention: a sample is (still, coefficients as channels) at the training size; motions have unit
size. A transform of the picture also transforms the motion vectors.

Source: augmentation as in Li et al. 2024, supplement: flip, scale, rotation up to 5 degrees, crop.
Augmentation of appearance is in augmentation.py.
"""

import bisect
import math
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file, save_file

from ..config import SpectrumConfig
from ..diffusion.encoding import Encoding, as_channels, as_complex, fit_encoding, of_unit_size
from ..elastic.prior import ElasticPrior
from ..files.spectra import load_spectrum
from ..files.stills import read_still
from ..files.whole import written_whole
from ..motion.spectrum import SpectralVolume
from ..recognition.moving_area import moving_area
from ..scenes.synthetic import make_scene
from ..shapes import Float, Tensor
from ..still.grid import normalized, pixel_grid
from . import augmentation

GENERATION = 3  # of scenes: raised when `make_scene` gives another scene for the same seed
SCENE_CELLS = 2  # of the z-buffer, per pixel and axis: enough for stills of this size
STATISTICS_OF = 256  # samples
TURN_DEG, LARGEST_ZOOM = 5.0, 2.2


@runtime_checkable
class Source(Protocol):
    """Numbered samples of one size: tuples of tensors, here still 3 h w and channels k 4 h w."""

    size: tuple[int, int]

    def sample(self, number: int) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Scenes:
    """Synthetic scenes: `count` of them, repeated.

    cache: A folder that keeps scenes once they are made; 1.3 MB each at 128 x 80.
    """

    size: tuple[int, int]
    count: int
    bands: int = 16
    duration_s: float = 5.0
    first_seed: int = 1_000_000
    cache: Path | None = None

    @property
    def frequencies_hz(self) -> Float[Tensor, " k"]:
        return torch.arange(1, self.bands + 1) / self.duration_s

    def sample(self, number: int) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 4 h w"]]:
        seed = self.first_seed + number % self.count
        if self.cache is None:
            return self._made(seed)
        height, width = self.size
        name = f"{GENERATION}_{width}x{height}_{self.bands}_{self.duration_s:g}_{seed}"
        path = self.cache / f"scene_{name}.safetensors"
        if not path.exists():
            still, channels = self._made(seed)
            kept = {"still": (still * 255).round().byte(), "channels": channels.half().contiguous()}
            with written_whole(path) as temporary:
                save_file(kept, temporary)
        kept = load_file(path)
        return kept["still"].float() / 255, kept["channels"].float()

    def _made(self, seed):
        scene = make_scene(seed, self.size, None, self.bands, self.duration_s, cells=SCENE_CELLS)
        return scene.still, as_channels(of_unit_size(scene.spectrum().coeffs))[0]


@dataclass(frozen=True)
class Photographs:
    """A user's photographs with the motion of the elastic prior; every number has its own wind."""

    size: tuple[int, int]
    folder: Path
    bands: int = 16
    duration_s: float = 5.0
    paths: Sequence[Path] = field(default=(), init=False)

    def __post_init__(self):
        endings = (".jpg", ".jpeg", ".png", ".webp")
        found = sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in endings)
        if not found:
            raise ValueError(
                f"Expected pictures ({', '.join(endings)}) in {str(self.folder)!r}, found none."
            )
        object.__setattr__(self, "paths", tuple(found))

    @property
    def frequencies_hz(self) -> Float[Tensor, " k"]:
        return torch.arange(1, self.bands + 1) / self.duration_s

    def sample(self, number: int) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 4 h w"]]:
        still = covering(read_still(self.paths[number % len(self.paths)])[None, :3], self.size)[0]
        config = SpectrumConfig(self.bands, self.duration_s)
        generator = torch.Generator().manual_seed(number)
        matte = moving_area(still[None], None).matte
        coeffs = ElasticPrior().sample(still[None], matte, generator, config).coeffs
        return still, covering(as_channels(of_unit_size(coeffs))[0], self.size)


@dataclass(frozen=True)
class Clips:
    """Extracted clips, from the shards that `extract` writes."""

    size: tuple[int, int]
    folder: Path
    bands: int = 16
    index: tuple[tuple[Path, str], ...] = field(default=(), init=False)
    frequencies_hz: Tensor = field(default=None, init=False)

    def __post_init__(self):
        found = []
        for path in sorted(self.folder.glob("shard-*.tar")):
            with tarfile.open(path) as tar:
                ends = ".spectrum.safetensors"
                found += [(path, n.removesuffix(ends)) for n in tar.getnames() if n.endswith(ends)]
        if not found:
            raise ValueError(
                f"Expected shards of extracted clips in {str(self.folder)!r}, found no samples. "
                "Make them with `extract FOLDER -o SHARDS`."
            )
        object.__setattr__(self, "index", tuple(found))
        known_hz = self.read(0)[1].frequencies_hz
        if len(known_hz) < self.bands:
            raise ValueError(f"Expected clips with {self.bands} bands, these have {len(known_hz)}.")
        object.__setattr__(self, "frequencies_hz", known_hz[: self.bands])

    def sample(self, number: int) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 4 h w"]]:
        still, spectrum = self.read(number % len(self.index))
        path, key = self.index[number % len(self.index)]
        if not _alike(spectrum.frequencies_hz[: self.bands], self.frequencies_hz):
            raise ValueError(
                f"Expected clips of the same frequencies, those of {key!r} in {path.name!r} are "
                "not the first one's. Extract all with the same --window and --bands."
            )
        still = covering(still[None, :3], self.size)[0]
        channels = as_channels(of_unit_size(spectrum.coeffs[:, : self.bands]))[0]
        return still, covering(channels, self.size)

    def read(self, place: int) -> tuple[Float[Tensor, "c h w"], SpectralVolume]:
        """The still and the whole motion of one sample of the shards."""
        path, key = self.index[place]
        with tarfile.open(path) as tar, tempfile.TemporaryDirectory() as folder:
            for name in ("still.png", "spectrum.safetensors"):
                Path(folder, name).write_bytes(tar.extractfile(f"{key}.{name}").read())
            still = read_still(f"{folder}/still.png")
            return still, load_spectrum(f"{folder}/spectrum.safetensors")


@dataclass(frozen=True)
class Mixture(torch.utils.data.Dataset):
    """Sources mixed by weight, with every item augmented anew.

    length: number of items that a run may use; they are made one by one.
    augment: called with a sample and a generator; None for samples as they are.
    """

    sources: tuple[Source, ...]
    weights: tuple[float, ...]
    seed: int
    length: int
    augment: Callable[..., tuple[Tensor, ...]] | None = field(default=None, compare=False)

    @property
    def described(self) -> list[list]:
        """Its sources with their weights, for the record of a run."""
        extent = lambda s: str(getattr(s, "count", "") or getattr(s, "folder", ""))
        return [[type(s).__name__, extent(s), w] for s, w in zip(self.sources, self.weights)]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        generator = generator_of(self.seed, number)
        bounds = torch.tensor(self.weights).cumsum(0)
        drawn = float(torch.rand((), generator=generator)) * float(bounds[-1])
        source = self.sources[bisect.bisect(bounds[:-1].tolist(), drawn)]
        place = int(torch.randint(2**31, (), generator=generator))
        sample = source.sample(place)
        return sample if self.augment is None else self.augment(*sample, generator)


def check_bands(source: Source, bands: int, duration_s: float) -> None:
    """Refuse motions whose frequencies differ from those of a model.

    Raises:
        ValueError: If they differ.
    """
    found, expected = source.frequencies_hz, torch.arange(1, bands + 1) / duration_s
    if not _alike(found, expected):
        span = lambda hertz: f"from {float(hertz[0]):.3g} to {float(hertz[-1]):.3g} Hz"
        raise ValueError(
            f"Expected motions of {bands} bands {span(expected)}, got {len(found)} {span(found)}. "
            f"Extract the clips with --window {duration_s:g} --bands {bands}."
        )


def _alike(one, other):
    return one.shape == other.shape and torch.allclose(one, other, rtol=0.02)


def generator_of(*numbers: int) -> torch.Generator:
    """A generator seeded by several numbers, such as a seed and the number of an item.

    Torch takes seeds modulo 2^32, so the numbers are hashed into one first.
    """
    state = np.random.SeedSequence(numbers).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def statistics(mixture: Mixture, kind: str = "adaptive") -> Encoding:
    """The encoding for the motions of a run, fitted to its first samples without augmentation."""
    plain = replace(mixture, augment=None)
    count = min(len(mixture), STATISTICS_OF)
    motions = (as_complex(plain[n][1][None])[0] for n in range(count))
    return fit_encoding(motions, mixture.sources[0].frequencies_hz, kind)


def augment(
    still: Float[Tensor, "3 h w"], channels: Float[Tensor, "k 4 h w"], generator: torch.Generator
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 4 h w"]]:
    """A random view, scaled to unit size again: a crop may leave out the strongest motion."""
    still, channels = augment_geometry(still, channels, generator)
    still = augmentation.relight(augmentation.augment_appearance(still, generator), generator)
    return still, as_channels(of_unit_size(as_complex(channels[None])))[0]


def augment_geometry(
    still: Float[Tensor, "3 h w"], channels: Float[Tensor, "k 4 h w"], generator: torch.Generator
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "k 4 h w"]]:
    """A random view of still and motion: enlarged, rotated, mirrored."""
    draw = augmentation.drawing(generator)
    angle = math.radians(draw(-TURN_DEG, TURN_DEG))
    zoom = LARGEST_ZOOM ** draw(0, 1) if draw(0, 1) < 0.6 else 1.0
    zoom = max(zoom, 1 + 1.7 * abs(math.sin(angle)))  # so that no corner lies outside the picture
    mirror = -1.0 if draw(0, 1) < 0.5 else 1.0
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    # Maps pixels of the new picture to pixels of the old one.
    back = still.new_tensor([[mirror * cos, -mirror * sin], [sin, cos]])
    height, width = still.shape[-2:]
    middle = still.new_tensor([(width - 1) / 2, (height - 1) / 2]).view(2, 1, 1)
    # The largest shift, per axis, with which the rotated view stays inside the picture.
    lean, ratio = abs(math.sin(angle)), height / width
    slack = [max(0.0, 1 - (math.cos(angle) + r * lean) / zoom) for r in (ratio, 1 / ratio)]
    shift = middle * still.new_tensor([draw(-s, s) for s in slack]).view(2, 1, 1)
    places = torch.einsum("ij,jhw->ihw", back, pixel_grid(height, width, like=still) - middle)
    grid = normalized((places + middle + shift).flatten(1)[None], (height, width))
    grid = grid.view(1, height, width, 2)
    read = lambda x: F.grid_sample(x[None], grid, padding_mode="reflection", align_corners=False)[0]
    still = read(still)
    fields = read(channels.flatten(0, 1))
    fields = rearrange(fields, "(k xy part) h w -> k xy part h w", xy=2, part=2)
    # Vectors are rotated and mirrored with the picture. Their length stays.
    turned = torch.einsum("ij,kjphw->kiphw", torch.linalg.inv(back) / zoom, fields)
    return still, turned.flatten(1, 2)


def covering(
    fields: Float[Tensor, "b ... h w"], size: tuple[int, int]
) -> Float[Tensor, "b ... h2 w2"]:
    """Scale pictures or fields to fill a size and crop their middle.

    Vectors keep their values, as motions of unit size need.
    """
    height, width = fields.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    large = [max(n, round(scale * m)) for n, m in zip(size, (height, width))]
    fields = F.interpolate(fields, large, mode="bilinear", antialias=True)
    top, left = ((n - m) // 2 for n, m in zip(large, size))
    return fields[..., top : top + size[0], left : left + size[1]]
