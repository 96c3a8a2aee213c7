import oracles
import pytest
import torch

from gid_core.still import background
from gid_core.still.background import AWAY, REACHES, continued, fill_background, mirrored
from gid_core.still.filters import pull_push


def colour(*rgb):
    return torch.tensor(rgb).view(3, 1, 1)


def grown(mask, by):
    return torch.nn.functional.max_pool2d(mask, 2 * by + 1, 1, by)


def test_the_background_is_the_picture_where_nothing_moves(rng):
    image = torch.rand(4, 40, 56, generator=rng)
    matte = torch.zeros(1, 40, 56)
    matte[:, 10:30, 15:40] = torch.rand(20, 25, generator=rng) * 0.9 + 0.1
    background = fill_background(image, matte)
    still = (matte == 0).expand_as(image)
    assert torch.equal(background[still], image[still])
    assert not torch.equal(background, image)


@pytest.fixture
def two_things():
    """What moves: a block inside, and one cut off by the border."""
    matte = torch.zeros(1, 40, 56)
    matte[:, 12:30, 20:38] = 1
    matte[:, 0:9, 3:10] = 0.3
    return matte


def test_the_background_never_shows_what_moves(rng, two_things):
    image = colour(0.0, 0.5, 0.8) * torch.rand(1, 40, 56, generator=rng)
    image[0] = (two_things[0] > 0).float()  # nothing else is red
    assert fill_background(image, two_things)[0].max() == 0


def test_what_a_soft_edge_leaves_outside_the_matte_stays_there(rng, two_things):
    image = colour(0.0, 0.5, 0.8) * torch.rand(1, 40, 56, generator=rng)
    moving = (two_things > 0).float()[None]
    image[0] = grown(moving, 2)[0, 0]
    background = fill_background(image, two_things)
    deep = 1 - grown(1 - moving, 4)[0, 0]  # farther in than so sharp an edge goes on
    assert (background[0] * deep).max() == 0 < deep.max()


def test_the_background_is_as_bright_as_its_sources(rng):
    image = 0.3 + 0.4 * torch.rand(3, 40, 56, generator=rng)
    matte = torch.zeros(1, 40, 56)
    matte[:, 12:30, 20:38] = 1
    image = torch.where(matte > 0, 1.0, image)
    pull_push = fill_background(image, matte)[:, 14:28, 22:36]
    assert pull_push.min() >= 0.3 and pull_push.max() <= 0.7


