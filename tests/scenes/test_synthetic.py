import math
from dataclasses import replace

import pytest
import torch

from gid_core.motion.spectrum import analyze, displacement_at
from gid_core.scenes.point_cloud import Slab
from gid_core.scenes.synthetic import KINDS, Film, Scene, make_scene
from gid_core.still.grid import backward_warp

SIZE = (30, 48)
PERIOD_S = 5.0
FILM = Film(1.0, 1.0, 1.0, 0.0, 0.0, 0.0)


def quiet(scene):
    """The scene without grain, which differs from frame to frame."""
    return replace(scene, film=replace(scene.film, grain=0.0))


def peak_of(scene):
    """Largest displacement of every pixel over one period, px."""
    times = torch.arange(60) / 60 * PERIOD_S
    return displacement_at(scene.spectrum(), times)[0].norm(dim=1).amax(0)


@pytest.fixture(scope="module", params=["shrub", "laundry", "reeds"])
def scene(request):
    return make_scene(4, SIZE, request.param)


def test_frame_zero_is_the_still(scene):
    frame = scene.frame(0.0)
    assert torch.equal(frame.image, scene.still)
    assert not frame.displacement.any() and (frame.visible == 1).all()


def test_a_frame_depends_on_seed_and_time_alone(scene):
    again = make_scene(4, SIZE, scene.kind)
    for t in (1.3, 0.4):  # in another order
        assert torch.equal(again.frame(t).image, scene.frame(t).image)
    assert not torch.equal(scene.frame(0.4).image, scene.still)


def test_the_displacement_of_a_frame_is_that_of_the_spectral_volume(scene):
    times = torch.tensor([0.0, 0.37, 2.2, 4.9])
    played = displacement_at(scene.spectrum(), times)[0]
    for t, field in zip(times.tolist(), played):
        assert torch.allclose(scene.frame(t).displacement, field, atol=1e-5)


def test_analysing_the_displacement_returns_the_spectral_volume(scene):
    count = 40
    frames = [scene.frame(t * PERIOD_S / count).displacement for t in range(count)]
    read = analyze(torch.stack(frames)[None], count / PERIOD_S, 16, detrend=False)
    truth = scene.spectrum()
    assert torch.allclose(read.frequencies_hz, truth.frequencies_hz)
    assert torch.allclose(read.coeffs, truth.coeffs, atol=1e-4)
    assert torch.allclose(read.mean, truth.mean, atol=1e-4)


def test_a_scene_repeats_after_its_period(scene):
    first, later = (quiet(scene).image_at(t) for t in (0.7, 0.7 + PERIOD_S))
    # By rounding, a point on the border of two cells may fall into either.
    assert ((first - later).abs() > 1e-3).float().mean() < 0.01


def test_the_mask_covers_the_moving_pixels(scene):
    moved = peak_of(scene) > 0.2
    assert moved.any() and (scene.mask[0][moved] > 0.3).float().mean() > 0.97
    assert 0 <= scene.mask.min() and scene.mask.max() <= 1


@pytest.mark.parametrize("percent", [0.6, 3.0])
def test_a_scene_has_the_amplitude_asked_for(percent):
    scene = make_scene(11, SIZE, "shrub", amplitude_pct=percent)
    peak = peak_of(scene)
    moving = peak[peak > 0.05 * peak.max()]
    assert moving.quantile(0.95) == pytest.approx(percent / 100 * max(SIZE), rel=0.01)


@pytest.mark.parametrize("kind", ["grass", "lanterns"])
def test_a_larger_picture_shows_the_same_scene(kind):
    small, large = (make_scene(8, (n, 2 * n), kind) for n in (40, 80))
    assert len(small.pivot) == len(large.pivot)
    assert torch.allclose(2 * small.pivot, large.pivot, atol=1e-3)
    ratio = large.shift.abs().sum() / small.shift.abs().sum()
    assert ratio == pytest.approx(2, rel=0.1)  # the amplitude is measured on the pixels each has


def test_visible_points_keep_their_colour():
    # A cloth is large and smooth: warping the frame back to the still gives the still.
    scene = quiet(make_scene(4, (60, 96), "laundry", amplitude_pct=3.0))
    frame = scene.frame(1.1)
    read = backward_warp(frame.image[None], frame.displacement[None])[0]
    moved = (frame.displacement.norm(dim=0) > 0.5) & (frame.visible[0] > 0)
    error = (read - scene.still).abs().mean(0)[moved]
    assert moved.sum() > 300
    assert error.median() < 0.01  # cells are a third of a pixel, and the read is bilinear
    assert error.mean() < 0.4 * (frame.image - scene.still).abs().mean(0)[moved].mean()


