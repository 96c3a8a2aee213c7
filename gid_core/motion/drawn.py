"""What a hand did on a still, as a list in one JSON text: the shell of strokes and of gestures.

Law: what is no finite number, or comes from another version, is refused by a sentence.
"""

import json
import math
from collections.abc import Sequence

FORMAT_VERSION = 1
MAX_DIGITS = 300  # of a number


def read_list(text: str, noun: str, example: str, remedy: str, most: int, fewer: str) -> list:
    """The items of a text, unchecked. An empty text has none.

    The text is a list, or an object with a version and the list under its noun.

    Args:
        noun: What the items are, in the plural.
        remedy: What to do about a text of another version.
        fewer: What to do about a text of more than `most` items.

    Raises:
        ValueError: For a text that is none.
    """
    if not text.strip():
        return []

    def refuse_constant(name):
        """NaN and infinities, which Python's json would accept."""
        raise ValueError(f"The {noun} hold {name}, which is no number. Write numbers only.")

    try:
        parsed = json.loads(text, parse_constant=refuse_constant, parse_int=_whole)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"The {noun} are not readable as JSON: {error}. Expected a list such as {example}."
        ) from error
    if isinstance(parsed, dict):
        version = parsed.get("version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"The {noun} have format version {version!r}, this release reads version "
                f"{FORMAT_VERSION}. Update Image Dynamics, or {remedy}."
            )
        parsed = parsed.get(noun)
    if not isinstance(parsed, list):
        raise ValueError(
            f"Expected a list of {noun}, got {type(parsed).__name__}. Write [] for none."
        )
    if len(parsed) > most:
        raise ValueError(f"Expected at most {most} {noun}, got {len(parsed)}. {fewer}")
    return parsed


def check_fields(item: str, given: object, fields: Sequence[str], lacks: str) -> dict:
    """An item, which must be an object of no other fields.

    Args:
        item: Its name in messages, such as "Stroke 2".
        lacks: What is expected of the object, such as "a path".

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{item} is no object with {lacks}, but {given!r:.60}.")
    unknown = [key for key in given if key not in fields]
    if unknown:
        raise ValueError(
            f"{item} has {unknown[0]!r}, which this release does not know; it knows "
            f"{', '.join(fields)}. It may come from a newer one: update Image Dynamics."
        )
    return given


def number(item: str, name: str, value: object) -> float:
    """A finite number of an item.

    Raises:
        ValueError: If it is something else.
    """
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{item}: expected {name} to be a number, got {value!r:.60}.")
    return float(value)


def _whole(digits):
    """A whole number; infinity, which is refused, where no number of the machine is as large."""
    return int(digits) if len(digits) < MAX_DIGITS else math.inf
