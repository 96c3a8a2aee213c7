from dataclasses import replace

import pytest
import torch

from gid_core.motion.displacement import Displacement, Light
from gid_core.render.motions import render_motion
from gid_core.render.renderer import render_frames

SIZE, GRID = (24, 40), (6, 10)


def picture(channels=3):
    return torch.rand(channels, *SIZE, generator=torch.Generator().manual_seed(2))


def swaying(frames=3):
    coeffs = torch.zeros(1, 1, 2, *GRID, dtype=torch.complex64)
    coeffs[:, :, 0] = 0.5  # 2 px of the picture
    coords = torch.exp(2j * torch.pi * torch.arange(frames) / frames)[None].to(torch.complex64)
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 6:18, 16:24] = 1
    return Displacement(coeffs, coords, 3.0, SIZE, mask, True)


def flowing(frames=3, dx=4.0):
    """To the right, by dx px of the picture from frame to frame; in the upper half."""
    coeffs = torch.zeros(1, 1, 2, *GRID, dtype=torch.complex64)
    coeffs[:, :, 0] = dx / 4
    first = torch.arange(frames)[None].to(torch.complex64)
    share = torch.arange(frames) / frames
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., :12, :] = 1
    weights = torch.stack([1 - share, share])
    phases = {"further": (first - frames)[None], "weights": weights}
    return Displacement(coeffs, first, 3.0, SIZE, mask, True, **phases)


def frames_of(still, motion, **more):
    return torch.stack([frame for frame, _ in render_motion(still, motion, **more)])


@pytest.mark.parametrize("shutter", [0.0, 0.6])
def test_a_motion_of_bands_is_rendered_as_before_bit_for_bit(shutter):
    still, motion = picture(), swaying()
    before = torch.stack([f for f, _ in render_frames(still, motion, shutter=shutter)])
    assert torch.equal(frames_of(still, motion, shutter=shutter), before)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_first_frame_of_a_flow_is_the_still_bit_for_bit(channels):
    still = picture(channels)
    frames = frames_of(still, flowing())
    assert torch.equal(frames[0], still)
    assert torch.equal(frames[:, :, 12:], still[:, 12:].expand_as(frames[:, :, 12:]))
    assert (frames[1] - still).abs().max() > 0.1


def test_what_sways_in_front_of_a_flow():
    still = picture()
    alone, flow = frames_of(still, swaying()), frames_of(still, flowing())
    both = frames_of(still, replace(swaying(), behind=flowing()))
    # Away from what sways the flow is what it is alone, but for what is painted behind it.
    torch.testing.assert_close(both[:, :, :, 36:], flow[:, :, :, 36:])
    # In what is opaque and sways, nothing of the flow shows.
    torch.testing.assert_close(both[:, :, 8:16, 19:21], alone[:, :, 8:16, 19:21])
    # What it uncovers flows.
    assert (both[1] - alone[1])[:, 6:12, 23:25].abs().max() > 0.05


def test_a_flow_that_stands_still_behind_changes_nothing():
    still, motion = picture(), swaying()
    behind = replace(flowing(dx=0.0), weights=torch.tensor([[1.0] * 3, [0.0] * 3]))
    torch.testing.assert_close(
        frames_of(still, replace(motion, behind=behind)), frames_of(still, motion)
    )


def test_a_flow_in_front_of_another_covers_it_where_it_is():
    still, front = picture(), flowing()
    left = torch.zeros(1, 1, *SIZE)
    left[..., :20] = 1
    back = replace(flowing(dx=-2.0), mask=left)
    alone = [frames_of(still, each) for each in (front, back)]
    both = frames_of(still, replace(front, behind=back))
    assert torch.equal(both[0], still)
    torch.testing.assert_close(both[:, :, :12], alone[0][:, :, :12])
    assert torch.equal(both[:, :, 12:], alone[1][:, :, 12:])
    assert (both[1] - still)[:, 12:, :20].abs().max() > 0.1
    # Behind what sways, too: away from it both are what they are alone.
    three = frames_of(still, replace(swaying(), behind=replace(front, behind=back)))
    torch.testing.assert_close(three[:, :, :12, 36:], both[:, :, :12, 36:])
    torch.testing.assert_close(three[:, :, 20:, :8], both[:, :, 20:, :8])


def test_what_only_shines_covers_nothing_and_lights_all_of_its_mask():
    still = picture() * 0.5
    light = Light(
        torch.full((1, 1, 1, *GRID), 0.4, dtype=torch.complex64),
        torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.complex64),
    )
    lit = replace(flowing(dx=0.0), light=light, mask=torch.ones(1, 1, *SIZE))
    dark = frames_of(still, flowing())
    for both in (replace(lit, behind=flowing()), replace(flowing(), behind=lit)):
        frames = frames_of(still, both)
        assert torch.equal(frames[0], still)
        torch.testing.assert_close(frames[1], (1.4 * dark[1]).clamp(0, 1))
        torch.testing.assert_close(frames[2], 0.6 * dark[2])


def test_light_multiplies_brightness_within_the_mask():
    still = picture() * 0.5
    light = Light(
        torch.full((1, 1, 1, *GRID), 0.4, dtype=torch.complex64),
        torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.complex64),
    )
    frames = frames_of(still, replace(swaying(), coeffs=0 * swaying().coeffs, light=light))
    inside = swaying().mask[0].bool().expand_as(still)
    assert torch.equal(frames[0], still)
    for frame, gain in zip(frames[1:], (1.4, 0.6)):
        torch.testing.assert_close(frame[inside], still[inside] * gain)
        assert torch.equal(frame[~inside], still[~inside])


def test_light_is_bounded():
    still = picture()
    light = Light(
        torch.full((1, 1, 1, *GRID), 50.0, dtype=torch.complex64),
        torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.complex64),
    )
    frames = frames_of(still, replace(flowing(dx=0.0), light=light))
    assert frames.min() >= 0 and frames.max() <= 1
    torch.testing.assert_close(frames[1, :, :12], 0.3 * still[:, :12], rtol=0, atol=1e-4)


def test_a_blurred_flow_is_the_mean_of_its_moments_and_starts_no_cycle_early():
    still = picture()
    sharp, blurred = frames_of(still, flowing(6)), frames_of(still, flowing(6), shutter=0.5)
    assert (sharp - blurred).abs().mean() > 0.01
    assert (sharp - blurred).abs().mean() < (sharp[0] - sharp[3]).abs().mean()
    assert blurred.isfinite().all() and len(blurred) == 6
