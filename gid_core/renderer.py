"""From a still and a displacement to frames: a network that finishes what splatting leaves undone.

Features of the still are splatted at some sizes and decoded into a painting; how much of it is laid
over the weightless frame of `separation` the network says itself, pixel by pixel, and motion gates it.

Law: where nothing moves and nothing lands, the frame is the still, bit for bit, trained or not; as a
motion goes to zero the frame goes to the still; before training every frame is the weightless one. Tiles
that begin on whole multiples, with a margin of `RenderModel.halo`, give what the whole gives.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 5: pyramid, importance by motion;
Niklaus & Liu 2020 for softmax splatting. Nothing is normalized, after Lim et al. 2017 (EDSR): over pixels
it would tie tiles, and frames, to what lies far away, and over channels take the contrast that a change
has to be in proportion to (tried: nothing was learned).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .config import RendererConfig
from .grid import resize_displacement
from .layers import zeroed
from .separation import Moved, moved_frames, premultiplied, straight
from .shapes import Float, Tensor
from .spectrum import Displacement, exposed
from .splat import normalize_splat, softmax_weight, splat
from .weights import load_weights, save_weights

log = logging.getLogger("gid")
KIND = "renderer"  # of weights
MOST_LEVELS, MOST_BLOCKS = 6, 16  # of a configuration that a file may ask for
LEAST_SHARE = 0.05  # of what is painted, where the network would rather leave the frame as it is
# What allocators say. The last but one is oneDNN's, which says it of kernels that it lacks too.
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed", "could not create a primitive", "bad_alloc")  # fmt: skip
SMALLER = "Free some, or render a smaller picture."
REMEDY = "Free some, render a smaller picture, or choose the renderer without weights."
GATE_PX = 0.25  # motion from which a pixel may be painted over entirely
GIVEN = 11  # still, weightless frame, uncovered, displacement, importance, how far things moved
TILE, SMALLEST_TILE = 1024, 64  # px to a side that is decoded at once, and a margin


class _Block(nn.Module):
    """Two convolutions, added to what comes in; nothing at the start."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = zeroed(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.second(F.silu(self.first(F.silu(x))))


