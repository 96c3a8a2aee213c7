"""Perceptual distance between two pictures, from the features of a classification network.

Law: zero for equal pictures, and symmetric; gradients flow to both.

The network is that of the recognizer, which came along, or VGG-16. We may not ship the weights of
the latter: they are read from the user's disk, from a safetensors file with torchvision's names
(`features.0.weight`, ...), never from a pickle. Features have unit length at every pixel and equal
weights, as in LPIPS without its learned weights.

Source: Simonyan & Zisserman 2015; Johnson et al., ECCV 2016; Zhang et al., CVPR 2018 (unit length).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import nn

from ..evaluation.looks import features_apart
from ..recognition.backbone import MULTIPLE, Backbone
from ..recognition.model import load_recognizer, shipped
from ..shapes import Float, Tensor

RECOGNIZER = "recognizer"  # in place of a path: the features that came along
STAGES = 5  # of the recognizer's backbone, down to 16 px of the picture a place
# Widths of the convolutions; "M" is a max pooling, and features are taken before each.
PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class LookDistance(nn.Module):
    """The stem and the first stages of a recognizer's backbone, frozen.

    name: what a run's settings record.
    """

    name = RECOGNIZER

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone.float().eval().requires_grad_(False)

    def forward(
        self, one: Float[Tensor, "b 3 h w"], other: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, " b"]:
        """Distance item by item, 0 to 4: mean over places and stages, of any size."""
        x = torch.cat([one, other])
        below, right = (-n % MULTIPLE for n in x.shape[-2:])
        x = self.backbone.entered(F.pad(x, (0, right, 0, below), "replicate"))
        stages = [x, *self.backbone.onward(x, end=STAGES)]
        return torch.stack([_distance(features) for features in stages]).mean(0)


class PerceptualDistance(nn.Module):
    """The first four groups of VGG-16, frozen.

    name: what a run's settings record.
    """

    name = True

    def __init__(self):
        super().__init__()
        layers, width = [], 3
        for step in PLAN:
            if step == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(width, step, 3, padding=1), nn.ReLU()]
                width = step
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)

    def forward(
        self, one: Float[Tensor, "b 3 h w"], other: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, " b"]:
        """Distance item by item, 0 to 4: mean over pixels and groups."""
        x = torch.cat([one, other])
        mean, deviation = (x.new_tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
        x, distances = (x - mean) / deviation, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                distances.append(_distance(x))
            x = layer(x)
        return torch.stack([*distances, _distance(x)]).mean(0)


def _distance(features):
    """Of the first half of a batch from the second."""
    return features_apart(*features.chunk(2))


def load_perceptual_distance(path: str | Path) -> LookDistance | PerceptualDistance:
    """The recognizer that came along, or VGG-16: its first four groups; the file may hold more.

    Args:
        path: Of VGG-16, or "recognizer".

    Raises:
        ValueError: If the file is missing, is no safetensors file, or does not hold VGG-16 by
            torchvision's names.
    """
    path = Path(path)
    if str(path) == RECOGNIZER:
        return LookDistance(load_recognizer(shipped()).backbone)
    if not path.is_file():
        raise ValueError(
            f'Expected "{RECOGNIZER}" or the weights of VGG-16, found nothing at {str(path)!r}.'
        )
    with torch.device("meta"):
        network = PerceptualDistance()
    tensors = {}
    try:
        with safe_open(path, "pt") as file:
            stored = set(file.keys())
            for name, own in network.state_dict().items():
                shape = file.get_slice(name).get_shape() if name in stored else None
                if shape != list(own.shape):
                    raise ValueError(
                        f"{path.name!r} is not VGG-16 by torchvision's names: {name} has shape "
                        f"{shape}, expected {list(own.shape)}."
                    )
                tensors[name] = file.get_tensor(name).float()
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name!r} is not a readable safetensors file: {error}. A .pth file is a pickle "
            "and is not read: save its tensors with safetensors first."
        ) from error
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)