def block(top, left, height, width, piece, colour, cells=3):
    """Points in the middle of every cell of a rectangle of pixels."""
    y, x = torch.meshgrid(
        top + (torch.arange(height * cells) + 0.5) / cells - 0.5,
        left + (torch.arange(width * cells) + 0.5) / cells - 0.5,
        indexing="ij",
    )
    position = torch.stack([x, y], -1).flatten(0, 1)
    n = len(position)
    return position, torch.full((n,), piece), torch.tensor(colour).expand(n, 3)


def without_strain(name, shift, slabs):
    """A scene of one band whose pieces only shift."""
    pivot, strain = torch.zeros(len(shift), 2), shift.new_zeros(len(shift), 1, 2, 2)
    background = torch.full((3, 14, 22), 0.3)
    hertz = torch.tensor([0.5])
    return Scene(name, (14, 22), hertz, pivot, shift, strain, slabs, background, FILM, 3, 0)


def two_blocks(apart=False):
    """A front block moves 3 px right and 1 px up in half a period, over a static block."""
    back = block(4, 10, 6, 7, 0, [0.1, 0.5, 0.2])
    front = block(2, 3, 5, 6, 1, [0.6, 0.1, 0.1])
    if apart:
        slabs = (Slab(*back, 0.0), Slab(*front, 0.0))
    else:
        slabs = (Slab(*(torch.cat(pair) for pair in zip(back, front)), 0.0),)
    shift = torch.zeros(2, 1, 2, dtype=torch.complex64)
    shift[1, 0] = torch.tensor([-1.5, 0.5])  # D = shift (cos - 1)
    scene = without_strain("blocks", shift, slabs)
    return replace(scene, front_points=tuple(scene._front_points(0.0)))


@pytest.mark.parametrize("apart", [False, True])
def test_blocks_that_move_by_whole_pixels_are_exact(apart):
    scene = two_blocks(apart)
    frame = scene.frame(1.0)
    field = torch.zeros(2, 14, 22)
    field[0, 2:7, 3:9], field[1, 2:7, 3:9] = 3, -1
    assert torch.allclose(frame.displacement, field, atol=1e-6)
    visible = torch.ones(14, 22)
    visible[4:6, 10:12] = 0  # of the back block: where the front block has moved over it
    covered = torch.zeros(14, 22, dtype=torch.bool)
    covered[1:6, 6:12] = True
    still_bare = torch.ones(14, 22, dtype=torch.bool)
    still_bare[4:10, 10:17] = still_bare[2:7, 3:9] = False
    visible[covered & still_bare] = 0
    assert torch.equal(frame.visible[0], visible)
    expected = torch.full((14, 22), 1)  # background, back, front as colours of their own
    expected[4:10, 10:17] = 2
    expected[1:6, 6:12] = 3
    colours = {1: frame.image[:, 13, 21], 2: frame.image[:, 9, 16], 3: frame.image[:, 1, 6]}
    for number, colour in colours.items():
        assert torch.allclose(frame.image[:, expected == number], colour[:, None], atol=1e-6)
    assert len({tuple(colour.tolist()) for colour in colours.values()}) == 3


def test_a_shift_by_a_third_of_a_pixel_disoccludes_a_third_of_a_pixel():
    scene = two_blocks()
    t = math.acos(1 - (1 / 3) / 1.5) / math.pi  # 1/3 px right, 1/9 px up: within a cell
    assert scene.frame(t).displacement[0, 3, 4] == pytest.approx(1 / 3, abs=1e-5)
    light = scene._light(scene._front_points(t))
    assert light[0, 4, 3] == pytest.approx(0.6 * 2 / 3 + 0.3 / 3, abs=1e-5)
    assert light[0, 4, 9] == pytest.approx(0.6 / 3 + 0.3 * 2 / 3, abs=1e-5)


def test_pieces_of_one_cloth_do_not_occlude_each_other():
    for seed in range(40):  # until a scene has one cloth, which can occlude only itself
        scene = make_scene(seed, (48, 76), "laundry", amplitude_pct=2.0)
        if len(scene.pivot) == 1 + 120:
            break
    frame = scene.frame(1.1)
    moved = frame.displacement.norm(dim=0) > 0.2
    assert moved.sum() > 200 and (frame.visible[0][moved] == 0).float().mean() < 0.01


