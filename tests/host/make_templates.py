"""Write the shipped templates in both forms, and the blueprints, from templates.py.

    python tests/host/make_templates.py [NAME ...]

Notes are notes/NAME.md, with a sentence in other languages of notes/languages.json. The page's form
goes to workflows/, the form that programs send to tests/workflows/, blueprints to subgraphs/. What
nodes have is asked of the newest host, so run this again when a node has changed. Pictures are made
by make_thumbnails.py.
"""

import json
import re
import sys
import tempfile
import uuid
from pathlib import Path

import hosts
from graphs import WORKFLOWS
from templates import BLUEPRINTS, LINKS, TEMPLATES

VERSION = re.search(r'^version = "(.+)"', (hosts.PACK / "pyproject.toml").read_text(), re.M)[1]
NOTES = Path(__file__).with_name("notes")
CORE = "0.3.64"  # the oldest host whose nodes these are
LANGUAGES = {"zh": "中文", "ja": "日本語"}
NOTE, COLUMN, GAP = (420, 680), 440, 50  # px
WIDE = {"MotionSpectrumPreview": 760, "SaveVideo": 560, "CLIPTextEncode": 400, "PokeDynamics": 420}
SHOWN = {  # px: the text and loop of a run
    "MotionSpectrumSampler": 460,
    "AnimateStill": 460,
    "SpectrumToDisplacement": 70,
}
ROW, LINE, TEXT = 26, 34, 90  # px of a socket, of a widget, and of a text of more lines
BRINGS_INPUTS = "COMFY_DYNAMICCOMBO_V3"  # a choice with inputs of its own for each answer
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", BRINGS_INPUTS)
ZOOM, CORNER = 0.8, [60, 110]  # of the canvas: small enough for a column or two, legible


def inputs_of(groups: dict, given: dict, within: str = "") -> list[tuple[str, str, dict, bool]]:
    """(name, type, options, optional) of all inputs of a node.

    A choice that brings inputs of its own is followed by those of what is given, else of the first.
    """
    rows = []
    for group in ("required", "optional"):
        for name, (kind, *options) in groups.get(group, {}).items():
            name, options = within + name, dict(options[0]) if options else {}
            if isinstance(kind, list):
                options, kind = options | {"options": kind}, "COMBO"
            rows.append((name, kind, options, group == "optional"))
            if kind == BRINGS_INPUTS:
                chosen = given.get(name, options["options"][0]["key"])
                brought = next(o["inputs"] for o in options["options"] if o["key"] == chosen)
                rows += inputs_of(brought, given, f"{name}.")
    return rows


def widgets_of(info: dict, given: dict) -> dict:
    """Name and value of every widget; those that are no input of a run, too."""
    values = {}
    for name, kind, options, _ in inputs_of(info["input"], given):
        if kind not in WIDGETS or options.get("forceInput"):
            continue
        default = options.get("default")
        if default is None:
            default = options["options"][0] if options.get("options") else ""
        if kind == BRINGS_INPUTS:
            default = default["key"]
        value = given.get(name, default)
        values[name] = default if isinstance(value, tuple) else value
        if options.get("control_after_generate", name in ("seed", "noise_seed")):
            values[f"control of {name}"] = "fixed"
    return values


