import math

import pytest
import torch

from gid_core.motion.displacement import Displacement
from gid_core.render.importance import MOTION_EXPONENT, STILL_SHARE, importance_of
from gid_core.render.layers import SOFT
from gid_core.render.renderer import load_renderer, render_frames, shipped_renderer
from gid_core.render.splat import BAND


def row(*values):
    return torch.tensor([values])


def test_only_the_ratio_of_two_motions_counts():
    small, large = importance_of(row(0.002, 0.01)), importance_of(row(0.02, 0.1))
    ratios = [float((x[0, 1] - x[0, 0]).exp()) for x in (small, large)]
    assert ratios == pytest.approx([5**MOTION_EXPONENT] * 2, rel=0.03)


def test_what_does_not_move_is_behind_all_that_does():
    still, least, most = importance_of(row(0.0, STILL_SHARE / 10, 0.3))[0].tolist()
    assert still == 0 < least < most


def test_depth_then_order_then_motion():
    motion, order, depth = row(0.3, 0.0, 0.001), row(0.0, 1.0, 1.0), row(0.2, 0.1, 0.0)
    assert importance_of(motion).argsort().tolist() == [[1, 2, 0]]
    assert importance_of(motion, order).argsort().tolist() == [[0, 1, 2]]
    assert importance_of(motion, order, depth).argsort().tolist() == [[2, 1, 0]]


def test_of_two_things_equally_near_the_one_that_moves_more_is_in_front():
    near, far = importance_of(row(0.05, 0.01), None, row(0.5, 0.5))[0].tolist()
    assert near > far + 2
    # A twentieth of the range outweighs five times the motion.
    far, near = importance_of(row(0.05, 0.01), None, row(0.5, 0.55))[0].tolist()
    assert near > far + 2


def test_importance_with_depth_fits_one_band():
    # Else several sums are held and splatted.
    range_of = importance_of(row(0.0, 1.0), None, row(0.0, 1.0))[0]
    assert range_of[1] - range_of[0] + math.log(1 / SOFT) < BAND


@pytest.mark.parametrize("front, behind", [(0.03, 0.01), (0.02, 0.008)])  # of the longer side
@pytest.mark.parametrize("elsewhere", [0.0, 0.12])
def test_the_same_thing_is_in_front_at_every_size(front, behind, elsewhere):
    # Red moves right and green moves left, onto one place. A third thing moves far away from them.
    for width in (512, 1920, 3840):
        height = 8
        x = (torch.arange(width) + 0.5) / width
        red, green = (x > 0.30) & (x < 0.36), (x > 0.36) & (x < 0.42)
        far = (x > 0.7) & (x < 0.8)
        still = torch.full((3, height, width), 0.5)
        for i, thing in enumerate((red, green, far)):
            still[:, :, thing] = torch.eye(3)[i].view(3, 1, 1)
        distance = width * (front * red - behind * green + elsewhere * far)
        field = torch.zeros(1, 1, 2, height, width)
        field[0, 0, 0] = distance
        motion = Displacement.of_frames(field, 8.0, (height, width))
        matte = (red | green | far).expand(1, height, width).float()
        frame, _ = next(render_frames(still, motion, matte=matte))
        both = (x > 0.36 - behind + 3 / width) & (x < 0.36 + front - 3 / width)
        assert both.sum() > 2 and (frame[0, :, both] > 0.99).all()
        assert (frame[1:, :, both] < 0.01).all()


@pytest.mark.parametrize("choice", ["depth", "order"])
def test_depth_and_order_put_the_slower_in_front(choice):
    height, width = 8, 96
    x = torch.arange(width)
    red, green = (x >= 30) & (x < 40), (x >= 40) & (x < 50)
    still = torch.full((3, height, width), 0.5)
    still[:, :, red], still[:, :, green] = (
        torch.eye(3)[0].view(3, 1, 1),
        torch.eye(3)[1].view(3, 1, 1),
    )
    field = torch.zeros(1, 1, 2, height, width)
    field[0, 0, 0] = 8.0 * red - 2.0 * green
    motion = Displacement.of_frames(field, 8.0, (height, width))
    matte = (red | green).expand(1, height, width).float()
    nearer = green.expand(1, height, width).float()
    given = 0.4 + 0.1 * nearer if choice == "depth" else nearer
    frame, _ = next(render_frames(still, motion, matte=matte, **{choice: given}))
    # Green has moved to 38..47: red, which would come to 38..47, is behind it.
    assert (frame[1, :, 39:47] > 0.99).all() and (frame[0, :, 39:47] < 0.01).all()


@pytest.mark.parametrize("width", [1024, 1920])
def test_under_the_leading_edge_of_a_large_picture_nothing_shines_through(width):
    """The network mixes a splat of its own kind in, in which what is still weighs a little."""
    height, left, right, step = 32, width // 3, width // 2, round(0.0063 * width)
    still = torch.full((3, height, width), 0.12)
    still[..., left:right] = 0.7
    mask = (still[:1] > 0.5).float()[None]
    coeffs = torch.zeros(1, 1, 2, height // 4, width // 4, dtype=torch.complex64)
    coeffs[:, :, 0] = step / 4
    there_and_back = torch.tensor([[1.0, -1.0]], dtype=torch.complex64)
    motion = Displacement(coeffs, there_and_back, 30.0, (height, width), mask)
    refined, _ = next(render_frames(still, motion, model=load_renderer(shipped_renderer())))
    ahead = refined[:, 4:-4, right + 2 : right + step - 2]
    assert (ahead.mean() - 0.7).abs() < 0.012
