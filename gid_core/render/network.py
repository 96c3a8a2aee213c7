"""The network that refines splatted frames: it predicts, per pixel, shares of candidate colours.

Features of the still are splatted at several scales. A decoder of them and of the splatted frame
predicts how much of each candidate a pixel is made of: the splatted frame, its eight neighbours,
softmax splatting of colours, the still, and an inpainting of the disocclusion from this frame's
surroundings. Networks that predict colours were tried: on scenes they gain less, and on photographs
they leave spots and streaks.

Law: a colour always lies between its candidates; where nothing moves and nothing lands the frame is
the still, bit for bit, trained or not; before training it is the splatted frame.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 5: pyramid, importance by motion;
kernels predicted per pixel, Niklaus et al., "Video Frame Interpolation via Adaptive Convolution",
CVPR 2017; softmax splatting, Niklaus & Liu 2020. No normalization layers, after Lim et al. 2017
(EDSR): statistics over pixels would make a tile depend on what lies far away.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..config import RendererConfig
from ..diffusion.blocks import zeroed
from ..shapes import Float, Tensor
from ..still.filters import pull_push
from ..still.grid import resize_displacement
from .layers import SplattedFrame
from .splat import softmax_splat

GATE_PX = 0.25  # motion from which a pixel may differ from the splatted frame entirely
GIVEN = 11  # input channels: still, frame, disocclusion, displacement, importance, distance moved
NEIGHBOURS = tuple((y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1))
OTHERS = len(NEIGHBOURS) + 3  # candidates: neighbours, still, softmax splatting, inpainting


class _Block(nn.Module):
    """A residual block of two convolutions, the identity at initialization."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = zeroed(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        # In place where that changes nothing: of a large tile each of these takes 40 MB.
        return self.second(F.silu(self.first(F.silu(x)), inplace=True)).add_(x)


