"""Write the Chinese and Japanese help pages from the texts in locales/.

    python benchmarks/help_pages.py

The English pages in web/docs are written by hand. The others are made of the node's description and
tooltips in locales/LANGUAGE/nodeDefs.json, and of tips and values in locales/LANGUAGE/help.json.
Law: equal texts give equal pages; tests/test_help_pages.py checks that they are up to date.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "web/docs"
LANGUAGES = "zh", "ja"
KINDS = "tree shrub grass flower reeds hanging cloth hair flame".split()
WEATHER = "breath breeze wind gusts storm".split()
DRAFTS = "full size", "half", "quarter"
OUTPUTS = "frames and video", "video only"
# Choices that are explained; tests/host/test_host_load.py compares them with the nodes.
CHOICES = {
    ("AnimateStill", "kind"): ("anything", *KINDS),
    ("AnimateStill", "weather"): WEATHER,
    ("AnimateStill", "draft"): DRAFTS,
    ("AnimateStill", "output"): OUTPUTS,
    ("ElasticMotionModel", "anchor"): ("auto", "ground", "hanging", "border", "none"),
    ("ElasticMotionModel", "kind"): ("custom", *KINDS),
    ("ElasticMotionModel", "weather"): ("custom", *WEATHER),
    ("ExampleStill", "example"): (
        "meadow",
        "lanterns",
        "clouds",
        "candle",
        "candle, its smoke",
        "river",
        "river, its reeds",
    ),
    ("FeatureSplatRender", "draft"): DRAFTS,
    ("FeatureSplatRender", "output"): OUTPUTS,
    ("FeatureSplatRender", "precision"): ("float32", "bfloat16", "float16"),
    ("LoadMotionModel", "sampler"): ("dpmpp_2m", "ddim", "heun"),
    ("LoadMotionModel", "precision"): ("float32", "bfloat16", "float16"),
    ("LoadMotionModel", "loop_rule"): ("paper", "fast"),
    ("MotionMask", "what"): ("what sways", "what flows"),
    ("MotionSpectrumSampler", "kind"): ("motion to play", "modes to poke"),
    ("MotionSpectrumTransfer", "fit"): (
        "box to box",
        "box, proportions kept",
        "picture to picture",
    ),
    ("PokeDynamics", "rule"): (
        "physical",
        "paper",
        "grip, paper's damping",
        "grip, demo page's damping",
    ),
    ("SpectrumToDisplacement", "pose"): ("rest pose", "first frame"),
}


def page(language: str, node: str) -> str:
    """The help page of a node, Markdown."""
    folder = ROOT / "locales" / language
    texts = json.loads((folder / "nodeDefs.json").read_text("utf-8"))[node]
    extra = json.loads((folder / "help.json").read_text("utf-8"))
    words, values = extra["headings"], extra["values"]
    parts = [f"# {texts['display_name']}", texts["description"]]
    if (DOCS / f"{node}.jpg").is_file():
        parts.append(f"![{texts['display_name']}]({node}.jpg)")
    rows = []
    for field, text in texts["inputs"].items():
        explained = [f"*{v}*: {values[v]}" for v in CHOICES.get((node, field), ())]
        about = "<br>".join([text["tooltip"], *explained])
        rows.append((f"{text.get('name', field)}<br>`{field}`", about))
    parts += _table(words["inputs"], words["input"], words["about"], rows)
    rows = [(text.get("name", ""), text["tooltip"]) for text in texts["outputs"].values()]
    parts += _table(words["outputs"], words["output"], words["about"], rows)
    if tips := extra["tips"].get(node):
        parts += [f"## {words['tips']}", "\n".join(f"- {tip}" for tip in tips)]
    return "\n\n".join(parts) + "\n"


def _table(title, first, second, rows):
    if not rows:
        return []
    lines = [f"| {first} | {second} |", "|---|---|"]
    lines += [f"| {a} | {b} |".replace("\n", " ") for a, b in rows]
    return [f"## {title}", "\n".join(lines)]


def nodes() -> list[str]:
    return sorted(json.loads((ROOT / "locales/en/nodeDefs.json").read_text("utf-8")))


def main() -> None:
    for node in nodes():
        (DOCS / node).mkdir(exist_ok=True)
        for language in LANGUAGES:
            (DOCS / node / f"{language}.md").write_text(page(language, node), "utf-8")


if __name__ == "__main__":
    main()
