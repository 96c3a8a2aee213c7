import math
from dataclasses import replace

import pytest
import torch

from gid_core.motion.camera import MOVES, CameraMove, camera_motion, disparity_of
from gid_core.motion.playback import play

SIZE = (60, 90)
FRAMES, FPS = 40, 8.0


def ball_before_wall(size=SIZE):
    """Disparity of a ball in front of a tilted wall, ray traced, 1 1 h w, in [0, 1]."""
    height, width = size
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / width - height / width / 2,
        (torch.arange(width) + 0.5) / width - 0.5,
        indexing="ij",
    )
    wall = (0.25 - 0.15 * x) / 1.0  # the inverse depth of a plane is linear in x
    ray = torch.stack([x, y, torch.ones_like(x)])
    centre, radius = torch.tensor([0.1, 0.0, 1.3]), 0.3
    a, b = ray.square().sum(0), (ray * centre.view(3, 1, 1)).sum(0)
    inside = b.square() - a * (centre.square().sum() - radius**2)
    ball = a / (b - inside.clamp(min=0).sqrt())
    return torch.where(inside > 0, ball, wall)[None, None]


def frames_of(camera, depth, loop=True):
    spectrum, disparity, report = camera_motion(SIZE, depth, camera)
    motion, _ = play(spectrum, FRAMES, FPS, loop)
    return motion.at(0), disparity, report


def expected_path(camera, disparity):
    """Where a pinhole camera with a 3 x 4 matrix sees every point at each frame, minus its mean.

    Independent of the code under test: matrices and homogeneous points, frame by frame.
    """
    height, width = SIZE
    inverse = (0.1 + 0.9 * disparity[0, 0]).double()
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = (x - width / 2).double() / width, (y - height / 2).double() / width
    points = torch.stack([x, y, torch.ones_like(x), inverse]).flatten(1)  # homogeneous
    focus, way = 0.1 + 0.9 * camera.focus, camera.strength_pct / 100 / 0.9
    seen = []
    for t in range(4 * FRAMES):
        phase = 2 * math.pi * t / (4 * FRAMES)
        lens, extrinsic = torch.eye(3).double(), torch.eye(3, 4).double()
        if camera.move == "sway":
            extrinsic[0, 3] = -way * math.sin(phase)
            lens[0, 2] = focus * way * math.sin(phase)
        if camera.move == "push-in":
            d = 2 * camera.strength_pct / 100
            extrinsic[2, 3] = d / (1 + d) * math.cos(phase)
        if camera.move == "orbit":
            yaw, pitch = way * focus * math.sin(phase), way * focus * math.cos(phase) / 2
            target = torch.tensor([0, 0, 1 / focus]).double()
            look = torch.tensor(
                [
                    [-math.sin(yaw) * math.cos(pitch)],
                    [-math.sin(pitch)],
                    [math.cos(yaw) * math.cos(pitch)],
                ]
            ).double()[:, 0]
            right = torch.tensor([math.cos(yaw), 0, math.sin(yaw)]).double()
            rotation = torch.stack([right, torch.linalg.cross(look, right), look])
            extrinsic = torch.cat([rotation, -(rotation @ (target - look / focus))[:, None]], 1)
        image = lens @ extrinsic @ points
        seen.append((image[:2] / image[2:] - points[:2]) * width)
    path = torch.stack(seen).view(-1, 2, height, width)
    return (path - path.mean(0))[::4].float()


@pytest.mark.parametrize("move, limit", [("sway", 0.1), ("orbit", 0.5), ("push-in", 0.5)])
def test_parallax_is_that_of_a_ray_traced_scene(move, limit):
    camera = CameraMove(move, 3.0, 0.3, FRAMES / FPS)
    found, disparity, _ = frames_of(camera, ball_before_wall())
    expected = expected_path(camera, disparity)
    assert expected.square().sum(1).sqrt().max() > 0.7
    assert (found - expected).square().sum(1).sqrt().max() < limit
    assert (found - expected).square().sum(1).sqrt().max() < 0.01  # as measured


@pytest.mark.parametrize("move", MOVES)
def test_every_move_is_periodic_over_its_duration(move):
    spectrum, _, _ = camera_motion(SIZE, ball_before_wall(), CameraMove(move, duration_s=5.0))
    motion, report = play(spectrum, FRAMES, FPS)
    assert not report.changed and motion.loop
    again, _ = play(spectrum, 2 * FRAMES, FPS, loop=False)
    torch.testing.assert_close(again.at(0)[FRAMES:], motion.at(0), rtol=0, atol=1e-5)


def test_sway_is_disparity_times_one_harmonic_and_the_focus_stands_still():
    depth = torch.linspace(0, 1, SIZE[1]).expand(1, 1, *SIZE)
    spectrum, disparity, _ = camera_motion(SIZE, depth, CameraMove(strength_pct=2.0, focus=0.25))
    expected = -1j * 0.02 * SIZE[1] * (0.25 - disparity)
    assert spectrum.coeffs.shape[1] == 1 and not spectrum.coeffs[:, 0, 1].abs().gt(1e-6).any()
    torch.testing.assert_close(spectrum.coeffs[:, 0, :1], expected.to(torch.complex64))


