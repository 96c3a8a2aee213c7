import math
from dataclasses import replace
from pathlib import Path

import oracles
import pytest
import torch

from gid_core import pipeline
from gid_core.config import ElasticConfig, SpectrumConfig
from gid_core.elastic.kinds import KINDS
from gid_core.elastic.prior import ElasticPrior
from gid_core.elastic.sheet import Thing
from gid_core.files.stills import read_still
from gid_core.motion.displacement import Displacement
from gid_core.motion.playback import play
from gid_core.motion.retarget import retarget
from gid_core.motion.spectrum import (
    SpectralVolume,
)
from gid_core.pipeline import (
    batch_of,
    combine_motions,
    render,
    retarget_motion,
    sample_motion,
    sample_variations,
)
from gid_core.recognition.moving_area import MovingArea, what_sways
from gid_core.render.renderer import load_renderer, render_frames, shipped_renderer
from gid_core.still.matte import refine_mask

MODEL = ElasticPrior(ElasticConfig(longest_side=24))
BANDS = SpectrumConfig(bands=4, duration_s=2.0, amplitude_pct=2.0)


def sample(images, mask=None, anchor=None, **options):
    given = {"model": MODEL, "spectrum": BANDS} | options
    return sample_motion(images, mask, anchor, **given)[0]


@pytest.fixture
def batch(stalk, rng):
    """Two stills that differ, and their masks."""
    image, mask = stalk
    other = image.flip(3) * 0.8
    return torch.cat([image, other]), torch.cat([mask, mask.flip(3)])


@pytest.mark.parametrize("objects", [1, 3])
def test_a_variation_is_what_the_sampler_makes_of_its_seed(stalk, objects):
    image, mask = stalk
    rows = torch.arange(mask.shape[2]).view(1, 1, -1, 1)
    masks = torch.cat([mask * (rows % objects == i) for i in range(objects)])
    together, report = sample_variations(image, 3, masks, masks, 5, MODEL, BANDS)
    for i in range(3):
        alone = sample(image, masks, masks, seed=5 + i)
        for name in ("coeffs", "mask", "depth"):
            found, expected = getattr(together, name), getattr(alone, name)
            assert expected is None or torch.equal(found[i : i + 1], expected), name
    assert len(report.areas) == len(together.coeffs) == 3


@pytest.mark.parametrize("amplitude, breaks", [(2.0, False), (6.0, True)])
def test_what_moves_too_far_for_a_picture_is_said(stalk, amplitude, breaks):
    spectrum = replace(BANDS, amplitude_pct=amplitude)
    _, report = sample_motion(*stalk, model=MODEL, spectrum=spectrum)
    assert report.amplitude_pct == pytest.approx(amplitude, rel=0.02)
    assert ("begin to tear" in str(report)) == breaks


@pytest.mark.parametrize(
    "frames, fps, bands",
    [(150, 30.0, 16), (50, 10.0, 16), (30, 15.0, 6), (20, 5.0, 9), (1, 30.0, 1), (9000, 30.0, 128)],
)
def test_bands_of_a_clip_reach_as_far_as_the_defaults_below_half_the_rate(frames, fps, bands):
    config = SpectrumConfig.of_clip(frames, fps, 0.7)
    assert (config.bands, config.duration_s, config.amplitude_pct) == (bands, frames / fps, 0.7)
    assert frames < 3 or bands * fps / frames < fps / 2


def volume(rng, bands=3, **fields):
    coeffs = torch.randn(2, bands, 2, 5, 7, generator=rng, dtype=torch.complex64)
    frequencies = torch.arange(1, bands + 1) / 2  # of a period of two seconds
    return SpectralVolume(coeffs, frequencies, (20, 28), **fields)


def test_an_item_of_a_batch_equals_the_single_run_with_its_seed(batch):
    images, masks = batch
    together = sample(images, masks, seed=7)
    for i in range(2):
        alone = sample(images[i : i + 1], masks[i : i + 1], seed=7 + i)
        assert torch.equal(together.coeffs[i : i + 1], alone.coeffs)
        assert torch.equal(together.mask[i : i + 1], alone.mask)
    assert together.reference_size == (32, 48)
    assert together.frequencies_hz.tolist() == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("apart", [0, 1])
