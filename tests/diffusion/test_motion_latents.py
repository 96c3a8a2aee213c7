import pytest
import torch

from gid_core.diffusion.motion_latents import REDUCTION, coverage, decode, encode


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def share(h=12, w=20, seed=1):
    field = torch.rand(1, 1, h, w, generator=torch.Generator().manual_seed(seed))
    field[..., :4, :8] = 0  # two squares in which nothing moves
    return field


def test_a_code_is_the_least_squares_fit_of_its_square():
    motion, part = drawn(3, 5, 12, 20), share()
    code = encode(motion, part)
    error = motion - part * code.repeat_interleave(REDUCTION, 2).repeat_interleave(REDUCTION, 3)
    # What is left is orthogonal to what a code can change, square by square.
    left = torch.nn.functional.avg_pool2d(error * part, REDUCTION)
    assert left[..., (coverage(part) > 0)[0, 0]].abs().max() < 1e-6


def test_motion_whose_code_is_one_value_comes_back_exactly_however_thin_it_is():
    part = share()
    part[..., 5, :] = 1  # a blade of one place
    part[..., 8:, :] = 0
    part[..., 8:, 3] = 1
    value = drawn(2, 4, 1, 1)
    motion = part * value
    torch.testing.assert_close(decode(encode(motion, part), part), motion, atol=2e-4, rtol=1e-3)


def test_nothing_moves_where_the_share_is_zero():
    part = share()
    part[..., 10:] = 0
    moved = decode(drawn(2, 3, 3, 5), part)
    assert not moved[(part == 0).expand_as(moved)].any() and moved.isfinite().all()


def test_smooth_motion_keeps_its_energy():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(80.0), indexing="ij")
    motion = torch.stack([(x / 14).sin() * (y / 17).cos(), (x / 19 + y / 23).cos()])[None]
    part = (torch.hypot(x - 40, y - 24) < 20).float()[None, None]
    back = decode(encode(motion * part, part), part)
    assert float((back - motion * part).square().sum() / (motion * part).square().sum()) < 0.03


@pytest.mark.parametrize("gain", [0.3, 2.0])
def test_codes_and_motion_are_linear(gain):
    motion, part = drawn(2, 3, 12, 20), share()
    torch.testing.assert_close(encode(gain * motion, part), gain * encode(motion, part))
    code = drawn(2, 3, 3, 5)
    torch.testing.assert_close(decode(gain * code, part), gain * decode(code, part))
