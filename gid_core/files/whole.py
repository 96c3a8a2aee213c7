"""Atomic writes, and file names that stay inside a folder.

Law: a file is written under a temporary name in the same folder, and moved to its name when it is
complete. An error leaves no temporary file, and the file that was there before stays.
"""

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

MAX_NAME = 200  # bytes; leaves room for a number and an ending
RESERVED = {  # device names of Windows
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10)),
}


@contextmanager
def written_whole(path: Path, suffix: str = ""):
    """Yield a temporary path in the same folder. Move it to `path` after success, else remove it.

    Raises:
        ValueError: If the folder is missing or cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    try:
        handle, name = tempfile.mkstemp(suffix or path.suffix, f".{path.stem[:64]}-", path.parent)
        os.close(handle)
    except OSError as error:
        raise ValueError(
            f"Cannot write in {str(path.parent)!r}: {error.strerror}. Write elsewhere."
        ) from error
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files for their owner alone
        os.replace(name, path)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        why = "the disk is full" if full else str(error)
        raise ValueError(
            f"Could not write {str(path)!r}: {why}. Nothing was left behind."
        ) from error
    finally:
        # A failed encoder may still have it open. That error would hide the first one.
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse an output path whose folder is missing, or which is a folder itself.

    Raises:
        ValueError: In both cases.
    """
    if not path.parent.is_dir():
        raise ValueError(
            f"Expected an existing folder to write to, got {str(path.parent)!r}. "
            "Create it, or write elsewhere."
        )
    if path.is_dir():
        raise ValueError(f"Expected a file name to write to, got the folder {str(path)!r}.")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def confined(folder: str | Path, name: str) -> Path:
    """The path inside a folder for a name that a user typed, or a page sent.

    Names must be valid on every system, with / or \\ between folders. No part may be hidden, and
    neither .. nor a link may lead out of the folder.

    Raises:
        ValueError: For any other name.
    """
    parts = name.replace("\\", "/").split("/")
    path = Path(folder, *parts)
    if name[:1] in ("/", "\\") or ":" in name:
        why = "it is no name inside a folder"
    elif not name.isprintable() or set(name) & set('<>"|?*'):
        why = "it has characters that file names cannot have everywhere"
    elif any(part.strip(" .") != part or not part for part in parts):
        why = "a part of it is empty, or begins or ends with a dot or a space"
    elif any(part.split(".")[0].upper() in RESERVED for part in parts):
        why = "Windows has given it another meaning"
    elif any(len(part.encode()) > MAX_NAME for part in parts):
        why = "it is too long"
    elif not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        why = "a link leads out of the folder"
    else:
        return path
    raise ValueError(
        f"Expected the name of a file inside ComfyUI's folder, such as 'spectra/oak', got "
        f"{name[:100]!r}: {why}."
    )
