import pytest
import torch

from gid_core.config import PRESETS
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import fresh
from gid_core.diffusion.recognized_model import RecognizedModelConfig, fresh_recognized
from gid_core.recognition.model import Recognizer, RecognizerConfig

HERTZ = torch.arange(1, 17) / 5
SEES = RecognizerConfig(stages=3, finest=2, width=8, longest_side=64)


def paper_s():
    model = fresh(PRESETS["tiny"], Encoding(HERTZ, 0.1 / HERTZ))
    torch.nn.init.normal_(model.autoencoder.decoder[-1].weight)
    return model


def recognizing():
    return fresh_recognized(
        RecognizedModelConfig(recognizer=SEES, longest_side=64), Recognizer(SEES)
    )


@pytest.mark.parametrize("made", [paper_s, recognizing])
def test_every_kind_of_model_tells_its_features_and_a_differentiable_way_back(made):
    model = made()
    image = torch.rand(1, 3, 30, 50, generator=torch.Generator().manual_seed(0))
    given = model.condition(image, torch.ones(1, 1, 30, 50), HERTZ, evened=True)
    code = torch.randn(1, 16, given.latent, *given.features.shape[-2:], requires_grad=True)
    channels = given.decode(code)
    (gradient,) = torch.autograd.grad(channels.square().sum(), code)
    assert channels.shape == (1, 16, 4, 30, 50) and gradient.abs().sum() > 0
