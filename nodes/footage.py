"""Clips that come through a socket, and the estimator of their optical flow."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from comfy import model_management
from comfy_api.latest import Input

from .sockets import from_image


@dataclass(frozen=True)
class Frames:
    """Frames in memory, with the interface of `gid_core.footage.clips.Clip`, which reads a file."""

    images: torch.Tensor  # IMAGE
    fps: float
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.images.shape[1:3])

    @property
    def frames(self) -> Iterator[torch.Tensor]:
        return map(self.still, range(len(self.images)))

    def still(self, number: int = 0) -> torch.Tensor:
        return from_image(self.images[number : number + 1])[0]


def clip(value: torch.Tensor | Input.Video, fps: float, longest_side: int):
    """An IMAGE at `fps`, or a VIDEO at its own frame rate, as a clip.

    A video in a file is read frame by frame, and scaled so that its longer side is at most
    `longest_side` px.
    """
    from ..gid_core.footage.clips import read_clip
    from ..gid_core.still.inputs import check_images

    if isinstance(value, torch.Tensor):
        check_images(from_image(value))
        return Frames(value, fps)
    # The base class's get_stream_source would encode the frames into a file first.
    if type(value).get_stream_source is Input.Video.get_stream_source:
        parts = value.get_components()
        return Frames(parts.images, float(parts.frame_rate))
    # Hosts before 0.10 have no trimmed videos.
    start_s, length_s = getattr(value, "get_active_trim_window", lambda: (0.0, 0.0))()
    opened = read_clip(value.get_stream_source(), longest_side, start_s=start_s)
    return opened if not length_s else replace(opened, most_frames=round(length_s * opened.fps))


def flow(model=None):
    """A flow estimator: RAFT if OPTICAL_FLOW is given, else the variational one.

    Cancelling stops it between two flows.
    """
    from ..gid_core.footage.flow import raft_estimator, variational

    if model is not None:
        model_management.load_models_gpu([model])
    estimate = variational() if model is None else raft_estimator(model.model)

    def interruptible(first, frame, initial=None):
        model_management.throw_exception_if_processing_interrupted()
        return estimate(first, frame, initial)

    return interruptible
