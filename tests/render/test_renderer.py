import oracles
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import RENDERERS, RendererConfig
from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import MOST_MOMENTS, Displacement, shutter_samples
from gid_core.render.layers import splatted_frames
from gid_core.render.network import GATE_PX, fresh_renderer
from gid_core.render.renderer import (
    load_renderer,
    refiner,
    render_frames,
    save_renderer,
    shipped_renderer,
)
from gid_core.still.alpha import straight

H, W = 46, 71  # no multiples of anything


@pytest.fixture
def model():
    return oracles.stirred(fresh_renderer(RENDERERS["tiny"]))


@pytest.fixture
def still(rng):
    return F.interpolate(torch.rand(1, 3, 12, 18, generator=rng), (H, W), mode="bicubic")[0].clamp(
        0, 1
    )


@pytest.fixture
def matte():
    matte = torch.zeros(1, H, W)
    matte[:, 14:30, 20:44] = 1
    return matte


def motion(rng, frames=3, size=3.0):
    field = F.interpolate(
        size * torch.randn(frames, 2, 3, 4, generator=rng), (12, 18), mode="bicubic"
    )
    return Displacement.of_frames(field[None], 8.0, (H, W))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_where_nothing_moves_and_nothing_lands_the_still_stays_bit_for_bit(
    rng, model, channels, matte
):
    still = torch.rand(channels, H, W, generator=rng)
    changed = torch.zeros(H, W, dtype=torch.bool)
    moving = motion(rng)
    for moved, (frame, _) in zip(
        splatted_frames(still, moving, matte=matte),
        render_frames(still, moving, matte=matte, model=model),
        strict=True,
    ):
        assert frame.shape == still.shape
        quiet = moved.fields[3] == 0
        assert quiet.any() and torch.equal(frame[:, quiet], still[:, quiet])
        changed |= (frame[:3] != moved.frame[:3]).any(0)
    assert changed.float().mean() > 0.05  # it does change something where things move


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
    assert errors[0] > 3 * errors[1] > 15 * errors[2] > 0
    assert 0.004 < GATE_PX < 0.4


def test_tiles_give_what_the_whole_gives(rng):
    model = oracles.stirred(fresh_renderer(RENDERERS["small"]))
    still = torch.rand(3, 150, 210, generator=rng)
    field = F.interpolate(4 * torch.randn(1, 2, 3, 4, generator=rng), (20, 33), mode="bicubic")
    moving = Displacement.of_frames(field[None], 8.0, (150, 210))
    moved = next(splatted_frames(still, moving))
    whole = refiner(model, still).refine(moved)
    for tile in (40, 128):
        tiles = refiner(model, still, tile=tile).refine(moved)
        torch.testing.assert_close(tiles, whole, atol=1e-6, rtol=0)


def test_a_frame_does_not_depend_on_those_before(rng, model, still, matte):
    moving = motion(rng, 4)
    every = [frame for frame, _ in render_frames(still, moving, matte=matte, model=model)]
    (alone, _), *_ = render_frames(still, moving, matte=matte, frames=[2], model=model)
    assert torch.equal(alone, every[2])


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 1), (2, 2), (8, 8)])
def test_small_pictures_can_be_rendered(rng, model, height, width):
    still = torch.rand(3, height, width, generator=rng)
    field = torch.randn(1, 2, 2, 2, 2, generator=rng)
    moving = Displacement.of_frames(field, 8.0, (height, width))
    for frame, _ in render_frames(still, moving, model=model):
        assert frame.shape == still.shape and 0 <= frame.min() and frame.max() <= 1


