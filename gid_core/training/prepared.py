"""Training samples of a motion model, prepared once, so that a step costs its networks alone.

    python -m gid_core.training.prepared FOLDER --photographs PHOTOS --count 800

PHOTOS is the folder of the photographs that `photographs/` has outlines of, or the folder that
--outlines names; those kept apart are opened with --validation alone, into a folder of their own.
--clips takes recorded motion from shards (`extract`). Without either, synthetic scenes are made,
whose motion is exact. A sample holds what the model sees of a view, and what moves in it in several
winds, on the places of its latents (`diffusion/motion_latents.py`).

Law: sample n is the same on every machine and in every run. Several processes can fill one folder:
what is there is not made again.

Convention: motions are in units of what goes farthest in the picture that a view was taken from.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ..config import SpectrumConfig
from ..diffusion.encoding import as_channels, as_complex, of_unit_size
from ..diffusion.motion_latents import encode
from ..diffusion.still_features import still_features
from ..files.stills import read_still
from ..files.whole import written_whole
from ..recognition.kinds import SWAYS
from ..recognition.model import Recognizer, load_recognizer, shipped
from ..scenes.synthetic import make_scene
from ..scenes.textures import uniform
from ..shapes import Complex, Float, Tensor
from . import augmentation
from .data import Clips, check_bands, covering, generator_of
from .outlined import blown
from .outlines import FOLDER, names, read_outlines
from .views import LEAST_AREA, WHOLE, cropped, moved, moved_points, relit

LOG = logging.getLogger("gid")
GRID = (96, 128)  # (height, width) of a motion; a picture that is higher than wide is turned
SEEN = 5  # px of a view for one of the grid
WINDS = 6
RELIT = 0.8  # share of views in another light
SCENE_SEEDS = 5_000_000  # first seed
SCENE_PX = 2  # of a scene for one of the grid
SCENES = "scene"


@dataclass(frozen=True)
class Folder:
    """Where samples lie."""

    path: Path

    def place(self, source: str, number: int) -> Path:
        return self.path / f"{source}_{number:06d}.safetensors"

    def missing(self, source: str, numbers: range) -> Iterator[int]:
        """Numbers whose sample is not there, asked anew before each."""
        for number in numbers:
            if not self.place(source, number).exists():
                yield number

    def put(self, source: str, number: int, sample: dict[str, Tensor]) -> None:
        with written_whole(self.place(source, number)) as temporary:
            save_file(sample, temporary)


def sample_of(
    view: Float[Tensor, "1 3 hv wv"],
    coeffs: Complex[Tensor, "n k 2 hm wm"],
    matte: Float[Tensor, "1 1 hm2 wm2"],
    grid: tuple[int, int],
    recognizer: Recognizer,
) -> dict[str, Tensor]:
    """A sample for the folder: what is seen of a view, and motions on the places of latents."""
    seen = still_features(recognizer, view, grid)
    share = F.interpolate(matte, grid, mode="area")
    motions = F.interpolate(as_channels(coeffs).flatten(1, 2), grid, mode="bilinear")
    latents = encode(motions * share, share)
    return {
        "features": seen.features[0].half(),
        "sways": seen.sways[0].half(),
        "matte": share[0].half(),
        "motions": latents.unflatten(1, (coeffs.shape[1], 4)).half(),
    }


class Outlined:
    """Views of outlined photographs in the winds of the elastic prior.

    Raises:
        ValueError: If nothing that sways is outlined on that side of the split.
    """

    def __init__(
        self, folder: Path, seed: int = 0, validation: bool = False, labels: Path = FOLDER
    ):
        self.source = "validation" if validation else "photograph"
        sways = lambda objects: any(o["kind"] in SWAYS and o["degree"] > 0 for o in objects)
        known = {name: read_outlines(name, labels) for name in names(validation, labels)}
        self.known = {name: objects for name, objects in known.items() if sways(objects)}
        if not self.known:
            raise ValueError(
                f"Expected outlines of things that sway (NAME.json) in {str(labels)!r}, found none "
                f"that are for {'validation' if validation else 'training'}. Outline more "
                "photographs: which are kept apart is decided by a hash of their names."
            )
        self.folder, self.seed = folder, seed

    def sample(self, number: int, recognizer: Recognizer) -> dict[str, Tensor] | None:
        """Sample `number`; None where a view shows nothing that sways."""
        generator = generator_of(self.seed, number)
        turn, place = divmod(number, len(self.known))
        order = torch.randperm(len(self.known), generator=generator_of(self.seed, 1, turn))
        name = list(self.known)[order[place]]
        still = read_still(self.folder / f"{name}.jpg")[None, :3]
        height, width = still.shape[-2:]
        grid = GRID if width >= height else GRID[::-1]
        box = random_box((height, width), grid, generator)
        mirrored, lit = (torch.rand(2, generator=generator) < torch.tensor([0.5, RELIT])).tolist()
        size = (SEEN * grid[0], SEEN * grid[1])
        view = cropped(still, box, mirrored, size).clamp(0, 1)
        enlarged = max(height, width) / max((box[3] - box[1]) * height, (box[2] - box[0]) * width)
        objects = moved(self.known[name], box, mirrored)
        for thing in objects:
            thing["anchor"] = _moved_anchor(thing["anchor"], box, mirrored)
        motion = blown(view, objects, enlarged, WINDS, SpectrumConfig(), generator)
        if motion is None:
            return None
        view = relit(view, generator) if lit else view
        return sample_of(view, motion.coeffs, motion.matte, grid, recognizer)


class Scenes:
    """Synthetic scenes: exact motion, one wind each."""

    source = SCENES

    def __init__(self, seed: int = 0):
        self.seed = seed

    def sample(self, number: int, recognizer: Recognizer) -> dict[str, Tensor]:
        generator = generator_of(self.seed, 2, number)
        grid = GRID if uniform(generator, 0, 1) < 0.7 else GRID[::-1]
        size = (SCENE_PX * grid[0], SCENE_PX * grid[1])
        scene = make_scene(SCENE_SEEDS + number, size, None, 16, 5.0, cells=2)
        still = augmentation.relight(scene.still, generator)[None]
        view = F.interpolate(still, scale_factor=SEEN / SCENE_PX, mode="bilinear").clamp(0, 1)
        coeffs = of_unit_size(scene.spectrum().coeffs)
        return sample_of(view, coeffs, scene.mask[None], grid, recognizer)


class Recorded:
    """A user's clips, whose motion was extracted into shards; one window each."""

    source = "clip"

    def __init__(self, shards: Path):
        self.clips = Clips(GRID, shards)
        check_bands(self.clips, self.clips.bands, SpectrumConfig().duration_s)

    def sample(self, number: int, recognizer: Recognizer) -> dict[str, Tensor]:
        """Sample `number`: its still and mask, and its motion at unit size."""
        still, spectrum = self.clips.read(number % len(self.clips.index))
        grid = GRID if still.shape[-1] >= still.shape[-2] else GRID[::-1]
        view = covering(still[None, :3], (SEEN * grid[0], SEEN * grid[1])).clamp(0, 1)
        mask = torch.ones_like(still[None, :1]) if spectrum.mask is None else spectrum.mask
        coeffs = of_unit_size(spectrum.coeffs[:, : self.clips.bands])
        coeffs = as_complex(covering(as_channels(coeffs)[0], grid)[None])
        return sample_of(view, coeffs, covering(mask, grid), grid, recognizer)


