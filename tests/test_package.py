"""What is released: its size, its words about itself, and that nothing in it was replaced."""

import ast
import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from test_comfyignore import shipped

from gid_core.files import weights

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = None

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 25
BINARY = {".exe", ".dll", ".so", ".dylib", ".pyc", ".whl", ".pt", ".pth", ".ckpt", ".bin", ".zip"}
HOSTS = ("hugging" + "face.co", "registry." + "comfy.org", "pypi" + ".org", "civi" + "tai.com")
# Files for publishing, and templates, which say where their models come from.
MAY_NAME_HOSTS = (
    ".github/",
    "workflows/",
    "subgraphs/",
    "pyproject.toml",
    "tests/host/",
    "tests/workflows/",
)
SIDES = {"icon.png": (400, 400), "banner.jpg": (1260, 540)}


def project() -> dict:
    if tomllib is None:
        pytest.skip("tomllib came with Python 3.11.")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_what_users_get_is_small():
    size = sum((ROOT / path).stat().st_size for path in shipped())
    assert size < MOST_MB * 2**20, f"{size / 2**20:.1f} MB"


def test_nothing_that_is_shipped_is_a_program_or_a_pickle():
    assert not [path for path in shipped() if Path(path).suffix in BINARY]


def test_nothing_that_is_shipped_runs_text_or_installs():
    calls = {"eval", "exec", "compile", "os.system", "os.popen", "importlib.import_module"}
    for path in shipped():
        if path.endswith(".py"):
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
            assert not called & calls, path


def test_only_files_for_publishing_name_registries():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("This is no git checkout.")
    for path in listed.stdout.splitlines():
        if path.startswith(MAY_NAME_HOSTS) or not (ROOT / path).is_file():
            continue
        data = (ROOT / path).read_bytes()
        assert not [host for host in HOSTS if host.encode() in data], path


def test_the_weights_that_ship_are_pinned():
    lines = (weights.SHIPPED / weights.PINS).read_text(encoding="utf-8").split("\n")
    pinned = {line.split()[1]: line.split()[0] for line in lines if line}
    files = {path.name: path for path in weights.SHIPPED.glob("*.safetensors")}
    assert set(pinned) == set(files)
    for name, path in files.items():
        # After a training: (cd gid_core/pretrained && sha256sum *.safetensors > sha256.txt)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == pinned[name], name


def test_the_version_is_one_everywhere():
    version = project()["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest[1] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_registrys_fields_are_filled_and_the_publisher_is_named_in_one_way():
    fields = project()
    assert set(fields["project"]["urls"]) >= {"Repository", "Documentation", "Bug Tracker"}
    comfy = fields["tool"]["comfy"]
    links = [*fields["project"]["urls"].values(), comfy["Icon"], comfy["Banner"]]
    owners = {re.match(r"https://[\w.]+/([\w-]+/[\w-]+)", link)[1] for link in links}
    assert len(owners) == 1
    assert f"repository-code: https://github.com/{owners.pop()}" in (
        ROOT / "CITATION.cff"
    ).read_text("utf-8")
    assert comfy["requires-comfyui"] == ">=0.3.64"
    (page,) = fields["project"]["dependencies"]
    assert re.fullmatch(r"comfyui-frontend-package>=\d[\d.]*,<\d+", page)


@pytest.mark.parametrize("name", SIDES)
def test_icon_and_banner_are_there_at_the_sizes_that_are_asked_for(name):
    from PIL import Image

    path = ROOT / "docs/brand" / name
    with Image.open(path) as picture:
        assert picture.size == SIDES[name]
    assert path.stat().st_size < 2**20
    assert project()["tool"]["comfy"]["Icon"].endswith("docs/brand/icon.png")


def test_every_package_is_listed():
    folders = {f"gid_core.{p.parent.name}" for p in (ROOT / "gid_core").glob("*/__init__.py")}
    assert set(project()["tool"]["setuptools"]["packages"]) == folders | {"gid_core"}
