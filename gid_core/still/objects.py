"""Masks of several objects in one still: fitted to the picture together, and kept apart.

Law: the mattes of objects that do not overlap add up to the matte of all; what one mask alone
covers goes to no other object.
"""

from collections.abc import Sequence

import torch

from ..shapes import Float, Tensor


def shared_out(
    matte: Float[Tensor, "1 1 h w"], masks: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 1 h w"]:
    """A matte for every object from that of all of them together.

    What joined the matte from outside all masks goes to the object that is nearest, of those on top
    of each other to the last. An object of which nothing is left keeps its mask.
    """
    from scipy.ndimage import distance_transform_edt

    union = masks.amax(0, keepdim=True)
    mattes = masks * torch.where(union > 0, matte / union.clamp(min=1e-6), 0.0)
    joined = (matte > 0) & (union == 0)
    if joined.any() and union.any():
        last = len(masks) - 1 - (masks > 0).flip(0).byte().argmax(0)[0]
        y, x = distance_transform_edt(
            (union == 0)[0, 0].numpy(), return_distances=False, return_indices=True
        )
        owner = last[torch.from_numpy(y), torch.from_numpy(x)]
        at = joined[0, 0].nonzero().unbind(1)
        mattes[(owner[at], torch.zeros_like(at[0]), *at)] = matte[0, 0][at]
    lost = ~mattes.flatten(1).any(1)
    mattes[lost] = masks[lost]
    return mattes


def order(
    mattes: Float[Tensor, "n 1 h w"], depth: Float[Tensor, "1 1 h w"] | None = None
) -> list[int]:
    """Indices of objects from back to front: as they come, or by their mean depth, 1 = nearest."""
    if depth is None:
        return list(range(len(mattes)))
    weight = mattes.sum((1, 2, 3)).clamp(min=1e-6)
    near = ((mattes * depth).sum((1, 2, 3)) / weight).tolist()
    return sorted(range(len(mattes)), key=near.__getitem__)


def depth_of(mattes: Sequence[Float[Tensor, "1 1 h w"]]) -> Float[Tensor, "1 1 h w"]:
    """Depth of objects from back to front, 1 = nearest, 0 where there is none."""
    depth = torch.zeros_like(mattes[0])
    for i, matte in enumerate(mattes):
        depth = torch.where(matte >= 0.5, (i + 1) / len(mattes), depth)
    return depth
