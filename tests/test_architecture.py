import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted((ROOT / "gid_core").rglob("*.py"))
NODES = sorted((ROOT / "nodes").glob("*.py"))
OURS = [p for d in ("gid_core", "nodes", "tests", "benchmarks") for p in (ROOT / d).rglob("*.py")]
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "nodes", "server"}
LAYERS = [
    {"shapes"},
    {"config", "grid", "gestures", "splat_triton"},
    {"dynamics", "splat", "matte", "modes", "flow", "camera", "shots", "clips", "textures"},
    {"layers", "diffusion", "encoding", "guidance"},
    {"spectrum", "stage", "autoencoder", "denoiser"},
    {"points", "plants"},
    {"hangings"},
    {"synthetic"},
    {"loop", "elastic", "separation", "checkpoint", "viz", "transfer", "poke"},
    {"video", "metrics", "weights", "render_model"},
    {"motion_model", "renderer"},
    {"fidelity", "workers", "comparison"},
    {"pipeline", "extraction", "packing"},
    {"evaluation", "shards", "page"},
    {"report", "training.looks", "training.perception"},
    {"training.data"},
    {"training.objectives"},
    {"training.frames"},
    {"training.loop", "training.pictures"},
    {"training.runs"},
    {"options"},
    {"__main__"},
]
RUN_TIME = {"torch", "numpy", "scipy", "einops", "safetensors", "av", "PIL", "tqdm", "jaxtyping"}
RUN_TIME |= {"cv2"}  # the [data] extra: flow.py names what to install without it
# The extras of pyproject.toml: imported inside the one function that needs them, which says what to
# install where they are missing. FID and KID; FVD; clusters; training. And kernels for graphics cards, which
# torch brings along for those.
OPTIONAL = {"torch_fidelity", "cdfvd", "ray", "accelerate", "triton"}
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "print", "torch.load", "torch.manual_seed", "os.system"
}  # fmt: skip

core = pytest.mark.parametrize("path", CORE, ids=lambda path: module_of(path))


def module_of(path):
    """A file's name in the core, dotted: training.loop."""
    return ".".join(path.relative_to(ROOT / "gid_core").with_suffix("").parts)


def nodes_of(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def imports(path):
    """(how many dots, module, names) of every import of a file, those in functions too."""
    for node in nodes_of(path, ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        else:
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)


def siblings(path):
    """The modules of gid_core that a file of gid_core imports."""
    here = module_of(path).split(".")
    for level, module, names in imports(path):
        if level:
            start = here[: len(here) - level] + ([module] if module else [])
            whole = start and ".".join(start) != "training"
            yield from ([".".join(start)] if whole else [".".join([*start, n]) for n in names])


def called(path):
    """Names of what is called, dotted where they are attributes of a name.

    Reading weights of others as tensors and nothing else is no unpickling: it has no name here.
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


def test_every_module_has_its_layer_and_its_test():
    names = {module_of(path) for path in CORE} - {"__init__", "training.__init__"}
    assert names == set.union(*LAYERS)
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    plain = {name.replace(".", "_") for name in names - {"shapes", "config", "options", "__main__"}}
    assert plain <= tested and "command_line" in tested


@core
def test_imports_point_down_the_layers(path):
    order = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    for other in siblings(path):
        assert order[other] < order[module_of(path)], f"{module_of(path)} imports {other}"


@core
def test_nothing_is_needed_that_the_host_does_not_bring(path):
    for level, module, _ in imports(path):
        name = module.split(".")[0]
        assert level or name in RUN_TIME | OPTIONAL or name in sys.stdlib_module_names, name


@core
def test_importing_the_core_needs_neither_video_nor_plots(path):
    # What is heavy or seldom needed is imported where it is used. Kernels are a file of their own.
    heavy = {"av", "PIL", "scipy", "tqdm"} | OPTIONAL
    heavy -= {"triton"} if module_of(path) == "splat_triton" else set()
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
    # A future import would turn them into text, which nobody checks.
    assert "annotations" not in [n for _, m, names in imports(path) if m == "__future__" for n in names]  # fmt: skip


@core
def test_public_functions_with_tensors_say_their_shapes(path):
    for node in nodes_of(path, ast.FunctionDef):
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None:
                assert ast.unparse(argument.annotation) not in ("Tensor", "torch.Tensor") or (
                    argument.arg == "like"
                ), f"{node.name}({argument.arg})"


def test_no_file_is_longer_than_400_lines():
    long = {str(p): n for p in OURS if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_no_file_is_a_drawer_for_everything():
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
    assert "dependencies = []" in (ROOT / "pyproject.toml").read_text()
