import math
from functools import partial
from importlib.util import find_spec

import oracles
import pytest
import torch
from hypothesis import given, strategies as st

from gid_core.render.splat import BAND, softmax_splat, splat, splat_points, weighted_splat
from gid_core.still.grid import backward_warp

IMPLS = ("native", "index", "triton") if find_spec("triton") else ("native", "index")
impls = pytest.mark.parametrize("impl", IMPLS)


def randn(rng, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=rng, dtype=dtype)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 7)),
    reach=st.sampled_from([0.3, 2.0, 12.0]),
    seed=st.integers(0, 2**32),
    impl=st.sampled_from(IMPLS),
)
def test_splat_is_the_adjoint_of_backward_warp(shape, reach, seed, impl):
    rng = torch.Generator().manual_seed(seed)
    b, c, h, w = shape
    x, y = randn(rng, b, c, h, w), randn(rng, b, c, h, w)
    displacement = reach * randn(rng, b, 2, h, w)
    left = (splat(x, displacement, impl) * y).sum()
    right = (x * backward_warp(y, displacement)).sum()
    torch.testing.assert_close(left, right, rtol=1e-11, atol=1e-11)


@given(seed=st.integers(0, 2**32), reach=st.sampled_from([0.0, 0.4, 3.0, 50.0]))
def test_the_implementations_agree(seed, reach):
    rng = torch.Generator().manual_seed(seed)
    values, displacement = randn(rng, 2, 4, 5, 7), reach * randn(rng, 2, 2, 5, 7)
    native, *others = (splat(values, displacement, impl) for impl in IMPLS)
    for other in others:
        torch.testing.assert_close(native, other, rtol=0, atol=1e-12)


@impls
def test_sum_equals_the_quadruple_loop(rng, impl):
    values, displacement = randn(rng, 2, 4, 5, 7), 2 * randn(rng, 2, 2, 5, 7)
    expected = oracles.splat(values, displacement)
    torch.testing.assert_close(splat(values, displacement, impl), expected, rtol=0, atol=1e-13)


@impls
@pytest.mark.parametrize("form", ["average", "linear"])
def test_averages_equal_the_quadruple_loop(rng, impl, form):
    values, displacement = randn(rng, 2, 4, 5, 7), 1.5 * randn(rng, 2, 2, 5, 7)
    weight = randn(rng, 2, 1, 5, 7).abs() if form == "linear" else torch.ones(2, 1, 5, 7).double()
    average, received = weighted_splat(values, displacement, weight, impl)
    expected, total = oracles.weighted_splat(values, displacement, weight)
    # A pixel that receives almost nothing may count as a hole.
    covered = oracles.splat(torch.ones_like(weight), displacement) > 1e-2
    torch.testing.assert_close(received[covered], total[covered], rtol=0, atol=1e-12)
    covered = covered.expand_as(average)
    torch.testing.assert_close(average[covered], expected[covered], rtol=0, atol=1e-11)


@impls
@pytest.mark.parametrize("scale", [1, 0.4 * BAND, 3 * BAND])  # of logits: one band, two, many
def test_softmax_splatting_equals_every_target_by_itself(rng, impl, scale):
    values, displacement = randn(rng, 2, 4, 5, 7), 1.5 * randn(rng, 2, 2, 5, 7)
    importance = scale * randn(rng, 2, 1, 5, 7)
    average, coverage = softmax_splat(values, displacement, importance, impl)
    landed = oracles.splat(torch.ones_like(importance), displacement)
    # What lands with less than MIN_COVERAGE counts as nothing.
    certain = oracles.splat(torch.ones_like(importance), displacement) > 1e-2
    torch.testing.assert_close(coverage[certain], landed[certain], rtol=0, atol=1e-12)
    certain = certain.expand_as(average)
    expected = oracles.softmax_splat(values, displacement, importance)
    torch.testing.assert_close(average[certain], expected[certain], rtol=0, atol=1e-9)


