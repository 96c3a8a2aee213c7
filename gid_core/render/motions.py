"""Frames of any motion: what sways in front, what flows behind it, and light that flickers.

Law: a motion without phases, light and anything behind it is rendered by `render_frames`, bit for
bit. Where nothing moves, lands or shines, a frame is the still, bit for bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from ..motion.displacement import Displacement, shutter_samples
from ..shapes import Float, Tensor
from ..still.alpha import premultiplied, straight
from ..still.background import fill_background
from .flowing import flow_frames
from .layers import Behind, own_matte, shown, splatted_frames
from .network import RenderModel
from .renderer import render_frames


def render_motion(
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
    """Render a clip frame by frame, as `render_frames` does.

    Flows, and what sways in front of them, are rendered without the network, which has seen none.

    Args:
        matte: Of the motion in front; its own mask by default. A motion behind has its own.

    Raises:
        ValueError: For a flow that is to be shown alone.
    """
    wanted = range(motion.frames) if frames is None else frames
    if motion.weights is None and motion.behind is None:
        options = model, depth, shutter, order, behind, alone
        made = render_frames(still, motion, item, matte, wanted, *options)
    elif alone:
        raise ValueError("Expected a motion that sways alone, got one that flows. Show the whole.")
    else:
        made = _flowing(still, motion, item, matte, wanted, depth, shutter, order, behind)
    lights = [
        (each.light, own_matte(each, _item(each, item), tuple(still.shape[-2:])).to(still))
        for each in (motion, motion.behind)
        if each is not None and each.light is not None
    ]
    for t, (frame, hole) in zip(wanted, made):
        for light, where in lights:
            frame = _lit(frame, light.at(_item_of(light, item), [t])[0], where)
        yield frame, hole


def _flowing(still, motion, item, matte, wanted, depth, shutter, order, behind):
    """Frames of a flow, or of a motion in front of one; several moments for each exposure."""
    size = tuple(still.shape[-2:])
    moments = 1
    if shutter > 0:
        motion, moments = shutter_samples(motion, item, shutter, size)
    single = [t * moments + i for t in wanted for i in range(moments)]
    matte = own_matte(motion, item, size) if matte is None else matte
    if motion.weights is not None:
        made = _alone(still, motion, item, matte.to(still), single)
    else:
        given = depth, order, behind
        made = _over_flow(still, motion, item, matte.to(still), single, *given)
    taken = []
    for each in made:
        taken.append(each)
        if len(taken) == moments:
            frames, holes = zip(*taken)
            single = len(taken) == 1
            yield (
                frames[0] if single else torch.stack(frames).mean(0),
                holes[0] if single else torch.stack(holes).mean(0),
            )
            taken = []


def _alone(still, motion, item, matte, frames):
    opaque = len(still) != 4
    for frame, hole in flow_frames(premultiplied(still), motion, item, matte, frames):
        yield (frame if opaque else _unlike(still, frame)), hole


def _unlike(still, frame):
    """Straight alpha: the still itself where the premultiplied frame is the still's own."""
    same = (frame == premultiplied(still)).all(0)
    return torch.where(same, still, straight(frame))


def _over_flow(still, motion, item, matte, frames, depth, order, behind):
    """What moves in front of a flow: its background flows, behind what moves, too."""
    flow, size = motion.behind, tuple(still.shape[-2:])
    within = own_matte(flow, _item(flow, item), size).to(still)
    whole = slice(None), *(slice(0, n) for n in size)
    background = behind.of(premultiplied(still), matte, whole)
    # What flows goes on behind what hides it: the outline is continued as colours are.
    flows = fill_background(within * (1 - matte), matte) if (matte < 1).any() else within
    flowing = flow_frames(background, flow, _item(flow, item), flows, frames)
    backgrounds = (frame for frame, _ in flowing)
    front = replace(motion, behind=None, light=None)
    given = depth, order, behind, False, backgrounds
    moved = splatted_frames(still, front, item, matte, frames, *given)
    for splatted in moved:
        yield shown(splatted), splatted.disocclusion


def _lit(frame, gain, where):
    """A frame times its gain of brightness, in range; alpha stays."""
    size = tuple(frame.shape[-2:])
    factor = F.interpolate(gain[None].to(frame), size, mode="bilinear")[0]
    factor = 1 + (factor - 1) * where
    colour = frame if len(frame) != 4 else frame[:3]
    lit = torch.where(where > 0, (colour * factor).clamp(0, 1), colour)
    return lit if len(frame) != 4 else torch.cat([lit, frame[3:]])


def _item(motion, item):
    return min(item, len(motion.coeffs) - 1)


def _item_of(light, item):
    return min(item, len(light.coeffs) - 1)
