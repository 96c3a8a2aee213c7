import math

import pytest
import torch
import torch.nn.functional as F

from gid_core.motion.coords import harmonic_coords
from gid_core.motion.displacement import Displacement
from gid_core.render.layers import MARGIN, Behind, separate_layers, splat_frame, splatted_frames
from gid_core.render.renderer import render_frames

H, W = 24, 36
RED, BLUE = (0.8, 0.2, 0.1), (0.1, 0.3, 0.7)


def colour(*rgb):
    return torch.tensor(rgb).view(-1, 1, 1)


def motion(field, mask=None, size=(H, W)):
    """Frames of displacement, t 2 h w, as a motion of one still."""
    return Displacement.of_frames(field[None], 8.0, size, None if mask is None else mask[None])


def constant(dx, dy, frames=1, grid=(H, W)):
    return torch.tensor([float(dx), float(dy)]).view(1, 2, 1, 1).expand(frames, 2, *grid).clone()


def first(still, moving, matte=None, **options):
    return next(render_frames(still, moving, matte=matte, **options))


def shifted(values, dx, dy):
    """Content moved by whole pixels, zero where nothing comes in."""
    out = torch.zeros_like(values)
    height, width = values.shape[-2:]
    to = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
    of = slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx))
    out[(..., *to)] = values[(..., *of)]
    return out


def grown(mask, by):
    return F.max_pool2d(mask[None], 2 * by + 1, 1, by)[0]


@pytest.fixture
def thing(rng):
    """A textured red block before flat blue, and its matte."""
    matte = torch.zeros(1, H, W)
    matte[:, 8:16, 12:22] = 1
    texture = colour(*RED) * (0.6 + 0.4 * torch.rand(1, H, W, generator=rng))
    return torch.where(matte > 0, texture, colour(*BLUE)), matte


@pytest.fixture
def swaying(rng):
    """A smooth motion of five frames on a coarse grid, and a soft matte."""
    y, x = torch.meshgrid(torch.linspace(0, 1, H), torch.linspace(0, 1, W), indexing="ij")
    matte = (1.5 - 4 * ((x - 0.5).square() + (y - 0.5).square()).sqrt()).clamp(0, 1)[None]
    return F.interpolate(torch.randn(5, 2, 2, 3, generator=rng), (6, 9), mode="bicubic"), matte


@pytest.mark.parametrize("channels", [3, 4, 1])
@pytest.mark.parametrize("grid", [(H, W), (6, 9), (2, 2), (1, 1)])
def test_no_displacement_is_the_still_bit_for_bit(rng, channels, grid):
    still, matte = torch.rand(channels, H, W, generator=rng), torch.rand(1, H, W, generator=rng)
    for frame, hole in render_frames(still, motion(constant(0, 0, 2, grid)), matte=matte):
        assert torch.equal(frame, still) and not hole.any()


def test_no_matte_is_the_still_bit_for_bit(rng, swaying):
    still = torch.rand(3, H, W, generator=rng)
    for frame, hole in render_frames(still, motion(swaying[0]), matte=torch.zeros(1, H, W)):
        assert torch.equal(frame, still) and not hole.any()


@pytest.mark.parametrize("dx, dy", [(5, 0), (-3, 4), (0.5, -2.25)])
def test_where_nothing_moves_and_nothing_lands_the_still_stays_bit_for_bit(rng, thing, dx, dy):
    matte = thing[1]
    still = torch.rand(3, H, W, generator=rng)
    frame, hole = first(still, motion(constant(dx, dy)), matte)
    left = grown(matte, MARGIN)
    arrived = shifted(left, math.floor(dx), math.floor(dy))
    touched = torch.maximum(left, grown(arrived, 1)) > 0
    assert torch.equal(frame[:, ~touched[0]], still[:, ~touched[0]])
    assert not hole[:, ~touched[0]].any()
    assert (frame != still).any()


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_the_frame_goes_to_the_still_as_the_motion_goes_to_zero(rng, swaying, alpha):
    field, matte = swaying
    still = torch.rand(3, H, W, generator=rng)
    errors, holes = [], []
    for size in (0.1, 0.01, 0.001):
        frame, hole = first(still, motion(size * field), alpha * matte)
        errors.append((frame - still).abs().max().item())
        holes.append(hole.max().item())
    # Linearly: a tenth of the motion is a tenth of the change, to the curvature of a cubic kernel.
    for sequence in (errors, holes):
        assert sequence[0] > 5 * sequence[1] > 25 * sequence[2] > 0
        assert sequence[2] < 0.02


