"""Evaluation of candidates against references: clips and spectra, paired by name.

Law: a file that cannot be compared is left out and listed in the notes. The metrics are in
`comparison` (of pairs) and `feature_distances` (of sets).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..config import ExtractionConfig
from ..evaluation import frechet, motion_metrics
from ..files.spectra import load_spectrum
from ..footage.clips import CLIP_SUFFIXES, read_clip
from ..footage.extraction import extract
from ..footage.flow import estimator
from ..motion.spectrum import SpectralVolume
from ..recognition.backbone import Backbone
from .comparison import Pair, compare_clips, compare_spectra
from .feature_distances import Network
from .looks import look_network

SPECTRUM_SUFFIX = ".safetensors"
MOST_FRAMES = 300  # frames of a clip that are compared, at most
SLIDING = (30, 15)  # frames per window (Li et al. 2024, Sec. 7) and per step

LEFT_OUT = {  # kinds of spectra that are not compared, and why
    "modes": "holds modes, not bands: left out",
    "flow": "holds what flows, not what sways: left out",
}
SETS = {
    "motion_distance": "Frechet motion distance",
    "fid": "FID",
    "kid_x100": "KID x 100",
    "fvd": "FVD",
    "dtfvd": "DTFVD",
    "frechet_looks": "Frechet distance of looks (EfficientNet-Lite0)",
}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    pairs: measurements of every pair.
    sets: distances between the sets of all candidates and all references, by name.
    sliding: the same per sliding window, as (first frame, value).
    notes: differences, and files that were left out.
    """

    pairs: list[Pair]
    sets: dict[str, float]
    sliding: dict[str, list[tuple[int, float]]]
    notes: list[str]

    def median(self, kind: str) -> dict[str, float]:
        """The median of every value, over the pairs of a kind that have it."""
        values = [pair.values for pair in self.pairs if pair.kind == kind]
        names = dict.fromkeys(name for one in values for name in one)
        known = {n: [v[n] for v in values if n in v and not math.isnan(v[n])] for n in names}
        return {name: float(np.median(some)) for name, some in known.items() if some}

    def as_json(self) -> dict:
        """Plain data; nan becomes null, an infinite number "inf" or "-inf"."""
        return {
            "pairs": [
                {"name": pair.name, "kind": pair.kind, "values": _plain(pair.values)}
                for pair in self.pairs
            ],
            "median": {kind: _plain(self.median(kind)) for kind in ("clip", "spectrum")},
            "sets": _plain(self.sets),
            "sliding": {
                name: [[start, _plain(value)] for start, value in rows]
                for name, rows in self.sliding.items()
            },
            "notes": self.notes,
        }


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def evaluate(
    references: str | Path,
    candidates: str | Path,
    networks: Iterable[Network] = (),
    motion: Callable[[Path], SpectralVolume | str] | None = None,
    longest_side: int = 512,
    callback: Callable[[int, int], None] = lambda done, of: None,
    backbone: Backbone | None = None,
) -> Evaluation:
    """Compare every candidate with the reference of the same name.

    Args:
        references, candidates: Folders of clips and spectra, or two files.
        networks: Metrics of sets of clips.
        motion: Returns the spectrum of a clip, or a sentence if there is none. If it is given,
        clips
            are also compared by their motion.
        longest_side: Larger clips are scaled down to this longer side, px.
        callback: Called with (pairs done, number of pairs).
        backbone: Of `looks.load_looks`; with it, clips are compared by their looks too.

    Raises:
        ValueError: If there are no pairs, or none can be compared.
    """
    found, notes = pair_up(Path(references), Path(candidates))
    networks = [*networks, *([] if backbone is None else [look_network(backbone)])]
    features = [([], []) for _ in networks]
    motions, pairs = ([], []), []
    for i, (name, kind, *paths) in enumerate(found):
        callback(i, len(found))
        if kind == "clip":
            try:
                clips = (_clip(path, longest_side) for path in paths)
                (one, fps, ends), (other, other_fps, other_ends) = clips
            except ValueError as error:
                notes.append(f"{name}: left out. {error}")
                continue
            for network, sides in zip(networks, features):
                for side, frames in zip(sides, (one, other)):
                    side.append(network.features(frames))
            if not (whole := ends and other_ends):
                notes.append(f"{name}: the first {MOST_FRAMES} frames are compared, no seams")
            pairs.append(compare_clips(name, one, other, fps, other_fps, notes, backbone, whole))
            del one, other
        if kind == "spectrum" or motion is not None:
            spectra = [_motion(path, kind, motion) for path in paths]
            refused = [f"{path.name}: {s}" for path, s in zip(paths, spectra) if isinstance(s, str)]
            notes += refused
            if not refused:
                pairs.append(compare_spectra(name, *spectra, notes))
                for side, spectrum in zip(motions, spectra):
                    side.append(spectrum)
    callback(len(found), len(found))
    if not pairs:
        raise ValueError(f"Nothing could be compared. {' '.join(notes)}")
    sets, sliding = {}, {}
    if len(motions[0]) > 1:
        sets |= _motion_distance(motions, notes)
    for network, sides in zip(networks, features):
        for name, distance in network.distances.items():
            try:
                sets[name] = distance(*(torch.cat(side) for side in sides))
            except ValueError as error:
                notes.append(f"{SETS[name]}: {error}")
            else:
                sliding |= _sliding(network, name, distance, sides)
    return Evaluation(pairs, sets, sliding, notes)


