import importlib.util
import os
import sys

import pytest
import torch

from gid_core.evaluation import feature_distances
from gid_core.evaluation.frechet import frechet_distance

pytestmark = pytest.mark.slow
_OPERATORS = []


@pytest.fixture(scope="module")
def torchvision():
    """Torchvision, which torch-fidelity and cd-fvd import and use to read pictures alone.

    Its wheels are linked against CUDA. With a torch without CUDA its operators do not load, and the
    import fails because the signatures of two operators are missing. They are defined here.
    """
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: `make install` brings it")
    if torch.version.cuda is None and not _OPERATORS:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _OPERATORS.append(library)
    return importlib.import_module("torchvision")


def initialize(network, rng):
    """Random weights whose activations neither vanish nor explode, drawn from a generator."""
    for tensor in network.state_dict().values():
        if tensor.ndim > 1:
            spread = (2 / tensor[0].numel()) ** 0.5
            tensor.copy_(spread * torch.randn(tensor.shape, generator=rng))
    return network.eval()


@pytest.fixture(scope="module")
def inception(torchvision, tmp_path_factory):
    """A file of random weights for torch-fidelity's network."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Blank(FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            pass

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    network = Blank("blank", ["64"], str(folder / "empty.pth"))
    torch.save(initialize(network, torch.Generator().manual_seed(0)).state_dict(), folder / "w.pth")
    return folder / "w.pth"


def i3d_file(path, classes, wrapped=False):
    from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d

    network = initialize(InceptionI3d(classes), torch.Generator().manual_seed(1))
    state = network.state_dict()
    torch.save({"state_dict": state} if wrapped else state, path)
    return path


@pytest.fixture(scope="module")
def i3d(tmp_path_factory):
    pytest.importorskip("cdfvd", reason="cd-fvd is not installed: `make install` brings it")
    return i3d_file(tmp_path_factory.mktemp("i3d") / "i3d.pt", 400)


@pytest.fixture
def clips(rng):
    """Two clips per set, whose values are exact bytes."""
    clips = torch.randint(0, 256, (4, 5, 3, 24, 36), generator=rng) / 255
    return clips[:2], clips[2:] * 0.5


def test_fid_and_kid_are_those_of_torch_fidelity_end_to_end(inception, clips):
    import torch_fidelity

    class Pictures(torch.utils.data.Dataset):
        def __init__(self, clips):
            self.pictures = (clips.flatten(0, 1) * 255).round().to(torch.uint8)

        def __len__(self):
            return len(self.pictures)

        def __getitem__(self, i):
            return self.pictures[i]

    expected = torch_fidelity.calculate_metrics(
        input1=Pictures(clips[0]),
        input2=Pictures(clips[1]),
        fid=True,
        kid=True,
        feature_layer_fid="64",
        feature_layer_kid="64",
        feature_extractor_weights_path=str(inception),
        kid_subset_size=10,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    network = feature_distances.inception_features(inception, layer="64")
    references, candidates = (torch.cat([network(clip) for clip in side]) for side in clips)
    assert references.shape == (10, 64)
    fid = feature_distances.fid(references, candidates)
    assert fid == pytest.approx(expected["frechet_inception_distance"], rel=1e-4)
    assert fid == pytest.approx(frechet_distance(references, candidates), rel=1e-4) and fid > 0
    kid = feature_distances.kid(references, candidates)
    assert kid == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert abs(feature_distances.fid(references, references)) < 1e-3 * fid


def test_the_features_of_a_clip_are_those_of_its_frames(inception, clips, monkeypatch):
    monkeypatch.setattr(feature_distances, "BATCH", 2)
    network = feature_distances.inception_features(inception)
    clip = clips[0][0, :3]
    features = network(clip)
    assert features.shape == (3, 2048)
    torch.testing.assert_close(features[2:], network(clip[2:]), rtol=1e-3, atol=1e-4)


def test_fvd_features_are_those_of_cd_fvd(torchvision, i3d, clips):
    from cdfvd.fvd import get_i3d_logits
    from cdfvd.third_party.i3d.utils import load_i3d_model
    from cdfvd.utils.metric_utils import FeatureStats

    frames = torch.cat([clips[0][0], clips[1][0], clips[0][1], clips[1][1]])[:19]
    features = feature_distances.i3d_features(i3d, window=9)(frames)
    assert features.shape == (2, 400)  # the frame left over is in no window
    videos = (frames[:18] * 255).round().to(torch.uint8).movedim(1, -1).unflatten(0, (2, 9))
    stats = FeatureStats(capture_all=True, capture_mean_cov=True)
    get_i3d_logits(stats, load_i3d_model("cpu", str(i3d)), videos.numpy(), device="cpu")
    torch.testing.assert_close(features, stats.get_all_torch(), rtol=1e-3, atol=1e-4)
    # Its distance is |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) with these covariances:
    theirs = torch.from_numpy(stats.get_mean_cov()[1])
    ours = feature_distances.gaussian(features, unbiased=False)[1]
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    moved = features + 1.0
    assert feature_distances.video_distance(features, moved) == pytest.approx(400, rel=1e-4)
    assert feature_distances.i3d_features(i3d, window=9)(frames[:5]).shape == (0, 400)


def test_dtfvd_accepts_weights_of_any_number_of_classes(i3d, tmp_path, clips):
    weights = i3d_file(tmp_path / "I3D_16.pth.tar", 18, wrapped=True)
    frames = torch.cat([clips[0][0], clips[0][1]])[:9]
    features = feature_distances.texture_features(weights, window=9)(frames)
    assert features.shape == (1, 1024) and features.std() > 0
    plain = i3d_file(tmp_path / "plain.pt", 18)
    again = feature_distances.texture_features(plain, window=9)(frames)
    torch.testing.assert_close(features, again)
    assert feature_distances.texture_features(weights)(frames).shape == (0, 1024)


def test_networks_are_those_whose_weights_are_given(inception, i3d):
    assert feature_distances.networks() == []
    pictures, clips = feature_distances.networks(inception=inception, i3d=i3d, window=32)
    assert list(pictures.distances) == ["fid", "kid_x100"] and pictures.frames == 1
    assert list(clips.distances) == ["fvd"] and clips.frames == 32
    rows = torch.rand(9, 5, generator=torch.Generator().manual_seed(0))
    assert pictures.distances["kid_x100"](rows, rows / 2) == pytest.approx(
        100 * feature_distances.kid(rows, rows / 2)
    )


# Missing or wrong weights and packages are refused

LOADERS = [
    feature_distances.inception_features,
    feature_distances.i3d_features,
    feature_distances.texture_features,
]
loaders = pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)


@loaders
def test_a_missing_file_is_refused_without_a_download(load, tmp_path):
    with pytest.raises(ValueError, match="found no file there. Download them once"):
        load(tmp_path / "weights.pth")


@loaders
def test_a_damaged_file_is_refused(load, tmp_path):
    for name, content in (("a.pth", b""), ("b.pth", b"PK\x03\x04 broken"), ("c.pth", b"\x80\x02x")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a readable file of weights"):
            load(tmp_path / name)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("taken",)


@loaders
def test_a_file_that_would_run_code_is_refused(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Hostile()}, "w.pth")
    with pytest.raises(ValueError, match="not a readable file of weights"):
        load("w.pth")
    assert not (tmp_path / "taken").exists()


@loaders
def test_a_file_of_other_weights_is_refused(load, torchvision, tmp_path):
    torch.save({"layer.weight": torch.zeros(2, 3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="'w.pth' does not hold the (Inception|I3D) weights"):
        load(tmp_path / "w.pth")
    torch.save(torch.zeros(2, 3), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="it holds a Tensor"):
        load(tmp_path / "w.pth")


@pytest.mark.parametrize("load, package", [*zip(LOADERS, ["torch_fidelity", "cdfvd", "cdfvd"])])
def test_a_missing_package_is_named(load, package, tmp_path, monkeypatch):
    torch.save({}, tmp_path / "w.pth")
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match="Install it: pip install (torch-fidelity|cd-fvd)"):
        load(tmp_path / "w.pth")


def test_a_set_of_one_sample_is_refused():
    with pytest.raises(ValueError, match="two samples on each side, got 1"):
        feature_distances.video_distance(torch.zeros(3, 4), torch.zeros(1, 4))