def test_stills_of_a_batch_are_apart_each_by_itself(batch, monkeypatch, apart):
    """One still is of two things that are rooted in two ways, and so has a depth; one is not."""
    images, masks = batch[0], torch.cat([batch[1][:1], batch[1][1:].roll(3, -1)])
    kind = torch.zeros_like(masks[:1]).long()
    columns = torch.arange(48).view(1, 1, 1, -1)
    things = [Thing(masks[apart : apart + 1] * (columns % 2 == i), MODEL.elastic) for i in (0, 1)]
    areas = [MovingArea(mask[None], "recognized", kind=kind) for mask in masks]
    seen = lambda still, *_: areas[int(torch.equal(still, images[1:]))]
    rooted = lambda matte, *_: (
        (things, ("a", "b")) if torch.equal(matte, masks[apart : apart + 1]) else ((), ())
    )
    monkeypatch.setattr(pipeline, "moving_area", seen)
    monkeypatch.setattr(pipeline, "rooted_apart", rooted)
    together = sample(images, seed=3)
    frames = [frame for frame, _ in render(images, play(together, 3, 10.0)[0])]
    for i in range(2):
        alone = sample(images[i : i + 1], seed=3 + i)
        assert torch.equal(together.coeffs[i : i + 1], alone.coeffs)
        assert (alone.depth is not None) == (i == apart)
        expected = render(images[i : i + 1], play(alone, 3, 10.0)[0])
        for found, (frame, _) in zip(frames[3 * i : 3 * i + 3], expected, strict=True):
            assert torch.equal(found, frame)


def test_one_mask_and_one_anchor_serve_all_stills(batch):
    images, masks = batch
    anchor = torch.zeros(1, 1, 32, 48)
    anchor[..., 24:, :] = 1
    once = sample(images, masks[:1], anchor)
    each = sample(images, masks[:1].repeat(2, 1, 1, 1), anchor.repeat(2, 1, 1, 1))
    assert torch.equal(once.coeffs, each.coeffs) and torch.equal(once.mask, each.mask)


@pytest.mark.parametrize("name", ["mask", "anchor"])
@pytest.mark.parametrize("count", [0, 2, 4])
def test_masks_of_another_number_are_refused(stalk, name, count):
    images = stalk[0].repeat(3, 1, 1, 1)
    masks = {name: torch.ones(count, 1, 32, 48)}
    with pytest.raises(ValueError, match=f"one {name} or one for each of the 3 .*got {count}"):
        sample(images, **masks)


def test_a_mask_of_another_size_is_resized(stalk):
    image, mask = stalk
    double = mask.repeat_interleave(2, 2).repeat_interleave(2, 3)
    fine, coarse = sample(image, double, refine=False), sample(image, mask, refine=False)
    torch.testing.assert_close(fine.mask, coarse.mask, atol=0.3, rtol=0)
    assert ((fine.mask > 0.5) == (coarse.mask > 0.5)).all()


def test_refining_is_a_choice(stalk):
    image, mask = stalk
    loose = torch.nn.functional.max_pool2d(mask, 5, 1, 2)
    assert torch.equal(sample(image, loose, refine=False).mask, loose)
    assert torch.equal(sample(image, loose).mask, refine_mask(image, loose))


def test_without_a_mask_what_sways_is_recognized():
    image = read_still(Path(__file__).parents[1] / "docs/demo/still.png")[None, :3, ::3, ::3]
    recognized = what_sways(image)
    assert torch.equal(sample(image, refine=False).mask, recognized)
    assert torch.equal(sample(image).mask, refine_mask(image, recognized))


@pytest.mark.parametrize("bad", [float("nan"), -1.0, 2.0, float("inf")])
def test_mask_values_out_of_range_count_as_the_nearest(stalk, bad):
    image, mask = stalk
    odd, sound = mask.clone(), mask.clone()
    odd[0, 0, 10, 24], sound[0, 0, 10, 24] = bad, float(bad > 0)
    assert torch.equal(sample(image, odd).coeffs, sample(image, sound).coeffs)


