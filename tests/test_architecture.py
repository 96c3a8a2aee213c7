import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "gid_core").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
NODES = sorted((ROOT / "nodes").glob("*.py"))
OURS = [p for d in ("gid_core", "nodes", "tests", "benchmarks") for p in (ROOT / d).rglob("*.py")]
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "nodes", "server"}
LAYERS = [  # wings, and the files at the root; each imports only from those above it
    {"shapes", "config"},
    {"still"},
    {"motion"},
    {"elastic", "advection", "scenes", "footage", "files"},
    {"recognition"},
    {"diffusion", "evaluation"},
    {"render"},
    {"poke", "exchange", "training", "pipeline"},
    {"options"},
    {"__main__"},
]
WINGS = sorted(path.parent.name for path in (ROOT / "gid_core").glob("*/__init__.py"))
MAX_INIT_LINES = 10  # in which a wing says what comes in, what goes out, and which law holds
RUN_TIME = {"torch", "numpy", "scipy", "einops", "safetensors", "av", "PIL", "tqdm", "jaxtyping"}
RUN_TIME |= {"cv2"}  # the [data] extra: flow.py names what to install without it
# The extras of pyproject.toml: imported inside the one function that needs them, which says what to
# install where they are missing. In order: FID and KID, FVD, clusters, training, and kernels for
# graphics cards, which torch installs there.
OPTIONAL = {"torch_fidelity", "cdfvd", "ray", "accelerate", "triton"}
FORBIDDEN = {"eval", "exec", "compile", "__import__", "print", "os.system"}
FORBIDDEN |= {"torch.load", "torch.manual_seed"}

core = pytest.mark.parametrize("path", CORE, ids=lambda path: module_of(path))


def module_of(path):
    """A file's name in the core, dotted: training.loop."""
    return ".".join(path.relative_to(ROOT / "gid_core").with_suffix("").parts)


def nodes_of(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def imports(path):
    """(number of dots, module, names) of every import of a file, also inside functions."""
    for node in nodes_of(path, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        else:
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)


def siblings(path):
    """The modules of gid_core that a file of gid_core imports, dotted."""
    here = module_of(path).split(".")
    for level, module, names in imports(path):
        if level:
            start = here[: len(here) - level] + (module.split(".") if module else [])
            whole = start and (ROOT / "gid_core").joinpath(*start).with_suffix(".py").exists()
            yield from ([".".join(start)] if whole else [".".join([*start, n]) for n in names])


def called(path):
    """Names of all functions that are called, dotted for attributes.

    Calls with `weights_only=True` are left out: they read tensors and unpickle nothing else.
    """
    for node in nodes_of(path, ast.Call):
        if "weights_only=True" not in [ast.unparse(keyword) for keyword in node.keywords]:
            yield ast.unparse(node.func)


@core
def test_the_core_never_imports_the_host(path):
    for level, module, _ in imports(path):
        assert level or module.split(".")[0] not in HOST


@core
def test_inside_the_core_imports_are_relative(path):
    # ComfyUI loads a pack under a name made of its path: `import gid_core` would load it twice.
    for level, module, _ in imports(path):
        inside = len(path.relative_to(ROOT / "gid_core").parts)
        assert level <= inside and (level or module.split(".")[0] != "gid_core")


def wing_of(module):
    """The wing that a module belongs to, or its own name at the root."""
    return module.split(".")[0]


def test_every_wing_has_its_layer_and_every_file_its_test():
    names = {module_of(path) for path in CORE} - {"__init__"}
    assert {wing_of(name) for name in names} == set.union(*LAYERS)
    files = {name for name in names if "." in name and not name.endswith(".__init__")}
    # Where two wings have files of one name, the test's name begins with the wing's.
    short = lambda path: path.stem.removeprefix("test_").removeprefix(f"{path.parent.name}_")
    tested = {f"{path.parent.name}.{short(path)}" for path in TESTS}
    assert files <= tested, sorted(files - tested)


@core
def test_imports_run_one_way_through_the_layers(path):
    order = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    here = wing_of(module_of(path))
    for other in map(wing_of, siblings(path)):
        assert other == here or order[other] < order[here], f"{module_of(path)} imports {other}"


@pytest.mark.parametrize("wing", WINGS)
def test_files_of_a_wing_import_each_other_without_a_circle(wing):
    inside = {module_of(path): path for path in CORE if path.parent.name == wing}
    left = {name: {s for s in siblings(path) if s in inside} for name, path in inside.items()}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"These import each other in a circle: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_has_a_short_docstring(wing):
    path = ROOT / "gid_core" / wing / "__init__.py"
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert len(path.read_text().splitlines()) <= MAX_INIT_LINES


@core
def test_nothing_is_needed_that_the_host_does_not_bring(path):
    for level, module, _ in imports(path):
        name = module.split(".")[0]
        assert level or name in RUN_TIME | OPTIONAL or name in sys.stdlib_module_names, name


@core
def test_importing_the_core_needs_neither_video_nor_plots(path):
    # What is heavy or rarely needed is imported where it is used. Triton has a file of its own.
    heavy = {"av", "PIL", "scipy", "tqdm"} | OPTIONAL
    heavy -= {"triton"} if module_of(path) == "render.splat_triton" else set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            first = {name.split(".")[0] for name in [*names, getattr(node, "module", None) or ""]}
            assert not first & heavy


@pytest.mark.parametrize("path", [*CORE, *NODES], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_nothing_is_unpickled_run_printed_or_seeded_globally(path):
    modules = {module.split(".")[0] for _, module, _ in imports(path)}
    assert not modules & {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "subprocess"}
    assert not FORBIDDEN & set(called(path))
    assert not [n for n in nodes_of(path, ast.ExceptHandler) if n.type is None]


@core
def test_shape_annotations_are_evaluated(path):
    # A future import would turn annotations into text, which is not checked.
    future = [
        name for _, module, names in imports(path) if module == "__future__" for name in names
    ]
    assert "annotations" not in future


@core
def test_public_functions_with_tensors_say_their_shapes(path):
    for node in nodes_of(path, ast.FunctionDef):
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None:
                assert ast.unparse(argument.annotation) not in ("Tensor", "torch.Tensor") or (
                    argument.arg == "like"
                ), f"{node.name}({argument.arg})"


def test_no_file_or_folder_has_a_name_for_everything():
    names = {path.stem for path in OURS} | {path.parent.name for path in OURS}
    assert not names & {"utils", "util", "common", "helpers", "misc"}


def test_nodes_reach_the_core_by_relative_imports():
    for path in NODES:
        for level, module, _ in imports(path):
            assert level or module.split(".")[0] not in ("gid_core", "nodes")


def test_the_pack_offers_one_lazy_entrypoint():
    source = ast.parse((ROOT / "__init__.py").read_text())
    assert not [n for n in source.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [n.name for n in source.body if isinstance(n, ast.AsyncFunctionDef)] == [
        "comfy_entrypoint"
    ]
    assert "NODE_CLASS_MAPPINGS" not in (ROOT / "__init__.py").read_text()


def test_the_pack_adds_no_requirement_to_the_hosts():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line.strip())
    project = (ROOT / "pyproject.toml").read_text()
    (needed,) = re.findall(r"^dependencies = (\[.*\])$", project, re.MULTILINE)
    # The host's own page, whose range of versions the registry reads here.
    assert [re.match(r"[\w-]+", n)[0] for n in ast.literal_eval(needed)] == [
        "comfyui-frontend-package"
    ]