@pytest.mark.parametrize("weights", ["stirred", "shipped"])
def test_what_has_one_colour_keeps_it_however_transparent_it_is(rng, model, weights):
    model = model if weights == "stirred" else load_renderer(shipped_renderer())
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    alpha = ((14 - torch.hypot(y - 22.0, x - 33.0)) / 3).clamp(0, 1)  # a disc with a soft edge
    colour = torch.tensor([0.9, 0.4, 0.1]).view(3, 1, 1)
    seen = torch.cat([colour.expand(3, H, W), alpha[None]])
    moving = motion(rng, 2)
    rendered = render_frames(seen, moving, model=model)
    for (frame, _), moved in zip(rendered, splatted_frames(seen, moving), strict=True):
        there = frame[3] > 0.02
        for shown_frame in (frame, straight(moved.frame)):
            # Premultiplied sums of a few terms, divided by an alpha of .02 and more.
            assert (shown_frame[:3, there] - colour[:, 0]).abs().max() < 1e-5
        assert torch.equal(frame[3], moved.frame[3]) and there.sum() > 200


def test_alpha_is_that_of_the_weightless_frame(rng, model, still, matte):
    seen = torch.cat([still, torch.rand(1, H, W, generator=rng)])
    moving = motion(rng, 1)
    moved = next(splatted_frames(seen, moving, matte=matte))
    frame, _ = next(render_frames(seen, moving, matte=matte, model=model))
    assert torch.equal(frame[3], moved.frame[3]) and not torch.equal(frame[:3], moved.frame[:3])


def test_saved_and_read_again_it_renders_the_same(rng, model, still, matte, tmp_path):
    save_renderer(model, tmp_path / "r.safetensors", {"data": "none"})
    read = load_renderer(tmp_path / "r.safetensors")
    assert read.config == model.config
    moving = motion(rng, 1)
    one, other = (
        next(render_frames(still, moving, matte=matte, model=m))[0] for m in (model, read)
    )
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)  # half precision
    assert not torch.equal(one, next(render_frames(still, moving, matte=matte))[0])


@pytest.mark.parametrize(
    "config",
    [
        RendererConfig((4, 5), (4, 5, 6)),
        RendererConfig((4,) * 7, (4,) * 7),
        RendererConfig((4,), (4,), 17),
    ],
)
def test_configurations_that_make_no_sense_are_refused(tmp_path, config):
    model = fresh_renderer(RENDERERS["tiny"])
    model.config = config
    save_renderer(model, tmp_path / "r.safetensors")
    with pytest.raises(ValueError, match="contradicts itself"):
        load_renderer(tmp_path / "r.safetensors")


def test_a_motion_model_is_no_renderer():
    with pytest.raises(ValueError, match="no renderer"):
        load_renderer(shipped_renderer().with_name("motion-small.safetensors"))


def test_less_memory_gives_the_same_frame_in_smaller_tiles(rng, model):
    # A device on which more than so many pixels at once do not fit.
    still = torch.rand(3, 150, 210, generator=rng)
    moving = Displacement.of_frames(torch.randn(1, 1, 2, 3, 4, generator=rng), 8.0, (150, 210))
    moved = next(splatted_frames(still, moving))
    whole, asked = refiner(model, still).refine(moved), []

    def full(_, given):
        asked.append(given[1].shape[-1])
        if given[1].shape[-1] > 200:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = model.register_forward_pre_hook(full)
    small = refiner(model, still, tile=256)
    torch.testing.assert_close(small.refine(moved), whole, atol=1e-6, rtol=0)
    assert small.tile == 128 and asked[0] > 200 and asked[-1] <= 200
    handle.remove()
    model.register_forward_pre_hook(
        lambda *_: (_ for _ in ()).throw(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    )
    with pytest.raises(ValueError, match="too little memory to refine a frame, even 64 px"):
        refiner(model, still).refine(moved)


@pytest.mark.parametrize(
    "error, kind",
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), torch.cuda.OutOfMemoryError),
        (MemoryError(), ValueError),
    ],
)
def test_a_host_knows_a_graphics_card_without_memory_by_its_type(rng, model, still, error, kind):
    model.encode[0].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(kind, match="There is too little memory for the features"):
        refiner(model, still)


