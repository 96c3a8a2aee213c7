"""How unlike two pictures look: by the features of a network that was trained to tell things apart.

Law: zero for equal pictures and symmetric; a gradient flows to both.

The network is VGG-16, whose weights are nobody's to ship here: a safetensors file with torchvision's
names (`features.0.weight`, ...) is read from the user's disk, and never a pickle. Features are of unit
length at every pixel and count alike: LPIPS without its learned weights.

Source: Simonyan & Zisserman 2015; Johnson et al., ECCV 2016; Zhang et al., CVPR 2018 (unit lengths).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import nn

from ..shapes import Float, Tensor

# Widths of the convolutions, and "M" where the picture is halved; features are taken before that.
PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class Perception(nn.Module):
    """The first four groups of VGG-16, frozen."""

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
        """How unlike they look, item by item: 0 ... 4 a group, mean over pixels and groups."""
        x = torch.cat([one, other])
        mean, deviation = (x.new_tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
        x, unlike = (x - mean) / deviation, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                unlike.append(_unlike(x))
            x = layer(x)
        return torch.stack([*unlike, _unlike(x)]).mean(0)


def _unlike(features):
    one, other = F.normalize(features, dim=1, eps=1e-6).chunk(2)
    return (one - other).square().sum(1).mean((1, 2))


def load_perception(path: str | Path) -> Perception:
    """Read the weights; those of later layers are left alone.

    Raises:
        ValueError: If the file is missing, no safetensors file, or not VGG-16 by torchvision's names.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Expected the weights of VGG-16, found nothing at {str(path)!r}.")
    with torch.device("meta"):
        network = Perception()
    tensors = {}
    try:
        with safe_open(path, "pt") as file:
            stored = set(file.keys())
            for name, wanted in network.state_dict().items():
                shape = file.get_slice(name).get_shape() if name in stored else None
                if shape != list(wanted.shape):
                    raise ValueError(
                        f"{path.name!r} is not VGG-16 by torchvision's names: {name} has shape {shape}, "
                        f"expected {list(wanted.shape)}."
                    )
                tensors[name] = file.get_tensor(name).float()
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name!r} is not a readable safetensors file: {error}. A .pth file is a pickle and is not "
            "read: save its tensors with safetensors first."
        ) from error
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)
