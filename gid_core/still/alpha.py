"""Premultiplied and straight alpha: pictures are mixed premultiplied, and handed out straight.

Law: straight(premultiplied(x)) = x wherever alpha is above 0.

Source: Porter & Duff, "Compositing Digital Images", SIGGRAPH 1984.
"""

import torch

from ..shapes import Float, Tensor


def premultiplied(picture: Float[Tensor, "c ..."]) -> Float[Tensor, "c ..."]:
    """Colour times alpha: colours of what is transparent must not bleed when pixels mix."""
    if len(picture) != 4:
        return picture
    return torch.cat([picture[:3] * picture[3:], picture[3:]])


def straight(picture: Float[Tensor, "c ..."]) -> Float[Tensor, "c ..."]:
    """The inverse of `premultiplied`, in range."""
    picture = picture.clamp(0, 1)
    if len(picture) != 4:
        return picture
    colour = picture[:3] / picture[3:].clamp(min=1e-6)
    return torch.cat([colour.clamp(0, 1), picture[3:]])