def test_grey_and_transparent_stills_move_as_their_colours(stalk):
    image, mask = stalk
    grey = image.mean(1, keepdim=True)
    assert torch.equal(sample(grey, mask).coeffs, sample(grey.expand(1, 3, 32, 48), mask).coeffs)
    alpha = torch.cat([image, mask], 1)
    assert torch.equal(sample(alpha, mask).coeffs, sample(image, mask).coeffs)


def test_values_beyond_white_and_black_are_cut_off(stalk):
    image, mask = stalk
    assert torch.equal(
        sample(3 * image - 1, mask).coeffs, sample((3 * image - 1).clamp(0, 1), mask).coeffs
    )


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_any_seed_of_64_bits_is_a_seed(batch, seed):
    assert sample(*batch, seed=seed).coeffs.isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_pictures_that_are_not_finite_are_refused(stalk, rng, bad):
    image = stalk[0].clone()
    image[0, 1, 3, 4:6] = bad
    still = play(volume(rng), 4, 8.0)[0]
    for call in (lambda: sample(image), lambda: list(render(image, still))):
        with pytest.raises(ValueError, match="got 2 that are NaN or infinite.*float32"):
            call()


def test_a_callback_counts_stills_and_can_cancel(batch):
    seen = []
    sample(*batch, callback=lambda done, of: seen.append((done, of)))
    assert seen == sorted(seen) and seen[-1] == (2, 2) and (1, 2) in seen

    def cancel(done, of):
        if done == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sample(*batch, callback=cancel)


def wobble(rng, count, frames=3):
    fields = torch.randn(count, frames, 2, 5, 7, generator=rng)
    return Displacement.of_frames(fields, 8.0, (20, 28))


