"""Where the host ends and the core begins: the only file that knows both.

Convention: IMAGE is b h w c and MASK b h w in the host, pictures are b c h w in the core.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import folder_paths
import torch
from comfy import model_management, model_patcher, utils
from comfy_api.latest import Input, io
from einops import rearrange

Model = io.Custom("GID_MODEL")
Spectrum = io.Custom("GID_SPECTRUM")
Motion = io.Custom("GID_DISPLACEMENT")
Flow = io.Custom("OPTICAL_FLOW")  # what the host's Load Optical Flow Model gives

CATEGORY = "image dynamics"
SHIPPED, SHIPPED_RENDERER = "shipped (small)", "learned (shipped)"
TILE_BYTES = 2**30  # that a small renderer works with in a tile


def schema(search_aliases: list[str], **fields) -> io.Schema:
    """A schema in our category. Hosts before 0.10 have no search aliases, and refuse them."""
    if "search_aliases" in io.Schema.__dataclass_fields__:
        fields["search_aliases"] = search_aliases
    return io.Schema(category=CATEGORY, **fields)


def pictures(image: torch.Tensor) -> torch.Tensor:
    """IMAGE to b c h w, float32 on the CPU."""
    return rearrange(image, "b h w c -> b c h w").float().cpu()


def mask(value: torch.Tensor | None) -> torch.Tensor | None:
    """MASK to b 1 h w. None for an empty one: LoadImage makes them of pictures without alpha."""
    if value is None or not value.any():
        return None
    value = value if value.ndim == 3 else value[None]
    return value[:, None].float().cpu()


def host_image(frames: torch.Tensor) -> torch.Tensor:
    """b c h w to IMAGE, where the host keeps what lies between nodes."""
    return rearrange(frames, "b c h w -> b h w c").contiguous().to(device_between_nodes())


def host_mask(masks: torch.Tensor) -> torch.Tensor:
    """b 1 h w to MASK."""
    return masks[:, 0].contiguous().to(device_between_nodes())


def model_files() -> dict[str, Path]:
    """Weights of motion models by name: the one that came with us, and those in models/gid."""
    from ..gid_core import motion_model, renderer, weights

    ours = motion_model.shipped()
    found = ({SHIPPED: ours} if ours.is_file() else {}) | _weights_in_folder()
    # What is damaged is listed, and refused with its reason; what is of another kind is not.
    other = lambda path: weights.holds_weights(path, renderer.KIND)
    return {name: path for name, path in found.items() if not other(path)}


def renderer_files() -> dict[str, Path]:
    """Weights of renderers by name: the one that came with us, and those in models/gid."""
    from ..gid_core import renderer, weights

    found = {SHIPPED_RENDERER: renderer.shipped_renderer()} | _weights_in_folder()
    ours = lambda path: weights.holds_weights(path, renderer.KIND)
    return {name: path for name, path in found.items() if ours(path)}


def _weights_in_folder() -> dict[str, Path]:
    folder_paths.add_model_folder_path("gid", str(Path(folder_paths.models_dir, "gid")))
    # A folder that is new to the host, or comes from extra_model_paths.yaml, would list every file.
    folder_paths.folder_names_and_paths["gid"][1].add(".safetensors")
    names = folder_paths.get_filename_list("gid")
    return {name: Path(folder_paths.get_full_path("gid", name) or "") for name in names}


def file_state(path: Path | None):
    """What changes when a file is replaced; None for no file."""
    stat = path.stat() if path is not None and path.is_file() else None
    return stat and (stat.st_mtime_ns, stat.st_size)


def chosen(files: dict[str, Path], name: str) -> Path:
    """The file of that name.

    Raises:
        ValueError: If there is none.
    """
    if name not in files:
        raise ValueError(
            f"Expected weights among {', '.join(files) or 'none'}, got {name!r}. Put the file into "
            "models/gid, or choose another."
        )
    return files[name]


def renderer(name: str) -> torch.nn.Module:
    """The network that finishes frames, by the name of its file, on the CPU."""
    from ..gid_core.renderer import load_renderer

    return load_renderer(chosen(renderer_files(), name))


def on_device(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """A copy of a model where frames are rendered, and room for what it works with.

    The shipped one has a megabyte: that costs less than keeping account.
    """
    if device.type != "cpu":
        model_management.free_memory(TILE_BYTES, device)
    return copy.deepcopy(model).to(device)


@dataclass(frozen=True)
class HostedModel:
    """A learned model that the host moves to its device and away again."""

    patcher: object
    sampling: object
    finds_what_moves = True

    def sample(self, image, matte, generator, spectrum, anchor, poll):
        """As the core samples. The bar counts steps: `poll`, which counts stills, would reset it."""
        from ..gid_core.motion_model import LearnedMotion

        # All of it: what the host leaves behind of a model, it casts in layers of its own alone.
        model_management.load_models_gpu([self.patcher], force_full_load=True)
        stop = model_management.throw_exception_if_processing_interrupted
        learned = LearnedMotion(self.patcher.model, self.sampling, emerging(self.sampling.steps))
        return learned.sample(image, matte, generator, spectrum, anchor, stop)


def hosted(model: torch.nn.Module, precision: str, sampling) -> HostedModel:
    """Wrap networks for the host. Before 0.11 it has one kind of wrapper alone."""
    for part in (model.autoencoder, model.encoder, model.denoiser):
        part.to(getattr(torch, precision))
    wrap = getattr(model_patcher, "CoreModelPatcher", model_patcher.ModelPatcher)
    device, away = model_management.get_torch_device(), model_management.unet_offload_device()
    return HostedModel(wrap(model, load_device=device, offload_device=away), sampling)


def emerging(steps: int) -> Callable[[torch.Tensor], None]:
    """Shows how far things move, as it emerges; cancelling stops the sampling between steps."""
    bar, done = utils.ProgressBar(steps), 0

    def show(channels: torch.Tensor) -> None:
        from PIL import Image

        from ..gid_core.viz import heat

        nonlocal done
        done += 1
        model_management.throw_exception_if_processing_interrupted()
        size = channels[0].detach().cpu().square().sum((0, 1)).sqrt()
        picture = heat((size / size.quantile(0.98).clamp(min=1e-6)).clamp(0, 1))
        pixels = (picture * 255).byte().permute(1, 2, 0).contiguous().numpy()
        bar.update_absolute(done, steps, ("JPEG", Image.fromarray(pixels), 256))

    return show


def device_between_nodes() -> torch.device:
    return model_management.intermediate_device()


def render_device() -> torch.device:
    """The host's device if it is CUDA or ROCm, whose torch has every kernel used; else the CPU."""
    device = model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def progress(total: int) -> Callable[[int, int], None]:
    """A callback that moves the node's bar, and raises when the user cancels."""
    bar = utils.ProgressBar(total)

    def callback(done: int, of: int) -> None:
        model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, of)

    return callback


