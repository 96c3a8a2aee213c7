"""Clips that come through a socket, and the estimator of their optical flow."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import torch
from comfy import model_management
from comfy_api.latest import Input, InputImpl, Types

from . import host
from .sockets import from_image

# Older hosts have videos without transparency.
_KEEPS_ALPHA = "alpha" in {field.name for field in fields(Types.VideoComponents)}


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

    Raises:
        ValueError: For what is no clip, or frames that are no pictures.
    """
    from ..gid_core.footage.clips import read_clip
    from ..gid_core.still.inputs import check_images

    if isinstance(value, torch.Tensor):
        check_images(from_image(value))
        return Frames(value, fps)
    _check_video(value)
    # The base class's get_stream_source would encode the frames into a file first.
    if type(value).get_stream_source is Input.Video.get_stream_source:
        parts = value.get_components()
        return Frames(parts.images, float(parts.frame_rate))
    # Hosts before 0.10 have no trimmed videos.
    start_s, length_s = getattr(value, "get_active_trim_window", lambda: (0.0, 0.0))()
    opened = read_clip(value.get_stream_source(), longest_side, start_s=start_s)
    return opened if not length_s else replace(opened, most_frames=round(length_s * opened.fps))


@dataclass(frozen=True)
class Parts:
    """A clip taken apart: frames with their transparency, if they have any, and the sound."""

    images: torch.Tensor  # IMAGE, of 3 or 4 channels
    fps: float
    audio: dict | None = None

    def video(self, images: torch.Tensor, audio: dict | None) -> Input.Video:
        """Other frames and sound, at this clip's frame rate, as a VIDEO."""
        return as_video(images, Fraction(self.fps).limit_denominator(60_060), audio)


def as_video(images: torch.Tensor, rate: Fraction, audio: dict | None = None) -> Input.Video:
    """IMAGE of 1, 3 or 4 channels as a VIDEO that the host can save.

    The host's encoders want three channels and even sides: grey is repeated, and an odd size grows
    by a repeated row or column.
    """
    height, width, channels = images.shape[1:]
    for axis, length in ((1, height), (2, width)):
        if length % 2:
            images = torch.cat([images, images.narrow(axis, length - 1, 1)], axis)
    colour = images[..., :3] if channels > 1 else images.expand(-1, -1, -1, 3)
    alpha = {"alpha": images[..., 3:]} if channels == 4 and _KEEPS_ALPHA else {}
    return InputImpl.VideoFromComponents(
        Types.VideoComponents(images=colour, audio=audio, frame_rate=rate, **alpha)
    )


def parts(value: torch.Tensor | Input.Video, fps: float) -> Parts:
    """An IMAGE at `fps`, or a VIDEO, trimmed as it is, at its own frame rate.

    Raises:
        ValueError: For what is neither.
    """
    if isinstance(value, torch.Tensor):
        return Parts(value, fps)
    _check_video(value)
    found = value.get_components()
    alpha = getattr(found, "alpha", None)
    images = found.images if alpha is None else torch.cat([found.images[..., :3], alpha], -1)
    return Parts(images, float(found.frame_rate), found.audio)


def _check_video(value) -> None:
    if not isinstance(value, Input.Video):
        raise ValueError(
            f"Expected a clip as IMAGE or VIDEO, got {type(value).__name__}. Check the node that "
            "it comes from."
        )


FLOWS = {"variational": "torch", "DIS, if OpenCV is installed": "dis"}


def flow(model=None, name: str = "variational"):
    """A flow estimator: RAFT if OPTICAL_FLOW is given, else the one of that name.

    Cancelling stops it between two flows.

    Raises:
        ValueError: For DIS without OpenCV.
    """
    from ..gid_core.footage.flow import estimator, raft_estimator

    if model is not None:
        model_management.load_models_gpu([model])
    estimate = estimator(FLOWS[name]) if model is None else raft_estimator(model.model)

    def interruptible(first, frame, initial=None):
        host.stop_if_cancelled()
        return estimate(first, frame, initial)

    return interruptible
