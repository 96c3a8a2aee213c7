"""Image to motion to displacement to frames: the whole method in four calls.

Law: item i of a batch equals the single run with seed + i.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from .config import SpectrumConfig
from .elastic.prior import ElasticPrior
from .motion.displacement import Displacement
from .motion.playback import play
from .motion.protocol import MotionPrior
from .motion.retarget import RetargetReport, retarget
from .motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period
from .recognition.moving_area import MovingArea, moving_area, what_flows, what_sways
from .render.network import RenderModel
from .render.renderer import render_frames
from .shapes import Float, Tensor
from .still.inputs import accept_images, clean_mask, fit_mask, in_colour
from .still.matte import refine_mask

__all__ = ["play", "recognize_masks", "render", "retarget_motion", "sample_motion"]

log = logging.getLogger("gid")
BREAKS_PCT = 3.0  # amplitude above which pictures begin to break (docs/benchmarks.md)
Callback = Callable[[int, int], None]


@dataclass(frozen=True)
class SamplingReport:
    """What was decided while motions were sampled.

    areas: For each still, what may move and who decided it.
    at_rest: Indices of the stills in which nothing moves.
    amplitude_pct: The largest of the motions, in % of the longer side; 0 for modes.
    """

    areas: tuple[MovingArea, ...]
    at_rest: tuple[int, ...] = ()
    amplitude_pct: float = 0.0

    def __str__(self) -> str:
        said = list(dict.fromkeys(map(str, self.areas)))
        for i in self.at_rest:
            which = f" in still {i}" if len(self.areas) > 1 else ""
            said.append(f"Nothing moves{which}: the mask is empty, or all of it is held.")
        if self.amplitude_pct > BREAKS_PCT:
            said.append(
                f"Things move by {self.amplitude_pct:.1f} % of the longer side: above about "
                f"{BREAKS_PCT:g} % pictures begin to tear at edges and joints."
            )
        return " ".join(said)


def sample_motion(
    images: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    anchor: Float[Tensor, "a 1 ha wa"] | None = None,
    seed: int = 0,
    model: MotionPrior = ElasticPrior(),
    spectrum: SpectrumConfig = SpectrumConfig(),
    refine: bool = True,
    callback: Callback = lambda done, of: None,
) -> tuple[SpectralVolume, SamplingReport]:
    """Predict how stills move.

    Args:
        mask: What moves, one for all stills or one for each; without one, see `moving_area`.
        anchor: What is held still.
        refine: Fit the mask to the picture; else it is used as it is.
        callback: Called with (stills done, of so many), often; may raise to cancel.

    Raises:
        ValueError: If a mask's batch does not fit the stills', or `check_images` refuses them.
    """
    images = accept_images(images).cpu()
    count, size = len(images), tuple(images.shape[-2:])
    mask, anchor = (fit_mask(m, count, size, n) for m, n in ((mask, "mask"), (anchor, "anchor")))
    if spectrum.kind == "modes" and count > 1:
        raise ValueError(
            f"Expected one still to find the modes of, got {count}: each has modes of its own. "
            "Split the batch before."
        )
    volumes, areas = [], []
    for i in range(count):
        still = in_colour(images, i)
        painted, held = (None if m is None else m[i : i + 1] for m in (mask, anchor))
        area = moving_area(still, painted, refine)
        generator = torch.Generator().manual_seed((seed + i) % 2**64)
        poll = lambda done=i: callback(done, count)
        volumes.append(model.sample(still, area.matte, generator, spectrum, held, poll))
        areas.append(area)
        callback(i + 1, count)
    wanted = spectrum.amplitude_pct > 0
    at_rest = tuple(i for i in range(count) if wanted and not volumes[i].coeffs.any())
    for i in at_rest:
        log.warning("Nothing in still %d moves: its mask is empty, or all of it is held.", i)
    coeffs, masks = (torch.cat(parts) for parts in zip(*((v.coeffs, v.mask) for v in volumes)))
    motion = replace(volumes[0], coeffs=coeffs, mask=masks)
    return motion, SamplingReport(tuple(areas), at_rest, _largest(motion))


def _largest(motion):
    """The largest amplitude of some motions, %."""
    if motion.kind != "response":
        return 0.0
    return float(amplitude_pct(one_period(motion), moving_points(motion)).max())


def recognize_masks(
    images: Float[Tensor, "b c h w"], flows: bool = False, refine: bool = True
) -> Float[Tensor, "b 1 h w"]:
    """Masks of what sways in stills, or of what flows (water, clouds, smoke).

    Args:
        refine: Fit the masks to the pictures.

    Raises:
        ValueError: If `check_images` refuses the stills.
    """
    images, masks = accept_images(images).cpu(), []
    for i in range(len(images)):
        still = in_colour(images, i)
        mask = (what_flows if flows else what_sways)(still)
        masks.append(refine_mask(still, mask) if refine else mask)
    return torch.cat(masks)


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
    """Put a motion onto other stills: `retarget`, with masks as `sample_motion` takes them.

    Raises:
        ValueError: As both of them do.
    """
    images = accept_images(images).cpu()
    mask = fit_mask(mask, len(images), tuple(images.shape[-2:]), "mask")
    mattes = []
    for i in range(len(images)):
        painted = None if mask is None else mask[i : i + 1]
        mattes.append(moving_area(in_colour(images, i), painted, refine).matte)
        callback(i + 1, len(images))
    source_mask = None if source_mask is None else clean_mask(source_mask)
    return retarget(spectrum, torch.cat(mattes), source_mask, fit, mirror, gain, smooth_pct)


def render(
    images: Float[Tensor, "b c h w"],
    motion: Displacement,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    frames: range | None = None,
    model: RenderModel | None = None,
    depth: Float[Tensor, "n 1 hn wn"] | None = None,
    shutter: float = 0.0,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Frames and their disocclusion, all of still 0 first.

    One motion moves any number of stills, and one still can have any number of motions.

    Args:
        mask: What may move, at any size; the motion's own by default.
        frames: Indices of the frames wanted, counted through all clips; all by default.
        model: The network that refines frames; none by default.
        depth: Order where things meet, 1 = nearest; by default what moves more is in front.
        shutter: Motion blur: share of the time between frames for which the shutter is open.

    Raises:
        ValueError: If batches do not fit each other, `check_images` refuses the stills, or the
            shutter is
            not from 0 to 1.
    """
    images = accept_images(images)
    if not 0 <= shutter <= 1:
        raise ValueError(
            f"Expected a shutter that is open for 0 to 1 of the time between frames, got {shutter}."
        )
    size = tuple(images.shape[-2:])
    count = batch_of(len(images), len(motion.coeffs))
    mask, depth = fit_mask(mask, count, size, "mask"), fit_mask(depth, count, size, "depth")
    wanted = range(count * motion.frames) if frames is None else frames
    for i in range(count):
        still = images[min(i, len(images) - 1)]
        item = min(i, len(motion.coeffs) - 1)
        first = i * motion.frames
        here = [t - first for t in wanted if first <= t < first + motion.frames]
        if here:
            matte, front = (None if m is None else m[i] for m in (mask, depth))
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
