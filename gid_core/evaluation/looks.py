"""Distances of looks by the features of recognition: EfficientNet-Lite0, trained on ImageNet.

They need no weights beyond those that came along. They are of the form of LPIPS and FID, and are
neither: other networks see other things, and no judgement of people has weighed these features.
Compare them with each other, never with published numbers of those.

Law: a picture against itself has distance 0, and the order does not matter.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
2018, Eq. 1 without its learned weights; Heusel et al. 2017 for the Frechet distance of features.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ..recognition.backbone import Backbone
from ..recognition.model import load_recognizer, seen_size, shipped
from ..shapes import Float, Tensor
from .feature_distances import Network, video_distance

BATCH = 8  # frames that are looked at together
MOST_FRAMES = 24  # of a clip, evenly spaced
SMALLEST_LENGTH = 1e-6  # of features: where a network sees nothing, nothing differs


def load_looks() -> Backbone:
    """The network that looks, as it came with Image Dynamics."""
    return load_recognizer(shipped()).backbone.float().eval()


def look_distance(
    backbone: Backbone, frames: Float[Tensor, "t 3 h w"], others: Float[Tensor, "t 3 h w"]
) -> Float[Tensor, " t"]:
    """How differently two pictures look, of every pair, 0 to 4.

    Features of every place have unit length. Their squared distance is averaged over places, and
    over the stages of the network.
    """
    found = []
    for pair in zip(_stages(backbone, frames), _stages(backbone, others)):
        found.append(torch.stack([features_apart(*stage) for stage in zip(*pair)]).mean(0))
    return torch.cat(found)


def features_apart(
    features: Float[Tensor, "n c h w"], others: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Squared distance of features that are brought to unit length, mean over places; 0 to 4."""
    one, other = (F.normalize(x, dim=1, eps=SMALLEST_LENGTH) for x in (features, others))
    return (one - other).square().sum(1).mean((1, 2))


def look_features(backbone: Backbone, frames: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t d"]:
    """Features of the last stage, averaged over the picture."""
    return torch.cat([stages[-1].mean((2, 3)) for stages in _stages(backbone, frames)])


def look_network(backbone: Backbone) -> Network:
    """The Frechet distance of looks, as a metric of sets of clips."""

    def features(frames):
        return look_features(backbone, spaced(frames))

    return Network(features, {"frechet_looks": video_distance})


def spaced(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "n c h w"]:
    """At most `MOST_FRAMES` frames, evenly spaced, the first among them."""
    step = max(1, -(-len(frames) // MOST_FRAMES))
    return frames[::step]


@torch.no_grad()
def _stages(backbone, frames) -> Iterator[list[Tensor]]:
    """Features of every stage, a few frames at a time, at the frames' own size or nearly so."""
    size = seen_size(tuple(frames.shape[-2:]), max(frames.shape[-2:]))
    for part in frames.split(BATCH):
        seen = F.interpolate(part.float(), size, mode="bilinear", antialias=True).clamp(0, 1)
        yield backbone(seen)
