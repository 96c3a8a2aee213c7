import json

import pytest
import torch

from gid_core.files.stills import write_picture
from gid_core.recognition.head import DEGREE, KIND, OUTPUTS, SWAYS
from gid_core.recognition.model import Recognizer, RecognizerConfig
from gid_core.training import recognition
from gid_core.training.recognition import Photographs, Targets, TrainingConfig, loss_of

LEFT = [
    {"kind": "tree", "outline": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], "degree": 0.5, "front": 1}
]


def test_a_perfect_answer_loses_least_and_a_wrong_one_more():
    targets = Targets.of([LEFT, []], (16, 24))
    right = torch.zeros(2, OUTPUTS, 16, 24)
    right[:, SWAYS] = 20 * (2 * targets.sways[:, None] - 1)
    right[:, 1] = -20.0  # nothing flows
    right[:, KIND.start + 3] = 20.0
    loss = float(loss_of(right, targets))
    assert loss == pytest.approx(recognition.DEGREE_SHARE * 0.6931, abs=1e-3)  # a degree of 1/2
    for channel in (*range(4), KIND.start + 3, DEGREE.start):
        wrong = right.clone()
        wrong[:, channel] = 5 - wrong[:, channel]
        if channel not in (KIND.start, KIND.start + 1):  # other kinds, small against the right one
            assert float(loss_of(wrong, targets)) > loss + 0.01


def test_what_is_on_neither_side_costs_nothing():
    trunk = [{**LEFT[0], "kind": "trunk", "degree": 0.05}]
    targets = Targets.of([trunk], (16, 24))
    logits = torch.zeros(1, OUTPUTS, 16, 24)
    other = logits.clone()
    other[:, SWAYS, :, :12] = 7.0
    assert torch.equal(loss_of(logits, targets), loss_of(other, targets))


@pytest.fixture
def photographs(tmp_path, monkeypatch, rng):
    """Two photographs, bright where a tree is, and the labels beside them."""
    monkeypatch.setattr(recognition, "names", lambda validation, folder: ["a", "b"])
    for name in ("a", "b"):
        picture = 0.2 * torch.rand(3, 64, 96, generator=rng)
        picture[:, :, :48] += 0.8
        write_picture(tmp_path / f"{name}.jpg", picture)
        (tmp_path / f"{name}.json").write_text(json.dumps({"objects": LEFT}))
    return Photographs(tmp_path, labels_folder=tmp_path)


def test_every_photograph_comes_once_before_any_comes_again(photographs, rng, monkeypatch):
    monkeypatch.setattr(recognition, "view_of", lambda still, *_: id(still))
    order = list(photographs.views(6, rng))
    assert all(len(set(order[n : n + 2])) == 2 for n in (0, 2, 4))


def test_where_nothing_can_be_cut_out_nothing_is_pasted(photographs, tmp_path, rng):
    speck = [[0.4, 0.4], [0.5, 0.4], [0.5, 0.5]]
    for name in ("a", "b"):
        objects = [{**LEFT[0], "outline": speck}]
        (tmp_path / f"{name}.json").write_text(json.dumps({"objects": objects}))
    photographs = Photographs(tmp_path, labels_folder=tmp_path, pasted=1.0)
    assert not photographs.things
    assert [len(objects) for _, objects in photographs.views(2, rng)] == [1, 1]


def test_a_head_learns_and_the_backbone_stays_until_it_is_tuned(photographs, monkeypatch):
    monkeypatch.setattr("gid_core.training.views.SIDE", 64)
    monkeypatch.setattr(recognition, "SIDE", 64)
    config = TrainingConfig(copies=6, steps=60, batch=4, tuned_steps=3, frozen=2)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = Recognizer(RecognizerConfig(stages=4, finest=1, width=8))
        for layer in model.backbone.modules():  # untrained, features would fade from stage to stage
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        before = {n: t.clone() for n, t in model.state_dict().items()}
        recognition.train_head(model, photographs, config)
        after = {n: t.clone() for n, t in model.state_dict().items()}
        recognition.tune(model, photographs, config)
    assert all(torch.equal(before[n], after[n]) for n in before if n.startswith("backbone"))
    view = photographs.stills[0]
    sways = model(torch.nn.functional.interpolate(view, (64, 96)))[0, 0]
    assert sways[:, :20].mean() > sways[:, 28:].mean() + 0.5
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, after[n])}
    assert {n.split(".")[0] + n.split(".")[2] for n in changed if n.startswith("backbone")} == {
        "backbone2",
        "backbone3",
    }
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_folder_without_the_photographs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lacks 166 of 166 photographs, p001_daisies_dark.jpg"):
        Photographs(tmp_path)
