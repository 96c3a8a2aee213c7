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
    falls = (1 / HERTZ[:k]).view(-1, 1, 1, 1)
    parts = torch.randn(2, b, k, 2, h, w, generator=generator)
    return falls * torch.complex(parts[0], parts[1])


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
    wanted = torch.tensor([-2.0, 1.0, 0.0, 0.5]).view(1, 1, 4, 1, 1)
    assert torch.allclose(encoding.squash(scalars, torch.tensor([1.0])), wanted)


def test_every_band_reaches_as_far():
    many = motion(b=6, h=40, w=50)
    encoded = fit_encoding(many, HERTZ).encode(of_unit_size(many), HERTZ)
    far = encoded.abs().transpose(0, 1).flatten(1).quantile(0.95, dim=1)
    assert torch.allclose(far, torch.ones(5), atol=0.05)
    linear = fit_encoding(many, HERTZ, "std").encode(of_unit_size(many), HERTZ)
    far = linear.abs().transpose(0, 1).flatten(1).quantile(0.95, dim=1)
    assert far.max() > 4 * far.min()  # what the paper's normalization is for


def test_scale_between_bands_follows_a_power_law_and_stops_at_the_ends():
    encoding = Encoding(HERTZ, 3 * HERTZ**-1.5)
    between = torch.tensor([0.3, 0.55, 0.9])
    assert torch.allclose(encoding.scale_at(torch.tensor([0.4])), 3 * torch.tensor([0.4]) ** -1.5)
    power = 3 * between**-1.5
    assert torch.allclose(encoding.scale_at(between), power, rtol=1e-3)
    ends = encoding.scale_at(torch.tensor([0.01, 9.0]))
    assert torch.allclose(ends, encoding.scale[[0, -1]])


def test_unit_size_scales_with_the_motion_and_ignores_what_stands_still():
    coeffs = motion()
    assert torch.allclose(unit_size(3.5 * coeffs), 3.5 * unit_size(coeffs))
    assert torch.allclose(unit_size(of_unit_size(coeffs)), torch.ones(2), atol=1e-5)
    wider = torch.nn.functional.pad(torch.view_as_real(coeffs), (0, 0, 0, 30))
    assert torch.allclose(unit_size(torch.view_as_complex(wider)), unit_size(coeffs))
    assert not of_unit_size(torch.zeros_like(coeffs)).any()


def test_what_it_refuses():
    with pytest.raises(ValueError, match="adaptive, linear"):
        Encoding(HERTZ, torch.ones(5), "cubic")
    with pytest.raises(ValueError, match="got none"):
        fit_encoding([], HERTZ)
    with pytest.raises(ValueError, match="stand still in 5 of 5"):
        fit_encoding(torch.zeros(1, 5, 2, 4, 6, dtype=torch.complex64), HERTZ)
