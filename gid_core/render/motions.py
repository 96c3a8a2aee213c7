"""Frames of any motion: what sways in front, what flows behind it, and light that flickers.

Law: a motion without phases, light and anything behind it is rendered by `render_frames`, bit for
bit. Where nothing moves, lands or shines, a frame is the still, bit for bit. Where what flows in
front has matte 1, nothing that flows behind it is seen; where it has none, only that is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from ..motion.displacement import Displacement, front_to_back, shutter_samples
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
        for each in front_to_back(motion)
        if each.light is not None
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
    opaque, size = len(still) != 4, tuple(still.shape[-2:])
    flows = list(front_to_back(motion))
    mattes = [matte, *(own_matte(each, _item(each, item), size).to(still) for each in flows[1:])]
    for frame, hole in _flows(premultiplied(still), flows, item, mattes, frames):
        yield (frame if opaque else _unlike(still, frame)), hole


def _flows(still, flows, item, mattes, frames):
    """Frames of one flow over the next, premultiplied; what only shines covers nothing."""
    moving = [pair for pair in zip(flows, mattes) if pair[0].coeffs.any()]
    made = [flow_frames(still, each, _item(each, item), own, frames) for each, own in moving]
    if not made:
        yield from ((still, torch.zeros_like(still[:1])) for _ in frames)
    for fronts in zip(*made):
        frame, hole = fronts[-1]
        for (front, gap), (_, matte) in zip(fronts[-2::-1], moving[-2::-1]):
            over = (front + (1 - matte) * (frame - still)).clamp(0, 1)
            frame = torch.where(matte > 0, over, frame)
            hole = gap + (1 - matte) * hole
        yield frame, hole


def _unlike(still, frame):
    """Straight alpha: the still itself where the premultiplied frame is the still's own."""
    same = (frame == premultiplied(still)).all(0)
    return torch.where(same, still, straight(frame))


def _over_flow(still, motion, item, matte, frames, depth, order, behind):
    """What moves in front of a flow: its background flows, behind what moves, too."""
    flows, size = list(front_to_back(motion.behind)), tuple(still.shape[-2:])
    whole = slice(None), *(slice(0, n) for n in size)
    background = behind.of(premultiplied(still), matte, whole)
    mattes = [own_matte(each, _item(each, item), size).to(still) for each in flows]
    if (matte < 1).any():
        # What flows goes on behind what hides it: the outline is continued as colours are.
        mattes = [fill_background(within * (1 - matte), matte) for within in mattes]
    backgrounds = (frame for frame, _ in _flows(background, flows, item, mattes, frames))
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
