"""Paths as they are typed: what can be read, what an output may be called, and what it may replace.

Law: no output of a command ever replaces one of its inputs, or another output.
"""

import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

MAX_SHOWN = 300  # letters of a path in a message


def check_input(path: str | Path, expected: str, what: str = "no file") -> Path:
    """Refuse a path from which nothing can be read.

    Args:
        expected: What should be there, such as "a picture".

    Raises:
        ValueError: If it is missing, a folder, a device, not permitted, or no name of a file.
    """
    path = Path(path)
    why, found = "", f"Expected {expected}, found {what} at {shown(path)}"
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            why = "it is a folder"
        elif not stat.S_ISREG(mode):
            why = "it is a device or a pipe"
        else:
            with open(path, "rb"):
                return path
    except FileNotFoundError:
        raise ValueError(f"{found}.") from None
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, PermissionError):
            found, why = f"Cannot read {shown(path)}", f"{why}. Change who may read it"
    except ValueError as error:  # a NUL in it
        why = str(error)
    raise ValueError(f"{found}: {why}.")


def check_ending(path: Path, endings: Iterable[str]) -> None:
    """Refuse an output whose name ends otherwise, before anything is computed.

    Raises:
        ValueError: With the endings that are known.
    """
    endings = tuple(endings)
    if path.suffix.lower() not in endings:
        raise ValueError(
            f"Expected a file name ending in {', '.join(endings)}, got {shown(path.name)}."
        )


def check_distinct(inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> None:
    """Refuse outputs that are an input, or each other: links and other letter case count as equal.

    Both map what a path is, such as "still" or "clip", to the path.

    Raises:
        ValueError: With the two that are one.
    """
    taken = list(inputs.items())
    for what, path in outputs.items():
        for other, place in taken:
            if _same(path, place):
                raise ValueError(
                    f"The {what} would replace the {other} {shown(place)}. Name another file."
                )
        taken.append((what, path))


def shown(path: str | Path) -> str:
    """A path in quotes, as long as a sentence bears."""
    text = str(path)
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:60]}...{text[-60:]}")


def _same(one, other) -> bool:
    try:
        if os.path.samefile(one, other):
            return True
    except (OSError, ValueError):
        pass  # one of them does not exist yet, and their names decide
    return _key(one) == _key(other)


def _key(path) -> str:
    """A path as systems that fold letters see it."""
    try:
        resolved = os.path.realpath(path)
    except (OSError, ValueError):
        resolved = str(path)
    return unicodedata.normalize("NFC", resolved).casefold()
