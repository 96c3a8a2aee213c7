from dataclasses import replace

import pytest
import torch

from gid_core.config import PRESETS, AutoencoderConfig
from gid_core.diffusion.autoencoder import MotionAutoencoder

TINY = PRESETS["tiny"].autoencoder
torch.manual_seed(0)


@pytest.mark.parametrize("config", [TINY, AutoencoderConfig(widths=(8, 12, 16), blocks=1)])
def test_the_sides_of_a_code_are_a_quarter(config):
    autoencoder = MotionAutoencoder(config)
    encoded = torch.randn(2, 3, 4, 20, 28)
    latent = autoencoder.to_latent(encoded)
    assert latent.shape == (2, 3, 4, 5, 7)
    assert autoencoder.from_latent(latent).shape == encoded.shape


def test_the_code_of_a_band_does_not_depend_on_other_bands():
    autoencoder = MotionAutoencoder(TINY)
    encoded = torch.randn(2, 3, 4, 20, 28)
    other = encoded.clone()
    other[1, 2] += 1
    changed = (autoencoder.to_latent(other) - autoencoder.to_latent(encoded)).abs().amax((2, 3, 4))
    assert changed[1, 2] > 1e-3
    changed[1, 2] = 0
    assert changed.max() < 1e-5


def test_decoding_undoes_whitening():
    autoencoder = MotionAutoencoder(TINY)
    encoded = torch.randn(1, 2, 4, 12, 16)
    plain = autoencoder.from_latent(autoencoder.to_latent(encoded))
    autoencoder.latent_mean.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
    autoencoder.latent_std.copy_(torch.tensor([0.5, 2.0, 1.0, 4.0]))
    whitened = autoencoder.from_latent(autoencoder.to_latent(encoded))
    assert torch.allclose(whitened, plain, atol=1e-5)


def test_a_patch_that_does_not_fit_the_widths_is_refused():
    with pytest.raises(ValueError, match="reduce sides by 4, got a patch of 1 and 2 widths"):
        MotionAutoencoder(replace(TINY, patch=1))
