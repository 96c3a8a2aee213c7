import json
from pathlib import Path

import oracles
import pytest


def test_the_tiny_pipeline_gives_the_committed_numbers():
    committed = json.loads((Path(__file__).parent / "golden" / "tiny_pipeline.json").read_text())
    found = oracles.tiny_pipeline()
    assert found.keys() == committed.keys()
    # Float32 sums differ between machines; the motion is a fraction of a pixel.
    for name, values in committed.items():
        assert found[name] == pytest.approx(values, abs=1e-4), name
