import math
from dataclasses import replace

import pytest
import torch

from gid_core.advection.phases import REACH, flow_loop, light_over
from gid_core.motion.spectrum import SpectralVolume
from gid_core.still.grid import pixel_grid

GRID = 24, 32
SIZE = 48, 64


def volume(speed=1.0, batch=1, swirl=0.0, light=None, confined=False, mask=None):
    """A flow that turns about the middle of the grid, and eddies of 0.4 and 1.2 Hz."""
    place = pixel_grid(*GRID, like=torch.zeros(1))
    away = place - torch.tensor([15.5, 11.5]).view(2, 1, 1)
    turning = torch.stack([-away[1], away[0]]) * (0.1 * speed) + speed * 0.2
    generator = torch.Generator().manual_seed(1)
    smooth = torch.randn(batch, 2, 2, 1, 1, generator=generator, dtype=torch.complex64)
    return SpectralVolume(
        swirl * smooth.expand(batch, 2, 2, *GRID).contiguous(),
        torch.tensor([0.4, 1.2]),
        SIZE,
        mask,
        kind="flow",
        velocity=turning.expand(batch, 2, *GRID).clone(),
        confined=confined,
        light=light,
    )


@pytest.mark.parametrize("frames, fps", [(36, 12.0), (31, 10.0)])
def test_frame_t_is_frame_0_in_position_speed_and_weight(frames, fps):
    motion, report = flow_loop(volume(0.3, swirl=0.3), frames, fps)
    assert report.cycles == 1 and motion.loop
    # The next cycle, by a clip as long whose second half begins where the loop ends.
    first, second = motion.phases
    assert not first.at(0, [0]).any() and motion.weights[:, 0].tolist() == [1.0, 0.0]
    # In the end the second phase comes to rest at the still with the first one's velocity.
    ahead, behind = flow_loop(volume(0.3, swirl=0.3), frames * 16, fps * 16)[0].phases
    start, end = ahead.at(0, [0, 1]), behind.at(0, [frames * 16 - 1])[0]
    torch.testing.assert_close(start[0] - end, start[1] - start[0], rtol=0.1, atol=1e-3)
    weights = flow_loop(volume(0.3), frames * 16, fps * 16)[0].weights
    assert weights[1, -1] > 1 - 1e-2 and weights[1, 0] == 0
    assert abs(weights[0, 1] - 1) < 1e-2  # the slope of the weights is 0 at the seam
    torch.testing.assert_close(weights.sum(0), torch.ones(frames * 16))


def test_both_phases_move_with_the_velocity_of_the_flow():
    spectrum = volume()
    motion, _ = flow_loop(spectrum, 240, 48.0)
    for phase in motion.phases:
        before, after = phase.at(0, [100, 101])
        speed = (after - before) * 48
        place = pixel_grid(*GRID, like=before) + (before + after) / 2
        inside = (place[0] > 1) & (place[0] < 30) & (place[1] > 1) & (place[1] < 22)
        away = place - torch.tensor([15.5, 11.5]).view(2, 1, 1)
        expected = torch.stack([-away[1], away[0]]) * 0.1 + 0.2
        assert ((speed - expected).abs() * inside).max() < 5e-3 and inside.sum() > 300


def test_a_fast_flow_has_more_cycles_and_each_begins_with_the_still():
    motion, report = flow_loop(volume(4.0, swirl=0.2), 60, 12.0)
    assert report.cycles > 1 and report.farthest_pct <= 100 * REACH + 1e-6
    assert f"{report.cycles} cycles" in str(report)
    if 60 % report.cycles == 0:
        again = 60 // report.cycles
        assert not motion.at(0, [again]).any() and motion.weights[0, again] == 1
    whole = flow_loop(volume(4.0), 60, 12.0)[0]
    starts = (whole.weights[0].diff() > 0).sum()
    assert starts == report.cycles - 1


@pytest.mark.parametrize("loop", [True, False])
def test_a_clip_of_one_frame_is_the_still(loop):
    motion, _ = flow_loop(volume(), 1, 30.0, loop)
    assert motion.frames == 1 and not motion.at(0).any() and motion.weights[0, 0] == 1


