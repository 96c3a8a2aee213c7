import math
from dataclasses import replace

import pytest
import torch

from gid_core.motion.curves import Curve
from gid_core.motion.edit import PRESETS, Edit, band_gains, edit
from gid_core.motion.playback import play
from gid_core.motion.spectrum import SpectralVolume, of_still

FRAMES, FPS = 16, 8.0  # the volume's own period


def volume(rng, bands=3, **fields):
    coeffs = torch.randn(2, bands, 2, 5, 7, generator=rng, dtype=torch.complex64)
    frequencies = torch.arange(1, bands + 1) / 2
    return SpectralVolume(coeffs, frequencies, (20, 42), **fields)


def trended(rng):
    return volume(rng, **{n: torch.randn(2, 2, 5, 7, generator=rng) for n in ("mean", "drift")})


def played(spectrum, loop=True):
    motion, _ = play(spectrum, FRAMES, FPS, loop)
    return torch.stack([motion.at(i) for i in range(len(spectrum.coeffs))])


def test_an_edit_that_asks_for_nothing_returns_the_same_bits(rng):
    spectrum = trended(rng)
    for change in (Edit(), Edit(bands="0:1, 9:1"), Edit(turn_deg=360.0), Edit(preset="as it is")):
        edited, report = edit(spectrum, change)
        for name in ("coeffs", "frequencies_hz", "mean", "drift"):
            assert torch.equal(getattr(edited, name), getattr(spectrum, name)), name
        assert str(report) == "All 3 bands move."


