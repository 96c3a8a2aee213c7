"""What the registry ships: what the nodes need; nothing that opens sockets or starts programs."""

import ast
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("__init__.py", "pyproject.toml", "LICENSE", "README.md", "requirements.txt")
NEEDED_FOLDERS = ("nodes", "gid_core", "web", "locales", "workflows", "subgraphs")
SUSPICIOUS = {"socket", "subprocess", "pickle", "http", "requests", "urllib", "ctypes"}


def shipped() -> list[str]:
    """Tracked files that no pattern leaves out, by the few kinds of patterns that are used."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("This is no git checkout.")
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return [path for path in listed.stdout.split("\n") if path and not left_out(path, patterns)]


def left_out(path, patterns):
    for pattern in patterns:
        name = pattern.strip("/")
        if not pattern.startswith("/"):
            if any(fnmatch(part, name) for part in path.split("/")):
                return True
        elif fnmatch(path, name) or path.startswith(name + "/") or fnmatch(path, name + "/*"):
            return True
    return False


def test_what_the_nodes_need_is_shipped():
    found = shipped()
    assert set(NEEDED) <= set(found)
    everything = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for path in everything.stdout.splitlines():
        if path.startswith(tuple(f"{folder}/" for folder in NEEDED_FOLDERS)):
            assert path in found, path


def test_tests_benchmarks_and_pictures_of_the_demo_stay_at_home():
    for path in shipped():
        assert not path.startswith(("tests/", "benchmarks/", "docs/demo/", ".ci/", ".git")), path


def test_nothing_that_is_shipped_opens_sockets_or_starts_programs():
    for path in shipped():
        if path.endswith(".py"):
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module]
                assert not {name.split(".")[0] for name in names} & SUSPICIOUS, path
