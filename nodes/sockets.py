"""Where the host ends and the core begins: the only file that knows both.

Convention: IMAGE is b h w c and MASK b h w in the host, pictures are b c h w in the core.
"""

from collections.abc import Callable

import torch
from comfy import model_management, utils
from comfy_api.latest import io
from einops import rearrange

Model = io.Custom("GID_MODEL")
Spectrum = io.Custom("GID_SPECTRUM")
Motion = io.Custom("GID_DISPLACEMENT")

CATEGORY = "image dynamics"


def schema(search_aliases: list[str], **fields) -> io.Schema:
    """A schema in our category. Hosts before 0.10 have no search aliases, and refuse them."""
    if "search_aliases" in io.Schema.__dataclass_fields__:
        fields["search_aliases"] = search_aliases
    return io.Schema(category=CATEGORY, **fields)


def pictures(image: torch.Tensor) -> torch.Tensor:
    """IMAGE to b c h w, float32 on the CPU."""
    return rearrange(image, "b h w c -> b c h w").float().cpu()


def mask(value: torch.Tensor | None) -> torch.Tensor | None:
    """MASK to b 1 h w. None for an empty one: LoadImage makes them of pictures without alpha."""
    if value is None or not value.any():
        return None
    value = value if value.ndim == 3 else value[None]
    return value[:, None].float().cpu()


def host_image(frames: torch.Tensor) -> torch.Tensor:
    """b c h w to IMAGE, where the host keeps what lies between nodes."""
    return rearrange(frames, "b c h w -> b h w c").contiguous().to(device_between_nodes())


def host_mask(masks: torch.Tensor) -> torch.Tensor:
    """b 1 h w to MASK."""
    return masks[:, 0].contiguous().to(device_between_nodes())


def device_between_nodes() -> torch.device:
    return model_management.intermediate_device()


def render_device() -> torch.device:
    """The host's device if it is CUDA or ROCm, whose torch has every kernel used; else the CPU."""
    device = model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def progress(total: int) -> Callable[[int, int], None]:
    """A callback that moves the node's bar, and raises when the user cancels."""
    bar = utils.ProgressBar(total)

    def callback(done: int, of: int) -> None:
        model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, of)

    return callback