class Graph:
    """The nodes and links of a template, with numbers for ids; the first ids are taken."""

    def __init__(self, info: dict, nodes: dict, taken: int):
        self.info, self.described = info, nodes
        self.ids = {key: taken + 1 + i for i, key in enumerate(nodes)}
        self.links = []  # [id, from, output, to, input, type]
        self.nodes = [self._node(key, node) for key, node in nodes.items()]
        self._place()
        for n in self.nodes:
            for slot, output in enumerate(n["outputs"]):
                out = [link[0] for link in self.links if link[1:3] == [n["id"], slot]]
                output["links"] = out or None

    def _node(self, key, node):
        info, sockets, widgets = self.info[node.kind], [], []
        values = widgets_of(info, node.inputs)
        for name, kind, options, optional in inputs_of(info["input"], node.inputs):
            shape = {"shape": 7} if optional else {}
            entry = {"localized_name": name, "name": name, **shape, "type": kind, "link": None}
            if kind not in WIDGETS or options.get("forceInput"):
                sockets.append(entry)
                continue
            if options.get("socketless"):
                continue
            widgets.append({**entry, "widget": {"name": name}})
        unknown = set(node.inputs) - {e["name"] for e in [*sockets, *widgets]} - set(values)
        assert not unknown, f"{node.kind} has no {unknown}"
        for slot, entry in enumerate([*sockets, *widgets]):
            value = node.inputs.get(entry["name"])
            if isinstance(value, tuple):
                entry["link"] = len(self.links) + 1
                source = self.info[self.described[value[0]].kind]
                kind = source["output"][value[1]]
                kind = "COMBO" if isinstance(kind, list) else kind
                link = [entry["link"], self.ids[value[0]], value[1], self.ids[key], slot, kind]
                self.links.append(link)
        ours = info["python_module"].startswith("custom_nodes")
        properties = {
            "cnr_id": "image-dynamics" if ours else "comfy-core",
            "ver": VERSION if ours else CORE,
            "Node name for S&R": node.kind,
        }
        models = [
            {"name": value, "url": LINKS[value][0], "directory": LINKS[value][1]}
            for value in values.values()
            if value in LINKS
        ]
        if models:
            properties["models"] = models
        made = {
            "id": self.ids[key],
            "type": node.kind,
            "pos": [0, 0],
            "size": [0, 0],
            "flags": {},
            "order": self.ids[key] - 1,
            "mode": 0,
            "inputs": [*sockets, *widgets],
            "outputs": [
                {"localized_name": name, "name": name, "type": _kind(kind), "links": None}
                for name, kind in zip(info["output_name"], info["output"])
            ],
            **({"title": node.title} if node.title else {}),
            "properties": properties,
            "widgets_values": list(values.values()),
            "widgets_values_named": {
                name if not name.startswith("control of") else "control_after_generate": value
                for name, value in values.items()
            },
        }
        rows = inputs_of(info["input"], node.inputs)
        several = sum(options.get("multiline", False) for _, _, options, _ in rows)
        rows = max(len(sockets), len(made["outputs"]))
        height = 40 + ROW * rows + LINE * len(values) + TEXT * several
        height += node.room + SHOWN.get(node.kind, 0)
        made["size"] = [WIDE.get(node.kind, 340), height]
        return made

    def _place(self):
        """Columns from left to right, as wide as their widest node, filled from the top."""
        columns = {}
        for n, node in zip(self.nodes, self.described.values()):
            columns.setdefault(node.column, []).append(n)
        x = NOTE[0] + 70
        for column in sorted(columns):
            y = 0
            for n in columns[column]:
                n["pos"] = [x, y]
                y += n["size"][1] + 30 + GAP
            x += max(n["size"][0] for n in columns[column]) + 70

    def prompt(self) -> dict:
        """The form that programs send."""
        result = {}
        for key, node in self.described.items():
            info = self.info[node.kind]
            values = {
                name: value
                for name, value in widgets_of(info, node.inputs).items()
                if not name.startswith("control of")
            }
            links = {
                name: [str(self.ids[value[0]]), value[1]]
                for name, value in node.inputs.items()
                if isinstance(value, tuple)
            }
            result[str(self.ids[key])] = {
                "inputs": values | links,
                "class_type": node.kind,
                "_meta": {"title": node.title or info["display_name"] or node.kind},
            }
        return result


def _kind(kind):
    return "COMBO" if isinstance(kind, list) else kind


def note(name: str) -> dict:
    """The note at the left of a template; lines that go on become one.

    The page cannot translate the notes of a pack, so what a template does is said in each language.
    """
    text = (NOTES / f"{name}.md").read_text("utf-8").strip()
    text = re.sub(r"(?<=\S)\n *(?![-#\n ]|\d\. )", " ", text)
    others = json.loads((NOTES / "languages.json").read_text("utf-8"))[name]
    text += "".join(f"\n\n**{LANGUAGES[key]}**: {others[key]}" for key in LANGUAGES)
    return {
        "id": 1,
        "type": "MarkdownNote",
        "pos": [0, 0],
        "size": list(NOTE),
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "Read me",
        "properties": {},
        "widgets_values": [text],
        "widgets_values_named": {"text": text},
        "color": "#432",
        "bgcolor": "#653",
    }


