import pytest
import torch

from gid_core.diffusion.encoding import (
    NORMALIZATIONS,
    Encoding,
    as_channels,
    as_complex,
    fit_encoding,
    of_unit_size,
    unit_size,
)

HERTZ = torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])


def motion(seed=0, b=2, k=5, h=7, w=11):
    generator = torch.Generator().manual_seed(seed)
    falloff = (1 / HERTZ[:k]).view(-1, 1, 1, 1)
    parts = torch.randn(2, b, k, 2, h, w, generator=generator)
    return falloff * torch.complex(parts[0], parts[1])


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_decoding_undoes_encoding(kind):
    coeffs = motion()
    encoding = fit_encoding(coeffs, HERTZ, kind)
    back = encoding.decode(encoding.encode(coeffs, HERTZ), HERTZ)
    assert torch.allclose(back, coeffs, atol=1e-5)


def test_channels_are_real_and_imaginary_parts_of_x_then_of_y():
    coeffs = motion()
    channels = as_channels(coeffs)
    assert torch.equal(channels[:, :, 0], coeffs[:, :, 0].real)
    assert torch.equal(channels[:, :, 1], coeffs[:, :, 0].imag)
    assert torch.equal(channels[:, :, 3], coeffs[:, :, 1].imag)
    assert torch.equal(as_complex(channels), coeffs)


def test_adaptive_is_the_papers_square_root():
    encoding = Encoding(torch.tensor([1.0]), torch.tensor([4.0]))
    scalars = torch.tensor([-16.0, 4.0, 0.0, 1.0]).view(1, 1, 4, 1, 1)
    expected = torch.tensor([-2.0, 1.0, 0.0, 0.5]).view(1, 1, 4, 1, 1)
    assert torch.allclose(encoding.squash(scalars, torch.tensor([1.0])), expected)


def test_every_normalized_band_has_the_same_percentile():
    many = motion(b=6, h=40, w=50)
    encoded = fit_encoding(many, HERTZ).encode(of_unit_size(many), HERTZ)
    level = encoded.abs().transpose(0, 1).flatten(1).quantile(0.95, dim=1)
    assert torch.allclose(level, torch.ones(5), atol=0.05)
    linear = fit_encoding(many, HERTZ, "std").encode(of_unit_size(many), HERTZ)
    level = linear.abs().transpose(0, 1).flatten(1).quantile(0.95, dim=1)
    assert level.max() > 4 * level.min()  # the reason for the paper's normalization


def test_the_scale_between_bands_is_a_power_law_and_constant_beyond_the_ends():
    encoding = Encoding(HERTZ, 3 * HERTZ**-1.5)
    between = torch.tensor([0.3, 0.55, 0.9])
    assert torch.allclose(encoding.scale_at(torch.tensor([0.4])), 3 * torch.tensor([0.4]) ** -1.5)
    power = 3 * between**-1.5
    assert torch.allclose(encoding.scale_at(between), power, rtol=1e-3)
    ends = encoding.scale_at(torch.tensor([0.01, 9.0]))
    assert torch.allclose(ends, encoding.scale[[0, -1]])


def test_unit_size_is_proportional_to_the_motion_and_ignores_static_points():
    coeffs = motion()
    assert torch.allclose(unit_size(3.5 * coeffs), 3.5 * unit_size(coeffs))
    assert torch.allclose(unit_size(of_unit_size(coeffs)), torch.ones(2), atol=1e-5)
    wider = torch.nn.functional.pad(torch.view_as_real(coeffs), (0, 0, 0, 30))
    assert torch.allclose(unit_size(torch.view_as_complex(wider)), unit_size(coeffs))
    assert not of_unit_size(torch.zeros_like(coeffs)).any()


def test_unknown_kinds_and_sets_without_motion_are_refused():
    with pytest.raises(ValueError, match="adaptive, linear"):
        Encoding(HERTZ, torch.ones(5), "cubic")
    with pytest.raises(ValueError, match="got none"):
        fit_encoding([], HERTZ)
    with pytest.raises(ValueError, match="stand still in 5 of 5"):
        fit_encoding(torch.zeros(1, 5, 2, 4, 6, dtype=torch.complex64), HERTZ)
