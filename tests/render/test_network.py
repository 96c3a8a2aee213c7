import itertools

import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import RENDERERS, RendererConfig
from gid_core.render.network import GIVEN, NEIGHBOURS, OTHERS, fresh_renderer, mixed, others_of

H, W = 46, 71  # no multiples of anything


@pytest.fixture
def model():
    return oracles.stirred(fresh_renderer(RENDERERS["tiny"]))


def some_given(rng, size=(24, 32)):
    """Channels as of a moment that moved by a few px, and uncovered something."""
    given = torch.rand(2, GIVEN, *size, generator=rng)
    given[:, 7:9] = 6 * given[:, 7:9] - 3
    given[:, 10:] = (2 * given[:, 10:] - 1).clamp(min=0)
    return given


def test_before_training_a_frame_is_the_weightless_one(rng):
    given = some_given(rng)
    assert torch.equal(fresh_renderer(RENDERERS["tiny"]).refined(given), given[:, 3:6])


def test_no_colour_is_made_up(rng, model):
    # Of noise, whatever the weights: between the darkest and the lightest of what it is mixed of.
    with torch.no_grad():
        model.shares.weight.mul_(100)
    given = some_given(rng)
    still, frame, uncovered, field, importance, _ = given.split((3, 3, 1, 2, 1, 1), 1)
    made = model.refined(given)
    others = others_of(still, frame, uncovered, field, importance)
    around = F.pad(frame, (1, 1, 1, 1), mode="replicate")
    pictures = torch.stack(
        [
            still,
            others[:, :3],
            others[:, 3:],
            F.max_pool2d(around, 3, 1),
            -F.max_pool2d(-around, 3, 1),
        ]
    )
    assert (made <= pictures.amax(0) + 1e-6).all() and (made >= pictures.amin(0) - 1e-6).all()
    assert (made - frame).abs().mean() > 0.05


def test_what_is_mixed_is_what_it_is_called(rng):
    frame, still, *others = torch.rand(4, 1, 3, 7, 9, generator=rng)
    for number in range(OTHERS):
        share = torch.zeros(1, OTHERS, 7, 9)
        share[:, number] = 1
        made = mixed(frame, still, torch.cat(others, 1), share)
        if number < len(NEIGHBOURS):
            down, right = (n - 1 for n in NEIGHBOURS[number])
            moved = frame.roll((-down, -right), (2, 3))
            torch.testing.assert_close(made[..., 1:-1, 1:-1], moved[..., 1:-1, 1:-1])
        else:
            torch.testing.assert_close(made, (still, *others)[number - len(NEIGHBOURS)])
    assert torch.equal(mixed(frame, still, torch.cat(others, 1), 0 * share), frame)


def test_shares_are_no_less_than_nothing_and_one_at_most(rng, model):
    given = some_given(rng)
    levels = model.splatted(model.pyramid(given[:, :3]), given[:, 7:9], given[:, 9:10])
    with torch.no_grad():
        model.shares.weight.mul_(100)
        share = model(levels, given[:, :3], given[:, 3:6], given[:, 6:7], given[:, 10:])
    assert share.shape == (2, OTHERS, 24, 32) and share.min() == 0
    assert share.sum(1).max() == pytest.approx(1, abs=1e-5)
    assert not share[(given[:, 10:] == 0).expand_as(share)].any()


@pytest.mark.parametrize("size", [(41, 65), (40, 64)])
def test_a_hole_at_the_border_is_filled_from_what_is_known(model, size):
    frame, uncovered = torch.full((1, 3, *size), 0.25), torch.zeros(1, 1, *size)
    frame[..., 10:30, -9:], uncovered[..., 10:30, -9:] = 1.0, 1.0
    frame, uncovered = (model.padded(x, "replicate") for x in (frame, uncovered))
    none = torch.zeros(1, 2, *frame.shape[-2:])
    fill = others_of(frame, frame, uncovered, none, none[:, :1])[:, 3:]
    torch.testing.assert_close(fill, torch.full_like(fill, 0.25), atol=1e-5, rtol=0)


