"""Image to motion to displacement to frames: the whole method, one call for each step.

Law: item i of a batch equals the single run with seed + i.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .advection.flow import FlowReport, behind, flow
from .advection.kinds import flow_kind
from .advection.phases import FlowLoop, flow_loop, light_over
from .advection.strokes import Stroke
from .config import FlowConfig, SpectrumConfig
from .elastic import kinds as kinds_of_things
from .elastic.prior import ElasticPrior
from .motion import playback
from .motion.combine import combine
from .motion.curves import Curve
from .motion.displacement import Displacement
from .motion.loops import LoopReport
from .motion.protocol import MotionPrior
from .motion.retarget import RetargetReport, retarget
from .motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period
from .recognition.moving_area import MovingArea, moving_area, what_flows, what_sways
from .recognition.rooted import rooted_apart
from .render.closing import close_with_flow
from .render.layers import Behind, own_matte
from .render.motions import render_motion
from .render.network import RenderModel
from .render.renderer import cropped
from .shapes import Float, Tensor
from .still.alpha import premultiplied, straight
from .still.background import fill_background
from .still.inputs import accept_images, clean_mask, fit_mask, fit_pictures, in_colour
from .still.matte import refine_mask
from .still.objects import depth_of, order, shared_out

__all__ = [
    "close_along",
    "combine_motions",
    "flow_motion",
    "play",
    "recognize_masks",
    "render",
    "retarget_motion",
    "sample_motion",
]

log = logging.getLogger("gid")
BREAKS_PCT = 3.0  # amplitude above which pictures begin to break (docs/benchmarks.md)
Callback = Callable[[int, int], None]


@dataclass(frozen=True)
class SamplingReport:
    """What was decided while motions were sampled.

    areas: For each still, what may move and who decided it.
    at_rest: Indices of the stills in which nothing moves.
    amplitude_pct: The largest of the motions, in % of the longer side; 0 for modes.
    notes: What else there is to know, in sentences.
    """

    areas: tuple[MovingArea, ...]
    at_rest: tuple[int, ...] = ()
    amplitude_pct: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def warns(self) -> bool:
        """Whether it says something that someone should look at."""
        doubtful = any(area.doubtful for area in self.areas)
        return doubtful or bool(self.at_rest) or self.amplitude_pct > BREAKS_PCT

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
        said += self.notes
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
    kinds: Sequence[str] = (),
    depth: Float[Tensor, "d 1 hd wd"] | None = None,
    protect: Float[Tensor, "p 1 hp wp"] | None = None,
    widen: bool = False,
) -> tuple[SpectralVolume, SamplingReport]:
    """Predict how stills move.

    Args:
        mask: What moves, one for all stills or one for each; without one, see `moving_area`.
            Several masks of one still are objects that move apart, the later ones in front.
        anchor: What is held still; of objects one for all, or one for each, where an empty one
            leaves it to the rule.
        refine: Fit the mask to the picture; else it is used as it is.
        callback: Called with (stills done, of so many), often; may raise to cancel.
        kinds: What each object of one still is, by the names in `elastic.kinds.KINDS`.
        depth: Where things end and which are in front, 1 = nearest.
        protect: What never moves and is never covered, whatever is painted.
        widen: Take more bands than asked for where a kind is seen to move faster, as flames do.

    Raises:
        ValueError: If a mask's batch does not fit the stills', `check_images` refuses them, or the
            model cannot take objects, kinds or depth.
    """
    images = accept_images(images).cpu()
    count, size = len(images), tuple(images.shape[-2:])
    objects = len(mask) if mask is not None and count == 1 else 1
    _check_objects(model, count, objects, kinds, depth)
    spectrum, notes = _widened(model, kinds, spectrum) if widen else (spectrum, ())
    mask, anchor = (
        fit_mask(m, max(count, objects), size, n, "objects" if objects > 1 else "stills")
        for m, n in ((mask, "mask"), (anchor, "anchor"))
    )
    depth, protect = (
        fit_mask(m, count, size, n) for m, n in ((depth, "depth"), (protect, "protect mask"))
    )
    if spectrum.kind == "modes" and count > 1:
        raise ValueError(
            f"Expected one still to find the modes of, got {count}: each has modes of its own. "
            "Split the batch before."
        )
    volumes, areas, said = [], [], []
    for i in range(count):
        still = in_colour(images, i)
        painted, held, near, stays = (
            None if m is None else m[i : i + 1] for m in (mask, anchor, depth, protect)
        )
        if objects > 1:
            painted = mask.amax(0, keepdim=True)
        area = moving_area(still, painted, refine)
        generator = torch.Generator().manual_seed((seed + i) % 2**64)
        poll = lambda done=i: callback(done, count)
        given, lines = {}, []
        if isinstance(model, ElasticPrior):
            given = {"depth": near, "protect": stays, "say": lines.append}
        elif stays is not None:
            held = stays if held is None else torch.maximum(held, stays)
        if objects > 1 or kinds and area.matte.any():
            masks = area.matte if mask is None else mask
            given["things"], near = _things(area.matte, masks, anchor, kinds, near)
            held = None
        elif isinstance(model, ElasticPrior) and held is None and area.kind is not None:
            apart, near, sentence = _apart(area, model, near)
            given["things"] = apart
            lines += [sentence] if apart else []
        volume = model.sample(still, area.matte, generator, spectrum, held, poll, **given)
        said += [" ".join(lines)] if lines else []
        if stays is not None:
            stays = (stays > 0).float()
            volume = replace(volume, mask=volume.mask * (1 - stays))
        volumes.append(replace(volume, depth=near, protect=stays))
        areas.append(area)
        callback(i + 1, count)
    wanted = spectrum.amplitude_pct > 0
    at_rest = tuple(i for i in range(count) if wanted and not volumes[i].coeffs.any())
    for i in at_rest:
        log.warning("Nothing in still %d moves: its mask is empty, or all of it is held.", i)
    motion = _batched(volumes)
    return motion, SamplingReport(tuple(areas), at_rest, _largest(motion), (*_each(said), *notes))


def sample_variations(
    still: Float[Tensor, "1 c h w"],
    count: int,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    anchor: Float[Tensor, "a 1 ha wa"] | None = None,
    seed: int = 0,
    model: MotionPrior = ElasticPrior(),
    spectrum: SpectrumConfig = SpectrumConfig(),
    callback: Callback = lambda done, of: None,
    widen: bool = False,
) -> tuple[SpectralVolume, SamplingReport]:
    """Several motions of one still, as a batch: number i is what `sample_motion` makes of seed + i.

    Args: as `sample_motion`; several masks are objects.
        callback: Called with (motions done, of so many), often; may raise to cancel.

    Raises:
        ValueError: As `sample_motion`.
    """
    volumes, reports = [], []
    for i in range(count):
        step = lambda done, _, first=i: callback(first + done, count)
        given = {"model": model, "spectrum": spectrum, "callback": step, "widen": widen}
        volume, report = sample_motion(still, mask, anchor, seed + i, **given)
        volumes.append(volume)
        reports.append(report)
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    areas = tuple(area for report in reports for area in report.areas)
    at_rest = tuple(i for i, report in enumerate(reports) if report.at_rest)
    largest = max(report.amplitude_pct for report in reports)
    return _batched(volumes), SamplingReport(areas, at_rest, largest, tuple(notes))


def _batched(volumes):
    """Motions of one still each, as one batch."""
    pictures = "coeffs", "mask", "depth", "protect"
    return replace(volumes[0], **{n: _stacked([getattr(v, n) for v in volumes]) for n in pictures})


def _stacked(pictures):
    """Pictures as a batch, 0 everywhere for each that is None; None if all are."""
    given = next((picture for picture in pictures if picture is not None), None)
    if given is None:
        return None
    return torch.cat([torch.zeros_like(given) if p is None else p for p in pictures])


def _each(said):
    """What is said of every still, once if it is the same of all."""
    if len(set(said)) < 2:
        return said[:1]
    return [f"Still {i}: {sentence}" for i, sentence in enumerate(said)]


def _largest(motion):
    """The largest amplitude of some motions, %."""
    if motion.kind != "response":
        return 0.0
    return float(amplitude_pct(one_period(motion), moving_points(motion)).max())


def _check_objects(model, count, objects, kinds, depth):
    """Refuse objects, kinds and depth where they mean nothing."""
    if kinds and count > 1:
        raise ValueError(
            f"Expected kinds for the objects of one still, got {len(kinds)} for {count} stills. "
            "Split the batch, or choose one kind in the Elastic Motion Model."
        )
    asked = {"several objects": objects > 1, "kinds": bool(kinds), "depth": depth is not None}
    asked = [name for name, given in asked.items() if given]
    if asked and not isinstance(model, ElasticPrior):
        raise ValueError(
            f"Expected the elastic model for {' and '.join(asked)}: a learned model moves a still "
            "as a whole. Give it one mask and nothing of these."
        )


def _widened(model, kinds, spectrum):
    """The spectrum in as many bands as the kinds ask for, and a sentence where that is more."""
    own = model.highest_hz if isinstance(model, ElasticPrior) else 0.0
    highest = max([own, *map(kinds_of_things.highest_hz, kinds)])
    wider = kinds_of_things.reaching(highest, spectrum)
    if wider.bands == spectrum.bands:
        return spectrum, ()
    reach = wider.bands / wider.duration_s
    return wider, (f"{wider.bands} bands, up to {reach:.1f} Hz: what it is moves as fast.",)


def _apart(area, model, depth):
    """What was recognized, apart by how it is rooted; the depth it is rendered by; a sentence."""
    if (model.elastic.rooting, model.elastic.anchor) != ("auto", "auto"):
        return (), depth, ""
    found, names = rooted_apart(area.matte, area.kind, model.elastic)
    if not found:
        return (), depth, ""
    depth = depth_of([thing.matte for thing in found]) if depth is None else depth
    return found, depth, f"From back to front, each rooted in its own way: {', '.join(names)}."


def _things(matte, masks, anchor, kinds, depth):
    """Objects from back to front, and the depth by which they are rendered."""
    mattes = shared_out(matte, masks) if len(masks) > 1 else matte
    anchors = [None] * len(mattes)
    if anchor is not None:
        anchors = [held[None] if held.any() else None for held in anchor]
    things = kinds_of_things.things(mattes, kinds, anchors)
    things = [things[i] for i in order(mattes, depth)]
    return things, depth if depth is not None else depth_of([thing.matte for thing in things])


def flow_motion(
    images: Float[Tensor, "b c h w"],
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    depth: Float[Tensor, "d 1 hd wd"] | None = None,
    seed: int = 0,
    config: FlowConfig = FlowConfig(),
    strokes: tuple[Stroke, ...] = (),
    refine: bool = True,
    callback: Callback = lambda done, of: None,
) -> tuple[SpectralVolume, tuple[FlowReport, ...]]:
    """A motion that does not come back: water, clouds, smoke, flames.

    Args:
        mask: What flows, one for all stills or one for each; without one it is recognized.
        depth: White is near, and flows faster.
        strokes: Which way it flows; without any, the way of the configuration.
        refine: Fit the mask to the picture; else it is used as it is.

    Raises:
        ValueError: If a mask's batch does not fit the stills', or a number is out of range.
    """
    images = accept_images(images).cpu()
    count, size = len(images), tuple(images.shape[-2:])
    mask, depth = (fit_mask(m, count, size, n) for m, n in ((mask, "mask"), (depth, "depth")))
    volumes, reports = [], []
    for i in range(count):
        still = in_colour(images, i)
        looks = flow_kind(config.kind).looks
        matte = what_flows(still, kinds=looks) if mask is None else mask[i : i + 1]
        matte = refine_mask(still, matte) if refine else matte
        generator = torch.Generator().manual_seed((seed + i) % 2**64)
        near = None if depth is None else depth[i : i + 1]
        volume, report = flow(size, matte, generator, config, strokes, near)
        volumes.append(volume)
        reports.append(report)
        callback(i + 1, count)
    parts = ("coeffs", "mask", "velocity", *(["light"] if config.light > 0 else []))
    stacked = {name: torch.cat([getattr(v, name) for v in volumes]) for name in parts}
    return replace(volumes[0], **stacked), tuple(reports)


@dataclass(frozen=True)
class PlayReport:
    """What playing changed.

    bands: How a loop of bands was closed; None if nothing was.
    flows: How each flow was closed, front to back.
    """

    bands: LoopReport | None = None
    flows: tuple[FlowLoop, ...] = ()

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.bands, *self.flows) if part is not None)

    @property
    def warns(self) -> bool:
        """Whether someone should look at it."""
        return self.bands is not None and self.bands.warns


def play(
    spectrum: SpectralVolume,
    frames: int,
    fps: float,
    loop: bool = True,
    speed: float = 1.0,
    gain: float = 1.0,
    pose: str = "rest pose",
    seed: int = 0,
    pace: Curve | None = None,
    poll: Callable[[], None] = lambda: None,
) -> tuple[Displacement, PlayReport]:
    """The displacement of any motion: bands are summed, flows are integrated.

    Args: as `motion.playback.play`; the pose of a flow is always its first frame, and its speed is
        constant.
        poll: Called often while paths are integrated; may raise to cancel.

    Raises:
        ValueError: For values out of range, or bands at or above half the frame rate.
    """
    if spectrum.kind == "flow":
        if pace is not None:
            raise ValueError(
                "Expected a constant speed for what flows, got a curve. Leave it empty."
            )
        playback.check_times(frames, fps, speed, pose)
        motion, report = flow_loop(spectrum, frames, fps, loop, speed, gain, seed, poll=poll)
        said = PlayReport(flows=(report,) if spectrum.velocity.any() else ())
    else:
        bands = replace(spectrum, light=None, behind=None)
        motion, closed = playback.play(bands, frames, fps, loop, speed, gain, pose, seed, pace)
        if spectrum.light is not None:
            motion = replace(motion, light=light_over(spectrum, frames, fps, loop, speed))
        said = PlayReport(closed)
    if spectrum.behind is None:
        return motion, said
    flowing, report = play(spectrum.behind, frames, fps, loop, speed, 1.0, pose, seed, poll=poll)
    return replace(motion, behind=flowing), replace(said, flows=(*said.flows, *report.flows))


def combine_motions(
    base: SpectralVolume,
    top: SpectralVolume,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    base_mask: Float[Tensor, "n 1 hn wn"] | None = None,
    way: str = "over",
    duration_s: float = 0.0,
) -> tuple[SpectralVolume, str]:
    """One motion of two, as `combine`; what flows goes behind what sways, or behind what flows on
    top of it.

    Raises:
        ValueError: As `combine` and `advection.flow.behind`.
    """
    if "flow" in (base.kind, top.kind):
        front, back = (base, top) if base.kind != "flow" else (top, base)
        said = f"What flows goes on behind what {'flows' if front.kind == 'flow' else 'sways'}."
        given = {
            "degrees by masks": mask is not None or base_mask is not None,
            "the duration": duration_s > 0,
        }
        ignored = " and ".join(name for name, is_given in given.items() if is_given)
        if ignored:
            said += f" Not used: {ignored}, which are for two motions that sway."
        return behind(front, back), said
    combined, report = combine(
        replace(base, behind=None), replace(top, behind=None), mask, base_mask, way, duration_s
    )
    for each in (top, base):
        combined = combined if each.behind is None else behind(combined, each.behind)
    return combined, str(report)


def close_along(
    frames: Float[Tensor, "t c h w"],
    spectrum: SpectralVolume,
    overlap: int,
    fps: float,
    poll: Callable[[], None] = lambda: None,
) -> Float[Tensor, "t c h w"]:
    """Close a clip that flows: its end passes into its first frame along the flow.

    Args:
        poll: Called often while paths are integrated; may raise to cancel.

    Raises:
        ValueError: If the spectrum is no flow, or the overlap is longer than the clip.
    """
    if spectrum.kind != "flow":
        raise ValueError(
            f"Expected a flow, got a motion of kind {spectrum.kind}: connect the spectrum of Flow "
            "Motion, or disconnect it to blend pixels."
        )
    playback.check_times(len(frames), fps, 1.0, playback.POSES[0])
    motion, _ = flow_loop(spectrum, len(frames), fps, reach=math.inf, poll=poll)
    return torch.stack(list(close_with_flow(accept_images(frames), motion, overlap)))


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
    background: Float[Tensor, "k cb hb wb"] | None = None,
    texture: bool = False,
    border: str = "mirror",
    alone: bool = False,
) -> Iterator[tuple[Float[Tensor, "c h w"], Float[Tensor, "1 h w"]]]:
    """Frames and their disocclusion, all of still 0 first.

    One motion moves any number of stills, and one still can have any number of motions.

    Args:
        mask: What may move, at any size; the motion's own by default.
        frames: Indices of the frames wanted, counted through all clips; all by default.
        model: The network that refines frames; none by default.
        depth: Order where things meet, 1 = nearest; by default the motion's. A still that has none,
            or one that is 0 everywhere, shows what moves more in front.
        shutter: Motion blur: share of the time between frames for which the shutter is open.
        background: What is seen behind things that move away, used as it comes, at any size;
            filled by default.
        texture: Fill by continuing texture, some seconds for each still; else mirrored.
        border: What comes in past the border, one of `render.layers.BORDERS`. With "crop" frames
            are as small as `crop` says; with "transparent" they have alpha.
        alone: What moves alone, over nothing, with alpha.

    Raises:
        ValueError: If batches do not fit each other, `check_images` refuses a picture, or the
            shutter is not from 0 to 1.
    """
    images = accept_images(images)
    if not 0 <= shutter <= 1:
        raise ValueError(
            f"Expected a shutter that is open for 0 to 1 of the time between frames, got {shutter}."
        )
    size = tuple(images.shape[-2:])
    count = batch_of(len(images), len(motion.coeffs))
    depth = motion.depth if depth is None else depth
    mask, depth = fit_mask(mask, count, size, "mask"), fit_mask(depth, count, size, "depth")
    protect = _protected(motion, size)
    background = fit_pictures(background, count, size, "background")
    rows, columns = crop(motion, mask, size, border)
    edge = "extend" if border == "crop" else border
    wanted = range(count * motion.frames) if frames is None else frames
    for i in range(count):
        still = images[min(i, len(images) - 1)]
        item = min(i, len(motion.coeffs) - 1)
        first = i * motion.frames
        here = [t - first for t in wanted if first <= t < first + motion.frames]
        if here:
            matte, front = (None if m is None else m[i] for m in (mask, depth))
            front = front if front is not None and front.any() else None
            behind = Behind(None if background is None else background[i], texture, edge)
            options = model, front, shutter, None, behind, alone
            stays = None if protect is None else protect[item].to(still.device)
            for frame, hole in render_motion(still, motion, item, matte, here, *options):
                if stays is not None:
                    kept = torch.zeros_like(frame) if alone else _like(still, frame)
                    frame, hole = torch.where(stays, kept, frame), hole * ~stays
                yield frame[:, rows, columns], hole[:, rows, columns]
                frame = hole = None  # not held while the next one is made


def _like(still, frame):
    """A still with alpha if a frame of it has some."""
    if len(still) == len(frame):
        return still
    return torch.cat([still[:3].expand(3, -1, -1), torch.ones_like(still[:1])])


def _protected(motion, size):
    """Where no frame may differ from the still, at a size; None where nothing is protected."""
    if motion.protect is None:
        return None
    return F.adaptive_max_pool2d(motion.protect, size) > 0


def crop(
    motion: Displacement,
    mask: Float[Tensor, "m 1 hm wm"] | None,
    size: tuple[int, int],
    border: str,
) -> tuple[slice, slice]:
    """Rows and columns of the picture that rendered frames show: all, unless the border is cropped.

    Args:
        size: (height, width) of the stills.
    """
    if border != "crop":
        return slice(0, size[0]), slice(0, size[1])
    count = len(motion.coeffs)
    if mask is None:
        mattes = [own_matte(motion, i, size) for i in range(count)]
    else:  # of all stills together, if there are more stills than motions
        mask = clean_mask(mask)
        mattes = list(mask) if len(mask) == count else [mask.amax(0)] * count
    return cropped(motion, mattes, size)


def fill_backgrounds(
    images: Float[Tensor, "b c h w"],
    motion: Displacement,
    mask: Float[Tensor, "m 1 hm wm"] | None = None,
    texture: bool = False,
) -> Float[Tensor, "b c h w"]:
    """Stills with what moves filled in, as `render` sees them behind it; arguments as there.

    Raises:
        ValueError: As `render`.
    """
    images = accept_images(images)
    size, count = tuple(images.shape[-2:]), batch_of(len(images), len(motion.coeffs))
    mask, filled = fit_mask(mask, count, size, "mask"), []
    for i in range(count):
        still = images[min(i, len(images) - 1)]
        item = min(i, len(motion.coeffs) - 1)
        matte = own_matte(motion, item, size) if mask is None else mask[i]
        filled.append(straight(fill_background(premultiplied(still), matte.to(still), texture)))
    return torch.stack(filled)


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
