"""The training loop for every stage, on one processor or many.

Law: a run that is resumed equals one that never stopped: step n depends on the seed, n and the
state alone. (In fp16 the gradient scaler starts anew, so a step or two may differ.) A batch that
processes share gives the gradient that one process would compute.

A run's folder holds `state.safetensors` (networks, their moving average, moments of the optimizer,
settings of the run, last step), `log.csv`, `model.safetensors` (the averaged weights, ready to use)
and pictures.
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
RECIPE = 2  # raised when losses, augmentation or networks change: then no old run is resumed
NOISE = 1  # random stream of the losses; that of the data is another


@dataclass(frozen=True)
class TrainConfig:
    """Length, batch, learning rate and precision of a run."""

    stage: str
    steps: int
    batch: int = 32  # over all processes
    rate: float = 3e-4
    schedule: str = "cosine"
    warm_up: int = 100  # steps
    decay: float = 1e-2  # of weights
    clip: float = 1.0  # norm of the gradient
    average: float = 0.999  # decay of the weights' moving average per step; lower at first
    save_every: int = 250
    log_every: int = 25
    workers: int = 0  # processes that make samples
    precision: str = "no"  # "no", "bf16", "fp16"
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
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
    perceptual: nn.Module | None = None,
) -> nn.Module:
    """Train one stage of a model, or resume it. Returns the averaged model, on the CPU.

    Args:
        data: Items are tuples of tensors, the arguments of the stage's losses; `described` is
        recorded. notes: Written into the header of the weights. picture: Called with the averaged
        model and a path whenever the state is saved. callback: Called with (steps done, number of
        steps, loss). May raise; saved states stay. perceptual: For a renderer: adds a perceptual
        loss.

    Raises:
        ValueError: If accelerate is missing, the folder holds another run, or the loss is not
        finite.
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
    further = {} if perceptual is None else {"perception": perceptual.name}
    run = _Run(out, model, data, config, accelerator.is_main_process, further)
    first = run.load(model)
    steps = accelerator.gather(torch.tensor([first], device=accelerator.device))
    if (steps != first).any():
        raise ValueError(
            f"Expected one state for all processes, got steps {steps.tolist()}. The run's folder "
            "has to lie on a disk that every host sees."
        )
    perceptual = perceptual and perceptual.to(accelerator.device)
    objective = objective_of(config.stage, model, perceptual)
    learning = objective.learning()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in learning:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(learning, config.rate, weight_decay=config.decay)
    run.restore(optimizer, model)
    prepared, optimizer = accelerator.prepare(_Losses(objective), optimizer)
    device = accelerator.device
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    average = run.average or {n: p.detach().clone() for n, p in trained.items()}
    average = {n: t.to(device) for n, t in average.items()}
    batches = _batches(data, config, first, rank, ranks)
    started = time.monotonic()
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
        decay = min(config.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in average:
                    average[name].lerp_(parameter, 1 - decay)
        means = {n: float(accelerator.reduce(t.detach(), "mean")) for n, t in terms.items()}
        loss = sum(means.values())
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss is {loss} at step {step}. Go on from the last state with a lower rate."
            )
        done = step + 1
        saves = done % config.save_every == 0 or done == config.steps
        if done % config.log_every == 0 or saves:
            run.log(done, loss, means, time.monotonic() - started)
        if saves:
            accelerator.wait_for_everyone()
            run.save(done, model, optimizer, average)
            if picture is not None and accelerator.is_main_process:
                path = out / f"{config.stage}_{done:07d}.png"
                _with(model, average, partial(picture, model, path))
        callback(done, config.steps, loss)
    _put(model, average)
    model.to("cpu").eval()
    objective.finish(data)
    if accelerator.is_main_process:
        record = {"stage": config.stage, "steps": config.steps, "batch": config.batch}
        objective.save(out / "model.safetensors", (notes or {}) | {"last run": record})
    return model


