from dataclasses import replace

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import SpectrumConfig
from gid_core.elastic.kinds import things
from gid_core.elastic.prior import ElasticPrior
from gid_core.elastic.sheet import solve
from gid_core.elastic.unfolding import LEAST_JACOBIAN, least_jacobian
from gid_core.motion.playback import play
from gid_core.motion.spectrum import amplitude_pct, displacement_at, moving_points, one_period

BANDS = SpectrumConfig(bands=6, duration_s=2.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def still_and_matte():
    return oracles.two_blobs(36, 48)


def size_of(volume):
    return amplitude_pct(one_period(volume), moving_points(volume)).item()


def moves(volume):
    """The largest amplitude at every point of the grid."""
    return volume.coeffs[0].abs().amax((0, 1))


def test_every_part_moves():
    image, matte = oracles.dots(40, 60, 5)
    sheet = solve(image, matte)
    volume = ElasticPrior().sample(image, matte, generator(), BANDS)
    assert len(sheet.parts) == 96
    largest = np.array([moves(volume).flatten()[p.nodes].max() for p in sheet.parts])
    assert largest.min() > 0.01 * largest.max()


@pytest.mark.parametrize("percent", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("duration_s, bands", [(5.0, 16), (2.0, 6), (10.0, 32), (40.0, 128)])
def test_the_motion_has_the_size_asked_for(percent, duration_s, bands):
    image, matte = still_and_matte()
    asked = SpectrumConfig(bands, duration_s, percent)
    volume = ElasticPrior().sample(image, matte, generator(), asked)
    assert size_of(volume) == pytest.approx(percent, rel=0.01)
    played, _ = play(volume, round(30 * duration_s), 30.0)
    measured = amplitude_pct(played, moving_points(volume)).item()
    assert measured == pytest.approx(percent, rel=0.01)


def test_no_amplitude_is_no_motion():
    image, matte = still_and_matte()
    volume = ElasticPrior().sample(image, matte, generator(), replace(BANDS, amplitude_pct=0.0))
    assert not volume.coeffs.any()


@pytest.mark.parametrize("size", [(32, 7680), (40, 1600), (1600, 40)])
def test_no_point_runs_away_while_a_narrow_sheet_is_unfolded(size):
    """Two rows of cells that fold in every round; what lies outside them once grew in each."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in size), indexing="ij")
    matte = (((x - 0.5) / 0.12).square() + ((y - 0.4) / 0.3).square() < 1).float()[None, None]
    image = 0.3 + 0.4 * matte.expand(1, 3, -1, -1)
    volume = ElasticPrior().sample(image, matte, generator(7), SpectrumConfig(4, 1.0, 3.0))
    far = torch.stack([d.square().sum(1).amax(0) for d in one_period(volume).in_parts(0)])
    assert 0 < far.amax().sqrt() <= 1.01 * 3 * 0.03 * max(volume.grid)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_folds_at_the_default_amplitude(seed):
    image, matte = still_and_matte()
    volume = ElasticPrior().sample(image, matte, generator(seed), SpectrumConfig())
    material = torch.from_numpy(solve(image, matte).coverage > 0).float()
    inside = F.avg_pool2d(material[None], 2, 1)[0] == 1
    played = displacement_at(volume, torch.arange(150) / 30)
    assert least_jacobian(played[0]).amin(0)[inside].min() > 0.05


@pytest.mark.parametrize("seed, percent", [(0, 6.0), (1, 3.0), (1, 10.0), (3, 10.0)])
def test_nothing_folds_inside_a_part_up_to_a_tenth_of_the_picture(seed, percent):
    image, matte = still_and_matte()
    inside = torch.from_numpy(solve(image, matte).inside)
    asked = replace(BANDS, amplitude_pct=percent)
    volume = ElasticPrior().sample(image, matte, generator(seed), asked)
    least = [least_jacobian(d).amin(0) for d in one_period(volume).in_parts(0)]
    assert torch.stack(least).amin(0)[inside].min() > LEAST_JACOBIAN


@pytest.mark.parametrize("percent", [1.0, 8.0])
def test_what_a_painted_anchor_covers_stays_still(percent):
    # An edge of the picture lies along the anchor: beside it the material gives way most.
    matte, anchor = torch.zeros(1, 1, 32, 40), torch.zeros(1, 1, 32, 40)
    matte[..., 5:27, 7:33], anchor[..., 16:, :] = 1, 1
    image = torch.full((1, 3, 32, 40), 0.5)
    image[:, 0, 16:], image[:, 0, :16] = 0.9, 0.1
    asked = replace(BANDS, amplitude_pct=percent)
    volume = ElasticPrior().sample(image, matte, generator(), asked, anchor)
    material = torch.from_numpy(solve(image, matte).coverage > 0)
    held = material & (anchor[0, 0] == 1)
    assert moves(volume)[held].max() == 0
    assert moves(volume)[material & (anchor[0, 0] == 0)].max() > 0


def test_a_seed_is_a_motion():
    image, matte = still_and_matte()
    one, same, other = (ElasticPrior().sample(image, matte, generator(s), BANDS) for s in (4, 4, 5))
    assert torch.equal(one.coeffs, same.coeffs)
    assert (one.coeffs - other.coeffs).abs().max() > 0.1 * one.coeffs.abs().max()


@pytest.mark.parametrize(
    "height, width, painted",
    [
        (1, 1, ":"),
        (7, 5, ":"),
        (1, 40, ":"),
        (40, 1, ":"),
        (30, 40, "pixel"),
        (30, 40, ":"),
        (64, 88, "dots"),
        (30, 40, "nothing"),
        (3, 500, ":"),
    ],
)
def test_odd_masks_move_finitely_and_as_far_as_asked(height, width, painted):
    matte = torch.ones(1, 1, height, width)
    if painted == "dots":
        matte = oracles.dots(height, width, 4)[1]
    elif painted != ":":
        matte *= 0
        matte[..., height // 2, width // 2] = float(painted == "pixel")
    image = torch.where(matte > 0, 0.8, 0.3).expand(1, 3, height, width)
    volume = ElasticPrior().sample(image, matte, generator(), BANDS)
    assert volume.coeffs.isfinite().all() and volume.reference_size == (height, width)
    expected = 0 if painted == "nothing" else 1
    assert size_of(volume) == pytest.approx(expected, rel=0.01)


MODES = replace(BANDS, kind="modes")


def test_sampled_modes_sway_in_the_wind_as_far_as_asked():
    image, matte = still_and_matte()
    for percent in (0.5, 2.0):
        asked = replace(MODES, amplitude_pct=percent)
        volume = ElasticPrior().sample(image, matte, generator(), asked)
        assert volume.kind == "modes"
        assert size_of(volume) == pytest.approx(percent, rel=0.02)


def test_shapes_do_not_depend_on_how_far_the_wind_moves_them():
    image, matte = still_and_matte()
    small, large = (
        ElasticPrior().sample(image, matte, generator(), replace(MODES, amplitude_pct=p))
        for p in (0.5, 4.0)
    )
    assert torch.equal(small.coeffs, large.coeffs)
    assert torch.allclose(8 * small.ambient, large.ambient)


# --- objects, and what is protected
# ----------------------------------------------------------------


FEET = 35, 37  # the lowest rows of two plants that are free to move


def two_plants(height=40, width=60):
    """Two plants that overlap, as two masks, in a picture of one colour."""
    masks = torch.zeros(2, 1, height, width)
    masks[0, :, 6:36, 14:34] = 1
    masks[1, :, 14:38, 26:46] = 1
    return torch.full((1, 3, height, width), 0.5), masks


def test_objects_share_no_motion_and_each_stands_on_its_own_foot():
    image, masks = two_plants()
    both = ElasticPrior().sample(image, None, generator(), BANDS, things=things(masks))
    sheet = solve(image, masks.amax(0, keepdim=True), things=things(masks))
    assert len(sheet.bodies) == 2
    back, front = sheet.bodies
    assert (back.part.nodes.max() // 60, front.part.nodes.max() // 60) == FEET
    # What is behind is solved whole, and seen where nothing covers it.
    hidden = np.zeros(sheet.grid)
    hidden.flat[back.part.nodes] = back.seen
    assert hidden[20, 18] == 1 and hidden[20, 31] == 0
    seen = np.zeros(sheet.grid)
    seen.flat[front.part.nodes] = front.seen
    assert seen[20, 31] == 1
    assert both.coeffs.isfinite().all() and both.coeffs.any()


def test_the_later_object_is_in_front():
    image, masks = two_plants()
    one, other = (
        solve(image, masks.amax(0, keepdim=True), things=things(m)) for m in (masks, masks.flip(0))
    )
    y, x = 20, 31  # where both are
    for sheet, front in ((one, FEET[1]), (other, FEET[0])):
        owner = [b for b in sheet.bodies if b.seen[np.searchsorted(b.part.nodes, y * 60 + x)] == 1]
        assert len(owner) == 1 and owner[0].part.nodes.max() // 60 == front


def test_an_object_inside_another_moves_in_front_of_it_and_unseen_behind_it():
    image, masks = two_plants()
    small = torch.zeros(1, 1, 40, 60)
    small[..., 18:26, 18:28] = 1
    for order, seen in ((torch.cat([masks[:1], small]), 1), (torch.cat([small, masks[:1]]), 0)):
        sheet = solve(image, masks[:1], things=things(order))
        inner = min(sheet.bodies, key=lambda body: len(body.part.nodes))
        middle = np.searchsorted(inner.part.nodes, 21 * 60 + 22)
        assert inner.seen[middle] == seen
        volume = ElasticPrior().sample(image, None, generator(), BANDS, things=things(order))
        assert size_of(volume) == pytest.approx(1, rel=0.01)


def test_an_anchor_for_one_object_leaves_the_others_to_the_rule():
    image, masks = two_plants()
    anchor = torch.zeros(1, 1, 40, 60)
    anchor[..., :20, :] = 1
    apart = things(masks, anchors=[anchor, None])
    sheet = solve(image, masks.amax(0, keepdim=True), things=apart)
    back, front = sheet.bodies
    assert back.part.nodes.min() // 60 == 20  # all above is held
    assert front.part.nodes.min() // 60 < 20


def test_an_object_that_covers_all_is_one_like_others():
    image = torch.full((1, 3, 40, 60), 0.5)
    whole = ElasticPrior().sample(
        image, None, generator(), BANDS, things=things(torch.ones(1, 1, 40, 60))
    )
    same = ElasticPrior().sample(image, torch.ones(1, 1, 40, 60), generator(), BANDS)
    assert torch.equal(whole.coeffs, same.coeffs)


def test_four_hundred_objects_are_solved():
    masks = torch.zeros(400, 1, 80, 80)
    for i in range(400):
        y, x = divmod(i, 20)
        masks[i, :, 4 * y : 4 * y + 3, 4 * x : 4 * x + 3] = 1
    image = torch.full((1, 3, 80, 80), 0.5)
    volume = ElasticPrior().sample(image, None, generator(), BANDS, things=things(masks))
    assert volume.coeffs.isfinite().all() and size_of(volume) == pytest.approx(1, rel=0.01)


def test_an_empty_object_and_one_of_another_size_are_refused():
    image, masks = two_plants()
    with pytest.raises(ValueError, match="object 2 of 2 is empty"):
        masks[1] = 0
        ElasticPrior().sample(image, None, generator(), BANDS, things=things(masks))
    with pytest.raises(ValueError, match="object 1 at the still's size, 60x40, got 30x40"):
        ElasticPrior().sample(image, None, generator(), BANDS, things=things(masks[..., ::2]))


@pytest.mark.parametrize("percent", [1.0, 6.0])
@pytest.mark.parametrize("kind", ["response", "modes"])
def test_what_is_protected_never_moves(percent, kind):
    image, matte = still_and_matte()
    protect = torch.zeros_like(matte)
    protect[..., 12:20, 5:30] = 1
    asked = replace(BANDS, amplitude_pct=percent, kind=kind)
    volume = ElasticPrior().sample(image, matte, generator(), asked, protect=protect)
    # Nothing is interpolated into it either: the points around it stand still, too.
    near = F.max_pool2d(protect, 3, 1, 1)[0, 0] > 0
    assert moves(volume)[near].max() == 0 and moves(volume).max() > 0
    assert not (volume.mask * protect).any()


def test_a_protected_picture_does_not_move_at_all():
    image, matte = still_and_matte()
    volume = ElasticPrior().sample(image, matte, generator(), BANDS, protect=torch.ones_like(matte))
    assert not volume.coeffs.any()


@pytest.mark.parametrize("size", [(9, 13), (36, 48)])
@pytest.mark.parametrize("steps", [True, False])
def test_depth_of_any_size_and_a_constant_one_are_taken(size, steps):
    image, matte = still_and_matte()
    depth = torch.full((1, 1, *size), 0.3)
    depth[..., size[1] // 2 :] += 0.5 * steps
    volume = ElasticPrior().sample(image, matte, generator(), BANDS, depth=depth)
    assert size_of(volume) == pytest.approx(1, rel=0.01)
    if not steps:
        plain = ElasticPrior().sample(image, matte, generator(), BANDS)
        assert torch.equal(volume.coeffs, plain.coeffs)


def test_no_painted_place_stands_still():
    # A bush whose colour goes on beyond the paint, which holds it all around.
    grain = torch.rand(1, 3, 72, 96, generator=generator(5))
    matte = torch.zeros(1, 1, 72, 96)
    matte[..., 12:60, 20:76] = 1
    volume = ElasticPrior().sample(0.3 + 0.2 * grain, matte, generator(), SpectrumConfig())
    played = displacement_at(volume, torch.arange(150) / 30)[0]
    rms = (played - played.mean(0)).square().sum(1).mean(0).sqrt() * 256 / 96
    inside = rms[matte[0, 0] > 0.5]
    assert (inside > 0.1).float().mean() > 0.95
    assert inside.quantile(0.9) < 2.5 * inside.median()


def test_playing_and_poking_have_one_frequency():
    image, matte = still_and_matte()
    modes = ElasticPrior().sample(image, matte, generator(), MODES)
    sheet = solve(image, matte)
    slowest = min(body.part.omega[0] for body in sheet.bodies) / (2 * np.pi)
    assert modes.frequencies_hz[0].item() == pytest.approx(slowest, rel=1e-4)
    assert modes.frequencies_hz[0].item() == pytest.approx(1.0, rel=0.05)
