import itertools

import pytest
import torch
import torch.nn.functional as F

from gid_core.config import RENDERERS, RendererConfig
from gid_core.renderer import (
    GATE_PX,
    fresh_renderer,
    load_renderer,
    painter,
    render_frames,
    save_renderer,
    shipped_renderer,
)
from gid_core.separation import moved_frames
from gid_core.spectrum import Displacement

H, W = 46, 71  # no multiples of anything


def stirred(model, seed=1):
    """Weights as after some training: nothing that begins at zero is left at it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture
def model():
    return stirred(fresh_renderer(RENDERERS["tiny"]))


@pytest.fixture
def still(rng):
    return F.interpolate(torch.rand(1, 3, 12, 18, generator=rng), (H, W), mode="bicubic")[0].clamp(0, 1)  # fmt: skip


@pytest.fixture
def matte():
    matte = torch.zeros(1, H, W)
    matte[:, 14:30, 20:44] = 1
    return matte


def motion(rng, frames=3, size=3.0):
    field = F.interpolate(size * torch.randn(frames, 2, 3, 4, generator=rng), (12, 18), mode="bicubic")  # fmt: skip
    return Displacement.of_frames(field[None], 8.0, (H, W))


def test_before_training_every_frame_is_the_weightless_one(rng, still, matte):
    moving, fresh = motion(rng), fresh_renderer(RENDERERS["tiny"])
    for (one, hole), moved in zip(
        render_frames(still, moving, matte=matte, model=fresh),
        moved_frames(still, moving, matte=matte),
        strict=True,
    ):
        assert torch.equal(one, moved.frame) and torch.equal(hole, moved.uncovered)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_where_nothing_moves_and_nothing_lands_the_still_stays_bit_for_bit(rng, model, channels, matte):  # fmt: skip
    still = torch.rand(channels, H, W, generator=rng)
    changed = torch.zeros(H, W, dtype=torch.bool)
    moving = motion(rng)
    for moved, (frame, _) in zip(
        moved_frames(still, moving, matte=matte),
        render_frames(still, moving, matte=matte, model=model),
        strict=True,
    ):
        assert frame.shape == still.shape
        quiet = moved.fields[3] == 0
        assert quiet.any() and torch.equal(frame[:, quiet], still[:, quiet])
        changed |= (frame[:3] != moved.frame[:3]).any(0)
    assert changed.float().mean() > 0.05  # it does paint where things move


def test_no_motion_is_the_still_bit_for_bit(model, still, matte):
    none = Displacement.of_frames(torch.zeros(1, 2, 2, 12, 18), 8.0, (H, W))
    for frame, _ in render_frames(still, none, matte=matte, model=model):
        assert torch.equal(frame, still)


def test_as_a_motion_goes_to_zero_the_frame_goes_to_the_still(rng, model, still, matte):
    errors = []
    for size in (0.4, 0.04, 0.004):
        moving = motion(torch.Generator().manual_seed(3), 1, size)
        frame, _ = next(render_frames(still, moving, matte=matte, model=model))
        errors.append(float((frame - still).abs().max()))
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0
    assert 0.004 < GATE_PX < 0.4


@pytest.mark.parametrize("config", [RENDERERS["tiny"], RENDERERS["small"], RendererConfig((4, 5, 6, 7), (5, 6, 7, 8), 2)])  # fmt: skip
def test_tiles_give_what_the_whole_gives(rng, config):
    model = stirred(fresh_renderer(config))
    still = torch.rand(3, 150, 210, generator=rng)
    field = F.interpolate(4 * torch.randn(1, 2, 3, 4, generator=rng), (20, 33), mode="bicubic")
    moving = Displacement.of_frames(field[None], 8.0, (150, 210))
    moved = next(moved_frames(still, moving))
    whole = painter(model, still).finish(moved)
    step = model.multiple
    for tile in (40, 128):
        tiles = painter(model, still, tile=-(-tile // step) * step).finish(moved)
        torch.testing.assert_close(tiles, whole, atol=2e-5, rtol=0)


def test_the_margin_of_tiles_is_not_wasted(rng, model):
    # A pixel changed within the margin's last third is still seen: it is no larger than it must be.
    size = 4 * model.halo
    still, given = torch.rand(1, 3, size, size, generator=rng), torch.ones(1, 1, size, size)
    levels = [torch.cat([x, x[:, :1]], 1) for x in model.pyramid(still)]
    frame = torch.rand(1, 3, size, size, generator=rng).requires_grad_()
    middle = size // 2
    model(levels, still, frame, given, given)[0, :, middle, middle].sum().backward()
    seen = frame.grad[0].abs().sum(0).nonzero()
    far = (seen - middle).abs().max()
    assert 0.6 * model.halo < far <= model.halo


def test_a_frame_does_not_depend_on_those_before(rng, model, still, matte):
    moving = motion(rng, 4)
    every = [frame for frame, _ in render_frames(still, moving, matte=matte, model=model)]
    (alone, _), *_ = render_frames(still, moving, matte=matte, frames=[2], model=model)
    assert torch.equal(alone, every[2])


def test_features_are_splatted_as_pictures_are(rng, model, still):
    # By whole multiples of the coarsest pixel, every level is shifted, and what it leaves is bare.
    pyramid = model.pyramid(F.pad(still, (0, 1, 0, 2))[None])
    field = torch.tensor([8.0, -16.0]).view(1, 2, 1, 1).expand(1, 2, H + 2, W + 1)
    for i, (level, moved) in enumerate(zip(pyramid, model.splatted(pyramid, field, field[:, :1]))):
        dx, dy = 8 >> (i + 1), 16 >> (i + 1)
        torch.testing.assert_close(moved[:, :-1, :-dy, dx:], level[:, :, dy:, :-dx], atol=1e-4, rtol=0)  # fmt: skip
        assert (moved[:, -1, :-dy, dx:] > 0.999).all()
        assert moved[:, :, -dy:].abs().max() < 1e-3 and moved[..., :dx].abs().max() < 1e-3


def test_gradients_reach_every_weight(rng, model):
    still, frame = (torch.rand(2, 3, 24, 32, generator=rng) for _ in range(2))
    field = torch.randn(2, 2, 24, 32, generator=rng)
    ones = torch.ones(2, 1, 24, 32)
    levels = model.splatted(model.pyramid(still), field, ones)
    model(levels, still, frame, 0.5 * ones, ones).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 1), (2, 2), (8, 8)])
def test_small_pictures_can_be_rendered(rng, model, height, width):
    still = torch.rand(3, height, width, generator=rng)
    field = torch.randn(1, 2, 2, 2, 2, generator=rng)
    moving = Displacement.of_frames(field, 8.0, (height, width))
    for frame, _ in render_frames(still, moving, model=model):
        assert frame.shape == still.shape and 0 <= frame.min() and frame.max() <= 1


def test_alpha_is_that_of_the_weightless_frame(rng, model, still, matte):
    seen = torch.cat([still, torch.rand(1, H, W, generator=rng)])
    moving = motion(rng, 1)
    moved = next(moved_frames(seen, moving, matte=matte))
    frame, _ = next(render_frames(seen, moving, matte=matte, model=model))
    assert torch.equal(frame[3], moved.frame[3]) and not torch.equal(frame[:3], moved.frame[:3])


def test_seeds_are_models_and_leave_random_numbers_alone():
    before = torch.get_rng_state()
    one, same, other = (fresh_renderer(RENDERERS["tiny"], seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.down[0].weight, same.down[0].weight)
    assert not torch.equal(one.down[0].weight, other.down[0].weight)


def test_saved_and_read_again_it_renders_the_same(rng, model, still, matte, tmp_path):
    save_renderer(model, tmp_path / "r.safetensors", {"data": "none"})
    read = load_renderer(tmp_path / "r.safetensors")
    assert read.config == model.config
    moving = motion(rng, 1)
    one, other = (next(render_frames(still, moving, matte=matte, model=m))[0] for m in (model, read))  # fmt: skip
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)  # half precision
    assert not torch.equal(one, next(render_frames(still, moving, matte=matte))[0])


@pytest.mark.parametrize("config", [RendererConfig((4, 5), (4, 5, 6)), RendererConfig((4,) * 7, (4,) * 7), RendererConfig((4,), (4,), 17)])  # fmt: skip
def test_configurations_that_make_no_sense_are_refused(tmp_path, config):
    model = fresh_renderer(RENDERERS["tiny"])
    model.config = config
    save_renderer(model, tmp_path / "r.safetensors")
    with pytest.raises(ValueError, match="contradicts itself"):
        load_renderer(tmp_path / "r.safetensors")


def test_a_motion_model_is_no_renderer():
    with pytest.raises(ValueError, match="no renderer"):
        load_renderer(shipped_renderer().with_name("motion-small.safetensors"))


def test_presets_grow():
    sizes = [sum(p.numel() for p in fresh_renderer(c).parameters()) for c in RENDERERS.values()]
    assert all(a < b for a, b in itertools.pairwise(sizes))
