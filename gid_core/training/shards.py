"""Make a training set from clips: shards of stills and spectra, by many processes or hosts.

Law: the same clips and settings give the same bytes, for any number of workers and after any crash.
A clip that cannot be read gives a record with the reason; the run continues.

A folder holds `shard-000000.tar` ... in webdataset's format, each with its records in
`shard-000000.jsonl`, and `manifest.json` with clips and settings. A sample has the members
still.png, spectrum.safetensors, mask.png (what moves; also in the spectrum) and json (its record).
Windows that were refused have a record only, and every clip has one for the whole of it. Finished
clips lie in `parts` until their shard is full, so a run that is called again resumes from there.
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
    """One clip to read.

    index, name: in the list of clips. clip: its file. part: the file that its samples go to.
    """

    index: int
    name: str
    clip: Path
    part: Path
    config: ShardConfig


@dataclass(frozen=True)
class Summary:
    """Counts of what a folder holds: shards, samples, refused windows, clips that failed."""

    shards: int
    samples: int
    refused: int
    unread: int

    def __str__(self) -> str:
        return (
            f"{self.samples} samples in {self.shards} shard{'s' * (self.shards != 1)}; "
            f"{self.refused} windows refused, {self.unread} clips not read "
            "(the .jsonl files say why)"
        )


def listed(path: Path) -> list[tuple[str, Path]]:
    """(name, path) of all clips of a folder and its subfolders, by name; or of a list, in its
    order.

    A list is a text file with one path per line, relative to the list's folder; # starts a comment.

    Raises:
        ValueError: If there are no clips.
    """
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in CLIP_SUFFIXES)
        clips = [(p.relative_to(path).as_posix(), p) for p in found if p.is_file()]
    else:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
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
    """Read the motion of every clip from every n-th frame on and write shards, or resume that.

    Args:
        workers: Processes on this machine; each reads one clip at a time.
        ray_address: Use this Ray cluster instead, whose hosts see the same files; "local" starts a
            cluster on this machine, with that many workers.
        callback: Called with (clips done, number of clips).

    Raises:
        ValueError: If the folder holds another set, or if Ray or the flow is not installed.
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
    for leftover in parts.iterdir():  # from workers that died while they wrote
        leftover.unlink()
    parts.rmdir()
    return shelf.summary()


def read_part(job: Job) -> None:
    """The work of one process: write all windows of one clip into its part, on one core."""
    torch.set_num_threads(1)
    if job.config.flow == "dis":
        import cv2

        cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        _write_part(job.part, _members(job, Path(folder)))


def _ready(flow):
    estimator(flow)


def _members(job, folder) -> Iterator[tuple[str, bytes]]:
    """(name, bytes): files of every sample, a record of every window, a record of the clip."""
    windows, reasons, notes = 0, [], []
    try:
        clip = read_clip(job.clip, job.config.longest_side)
        notes = clip.notes  # a list that grows while the clip is read
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
    """(start, still, frames) of every window, or of the whole clip if it is shorter than a window.

    Only one window is in memory: frames as bytes at the grid's size, and stills of window starts.
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
    """A unique name without dots: webdataset takes all after the first dot as the ending."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(job.name).stem)[:LONGEST_SLUG]
    return f"{job.index:06d}-{slug}-{start:06d}"


def _of_clip(job, windows, reasons, notes=()) -> tuple[str, bytes]:
    """The record of a clip. reasons: why it could not be read, or not to the end."""
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
    """Add a member without owner and time, which would differ from run to run."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _claim(clips, out, config):
    """Write the manifest, or check that the folder's manifest is the same."""
    own = {
        "version": VERSION,
        "settings": asdict(config),
        "clips": [[name, path.stat().st_size if path.is_file() else None] for name, path in clips],
    }
    path = out / "manifest.json"
    if not path.exists():
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(own, indent=1), encoding="utf-8")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}. Use another folder.") from error
    other = [k for k in own if not isinstance(found, dict) or own[k] != found.get(k)]
    if other:
        raise ValueError(
            f"{str(out)!r} holds shards of other {' and '.join(other)}. Use another folder, or the "
            "same clips and settings as before."
        )


class _Shelf:
    """Collects parts into shards, in the order of the clips.

    Records are written after the samples: a shard with records is complete.
    """

    def __init__(self, out, parts, clips, samples):
        self.out, self.parts, self.clips, self.samples = out, parts, clips, samples
        self.next = 0  # index of the first clip that is in no shard yet
        self.number = 0  # of the next shard
        self.waiting: list[Path] = []  # parts of the next shard
        self.held = 0  # number of samples in them
        while (records := self._path(".jsonl")).exists():
            self.next = (
                json.loads(records.read_text(encoding="utf-8").splitlines()[-1])["index"] + 1
            )
            self.number += 1

    def part(self, index):
        return self.parts / f"{index:06d}.tar"

    def fill(self):
        """Take parts in order, up to the first that is missing; write every shard that is full."""
        while (index := self.next + len(self.waiting)) < self.clips and self.part(index).exists():
            with tarfile.open(self.part(index)) as tar:
                self.held += sum(n.endswith(".still.png") for n in tar.getnames())
            self.waiting.append(self.part(index))
            if self.held >= self.samples or index == self.clips - 1:
                self._write()

    def _write(self):
        records = []
        # All shards but the last are full. If the last has no samples, only its records are kept.
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
    """Copy the samples of a part into a shard. Returns all records of the part."""
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
