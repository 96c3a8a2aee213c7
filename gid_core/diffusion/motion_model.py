"""The learned motion model: a still in, a plausible motion out, with no mask and no hint.

Law: the same still, seed and settings give the same motion on every device, to its arithmetic; noise is
drawn on the CPU. Motion is sampled at unit size, evened by what the still lets expect, and then given the
amplitude asked for.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..config import LAYOUTS, MotionModelConfig, SamplingConfig, SpectrumConfig
from ..diffusion import sampling
from ..files.weights import load_weights, save_weights
from ..motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, scale
from ..shapes import Complex, Float, Int, Tensor
from ..still.grid import grid_size
from ..still.matte import refine_mask
from .autoencoder import REDUCTION, MotionAutoencoder
from .denoiser import Denoiser, ImageEncoder
from .encoding import NORMALIZATIONS, Encoding, as_complex
from .guidance import loop_guide

KIND = "motion model"  # of weights
FAINT = 0.02  # of unit size: strength that counts as none when places are evened
STILL = 0.12  # of the amplitude: what moves less belongs to what stands still
MOST_BLOCKS, MOST_BANDS = 16, 128  # of a configuration that a file may ask for
PARTS = ("autoencoder", "encoder", "denoiser")


class MotionModel(nn.Module):
    """The networks and the statistics that they were trained with."""

    def __init__(self, config: MotionModelConfig, encoding: Encoding | None = None):
        super().__init__()
        self.config = config
        self.noise = sampling.Noise()
        self.autoencoder = MotionAutoencoder(config.autoencoder)
        self.encoder = ImageEncoder(config.denoiser)
        self.denoiser = Denoiser(config.denoiser)
        known = torch.arange(1, config.bands + 1) / config.duration_s
        self.register_buffer("frequencies_hz", known)
        self.register_buffer("scale", torch.ones(config.bands))
        if encoding is not None:
            self.frequencies_hz.copy_(encoding.frequencies_hz)
            self.scale.copy_(encoding.scale)

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.frequencies_hz, self.scale, self.config.normalization)

    @property
    def multiple(self) -> int:
        """What the sides of a still are multiples of, so that every layer halves them evenly."""
        return math.lcm(self.encoder.multiple, REDUCTION * self.denoiser.multiple)

    def amplitudes(
        self, features: Float[Tensor, "b f hl wl"], frequencies_hz: Float[Tensor, " k"]
    ) -> Float[Tensor, "b k hl wl"]:
        """What the still alone lets expect of every place's bands, for a motion of unit size."""
        root = self.encoder.amplitudes(features).float().clamp(min=0)
        root = root[:, nearest(self.frequencies_hz, frequencies_hz)]
        return root.square() * self.encoding.scale_at(frequencies_hz).view(-1, 1, 1)


def fresh(config: MotionModelConfig, encoding: Encoding, seed: int = 0) -> MotionModel:
    """An untrained model, the same for a seed, that leaves the host's random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MotionModel(config, encoding)


@dataclass(frozen=True)
class LearnedPrior:
    """A trained model as the sampler takes it."""

    model: MotionModel
    sampling: SamplingConfig = SamplingConfig()
    preview: Callable[[Tensor], None] | None = field(default=None, compare=False)
    finds_what_moves = True  # no mask is guessed for it

    def sample(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"] | None,
        generator: torch.Generator,
        spectrum: SpectrumConfig = SpectrumConfig(),
        anchor: Float[Tensor, "1 1 hr wr"] | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> SpectralVolume:
        """Sample one still. What the matte leaves out stands still; so does an anchor.

        Without a matte, what moves is found from the sample itself: `what_moves`.

        Raises:
            ValueError: For modes, which this model has none of.
        """
        if spectrum.kind != "response":
            raise ValueError(
                "Expected a motion to play: a learned model knows no modes of vibration. Use the "
                "elastic model for modes, or poke the motion as it is."
            )
        hertz = torch.arange(1, spectrum.bands + 1) / spectrum.duration_s
        coeffs = self.coefficients(image, hertz, generator, poll)
        allowed = torch.ones_like(image[:, :1]) if matte is None else matte
        free = allowed if anchor is None else allowed * (1 - anchor)
        coeffs = coeffs * F.interpolate(free, coeffs.shape[-2:], mode="area")[:, None]
        volume = SpectralVolume(coeffs, hertz, tuple(image.shape[-2:]), matte)
        if matte is None:
            volume = replace(volume, mask=what_moves(volume, image))
            inside = F.interpolate(volume.mask, volume.grid, mode="area")
            volume = replace(volume, coeffs=coeffs * inside[:, None])
        size = amplitude_pct(one_period(volume), moving_points(volume))
        return scale(
            volume, torch.where(size > 0, spectrum.amplitude_pct / size.clamp(min=1e-9), 0.0)
        )

    @torch.inference_mode(False)
    def coefficients(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        frequencies_hz: Float[Tensor, " k"],
        generator: torch.Generator,
        poll: Callable[[], None] = lambda: None,
    ) -> Complex[Tensor, "1 k 2 h w"]:
        """A motion of unit size, on the model's own grid."""
        model, how = self.model, self.sampling
        if how.loop_strength:
            # Hosts load weights in inference mode, and no gradient passes through such tensors.
            model = copy.deepcopy(model)
        denoiser = model.config.denoiser
        if denoiser.layout == "volume" and len(frequencies_hz) != denoiser.bands:
            raise ValueError(
                f"Expected {denoiser.bands} bands, as this model was trained on, got "
                f"{len(frequencies_hz)}: one whose layout is a volume knows no others."
            )
        like = model.encoder.stem.weight
        hertz = frequencies_hz.to(like)
        grid = grid_size(*image.shape[-2:], model.config.longest_side)
        still = F.interpolate(image.clone().float(), grid, mode="bilinear", antialias=True).clamp(0, 1)  # fmt: skip
        right, below = (-n % model.multiple for n in reversed(grid))
        still = F.pad(still, (0, right, 0, below), mode="replicate").to(like)
        with torch.no_grad():
            features = model.encoder(still)
            known = how.evened and model.encoder.trained
            expected = model.amplitudes(features, hertz) if known else None
        height, width = features.shape[-2:]
        latent = model.config.autoencoder.latent
        noise = torch.randn(1, len(hertz), latent, height, width, generator=generator)
        noise = noise.to(like.device)  # float32, whatever the networks compute in

        def network(told):
            return lambda x, level: model.denoiser(x.to(like), level.to(like), told, hertz).float()

        def cleaned(told):
            return lambda x, sigma: sampling.denoised(network(told), x, sigma)

        def bands(code):
            channels = model.autoencoder.from_latent(code.to(like)).float()
            channels = model.encoding.stretch(channels, frequencies_hz)
            return channels[..., : grid[0], : grid[1]]

        def finished(code):
            return bands(code) if expected is None else evened(bands(code), expected)

        def step(done, clean):
            poll()
            if self.preview is not None:
                self.preview(finished(clean))

        guide = None
        if how.loop_strength:
            guide = loop_guide(bands, frequencies_hz, how.loop_s, how.loop_strength)
        with torch.no_grad():
            code = sampling.sample(
                sampling.guided(cleaned(features), cleaned(torch.zeros_like(features)), how.guidance),
                noise, model.noise.steps(how.steps), how.sampler, guide, how.repeats, generator, step,
            )  # fmt: skip
            channels = finished(code).cpu()
        return as_complex(channels)


