import pytest
import torch

from gid_core import pipeline
from gid_core.motion.camera import CameraMove, camera_motion
from gid_core.motion.playback import play
from gid_core.render.layers import splatted_frames
from gid_core.still.background import in_front

SIZE = H, W = 72, 110
TOP, BOTTOM, LEFT, RIGHT = 20, 51, 38, 71
FAR, NEAR = torch.tensor([0.2, 0.7, 0.3]), torch.tensor([0.9, 0.1, 0.1])


def square(size=SIZE):
    """Depth of a square before a wall: 1 1 h w."""
    depth = torch.zeros(1, 1, *size)
    depth[..., TOP:BOTTOM, LEFT:RIGHT] = 1
    return depth


@pytest.mark.parametrize("texture", [False, True])
def test_a_camera_never_sees_the_near_thing_where_it_was(texture):
    # Under sway a thing keeps its shape, so its colour is seen as often as in the still.
    depth = square()
    still = torch.lerp(FAR.view(1, 3, 1, 1), NEAR.view(1, 3, 1, 1), depth)
    motion, _ = play(camera_motion(SIZE, depth, CameraMove(strength_pct=7.0))[0], 6, 1.2)
    places = set()
    for frame, _ in pipeline.render(still, motion, texture=texture):
        red = frame[0] > frame[1]
        assert int(red.sum()) == (BOTTOM - TOP) * (RIGHT - LEFT)
        columns = red.any(0).nonzero()
        places.add(int(columns.min()))
        far_from = ((frame - FAR.view(3, 1, 1)).abs().amax(0) > 0.01) & ~red
        assert not far_from[:, :10].any() and float(far_from.float().mean()) < 0.02  # its rim alone
    assert len(places) > 2


def test_what_stands_before_a_background_is_a_step_of_depth_and_no_slope():
    step = in_front(square()[0], 9)
    inside = torch.zeros(1, H, W)
    inside[:, TOP:BOTTOM, LEFT:RIGHT] = 1
    inside[:, TOP + 9 : BOTTOM - 9, LEFT + 9 : RIGHT - 9] = 0
    assert torch.equal(step, inside)
    slope = torch.linspace(0, 1, H).view(1, H, 1).expand(1, H, W)
    assert not in_front(slope, 9).any()
    both = (0.5 * slope + 0.5 * square()[0]).clamp(0, 1)
    assert in_front(both, 9)[0, TOP : TOP + 5, LEFT + 9 : RIGHT - 9].all()


def test_a_picture_that_moves_as_one_has_no_background():
    depth = torch.full((1, 1, H, W), 0.4)
    assert not in_front(depth[0], 200).any()


def test_a_surface_that_is_drawn_out_has_no_dust_of_the_background():
    x = torch.arange(W).float()
    depth = torch.sigmoid(x - W / 2).expand(1, 1, H, W)
    still = (0.5 + 0.4 * (x / 6).sin()).expand(1, 3, H, W).contiguous()
    motion, _ = play(camera_motion(SIZE, depth, CameraMove(strength_pct=5.0))[0], 6, 1.2)
    for frame, _ in pipeline.render(still, motion):
        assert frame[0, :, 12:-12].diff(dim=1).diff(dim=1).abs().max() < 0.3  # 0.42 with dust


def test_what_is_near_and_what_is_far_do_not_share_a_motion_at_their_edge():
    # 2.3 px from one grid point to the next, and no colours to tell the two sides apart.
    size = h, w = 67, 603
    depth = torch.zeros(1, 1, h, w)
    depth[..., 201:370] = 1
    still = torch.full((1, 3, h, w), 0.5)
    motion, _ = play(camera_motion(size, depth, CameraMove(strength_pct=2.0))[0], 6, 1.2)
    frames = splatted_frames(still[0], motion, depth=motion.depth[0])
    moved = next(f for t, f in enumerate(frames) if t == 1).fields[0]
    near, far = float(moved[30, 280]), float(moved[30, 40])
    assert abs(near - far) > 8
    own = torch.where(depth[0, 0] > 0, near, far)
    assert float((moved - own).abs().max()) < 0.1 * abs(near - far)
