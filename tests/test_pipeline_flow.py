from dataclasses import replace

import pytest
import torch

from gid_core.advection.strokes import Stroke
from gid_core.config import FlowConfig
from gid_core.motion import playback
from gid_core.motion.displacement import front_to_back
from gid_core.motion.edit import Edit, edit
from gid_core.motion.loops import seam
from gid_core.motion.retarget import retarget
from gid_core.motion.spectrum import SpectralVolume, summary
from gid_core.pipeline import close_along, combine_motions, flow_motion, play, render
from gid_core.poke.response import body_of

SIZE = 32, 48
CONFIG = FlowConfig("clouds", speed_pct=4.0, longest_side=48)


def pictures(count=1):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def upper(rows=20):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., :rows, :] = 1
    return mask


def flow(images=None, config=CONFIG, **options):
    images = pictures() if images is None else images
    return flow_motion(images, upper(), config=config, refine=False, **options)


def sway():
    coeffs = torch.full((1, 2, 2, 8, 12), 0.2 + 0.1j, dtype=torch.complex64)
    mask = 1 - upper()
    return SpectralVolume(coeffs, torch.tensor([0.5, 1.0]), SIZE, mask)


def test_an_item_of_a_batch_equals_the_single_run_with_its_seed():
    images, config = pictures(2), replace(CONFIG, light=0.2)
    together, _ = flow(images, config, seed=7)
    motion, _ = play(together, 6, 3.0, seed=7)
    for i in range(2):
        alone, _ = flow(images[i : i + 1], config, seed=7 + i)
        for name in ("coeffs", "velocity", "light", "mask"):
            assert torch.equal(getattr(together, name)[i : i + 1], getattr(alone, name))
        single, _ = play(alone, 6, 3.0, seed=7 + i)
        assert torch.equal(single.coeffs, motion.coeffs[i : i + 1])


def test_playing_what_flows_can_be_cancelled():
    def cancel():
        raise KeyboardInterrupt

    spectrum, _ = flow()
    for motion in (spectrum, replace(sway(), behind=spectrum)):
        with pytest.raises(KeyboardInterrupt):
            play(motion, 24, 8.0, poll=cancel)
    with pytest.raises(KeyboardInterrupt):
        close_along(torch.rand(12, 3, *SIZE), spectrum, 3, 6.0, cancel)


def test_the_seam_of_a_flow_is_a_step_like_every_other():
    spectrum, _ = flow(config=replace(CONFIG, light=0.1))
    motion, report = play(spectrum, 24, 8.0)
    frames = torch.stack([frame for frame, _ in render(pictures(), motion)])
    measured = seam(frames)
    assert report.flows[0].cycles == 1
    assert measured.wrap <= 1.05 * measured.largest_inside and measured.wrap > 0
    assert torch.equal(frames[0, :, 20:], frames[12, :, 20:])  # outside the mask


def test_a_flow_without_light_begins_with_the_still_bit_for_bit():
    spectrum, _ = flow()
    motion, _ = play(spectrum, 8, 4.0)
    (frame, hole), *_ = render(pictures(), motion)
    assert torch.equal(frame, pictures()[0]) and not hole.any()


def test_a_flow_plays_behind_a_sway():
    spectrum, _ = flow()
    motion, report = play(replace(sway(), behind=spectrum), 8, 4.0)
    alone, _ = play(spectrum, 8, 4.0)
    assert torch.equal(motion.behind.coeffs, alone.coeffs)
    assert report.bands is not None and "A flow" in str(report)
    in_front, _ = playback.play(sway(), 8, 4.0)
    assert torch.equal(motion.coeffs, in_front.coeffs)
    frames = torch.stack([frame for frame, _ in render(pictures(), motion)])
    assert frames.shape == (8, 3, *SIZE) and frames.isfinite().all()


def test_light_plays_with_bands_too():
    light = torch.full((1, 2, 1, 8, 12), 0.1 + 0j)
    motion, _ = play(replace(sway(), light=light), 8, 4.0)
    assert motion.light is not None and motion.light.modal_coords.shape == (2, 8)


def test_depth_of_another_size_and_with_nan_is_fitted():
    depth = torch.linspace(0, 1, 9).view(1, 1, 9, 1).expand(1, 1, 9, 5).clone()
    depth[..., 2, 2] = torch.nan
    spectrum, _ = flow(depth=depth)
    assert spectrum.velocity.isfinite().all()
    assert spectrum.velocity[0, 0, 16].mean() > 2 * spectrum.velocity[0, 0, 3].mean()


def test_what_cannot_flow_is_said():
    with pytest.raises(ValueError, match="one mask or one for each of the 3 stills, got 2"):
        flow_motion(pictures(3), upper().expand(2, -1, -1, -1), config=CONFIG)
    with pytest.raises(ValueError, match="NaN"):
        flow(pictures() * torch.nan)
    with pytest.raises(ValueError, match="kind to be one of"):
        flow(config=FlowConfig("lava"))
    spectrum, _ = flow()
    with pytest.raises(ValueError, match="at least 1 frame"):
        play(spectrum, 0, 30.0)
    with pytest.raises(ValueError, match="frame rate above 0"):
        play(spectrum, 3, float("nan"))
    with pytest.raises(ValueError, match="one that flows"):
        retarget(spectrum, upper())
    with pytest.raises(ValueError, match="one that flows"):
        body_of(spectrum)
    with pytest.raises(ValueError, match="one that flows"):
        edit(spectrum, Edit())


def test_a_summary_says_how_fast_it_flows():
    spectrum, _ = flow(strokes=(Stroke(((0.1, 0.3), (0.9, 0.3))),))
    assert "Flows at up to 4" in summary(spectrum)
    assert "Behind it: " in summary(replace(sway(), behind=spectrum))


def test_a_clip_is_closed_along_a_flow():
    spectrum, _ = flow()
    clip = torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    closed = close_along(clip, spectrum, 3, 6.0)
    assert closed.shape == clip.shape and torch.equal(closed[:3], clip[:3])
    assert (closed[5] - clip[5]).abs().max() > 0.1
    with pytest.raises(ValueError, match="Expected a flow, got a motion of kind response"):
        close_along(clip, sway(), 3, 6.0)
    with pytest.raises(ValueError, match="overlap between 1 and the clip's 6 frames, got 7"):
        close_along(clip, spectrum, 7, 6.0)


def test_what_flows_is_combined_by_going_behind():
    flowing, _ = flow()
    for pair in ((sway(), flowing), (flowing, sway())):
        combined, report = combine_motions(*pair)
        assert combined.behind is flowing and "behind what sways" in report
        assert torch.equal(combined.coeffs, sway().coeffs)
    more, _ = combine_motions(combined, sway(), way="add")
    assert more.behind is flowing


def test_what_flows_on_top_goes_in_front_of_what_flows_below():
    water, clouds = (flow(config=replace(CONFIG, kind=k))[0] for k in ("water", "clouds"))
    both, report = combine_motions(water, clouds)
    assert list(front_to_back(both))[1] is water and "behind what flows" in report
    torch.testing.assert_close(both.velocity, clouds.velocity, rtol=0, atol=0)
    swaying = [replace(sway(), behind=each) for each in (water, clouds)]
    third, _ = combine_motions(*swaying, way="add")
    assert list(front_to_back(third))[2] is water and third.behind.velocity is clouds.velocity
    motion, report = play(third, 8, 4.0)
    assert len(list(front_to_back(motion))) == 3 and len(report.flows) == 2
    alone, _ = play(water, 8, 4.0)
    assert torch.equal(motion.behind.behind.coeffs, alone.coeffs)
