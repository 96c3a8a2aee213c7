"""Help pages: in every language, up to date with the texts of the nodes, in tables that fit."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import help_pages  # noqa: E402

PAGES = sorted((ROOT / "web/docs").rglob("*.md"))


@pytest.mark.parametrize("language", help_pages.LANGUAGES)
def test_translated_pages_are_those_of_the_texts(language):
    for node in help_pages.nodes():
        path = help_pages.DOCS / node / f"{language}.md"
        assert path.read_text("utf-8") == help_pages.page(language, node), (
            f"{path.name} of {node} is old: run python benchmarks/help_pages.py."
        )


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT / "web/docs").as_posix())
def test_tables_have_two_columns_and_pictures_exist(path):
    text = path.read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3, line
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (help_pages.DOCS / name).is_file(), name


def test_every_node_has_a_page_and_every_page_a_node():
    written = {path.stem for path in help_pages.DOCS.glob("*.md")}
    assert written == set(help_pages.nodes())
