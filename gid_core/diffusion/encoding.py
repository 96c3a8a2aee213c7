"""Normalization of a spectral volume: real numbers of similar magnitude in every band.

Frequency-adaptive normalization: every real scalar becomes sign(S) sqrt(|S| / s_f). s_f is the 95th
percentile of |S| over the training set, per band. Amplitudes fall about tenfold from 0.2 to 3.2 Hz,
and within a band most of a picture barely moves. Divided by one number for all bands, all but the
lowest bands would be close to zero.

Law: decode(encode(S)) = S.

Convention: motions have unit amplitude (`unit_size`), because the strength of the wind is chosen by
the user and is not visible in a still. Statistics hold for motions of unit amplitude in the bands
of the training set.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.2, Eq. 4. The unnormalized FFT of
the paper is T/2 times our peak amplitudes; s_f removes the factor.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from einops import rearrange

from ..shapes import Complex, Float, Tensor

NORMALIZATIONS = ("adaptive", "linear", "log", "std")
PERCENTILE = 0.95  # the paper's; its first two versions had 0.97
MOVING = 0.05  # least amplitude of a moving point, as a share of the largest
LOG_GAIN = 20.0  # of log(1 + gain |S| / s_f) / log(1 + gain)
SAMPLED = 4096  # about so many scalars per band and motion enter the percentile


@dataclass(frozen=True)
class Encoding:
    """A normalization with its statistics.

    frequencies_hz, scale: s_f at the bands of the training set; a power law between them.
    kind: "adaptive" is the paper's; "linear" divides by s_f, "std" by one number for all bands;
        "log" is the logarithm that the paper compares with.
    """

    frequencies_hz: Float[Tensor, " n"]
    scale: Float[Tensor, " n"]
    kind: str = "adaptive"

    def __post_init__(self):
        if self.kind not in NORMALIZATIONS:
            raise ValueError(
                f"Expected a normalization among {', '.join(NORMALIZATIONS)}, got {self.kind!r}."
            )

    def scale_at(self, frequencies_hz: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """s_f at any frequencies, interpolated in log-log; constant beyond the ends."""
        if self.kind == "std":
            return self.scale.mean().expand(len(frequencies_hz)).to(frequencies_hz)
        known, values = self.frequencies_hz.log(), self.scale.log()
        query = frequencies_hz.to(known).log().clamp(known[0], known[-1])
        if len(known) == 1:
            return self.scale.expand(len(query)).to(frequencies_hz)
        right = torch.searchsorted(known, query).clamp(1, len(known) - 1)
        share = (query - known[right - 1]) / (known[right] - known[right - 1])
        return torch.lerp(values[right - 1], values[right], share).exp().to(frequencies_hz)

    def encode(
        self, coeffs: Complex[Tensor, "b k 2 h w"], frequencies_hz: Float[Tensor, " k"]
    ) -> Float[Tensor, "b k 4 h w"]:
        """Channels are Re x, Im x, Re y, Im y."""
        return self.squash(as_channels(coeffs), frequencies_hz)

    def decode(
        self, encoded: Float[Tensor, "b k 4 h w"], frequencies_hz: Float[Tensor, " k"]
    ) -> Complex[Tensor, "b k 2 h w"]:
        return as_complex(self.stretch(encoded, frequencies_hz))

    def squash(
        self, scalars: Float[Tensor, "b k 4 h w"], frequencies_hz: Float[Tensor, " k"]
    ) -> Float[Tensor, "b k 4 h w"]:
        """Normalize real and imaginary parts."""
        x = scalars / self.scale_at(frequencies_hz).to(scalars).view(-1, 1, 1, 1)
        if self.kind == "adaptive":
            return x.sign() * x.abs().sqrt()
        if self.kind == "log":
            gain = x.new_tensor(LOG_GAIN)
            return x.sign() * (gain * x.abs()).log1p() / gain.log1p()
        return x

    def stretch(
        self, encoded: Float[Tensor, "b k 4 h w"], frequencies_hz: Float[Tensor, " k"]
    ) -> Float[Tensor, "b k 4 h w"]:
        """The inverse of `squash`; differentiable, for the gradient of loop guidance."""
        x = encoded
        if self.kind == "adaptive":
            x = x * x.abs()
        elif self.kind == "log":
            gain = x.new_tensor(LOG_GAIN)
            x = x.sign() * (x.abs() * gain.log1p()).expm1() / gain
        return x * self.scale_at(frequencies_hz).to(x).view(-1, 1, 1, 1)


def as_channels(coeffs: Complex[Tensor, "b k 2 h w"]) -> Float[Tensor, "b k 4 h w"]:
    return rearrange(torch.view_as_real(coeffs), "b k xy h w part -> b k (xy part) h w")


def as_complex(channels: Float[Tensor, "b k 4 h w"]) -> Complex[Tensor, "b k 2 h w"]:
    pairs = rearrange(channels, "b k (xy part) h w -> b k xy h w part", part=2)
    return torch.view_as_complex(pairs.contiguous())


def unit_size(coeffs: Complex[Tensor, "b k 2 h w"]) -> Float[Tensor, " b"]:
    """Amplitude of a motion: 95th percentile, over moving points, of the norm of all amplitudes.

    Zero without motion.
    """
    size = coeffs.abs().square().sum((1, 2)).sqrt().flatten(1)
    sizes = []
    for each in size:
        moving = each[each > MOVING * each.max()]
        sizes.append(torch.quantile(moving, PERCENTILE) if len(moving) else each.new_zeros(()))
    return torch.stack(sizes)


def of_unit_size(coeffs: Complex[Tensor, "b k 2 h w"]) -> Complex[Tensor, "b k 2 h w"]:
    """The motion, scaled so that `unit_size` is 1; zeros are unchanged."""
    size = unit_size(coeffs)
    return coeffs / torch.where(size > 0, size, 1.0).view(-1, 1, 1, 1, 1)


def fit_encoding(
    motions: Iterable[Complex[Tensor, "k 2 h w"]],
    frequencies_hz: Float[Tensor, " k"],
    kind: str = "adaptive",
) -> Encoding:
    """Statistics of a training set; every motion is first scaled to unit amplitude.

    Raises:
        ValueError: If there are no motions, or a band in which nothing moves.
    """
    sampled = []
    for coeffs in motions:
        scalars = as_channels(of_unit_size(coeffs[None]))[0].abs().flatten(1)
        step = max(1, scalars.shape[1] // SAMPLED)
        sampled.append(scalars[:, ::step])
    if not sampled:
        raise ValueError("Expected motions to take statistics of, got none.")
    values = torch.cat(sampled, 1)
    if kind == "std":
        scale = values.square().mean().sqrt().expand(len(frequencies_hz)).clone()
    else:
        rank = min(values.shape[1] - 1, int(PERCENTILE * values.shape[1]))
        scale = values.sort(1).values[:, rank]
    if not (scale > 0).all():
        raise ValueError(
            "Expected motions of which some part moves in every band, got ones that stand still in "
            f"{int((scale <= 0).sum())} of {len(scale)}. Train on more, or fewer bands."
        )
    return Encoding(frequencies_hz.float(), scale.float(), kind)
