"""Weights in the host's folders, and networks that the host moves between devices."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import folder_paths
import torch
from comfy import model_management, model_patcher, utils

from . import host

SHIPPED, SHIPPED_RENDERER = "shipped (small)", "learned (shipped)"
PRECISIONS = ["float32", "bfloat16", "float16"]  # that networks compute in
TILE_BYTES = 2**30  # working memory of the shipped renderer for one tile


def model_files() -> dict[str, Path]:
    """Weights of motion models by name: the shipped ones, and those in models/gid."""
    from ..gid_core.diffusion import motion_model
    from ..gid_core.files import weights
    from ..gid_core.render import renderer

    shipped = motion_model.shipped()
    found = ({SHIPPED: shipped} if shipped.is_file() else {}) | _weights_in_folder()
    # A damaged file is listed, and loading it says why it is refused. Renderers are not listed.
    is_renderer = lambda path: weights.holds_weights(path, renderer.KIND)
    return {name: path for name, path in found.items() if not is_renderer(path)}


def renderer_files() -> dict[str, Path]:
    """Weights of renderers by name: the shipped ones, and those in models/gid."""
    from ..gid_core.files import weights
    from ..gid_core.render import renderer

    found = {SHIPPED_RENDERER: renderer.shipped_renderer()} | _weights_in_folder()
    is_renderer = lambda path: weights.holds_weights(path, renderer.KIND)
    return {name: path for name, path in found.items() if is_renderer(path)}


def _weights_in_folder() -> dict[str, Path]:
    """Weights in the host's folders for them; its own one, models/gid, is made here."""
    folder = Path(folder_paths.models_dir, "gid")
    with suppress(OSError):  # a folder that cannot be written to holds no weights of ours
        folder.mkdir(parents=True, exist_ok=True)
    folder_paths.add_model_folder_path("gid", str(folder))
    # Without an ending, the host lists every file of a folder that is new to it or that comes from
    # extra_model_paths.yaml.
    folder_paths.folder_names_and_paths["gid"][1].add(".safetensors")
    names = folder_paths.get_filename_list("gid")
    return {name: Path(folder_paths.get_full_path("gid", name) or "") for name in names}


def file_state(path: Path | None):
    """(mtime in ns, size): changes when a file is replaced. None without a file."""
    stat = path.stat() if path is not None and path.is_file() else None
    return stat and (stat.st_mtime_ns, stat.st_size)


def chosen(files: dict[str, Path], name: str) -> Path:
    """The file of a listed name.

    Raises:
        ValueError: If the name is not listed.
    """
    if name not in files:
        raise ValueError(
            f"Expected weights among {', '.join(files) or 'none'}, got {name!r}. Put the file into "
            "models/gid, or choose another."
        )
    return files[name]


def renderer(name: str, precision: str = PRECISIONS[0]) -> torch.nn.Module:
    """The network that refines frames, by the name of its file, on the CPU."""
    from ..gid_core.render.renderer import load_renderer

    return load_renderer(chosen(renderer_files(), name)).to(getattr(torch, precision))


def on_device(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """A copy of a model on the device that renders, after freeing memory there for its tiles.

    The shipped model has one megabyte, so a copy costs less than managing one.
    """
    if device.type != "cpu":
        model_management.free_memory(TILE_BYTES, device)
    return copy.deepcopy(model).to(device)


@dataclass(frozen=True)
class HostedModel:
    """A learned motion model whose networks the host moves to its device and away again."""

    patcher: object
    sampling: object

    def sample(self, image, matte, generator, spectrum, anchor, poll):
        """Sample as the core does.

        `poll` is not called: it counts stills, and would reset the bar, which counts steps.
        """
        from ..gid_core.diffusion.motion_model import LearnedPrior

        # Load it in full: a partly loaded model works only with the host's own layers.
        model_management.load_models_gpu([self.patcher], force_full_load=True)
        stop = host.stop_if_cancelled
        learned = LearnedPrior(self.patcher.model, self.sampling, preview(self.sampling.steps))
        return learned.sample(image, matte, generator, spectrum, anchor, stop)


def hosted(model: torch.nn.Module, precision: str, sampling) -> HostedModel:
    """Wrap networks for the host, which has `CoreModelPatcher` since 0.11."""
    for part in model.networks:
        part.to(getattr(torch, precision))
    wrap = getattr(model_patcher, "CoreModelPatcher", model_patcher.ModelPatcher)
    device, away = model_management.get_torch_device(), model_management.unet_offload_device()
    return HostedModel(wrap(model, load_device=device, offload_device=away), sampling)


def preview(steps: int) -> Callable[[torch.Tensor], None]:
    """A callback that shows the amplitude of the denoised motion after each step.

    It raises between two steps when the user cancels.
    """
    bar, done = utils.ProgressBar(steps), 0

    def show(channels: torch.Tensor) -> None:
        from PIL import Image

        from ..gid_core.evaluation.viz import heat

        nonlocal done
        done += 1
        host.stop_if_cancelled()
        amplitude = channels[0].detach().cpu().square().sum((0, 1)).sqrt()
        largest = amplitude.quantile(0.98).clamp(min=1e-6)
        picture = heat((amplitude / largest).clamp(0, 1))
        pixels = (picture * 255).byte().permute(1, 2, 0).contiguous().numpy()
        bar.update_absolute(done, steps, ("JPEG", Image.fromarray(pixels), 256))

    return show
