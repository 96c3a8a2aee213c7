"""The border: pictures and masks from outside are checked, clamped and brought to one size, once.

Law: behind it every picture is b c h w in [0, 1] and finite, every mask b 1 h w of the still's
size.
"""

import logging
import math

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor

log = logging.getLogger("gid")

PAINTED = 0.5  # value from which a pixel counts as painted
OTHER_SHAPE = 0.03  # difference of two aspect ratios, as a logarithm, beyond rounding
LEAST_PAINTED = 1e-4  # share of a picture that paint covers, at least


def overlap(mask: Float[Tensor, "m 1 h w"], anchor: Float[Tensor, "a 1 h2 w2"]) -> bool:
    """Whether any anchor touches any mask, whatever their sizes."""
    mask, anchor = (
        F.interpolate(m.float(), (256, 256), mode="area").amax(0) for m in (mask, anchor)
    )
    return bool((mask * anchor).any())


def accept_images(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Pictures from outside, checked, as float32 in [0, 1]; not a copy if that is what they are.

    Raises:
        ValueError: As `check_images`.
    """
    check_images(images)
    low, high = images.aminmax()
    inside = images.dtype == torch.float32 and low >= 0 and high <= 1
    return images if inside else images.float().clamp(0, 1)


def in_colour(images: Float[Tensor, "b c h w"], i: int) -> Float[Tensor, "1 3 h w"]:
    """One still of a batch in three channels: grey repeated, alpha left out."""
    return images[i : i + 1, :3].expand(1, 3, *images.shape[-2:])


def is_painted(mask: Float[Tensor, "b 1 h w"]) -> bool:
    """Whether anyone painted this mask: some of it is at least half white, and enough to be seen.

    The alpha channel of a picture that is nearly opaque gives a mask that nobody painted.
    """
    return bool(((mask >= PAINTED).flatten(1).float().mean(1) >= LEAST_PAINTED).any())


def other_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (height, width) are not the same picture at two scales, but for rounding."""
    (h, w), (oh, ow) = size, other
    return abs(math.log(w * oh / (h * ow))) > OTHER_SHAPE


def clean_mask(mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """A mask from outside as float32 in [0, 1] on the CPU, NaN taken for 0."""
    return torch.nan_to_num(mask.float().cpu()).clamp(0, 1)


def check_images(images: Float[Tensor, "b c h w"]) -> None:
    """Refuse what is not a batch of pictures.

    Raises:
        ValueError: For no pictures, empty ones, other than 1, 3 or 4 channels, or NaN.
    """
    b, c, h, w = images.shape
    if b == 0 or h == 0 or w == 0:
        raise ValueError(
            f"Expected at least one picture of at least one pixel, got {b} of {w}x{h}."
        )
    if c not in (1, 3, 4):
        raise ValueError(f"Expected pictures with 1, 3 or 4 channels, got {c}.")
    # The two ends are NaN if any value is: this takes a fiftieth of the time of looking at each.
    if torch.stack(images.aminmax()).isfinite().all():
        return
    bad = int((~images.isfinite()).sum())
    raise ValueError(
        f"Expected finite pixel values, got {bad} that are NaN or infinite. A model before "
        "this one has overflowed: try it in float32."
    )


def fit_mask(
    mask: Float[Tensor, "m 1 hm wm"] | None,
    batch: int,
    size: tuple[int, int],
    name: str,
    of: str = "stills",
) -> Float[Tensor, "b 1 h w"] | None:
    """A mask for every still of a batch, at the stills' size, in [0, 1]; None stays None.

    Raises:
        ValueError: For neither one mask nor one for each still.
    """
    if mask is None:
        return None
    mask = clean_mask(mask)
    if len(mask) not in (1, batch):
        raise ValueError(
            f"Expected one {name} or one for each of the {batch} {of}, got {len(mask)}. "
            "Pass a single one to use it for all."
        )
    if mask.shape[-2:] != size:
        have, want = (f"{w}x{h}" for h, w in (mask.shape[-2:], size))
        log.info("The %s is %s, the still %s: resized to fit.", name, have, want)
        mask = F.interpolate(mask, size, mode="bilinear", antialias=True).clamp(0, 1)
    return mask.expand(batch, -1, -1, -1)


def fit_pictures(
    pictures: Float[Tensor, "m c hp wp"] | None, batch: int, size: tuple[int, int], name: str
) -> Float[Tensor, "b c h w"] | None:
    """A picture for every still of a batch, at the stills' size, in [0, 1]; None stays None.

    Raises:
        ValueError: For neither one picture nor one for each still, or as `check_images`.
    """
    if pictures is None:
        return None
    pictures = accept_images(pictures)
    if len(pictures) not in (1, batch):
        raise ValueError(
            f"Expected one {name} or one for each of the {batch} stills, got {len(pictures)}. "
            "Pass a single one to use it for all."
        )
    if tuple(pictures.shape[-2:]) != size:
        pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True).clamp(0, 1)
    return pictures.expand(batch, -1, -1, -1)
