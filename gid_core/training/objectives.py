"""Training objectives: for every stage the parameters that learn, and the loss of a batch.

autoencoder   reconstruct single bands from their codes
encoder       predict the amplitude of every band from the still: where things move
bands         stage 1: denoise the codes of single bands, given the still
coordination  stage 2: denoise all bands of a motion together; only attention across bands learns
renderer      refine splatted frames

Law: a loss is a mean over items and depends on (batch, generators) alone, so that processes can
share a batch.

Source: Li et al., CVPR 2024, Sec. 4.3 and supplement; Karras et al. 2022 for weights and noise
levels.
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
from .perceptual import LookDistance, PerceptualDistance

STAGES = ("autoencoder", "encoder", "bands", "coordination")  # of a motion model, in this order
RENDERER = "renderer"
WHITENED_ON = 512  # samples; the deviations of 16 samples were wrong by a quarter
GRADIENT, KL = 0.2, 1e-6  # weights relative to L1
SCALES = 3  # of the multi-scale gradient
UNCONDITIONAL = 0.1  # share of items without their still, for classifier-free guidance
BANDS_AT_A_TIME = 4  # of a motion, in stage 1
# The renderer's loss.
RIM = 8  # px at the borders of a crop that do not count
DISOCCLUSION = 2.0  # extra weight of disoccluded pixels; others have 1
SMALL_ERROR = 0.01  # of the range of colours: errors below it hardly count
SLOPES, SHARP, LOOKS = 0.3, 1.2, 0.3  # weights relative to the error of colours
SHARPNESS_WINDOW = 9  # side in px of the windows over which sharpness is compared
FLAT = 1e-3  # brightness per px: a gradient below it counts as none
FAINT_GRADIENT = 1e-3  # mean gradient of a crop at which the loss of sharpness has halved
SAME_LOOK = 0.01  # perceptual distance below which pictures look the same


@dataclass(frozen=True)
class Objective:
    """One training stage of a motion model."""

    stage: str
    model: MotionModel

    @property
    def frequencies_hz(self) -> Float[Tensor, " k"]:
        return self.model.frequencies_hz

    def __post_init__(self):
        if self.stage not in STAGES:
            raise ValueError(f"Expected a stage among {', '.join(STAGES)}, got {self.stage!r}.")

    def learning(self) -> list[torch.nn.Parameter]:
        """The parameters that this stage trains."""
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
        # The encoder is frozen: trained together with the denoiser it overfits to synthetic scenes.
        across = {id(p) for p in across_bands(model.denoiser)}
        return [p for p in model.denoiser.parameters() if id(p) not in across]

    def losses(
        self,
        still: Float[Tensor, "b 3 h w"],
        channels: Float[Tensor, "b k 4 h w"],
        generators: list[torch.Generator],
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms of the loss by name. Their sum is minimized.

        Args:
            channels: Motions of unit size.
            generators: One for each item, on the CPU.
        """
        return getattr(self, f"_{self.stage}")(still, channels, generators)

    def finish(self, data: Dataset) -> None:
        """After the last step: set the statistics that the next stage needs."""
        if self.stage == "autoencoder":
            numbers = range(min(len(data), WHITENED_ON))
            whiten(self.model, (data[i][1][None] for i in numbers), self.frequencies_hz)

    def save(self, path: Path, notes: dict) -> None:
        save_model(self.model, path, notes)

    def _autoencoder(self, still, channels, generators):
        chosen = _chosen(channels, generators)
        encoded = torch.stack([self._squash(c, bands) for c, bands in zip(channels, chosen)])
        encoded = encoded.flatten(0, 1)
        autoencoder = self.model.autoencoder
        # Losses are in float32, whatever precision the networks compute in.
        mean, log_variance = (x.float() for x in autoencoder.posterior(encoded))
        noise = _noise(mean.unflatten(0, (len(generators), -1)), generators).flatten(0, 1)
        back = autoencoder.reconstruct(mean + (0.5 * log_variance).exp() * noise).float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return {
            "l1": (back - encoded).abs().mean(),
            "gradient": GRADIENT * multiscale_gradient(back - encoded),
            "kl": KL * kl,
        }

    def _encoder(self, still, channels, generators):
        size = amplitudes(channels, self.model.encoding.scale_at(self.frequencies_hz))
        read = self.model.encoder.amplitudes(self.model.encoder(still))
        return {"amplitudes": F.smooth_l1_loss(read, size, beta=0.2)}

    def _bands(self, still, channels, generators):
        if self.model.config.denoiser.layout == "volume":
            return self._coordination(still, channels, generators)
        return self._denoised(still, channels, _chosen(channels, generators), generators)

    def _coordination(self, still, channels, generators):
        every = [torch.arange(channels.shape[1])] * len(still)
        return self._denoised(still, channels, every, generators)

    def _squash(self, channels, chosen):
        return self.model.encoding.squash(channels[None, chosen], self.frequencies_hz[chosen])[0]

    def _denoised(self, still, channels, chosen, generators):
        model = self.model
        encoded = torch.stack([self._squash(c, k) for c, k in zip(channels, chosen)])
        with torch.no_grad():
            clean, features = model.autoencoder.to_latent(encoded), model.encoder(still)
        conditional = [float(torch.rand((), generator=g)) >= UNCONDITIONAL for g in generators]
        features = features * features.new_tensor(conditional).view(-1, 1, 1, 1)
        # Every item draws its own noise level, so that items do not depend on each other.
        sigma = torch.cat([model.noise.drawn(1, g) for g in generators]).to(clean)
        noise = _noise(clean, generators)
        hertz = torch.stack([self.frequencies_hz[k] for k in chosen]).to(clean)
        network = lambda x, level: model.denoiser(x, level, features, hertz)
        return {"clean": sampling.loss(network, clean, sigma, noise).mean()}


