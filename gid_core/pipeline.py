"""Image to spectrum to displacement to frames: the whole method in four calls.

Law: item i of a batch equals the single run with seed + i.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F

from .config import SpectrumConfig
from .dynamics import harmonic_coords
from .elastic import ElasticPrior
from .loop import LoopReport, close_loop
from .matte import flexibility, refine_mask
from .render_model import RenderModel
from .renderer import render_frames
from .shapes import Float, Tensor
from .spectrum import (
    Displacement,
    SpectralVolume,
    amplitude_pct,
    moving_points,
    one_period,
    with_trend,
)
from .transfer import TransferReport, transfer

log = logging.getLogger("gid")
POSES = ("rest pose", "first frame")
Callback = Callable[[int, int], None]


@runtime_checkable
class MotionModel(Protocol):
    """What can be sampled: the elastic prior, or a learned model.

    finds_what_moves: Whether, without a mask, it says itself what moves; else a mask is guessed.
    """

    finds_what_moves: bool

    def sample(
        self,
        image: Float[Tensor, "1 3 h w"],
        matte: Float[Tensor, "1 1 h w"],
        generator: torch.Generator,
        spectrum: SpectrumConfig,
        anchor: Float[Tensor, "1 1 h w"] | None,
        poll: Callable[[], None],
    ) -> SpectralVolume: ...


def sample_motion(
    images: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    anchor: Float[Tensor, "a 1 ha wa"] | None = None,
    seed: int = 0,
    model: MotionModel = ElasticPrior(),
    spectrum: SpectrumConfig = SpectrumConfig(),
    refine: bool = True,
    callback: Callback = lambda done, of: None,
) -> SpectralVolume:
    """Predict how stills move.

    Args:
        mask: What moves, one for all stills or one for each; without one, a guess.
        anchor: What holds still.
        refine: Refine the mask against the picture; else it is taken as it is.
        callback: Called with (stills done, of so many), often; may raise to cancel.

    Raises:
        ValueError: If a mask's batch does not fit the stills', or `check_images` refuses them.
    """
    check_images(images)
    images = images.float().cpu().clamp(0, 1)
    size = tuple(images.shape[-2:])
    mask, anchor = (
        _fit(m, len(images), size, name) for m, name in ((mask, "mask"), (anchor, "anchor"))
    )
    if spectrum.kind == "modes" and len(images) > 1:
        raise ValueError(
            f"Expected one still to find the modes of, got {len(images)}: each has modes of its own. "
            "Split the batch before."
        )
    volumes = []
    for i in range(len(images)):
        if mask is None and model.finds_what_moves:
            still, matte = _in_colour(images, i), torch.ones(1, 1, *size)
        else:
            still, matte = _with_matte(images, mask, i, refine)
        generator = torch.Generator().manual_seed((seed + i) % 2**64)
        held = None if anchor is None else anchor[i : i + 1]
        poll = lambda done=i: callback(done, len(images))
        volumes.append(model.sample(still, matte, generator, spectrum, held, poll))
        callback(i + 1, len(images))
        if spectrum.amplitude_pct > 0 and not volumes[-1].coeffs.any():
            log.warning("Nothing in still %d moves: its mask is empty, or all of it is held.", i)
    first = volumes[0]
    return replace(
        first,
        coeffs=torch.cat([v.coeffs for v in volumes]),
        mask=torch.cat([v.mask for v in volumes]),
    )


def transfer_motion(
    spectrum: SpectralVolume,
    images: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    source_mask: Float[Tensor, "s 1 hs ws"] | None = None,
    refine: bool = True,
    fit: str = "box",
    mirror: bool = False,
    gain: float = 1.0,
    smooth_pct: float = 0.0,
    callback: Callback = lambda done, of: None,
) -> tuple[SpectralVolume, TransferReport]:
    """Put a motion onto other stills: `transfer`, with masks as `sample_motion` takes them.

    Raises:
        ValueError: As both of them do.
    """
    check_images(images)
    images = images.float().cpu().clamp(0, 1)
    mask = _fit(mask, len(images), tuple(images.shape[-2:]), "mask")
    mattes = []
    for i in range(len(images)):
        mattes.append(_with_matte(images, mask, i, refine)[1])
        callback(i + 1, len(images))
    if source_mask is not None:
        source_mask = torch.nan_to_num(source_mask.float().cpu()).clamp(0, 1)
    return transfer(spectrum, torch.cat(mattes), source_mask, fit, mirror, gain, smooth_pct)


def _with_matte(images, mask, i, refine):
    """A still in colours, and what moves in it: as painted or as guessed, refined or not."""
    still = _in_colour(images, i)
    painted = flexibility(still) if mask is None else mask[i : i + 1]
    return still, refine_mask(still, painted) if refine else painted


def _in_colour(images, i):
    return images[i : i + 1, :3].expand(1, 3, *images.shape[-2:])


def overlap(mask: Float[Tensor, "m 1 h w"], anchor: Float[Tensor, "a 1 h2 w2"]) -> bool:
    """Whether any anchor touches any mask, whatever their sizes."""
    mask, anchor = (
        F.interpolate(m.float(), (256, 256), mode="area").amax(0) for m in (mask, anchor)
    )
    return bool((mask * anchor).any())


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
    bad = int((~images.isfinite()).sum())
    if bad:
        raise ValueError(
            f"Expected finite pixel values, got {bad} that are NaN or infinite. A model before this "
            "one has overflowed: try it in float32."
        )


def _fit(mask, batch, size, name):
    """A mask for every still, at the stills' size."""
    if mask is None:
        return None
    mask = torch.nan_to_num(mask.float().cpu()).clamp(0, 1)
    if len(mask) not in (1, batch):
        raise ValueError(
            f"Expected one {name} or one for each of the {batch} stills, got {len(mask)}. "
            "Pass a single one to use it for all."
        )
    if mask.shape[-2:] != size:
        have, want = (f"{w}x{h}" for h, w in (mask.shape[-2:], size))
        log.info("The %s is %s, the still %s: resized to fit.", name, have, want)
        mask = F.interpolate(mask, size, mode="bilinear", antialias=True).clamp(0, 1)
    return mask.expand(batch, -1, -1, -1)


