"""Clip to displacement to spectral volume: flow from the first frame to every other, vetted.

Law: what does not move is exactly zero, and a motion that is a few cosines comes back as those.

Flow always goes directly from the first frame to frame t, never summed, and starts from the flow of
the frame before. What is hidden or gone is found by going back (Sundaram, Brox, Keutzer, ECCV 2010)
and filled in: between two sightings at most `GAP_S` apart by the straight line, else from visible
neighbours. Source: Li et al. 2024, Sec. 7 and supplement; the rules of vetting are in `_vet`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from ..config import ExtractionConfig
from ..motion.spectrum import SpectralVolume, analyze
from ..shapes import Bool, Float, Shaped, Tensor
from ..still.grid import backward_warp, grid_size, pixel_grid
from .camera import Camera, belied, camera_shift, find_camera, stabilized
from .flow import Estimate
from .shots import longest_shot

GAP_S = 0.5  # an occlusion up to so long is bridged by a straight line
RETURNED = 0.5  # px: how far from where it started a flow there and back may end
OF_LENGTH = 0.05  # and so much of its length besides
BETTER = 1.08  # a pixel moves if that explains the clip so many times better than standing still
NOISE = (0.1 / 255) ** 2  # mean square change that needs no explanation
SLOWER = 4.0  # and if its slower half of frequencies has so many times the amplitude of the faster
HOLE_PX = 0.3  # how far what the moving area encloses must move to move with it
SPECK = 12  # pixels of the grid: smaller areas do not move
MOST_FRAMES = 3000  # of a window
MOST_SHIFT, MOST_TURN_DEG, MOST_ZOOM_PCT = 0.05, 3.0, 3.0  # of a camera whose motion is removed
CAMERA_SHARE, LEAST_MOTION = 0.95, 1.0  # px: the paper's rules for its training set
MOST_HIDDEN = 0.3


@dataclass(frozen=True)
class ExtractionReport:
    """What was found, and whether it may be used. Pixels are those of the grid.

    reasons: why not; warnings: what to know.
    start_frame: of the shot that was read; cuts_s: where shots end, in what was looked at.
    camera_*: the farthest from the first frame, removed from the motion.
    background_share: of the textured pixels; 0 where no background was found.
    moving_share: of the picture; hidden_share: of moving pixels, over all frames.
    mean_motion_px: over all pixels and frames; moved_share: of pixels that move 1 px on average.
    gain_db: how much better than standing still the flow explains what moves.
    kept_energy: share of the motion's oscillation that the bands hold.
    """

    accepted: bool
    reasons: list[str]
    warnings: list[str]
    frames: int
    fps: float
    start_frame: int
    cuts_s: list[float]
    camera_shift_px: float = 0.0
    camera_turn_deg: float = 0.0
    camera_zoom_pct: float = 0.0
    background_share: float = 0.0
    moving_share: float = 0.0
    hidden_share: float = 0.0
    mean_motion_px: float = 0.0
    moved_share: float = 0.0
    gain_db: float = 0.0
    kept_energy: float = 0.0

    def __str__(self) -> str:
        if not self.accepted:
            return " ".join(self.reasons)
        where = f" from frame {self.start_frame} on" if self.start_frame else ""
        read = (
            f"Read {self.frames} frames at {self.fps:g} fps{where}: {100 * self.moving_share:.0f} % of "
            f"the picture moves, and its motion explains it {self.gain_db:.1f} dB better than standing "
            f"still. The bands hold {100 * self.kept_energy:.0f} % of the swaying."
        )
        return " ".join([read, *self.warnings])

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Extraction:
    """spectrum: None if refused.

    still: the frame that everything was measured from, at the grid's size.
    displacement, visible: what the spectrum was made from, None if it did not come that far.
    """

    spectrum: SpectralVolume | None
    report: ExtractionReport
    still: Float[Tensor, "3 h w"] | None = None
    displacement: Float[Tensor, "t 2 h w"] | None = None
    visible: Bool[Tensor, "t h w"] | None = None


def extract(
    frames: Iterable[Float[Tensor, "c hf wf"]],
    fps: float,
    config: ExtractionConfig,
    estimate: Estimate,
    reference_size: tuple[int, int] | None = None,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> Extraction:
    """Read a motion spectrum from a clip; a clip that is unfit gives the reasons instead.

    The first window of the first shot that is long enough is read, and nothing after it.

    Args:
        frames: Read one by one, once.
        reference_size: (height, width) of the clip, if the frames were scaled down.
        callback: Called with (frames done, of so many), often; may raise to cancel.

    Raises:
        ValueError: If the window does not fit the bands or the frame rate.
    """
    wanted = window_frames(fps, config)
    shot = longest_shot(frames, wanted, lambda x: _scaled(x, config.longest_side))
    seen = dict(frames=len(shot.frames), fps=float(fps), start_frame=shot.start)
    seen["cuts_s"] = [t / fps for t in shot.cuts]
    reasons = _unfit(shot, wanted, fps, config)
    if reasons:
        return Extraction(None, ExtractionReport(False, reasons, [], **seen))
    size = reference_size or shot.size
    still = shot.frames[0].float() / 255
    flow, visible = follow(shot.frames, estimate, callback)
    poll = lambda: callback(len(flow) - 1, len(flow) - 1)
    camera = find_camera(flow, still, poll)
    if any(camera.peaks()) and belied(shot.frames, camera.similarity, poll):
        camera = Camera(torch.tensor([1.0, 0, 0, 0]).expand(len(flow), 4), camera.share)
    motion = flow
    if camera.similarity is not None:
        motion = stabilized(flow, camera.similarity)
    poll()
    motion = fill_hidden(motion, visible, max(1, round(GAP_S * fps)))
    poll()
    moving, gain_db = moving_area(shot.frames, motion, visible, camera)
    motion = motion * moving

    measured = dict(zip(("camera_shift_px", "camera_turn_deg", "camera_zoom_pct"), camera.peaks()))
    length = motion.square().sum(1).sqrt()
    measured |= dict(
        background_share=camera.share,
        moving_share=float(moving.float().mean()),
        hidden_share=float((~visible)[:, moving].float().mean()) if moving.any() else 0.0,
        mean_motion_px=float(length.mean()),
        moved_share=float((length.mean(0) > 1).float().mean()),
        gain_db=gain_db,
    )
    mask = F.interpolate(moving[None, None].float(), size, mode="bilinear", align_corners=False)
    spectrum = analyze(motion[None], fps, config.bands, config.detrend, mask, size)
    measured["kept_energy"] = kept_energy(spectrum, motion, fps)
    reasons, warnings = _vet(measured, config, camera, max(still.shape[-2:]))
    report = ExtractionReport(not reasons, reasons, warnings, **seen, **measured)
    return Extraction(None if reasons else spectrum, report, still, motion, visible)


def window_frames(fps: float, config: ExtractionConfig) -> int:
    """Frames of the window.

    Raises:
        ValueError: If it cannot hold the bands, or is too long.
    """
    frames = round(config.window_s * fps) if math.isfinite(config.window_s * fps) else 0
    if frames > MOST_FRAMES:
        raise ValueError(
            f"A window of {config.window_s:g} s at {fps:g} fps has {frames} frames, more than "
            f"{MOST_FRAMES}. Use a shorter window or fewer frames per second."
        )
    if not 0 < config.bands < frames / 2:
        raise ValueError(
            f"{config.bands} bands of {1 / config.window_s:g} Hz need more than "
            f"{2 * config.bands} frames in a window of {config.window_s:g} s, got {frames} at "
            f"{fps:g} fps. Use at most {max(0, (frames - 1) // 2)} bands, or more frames per second."
        )
    return frames


def follow(
    frames: Shaped[Tensor, "t 3 h w"],
    estimate: Estimate,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Float[Tensor, "t 2 h w"], Bool[Tensor, "t h w"]]:
    """Flow from the first frame to every frame, and which of its pixels are still to be seen there.

    Args:
        frames: Bytes.
    """
    first = frames[0].float() / 255
    there = [first.new_zeros(2, *first.shape[-2:])]
    visible = [torch.ones(first.shape[-2:], dtype=torch.bool)]
    back = None
    for t in range(1, len(frames)):
        callback(t - 1, len(frames) - 1)
        frame = frames[t].float() / 255
        there.append(estimate(first, frame, there[-1] if t > 1 else None))
        back = estimate(frame, first, back)
        visible.append(_returns(there[-1], back))
    callback(len(frames) - 1, len(frames) - 1)
    return torch.stack(there), torch.stack(visible)


def _returns(there, back):
    """Where going there and back ends where it began, inside the picture."""
    height, width = there.shape[-2:]
    came = pixel_grid(height, width, like=there) + there
    limit = there.new_tensor([width - 1, height - 1]).view(2, 1, 1)
    inside = ((came >= -0.5) & (came <= limit + 0.5)).all(0)
    held = torch.minimum(came.clamp(min=0), limit) - came + there
    miss = (there + backward_warp(back[None], held[None])[0]).square().sum(0).sqrt()
    return inside & (miss <= RETURNED + OF_LENGTH * there.square().sum(0).sqrt())


def fill_hidden(
    motion: Float[Tensor, "t 2 h w"], visible: Bool[Tensor, "t h w"], gap: int
) -> Float[Tensor, "t 2 h w"]:
    """Motion of what is hidden: the straight line between two sightings not farther apart than `gap`
    frames, else what visible neighbours do at that time."""
    times = torch.arange(len(motion)).view(-1, 1, 1)
    before = torch.where(visible, times, -1).cummax(0).values
    after = torch.where(visible, times, 2 * len(motion)).flip(0).cummin(0).values.flip(0)
    bridged = ~visible & (before >= 0) & (after < len(motion)) & (after - before <= gap + 1)
    out = motion.clone()
    known = visible | bridged
    for t in range(len(motion)):
        if visible[t].all():
            continue
        one, other = before[t].clamp(min=0), after[t].clamp(max=len(motion) - 1)
        share = ((t - one) / (other - one).clamp(min=1)).to(motion)
        ends = [motion.gather(0, i.expand(1, 2, -1, -1))[0] for i in (one, other)]
        line = ends[0] + share * (ends[1] - ends[0])
        out[t] = torch.where(bridged[t], line, motion[t])
        if not known[t].all():
            out[t] = torch.where(known[t], out[t], _spread(out[t], known[t]))
    return out


def _spread(field, known):
    """Known values pushed into what is unknown: averages over ever larger squares."""
    weight = known[None].to(field)
    value = field * weight
    if min(field.shape[-2:]) == 1 or known.all() or not known.any():
        return value
    size = [-(-n // 2) for n in field.shape[-2:]]
    coarse = F.interpolate(torch.cat([value, weight])[None], size, mode="area")[0]
    share = coarse[2:]
    coarse = _spread(coarse[:2] / share.clamp(min=1e-6), share[0] > 0)
    fine = F.interpolate(coarse[None], field.shape[-2:], mode="bilinear")[0]
    return torch.where(known, field, fine)


def moving_area(
    frames: Shaped[Tensor, "t 3 h w"],
    motion: Float[Tensor, "t 2 h w"],
    visible: Bool[Tensor, "t h w"],
    camera: Camera,
) -> tuple[Bool[Tensor, "h w"], float]:
    """Pixels that move, and by how many dB their motion explains the clip better than none.

    A pixel moves if that explains it better than standing still, and if what it does is slow enough
    not to be noise, which has all frequencies alike. The first leaves out a sky without texture, the
    second the restless flow of grain. What the area encloses, and the flow moves, moves with it.
    """
    from scipy.ndimage import binary_fill_holes, label

    height, width = motion.shape[-2:]
    standing, moved, count = (torch.zeros(1, 1, height, width) for _ in range(3))
    # Smoothed, since a shift between pixels smooths grain, and that alone would count as better.
    first = _smoothed(frames[:1].float() / 255)
    for t in range(1, len(frames)):
        frame = _smoothed(frames[t : t + 1].float() / 255)
        if camera.similarity is not None:
            shift = camera_shift(camera.similarity[t : t + 1], height, width)
            frame = backward_warp(frame, shift)
        seen = visible[t].to(frame)
        read = backward_warp(frame, motion[t : t + 1])
        standing += (frame - first).square().mean(1, keepdim=True) * seen
        moved += (read - first).square().mean(1, keepdim=True) * seen
        count += seen
    standing, moved = (
        _box(x)[0, 0] / _box(count)[0, 0].clamp(min=1e-6) + NOISE for x in (standing, moved)
    )
    area = (standing > BETTER * moved) & _slow(motion)
    far = motion.square().sum(1).amax(0).sqrt()
    holes = torch.from_numpy(binary_fill_holes(area.numpy())) & ~area
    area |= holes & (far > HOLE_PX)
    parts, number = label(area.numpy())
    parts = torch.from_numpy(parts).long()
    sizes = torch.bincount(parts.flatten(), minlength=number + 1)
    area &= sizes[parts] >= SPECK
    if not area.any():
        return area, 0.0
    return area, 10 * math.log10(float(standing[area].mean() / moved[area].mean()))


def _slow(motion):
    """Where the lower half of frequencies has far more than its share of the motion."""
    bands = torch.fft.rfft(motion - motion.mean(0), dim=0)[1:].abs().square().sum(1)
    half = len(bands) // 2
    low, high = (_box(part.mean(0)[None, None])[0, 0] for part in (bands[:half], bands[half:]))
    return low > SLOWER**2 * high


def _smoothed(x):
    kernel = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    flat = F.pad(x.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="replicate")
    flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))
    return flat.view_as(x)


def _box(x):
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)


def kept_energy(spectrum: SpectralVolume, motion: Float[Tensor, "t 2 h w"], fps: float) -> float:
    """Share of the motion about its mean and drift that the bands hold (Parseval)."""
    times = torch.arange(len(motion)) / fps
    rest = motion - spectrum.mean
    if spectrum.drift is not None:
        rest = rest - spectrum.drift * times.view(-1, 1, 1, 1)
    whole = rest.square().mean(0).sum()
    return float(spectrum.coeffs.abs().square().sum() / 2 / whole.clamp(min=1e-20))


def _scaled(frame, longest):
    """A frame as bytes, rgb, at the grid's size."""
    frame = frame[:3] if len(frame) >= 3 else frame[:1].expand(3, -1, -1)
    size = grid_size(*frame.shape[-2:], longest)
    if size != tuple(frame.shape[-2:]):
        frame = F.interpolate(frame[None], size, mode="bilinear", antialias=True)[0]
    return (frame.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def _unfit(shot, wanted, fps, config) -> list[str]:
    """Why no motion can be read from these frames at all."""
    count = len(shot.frames)
    if count < wanted:
        piece = "The clip" if not shot.cuts else "The longest piece without a cut or fade"
        return [
            f"{piece} has {count} frame{'s' * (count != 1)}; one period of "
            f"{1 / config.window_s:.3g} Hz at {fps:g} fps needs {wanted}. Use a longer clip, or raise "
            "the lowest frequency by a shorter window."
        ]
    return []


def _vet(measured, config, camera, longest) -> tuple[list[str], list[str]]:
    """Reasons against a clip, and what to know about it."""
    reasons, warnings = [], []
    shift, turn, zoom = (measured[f"camera_{n}"] for n in ("shift_px", "turn_deg", "zoom_pct"))
    if measured["moving_share"] == 0:
        reasons.append(
            "Nothing moves in the clip: no part of it is explained better by motion than by standing "
            "still. Use a clip in which something moves by a tenth of a pixel or more."
        )
        return reasons, warnings
    if shift > MOST_SHIFT * longest or turn > MOST_TURN_DEG or zoom > MOST_ZOOM_PCT:
        reasons.append(
            f"The camera moves: by {100 * shift / longest:.1f} % of the longer side, {turn:.1f} degrees "
            f"and {zoom:.1f} % of zoom. Up to {100 * MOST_SHIFT:g} %, {MOST_TURN_DEG:g} degrees and "
            f"{MOST_ZOOM_PCT:g} % are removed. Use a clip from a tripod, or stabilize it first."
        )
    elif shift + turn + zoom > 0:
        warnings.append(f"The camera shook by up to {shift:.2f} px of the grid: removed.")
    if camera.similarity is None:
        warnings.append(
            "No background was found that stands still: what the camera does cannot be told from what "
            "things do, and is in the motion."
        )
    if measured["moved_share"] >= CAMERA_SHARE:
        (reasons if config.training else warnings).append(
            f"{100 * measured['moved_share']:.0f} % of the picture moves by more than 1 px on average: "
            "usually the camera. Use a clip from a tripod if so."
        )
    if config.training and measured["mean_motion_px"] < LEAST_MOTION:
        reasons.append(
            f"The mean motion is {measured['mean_motion_px']:.2f} px, less than {LEAST_MOTION:g}: too "
            "little for a training set."
        )
    if measured["hidden_share"] > MOST_HIDDEN:
        warnings.append(
            f"{100 * measured['hidden_share']:.0f} % of what moves could not be followed back from "
            "later frames: hidden, or too fast. The motion there is a guess."
        )
    return reasons, warnings
