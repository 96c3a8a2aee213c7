import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gid_core.config import PRESETS, RENDERERS
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import fresh, load_model
from gid_core.render.network import fresh_renderer
from gid_core.render.renderer import load_renderer
from gid_core.training.data import Mixture
from gid_core.training.moments import Moments
from gid_core.training.objectives import Objective, RendererObjective
from gid_core.training.train import TrainConfig, train

accelerate = pytest.importorskip(
    "accelerate", reason="training needs accelerate: image-dynamics[train]"
)
HERTZ = torch.arange(1, 4) / 5
TINY = replace(PRESETS["tiny"], bands=3, denoiser=replace(PRESETS["tiny"].denoiser, bands=3))
ROOT = Path(__file__).resolve().parents[2]


class Noise:
    """Noise whose amplitude is the brightness of the still."""

    size, frequencies_hz = (16, 24), HERTZ

    def sample(self, number):
        generator = torch.Generator().manual_seed(number)
        light = float(torch.rand((), generator=generator))
        noise = torch.randn(3, 4, 16, 24, generator=generator)
        return torch.full((3, 16, 24), light), light * noise


DATA = Mixture((Noise(),), (1.0,), seed=0, length=10**6, augment=None)


def model(seed=0):
    return fresh(TINY, Encoding(HERTZ, 0.3 + 0 * HERTZ), seed)


def run(out, steps=6, stage="bands", stop=None, **options):
    def callback(done, of, loss):
        if done == stop:
            raise KeyboardInterrupt

    config = TrainConfig(stage, steps, batch=4, log_every=1, save_every=2, **options)
    return train(model(), DATA, config, out, callback=callback)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*")
def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop=5)  # one step after the last saved state
    resumed = run(tmp_path / "killed")
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values()):
        assert torch.equal(one, other), name
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop=5)
    run(tmp_path)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("left", [0, 3, -4])  # characters: none, of the first row, of the last
def test_a_log_that_was_cut_off_is_taken_up_where_it_is_whole(tmp_path, left):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop=4)
    whole = (tmp_path / "log.csv").read_bytes()
    (tmp_path / "log.csv").write_bytes(whole[:left])
    run(tmp_path)
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    steps = [1, 2, 3, 5, 6] if left < 0 else [5, 6]
    assert [int(row["step"]) for row in rows] == steps
    assert all(float(row["loss"]) > 0 for row in rows)


def test_a_run_may_save_before_it_logs(tmp_path):
    config = TrainConfig("encoder", 2, batch=4, save_every=1)
    seen = []
    picture = lambda m, path: seen.append(len((tmp_path / "log.csv").read_text().splitlines()))
    train(model(), DATA, config, tmp_path, picture=picture)
    assert seen == [2, 3]


