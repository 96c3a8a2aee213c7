"""The training loop: one, for every stage, on one processor or many.

Law: a run that is called again goes on as if it had never stopped: what step n does depends on the seed,
n and the state alone. (In fp16 the scaler of gradients begins anew, and a step or two may differ.) Shared
among processes, a batch gives the gradient that one process gets.

A run's folder holds `state.safetensors` (networks, their average, moments of the optimizer, what run it
is and its last step), `log.csv`, `model.safetensors` (the average, to be used) and pictures.
"""

import csv
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..files.whole import written_whole
from ..shapes import Tensor
from .data import generator_of
from .objectives import objective_of

RATES = ("cosine", "constant")
RECIPE = 2  # to be raised when losses, looks or layers change: no run goes on in another way
NOISE = 1  # a stream of random numbers apart from that of the data


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast."""

    stage: str
    steps: int
    batch: int = 32  # over all processes
    rate: float = 3e-4
    schedule: str = "cosine"
    warm_up: int = 100  # steps
    decay: float = 1e-2  # of weights
    clip: float = 1.0  # norm of the gradient
    average: float = 0.999  # what the average keeps a step; less at first
    save_every: int = 250
    log_every: int = 25
    workers: int = 0  # processes that make samples
    precision: str = "no"  # "no", "bf16", "fp16"
    seed: int = 0

    def rate_at(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, self.warm_up))
        if self.schedule == "constant":
            return self.rate * warm
        return self.rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.steps)))


def train(
    model: nn.Module,
    data: Dataset,
    config: TrainConfig,
    out: Path,
    notes: dict | None = None,
    picture: Callable[[nn.Module, Path], None] | None = None,
    callback: Callable[[int, int, float], None] = lambda step, of, loss: None,
    perception: nn.Module | None = None,
) -> nn.Module:
    """Train one stage of a model, or go on with it; the averaged model, on the CPU.

    Args:
        data: Items are tuples of tensors, as the stage's losses take them; `described` goes on record.
        picture: Called with the averaged model and a path, to draw what it can do by now.
        callback: (steps done, of so many, loss). May raise: what was saved stays.
        perception: By which a renderer's looks are judged, besides its errors.

    Raises:
        ValueError: If accelerate is missing, the folder is another run's, or the loss is not finite.
    """
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise ValueError(
            "Training needs accelerate, which is not installed. Install image-dynamics[train]."
        ) from error
    if config.schedule not in RATES:
        raise ValueError(f"Expected a rate among {', '.join(RATES)}, got {config.schedule!r}.")
    accelerator = Accelerator(mixed_precision=config.precision)
    ranks, rank = accelerator.num_processes, accelerator.process_index
    if config.batch % ranks:
        raise ValueError(f"Expected a batch that {ranks} processes can share, got {config.batch}.")
    looks = {} if perception is None else {"perception": True}
    run = _Run(out, model, data, config, accelerator.is_main_process, looks)
    first = run.load(model)
    begun_at = accelerator.gather(torch.tensor([first], device=accelerator.device))
    if (begun_at != first).any():
        raise ValueError(
            f"Expected one state for all processes, got steps {begun_at.tolist()}. The run's folder has "
            "to lie on a disk that every host sees."
        )
    perception = perception and perception.to(accelerator.device)
    objective = objective_of(config.stage, model, perception)
    learning = objective.learning()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(learning, config.rate, weight_decay=config.decay)
    run.restore(optimizer, model)
    prepared, optimizer = accelerator.prepare(_Losses(objective), optimizer)
    device = accelerator.device
    average = run.average or {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}  # fmt: skip
    average = {n: t.to(device) for n, t in average.items()}
    batches = _batches(data, config, first, rank, ranks)
    begun = time.monotonic()
    for step, (numbers, *batch) in enumerate(batches, first):
        generators = [generator_of(config.seed, n, NOISE) for n in numbers]
        for group in optimizer.param_groups:
            group["lr"] = config.rate_at(step)
        terms = prepared(*(x.to(device) for x in batch), generators)
        total = sum(terms.values())
        optimizer.zero_grad()
        accelerator.backward(total)
        accelerator.clip_grad_norm_(learning, config.clip)
        optimizer.step()
        keep = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in average:
                    average[name].lerp_(parameter, 1 - keep)
        means = {n: float(accelerator.reduce(t.detach(), "mean")) for n, t in terms.items()}
        loss = sum(means.values())
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss is {loss} at step {step}. Go on from the last state with a lower rate."
            )
        done = step + 1
        saves = done % config.save_every == 0 or done == config.steps
        if done % config.log_every == 0 or saves:
            run.log(done, loss, means, time.monotonic() - begun)
        if saves:
            accelerator.wait_for_everyone()
            run.save(done, model, optimizer, average)
            if picture is not None and accelerator.is_main_process:
                drawn = out / f"{config.stage}_{done:07d}.png"
                _with(model, average, partial(picture, model, drawn))
        callback(done, config.steps, loss)
    _put(model, average)
    model.to("cpu").eval()
    objective.finish(data)
    if accelerator.is_main_process:
        record = {"stage": config.stage, "steps": config.steps, "batch": config.batch}
        objective.save(out / "model.safetensors", (notes or {}) | {"last run": record})
    return model


class _Losses(nn.Module):
    """An objective as a module, so that gradients are shared out and precision is lowered in it."""

    def __init__(self, objective):
        super().__init__()
        self.model, self.objective = objective.model, objective

    def forward(self, *batch):
        return self.objective.losses(*batch)


def _batches(data, config, first, rank, ranks):
    """(numbers, what the items hold) of this process, from a step on."""
    start, stop = first * config.batch + rank, config.steps * config.batch
    loader = DataLoader(
        _Numbered(data),
        batch_size=config.batch // ranks,
        sampler=range(start, stop, ranks),
        num_workers=config.workers,
        persistent_workers=False,
    )
    for numbers, *batch in loader:
        yield numbers.tolist(), *batch


@dataclass(frozen=True)
class _Numbered(Dataset):
    data: Dataset

    def __len__(self):
        return len(self.data)

    def __getitem__(self, number):
        return number, *self.data[number]


def _put(model, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in values:
                parameter.copy_(values[name])


def _with(model, values, work) -> None:
    """Do something with other weights, and put its own back."""
    own = {n: p.detach().clone() for n, p in model.named_parameters() if n in values}
    _put(model, values)
    model.eval()
    try:
        work()
    finally:
        _put(model, own)
        model.train()


class _Run:
    """What a run keeps on disk. Only one process writes."""

    def __init__(self, out: Path, model, data: Dataset, config: TrainConfig, writes: bool, more):
        self.out, self.writes, self.average, self.moments = out, writes, None, {}
        self._log, self.seconds = out / "log.csv", 0.0
        settings = ("stage", "batch", "rate", "schedule", "precision", "seed")
        what = {name: getattr(config, name) for name in settings}
        what |= {"recipe": RECIPE, "model": asdict(model.config), "data": data.described} | more
        self.what = json.loads(json.dumps(what))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"Cannot make the folder {str(out)!r}: {error.strerror}.") from error

    @property
    def _state(self):
        return self.out / "state.safetensors"

    def load(self, model) -> int:
        """Put a saved state into the model; the step to go on from."""
        if not self._state.exists():
            return 0
        try:
            with safe_open(self._state, "pt") as file:
                header = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{str(self._state)!r} is damaged: {error}. Delete it to begin the run anew."
            ) from error
        run = json.loads(header.get("run", "{}"))
        odd = sorted(n for n in {*self.what, *run} if run.get(n) != self.what.get(n))
        if odd:
            raise ValueError(
                f"{str(self.out)!r} holds another run: its {odd[0]} differs. Use another folder, or the "
                "settings that it was begun with; only --steps may grow."
            )
        own = {n[6:]: t for n, t in state.items() if n.startswith("model.")}
        model.load_state_dict(own)
        self.average = {n[8:]: t for n, t in state.items() if n.startswith("average.")}
        self.moments = {n: t for n, t in state.items() if n.startswith("moment.")}
        step = int(header["step"])
        self._forget_after(step)
        return step

    def restore(self, optimizer, model) -> None:
        names = {id(p): n for n, p in model.named_parameters()}
        if not self.moments:
            return
        for parameter in optimizer.param_groups[0]["params"]:
            name = names[id(parameter)]
            optimizer.state[parameter] = {
                key: self.moments[f"moment.{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
            }

    def save(self, step, model, optimizer, average) -> None:
        if not self.writes:
            return
        tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
        tensors |= {f"average.{n}": t for n, t in average.items()}
        names = {id(p): n for n, p in model.named_parameters()}
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                tensors[f"moment.{key}.{names[id(parameter)]}"] = value
        tensors = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
        with written_whole(self._state) as temporary:
            save_file(tensors, temporary, {"run": json.dumps(self.what), "step": str(step)})

    def _forget_after(self, step) -> None:
        """Take out of the log what comes again."""
        if self.writes and self._log.exists():
            rows = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows[1:] if int(row.split(",")[0]) <= step]
            with written_whole(self._log) as temporary:
                temporary.write_text("".join([rows[0], *kept]), encoding="utf-8", newline="")
            self.seconds = float(kept[-1].split(",")[1]) if kept else 0.0

    def log(self, step, loss, terms, seconds) -> None:
        if not self.writes:
            return
        new = not self._log.exists()
        with open(self._log, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", "loss", *terms])
            writer.writerow([step, f"{self.seconds + seconds:.1f}", f"{loss:.6f}", *(f"{t:.6f}" for t in terms.values())])  # fmt: skip
