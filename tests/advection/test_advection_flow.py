import math
from dataclasses import replace

import pytest
import torch

from gid_core.advection.flow import FARTHEST, behind, flow, perspective
from gid_core.advection.kinds import FLOWS
from gid_core.advection.strokes import Stroke
from gid_core.config import FlowConfig
from gid_core.motion.displacement import front_to_back
from gid_core.motion.spectrum import SpectralVolume

SIZE = 48, 64
CALM = FlowConfig(turbulence=0.0, longest_side=64)


def made(matte=None, config=CALM, strokes=(), depth=None, seed=0):
    matte = torch.ones(1, 1, *SIZE) if matte is None else matte
    return flow(SIZE, matte, torch.Generator().manual_seed(seed), config, strokes, depth)


def channel():
    matte = torch.zeros(1, 1, *SIZE)
    matte[..., 16:32, :] = 1
    return matte


@pytest.mark.parametrize(
    "kind, heading",
    [("water", (1, 0)), ("clouds", (1, 0)), ("waterfall", (0, 1)), ("smoke", (0, -1))],
)
def test_convention_a_kind_goes_its_way_and_direction_turns_it_left(kind, heading):
    volume, report = made(config=replace(CALM, kind=kind, speed_pct=2.0))
    expected = torch.tensor(heading).float().view(2, 1, 1) * 0.02 * 64
    torch.testing.assert_close(volume.velocity[0], expected.expand(2, *SIZE), rtol=0, atol=0.01)
    assert report.speed_pct == pytest.approx(2.0, rel=0.01) and report.share == 1
    turned, _ = made(config=replace(CALM, kind=kind, direction_deg=90.0))
    left = torch.tensor([heading[1], -heading[0]]).float().view(2, 1, 1)
    torch.testing.assert_close(
        turned.velocity[0], (0.02 * 64 * left).expand(2, *SIZE), rtol=0, atol=0.01
    )


def test_a_stroke_decides_where_it_flows():
    stroke = Stroke(((0.9, 0.5), (0.1, 0.5)), 2.0)
    volume, report = made(channel(), strokes=(stroke,))
    assert volume.velocity[0, 0, 20:28].mean() == pytest.approx(-2 * 0.02 * 64, rel=0.1)
    assert not report.notes


def test_strokes_outside_the_mask_count_for_nothing_and_are_named():
    inside, outside = Stroke(((0.2, 0.5), (0.8, 0.5))), Stroke(((0.2, 0.9), (0.8, 0.9)))
    volume, report = made(channel(), strokes=(inside, outside))
    alone, _ = made(channel(), strokes=(inside,))
    assert torch.equal(volume.velocity, alone.velocity)
    assert "1 of 2 strokes lie outside the mask" in str(report)
    undrawn, _ = made(channel())
    volume, report = made(channel(), strokes=(outside,))
    assert torch.equal(volume.velocity, undrawn.velocity)  # the direction decides


def test_strokes_against_each_other_are_named():
    one, other = Stroke(((0.2, 0.5), (0.8, 0.5))), Stroke(((0.8, 0.5), (0.2, 0.5)))
    volume, report = made(channel(), strokes=(one, other))
    assert "contradict each other" in str(report) and volume.velocity.isfinite().all()


def test_a_closed_lake_is_said_to_be_closed_and_still_flows():
    matte = torch.zeros(1, 1, *SIZE)
    matte[..., 12:36, 16:48] = 1
    volume, report = made(matte)
    assert "closed in on all sides" in str(report) and report.speed_pct > 1
    round_it, report = made(matte, strokes=(Stroke(((0.3, 0.3), (0.7, 0.3))),))
    assert (
        not report.notes and round_it.velocity[0, 0, 33, 30] < 0 < round_it.velocity[0, 0, 14, 30]
    )


def test_a_still_point_and_an_obstacle():
    still, _ = made(strokes=(Stroke(((0.5, 0.5),), 0.0),))
    assert still.velocity[0, :, 24, 32].norm() < 0.2 * 1.28 < still.velocity[0, :, 4, 4].norm()
    rock = Stroke(((0.5, 0.4), (0.5, 0.6)), obstacle=True)
    around, _ = made(strokes=(rock,))
    assert around.velocity[0, 0, 24, 28] < around.velocity[0, 0, 8, 32]


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("pixels", ["none", "one", "all"])
def test_masks_of_no_pixel_one_and_all(kind, pixels):
    matte = torch.full((1, 1, *SIZE), float(pixels == "all"))
    matte[..., 20, 30] = float(pixels != "none")
    config = FlowConfig(kind, light=0.2, longest_side=32)
    volume, report = made(matte, config)
    assert volume.velocity.isfinite().all() and volume.coeffs.isfinite().all()
    assert ("Nothing flows" in str(report)) == (pixels == "none")
    assert (volume.mask.sum() > 0) == (pixels != "none")


