"""The pack as the host loads it: every node is described in full."""

import ast
import json
import sys

import hosts
import pytest

sys.path.insert(0, str(hosts.PACK / "benchmarks"))

import help_pages


def declared():
    """The node classes that nodes/__init__.py lists; a class is named as its node."""
    tree = ast.parse((hosts.PACK / "nodes/__init__.py").read_text())
    values = [
        n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "NODES"
    ]
    return [element.id for element in values[0].elts]


def inputs_of(info):
    return {
        name: (spec[0], spec[1] if len(spec) > 1 else {})
        for group in ("required", "optional")
        for name, spec in info["input"].get(group, {}).items()
    }


def test_every_node_loads_without_a_warning(host):
    assert host.hello["loaded"]
    assert list(host.hello["nodes"]) == declared()
    assert host.hello["warnings"] == []


def test_the_pack_never_puts_its_root_on_the_path(host):
    assert not host.hello["root_on_path"]


def test_every_node_has_our_category_a_name_and_a_description(host):
    for name, info in host.hello["nodes"].items():
        assert info["category"] == "image dynamics", name
        assert info["display_name"] != name, f"{name} has no display name"
        assert info["description"].endswith("."), name
        if host.hello["has_aliases"]:
            assert info["search_aliases"], name


WORDS = """animate photo, make image move, living photo, image to video, video from image, gif,
seamless loop, breeze, wind animation, tree, water, jiggle, bounce, parallax, image dynamics,
风, 摇摆, 循环, 风吹, 動く写真, 風, 揺れ, ループ"""


@pytest.mark.parametrize("word", [word.strip() for word in WORDS.replace("\n", " ").split(",")])
def test_a_word_that_people_type_finds_a_node(host, word):
    if not host.hello["has_aliases"]:
        pytest.skip("This host searches names alone.")
    nodes = host.hello["nodes"].items()
    assert [name for name, info in nodes if word in info["search_aliases"]]


def test_choices_that_the_help_explains_are_those_of_the_nodes(host):
    for (name, field), explained in help_pages.CHOICES.items():
        kind, options = inputs_of(host.hello["nodes"][name])[field]
        offered = kind if isinstance(kind, list) else options["options"]
        assert set(explained) == set(offered), f"{name}.{field}"


def test_every_input_has_a_tooltip(host):
    for name, info in host.hello["nodes"].items():
        for field, (_, options) in inputs_of(info).items():
            assert options.get("tooltip", "").endswith("."), f"{name}.{field}"


def test_every_output_has_a_name_and_a_tooltip(host):
    for name, info in host.hello["nodes"].items():
        assert all(info["output_name"]), name
        assert all(tip and tip.endswith(".") for tip in info["output_tooltips"] or []), name
        assert len(info["output_tooltips"] or []) == len(info["output"]), name


def test_every_default_is_inside_its_range(host):
    for name, info in host.hello["nodes"].items():
        for field, (kind, options) in inputs_of(info).items():
            if kind in ("INT", "FLOAT"):
                low, high = options["min"], options["max"]
                assert low <= options["default"] <= high, f"{name}.{field}"
            elif field != "file" and (isinstance(kind, list) or kind == "COMBO"):
                choices = kind if isinstance(kind, list) else options["options"]
                assert options["default"] in choices, f"{name}.{field}"


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_every_text_is_there_in_every_language(host, language):
    texts = json.loads((hosts.PACK / f"locales/{language}/nodeDefs.json").read_text("utf-8"))
    assert list(texts) == list(host.hello["nodes"])
    for name, info in host.hello["nodes"].items():
        ours = {field: options["tooltip"] for field, (_, options) in inputs_of(info).items()}
        outputs = dict(zip(map(str, range(99)), info["output_tooltips"] or []))
        for kind, expected in (("inputs", ours), ("outputs", outputs)):
            told = {field: text["tooltip"] for field, text in texts[name][kind].items()}
            assert set(told) == set(expected), f"{name} {kind}"
            assert all(told.values()) and (language != "en" or told == expected), name
        assert (texts[name]["description"] == info["description"]) == (language == "en"), name


def test_seeds_stay_as_they_are_from_run_to_run(host):
    """Pages change a seed after a run unless told not to; what follows is then not cached."""
    for name, info in host.hello["nodes"].items():
        for field, (_, options) in inputs_of(info).items():
            if field in ("seed", "noise_seed"):
                control = options.get("control_after_generate")
                if host.install.is_old:  # knows only whether there is such a control
                    assert isinstance(control, bool), f"{name}.{field}"
                else:
                    assert control in ("fixed", False), f"{name}.{field}"


def test_only_what_has_no_default_must_be_connected(host):
    required = host.hello["nodes"]["MotionSpectrumSampler"]["input"]["required"]
    bare = [name for name, spec in required.items() if "default" not in spec[1]]
    assert bare == ["image"]
