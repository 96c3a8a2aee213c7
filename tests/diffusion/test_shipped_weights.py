"""Quality of the shipped motion model.

Every threshold lies between two measured values: what the shipped weights reach, and what random
weights of the denoiser and the expectation reach. `benchmarks/learned.py` measures on photographs
and clips.
"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from gid_core.config import SamplingConfig
from gid_core.diffusion.motion_model import LearnedPrior, load_model, shipped
from gid_core.diffusion.recognized_model import RecognizedModel
from gid_core.files.stills import read_mask, read_still
from gid_core.recognition.moving_area import moving_area
from gid_core.scenes.synthetic import make_scene

DEMO = Path(__file__).parents[2] / "docs/demo"
HELD_BACK = 2_000_000_000  # seeds from here on are in no training set
SCENES, SIZE = 4, (80, 128)
HERTZ = torch.arange(1, 17) / 5
LARGEST = 14e6  # bytes of the file, the recognizer's weights included


@pytest.fixture(scope="module")
def model():
    return load_model(shipped())


@pytest.fixture(scope="module")
def demo():
    still, mask = (read(DEMO / name)[None] for read, name in FILES)
    return still[:, :3], mask


FILES = ((read_still, "still.png"), (read_mask, "still_mask.png"))


def coherence(coeffs):
    """Likeness of neighbours' motion, weighted by its size."""
    flat = coeffs[0].flatten(0, 1)
    together = (flat[:, :, 1:] * flat[:, :, :-1].conj()).sum(0).real
    sizes = [part.abs().square().sum(0).sqrt() for part in (flat[:, :, 1:], flat[:, :, :-1])]
    return float(together.sum() / (sizes[0] * sizes[1]).sum())


def test_the_shipped_weights_stand_on_recognition_and_are_small(model):
    assert isinstance(model, RecognizedModel) and shipped().stat().st_size < LARGEST


def test_heads_are_expected_to_go_farther_than_feet(model, demo):
    given = model.condition(*demo, HERTZ)
    size = (
        given.decode(torch.ones(1, 16, 4, *given.features.shape[-2:])).square().sum((1, 2)).sqrt()
    )
    inside = F.interpolate(demo[1], size.shape[-2:], mode="area")[0, 0] > 0.9
    mean = lambda rows: float(size[0, rows][inside[rows]].mean())
    heads, feet = mean(slice(0, 43)), mean(slice(76, 85))
    assert heads > 2 * feet  # 3.1 times measured; 1.0 before training


def test_things_move_as_one(model):
    prior = LearnedPrior(model, SamplingConfig(steps=4))
    found = []
    for i in range(SCENES):
        scene = make_scene(HELD_BACK + i, SIZE, cells=2)
        generator = torch.Generator().manual_seed(i)
        found.append(
            coherence(
                prior.coefficients(scene.still[None], HERTZ, generator, matte=scene.mask[None])
            )
        )
    assert sum(found) / SCENES > 0.98  # .996 over 12 scenes; .955 with random weights


def test_where_nothing_is_recognized_nothing_moves(model):
    sky = torch.linspace(0.5, 0.9, 60).view(1, 1, -1, 1).expand(1, 3, 60, 90)
    matte = moving_area(sky, None).matte
    motion = LearnedPrior(model, SamplingConfig(steps=1)).sample(sky, matte, torch.Generator())
    assert not matte.any() and not motion.coeffs.any()
