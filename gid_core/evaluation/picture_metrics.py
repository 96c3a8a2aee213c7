"""Measures of frames as pictures: PSNR, SSIM, gradient deviation, flicker, brightness over time.

Law: a clip measured against itself has infinite PSNR, SSIM 1, and no other distance.

Source: SSIM, Wang et al. 2004; GMSD, Xue et al. 2014.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor

LUMA = (0.2126, 0.7152, 0.0722)  # bt709
SSIM_WINDOW, SSIM_SIGMA, SSIM_K = 11, 1.5, (0.01, 0.03)  # Wang et al. 2004


def luma(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "t h w"]:
    """Brightness, bt709; of grey frames themselves."""
    if frames.shape[1] < 3:
        return frames[:, 0]
    return torch.einsum("tchw,c->thw", frames[:, :3], frames.new_tensor(LUMA))


def flicker(
    frames: Float[Tensor, "t c h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> float:
    """Noise from frame to frame, in units of brightness; nan for fewer than three frames. Ours.

    Root mean square of the second difference over time, over sqrt(6): white noise of deviation s
    gives s, and a steady fade gives 0. Count what stands still: what moves changes as well. Of
    `frames.mean((2, 3), keepdim=True)` it is the pulse of the whole picture.
    """
    change = luma(frames).diff(n=2, dim=0)
    kept = change if counted is None else change[counted.expand_as(change)]
    return float(kept.square().mean().sqrt()) / math.sqrt(6)


def psnr(
    estimate: Float[Tensor, "*t c h w"],
    truth: Float[Tensor, "*t c h w"],
    counted: Bool[Tensor, "... 1 h w"] | None = None,
) -> float:
    """Decibels by which a range of 1 exceeds the root-mean-square error; infinite for equals."""
    error = (estimate - truth).double().square().mean(-3, keepdim=True)
    kept = error if counted is None else error[counted.expand_as(error)]
    mean = float(kept.mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)


def ssim(
    estimate: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of every picture, at most 1 (Wang et al., Eq. 13-17).

    Their Gaussian window of 11 x 11, only where it lies inside; for every channel, then the mean.

    Raises:
        ValueError: If a picture is smaller than the window.
    """
    if min(estimate.shape[-2:]) < SSIM_WINDOW:
        height, width = estimate.shape[-2:]
        raise ValueError(
            f"SSIM needs pictures of at least {SSIM_WINDOW}x{SSIM_WINDOW}, got {width}x{height}. "
            "Use PSNR for such small ones."
        )
    mean_a, mean_b = _windowed(estimate), _windowed(truth)
    variance_a = _windowed(estimate.square()) - mean_a.square()
    variance_b = _windowed(truth.square()) - mean_b.square()
    covariance = _windowed(estimate * truth) - mean_a * mean_b
    c1, c2 = (k**2 for k in SSIM_K)
    brightness = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (brightness * structure).mean((1, 2, 3))


def _windowed(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h1 w1"]:
    """Gaussian-weighted local means, along each axis in turn."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).to(pictures)
    flat = pictures.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return flat.view(*pictures.shape[:2], *flat.shape[-2:])


def gradient_deviation(
    pictures: Float[Tensor, "b c h w"], references: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """How unevenly edges were kept, 0 for equals (GMSD, Xue et al. 2014). Stands in for LPIPS, without weights.

    Published to rank distortions as people do about as well as far larger measures.
    """
    slope = pictures.new_tensor([[1.0, 0.0, -1.0]] * 3).view(1, 1, 3, 3) / 3
    sizes = []
    for x in (pictures, references):
        grey = F.avg_pool2d(luma(x)[:, None], 2)
        sizes.append((F.conv2d(grey, slope).square() + F.conv2d(grey, slope.mT).square()).sqrt())
    steady = 170 / 255**2  # of the paper, whose pictures go to 255
    product, squares = sizes[0] * sizes[1], sizes[0].square() + sizes[1].square()
    alike = (2 * product + steady) / (squares + steady)
    return alike.flatten(1).std(1, correction=0)


def brightness_spectrum(
    frames: Float[Tensor, "t c h w"], fps: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Frequencies below half the frame rate, and how much brightness swings at each (mean peak).

    As motion is read: the straight line from end to end is removed first, the mean is left out.
    """
    values = luma(frames)
    count = len(values)
    steps = torch.arange(count, dtype=values.dtype, device=values.device).view(-1, 1, 1)
    values = values - (values[-1] - values[0]) * steps / max(1, count - 1)
    bands = (count - 1) // 2
    amplitude = 2 / count * torch.fft.rfft(values, dim=0)[1 : bands + 1].abs()
    return torch.arange(1, bands + 1) * (fps / count), amplitude.mean((1, 2))
