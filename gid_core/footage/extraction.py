"""Clip to displacement to spectral volume: flow from the first frame to every other, then checks.

Law: a static pixel has a displacement of exactly 0. A motion that is a sum of cosines gives the
amplitudes and phases of those cosines.

Flow always goes directly from the first frame to frame t. It is never summed, and it starts from
the flow of the frame before. Occlusions are found by the forward-backward check (Sundaram, Brox &
Keutzer, ECCV 2010) and filled: by a straight line over time if the gap is `GAP_S` or shorter, else
from visible neighbours.

Source: Li et al. 2024, Sec. 7 and supplement; the criteria of acceptance are in `_assess`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F

from ..config import ExtractionConfig, bands_of_clip
from ..motion.spectrum import SpectralVolume, analyze
from ..shapes import Bool, Float, Shaped, Tensor
from ..still.grid import backward_warp, grid_size, pixel_grid
from .camera import Camera, background_stands_still, camera_shift, find_camera, stabilized
from .flow import Estimate
from .shots import longest_shot
from .streaming import as_flow, streaming

GAP_S = 0.5  # occlusions up to this long are filled by a straight line over time
RETURN_PX = 0.5  # largest forward-backward error of a visible pixel
RETURN_SHARE = 0.05  # added to that: share of the flow's length
GAIN = 1.08  # least ratio of the errors of standing still and of moving, for a moving pixel
NOISE = (0.1 / 255) ** 2  # mean square change of brightness that is taken for noise
LOW_TO_HIGH = 4.0  # least ratio of amplitudes in the lower and upper half of frequencies
HOLE_PX = 0.3  # least motion of a hole in the moving area for the hole to be part of it
LEAST_AREA = 12  # pixels of the grid: smaller components of the moving area are dropped
LEAST_PX = (2, 12)  # of a frame's shorter and longer side
MOST_FRAMES = 3000  # of a window
MOST_S = 10.0  # of a window that is as long as the clip
MOST_SHIFT, MOST_TURN_DEG, MOST_ZOOM_PCT = 0.05, 3.0, 3.0  # camera motion that is removed, at most
CAMERA_SHARE, LEAST_MOTION = 0.95, 1.0  # px: the paper's criteria for its training set
MOST_HIDDEN = 0.3


@dataclass(frozen=True)
class ExtractionReport:
    """Measurements of a clip, and whether it is accepted. Pixels are those of the grid.

    reasons: of a refusal; warnings: of an accepted or refused clip.
    start_frame: of the shot that was read; cuts_s: ends of shots in the frames that were read, s.
    camera_*: largest deviation from the first frame; it is removed from the motion.
    background_share: of the textured pixels; 0 if no background was found.
    moving_share: of the picture; hidden_share: of the moving pixels, over all frames.
    mean_motion_px: over all pixels and frames; moved_share: of pixels that move 1 px on average.
    gain_db: error of standing still over error of moving, in the moving area.
    kept_energy: share of the oscillation's energy that the bands hold.
    flows: what is to be known if most of what moves goes on instead of coming back.
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
    flows: str = ""

    def __str__(self) -> str:
        if not self.accepted:
            return " ".join(self.reasons)
        where = f" from frame {self.start_frame} on" if self.start_frame else ""
        read = (
            f"Read {self.frames} frames at {self.fps:g} fps{where}: "
            f"{100 * self.moving_share:.0f} % of the picture moves, and its motion explains it "
            f"{self.gain_db:.1f} dB better than standing still. The bands hold "
            f"{100 * self.kept_energy:.0f} % of the swaying."
        )
        return " ".join(filter(None, [read, self.flows, *self.warnings]))

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Extraction:
    """The result of an extraction.

    spectrum: None if the clip is refused.
    still: the first frame of the shot, at the grid's size: the reference of the displacement.
    displacement, visible: input of the spectrum; None if the clip was refused before.
    flow: the velocity as a motion of kind "flow", if it flows.
    """

    spectrum: SpectralVolume | None
    report: ExtractionReport
    still: Float[Tensor, "3 h w"] | None = None
    displacement: Float[Tensor, "t 2 h w"] | None = None
    visible: Bool[Tensor, "t h w"] | None = None
    flow: SpectralVolume | None = None


