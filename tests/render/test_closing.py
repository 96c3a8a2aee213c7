import math

import pytest
import torch

from gid_core.advection.phases import flow_loop
from gid_core.motion.displacement import Displacement
from gid_core.motion.loops import seam
from gid_core.motion.spectrum import SpectralVolume
from gid_core.render.closing import close_with_flow
from gid_core.scenes.flows import flowing_scene

SIZE, FRAMES, FPS = (32, 48), 16, 8.0


def clip_and_flow(speed=6.0):
    scene = flowing_scene("shear", SIZE, speed, 5.0, torch.Generator().manual_seed(0))
    frames = torch.stack([scene.frame(t / FPS).float() for t in range(FRAMES)])
    coeffs = torch.zeros(1, 1, 2, *SIZE, dtype=torch.complex64)
    volume = SpectralVolume(
        coeffs, torch.tensor([0.5]), SIZE, kind="flow", velocity=scene.velocity().float()[None]
    )
    motion, report = flow_loop(volume, FRAMES, FPS, reach=math.inf)
    assert report.cycles == 1
    return frames, motion


def sharpness(frame):
    return frame.diff(dim=1).square().sum() + frame.diff(dim=2).square().sum()


def test_a_clip_that_flows_closes_at_its_own_length():
    frames, motion = clip_and_flow()
    closed = torch.stack(list(close_with_flow(frames, motion, 8)))
    assert closed.shape == frames.shape and torch.equal(closed[:8], frames[:8])
    before, after = seam(frames), seam(closed)
    assert after.wrap < 1.3 * after.median_inside < before.wrap


def test_it_stays_sharper_than_a_fade_of_pictures():
    frames, motion = clip_and_flow()
    closed = torch.stack(list(close_with_flow(frames, motion, 8)))
    faded = (frames[12] + frames[0]) / 2
    assert sharpness(closed[11]) > 1.2 * sharpness(faded)


def test_what_does_not_fit_is_refused():
    frames, motion = clip_and_flow()
    still = Displacement(motion.coeffs, motion.modal_coords, FPS, SIZE)
    for bad, message in (
        ((frames[:9], motion, 4), "a flow of 9 frames"),
        ((frames, still, 4), "a motion that comes back"),
        ((frames, motion, 0), "overlap between 1 and"),
    ):
        with pytest.raises(ValueError, match=message):
            next(close_with_flow(*bad))