@pytest.mark.parametrize("loop", [True, False])
def test_to_edit_and_then_play_is_to_play_and_then_edit(rng, loop):
    spectrum = trended(rng)
    mask = torch.rand(1, 1, 20, 42, generator=rng)
    change = Edit(gain=0.7, x=1.5, y=0.4, turn_deg=90.0)
    found = played(edit(spectrum, change, mask)[0], loop)
    x, y = played(spectrum, loop).unbind(2)
    # Turned by 90 degrees, what went right goes up: in pixels of the grid, 6 x 4 px of the picture.
    degree = torch.nn.functional.interpolate(mask, (5, 7), mode="area")
    expected = 0.7 * degree[:, :, None] * torch.stack([0.4 * y * 4 / 6, -1.5 * x * 6 / 4], 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("masks", [1, 3])
def test_several_masks_of_one_motion_give_what_each_gives_alone(rng, masks):
    fields = {name: torch.rand(2, 1, 20, 42, generator=rng) for name in ("mask", "depth")}
    single = of_still(replace(trended(rng), protect=fields["mask"], **fields), 1)
    given = torch.rand(masks, 1, 20, 42, generator=rng)
    together, _ = edit(single, Edit(gain=0.7), given)
    for name in ("coeffs", "mean", "drift", "mask", "depth", "protect"):
        each = [getattr(edit(single, Edit(gain=0.7), m[None])[0], name) for m in given]
        assert torch.equal(getattr(together, name), torch.cat(each)), name
    played, _ = play(together, FRAMES, FPS, False, pose="first frame")
    assert len(played.coeffs) == len(played.mask) == masks


def test_masks_that_fit_neither_one_motion_nor_all_are_refused(rng):
    with pytest.raises(ValueError, match="or one for each, got 3 masks for 2 motions"):
        edit(volume(rng), Edit(), torch.ones(3, 1, 20, 42))


def test_gains_are_those_of_the_curve_at_each_frequency(rng):
    spectrum = volume(rng)
    edited, _ = edit(spectrum, Edit(bands="0.5:1, 1.5:3"))
    expected = spectrum.coeffs * torch.tensor([1.0, 2.0, 3.0]).view(-1, 1, 1, 1)
    torch.testing.assert_close(edited.coeffs, expected)


def test_the_text_wins_over_the_curve_and_the_preset_multiplies_both(rng):
    spectrum, curve = volume(rng), Curve((0.0, 2.0), (4.0, 4.0))
    assert band_gains(spectrum, Edit(curve=curve)).tolist() == [4, 4, 4]
    assert band_gains(spectrum, Edit(bands="0:2, 1:2", curve=curve)).tolist() == [2, 2, 2]
    both = band_gains(spectrum, Edit(preset="slow sway only", curve=curve))
    assert both.tolist() == [4, 0, 0]


@pytest.mark.parametrize(
    "change, gains",
    [
        (Edit(mute="1"), [1, 0, 1]),
        (Edit(mute="0.9"), [1, 0, 1]),
        (Edit(mute="1-2"), [1, 0, 0]),
        (Edit(solo="0-1"), [1, 1, 0]),
        (Edit(solo="0-1", mute="0.5"), [0, 1, 0]),
    ],
)
def test_bands_are_muted_and_soloed(rng, change, gains):
    assert band_gains(volume(rng), change).tolist() == gains


def test_a_muted_band_is_zero_in_the_frames_and_no_other_is(rng):
    spectrum = volume(rng)
    course = torch.fft.rfft(played(edit(spectrum, Edit(mute="1"))[0]), dim=1).abs()
    before = torch.fft.rfft(played(spectrum), dim=1).abs()
    assert course[:, 2].max() < 1e-5 * before[:, 2].max()
    torch.testing.assert_close(course[:, [1, 3]], before[:, [1, 3]], rtol=1e-5, atol=1e-4)


def test_silent_bands_at_the_top_leave_room_for_a_lower_frame_rate(rng):
    spectrum = volume(rng)
    edited, report = edit(spectrum, Edit(mute="1.5"))
    assert play(edited, 5, 2.5)[0].frames == 5 and len(edited.frequencies_hz) == 2
    assert str(report) == "1 of 3 bands are silent. The fastest 1 of them are left out."
    # A lower silent band stays: without it the period would be taken for a shorter one.
    assert len(edit(spectrum, Edit(mute="0.5"))[0].frequencies_hz) == 3


def test_nothing_left_is_said(rng):
    edited, report = edit(volume(rng), Edit(gain=1.0, solo="0.5", mute="0.5"))
    assert not edited.coeffs.any() and "silenced all of the motion" in str(report)


def test_a_delay_plays_the_same_motion_later(rng):
    spectrum = volume(rng)
    later = played(edit(spectrum, Edit(delay_s=3 / FPS))[0])
    torch.testing.assert_close(later, played(spectrum).roll(3, 1), rtol=0, atol=1e-5)


def test_scattered_phases_keep_amplitudes_and_have_a_seed(rng):
    spectrum = volume(rng)
    one, same, other = (edit(spectrum, Edit(scatter=1.0, seed=s))[0].coeffs for s in (3, 3, 4))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    torch.testing.assert_close(one.abs(), spectrum.coeffs.abs())
    phase = (one / spectrum.coeffs).angle()
    assert float(phase.std((0, 2, 3, 4)).max()) < 1e-5  # one phase for each band
    little = edit(spectrum, Edit(scatter=0.1, seed=3))[0].coeffs
    assert float((little / spectrum.coeffs).angle().abs().max()) <= 0.1 * math.pi + 1e-5


def test_smoothing_keeps_what_is_constant_and_what_stands_still(rng):
    spectrum = volume(rng)
    moves = torch.ones(5, 7)
    moves[:2] = moves[:, 5:] = 0
    constant = replace(spectrum, coeffs=spectrum.coeffs[..., :1, :1] * moves)
    found = edit(constant, Edit(smooth_pct=20.0))[0].coeffs
    torch.testing.assert_close(found, constant.coeffs, rtol=1e-5, atol=1e-6)
    rough = edit(spectrum, Edit(smooth_pct=20.0))[0].coeffs
    assert float(rough.std((-2, -1)).mean()) < 0.5 * float(spectrum.coeffs.std((-2, -1)).mean())


def test_every_preset_is_a_curve_and_says_what_it_does(rng):
    spectrum = volume(rng, bands=6)
    gains = {name: band_gains(spectrum, Edit(preset=name)) for name in PRESETS}
    assert (gains["calmer"] < 1).all() and (gains["calmer"].diff() < 0).all()
    assert (gains["livelier"] >= 1).all() and (gains["livelier"].diff() > 0).all()
    slow, fast = gains["slow sway only"], gains["flutter only"]
    assert slow[0] == 1 and not slow[1:].any() and fast[-1] == 1 and not fast[:2].any()


def test_modes_get_the_root_of_a_gain_since_a_push_meets_their_shape_twice(rng):
    damping = torch.full((3,), 0.1)
    modes = volume(rng, kind="modes", damping_ratio=damping)
    edited, _ = edit(modes, Edit(bands="0:4, 9:4"))
    torch.testing.assert_close(edited.coeffs, 2 * modes.coeffs)
    torch.testing.assert_close(edit(modes, Edit(gain=4.0))[0].coeffs, 4 * modes.coeffs)
    muted, _ = edit(modes, Edit(mute="1.5"))
    assert len(muted.frequencies_hz) == 3  # damping and ambient stay with their mode
    with pytest.raises(ValueError, match="got modes to poke: they have no phases"):
        edit(modes, Edit(delay_s=1.0))


def test_what_flows_is_refused(rng):
    with pytest.raises(ValueError, match="that sways, got one that flows"):
        edit(volume(rng, kind="flow", velocity=torch.zeros(2, 2, 5, 7)), Edit())


@pytest.mark.parametrize(
    "change, sentence",
    [
        (Edit(preset="dance"), "preset to be one of as it is, calmer"),
        (Edit(bands="0:1, 2:-1"), "gains from 0 on, got -.* Hz.*turn of 180"),
        (Edit(bands="0:1"), "at least two"),
        (Edit(bands="full"), "curve of gains as points"),
        (Edit(mute="high"), "what to mute as frequencies"),
        (Edit(smooth_pct=-1.0), "smooth of 0 % or more"),
        (Edit(scatter=1.5), "scatter from 0 to 1, got 0 and 1.5"),
        (Edit(gain=math.nan), "a number for gain, got nan"),
        (Edit(turn_deg=math.inf), "a number for turn_deg, got inf"),
    ],
)
def test_edits_out_of_range_are_refused(rng, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        edit(volume(rng), change)