@impls
@pytest.mark.parametrize("elsewhere", [0.0, 40.0, 4000.0, -4000.0])
def test_what_is_elsewhere_does_not_change_what_is_in_front(impl, elsewhere):
    # 10 lands on 2, of values 1 and 0: softmax([10, 2]) is .99966.
    values = torch.tensor([1.0, 0.0, 0.5, 0.5, 0.5]).view(1, 1, 1, 5)
    displacement = torch.zeros(1, 2, 1, 5)
    displacement[0, 0, 0, 0] = 1.0
    importance = torch.tensor([10.0, 2.0, 0.0, 0.0, elsewhere]).view(1, 1, 1, 5)
    average, _ = softmax_splat(values, displacement, importance, impl)
    assert average[..., 1].item() == pytest.approx(1 / (1 + math.exp(-8)), abs=1e-6)


@impls
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_no_displacement_changes_nothing(rng, impl, dtype, tolerance):
    values = randn(rng, 2, 4, 5, 7, dtype=dtype)
    still, importance = values.new_zeros(2, 2, 5, 7), randn(rng, 2, 1, 5, 7, dtype=dtype)
    torch.testing.assert_close(splat(values, still, impl), values, rtol=0, atol=tolerance)
    average, _ = softmax_splat(values, still, importance, impl)
    # Rounded positions add a share of a neighbour, whose weight is up to e^5 times as large here.
    torch.testing.assert_close(average, values, rtol=0, atol=150 * tolerance)


@impls
@pytest.mark.parametrize("dx, dy", [(2, 0), (0, -1), (-3, 2), (9, 0)])
def test_whole_pixels_are_an_exact_shift_and_what_leaves_is_dropped(rng, impl, dx, dy):
    values = randn(rng, 2, 4, 5, 7)
    displacement = torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(2, 2, 5, 7)
    expected = torch.zeros_like(values)
    for y in range(5):
        for x in range(7):
            if 0 <= y + dy < 5 and 0 <= x + dx < 7:
                expected[..., y + dy, x + dx] = values[..., y, x]
    moved = splat(values, displacement, impl)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-14)


@impls
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_disocclusions_of_a_whole_pixel_shift_are_holes(rng, impl, dtype):
    values = randn(rng, 2, 4, 9, 61, dtype=dtype)
    displacement = values.new_tensor([3, 1]).view(1, 2, 1, 1).expand(2, 2, 9, 61)
    average, weight = softmax_splat(values, displacement, values.new_zeros(2, 1, 9, 61), impl)
    hole = torch.ones(9, 61, dtype=torch.bool)
    hole[1:, 3:] = False
    assert (average[..., hole] == 0).all()
    assert weight[..., hole].max() <= 1e-5  # rounded positions leave a little
    assert (weight[..., ~hole] - 1).abs().max() <= 1e-4


@impls
def test_the_weight_is_zero_exactly_where_nothing_lands(rng, impl):
    values, importance = randn(rng, 2, 4, 5, 7), randn(rng, 2, 1, 5, 7)
    displacement = torch.tensor([2.5, -1.25], dtype=torch.float64).view(1, 2, 1, 1)
    average, weight = softmax_splat(values, displacement.expand(2, 2, 5, 7), importance, impl)
    reached = torch.zeros(5, 7, dtype=torch.bool)
    reached[:4, 2:] = True  # rows y - 2 and y - 1, columns x + 2 and x + 3
    assert (weight[..., ~reached] == 0).all() and (average[..., ~reached] == 0).all()
    assert (weight[..., reached] > 0).all()


@impls
def test_a_constant_added_to_the_importance_changes_nothing(rng, impl):
    values, displacement = randn(rng, 2, 4, 5, 7), randn(rng, 2, 2, 5, 7)
    importance = randn(rng, 2, 1, 5, 7)
    once, coverage = softmax_splat(values, displacement, importance, impl)
    again, same = softmax_splat(values, displacement, importance + 37.5, impl)
    torch.testing.assert_close(again, once, rtol=0, atol=1e-12)
    torch.testing.assert_close(same, coverage, rtol=0, atol=1e-12)


