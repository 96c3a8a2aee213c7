"""Train the motion model that stands on recognition, on prepared samples.

    python -m gid_core.training.recognized FOLDER -o RUN --stage expectation --minutes 10

FOLDER is what `training/prepared.py` filled; samples that are added meanwhile are taken up. A run
stops after so many minutes or steps and goes on where it was when it is started again; its state is
saved every few minutes.

    expectation   how far every place goes, band by band and axis by axis
    bands         stage 1 of the paper: to denoise single bands, given the still
    coordination  stage 2: the same for all bands together, with attention across bands

Law: a step depends on its number, the seed and the samples alone.
Convention: places count as much as they move.

Source: Li et al., CVPR 2024, Sec. 4.3; the likelihood of a Gaussian's deviation as a loss, Nix &
Weigend, ICNN 1994; noise levels and weights, Karras et al. 2022.
"""

import argparse
import json
import logging
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..config import LAYOUTS
from ..diffusion import sampling
from ..diffusion.denoiser import across_bands
from ..diffusion.motion_model import save_model
from ..diffusion.recognized_model import (
    RecognizedModel,
    RecognizedModelConfig,
    fresh_recognized,
    load_recognized_model,
)
from ..files.whole import written_whole
from ..recognition.model import load_recognizer, shipped
from ..shapes import Float, Tensor
from .batches import Batch, Prepared
from .data import generator_of
from .train import saved_state

STAGES = ("expectation", "bands", "coordination")
UNCONDITIONAL = 0.1  # share of items without their still, for classifier-free guidance
BANDS_AT_A_TIME = 4  # of a motion, in stage 1
FAINTEST = 0.03  # deviation, beside what is usual, that is added so that none is zero
FARTHEST = 6.0  # deviations: what is expected to be still and moves all the same is cut off
SAVE_EVERY_S = 180.0
VALIDATED = 12  # batches
STATE, WEIGHTS = "state.safetensors", "model.safetensors"
LOG = logging.getLogger("gid")


@dataclass(frozen=True)
class RunConfig:
    stage: str
    batch: int = 8
    rate: float = 1e-3
    steps: int = 100_000  # at most
    warm_up: int = 100
    cool_down: int = 0  # last steps in which the rate falls to zero; 0: all after the warm-up
    decay: float = 0.01  # of weights
    clip: float = 1.0
    average: float = 0.998
    precision: str = "no"  # or "bf16"
    seed: int = 0
    device: str = "cpu"
    compiled: bool = False

    def rate_at(self, step: int) -> float:
        """A warm-up, a plateau and a cool-down, so that a run can stop when there is no time."""
        falls = self.cool_down or self.steps
        left = min(1.0, (self.steps - step) / falls)
        return self.rate * min(1.0, (step + 1) / self.warm_up) * left


def loss_of(
    model: RecognizedModel, stage: str, batch: Batch, generator: torch.Generator
) -> Float[Tensor, ""]:
    """The loss of a stage: a mean over what moves."""
    if stage == "expectation":
        return likelihood(model, batch)
    with torch.no_grad():
        trunk = model.expectation.trunk(torch.cat([batch.seen, batch.share], 1))
        clean = (batch.motion / model.amplitudes(trunk)).clamp(-FARTHEST, FARTHEST)
    features = model.told(trunk, batch.share)
    count, k = clean.shape[:2]
    told = (torch.rand(count, generator=generator) >= UNCONDITIONAL).to(features)
    features = features * told.view(-1, 1, 1, 1)
    hertz = model.frequencies_hz.expand(count, k)
    if stage == "bands" and model.config.denoiser.layout != "volume":
        order = torch.rand(count, k, generator=generator).argsort(1)[:, :BANDS_AT_A_TIME]
        order = order.to(clean.device)
        rows = torch.arange(count, device=clean.device)[:, None]
        clean, hertz = clean[rows, order], hertz[rows, order]
    sigma = model.noise.drawn(count, generator).to(clean)
    noise = torch.randn(clean.shape, generator=generator).to(clean)
    network = lambda x, level: model.denoiser(x, level, features, hertz).float()
    error = sampling.loss(network, clean, sigma, noise).mean((1, 2))
    counts = batch.counts[:, 0]
    return (error * counts).sum() / counts.sum().clamp(min=1e-6)


