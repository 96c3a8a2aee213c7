"""The motion model that stands on recognition: what things are decides where, how far and which
way.

A frozen recognizer says what is where. From that an expectation gives every place its amplitude,
band by band and axis by axis, and a denoiser draws what chance makes of it: latents of about unit
size (`motion_latents`). So a sample is as strong as it should be by itself, still where nothing
sways, and differs from seed to seed only in what wind and chance decide.

Law: motion = share that moves x amplitude x latent; without a share there is no motion.

Source: Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 4.2 and 4.3. Theirs divides by one
number a band; here the divisor also depends on the place, as the still tells.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ..config import LAYOUTS, DenoiserConfig
from ..files.weights import load_weights
from ..recognition.model import Recognizer, RecognizerConfig, sensible
from ..shapes import Float, Tensor
from ..still.grid import grid_size
from . import motion_latents, sampling, start
from .blocks import ResBlock, SpatialAttention, norm, zeroed
from .conditioning import Conditioning
from .denoiser import Denoiser
from .motion_latents import REDUCTION, coverage
from .start import AXES
from .still_features import channels, still_features

LATENT = 2 * AXES  # channels of a latent: Re x, Im x, Re y, Im y
SMALLEST = 0.02  # amplitude, beside what is usual
KIND = "recognized motion model"  # of weight files
HEAD = 32  # channels of an attention head of the expectation
MOST_BLOCKS, MOST_BANDS = 16, 128  # limits for the configuration in a file
EVENED = 1.0  # share of a sample's deviation from what is expected that is taken away
FAINT = 1e-3  # of the mean energy: added to both energies of a ratio
LEAST = 1e-12  # added where nothing moves at all
TRAIN_MEAN = 0.5  # of ln sigma: things that move as one are seen through much noise
LOGARITHM = 4.0  # bound of the logarithm that the expectation adds to what is usual


@dataclass(frozen=True)
class ExpectationConfig:
    """The network that says how far things go."""

    widths: tuple[int, ...] = (64, 96, 96)  # from a latent's place on, each at half the size
    features: int = 24  # that the denoiser is told


@dataclass(frozen=True)
class RecognizedModelConfig:
    """A latent diffusion model of spectral volumes, on a recognizer's features."""

    bands: int = 16
    duration_s: float = 5.0
    longest_side: int = 128  # of the spectra
    recognizer: RecognizerConfig = RecognizerConfig()
    expectation: ExpectationConfig = ExpectationConfig()
    denoiser: DenoiserConfig = DenoiserConfig(
        latent=LATENT,
        widths=(32, 64, 96),
        blocks=1,
        attention_from=1,
        head=16,
        features=24,
        smoothed=(2, 4, 8),
    )