def random_box(size, grid, generator):
    """A crop of a picture of (height, width) with the shape of a grid."""
    height, width = size
    shape = grid[1] / grid[0]
    wide = min(width, height * shape)
    if uniform(generator, 0, 1) >= WHOLE:
        wide *= float(uniform(generator, LEAST_AREA, 1)) ** 0.5
    wide, high = wide / width, wide / shape / height
    left, top = (float(uniform(generator, 0, 1)) * (1 - n) for n in (wide, high))
    return left, top, left + wide, top + high


def _moved_anchor(anchor, box, mirrored):
    return anchor if isinstance(anchor, str) else moved_points(anchor, box, mirrored)


def fill(
    folder: Folder, maker: Outlined | Scenes | Recorded, numbers: range, recognizer: Recognizer
) -> None:
    """Make what is missing of some samples."""
    with torch.no_grad():
        for number in folder.missing(maker.source, numbers):
            sample = maker.sample(number, recognizer)
            if sample is not None:
                folder.put(maker.source, number, sample)
                LOG.info("%s %d", maker.source, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photographs", type=Path, help="folder of the outlined photographs")
    parser.add_argument("--outlines", type=Path, default=FOLDER, help="folder of their outlines")
    parser.add_argument("--clips", type=Path, help="shards that `extract` wrote")
    parser.add_argument("--validation", action="store_true", help="those that are kept apart")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=800, help="of each source")
    parser.add_argument("--step", type=int, default=1, help="make every so manieth")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.validation and (args.photographs is None or args.clips is not None):
        parser.error(
            "Expected --photographs with --validation, and no --clips: only photographs have some "
            "that are kept apart."
        )
    if args.photographs is not None and args.clips is not None:
        parser.error("Expected --photographs or --clips, got both. Make one after the other.")
    args.folder.mkdir(parents=True, exist_ok=True)
    recognizer = load_recognizer(shipped())
    if args.clips is not None:
        maker = Recorded(args.clips)
    elif args.photographs is not None:
        maker = Outlined(args.photographs, validation=args.validation, labels=args.outlines)
    else:
        maker = Scenes()
    numbers = range(args.first, args.first + args.count, args.step)
    fill(Folder(args.folder), maker, numbers, recognizer)


if __name__ == "__main__":
    main()
