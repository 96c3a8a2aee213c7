"""Documents name files, functions, links and commands. What they name must exist."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "gid_core/pretrained").glob("*.md"),
    ]
)
BASES = ROOT, ROOT / "gid_core", ROOT / "docs"
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?<![\w/.])[\w./-]+\.py\b")
REFERENCE = re.compile(r"([\w/]+\.py)(?:: (\w+(?:\.\w+)?(?:, \w+(?:\.\w+)?)*))?")
IMPORT = re.compile(r"from (gid_core[\w.]*) import ([\w, ]+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")

document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT).with_suffix(""))
)


def found(name):
    """The file that a document means: from the root, from the core, or beside the documents."""
    return next((base / name for base in BASES if (base / name).exists()), None)


def defined(path):
    """Names that a file defines: at its top, and `Class.member`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            members = [m.name for m in node.body if isinstance(m, ast.FunctionDef)]
            members += [m.target.id for m in node.body if isinstance(m, ast.AnnAssign)]
            names |= {f"{node.name}.{member}" for member in members}
    return names


def broken_references(text):
    """What a text says of code that is not so."""
    for name in FILE.findall(text):
        if found(name) is None:
            yield f"no file {name}"
    for code in CODE.findall(text):
        if not FILE.match(code):
            continue
        reference = REFERENCE.fullmatch(code)
        if reference is None:
            yield f"expected `file.py: name, name`, got `{code}`"
        elif reference[2] and found(reference[1]):
            missing = set(reference[2].split(", ")) - defined(found(reference[1]))
            yield from (f"no {name} in {reference[1]}" for name in sorted(missing))
    for module, names in IMPORT.findall(text):
        file = (ROOT / module.replace(".", "/")).with_suffix(".py")
        missing = set(names.split(", ")) - (defined(file) if file.exists() else set())
        yield from (f"no {name} in {module}" for name in sorted(missing))


def anchors(path):
    """What a link into a document can point to, as GitHub makes it of headings."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@document
def test_what_a_document_says_of_the_code_is_there(path):
    assert not list(broken_references(path.read_text(encoding="utf-8")))


@document
def test_links_between_documents_lead_somewhere(path):
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    "text, why",
    [
        ("`motion/nowhere.py: play`", "no file"),
        ("`motion/playback.py: played`", "no played in"),
        ("`motion/playback.py: play; motion/loops.py: seam`", "expected"),
        ("`motion/displacement.py: Displacement.nothing`", "no Displacement.nothing"),
        ("from gid_core.motion.playback import play, nothing", "no nothing in"),
    ],
)
def test_a_reference_that_is_broken_is_found(text, why):
    assert any(why in found for found in broken_references(text))


def test_a_reference_that_holds_is_let_through():
    text = "`motion/playback.py: play, POSES`, `motion/displacement.py: Displacement.at`"
    assert not list(broken_references(text))


def tables_script():
    """benchmarks/tables.py, which is a script and no module of the package."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_of_the_benchmarks_has_its_command_and_says_where_it_was_measured():
    tables, text = tables_script(), (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert not re.search(r"^\|", tables.BLOCK.sub("", text), re.MULTILINE)
    blocks = tables.BLOCK.findall(text)
    assert len(blocks) == text.count("<!-- table") == text.count("<!-- end -->")
    for _, command, body in blocks:
        words = command.split()
        assert words[0] == "python" and (ROOT / words[1]).exists(), command
        assert re.match(r"Measured at `[0-9a-f]{7,40}`", body), command
        assert tables.tables_of(body), command


def test_only_tables_that_need_nothing_from_elsewhere_are_made_by_themselves():
    tables, text = tables_script(), (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    for by_hand, command, _ in tables.BLOCK.findall(text):
        assert by_hand or not tables.CAPITALS.search(command), command


BEFORE = (
    "A.\n<!-- table: python a.py -->\nold\n<!-- end -->\nB.\n"
    "<!-- table by hand: python b.py CLIPS -->\nkept\n<!-- end -->\nC.\n"
)


def test_a_new_table_replaces_the_old_one_and_nothing_else():
    tables = tables_script()
    after = tables.rewritten(BEFORE, lambda hand, _: not hand, lambda command: f"new {command}")
    assert after == BEFORE.replace("old", "new python a.py")
    assert tables.rewritten(after, lambda *_: False, str) == after


def test_tables_are_what_is_kept_of_what_a_command_prints():
    tables = tables_script()
    printed = "made 3\n| a | b |\n|---|---|\n| 1 | 2 |\nin all: 3\n| no | head |\n\n| c |\n|---|\n"
    assert tables.tables_of(printed) == "| a | b |\n|---|---|\n| 1 | 2 |\n\n| c |\n|---|"


HEADING = re.compile(r"^(#+) (.*)$", re.M)


@document
def test_no_heading_stands_twice_under_the_same_one(path):
    under, seen = {}, set()
    code = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
    for marks, words in HEADING.findall(code.sub("", path.read_text(encoding="utf-8"))):
        level = len(marks)
        under = {n: w for n, w in under.items() if n < level} | {level: words}
        place = tuple(under.values())
        assert place not in seen, f"{' / '.join(place)} stands twice"
        seen.add(place)
