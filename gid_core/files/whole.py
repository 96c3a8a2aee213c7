"""Atomic writes, and file names that stay inside a folder.

Law: a file is written under a temporary name in the same folder, and moved to its name when it is
complete. An error leaves no temporary file, and the file that was there before stays.

What a file system may refuse without harm is tried and no more: mode bits (SMB, GVFS, S3 and WSL
mounts know none), flushing to the disk, and moving (some mounts only copy).
"""

import errno
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from .paths import shown

MAX_NAME = 200  # bytes; leaves room for a number and an ending
MAX_STEM = 32  # bytes of a name that its temporary name repeats
MAX_SUFFIX = 16  # bytes of an ending that a temporary name keeps
RESERVED = {  # device names of Windows
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10)),
}
FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}  # what a flush may report and nobody may ignore


@contextmanager
def written_whole(path: Path, suffix: str = ""):
    """Yield a temporary path in the same folder. Move it to `path` after success, else remove it.

    A link stays a link: the file it leads to is replaced. A file that is replaced keeps its mode.

    Raises:
        ValueError: If the folder is missing or cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    target = Path(os.path.realpath(path))
    temporary, mode = _created(target, suffix or path.suffix)
    try:
        yield temporary
        _complete(temporary, mode)
        _moved(temporary, target)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        why = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"Could not write {shown(path)}: {why}. Nothing was left behind."
        ) from error
    finally:
        # A failed encoder may still have it open. That error would hide the first one.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Refuse an output path before anything is computed, by making a file there for a moment.

    Raises:
        ValueError: As `written_whole`.
    """
    check_folder(path)
    temporary, _ = _created(Path(os.path.realpath(path)), path.suffix)
    with suppress(OSError):
        temporary.unlink()


def check_folder(path: Path) -> None:
    """Refuse an output path whose folder is missing, or at which there is no ordinary file.

    Raises:
        ValueError: In these cases, and for a name that is too long or a file that is read-only.
    """
    if not os.path.isdir(path.parent):
        raise ValueError(
            f"Expected an existing folder to write to, got {shown(path.parent)}. "
            "Create it, or write elsewhere."
        )
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"Cannot write to {shown(path)}: {why}. Use another name.") from error
    if stat.S_ISDIR(mode):
        raise ValueError(f"Expected a file name to write to, got the folder {shown(path)}.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"Expected a file to write to, got the device or pipe {shown(path)}.")
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise ValueError(f"The file {shown(path)} is read-only. Write to another.")


def _created(target, suffix):
    """A new empty file beside the target, and the mode that it should have at last.

    The system applies the umask, which no thread of a program can read without changing it.
    """
    stem = target.stem.encode(errors="surrogateescape")[:MAX_STEM].decode(errors="ignore")
    suffix = suffix if len(suffix.encode(errors="surrogateescape")) <= MAX_SUFFIX else ""
    while True:
        temporary = target.parent / f".{stem}-{secrets.token_hex(4)}{suffix}"
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            raise ValueError(
                f"Cannot write in {shown(target.parent)}: {error.strerror}. Write elsewhere."
            ) from error
        break
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    with suppress(OSError):
        mode = stat.S_IMODE(os.stat(target).st_mode)
    return temporary, mode


def _complete(temporary, mode):
    """Bring a written file to the disk, with its mode, as far as the file system can."""
    with suppress(OSError):  # some writers put a new file, of their own mode, in its place
        if stat.S_IMODE(os.stat(temporary).st_mode) != mode:
            os.chmod(temporary, mode)
    try:
        handle = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in FATAL:
            raise


def _moved(temporary, target):
    """Give a file its name. Where it cannot be moved (EXDEV, EBUSY, ENOSYS) it is copied; if that
    fails, what was there before is put back."""
    try:
        os.replace(temporary, target)
        return
    except OSError as error:
        if error.errno in FATAL or not temporary.exists():
            raise
    former = target.read_bytes() if target.exists() else None
    try:
        shutil.copyfile(temporary, target)
    except BaseException:
        with suppress(OSError):
            if former is None:
                target.unlink(missing_ok=True)
            else:
                target.write_bytes(former)
        raise


def confined(folder: str | Path, name: str) -> Path:
    """The path inside a folder for a name that a user typed, or a page sent.

    Names must be valid on every system, with / or \\ between folders. No part may be hidden, and
    neither .. nor a link may lead out of the folder.

    Raises:
        ValueError: For any other name.
    """
    parts = name.replace("\\", "/").split("/")
    path = Path(folder, *parts)
    if name[:1] in ("/", "\\") or name[1:2] == ":":
        why = "it is no name inside a folder"
    elif not name.isprintable() or set(name) & set('<>:"|?*'):
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
