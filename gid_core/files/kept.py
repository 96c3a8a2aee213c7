"""Files that were made once and are used again.

Law: the key of a file is a digest of everything that its content depends on, so equal keys mean
equal files. A folder holds at most `LIMIT` bytes beside the newest file; what was used longest ago
goes first. Any file may vanish at any time: other threads and programs clean up, too.

Convention: a name that begins with a dot is a file that is still being written. It is not counted,
and stays.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path

import torch

LIMIT = 2 * 2**30  # bytes


def kept(
    folder: Path, key: str, suffix: str, write: Callable[[Path], None], limit: int = LIMIT
) -> Path:
    """The file of a key in a folder.

    Args:
        write: Makes the file, whole or not at all, at the path that it is given. Called only if
            there is none yet.
        limit: Bytes that the other files in the folder may have together.
    """
    path = folder / (key + suffix)
    if not _used(path):
        write(path)
        _forget(folder, path, limit)
    return path


def _used(path: Path) -> bool:
    """Whether there is a file; it is then the one that was used last."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a file system that keeps no times
        pass
    return path.is_file()


def _forget(folder: Path, newest: Path, limit: int) -> None:
    """Remove files, those used longest ago first, until the others fit into the limit."""
    states = _finished(folder)
    states.pop(newest, None)
    size = sum(state.st_size for state in states.values())
    for path in sorted(states, key=lambda path: states[path].st_mtime_ns):
        if size <= limit:
            return
        with suppress(OSError):  # another program may read it just now
            path.unlink(missing_ok=True)
            size -= states[path].st_size


def _finished(folder: Path) -> dict[Path, os.stat_result]:
    """The states of the files in a folder that are written and still there."""
    states = {}
    for path in [] if not folder.is_dir() else list(folder.iterdir()):
        with suppress(FileNotFoundError):
            states[path] = path.stat()
    written = lambda path: stat.S_ISREG(states[path].st_mode) and not path.name.startswith(".")
    return {path: state for path, state in states.items() if written(path)}


def digest(*values) -> str:
    """A name for these values: tensors, networks, dataclasses, containers and plain values.

    Raises:
        TypeError: For a value of any other kind, whose content is not known.
    """
    hashed = hashlib.sha256()
    for value in values:
        _add(hashed, value)
    return hashed.hexdigest()[:32]


def _add(hashed, value) -> None:
    if isinstance(value, torch.Tensor):
        hashed.update(f"{value.dtype}{tuple(value.shape)}".encode())
        real = torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
        hashed.update(real.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, torch.nn.Module):
        _add(hashed, (type(value).__name__, getattr(value, "config", None), value.state_dict()))
    elif is_dataclass(value):
        _add(hashed, (type(value).__name__, [getattr(value, f.name) for f in fields(value)]))
    elif isinstance(value, dict):
        _add(hashed, list(value.items()))
    elif isinstance(value, list | tuple):
        hashed.update(f"[{len(value)}]".encode())
        for part in value:
            _add(hashed, part)
    elif value is None or isinstance(value, str | bool | int | float | range | torch.device):
        hashed.update(f"{type(value).__name__}{value!r};".encode())
    else:
        raise TypeError(f"Expected values that can be compared by content, got {type(value)}.")
