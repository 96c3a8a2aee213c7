import torch

from gid_core.motion.displacement import Displacement, displacement, peaks
from gid_core.motion.spectrum import SpectralVolume

FPS, FRAMES = 8.0, 32  # harmonics of 1/4 Hz: exact in float32


def volume(rng, bands=3, dtype=torch.complex128, batch=2, grid=(5, 7), **fields):
    coeffs = torch.randn(batch, bands, 2, *grid, generator=rng, dtype=dtype)
    frequencies = torch.arange(1, bands + 1) * (FPS / FRAMES)
    return SpectralVolume(coeffs, frequencies, (20, 28), **fields)


def test_displacement_has_the_gradients_of_its_formula(rng):
    coeffs = volume(rng, bands=2, batch=1, grid=(2, 3)).coeffs.requires_grad_()
    coords = torch.randn(2, 4, generator=rng, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(displacement, (coeffs, coords))


def test_frames_in_parts_equal_all_frames_at_once(rng):
    coeffs = torch.randn(2, 3, 2, 5, 7, generator=rng, dtype=torch.complex64)
    coords = torch.randn(3, 75, generator=rng, dtype=torch.complex64)
    motion = Displacement(coeffs, coords, FPS, (20, 28))
    expected = displacement(coeffs, coords)
    assert motion.frames == 75 and motion.grid == (5, 7)
    for item in range(2):
        torch.testing.assert_close(torch.cat(list(motion.in_parts(item))), expected[item])
        torch.testing.assert_close(motion.at(item), expected[item])
        torch.testing.assert_close(motion.at(item, slice(40, 42)), expected[item, 40:42])
        largest = expected[item].square().sum(1).amax(0).sqrt()
        torch.testing.assert_close(peaks(motion, item), largest)
