import json
import math
from dataclasses import replace

from gid_core.diffusion.motion_model import load_model
from gid_core.diffusion.recognized_model import RecognizedModel
from gid_core.training import card
from gid_core.training.card import DRY, go_on, prepare
from gid_core.training.recognized import STAGES

PLAN = replace(DRY, views=0, scenes=1, steps=(1, 1, 1), largest_batch=1)


def test_a_piece_without_time_prepares_nothing_and_says_what_is_left(tmp_path):
    report = go_on(PLAN, tmp_path, None, 0.0, "cpu")
    assert report["left"] == ["samples", *STAGES, "paper"]
    assert not list((tmp_path / "samples").glob("*.safetensors"))


def test_the_dry_run_goes_through_all_stages_and_a_second_piece_finds_nothing_to_do(tmp_path):
    report = go_on(PLAN, tmp_path, None, 5.0, "cpu")
    assert report["left"] == [] and all(report[stage]["done"] == 1 for stage in STAGES)
    assert set(report["paper"]) == {"preset", "bands, batch 1", "coordination, batch 1"}
    model = load_model(tmp_path / "coordination" / "model.safetensors")
    assert isinstance(model, RecognizedModel)
    assert model.config.denoiser.layout == "coordinated"
    assert go_on(PLAN, tmp_path, None, 0.0, "cpu") == report
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_steps_of_another_preset_are_timed_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "prepare", lambda *given: True)
    monkeypatch.setattr(card, "paper_steps", lambda plan, device: {"bands, batch 1": 7.0})
    done = {stage: {"done": 1} for stage in STAGES}
    (tmp_path / "report.json").write_text(json.dumps(done | {"paper": {"preset": "tiny"}}))
    again = go_on(replace(PLAN, paper_preset="paper"), tmp_path, None, 5.0, "cpu")
    assert again["paper"] == {"preset": "paper", "bands, batch 1": 7.0}


def test_a_larger_plan_prepares_what_a_dry_run_left_out(tmp_path, monkeypatch):
    numbers = set()

    def in_processes(task, jobs, workers):
        for job in jobs:
            numbers.update(job.numbers)
            yield job, None

    monkeypatch.setattr(card, "in_processes", in_processes)
    for scenes, chunk in ((2, 1), (11, 4)):
        plan = replace(DRY, views=0, scenes=scenes, chunk=chunk)
        assert prepare(plan, tmp_path, None, math.inf, 3)
        assert numbers == set(range(scenes))
