"""What much noise hides of a thing that moves as one: means over wide neighbourhoods.

Where the noise of latents is larger than they are, a place by itself says nothing; a mean over the
n places of a thing still does, for its noise is smaller by sqrt(n). A small network finds such
means slowly by itself: trained for an hour, it was worse at them than a Gaussian
(docs/benchmarks.md). So it is shown them.

Law: a field that is the same everywhere keeps its value, whatever the weights. A field of unit size
under noise of a known deviation keeps about unit size.

Source: normalized convolution, Knutsson & Westin, CVPR 1993.
"""

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor

FAINT = 1e-3  # weight that every place has
REACH = 2.5  # deviations, where the Gaussian is cut off


def smoothed(
    noisy: Float[Tensor, "n c h w"],
    weights: Float[Tensor, "n 1 h w"],
    sigma: Float[Tensor, " n"],
    radius: float | int,
) -> Float[Tensor, "n c h w"]:
    """Weighted means around every place of what has noise, brought to about unit size.

    Args:
        noisy: (clean + sigma noise) / sqrt(1 + sigma^2), as the denoiser is given it.
        weights: How much every place counts.
        radius: Deviation of the Gaussian, in places.
    """
    weights = weights + FAINT
    whole = _blurred(weights, radius)
    mean = _blurred(noisy * weights, radius) / whole
    # Independent noise of deviation sigma has this variance after the mean.
    kept = _blurred(weights.square(), radius, squared=True) / whole.square()
    variance = sigma.square().view(-1, 1, 1, 1)
    return mean * ((1 + variance) / (1 + kept * variance)).sqrt()


def _blurred(field, radius, squared=False):
    """Sums under a Gaussian (or its square) that adds up to one, over both axes."""
    reach = max(1, round(REACH * radius))
    places = torch.arange(-reach, reach + 1, device=field.device, dtype=field.dtype)
    kernel = torch.exp(-0.5 * (places / radius).square())
    kernel = kernel / kernel.sum()
    kernel = kernel.square() if squared else kernel
    channels = field.shape[1]
    for shape, padding in (((1, 1, -1, 1), (reach, 0)), ((1, 1, 1, -1), (0, reach))):
        taps = kernel.view(shape).expand(channels, -1, -1, -1)
        field = F.conv2d(field, taps, padding=padding, groups=channels)
    return field
