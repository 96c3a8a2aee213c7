import pytest
import torch

from gid_core.recognition.backbone import STAGES, STRIDES, Backbone


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return Backbone(len(STAGES)).double().eval()


def test_a_stage_has_its_channels_and_its_stride(backbone):
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 64, 96, dtype=torch.float64))
    for x, stage, stride in zip(features, STAGES, STRIDES, strict=True):
        assert x.shape == (2, stage[3], 64 // stride, 96 // stride)


def test_fewer_stages_are_the_first_ones(backbone, rng):
    image = torch.rand(1, 3, 32, 64, generator=rng, dtype=torch.float64)
    few = Backbone(4).double()
    few.load_state_dict({n: backbone.state_dict()[n] for n in few.state_dict()})
    with torch.no_grad():
        for some, all_of_them in zip(few(image), backbone(image), strict=False):
            assert torch.equal(some, all_of_them)


def test_stages_one_after_the_other_are_all_of_them(backbone, rng):
    image = torch.rand(1, 3, 32, 64, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        early = backbone.onward(backbone.entered(image), 0, 3)
        late = backbone.onward(early[-1], 3)
        for x, y in zip([*early, *late], backbone(image), strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize("kernel", [3, 5])
def test_convention_a_stride_of_two_looks_one_place_less_before(kernel):
    # TensorFlow's "same" on even sides: the window of output i starts at 2 i - (kernel - 2) // 2.
    from gid_core.recognition.backbone import _Convolution

    layer = _Convolution(1, 1, kernel, 2)
    torch.nn.init.constant_(layer.weight, 0)
    torch.nn.init.constant_(layer.bias, 0)
    layer.weight.data[..., 0, 0] = 1  # the first place of the window
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 1, 8, 6)
    before = (kernel - 2) // 2
    with torch.no_grad():
        seen = layer(rows.contiguous())[0, 0, :, -1]
    expected = (2 * torch.arange(4.0) - before).clamp(min=0)
    assert torch.equal(seen, expected)


def test_middle_grey_is_nothing_to_the_first_layer(backbone):
    grey = torch.full((1, 3, 32, 64), 127 / 255, dtype=torch.float64)
    with torch.no_grad():
        made = backbone.entered(grey)
    expected = backbone.stem.bias.clamp(0, 6).view(1, -1, 1, 1).expand_as(made)
    torch.testing.assert_close(made, expected)