@dataclass(frozen=True)
class Frames:
    """Frames in memory, as `gid_core.clips.Clip` has them in a file."""

    images: torch.Tensor  # IMAGE
    fps: float
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.images.shape[1:3])

    @property
    def frames(self) -> Iterator[torch.Tensor]:
        return map(self.still, range(len(self.images)))

    def still(self, number: int = 0) -> torch.Tensor:
        return pictures(self.images[number : number + 1])[0]


def clip(value: torch.Tensor | Input.Video, fps: float, longest_side: int):
    """IMAGE at a frame rate, or VIDEO at its own, as a clip. A file is read frame by frame."""
    from ..gid_core.clips import read_clip
    from ..gid_core.pipeline import check_images

    if isinstance(value, torch.Tensor):
        check_images(pictures(value))
        return Frames(value, fps)
    if type(value).get_stream_source is Input.Video.get_stream_source:  # it would encode its frames
        parts = value.get_components()
        return Frames(parts.images, float(parts.frame_rate))
    # Hosts before 0.10 cannot trim.
    start_s, length_s = getattr(value, "get_active_trim_window", lambda: (0.0, 0.0))()
    opened = read_clip(value.get_stream_source(), longest_side, start_s=start_s)
    return opened if not length_s else replace(opened, most_frames=round(length_s * opened.fps))


def watched(frames: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The same frames; cancelling stops it between them."""
    for frame in frames:
        model_management.throw_exception_if_processing_interrupted()
        yield frame


def flow(model=None):
    """A flow estimator: RAFT, given OPTICAL_FLOW, else plain torch. Cancelling stops it between flows."""
    from ..gid_core.flow import raft_estimator, variational

    if model is not None:
        model_management.load_models_gpu([model])
    estimate = variational() if model is None else raft_estimator(model.model)

    def polled(first, frame, initial=None):
        model_management.throw_exception_if_processing_interrupted()
        return estimate(first, frame, initial)

    return polled


def input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


def output_folder() -> Path:
    return Path(folder_paths.get_output_directory())


def temp_folder() -> Path:
    """What is emptied when ComfyUI starts; made here, if nobody has yet."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def numbered(prefix: str, ending: str) -> Path:
    """The next free file of that prefix in the output folder, numbered and filled in as the host does."""
    folder, name, number, _, _ = folder_paths.get_save_image_path(prefix, str(output_folder()))
    return Path(folder, f"{name}_{number:05}_{ending}")