def test_speed_zero_moves_nothing():
    motion, report = flow_loop(volume(0.0), 12, 12.0)
    assert not motion.at(0).any() and report.cycles == 1 and report.farthest_pct == 0


def test_an_absurd_speed_still_closes():
    motion, report = flow_loop(volume(1e4), 12, 12.0)
    assert report.cycles == 6 and motion.at(0).isfinite().all()


def test_not_a_loop_plays_on():
    motion, report = flow_loop(volume(4.0), 50, 12.0, loop=False)
    assert not motion.loop and report.cycle_s < 50 / 12
    assert motion.weights[0].max() == 1


def test_bands_that_the_frames_cannot_show_are_left_out():
    spectrum = volume(swirl=0.3)
    slow = replace(spectrum, coeffs=spectrum.coeffs * torch.tensor([1, 0]).view(1, 2, 1, 1, 1))
    one, other = (flow_loop(each, 10, 2.0)[0] for each in (spectrum, slow))
    assert torch.equal(one.coeffs, other.coeffs) and one.at(0).isfinite().all()


def test_twice_the_speed_is_every_second_frame():
    slow = flow_loop(volume(), 40, 20.0)[0]
    fast = flow_loop(volume(), 20, 20.0, speed=2.0)[0]
    torch.testing.assert_close(fast.at(0), slow.at(0, slice(0, 40, 2)), rtol=0, atol=2e-3)
    torch.testing.assert_close(fast.weights, slow.weights[:, ::2])


def test_a_batch_gives_the_bits_of_its_items():
    both = volume(batch=2, swirl=0.3)
    whole = flow_loop(both, 24, 12.0, seed=5)[0]
    for i in range(2):
        parts = {n: getattr(both, n)[i : i + 1] for n in ("coeffs", "velocity")}
        alone = flow_loop(replace(both, **parts), 24, 12.0, seed=5 + i)[0]
        assert torch.equal(whole.coeffs[i : i + 1], alone.coeffs)
        assert torch.equal(whole.importance[i : i + 1], alone.importance)


def test_paths_stay_within_the_shore_of_a_confined_flow():
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 16:32, :] = 1
    spectrum = replace(volume(mask=mask, confined=True), velocity=torch.ones(1, 2, *GRID))
    motion, _ = flow_loop(spectrum, 24, 6.0)
    rows = torch.arange(8.0, 16.0).view(1, -1, 1) + motion.at(0)[:, 1, 8:16]
    assert rows.min() >= 7.4 and rows.max() <= 15.6


def test_light_closes_over_the_whole_clip():
    light = torch.full((1, 2, 1, *GRID), 0.1 + 0.05j)
    gain = light_over(volume(light=light), 36, 12.0, True)
    again = light_over(volume(light=light), 72, 12.0, True)
    assert gain.at(0, [0])[0, 0, 0, 0] == pytest.approx(1.2)
    cycles = torch.tensor([1.0, 4.0])  # 0.4 and 1.2 Hz in 3 s
    turn = 2 * math.pi * cycles[:, None] * torch.arange(36) / 36
    expected = 1 + (0.1 * turn.cos() - 0.05 * turn.sin()).sum(0)
    torch.testing.assert_close(gain.at(0, slice(None))[:, 0, 3, 4], expected, rtol=0, atol=1e-4)
    assert again.at(0, slice(None)).shape[0] == 72


def test_as_many_patches_pass_in_every_part_of_a_cycle_and_few_at_once():
    motion, _ = flow_loop(volume(0.3), 64, 8.0, seed=3)
    logits = torch.cat([flow_loop(volume(), 8, 8.0, seed=i)[0].importance for i in range(20)])
    # Where two phases meet, their points come from places that know nothing of each other.
    between = (logits[1:] - logits[:-1]).flatten().double()
    for eighth in range(1, 8):
        first, second = motion.weights[:, 8 * eighth].double().log()
        passed = torch.sigmoid(second - first + between)
        assert float(passed.mean()) == pytest.approx(eighth / 8, abs=0.06)
        assert ((passed > 0.1) & (passed < 0.9)).double().mean() < 0.32
