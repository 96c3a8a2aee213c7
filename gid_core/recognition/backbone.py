"""Features of photographs: EfficientNet-Lite0 without its classifier, in our own few lines.

Batch normalization is folded into the convolutions when weights are converted
(`training/conversion.py`), so a place depends on nothing but the places around it. Sides are whole
multiples of `MULTIPLE`, and a convolution of stride 2 pads one place less before than behind, as
TensorFlow trained it.

Source: Tan & Le, "EfficientNet", ICML 2019, Table 1; inverted residuals, Sandler et al.,
"MobileNetV2", CVPR 2018, Table 1. Lite: no squeeze and excitation, ReLU6 throughout, a stem of 32
channels whatever the width.
"""

import torch.nn.functional as F
from torch import nn

from ..shapes import Float, Tensor

STEM = 32  # channels
# expansion, kernel, stride of the first block, channels, blocks (Tan & Le 2019, Table 1)
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STRIDES = (2, 4, 8, 16, 16, 32, 32)  # px of the picture from one place of a stage to the next
MULTIPLE = 32  # what the sides of a picture are multiples of
MIDDLE, HALF_RANGE = (
    127 / 255,
    128 / 255,
)  # the picture is (x - middle) / half range, as they trained it


class _Convolution(nn.Conv2d):
    """As "same" in TensorFlow: with stride 2 and even sides, one place less before than behind."""

    def __init__(self, given: int, made: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(given, made, kernel, stride, groups=groups)
        before = (kernel - stride) // 2
        self.around = (before, kernel - stride - before) * 2 if kernel > 1 else (0, 0, 0, 0)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return super().forward(F.pad(x, self.around) if any(self.around) else x)


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter every channel by itself, and narrow without a
    nonlinearity."""

    def __init__(self, given: int, made: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = given * expansion
        self.widen = _Convolution(given, wide, 1) if expansion > 1 else nn.Identity()
        self.filter = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.narrow = _Convolution(wide, made, 1)
        self.residual = stride == 1 and given == made

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        wide = F.relu6(self.widen(x)) if isinstance(self.widen, nn.Conv2d) else x
        made = self.narrow(F.relu6(self.filter(wide)))
        return x + made if self.residual else made


class Backbone(nn.Module):
    """The first stages of EfficientNet-Lite0; every stage's last features are given out.

    Args:
        stages: How many, 1 to 7.
    """

    def __init__(self, stages: int):
        super().__init__()
        self.stem = _Convolution(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        given = STEM
        for expansion, kernel, stride, made, blocks in STAGES[:stages]:
            steps = [(given, stride), *[(made, 1)] * (blocks - 1)]
            self.stages.append(
                nn.Sequential(*(InvertedResidual(n, made, expansion, kernel, s) for n, s in steps))
            )
            given = made

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of every stage, finest first, of pictures in [0, 1] whose sides are multiples of
        32."""
        return self.onward(self.entered(image))

    def entered(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _ _ _"]:
        """What the stem makes of pictures."""
        return F.relu6(self.stem((image - MIDDLE) / HALF_RANGE))

    def onward(
        self, x: Float[Tensor, "b _ h w"], first: int = 0, end: int | None = None
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of stages `first` up to, and without, `end`, of what comes before them."""
        return [x := stage(x) for stage in self.stages[first:end]]
