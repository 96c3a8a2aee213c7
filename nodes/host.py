"""What the host gives to all nodes: devices, progress bars, cancelling, folders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import folder_paths
import torch
from comfy import model_management, utils


def device_between_nodes() -> torch.device:
    """Where the host keeps tensors between nodes."""
    return model_management.intermediate_device()


def render_device() -> torch.device:
    """The host's device if it is CUDA or ROCm, else the CPU.

    Other devices lack some of the kernels that the renderer uses.
    """
    device = model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def progress(total: int) -> Callable[[int, int], None]:
    """A callback (done, total) for the node's progress bar; raises when the user cancels."""
    bar = utils.ProgressBar(total)

    def callback(done: int, of: int) -> None:
        model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, of)

    return callback


def interruptible(frames: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The same frames; raises between two of them when the user cancels."""
    for frame in frames:
        model_management.throw_exception_if_processing_interrupted()
        yield frame


def input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    return Path(folder_paths.get_output_directory())


def temp_folder() -> Path:
    """The folder that ComfyUI empties when it starts; made here if it does not exist."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def numbered(prefix: str, ending: str, size: tuple[int, int] = (0, 0)) -> Path:
    """The next free file of a prefix in the output folder, numbered and filled in by the host.

    Args:
        size: (height, width) for the tokens %height% and %width%.
    """
    height, width = size
    folder, name, number, _, _ = folder_paths.get_save_image_path(
        prefix, str(output_folder()), width, height
    )
    return Path(folder, f"{name}_{number:05}_{ending}")
