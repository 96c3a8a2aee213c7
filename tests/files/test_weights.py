import hashlib
import json
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gid_core.files import weights
from gid_core.files.weights import holds_weights, load_weights, save_weights, settings_in


@dataclass(frozen=True)
class Config:
    wide: int = 3
    long: int = 5


class Network(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config.wide, config.long)
        self.register_buffer("rates", torch.arange(1.0, 4.0))


def load(path, **options):
    return load_weights(path, "test network", Config, lambda c: c.wide < 100, Network, **options)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(Network(Config(4, 7)), "test network", path)
    return path


def test_what_was_saved_is_read(tmp_path):
    model = Network(Config(4, 7))
    save_weights(model, "test network", tmp_path / "w.safetensors")
    read = load(tmp_path / "w.safetensors", rising=("rates",))
    assert read.config == Config(4, 7) and not read.training
    assert torch.equal(read.layer.weight, model.layer.weight.half().float())
    assert torch.equal(read.layer.bias, model.layer.bias)  # what is small stays exact
    assert not any(p.requires_grad for p in read.parameters())


def test_settings_are_read_before_anything_is_built(path):
    assert settings_in(path, "test network") == {"wide": 4, "long": 7}
    with pytest.raises(ValueError, match="no other thing"):
        settings_in(path, "other thing")
    with pytest.raises(ValueError, match="found nothing"):
        settings_in(path.with_name("none"), "test network")


def test_a_file_that_is_older_than_a_setting_has_its_default(path):
    @dataclass(frozen=True)
    class Later(Config):
        also: tuple[int, ...] = field(default=(), metadata={"later": True})

    given = ("test network", Later, lambda c: True, Network)
    assert load_weights(path, *given).config == Later(4, 7, ())
    save_weights(Network(Later(4, 7, (2, 8))), "test network", path)
    assert load_weights(path, *given).config == Later(4, 7, (2, 8))


def test_weights_of_something_else_are_refused(path):
    assert holds_weights(path, "test network") and not holds_weights(path, "other thing")
    assert not holds_weights(path.with_name("none"), "test network")
    with pytest.raises(ValueError, match="no other thing"):
        load_weights(path, "other thing", Config, lambda c: True, Network)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"version": 2}, "format version 2"),
        ({"config": {"wide": 4}}, "not one of a Config"),
        ({"config": {"wide": "4", "long": 7}}, "its wide is 4"),
        ({"config": {"wide": 200, "long": 7}}, "contradicts itself"),
        ({"config": {"wide": 5, "long": 7}}, "layer.weight has shape"),
    ],
)
def test_headers_are_believed_in_nothing(path, change, message):
    tensors = {n: t.contiguous() for n, t in Network(Config(4, 7)).state_dict().items()}
    header = {"version": 1, "config": {"wide": 4, "long": 7}, "notes": {}} | change
    save_file(tensors, path, {"image_dynamics_network": json.dumps(header)})
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize("text", ["", "[1]", "{" * 10_000])
def test_headers_that_are_none_are_refused(path, text):
    save_file({"a": torch.ones(2)}, path, {"image_dynamics_network": text})
    with pytest.raises(ValueError, match="no test network"):
        load(path)


def test_values_that_cannot_be_are_refused(path):
    load(path, positive=("rates",))
    model = Network(Config(4, 7))
    model.rates[1] = -1.0
    save_weights(model, "test network", path)
    load(path)
    for demand in ("positive", "rising"):
        with pytest.raises(ValueError, match="rates holds impossible"):
            load(path, **{demand: ("rates",)})
    model.layer.weight.data[0, 0] = float("nan")
    save_weights(model, "test network", path)
    with pytest.raises(ValueError, match="layer.weight holds impossible"):
        load(path)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found nothing at"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="not a readable safetensors"):
        load(tmp_path / "x.safetensors")


def test_shipped_weights_that_were_replaced_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"released")
    digest = hashlib.sha256(b"released").hexdigest()
    (tmp_path / weights.PINS).write_text(f"{digest}  model.safetensors\n")
    weights.check_pinned(file)
    file.write_bytes(b"replaced")
    with pytest.raises(ValueError, match=f"expected sha256 {digest}, got"):
        weights.check_pinned(file)
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"added")
    with pytest.raises(ValueError, match="no file of that name"):
        weights.check_pinned(other)
    (tmp_path / "own").mkdir()
    weights.check_pinned(tmp_path / "own" / "model.safetensors")
