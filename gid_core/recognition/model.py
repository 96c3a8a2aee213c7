"""The recognizer: a still in; per place what may sway, what flows, what kind it is and how far it
goes.

Law: the same still and weights give the same maps. The still is brought to whole multiples of 32 px
near `longest_side`, both sides by nearly the same ratio, so that nothing that the network sees is
made up at a border.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..files.weights import load_weights, save_weights
from ..shapes import Float, Int, Tensor
from .backbone import MULTIPLE, STAGES, Backbone
from .head import DEGREE, FLOWS, KIND, SWAYS, Head

WEIGHTS = "recognizer"  # kind of weights
MOST_SIDE = 2048  # of what a file may ask for


@dataclass(frozen=True)
class RecognizerConfig:
    stages: int = 7  # of the backbone
    finest: int = 2  # stage, the first that the head reads (4 px of the picture a place)
    width: int = 64  # channels of the head
    longest_side: int = 640  # px of the picture that the network is shown, about


@dataclass(frozen=True)
class Recognition:
    """Maps at the still's size; shares and chances are in [0, 1].

    `kind` is an index of `KINDS`: what a place is if it sways or flows. `degree` is how far it
    goes, against what goes farthest in the picture.
    """

    sways: Float[Tensor, "1 1 h w"]
    flows: Float[Tensor, "1 1 h w"]
    degree: Float[Tensor, "1 1 h w"]
    kind: Int[Tensor, "1 1 h w"]


class Recognizer(nn.Module):
    """A backbone and the head that reads it."""

    def __init__(self, config: RecognizerConfig):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.stages)
        self.head = Head(config.finest, config.stages, config.width)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Logits (`head.SWAYS` and so on) of pictures whose sides are multiples of 32."""
        return self.head(self.backbone(image))


def seen_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """(height, width) at which a still of a size is shown to the network."""
    scale = longest_side / max(size)
    height, width = (max(1, round(n * scale / MULTIPLE)) * MULTIPLE for n in size)
    return height, width


@torch.no_grad()
def logits_of(model: Recognizer, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 o h2 w2"]:
    """What the network says of a still, on its own places."""
    size = seen_size(tuple(image.shape[-2:]), model.config.longest_side)
    seen = F.interpolate(image.float(), size, mode="bilinear", antialias=True).clamp(0, 1)
    return model(seen.to(model.head.say.weight)).float()


def recognize(model: Recognizer, image: Float[Tensor, "1 3 h w"]) -> Recognition:
    """What things are, in a still in [0, 1] of any size, at its size."""
    logits = logits_of(model, image).to(image.device)
    size = tuple(image.shape[-2:])

    def share(channels: slice) -> Float[Tensor, "1 1 h w"]:
        return F.interpolate(logits[:, channels], size, mode="bilinear").sigmoid()

    kind = logits[:, KIND].argmax(1, keepdim=True)
    kind = F.interpolate(kind.float(), size, mode="nearest-exact").long()
    return Recognition(share(SWAYS), share(FLOWS), share(DEGREE), kind)


def shipped() -> Path:
    """The weights that came with Image Dynamics."""
    return Path(__file__).parent.parent / "pretrained" / "recognizer-small.safetensors"


def save_recognizer(model: Recognizer, path: str | Path, notes: dict | None = None) -> None:
    """Write weights; `notes` say what to know about them: data, steps, measures."""
    save_weights(model, WEIGHTS, path, notes)


def load_recognizer(path: str | Path) -> Recognizer:
    """Read weights.

    Raises:
        ValueError: As `load_weights`.
    """
    return load_weights(path, WEIGHTS, RecognizerConfig, sensible, Recognizer)


def sensible(config: RecognizerConfig) -> bool:
    """Whether the fields of a configuration from a file are within limits."""
    return (
        1 <= config.finest <= config.stages <= len(STAGES)
        and config.width >= 1
        and MULTIPLE <= config.longest_side <= MOST_SIDE
    )
