import math

import pytest
import torch

from gid_core.footage.streaming import as_flow, streaming

GRID, FPS = (18, 24), 20.0
MOVING = torch.zeros(GRID, dtype=torch.bool)
MOVING[4:14, 6:20] = True


def clip(dx=0.0, dy=0.0, swing=0.0, frames=60):
    """Drift in px/s, and an oscillation of 1 Hz."""
    times = torch.arange(frames) / FPS
    drift = times[:, None] * torch.tensor([dx, dy])
    drift[:, 0] += swing * torch.sin(2 * math.pi * times)
    return drift[:, :, None, None] * MOVING


def test_a_drifting_texture_flows_with_its_velocity():
    found = streaming(clip(3.0, -1.5, swing=0.1), MOVING, FPS)
    assert found.share == 1 and found.direction_deg == pytest.approx(26.6, abs=6)
    inside = found.velocity[:, MOVING]
    torch.testing.assert_close(inside[1], torch.full_like(inside[1], -1.5))
    assert found.speed_pct == pytest.approx(100 * math.hypot(3, 1.5) / 24, rel=0.1)
    assert "% of what moves goes on" in str(found)
    # Beyond what moves the velocity is continued.
    torch.testing.assert_close(found.velocity[1], torch.full(GRID, -1.5), rtol=0, atol=1e-3)


@pytest.mark.parametrize("swing", [0.3, 8.0])
def test_what_oscillates_does_not_flow(swing):
    assert streaming(clip(swing=swing), MOVING, FPS) is None


def test_what_hardly_moves_does_not_flow_nor_does_a_clip_of_two_frames():
    assert streaming(clip(0.3), MOVING, FPS) is None
    assert streaming(clip(9.0, frames=2), MOVING, FPS) is None
    assert streaming(clip(9.0), MOVING & False, FPS) is None


def test_a_flow_can_be_played():
    found = streaming(clip(3.0), MOVING, FPS)
    volume = as_flow(found, torch.ones(1, 1, 36, 48), 3.0)
    assert volume.kind == "flow" and volume.reference_size == (36, 48)
    assert torch.equal(volume.velocity[0], found.velocity)
