import json

import pytest

from gid_core.motion.drawn import FORMAT_VERSION, check_fields, number, read_list


def read(text, most=3):
    return read_list(text, "leaves", "[1]", "draw them again", most, "Draw fewer.")


@pytest.mark.parametrize("items", [[], [1, {"a": [2]}], [None, "x", 3.5]])
def test_a_list_is_read_alone_or_under_its_noun(items):
    assert read(json.dumps(items)) == items
    assert read(json.dumps({"version": FORMAT_VERSION, "leaves": items})) == items
    assert read("  \n") == []


@pytest.mark.parametrize(
    "text, words",
    [
        ("[1", "The leaves are not readable as JSON: .* such as .1."),
        ("[" * 100_000, "not readable as JSON"),
        ("[NaN]", "The leaves hold NaN, which is no number"),
        ("[-Infinity]", "hold -Infinity"),
        ('{"version": 9, "leaves": []}', "version 9, this release reads version 1. .* draw them"),
        ('{"leaves": []}', "format version None"),
        ('{"version": 1, "stems": []}', "Expected a list of leaves, got NoneType"),
        ("7", "Expected a list of leaves, got int"),
        ("[1, 2, 3, 4]", "at most 3 leaves, got 4. Draw fewer."),
    ],
)
def test_what_is_no_list_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        read(text)


def test_numbers_without_end_are_refused_when_they_are_used():
    (huge,) = read("[" + "9" * 400 + "]")
    with pytest.raises(ValueError, match="Leaf 2: expected width to be a number, got inf"):
        number("Leaf 2", "width", huge)
    for value in (True, "1", None, float("nan"), [1]):
        with pytest.raises(ValueError, match="expected width to be a number"):
            number("Leaf 2", "width", value)
    assert number("Leaf 2", "width", 3) == 3.0


def test_fields_of_newer_versions_are_named():
    assert check_fields("Leaf 1", {"a": 1}, ("a", "b"), "a") == {"a": 1}
    with pytest.raises(ValueError, match="Leaf 1 has 'c', which .* it knows a, b"):
        check_fields("Leaf 1", {"c": 1}, ("a", "b"), "a")
    with pytest.raises(ValueError, match="Leaf 1 is no object with a, but 7"):
        check_fields("Leaf 1", 7, ("a", "b"), "a")
