import math

import oracles
import pytest
import torch

from gid_core.config import ExtractionConfig
from gid_core.extraction import extract, fill_hidden
from gid_core.flow import estimator

H, W, FPS, T = 48, 72, 10.0, 30
SHORT = ExtractionConfig(bands=4, window_s=3.0, longest_side=72)


def course(*bands):
    """A sum of (k, amplitude, phase): harmonics of 1/3 Hz, over 30 frames."""
    t = torch.arange(float(T)) / T
    return sum(a * torch.cos(2 * math.pi * k * t + phase) for k, a, phase in bands)


def read(frames, config=SHORT, **options):
    return extract(frames, FPS, config, estimator("torch"), **options)


def test_a_known_cosine_comes_back():
    # Seen from the first frame: what it was there is taken off.
    sway = course((2, 3.0, -1.0))
    frames, truth, mask = oracles.swaying(H, W, sway - sway[0])
    found = read(frames)
    assert found.report.accepted, found.report.reasons
    spectrum = found.spectrum
    assert spectrum.frequencies_hz.tolist() == pytest.approx([k / 3 for k in (1, 2, 3, 4)])
    top = spectrum.coeffs[0, :, 0, 2:8, 30:42].flatten(1)
    where = (truth[1, 0] / (sway[1] - sway[0]))[2:8, 30:42].flatten()
    wanted = 3.0 * torch.polar(where, torch.full_like(where, -1.0))
    assert ((top[1] - wanted).abs() / wanted.abs()).median() < 0.05
    assert top[[0, 2, 3]].abs().median() < 0.05 * 3
    assert spectrum.coeffs[0, :, 1].abs().median() < 0.05


def test_what_does_not_move_is_exactly_still():
    frames, _, mask = oracles.swaying(H, W, course((1, 3.0, 1.57)))
    found = read(frames).spectrum
    far = torch.nn.functional.max_pool2d(mask[None].float(), 15, 1, 7)[0] == 0
    for field in (found.coeffs.abs()[0, 0], found.mean[0], found.drift[0]):
        assert (field[:, far] == 0).all()
    assert (found.mask[0, 0][far] == 0).all()


def test_hidden_motion_follows_the_line_between_two_sightings():
    motion = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 1, 1).clone()
    visible = torch.tensor([1, 0, 0, 1, 1, 1]).bool().view(6, 1, 1)
    motion[1:3] = 100
    assert fill_hidden(motion, visible, 2).flatten(1)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