@pytest.mark.parametrize("dx, dy", [(3, 0), (-4, 2), (0, -5), (1, 1)])
@pytest.mark.parametrize("grid", [(H, W), (6, 9), (1, 1)])
def test_whole_pixels_move_an_opaque_thing_exactly(thing, dx, dy, grid):
    still, matte = thing
    field = constant(dx * grid[1] / W, dy * grid[0] / H, grid=grid)
    frame, hole = first(still, motion(field), matte)
    here = shifted(matte, dx, dy) > 0
    torch.testing.assert_close(
        frame[:, here[0]], shifted(still, dx, dy)[:, here[0]], atol=1e-5, rtol=0
    )
    rest = frame[:, ~here[0]]
    torch.testing.assert_close(rest, colour(*BLUE)[:, 0].expand_as(rest), atol=1e-5, rtol=0)
    expected = ((matte > 0) & ~here).float()
    torch.testing.assert_close(hole, expected, atol=1e-5, rtol=0)


def test_a_thing_that_leaves_the_picture_leaves_the_background(thing):
    still, matte = thing
    away = constant(W, 0) * grown(matte, 4)  # what is mirrored past the border stays there
    frame, hole = first(still, motion(away), matte)
    torch.testing.assert_close(frame, colour(*BLUE).expand(3, H, W), atol=1e-5, rtol=0)
    torch.testing.assert_close(hole, matte, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stretch", [(2.5, 1.0), (1.0, 3.0), (2.5, 2.5)])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_surface_that_is_drawn_out_shows_nothing_of_what_is_behind(stretch, scale):
    # On a grid of cells of 8 px, or of 24 px: the same picture three times as large.
    size, grid = (48 * scale, 80 * scale), (6, 10)
    y, x = (torch.arange(n) + 0.5 for n in size)
    inside = (y[:, None] < 16 * scale) & (x < 24 * scale)
    matte = inside.float()[None]
    still = torch.where(inside, colour(*RED), colour(*BLUE))
    centres = torch.meshgrid(*((torch.arange(n) + 0.5) * 8 for n in grid), indexing="ij")
    field = torch.stack([(s - 1) * at / 8 for s, at in zip(stretch, reversed(centres))])
    (moved,) = splatted_frames(still, motion(field[None], size=size), matte=matte)
    # The last cells follow their own colour alone, so that they are not drawn out.
    covered = (y[:, None] < 11 * scale * stretch[1]) & (x < 19 * scale * stretch[0])
    shown = moved.frame[:, covered]
    torch.testing.assert_close(shown, colour(*RED)[:, 0].expand_as(shown), atol=1e-3, rtol=0)


def test_things_that_part_show_what_is_behind_them(thing):
    # One half of a thing goes by six pixels: more than half a cell of the grid, so it is torn.
    still, matte = thing
    right = torch.arange(W) >= 17
    frame, _ = first(still, motion(constant(6, 0) * right), matte)
    gap = frame[:, 9:15, 18:22]
    torch.testing.assert_close(gap, colour(*BLUE).expand_as(gap), atol=1e-5, rtol=0)


def test_a_half_transparent_thing_stays_so(thing):
    # Half of red over blue: wherever it comes to lie it is half of red over what is there.
    _, matte = thing
    still = torch.where(matte > 0, 0.5 * colour(*RED) + 0.5 * colour(*BLUE), colour(*BLUE))
    frame, hole = first(still, motion(constant(4, 1)), 0.5 * matte)
    torch.testing.assert_close(
        frame, shifted(still - colour(*BLUE), 4, 1) + colour(*BLUE), atol=1e-5, rtol=0
    )
    assert hole.max() <= 0.5 + 1e-5


def test_alpha_moves_along(thing):
    still, matte = thing
    still = torch.cat([still, 0.2 + 0.8 * matte])
    frame, _ = first(still, motion(constant(3, -2)), matte)
    expected = 0.2 + 0.8 * shifted(matte, 3, -2)
    torch.testing.assert_close(frame[3:], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("in_front", [0, 1])
def test_what_moves_more_is_in_front(in_front):
    # Two blocks meet at the middle; one of them comes from farther away.
    still, matte = colour(*BLUE).expand(3, H, W).clone(), torch.zeros(1, H, W)
    colours = (colour(1.0, 0.0, 0.0), colour(0.0, 1.0, 0.0))
    field = torch.zeros(1, 2, H, W)  # 12 px of difference: the other's weight is exp(-12)
    steps = (14, -2) if in_front == 0 else (2, -14)
    for side, (rgb, step) in enumerate(zip(colours, steps, strict=True)):
        columns = slice(18 - step - 2, 18 - step + 2)
        still[:, 8:16, columns], matte[:, 8:16, columns] = rgb, 1
        field[:, 0, :, slice(0, 18) if side == 0 else slice(18, W)] = step
    frame, _ = first(still, motion(field), matte)
    torch.testing.assert_close(
        frame[:, 8:16, 16:20], colours[in_front].expand(3, 8, 4), atol=1e-3, rtol=0
    )


def test_a_coarse_field_lies_on_half_pixel_centers():
    # A shear: every grid row moves a pixel farther right, so picture row y moves (y + 1/2) / 4.
    rows = torch.arange(6.0).view(6, 1).expand(6, 9) + 0.5
    field = torch.stack([rows * 9 / W, 0 * rows])[None]
    still = (torch.arange(float(W)) / W).expand(3, H, W)
    frame, _ = first(still, motion(field))
    y, x = torch.meshgrid(torch.arange(float(H)) + 0.5, torch.arange(float(W)), indexing="ij")
    inner = (..., slice(3, -3), slice(10, -4))
    came_from = (x - y / 4).expand(3, H, W)
    # torch's cubic kernel bends a ramp by a twentieth of a pixel.
    torch.testing.assert_close(frame[inner] * W, came_from[inner], atol=0.06, rtol=0)


def test_what_lies_within_two_pixels_of_the_matte_moves_along(rng):
    matte = torch.zeros(1, H, W)
    matte[:, 8:16, 12:22] = 0.01 + 0.99 * torch.rand(8, 10, generator=rng)
    layers = separate_layers(torch.rand(3, H, W, generator=rng), matte, (6, 9), (4, 5))
    width = layers.foreground.shape[-1]
    moving = torch.zeros(1, H, W)
    y, x = (
        layers.source_pixels // width + layers.origin[0],
        layers.source_pixels % width + layers.origin[1],
    )
    moving[0, y, x] = 1
    assert torch.equal(moving, grown((matte > 0).float(), 2))


def test_a_pixel_follows_those_of_its_colour():
    # Grid points four pixels apart; the edge between red, which moves down, and blue, which does
    # not, runs between two of them.
    still = torch.cat([colour(*RED).expand(3, H, 16), colour(*BLUE).expand(3, H, W - 16)], 2)
    still = still * torch.linspace(0.6, 1, H).view(1, H, 1)
    field = torch.zeros(1, 2, 6, 9)
    field[:, 1, :, :4] = 0.75  # 3 px
    frame, _ = first(still, motion(field))
    torch.testing.assert_close(frame[:, 6:, :15], still[:, 3:-3, :15], atol=3e-3, rtol=0)
    torch.testing.assert_close(frame[:, :, 17:], still[:, :, 17:], atol=3e-3, rtol=0)


@pytest.mark.parametrize("dx, dy", [(5, 0), (-7, 3), (40, 0), (0, -100)])
def test_no_zeros_come_in_from_past_the_border(rng, dx, dy):
    still = 0.5 + 0.2 * torch.rand(3, H, W, generator=rng)
    frame, _ = first(still, motion(constant(dx, dy)))
    assert frame.min() > 0.4  # cubic kernels overshoot by a little


@pytest.mark.parametrize("dx, dy", [(5, 0), (-7, 3), (0, -9)])
def test_past_the_border_the_picture_is_mirrored(rng, dx, dy):
    still = torch.rand(3, H, W, generator=rng)
    frame, _ = first(still, motion(constant(dx, dy)))
    wide = F.pad(still[None], (9, 9, 9, 9), mode="reflect")[0]
    expected = wide[:, 9 - dy : 9 - dy + H, 9 - dx : 9 - dx + W]
    torch.testing.assert_close(frame, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_displacement_that_is_not_finite_counts_as_none(rng, swaying, bad):
    field, matte = swaying
    still = torch.rand(3, H, W, generator=rng)
    healed, broken = field.clone(), field.clone()
    healed[:, 0, 3, 4], broken[2, 0, 3, 4] = 0, bad  # a band that is not finite never is
    for (one, hole), (other, same) in zip(
        render_frames(still, motion(broken), matte=matte),
        render_frames(still, motion(healed), matte=matte),
        strict=True,
    ):
        assert torch.equal(one, other) and torch.equal(hole, same)


def test_without_a_mask_everything_moves(rng, swaying):
    still, field = torch.rand(3, H, W, generator=rng), swaying[0]
    without = first(still, motion(field))[0]
    assert torch.equal(without, first(still, motion(field), torch.ones(1, H, W))[0])


def test_the_motions_own_mask_is_used_and_fitted(thing):
    still, matte = thing
    moving = constant(3, 0)
    expected = first(still, motion(moving), matte)[0]
    assert torch.equal(first(still, motion(moving, matte))[0], expected)
    double = F.interpolate(matte[None], (2 * H, 2 * W), mode="nearest")[0]
    fitted = first(still, motion(moving, double, (2 * H, 2 * W)))[0]
    inner = 1 - grown(1 - matte, 1)[0]
    here = shifted(inner, 3, 0) > 0
    torch.testing.assert_close(fitted[:, here], expected[:, here], atol=1e-4, rtol=0)


def test_rendering_twice_gives_the_same_bits(rng, swaying):
    field, matte = swaying
    still = torch.rand(3, H, W, generator=rng)
    once, again = (list(render_frames(still, motion(field), matte=matte)) for _ in range(2))
    for (a, b), (c, d) in zip(once, again, strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)


def test_a_frame_does_not_depend_on_those_before(rng, swaying):
    field, matte = swaying
    still = torch.rand(3, H, W, generator=rng)
    every = [frame for frame, _ in render_frames(still, motion(field), matte=matte)]
    some = [frame for frame, _ in render_frames(still, motion(field), matte=matte, frames=[3, 1])]
    assert torch.equal(some[0], every[3]) and torch.equal(some[1], every[1])
    assert not torch.equal(every[3], every[1])


def test_items_have_their_own_motion(rng, thing):
    still, matte = thing
    fields, mattes = torch.stack([constant(2, 0), constant(0, 5)]), matte.expand(2, 1, H, W)
    both = Displacement.of_frames(fields, 8.0, (H, W), mattes)
    for item, (dx, dy) in enumerate(((2, 0), (0, 5))):
        expected = first(still, motion(constant(dx, dy), matte))[0]
        assert torch.equal(first(still, both, item=item)[0], expected)


def test_what_is_stretched_has_no_holes(thing):
    # To one and a half times its size: some pixels of the frame receive a sixteenth of another.
    _, matte = thing
    still = torch.where(matte > 0, colour(*RED), colour(*BLUE))
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    frame, hole = first(still, motion(torch.stack([x - 17, y - 12])[None] / 2), matte)
    inner = (..., slice(9, 12), slice(13, 21))  # cubic kernels look two pixels around
    torch.testing.assert_close(frame[inner], colour(*RED).expand(3, 3, 8), atol=1e-5, rtol=0)
    assert hole[inner].max() < 1e-5


@pytest.mark.parametrize("dx, dy", [(5, 0), (0, 6)])
def test_what_the_border_does_not_cut_has_no_double(dx, dy):
    # A block two pixels off two borders moves away from them; past them it is not there again.
    still, matte = colour(*BLUE).expand(3, H, W).clone(), torch.zeros(1, H, W)
    still[:, 2:8, 2:8], matte[:, 2:8, 2:8] = colour(*RED), 1
    frame, _ = first(still, motion(constant(dx, dy)), matte)
    expected = torch.where(shifted(matte, dx, dy) > 0, colour(*RED), colour(*BLUE))
    torch.testing.assert_close(frame, expected, atol=1e-5, rtol=0)


def test_a_layer_is_a_colour_times_its_matte(rng):
    # Darker than black or lighter than white, it would leave specks where it comes to lie.
    still = torch.rand(3, H, W, generator=rng)
    matte = 0.35 + 0.65 * torch.rand(1, H, W, generator=rng)
    matte[:, :, :8] = 0
    canvas = separate_layers(still, matte, (6, 9), (0, 0)).foreground
    colours, alpha = canvas[:3], canvas[3:]
    assert colours.min() > -1e-5 and (colours - alpha).max() < 1e-5


def test_texture_keeps_its_contrast_between_pixels(rng):
    # Half a pixel off is the worst: bilinear splatting would leave half of a fine texture's energy.
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    still = (0.5 + 0.4 * torch.sin(2 * math.pi * x / 4)).expand(3, H, W)
    frame, _ = first(still, motion(constant(0.5, 0)))
    inner = frame[:, 4:-4, 8:-8]
    assert inner.std() > 0.85 * still[:, 4:-4, 8:-8].std()


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_small_pictures_can_be_rendered(rng, height, width):
    still = torch.rand(3, height, width, generator=rng)
    moving = motion(torch.randn(3, 2, 2, 2, generator=rng), size=(height, width))
    for frame, hole in render_frames(still, moving):
        assert frame.isfinite().all() and frame.min() >= 0 and frame.max() <= 1
        assert hole.min() >= 0 and hole.max() <= 1


def test_nothing_to_move_needs_no_frame(thing):
    still, _ = thing
    layers = separate_layers(still, torch.zeros(1, H, W), (6, 9), (3, 3))
    assert len(layers.source_pixels) == 0
    frame = splat_frame(layers, torch.ones(2, 6, 9), torch.ones(1, 0)).frame
    assert torch.equal(frame, still)


def test_a_frame_is_the_same_in_any_part_of_a_clip(rng, thing):
    """Bit for bit: the bits of a matrix product depend on its shape."""
    still, matte = thing
    coeffs = torch.randn(1, 5, 2, 11, 17, generator=rng, dtype=torch.complex64)
    times = torch.linspace(0, 1, 70)
    played = Displacement(coeffs, harmonic_coords(torch.arange(1, 6) * 1.0, times), 70.0, (H, W))
    whole = [frame for frame, _ in render_frames(still, played, matte=matte)]
    for part in (range(3, 9), range(30, 70, 13), [69], [40, 2]):
        for t, (frame, _) in zip(part, render_frames(still, played, matte=matte, frames=part)):
            assert torch.equal(frame, whole[t])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_background_goes_to_the_stills_device_and_type(channels):
    still = torch.zeros(3, H, W, dtype=torch.float16, device="meta")
    behind = Behind(torch.rand(channels, H, W))
    found = behind.of(still, torch.ones(1, H, W, device="meta"), (slice(None),) * 3)
    assert (found.device, found.dtype, found.shape) == (still.device, still.dtype, still.shape)