@pytest.mark.parametrize("stills, motions", [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_frames_come_still_by_still(rng, stills, motions):
    images, motion = torch.rand(stills, 3, 20, 28, generator=rng), wobble(rng, motions)
    rendered = [frame for frame, _ in render(images, motion)]
    assert len(rendered) == 3 * max(stills, motions)
    for i in range(max(stills, motions)):
        alone = render_frames(images[min(i, stills - 1)], motion, min(i, motions - 1))
        for t, (frame, _) in enumerate(alone):
            assert torch.equal(rendered[3 * i + t], frame)


@pytest.mark.parametrize("stills, motions", [(2, 3), (3, 2)])
def test_numbers_that_do_not_fit_are_refused(rng, stills, motions):
    images, motion = torch.rand(stills, 3, 20, 28, generator=rng), wobble(rng, motions)
    with pytest.raises(ValueError, match=f"got {motions} motions for {stills} stills"):
        list(render(images, motion))
    with pytest.raises(ValueError, match="as many motions as stills"):
        batch_of(stills, motions)


@pytest.mark.parametrize("wanted", [range(1), range(2, 5), range(5, 6), range(1, 6, 2), range(0)])
def test_some_frames_can_be_asked_for_across_clips(rng, wanted):
    images, motion = torch.rand(2, 3, 20, 28, generator=rng), wobble(rng, 2)
    every = [frame for frame, _ in render(images, motion)]
    some = [frame for frame, _ in render(images, motion, frames=wanted)]
    assert len(some) == len(wanted)
    for frame, t in zip(some, wanted):
        assert torch.equal(frame, every[t])


def test_a_mask_given_to_the_renderer_replaces_the_motions(rng):
    images, motion = torch.rand(2, 3, 20, 28, generator=rng), wobble(rng, 2)
    mask = torch.zeros(1, 1, 20, 28)
    mask[..., 5:12, 8:16] = 1
    own = replace(motion, mask=mask.repeat(2, 1, 1, 1))
    for (one, _), (other, _) in zip(render(images, motion, mask), render(images, own)):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="one mask or one for each of the 2 stills, got 3"):
        list(render(images, motion, mask.repeat(3, 1, 1, 1)))


def test_a_still_of_another_size_takes_the_same_motion(stalk):
    image, mask = stalk
    motion, _ = play(sample(image, mask, refine=False), 8, 8.0)
    double = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    (small, _), (large, _) = (next(render(still, motion)) for still in (image, double))
    halved = torch.nn.functional.avg_pool2d(large[None], 2)[0]
    assert (halved - small).abs().mean() < 0.01 < (small - image[0]).abs().max()


def test_what_does_not_move_is_still_and_what_moves_moves(stalk):
    image, mask = stalk
    motion, _ = play(sample(image, mask), 8, 8.0)
    rendered = torch.stack([frame for frame, _ in render(image, motion)])
    changed = (rendered != image).any(1).any(0)
    head, sky = oracles.stalk_picture(32, 48)[1][0, 0].bool(), changed[:, :8]
    assert changed[head].float().mean() > 0.8 and not sky.any()


def test_a_transferred_motion_leaves_all_but_the_mask_bit_for_bit(stalk, rng):
    image, mask = stalk
    other = torch.rand(1, 3, 50, 70, generator=rng)
    target = torch.zeros(1, 1, 50, 70)
    target[..., 10:40, 20:35] = 1
    motion, _ = retarget_motion(sample(image, mask), other, target, refine=False)
    assert torch.equal(motion.mask, target) and motion.reference_size == (50, 70)
    played, _ = play(motion, 8, 5.0)
    reach = (
        math.ceil(max(part.abs().max() for part in played.in_parts(0)) * 70 / played.grid[1]) + 3
    )
    near = torch.nn.functional.max_pool2d(target, 2 * reach + 1, 1, reach)[0] > 0
    assert near.float().mean() < 0.6
    for frame, _ in list(render(other, played))[1:]:
        changed = (frame != other[0]).any(0, keepdim=True)
        assert changed.any() and not changed[~near].any()


def test_a_transfer_takes_masks_as_sampling_does(batch, rng):
    images, masks = batch
    motion = volume(rng, mask=torch.ones(2, 1, 20, 28))
    refined = torch.cat([refine_mask(images[i : i + 1], masks[:1]) for i in range(2)])
    steps = []
    got, report = retarget_motion(
        motion, images, masks[:1], callback=lambda *done: steps.append(done)
    )
    assert torch.equal(got.mask, refined) and steps == [(1, 2), (2, 2)]
    expected, same = retarget(motion, refined)
    assert torch.equal(got.coeffs, expected.coeffs) and report == same
    guessed, _ = retarget_motion(motion, images, refine=False)
    assert torch.equal(guessed.mask[:1], what_sways(images[:1]))
    with pytest.raises(ValueError, match="Expected one mask"):
        retarget_motion(motion, images, masks[[0, 0, 1]])


def two_plants():
    """Two green stalks whose leaves overlap, before a sky, and a mask of each."""
    image = torch.full((1, 3, 48, 72), 0.8)
    masks = torch.zeros(2, 1, 48, 72)
    for i, (left, right) in enumerate(((10, 40), (32, 62))):
        masks[i, :, 6:30, left:right] = 1
        middle = (left + right) // 2
        masks[i, :, 30:46, middle - 3 : middle + 3] = 1
        colour = torch.tensor([0.1 + 0.5 * i, 0.5, 0.1]).view(3, 1, 1)
        image = torch.where(masks[i] > 0, colour, image)
    return image, masks


def test_several_masks_of_one_still_are_objects_that_move_apart():
    image, masks = two_plants()
    volume = sample(image, masks, refine=False)
    whole = sample(image, masks.amax(0, keepdim=True), refine=False)
    assert torch.equal(volume.mask, whole.mask)
    assert not torch.equal(volume.coeffs, whole.coeffs)
    left, right = (volume.coeffs[0, :, 0, 6, column] for column in (6, 18))
    alike = (left.conj() * right).sum().abs() / (left.norm() * right.norm())
    assert alike < 0.98
    # The later one is in front, in the motion and in the renderer's order.
    assert volume.depth[0, 0, 10, 36] == 1 and volume.depth[0, 0, 10, 15] == 0.5
    assert torch.equal(play(volume, 6, 10.0)[0].depth, volume.depth)


def test_the_report_says_how_fast_things_sway(batch):
    images, masks = batch
    _, report = sample_motion(images[:1], masks[:1], model=MODEL, spectrum=BANDS)
    assert "1 part, which sways at 1.00 Hz." in str(report)
    _, report = sample_motion(*two_plants(), model=MODEL, spectrum=BANDS, refine=False)
    assert "parts; the slowest sways at 1.00 Hz" in str(report)
    _, report = sample_motion(images, masks, model=MODEL, spectrum=BANDS)
    assert str(report).count("sways at 1.00 Hz.") == 1  # the same of both
    other = torch.cat([masks[:1], torch.zeros_like(masks[1:])])
    other[1, :, 4:28, 4:20] = other[1, :, 14:24, 30:40] = 1
    _, report = sample_motion(images, other, model=MODEL, spectrum=BANDS, refine=False)
    assert "Still 0: " in str(report) and "Still 1: " in str(report)


def test_depth_puts_the_nearer_object_in_front():
    image, masks = two_plants()
    depth = torch.where(masks[:1] > 0, 1.0, 0.2)
    volume = sample(image, masks, refine=False, depth=depth)
    swapped = sample(image, masks.flip(0), refine=False)
    torch.testing.assert_close(volume.depth, depth)
    at = slice(None), slice(None), slice(None), 5, 12  # where both are
    assert not torch.equal(volume.coeffs[at], sample(image, masks, refine=False).coeffs[at])
    assert swapped.depth[0, 0, 10, 36] == 1 and swapped.depth[0, 0, 10, 60] == 0.5


def test_every_object_has_its_own_kind_and_anchor():
    image, masks = two_plants()
    held = torch.zeros(2, 1, 48, 72)
    held[1, :, :20] = 1  # the second hangs; the first is left to the rule
    volume = sample(image, masks, held, refine=False, kinds=("flower", "hanging"))
    size = volume.coeffs[0].abs().sum((0, 1))
    assert size[4, 5] > 2 * size[15, 8]  # crown and foot of the first, on a grid of 3 px
    assert not size[4, 18] and size[13, 15] > 0  # of the second
    every = sample(image, masks, held[1:], refine=False)  # one anchor for all
    assert not every.coeffs[0, :, :, 4].any()


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"kinds": ("tree",)}, "kinds for each of the 2 objects, got 1"),
        ({"kinds": ("tree", "cheese")}, "Expected a kind of custom, tree.*got 'cheese'"),
        ({"anchor": torch.ones(3, 1, 48, 72)}, "one for each of the 2 objects, got 3"),
        ({"mask": torch.zeros(2, 1, 48, 72)}, "object 1 of 2 is empty"),
    ],
)
def test_objects_that_do_not_fit_are_refused(options, sentence):
    image, masks = two_plants()
    with pytest.raises(ValueError, match=sentence):
        sample(image, **({"mask": masks, "refine": False} | options))