def likelihood(model: RecognizedModel, batch: Batch) -> Float[Tensor, ""]:
    """How unlikely the motions' energy is if every scalar is normal with the expected deviation."""
    _, amplitudes = model.expect(batch.seen, batch.share)
    usual = model.usual.view(1, -1, 1, 1, 1)
    least = (FAINTEST * usual).square()
    relative = (amplitudes / usual).log() + (batch.energy + least) / amplitudes.square() / 2
    counts = batch.counts[:, None]
    return (relative * counts).sum() / counts.expand_as(relative).sum().clamp(min=1e-6)


def learning(model: RecognizedModel, stage: str) -> list[torch.nn.Parameter]:
    """The parameters that a stage trains."""
    expectation, features = model.expectation, list(model.expectation.features.parameters())
    if stage == "expectation":
        kept = {id(p) for p in features}
        return [p for p in expectation.parameters() if id(p) not in kept]
    rests = set() if stage == "coordination" else {id(p) for p in across_bands(model.denoiser)}
    return [*(p for p in model.denoiser.parameters() if id(p) not in rests), *features]


def train(
    model: RecognizedModel,
    samples: Prepared,
    config: RunConfig,
    out: Path,
    minutes: float,
    validation: Prepared | None = None,
) -> tuple[int, float]:
    """Train one stage until its steps are done or the time is over; resume what `out` holds.

    Returns the number of the last step and the mean loss since the state was saved before.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    model.requires_grad_(False).train()
    model.recognizer.eval()
    parameters = learning(model, config.stage)
    for parameter in parameters:
        parameter.requires_grad_(True)
    if config.compiled:
        model.denoiser.compile()
    optimizer = torch.optim.AdamW(parameters, config.rate, weight_decay=config.decay)
    own = {n: p for n, p in model.named_parameters() if p.requires_grad}
    average = {n: p.detach().clone() for n, p in own.items()}
    first, spent = _restore(out, model, optimizer, own, average, config)
    step, saved, running, loss = first, time.monotonic(), [], math.nan
    lower = torch.autocast(config.device, torch.bfloat16, enabled=config.precision == "bf16")
    while step < config.steps and _since(started) < 60 * minutes:
        generator = generator_of(config.seed, STAGES.index(config.stage), step)
        for group in optimizer.param_groups:
            group["lr"] = config.rate_at(step)
        batch = samples.batch(config.batch, generator)
        with lower:
            total = loss_of(model, config.stage, batch, generator)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        optimizer.step()
        step += 1
        decay = min(config.average, step / (step + 10))
        with torch.no_grad():
            for name, parameter in own.items():
                average[name].lerp_(parameter, 1 - decay)
        running.append(float(total.detach()))
        if not math.isfinite(running[-1]):
            raise ValueError(
                f"The loss is {running[-1]} at step {step}. Go on from the last state with a lower "
                "rate."
            )
        if time.monotonic() - saved > SAVE_EVERY_S:
            loss = sum(running) / len(running)
            held = (
                math.nan if validation is None else _held(model, own, average, validation, config)
            )
            LOG.info(
                "%s step %d: loss %.4f, of what is kept apart %.4f, %.2f s a step, %d samples",
                *(config.stage, step, loss, held),
                *((time.monotonic() - saved) / len(running), len(samples)),
            )
            _save(out, model, optimizer, own, average, config, step, spent + _since(started))
            samples.refresh()
            saved, running = time.monotonic(), []
    _save(out, model, optimizer, own, average, config, step, spent + _since(started))
    _put(own, average)
    save_model(model.eval(), out / WEIGHTS, {"stage": config.stage, "steps": step})
    return step, sum(running) / len(running) if running else loss


def _since(moment: float) -> float:
    return time.monotonic() - moment


def _held(model, own, average, validation, config) -> float:
    """The loss of the averaged weights on samples kept apart, always the same noise."""
    mine = {n: p.detach().clone() for n, p in own.items()}
    _put(own, average)
    with torch.no_grad():
        losses = []
        for number in range(VALIDATED):
            generator = generator_of(1, number)
            batch = validation.batch(config.batch, generator)
            losses.append(float(loss_of(model, config.stage, batch, generator)))
    _put(own, mine)
    return sum(losses) / len(losses)


def _put(own, values) -> None:
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(values[name])


def _save(out, model, optimizer, own, average, config, step, seconds) -> None:
    tensors = {f"model.{n}": t for n, t in model.state_dict().items() if "recognizer" not in n}
    tensors |= {f"average.{n}": t for n, t in average.items()}
    for name, parameter in own.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"moment.{key}.{name}"] = value
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    header = {"run": json.dumps(asdict(config)), "step": str(step), "seconds": f"{seconds:.0f}"}
    with written_whole(out / STATE) as temporary:
        save_file(tensors, temporary, header)


def _restore(out, model, optimizer, own, average, config) -> tuple[int, float]:
    """Load a saved state. Returns the step to go on from and the seconds spent, 0 without one."""
    if not (out / STATE).exists():
        return 0, 0.0
    header, state = saved_state(out / STATE)
    run = json.loads(header["run"])
    if run["stage"] != config.stage:
        raise ValueError(
            f"{str(out)!r} holds a run of the stage {run['stage']}, expected one of "
            f"{config.stage}. Use another folder."
        )
    nothing = torch.empty(0)
    other = [n for n, p in own.items() if state.get(f"average.{n}", nothing).shape != p.shape]
    if other:
        raise ValueError(
            f"{str(out)!r} holds a run of other networks: its {other[0]} differs. Use another "
            "folder, or the layout and weights that it was begun with."
        )
    model.load_state_dict(
        {n[6:]: t for n, t in state.items() if n.startswith("model.")}, strict=False
    )
    for name, parameter in own.items():
        average[name].copy_(state[f"average.{name}"])
        optimizer.state[parameter] = {
            key: state[f"moment.{key}.{name}"].to(parameter.device if key != "step" else "cpu")
            for key in ("step", "exp_avg", "exp_avg_sq")
        }
    return int(header["step"]), float(header["seconds"])


def begun(
    samples: Prepared, weights: Path | None = None, layout: str = "coordinated", seed: int = 0
) -> RecognizedModel:
    """A fresh model, or that of a file, in a layout of its denoiser.

    A file's denoiser gets what today's has beside its own; that begins by changing nothing.
    """
    before = None if weights is None else load_recognized_model(weights)
    today = RecognizedModelConfig()
    config = today if before is None else before.config
    also = {n: getattr(today.denoiser, n) for n in ("attention_from", "smoothed")}
    config = replace(config, denoiser=replace(config.denoiser, layout=layout, **also))
    recognizer = load_recognizer(shipped()) if before is None else before.recognizer
    model = fresh_recognized(config, recognizer, seed)
    if before is None:
        model.usual.copy_(samples.usual())
    else:  # another layout takes over the tensors of the same name and shape
        own, older = model.state_dict(), before.state_dict()
        volumes = [c.denoiser.layout == "volume" for c in (config, before.config)]
        if volumes[0] == volumes[1]:  # what its first layer is shown more of comes last
            enter, known = own["denoiser.enter.weight"].zero_(), older["denoiser.enter.weight"]
            enter[:, : known.shape[1]] = known
            older["denoiser.enter.weight"] = enter
        kept = {n: t for n, t in older.items() if n in own and t.shape == own[n].shape}
        model.load_state_dict(kept, strict=False)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--from", type=Path, dest="begin", help="weights of the stage before")
    parser.add_argument("--validation", type=Path, help="samples that are only looked at")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--layout", choices=LAYOUTS, default="coordinated")
    for name in ("batch", "steps", "cool_down", "seed"):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(RunConfig, name)
        )
    parser.add_argument("--rate", type=float, default=RunConfig.rate)
    parser.add_argument("--precision", choices=("no", "bf16"), default="no")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    samples = Prepared(args.samples, args.device)
    model = begun(samples, args.begin, args.layout, args.seed)
    held = args.validation and Prepared(args.validation, args.device)
    run = RunConfig(
        args.stage,
        args.batch,
        args.rate,
        args.steps,
        cool_down=args.cool_down,
        precision=args.precision,
        seed=args.seed,
        device=args.device,
    )
    train(model.to(args.device), samples, run, args.out, args.minutes, held)


if __name__ == "__main__":
    main()
