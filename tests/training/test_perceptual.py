import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from gid_core.config import RENDERERS
from gid_core.render.network import GIVEN, fresh_renderer
from gid_core.training.objectives import LOOKS, RendererObjective
from gid_core.training.perceptual import (
    RECOGNIZER,
    LookDistance,
    PerceptualDistance,
    load_perceptual_distance,
)


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return PerceptualDistance().eval()


@pytest.fixture(scope="module", params=["vgg", RECOGNIZER])
def network(request, vgg):
    return vgg if request.param == "vgg" else load_perceptual_distance(RECOGNIZER)


def test_the_distance_is_zero_to_itself_symmetric_and_grows_with_noise(network, rng):
    one, noise = (torch.rand(2, 3, 40, 56, generator=rng) for _ in range(2))
    assert (network(one, one) == 0).all()
    near, far = (network(one, one.lerp(noise, s)) for s in (0.05, 0.5))
    assert (near > 0).all() and (far > 2 * near).all()
    torch.testing.assert_close(network(one, noise), network(noise, one))
    shared = network(one[:1], noise[:1])
    torch.testing.assert_close(network(one, noise)[:1], shared)  # item by item


def test_gradients_flow_to_both_pictures_and_to_no_weight(network, rng):
    one, other = (torch.rand(1, 3, 40, 56, generator=rng).requires_grad_() for _ in range(2))
    network(one, other).sum().backward()
    assert all((x.grad.abs().amax((1, 2, 3)) > 0).all() for x in (one, other))
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_features_that_came_along_tell_blur_that_errors_of_colour_do_not(rng):
    # A blur and a shade of the same square error: people see the one, and hardly the other.
    network = load_perceptual_distance(RECOGNIZER)
    assert isinstance(network, LookDistance)
    picture = F.interpolate(torch.rand(1, 3, 24, 36, generator=rng), (96, 144), mode="bicubic")
    picture = 0.2 + 0.5 * picture.clamp(0, 1)
    blurred = F.avg_pool2d(F.pad(picture, (2, 2, 2, 2), mode="replicate"), 5, 1)
    shade = (blurred - picture).square().mean().sqrt()
    assert network(picture, blurred) > 1.5 * network(picture, picture + shade)


def test_the_layers_are_those_of_torchvision(vgg, tmp_path):
    # Names and shapes of VGG-16 without batch normalization. Only features.N are read.
    found = {n: tuple(t.shape) for n, t in vgg.state_dict().items() if n.endswith("weight")}
    assert found == {
        "features.0.weight": (64, 3, 3, 3),
        "features.2.weight": (64, 64, 3, 3),
        "features.5.weight": (128, 64, 3, 3),
        "features.7.weight": (128, 128, 3, 3),
        "features.10.weight": (256, 128, 3, 3),
        "features.12.weight": (256, 256, 3, 3),
        "features.14.weight": (256, 256, 3, 3),
        "features.17.weight": (512, 256, 3, 3),
        "features.19.weight": (512, 512, 3, 3),
        "features.21.weight": (512, 512, 3, 3),
    }
    path = tmp_path / "vgg16.safetensors"
    save_file(vgg.state_dict() | {"classifier.0.weight": torch.zeros(2)}, path)
    again = load_perceptual_distance(path)
    for name, tensor in vgg.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert not any(p.requires_grad for p in again.parameters())


def test_files_without_vgg_are_refused(vgg, tmp_path):
    with pytest.raises(ValueError, match='Expected "recognizer" or .* found nothing at'):
        load_perceptual_distance(tmp_path / "none.safetensors")
    (tmp_path / "vgg.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match="a pickle and is not"):
        load_perceptual_distance(tmp_path / "vgg.pth")
    state = vgg.state_dict()
    save_file(state | {"features.5.weight": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=r"features\.5\.weight has shape \[1\], expected"):
        load_perceptual_distance(tmp_path / "odd.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"features\.0\.weight has shape None"):
        load_perceptual_distance(tmp_path / "other.safetensors")


def test_the_perceptual_loss_counts_where_something_moves(network, rng):
    model = fresh_renderer(RENDERERS["tiny"])
    given = torch.rand(2, GIVEN, 32, 48, generator=rng)
    frame = torch.rand(2, 3, 32, 48, generator=rng)
    terms = RendererObjective(model, network).losses(given, frame, [])
    assert float(terms["looks"].detach()) == pytest.approx(
        LOOKS, rel=0.1
    )  # an untrained network leaves all of it
    terms["looks"].backward()
    assert model.shares.weight.grad.abs().sum() > 0
    given[:, -1] = 0
    assert RendererObjective(model, network).losses(given, frame, [])["looks"] == 0