def saved_form(template, graph: Graph) -> dict:
    """The form that the page saves and opens."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, template.name)),
        "revision": 0,
        "last_node_id": max(graph.ids.values()),
        "last_link_id": len(graph.links),
        "nodes": [note(template.name), *graph.nodes],
        "links": graph.links,
        "groups": [],
        "config": {},
        "extra": {"ds": {"scale": ZOOM, "offset": CORNER}},
        "version": 0.4,
    }


def blueprint_form(blueprint, info: dict) -> dict:
    """One node that holds others: its definition, as the page publishes a subgraph."""
    graph = Graph(info, blueprint.nodes, 1)
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, blueprint.name))
    by_id = {n["id"]: n for n in graph.nodes}
    links = [dict(zip(LINK, link)) for link in graph.links]
    count, ends, outer, shown = len(links), {"inputs": [], "outputs": []}, [], []
    for slot, (label, targets) in enumerate(blueprint.inputs.items()):
        made = []
        for key, field in targets:
            n = by_id[graph.ids[key]]
            at = next(i for i, entry in enumerate(n["inputs"]) if entry["name"] == field)
            count += 1
            kind = n["inputs"][at]["type"]
            n["inputs"][at]["link"] = count
            links.append(dict(zip(LINK, [count, -10, slot, n["id"], at, kind])))
            made.append(count)
        entry = n["inputs"][at]
        ends["inputs"].append(_end(name, label, kind, made, slot, -200))
        widget = {"widget": {"name": label}} if "widget" in entry else {}
        outer.append({"name": label, "type": kind, **widget, "link": None})
        if widget:
            shown.append([str(n["id"]), field])
    for slot, (label, (key, output)) in enumerate(blueprint.outputs.items()):
        n, count = by_id[graph.ids[key]], count + 1
        kind = n["outputs"][output]["type"]
        n["outputs"][output]["links"] = [*(n["outputs"][output]["links"] or []), count]
        links.append(dict(zip(LINK, [count, n["id"], output, -20, slot, kind])))
        ends["outputs"].append(_end(name, label, kind, [count], slot, 3000))
    outside = {
        "id": 1,
        "type": name,
        "pos": [0, 0],
        "size": [340, 60 + LINE * len(outer)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": outer,
        "outputs": [
            {"name": end["name"], "type": end["type"], "links": []} for end in ends["outputs"]
        ],
        "properties": {"proxyWidgets": shown, "cnr_id": "image-dynamics", "ver": VERSION},
        "widgets_values": [],
        "title": blueprint.name,
    }
    inside = {
        "id": name,
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": max(graph.ids.values()),
            "lastLinkId": count,
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": blueprint.name,
        "inputNode": {"id": -10, "bounding": [-330, 0, 130, 40 + 20 * len(ends["inputs"])]},
        "outputNode": {"id": -20, "bounding": [3000, 0, 130, 40 + 20 * len(ends["outputs"])]},
        **ends,
        "widgets": [],
        "nodes": graph.nodes,
        "groups": [],
        "links": links,
        "extra": {},
        "category": "image dynamics",
        "description": blueprint.description,
    }
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [outside],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [inside]},
        "extra": {},
    }


LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


def _end(name, label, kind, links, slot, x):
    """A socket on the border of a subgraph."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{label}")),
        "name": label,
        "type": kind,
        "linkIds": links,
        "localized_name": label,
        "pos": [x, 20 + 20 * slot],
    }


def object_info() -> dict:
    """What the newest host says of all its nodes and of ours."""
    with tempfile.TemporaryDirectory() as folder:
        server = hosts.Server(hosts.FOUND[0], Path(folder) / "base")
        try:
            server.wait()
            return json.loads(server.get("/object_info")[1])
        finally:
            server.close()


def main() -> None:
    if hosts.python() is None:
        sys.exit("Found no ComfyUI. Set COMFYUI_PATH.")
    info, names = object_info(), sys.argv[1:]
    for template in TEMPLATES:
        if names and template.name not in names:
            continue
        graph, file = Graph(info, template.nodes, 1), f"{template.name}.json"
        _write(hosts.PACK / "workflows" / file, saved_form(template, graph), None)
        _write(WORKFLOWS / file, graph.prompt(), 1)
    for blueprint in BLUEPRINTS:
        form = blueprint_form(blueprint, info)
        _write(hosts.PACK / "subgraphs" / f"{blueprint.name}.json", form, None)


def _write(path, value, indent) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
