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


@pytest.mark.parametrize("stage", STAGES)
def test_a_batch_can_be_shared_out(stage):
    objective = Objective(stage, model())
    for parameter in objective.model.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    still, channels = batch()
    total = lambda terms: sum(float(t.detach()) for t in terms.values())
    whole = total(objective.losses(still, channels, generators(1, 2, 3)))
    parts = [total(objective.losses(still[i : i + 1], channels[i : i + 1], generators(i + 1))) for i in range(3)]  # fmt: skip
    assert whole == pytest.approx(sum(parts) / 3, rel=1e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_moves_what_it_trains_and_nothing_else(stage):
    objective = Objective(stage, model())
    everything = dict(objective.model.named_parameters())
    learning = {id(p) for p in objective.learning()}
    for parameter in everything.values():
        parameter.requires_grad_(id(parameter) in learning)
    still, channels = batch()
    sum(objective.losses(still, channels, generators(1, 2, 3)).values()).backward()
    moved = {n.split(".")[0] for n, p in everything.items() if p.grad is not None}
    across = {"across" in n for n, p in everything.items() if p.grad is not None}
    wanted = {
        "autoencoder": ({"autoencoder"}, {False}),
        "encoder": ({"encoder"}, {False}),
        "bands": ({"denoiser"}, {False}),
        "coordination": ({"denoiser"}, {True}),
    }
    assert (moved, across) == wanted[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_a_few_steps_make_the_loss_smaller(stage):
    objective = Objective(stage, model())
    if stage == "coordination":  # what is there after stage 1
        for parameter in objective.model.denoiser.parameters():
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(objective.learning(), 3e-3)
    still, channels = batch()
    losses = []
    for _ in range(30):
        loss = sum(objective.losses(still, channels, generators(1, 2, 3)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.97 * losses[0]


def test_one_volume_takes_all_bands_at_once():
    objective = Objective("bands", model("volume"))
    still, channels = batch()
    assert float(objective.losses(still, channels, generators(1, 2, 3))["clean"].detach()) > 0


def test_amplitudes_are_lengths_at_a_quarter():
    channels = torch.zeros(1, 2, 4, 8, 12)
    channels[:, 0, 0], channels[:, 0, 3] = 3.0, 4.0
    found = amplitudes(channels, torch.tensor([5.0, 1.0]))
    assert torch.allclose(found[:, 0], torch.ones(1, 2, 3)) and not found[:, 1].any()


def test_the_gradient_loss_ignores_constants_and_sees_edges():
    one = torch.randn(2, 4, 16, 24)
    assert float(multiscale_gradient(one + 3, one)) < 1e-6
    step = one.clone()
    step[..., 12:] += 1
    assert float(multiscale_gradient(step, one)) > 0.01


def test_whitened_codes_have_unit_deviation():
    trained = model()
    _, channels = batch(8)
    whiten(trained, [channels[:4], channels[4:]], HERTZ)
    codes = trained.autoencoder.to_latent(trained.encoding.squash(channels, HERTZ))
    flat = codes.transpose(0, 2).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(4), atol=1e-4)
    assert torch.allclose(flat.std(1), torch.ones(4), atol=1e-3)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="autoencoder, encoder, bands, coordination"):
        Objective("everything", model())
    with pytest.raises(ValueError, match="no attention across bands"):
        Objective("coordination", model("independent")).learning()
