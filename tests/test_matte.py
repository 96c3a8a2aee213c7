import oracles
import pytest
import torch

from gid_core.matte import complete, filled, flexibility, guided_filter, refine_mask


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
    for values in (refine_mask(image, mask), flexibility(image)):
        assert values.shape == mask.shape
        assert values.isfinite().all() and values.min() >= 0 and values.max() <= 1


def test_what_is_textured_and_coloured_is_guessed_to_move(rng):
    image = torch.full((1, 3, 96, 128), 0.6)
    leaves = colour(0.2, 0.5, 0.1) * torch.rand(1, 96, 64, generator=rng) * 2
    image[..., :64] = leaves
    guess = flexibility(image)
    assert guess[..., :56].mean() > 0.95 and guess[..., 72:].mean() < 0.05
    assert set(guess.unique().tolist()) == {0, 1}


def test_grey_texture_moves_less_likely_than_green(rng):
    texture = torch.rand(1, 96, 128, generator=rng)
    image = (texture * colour(0.5, 0.5, 0.5))[None]
    image[..., :64] = (texture * colour(0.3, 0.8, 0.1))[..., :64]
    guess = flexibility(image)
    assert guess[..., :56].mean() > 0.9 and guess[..., 72:].mean() < 0.1


def test_in_a_flat_picture_nothing_moves():
    assert not flexibility(torch.full((1, 3, 60, 80), 0.4)).any()


def test_the_plate_is_the_picture_where_nothing_moves(rng):
    image = torch.rand(4, 40, 56, generator=rng)
    matte = torch.zeros(1, 40, 56)
    matte[:, 10:30, 15:40] = torch.rand(20, 25, generator=rng) * 0.9 + 0.1
    plate = complete(image, matte)
    still = (matte == 0).expand_as(image)
    assert torch.equal(plate[still], image[still])
    assert not torch.equal(plate, image)


@pytest.fixture
def two_things():
    """What moves: a block inside, and one cut off by the border."""
    matte = torch.zeros(1, 40, 56)
    matte[:, 12:30, 20:38] = 1
    matte[:, 0:9, 3:10] = 0.3
    return matte


def test_the_plate_never_shows_what_moves(rng, two_things):
    image = colour(0.0, 0.5, 0.8) * torch.rand(1, 40, 56, generator=rng)
    image[0] = (two_things[0] > 0).float()  # nothing else is red
    assert complete(image, two_things)[0].max() == 0


def test_what_a_soft_edge_leaves_outside_the_matte_stays_there(rng, two_things):
    image = colour(0.0, 0.5, 0.8) * torch.rand(1, 40, 56, generator=rng)
    moving = (two_things > 0).float()[None]
    image[0] = grown(moving, 2)[0, 0]
    plate = complete(image, two_things)
    deep = 1 - grown(1 - moving, 2)[0, 0]  # farther in than the softening of the plate reaches
    assert (plate[0] * deep).max() == 0 < deep.max()


def test_the_plate_is_as_bright_as_its_sources(rng):
    image = 0.3 + 0.4 * torch.rand(3, 40, 56, generator=rng)
    matte = torch.zeros(1, 40, 56)
    matte[:, 12:30, 20:38] = 1
    image = torch.where(matte > 0, 1.0, image)
    filled = complete(image, matte)[:, 14:28, 22:36]
    assert filled.min() >= 0.3 and filled.max() <= 0.7


