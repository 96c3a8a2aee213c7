"""Socket types, schemas, and the conversion between tensors of the host and of the core.

Convention: IMAGE is b h w c and MASK b h w in the host; pictures are b c h w in the core.
"""

import torch
from comfy_api.latest import io
from einops import rearrange

from ..gid_core.motion.envelope import Sound
from ..gid_core.still.inputs import check_images, clean_mask, is_painted, other_shape
from . import host

Model = io.Custom("GID_MODEL")
Spectrum = io.Custom("GID_SPECTRUM")
Motion = io.Custom("GID_DISPLACEMENT")
Flow = io.Custom("OPTICAL_FLOW")  # what the host's Load Optical Flow Model gives
Tracks = io.Custom("TRACKS")  # the host's own since 0.4, where it is io.Tracks

CATEGORY = "image dynamics"


def schema(search_aliases: list[str], **fields) -> io.Schema:
    """A schema in our category. What a host does not know yet is left out there: search aliases
    (since 0.10), the essentials category, and that what a node shows outlasts a reload."""
    newer = {"search_aliases": search_aliases, "has_intermediate_output": True}
    if "essentials_category" in fields:
        newer["essentials_category"] = fields.pop("essentials_category")
    known = io.Schema.__dataclass_fields__
    return io.Schema(category=CATEGORY, **fields, **{k: v for k, v in newer.items() if k in known})


def seed_input(tooltip: str, **options) -> io.Int.Input:
    """A seed that stays as it is after a run, where the host can be told so.

    Hosts before 0.5 know only whether the seed has the control that changes it after a run.
    """
    control = getattr(io, "ControlAfterGenerate", None)
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True if control is None else control.fixed,
        tooltip=tooltip,
        **options,
    )


def from_image(image: torch.Tensor) -> torch.Tensor:
    """IMAGE to b c h w, float32 on the CPU.

    Taken as well: h w c, and whole numbers from 0 to 255.

    Raises:
        ValueError: For any other shape, or what holds no numbers.
    """
    _check_tensor(image, "IMAGE")
    image = image[None] if image.ndim == 3 else image
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"Expected an IMAGE of shape (batch, height, width, 1, 3 or 4 channels), got "
            f"{tuple(image.shape)}. Check the node that it comes from."
        )
    if 0 in image.shape:
        raise ValueError(
            f"Expected a picture of at least one pixel, got an IMAGE of shape {tuple(image.shape)}."
        )
    return rearrange(_unit(image), "b h w c -> b c h w")


def from_frames(frames: torch.Tensor) -> torch.Tensor:
    """IMAGE as b h w c, float32 on the CPU; what `from_image` takes is taken.

    Raises:
        ValueError: As `from_image`, and for values that are not finite.
    """
    pictures = from_image(frames)
    check_images(pictures)
    return rearrange(pictures, "b c h w -> b h w c")


def from_field(image: torch.Tensor) -> torch.Tensor:
    """IMAGE that holds a vector field in red and green, as t 2 h w; its values are no colours.

    Raises:
        ValueError: For another shape, or what holds no numbers.
    """
    _check_tensor(image, "flow (IMAGE)")
    if image.ndim != 4 or image.shape[-1] < 2:
        raise ValueError(
            "Expected an IMAGE of shape (frames, height, width, 2 channels or more) as flow, got "
            f"{tuple(image.shape)}."
        )
    return rearrange(image[..., :2].float().cpu(), "t h w xy -> t xy h w")