@impls
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_unimportant_pixel_that_lands_alone_is_no_hole(rng, impl, dtype):
    values = randn(rng, 1, 3, 5, 7, dtype=dtype)
    importance = values.new_zeros(1, 1, 5, 7)
    importance[..., 2, 3] = -200
    displacement = values.new_zeros(1, 2, 5, 7)
    displacement[..., 0, 2, 3] = 0.5  # lands between its own pixel and the next
    average, coverage = softmax_splat(values, displacement, importance, impl)
    assert coverage[0, 0, 2, 3].item() == pytest.approx(0.5, abs=1e-5)
    torch.testing.assert_close(average[..., 2, 3], values[..., 2, 3], rtol=1e-4, atol=1e-5)


@impls
def test_the_more_important_of_two_occludes(impl):
    values = torch.tensor([[[[1.0, 0.0, 5.0]]]], dtype=torch.float64)
    displacement = torch.zeros(1, 2, 1, 3, dtype=torch.float64)
    displacement[0, 0, 0] = torch.tensor([1.0, 0.0, -1.0])  # all three meet in the middle
    importance = torch.tensor([[[[0.0, 0.0, 30.0]]]], dtype=torch.float64)
    average, _ = softmax_splat(values, displacement, importance, impl)
    assert average[0, 0, 0, 1].item() == pytest.approx(5, abs=1e-7)


@impls
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_points_that_are_not_finite_are_skipped(rng, impl, bad):
    values, displacement = randn(rng, 2, 4, 5, 7), randn(rng, 2, 2, 5, 7)
    expected_values = values.clone()
    expected_values[1, :, 3, 2] = 0
    expected = splat(expected_values, displacement, impl)
    displacement[1, 0, 3, 2] = bad
    assert torch.equal(splat(values, displacement, impl), expected)


@impls
def test_points_drop_into_a_target_of_any_size(rng, impl):
    values, positions = randn(rng, 2, 4, 11), 4 * randn(rng, 2, 2, 11)
    moved = splat_points(values, positions, (3, 6), impl)
    expected = torch.zeros(2, 4, 3, 6, dtype=torch.float64)
    for b in range(2):
        for n in range(11):
            px, py = positions[b, :, n].tolist()
            for v in range(3):
                for u in range(6):
                    expected[b, :, v, u] += oracles.bilinear(u - px, v - py) * values[b, :, n]
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-13)


@impls
def test_items_of_a_batch_do_not_touch(rng, impl):
    values, displacement = randn(rng, 3, 4, 5, 7), 2 * randn(rng, 3, 2, 5, 7)
    importance = 9 * randn(rng, 3, 1, 5, 7)
    together = softmax_splat(values, displacement, importance, impl)[0]
    for b in range(3):
        one = slice(b, b + 1)
        alone = softmax_splat(values[one], displacement[one], importance[one], impl)[0]
        assert torch.equal(together[one], alone)


@impls
def test_gradients(rng, impl):
    values = randn(rng, 2, 2, 3, 4).requires_grad_()
    # Off the integer lattice, where the bilinear kernel has its kinks.
    whole = torch.randint(-2, 3, (2, 2, 3, 4), generator=rng)
    off = 0.2 + 0.6 * torch.rand(2, 2, 3, 4, generator=rng, dtype=torch.float64)
    displacement = (whole + off).requires_grad_()
    importance = randn(rng, 2, 1, 3, 4).requires_grad_()
    # Interpreted kernels take 20 ms a call: a random projection of their Jacobian is checked here,
    # and every element of their gradients against torch's in test_splat_triton.py.
    check = partial(torch.autograd.gradcheck, fast_mode=impl == "triton")
    assert check(lambda v, d: splat(v, d, impl), (values, displacement))
    assert check(lambda v, d: splat(v, d, impl), (values, displacement.detach()))
    # The scale of the weights cancels in the average, and in its gradient.
    average = lambda v, d, z: softmax_splat(v, d, z, impl)[0]
    assert check(average, (values, displacement, importance))