def test_objects_and_kinds_of_several_stills_or_of_a_learned_model_are_refused(batch):
    images, masks = batch
    with pytest.raises(ValueError, match="for the objects of one still, got 2 for 2 stills"):
        sample(images, masks, kinds=("tree", "tree"))
    model = type("Learned", (), {"finds_what_moves": True, "sample": min})()
    with pytest.raises(ValueError, match="elastic model for several objects and depth: a learned"):
        sample(images[:1], masks, model=model, depth=masks[:1])


def test_one_mask_and_one_kind_are_the_models_kind(stalk):
    image, mask = stalk
    listed = sample(image, mask, kinds=("flower",))
    model = replace(MODEL, elastic=replace(KINDS["flower"].elastic, longest_side=24))
    torch.testing.assert_close(listed.coeffs, sample(image, mask, model=model).coeffs)


@pytest.mark.parametrize("shutter", [0.0, 0.5])
@pytest.mark.parametrize("network", [False, True])
def test_what_is_protected_is_the_still_in_every_frame(shutter, network):
    image, masks = two_plants()
    image = image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    protect = torch.zeros(1, 1, 48, 72)
    protect[..., 12:24, 20:52] = 1
    protect[..., 3, 3] = 0.01  # any value above 0 counts
    volume = sample(image, masks, refine=False, protect=protect)
    motion, _ = play(replace(volume, coeffs=6 * volume.coeffs), 10, 5.0)
    model = load_renderer(shipped_renderer()) if network else None
    stays = protect[0] > 0
    changed = torch.zeros(48, 72, dtype=torch.bool)
    for frame, uncovered in render(image, motion, model=model, shutter=shutter):
        assert torch.equal(frame[:, stays[0]], image.clamp(0, 1)[0][:, stays[0]])
        assert not uncovered[stays].any()
        changed |= (frame != image[0].clamp(0, 1)).any(0)
    assert changed.any()
    # At another size whatever is protected in part stays.
    small = torch.nn.functional.interpolate(image, (24, 36), mode="area").clamp(0, 1)
    for frame, _ in render(small, motion):
        assert torch.equal(frame[:, 6:12, 10:26], small[0, :, 6:12, 10:26])


