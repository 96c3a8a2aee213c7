"""A training set out of clips: shards of stills and their spectra, made by many processes or hosts.

Law: the same clips and settings give the same bytes, whatever died on the way and however many
worked. A clip that cannot be read is a record that says why, and ends nothing.

A folder holds `shard-000000.tar` ... as webdataset reads them, each with its records as
`shard-000000.jsonl`, and `manifest.json` with clips and settings. Members of a sample, by ending:
still.png, spectrum.safetensors and mask.png (what moves; also in the spectrum), and json (its
record). Refused windows are in the records alone, and so is what there is to say about a clip as a
whole. What is finished lies in `parts` until its shard is full; a run that is called again goes on
from there.
"""

import io
import json
import re
import tarfile
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from ..config import ShardConfig
from ..files.spectra import save_spectrum
from ..files.stills import to_bytes
from ..files.whole import written_whole
from ..footage.clips import CLIP_SUFFIXES, read_clip
from ..footage.extraction import Extraction, extract, window_frames
from ..footage.flow import estimator
from ..shapes import Float, Tensor
from ..still.grid import grid_size
from .workers import in_processes, on_ray

VERSION = 1
LONGEST_SLUG = 40


@dataclass(frozen=True)
class Job:
    """One clip: its place in the list, its name there, where it lies and where its part goes."""

    index: int
    name: str
    clip: Path
    part: Path
    config: ShardConfig


@dataclass(frozen=True)
class Summary:
    """What lies in the folder: shards, samples in them, windows refused, clips not read at all."""

    shards: int
    samples: int
    refused: int
    unread: int

    def __str__(self) -> str:
        return (
            f"{self.samples} samples in {self.shards} shard{'s' * (self.shards != 1)}; "
            f"{self.refused} windows refused, {self.unread} clips not read (the .jsonl files say why)"
        )


def listed(path: Path) -> list[tuple[str, Path]]:
    """(name, path) of the clips in a folder, subfolders too, by name; or in a list, in its order.

    A list is a text file with a path on every line, from the list's own folder; # begins a remark.

    Raises:
        ValueError: If there is none.
    """
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in CLIP_SUFFIXES)
        clips = [(p.relative_to(path).as_posix(), p) for p in found if p.is_file()]
    else:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"Expected a folder of clips, or a text file with a path on every line, got "
                f"{str(path)!r}: {error}."
            ) from error
        clips = [(line, path.parent / line) for line in lines if line and line[0] != "#"]
    if not clips:
        raise ValueError(
            f"Expected clips ({', '.join(CLIP_SUFFIXES)}) in {str(path)!r}, found none."
        )
    return clips


