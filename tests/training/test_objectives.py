from dataclasses import replace

import pytest
import torch

from gid_core.config import PRESETS
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import fresh
from gid_core.training.objectives import STAGES, Objective, amplitudes, multiscale_gradient, whiten

HERTZ = torch.arange(1, 5) / 5
TINY = replace(PRESETS["tiny"], bands=4, denoiser=replace(PRESETS["tiny"].denoiser, bands=4))


def model(layout="coordinated"):
    config = replace(TINY, denoiser=replace(TINY.denoiser, layout=layout))
    return fresh(config, Encoding(HERTZ, 0.2 / HERTZ))


def batch(count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    channels = torch.randn(count, 4, 4, 16, 24, generator=generator) / HERTZ.view(-1, 1, 1, 1)
    return torch.rand(count, 3, 16, 24, generator=generator), 0.1 * channels


def generators(*seeds):
    return [torch.Generator().manual_seed(s) for s in seeds]


def randomized(network):
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stage", STAGES)
def test_the_loss_of_a_batch_is_the_mean_of_its_items(stage):
    objective = Objective(stage, model())
    randomized(objective.model.denoiser)
    still, channels = batch()
    total = lambda terms: sum(float(t.detach()) for t in terms.values())
    whole = total(objective.losses(still, channels, generators(1, 2, 3)))
    item = lambda i: (still[i : i + 1], channels[i : i + 1], generators(i + 1))
    parts = [total(objective.losses(*item(i))) for i in range(3)]
    assert whole == pytest.approx(sum(parts) / 3, rel=1e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_its_own_parameters_and_no_others(stage):
    objective = Objective(stage, model())
    everything = dict(objective.model.named_parameters())
    learning = {id(p) for p in objective.learning()}
    for parameter in everything.values():
        parameter.requires_grad_(id(parameter) in learning)
    still, channels = batch()
    sum(objective.losses(still, channels, generators(1, 2, 3)).values()).backward()
    parts = {n.split(".")[0] for n, p in everything.items() if p.grad is not None}
    across = {"across" in n for n, p in everything.items() if p.grad is not None}
    expected = {
        "autoencoder": ({"autoencoder"}, {False}),
        "encoder": ({"encoder"}, {False}),
        "bands": ({"denoiser"}, {False}),
        "coordination": ({"denoiser"}, {True}),
    }
    assert (parts, across) == expected[stage]


def learnable(count, seed):
    """Motions whose amplitude is the brightness of the still and whose bands share one field."""
    generator = torch.Generator().manual_seed(seed)
    light = torch.rand(count, 1, 1, 1, generator=generator)
    field = torch.randn(count, 1, 4, 16, 24, generator=generator)
    return light.expand(count, 3, 16, 24), 0.2 * light[:, None] * field / HERTZ.view(-1, 1, 1, 1)


# Bound on the loss after 30 steps, relative to that before.
LEARNED = {"autoencoder": 0.93, "encoder": 0.2, "bands": 0.88, "coordination": 0.98}


@pytest.mark.parametrize("stage", STAGES)
def test_training_lowers_the_loss_on_held_back_samples(stage):
    objective = Objective(stage, model())
    if stage == "coordination":  # stands for a denoiser after stage 1
        randomized(objective.model.denoiser)
    held_back = learnable(32, seed=999)

    @torch.no_grad()
    def judged():
        return float(sum(objective.losses(*held_back, generators(*range(32))).values()))

    optimizer, before = torch.optim.Adam(objective.learning(), 3e-3), judged()
    for step in range(30):
        seeds = range(1000 + 4 * step, 1004 + 4 * step)
        loss = sum(objective.losses(*learnable(4, step), generators(*seeds)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert judged() < LEARNED[stage] * before


def test_the_volume_layout_trains_all_bands_together():
    objective = Objective("bands", model("volume"))
    still, channels = batch()
    assert float(objective.losses(still, channels, generators(1, 2, 3))["clean"].detach()) > 0


def test_amplitudes_are_lengths_at_a_quarter_of_the_size():
    channels = torch.zeros(1, 2, 4, 8, 12)
    channels[:, 0, 0], channels[:, 0, 3] = 3.0, 4.0
    found = amplitudes(channels, torch.tensor([5.0, 1.0]))
    assert torch.allclose(found[:, 0], torch.ones(1, 2, 3)) and not found[:, 1].any()


def test_the_gradient_loss_ignores_constants_and_sees_edges():
    one = torch.randn(2, 4, 16, 24)
    assert float(multiscale_gradient((one + 3) - one)) < 1e-6
    step = one.clone()
    step[..., 12:] += 1
    assert float(multiscale_gradient(step - one)) > 0.01


def test_whitened_codes_have_unit_deviation():
    trained = model()
    _, channels = batch(8)
    whiten(trained, [channels[:4], channels[4:]], HERTZ)
    codes = trained.autoencoder.to_latent(trained.encoding.squash(channels, HERTZ))
    flat = codes.transpose(0, 2).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-4)
    assert torch.allclose(flat.std(1), torch.ones(4), atol=1e-3)


def test_unknown_stages_and_layouts_without_attention_across_bands_are_refused():
    with pytest.raises(ValueError, match="autoencoder, encoder, bands, coordination"):
        Objective("everything", model())
    with pytest.raises(ValueError, match="no attention across bands"):
        Objective("coordination", model("independent")).learning()
