"""What the real server makes of the pack: nodes, scripts, help, translations, templates."""

import json
import urllib.error

import hosts
import pytest
from test_host_load import declared

TEMPLATES = sorted((hosts.PACK / "workflows").glob("*.json"))


def test_the_pack_imports_and_its_nodes_are_offered(server):
    assert f"{hosts.NAME} (IMPORT FAILED)" not in server.log()
    offered = json.loads(server.get("/object_info")[1])
    ours = {name for name, info in offered.items() if info["category"] == "image dynamics"}
    assert ours == set(declared())
    assert {offered[name]["python_module"] for name in ours} == {f"custom_nodes.{hosts.NAME}"}


def test_only_scripts_meant_for_browsers_are_loaded(server):
    listed = json.loads(server.get("/extensions")[1])
    ours = {path for path in listed if path.startswith(f"/extensions/{hosts.NAME}/")}
    web = hosts.PACK / "web"
    own = {f"/extensions/{hosts.NAME}/{p.relative_to(web).as_posix()}" for p in web.rglob("*.js")}
    assert ours == own
    assert not [path for path in ours if "test" in path]
    for path in ours:
        assert server.get(path)[0].endswith("javascript")


@pytest.mark.parametrize("name", declared())
def test_every_node_has_a_help_page(server, name):
    kind, text = server.get(f"/extensions/{hosts.NAME}/docs/{name}.md")
    assert kind != "text/html"  # as which the page itself would come
    assert len(text) > 300
    inputs = json.loads(server.get(f"/object_info/{name}")[1])[name]["input"]
    for field in [*inputs["required"], *inputs.get("optional", {})]:
        assert field.encode() in text, f"The help page of {name} does not mention {field}."


def test_templates_are_listed_and_served_with_their_pictures(server):
    assert len(TEMPLATES) >= 4
    listed = json.loads(server.get("/workflow_templates")[1])[hosts.NAME]
    assert sorted(listed) == sorted(path.stem for path in TEMPLATES)
    for path in TEMPLATES:
        base = f"/api/workflow_templates/{hosts.NAME}/{path.stem}"
        assert json.loads(server.get(base + ".json")[1]) == json.loads(path.read_text())
        kind, picture = server.get(base + ".jpg")
        assert kind == "image/jpeg" and picture[:2] == b"\xff\xd8"


def test_blueprints_are_offered_with_their_texts(server):
    offered = json.loads(server.get("/global_subgraphs")[1])
    ours = {
        key: entry["name"]
        for key, entry in offered.items()
        if entry["info"]["node_pack"] == f"custom_nodes.{hosts.NAME}"
    }
    files = {path.stem: path for path in (hosts.PACK / "subgraphs").glob("*.json")}
    assert sorted(ours.values()) == sorted(files) and len(files) >= 3
    for key, name in ours.items():
        form = json.loads(json.loads(server.get(f"/global_subgraphs/{key}")[1])["data"])
        assert form == json.loads(files[name].read_text())
        (inside,) = form["definitions"]["subgraphs"]
        assert inside["name"] == name and inside["description"].endswith(".")


def test_a_prompt_out_of_range_is_answered_with_a_sentence(server):
    inputs = {"spectrum": ["x", 0], "frames": 0, "fps": 30.0, "loop": True, "speed": 1.0}
    inputs |= {"gain": 1.0, "pose": "rest pose", "seed": 0}
    graph = {"x": {"class_type": "SpectrumToDisplacement", "inputs": inputs}}
    graph["show"] = {
        "class_type": "MotionSpectrumPreview",
        "inputs": {"spectrum": ["x", 0], "width": 8},
    }
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.post("/prompt", {"prompt": graph})
    answer = json.loads(refused.value.read())
    refused.value.close()
    assert refused.value.code == 400
    details = [e["details"] for e in answer["node_errors"]["show"]["errors"]]
    assert any("width" in text for text in details)