def test_a_damaged_state_is_refused(tmp_path):
    run(tmp_path, steps=2)
    (tmp_path / "state.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="is damaged: .*begin the run anew"):
        run(tmp_path, steps=2)


def test_a_run_of_another_recipe_is_not_resumed(tmp_path, monkeypatch):
    run(tmp_path, steps=2)
    monkeypatch.setattr("gid_core.training.train.RECIPE", 0)
    with pytest.raises(ValueError, match="holds another run: its recipe differs"):
        run(tmp_path, steps=3)


def test_a_finished_run_has_nothing_to_do(tmp_path):
    first = run(tmp_path)
    assert torch.equal(run(tmp_path).denoiser.enter.weight, first.denoiser.enter.weight)


def test_another_seed_is_another_run(tmp_path):
    one, other = (run(tmp_path / str(s), seed=s) for s in (0, 1))
    assert not torch.equal(one.denoiser.enter.weight, other.denoiser.enter.weight)


def test_the_encoder_learns_amplitudes_that_hold_on_held_back_samples(tmp_path):
    trained = run(tmp_path, steps=120, stage="encoder", rate=3e-3)
    held_back = range(2**31, 2**31 + 16)  # a mixture draws smaller numbers
    batch = [torch.stack(x) for x in zip(*(Noise().sample(n) for n in held_back))]
    judged = lambda m: float(Objective("encoder", m).losses(*batch, [])["amplitudes"].detach())
    before, after = judged(model()), judged(trained)
    assert after < 0.2 * before


def test_a_run_leaves_a_model_that_loads(tmp_path):
    trained = run(tmp_path, stage="autoencoder")
    read = load_model(tmp_path / "model.safetensors")
    assert torch.allclose(read.autoencoder.latent_std, trained.autoencoder.latent_std, rtol=1e-3)
    assert not (read.autoencoder.latent_std == 1).all()  # whitened
    names = {"state.safetensors", "log.csv", "model.safetensors"}
    assert {p.name for p in tmp_path.iterdir()} == names


def test_pictures_are_drawn_when_the_state_is_saved(tmp_path):
    seen = []
    config = TrainConfig("encoder", 4, batch=4, save_every=2)
    train(model(), DATA, config, tmp_path, picture=lambda m, path: seen.append(path.name))
    assert seen == ["encoder_0000002.png", "encoder_0000004.png"]


def test_the_rate_warms_up_and_falls():
    config = TrainConfig("bands", 1000, rate=1.0, warm_up=10)
    assert config.rate_at(0) == pytest.approx(0.1)
    assert config.rate_at(500) == pytest.approx(0.5, abs=0.01) and config.rate_at(1000) < 1e-6
    assert replace(config, schedule="constant").rate_at(900) == 1.0


def test_changed_settings_unknown_rates_and_a_broken_loss_are_refused(tmp_path):
    run(tmp_path, steps=2)
    with pytest.raises(ValueError, match="holds another run: its stage differs"):
        run(tmp_path, steps=2, stage="encoder")
    with pytest.raises(ValueError, match="its rate differs"):
        run(tmp_path, steps=2, rate=0.5)
    with pytest.raises(ValueError, match="cosine, constant, got 'exponential'"):
        run(tmp_path / "x", schedule="exponential")

    class Broken(Noise):
        def sample(self, number):
            return torch.zeros(3, 16, 24), torch.full((3, 4, 16, 24), float("nan"))

    broken = replace(DATA, sources=(Broken(),))
    with pytest.raises(ValueError, match="The loss is nan at step 0"):
        train(model(), broken, TrainConfig("bands", 2, batch=4), tmp_path / "y")


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    launch = "-m accelerate.commands.launch --cpu --num_cpu_threads_per_process 1 --num_machines 1"
    launch += " --mixed_precision no --dynamo_backend no --main_process_port 0 --num_processes"
    train = "-m gid_core train encoder --preset tiny --bands 2 --steps 6 --batch 4 --scenes 4"
    train = [*train.split(), "--quiet", "--cache", tmp_path / "scenes", "-o"]
    curves = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        command = [sys.executable, *launch.split(), str(processes), *train, out]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        with open(out / "log.csv") as file:
            curves.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert len(curves[0]) == len(curves[1]) > 0
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


def test_a_renderer_fits_its_scenes_in_the_same_loop(tmp_path):
    moments = Moments((48, 64), count=2, cache=tmp_path)
    data = Mixture((moments,), (1.0,), seed=0, length=240)
    config = TrainConfig("renderer", 60, batch=4, rate=3e-3, warm_up=5, log_every=1, save_every=30)
    trained = train(fresh_renderer(RENDERERS["tiny"]), data, config, tmp_path / "run")
    # That it helps on held-back scenes is tested on the shipped weights, in test_moments.py.
    batch = [torch.stack(x) for x in zip(*(moments.sample(n) for n in range(8)))]
    judged = lambda m: float(sum(RendererObjective(m).losses(*batch, []).values()).detach())
    before, after = judged(fresh_renderer(RENDERERS["tiny"])), judged(trained)
    assert after < 0.9 * before
    read = load_renderer(tmp_path / "run/model.safetensors")
    assert torch.allclose(read.shares.weight, trained.shares.weight, atol=1e-3)
    other = replace(data, sources=(replace(moments, count=3),))
    with pytest.raises(ValueError, match="its data differs"):
        train(fresh_renderer(RENDERERS["tiny"]), other, config, tmp_path / "run")
