"""The spectral volume: the motion of every pixel as a few complex Fourier amplitudes.

Law: analyze(play(S)) = S for fewer bands than half the frames; Parseval: the mean of D^2 over time
is |S_0|^2 + 1/2 sum_k |S_k|^2.

Convention: S_k = (2/T) rfft(D)_k, so |S_k| is a peak amplitude in pixels of its own grid; time 0 is
the first frame and frame T is the next period's first.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.1, Eq. 1-2.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..shapes import Bool, Complex, Float, Tensor
from .coords import harmonic_coords
from .displacement import Displacement, displacement, peaks

KINDS = ("response", "modes", "flow")
FORMAT_VERSION = 2
AMPLITUDE_PERCENTILE = 0.95
MEASURE_FRAMES = 100  # least number of frames of one period over which an amplitude is measured
# The most: a prime, so that even spacing meets a band at all of its phases, whatever its frequency.
MOST_FRAMES = 6007
CLOSEST = 1e-6  # of the highest frequency: bands that are closer count as so far apart


@dataclass(frozen=True)
class SpectralVolume:
    """Motion of `b` stills in `k` bands on a grid of h x w.

    coeffs: S_k(p), px of this grid, (x, y), peak amplitudes.
    frequencies_hz: of the bands ("response", "flow"), or natural frequencies ("modes").
    reference_size: (height, width) of the stills.
    mask: what moves, refined, at the stills' own size; None means everywhere. mean, drift: mean
    displacement and linear drift of a recorded clip, px and px/s; None for a loop.
    kind: "response": bands of a forced motion; "modes": mode shapes of free vibration,
        mass-normalized up to one common factor; "flow": `velocity` carries things along, and the
        bands are what oscillates in place beside it.
    damping_ratio: of the modes; None for kind "response".
    ambient: modal coordinates of the modes under wind, as bands at `ambient_hz`:
        q_k(t) = Re sum_m ambient_km exp(i 2 pi f_m t).
    depth: order where things meet, 1 = nearest; None: what moves more is in front.
    protect: 1 where no frame may differ from the still, else 0.
    velocity: of a flow, px of this grid per second, the same at all times.
    confined: whether what flows stays inside the mask, as between shores, or goes on behind it.
    light: L_k(p), gain of brightness: a frame is multiplied by 1 + Re sum_k L_k exp(i 2 pi f_k t).
    behind: a motion of the same stills that goes on behind this one: a flow.
    """

    coeffs: Complex[Tensor, "b k 2 h w"]
    frequencies_hz: Float[Tensor, " k"]
    reference_size: tuple[int, int]
    mask: Float[Tensor, "b 1 hr wr"] | None = None
    mean: Float[Tensor, "b 2 h w"] | None = None
    drift: Float[Tensor, "b 2 h w"] | None = None
    damping_ratio: Float[Tensor, " k"] | None = None
    kind: str = "response"
    ambient: Complex[Tensor, "k m"] | None = None
    ambient_hz: Float[Tensor, " m"] | None = None
    depth: Float[Tensor, "b 1 hr wr"] | None = None
    protect: Float[Tensor, "b 1 hr wr"] | None = None
    velocity: Float[Tensor, "b 2 h w"] | None = None
    confined: bool = False
    light: Complex[Tensor, "b k 1 h w"] | None = None
    behind: "SpectralVolume | None" = None

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(self.coeffs.shape[-2:])


def displacement_at(
    spectrum: SpectralVolume, times_s: Float[Tensor, " t"]
) -> Float[Tensor, "b t 2 h w"]:
    """The displacement at any times, with mean and drift if there are any."""
    return displacement(*with_trend(spectrum, times_s))


def with_trend(
    spectrum: SpectralVolume, times_s: Float[Tensor, " t"]
) -> tuple[Complex[Tensor, "b k1 2 h w"], Complex[Tensor, "k1 t"]]:
    """Bands and modal coordinates. The mean is a band with q = 1, the drift a band with q = t."""
    coeffs, coords = [spectrum.coeffs], [harmonic_coords(spectrum.frequencies_hz, times_s)]
    times = times_s.to(coords[0].dtype)
    for trend, course in ((spectrum.mean, torch.ones_like(times)), (spectrum.drift, times)):
        if trend is not None:
            coeffs.append(trend[:, None].to(coeffs[0].dtype))
            coords.append(course[None])
    return torch.cat(coeffs, 1), torch.cat(coords)


def analyze(
    displacement: Float[Tensor, "b t 2 h w"],
    fps: float,
    bands: int = 16,
    detrend: bool = True,
    mask: Float[Tensor, "b 1 hr wr"] | None = None,
    reference_size: tuple[int, int] | None = None,
) -> SpectralVolume:
    """The lowest bands of a recorded motion (Sec. 4.1).

    Args:
        displacement: px, from the still to every frame.
        detrend: Subtract the straight line from the first frame to the frame after the last, and
            store it as `drift`. Without it, a jump J between the ends leaks J / (pi k) into band k.

    Raises:
        ValueError: Unless 0 < bands < t / 2.
    """
    frames = displacement.shape[1]
    if not 0 < bands < frames / 2:
        raise ValueError(
            f"Expected fewer bands than half the frames, got {bands} bands of {frames} frames. "
            f"Use at most {(frames - 1) // 2} bands, or a longer clip."
        )
    times = torch.arange(frames, dtype=displacement.dtype, device=displacement.device) / fps
    drift = None
    if detrend:
        # The frame after the last is extrapolated by the mean of the first and the last step. A
        # line through the first and the last frame alone would tilt a periodic motion by one step.
        steps = displacement[:, -1] - displacement[:, -2] + displacement[:, 1] - displacement[:, 0]
        drift = (displacement[:, -1] + steps / 2 - displacement[:, 0]) * (fps / frames)
        displacement = displacement - drift[:, None] * times.view(-1, 1, 1, 1)
    coeffs = torch.fft.rfft(displacement, dim=1)[:, : bands + 1] / frames
    return SpectralVolume(
        coeffs=2 * coeffs[:, 1:],
        frequencies_hz=torch.arange(1, bands + 1, dtype=torch.float32) * (fps / frames),
        reference_size=reference_size or tuple(displacement.shape[-2:]),
        mask=mask,
        mean=coeffs[:, 0].real,
        drift=drift,
    )


def amplitude_pct(
    motion: Displacement, moving: Float[Tensor, "b 1 h w"] | None = None
) -> Float[Tensor, " b"]:
    """Amplitude of a motion: 95th percentile of the points' peaks, in % of the longer side.

    Args:
        moving: Coverage of every point by the moving mask, of which some count (`counting`). None
            counts all points.
    """
    amplitudes = []
    for i in range(len(motion.coeffs)):
        peak = peaks(motion, i)
        counted = peak.flatten() if moving is None else peak[counting(moving[i, 0])]
        amplitudes.append(torch.quantile(counted, AMPLITUDE_PERCENTILE))
    return 100 * torch.stack(amplitudes) / max(motion.grid)


def counting(coverage: Float[Tensor, "*c h w"]) -> Bool[Tensor, "*c h w"]:
    """The points that a measure of one motion counts: at least half as covered as the most covered.

    So what is thinner than the steps of a grid counts, too.
    """
    return coverage >= 0.5 * coverage.max()


def of_still(spectrum: SpectralVolume, i: int) -> SpectralVolume:
    """The motion of one still of a batch."""
    per_still = ("coeffs", "mask", "mean", "drift", "depth", "protect", "velocity", "light")
    fields = {name: getattr(spectrum, name) for name in per_still}
    of_one = {k: v[i : i + 1] for k, v in fields.items() if v is not None}
    if spectrum.behind is not None:  # one for all stills, or one for each
        of_one["behind"] = of_still(spectrum.behind, min(i, len(spectrum.behind.coeffs) - 1))
    return replace(spectrum, **of_one)


def moving_points(spectrum: SpectralVolume) -> Float[Tensor, "b 1 h w"] | None:
    """Coverage of every grid point by the mask, 0 ... 1; None without a mask."""
    if spectrum.mask is None:
        return None
    return F.interpolate(spectrum.mask, spectrum.grid, mode="area")


def one_period(spectrum: SpectralVolume) -> Displacement:
    """The motion over one period, in as many frames as a measurement of the amplitude needs.

    Modes have no common period. With `ambient` they are driven by the bands of wind, whose period
    is used. Bands of two motions that hardly differ have a period of hours: its frames then are
    `MOST_FRAMES` moments, evenly spread over it.
    """
    driven = spectrum.ambient is not None
    frequencies = spectrum.ambient_hz if driven else spectrum.frequencies_hz
    base = float(frequencies.diff().min() if len(frequencies) > 1 else frequencies[0])
    base = max(base, CLOSEST * float(frequencies.max()))
    # With 8 frames per cycle of the highest band its peak is missed by 7 % at most; the peak of the
    # sum of all bands is missed by less.
    count = max(MEASURE_FRAMES, 8 * round(float(frequencies.max()) / base))
    count = min(count, MOST_FRAMES)
    fps = count * base
    coords = harmonic_coords(frequencies, torch.arange(count, dtype=torch.float64) / fps)
    coords = coords.to(spectrum.coeffs.dtype)
    if driven:
        coords = spectrum.ambient.to(coords) @ coords
    return Displacement(
        spectrum.coeffs, coords, fps, spectrum.reference_size, spectrum.mask, loop=True
    )


def scale(spectrum: SpectralVolume, gain: Float[Tensor, " b"]) -> SpectralVolume:
    """The motion multiplied by a factor per still; mean, drift and velocity included."""
    gain = gain.to(spectrum.coeffs.real.dtype)
    field = gain.view(-1, 1, 1, 1)
    return replace(
        spectrum,
        coeffs=spectrum.coeffs * field[:, None],
        mean=None if spectrum.mean is None else spectrum.mean * field,
        velocity=None if spectrum.velocity is None else spectrum.velocity * field,
        drift=None if spectrum.drift is None else spectrum.drift * field,
    )


def summary(spectrum: SpectralVolume) -> str:
    """A description in one or two sentences: bands, grid, amplitude."""
    low, high = (float(spectrum.frequencies_hz[i]) for i in (0, -1))
    count, noun = len(spectrum.frequencies_hz), "modes" if spectrum.kind == "modes" else "bands"
    stills = f"{len(spectrum.coeffs)} stills" if len(spectrum.coeffs) > 1 else "a still"
    (height, width), (rows, columns) = spectrum.reference_size, spectrum.grid
    text = (
        f"{count} {noun} from {low:.2f} to {high:.2f} Hz, of {stills} of {width}x{height}, on a "
        f"grid of {columns}x{rows}."
    )
    if spectrum.kind == "response":
        amplitudes = amplitude_pct(one_period(spectrum), moving_points(spectrum)).tolist()
        text += f" Amplitude {', '.join(f'{a:.2f}' for a in amplitudes)} % of the longer side."
    if spectrum.velocity is not None:
        speeds = spectrum.velocity.norm(dim=1).flatten(1).quantile(0.9, dim=1) * (100 / columns)
        text += f" Flows at up to {', '.join(f'{v:.2g}' for v in speeds.tolist())} % of the width "
        text += "per second."
    if spectrum.light is not None:
        text += " Its light flickers."
    if spectrum.behind is not None:
        text += f" Behind it: {summary(spectrum.behind)}"
    if spectrum.mean is not None or spectrum.drift is not None:
        text += " Recorded: mean and drift are kept, and play without a loop."
    return text
