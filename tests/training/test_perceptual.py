import pytest
import torch
from safetensors.torch import save_file

from gid_core.config import RENDERERS
from gid_core.render.network import GIVEN, fresh_renderer
from gid_core.training.objectives import LOOKS, RendererObjective
from gid_core.training.perceptual import PerceptualDistance, load_perceptual_distance


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PerceptualDistance().eval()


def test_the_distance_is_zero_to_itself_symmetric_and_grows_with_noise(network, rng):
    one, noise = (torch.rand(2, 3, 32, 48, generator=rng) for _ in range(2))
    assert (network(one, one) == 0).all()
    near, far = (network(one, one.lerp(noise, s)) for s in (0.05, 0.5))
    assert (near > 0).all() and (far > 2 * near).all()
    torch.testing.assert_close(network(one, noise), network(noise, one))
    shared = network(one[:1], noise[:1])
    torch.testing.assert_close(network(one, noise)[:1], shared)  # item by item


def test_the_layers_are_those_of_torchvision(network, tmp_path):
    # Names and shapes of VGG-16 without batch normalization. Only features.N are read.
    found = {n: tuple(t.shape) for n, t in network.state_dict().items() if n.endswith("weight")}
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
    save_file(network.state_dict() | {"classifier.0.weight": torch.zeros(2)}, path)
    again = load_perceptual_distance(path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert not any(p.requires_grad for p in again.parameters())


def test_files_without_vgg_are_refused(network, tmp_path):
    with pytest.raises(ValueError, match="found nothing at"):
        load_perceptual_distance(tmp_path / "none.safetensors")
    (tmp_path / "vgg.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match="a pickle and is not"):
        load_perceptual_distance(tmp_path / "vgg.pth")
    state = network.state_dict()
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