class Expectation(nn.Module):
    """From what is seen to features for the denoiser, and amplitudes of bands and axes.

    It is a U-Net, because how far a place goes depends on the thing that it belongs to.
    """

    def __init__(self, given: int, config: ExpectationConfig, bands: int):
        super().__init__()
        widths = config.widths
        self.enter = nn.Sequential(norm(given), nn.Conv2d(given, widths[0], 1))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            step = nn.Conv2d(widths[i - 1], width, 3, 2, 1) if i else nn.Identity()
            self.down.append(nn.Sequential(step, ResBlock(width, width)))
        self.middle = SpatialAttention(widths[-1], max(1, widths[-1] // HEAD))
        for i in range(len(widths) - 1, 0, -1):
            self.up.append(ResBlock(widths[i] + widths[i - 1], widths[i - 1]))
        self.leave = nn.Sequential(norm(widths[0]), nn.SiLU())
        self.features = nn.Conv2d(widths[0], config.features, 1)
        self.logarithms = zeroed(nn.Conv2d(widths[0], AXES * bands, 1))

    @property
    def multiple(self) -> int:
        """The sides of what is seen must be multiples of this."""
        return 2 ** (len(self.down) - 1)

    def trunk(self, seen: Float[Tensor, "b s h w"]) -> Float[Tensor, "b c h w"]:
        """What the last layers read."""
        x = self.enter(seen)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.middle(x)
        for up, finer in zip(self.up, reversed(skips[:-1]), strict=True):
            x = up(torch.cat([F.interpolate(x, finer.shape[-2:]), finer], 1))
        return self.leave(x)


class RecognizedModel(nn.Module):
    """The networks, and what is usual in the training set."""

    def __init__(self, config: RecognizedModelConfig):
        super().__init__()
        self.config = config
        self.noise = sampling.Noise(sigma_max=start.SIGMA, train_mean=TRAIN_MEAN)
        self.recognizer = Recognizer(config.recognizer)
        given = channels(self.recognizer) + 1
        self.expectation = Expectation(given, config.expectation, config.bands)
        self.denoiser = Denoiser(config.denoiser)
        # No division of tensors: on the meta device, where files are checked, it loads a compiler.
        harmonics = [number / config.duration_s for number in range(1, config.bands + 1)]
        self.register_buffer("frequencies_hz", torch.tensor(harmonics))
        self.register_buffer("usual", torch.ones(config.bands))  # amplitude of every band

    @property
    def multiple(self) -> int:
        """The sides of a grid must be multiples of this: every layer then halves them evenly."""
        return REDUCTION * max(self.denoiser.multiple, self.expectation.multiple)

    def expect(
        self, seen: Float[Tensor, "b s h w"], share: Float[Tensor, "b 1 h w"]
    ) -> tuple[Float[Tensor, "b f h w"], Float[Tensor, "b k 4 h w"]]:
        """Features for the denoiser, and the amplitude of every band and axis where it moves.

        Args:
            seen: `StillFeatures.features`.
            share: `motion_latents.coverage` of what moves.
        """
        trunk = self.expectation.trunk(torch.cat([seen, share], 1))
        return self.told(trunk, share), self.amplitudes(trunk)

    def told(
        self, trunk: Float[Tensor, "b c h w"], share: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b f h w"]:
        """Features for the denoiser; with what moves beside them if it weighs means by it."""
        features = self.expectation.features(trunk)
        return torch.cat([features, share.to(features)], 1) if self._weighs else features

    @property
    def _weighs(self) -> bool:
        return bool(self.config.denoiser.smoothed)

    def amplitudes(self, trunk: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k 4 h w"]:
        """The deviation that every scalar is expected to have, where all of a place moves."""
        logarithms = self.expectation.logarithms(trunk).float()
        logarithms = LOGARITHM * (logarithms / LOGARITHM).tanh()
        times = (logarithms.exp() + SMALLEST).unflatten(1, (-1, AXES))
        return (times * self.usual.view(1, -1, 1, 1, 1)).repeat_interleave(2, 2)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The parts that may compute in another precision."""
        return self.recognizer, self.expectation, self.denoiser

    def condition(
        self,
        image: Float[Tensor, "1 3 hr wr"],
        matte: Float[Tensor, "1 1 hr wr"],
        frequencies_hz: Float[Tensor, " k"],
        evened: bool = True,
    ) -> Conditioning:
        """What it is told of a still. Where it is evened, a sample is brought near to the amplitude
        that is expected (`even`)."""
        like = self.expectation.enter[1].weight
        grid = grid_size(*image.shape[-2:], self.config.longest_side)
        with torch.no_grad():
            image, matte = (x.clone().cpu().float() for x in (image, matte))
            seen = still_features(self.recognizer, image, grid, self.multiple)
            right, below = (-n % self.multiple for n in reversed(grid))
            share = F.pad(F.interpolate(matte, grid, mode="area"), (0, right, 0, below))
            counts = coverage(share).to(like)
            trunk = self.expectation.trunk(torch.cat([seen.features.to(like), counts], 1))
            features = self.told(trunk, counts)
            amplitudes = between(self.amplitudes(trunk), self.frequencies_hz, frequencies_hz)
            share = share.to(amplitudes)

        def decode(latent):
            moved = (latent.float() * amplitudes).flatten(1, 2)
            motion = motion_latents.decode(moved, share)[..., : grid[0], : grid[1]]
            return motion.unflatten(1, latent.shape[1:3])

        def finish(channels):
            filled = F.pad(channels, (0, right, 0, below))
            drawn = motion_latents.encode(filled.flatten(1, 2), share)
            gain = even(drawn, amplitudes, coverage(share))
            gain = F.interpolate(gain, scale_factor=REDUCTION, mode="bilinear")
            return channels * gain[..., : grid[0], : grid[1]][:, None]

        def begin(noise, generator):
            return start.with_wind(noise, frequencies_hz, generator)

        given = Conditioning(features, LATENT, decode, start=begin)
        return replace(given, finish=finish) if evened else given


def even(
    moved: Float[Tensor, "b k4 h w"],
    amplitudes: Float[Tensor, "b k 4 h w"],
    counts: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b 1 h w"]:
    """The gain that brings a sample near to the amplitude that is expected around every place.

    Of two winds the energies over all bands are alike to .9, for the same things move; those of
    samples of a short training are not. All bands of a place have one gain, so that phases,
    directions and closed loops stay.
    """
    mean = lambda x: F.avg_pool2d(x * counts, 3, 1, 1)
    found = mean(moved.square().sum(1, keepdim=True))
    expected = mean(amplitudes.square().sum((1, 2))[:, None])
    faint = FAINT * expected.mean((2, 3), keepdim=True) + LEAST
    return ((expected + faint) / (found + faint)).pow(EVENED / 2)


def between(
    amplitudes: Float[Tensor, "b n c h w"],
    known_hz: Float[Tensor, " n"],
    hertz: Float[Tensor, " k"],
) -> Float[Tensor, "b k c h w"]:
    """Amplitudes at other frequencies: a power law between two bands, the last one's beyond."""
    known, asked = known_hz.cpu().double().log(), hertz.cpu().double().log()
    if len(known) == 1:
        return amplitudes.expand(-1, len(asked), -1, -1, -1)
    asked = asked.clamp(known[0], known[-1])
    right = torch.searchsorted(known, asked).clamp(1, len(known) - 1)
    share = ((asked - known[right - 1]) / (known[right] - known[right - 1])).to(amplitudes)
    logarithms, right = amplitudes.log(), right.to(amplitudes.device)
    mixed = torch.lerp(logarithms[:, right - 1], logarithms[:, right], share.view(1, -1, 1, 1, 1))
    return mixed.exp()


def fresh_recognized(
    config: RecognizedModelConfig, recognizer: Recognizer, seed: int = 0
) -> RecognizedModel:
    """An untrained model, determined by the seed; the global random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = RecognizedModel(config)
    model.recognizer.load_state_dict(recognizer.state_dict())
    return model


def load_recognized_model(path: str | Path) -> RecognizedModel:
    """Read weights.

    Raises:
        ValueError: As `load_weights`.
    """
    return load_weights(
        path, KIND, RecognizedModelConfig, _valid, RecognizedModel, ("usual",), ("frequencies_hz",)
    )


def _valid(config: RecognizedModelConfig) -> bool:
    """Whether the fields of a configuration from a file agree, and are within limits."""
    denoiser, expectation = config.denoiser, config.expectation
    return (
        config.bands == denoiser.bands >= 1
        and denoiser.latent == LATENT
        and denoiser.layout in LAYOUTS
        and denoiser.features == expectation.features >= 1
        and denoiser.blocks <= MOST_BLOCKS
        and config.bands <= MOST_BANDS
        and config.longest_side >= 16
        and sensible(config.recognizer)
        and all(w % max(1, w // max(1, denoiser.head)) == 0 for w in denoiser.widths)
        and expectation.widths[-1] % max(1, expectation.widths[-1] // HEAD) == 0
    )