def test_behind_a_thin_thing_stripes_go_on():
    x = torch.arange(64)
    stripes = ((x // 4) % 2).float().expand(3, 48, 64)  # vertical, of period 8
    matte = torch.zeros(1, 48, 64)
    matte[:, 20:24] = 1  # across all stripes
    image = torch.where(matte > 0, 0.5, stripes)
    plate = complete(image, matte)
    expected = oracles.box(oracles.box(stripes, 1), 1)  # what is filled is softened
    torch.testing.assert_close(plate[:, 20:24], expected[:, 20:24], rtol=0, atol=1e-5)


@pytest.mark.parametrize("besides", [False, True])
def test_the_plate_is_mirrored_inwards(rng, besides):
    # Rows of random brightness; the nearest that are safe are two away from what moves.
    rows, sources = torch.rand(48, generator=rng), torch.arange(48)
    matte = torch.zeros(1, 48, 30)
    matte[:, 20:24] = 1
    sources[20:24] = torch.tensor([14, 13, 30, 29])  # 17 - 3, 17 - 4, 26 + 4, 26 + 3
    if besides:  # rows 4 to 14 are not safe either: half as far
        matte[:, 6:13] = 1
        sources[20:22] = 15
    plate = complete(rows.view(1, 48, 1).expand(3, 48, 30), matte)
    expected = oracles.box(oracles.box(rows[sources].view(1, 48, 1).expand(1, 48, 5), 1), 1)
    torch.testing.assert_close(plate[:1, 20:24, :5], expected[:, 20:24])


@pytest.mark.parametrize("height, width", [(1, 1), (3, 3), (1, 20)])
def test_where_everything_moves_the_plate_is_the_picture(rng, height, width):
    image = torch.rand(3, height, width, generator=rng)
    assert torch.equal(complete(image, torch.ones(1, height, width)), image)
    assert torch.equal(complete(image, torch.zeros(1, height, width)), image)


def test_the_guided_filter_equals_the_fit_in_every_window(rng):
    guide = torch.rand(1, 3, 6, 7, generator=rng, dtype=torch.float64)
    values = torch.rand(1, 1, 6, 7, generator=rng, dtype=torch.float64)
    expected = oracles.guided_filter(guide, values, 2, 0.01)
    found = guided_filter(guide, values, 2, 0.01)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_the_guided_filter_returns_linear_functions_of_the_guide(rng):
    guide = torch.rand(1, 3, 12, 15, generator=rng, dtype=torch.float64)
    values = (guide * torch.tensor([0.3, -0.5, 0.7]).view(1, 3, 1, 1)).sum(1, keepdim=True) + 0.2
    found = guided_filter(guide, values, 3, 1e-12)
    torch.testing.assert_close(found, values, rtol=0, atol=1e-8)


def test_the_guided_filter_preserves_constants_and_is_linear(rng):
    guide = torch.rand(1, 3, 12, 15, generator=rng, dtype=torch.float64)
    a, b = torch.rand(2, 1, 1, 12, 15, generator=rng, dtype=torch.float64)
    constant = guided_filter(guide, torch.full_like(a, 0.7), 3, 1e-3)
    torch.testing.assert_close(constant, torch.full_like(a, 0.7), rtol=0, atol=1e-12)
    both = guided_filter(guide, 2 * a - b, 3, 1e-3)
    apart = 2 * guided_filter(guide, a, 3, 1e-3) - guided_filter(guide, b, 3, 1e-3)
    torch.testing.assert_close(both, apart, rtol=0, atol=1e-12)


def test_over_a_flat_guide_the_filter_is_two_box_means(rng):
    values = torch.rand(1, 1, 9, 11, generator=rng, dtype=torch.float64)
    found = guided_filter(torch.full((1, 3, 9, 11), 0.5).double(), values, 2, 1e-3)
    expected = oracles.box(oracles.box(values[0], 2), 2)[None]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_filled_keeps_what_is_known_and_lies_within_it(rng):
    picture, known = torch.rand(2, 3, 150, 270, generator=rng), torch.ones(2, 1, 150, 270)
    known[..., 10:139, 60:201] = 0  # however large
    made = filled(torch.where(known > 0, picture, 7.0), known)
    assert torch.equal(made[:, :, known[0, 0] > 0], picture[:, :, known[0, 0] > 0])
    hole = made[:, :, known[0, 0] == 0]
    assert (hole >= 0).all() and (hole <= 1 + 1e-5).all() and hole.std() > 0.01


def test_filled_goes_on_with_what_is_near():
    picture = torch.linspace(0, 1, 64).expand(1, 1, 24, 64)
    known = torch.ones(1, 1, 24, 64)
    known[..., 20:36] = 0
    made = filled(picture * known, known)
    assert (made - picture).abs().max() < 0.15
    torch.testing.assert_close(filled(0.3 + 0 * picture, known), 0.3 + 0 * picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (3, 2), (130, 256)])
def test_filled_where_nothing_is_known_is_near_the_mean(rng, size):
    picture = torch.rand(1, 2, *size, generator=rng)
    none = filled(picture, torch.zeros(1, 1, *size))
    # Pads weigh nothing, but the last of an odd count of pixels weighs as much as two.
    assert (none - picture.mean((2, 3), keepdim=True)).abs().max() < 0.1 + 0.4 * (min(size) < 4)
    assert none.std((2, 3), correction=0).max() < 1e-3 + 0.3 * (min(size) < 4)
    assert torch.equal(filled(picture, torch.ones(1, 1, *size)), picture)
