"""Tracks: exact paths at exact times, where points are chosen, and what is seen of them."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gid_core.exchange.tracks import (
    LAYOUTS,
    Plan,
    check_one,
    choose_points,
    follow,
    moments,
    paths_of,
    retimed,
    video_frames,
    window,
)
from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import Displacement, peaks
from gid_core.render.layers import splatted_frames
from gid_core.still.grid import pixel_grid

H, W, FRAMES, FPS = 48, 72, 12, 6.0
SMALL = Plan(points=12, still_points=5, frames=9, size=(H, W))


def band(rng, loop=True, reach=3.0):
    """One cycle of sway over two seconds, right half only; (motion, matte)."""
    matte = torch.zeros(1, H, W)
    matte[:, 8:40, 36:64] = 1
    coeffs = torch.zeros(1, 1, 2, H // 2, W // 2, dtype=torch.complex64)
    coeffs[..., 0, :, :] = reach / 2 * torch.exp(torch.tensor(0.7j))
    coords = harmonic_coords(torch.tensor([0.5]), torch.arange(FRAMES) / FPS)
    return Displacement(coeffs, coords, FPS, (H, W), matte[None], loop), matte


def still(rng):
    return torch.rand(3, H, W, generator=rng)


def test_paths_are_the_formula_at_the_frames_own_times(rng):
    motion, _ = band(rng)
    found = follow(still(rng), motion, replace(SMALL, from_still=False, frames=7))
    moving = found.tracks.paths[:, : found.moving]
    start = moving[0] - 3 * torch.cos(torch.tensor(0.7)) * torch.tensor([1.0, 0])
    for t, time_s in enumerate(torch.linspace(0, 2, 7)):
        sway = 3 * torch.cos(torch.pi * time_s + 0.7)
        torch.testing.assert_close(moving[t], start + sway * torch.tensor([1.0, 0]))


def test_tracks_begin_on_the_still_and_those_of_a_loop_end_there(rng):
    found = follow(still(rng), band(rng)[0], SMALL)
    paths = found.tracks.paths
    assert torch.equal(paths[0], paths[0].round())
    torch.testing.assert_close(paths[-1], paths[0], atol=1e-4, rtol=0)
    assert (paths[4] - paths[0]).norm(dim=1)[: found.moving].min() > 1


def test_what_lies_outside_the_mask_stands_still(rng):
    motion, matte = band(rng)
    found = follow(still(rng), motion, SMALL)
    rest = found.tracks.paths[:, found.moving :]
    assert rest.shape[1] == 5
    assert torch.equal(rest, rest[:1].expand_as(rest))
    x, y = rest[0].long().T
    assert not matte[0, y, x].any()
    assert found.tracks.visible[:, found.moving :].all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_points_move_and_keep_apart(rng, layout):
    motion, matte = band(rng)
    found = follow(still(rng), motion, replace(SMALL, layout=layout))
    points = found.tracks.paths[0, : found.moving]
    x, y = points.long().T
    assert found.moving == 12 and (matte[0, y, x] > 0).all()
    apart = torch.cdist(points, points) + 1e9 * torch.eye(12)
    assert apart.min() > 3


def test_more_points_lie_where_more_moves(rng):
    motion, _ = band(rng)
    stronger = motion.coeffs.clone()
    stronger[..., : W // 2 - 12] *= 0.2
    motion = replace(motion, coeffs=stronger)
    plan = replace(SMALL, points=60, still_points=0)
    layers = next(splatted_frames(still(rng), motion)).layers
    points, count = choose_points(layers, peaks(motion, 0), plan, window((H, W), None), (H, W))
    share = float((points[:, 0] >= W - 24).float().mean())
    assert count == 60 and share > 0.8  # that strip is 18 of 28 columns


def test_the_seed_decides_and_nothing_else(rng):
    one, same, other = (
        follow(still(torch.Generator().manual_seed(1)), band(rng)[0], replace(SMALL, seed=seed))
        for seed in (3, 3, 4)
    )
    assert torch.equal(one.tracks.paths, same.tracks.paths)
    assert not torch.equal(one.tracks.paths, other.tracks.paths)


def test_dots_sit_on_the_rendered_frames(rng):
    """A still that says by its colours where a pixel is, moved: read at the dots."""
    x, y = pixel_grid(H, W, torch.zeros(1))
    ramps = torch.stack([(x + 0.5) / W, (y + 0.5) / H, torch.zeros_like(x)])
    motion, matte = band(rng)
    found = follow(ramps, motion, SMALL)
    start = found.tracks.paths[0]
    for t, moved in enumerate(splatted_frames(ramps, found.motion)):
        here = found.tracks.paths[t]
        column, row = here.round().long().T
        shown = moved.frame[:2, row, column].T * torch.tensor([W, H]) - 0.5
        seen = found.tracks.visible[t]
        assert seen.float().mean() > 0.7
        off = (shown - start) - (here.round() - here)
        x, y = start.long().T
        inner = F.max_pool2d(1 - matte, 5, 1, 2)[0, y, x] == 0  # off the soft outline
        assert inner.sum() >= 8
        assert off[seen & inner].norm(dim=1).max() < 0.5


def test_a_point_behind_another_thing_is_not_seen(rng):
    """The right part slides over the left one, which moves less and the other way."""
    motion, _ = band(rng, reach=8)
    coeffs = motion.coeffs.clone()
    coeffs[..., : W // 4] *= -0.3
    matte = torch.zeros(1, H, W)
    matte[:, 8:40, 16:64] = 1
    motion = replace(motion, coeffs=coeffs, mask=matte[None])
    found = follow(still(rng), motion, replace(SMALL, points=60, still_points=0, frames=9))
    hidden = ~found.tracks.visible
    start = found.tracks.paths[0]
    assert hidden.any() and not hidden[0].any()
    assert start[hidden.any(0), 0].max() < W / 2  # none of the part that is in front
    assert "hidden in some frames" in str(found)


@pytest.mark.parametrize(
    "video, fit", [((30, 72), "crop"), ((48, 30), "crop"), ((20, 90), "stretch")]
)
def test_a_window_is_cut_around_the_middle_and_there_and_back_is_the_same(video, fit):
    view = window((H, W), video, fit)
    corners = torch.tensor([[0.0, 0], [video[1] - 1, video[0] - 1]], dtype=torch.float64)
    seen = view.to_still(corners)
    torch.testing.assert_close(view.to_video(seen), corners)
    middle = seen.mean(0)
    torch.testing.assert_close(middle, torch.tensor([(W - 1) / 2, (H - 1) / 2]).double())
    if fit == "crop":
        assert abs(float(view.scale[0] / view.scale[1]) - 1) < 0.05


def test_convention_a_video_of_the_same_shape_scales_pixel_centers():
    view = window((H, W), (2 * H, 2 * W))
    torch.testing.assert_close(
        view.to_video(torch.tensor([[0.0, 3.0]]).double()), torch.tensor([[0.5, 6.5]]).double()
    )


@pytest.mark.parametrize(
    "frames, rule, rounded", [(81, 4, 81), (80, 4, 81), (82, 8, 89), (7, 1, 7), (1, 4, 1)]
)
def test_frames_are_rounded_up_to_what_a_model_makes(frames, rule, rounded):
    assert video_frames(frames, rule) == rounded


def test_a_rate_plays_a_second_in_a_second(rng):
    motion, _ = band(rng)
    plan = replace(SMALL, timing="rate", fps=3.0, frames=9)
    times = moments(motion, plan)
    assert times.tolist() == [2.0 * t for t in range(9)]
    assert retimed(motion, times, plan).fps == pytest.approx(3.0)


def test_a_clip_that_is_no_loop_ends_with_its_last_frame(rng):
    motion, _ = band(rng, loop=False)
    assert moments(motion, SMALL)[-1] == FRAMES - 1
    with pytest.raises(ValueError, match="Expected a motion of 33 frames at 6 fps or more"):
        moments(motion, replace(SMALL, timing="rate", fps=1.5))


def test_paths_of_no_moving_point_stay(rng):
    motion, matte = band(rng)
    layers = next(splatted_frames(still(rng), motion, matte=0 * matte)).layers
    points = torch.tensor([[40, 20], [3, 4]])
    paths = paths_of(layers, motion, 0, points, (H, W))
    assert torch.equal(paths, points.float().expand(FRAMES, -1, -1))


@pytest.mark.parametrize(
    "change, why",
    [
        ({"layout": "star"}, "the layout to be one of"),
        ({"timing": "slow"}, "the timing to be one of"),
        ({"fit": "bend"}, "the fit to be one of"),
        ({"frames": 0}, "at least 1 frame"),
        ({"fps": float("inf")}, "a frame rate above 0"),
        ({"points": 0, "still_points": 0}, "at least one point"),
        ({"size": (0, 5)}, "at least 1x1"),
    ],
)
def test_a_plan_out_of_range_is_refused(rng, change, why):
    with pytest.raises(ValueError, match=why):
        follow(still(rng), band(rng)[0], replace(SMALL, **change))


def test_where_nothing_moves_there_is_nothing_to_follow(rng):
    motion, _ = band(rng, reach=0.0)
    with pytest.raises(ValueError, match="something that moves"):
        follow(still(rng), motion, SMALL)


@pytest.mark.parametrize("stills, motions", [(2, 1), (1, 3)])
def test_batches_are_refused(rng, stills, motions):
    motion, _ = band(rng)
    many = replace(motion, coeffs=motion.coeffs.expand(motions, -1, -1, -1, -1), mask=None)
    with pytest.raises(ValueError, match="one still and one motion"):
        check_one(stills, many)


def test_what_flows_is_refused(rng):
    motion, _ = band(rng)
    check_one(1, motion)
    flowing = replace(
        motion, further=motion.modal_coords[None], weights=torch.full((2, FRAMES), 0.5)
    )
    for given in (flowing, replace(motion, behind=flowing)):
        with pytest.raises(ValueError, match="one that flows.*before it was combined with a flow"):
            check_one(1, given)


def test_a_motion_of_one_frame_fills_a_video_at_the_rate_it_has(rng):
    motion, _ = band(rng, loop=False)
    single = replace(motion, modal_coords=motion.modal_coords[:, :1])
    plan = replace(SMALL, frames=5, timing="whole")
    timed = retimed(single, moments(single, plan), plan)
    assert (timed.frames, timed.fps) == (5, FPS)
    assert not timed.modal_coords.any()  # the still throughout


@pytest.mark.parametrize("size", [(16384, 205), (7, 9000)])
def test_a_video_of_any_shape_shows_a_pixel_of_the_still_at_least(size):
    view = window((40, 56), size)
    corner = view.to_still(view.to_video(torch.zeros(2).double()))
    torch.testing.assert_close(corner, torch.zeros(2).double())
    assert view.scale.isfinite().all() and (view.scale > 0).all()
