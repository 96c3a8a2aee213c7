"""Prepare a training run: build the networks, the data and the pictures from what was asked for.

Law: a combination that does not fit together is refused before any training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..config import PRESETS, RENDERERS, MotionModelConfig
from ..diffusion import motion_model
from ..diffusion.recognized_model import RecognizedModel
from ..render import network, renderer
from . import data, moments, progress
from .objectives import RENDERER
from .perceptual import load_perceptual_distance
from .train import TrainConfig

RENDERER_SIZE = (160, 256)  # (height, width) of the frames that a renderer is trained on, px
DEFAULT_PRESET = "small"
NO_FRAMES, NO_BANDS = "only a renderer's frames have looks", "the stage renderer has none"


@dataclass(frozen=True)
class TrainRequest:
    """What a run is asked to train, and on what. None: the default, or nothing.

    training: stage, length, rates and seed.
    out: folder of the run.
    begin: weights to start from.
    preset, layout, normalization, bands: of the networks, where `begin` does not set them.
    scenes: number of synthetic scenes. photographs, clips: folders of the user's own data.
    scenes_weight, photographs_weight, clips_weight: relative shares of the samples.
    cache: folder that keeps samples once they are made.
    perceptual: "recognizer" or weights of VGG-16, for a renderer's loss.
    """

    training: TrainConfig
    out: Path
    begin: Path | None = None
    preset: str | None = None
    layout: str | None = None
    normalization: str | None = None
    bands: int | None = None
    scenes: int = 5000
    scenes_weight: float = 1.0
    photographs: Path | None = None
    photographs_weight: float = 0.5
    clips: Path | None = None
    clips_weight: float = 0.5
    cache: Path | None = None
    perceptual: Path | None = None


@dataclass(frozen=True)
class PreparedRun:
    """The arguments of `train`: network, data, settings, and further ones by name."""

    model: nn.Module
    data: data.Mixture
    config: TrainConfig
    options: dict[str, Any]


def prepare(request: TrainRequest) -> PreparedRun:
    """Build what a request asks for.

    Raises:
        ValueError: If parts of the request do not fit together.
    """
    return (_renderer if request.training.stage == RENDERER else _motion_model)(request)


def _motion_model(request: TrainRequest) -> PreparedRun:
    _refuse(request, ("perceptual",), NO_FRAMES)
    begun = None if request.begin is None else motion_model.load_model(request.begin)
    if isinstance(begun, RecognizedModel):
        raise ValueError(
            f"Expected weights of a model that `train` makes, got {request.begin.name!r}, which "
            "stands on recognition. Go on with it by `python -m gid_core.training.recognized`."
        )
    config = _configuration(request, begun)
    size = (config.longest_side * 5 // 8, config.longest_side)
    scenes = data.Scenes(size, request.scenes, config.bands, config.duration_s, cache=request.cache)
    sources = [(scenes, request.scenes_weight)]
    for folder, kind, weight in (
        (request.photographs, data.Photographs, request.photographs_weight),
        (request.clips, data.Clips, request.clips_weight),
    ):
        if folder is not None:
            sources.append((kind(size, folder, config.bands), weight))
            data.check_bands(sources[-1][0], config.bands, config.duration_s)
    mixture = _mixture(sources, request.training, data.augment)
    encoding = begun.encoding if begun else data.statistics(mixture, config.normalization)
    model = motion_model.fresh(config, encoding, request.training.seed)
    if begun is not None:  # another layout takes over the tensors of the same name and shape
        own = model.state_dict()
        kept = {n: t for n, t in begun.state_dict().items() if n in own}
        kept = {n: t for n, t in kept.items() if t.shape == own[n].shape}
        model.load_state_dict(kept, strict=False)
    picture = progress.draw(request.out, request.training.stage, scenes)
    return PreparedRun(model, mixture, request.training, {"picture": picture})


def _renderer(request: TrainRequest) -> PreparedRun:
    _refuse(request, ("photographs", "layout", "normalization", "bands"), NO_BANDS)
    if request.begin is None:
        config = RENDERERS[request.preset or DEFAULT_PRESET]
        model = network.fresh_renderer(config, request.training.seed)
    else:
        _refuse(request, ("preset",), f"the weights {request.begin.name!r} have theirs")
        model = renderer.load_renderer(request.begin)
    scenes = moments.Moments(RENDERER_SIZE, request.scenes, cache=request.cache)
    sources = [(scenes, request.scenes_weight)]
    if request.clips is not None:
        clips = moments.Recordings(RENDERER_SIZE, request.clips, request.cache)
        sources.append((clips, request.clips_weight))
    perceptual = request.perceptual and load_perceptual_distance(request.perceptual)
    options = {"picture": progress.draw_frames(request.out), "perceptual": perceptual}
    mixture = _mixture(sources, request.training, moments.augment)
    return PreparedRun(model, mixture, request.training, options)


def _mixture(weighted: list[tuple[data.Source, float]], training: TrainConfig, augment: Callable):
    sources, weights = zip(*weighted)
    if not sum(weights) > 0:
        raise ValueError(
            "Expected a weight above 0 for some of the data, got 0 for all of it. Raise "
            "--scenes-weight, or give other data."
        )
    length = training.steps * training.batch
    return data.Mixture(sources, weights, training.seed, length, augment)


def _refuse(request: TrainRequest, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(request, name) is not None:
            raise ValueError(f"Expected no --{name} here: {why}. Leave it out.")


def _configuration(request: TrainRequest, begun) -> MotionModelConfig:
    """The networks' configuration: that of the weights to start from, or a preset's."""
    stage = request.training.stage
    if begun is None:
        if stage in ("bands", "coordination"):
            raise ValueError(
                f"Expected --from with the weights of the stage before, for {stage} learns on the "
                "codes of an autoencoder. Train autoencoder and encoder first."
            )
        config = PRESETS[request.preset or DEFAULT_PRESET]
        bands = request.bands or config.bands
        config = replace(config, bands=bands, normalization=request.normalization or "adaptive")
        config = replace(config, denoiser=replace(config.denoiser, bands=bands))
    else:
        fixed = ("preset", "bands", "normalization")
        _refuse(request, fixed, f"the weights {request.begin.name!r} have theirs")
        config = begun.config
        if stage in ("bands", "coordination") and not begun.encoder.trained:
            raise ValueError(
                f"Expected weights whose image encoder is trained, got {request.begin.name!r}, "
                "whose is as it was made. It rests from here on: train encoder first."
            )
    if request.layout is not None:
        config = replace(config, denoiser=replace(config.denoiser, layout=request.layout))
    return config
