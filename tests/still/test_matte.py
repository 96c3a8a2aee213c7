import pytest
import torch

from gid_core.still.matte import Refinement, refine_and_report, refine_mask


def colour(*rgb):
    return torch.tensor(rgb).view(3, 1, 1)


def speckled(image, rng, amount=0.02):
    """Real pictures have grain."""
    return (image + amount * torch.randn(image.shape, generator=rng)).clamp(0, 1)


def overlap(a, b):
    """Intersection over union of what is more than half."""
    a, b = a > 0.5, b > 0.5
    return ((a & b).sum() / (a | b).sum()).item()


def grown(mask, by):
    return torch.nn.functional.max_pool2d(mask, 2 * by + 1, 1, by)


@pytest.fixture
def scene(rng):
    """A green disc before the sky, and its truth."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    disc = ((x - 60).square() + (y - 50).square() < 26**2).float()
    image = torch.where(disc > 0, colour(0.2, 0.5, 0.15), colour(0.55, 0.7, 0.9))
    return speckled(image, rng)[None], disc[None, None]


def test_a_full_mask_and_an_empty_one_stay(scene):
    image, truth = scene
    for mask in (torch.ones_like(truth), torch.zeros_like(truth)):
        assert torch.equal(refine_mask(image, mask), mask)


@pytest.mark.parametrize("loose", [0, 3, 6])
def test_painted_sky_leaves_and_the_object_stays(scene, loose):
    image, truth = scene
    painted = grown(truth, loose)
    refined = refine_mask(image, painted)
    assert overlap(refined, truth) > 0.97
    assert refined.min() >= 0 and refined.max() <= 1


def test_a_box_around_the_object_is_outline_enough(scene):
    image, truth = scene
    painted = torch.zeros_like(truth)
    painted[..., 22:78, 32:88] = 1
    assert overlap(refine_mask(image, painted), truth) > 0.95


def test_a_mask_painted_too_small_grows_to_the_object(scene):
    image, truth = scene
    painted = 1 - grown(1 - truth, 3)
    assert overlap(painted, truth) < 0.8 < 0.95 < overlap(refine_mask(image, painted), truth)


def test_a_missed_stalk_within_reach_joins(rng):
    image = colour(0.6, 0.75, 0.9).expand(3, 96, 128).clone()
    truth = torch.zeros(1, 1, 96, 128)
    truth[..., 20:90, 40:52] = truth[..., 20:90, 54:56] = 1  # reach is 0.04 * 128 = 5 px
    image = speckled(torch.where(truth[0] > 0, colour(0.15, 0.4, 0.1), image), rng)[None]
    painted = truth.clone()
    painted[..., 52:] = 0
    refined = refine_mask(image, painted)
    assert refined[..., 25:85, 54:56].mean() > 0.8
    assert refined[..., 25:85, 52:54].mean() < 0.2  # the sky between stays sky


def test_what_lies_beyond_reach_never_joins(rng):
    image = colour(0.6, 0.75, 0.9).expand(3, 96, 128).clone()
    image[:, 20:90, 40:52] = image[:, 20:90, 58:61] = colour(0.15, 0.4, 0.1)  # 6 px off
    painted = torch.zeros(1, 1, 96, 128)
    painted[..., 20:90, 40:52] = 1
    assert refine_mask(speckled(image, rng)[None], painted)[..., 58:].max() == 0


def test_a_colour_counts_near_where_it_is_seen(scene):
    # Far from the disc lies more of its green, which nobody painted.
    image, truth = scene
    sky = image[..., :1].expand(1, 3, 96, 64)
    field = colour(0.2, 0.5, 0.15).expand(1, 3, 96, 64)
    wide = torch.cat([image, sky, field], 3)
    painted = torch.nn.functional.pad(grown(truth, 4), (0, 128))
    refined = refine_mask(wide, painted)
    assert overlap(refined[..., :128], truth) > 0.95 and refined[..., 140:].max() == 0


@pytest.mark.parametrize("side, grain", [(0.4, 0.02), (0.6, 0.02), (0.7, 0.005), (0.9, 0.05)])
def test_where_colours_say_nothing_the_paint_decides(rng, side, grain):
    image = speckled(torch.full((3, 96, 128), 0.5), rng, grain)[None]
    painted = torch.zeros(1, 1, 96, 128)
    top, left = round(48 * (1 - side)), round(64 * (1 - side))
    painted[..., top : 96 - top, left : 128 - left] = 1
    # The outline may move by a pixel or two.
    assert overlap(refine_mask(image, painted), painted) > 0.8


def test_a_painted_part_that_looks_like_its_surroundings_survives(scene):
    image, truth = scene
    painted = truth.clone()
    painted[..., 4:16, 104:120] = 1  # sky, painted apart
    refined = refine_mask(image, painted)
    assert refined[..., 6:14, 106:118].min() > 0.9
    assert overlap(refined[..., :100], truth[..., :100]) > 0.95


@pytest.fixture
def large(scene):
    """The disc of the scene on a picture of 384x512."""
    return torch.nn.functional.interpolate(scene[1], scale_factor=4)


def test_on_a_flat_picture_the_outline_stays(large):
    assert overlap(refine_mask(torch.full((1, 3, 384, 512), 0.4), large), large) > 0.98


@pytest.mark.parametrize("grain", ["leaves", "noise"])
def test_texture_of_the_same_colours_on_both_sides_leaves_the_paint(rng, large, grain):
    texture = torch.rand(1, 3, 384, 512, generator=rng)
    if grain == "leaves":
        texture = colour(0.25, 0.6, 0.2) * (0.5 + texture[:, :1])
    refined, report = refine_and_report(texture, large)
    assert overlap(refined, large) > 0.98
    assert report.kept > 0.98 and report.added < 0.02


@pytest.mark.parametrize("thick", [2, 3])
def test_a_thin_stalk_that_is_painted_stays(scene, thick):
    image, truth = scene
    truth, image = truth.clone(), image.clone()
    truth[..., 74:96, 60 : 60 + thick] = 1
    stalk = colour(0.2, 0.5, 0.15).expand(3, 22, thick)
    image[0, :, 74:, 60 : 60 + thick] = stalk
    refined = refine_mask(image, grown(truth, 3))
    assert refined[..., 78:94, 60 : 60 + thick].min() > 0.5
    assert overlap(refined, truth) > 0.95


def test_a_thin_thing_painted_broadly_is_found(rng):
    image = colour(0.6, 0.75, 0.9).expand(3, 96, 128).clone()
    truth = torch.zeros(1, 1, 96, 128)
    truth[..., 10:90, 60:64] = 1
    image = speckled(torch.where(truth[0] > 0, colour(0.15, 0.4, 0.1), image), rng)[None]
    painted = grown(truth, 4)
    assert overlap(painted, truth) < 0.4  # less than half of the paint is meant
    assert overlap(refine_mask(image, painted), truth) > 0.9


def test_a_gap_of_the_objects_own_colour_is_kept(rng):
    # Dark between the petals, as nothing outside is: it is inside, however often it is seen.
    image = colour(0.6, 0.75, 0.9).expand(3, 96, 128).clone()
    image[:, 20:76, 30:100] = colour(0.8, 0.3, 0.3)
    image[:, 40:56, 50:80] = colour(0.1, 0.05, 0.1)
    painted = torch.zeros(1, 1, 96, 128)
    painted[..., 18:78, 28:102] = 1
    assert refine_mask(speckled(image, rng)[None], painted)[..., 24:72, 34:96].min() > 0.9


def test_the_report_counts_the_paint(scene):
    image, truth = scene
    painted = grown(truth, 4)
    painted[..., :40] = 0  # a part is missing
    refined, report = refine_and_report(image, painted)
    assert torch.equal(refined, refine_mask(image, painted))
    area = painted.sum()
    assert report.kept == pytest.approx((torch.minimum(refined, painted).sum() / area).item())
    assert report.added == pytest.approx((refined * (1 - painted)).sum().item() / area.item())
    assert 0.4 < report.kept < 0.95 and report.added > 0
    # All that is in the refined mask was kept or added.
    whole = (report.kept + report.added) * area.item()
    assert whole == pytest.approx(refined.sum().item(), rel=1e-5)


def test_what_is_not_touched_is_reported_as_painted(scene):
    image, truth = scene
    for mask in (torch.ones_like(truth), torch.zeros_like(truth)):
        assert refine_and_report(image, mask)[1] == Refinement(1.0, 0.0, 0.0)


def test_the_report_is_less_sure_where_colours_say_less(scene, rng):
    image, truth = scene
    painted = grown(truth, 4)
    alike = speckled(torch.full((3, 96, 128), 0.5), rng)[None]
    clear, vague = (refine_and_report(picture, painted)[1] for picture in (image, alike))
    assert 0 <= clear.unsure < vague.unsure <= 1


def test_the_report_is_one_sentence_and_says_when_it_is_unsure():
    sure, unsure = Refinement(0.82, 0.04, 0.1), Refinement(0.5, 0.2, 0.45)
    assert str(sure) == "Refining kept 82% of the paint and added 4% to it."
    assert not sure.doubtful and unsure.doubtful
    assert "about 45% of the mask is a guess" in str(unsure)
    assert all(str(report).count(".") == 1 for report in (sure, unsure))


def test_refining_a_refined_mask_changes_little(scene):
    image, truth = scene
    once = refine_mask(image, grown(truth, 5))
    assert overlap(refine_mask(image, once), once) > 0.97


def test_refining_is_flipped_with_the_picture(scene):
    image, truth = scene
    painted = grown(truth, 4)
    painted[..., :40] = 0
    once, flipped = refine_mask(image, painted), refine_mask(image.flip(3), painted.flip(3))
    assert (flipped.flip(3) - once).abs().mean() < 1e-3


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 1), (5, 7), (2, 300)])
def test_small_pictures_can_be_refined(rng, height, width):
    image = torch.rand(1, 3, height, width, generator=rng)
    mask = (torch.rand(1, 1, height, width, generator=rng) > 0.5).float()
    for values in (refine_mask(image, mask),):
        assert values.shape == mask.shape
        assert values.isfinite().all() and values.min() >= 0 and values.max() <= 1
