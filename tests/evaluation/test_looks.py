from itertools import pairwise
from pathlib import Path

import oracles
import pytest
import torch

from gid_core.evaluation.looks import (
    MOST_FRAMES,
    load_looks,
    look_distance,
    look_features,
    look_network,
    spaced,
)
from gid_core.files.stills import read_still

STILL = Path(__file__).resolve().parents[2] / "docs" / "demo" / "still.png"


@pytest.fixture(scope="module")
def looks():
    return load_looks()


@pytest.fixture(scope="module")
def photograph():
    still = read_still(STILL)[None, :3]
    return torch.nn.functional.interpolate(still, (96, 128), mode="area")


def test_a_picture_looks_like_itself_and_the_order_does_not_matter(looks, photograph, rng):
    noisy = (photograph + 0.1 * torch.randn(photograph.shape, generator=rng)).clamp(0, 1)
    assert look_distance(looks, photograph, photograph).item() == 0
    there, back = (
        look_distance(looks, *pair).item() for pair in ((photograph, noisy), (noisy, photograph))
    )
    assert there == pytest.approx(back, rel=1e-6) and 0 < there < 4


def test_what_is_spoilt_more_looks_more_different(looks, photograph, rng):
    noise = torch.randn(photograph.shape, generator=rng)
    blurred = [oracles.box(photograph, radius) for radius in (1, 3, 6)]
    noisy = [(photograph + s * noise).clamp(0, 1) for s in (0.02, 0.06, 0.2)]
    for spoilt in (blurred, noisy):
        far = [look_distance(looks, photograph, other).item() for other in spoilt]
        assert all(a < b for a, b in pairwise(far))


def test_every_frame_is_compared_with_its_own(looks, photograph):
    frames = photograph.repeat(11, 1, 1, 1)  # more than are looked at together
    others = frames.clone()
    others[9] = others[9].flip(-1)
    far = look_distance(looks, frames, others)
    assert far.shape == (11,) and far[9] > 0.1 and far[:9].max() < 1e-6 and far[10] < 1e-6


@pytest.mark.parametrize("size", [(20, 31), (33, 100)])
def test_pictures_of_any_size_are_seen(looks, size, rng):
    frames = torch.rand(3, 3, *size, generator=rng)
    assert look_features(looks, frames).shape == (3, 320)
    assert look_distance(looks, frames, frames.flip(0)).isfinite().all()


def test_the_distance_of_sets_grows_with_what_is_spoilt(looks, photograph, rng):
    network = look_network(looks)
    (distance,) = network.distances.values()
    clip = torch.cat([torch.roll(photograph, k, -1) for k in range(6)])
    own = network.features(clip)
    far = [distance(own, network.features(oracles.box(clip, radius))) for radius in (1, 4)]
    assert distance(own, own) == pytest.approx(0, abs=1e-3 * far[0])
    assert 0 < far[0] < far[1]


@pytest.mark.parametrize("count", [1, MOST_FRAMES, MOST_FRAMES + 1, 300])
def test_long_clips_are_looked_at_here_and_there(count):
    chosen = spaced(torch.arange(float(count)).view(-1, 1, 1, 1))
    assert len(chosen) <= MOST_FRAMES and chosen[0] == 0
    assert len(chosen) > MOST_FRAMES / 2 or len(chosen) == count
