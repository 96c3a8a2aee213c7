import os

import oracles
import pytest
import torch
from hypothesis import settings

# The suite runs as several processes. SciPy reads the variable when it is imported, after this.
torch.set_num_threads(1)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Triton's interpreter runs its kernels without a graphics card.
os.environ.setdefault("TRITON_INTERPRET", "1")
settings.register_profile("core", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("core")


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def stalk() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture with a stalk, 1 3 32 48, and its mask, 1 1 32 48."""
    return oracles.stalk_picture(32, 48)
