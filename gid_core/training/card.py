"""Train a recognized motion model on one graphics card, in pieces of some minutes.

    python -m gid_core.training.card FOLDER --photographs PHOTOS --minutes 9.5

Every call goes on where the last one stopped, for so many minutes: first samples are prepared, by
as many processes as there are cores, then the stages are trained one after the other, in bfloat16,
compiled, with the largest batches that fit, and at last a step of the paper's preset is timed.
FOLDER holds everything between two calls, and nothing else has to be kept: bring it along.
`report.json` says what was done, and how fast. `--dry` is the same in small, on any machine.

Law: a call that is cut off loses what was done since the last saved state, and nothing else.
"""

import argparse
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ..config import PRESETS
from ..diffusion.encoding import Encoding
from ..diffusion.motion_model import fresh
from ..files.whole import written_whole
from ..recognition.model import load_recognizer, shipped
from .batches import Prepared
from .objectives import Objective
from .prepared import Folder, Outlined, Scenes, fill
from .recognized import STAGES, WEIGHTS, RunConfig, begun, learning, loss_of, train
from .workers import in_processes

LOG = logging.getLogger("gid")


@dataclass(frozen=True)
class Plan:
    """How much of everything a card is given."""

    views: int = 4096  # of outlined photographs
    scenes: int = 1024
    steps: tuple[int, int, int] = (4000, 40_000, 40_000)  # of the stages
    rates: tuple[float, float, float] = (1e-3, 1e-3, 1e-3)
    largest_batch: int = 512
    paper_preset: str = "paper"
    paper_batches: tuple[int, ...] = (1, 4, 16, 64)
    timed: int = 5  # steps
    chunk: int = 64  # samples that a process prepares before it looks at the clock


DRY = Plan(
    2, 2, (2, 2, 2), largest_batch=2, paper_preset="tiny", paper_batches=(1,), timed=1, chunk=1
)


@dataclass(frozen=True)
class Chunk:
    """Samples that one process prepares."""

    folder: Path
    photographs: Path | None
    numbers: range


def prepare_chunk(chunk: Chunk) -> None:
    """The work of one process, on one core."""
    torch.set_num_threads(1)
    maker = Scenes() if chunk.photographs is None else Outlined(chunk.photographs)
    fill(Folder(chunk.folder), maker, chunk.numbers, load_recognizer(shipped()))


def prepare(
    plan: Plan, samples: Path, photographs: Path | None, until: float, workers: int
) -> bool:
    """Prepare samples until the time is over. Returns whether all are there."""
    samples.mkdir(parents=True, exist_ok=True)
    done = samples / "done"
    done.mkdir(exist_ok=True)
    chunks = []
    sources = [(None, plan.scenes)]
    if photographs is not None:
        sources.append((photographs, plan.views))
    for source, count in sources:
        for first in range(0, count, plan.chunk):
            chunks.append(Chunk(samples, source, range(first, min(first + plan.chunk, count))))
    marks = {chunk: done / _named(chunk) for chunk in chunks}
    waiting = [chunk for chunk in chunks if not marks[chunk].exists()]
    while waiting and time.monotonic() < until:
        now, waiting = waiting[:workers], waiting[workers:]
        for chunk, failed in in_processes(prepare_chunk, now, workers):
            if failed:
                raise ValueError(f"Samples from {chunk.numbers.start} on: {failed}")
            marks[chunk].touch()
    return not waiting


def _named(chunk) -> str:
    """By its last sample as well as its first: another plan has other chunks."""
    source = "scene" if chunk.photographs is None else "photograph"
    return f"{source}_{chunk.numbers.start}_{chunk.numbers.stop}"


def largest_batch(model, stage: str, samples: Prepared, config: RunConfig, limit: int) -> int:
    """The largest power of two whose step fits into the card's memory twice."""
    batch = 1
    parameters = learning(model, stage)
    for parameter in parameters:
        parameter.requires_grad_(True)
    while 2 * batch <= limit:
        generator = torch.Generator().manual_seed(0)
        try:
            with torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16"):
                loss_of(model, stage, samples.batch(4 * batch, generator), generator).backward()
        except torch.OutOfMemoryError:
            break
        batch *= 2
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)
    if config.device == "cuda":
        torch.cuda.empty_cache()
    return batch