def test_a_hole_is_filled_from_around_it_now(rng):
    still = torch.rand(1, 3, 20, 30, generator=rng)
    frame, uncovered = torch.full((1, 3, 20, 30), 0.25), torch.zeros(1, 1, 20, 30)
    frame[..., 8:12, 10:16], uncovered[..., 8:12, 10:16] = 1.0, 1.0
    none = torch.zeros(1, 2, 20, 30)
    splatted, fill = others_of(still, frame, uncovered, none, none[:, :1]).split(3, 1)
    torch.testing.assert_close(fill, torch.full_like(fill, 0.25), atol=1e-5, rtol=0)
    torch.testing.assert_close(splatted, still, atol=1e-5, rtol=0)


def reach(config, side, edge):
    """How far from a tile's edge, on a whole multiple, the farthest pixel lies that the tile
    sees."""
    model = fresh_renderer(config)
    with torch.no_grad():
        for parameter in model.parameters():  # nothing cancels, and nothing is cut off
            parameter.fill_(1 / parameter[0].numel() if parameter.ndim > 1 else 0.01)
        model.shares.weight.mul_(1e-3)
    ones = torch.ones(1, 1, 1, side).expand(1, 1, model.multiple, side)
    colours = 0.2 * ones.expand(1, 3, -1, -1)
    inputs = [x.clone().requires_grad_() for x in (colours, 1.1 * colours, ones)]
    levels = [
        0.1 * torch.ones(1, f + 1, model.multiple >> (i + 1), side >> (i + 1))
        for i, f in enumerate(config.features)
    ]
    levels = [x.requires_grad_() for x in levels]
    model(levels, *inputs, ones)[..., edge:].sum().backward()
    farthest = 0
    for i, x in enumerate([*inputs, *levels]):
        step = 1 if i < len(inputs) else 2 ** (i - len(inputs) + 1)
        first = int(x.grad.abs().sum((0, 1, 2)).nonzero().min()) * step
        farthest = max(farthest, edge - first)
    return model, farthest


@pytest.mark.parametrize(
    "config",
    [
        RENDERERS["tiny"],
        RENDERERS["small"],
        RendererConfig((2, 2, 2, 2), (2, 2, 2, 2), 2),
        RendererConfig((2, 3), (3, 2), 1),
    ],
)
def test_tiles_see_all_that_they_need_and_little_more(config):
    edge = 32 * 2 ** len(config.widths)
    model, farthest = reach(config, 2 * edge, edge)
    assert model.halo - model.multiple <= farthest <= model.halo < edge


def test_features_are_splatted_as_pictures_are(rng, model):
    still = torch.rand(3, H, W, generator=rng)
    # By whole multiples of the coarsest pixel, every level is shifted, and what it leaves is bare.
    pyramid = model.pyramid(F.pad(still, (0, 1, 0, 2))[None])
    field = torch.tensor([8.0, -16.0]).view(1, 2, 1, 1).expand(1, 2, H + 2, W + 1)
    for i, (level, moved) in enumerate(zip(pyramid, model.splatted(pyramid, field, field[:, :1]))):
        dx, dy = 8 >> (i + 1), 16 >> (i + 1)
        torch.testing.assert_close(
            moved[:, :-1, :-dy, dx:], level[:, :, dy:, :-dx], atol=1e-4, rtol=0
        )
        assert (moved[:, -1, :-dy, dx:] > 0.999).all()
        assert moved[:, :, -dy:].abs().max() < 1e-3 and moved[..., :dx].abs().max() < 1e-3


def test_gradients_reach_every_weight(rng, model):
    still, frame = (torch.rand(2, 3, 24, 32, generator=rng) for _ in range(2))
    field = torch.randn(2, 2, 24, 32, generator=rng)
    ones = torch.ones(2, 1, 24, 32)
    levels = model.splatted(model.pyramid(still), field, ones)
    model(levels, still, frame, 0.5 * ones, ones).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_seeds_are_models_and_leave_random_numbers_alone():
    before = torch.get_rng_state()
    one, same, other = (fresh_renderer(RENDERERS["tiny"], seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.down[0].weight, same.down[0].weight)
    assert not torch.equal(one.down[0].weight, other.down[0].weight)


def test_presets_grow():
    sizes = [sum(p.numel() for p in fresh_renderer(c).parameters()) for c in RENDERERS.values()]
    assert all(a < b for a, b in itertools.pairwise(sizes))