class RenderModel(nn.Module):
    """Encoder of a still, and decoder of what was splatted of it. Level i has 1 / 2^(i + 1) of the size."""

    def __init__(self, config: RendererConfig):
        super().__init__()
        self.config = config
        features, widths = config.features, config.widths
        levels = range(len(widths))
        into = [12, *features[:-1]]
        self.encode = nn.ModuleList(
            nn.Sequential(nn.Conv2d(into[i], features[i], 3, 1 if i == 0 else 2, 1), _Block(features[i]))
            for i in levels
        )  # fmt: skip
        # What a level decodes: the splatted features, where they landed, and what the finer one found.
        finer = [4 * (GIVEN - 3), *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Conv2d(finer[i], widths[i], 3, 1 if i == 0 else 2, 1) for i in levels
        )
        self.join = nn.ModuleList(nn.Conv2d(features[i] + 1, widths[i], 3, 1, 1) for i in levels)
        blocks = lambda i: nn.Sequential(*(_Block(widths[i]) for _ in range(config.blocks)))
        self.before = nn.ModuleList(blocks(i) for i in levels)
        self.after = nn.ModuleList(blocks(i) for i in levels[:-1])
        self.up = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in levels[:-1])
        self.head = zeroed(nn.Conv2d(widths[0], 16, 3, padding=1))

    @property
    def multiple(self) -> int:
        """What the sides of a picture are multiples of."""
        return 2 ** len(self.config.widths)

    @property
    def halo(self) -> int:
        """How far the decoder looks beyond a tile that lies on whole multiples, px, in whole multiples."""
        levels, block = len(self.config.widths), 2 * self.config.blocks
        far = 1  # the head's; in px of a level, from the finest to the coarsest and back
        for _ in range(levels - 1):
            far = (far + block + 1) // 2
        for _ in range(levels - 1):
            far = 2 * (far + block) + 1
        far = 2 * (far + block + 1) + 1
        return -(-far // self.multiple) * self.multiple

    def pyramid(self, still: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of a still, finest first. Once for all its frames."""
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
        """Every level moved, with how much of each pixel something landed on as last channel."""
        moved = []
        for level in pyramid:
            size = tuple(level.shape[-2:])
            field = resize_displacement(displacement, size)
            weight = softmax_weight(F.interpolate(importance, size, mode="area")).float()
            carried = torch.cat([level.float() * weight, weight, torch.ones_like(weight)], 1)
            fallen = splat(carried, field.float())
            features, _ = normalize_splat(fallen)
            moved.append(torch.cat([features, fallen[:, -1:].clamp(max=1)], 1).to(level))
        return moved

    def forward(
        self,
        splatted: Sequence[Float[Tensor, "b _ _ _"]],
        still: Float[Tensor, "b 3 h w"],
        frame: Float[Tensor, "b 3 h w"],
        uncovered: Float[Tensor, "b 1 h w"],
        by: Float[Tensor, "b 1 h w"],
    ) -> Float[Tensor, "b 3 h w"]:
        """The frame, finished.

        Args:
            frame: Without weights.
            by: How far what left a pixel or came to it has moved, px.
        """
        gate = (by / GATE_PX).clamp(max=1)
        given = torch.cat([still, frame, uncovered, gate], 1).to(self.head.weight)
        x, skips = F.pixel_unshuffle(given, 2), []
        for i, level in enumerate(splatted):
            x = self.before[i](self.down[i](x) + self.join[i](level))
            skips.append(x)
        for i in reversed(range(len(self.up))):
            x = skips[i] + F.interpolate(self.up[i](x), scale_factor=2.0)
            x = self.after[i](x)
        change, share = F.pixel_shuffle(self.head(F.silu(x)), 2).float().split((3, 1), 1)
        # A share that could close altogether would learn nothing more from then on.
        share = LEAST_SHARE + (1 - LEAST_SHARE) * torch.sigmoid(share)
        # Zero where nothing moves, by construction: what is added there is exactly nothing.
        return (frame + gate * share * change).clamp(0, 1)

    def finished(self, given: Float[Tensor, "b g h w"]) -> Float[Tensor, "b 3 h w"]:
        """The frame, finished, of what `given_of` puts together; any size."""
        height, width = given.shape[-2:]
        given = F.pad(given, (0, -width % self.multiple, 0, -height % self.multiple))
        still, frame, uncovered, displacement, importance, by = given.split((3, 3, 1, 2, 1, 1), 1)
        levels = self.splatted(self.pyramid(still), displacement, importance)
        return self(levels, still, frame, uncovered, by)[..., :height, :width]


def given_of(moved: Moved) -> Float[Tensor, "g h w"]:
    """What a `RenderModel` is given of a frame in colour: GIVEN channels."""
    return torch.cat([moved.layers.still, moved.frame, moved.uncovered, moved.fields])


@dataclass
class Painter:
    """A model at work on one still.

    tile: Longest side that is decoded at once, px, a multiple of the model's; halved where memory runs
    out.
    """

    model: RenderModel
    still: Float[Tensor, "1 3 h w"]
    pyramid: list[Float[Tensor, "1 _ _ _"]]
    tile: int = TILE

    def finish(self, moved: Moved) -> Float[Tensor, "c h w"]:
        """A frame that was moved without weights, painted over where that left something undone.

        Raises:
            ValueError: If there is too little memory for the smallest of tiles; on graphics cards, torch's
            own error with that sentence.
        """
        if len(moved.at) == 0:
            return moved.frame
        with _memory_for("the features of a whole frame"), torch.no_grad():
            fields = self._padded(moved.fields[None])
            levels = self.model.splatted(self.pyramid, fields[:, :2], fields[:, 2:3])
        while True:
            try:
                return self._finished(moved, fields, levels)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                half = self.tile // 2 // self.model.multiple * self.model.multiple
                if half < SMALLEST_TILE:
                    raise _said(
                        error, f"to finish a frame, even {self.tile} px at a time", REMEDY
                    ) from error
            log.info("Out of memory with tiles of %d px: going on with %d px.", self.tile, half)
            self.tile = half

    @torch.no_grad()
    def _finished(self, moved, fields, levels):
        frame = moved.frame
        height, width = frame.shape[-2:]
        colour = self._padded(_in_colour(frame), "replicate")
        uncovered = self._padded(moved.uncovered[None])
        painted, by = colour.clone(), fields[:, 3:]
        for inner, outer in self._tiles(by):
            cut = lambda x, of=outer: x[..., of[0], of[1]]
            parts = []
            for i, level in enumerate(levels):
                reduced = tuple(slice(s.start >> i + 1, s.stop >> i + 1) for s in outer)
                parts.append(level[..., reduced[0], reduced[1]])
            tile = self.model(parts, cut(self.still), cut(colour), cut(uncovered), cut(by))
            at = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer))
            painted[..., inner[0], inner[1]] = tile[..., at[0], at[1]].to(colour)
        painted = painted[0, :, :height, :width]
        if len(frame) == 1:
            painted = painted.mean(0, keepdim=True)
        elif len(frame) == 4:
            painted = painted / frame[3:].clamp(min=1e-6)
            painted = torch.where(frame[3:] > 0, painted.clamp(max=1), frame[:3])
        # A mean of three equal numbers may differ from them in the last bit: only what moved is taken. And
        # no weights, however wild, put into a picture what is no number.
        touched = (moved.fields[3:] > 0) & painted.isfinite()
        return torch.cat([torch.where(touched, painted, frame[:3]), frame[3:]])

    def _padded(self, x, mode="constant"):
        right, below = (-n % self.model.multiple for n in reversed(x.shape[-2:]))
        return F.pad(x, (0, right, 0, below), mode)

    def _tiles(self, by):
        """(rows and columns of a tile, the same with a margin), where anything moves."""
        sides = by.shape[-2:]
        for top in range(0, sides[0], self.tile):
            for left in range(0, sides[1], self.tile):
                inner = tuple(slice(a, min(a + self.tile, n)) for a, n in zip((top, left), sides))
                inner = self._where_it_moves(by, inner)
                if inner is not None:
                    halo = self.model.halo
                    yield (
                        inner,
                        tuple(
                            slice(max(0, s.start - halo), min(n, s.stop + halo))
                            for s, n in zip(inner, sides)
                        ),
                    )

    def _where_it_moves(self, by, tile):
        """The part of a tile that holds all its motion, in whole multiples; None if it has none."""
        part, step, bounds = by[0, 0, tile[0], tile[1]] > 0, self.model.multiple, []
        for axis, side in zip((1, 0), tile):
            at = part.any(axis).nonzero().squeeze(1)
            if len(at) == 0:
                return None
            first, last = int(at[0]) // step * step, int(at[-1]) // step * step + step
            bounds.append(slice(side.start + first, side.start + last))
        return tuple(bounds)


def painter(model: RenderModel, still: Float[Tensor, "c h w"], tile: int = TILE) -> Painter:
    """Set a model to work on a still: its features are computed here, once.

    Raises:
        ValueError: If there is too little memory for them.
    """
    right, below = (-n % model.multiple for n in reversed(still.shape[-2:]))
    colour = F.pad(_in_colour(still), (0, right, 0, below), "replicate").to(model.head.weight)
    with _memory_for("the features of a whole still"), torch.no_grad():
        return Painter(model, colour, model.pyramid(colour), tile)


def render_frames(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
    model: RenderModel | None = None,
    near: Float[Tensor, "1 hn wn"] | None = None,
    shutter: float = 0.0,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Render a clip frame by frame: memory does not grow with its length.

    Args:
        item: Which of the batch's motions this still has.
        matte: What may move; the motion's own mask by default, everything if it has none.
        frames: Which frames, all by default.
        model: Weights to finish frames with; none by default.
        near: What lies in front where things meet, 1 the nearest; by default what moves more.
        shutter: How long it is open, of the time between frames: motion blur, from the motion at moments
            in between.

    Returns:
        Frames, and how much of each pixel was uncovered (1 = all of it is invented).

    Raises:
        ValueError: If there is too little memory for a frame.
    """
    finisher = None if model is None else painter(model, still)
    moments = 1
    if shutter > 0:
        motion, moments = exposed(motion, item, shutter, tuple(still.shape[-2:]))
    wanted = range(motion.frames // moments) if frames is None else frames
    single = [t * moments + i for t in wanted for i in range(moments)]
    shown = []
    with _memory_for("a frame", SMALLER):
        for moved in moved_frames(still, motion, item, matte, single, near):
            frame = moved.frame if finisher is None else finisher.finish(moved)
            shown.append((frame, moved.uncovered))
            if len(shown) == moments:
                yield shown[0] if moments == 1 else _mean(shown, still)
                shown = []


def _mean(shown, still):
    """Of moments; what is the still in all of them stays it, bit for bit."""
    frames, holes = (torch.stack(x) for x in zip(*shown))
    same = (frames == still).all(0)
    mean = straight(torch.stack([premultiplied(frame) for frame in frames]).mean(0))
    return torch.where(same, still, mean), holes.mean(0)


def _in_colour(picture):
    """A batch of one, of three channels: grey three times, colours by how far they are opaque."""
    return premultiplied(picture)[None, :3].expand(1, 3, *picture.shape[-2:])


def fresh_renderer(config: RendererConfig, seed: int = 0) -> RenderModel:
    """An untrained model, the same for a seed, that leaves the host's random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return RenderModel(config)


def shipped_renderer() -> Path:
    """The weights that came with Image Dynamics."""
    return Path(__file__).parent / "pretrained" / "renderer-small.safetensors"


def save_renderer(model: RenderModel, path: str | Path, notes: dict | None = None) -> None:
    """Write weights; `notes` say what to know about them: data, steps, measures."""
    save_weights(model, KIND, path, notes)


def load_renderer(path: str | Path) -> RenderModel:
    """Read weights.

    Raises:
        ValueError: As `load_weights`.
    """
    return load_weights(path, KIND, RendererConfig, _sensible, RenderModel)


@contextmanager
def _memory_for(what, remedy=REMEDY):
    """What cannot be had in parts: without memory for it there is a sentence.

    Raises:
        ValueError: If memory runs out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        raise _said(error, f"for {what}", remedy) from error


def _said(error, what, remedy):
    """The sentence, of torch's own type on graphics cards: by that a host knows to free its models."""
    kind = torch.cuda.OutOfMemoryError
    kind = kind if isinstance(error, kind) else ValueError
    return kind(f"There is too little memory {what}. {remedy}")


def _out_of_memory(error) -> bool:
    """Whether an error says so: its type on graphics cards, since torch 2.5; its words elsewhere."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def _sensible(config: RendererConfig) -> bool:
    levels = len(config.widths)
    return levels == len(config.features) <= MOST_LEVELS and 1 <= config.blocks <= MOST_BLOCKS
