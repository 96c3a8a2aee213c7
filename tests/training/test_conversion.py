import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gid_core.recognition.backbone import STAGES
from gid_core.training.conversion import EPSILON, converted, folded


def a_norm(channels, rng):
    drawn = torch.rand(4, channels, generator=rng, dtype=torch.float64)
    names = ("weight", "bias", "running_mean", "running_var")
    return dict(zip(names, drawn, strict=True))


def test_a_folded_convolution_is_the_two_layers(rng):
    weight = torch.randn(4, 3, 5, 5, generator=rng, dtype=torch.float64)
    norm = a_norm(4, rng)
    x = torch.randn(2, 3, 8, 9, generator=rng, dtype=torch.float64)
    apart = F.batch_norm(
        F.conv2d(x, weight),
        norm["running_mean"],
        norm["running_var"],
        norm["weight"],
        norm["bias"],
        eps=EPSILON,
    )
    torch.testing.assert_close(F.conv2d(x, *folded(weight, norm)), apart)


def published(rng):
    """Tensors under the names of the package, small random numbers."""
    tensors, given, number = {}, 32, 0

    def add(convolution, norm, *shape):
        tensors[f"{convolution}.weight"] = torch.randn(shape, generator=rng)
        for name, drawn in a_norm(shape[0], rng).items():
            tensors[f"{norm}.{name}"] = drawn.float()

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    for expansion, kernel, _, made, blocks in STAGES:
        for _ in range(blocks):
            name, wide = f"_blocks.{number}", given * expansion
            if expansion > 1:
                add(f"{name}._expand_conv", f"{name}._bn0", wide, given, 1, 1)
            add(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, kernel, kernel)
            add(f"{name}._project_conv", f"{name}._bn2", made, wide, 1, 1)
            given, number = made, number + 1
    return tensors


def test_every_published_tensor_of_a_stage_is_used(rng):
    tensors = published(rng)
    model = converted(tensors)
    weights = sum(n.endswith("conv.weight") or n == "_conv_stem.weight" for n in tensors)
    assert weights == sum(isinstance(m, nn.Conv2d) for m in model.modules())
    # One that is missing is noticed, whichever.
    for name in ("_conv_stem.weight", "_blocks.15._bn2.running_var"):
        with pytest.raises(KeyError, match=name):
            converted({n: t for n, t in tensors.items() if n != name})


def test_a_block_lies_where_it_lay(rng):
    tensors = published(rng)
    weight, bias = folded(
        tensors["_blocks.4._depthwise_conv.weight"],
        {
            n: tensors[f"_blocks.4._bn1.{n}"]
            for n in ("weight", "bias", "running_mean", "running_var")
        },
    )
    layer = converted(tensors).stages[2][1].filter  # blocks: 1, 2, 2, of which it is the fifth
    assert torch.equal(layer.weight, weight) and torch.equal(layer.bias, bias)
