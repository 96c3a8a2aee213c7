"""A clip that flows, closed into a loop: its end passes into its first frame along the flow.

In the last frames of the clip its first frame is on its way to its own place, moved back along the
paths by the time that is left. Patch by patch the clip passes into it. Frame N would be frame 0.

Law: the clip keeps its length; frames before the passage are untouched, bit for bit; nothing shows
the mean of two pictures that have flowed apart.

Source: as `advection/phases.py`, with the clip in place of the first phase.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ..motion.displacement import Displacement
from ..motion.loops import passage
from ..shapes import Float, Tensor
from .flowing import carried, on_canvas, phase_weight, texture


def close_with_flow(
    frames: Float[Tensor, "t c h w"], motion: Displacement, overlap: int
) -> Iterator[Float[Tensor, "c h w"]]:
    """Close a clip with a motion that flows, as `advection/phases.py: flow_loop` makes it.

    Args:
        motion: Of as many frames and the same rate; its last phase ends at the first frame.
        overlap: How many frames the passage takes.

    Raises:
        ValueError: If the motion does not flow, or numbers of frames do not fit.
    """
    count, size = len(frames), tuple(frames.shape[-2:])
    if motion.further is None or motion.frames != count:
        raise ValueError(
            f"Expected a flow of {count} frames, as many as the clip has, got "
            f"{motion.frames if motion.further is not None else 'a motion that comes back'}."
        )
    if not 1 <= overlap <= count:
        raise ValueError(
            f"Expected an overlap between 1 and the clip's {count} frames, got {overlap}."
        )
    arriving = motion.phases[-1]
    scale = motion.scaled_to(size)
    fields = [arriving.at(0, [t])[0] * scale for t in range(count - overlap, count)]
    x, y = torch.stack(fields).abs().amax((0, 2, 3)).ceil().long().clamp(max=max(size)).tolist()
    matte = torch.ones(1, *size) if motion.mask is None else motion.mask[0]
    matte = F.interpolate(matte[None], size, mode="bilinear", antialias=True)[0].to(frames)
    flowing = texture(frames[0], torch.ones_like(matte), (y, x))
    weight = phase_weight(flowing, motion, 0)
    # The clip's own patches: those of its pixels, where they are.
    own = on_canvas(flowing, motion.importance[0].to(frames))
    inner = _inner(flowing.rows, size[0]), _inner(flowing.columns, size[1])
    own = (own - own.max()).exp()[:, inner[0], inner[1]]
    for t in range(count):
        if t < count - overlap:
            yield frames[t]
            continue
        done = torch.tensor((t - count + overlap + 0.5) / (overlap + 0.5), dtype=torch.float64)
        left, share = passage(done).tolist()
        colour, landed = carried(flowing, fields[t - count + overlap].to(frames), weight)
        clip = left * own
        mixed = (clip * frames[t] + share * landed * colour) / (clip + share * landed)
        faded = left * frames[t] + share * frames[0]
        yield faded + matte * (mixed - faded)


def _inner(index, count):
    """The part of a canvas' index that lies in the picture."""
    first = int((index == 0).nonzero()[0])
    return slice(first, first + count)