def test_behind_a_thin_thing_stripes_go_on():
    x = torch.arange(64)
    stripes = ((x // 4) % 2).float().expand(3, 48, 64)  # vertical, of period 8
    matte = torch.zeros(1, 48, 64)
    matte[:, 20:24] = 1  # across all stripes
    image = torch.where(matte > 0, 0.5, stripes)
    softened = oracles.box(oracles.box(stripes, 1), 1)
    moving = matte[0] > 0
    filled = mirrored(image, moving, grown(moving[None].float(), AWAY)[0] > 0)
    torch.testing.assert_close(filled[:, 20:24], softened[:, 20:24], rtol=0, atol=1e-5)
    error = (fill_background(image, matte) - stripes)[:, moving].abs()
    assert error.mean() < 0.8 * (softened - stripes)[:, moving].abs().mean()


@pytest.mark.parametrize("besides", [False, True])
def test_the_background_is_mirrored_inwards(rng, besides):
    # Rows of random brightness; the nearest that are safe are two away from what moves.
    rows, sources = torch.rand(48, generator=rng), torch.arange(48)
    matte = torch.zeros(1, 48, 30)
    matte[:, 20:24] = 1
    sources[20:24] = torch.tensor([14, 13, 30, 29])  # 17 - 3, 17 - 4, 26 + 4, 26 + 3
    if besides:  # rows 4 to 14 are not safe either: half as far
        matte[:, 6:13] = 1
        sources[20:22] = 15
    moving = matte[0] > 0
    unsafe = grown(moving[None].float(), AWAY)[0] > 0
    background = mirrored(rows.view(1, 48, 1).expand(3, 48, 30), moving, unsafe)
    expected = oracles.box(oracles.box(rows[sources].view(1, 48, 1).expand(1, 48, 5), 1), 1)
    torch.testing.assert_close(background[:1, 20:24, :5], expected[:, 20:24])


def test_what_no_mirror_reaches_has_no_edge_of_its_own(rng):
    # Two places stay, one black and one white; all between them moves.
    moving = torch.ones(48, 80, dtype=torch.bool)
    moving[21:28, 9:16] = moving[21:28, 64:71] = False
    image = (torch.arange(80) > 40).float().expand(3, 48, 80)
    filled = mirrored(image, moving, grown(moving[None].float(), AWAY)[0] > 0)
    assert filled[:, 24, 38:42].diff().abs().max() < 0.05  # blocks of black and white met there
    assert filled[:, 24, 18].max() < 0.3 and filled[:, 24, 61].min() > 0.7


def ramp(blur, cut, width=80):
    """Dark on the left, bright on the right, blurred by so many px; what moves ends at `cut`."""
    x = torch.arange(width).float()
    image = ((x - 40) / blur).sigmoid().expand(3, 30, width).clone()
    matte = torch.zeros(1, 30, width)
    matte[..., :cut] = 1
    return image, matte


@pytest.mark.parametrize("blur", [2.0, 3.0])
def test_an_edge_that_is_out_of_focus_goes_on_behind_what_moves(blur):
    image, matte = ramp(blur, 40)
    background = fill_background(image, matte)
    filled = mirrored(image, matte[0] > 0, grown(matte[None], AWAY)[0, 0] > 0)
    slope = (image[0, 9, 41:43] - image[0, 9, 40:42]).max()
    step = (image[0, 9, 40] - background[0, 9, 39]).abs()
    assert step < slope < 0.7 * (filled[0, 9, 39] - image[0, 9, 40])
    far = 40 - REACHES - 1
    torch.testing.assert_close(background[..., :far], filled[..., :far])
    assert (background[0, 9, 20:40].diff() <= 1e-6).all()  # bright inside, and dark to the edge


def test_a_sharp_edge_goes_on_for_no_more_than_three_pixels():
    image, matte = ramp(0.05, 41)  # what moves is dark; the pixel beside it is bright already
    torch.testing.assert_close(fill_background(image, matte), torch.ones_like(image))
    image, matte = ramp(0.05, 39)  # one dark pixel stays
    background = fill_background(image, matte)
    torch.testing.assert_close(background[..., :35], torch.ones_like(image[..., :35]))


def test_what_is_filled_without_a_step_is_left_alone(rng):
    image = torch.full((3, 20, 30), 0.4)
    moving = torch.zeros(20, 30, dtype=torch.bool)
    moving[5:15, 8:22] = True
    assert torch.equal(continued(image, image, moving), image)
    given = torch.rand(3, 20, 30, generator=rng)
    assert torch.equal(continued(image, given, moving)[:, ~moving], given[:, ~moving])


@pytest.mark.parametrize("height, width", [(1, 1), (3, 3), (1, 20)])
def test_where_everything_moves_the_background_is_the_picture(rng, height, width):
    image = torch.rand(3, height, width, generator=rng)
    assert torch.equal(fill_background(image, torch.ones(1, height, width)), image)
    assert torch.equal(fill_background(image, torch.zeros(1, height, width)), image)


def test_filled_keeps_what_is_known_and_lies_within_it(rng):
    picture, known = torch.rand(2, 3, 150, 270, generator=rng), torch.ones(2, 1, 150, 270)
    known[..., 10:139, 60:201] = 0  # however large
    made = pull_push(torch.where(known > 0, picture, 7.0), known)
    assert torch.equal(made[:, :, known[0, 0] > 0], picture[:, :, known[0, 0] > 0])
    hole = made[:, :, known[0, 0] == 0]
    assert (hole >= 0).all() and (hole <= 1 + 1e-5).all() and hole.std() > 0.01


def test_filled_goes_on_with_what_is_near():
    picture = torch.linspace(0, 1, 64).expand(1, 1, 24, 64)
    known = torch.ones(1, 1, 24, 64)
    known[..., 20:36] = 0
    made = pull_push(picture * known, known)
    assert (made - picture).abs().max() < 0.15
    torch.testing.assert_close(pull_push(0.3 + 0 * picture, known), 0.3 + 0 * picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (3, 2), (130, 256)])
def test_filled_where_nothing_is_known_is_near_the_mean(rng, size):
    picture = torch.rand(1, 2, *size, generator=rng)
    none = pull_push(picture, torch.zeros(1, 1, *size))
    # Pads weigh nothing, but the last of an odd count of pixels weighs as much as two.
    assert (none - picture.mean((2, 3), keepdim=True)).abs().max() < 0.1 + 0.4 * (min(size) < 4)
    assert none.std((2, 3), correction=0).max() < 1e-3 + 0.3 * (min(size) < 4)
    assert torch.equal(pull_push(picture, torch.ones(1, 1, *size)), picture)


@pytest.mark.parametrize("height, width", [(61, 83), (60, 80)])
def test_large_pictures_are_searched_by_blocks_and_keep_the_laws(rng, monkeypatch, height, width):
    still = torch.rand(3, height, width, generator=rng)
    matte = torch.zeros(1, height, width)
    matte[:, 20:45, 15:50] = 1
    still[:, 20:45, 15:50] = 2.0  # no colour of anything else
    monkeypatch.setattr(background, "MOST_SEARCHED", height * width // 9)
    filled = fill_background(still, matte)
    stays = matte[0] == 0
    assert torch.equal(filled[:, stays], still[:, stays]) and filled.max() <= 1


def test_blocks_that_all_hold_something_moving_are_searched_one_by_one(rng, monkeypatch):
    still, matte = torch.rand(3, 30, 30, generator=rng), torch.ones(1, 30, 30)
    matte[:, :, ::10] = 0
    matte = 1 - torch.nn.functional.max_pool2d(1 - matte, (1, 7), 1, (0, 3))
    monkeypatch.setattr(background, "MOST_SEARCHED", 9)
    filled = fill_background(still, matte)
    assert (
        torch.equal(filled[:, matte[0] == 0], still[:, matte[0] == 0]) and filled.isfinite().all()
    )
