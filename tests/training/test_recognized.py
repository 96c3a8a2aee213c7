import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from gid_core.config import DenoiserConfig
from gid_core.diffusion.blocks import FrequencyAttention
from gid_core.diffusion.motion_model import save_model
from gid_core.diffusion.recognized_model import (
    ExpectationConfig,
    RecognizedModelConfig,
    fresh_recognized,
)
from gid_core.diffusion.still_features import channels
from gid_core.recognition.model import Recognizer, RecognizerConfig
from gid_core.training.batches import Prepared
from gid_core.training.recognized import (
    STAGES,
    STATE,
    RunConfig,
    begun,
    learning,
    likelihood,
    loss_of,
    train,
)

SEES = RecognizerConfig(stages=3, finest=2, width=8, longest_side=64)
CONFIG = RecognizedModelConfig(
    bands=3,
    longest_side=32,
    recognizer=SEES,
    expectation=ExpectationConfig(widths=(8, 12), features=5),
    denoiser=DenoiserConfig(
        bands=3, latent=4, features=5, widths=(8, 12), blocks=1, attention_from=9, head=4
    ),
)
RUN = RunConfig("bands", batch=3, steps=4, warm_up=1)


def model(layout="coordinated", seed=0):
    config = replace(CONFIG, denoiser=replace(CONFIG.denoiser, layout=layout))
    made = fresh_recognized(config, Recognizer(SEES), seed)
    made.usual.copy_(torch.tensor([0.3, 0.2, 0.1]))
    return made


@pytest.fixture()
def data(tmp_path):
    generator = torch.Generator().manual_seed(0)
    given = channels(Recognizer(SEES))
    for i in range(4):
        matte = torch.ones(1, 24, 32)
        matte[..., 12:] = 0
        motions = torch.randn(2, 3, 4, 6, 8, generator=generator)
        save_file(
            {
                "features": torch.randn(given, 6, 8, generator=generator).half(),
                "sways": matte.half(),
                "matte": matte.half(),
                "motions": (motions * torch.tensor([0.3, 0.2, 0.1]).view(1, 3, 1, 1, 1)).half(),
            },
            tmp_path / f"s_{i}.safetensors",
        )
    return Prepared(tmp_path)


def test_the_likelihood_is_least_for_the_deviation_that_motions_have(data):
    batch = data.batch(4, torch.Generator().manual_seed(0))
    batch = replace(batch, energy=torch.full_like(batch.energy, 0.04))
    tries = {}
    for deviation in (0.1, 0.16, 0.2, 0.25, 0.4):
        made = model()
        made.usual.fill_(deviation / 1.02)  # at the start times is 1 + SMALLEST
        # The loss is of amplitudes beside what is usual, which is compared in itself.
        tries[deviation] = float(likelihood(made, batch).detach()) + math.log(deviation)
    assert min(tries, key=tries.get) == 0.2


@pytest.mark.parametrize("stage", STAGES)
def test_what_does_not_move_does_not_count(data, stage):
    made = model()
    batch = data.batch(2, torch.Generator().manual_seed(0))
    motion, energy = batch.motion.clone(), batch.energy.clone()
    motion[..., 4:], energy[..., 4:] = 0.7, 0.9  # nothing moves there
    losses = [
        loss_of(made, stage, b, torch.Generator().manual_seed(1)).item()
        for b in (batch, replace(batch, energy=energy))
    ]
    assert losses[0] == losses[1] and math.isfinite(losses[0])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_changes_only_what_it_trains(data, stage, tmp_path):
    made = model()
    before = {n: t.clone() for n, t in made.state_dict().items()}
    names = {n for n, p in made.named_parameters() if any(p is q for q in learning(made, stage))}
    train(made, data, replace(RUN, stage=stage), tmp_path / "run", minutes=5.0)
    after = made.state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed and changed <= names
    across = {
        id(p) for m in made.modules() if isinstance(m, FrequencyAttention) for p in m.parameters()
    }
    trains_across = any(id(p) in across for p in learning(made, stage))
    assert trains_across == (stage == "coordination")


