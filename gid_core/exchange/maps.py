"""Maps for compositing: forward flow, and STMaps that pull each frame out of the still.

Law: the still read at a frame's STMap is the frame, where nothing is hidden.

Convention: "nuke": y points up. Flow is in pixels; an STMap counts from the lower left corner of
the picture, 0 to 1 across it, so that the center of its lower left pixel is (1/2w, 1/2h).
"opencv": y points down. Flow is in pixels; a map holds pixel positions, centers at integers, as
`cv2.remap` takes them. Flow goes from the still to the frame and lies on the still.

Source: the reference of Nuke's STMap and VectorBlur nodes, Foundry.
"""

from collections.abc import Iterator, Sequence

import torch

from ..motion.displacement import Displacement
from ..shapes import Float, Tensor
from ..still.grid import pixel_grid
from .fields import Fields, fields_of

MAPS = "stmap", "flow"
CONVENTIONS = "nuke", "opencv"
SEEN_PX = 1.5  # how far the point that a pixel shows may be off for a pixel of the still to be seen


def motion_maps(
    still: Float[Tensor, "c h w"],
    motion: Displacement,
    kind: str = "stmap",
    convention: str = "nuke",
    item: int = 0,
    matte: Float[Tensor, "1 h w"] | None = None,
    frames: Sequence[int] | None = None,
) -> Iterator[tuple[Float[Tensor, "2 h w"], Float[Tensor, "1 h w"]]]:
    """(u, v) and holes of every frame.

    A hole of an STMap is a pixel of the frame that the still does not show; one of a flow is a
    pixel of the still that the frame does not show.

    Raises:
        ValueError: For another kind or convention.
    """
    for name, value, known in (("map", kind, MAPS), ("convention", convention, CONVENTIONS)):
        if value not in known:
            raise ValueError(f"Expected the {name} to be one of {', '.join(known)}, got {value!r}.")
    for fields in fields_of(still, motion, item, matte, frames):
        if kind == "flow":
            yield (
                _upwards(fields.forward) if convention == "nuke" else fields.forward,
                _lost(fields),
            )
        else:
            yield _stmap(fields.source, convention), (~fields.found).to(fields.source)


def channels(
    kind: str, values: Float[Tensor, "2 h w"], holes: Float[Tensor, "1 h w"]
) -> dict[str, Float[Tensor, "h w"]]:
    """A map by the names of an EXR file: R and G for all programs, A where there is no hole.

    A flow is also the layer `forward`, in which Nuke looks for it.
    """
    named = {"R": values[0], "G": values[1], "B": torch.zeros_like(values[0]), "A": 1 - holes[0]}
    if kind == "flow":
        named |= {"forward.u": values[0], "forward.v": values[1]}
    return named


def displacement_of_flow(
    flow: Float[Tensor, "t 2 h w"], convention: str = "nuke"
) -> Float[Tensor, "t 2 h w"]:
    """A flow of that convention as displacement: pixels, y down."""
    return _upwards(flow) if convention == "nuke" else flow


def _upwards(field):
    """y counted upwards instead of downwards, and the other way round."""
    return torch.stack([field[..., 0, :, :], -field[..., 1, :, :]], -3)


def _stmap(source, convention):
    if convention == "opencv":
        return source
    height, width = source.shape[-2:]
    return torch.stack([(source[0] + 0.5) / width, 1 - (source[1] + 0.5) / height])


def _lost(fields: Fields) -> Float[Tensor, "1 h w"]:
    """1 for pixels of the still that the frame does not show."""
    height, width = fields.forward.shape[-2:]
    here = pixel_grid(height, width, like=fields.forward)
    x, y = (here + fields.forward).round().long()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    shown = fields.source[:, y.clamp(0, height - 1), x.clamp(0, width - 1)]
    seen = inside & ((shown - here).square().sum(0) <= SEEN_PX**2)
    return (~seen)[None].to(fields.forward)