def nearest(
    known_hz: Float[Tensor, " n"], frequencies_hz: Float[Tensor, " k"]
) -> Int[Tensor, " k"]:
    """Which of the known bands lies nearest to each frequency."""
    return (known_hz[None, :] - frequencies_hz[:, None].to(known_hz)).abs().argmin(1)


def evened(
    channels: Float[Tensor, "b k 4 h w"], expected: Float[Tensor, "b _ hl wl"]
) -> Float[Tensor, "b k 4 h w"]:
    """The motion, around every code as strong as the amplitudes of all bands expected there.

    Samples are blotchy: how strong a place is depends on its noise, more than in motions they learned
    from. All bands of a place have one gain: phases, directions and closed loops stay.
    """
    height, width = channels.shape[-2:]
    whole = [REDUCTION * n for n in expected.shape[-2:]]
    energy = channels.square().sum((1, 2))[:, None]
    energy = F.pad(energy, (0, whole[1] - width, 0, whole[0] - height), mode="replicate")
    energy = F.avg_pool2d(energy, REDUCTION)
    energy = F.avg_pool2d(F.pad(energy, (1, 1, 1, 1), mode="replicate"), 3, 1)
    wanted = expected.square().sum(1, keepdim=True).sqrt()
    gain = (wanted + FAINT) / (energy.sqrt() + FAINT)
    gain = F.interpolate(gain, whole, mode="bilinear")[..., :height, :width]
    return channels * gain[:, None]


def shipped() -> Path:
    """The weights that came with Image Dynamics."""
    return Path(__file__).parents[1] / "pretrained" / "motion-small.safetensors"


def what_moves(
    volume: SpectralVolume, image: Float[Tensor, "1 3 hr wr"]
) -> Float[Tensor, "1 1 hr wr"]:
    """A mask of what moves by more than a little, at the still's size, fitted to its edges."""
    size = volume.coeffs.abs().square().sum((1, 2)).sqrt()
    # The mean over the motion's energy: however small a part it is in, the rest does not count.
    typical = (size.pow(3).sum((1, 2)) / size.square().sum((1, 2)).clamp(min=1e-12)).view(-1, 1, 1)
    share = ((size / typical.clamp(min=1e-9) - STILL) / STILL).clamp(0, 1)
    rough = F.interpolate(share[:, None], tuple(image.shape[-2:]), mode="bilinear")
    return refine_mask(image, rough)


def save_model(model: MotionModel, path: str | Path, notes: dict | None = None) -> None:
    """Write weights; `notes` say what to know about them: data, steps, measures."""
    save_weights(model, KIND, path, notes)


def load_model(path: str | Path) -> MotionModel:
    """Read weights.

    Raises:
        ValueError: As `load_weights`.
    """
    return load_weights(
        path, KIND, MotionModelConfig, _sensible, MotionModel, ("scale",), ("frequencies_hz",)
    )


def _sensible(config: MotionModelConfig) -> bool:
    denoiser = config.denoiser
    return (
        config.normalization in NORMALIZATIONS
        and denoiser.layout in LAYOUTS
        and config.bands == denoiser.bands >= 1
        and config.autoencoder.latent == denoiser.latent >= 1
        and config.bands <= MOST_BANDS
        and max(config.autoencoder.blocks, denoiser.blocks) <= MOST_BLOCKS
        and config.longest_side >= 16
        and len(denoiser.encoder_widths) >= 2
        and denoiser.features >= 1
        and all(w % max(1, w // max(1, denoiser.head)) == 0 for w in denoiser.widths)
    )