def out_of_focus(blur):
    """A bar of points that moves 2 px right; one pixel in its middle has no point."""
    position, piece, colour = block(5, 6, 4, 7, 0, [0.6, 0.1, 0.1])
    keep = ~((position - torch.tensor([9.0, 7.0])).abs() < 0.5).all(1)
    shift = torch.tensor([[[-1.0 + 0j, 0j]]])
    slab = Slab(position[keep], piece[keep], colour[keep], blur)
    scene = without_strain("bar", shift, (slab,))
    return replace(scene, front_points=tuple(scene._front_points(0.0)))


def test_a_blurred_pixel_has_the_motion_of_the_colour_it_shows():
    # A pixel that shows more of the bar than of the background moves with the bar.
    sharp, soft = out_of_focus(0.0), out_of_focus(1.0)
    y, x = 7, 9  # the pixel without a point
    assert not sharp.frame(1.0).displacement[:, y, x].any()
    assert soft._light(soft.front_points)[0, y, x] > 0.45
    frame = soft.frame(1.0)
    assert frame.displacement[:, y, x].tolist() == pytest.approx([2, 0], abs=1e-5)
    assert (soft.frame(0.0).visible == 1).all()
    assert (frame.visible[0, 5:9, 7:12] == 1).all() and frame.visible[0, 7, 14] == 0


def test_photographs_change_colours_and_not_motion(rng):
    photograph = torch.rand(3, 40, 50, generator=rng)
    plain = make_scene(3, SIZE, "shrub")
    # Motion is drawn before textures, so other textures leave it as it is.
    textured = make_scene(3, SIZE, "shrub", photographs=[photograph])
    assert torch.equal(plain.pivot, textured.pivot)
    assert torch.allclose(plain.shift, textured.shift)
    assert not torch.allclose(plain.still, textured.still, atol=0.05)


def test_a_spectrum_on_a_coarser_grid_is_in_its_pixels():
    scene = make_scene(5, (32, 48), "laundry")
    fine, coarse = scene.spectrum(), scene.spectrum((16, 24))
    assert coarse.coeffs.shape == (1, 16, 2, 16, 24) and coarse.reference_size == (32, 48)
    assert coarse.coeffs.mean().abs() == pytest.approx(float(fine.coeffs.mean().abs()) / 2, rel=0.1)
    assert torch.allclose(coarse.mean, -coarse.coeffs.real.sum(1))


def test_seeds_give_all_kinds_and_different_pictures():
    scenes = [make_scene(seed, (16, 24), cells=1) for seed in range(20)]
    assert {scene.kind for scene in scenes} == set(KINDS)
    means = torch.stack([scene.still.mean((1, 2)) for scene in scenes])
    assert means.std(0).min() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_at_odd_sizes(kind):
    scene = make_scene(21, (17, 39), kind, cells=2)
    frame = scene.frame(0.8)
    assert frame.image.shape == (3, 17, 39) and frame.image.isfinite().all()
    assert 0 <= frame.image.min() and frame.image.max() <= 1
    assert frame.displacement.isfinite().all()


def test_unknown_kinds_and_small_sizes_are_refused():
    with pytest.raises(ValueError, match="kind of scene among tree, .* got 'cat'"):
        make_scene(0, SIZE, "cat")
    with pytest.raises(ValueError, match="at least 16 x 16 px, got 40 x 15"):
        make_scene(0, (15, 40))


class Drawing(torch.overrides.TorchFunctionMode):
    """Checks that every draw from a generator, which lives on the CPU, names the CPU."""

    drawn = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kwargs.get("generator") is not None:
            assert kwargs.get("device") == "cpu", f"{function} draws on the default device"
            self.drawn += 1
        return function(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_random_numbers_come_from_the_cpu_on_every_device(kind):
    with Drawing() as mode:
        make_scene(3, (24, 40), kind, bands=3).frame(0.4)
    assert mode.drawn > 20


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_the_same_scene_on_a_gpu(kind):
    if not torch.cuda.is_available():
        pytest.skip("NO CUDA DEVICE: scenes were made on the CPU alone.")
    here, there = (make_scene(3, (24, 40), kind, bands=3, device=d) for d in ("cpu", "cuda"))
    assert there.still.is_cuda
    assert (here.still - there.still.cpu()).abs().mean() < 1e-3
    assert (here.spectrum().coeffs - there.spectrum().coeffs.cpu()).abs().mean() < 1e-3