def motion_reader(flow: str) -> Callable[[Path], SpectralVolume | str]:
    """A function that extracts the motion of a clip file, with the defaults of `extract`.

    Args:
        flow: Name of the flow estimator.

    Raises:
        ValueError: If there is no such estimator, or it is not installed.
    """
    estimate, config = estimator(flow), ExtractionConfig()

    def motion(path):
        clip = read_clip(path, config.longest_side)
        extraction = extract(clip.frames, clip.fps, config, estimate, clip.size)
        return extraction.spectrum or " ".join(extraction.report.reasons)

    return motion


def pair_up(
    references: Path, candidates: Path
) -> tuple[list[tuple[str, str, Path, Path]], list[str]]:
    """(name, kind, reference, candidate) of all pairs, and notes on files without a partner.

    Raises:
        ValueError: If a path is missing, two files have the same name, or there are no pairs.
    """
    if references.is_file() and candidates.is_file():
        kinds = {_kind(references), _kind(candidates)}
        if len(kinds) > 1 or None in kinds:
            raise ValueError(
                f"Expected two clips or two spectra, got {references.name!r} and "
                f"{candidates.name!r}. Read the motion of the clip first, with the command extract."
            )
        return [(candidates.stem, kinds.pop(), references, candidates)], []
    sides = [_listed(path) for path in (references, candidates)]
    common = sorted(sides[0].keys() & sides[1].keys())
    if not common:
        raise ValueError(
            f"Nothing in {str(references)!r} and {str(candidates)!r} has the same name. Name every "
            "candidate as its reference, but for the ending."
        )
    notes = []
    for side, other, whose in ((*sides, "references"), (*sides[::-1], "candidates")):
        alone = sorted(side[key].name for key in side.keys() - other.keys())
        if alone:
            notes.append(f"only among the {whose}, left out: {', '.join(alone)}")
    return [(name, kind, *(side[name, kind] for side in sides)) for name, kind in common], notes


def _kind(path):
    suffix = path.suffix.lower()
    return "clip" if suffix in CLIP_SUFFIXES else "spectrum" if suffix == SPECTRUM_SUFFIX else None


def _listed(path):
    if not path.exists():
        raise ValueError(f"Expected a folder or a file, found nothing at {str(path)!r}.")
    listed = {}
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        key = file.stem, _kind(file)
        if key[1] is None or not file.is_file():
            continue
        if key in listed:
            raise ValueError(
                f"{listed[key].name!r} and {file.name!r} have one name. Keep one of them in the "
                "folder."
            )
        listed[key] = file
    return listed


def _clip(path, longest_side):
    """Frames, scaled down for the comparison, their frame rate, and whether they are all."""
    clip = read_clip(path, longest_side)
    read = iter(clip.frames)
    frames = list(islice(read, MOST_FRAMES))
    if not frames:
        raise ValueError(f"{path.name!r} has no frame that can be read. Save or copy it again.")
    return torch.stack(frames), clip.fps, next(read, None) is None


def _motion(path, kind, motion):
    """A spectrum, or a sentence if there is none."""
    try:
        if kind == "clip":
            return motion(path)
        spectrum = load_spectrum(path)
    except ValueError as error:
        return str(error)
    return LEFT_OUT.get(spectrum.kind, spectrum)


def _motion_distance(motions, notes):
    bands = {len(s.frequencies_hz) for side in motions for s in side}
    if len(bands) > 1:
        notes.append("the spectra have different numbers of bands: no Frechet motion distance")
        return {}
    rows = [
        torch.cat([motion_metrics.motion_descriptors(s.coeffs[:1]) for s in side])
        for side in motions
    ]
    count, size = rows[0].shape
    if count <= size:
        notes.append(
            f"Frechet motion distance of {count} motions by {size} descriptors: fewer motions give "
            "larger distances, so compare it among sets of one size only"
        )
    return {"motion_distance": frechet.frechet_distance(*rows)}


def _sliding(network, name, distance, sides):
    """The distance per window; {} with fewer than two windows that have at least two rows each."""
    size, step = (max(1, n // network.frames) for n in SLIDING)
    longest = max(len(rows) for side in sides for rows in side)
    ranges = frechet.windows(longest, size, step)
    enough = [r for r in ranges if all(sum(len(x) >= r.stop for x in s) * size > 1 for s in sides)]
    if len(enough) < 2:
        return {}
    of_clips = lambda some, others: distance(torch.cat(some), torch.cat(others))
    distances = frechet.sliding_distance(*sides, enough, of_clips)
    return {name: [(r.start * network.frames, value) for r, value in zip(enough, distances)]}
