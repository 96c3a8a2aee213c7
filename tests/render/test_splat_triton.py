import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from gid_core.render.splat import splat_points

# More points and channels than one program handles, and no multiple of a block of either.
BATCH, CHANNELS, POINTS, SIZE = 2, 37, 153, (9, 14)
COMPILED = """
import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from gid_core.render.splat import splat_points
from gid_core.render.splat_triton import _scatter, _gather

try:
    splat_points(torch.ones(1, 2, 3), torch.ones(1, 2, 3), (4, 5), "triton")
except ValueError as error:
    print(error)
numbers = dict.fromkeys(("n", "c", "height", "width"), "i32")
blocks = {"points": 64, "channels": 32}
for kernel, arrays in (
    (_scatter, ("values", "positions", "target")),
    (_gather, ("grad", "values", "positions", "by_values", "by_positions")),
):
    signature = dict.fromkeys(arrays, "*fp32") | numbers | dict.fromkeys(blocks, "constexpr")
    for target in (("cuda", 75, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)):
        source = ASTSource(fn=kernel, signature=signature, constexprs=blocks)
        made = compile(source, target=GPUTarget(*target)).asm
        print(target[0], target[1], len(made["cubin" if target[0] == "cuda" else "hsaco"]) > 1000)
"""


ON_A_CARD = """
import torch
from gid_core.render.splat import splat_points

torch.manual_seed(0)
values = torch.randn(2, 37, 5000, device="cuda", requires_grad=True)
positions = (60 * torch.rand(2, 2, 5000, device="cuda")).requires_grad_()
results = []
for impl in ("native", "triton"):
    moved = splat_points(values, positions, (40, 61), impl)
    results.append((moved, *torch.autograd.grad(moved.square().sum(), (values, positions))))
for one, other in zip(*results):
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
print("same")
"""
pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def without_interpreter(program, folder):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )


def randn(rng, *shape):
    return torch.randn(*shape, generator=rng)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_many_points_and_channels_and_their_gradients_are_torchs(rng, dtype, tolerance):
    values = randn(rng, BATCH, CHANNELS, POINTS).to(dtype).requires_grad_()
    scale = torch.tensor([SIZE[1], SIZE[0]]).view(1, 2, 1)
    positions = 1.2 * scale * torch.rand(BATCH, 2, POINTS, generator=rng) - 1
    positions = positions.to(dtype).requires_grad_()
    weight = randn(rng, BATCH, CHANNELS, *SIZE).to(dtype)
    results = []
    for impl in ("native", "triton"):
        moved = splat_points(values, positions, SIZE, impl)
        results.append((moved, *torch.autograd.grad((moved * weight).sum(), (values, positions))))
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_values_may_be_constants(rng):
    values, by = randn(rng, 1, 3, 5), []
    positions = (2 * torch.rand(1, 2, 5, generator=rng)).requires_grad_()
    for impl in ("native", "triton"):
        moved = splat_points(values, positions, (3, 4), impl)
        by.append(torch.autograd.grad(moved.square().sum(), positions)[0])
    torch.testing.assert_close(*by, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What a process without Triton's interpreter prints: one start of torch for several tests."""
    return without_interpreter(COMPILED, tmp_path_factory.mktemp("triton"))


def test_kernels_compile_for_graphics_cards_that_are_not_here(compiled):
    targets = ["cuda 75 True", "cuda 90 True", "hip gfx942 True"]
    assert compiled.stdout.splitlines()[1:] == 2 * targets, compiled.stderr


def test_without_triton_it_is_refused(rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "gid_core.render.splat_triton", None)
    with pytest.raises(ValueError, match="Expected Triton to be installed"):
        splat_points(randn(rng, 1, 2, 3), randn(rng, 1, 2, 3), (4, 5), "triton")


def test_off_a_graphics_card_it_is_refused(compiled):
    assert compiled.stdout.startswith("Expected tensors on a graphics card"), compiled.stderr


def test_under_deterministic_algorithms_it_is_refused(rng):
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(ValueError, match='impl="index"'):
            splat_points(randn(rng, 1, 2, 3), randn(rng, 1, 2, 3), (4, 5), "triton")
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_graphics_card_it_gives_what_torch_gives(tmp_path):
    done = without_interpreter(ON_A_CARD, tmp_path)
    assert done.stdout == "same\n", done.stderr