@dataclass(frozen=True)
class RendererObjective:
    """Training of a renderer: its frame should equal the true frame.

    perceptual: Adds a perceptual loss; without it there are losses of gradients and sharpness only.
    """

    model: RenderModel
    perceptual: LookDistance | PerceptualDistance | None = None

    def learning(self) -> list[torch.nn.Parameter]:
        """The parameters that are trained: all."""
        return list(self.model.parameters())

    def losses(
        self,
        given: Float[Tensor, "b g h w"],
        frame: Float[Tensor, "b 3 h w"],
        generators: list[torch.Generator],
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms of the loss by name: errors of colour, gradients, sharpness, appearance.

        Each is a square error over the moving pixels as a share of the splatted frame's error, item
        by item. So scenes with small and with large errors count nearly the same, unless an error
        is too small to see. (Absolute errors were tried. Where two layers mix, their minimum is the
        median, which is the splatted frame itself, and nothing was learned.)
        """
        made = self.model.refined(given)
        splatted, disoccluded, motion = given[:, 3:6], given[:, 6:7], given[:, 10:]
        # Near the borders of a crop, content that comes in from outside is missing.
        counts = F.pad(torch.ones_like(motion)[..., RIM:-RIM, RIM:-RIM], (RIM,) * 4) * (motion > 0)
        weight = (counts * (1 + DISOCCLUSION * disoccluded)).sqrt()
        after, before = ((x - frame) * weight for x in (made, splatted))
        energy = lambda x: x.square().mean((1, 2, 3))
        relative = lambda measure: measure(after) / (measure(before) + SMALL_ERROR**2)
        terms = {
            "error": relative(energy).mean(),
            "slopes": SLOPES * relative(multiscale_gradient_energy).mean(),
            "sharpness": SHARP * sharpness_error(made, frame, counts).mean(),
        }
        if self.perceptual is not None:
            # Pixels that do not count are replaced by the true frame's.
            shown = (torch.where(counts > 0, x, frame) for x in (made, splatted))
            after, before = (self.perceptual(x, frame) for x in shown)
            terms["looks"] = LOOKS * (after / (before + SAME_LOOK)).mean()
        return terms

    def finish(self, data: Dataset) -> None:
        """After the last step: nothing."""

    def save(self, path: Path, notes: dict) -> None:
        save_renderer(self.model, path, notes)


def objective_of(
    stage: str, model: torch.nn.Module, perceptual: LookDistance | PerceptualDistance | None = None
) -> Objective | RendererObjective:
    """The objective of a stage for a model; `perceptual` is for a renderer.

    Raises:
        ValueError: For an unknown stage.
    """
    return RendererObjective(model, perceptual) if stage == RENDERER else Objective(stage, model)


def _chosen(channels, generators):
    """Indices of some random bands of every motion."""
    k = channels.shape[1]
    count = min(k, BANDS_AT_A_TIME)
    return [torch.randperm(k, generator=g)[:count] for g in generators]


def _noise(like, generators):
    drawn = [torch.randn(like.shape[1:], generator=g) for g in generators]
    return torch.stack(drawn).to(like)


def amplitudes(
    channels: Float[Tensor, "b k 4 h w"], scale: Float[Tensor, " k"]
) -> Float[Tensor, "b k hl wl"]:
    """Amplitude of every band at latent resolution, normalized as the networks see motions."""
    amplitude = channels.square().sum(2).sqrt()
    return (
        (F.avg_pool2d(amplitude, REDUCTION) / scale.to(amplitude).view(-1, 1, 1))
        .clamp(max=4)
        .sqrt()
    )


def multiscale_gradient(
    error: Float[Tensor, "n c h w"],
) -> Float[Tensor, ""]:
    """Mean absolute gradient of an error, at full, half and quarter size."""
    total = 0.0
    for x, y in _gradients(error):
        total = total + x.abs().mean() + y.abs().mean()
    return total / SCALES


def multiscale_gradient_energy(error: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean square gradient of an error, at full, half and quarter size, item by item."""
    total = 0.0
    for x, y in _gradients(error):
        total = total + (x.square().mean((1, 2, 3)) + y.square().mean((1, 2, 3)))
    return total / SCALES


def _gradients(field):
    """Differences in x and in y of a field, at full, half and quarter size."""
    for _ in range(SCALES):
        yield field.diff(dim=-1), field.diff(dim=-2)
        field = F.avg_pool2d(field, 2)


def sharpness_error(
    made: Float[Tensor, "b 3 h w"],
    frame: Float[Tensor, "b 3 h w"],
    counts: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """Relative error of a frame's local sharpness, item by item, over the pixels that count.

    A square error is least for the mean of all plausible contents, which is blurred. This loss asks
    for a frame as sharp as the true one, whatever it shows. It fades where few pixels count: if
    they are a hundredth of a crop, it is 0.4 times as large as if they are all.
    """
    window = SHARPNESS_WINDOW
    sharpness = lambda x: F.avg_pool2d(counts * gradient_length(x), window, 1, window // 2)
    found, true = sharpness(made), sharpness(frame)
    return (found - true).abs().mean((1, 2, 3)) / (true.mean((1, 2, 3)) + FAINT_GRADIENT)


def gradient_length(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Length of the gradient of brightness, per px."""
    grey = picture.mean(1, keepdim=True)
    x, y = F.pad(grey.diff(dim=-1), (0, 1)), F.pad(grey.diff(dim=-2), (0, 0, 0, 1))
    return (x.square() + y.square() + FLAT**2).sqrt() - FLAT


def whiten(model: MotionModel, batches, frequencies_hz: Float[Tensor, " k"]) -> None:
    """Set the mean and deviation of the autoencoder's codes from some batches of channels."""
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
