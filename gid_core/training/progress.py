"""Pictures of a run's progress: what the networks predict on held-back scenes, and the loss.

Convention: one row for each scene. The still; then for the truth and for the network the energy of
the motion and the first band (hue is direction).
"""

import csv
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from ..config import SamplingConfig
from ..diffusion.encoding import as_complex
from ..diffusion.motion_model import LearnedPrior, MotionModel
from ..evaluation.viz import band_picture, heat, resized, tiles
from ..files.stills import write_picture
from ..files.whole import written_whole
from ..render.network import RenderModel
from ..shapes import Complex, Tensor
from .data import Scenes
from .moments import FRAME, MOMENTS, STILL, Moments

HELD_BACK = 3_000_000_000  # first seed of scenes that are never trained on
SHOWN = 4  # scenes
HEIGHT = 100  # of a cell, px
SCENE = (120, 192)  # (height, width) of a renderer's frames, px


def draw(out: Path, stage: str, scenes: Scenes) -> Callable[[MotionModel, Path], None]:
    """A function for `train` that draws a motion model's progress.

    Held-back scenes of the size and bands of `scenes` are shown.
    """
    held_back = Scenes(scenes.size, SHOWN, scenes.bands, scenes.duration_s, HELD_BACK)
    samples = [held_back.sample(n) for n in range(SHOWN)]

    def picture(model: MotionModel, path: Path) -> None:
        cells = []
        for still, channels in samples:
            true = as_complex(channels[None])
            predicted = _by_network(model, stage, still, channels)
            size = (HEIGHT, round(HEIGHT * still.shape[2] / still.shape[1]))
            cells.append(resized(still, size))
            for field in (true, predicted):
                cells += [resized(_energy(field), size), resized(band_picture(field[0, 0]), size)]
        write_picture(path, tiles(cells, 5))
        curve(out / "log.csv", out / "log.png")

    return picture


def draw_frames(out: Path) -> Callable[[RenderModel, Path], None]:
    """A function for `train` that draws a renderer's progress.

    One row for each scene: still, splatted frame, refined frame, true frame, 4 times their
    difference.
    """
    held_back = Moments(SCENE, SHOWN, first_seed=HELD_BACK)
    samples = [held_back.sample(MOMENTS * n) for n in range(SHOWN)]

    @torch.no_grad()
    def picture(model: RenderModel, path: Path) -> None:
        like, cells = model.shares.weight, []
        for given, frame in samples:
            made = model.refined(given[None].to(like))[0].cpu()
            difference = (4 * (made - frame)).abs().clamp(max=1)
            cells += [given[STILL], given[FRAME], made, frame, difference]
        write_picture(path, tiles(cells, 5))
        curve(out / "log.csv", out / "log.png")

    return picture


@torch.no_grad()
def _by_network(model, stage, still, channels) -> Complex[Tensor, "1 k 2 h w"]:
    like = model.encoder.stem.weight
    hertz = model.frequencies_hz
    if stage in ("bands", "coordination"):
        generator = torch.Generator().manual_seed(0)
        prior = LearnedPrior(model, SamplingConfig(evened=False))
        return prior.coefficients(still[None], hertz.cpu(), generator)
    if stage == "autoencoder":
        encoded = model.encoding.squash(channels[None].to(like), hertz)
        code = model.autoencoder.to_latent(encoded)
        return as_complex(model.encoding.stretch(model.autoencoder.from_latent(code), hertz).cpu())
    amplitudes = model.amplitudes(model.encoder(still[None].to(like)), hertz)
    amplitudes = F.interpolate(amplitudes, still.shape[-2:], mode="bilinear").cpu()
    return torch.stack([amplitudes, 0 * amplitudes], 2).to(torch.complex64)


def _energy(coeffs):
    """Heat map of the motion's amplitude over all bands."""
    amplitude = coeffs[0].abs().square().sum((0, 1)).sqrt()
    return heat((amplitude / amplitude.flatten().quantile(0.98).clamp(min=1e-6)).clamp(0, 1))


def curve(log: Path, path: Path, size: tuple[int, int] = (640, 360)) -> None:
    """Plot the loss and its terms over steps. Both axes begin at 0."""
    from PIL import Image, ImageDraw

    with open(log, encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    names = [name for name in rows[0] if name not in ("step", "seconds")]
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    top = max(row["loss"] for row in rows)
    last = max(row["step"] for row in rows)
    for name, colour in zip(names, ("black", "#c22", "#28c", "#2a2", "#a6c")):
        x = [50 + (size[0] - 60) * row["step"] / last for row in rows]
        y = [20 + (size[1] - 50) * (1 - row[name] / top) for row in rows]
        pen.line(list(zip(x, y)), colour, 2)
        pen.text((size[0] - 110, 24 + 14 * names.index(name)), name, colour)
    pen.text((4, 14), f"{top:.3g}", "black")
    pen.text((36, size[1] - 36), "0", "black")
    pen.text((size[0] - 60, size[1] - 24), f"step {last:.0f}", "black")
    with written_whole(path) as temporary:
        image.save(temporary, "PNG")
