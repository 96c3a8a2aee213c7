"""Weights on disk: safetensors, with the configuration of the networks in the header.

Law: load(save(model)) = model; tensors of two or more axes to half precision. A file is not
trusted: its configuration, names and sizes are checked before values are read, and values before
they are used. No code is read from it. Weights that ship are those that were released: their sha256
is pinned beside them.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from .paths import check_input
from .whole import written_whole

VERSION = 1
MAX_FILE = 2**31  # bytes
MAX_CHANNELS = 4096  # of a layer
MAX_HEADER = 2**22  # bytes
SHIPPED = Path(__file__).parents[1] / "pretrained"
PINS = "sha256.txt"  # in that folder, as `sha256sum` writes it


def save_weights(model: nn.Module, kind: str, path: str | Path, notes: dict | None = None) -> None:
    """Write the weights of a model that has a `config`, large tensors in half precision.

    Args:
        kind: What the networks are for, in words; `load_weights` asks for the same.
        notes: Provenance: data, steps, measures.

    Raises:
        ValueError: If the path cannot be written to.
    """
    tensors = {}
    for name, tensor in model.state_dict().items():
        small = tensor.ndim < 2
        tensors[name] = tensor.float().contiguous() if small else tensor.half().contiguous()
    header = {"version": VERSION, "config": asdict(model.config), "notes": notes or {}}
    with written_whole(Path(path)) as temporary:
        save_file(tensors, temporary, {_key(kind): json.dumps(header)})


def load_weights(
    path: str | Path,
    kind: str,
    config: type,
    sensible: Callable[[Any], bool],
    build: Callable[[Any], nn.Module],
    positive: tuple[str, ...] = (),
    rising: tuple[str, ...] = (),
) -> nn.Module:
    """Read weights. Sizes are checked before any value is read.

    Args:
        config: The dataclass of the networks' configuration.
        sensible: Whether the values of a configuration are consistent with each other.
        build: Makes the networks of a configuration.
        positive, rising: Names of tensors whose values are above zero, or above zero and rising.

    Raises:
        ValueError: If the file is missing, damaged, something else, of another version, or holds
            values that are not finite.
    """
    path = check_input(path, "a file of weights", "nothing")
    check_pinned(path)
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path.name!r} is too large for weights of a {kind}.")
    try:
        with safe_open(path, "pt") as file:
            header = _header(path, kind, (file.metadata() or {}).get(_key(kind)))
            settings = _built(config, header.get("config"), path.name)
            if not sensible(settings):
                raise ValueError(f"{path.name!r} is damaged: its configuration contradicts itself.")
            with torch.device("meta"):
                model = build(settings)
            expected = {n: list(t.shape) for n, t in model.state_dict().items()}
            stored = {n: file.get_slice(n).get_shape() for n in file.keys()}
            if stored != expected:
                odd = sorted(n for n in {*stored, *expected} if stored.get(n) != expected.get(n))
                if set(stored) != set(expected):
                    raise ValueError(
                        f"{path.name!r} is of another release: only one of the two knows of "
                        f"{odd[0]}. Update Image Dynamics, or train again."
                    )
                raise ValueError(
                    f"{path.name!r} is damaged: {odd[0]} has shape {stored.get(odd[0])}, expected "
                    f"{expected.get(odd[0])}. Get the file again."
                )
            tensors = {n: file.get_tensor(n).float() for n in stored}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(f"{path.name!r} is not a readable safetensors file: {error}.") from error
    bad = sorted(n for n, t in tensors.items() if not t.isfinite().all())
    bad += [n for n in positive if not (tensors[n] > 0).all()]
    bad += [n for n in rising if not (tensors[n].diff(prepend=torch.zeros(1)) > 0).all()]
    if bad:
        raise ValueError(f"{path.name!r} is damaged: {bad[0]} holds impossible values.")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def settings_in(path: str | Path, kind: str) -> dict:
    """The configuration in a file of weights, not checked yet; {} where it is none.

    Raises:
        ValueError: If the file is missing, or holds no weights of that kind.
    """
    path = check_input(path, "a file of weights", "nothing")
    try:
        with safe_open(path, "pt") as file:
            settings = _header(path, kind, (file.metadata() or {}).get(_key(kind))).get("config")
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(f"{path.name!r} is not a readable safetensors file: {error}.") from error
    return settings if isinstance(settings, dict) else {}


def check_pinned(path: Path) -> None:
    """Refuse weights in the folder of those that ship that are not the ones that were released.

    Raises:
        ValueError: With both sums.
    """
    if path.resolve().parent != SHIPPED.resolve():
        return
    lines = (SHIPPED / PINS).read_text(encoding="utf-8").splitlines()
    pinned = {name: digest for digest, name in (line.split() for line in lines)}
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if pinned.get(path.name) != found:
        expected = pinned.get(path.name, "no file of that name")
        raise ValueError(
            f"{path.name!r} is not the file that was released: expected sha256 {expected}, got "
            f"{found}. Install Image Dynamics again, or put weights of your own into models/gid."
        )


def holds_weights(path: str | Path, kind: str) -> bool:
    """Whether a file looks like weights of that kind, by its first bytes; for lists of files."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return length <= MAX_HEADER and b'"%s"' % _key(kind).encode() in file.read(length)
    except OSError:
        return False


def _key(kind) -> str:
    return "image_dynamics_" + kind.split()[-1]


def _header(path, kind, text) -> dict:
    try:
        header = json.loads(text) if text else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(
            f"{path.name!r} is a safetensors file but no {kind}. Expected weights from `train`, "
            "or those that came with Image Dynamics."
        )
    if header.get("version") != VERSION:
        raise ValueError(
            f"{path.name!r} has format version {str(header.get('version'))[:20]}, this release "
            f"reads version {VERSION}. Update Image Dynamics, or train again."
        )
    return header


def _built(kind, values, name):
    """A dataclass from the values in a file; every value must have the type of its default.

    What came later than a file was written is its default.
    """
    names = {f.name for f in fields(kind)}
    needed = {f.name for f in fields(kind) if not f.metadata.get("later")}
    if not isinstance(values, dict) or not needed <= set(values) <= names:
        raise ValueError(f"{name!r} is damaged: its configuration is not one of a {kind.__name__}.")
    given = {}
    for known in (f for f in fields(kind) if f.name in values):
        value, default = values[known.name], known.default
        if is_dataclass(default):
            given[known.name] = _built(type(default), value, name)
            continue
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
            fits = (
                (len(value) > 0 or default == ())
                and len(value) <= 8
                and all(type(v) is int and 0 < v <= MAX_CHANNELS for v in value)
            )
        elif isinstance(default, str):
            fits = isinstance(value, str)
        elif isinstance(default, float):
            fits = type(value) in (int, float) and 0 < value < 1e4
        else:
            fits = type(value) is int and 0 <= value <= MAX_CHANNELS
        if not fits:
            raise ValueError(f"{name!r} is damaged: its {known.name} is {str(value)[:40]}.")
        given[known.name] = value
    return kind(**given)
