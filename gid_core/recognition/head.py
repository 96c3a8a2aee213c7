"""From features of a backbone to what a place is: a feature pyramid with the whole picture's word
at its top.

The coarsest features start, with their mean over the picture beside them; every finer stage is
added to what came from above, and looked at over 3x3 places. What comes out is on the places of the
finest stage that is read.

Source: Lin et al., "Feature Pyramid Networks", CVPR 2017; the picture's mean, Liu et al.,
"ParseNet", 2015.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from ..shapes import Float, Tensor
from .backbone import STAGES
from .kinds import KINDS

SWAYS, FLOWS, KIND = slice(0, 1), slice(1, 2), slice(2, 2 + len(KINDS))
DEGREE = slice(KIND.stop, KIND.stop + 1)
OUTPUTS = DEGREE.stop
# How large the features of a stage are on photographs (deviation): a unit for all of them learns
# evenly.
SIZES = (20.0, 20.0, 10.0, 8.0, 8.0, 4.0, 2.0)


class Head(nn.Module):
    """Logits per place: sways, flows, kinds (which, if any), degree.

    Args:
        finest: The first stage that is read, from 1.
        stages: The last.
    """

    def __init__(self, finest: int, stages: int, width: int, dropout: float = 0.1):
        super().__init__()
        self.read = tuple(range(finest - 1, stages))
        self.dropout = dropout
        channels = [STAGES[i][3] for i in self.read]
        self.join = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.whole = nn.Linear(channels[-1], width)
        self.look = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, width, 1)
            )
            for _ in channels
        )
        self.say = nn.Conv2d(width, OUTPUTS, 1)

    def forward(
        self, features: Sequence[Float[Tensor, "b _ _ _"] | None]
    ) -> Float[Tensor, "b o h w"]:
        """Logits on the places of the finest stage read.

        Args:
            features: Of all the backbone's stages; those that are not read may be missing.
        """
        return self.say(F.silu(self.joined(features)))

    def joined(
        self, features: Sequence[Float[Tensor, "b _ _ _"] | None]
    ) -> Float[Tensor, "b d h w"]:
        """What all stages say together of a place, before it is put into words."""
        x = None
        for level in reversed(range(len(self.read))):
            stage = self.read[level]
            given = F.dropout2d(features[stage] / SIZES[stage], self.dropout, self.training)
            joined = self.join[level](given)
            if x is None:
                x = joined + self.whole(given.mean((2, 3)))[..., None, None]
            else:
                x = joined + F.interpolate(x, joined.shape[-2:], mode="bilinear")
            x = x + self.look[level](F.silu(x))
        return x
