"""The learned motion model: it samples a plausible motion for a still and a matte.

Law: equal stills, seeds and settings give equal motions on every device, up to its arithmetic:
noise is drawn on the CPU. A motion is sampled at unit amplitude, made as strong at every place as
recognition says how far it goes, and then scaled to the requested amplitude.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..config import LAYOUTS, MotionModelConfig, SamplingConfig, SpectrumConfig
from ..diffusion import sampling
from ..files.weights import load_weights, save_weights, settings_in
from ..motion.spectrum import SpectralVolume, amplitude_pct, moving_points, one_period, scale
from ..recognition.model import load_recognizer, recognize, shipped as shipped_recognizer
from ..shapes import Complex, Float, Int, Tensor
from ..still.grid import grid_size
from .autoencoder import REDUCTION, MotionAutoencoder
from .conditioning import Conditioning
from .denoiser import Denoiser, ImageEncoder
from .encoding import NORMALIZATIONS, Encoding, as_complex
from .guidance import LOOP_RULES, loop_guide, loop_guided
from .recognized_model import RecognizedModel, load_recognized_model

KIND = "motion model"  # of weight files
FAINT = 0.02  # of unit amplitude: added to both amplitudes of a ratio, so that zero gives 1
UNRECOGNIZED = 0.5  # how far what is not recognized goes, beside what goes farthest
MOST_BLOCKS, MOST_BANDS = 16, 128  # limits for the configuration in a file
PARTS = ("autoencoder", "encoder", "denoiser")


class MotionModel(nn.Module):
    """The networks and the statistics of their training set."""

    def __init__(self, config: MotionModelConfig, encoding: Encoding | None = None):
        super().__init__()
        self.config = config
        self.noise = sampling.Noise()
        self.autoencoder = MotionAutoencoder(config.autoencoder)
        self.encoder = ImageEncoder(config.denoiser)
        self.denoiser = Denoiser(config.denoiser)
        harmonics = torch.arange(1, config.bands + 1) / config.duration_s
        self.register_buffer("frequencies_hz", harmonics)
        self.register_buffer("scale", torch.ones(config.bands))
        if encoding is not None:
            self.frequencies_hz.copy_(encoding.frequencies_hz)
            self.scale.copy_(encoding.scale)

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.frequencies_hz, self.scale, self.config.normalization)

    @property
    def multiple(self) -> int:
        """The sides of a still must be multiples of this: every layer then halves them evenly."""
        return math.lcm(self.encoder.multiple, REDUCTION * self.denoiser.multiple)

    def amplitudes(
        self, features: Float[Tensor, "b f hl wl"], frequencies_hz: Float[Tensor, " k"]
    ) -> Float[Tensor, "b k hl wl"]:
        """Expected amplitudes of the bands at every point, for a motion of unit amplitude."""
        root = self.encoder.amplitudes(features).float().clamp(min=0)
        root = root[:, nearest(self.frequencies_hz, frequencies_hz)]
        return root.square() * self.encoding.scale_at(frequencies_hz).view(-1, 1, 1)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The parts that may compute in another precision."""
        return self.autoencoder, self.encoder, self.denoiser

    def condition(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"],
        frequencies_hz: Float[Tensor, " k"],
        evened: bool,
    ) -> Conditioning:
        """What it is told of a still: features; and how far every place goes, if it is evened."""
        like = self.encoder.stem.weight
        grid = grid_size(*image.shape[-2:], self.config.longest_side)
        right, below = (-n % self.multiple for n in reversed(grid))

        def seen(field):
            small = F.interpolate(field, grid, mode="bilinear", antialias=True).clamp(0, 1)
            return F.pad(small, (0, right, 0, below), mode="replicate")

        with torch.no_grad():
            features = self.encoder(seen(image.clone().float()).to(like))
            far = None
            if evened:
                far = F.avg_pool2d(seen(how_far(image)), REDUCTION).to(like.device)

        def decode(code):
            channels = self.autoencoder.from_latent(code.to(like)).float()
            channels = self.encoding.stretch(channels, frequencies_hz)
            return channels[..., : grid[0], : grid[1]]

        def even(channels):
            return channels if far is None else match_amplitude(channels, far)

        return Conditioning(features, self.config.autoencoder.latent, decode, even)