def test_a_grey_still_keeps_what_is_protected_where_frames_get_colour_and_alpha(stalk):
    image, mask = stalk
    protect = torch.zeros(1, 1, 32, 48)
    protect[..., 8:20, 10:30] = 1
    volume = sample(image, mask, protect=protect)
    motion, _ = play(replace(volume, coeffs=6 * volume.coeffs), 4, 5.0)
    stays, grey = protect[0, 0] > 0, image[:, :1]
    for frame, _ in render(grey, motion, border="transparent"):
        assert len(frame) == 4 and (frame[3][stays] == 1).all()
        assert torch.equal(frame[:3, stays], grey[0].expand(3, -1, -1)[:, stays])


def test_combining_with_a_flow_says_what_is_not_used(rng):
    sways = volume(rng)
    flows = volume(rng, kind="flow", velocity=torch.zeros(2, 2, 5, 7))
    mask = torch.ones(1, 1, *sways.reference_size)
    together = "What flows goes on behind what sways."
    unused = "which are for two motions that sway."
    for given, said in (
        ({}, together),
        ({"mask": mask}, f"{together} Not used: degrees by masks, {unused}"),
        ({"base_mask": mask}, f"{together} Not used: degrees by masks, {unused}"),
        ({"duration_s": 3.0}, f"{together} Not used: the duration, {unused}"),
        (
            {"mask": mask, "duration_s": 3.0},
            f"{together} Not used: degrees by masks and the duration, {unused}",
        ),
    ):
        found, report = combine_motions(sways, flows, **given)
        assert report == said and found.behind is flows


def test_protecting_everything_moves_nothing(stalk):
    image, mask = stalk
    volume, report = sample_motion(
        image, mask, model=MODEL, spectrum=BANDS, protect=torch.ones(1, 1, 32, 48)
    )
    assert not volume.coeffs.any() and report.at_rest == (0,)


def test_kinds_that_are_fast_get_more_bands_if_asked(stalk):
    image, mask = stalk
    model = replace(MODEL, highest_hz=8.0)
    volume, report = sample_motion(image, mask, model=model, spectrum=BANDS, widen=True)
    assert len(volume.frequencies_hz) == 16 and volume.frequencies_hz[-1] == 8
    assert "16 bands, up to 8.0 Hz" in str(report)
    assert len(sample(image, mask, model=model).frequencies_hz) == 4
    listed, _ = sample_motion(
        image, mask, model=MODEL, spectrum=BANDS, kinds=("flame",), widen=True
    )
    assert listed.frequencies_hz[-1] == 8


@pytest.mark.parametrize("size", [(1, 40), (40, 1)])
def test_stills_one_pixel_wide_take_objects_depth_and_protection(size):
    image, masks = torch.full((1, 3, *size), 0.5), torch.zeros(2, 1, *size)
    masks.flatten(1)[0, :20], masks.flatten(1)[1, 20:] = 1, 1
    protect = torch.zeros(1, 1, *size)
    protect.flatten()[5] = 1
    volume = sample(image, masks, depth=torch.rand(1, 1, 7, 9), protect=protect)
    assert volume.coeffs.isfinite().all()
    for frame, _ in render(image, play(volume, 3, 10.0)[0]):
        assert frame.isfinite().all()


def test_four_hundred_masks_of_one_still_are_taken():
    image, masks = torch.rand(1, 3, 40, 60), torch.zeros(400, 1, 40, 60)
    for i in range(400):
        masks[i, 0, i // 20 * 2, i % 20 * 3 : i % 20 * 3 + 2] = 1
    volume = sample(image, masks)
    assert volume.coeffs.isfinite().all() and volume.coeffs.any()
