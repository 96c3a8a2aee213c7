"""What is asked of the networks: a module, its parts that learn, and a loss of a batch.

autoencoder   bands come back from their codes
encoder       the amplitude of every band can be read from the still: where things move
bands         stage 1: codes of single bands are cleaned of noise, given the still
coordination  stage 2: all bands of a motion at once; only attention across bands learns
renderer      frames that were moved without weights are finished

Law: a loss depends on (batch, generators) alone, item by item, so that a batch can be shared out.

Source: Li et al., CVPR 2024, Sec. 4.3 and supplement; Karras et al. 2022 for weights and noise levels.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from ..diffusion import sampling
from ..diffusion.autoencoder import REDUCTION
from ..diffusion.denoiser import across_bands
from ..diffusion.motion_model import MotionModel, save_model
from ..render.network import RenderModel
from ..render.renderer import save_renderer
from ..shapes import Float, Tensor
from .perceptual import Perception

STAGES = ("autoencoder", "encoder", "bands", "coordination")  # of a motion model, in this order
RENDERER = "renderer"
WHITENED_ON = 512  # samples; of 16 the deviations were off by a quarter
GRADIENT, KL = 0.2, 1e-6  # weights against L1
SCALES = 3  # of the multi-scale gradient
UNTOLD = 0.1  # share of stills left out, so that a model can be asked what it thinks without one
BANDS_AT_A_TIME = 4  # of a motion, in stage 1
RIM = 8  # px at the sides of a crop
UNCOVERED = 2.0  # weight of what was uncovered, beside what is seen
HAIR = 0.01  # of the range of colours: an error that is as good as none
SLOPES, SHARP, LOOKS = 0.3, 1.2, 0.3  # weights against the error of colours
AROUND = 9  # px to a side, over which a frame is to be as sharp as it should
FLAT = 1e-3  # of brightness a pixel: a slope that is none
FADED = 1e-3  # mean slope over a crop that makes for half of the loss of sharpness
ALIKE = 0.01  # of features: pictures that look the same


@dataclass(frozen=True)
class Objective:
    """One stage of training of a motion model."""

    stage: str
    model: MotionModel

    @property
    def frequencies_hz(self) -> Float[Tensor, " k"]:
        return self.model.frequencies_hz

    def __post_init__(self):
        if self.stage not in STAGES:
            raise ValueError(f"Expected a stage among {', '.join(STAGES)}, got {self.stage!r}.")

    def learning(self) -> list[torch.nn.Parameter]:
        """The parameters that learn."""
        model = self.model
        if self.stage == "coordination":
            found = across_bands(model.denoiser)
            if not found:
                raise ValueError(
                    f"Expected a model whose layout is coordinated, got "
                    f"{model.config.denoiser.layout!r}: it has no attention across bands to train."
                )
            return found
        if self.stage == "autoencoder":
            return list(model.autoencoder.parameters())
        if self.stage == "encoder":
            return list(model.encoder.parameters())
        # The encoder stays: trained on with the denoiser it comes to know scenes and forgets photographs.
        across = {id(p) for p in across_bands(model.denoiser)}
        return [p for p in model.denoiser.parameters() if id(p) not in across]

    def losses(
        self,
        still: Float[Tensor, "b 3 h w"],
        channels: Float[Tensor, "b k 4 h w"],
        generators: list[torch.Generator],
    ) -> dict[str, Float[Tensor, ""]]:
        """Terms of the loss by name, weighted; their sum is what is minimized.

        Args:
            channels: Motions of unit size.
            generators: One for each item, on the CPU.
        """
        return getattr(self, f"_{self.stage}")(still, channels, generators)

    def finish(self, data: Dataset) -> None:
        """What the stage after needs to know of this one, when it is over."""
        if self.stage == "autoencoder":
            place = range(min(len(data), WHITENED_ON))
            whiten(self.model, (data[i][1][None] for i in place), self.frequencies_hz)

    def save(self, path: Path, notes: dict) -> None:
        save_model(self.model, path, notes)

    def _autoencoder(self, still, channels, generators):
        chosen = _chosen(channels, generators)
        encoded = torch.stack([self._squash(c, hz) for c, hz in zip(channels, chosen)]).flatten(
            0, 1
        )
        autoencoder = self.model.autoencoder
        # Losses are float32, whatever the networks compute in.
        mean, log_variance = (x.float() for x in autoencoder.posterior(encoded))
        noise = _noise(mean.unflatten(0, (len(generators), -1)), generators).flatten(0, 1)
        back = autoencoder.reconstruct(mean + (0.5 * log_variance).exp() * noise).float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return {
            "l1": (back - encoded).abs().mean(),
            "gradient": GRADIENT * multiscale_gradient(back, encoded),
            "kl": KL * kl,
        }

    def _encoder(self, still, channels, generators):
        size = amplitudes(channels, self.model.encoding.scale_at(self.frequencies_hz))
        read = self.model.encoder.amplitudes(self.model.encoder(still))
        return {"amplitudes": F.smooth_l1_loss(read, size, beta=0.2)}

    def _bands(self, still, channels, generators):
        volume = self.model.config.denoiser.layout == "volume"
        chosen = [torch.arange(channels.shape[1])] * len(still) if volume else _chosen(channels, generators)  # fmt: skip
        return self._cleaned(still, channels, chosen, generators)

    def _coordination(self, still, channels, generators):
        every = [torch.arange(channels.shape[1])] * len(still)
        return self._cleaned(still, channels, every, generators)

    def _squash(self, channels, chosen):
        return self.model.encoding.squash(channels[None, chosen], self.frequencies_hz[chosen])[0]

    def _cleaned(self, still, channels, chosen, generators):
        model = self.model
        encoded = torch.stack([self._squash(c, k) for c, k in zip(channels, chosen)])
        with torch.no_grad():
            clean, features = model.autoencoder.to_latent(encoded), model.encoder(still)
        told = [float(torch.rand((), generator=g)) >= UNTOLD for g in generators]
        features = features * features.new_tensor(told).view(-1, 1, 1, 1)
        # Levels spread evenly over the batch would tie items together: each draws its own.
        sigma = torch.cat([model.noise.drawn(1, g) for g in generators]).to(clean)
        noise = _noise(clean, generators)
        hertz = torch.stack([self.frequencies_hz[k] for k in chosen]).to(clean)
        network = lambda x, level: model.denoiser(x, level, features, hertz)
        return {"clean": sampling.loss(network, clean, sigma, noise).mean()}


@dataclass(frozen=True)
class Finishing:
    """Training of a renderer: what it makes of a frame is to be the frame.

    perception: By which the looks of it count too; without one its slopes and sharpness have to do.
    """

    model: RenderModel
    perception: Perception | None = None

    def learning(self) -> list[torch.nn.Parameter]:
        return list(self.model.parameters())

    def losses(
        self,
        given: Float[Tensor, "b g h w"],
        frame: Float[Tensor, "b 3 h w"],
        generators: list[torch.Generator],
    ) -> dict[str, Float[Tensor, ""]]:
        """What is left of the weightless frame's errors: of colours, of slopes at some scales, of sharpness, of looks.

        Squares over what moved, as a share, item by item: so a scene in which little goes wrong counts nearly as much
        as one in which much does, unless what goes wrong is a hair. (Absolute errors were tried: where two layers mix
        their median is the frame as it is, and nothing was learned.)
        """
        made = self.model.finished(given)
        moved, uncovered, by = given[:, 3:6], given[:, 6:7], given[:, 10:]
        # The sides of a crop lack what comes in from beyond them.
        counts = F.pad(torch.ones_like(by)[..., RIM:-RIM, RIM:-RIM], (RIM,) * 4) * (by > 0)
        weight = (counts * (1 + UNCOVERED * uncovered)).sqrt()
        left, was = ((x - frame) * weight for x in (made, moved))
        squares = lambda x: x.square().mean((1, 2, 3))
        terms = {
            "error": (squares(left) / (squares(was) + HAIR**2)).mean(),
            "slopes": SLOPES * (slopes(left) / (slopes(was) + HAIR**2)).mean(),
            "sharpness": SHARP * unsharp(made, frame, counts).mean(),
        }
        if self.perception is not None:
            # What does not count looks as it should.
            seen = (torch.where(counts > 0, x, frame) for x in (made, moved))
            left, was = (self.perception(x, frame) for x in seen)
            terms["looks"] = LOOKS * (left / (was + ALIKE)).mean()
        return terms

    def finish(self, data: Dataset) -> None:
        """Nothing is left to do."""

    def save(self, path: Path, notes: dict) -> None:
        save_renderer(self.model, path, notes)


def objective_of(
    stage: str, model: torch.nn.Module, perception: Perception | None = None
) -> Objective | Finishing:
    """What a stage asks of a model; `perception` is for a renderer.

    Raises:
        ValueError: For an unknown stage.
    """
    return Finishing(model, perception) if stage == RENDERER else Objective(stage, model)


def _chosen(channels, generators):
    """Some bands of every motion."""
    k = channels.shape[1]
    count = min(k, BANDS_AT_A_TIME)
    return [torch.randperm(k, generator=g)[:count] for g in generators]


def _noise(like, generators):
    drawn = [torch.randn(like.shape[1:], generator=g) for g in generators]
    return torch.stack(drawn).to(like)


def amplitudes(
    channels: Float[Tensor, "b k 4 h w"], scale: Float[Tensor, " k"]
) -> Float[Tensor, "b k hl wl"]:
    """Size of every band's motion at latent resolution, normalized as the networks see motions."""
    size = channels.square().sum(2).sqrt()
    return (F.avg_pool2d(size, REDUCTION) / scale.to(size).view(-1, 1, 1)).clamp(max=4).sqrt()


