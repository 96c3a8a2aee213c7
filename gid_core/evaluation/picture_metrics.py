"""Metrics of frames as pictures: PSNR, SSIM, GMSD, flicker, brightness over time.

Law: a clip compared with itself has infinite PSNR, SSIM 1, and GMSD 0.

Source: SSIM, Wang et al. 2004; GMSD, Xue et al. 2014.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor

LUMA = (0.2126, 0.7152, 0.0722)  # bt709
SSIM_WINDOW, SSIM_SIGMA, SSIM_K = 11, 1.5, (0.01, 0.03)  # Wang et al. 2004


def luma(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "t h w"]:
    """Luma, BT.709; grey frames are returned as they are."""
    if frames.shape[1] < 3:
        return frames[:, 0]
    return torch.einsum("tchw,c->thw", frames[:, :3], frames.new_tensor(LUMA))


def flicker(
    frames: Float[Tensor, "t c h w"], counted: Bool[Tensor, "1 h w"] | None = None
) -> float:
    """Temporal noise, in units of brightness; nan for fewer than three frames. Ours.

    The RMS of the second difference over time, divided by sqrt(6). White noise of standard
    deviation s gives s; a linear fade gives 0. `counted` should select static pixels, because
    moving pixels change too. For `frames.mean((2, 3), keepdim=True)` it is the flicker of the whole
    picture.
    """
    change = luma(frames).diff(n=2, dim=0)
    values = change if counted is None else change[counted.expand_as(change)]
    return float(values.square().mean().sqrt()) / math.sqrt(6)


def psnr(
    estimate: Float[Tensor, "*t c h w"],
    truth: Float[Tensor, "*t c h w"],
    counted: Bool[Tensor, "... 1 h w"] | None = None,
) -> float:
    """Peak signal-to-noise ratio for a range of 1, dB; infinite for equal pictures."""
    error = (estimate - truth).double().square().mean(-3, keepdim=True)
    values = error if counted is None else error[counted.expand_as(error)]
    mean = float(values.mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)


def ssim(
    estimate: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of every picture, at most 1 (Wang et al., Eq. 13-17).

    With the Gaussian window of 11 x 11 of the paper, only where it lies inside the picture; the
    mean over channels.

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
    """Local means with a separable Gaussian window."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).to(pictures)
    flat = pictures.flatten(0, 1)[:, None]
    flat = F.conv2d(F.conv2d(flat, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return flat.view(*pictures.shape[:2], *flat.shape[-2:])


def gradient_deviation(
    pictures: Float[Tensor, "b c h w"], references: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Gradient magnitude similarity deviation, 0 for equal pictures (GMSD, Xue et al. 2014).

    A substitute for LPIPS that needs no weights. In the paper it agrees with human judgement of
    distortions about as well as much larger metrics.
    """
    prewitt = pictures.new_tensor([[1.0, 0.0, -1.0]] * 3).view(1, 1, 3, 3) / 3
    magnitudes = []
    for x in (pictures, references):
        grey = F.avg_pool2d(luma(x)[:, None], 2)
        squared = F.conv2d(grey, prewitt).square() + F.conv2d(grey, prewitt.mT).square()
        magnitudes.append(squared.sqrt())
    constant = 170 / 255**2  # the paper's, for pictures in 0 ... 255
    one, other = magnitudes
    product, squares = one * other, one.square() + other.square()
    similarity = (2 * product + constant) / (squares + constant)
    return similarity.flatten(1).std(1, correction=0)


def brightness_spectrum(
    frames: Float[Tensor, "t c h w"], fps: float
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Frequencies below half the frame rate, Hz, and the mean peak amplitude of brightness.

    The straight line from the first to the last frame is subtracted first; the mean is left out.
    """
    values = luma(frames)
    count = len(values)
    steps = torch.arange(count, dtype=values.dtype, device=values.device).view(-1, 1, 1)
    values = values - (values[-1] - values[0]) * steps / max(1, count - 1)
    bands = (count - 1) // 2
    amplitude = 2 / count * torch.fft.rfft(values, dim=0)[1 : bands + 1].abs()
    return torch.arange(1, bands + 1) * (fps / count), amplitude.mean((1, 2))
