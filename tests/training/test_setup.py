from pathlib import Path

import pytest
import torch

from gid_core.config import PRESETS, RENDERERS
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import MotionModel, fresh, save_model
from gid_core.diffusion.recognized_model import RecognizedModelConfig, fresh_recognized
from gid_core.recognition.model import Recognizer, RecognizerConfig
from gid_core.render.network import RenderModel, fresh_renderer
from gid_core.render.renderer import save_renderer
from gid_core.training import data, moments
from gid_core.training.setup import TrainRequest, prepare
from gid_core.training.train import TrainConfig


def asked(tmp_path, stage="renderer", **options):
    config = TrainConfig(stage, steps=5, batch=3, rate=1e-3, seed=2, save_every=7)
    return TrainRequest(config, tmp_path, **{"scenes": 4} | options)


def test_a_renderer_learns_from_moments_of_scenes(tmp_path):
    run = prepare(asked(tmp_path, preset="tiny"))
    model, mixture, config = run.model, run.data, run.config
    assert isinstance(model, RenderModel) and model.config == RENDERERS["tiny"]
    assert mixture.sources == (moments.Moments((160, 256), 4),) and len(mixture) == 15
    assert (config.stage, config.steps, config.batch, config.seed, config.save_every) == (
        "renderer",
        5,
        3,
        2,
        7,
    )
    assert prepare(asked(tmp_path)).model.config == RENDERERS["small"]


def test_a_renderer_starts_from_given_weights(tmp_path):
    begun = fresh_renderer(RENDERERS["tiny"], 9)
    save_renderer(begun, tmp_path / "r.safetensors")
    model = prepare(asked(tmp_path, begin=tmp_path / "r.safetensors")).model
    torch.testing.assert_close(model.down[0].weight, begun.down[0].weight, atol=1e-3, rtol=0)


def test_a_motion_model_learns_from_scenes(tmp_path):
    run = prepare(asked(tmp_path, stage="encoder", preset="tiny", scenes=2, bands=3))
    model, mixture = run.model, run.data
    assert isinstance(model, MotionModel) and model.config.bands == 3
    assert isinstance(mixture.sources[0], data.Scenes) and mixture.augment is data.augment
    assert mixture.sources[0].size[1] == PRESETS["tiny"].longest_side


def test_weights_that_stand_on_recognition_are_sent_to_their_own_command(tmp_path):
    sees = RecognizerConfig(stages=3, finest=2, width=8)
    begun = fresh_recognized(RecognizedModelConfig(recognizer=sees), Recognizer(sees))
    request = asked(tmp_path, stage="bands", begin=tmp_path / "m.safetensors", scenes=2)
    save_model(begun, request.begin)
    with pytest.raises(ValueError, match="Go on with it by `python -m gid_core.training.recogn"):
        prepare(request)


@pytest.mark.parametrize("stage", ["bands", "coordination"])
def test_stages_of_the_denoiser_need_a_trained_encoder(tmp_path, stage):
    begun = fresh(PRESETS["tiny"], Encoding(torch.arange(1, 17) / 5, torch.ones(16)))
    request = asked(tmp_path, stage=stage, begin=tmp_path / "m.safetensors", scenes=2)
    save_model(begun, request.begin)
    message = "image encoder is trained, got 'm.safetensors'.* encoder first"
    with pytest.raises(ValueError, match=message):
        prepare(request)
    torch.nn.init.ones_(begun.encoder.up[0].second.weight)
    save_model(begun, request.begin)
    assert prepare(request).model.encoder.trained


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layout": "volume"}, "Expected no --layout here: the stage renderer has none"),
        ({"bands": 3}, "Expected no --bands here"),
        (
            {"stage": "encoder", "perceptual": Path("vgg")},
            "no --perceptual here: only a renderer's",
        ),
        ({"stage": "bands"}, "Train autoencoder and encoder first"),
        ({"scenes_weight": 0.0}, "a weight above 0 for some of the data, got 0 for all"),
        ({"stage": "encoder", "scenes_weight": 0.0}, "a weight above 0 for some of the data"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        prepare(asked(tmp_path, **options))


def test_folders_without_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected clips .* found none"):
        prepare(asked(tmp_path, clips=tmp_path))
