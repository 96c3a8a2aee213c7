from argparse import Namespace

import pytest
import torch

from gid_core.config import PRESETS, RENDERERS
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import MotionModel, fresh, save_model
from gid_core.render.network import RenderModel, fresh_renderer
from gid_core.render.renderer import save_renderer
from gid_core.training import data, moments
from gid_core.training.setup import prepared


def asked(tmp_path, **options):
    given = dict(
        stage="renderer", steps=5, batch=3, rate=1e-3, schedule="cosine", workers=0, precision="no",
        seed=2, save_every=7, begin=None, preset=None, layout=None, normalization=None, bands=None,
        scenes=4, scenes_weight=1.0, cache=None, perceptual=None, photographs=None, photographs_weight=0.5, clips=None,
        clips_weight=0.25, out=tmp_path,
    )  # fmt: skip
    return Namespace(**given | options)


def test_a_renderer_learns_from_moments_of_scenes(tmp_path):
    model, mixture, how, _ = prepared(asked(tmp_path, preset="tiny"))
    assert isinstance(model, RenderModel) and model.config == RENDERERS["tiny"]
    assert mixture.sources == (moments.Moments((160, 256), 4),) and len(mixture) == 15
    assert (how.stage, how.steps, how.batch, how.seed, how.save_every) == ("renderer", 5, 3, 2, 7)
    assert prepared(asked(tmp_path))[0].config == RENDERERS["small"]


def test_a_renderer_goes_on_from_weights(tmp_path):
    begun = fresh_renderer(RENDERERS["tiny"], 9)
    save_renderer(begun, tmp_path / "r.safetensors")
    model, *_ = prepared(asked(tmp_path, begin=tmp_path / "r.safetensors"))
    torch.testing.assert_close(model.down[0].weight, begun.down[0].weight, atol=1e-3, rtol=0)


def test_a_motion_model_learns_from_scenes(tmp_path):
    asks = asked(tmp_path, stage="encoder", preset="tiny", scenes=2, bands=3)
    model, mixture, _, _ = prepared(asks)
    assert isinstance(model, MotionModel) and model.config.bands == 3
    assert isinstance(mixture.sources[0], data.Scenes) and mixture.augment is data.augment
    assert mixture.sources[0].size[1] == PRESETS["tiny"].longest_side


@pytest.mark.parametrize("stage", ["bands", "coordination"])
def test_bands_are_not_learned_on_an_encoder_that_says_nothing(tmp_path, stage):
    begun = fresh(PRESETS["tiny"], Encoding(torch.arange(1, 17) / 5, torch.ones(16)))
    asks = asked(tmp_path, stage=stage, begin=tmp_path / "m.safetensors", scenes=2)
    save_model(begun, asks.begin)
    with pytest.raises(ValueError, match="image encoder is trained, got 'm.safetensors'.* encoder first"):  # fmt: skip
        prepared(asks)
    torch.nn.init.ones_(begun.encoder.up[0].second.weight)
    save_model(begun, asks.begin)
    assert prepared(asks)[0].encoder.trained


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layout": "volume"}, "Expected no --layout here: the stage renderer has none"),
        ({"bands": 3}, "Expected no --bands here"),
        (
            {"stage": "encoder", "perceptual": "vgg"},
            "Expected no --perceptual here: only a renderer's",
        ),
        ({"stage": "bands"}, "Train autoencoder and encoder first"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        prepared(asked(tmp_path, **options))


def test_folders_without_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected clips .* found none"):
        prepared(asked(tmp_path, clips=tmp_path))