def play(
    spectrum: SpectralVolume,
    frames: int,
    fps: float,
    loop: bool = True,
    speed: float = 1.0,
    gain: float = 1.0,
    pose: str = "rest pose",
    seed: int = 0,
) -> tuple[Displacement, LoopReport | None]:
    """Let a spectrum move for so many frames.

    A loop, and a clip anchored at its first frame, keep the size the motion has over the
    spectrum's own period; otherwise, and always where mean or drift tell of a recording, the motion
    is exactly what was recorded, mean and drift too.

    Args:
        speed: 2 is twice as fast. The series is evaluated at the times asked for: exact.
        gain: 2 is twice as far.
        pose: "rest pose": the still is the middle of the motion; "first frame": frame 0 is the
            still.
        seed: For the phases of a loop longer than the spectrum's period.

    Raises:
        ValueError: For values out of range, or bands above half the frame rate.
    """
    _check_playback(spectrum, frames, fps, speed, pose)
    duration_s = frames / fps
    faster = replace(
        spectrum,
        frequencies_hz=spectrum.frequencies_hz * speed,
        drift=None if spectrum.drift is None else spectrum.drift * speed,
    )
    times = torch.arange(frames, dtype=torch.float64) / fps
    report = None
    if loop:
        closed, report = close_loop(faster, duration_s, seed)
        cycles = (
            closed.frequencies_hz.double() * duration_s
        ).round()  # whole, so that q is periodic
        coeffs, coords = closed.coeffs, harmonic_coords(cycles, times / duration_s)
    else:
        coeffs, coords = with_trend(faster, times)
    if pose == "first frame":
        coords = coords - coords[:, :1]
    motion = Displacement(
        coeffs, coords.to(coeffs.dtype), fps, spectrum.reference_size, spectrum.mask, loop
    )
    keep = torch.full((len(coeffs),), float(gain))
    recorded = not loop and (spectrum.mean is not None or spectrum.drift is not None)
    resized = (pose == "first frame" and not recorded) or (report is not None and report.changed)
    if resized:
        moving = moving_points(spectrum)
        was, now = amplitude_pct(one_period(spectrum), moving), amplitude_pct(motion, moving)
        keep = keep * torch.where(now > 0, was / now.clamp(min=1e-12), 1.0)
    return replace(motion, coeffs=coeffs * keep.view(-1, 1, 1, 1, 1)), report