def write_shards(
    clips: Sequence[tuple[str, Path]],
    out: Path,
    config: ShardConfig,
    workers: int = 1,
    ray_address: str | None = None,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> Summary:
    """Read the motion of every clip from every n-th frame on, and write shards; or go on with it.

    Args:
        workers: Processes on this machine, one clip at a time each.
        ray_address: Work on this Ray cluster instead, whose hosts see the same files; "local" starts
            one here, with that many workers.
        callback: Called with (clips done, of so many).

    Raises:
        ValueError: If the folder is another set's, or Ray or the flow is not installed.
    """
    estimator(config.flow)
    parts = out / "parts"
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Cannot make the folder {str(parts)!r}: {error.strerror}.") from error
    _claim(clips, out, config)
    shelf = _Shelf(out, parts, len(clips), config.samples)
    todo = [
        Job(i, name, clip.absolute(), shelf.part(i).absolute(), config)
        for i, (name, clip) in enumerate(clips)
        if i >= shelf.next and not shelf.part(i).exists()
    ]
    shelf.fill()
    done = len(clips) - len(todo)
    callback(done, len(clips))
    if ray_address:
        work = on_ray(read_part, todo, workers, ray_address, partial(_ready, config.flow))
    else:
        work = in_processes(read_part, todo, workers)
    for job, died in work:
        if died is not None:
            _write_part(job.part, [_of_clip(job, 0, [died])])
        shelf.fill()
        done += 1
        callback(done, len(clips))
    for leftover in parts.iterdir():  # of workers that died while writing
        leftover.unlink()
    parts.rmdir()
    return shelf.summary()


def read_part(job: Job) -> None:
    """Everything a worker does: all windows of one clip, into its part, on one core."""
    torch.set_num_threads(1)
    if job.config.flow == "dis":
        import cv2

        cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        _write_part(job.part, _members(job, Path(folder)))


def _ready(flow):
    estimator(flow)


def _members(job, folder) -> Iterator[tuple[str, bytes]]:
    """Files of every sample, the record of every window, accepted or not, and that of the clip."""
    windows, reasons, notes = 0, [], []
    try:
        clip = read_clip(job.clip, job.config.longest_side)
        notes = clip.notes  # which grow while it is read
        estimate = estimator(job.config.flow)
        length = window_frames(clip.fps, job.config.extraction)
        for start, still, window in windows_of(clip.frames, length, job.config):
            frames = (frame.float() / 255 for frame in window)
            size = tuple(still.shape[-2:])
            found = extract(frames, clip.fps, job.config.extraction, estimate, size)
            yield from _sample(job, start, still, found, folder)
            windows += 1
    except ValueError as error:
        reasons = [str(error)]
    yield _of_clip(job, windows, reasons, notes)


def windows_of(
    frames: Iterable[Float[Tensor, "c hf wf"]], length: int, config: ShardConfig
) -> Iterator[tuple[int, Tensor, list[Tensor]]]:
    """(start, still, frames) of every window, or of the whole clip if it is shorter than one.

    No more than a window is held: its frames as bytes at the grid's size, stills only at starts.
    """
    held: deque = deque(maxlen=length)
    start = -1
    for number, frame in enumerate(frames):
        still = _bytes(frame, config.longest_side) if number % config.every == 0 else None
        held.append((still, _bytes(frame, config.extraction.longest_side)))
        if len(held) == length and held[0][0] is not None:
            start = number + 1 - length
            yield start, held[0][0], [small for _, small in held]
    if start < 0 and held:
        yield 0, held[0][0], [small for _, small in held]


def _bytes(frame, longest):
    frame = frame[:3] if len(frame) >= 3 else frame[:1].expand(3, -1, -1)
    size = grid_size(*frame.shape[-2:], longest)
    if size != tuple(frame.shape[-2:]):
        frame = F.interpolate(frame[None], size, mode="bilinear", antialias=True)[0]
    return (frame.clamp(0, 1) * 255).round().to(torch.uint8)


def _sample(job, start, still, found: Extraction, folder) -> Iterator[tuple[str, bytes]]:
    key = _key(job, start)
    if found.spectrum is not None:
        save_spectrum(found.spectrum, folder / "spectrum.safetensors")
        yield f"{key}.mask.png", _png(found.spectrum.mask[0])
        yield f"{key}.spectrum.safetensors", (folder / "spectrum.safetensors").read_bytes()
        yield f"{key}.still.png", _png(still.float() / 255)
    yield f"{key}.json", _record(job, window_start=start, **found.report.as_json())


def _key(job, start):
    """Unique, and without dots: webdataset takes what follows the first one for the ending."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(job.name).stem)[:LONGEST_SLUG]
    return f"{job.index:06d}-{slug}-{start:06d}"


def _of_clip(job, windows, reasons, notes=()) -> tuple[str, bytes]:
    """The record of a clip. reasons: why it could not be read, or not to its end."""
    record = _record(job, windows=windows, reasons=list(reasons), notes=list(notes))
    return f"{job.index:06d}-clip.json", record


def _record(job, **fields) -> bytes:
    return json.dumps({"clip": job.name, "index": job.index, **fields}, sort_keys=True).encode()


def _png(picture):
    from PIL import Image

    data = io.BytesIO()
    pixels = to_bytes(picture)
    Image.fromarray(pixels[..., 0] if len(picture) == 1 else pixels).save(data, "PNG")
    return data.getvalue()


def _write_part(path, members: Iterable[tuple[str, bytes]]):
    with written_whole(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, data in members:
            _add(tar, name, data)


def _add(tar, name, data):
    """A member without owner or time: they would differ from run to run."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _claim(clips, out, config):
    """Make the folder this set's, or see that it is."""
    mine = {
        "version": VERSION,
        "settings": asdict(config),
        "clips": [[name, path.stat().st_size if path.is_file() else None] for name, path in clips],
    }
    path = out / "manifest.json"
    if not path.exists():
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(mine, indent=1), encoding="utf-8")
        return
    try:
        theirs = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}. Use another folder.") from error
    other = [k for k in mine if not isinstance(theirs, dict) or mine[k] != theirs.get(k)]
    if other:
        raise ValueError(
            f"{str(out)!r} holds shards of other {' and '.join(other)}. Use another folder, or the "
            "same clips and settings as before."
        )


class _Shelf:
    """Parts become shards, in the order of the clips, as soon as those before them are there.

    A shard is finished when its records are written, which is after its samples.
    """

    def __init__(self, out, parts, clips, samples):
        self.out, self.parts, self.clips, self.samples = out, parts, clips, samples
        self.next = 0  # clip that is in no shard yet
        self.number = 0  # of the next shard
        self.waiting: list[Path] = []  # parts of the shard that is not full yet
        self.held = 0  # samples in them
        while (records := self._path(".jsonl")).exists():
            self.next = json.loads(records.read_text().splitlines()[-1])["index"] + 1
            self.number += 1

    def part(self, index):
        return self.parts / f"{index:06d}.tar"

    def fill(self):
        """Put every part that can be put into its shard."""
        while (index := self.next + len(self.waiting)) < self.clips and self.part(index).exists():
            with tarfile.open(self.part(index)) as tar:
                self.held += sum(n.endswith(".still.png") for n in tar.getnames())
            self.waiting.append(self.part(index))
            if self.held >= self.samples or index == self.clips - 1:
                self._write()

    def _write(self):
        records = []
        # Every shard but the last is full; a last one without samples is records alone.
        with written_whole(self._path(".tar")) as temporary:
            with tarfile.open(temporary, "w") as shard:
                for part in self.waiting:
                    records += _copy(part, shard)
        if not self.held:
            self._path(".tar").unlink()
        with written_whole(self._path(".jsonl")) as temporary:
            temporary.write_bytes(b"".join(record + b"\n" for record in records))
        for part in self.waiting:
            part.unlink()
        self.next += len(self.waiting)
        self.number += 1
        self.waiting, self.held = [], 0

    def _path(self, ending):
        return self.out / f"shard-{self.number:06d}{ending}"

    def summary(self):
        counted = Counter()
        for path in sorted(self.out.glob("shard-*.jsonl")):
            for record in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                if "windows" in record:
                    counted["unread"] += bool(record["reasons"])
                else:
                    counted["samples" if record["accepted"] else "refused"] += 1
        return Summary(
            len(list(self.out.glob("shard-*.tar"))),
            *(counted[name] for name in ("samples", "refused", "unread")),
        )


def _copy(part, shard) -> list[bytes]:
    """The samples of a part into a shard; all its records."""
    records = []
    with tarfile.open(part) as tar:
        names = set(tar.getnames())
        for member in tar:
            data = tar.extractfile(member).read()
            if member.name.endswith(".json"):
                records.append(data)
            if f"{member.name.split('.')[0]}.still.png" in names:
                _add(shard, member.name, data)
    return records