def fresh(config: MotionModelConfig, encoding: Encoding, seed: int = 0) -> MotionModel:
    """An untrained model, determined by the seed; the global random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MotionModel(config, encoding)


@dataclass(frozen=True)
class LearnedPrior:
    """A trained model with the settings of sampling, as a motion prior.

    preview: Called with the channels of the clean estimate, 1 k 4 h w, after every step.
    """

    model: MotionModel | RecognizedModel
    sampling: SamplingConfig = SamplingConfig()
    preview: Callable[[Tensor], None] | None = field(default=None, compare=False)

    def sample(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"],
        generator: torch.Generator,
        spectrum: SpectrumConfig = SpectrumConfig(),
        anchor: Float[Tensor, "1 1 hr wr"] | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> SpectralVolume:
        """Sample the motion of one still. It is zero outside the matte and at the anchor.

        Raises:
            ValueError: If modes are requested; this model gives bands alone.
        """
        if spectrum.kind != "response":
            raise ValueError(
                "Expected a motion to play: a learned model knows no modes of vibration. Use the "
                "elastic model for modes, or poke the motion as it is."
            )
        hertz = torch.arange(1, spectrum.bands + 1) / spectrum.duration_s
        coeffs = self.coefficients(image, hertz, generator, poll, matte)
        free = matte if anchor is None else matte * (1 - anchor)
        coeffs = coeffs * F.interpolate(free, coeffs.shape[-2:], mode="area")[:, None]
        volume = SpectralVolume(coeffs, hertz, tuple(image.shape[-2:]), matte)
        amplitude = amplitude_pct(one_period(volume), moving_points(volume))
        gain = spectrum.amplitude_pct / amplitude.clamp(min=1e-9)
        return scale(volume, torch.where(amplitude > 0, gain, 0.0))

    @torch.inference_mode(False)
    def coefficients(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        frequencies_hz: Float[Tensor, " k"],
        generator: torch.Generator,
        poll: Callable[[], None] = lambda: None,
        matte: Float[Tensor, "1 1 hr wr"] | None = None,
    ) -> Complex[Tensor, "1 k 2 h w"]:
        """A motion of about unit amplitude, on the model's own grid; all may move without a
        matte."""
        model, how = self.model, self.sampling
        if how.loop_rule not in LOOP_RULES:
            raise ValueError(
                f"Expected a rule of loop guidance among {', '.join(LOOP_RULES)}, got "
                f"{how.loop_rule!r}."
            )
        if how.loop_strength:
            # Hosts load weights in inference mode. Such tensors do not allow gradients, copies do.
            model = copy.deepcopy(model).requires_grad_(False)
        denoiser = model.config.denoiser
        if denoiser.layout == "volume" and len(frequencies_hz) != denoiser.bands:
            raise ValueError(
                f"Expected {denoiser.bands} bands, as this model was trained on, got "
                f"{len(frequencies_hz)}: one whose layout is a volume knows no others."
            )
        like = next(model.denoiser.parameters())
        hertz = frequencies_hz.to(like)
        matte = torch.ones_like(image[:, :1]) if matte is None else matte
        given = model.condition(image, matte, frequencies_hz, how.evened)
        features = given.features
        height, width = features.shape[-2:]
        noise = torch.randn(1, len(hertz), given.latent, height, width, generator=generator)
        # In float32, whatever the networks compute in.
        noise = given.start(noise, generator).to(like.device)

        def denoise(condition):
            def network(x, level):
                return model.denoiser(x.to(like), level.to(like), condition, hertz).float()

            return lambda x, sigma: sampling.denoised(network, x, sigma)

        def step(done, clean):
            poll()
            if self.preview is not None:
                self.preview(given.finish(given.decode(clean)))

        sigmas = model.noise.steps(how.steps)
        conditional, unconditional = denoise(features), denoise(torch.zeros_like(features))
        estimate = sampling.guided(conditional, unconditional, how.guidance)
        guide, loop = None, (given.decode, frequencies_hz, how.loop_s, how.loop_strength)
        if how.loop_strength and how.loop_rule == "paper":
            estimate = loop_guided(estimate, *loop)
        elif how.loop_strength:
            guide = loop_guide(*loop)
        with torch.no_grad():
            code = sampling.sample(
                estimate,
                noise,
                sigmas,
                how.sampler,
                guide=guide,
                repeats=how.repeats if how.loop_strength else 1,
                generator=generator,
                callback=step,
            )
            channels = given.finish(given.decode(code)).cpu()
        return as_complex(channels)


def nearest(
    known_hz: Float[Tensor, " n"], frequencies_hz: Float[Tensor, " k"]
) -> Int[Tensor, " k"]:
    """Index of the known band that is nearest to each frequency."""
    return (known_hz[None, :] - frequencies_hz[:, None].to(known_hz)).abs().argmin(1)


def match_amplitude(
    channels: Float[Tensor, "b k 4 h w"], expected: Float[Tensor, "b 1 hl wl"]
) -> Float[Tensor, "b k 4 h w"]:
    """Scale a motion so that its local amplitude over all bands is the expected one.

    The local amplitude of a sample depends more on the noise than that of a training motion, so
    that samples are blotchy. All bands of a point have one gain: phases, directions and closed
    loops are unchanged.
    """
    height, width = channels.shape[-2:]
    padded = [REDUCTION * n for n in expected.shape[-2:]]
    energy = channels.square().sum((1, 2))[:, None]
    energy = F.pad(energy, (0, padded[1] - width, 0, padded[0] - height), mode="replicate")
    energy = F.avg_pool2d(energy, REDUCTION)
    energy = F.avg_pool2d(F.pad(energy, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain = (expected + FAINT) / (energy.sqrt() + FAINT)
    gain = F.interpolate(gain, padded, mode="bilinear")[..., :height, :width]
    return channels * gain[:, None]


def shipped() -> Path:
    """The path of the weights in this package."""
    return Path(__file__).parents[1] / "pretrained" / "motion-small.safetensors"


def how_far(image: Float[Tensor, "1 3 hr wr"]) -> Float[Tensor, "1 1 hr wr"]:
    """How far every place of a still goes beside what goes farthest, as recognition has it."""
    found = recognize(load_recognizer(shipped_recognizer()).eval(), image)
    return UNRECOGNIZED + found.sways * (found.degree - UNRECOGNIZED)


def save_model(
    model: MotionModel | RecognizedModel, path: str | Path, notes: dict | None = None
) -> None:
    """Write weights; `notes` describe them: data, steps, metrics."""
    save_weights(model, KIND, path, notes)


def load_model(path: str | Path) -> MotionModel | RecognizedModel:
    """Read weights of either kind of model.

    Raises:
        ValueError: As `load_weights`.
    """
    if "expectation" in settings_in(path, KIND):
        return load_recognized_model(path)
    return load_weights(
        path, KIND, MotionModelConfig, _valid, MotionModel, ("scale",), ("frequencies_hz",)
    )


def _valid(config: MotionModelConfig) -> bool:
    """Whether the fields of a configuration from a file agree, and are within limits."""
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