def test_a_run_that_is_resumed_equals_one_that_never_stopped(data, tmp_path, monkeypatch):
    run = replace(RUN, cool_down=1)
    train(model(), data, run, tmp_path / "whole", minutes=5.0)
    # Stopped by the clock after two steps: each call looks at it once before every step.
    ticks = iter([0.0, 0.0, 0.0, 0.0, 0.0, *[1e9] * 99])
    monkeypatch.setattr("gid_core.training.recognized.time.monotonic", lambda: next(ticks))
    stopped, _ = train(model(), data, run, tmp_path / "parts", minutes=5.0)
    monkeypatch.undo()
    assert 0 < stopped < 4
    steps, loss = train(model(seed=7), data, run, tmp_path / "parts", minutes=5.0)
    assert steps == 4 and math.isfinite(loss)
    own, other = (load_file(tmp_path / part / STATE) for part in ("whole", "parts"))
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)


@pytest.mark.parametrize("layouts", [("independent", "coordinated"), ("volume", "volume")])
def test_what_an_older_model_gets_beside_its_own_changes_nothing_at_the_start(
    data, tmp_path, layouts
):
    older = model(layouts[0])
    for parameter in older.denoiser.parameters():
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
        )
    save_model(older, tmp_path / "older.safetensors")
    today = begun(data, tmp_path / "older.safetensors", layouts[1])
    assert today.config.denoiser.smoothed and not CONFIG.denoiser.smoothed
    batch = data.batch(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        losses = [
            float(loss_of(m.eval(), "coordination", batch, torch.Generator().manual_seed(1)))
            for m in (older, today)
        ]
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)  # weights are kept in half precision


@pytest.mark.parametrize("layouts", [("volume", "independent"), ("independent", "volume")])
def test_a_volume_and_others_share_all_but_the_layers_that_see_bands(data, tmp_path, layouts):
    older = model(layouts[0])
    save_model(older, tmp_path / "older.safetensors")
    today = begun(data, tmp_path / "older.safetensors", layouts[1], seed=5)
    new = {
        name
        for name, tensor in load_file(tmp_path / "older.safetensors").items()
        if not torch.equal(tensor.float(), today.state_dict()[name])
    }
    ends = {f"denoiser.{n}" for n in ("embed.0.weight", "enter.weight", "leave.2.weight")}
    assert {"denoiser.enter.weight"} <= new <= ends | {"denoiser.leave.2.bias"}
    assert (today.denoiser.enter.weight.abs().amax((0, 2, 3)) > 0).all()  # new, not a part of old


def test_no_time_is_no_step(data, tmp_path):
    steps, loss = train(model(), data, RUN, tmp_path / "run", minutes=0.0)
    assert steps == 0 and math.isnan(loss)
    assert (tmp_path / "run" / STATE).exists()


def test_another_stage_s_folder_is_refused(data, tmp_path):
    train(model(), data, RUN, tmp_path / "run", minutes=0.0)
    with pytest.raises(ValueError, match="holds a run of the stage bands"):
        train(model(), data, replace(RUN, stage="coordination"), tmp_path / "run", minutes=1.0)


def test_the_rate_rises_stays_and_falls():
    run = RunConfig("bands", rate=0.1, steps=100, warm_up=10, cool_down=20)
    rates = [run.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.01) and rates[9:80] == pytest.approx([0.1] * 71)
    assert rates[-1] == pytest.approx(0.005) and rates == sorted(rates[:50]) + sorted(
        rates[50:], reverse=True
    )


def test_a_state_that_does_not_fit_or_is_damaged_is_refused(data, tmp_path):
    run = replace(RUN, stage="coordination", steps=1)
    train(model("independent"), data, run, tmp_path, minutes=5.0)
    with pytest.raises(ValueError, match="a run of other networks: its denoiser.* differs. Use"):
        train(model("coordinated"), data, run, tmp_path, minutes=5.0)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:99])
    with pytest.raises(ValueError, match="is damaged: .* Delete it to begin"):
        train(model("independent"), data, run, tmp_path, minutes=5.0)
