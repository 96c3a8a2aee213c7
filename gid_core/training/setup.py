"""From what was asked for to what the loop takes: networks, data, settings, and what to draw.

Law: what does not fit together is refused before anything is learned.
"""

from argparse import Namespace
from dataclasses import replace
from typing import Any

from torch import nn

from ..config import PRESETS, RENDERERS, MotionModelConfig
from ..diffusion import motion_model
from ..render import network, renderer
from ..training import data, moments, progress
from .objectives import RENDERER
from .perceptual import load_perception
from .train import TrainConfig

FRAME_SIZE = (160, 256)  # of the scenes that rendering is learned from

Run = tuple[
    nn.Module, data.Mixture, TrainConfig, dict[str, Any]
]  # the last: what else `train` takes


def prepared(args: Namespace) -> Run:
    """What the command `train` was asked for.

    Raises:
        ValueError: For what does not fit together.
    """
    how = TrainConfig(
        args.stage, args.steps, args.batch, args.rate, args.schedule, workers=args.workers,
        precision=args.precision, seed=args.seed, save_every=args.save_every,
    )  # fmt: skip
    return (_of_renderer if args.stage == RENDERER else _of_motion)(args, how)


def _of_motion(args, how) -> Run:
    _refuse(args, ("perceptual",), "only a renderer's frames have looks")
    begun = None if args.begin is None else motion_model.load_model(args.begin)
    config = _configuration(args, begun)
    size = (config.longest_side * 5 // 8, config.longest_side)
    scenes = data.Scenes(size, args.scenes, config.bands, config.duration_s, cache=args.cache)
    found = [(scenes, args.scenes_weight)]
    for folder, kind, weight in (
        (args.photographs, data.Photographs, args.photographs_weight),
        (args.clips, data.Clips, args.clips_weight),
    ):
        if folder is not None:
            found.append((kind(size, folder, config.bands), weight))
            data.check_bands(found[-1][0], config.bands, config.duration_s)
    mixture = _mixture(found, args, data.augment)
    encoding = begun.encoding if begun else data.statistics(mixture, config.normalization)
    model = motion_model.fresh(config, encoding, args.seed)
    if begun is not None:  # in another layout, what fits
        wanted = model.state_dict()
        kept = {n: t for n, t in begun.state_dict().items() if n in wanted}
        kept = {n: t for n, t in kept.items() if t.shape == wanted[n].shape}
        model.load_state_dict(kept, strict=False)
    return model, mixture, how, {"picture": progress.draw(args.out, args.stage, scenes)}


def _of_renderer(args, how) -> Run:
    _refuse(
        args, ("photographs", "layout", "normalization", "bands"), "the stage renderer has none"
    )
    if args.begin is None:
        model = network.fresh_renderer(RENDERERS[args.preset or "small"], args.seed)
    else:
        _refuse(args, ("preset",), f"the weights {args.begin.name!r} have theirs")
        model = renderer.load_renderer(args.begin)
    found = [(moments.Moments(FRAME_SIZE, args.scenes, cache=args.cache), args.scenes_weight)]
    if args.clips is not None:
        found.append((moments.Recordings(FRAME_SIZE, args.clips, args.cache), args.clips_weight))
    looks = args.perceptual and load_perception(args.perceptual)
    rest = {"picture": progress.draw_frames(args.out), "perception": looks}
    return model, _mixture(found, args, moments.augment), how, rest


def _mixture(found, args, augment):
    sources, weights = zip(*found)
    return data.Mixture(sources, weights, args.seed, args.steps * args.batch, augment)


def _refuse(args, names, why):
    for name in names:
        if getattr(args, name) is not None:
            raise ValueError(f"Expected no --{name} here: {why}. Leave it out.")


def _configuration(args, begun) -> MotionModelConfig:
    """The networks that are asked for: those of the weights, or of a preset."""
    if begun is None:
        if args.stage in ("bands", "coordination"):
            raise ValueError(
                f"Expected --from with the weights of the stage before, for {args.stage} learns on the "
                "codes of an autoencoder. Train autoencoder and encoder first."
            )
        config = PRESETS[args.preset or "small"]
        bands = args.bands or config.bands
        config = replace(config, bands=bands, normalization=args.normalization or "adaptive")
        config = replace(config, denoiser=replace(config.denoiser, bands=bands))
    else:
        _refuse(args, ("preset", "bands", "normalization"), f"the weights {args.begin.name!r} have theirs")  # fmt: skip
        config = begun.config
        if args.stage in ("bands", "coordination") and not begun.encoder.trained:
            raise ValueError(
                f"Expected weights whose image encoder is trained, got {args.begin.name!r}, whose is as it was "
                "made. It rests from here on: train encoder first."
            )
    if args.layout is not None:
        config = replace(config, denoiser=replace(config.denoiser, layout=args.layout))
    return config