def paper_steps(plan: Plan, device: str) -> dict[str, float]:
    """Seconds of a step of the paper's two stages, by batch, until memory is full."""
    config = PRESETS[plan.paper_preset]
    hertz = torch.arange(1, config.bands + 1) / config.duration_s
    model = fresh(config, Encoding(hertz, 0.3 / hertz)).to(device)
    size = (config.longest_side * 5 // 8, config.longest_side)
    found = {}
    for stage in ("bands", "coordination"):
        objective = Objective(stage, model)
        model.requires_grad_(False)
        for parameter in objective.learning():
            parameter.requires_grad_(True)
        for batch in plan.paper_batches:
            still = torch.rand(batch, 3, *size, device=device)
            channels = torch.randn(batch, config.bands, 4, *size, device=device)
            try:
                found[f"{stage}, batch {batch}"] = _timed(objective, still, channels, plan, device)
            except torch.OutOfMemoryError:
                break
    return found


def _timed(objective, still, channels, plan, device) -> float:
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for step in range(plan.timed + 1):
        if step == 1:
            wait()
            begun = time.perf_counter()
        generators = [torch.Generator().manual_seed(i) for i in range(len(still))]
        with torch.autocast(device, torch.bfloat16):
            sum(objective.losses(still, channels, generators).values()).backward()
        objective.model.zero_grad(set_to_none=True)
    wait()
    return (time.perf_counter() - begun) / plan.timed


def go_on(plan: Plan, folder: Path, photographs: Path | None, minutes: float, device: str) -> dict:
    """One piece. Returns the report, whose `left` names what is not done yet."""
    until = time.monotonic() + 60 * minutes
    folder.mkdir(parents=True, exist_ok=True)
    report = _report(folder)
    samples = folder / "samples"
    workers = max(1, os.cpu_count() or 1)
    if not prepare(plan, samples, photographs, until, workers):
        return _reported(folder, report, ["samples", *STAGES, "paper"])
    begin = None
    for number, stage in enumerate(STAGES):
        out = folder / stage
        if report.get(stage, {}).get("done", 0) < plan.steps[number]:
            left = (until - time.monotonic()) / 60
            if left <= 0:
                return _reported(folder, report, [*STAGES[number:], "paper"])
            report[stage] = _piece(plan, number, samples, begin, out, left, device)
            _reported(folder, report, [*STAGES[number:], "paper"])
        if report[stage]["done"] < plan.steps[number]:
            return report
        begin = out / WEIGHTS
    if report.get("paper", {}).get("preset") != plan.paper_preset:
        report["paper"] = {"preset": plan.paper_preset, **paper_steps(plan, device)}
    return _reported(folder, report, [])


def _piece(plan, number, samples, begin, out, minutes, device) -> dict:
    """Train a stage for some minutes."""
    stage = STAGES[number]
    data = Prepared(samples, device)
    layout = "independent" if stage == "bands" else "coordinated"
    model = begun(data, begin, layout).to(device)
    config = RunConfig(
        stage,
        rate=plan.rates[number],
        steps=plan.steps[number],
        cool_down=plan.steps[number] // 5,
        precision="bf16",
        device=device,
    )
    batch = largest_batch(model, stage, data, config, plan.largest_batch)
    config = replace(config, batch=batch, compiled=device == "cuda")
    started = time.monotonic()
    done, loss = train(model, data, config, out, minutes)
    taken = time.monotonic() - started
    LOG.info("%s: step %d, loss %.4f, %.1f minutes", stage, done, loss, taken / 60)
    return asdict(config) | {"done": done, "loss": loss, "seconds": taken}


def _report(folder) -> dict:
    path = folder / "report.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _reported(folder, report, left) -> dict:
    report["left"] = left
    with written_whole(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photographs", type=Path, help="folder of the outlined photographs")
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--dry", action="store_true", help="the same in small")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = go_on(DRY if args.dry else Plan(), args.folder, args.photographs, args.minutes, device)
    LOG.info("%s", json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
