"""Writing a file whole or not at all, and keeping names inside a folder.

Law: a file is written beside its place and moved there when it is complete; an error leaves nothing
behind, and what was there before stays.
"""

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

LONGEST_NAME = 200  # bytes, which leaves room for a number and an ending
RESERVED = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10)),
}


@contextmanager
def written_whole(path: Path, suffix: str = ""):
    """Yield a temporary path in the same folder; move it to `path` if all went well, else remove it.

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
        with suppress(
            OSError
        ):  # a failed encoder may still hold it open; the first error is the one
            Path(name).unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse a path whose folder is missing, or which is a folder.

    Raises:
        ValueError: With the reason.
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
    """The place inside a folder that has a name which somebody typed, or sent.

    Names are what every system can have: with / or \\ between folders, nothing hidden, nothing that
    climbs out by itself or by a link.

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
    elif any(len(part.encode()) > LONGEST_NAME for part in parts):
        why = "it is too long"
    elif not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        why = "a link leads out of the folder"
    else:
        return path
    raise ValueError(
        f"Expected the name of a file inside ComfyUI's folder, such as 'spectra/oak', got "
        f"{name[:100]!r}: {why}."
    )