def test_the_speed_of_what_lies_farther():
    below = perspective((10, 4), horizon=0.5)
    assert below[-1, 0] == 1 and below[5, 0] == pytest.approx(1 / 9) and below[4, 0] == below[5, 0]
    depth = torch.linspace(0, 1, 8).expand(1, 1, 6, 8)
    near = perspective((12, 16), depth)
    assert near[0, 0] == pytest.approx(FARTHEST) and near[3, -1] == 1
    volume, _ = made(config=replace(CALM, horizon=0.0))
    assert volume.velocity[0, 0, -1].mean() > 4 * volume.velocity[0, 0, 4].mean() > 0


def test_flames_rise_from_their_foot():
    matte = torch.zeros(1, 1, *SIZE)
    matte[..., 8:40, 24:40] = 1
    volume, _ = made(matte, replace(CALM, kind="flames"))
    rise = -volume.velocity[0, 1, :, 32]
    assert rise[10] > 3 * rise[38] > 0


def test_light_is_as_strong_in_a_short_clip_and_its_speed_is_said():
    config = replace(CALM, kind="clouds", light=0.3)
    for duration, fast in ((10.0, False), (2.0, True)):
        volume, report = made(config=replace(config, duration_s=duration))
        # |L|^2 / 2 of a band is its mean square over time.
        rms = float((volume.light.abs().square().sum(1).mean() / 2).sqrt())
        assert rms == pytest.approx(0.3, rel=0.6)
        assert ("flickers at 0.5 Hz, which is fast for clouds" in str(report)) == fast


def test_a_seed_means_the_same_flow():
    config = FlowConfig("smoke", light=0.1, longest_side=48)
    one, other, third = (made(config=config, seed=s)[0] for s in (1, 1, 2))
    assert torch.equal(one.coeffs, other.coeffs) and torch.equal(one.light, other.light)
    assert not torch.equal(one.coeffs, third.coeffs)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kind": "lava"}, "kind to be one of water"),
        ({"speed_pct": -1.0}, "speed from 0 to 1000"),
        ({"speed_pct": math.nan}, "speed from 0 to 1000"),
        ({"speed_pct": 1e9}, "speed from 0 to 1000"),
        ({"direction_deg": math.inf}, "direction in degrees"),
        ({"turbulence": 11.0}, "turbulence from 0 to 10"),
        ({"light": -0.1}, "light from 0 to 1"),
        ({"horizon": 1.5}, "horizon from 0 to 1"),
        ({"duration_s": 0.0}, "duration above 0"),
        ({"ripples_pct": 6.0}, "ripples from 0 to 5"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        made(config=replace(CALM, **change))


def sway(size=SIZE, batch=1, kind="response"):
    coeffs = torch.ones(batch, 1, 2, 6, 8, dtype=torch.complex64)
    return SpectralVolume(coeffs, torch.ones(1), size, kind=kind)


def test_a_flow_goes_behind_a_motion_of_the_same_still():
    volume, _ = made()
    both = behind(sway(batch=3), volume)
    assert both.behind is volume and both.kind == "response"
    for motion, message in (
        (sway((48, 65)), "one of 65x48 in front of one of 64x48"),
        (sway(kind="modes"), "got one of modes"),
    ):
        with pytest.raises(ValueError, match=message):
            behind(motion, volume)


def test_flows_go_behind_each_other_in_the_order_in_which_they_are_added():
    flows = [made(config=replace(CALM, speed_pct=i + 1.0))[0] for i in range(5)]
    motion = sway()
    for volume in flows[:4]:
        motion = behind(motion, volume)
    found = list(front_to_back(motion))
    assert [m.kind for m in found] == ["response", *["flow"] * 4]
    assert all(each.velocity is volume.velocity for each, volume in zip(found[1:], flows))
    assert list(front_to_back(behind(flows[0], flows[1])))[1] is flows[1]
    with pytest.raises(ValueError, match="at most 4 motions that flow in one still, got 5"):
        behind(motion, flows[4])


def test_ripples_are_added_to_water_and_to_nothing_else():
    config = FlowConfig(longest_side=64, light=0.1)
    calm, _ = made(config=config)
    rippled, report = made(config=replace(config, ripples_pct=0.5))
    # All else is the same draw: eddies, light and velocity.
    for name in ("velocity", "light"):
        assert torch.equal(getattr(calm, name), getattr(rippled, name))
    added = rippled.coeffs - calm.coeffs
    assert added[:, :, 1].abs().max() > 0.1 and not added[:, :, 0].any() and not report.notes
    smoke, report = made(config=replace(config, kind="smoke", ripples_pct=0.5))
    plain, _ = made(config=replace(config, kind="smoke"))
    assert torch.equal(smoke.coeffs, plain.coeffs) and "Ripples are for water" in str(report)
