"""What the host gives to all nodes: devices, progress bars, cancelling, folders."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import TypeVar

import folder_paths
import torch
from comfy import model_management, utils
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer

T = TypeVar("T")
ASKED_EVERY_S = 0.1  # how often it is looked whether the user has cancelled a long computation
QUIET_S, TOLD_EVERY_S = 1.5, 0.5  # before the first line about the time left, and between two
SHOWN_PX = 320  # longer side of a frame that is shown while a node runs
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


def progress(total: int, unit: str = "") -> Callable[..., None]:
    """A callback (done, total) for the node's progress bar; raises when the user cancels.

    With a frame (c h w) as a third argument the node shows it, twice a second.

    Args:
        unit: What is counted, in the plural: a run that takes some seconds then says on the node
            how many are done, and how long the rest will take.
    """
    bar, begun, told = utils.ProgressBar(total), time.monotonic(), 0.0

    def callback(done: int, of: int, frame: torch.Tensor | None = None) -> None:
        nonlocal told
        stop_if_cancelled()
        now = time.monotonic()
        tell = now - begun > QUIET_S and (now - told > TOLD_EVERY_S or done == of)
        bar.update_absolute(done, of, _shown(frame) if tell and frame is not None else None)
        if tell:
            told = now
            if unit:
                _tell(time_left(done, of, now - begun, unit))

    return callback


def time_left(done: int, of: int, seconds: float, unit: str) -> str:
    """How far a run is after so many seconds, and how long the rest takes at that rate."""
    if done == of:
        return f"{of} {unit} in {_clock(seconds)}"
    if not done:
        return f"0 of {of} {unit}"
    return f"{done} of {of} {unit}, {_clock((of - done) * seconds / done)} left"


def _clock(seconds):
    seconds = max(1, round(seconds))
    return f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60:02} s"


def _shown(frame):
    """A frame as the host shows it on a node that runs."""
    from ..gid_core.files.stills import to_bytes

    return "JPEG", Image.fromarray(to_bytes(frame[:3].expand(3, -1, -1))), SHOWN_PX


def _tell(text):
    """Show a line on the node that runs, as the host's own nodes do."""
    context = get_executing_context()
    if context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


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


def own_temp_folder(part: str = "") -> Path:
    """Our folder inside of it, or a part of that, for files that are used again."""
    folder = temp_folder() / "image_dynamics" / part
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
