"""Image to spectrum to displacement to frames: the whole method in four calls.

Law: item i of a batch equals the single run with seed + i.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from .config import SpectrumConfig
from .elastic.prior import ElasticPrior
from .motion.displacement import Displacement
from .motion.protocol import MotionPrior
from .motion.retarget import RetargetReport, retarget
from .motion.spectrum import SpectralVolume
from .render.network import RenderModel
from .render.renderer import render_frames
from .shapes import Float, Tensor
from .still.inputs import check_images, fit_mask
from .still.matte import flexibility, refine_mask

log = logging.getLogger("gid")
Callback = Callable[[int, int], None]


def sample_motion(
    images: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    anchor: Float[Tensor, "a 1 ha wa"] | None = None,
    seed: int = 0,
    model: MotionPrior = ElasticPrior(),
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
        fit_mask(m, len(images), size, name) for m, name in ((mask, "mask"), (anchor, "anchor"))
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


def retarget_motion(
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
) -> tuple[SpectralVolume, RetargetReport]:
    """Put a motion onto other stills: `transfer`, with masks as `sample_motion` takes them.

    Raises:
        ValueError: As both of them do.
    """
    check_images(images)
    images = images.float().cpu().clamp(0, 1)
    mask = fit_mask(mask, len(images), tuple(images.shape[-2:]), "mask")
    mattes = []
    for i in range(len(images)):
        mattes.append(_with_matte(images, mask, i, refine)[1])
        callback(i + 1, len(images))
    if source_mask is not None:
        source_mask = torch.nan_to_num(source_mask.float().cpu()).clamp(0, 1)
    return retarget(spectrum, torch.cat(mattes), source_mask, fit, mirror, gain, smooth_pct)


def _with_matte(images, mask, i, refine):
    """A still in colours, and what moves in it: as painted or as guessed, refined or not."""
    still = _in_colour(images, i)
    painted = flexibility(still) if mask is None else mask[i : i + 1]
    return still, refine_mask(still, painted) if refine else painted


def _in_colour(images, i):
    return images[i : i + 1, :3].expand(1, 3, *images.shape[-2:])


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
    mask, near = fit_mask(mask, count, size, "mask"), fit_mask(near, count, size, "depth")
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
