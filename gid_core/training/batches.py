"""Batches of prepared samples, drawn in one go, on the processor or on a card.

Law: a batch depends on the generator and the folder's samples alone, however many came at a time.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..diffusion.motion_latents import coverage
from ..recognition.moving_area import LIKELY
from ..shapes import Float, Int, Tensor

RECOGNIZED = 0.5  # share of items whose moving share is the recognizer's, not the outlines'


@dataclass(frozen=True)
class Batch:
    """Views, what is allowed to move in them, and a motion of each.

    share, counts: Of every place of a code, how much may move, and how much moves.
    energy: Mean square of every scalar over all winds, and over real and imaginary parts.
    """

    seen: Float[Tensor, "b s h w"]
    share: Float[Tensor, "b 1 h w"]
    counts: Float[Tensor, "b 1 h w"]
    motion: Float[Tensor, "b k 4 h w"]
    energy: Float[Tensor, "b k 4 h w"]


@dataclass(frozen=True)
class Stack:
    """Samples of one shape; those with fewer winds than the most have the first ones again.

    names: Of their files; samples lie in this order.
    """

    names: tuple[str, ...]
    seen: Float[Tensor, "n s h w"]
    recognized: Float[Tensor, "n 1 h w"]
    outlined: Float[Tensor, "n 1 h w"]
    motions: Float[Tensor, "n m k 4 h w"]
    winds: Int[Tensor, " n"]

    @staticmethod
    def of(named: dict[str, dict[str, Tensor]], device: str) -> "Stack":
        names, samples = zip(*sorted(named.items()))
        most = max(len(sample["motions"]) for sample in samples)
        likely = [(sample["sways"][None] > LIKELY).float() for sample in samples]
        motions = [sample["motions"] for sample in samples]
        parts = (
            torch.stack([sample["features"] for sample in samples]),
            torch.cat([coverage(share) for share in likely]),
            torch.cat([coverage(sample["matte"][None].float()) for sample in samples]),
            torch.stack([m[torch.arange(most) % len(m)] for m in motions]),
            torch.tensor([len(m) for m in motions]),
        )
        return Stack(names, *(part.to(device) for part in parts))

    def joined(self, other: "Stack") -> "Stack":
        """The stack of both stacks' samples."""
        names = self.names + other.names
        order = sorted(range(len(names)), key=names.__getitem__)
        most = max(stack.motions.shape[1] for stack in (self, other))
        both = [replace(stack, motions=stack._of_winds(most)) for stack in (self, other)]
        parts = ("seen", "recognized", "outlined", "motions", "winds")
        parts = {part: torch.cat([getattr(one, part) for one in both])[order] for part in parts}
        return Stack(tuple(names[i] for i in order), **parts)

    def _of_winds(self, most):
        """The motions with so many winds of every sample."""
        wind = torch.arange(most, device=self.winds.device) % self.winds[:, None]
        return self.motions[torch.arange(len(wind), device=wind.device)[:, None], wind]

    def chosen(self, rows: Int[Tensor, " b"], generator: torch.Generator) -> Batch:
        """Some samples, each in one of its winds, from a time of its own on."""
        drawn = torch.rand(3, len(rows), generator=generator).to(self.seen.device)
        rows = rows.to(self.seen.device)
        winds = self.winds[rows]
        motions = self.motions[rows].float()
        motion = motions[torch.arange(len(rows)), (drawn[0] * winds).long()]
        known = torch.arange(motions.shape[1], device=rows.device) < winds[:, None]
        energy = motions.square() * known.view(*known.shape, 1, 1, 1, 1)
        energy = energy.sum(1) / winds.view(-1, 1, 1, 1, 1)
        energy = energy.unflatten(2, (2, 2)).mean(3, keepdim=True).expand(-1, -1, -1, 2, -1, -1)
        outlined = self.outlined[rows]
        seen_share = (drawn[1] < RECOGNIZED).view(-1, 1, 1, 1)
        share = torch.where(seen_share, self.recognized[rows], outlined)
        return Batch(
            self.seen[rows].float(),
            share,
            outlined,
            shifted(motion, drawn[2]),
            energy.flatten(2, 3),
        )


@dataclass
class Prepared:
    """The samples of a folder, in memory; a batch has one shape.

    device: Where they lie. stacks: By the shape of their motions.
    """

    folder: Path
    device: str = "cpu"
    stacks: dict[tuple[int, ...], Stack] = field(default_factory=dict, init=False)
    known: set[str] = field(default_factory=set, init=False)

    def __post_init__(self):
        self.refresh()
        if not self.stacks:
            raise ValueError(
                f"Expected prepared samples in {str(self.folder)!r}, found none. Make them with "
                "`python -m gid_core.training.prepared`."
            )

    def __len__(self) -> int:
        return len(self.known)

    def refresh(self) -> None:
        """Take up what was added to the folder."""
        by_shape: dict[tuple, dict] = {}
        # Names of files that are still being written begin with a dot.
        found = sorted(self.folder.glob("[!.]*.safetensors"))
        new = [p for p in found if p.name not in self.known]
        for path in new:
            sample = load_file(path)
            by_shape.setdefault(tuple(sample["motions"].shape[1:]), {})[path.name] = sample
            self.known.add(path.name)
        for shape, named in by_shape.items():
            stack, before = Stack.of(named, self.device), self.stacks.get(shape)
            self.stacks[shape] = stack if before is None else before.joined(stack)

    def batch(self, count: int, generator: torch.Generator) -> Batch:
        """`count` samples of one shape; every sample is drawn equally often."""
        stacks = [stack for _, stack in sorted(self.stacks.items())]
        sizes = torch.tensor([float(len(stack.names)) for stack in stacks])
        stack = stacks[int(torch.multinomial(sizes, 1, generator=generator))]
        return stack.chosen(
            torch.randint(len(stack.names), (count,), generator=generator), generator
        )

    def usual(self) -> Float[Tensor, " k"]:
        """The root mean square of every band's scalars, over all that moves."""
        total, counted = 0.0, 0.0
        for _, stack in sorted(self.stacks.items()):
            counts = stack.outlined
            energy = stack.motions.float().square().mean((1, 3)) * counts
            total = total + energy.sum((0, 2, 3))
            counted = counted + counts.sum()
        return (total / counted).sqrt().cpu()


def shifted(
    motion: Float[Tensor, "b k 4 h w"], turn: Float[Tensor, " b"]
) -> Float[Tensor, "b k 4 h w"]:
    """Motions as they are seen from another time on: band k is turned by k times a phase."""
    k = torch.arange(1, motion.shape[1] + 1).to(motion)
    phase = (2 * math.pi * turn[:, None] * k).view(*motion.shape[:2], 1, 1, 1)
    re, im = motion[:, :, 0::2], motion[:, :, 1::2]
    cos, sin = phase.cos(), phase.sin()
    return torch.stack([re * cos - im * sin, re * sin + im * cos], 3).flatten(2, 3)