def saved_state(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of the state of a run.

    Raises:
        ValueError: If the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged: {error}. Delete it to begin the run anew."
        ) from error


class _Losses(nn.Module):
    """An objective as a module, so that accelerate can share gradients and lower its precision."""

    def __init__(self, objective):
        super().__init__()
        self.model, self.objective = objective.model, objective

    def forward(self, *batch):
        return self.objective.losses(*batch)


def _batches(data, config, first, rank, ranks):
    """(numbers of the items, their tensors) of this process, from a step on."""
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
    """A data set whose items begin with their number."""

    data: Dataset

    def __len__(self):
        return len(self.data)

    def __getitem__(self, number):
        return number, *self.data[number]


def _put(model, values: dict[str, Tensor]) -> None:
    """Copy values into the parameters of their names."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in values:
                parameter.copy_(values[name])


def _with(model, values, work) -> None:
    """Call `work` while the model has other weights; then restore its own."""
    own = {n: p.detach().clone() for n, p in model.named_parameters() if n in values}
    _put(model, values)
    model.eval()
    try:
        work()
    finally:
        _put(model, own)
        model.train()


class _Run:
    """The files of a run. Only one process writes them.

    further: added to the settings that a resumed run must share.
    """

    def __init__(self, out: Path, model, data: Dataset, config: TrainConfig, writes: bool, further):
        self.out, self.writes, self.average, self.moments = out, writes, None, {}
        self._log, self.seconds = out / "log.csv", 0.0
        names = ("stage", "batch", "rate", "schedule", "precision", "seed")
        settings = {name: getattr(config, name) for name in names}
        settings |= {"recipe": RECIPE, "model": asdict(model.config), "data": data.described}
        self.settings = json.loads(json.dumps(settings | further))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"Cannot make the folder {str(out)!r}: {error.strerror}.") from error

    @property
    def _state(self):
        return self.out / "state.safetensors"

    def load(self, model) -> int:
        """Load a saved state into the model. Returns the step to resume from, 0 without a state."""
        if not self._state.exists():
            return 0
        header, state = saved_state(self._state)
        run = json.loads(header.get("run", "{}"))
        names = {*self.settings, *run}
        different = sorted(n for n in names if run.get(n) != self.settings.get(n))
        if different:
            raise ValueError(
                f"{str(self.out)!r} holds another run: its {different[0]} differs. Use another "
                "folder, or the settings that it was begun with; only --steps may grow."
            )
        own = {n[6:]: t for n, t in state.items() if n.startswith("model.")}
        model.load_state_dict(own)
        self.average = {n[8:]: t for n, t in state.items() if n.startswith("average.")}
        self.moments = {n: t for n, t in state.items() if n.startswith("moment.")}
        step = int(header["step"])
        self._forget_after(step)
        return step

    def restore(self, optimizer, model) -> None:
        """Load the saved moments into the optimizer."""
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
        """Write the state after a step."""
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
            save_file(tensors, temporary, {"run": json.dumps(self.settings), "step": str(step)})

    def _forget_after(self, step) -> None:
        """Remove from the log the rows of steps that are done again, and what was cut off."""
        if self.writes and self._log.exists():
            rows = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [row for row in rows if row.endswith("\n")]
            if not whole:
                self._log.unlink()
                return
            kept = [row for row in whole[1:] if int(row.split(",")[0]) <= step]
            with written_whole(self._log) as temporary:
                temporary.write_text("".join([whole[0], *kept]), encoding="utf-8", newline="")
            self.seconds = float(kept[-1].split(",")[1]) if kept else 0.0

    def log(self, step, loss, terms, seconds) -> None:
        """Append a row to the log."""
        if not self.writes:
            return
        new = not self._log.exists()
        with open(self._log, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", "loss", *terms])
            losses = [f"{value:.6f}" for value in (loss, *terms.values())]
            writer.writerow([step, f"{self.seconds + seconds:.1f}", *losses])
