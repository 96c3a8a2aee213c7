"""From a still and a displacement to frames: splatted, and optionally refined by a network.

Law: where nothing moves and nothing lands, the frame is the still, bit for bit, trained or not; as
the displacement goes to zero, the frame goes to the still. Tiles with a margin of
`RenderModel.halo` give what the whole frame gives.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 5.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ..config import RendererConfig
from ..files.weights import load_weights, save_weights
from ..motion.displacement import Displacement, shutter_samples
from ..shapes import Float, Tensor
from ..still.alpha import straight
from .layers import MARGIN, Behind, SplattedFrame, shown, splatted_frames
from .network import RenderModel, inpainted, mixed, splatted_colours

log = logging.getLogger("gid")
KIND = "renderer"  # of weights
MOST_LEVELS, MOST_BLOCKS = 6, 16  # of a configuration in a file
NO_MEMORY = (  # what allocators say; oneDNN's "primitive" also means a kernel that it lacks
    "out of memory",
    "allocate memory",
    "not enough memory",
    "alloc_failed",
    "could not create a primitive",
    "bad_alloc",
)
SMALLER = "Free some, or render a smaller picture."
REMEDY = "Free some, render a smaller picture, or choose the renderer without weights."
SEEN = 1e-3  # alpha above which a colour is defined
TILE, SMALLEST_TILE = 1024, 64  # side of what is decoded at once, px, without its margin


@dataclass
class Refiner:
    """A network prepared for one still.

    still: Premultiplied if it has alpha; its part of the picture that `place` is.
    place: Rows and columns of the picture that frames are refined in. Where they are no whole
        multiples, their last pixels are repeated, tile by tile: no padded copies are kept.
    tile: Longest side that is decoded at once, px, a multiple of the model's; halved when memory
        runs out.
    """

    model: RenderModel
    still: Float[Tensor, "1 c h w"]
    pyramid: list[Float[Tensor, "1 _ _ _"]]
    place: tuple[slice, slice]
    tile: int = TILE

    def refine(self, splatted: SplattedFrame) -> Float[Tensor, "c h w"]:
        """The splatted frame, premultiplied, refined by the network wherever anything moved.

        Raises:
            ValueError: If there is too little memory for the smallest tile; on graphics cards,
                torch's own error with that sentence.
        """
        if len(splatted.touched) == 0:
            return splatted.frame

        rows, columns = self.place
        with _memory_for("what a whole frame could show"), torch.no_grad():
            frame, disocclusion = (
                x[None, :, rows, columns] for x in (splatted.frame, splatted.disocclusion)
            )
            # One after the other, so that little is held at once.
            padded = lambda picture: self.model.padded(picture, "replicate")
            fill = inpainted(padded(frame), padded(disocclusion))
            fields = self.model.padded(splatted.fields_in(self.place)[None])
            field, importance, distance = fields.split((2, 1, 1), 1)
            colours = splatted_colours(padded(self.still), padded(frame), field, importance)
            levels = self.model.splatted(self.pyramid, field, importance)
            distance = distance.clone()
            del fields, field, importance  # not held while the picture is decoded
            made = frame.clone()
        while True:
            try:
                whole = self.still, frame, disocclusion, distance, colours, fill
                self._mix_tiles(levels, whole, made)
                break
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
                half = self.tile // 2 // self.model.multiple * self.model.multiple
                if half < SMALLEST_TILE:
                    raise _said(
                        error, f"to refine a frame, even {self.tile} px at a time", REMEDY
                    ) from error
            log.info("Out of memory with tiles of %d px: going on with %d px.", self.tile, half)
            self.tile = half
        del levels, colours, fill, whole  # room for the whole frame
        with _memory_for("a refined frame"):
            made, frame = made[0], splatted.frame.clone()
            part = frame[:, rows, columns]
            height, width = made.shape[-2:]
            part.copy_(_where_it_moved(part, made, distance[0, :, :height, :width] > 0))
            return frame

    @torch.no_grad()
    def _mix_tiles(self, levels, whole, made):
        """Write into `made`, tile by tile, where anything moves."""
        for inner, outer in self._tiles(whole[3]):
            still, frame, disocclusion, distance, *others = (_tile_of(x, outer) for x in whole)
            parts = []
            for i, level in enumerate(levels):
                reduced = tuple(slice(s.start >> i + 1, s.stop >> i + 1) for s in outer)
                parts.append(level[..., reduced[0], reduced[1]])
            share = self.model(parts, _in_colour(still), _in_colour(frame), disocclusion, distance)
            tile = mixed(frame, still, torch.cat(others, 1), share)
            top, left = (i.start - o.start for i, o in zip(inner, outer))
            part = made[..., inner[0], inner[1]]
            part.copy_(tile[..., top : top + part.shape[-2], left : left + part.shape[-1]])

    def _tiles(self, distance):
        """(rows and columns of a tile, the same with its margin), where anything moves."""
        sides = distance.shape[-2:]
        for top in range(0, sides[0], self.tile):
            for left in range(0, sides[1], self.tile):
                inner = tuple(slice(a, min(a + self.tile, n)) for a, n in zip((top, left), sides))
                inner = self._where_it_moves(distance, inner)
                if inner is not None:
                    halo = self.model.halo
                    yield (
                        inner,
                        tuple(
                            slice(max(0, s.start - halo), min(n, s.stop + halo))
                            for s, n in zip(inner, sides)
                        ),
                    )

    def _where_it_moves(self, distance, tile):
        """The part of a tile that contains all its motion, in whole multiples; None without any."""
        part, step, bounds = distance[0, 0, tile[0], tile[1]] > 0, self.model.multiple, []
        for axis, side in zip((1, 0), tile):
            at = part.any(axis).nonzero().squeeze(1)
            if len(at) == 0:
                return None
            first, last = int(at[0]) // step * step, int(at[-1]) // step * step + step
            bounds.append(slice(side.start + first, side.start + last))
        return tuple(bounds)


def refiner(
    model: RenderModel,
    still: Float[Tensor, "c h w"],
    tile: int = TILE,
    moving: tuple[slice, slice] | None = None,
) -> Refiner:
    """Prepare a network for a premultiplied still: its features are computed here, once.

    Args:
        moving: Rows and columns outside of which nothing moves or lands. Frames are refined there,
            with a margin for what the network sees; the whole picture by default.

    Raises:
        ValueError: If there is too little memory for the features.
    """
    place = tuple(slice(0, n) for n in still.shape[-2:])
    if moving is not None:
        step, margin = model.multiple, 2 * model.halo
        place = tuple(
            slice(max(0, (s.start - margin) // step * step), min(whole.stop, s.stop + margin))
            for s, whole in zip(moving, place)
        )
    still = still[None, :, place[0], place[1]]
    with _memory_for("the features of a whole still"), torch.no_grad():
        whole = model.padded(_in_colour(still), "replicate")
        pyramid = model.pyramid(whole.to(model.shares.weight))
        return Refiner(model, still, pyramid, place, tile)


def render_frames(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
    model: RenderModel | None = None,
    depth: Float[Tensor, "1 hn wn"] | None = None,
    shutter: float = 0.0,
    order: Float[Tensor, "1 ho wo"] | None = None,
    behind: Behind = Behind(),
    alone: bool = False,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Render a clip frame by frame: memory does not grow with the number of frames.

    Args:
        item: Index in the batch of motions.
        matte: What may move; the motion's own mask by default, everything if it has none.
        frames: Indices of the frames wanted, all by default.
        model: The network that refines frames; none by default.
        depth: 1 = nearest: what is in front where things meet.
        shutter: Motion blur: share of the time between frames for which the shutter is open.
        order: Rank of every pixel's object, the largest in front; where there is no depth.
            With neither, what moves more is in front.
        behind: What is seen where things have moved away, and past the border.
        alone: The foreground alone, over nothing, with alpha.

    Returns:
        Frames, and the disocclusion of each (1 = the still shows nothing of this pixel).

    Raises:
        ValueError: If there is too little memory for a frame.
    """
    prepared, moments = None, 1
    if shutter > 0:
        motion, moments = shutter_samples(motion, item, shutter, tuple(still.shape[-2:]))
    wanted = range(motion.frames // moments) if frames is None else frames
    single = [t * moments + i for t in wanted for i in range(moments)]
    taken = []
    with _memory_for("a frame", SMALLER):
        for splatted in splatted_frames(
            still, motion, item, matte, single, depth, order, behind, alone
        ):
            if model is not None and prepared is None:
                layers = splatted.layers
                prepared = refiner(model, layers.premultiplied, moving=layers.place)
            frame = splatted.frame if prepared is None else prepared.refine(splatted)
            taken.append((splatted, frame))
            if len(taken) == moments:
                yield _exposure(taken)
                # A frame that was handed out is not held while the next one is made.
                taken, splatted, frame = [], None, None


def cropped(
    motion: Displacement,
    mattes: Sequence[Float[Tensor, "1 h w"]],
    size: tuple[int, int],
) -> tuple[slice, slice]:
    """Rows and columns of a picture into which nothing from past its border moves.

    They are those of all motions of a batch together; a quarter of a side is cut off at most.

    Args:
        mattes: What moves, for each motion.
        size: (height, width) of the picture.
    """
    most, scale = [0.0] * 4, motion.scaled_to(size)  # top, bottom, left, right
    for item, matte in enumerate(mattes):
        moves = F.adaptive_max_pool2d(matte.cpu(), motion.grid)[0] > 0
        for part in motion.in_parts(item):
            inward = torch.where(part.isfinite(), part, 0.0) * scale * moves
            x, y = inward[:, 0], inward[:, 1]
            ends = y[:, 0], -y[:, -1], x[:, :, 0], -x[:, :, -1]
            most = [max(far, float(end.amax())) for far, end in zip(most, ends)]
    sides = size[0], size[0], size[1], size[1]
    cut = [min(math.ceil(m) + MARGIN, n // 4) if m > 0 else 0 for m, n in zip(most, sides)]
    return slice(cut[0], size[0] - cut[1]), slice(cut[2], size[1] - cut[3])


def _exposure(taken):
    """The mean of moments and of their disocclusion, of which there may be one."""
    if len(taken) == 1:
        ((splatted, frame),) = taken
        return shown(splatted, frame), splatted.disocclusion
    still = taken[0][0].layers.still
    mean = straight(torch.stack([frame for _, frame in taken]).mean(0))
    moved = torch.zeros_like(still[0], dtype=torch.bool)
    for one, _ in taken:
        moved.view(-1)[one.touched] = True
    hole = torch.stack([one.disocclusion for one, _ in taken]).mean(0)
    return torch.where(moved, mean, still), hole


def _where_it_moved(frame, mix, moved):
    """The mix, premultiplied, where anything moved; alpha is always that of the layers."""
    # Whatever the weights are, no NaN or infinity may reach the picture.
    touched = moved & mix.isfinite()
    if len(frame) == 4:
        # A mix whose alpha is about 0 has no defined colour.
        seen = mix[3:] > SEEN
        colour = (mix[:3] / mix[3:].clamp(min=SEEN)).clamp(0, 1) * frame[3:]
        mix = torch.cat([colour, frame[3:]])
        touched = touched & seen
    return torch.where(touched, mix, frame)


def _tile_of(picture, tile):
    """Rows and columns of a picture; beyond its end its last pixels."""
    part = picture[..., tile[0], tile[1]]
    below, right = (s.stop - s.start - n for s, n in zip(tile, part.shape[-2:]))
    return F.pad(part, (0, right, 0, below), "replicate") if right or below else part


def _in_colour(picture):
    """Three channels for the network: grey repeated, alpha left out."""
    return picture[:, :3].expand(-1, 3, -1, -1)


def shipped_renderer() -> Path:
    """The weights that came with Image Dynamics."""
    return Path(__file__).parents[1] / "pretrained" / "renderer-small.safetensors"


def save_renderer(model: RenderModel, path: str | Path, notes: dict | None = None) -> None:
    """Write weights. `notes` hold what to know about them: data, steps, measures."""
    save_weights(model, KIND, path, notes)


def load_renderer(path: str | Path) -> RenderModel:
    """Read weights.

    Raises:
        ValueError: As `load_weights`.
    """
    return load_weights(path, KIND, RendererConfig, _sensible, RenderModel)


@contextmanager
def _memory_for(what, remedy=REMEDY):
    """Turn a lack of memory, for something that cannot be made in parts, into a sentence.

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
    """The sentence as an error, of torch's own type on graphics cards: hosts free models on it."""
    own = torch.cuda.OutOfMemoryError
    own = own if isinstance(error, own) else ValueError
    return own(f"There is too little memory {what}. {remedy}")


def _out_of_memory(error) -> bool:
    """Whether an error is a lack of memory, by its type or by its words."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)


def _sensible(config: RendererConfig) -> bool:
    levels = len(config.widths)
    return levels == len(config.features) <= MOST_LEVELS and 1 <= config.blocks <= MOST_BLOCKS