def multiscale_gradient(
    found: Float[Tensor, "n c h w"], wanted: Float[Tensor, "n c h w"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of slopes, at full, half and quarter size."""
    total, error = 0.0, found - wanted
    for _ in range(SCALES):
        total = total + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        error = F.avg_pool2d(error, 2)
    return total / SCALES


def slopes(error: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean square of an error's slopes, at full, half and quarter size, item by item."""
    total = 0.0
    for _ in range(SCALES):
        total = total + sum(error.diff(dim=d).square().mean((1, 2, 3)) for d in (-1, -2))
        error = F.avg_pool2d(error, 2)
    return total / SCALES


def unsharp(
    made: Float[Tensor, "b 3 h w"],
    frame: Float[Tensor, "b 3 h w"],
    counts: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """How far a frame's sharpness, wherever it counts, is from what it should be, as a share; item by item.

    Squared errors are least for a mean of all that might be there, which is blurred. This one is for
    frames as sharp as the truth, whatever they show. It fades where little counts: of a hundredth of a
    crop it is 0.4 of what it is of all.
    """
    size = lambda x: F.avg_pool2d(counts * steepness(x), AROUND, 1, AROUND // 2)
    found, wanted = size(made), size(frame)
    return (found - wanted).abs().mean((1, 2, 3)) / (wanted.mean((1, 2, 3)) + FADED)


def steepness(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Length of the slope of brightness."""
    grey = picture.mean(1, keepdim=True)
    x, y = F.pad(grey.diff(dim=-1), (0, 1)), F.pad(grey.diff(dim=-2), (0, 0, 0, 1))
    return (x.square() + y.square() + FLAT**2).sqrt() - FLAT


def whiten(model: MotionModel, batches, frequencies_hz: Float[Tensor, " k"]) -> None:
    """Set the statistics of the autoencoder's codes from some batches of channels."""
    codes = []
    model.autoencoder.latent_mean.zero_()
    model.autoencoder.latent_std.fill_(1)
    with torch.no_grad():
        for channels in batches:
            encoded = model.encoding.squash(channels, frequencies_hz)
            codes.append(model.autoencoder.to_latent(encoded).transpose(2, 0).flatten(1))
    codes = torch.cat(codes, 1)
    model.autoencoder.latent_mean.copy_(codes.mean(1))
    model.autoencoder.latent_std.copy_(codes.std(1).clamp(min=1e-6))
