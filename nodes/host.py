"""What the host gives to all nodes: devices, progress bars, cancelling, folders."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import TypeVar

import folder_paths
import torch
from comfy import model_management, utils
from comfy_api.latest import io

T = TypeVar("T")
ASKED_EVERY_S = 0.1  # how often it is looked whether the user has cancelled a long computation
END = object()
# Set when nobody waits any longer for what a thread computes.
_over: ContextVar[threading.Event | None] = ContextVar("over", default=None)


def device_between_nodes() -> torch.device:
    """Where the host keeps tensors between nodes."""
    return model_management.intermediate_device()


def knows_tracks() -> bool:
    """Whether the host has nodes that take TRACKS."""
    return hasattr(io, "Tracks")


def render_device() -> torch.device:
    """The host's device if it is CUDA or ROCm, else the CPU.

    Other devices lack some of the kernels that the renderer uses.
    """
    device = model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def stop_if_cancelled() -> None:
    """Raise if the user has cancelled, in whatever thread this runs."""
    model_management.throw_exception_if_processing_interrupted()
    over = _over.get()
    if over is not None and over.is_set():
        raise model_management.InterruptProcessingException()


def progress(total: int) -> Callable[[int, int], None]:
    """A callback (done, total) for the node's progress bar; raises when the user cancels."""
    bar = utils.ProgressBar(total)

    def callback(done: int, of: int) -> None:
        stop_if_cancelled()
        bar.update_absolute(done, of)

    return callback


def interruptible(frames: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The same frames; raises between two of them when the user cancels."""
    for frame in frames:
        stop_if_cancelled()
        yield frame


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one computed while the last one is used; raises at once when the
    user cancels.

    They are computed in a thread of their own. What it is busy with when the user cancels ends
    there, unseen, at its next `stop_if_cancelled` or with the item.
    """
    over, context, worker = threading.Event(), copy_context(), ThreadPoolExecutor(1)
    context.run(_over.set, over)

    def step():
        with torch.inference_mode():
            return next(items, END)

    try:
        coming = worker.submit(context.run, step)
        while (item := _result(coming)) is not END:
            coming = worker.submit(context.run, step)
            yield item
    finally:
        over.set()
        worker.submit(items.close)
        worker.shutdown(wait=False)


def responsive(work: Callable[..., T], *args, **options) -> T:
    """What `work` gives; raises at once when the user cancels, as `ahead`."""
    (result,) = ahead(work(*args, **options) for _ in range(1))
    return result


def _result(coming: Future):
    """What a thread computes; raises when the user cancels, within `ASKED_EVERY_S`."""
    while not wait([coming], ASKED_EVERY_S).done:
        model_management.throw_exception_if_processing_interrupted()
    return coming.result()


def input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    return Path(folder_paths.get_output_directory())


def temp_folder() -> Path:
    """The folder that ComfyUI empties when it starts; made here if it does not exist."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def own_temp_folder() -> Path:
    """Our folder inside of it, for files that are used again."""
    folder = temp_folder() / "image_dynamics"
    folder.mkdir(exist_ok=True)
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
