"""Tracks and flow of other tools: what went out comes back as the same motion."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gid_core.exchange.from_tracks import motion_of_flow, motion_of_tracks
from gid_core.exchange.tracks import Plan, Tracks, follow, paths_of, window
from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import Displacement
from gid_core.motion.playback import play
from gid_core.render.layers import splatted_frames

H, W = 60, 90
PLAN = Plan(points=30, still_points=10, frames=17, size=(40, 56))


@pytest.fixture
def swaying(rng):
    """A still of edges, its motion of two bands on a coarse grid, and the matte."""
    still = F.interpolate(torch.rand(1, 3, 10, 15, generator=rng), (H, W))[0]
    matte = torch.zeros(1, H, W)
    matte[:, 10:55, 20:70] = 1
    coeffs = torch.randn(1, 2, 2, 4, 6, dtype=torch.complex64, generator=rng)
    parts = [F.interpolate(x[0], (20, 30), mode="bicubic") for x in (coeffs.real, coeffs.imag)]
    coords = harmonic_coords(torch.tensor([0.5, 1.0]), torch.arange(24) / 12)
    motion = Displacement(torch.complex(*parts)[None], coords, 12.0, (H, W), matte[None], True)
    return still, motion, matte


def test_tracks_to_motion_to_tracks_is_the_same_to_a_tenth_of_a_pixel(swaying):
    still, motion, matte = swaying
    tracks = follow(still, motion, PLAN).tracks
    assert (tracks.paths - tracks.paths[:1]).abs().max() > 1
    seen = replace(tracks, visible=torch.ones_like(tracks.visible))
    _, back, report = motion_of_tracks(seen, still, matte[None])
    view = window((H, W), PLAN.size)
    layers = next(splatted_frames(still, back)).layers
    points = view.to_still(tracks.paths[0].double()).round().long()
    again = view.to_video(paths_of(layers, back, 0, points, (H, W)).double())
    assert (again - tracks.paths).norm(dim=-1).max() < 0.1
    assert report.used == 40 and report.off_px < 1e-3 and "40 tracks" in str(report)


def test_the_spectrum_of_tracks_plays_as_they_did(swaying):
    still, motion, matte = swaying
    followed = follow(still, motion, replace(PLAN, frames=25))
    tracks = followed.tracks
    part = Tracks(tracks.paths[:-1], torch.ones_like(tracks.visible[:-1]), tracks.size, tracks.fps)
    spectrum, exact, _ = motion_of_tracks(part, still, matte[None])
    played, _ = play(spectrum, exact.frames, exact.fps, loop=False)
    assert (played.at(0) - exact.at(0)).abs().max() < 0.02 * exact.at(0).abs().max()


def test_hidden_places_are_bridged_and_unseen_tracks_left_out(swaying):
    still, _, matte = swaying
    paths = torch.zeros(6, 3, 2) + torch.tensor([[20.0, 20], [30, 20], [25, 30]])
    paths[:, 0, 0] += torch.arange(6)
    visible = torch.ones(6, 3, dtype=torch.bool)
    paths[2:4, 0], visible[2:4, 0] = 999, False
    visible[1:, 2] = False
    _, motion, report = motion_of_tracks(Tracks(paths, visible, (H, W), 6.0), still, matte[None])
    assert (report.used, report.left_out, report.gaps) == (2, 1, 2)
    at = motion.at(0)
    assert at.abs().max() < 6  # the hidden places at 999 count for nothing
    assert "left out" in str(report) and "straight lines" in str(report)


@pytest.mark.parametrize("size", [(H, W), (30, 45)])
def test_flow_to_motion_is_the_motion(rng, size):
    coarse = F.interpolate(torch.randn(9, 2, 3, 5, generator=rng), size, mode="bicubic")
    spectrum, motion, report = motion_of_flow(coarse, 6.0, (H, W))
    scale = W / size[1]
    expected = F.interpolate(coarse * scale, (H, W), mode="bilinear", antialias=True)
    torch.testing.assert_close(motion.at(0), expected, atol=1e-4, rtol=1e-4)
    assert report.bands == 4 and len(spectrum.frequencies_hz) == 4 and "flow" in str(report)


@pytest.mark.parametrize(
    "tracks, why",
    [
        (Tracks(torch.zeros(3, 2, 2), torch.ones(3, 2, dtype=torch.bool), (9, 9), 5.0), "4 frames"),
        (Tracks(torch.zeros(5, 2, 2), torch.zeros(5, 2, dtype=torch.bool), (9, 9), 5.0), "is seen"),
        (
            Tracks(torch.zeros(4, 1001, 2), torch.ones(4, 1001, dtype=torch.bool), (9, 9), 5.0),
            "at most 1000",
        ),
    ],
)
def test_tracks_that_say_too_little_or_too_much_are_refused(swaying, tracks, why):
    with pytest.raises(ValueError, match=why):
        motion_of_tracks(tracks, swaying[0])


def test_flow_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        motion_of_flow(torch.full((5, 2, 6, 7), torch.nan), 5.0, (H, W))
