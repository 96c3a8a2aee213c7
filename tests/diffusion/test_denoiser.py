from dataclasses import replace

import pytest
import torch
from torch import nn

from gid_core.config import LAYOUTS, PRESETS
from gid_core.diffusion.denoiser import Denoiser, ImageEncoder, across_bands

TINY = replace(PRESETS["tiny"].denoiser, bands=3, attention_from=1)
HERTZ = torch.tensor([0.2, 0.8, 2.4])
torch.manual_seed(0)


def inputs(b=2, k=3, h=6, w=10):
    noisy = torch.randn(b, k, TINY.latent, h, w)
    return noisy, torch.randn(b), torch.randn(b, TINY.features, h, w), HERTZ[:k]


def randomized(denoiser, std=0.1):
    generator = torch.Generator().manual_seed(1)
    for parameter in denoiser.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return denoiser


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_untrained_denoiser_gives_zero(layout):
    denoiser = Denoiser(replace(TINY, layout=layout))
    assert not denoiser(*inputs()).any()


def test_without_attention_a_band_does_not_depend_on_other_bands():
    denoiser = randomized(Denoiser(replace(TINY, layout="independent")))
    noisy, *rest = inputs()
    other = noisy.clone()
    other[1, 2] += 1
    changed = (denoiser(other, *rest) - denoiser(noisy, *rest)).abs().amax((2, 3, 4))
    assert changed[1, 2] > 1e-3
    changed[1, 2] = 0
    assert changed.max() < 1e-5


@pytest.mark.parametrize("layout", ["coordinated", "volume"])
def test_with_attention_or_as_a_volume_every_band_depends_on_the_others(layout):
    denoiser = randomized(Denoiser(replace(TINY, layout=layout)))
    noisy, *rest = inputs()
    other = noisy.clone()
    other[1, 2] += 1
    changed = (denoiser(other, *rest) - denoiser(noisy, *rest)).abs().amax((2, 3, 4))
    assert (changed[1] > 1e-4).all() and not changed[0].any()


def test_the_denoiser_is_equivariant_under_permutation_of_the_bands():
    denoiser = randomized(Denoiser(TINY))
    noisy, noise, features, hertz = inputs()
    order = torch.tensor([2, 0, 1])
    moved = denoiser(noisy[:, order], noise, features, hertz[order])
    assert torch.allclose(moved, denoiser(noisy, noise, features, hertz)[:, order], atol=1e-4)


def test_stage_two_starts_with_the_results_of_stage_one():
    alone = randomized(Denoiser(replace(TINY, layout="independent")))
    together = Denoiser(TINY)
    missing, unexpected = together.load_state_dict(alone.state_dict(), strict=False)
    assert not unexpected and all("across" in name for name in missing)
    given = inputs()
    assert torch.allclose(together(*given), alone(*given), atol=1e-5)
    assert sum(p.numel() for p in across_bands(together)) == sum(
        p.numel() for n, p in together.named_parameters() if "across" in n
    )


def test_the_result_depends_on_noise_level_features_and_frequencies():
    denoiser = randomized(Denoiser(TINY))
    noisy, noise, features, hertz = inputs()
    result = denoiser(noisy, noise, features, hertz)
    for changed in (
        (noise + 0.5, features, hertz),
        (noise, -features, hertz),
        (noise, features, 1.3 * hertz),
    ):
        assert (denoiser(noisy, *changed) - result).abs().max() > 1e-3


def test_each_item_may_have_frequencies_of_its_own():
    denoiser = randomized(Denoiser(TINY))
    noisy, noise, features, hertz = inputs()
    both = torch.stack([hertz, hertz.flip(0)])
    mixed = denoiser(noisy, noise, features, both)
    assert torch.allclose(mixed[0], denoiser(noisy, noise, features, hertz)[0], atol=1e-5)
    assert torch.allclose(mixed[1], denoiser(noisy, noise, features, hertz.flip(0))[1], atol=1e-5)


def test_features_have_a_quarter_of_the_stills_sides():
    encoder = ImageEncoder(TINY)
    side = encoder.multiple
    features = encoder(torch.rand(2, 3, 2 * side, 3 * side))
    assert features.shape == (2, TINY.features, side // 2, 3 * side // 4)
    assert encoder.amplitudes(features).shape[1] == TINY.bands


def test_the_model_of_the_papers_size_can_be_built():
    with torch.device("meta"):
        denoiser, encoder = (kind(PRESETS["paper"].denoiser) for kind in (Denoiser, ImageEncoder))
    count = sum(p.numel() for part in (denoiser, encoder) for p in part.parameters())
    assert 1.5e8 < count < 6e8
