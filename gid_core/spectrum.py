"""The spectral volume: every pixel's motion as a few complex Fourier amplitudes.

Law: D(p, t) = mean + drift t + Re sum_k S_k(p) q_k(t). What S is and where it comes from is one
question; what q does (play, loop, poke) is another, answered in `dynamics`.

Convention: D is forward, in pixels of its own grid; S_k = (2/T) rfft(D)_k, so |S_k| is a peak
amplitude in pixels; time 0 is the first frame and frame T is the next period's first.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.1, Eq. 1-2.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange

from .dynamics import harmonic_coords
from .shapes import Complex, Float, Tensor

KINDS = ("response", "modes")
FORMAT_VERSION = 1
AMPLITUDE_PERCENTILE = 0.95
MEASURE_FRAMES = 100  # of one period, over which an amplitude is measured


@dataclass(frozen=True)
class SpectralVolume:
    """Motion of `b` stills in `k` bands on a grid of h x w.

    coeffs: S_k(p), px of this grid, (x, y), peak amplitudes.
    frequencies_hz: of the bands ("response"), or natural frequencies ("modes").
    reference_size: (height, width) of the stills.
    mask: what moves, refined, at the stills' own size; None means everywhere.
    mean, drift: px and px/s that a clip had besides; a loop has none.
    damping_ratio: of the modes, for kind "modes" alone.
    kind: "response" are bands of a forced motion, "modes" mass-normalized shapes of free vibration.
    """

    coeffs: Complex[Tensor, "b k 2 h w"]
    frequencies_hz: Float[Tensor, " k"]
    reference_size: tuple[int, int]
    mask: Float[Tensor, "b 1 hr wr"] | None = None
    mean: Float[Tensor, "b 2 h w"] | None = None
    drift: Float[Tensor, "b 2 h w"] | None = None
    damping_ratio: Float[Tensor, " k"] | None = None
    kind: str = "response"

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(self.coeffs.shape[-2:])


@dataclass(frozen=True)
class Displacement:
    """Motion of `b` stills over `t` frames, on the coarse grid it was computed on.

    displacement: D_t(p), px of this grid, (dx, dy), forward from the still.
    loop: True where frame t would equal frame 0 exactly.
    """

    displacement: Float[Tensor, "b t 2 h w"]
    fps: float
    reference_size: tuple[int, int]
    mask: Float[Tensor, "b 1 hr wr"] | None = None
    loop: bool = False

    @property
    def frames(self) -> int:
        return self.displacement.shape[1]

    def scaled_to(self, size: tuple[int, int]) -> Float[Tensor, "2 1 1"]:
        """Factor per axis from pixels of this grid to pixels of a picture of that size."""
        height, width = self.displacement.shape[-2:]
        return self.displacement.new_tensor([size[1] / width, size[0] / height]).view(2, 1, 1)


def displacement(
    spectrum: SpectralVolume, modal_coords: Complex[Tensor, "#b k t"]
) -> Float[Tensor, "b t 2 h w"]:
    """Re sum_k S_k(p) q_k(t), without mean and drift. Evaluated as one real matrix product."""
    coeffs = rearrange(spectrum.coeffs, "b k xy h w -> b (xy h w) k")
    real = coeffs.real @ modal_coords.real - coeffs.imag @ modal_coords.imag
    height, width = spectrum.grid
    return rearrange(real, "b (xy h w) t -> b t xy h w", h=height, w=width)


def displacement_at(
    spectrum: SpectralVolume, times_s: Float[Tensor, " t"]
) -> Float[Tensor, "b t 2 h w"]:
    """Play the bands at any times, fractional or not, with mean and drift where there are any."""
    played = displacement(spectrum, harmonic_coords(spectrum.frequencies_hz, times_s)[None])
    if spectrum.mean is not None:
        played = played + spectrum.mean[:, None]
    if spectrum.drift is not None:
        played = played + spectrum.drift[:, None] * times_s.view(-1, 1, 1, 1)
    return played


def analyze(
    displacement: Float[Tensor, "b t 2 h w"],
    fps: float,
    bands: int = 16,
    detrend: bool = True,
    mask: Float[Tensor, "b 1 hr wr"] | None = None,
    reference_size: tuple[int, int] | None = None,
) -> SpectralVolume:
    """Read the lowest bands of a recorded motion (Sec. 4.1).

    Args:
        detrend: Remove the straight line from the first frame's position to where the frame after
            the last would be, kept as `drift`. A jump J between the ends leaks J / (pi k) into
            every band.

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
        # The end-to-end jump is taken over the T - 1 steps that were seen.
        drift = (displacement[:, -1] - displacement[:, 0]) * (fps / (frames - 1))
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
    displacement: Float[Tensor, "b t 2 h w"], moving: Float[Tensor, "b 1 h w"] | None = None
) -> Float[Tensor, " b"]:
    """Size of a motion: each point's peak over the clip, 95th percentile, in % of the longer side.

    Args:
        moving: Share of every point that moves; those with half the largest or more count.
    """
    peak = displacement.square().sum(2).amax(1).sqrt()
    if moving is None:
        moving = torch.ones_like(peak)[:, None]
    counted = (moving >= 0.5 * moving.amax((1, 2, 3), keepdim=True))[:, 0]
    size = [torch.quantile(p[c], AMPLITUDE_PERCENTILE) for p, c in zip(peak, counted, strict=True)]
    return 100 * torch.stack(size) / max(displacement.shape[-2:])


def moving_points(spectrum: SpectralVolume) -> Float[Tensor, "b 1 h w"] | None:
    """The share of every grid point that the mask lets move."""
    if spectrum.mask is None:
        return None
    return F.interpolate(spectrum.mask, spectrum.grid, mode="area")


def own_amplitude_pct(spectrum: SpectralVolume) -> Float[Tensor, " b"]:
    """Size of the bands' motion over their own period (mean and drift apart)."""
    frequencies = spectrum.frequencies_hz
    base = frequencies.diff().min() if len(frequencies) > 1 else frequencies[0]
    times = torch.arange(MEASURE_FRAMES) / (MEASURE_FRAMES * base)
    played = displacement(spectrum, harmonic_coords(frequencies, times)[None])
    return amplitude_pct(played, moving_points(spectrum))


def scale(spectrum: SpectralVolume, gain: Float[Tensor, " b"]) -> SpectralVolume:
    """The same motion, larger or smaller."""
    gain = gain.to(spectrum.coeffs.real.dtype)
    field = gain.view(-1, 1, 1, 1)
    return replace(
        spectrum,
        coeffs=spectrum.coeffs * field[:, None],
        mean=None if spectrum.mean is None else spectrum.mean * field,
        drift=None if spectrum.drift is None else spectrum.drift * field,
    )