def render(
    images: Float[Tensor, "b c h w"],
    motion: Displacement,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    frames: range | None = None,
    model: RenderModel | None = None,
    near: Float[Tensor, "n 1 hn wn"] | None = None,
    shutter: float = 0.0,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Frames and their uncovered areas, all of still 0 first.

    One motion moves any number of stills, and one still can have any number of motions.

    Args:
        mask: What may move, at any size; the motion's own by default.
        frames: Which of the frames, counted through all clips; all by default.
        model: Weights that finish frames; none by default.
        near: What lies in front where things meet, 1 the nearest; by default what moves more.
        shutter: Motion blur: how long it is open, as a share of the time between frames.

    Raises:
        ValueError: If batches do not fit each other, `check_images` refuses the stills, or the shutter is
            not from 0 to 1.
    """
    check_images(images)
    if not 0 <= shutter <= 1:
        raise ValueError(
            f"Expected a shutter that is open for 0 to 1 of the time between frames, got {shutter}."
        )
    size = tuple(images.shape[-2:])
    count = batch_of(len(images), len(motion.coeffs))
    mask, near = _fit(mask, count, size, "mask"), _fit(near, count, size, "depth")
    wanted = range(count * motion.frames) if frames is None else frames
    for i in range(count):
        still = images[min(i, len(images) - 1)].clamp(0, 1)
        item = min(i, len(motion.coeffs) - 1)
        first = i * motion.frames
        here = [t - first for t in wanted if first <= t < first + motion.frames]
        if here:
            matte, front = (None if m is None else m[i] for m in (mask, near))
            yield from render_frames(still, motion, item, matte, here, model, front, shutter)


def batch_of(stills: int, motions: int) -> int:
    """How many clips so many stills and motions make.

    Raises:
        ValueError: Unless they are equal, or one of them is 1.
    """
    if stills != motions and 1 not in (stills, motions):
        raise ValueError(
            f"Expected as many motions as stills, or one of either, got {motions} motions for "
            f"{stills} stills."
        )
    return max(stills, motions)


def _check_playback(spectrum, frames, fps, speed, pose):
    if spectrum.kind != "response":
        raise ValueError(
            f"Expected a spectrum of a motion, got one of {spectrum.kind}. Modes have no motion of "
            "their own until something pushes them."
        )
    if frames < 1:
        raise ValueError(f"Expected at least 1 frame, got {frames}.")
    if not 0 < fps < float("inf"):
        raise ValueError(f"Expected a frame rate above 0, got {fps}.")
    if not 0 < speed < float("inf"):
        raise ValueError(f"Expected a speed above 0, got {speed}.")
    if pose not in POSES:
        raise ValueError(f"Expected the pose to be one of {', '.join(POSES)}, got {pose!r}.")
    highest = float(spectrum.frequencies_hz.max()) * speed
    if highest >= fps / 2:
        raise ValueError(
            f"The motion has frequencies up to {highest:.2f} Hz; {fps:g} frames per second show less "
            f"than {fps / 2:.2f} Hz. Use more than {2 * highest:.2f} frames per second, a lower "
            "speed, or fewer bands."
        )
