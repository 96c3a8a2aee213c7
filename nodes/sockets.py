"""Socket types, schemas, and the conversion between tensors of the host and of the core.

Convention: IMAGE is b h w c and MASK b h w in the host; pictures are b c h w in the core.
"""

import torch
from comfy_api.latest import io
from einops import rearrange

from . import host

Model = io.Custom("GID_MODEL")
Spectrum = io.Custom("GID_SPECTRUM")
Motion = io.Custom("GID_DISPLACEMENT")
Flow = io.Custom("OPTICAL_FLOW")  # what the host's Load Optical Flow Model gives

CATEGORY = "image dynamics"


def schema(search_aliases: list[str], **fields) -> io.Schema:
    """A schema in our category. Hosts before 0.10 do not know search aliases: left out there."""
    if "search_aliases" in io.Schema.__dataclass_fields__:
        fields["search_aliases"] = search_aliases
    return io.Schema(category=CATEGORY, **fields)


def from_image(image: torch.Tensor) -> torch.Tensor:
    """IMAGE (b h w c) to b c h w, float32 on the CPU."""
    return rearrange(image, "b h w c -> b c h w").float().cpu()


def from_mask(value: torch.Tensor | None) -> torch.Tensor | None:
    """MASK (b h w, or h w) to b 1 h w, float32 on the CPU.

    An all-zero mask counts as no mask (None): LoadImage makes one of a picture without alpha.
    """
    if value is None or not value.any():
        return None
    value = value if value.ndim == 3 else value[None]
    return value[:, None].float().cpu()


def to_image(frames: torch.Tensor) -> torch.Tensor:
    """b c h w to IMAGE (b h w c), on the device where the host keeps tensors between nodes."""
    return rearrange(frames, "b c h w -> b h w c").contiguous().to(host.device_between_nodes())


def to_mask(masks: torch.Tensor) -> torch.Tensor:
    """b 1 h w to MASK (b h w), on the same device."""
    return masks[:, 0].contiguous().to(host.device_between_nodes())