class RenderModel(nn.Module):
    """Encoder of a still, decoder of its splatted features. Level i has 1 / 2^(i + 1) of the
    size."""

    def __init__(self, config: RendererConfig):
        super().__init__()
        self.config = config
        features, widths = config.features, config.widths
        levels = range(len(widths))
        into = [12, *features[:-1]]
        stride = lambda i: 1 if i == 0 else 2
        self.encode = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(into[i], features[i], 3, stride(i), 1),
                _Block(features[i]),
            )
            for i in levels
        )
        # A level decodes the splatted features, where they landed, and the finer level's output.
        finer = [4 * (GIVEN - 3), *widths[:-1]]
        self.down = nn.ModuleList(nn.Conv2d(finer[i], widths[i], 3, stride(i), 1) for i in levels)
        self.join = nn.ModuleList(nn.Conv2d(features[i] + 1, widths[i], 3, 1, 1) for i in levels)
        blocks = lambda i: nn.Sequential(*(_Block(widths[i]) for _ in range(config.blocks)))
        self.before = nn.ModuleList(blocks(i) for i in levels)
        self.after = nn.ModuleList(blocks(i) for i in levels[:-1])
        self.up = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in levels[:-1])
        self.shares = zeroed(nn.Conv2d(widths[0], 4 * OTHERS, 3, padding=1))

    @property
    def multiple(self) -> int:
        """The sides of a padded picture are multiples of this, px."""
        return 2 ** len(self.config.widths)

    @property
    def halo(self) -> int:
        """Receptive field of the decoder beyond a tile, px, rounded up to whole multiples."""
        levels, block = len(self.config.widths), 2 * self.config.blocks
        far = 1  # the last layer's; in px of a level, from the finest to the coarsest and back
        for _ in range(levels - 1):
            far = (far + block + 1) // 2
        for _ in range(levels - 1):
            far = 2 * (far + block) + 1
        far = 2 * (far + block + 1) + 1
        return -(-far // self.multiple) * self.multiple

    def padded(
        self, picture: Float[Tensor, "b c h w"], mode="constant"
    ) -> Float[Tensor, "b c h2 w2"]:
        """Pad to whole multiples at the right and below, with zeros or by "replicate".

        What needs no padding is handed back as it is, and not copied.
        """
        right, below = (-n % self.multiple for n in reversed(picture.shape[-2:]))
        return F.pad(picture, (0, right, 0, below), mode) if right or below else picture

    def pyramid(self, still: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of a still, finest first, computed once for all its frames."""
        levels, x = [], F.pixel_unshuffle(still, 2)
        for layer in self.encode:
            levels.append(x := layer(x))
        return levels

    def splatted(
        self,
        pyramid: Sequence[Float[Tensor, "b _ _ _"]],
        displacement: Float[Tensor, "b 2 h w"],
        importance: Float[Tensor, "b 1 h w"],
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Every level splatted; its last channel is how much of each pixel was covered."""
        moved = []
        for level in pyramid:
            size = tuple(level.shape[-2:])
            field = resize_displacement(displacement, size)
            logits = F.interpolate(importance, size, mode="area").float()
            features, coverage = softmax_splat(level.float(), field.float(), logits)
            moved.append(torch.cat([features, coverage.clamp(max=1)], 1).to(level))
        return moved

    def forward(
        self,
        splatted: Sequence[Float[Tensor, "b _ _ _"]],
        still: Float[Tensor, "b 3 h w"],
        frame: Float[Tensor, "b 3 h w"],
        disocclusion: Float[Tensor, "b 1 h w"],
        distance: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b o h w"]:
        """Shares of the OTHERS in every pixel, for `mixed`: 0 or more, their sum at most 1.

        Args:
            frame: The splatted frame.
            distance: How far what left a pixel or arrived there has moved, px.
        """
        gate = (distance / GATE_PX).clamp(max=1)
        given = torch.cat([still, frame, disocclusion, gate], 1).to(self.shares.weight)
        x, skips = F.pixel_unshuffle(given, 2), []
        del given
        for i, level in enumerate(splatted):
            x = self.before[i](self.down[i](x).add_(self.join[i](level)))
            skips.append(x)
        skips.pop()
        for i in reversed(range(len(self.up))):
            x = F.interpolate(self.up[i](x), scale_factor=2.0).add_(skips.pop())
            x = self.after[i](x)
        # Zero at initialization; clamp passes the gradient at zero itself.
        share = F.pixel_shuffle(self.shares(F.silu(x)), 2).float().clamp_(min=0)
        total = share.sum(1, keepdim=True).clamp_(min=1)
        return share.mul_(gate).div_(total)

    def refined(self, given: Float[Tensor, "b g h w"]) -> Float[Tensor, "b 3 h w"]:
        """The refined frame, from the channels of `given_of`; any size."""
        height, width = given.shape[-2:]
        # Past the border nothing is known but the border itself.
        pictures, rest = self.padded(given[:, :7], "replicate"), self.padded(given[:, 7:])
        still, frame, disocclusion = pictures.split((3, 3, 1), 1)
        displacement, importance, distance = rest.split((2, 1, 1), 1)
        levels = self.splatted(self.pyramid(still), displacement, importance)
        share = self(levels, still, frame, disocclusion, distance)
        others = others_of(still, frame, disocclusion, displacement, importance)
        return mixed(frame, still, others, share)[..., :height, :width]


def given_of(splatted: SplattedFrame) -> Float[Tensor, "g h w"]:
    """The input channels of a `RenderModel`, of a frame in colour: GIVEN of them."""
    return torch.cat(
        [splatted.layers.still, splatted.frame, splatted.disocclusion, splatted.fields]
    )


def others_of(
    still: Float[Tensor, "b c h w"],
    frame: Float[Tensor, "b c h w"],
    disocclusion: Float[Tensor, "b 1 h w"],
    displacement: Float[Tensor, "b 2 h w"],
    importance: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b c2 h w"]:
    """Candidates that need the whole frame: `splatted_colours` and `inpainted`.

    A tile alone could not make them: what fills a hole may lie far from it. Pictures with alpha are
    premultiplied.
    """
    colours = splatted_colours(still, frame, displacement, importance)
    return torch.cat([colours, inpainted(frame, disocclusion)], 1)


def splatted_colours(
    still: Float[Tensor, "b c h w"],
    frame: Float[Tensor, "b c h w"],
    displacement: Float[Tensor, "b 2 h w"],
    importance: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b c h w"]:
    """The still's colours by softmax splatting; the frame where none landed."""
    splatted, coverage = softmax_splat(still, displacement, importance)
    return torch.where(coverage > 0, splatted, frame)


def inpainted(
    frame: Float[Tensor, "b c h w"], disocclusion: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b c h w"]:
    """The frame with its disocclusion filled from this frame's surroundings."""
    return pull_push(frame, (1 - 2 * disocclusion).clamp(min=0))


def mixed(
    frame: Float[Tensor, "b c h w"],
    still: Float[Tensor, "b c h w"],
    others: Float[Tensor, "b c2 h w"],
    share: Float[Tensor, "b o h w"],
) -> Float[Tensor, "b c h w"]:
    """The frame with shares of its eight neighbours (row by row), the still and `others_of` mixed
    in.

    Pictures with alpha are premultiplied; alpha is mixed as colours are.
    """
    height, width = frame.shape[-2:]
    around = F.pad(frame, (1, 1, 1, 1), mode="replicate")
    neighbours = (around[..., y : y + height, x : x + width] for y, x in NEIGHBOURS)
    made = frame * (1 - share.sum(1, keepdim=True))
    for one, other in zip(
        share.split(1, 1), (*neighbours, still, *others.chunk(2, 1)), strict=True
    ):
        made = torch.addcmul(made, one, other)
    return made.clamp(0, 1)


def fresh_renderer(config: RendererConfig, seed: int = 0) -> RenderModel:
    """An untrained model, the same for a seed; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return RenderModel(config)
