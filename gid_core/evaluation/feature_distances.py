"""FID, KID, FVD and DTFVD, by the implementations that publications use.

Law: weights come from the path that is given; without them the metric is refused with a sentence.
Nothing is downloaded, there is no substitute, and files are unpickled as plain tensors only.

Convention: features of a clip are n d, in the order of the clip: one row per frame for metrics of
pictures, one row per complete window of frames for metrics of clips. A distance compares the rows
of two sets of clips.

Source: Heusel et al. 2017 (FID) and Binkowski et al. 2018 (KID), by torch-fidelity; Unterthiner et
al. 2018 (FVD, logits of I3D at 224 x 224), by cd-fvd; Dorkenwald et al., "Stochastic Image-to-Video
Synthesis using cINNs", CVPR 2021 (DTFVD, pooled activations of an I3D trained on dynamic textures).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange

from ..shapes import Float, Tensor
from .frechet import frechet_distance_of, gaussian, windows

Features = Callable[[Float[Tensor, "t 3 h w"]], Float[Tensor, "n d"]]
Distance = Callable[[Float[Tensor, "n d"], Float[Tensor, "m d"]], float]
INCEPTION_LAYER = "2048"  # of pooled features, which FID and KID are defined on
WINDOWS = (16, 32)  # frames per window of FVD and FVD32; I3D needs at least nine
KID_SUBSET, KID_SUBSETS = 1000, 100
BATCH = 16
INCEPTION = "the Inception weights of torch-fidelity (weights-inception-2015-12-05-6726825d.pth)"
I3D = "the I3D weights of cd-fvd (i3d_pretrained_400.pt)"
TEXTURES = "the I3D weights trained on dynamic textures (I3D_16.pth.tar, I3D_32.pth.tar)"


@dataclass(frozen=True)
class Network:
    """A feature extractor of clips, and distances between sets of its features, by name.

    frames: Number of frames of a clip per row of features.
    """

    features: Features
    distances: dict[str, Distance]
    frames: int = 1


def networks(
    inception: str | Path | None = None,
    i3d: str | Path | None = None,
    textures: str | Path | None = None,
    window: int = WINDOWS[0],
    device: str = "cpu",
) -> list[Network]:
    """The metrics whose weights are given: FID and KID, FVD, DTFVD.

    Raises:
        ValueError: If a package is missing, or a file is missing or does not hold the weights.
    """
    found = []
    if inception is not None:
        distances = {"fid": fid, "kid_x100": lambda some, others: 100 * kid(some, others)}
        found.append(Network(inception_features(inception, device), distances))
    for name, weights, load in (("fvd", i3d, i3d_features), ("dtfvd", textures, texture_features)):
        if weights is not None:
            distances = {name: video_distance}
            found.append(Network(load(weights, device, window), distances, window))
    return found


def inception_features(
    weights: str | Path, device: str = "cpu", layer: str = INCEPTION_LAYER
) -> Features:
    """Features of single frames, for FID and KID.

    Raises:
        ValueError: If torch-fidelity is missing, or the file is missing or does not hold the
        weights.
    """
    _loaded(weights, INCEPTION)
    try:
        from torch_fidelity.utils import create_feature_extractor
    except (ImportError, RuntimeError) as error:
        raise _import_error("FID and KID need", "torch-fidelity", error) from error
    try:
        network = create_feature_extractor(
            "inception-v3-compat",
            [layer],
            cuda=False,
            feature_extractor_weights_path=str(weights),
            verbose=False,
        ).to(device)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise _not_these(weights, INCEPTION, error) from error

    @torch.no_grad()
    def features(frames):
        parts = (_bytes(frames[i : i + BATCH]).to(device) for i in range(0, len(frames), BATCH))
        return torch.cat([network(part)[0].cpu() for part in parts])

    return features


def fid(features: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> float:
    """Frechet inception distance, by torch-fidelity. Each set needs at least two rows."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    _require_two(features, others)
    statistics = [fid_features_to_statistics(rows.double()) for rows in (features, others)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def kid(features: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> float:
    """Kernel inception distance (not x 100), by torch-fidelity."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    _require_two(features, others)
    return kid_features_to_metric(
        features.double(),
        others.double(),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=min(KID_SUBSET, len(features), len(others)),
        rng_seed=0,
        verbose=False,
    )["kernel_inception_distance_mean"]


def i3d_features(weights: str | Path, device: str = "cpu", window: int = WINDOWS[0]) -> Features:
    """Logits of I3D for every complete window of a clip, for FVD.

    Raises:
        ValueError: If cd-fvd is missing, or the file is missing or does not hold the weights.
    """
    _loaded(weights, I3D)
    i3d = _cdfvd("FVD needs")
    try:
        network = i3d.load_i3d_model(torch.device(device), str(weights))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise _not_these(weights, I3D, error) from error

    @torch.no_grad()
    def features(frames):
        logits = []
        for part in windows(len(frames), window, window):
            clip = rearrange(_bytes(frames[part.start : part.stop]), "t c h w -> 1 t h w c")
            logits.append(network(i3d.preprocess_i3d(clip.numpy()).to(device)).cpu())
        return torch.cat(logits) if logits else torch.zeros(0, network._num_classes)

    return features


def texture_features(
    weights: str | Path, device: str = "cpu", window: int = WINDOWS[0]
) -> Features:
    """Pooled activations of an I3D trained on dynamic textures, for DTFVD.

    Raises:
        ValueError: If cd-fvd is missing, or the file is missing or does not hold the weights.
    """
    state = _loaded(weights, TEXTURES)
    i3d = _cdfvd("DTFVD needs")
    state = state.get("state_dict", state)
    try:
        network = i3d.pytorch_i3d.InceptionI3d(len(state["logits.conv3d.weight"]))
        network.load_state_dict(state)
    except (RuntimeError, KeyError, TypeError) as error:
        raise _not_these(weights, TEXTURES, error) from error
    network = network.to(device).eval()

    @torch.no_grad()
    def features(frames):
        pooled = []
        for part in windows(len(frames), window, window):
            clip = frames[part.start : part.stop].to(device)
            clip = F.interpolate(clip, (224, 224), mode="bilinear", align_corners=True)
            clip = rearrange(2 * clip - 1, "t c h w -> 1 c t h w")
            pooled.append(network.extract_pre_pool_features(clip).mean((2, 3, 4)).cpu())
        return torch.cat(pooled) if pooled else torch.zeros(0, 1024)

    return features


def video_distance(features: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> float:
    """FVD or DTFVD of features: Frechet distance with biased covariances, as in cd-fvd."""
    _require_two(features, others)
    return frechet_distance_of(*gaussian(features, False), *gaussian(others, False))


def _bytes(frames):
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


def _require_two(features, others):
    for rows in (features, others):
        if len(rows) < 2:
            raise ValueError(
                f"A distance between sets needs two samples on each side, got {len(rows)}. "
                "Use longer clips, or more of them."
            )


def _loaded(path, what) -> dict:
    """The tensors of a weights file; anything but plain tensors is refused."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"Expected {what} at {str(path)!r}, found no file there. Download them once, and give "
            "their path: nothing is downloaded here."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, torch.serialization.pickle.UnpicklingError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "it is empty"
        raise ValueError(f"{path.name!r} is not a readable file of weights: {first}") from error
    if not isinstance(state, dict):
        raise _not_these(path, what, TypeError(f"it holds a {type(state).__name__}"))
    return state


def _cdfvd(metric):
    try:
        from cdfvd.third_party.i3d import utils
    except ImportError as error:
        raise _import_error(metric, "cd-fvd", error) from error
    return utils


def _import_error(metric, package, error):
    if isinstance(error, ModuleNotFoundError):
        return ValueError(
            f"{metric} {package}, and there is no {error.name}. Install it: pip install {package}"
        )
    return ValueError(f"{metric} {package}, which is there but does not import: {error}")


def _not_these(path, what, error):
    first = str(error).strip().splitlines()[0]
    return ValueError(f"{Path(path).name!r} does not hold {what}: {first}")