def extract(
    frames: Iterable[Float[Tensor, "c hf wf"]],
    fps: float,
    config: ExtractionConfig,
    estimate: Estimate,
    reference_size: tuple[int, int] | None = None,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> Extraction:
    """Measure the spectral volume of a clip's motion; a clip that is refused gives the reasons.

    The window is the beginning of the first shot that is long enough. Later frames are not read.
    Without a window it is the longest shot, or its first `MOST_S` seconds.

    Args:
        frames: In [0, 1]; read one by one, once.
        reference_size: (height, width) of the clip, if the frames were scaled down.
        callback: Called often with (frames done, number of frames); may raise to cancel.

    Raises:
        ValueError: If the window does not fit the bands or the frame rate, or for specks of frames.
    """
    length = window_frames(fps, config) if config.window_s else round(MOST_S * fps)
    shot = longest_shot(frames, length, lambda x: _scaled(x, config.longest_side))
    if not config.window_s:
        length = max(2, len(shot.frames))
        config = replace(config, window_s=length / fps)
    config = replace(config, bands=config.bands or bands_of_clip(length, fps))
    window_frames(fps, config)
    read = dict(frames=len(shot.frames), fps=float(fps), start_frame=shot.start)
    read["cuts_s"] = [t / fps for t in shot.cuts]
    reasons = _too_short(shot, length, fps, config)
    if reasons:
        return Extraction(None, ExtractionReport(False, reasons, [], **read))
    _check_size(shot.frames.shape[-2:])
    size = reference_size or shot.size
    still = shot.frames[0].float() / 255
    flow, visible = follow(shot.frames, estimate, callback)
    poll = lambda: callback(len(flow) - 1, len(flow) - 1)
    camera = find_camera(flow, still, poll)
    if any(camera.peaks()) and background_stands_still(shot.frames, camera.similarity, poll):
        camera = Camera(torch.tensor([1.0, 0, 0, 0]).expand(len(flow), 4), camera.share)
    motion = flow
    if camera.similarity is not None:
        motion = stabilized(flow, camera.similarity)
    poll()
    motion = fill_occlusions(motion, visible, max(1, round(GAP_S * fps)))
    poll()
    moving, gain_db = moving_area(shot.frames, motion, visible, camera)
    motion = motion * moving

    measured = dict(zip(("camera_shift_px", "camera_turn_deg", "camera_zoom_pct"), camera.peaks()))
    distance = motion.square().sum(1).sqrt()
    measured |= dict(
        background_share=camera.share,
        moving_share=float(moving.float().mean()),
        hidden_share=float((~visible)[:, moving].float().mean()) if moving.any() else 0.0,
        mean_motion_px=float(distance.mean()),
        moved_share=float((distance.mean(0) > 1).float().mean()),
        gain_db=gain_db,
    )
    mask = F.interpolate(moving[None, None].float(), size, mode="bilinear", align_corners=False)
    spectrum = analyze(motion[None], fps, config.bands, config.detrend, mask, size)
    measured["kept_energy"] = kept_energy(spectrum, motion, fps)
    stream = streaming(motion, moving, fps)
    measured["flows"] = str(stream or "")
    reasons, warnings = _assess(measured, config, camera, max(still.shape[-2:]))
    report = ExtractionReport(not reasons, reasons, warnings, **read, **measured)
    goes_on = None if stream is None else as_flow(stream, mask, config.window_s)
    return Extraction(None if reasons else spectrum, report, still, motion, visible, goes_on)


def _check_size(size) -> None:
    """Refuse frames in which no estimator can follow anything."""
    if min(size) < LEAST_PX[0] or max(size) < LEAST_PX[1]:
        raise ValueError(
            f"Expected frames of at least {LEAST_PX[1]}x{LEAST_PX[0]} px, got "
            f"{size[1]}x{size[0]}: nothing can be followed in them. Use a larger clip."
        )


def window_frames(fps: float, config: ExtractionConfig) -> int:
    """Number of frames of the window.

    Raises:
        ValueError: If the window is too short for the bands, or has more than `MOST_FRAMES` frames.
    """
    bands = config.bands or 1
    frames = round(config.window_s * fps) if math.isfinite(config.window_s * fps) else 0
    if frames > MOST_FRAMES:
        raise ValueError(
            f"A window of {config.window_s:g} s at {fps:g} fps has {frames} frames, more than "
            f"{MOST_FRAMES}. Use a shorter window or fewer frames per second."
        )
    if not 0 < bands < frames / 2:
        most = max(0, (frames - 1) // 2)
        fewer = f"Use at most {most} bands, or" if most else "Use a longer window, or"
        raise ValueError(
            f"{bands} bands of {1 / config.window_s:g} Hz need more than "
            f"{2 * bands} frames in a window of {config.window_s:g} s, got {frames} at "
            f"{fps:g} fps. {fewer} more frames per second."
        )
    return frames


def follow(
    frames: Shaped[Tensor, "t 3 h w"],
    estimate: Estimate,
    callback: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Float[Tensor, "t 2 h w"], Bool[Tensor, "t h w"]]:
    """Flow from the first frame to every frame, and the pixels that are visible in both.

    Args:
        frames: Bytes.
    """
    first = frames[0].float() / 255
    forward = [first.new_zeros(2, *first.shape[-2:])]
    visible = [torch.ones(first.shape[-2:], dtype=torch.bool)]
    backward = None
    for t in range(1, len(frames)):
        callback(t - 1, len(frames) - 1)
        frame = frames[t].float() / 255
        forward.append(estimate(first, frame, forward[-1] if t > 1 else None))
        backward = estimate(frame, first, backward)
        visible.append(_consistent(forward[-1], backward))
    callback(len(frames) - 1, len(frames) - 1)
    return torch.stack(forward), torch.stack(visible)


def _consistent(forward, backward):
    """The forward-backward check: pixels that return to where they began, inside the picture."""
    height, width = forward.shape[-2:]
    target = pixel_grid(height, width, like=forward) + forward
    limit = forward.new_tensor([width - 1, height - 1]).view(2, 1, 1)
    inside = ((target >= -0.5) & (target <= limit + 0.5)).all(0)
    clamped = torch.minimum(target.clamp(min=0), limit) - target + forward
    error = (forward + backward_warp(backward[None], clamped[None])[0]).square().sum(0).sqrt()
    return inside & (error <= RETURN_PX + RETURN_SHARE * forward.square().sum(0).sqrt())


def fill_occlusions(
    motion: Float[Tensor, "t 2 h w"], visible: Bool[Tensor, "t h w"], gap: int
) -> Float[Tensor, "t 2 h w"]:
    """Fill the motion of occluded pixels.

    An occlusion of at most `gap` frames is filled by the straight line between the frames before
    and after it, a longer one from the visible neighbours in the same frame.
    """
    times = torch.arange(len(motion)).view(-1, 1, 1)
    before = torch.where(visible, times, -1).cummax(0).values
    after = torch.where(visible, times, 2 * len(motion)).flip(0).cummin(0).values.flip(0)
    bridged = ~visible & (before >= 0) & (after < len(motion)) & (after - before <= gap + 1)
    out = motion.clone()
    known = visible | bridged
    for t in range(len(motion)):
        if visible[t].all():
            continue
        start, end = before[t].clamp(min=0), after[t].clamp(max=len(motion) - 1)
        share = ((t - start) / (end - start).clamp(min=1)).to(motion)
        ends = [motion.gather(0, i.expand(1, 2, -1, -1))[0] for i in (start, end)]
        line = ends[0] + share * (ends[1] - ends[0])
        out[t] = torch.where(bridged[t], line, motion[t])
        if not known[t].all():
            out[t] = torch.where(known[t], out[t], _push_pull(out[t], known[t]))
    return out


def _push_pull(field, known):
    """Push-pull interpolation: unknown values are averages of known ones over growing squares."""
    weight = known[None].to(field)
    value = field * weight
    if min(field.shape[-2:]) == 1 or known.all() or not known.any():
        return value
    size = [-(-n // 2) for n in field.shape[-2:]]
    coarse = F.interpolate(torch.cat([value, weight])[None], size, mode="area")[0]
    share = coarse[2:]
    coarse = _push_pull(coarse[:2] / share.clamp(min=1e-6), share[0] > 0)
    fine = F.interpolate(coarse[None], field.shape[-2:], mode="bilinear")[0]
    return torch.where(known, field, fine)


def moving_area(
    frames: Shaped[Tensor, "t 3 h w"],
    motion: Float[Tensor, "t 2 h w"],
    visible: Bool[Tensor, "t h w"],
    camera: Camera,
) -> tuple[Bool[Tensor, "h w"], float]:
    """Pixels that move, and the ratio of the errors of standing still and of moving there, in dB.

    A pixel moves if two conditions hold. First, the warped frames fit better than the frames as
    they are; this excludes a sky without texture. Second, the motion is mostly slow; noise has all
    frequencies alike, and this excludes film grain. A hole in the area is part of it if it moves.
    """
    from scipy.ndimage import binary_fill_holes, label

    height, width = motion.shape[-2:]
    static_error, moved_error, count = (torch.zeros(1, 1, height, width) for _ in range(3))
    # Smoothed: resampling between pixels smooths grain, and would reduce the error by that alone.
    first = _smoothed(frames[:1].float() / 255)
    for t in range(1, len(frames)):
        frame = _smoothed(frames[t : t + 1].float() / 255)
        if camera.similarity is not None:
            shift = camera_shift(camera.similarity[t : t + 1], height, width)
            frame = backward_warp(frame, shift)
        seen = visible[t].to(frame)
        warped = backward_warp(frame, motion[t : t + 1])
        static_error += (frame - first).square().mean(1, keepdim=True) * seen
        moved_error += (warped - first).square().mean(1, keepdim=True) * seen
        count += seen
    static_error, moved_error = (
        _box_mean(x)[0, 0] / _box_mean(count)[0, 0].clamp(min=1e-6) + NOISE
        for x in (static_error, moved_error)
    )
    area = (static_error > GAIN * moved_error) & _mostly_slow(motion)
    peak = motion.square().sum(1).amax(0).sqrt()
    holes = torch.from_numpy(binary_fill_holes(area.numpy())) & ~area
    area |= holes & (peak > HOLE_PX)
    components, number = label(area.numpy())
    components = torch.from_numpy(components).long()
    sizes = torch.bincount(components.flatten(), minlength=number + 1)
    area &= sizes[components] >= LEAST_AREA
    if not area.any():
        return area, 0.0
    return area, 10 * math.log10(float(static_error[area].mean() / moved_error[area].mean()))


def _mostly_slow(motion):
    """Where the lower half of frequencies holds far more energy than the upper half."""
    bands = torch.fft.rfft(motion - motion.mean(0), dim=0)[1:].abs().square().sum(1)
    half = len(bands) // 2
    low, high = (_box_mean(x.mean(0)[None, None])[0, 0] for x in (bands[:half], bands[half:]))
    return low > LOW_TO_HIGH**2 * high


def _smoothed(x):
    """Binomial filter of 5 x 5."""
    kernel = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    flat = F.pad(x.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="replicate")
    flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1))
    return flat.view_as(x)


def _box_mean(x):
    """Mean over 5 x 5; at the border the picture is replicated."""
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)


def kept_energy(spectrum: SpectralVolume, motion: Float[Tensor, "t 2 h w"], fps: float) -> float:
    """Share of the energy about mean and drift that the bands hold, by Parseval."""
    times = torch.arange(len(motion)) / fps
    oscillation = motion - spectrum.mean
    if spectrum.drift is not None:
        oscillation = oscillation - spectrum.drift * times.view(-1, 1, 1, 1)
    total = oscillation.square().mean(0).sum()
    return float(spectrum.coeffs.abs().square().sum() / 2 / total.clamp(min=1e-20))


def _scaled(frame, longest):
    """A frame as RGB bytes at the grid's size."""
    frame = frame[:3] if len(frame) >= 3 else frame[:1].expand(3, -1, -1)
    size = grid_size(*frame.shape[-2:], longest)
    if size != tuple(frame.shape[-2:]):
        frame = F.interpolate(frame[None], size, mode="bilinear", antialias=True)[0]
    return (frame.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def _too_short(shot, length, fps, config) -> list[str]:
    """The reason if the shot has fewer frames than the window."""
    count = len(shot.frames)
    if count < length:
        piece = "The clip" if not shot.cuts else "The longest piece without a cut or fade"
        return [
            f"{piece} has {count} frame{'s' * (count != 1)}; one period of "
            f"{1 / config.window_s:.3g} Hz at {fps:g} fps needs {length}. Use a longer clip, or "
            "raise the lowest frequency by a shorter window."
        ]
    return []


def _assess(measured, config, camera, longest) -> tuple[list[str], list[str]]:
    """Reasons to refuse a clip, and warnings."""
    reasons, warnings = [], []
    shift, turn, zoom = (measured[f"camera_{n}"] for n in ("shift_px", "turn_deg", "zoom_pct"))
    if measured["moving_share"] == 0:
        reasons.append(
            "Nothing moves in the clip: no part of it is explained better by motion than by "
            "standing still. Use a clip in which something moves by a tenth of a pixel or more."
        )
        return reasons, warnings
    if shift > MOST_SHIFT * longest or turn > MOST_TURN_DEG or zoom > MOST_ZOOM_PCT:
        reasons.append(
            f"The camera moves: by {100 * shift / longest:.1f} % of the longer side, {turn:.1f} "
            f"degrees and {zoom:.1f} % of zoom. Up to {100 * MOST_SHIFT:g} %, {MOST_TURN_DEG:g} "
            f"degrees and {MOST_ZOOM_PCT:g} % are removed. Use a clip from a tripod, or stabilize "
            "it first."
        )
    elif shift + turn + zoom > 0:
        warnings.append(f"The camera shook by up to {shift:.2f} px of the grid: removed.")
    if camera.similarity is None:
        warnings.append(
            "No background was found that stands still: what the camera does cannot be told from "
            "what things do, and is in the motion."
        )
    if measured["moved_share"] >= CAMERA_SHARE:
        (reasons if config.training else warnings).append(
            f"{100 * measured['moved_share']:.0f} % of the picture moves by more than 1 px on "
            "average: usually the camera. Use a clip from a tripod if so."
        )
    if config.training and measured["mean_motion_px"] < LEAST_MOTION:
        reasons.append(
            f"The mean motion is {measured['mean_motion_px']:.2f} px, less than {LEAST_MOTION:g}: "
            "too little for a training set."
        )
    if measured["hidden_share"] > MOST_HIDDEN:
        warnings.append(
            f"{100 * measured['hidden_share']:.0f} % of what moves could not be followed back from "
            "later frames: hidden, or too fast. The motion there is a guess."
        )
    return reasons, warnings