def test_convention_white_is_near_unless_said_otherwise():
    depth = ball_before_wall()
    _, near, _ = camera_motion(SIZE, depth)
    _, turned, _ = camera_motion(SIZE, 5 - 3 * depth, near_is_white=False)
    assert near[..., 30, 54] > near[..., 5, 80]
    torch.testing.assert_close(turned, near)


def test_without_depth_the_foreground_is_at_the_bottom():
    path, disparity, report = frames_of(CameraMove(focus=0.0), None)
    reach = path[:, 0].abs().amax(0).mean(1)
    assert (reach.diff() > 0).all() and disparity[0, 0, -1, 0] == 1
    assert "tilted plane" in str(report)


def test_orbit_keeps_the_middle_at_the_focus_in_place():
    depth = torch.full((1, 1, *SIZE), 0.4)
    depth[..., 0, 0], depth[..., -1, -1] = 0, 1
    path, _, _ = frames_of(CameraMove("orbit", 2.0, 0.4), depth)
    middle = path[:, :, 29:31, 44:46].mean((2, 3))
    assert middle.abs().max() < 0.02 < 0.1 < path.abs().max()


def test_a_hand_has_a_seed():
    depth = ball_before_wall()
    one, same, other = (
        camera_motion(SIZE, depth, CameraMove("handheld", seed=s))[0].coeffs for s in (1, 1, 2)
    )
    assert torch.equal(one, same) and (one - other).abs().max() > 0.1


def test_stretched_borders_let_nothing_in_and_others_say_how_much():
    depth = ball_before_wall()
    for move in MOVES:
        _, _, open_ = frames_of(CameraMove(move), depth)
        path, _, closed = frames_of(CameraMove(move, borders="stretch"), depth)
        assert open_.overscan_pct > 0.1 and "Borders come in by up to" in str(open_)
        assert closed.overscan_pct < 1e-6 and "Borders" not in str(closed)
        assert path[:, 0, :, [0, -1]].abs().max() < 1e-6 > path[:, 1, [0, -1]].abs().max()


def test_the_overscan_is_the_largest_step_of_a_border_into_the_picture():
    camera = CameraMove("sway", 4.0, 0.0)
    path, _, report = frames_of(camera, ball_before_wall())
    inwards = max(path[:, 0, :, 0].max(), -path[:, 0, :, -1].min())
    assert report.overscan_pct == pytest.approx(100 * float(inwards) / SIZE[1], rel=0.02)


def test_each_still_of_a_batch_has_its_own_depth():
    depth = torch.cat([ball_before_wall(), ball_before_wall().flip(-1)])
    both, _, _ = camera_motion(SIZE, depth)
    for i in range(2):
        alone, _, _ = camera_motion(SIZE, depth[i : i + 1])
        torch.testing.assert_close(both.coeffs[i], alone.coeffs[0])


@pytest.mark.parametrize("move", ["orbit", "push-in", "handheld"])
def test_a_batch_gives_the_bits_of_its_items_with_seeds_one_apart(move):
    depth = torch.cat([ball_before_wall(), ball_before_wall().flip(-1).square()])
    camera = CameraMove(move, 6.0, seed=3, borders="stretch")
    both, _, _ = camera_motion(SIZE, depth, camera)
    for i in range(2):
        alone, _, _ = camera_motion(SIZE, depth[i : i + 1], replace(camera, seed=3 + i))
        assert torch.equal(both.coeffs[i], alone.coeffs[0])
    same, _, _ = camera_motion(SIZE, depth[:1].repeat(2, 1, 1, 1), camera)
    assert torch.equal(same.coeffs[0], same.coeffs[1]) == (move != "handheld")


def test_depth_without_numbers_and_of_other_sizes_is_said():
    depth = ball_before_wall()
    depth[..., :6, :] = torch.nan
    disparity, notes = disparity_of(SIZE, depth)
    assert "10 % of the depth is no number" in notes[0] and not disparity[..., :6, :].any()
    assert disparity.max() == 1 and disparity.isfinite().all()
    disparity, notes = disparity_of(SIZE, torch.rand(1, 1, 20, 20))
    assert disparity.shape[-2:] == SIZE and "20x20, the still 90x60" in notes[0]


@pytest.mark.parametrize("value", [0.0, 0.5, torch.nan])
def test_a_depth_that_is_all_alike_is_refused(value):
    with pytest.raises(ValueError, match="near and far things, got one that is .* everywhere"):
        camera_motion(SIZE, torch.full((1, 1, 5, 7), value))


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"move": "fly"}, "move to be one of sway, orbit, push-in, handheld, got 'fly'"),
        ({"borders": "wrap"}, "borders to be one of"),
        ({"strength_pct": 21.0}, "strength from 0 to 20 %"),
        ({"focus": 1.5}, "a focus from 0 to 1, got 1.5 and 1.5"),
        ({"duration_s": 0.0}, "duration from 0.2 to 600 s, got 0"),
    ],
)
def test_moves_out_of_range_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        CameraMove(**change)