def test_other_errors_are_no_lack_of_memory(rng, model, still):
    moved = next(splatted_frames(still, motion(rng, 1)))
    model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        refiner(model, still).refine(moved)


def test_a_shutter_that_is_hardly_open_changes_nothing(rng, still, matte):
    moving = motion(rng, 4)
    for (sharp, hole), (blurred, other) in zip(
        render_frames(still, moving, matte=matte),
        render_frames(still, moving, matte=matte, shutter=1e-5),
        strict=True,
    ):
        torch.testing.assert_close(blurred, sharp, atol=2e-3, rtol=0)
        torch.testing.assert_close(other, hole, atol=1e-2, rtol=0)


def test_a_blurred_frame_is_the_mean_of_the_moments_it_is_exposed_to():
    # A loop of one harmonic that goes to and fro: at its middle it is fastest, at its ends it
    # rests.
    y = torch.arange(40.0).view(40, 1)
    still = (0.5 + 0.3 * torch.sin(2 * torch.pi * y / 10)).expand(3, 40, 30).clone()
    coeffs = torch.zeros(1, 1, 2, 40, 30, dtype=torch.complex64)
    coeffs[:, :, 1] = 6.0
    times = torch.arange(24, dtype=torch.float64) / 24
    moving = Displacement(
        coeffs,
        harmonic_coords(torch.tensor([1.0]), times).to(torch.complex64),
        24.0,
        (40, 30),
        loop=True,
    )
    blurred = [f for f, _ in render_frames(still, moving, shutter=1.0, frames=[0, 6])]
    for frame, t in zip(blurred, (0, 6)):
        fine = torch.linspace(t - 0.5, t + 0.5, 401, dtype=torch.float64)
        shift = 6 * torch.cos(2 * torch.pi * fine / 24).float()
        expected = 0.5 + 0.3 * torch.sin(2 * torch.pi * (y - shift) / 10).mean(1)
        torch.testing.assert_close(frame[0, 14:26, 15], expected[14:26], atol=0.02, rtol=0)
    contrast = [f[0, 10:30, 15].std() for f in blurred]  # two whole periods
    assert contrast[1] < 0.98 * contrast[0]


def test_blur_leaves_what_stands_still_bit_for_bit(rng, model, still, matte):
    moving = motion(rng, 3, 1.0)
    outside = F.max_pool2d(matte[None], 31, 1, 15)[0, 0] == 0
    for frame, _ in render_frames(still, moving, matte=matte, model=model, shutter=0.5):
        assert torch.equal(frame[:, outside], still[:, outside])


def test_what_is_said_to_be_near_is_in_front(rng):
    # Two blocks meet: the right one comes left, over or under the other, which hardly moves.
    still, matte = torch.zeros(3, 24, 60), torch.zeros(1, 24, 60)
    still[0, 8:16, 16:26], still[2, 8:16, 30:40] = 1, 1
    matte[:, 8:16, 16:26] = matte[:, 8:16, 30:40] = 1
    field = torch.zeros(1, 1, 2, 24, 60)
    field[..., 0, :, 28:] = -10
    field[..., 0, :, :28] = 1
    moving = Displacement.of_frames(field, 8.0, (24, 60))
    near = torch.zeros(1, 24, 60)
    near[..., :28] = 1
    for front, expected in ((None, 2), (near, 0), (1 - near, 2)):
        frame, _ = next(render_frames(still, moving, matte=matte, depth=front))
        assert frame[:, 12, 24].argmax() == expected


