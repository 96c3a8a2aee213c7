"""Train the recognizer on outlined photographs.

    python -m gid_core.training.recognition PHOTOS BACKBONE -o WEIGHTS [--from WEIGHTS]

PHOTOS is the folder of the photographs that `photographs/` has outlines of, BACKBONE what
`training/conversion.py` wrote. The head is trained on features that are computed once for some
views of every photograph; then, if asked to, the backbone's last stages with it, slowly, on new
views. Photographs for validation are never opened.

Convention: a loss is a mean over the places of a batch, of which those near an outline count less
(`outlines.Labels.certain`).

Source: the overlap of two sets as a loss, Milletari et al., "V-Net", 3DV 2016, Sec. 3.
"""

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from ..files.stills import read_still
from ..recognition.head import DEGREE, FLOWS, KIND, SWAYS
from ..recognition.model import Recognizer, RecognizerConfig, load_recognizer, save_recognizer
from ..shapes import Float, Int, Tensor
from .conversion import load_backbone
from .outlines import FOLDER, NONE, labels, names, read_outlines
from .pasted import cut_outs, pasted, rare_kinds, scene_views
from .views import SIDE, cropped, moved, random_box, relit

FLOWS_SHARE, KIND_SHARE, DEGREE_SHARE, OVERLAP_SHARE = 0.3, 0.2, 0.3, 0.2  # of the loss
FEW = 50.0  # places: overlaps of less than this are not told from none
RELIT = 0.8  # share of views in another light

LOG = logging.getLogger("gid")


@dataclass(frozen=True)
class TrainingConfig:
    copies: int = 8  # views of every photograph, whose features are kept
    pasted: float = 0.4  # share of views with rare things pasted in
    scenes: int = 30  # synthetic ones of rare things, beside the photographs
    steps: int = 600  # of the head alone
    rate: float = 2e-3
    batch: int = 8
    tuned_steps: int = 0  # of the head with what of the backbone is not frozen; 300 gained nothing
    tuned_rate: float = 1e-4
    tuned_batch: int = 4
    frozen: int = 3  # stages that are never tuned
    weight_decay: float = 0.01
    warm: float = 0.1  # share of the steps until the rate is reached
    seed: int = 0


