import math
from functools import cache

import pytest
import torch

from gid_core.diffusion.start import SIGMA, WIND, with_wind

HERTZ = 0.2, 1.0
GRID = 5, 31
DRAWS = 3000


@cache
def winds(hertz):
    """Winds of one frequency alone, n 4 h w, in units of latents."""
    silence, generator = torch.zeros(1, DRAWS, 4, *GRID), torch.Generator().manual_seed(3)
    return SIGMA * with_wind(silence, torch.full((DRAWS,), hertz), generator)[0]


@pytest.mark.parametrize("hertz", HERTZ)
def test_every_scalar_of_the_wind_has_unit_variance_and_no_mean(hertz):
    # 4 standard errors, as if all places of a draw were one
    variance, mean = winds(hertz).square().mean((0, 2, 3)), winds(hertz).mean((0, 2, 3))
    torch.testing.assert_close(variance, torch.ones(4), atol=4 * math.sqrt(2 / DRAWS), rtol=0)
    assert mean.abs().max() < 4 / math.sqrt(DRAWS)


@pytest.mark.parametrize("hertz", HERTZ)
@pytest.mark.parametrize("rows, columns", [(0, 3), (0, 12), (4, 0), (3, 4)])
def test_places_are_alike_by_how_far_they_are_apart(hertz, rows, columns):
    one = winds(hertz)[..., : GRID[0] - rows, : GRID[1] - columns]
    found = float((one * winds(hertz)[..., rows:, columns:]).mean())
    away = math.hypot(rows, columns) / GRID[1]
    expected = math.exp(-WIND.coherence_decay * hertz * away / WIND.speed)
    assert found == pytest.approx(expected, abs=4 / math.sqrt(4 * DRAWS))


@pytest.mark.parametrize("hertz", HERTZ)
def test_axes_and_parts_blow_apart(hertz):
    alike = torch.einsum("nchw, ndhw -> cd", winds(hertz), winds(hertz))
    alike = alike / (DRAWS * GRID[0] * GRID[1])
    torch.testing.assert_close(alike, torch.eye(4), atol=4 * math.sqrt(2 / DRAWS), rtol=0)


def test_noise_stays_beside_the_wind(rng):
    noise, hertz = torch.randn(1, 2, 4, *GRID, generator=rng), torch.tensor(HERTZ)
    wind = with_wind(torch.zeros_like(noise), hertz, torch.Generator().manual_seed(7))
    both = with_wind(noise, hertz, torch.Generator().manual_seed(7))
    torch.testing.assert_close(both, noise + wind)