def test_blur_mixes_what_is_opaque():
    # A red block on nothing: where it passes, it is seen through, and as red as ever.
    still, matte = torch.zeros(4, 24, 40), torch.zeros(1, 24, 40)
    still[:, 8:16, 12:22] = torch.tensor([1.0, 0, 0, 1]).view(4, 1, 1)
    matte[:, 8:16, 12:22] = 1
    field = torch.zeros(1, 3, 2, 24, 40)
    field[0, :, 0] = torch.tensor([0.0, 6, 12]).view(3, 1, 1)
    moving = Displacement.of_frames(field, 8.0, (24, 40))
    frame, _ = next(render_frames(still, moving, matte=matte, frames=[1], shutter=1.0))
    thin = (frame[3] > 0.1) & (frame[3] < 0.9)
    assert thin.any() and (frame[0][thin] > 0.98).all()


def test_colours_under_what_is_transparent_stay_hidden(rng, model, still, matte):
    moving = motion(rng, 1)
    alpha = (torch.rand(1, H, W, generator=rng) > 0.4).float()
    seen = torch.cat([still, alpha])
    other = torch.cat([torch.where(alpha > 0, still, 1 - still), alpha])
    frames = [next(render_frames(x, moving, matte=matte, model=model))[0] for x in (seen, other)]
    opaque = [f[:3] * f[3:] for f in frames]
    torch.testing.assert_close(*opaque, atol=1e-6, rtol=0)


def test_wild_weights_put_nothing_into_a_picture_that_is_no_number(rng, model, still, matte):
    with torch.no_grad():
        model.down[0].weight.fill_(6e4)
        model.shares.weight.fill_(float("inf"))
    frame, _ = next(render_frames(still, motion(rng, 1), matte=matte, model=model))
    assert frame.isfinite().all()


def test_no_memory_for_what_cannot_be_had_in_parts_is_a_sentence(rng, model, still):
    def full(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory")

    model.encode[0].register_forward_pre_hook(full)
    with pytest.raises(ValueError, match="too little memory for the features of a whole still"):
        refiner(model, still)


@pytest.mark.parametrize("said", ["could not create a primitive", "std::bad_alloc"])
def test_no_memory_for_a_frame_is_a_sentence_without_a_network_too(rng, still, monkeypatch, said):
    def full(*_):
        raise RuntimeError(said)

    monkeypatch.setattr("gid_core.render.renderer.splatted_frames", full)
    with pytest.raises(ValueError, match="too little memory for a frame. .* smaller picture.$"):
        next(render_frames(still, motion(rng, 3)))


def test_what_is_no_number_leaves_the_shutter_open(rng, still):
    moving = motion(rng, 3)
    moving.coeffs[0, 0, 0, 0, 0] = float("nan")
    assert shutter_samples(moving, 0, 1.0, (H, W))[1] > 1
    moving.coeffs[0, 0, 0, 0, 0] = 1e30
    assert shutter_samples(moving, 0, 1.0, (H, W))[1] == MOST_MOMENTS


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_no_colour_leaves_the_span_of_its_sources_and_what_is_opaque_stays_so(
    model, network, alpha
):
    # A white disc on its stem before grey: a cubic kernel overshoots at its edge on both sides.
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    disc = ((x - 40) ** 2 + (y - 25) ** 2 < 156) | (((x - 40).abs() < 2) & (y > 25))
    still = (0.5 + 0.5 * disc).expand(3, 60, 80)
    if alpha:
        still = torch.cat([still, torch.ones(1, 60, 80)])
    sway = torch.tensor([1.4, -0.6, 2.3, 0.1]).view(4, 1, 1) * (1 - y / 60)
    moving = Displacement.of_frames(torch.stack([sway, 0.2 * sway], 1)[None], 8.0, (60, 80))
    finish, changed = model if network else None, []
    for frame, _ in render_frames(still, moving, matte=disc.float()[None], model=finish):
        # The background is .5, the foreground 1: float32 rounds their mixtures to 1e-6.
        assert frame[:3].min() >= 0.5 - 1e-6 and frame[:3].max() <= 1 + 1e-6
        changed.append(float((frame[:3] - still[:3]).abs().max()))
        if alpha:
            assert (frame[3] == 1).all()
    assert max(changed) > 0.3