@dataclass(frozen=True)
class Targets:
    """Maps that a batch is held against, all at the size of a head's places."""

    sways: Float[Tensor, "b h w"]
    flows: Float[Tensor, "b h w"]
    kind: Int[Tensor, "b h w"]
    degree: Float[Tensor, "b h w"]
    certain: Float[Tensor, "b h w"]

    @staticmethod
    def of(objects: list[list[dict]], size: tuple[int, int]) -> "Targets":
        """Of the outlines of every view in a batch."""
        drawn = [labels(one, size) for one in objects]
        maps = ("sways", "flows", "kind", "degree", "certain")
        return Targets(*(torch.stack([getattr(one, name) for one in drawn]) for name in maps))

    def chosen(self, index: list[int]) -> "Targets":
        return Targets(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def loss_of(logits: Float[Tensor, "b o h w"], targets: Targets) -> Float[Tensor, ""]:
    """How wrong logits are: cross entropies, and what a mask would miss of what sways."""
    sways, certain = targets.sways, targets.certain
    chance = logits[:, SWAYS].squeeze(1)
    entropy = F.binary_cross_entropy_with_logits(chance, sways, reduction="none")
    found, true = chance.sigmoid() * certain, sways * certain
    met = (found * sways).sum((1, 2))
    overlap = (2 * met + FEW) / (found.sum((1, 2)) + true.sum((1, 2)) + FEW)
    flows = F.binary_cross_entropy_with_logits(logits[:, FLOWS].squeeze(1), targets.flows)
    kind = F.cross_entropy(logits[:, KIND], targets.kind, ignore_index=NONE, reduction="sum")
    degree = F.binary_cross_entropy_with_logits(
        logits[:, DEGREE].squeeze(1), targets.degree, reduction="none"
    )
    return (
        (entropy * certain).mean()
        + OVERLAP_SHARE * (1 - overlap).mean()
        + FLOWS_SHARE * flows
        + KIND_SHARE * kind / (targets.kind != NONE).sum().clamp(min=1)
        + DEGREE_SHARE * (degree * sways).sum() / sways.sum().clamp(min=1)
    )


def view_of(
    image: Float[Tensor, "1 3 h w"], objects: list[dict], generator: torch.Generator, add=None
) -> tuple[Float[Tensor, "1 3 s s"], list[dict]]:
    """A random view of a photograph, and its outlines there; `add` may put more into them."""
    box = random_box(tuple(image.shape[-2:]), generator)
    mirrored, lit = (torch.rand(2, generator=generator) < torch.tensor([0.5, RELIT])).tolist()
    view = cropped(image, box, mirrored, (SIDE, SIDE)).clamp(0, 1)
    objects = moved(objects, box, mirrored)
    if add is not None:
        view, objects = add(view, objects)
    return (relit(view, generator) if lit else view), objects


class Photographs:
    """Outlined photographs of one side of the split, opened once.

    Args:
        pasted: Share of views that get rare things of other photographs pasted in, if there are
            any that are large enough to be cut out.
        scenes: How many synthetic scenes of rare things come with them.
    """

    def __init__(
        self,
        folder: Path,
        validation: bool = False,
        labels_folder: Path = FOLDER,
        pasted: float = 0.0,
        scenes: int = 0,
    ):
        self.names = names(validation, labels_folder)
        missing = [name for name in self.names if not (folder / f"{name}.jpg").is_file()]
        if missing:
            raise ValueError(
                f"{str(folder)!r} lacks {len(missing)} of {len(self.names)} photographs, "
                f"{missing[0]}.jpg among them. Give the folder of the photographs that "
                f"{labels_folder.name}/CREDITS.tsv lists."
            )
        self.stills = [read_still(folder / f"{name}.jpg")[None, :3] for name in self.names]
        self.outlines = [read_outlines(name, labels_folder) for name in self.names]
        kinds = rare_kinds(self.outlines) if pasted else []
        self.things = cut_outs(self.stills, self.outlines, kinds)
        pairs = zip(self.stills, self.outlines, strict=True)
        self.still = [still for still, objects in pairs if not objects]
        for still, objects in scene_views(scenes):
            self.stills.append(still)
            self.outlines.append(objects)
        self.pasted = pasted if self.things else 0.0

    def views(self, count: int, generator: torch.Generator):
        """Random views, every photograph once before any comes again."""
        order: list[int] = []
        for _ in range(count):
            order = order or torch.randperm(len(self.stills), generator=generator).tolist()
            number = order.pop()
            paste = float(torch.rand((), generator=generator)) < self.pasted
            add = partial(pasted, things=self.things, stills=self.still, generator=generator)
            yield view_of(
                self.stills[number], self.outlines[number], generator, add if paste else None
            )


def train_head(
    model: Recognizer,
    photographs: Photographs,
    config: TrainingConfig,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Train the head on features of views that are computed once; the backbone stays."""
    generator = torch.Generator().manual_seed(config.seed)
    kept, outlines = [], []
    model.eval().requires_grad_(False)
    with torch.no_grad():
        for view, objects in photographs.views(config.copies * len(photographs.stills), generator):
            features = model.backbone(view)
            kept.append([features[stage][0].half() for stage in model.head.read])
            outlines.append(objects)
    size = tuple(kept[0][0].shape[-2:])
    targets = Targets.of(outlines, size)
    tell(f"features of {len(kept)} views")

    def batch():
        index = torch.randperm(len(kept), generator=generator)[: config.batch].tolist()
        features = [None] * model.config.stages
        for level, stage in enumerate(model.head.read):
            features[stage] = torch.stack([kept[number][level] for number in index]).float()
        return loss_of(model.head(features), targets.chosen(index))

    _descend(model.head, batch, config.steps, config.rate, config, tell)


def tune(
    model: Recognizer,
    photographs: Photographs,
    config: TrainingConfig,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Train the head and the backbone's stages from `frozen` on, on new views."""
    generator = torch.Generator().manual_seed(config.seed + 1)
    views = photographs.views(config.tuned_steps * config.tuned_batch, generator)
    later = torch.nn.ModuleList([*model.backbone.stages[config.frozen :], model.head])

    def batch():
        drawn = [next(views) for _ in range(config.tuned_batch)]
        with torch.no_grad():
            entered = model.backbone.entered(torch.cat([view for view, _ in drawn]))
            early = model.backbone.onward(entered, 0, config.frozen)
        late = model.backbone.onward(early[-1], config.frozen)
        logits = model.head([*early, *late])
        size = tuple(logits.shape[-2:])
        return loss_of(logits, Targets.of([objects for _, objects in drawn], size))

    _descend(later, batch, config.tuned_steps, config.tuned_rate, config, tell)


def _descend(part, batch, steps, rate, config, tell) -> None:
    """AdamW, the rate rising and falling once (Smith & Topin 2018)."""
    part.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(part.parameters(), rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=config.warm
    )
    since, running = time.perf_counter(), 0.0
    for step in range(1, steps + 1):
        loss = batch()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        running += loss.item()
        if step % 50 == 0:
            seconds = (time.perf_counter() - since) / step
            tell(f"step {step} of {steps}: loss {running / 50:.4f}, {seconds:.2f} s a step")
            running = 0.0
    part.requires_grad_(False).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    for name in ("copies", "scenes", "steps", "tuned_steps", "seed"):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(TrainingConfig, name)
        )
    parser.add_argument("--from", type=Path, dest="begin", help="weights to go on from")
    parser.add_argument("--rate", type=float, default=TrainingConfig.rate)
    parser.add_argument("--pasted", type=float, default=TrainingConfig.pasted)
    for name in ("finest", "width", "stages"):
        parser.add_argument(f"--{name}", type=int, default=getattr(RecognizerConfig, name))
    args = parser.parse_args()
    config = TrainingConfig(
        copies=args.copies,
        pasted=args.pasted,
        scenes=args.scenes,
        steps=args.steps,
        rate=args.rate,
        tuned_steps=args.tuned_steps,
        seed=args.seed,
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    photographs = Photographs(args.photographs, pasted=config.pasted, scenes=config.scenes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # of the head's weights and its dropout
        if args.begin is None:
            model = Recognizer(RecognizerConfig(args.stages, args.finest, args.width))
            model.backbone = load_backbone(args.backbone, args.stages)
        else:
            model = load_recognizer(args.begin)
        train_head(model, photographs, config, LOG.info)
        save_recognizer(model, args.out, asdict(config))
        if config.tuned_steps:
            tune(model, photographs, config, LOG.info)
            save_recognizer(model, args.out, asdict(config))


if __name__ == "__main__":
    main()
