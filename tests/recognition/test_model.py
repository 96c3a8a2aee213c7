import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gid_core.evaluation.motion_metrics import area_under_curve
from gid_core.files.stills import read_mask, read_still
from gid_core.recognition.head import DEGREE, FLOWS, KIND, OUTPUTS, SWAYS
from gid_core.recognition.kinds import KINDS
from gid_core.recognition.model import (
    Recognizer,
    RecognizerConfig,
    load_recognizer,
    recognize,
    save_recognizer,
    seen_size,
    shipped,
)

DEMO = Path(__file__).resolve().parents[2] / "docs" / "demo"

TINY = RecognizerConfig(stages=4, finest=3, width=8, longest_side=96)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return Recognizer(TINY).eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(37, 53), (71, 20), (9, 200)])
def test_maps_have_the_stills_size_and_are_shares(model, rng, size):
    found = recognize(model, torch.rand(1, 3, *size, generator=rng))
    for field in dataclasses.fields(found):
        values = getattr(found, field.name)
        assert values.shape == (1, 1, *size)
        assert values.min() >= 0 and values.max() <= (len(KINDS) - 1 if field.name == "kind" else 1)


def test_a_still_is_the_same_every_time(model, rng):
    image = torch.rand(1, 3, 41, 67, generator=rng)
    once, again = recognize(model, image), recognize(model, image)
    for field in dataclasses.fields(once):
        assert torch.equal(getattr(once, field.name), getattr(again, field.name))


def test_a_map_lies_where_its_logits_lie(model, rng, monkeypatch):
    # Logits with a step in the middle of the picture, for each of what is said.
    logits = torch.full((1, OUTPUTS, 8, 12), -9.0)
    logits[:, SWAYS, :, 6:] = logits[:, DEGREE, :, 6:] = logits[:, FLOWS, :4] = 9.0
    logits[:, KIND.start + 5, :, 6:] = 9.0
    monkeypatch.setattr("gid_core.recognition.model.logits_of", lambda model, image: logits)
    found = recognize(model, torch.full((1, 3, 80, 120), 0.5))
    for share in (found.sways, found.degree):
        assert (share[..., 65:] > 0.99).all() and (share[..., :55] < 0.01).all()
    assert (found.flows[..., :36, :] > 0.99).all() and (found.flows[..., 44:, :] < 0.01).all()
    assert (found.kind[..., 65:] == 5).all() and (found.kind[..., :55] == 0).all()


@pytest.mark.parametrize(
    "size, longest, seen",
    [((480, 640), 512, (384, 512)), ((640, 427), 512, (512, 352)), ((10, 4000), 512, (32, 512))],
)
def test_what_is_seen_has_whole_multiples_and_nearly_the_stills_shape(size, longest, seen):
    assert seen_size(size, longest) == seen


def test_weights_come_back_as_they_were_to_half_precision(model, tmp_path, rng):
    save_recognizer(model, tmp_path / "w.safetensors", {"photographs": 3})
    other = load_recognizer(tmp_path / "w.safetensors")
    assert other.config == TINY and not other.training
    for name, tensor in model.state_dict().items():
        same = tensor if tensor.ndim < 2 else tensor.half().float()
        assert torch.equal(other.state_dict()[name], same)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"finest": 5}, "contradicts itself"),
        ({"stages": 8}, "contradicts itself"),
        ({"longest_side": 4000}, "contradicts itself"),
        ({"width": 9}, "is damaged: head"),
        ({"stages": 5}, "another release"),
        ({"width": "wide"}, "its width is wide"),
    ],
)
def test_a_file_is_not_believed(model, tmp_path, change, sentence):
    path = tmp_path / "w.safetensors"
    save_recognizer(model, path)
    config = dataclasses.asdict(TINY) | change
    header = json.dumps({"version": 1, "config": config, "notes": {}})
    save_file(load_file(path), path, {"image_dynamics_recognizer": header})
    with pytest.raises(ValueError, match=sentence):
        load_recognizer(path)


def test_other_weights_are_refused_with_what_to_do(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="no recognizer.*Expected weights"):
        load_recognizer(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="found nothing"):
        load_recognizer(tmp_path / "other.safetensors")


def test_weights_that_ship_find_nothing_in_a_wall_and_the_flowers_of_the_demo():
    shipping = load_recognizer(shipped())
    for grey in (0.0, 0.5, 0.9):
        assert recognize(shipping, torch.full((1, 3, 90, 160), grey)).sways.max() < 0.2
    found = recognize(shipping, read_still(DEMO / "still.png")[None, :3])
    painted = read_mask(DEMO / "still_mask.png")[0].flatten() > 0.5
    far = (found.sways * found.degree).flatten()
    assert (found.sways.flatten()[painted] > 0.5).float().mean() > 0.8  # measured .88
    assert (
        area_under_curve(far, painted) > 0.75
    )  # measured .80: grass that was not painted sways, too
    assert found.flows.mean() < 0.05  # no water, no clouds