def from_tracks(value: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """TRACKS as paths, t n 2, and visibility, t n; one value a frame counts for all its tracks.

    Raises:
        ValueError: For another shape, or without paths.
    """
    paths = value.get("track_path") if isinstance(value, dict) else None
    if not isinstance(paths, torch.Tensor) or paths.ndim != 3 or paths.shape[-1] != 2:
        got = tuple(paths.shape) if isinstance(paths, torch.Tensor) else "none"
        raise ValueError(
            f"Expected TRACKS with paths of shape (frames, tracks, 2) as track_path, got {got}. "
            "Check the node that they come from."
        )
    frames, tracks, _ = paths.shape
    seen = value.get("track_visibility")
    seen = torch.ones(frames) if seen is None else seen
    if tuple(seen.shape) not in ((frames, tracks), (frames, 1), (frames,)):
        raise ValueError(
            f"Expected a track_visibility of shape {frames, tracks} for paths of {frames} frames "
            f"and {tracks} tracks, or of {frames} values, got {tuple(seen.shape)}."
        )
    return paths.float().cpu(), seen.cpu().bool().view(frames, -1).expand(frames, tracks)


def from_mask(value: torch.Tensor | None, name: str = "mask") -> torch.Tensor | None:
    """What someone painted, as b 1 h w, float32 on the CPU; None where nobody painted.

    Load Image makes a mask of every picture: an empty one, or one of an alpha channel that is
        nearly opaque. `is_painted` says what counts.
    """
    value = _mask(value, name)
    return value if value is not None and is_painted(value) else None


def mask_notes(image: torch.Tensor, **masks: torch.Tensor | None) -> list[str]:
    """What is odd about masks, by their names: values that are no numbers, paint that does not
    count (of a depth all does), another shape."""
    notes, (height, width) = [], image.shape[-3:-1]
    for name, value in masks.items():
        value = _mask(value, name)
        if value is None or not value.any():
            continue
        if unknown := int(value.isnan().sum()):
            notes.append(f"The {name} holds {unknown} values that are no numbers: they count as 0.")
        if name != "depth" and not is_painted(value):
            notes.append(
                f"The {name} counts as empty: hardly any of it is half white or more, as in what "
                "Load Image makes of a nearly opaque picture."
            )
        elif other_shape((height, width), tuple(value.shape[-2:])):
            notes.append(
                f"The {name} is {value.shape[-1]}x{value.shape[-2]}, the picture {width}x{height}: "
                "it was stretched to fit."
            )
    return notes


def motion_notes(image: torch.Tensor, motion) -> list[str]:
    """What is odd about a motion for a picture: that it was made for one of another shape."""
    (height, width), (h, w) = image.shape[-3:-1], motion.reference_size
    if not other_shape((height, width), (h, w)):
        return []
    return [
        f"The motion was made for a picture of {w}x{h}, this one has {width}x{height}: it was "
        "stretched to fit. Motion Spectrum Transfer puts a motion onto another picture."
    ]


def from_depth(value: torch.Tensor | None) -> torch.Tensor | None:
    """Depth as b 1 h w, float32 on the CPU; None for none, or one that is 0 everywhere."""
    value = _mask(value, "depth")
    return value if value is not None and value.any() else None


def from_depth_picture(value: torch.Tensor | None) -> torch.Tensor | None:
    """Depth as IMAGE or MASK, as b 1 h w; None for none, or one that is 0 everywhere."""
    if value is not None:
        _check_tensor(value, "depth (IMAGE or MASK)")
    if value is not None and value.ndim == 4 and value.shape[-1] in (3, 4):
        value = value[..., :3].float().mean(-1)
    return from_depth(value)


def degrees(value: torch.Tensor | None, name: str = "mask") -> torch.Tensor | None:
    """How much of something, 0 ... 1, as b 1 h w; None for none, or one that nobody painted."""
    value = _mask(value, name)
    return clean_mask(value) if value is not None and value.any() else None


def from_audio(audio: dict | None, low_hz: float, high_hz: float) -> Sound | None:
    """AUDIO as a sound of the core, of which a band is heard.

    Raises:
        ValueError: For what is no AUDIO.
    """
    if audio is None:
        return None
    samples = audio.get("waveform") if isinstance(audio, dict) else None
    if not isinstance(samples, torch.Tensor) or samples.ndim != 3 or not len(samples):
        raise ValueError(
            "Expected AUDIO with a waveform of shape (batch, channels, samples), as Load Audio "
            "gives it."
        )
    return Sound(samples[0].float().cpu(), float(audio["sample_rate"]), low_hz, high_hz)


def _mask(value, name):
    """MASK to b 1 h w. Taken as well: h w, b 1 h w, b h w 1, and whole numbers from 0 to 255."""
    if value is None:
        return None
    _check_tensor(value, f"{name} (MASK)")
    if value.ndim == 4 and 1 in (value.shape[1], value.shape[-1]):
        value = value[:, 0] if value.shape[1] == 1 else value[..., 0]
    value = value[None] if value.ndim == 2 else value
    if value.ndim != 3 or 0 in value.shape:
        raise ValueError(
            f"Expected a MASK of shape (batch, height, width) as {name}, got {tuple(value.shape)}. "
            "Convert Image to Mask makes one of a picture."
        )
    return _unit(value)[:, None]


def _check_tensor(value, expected) -> None:
    """Refuse what other nodes hand on by mistake: nothing, lists, arrays, complex numbers."""
    found = type(value).__name__
    if isinstance(value, torch.Tensor):
        if value.layout is torch.strided and not value.is_complex() and not value.is_meta:
            return
        found = f"one of {value.dtype}, {value.layout} on {value.device}"
    raise ValueError(
        f"Expected a tensor of numbers as {expected}, got {found}. Check the node that it comes "
        "from."
    )


def _unit(values):
    """Float32 on the CPU; whole numbers, from 0 to 255 or of 16 bits to 65535, in [0, 1]."""
    whole = not values.is_floating_point() and values.dtype != torch.bool
    white = 65535 if values.dtype == torch.uint16 else 255 if whole else 1
    return values.float().cpu() / white


def to_image(frames: torch.Tensor) -> torch.Tensor:
    """b c h w to IMAGE (b h w c), on the device where the host keeps tensors between nodes."""
    return rearrange(frames, "b c h w -> b h w c").contiguous().to(host.device_between_nodes())


def to_mask(masks: torch.Tensor) -> torch.Tensor:
    """b 1 h w to MASK (b h w), on the same device."""
    return masks[:, 0].contiguous().to(host.device_between_nodes())
