from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gid_core.config import RENDERERS
from gid_core.files.video import write_clip
from gid_core.render.network import GIVEN, fresh_renderer, given_of
from gid_core.render.renderer import load_renderer, shipped_renderer
from gid_core.render.splat import weighted_splat
from gid_core.scenes.synthetic import make_scene
from gid_core.still.grid import backward_warp
from gid_core.training.data import Mixture
from gid_core.training.moments import (
    DISOCCLUSION,
    DISPLACEMENT,
    FRAME,
    GRAIN,
    MOMENTS,
    STILL,
    Moments,
    Recordings,
    augment,
    augment_pair,
    cropped,
    grained,
    moved_at,
    perturbed,
)
from gid_core.training.objectives import SLOPES, RendererObjective, sharpness_error

SIZE = (48, 72)


@pytest.fixture(scope="module")
def moments():
    return Moments(SIZE, count=3)


def test_samples_are_moments_of_scenes(moments):
    given, frame = moments.sample(MOMENTS + 2)
    scene = make_scene(moments.first_seed + 1, SIZE)
    assert given.shape == (GIVEN, *SIZE) and frame.shape == (3, *SIZE)
    moves = scene.mask[0] > 0.5
    error = lambda x, where: float((x - frame).abs()[:, where].mean())
    # The splatted frame is nearer to the truth than the still; static pixels equal the still's.
    assert error(given[FRAME], moves) < 0.85 * error(given[STILL], moves)
    quiet = given[-1] == 0
    assert torch.equal(given[FRAME][:, quiet], given[STILL][:, quiet])


def test_the_displacement_of_a_sample_is_the_scenes():
    scene, t = make_scene(7, SIZE), 1.3
    given = given_of(moved_at(scene.still, scene.spectrum(), t))
    truth = scene.frame(t).displacement
    inner = scene.mask[0] == 1
    torch.testing.assert_close(given[DISPLACEMENT][:, inner], truth[:, inner], atol=1e-4, rtol=0)
    assert (given[9][inner] > 0).all()  # importance


def test_a_sample_depends_on_its_number_alone_and_a_cache_only_rounds(tmp_path, moments):
    kept = Moments(SIZE, count=3, cache=tmp_path)
    for number in (5, 2):
        made, read = moments.sample(number), kept.sample(number)
        again = kept.sample(number)
        for one, other, same in zip(made, read, again):
            assert torch.equal(other, same)
            torch.testing.assert_close(one, other, atol=0.01, rtol=1e-3)
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(moments.sample(5)[0], moments.sample(5 + 3 * MOMENTS)[0])


def test_an_item_depends_on_seed_and_number_alone(moments):
    mixture = Mixture((moments,), (1.0,), seed=0, length=99, augment=partial(augment, crop=32))
    (one, _), (same, _), (other, _) = mixture[4], mixture[4], mixture[5]
    assert torch.equal(one, same) and one.shape == (GIVEN, 32, 32)
    assert not torch.equal(one, other)
    assert not torch.equal(replace(mixture, seed=1)[4][0], one)


def test_samples_of_a_clip_are_its_frames(tmp_path):
    scene = make_scene(3, (64, 96), "flowers", amplitude_pct=4.0)
    write_clip(tmp_path / "one.mp4", (scene.image_at(t / 12) for t in range(48)), 12.0)
    clips = Recordings((48, 72), tmp_path, tmp_path / "kept", flow="torch")
    (tmp_path / "kept").mkdir()
    given, frame = clips.sample(2)
    assert given.shape == (GIVEN, 48, 72) and frame.shape == (3, 48, 72)
    moved = given[-1] > 0
    error = lambda x: float((x - frame).square()[:, moved].mean())
    assert moved.any() and error(given[FRAME]) < 0.7 * error(given[STILL])
    assert torch.equal(clips.sample(2 + MOMENTS)[0], given)
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name.startswith("clip_") and kept.name.endswith("_72x48.safetensors")
    write_clip(tmp_path / "two.mp4", (scene.image_at(t / 12) for t in range(3)), 12.0)
    with pytest.raises(ValueError, match="'two.mp4' has 3 frames, and 8 are needed"):
        Recordings((48, 72), tmp_path)
    with pytest.raises(ValueError, match="found none"):
        Recordings((48, 72), tmp_path / "kept")


@pytest.mark.parametrize("seed", range(6))
def test_an_augmented_sample_has_a_displacement_that_fits_its_pictures(seed):
    # The displacement maps the still exactly to the frame, before and after augmentation.
    rng = torch.Generator().manual_seed(seed)
    given, frame = torch.rand(GIVEN, 24, 24, generator=rng), torch.rand(3, 24, 24, generator=rng)
    given[DISPLACEMENT] = torch.tensor([3.0, -2.0]).view(2, 1, 1)
    given[STILL] = backward_warp(frame[None], given[DISPLACEMENT][None])[0]
    seen, expected = augment_pair(given, frame, rng)
    ones = torch.ones(1, 1, 24, 24)
    moved, weight = weighted_splat(seen[None, STILL], seen[None, DISPLACEMENT], ones)
    inner = (..., slice(4, -4), slice(4, -4))
    assert (weight[inner] > 0.9).all()
    torch.testing.assert_close(moved[0][inner], expected[inner], atol=1e-3, rtol=0)


def test_crops_prefer_disocclusions(rng):
    given, frame = torch.zeros(GIVEN, 40, 60), torch.rand(3, 40, 60, generator=rng)
    given[DISOCCLUSION, 30:, 50:] = 1
    shares = []
    for seed in range(200):
        part, _ = cropped(given, frame, 16, torch.Generator().manual_seed(seed))
        shares.append(float(part[DISOCCLUSION].sum() > 0))
    assert 0.17 < sum(shares) / 200 < 0.4  # by chance 0.09
    whole, same = cropped(given, frame, 100, rng)
    assert whole.shape[-2:] == (40, 40) and same.shape == (3, 40, 40)


def test_the_loss_is_zero_for_the_true_frame_and_ignores_static_pixels(rng):
    model = fresh_renderer(RENDERERS["tiny"])
    given = torch.rand(2, GIVEN, 32, 48, generator=rng)
    given[:, DISPLACEMENT] = 0
    given[:, -1:, :, :24] = 0
    frame = given[:, FRAME].clone()
    terms = RendererObjective(model).losses(given, frame, [])
    assert set(terms) == {"error", "slopes", "sharpness"}
    assert sum(terms.values()) == 0
    frame[..., :24] = 0  # nothing moves there
    assert sum(RendererObjective(model).losses(given, frame, []).values()) == 0
    frame[..., 24:] = 0
    terms = RendererObjective(model).losses(given, frame, [])
    # An untrained network leaves all of the error, whatever its size.
    assert float(terms["error"].detach()) == pytest.approx(1, abs=0.01)
    assert float(terms["slopes"].detach()) == pytest.approx(SLOPES, abs=0.01)


def test_the_loss_of_sharpness_sees_blur_and_not_content(rng):
    frame, other = torch.rand(2, 2, 3, 40, 60, generator=rng)
    counts = torch.zeros(2, 1, 40, 60)
    counts[..., :30] = 1
    dull = F.avg_pool2d(F.pad(frame, (1, 1, 1, 1), mode="replicate"), 3, 1)
    assert not sharpness_error(frame, frame, counts).any()
    blurred, replaced = sharpness_error(dull, frame, counts), sharpness_error(other, frame, counts)
    assert (blurred > 0.5).all() and (replaced < 0.2).all()
    away = torch.where(counts > 0, frame, dull)
    away[..., 29:] = frame[..., 29:]  # gradients reach one px further
    assert not sharpness_error(away, frame, counts).any()
    one = sharpness_error(torch.stack([dull[0], frame[1]]), frame, counts)
    assert one[0] > 0.5 and one[1] == 0  # item by item


def test_the_shipped_renderer_reduces_the_error_on_held_back_scenes():
    model, left = load_renderer(shipped_renderer()), []
    for seed in range(1_000_000_000, 1_000_000_006):
        scene = make_scene(seed, (96, 160), amplitude_pct=3.0)
        moved, frame = moved_at(scene.still, scene.spectrum(), 2.6), scene.image_at(2.6)
        given = given_of(moved)[None]
        with torch.no_grad():
            made = model.refined(given)[0]
        before, after = ((x - frame).square().mean() for x in (moved.frame, made))
        left.append(float(after / before))
    assert sum(left) / 6 < 0.95 and sorted(left)[2] < 0.97, left


def test_a_perturbed_motion_is_close_to_the_motion(rng):
    scene = make_scene(3, SIZE, "flowers", amplitude_pct=3.0)
    true, inner = scene.spectrum(), scene.mask[0] > 0.9
    unlike, masks = [], []
    for seed in range(12):
        found = perturbed(true, torch.Generator().manual_seed(seed))
        masks.append(found.mask)
        # The displacement of the still itself is zero.
        torch.testing.assert_close(found.mean, -found.coeffs.real.sum(1))
        away = (found.coeffs - true.coeffs)[..., inner].abs().square().sum()
        unlike.append(float(away / true.coeffs[..., inner].abs().square().sum()))
        if found.mask is not None:  # the mask may be too large, never too small
            assert (found.mask >= true.mask).all()
    assert all(u > 0 for u in unlike) and max(unlike) < 1 and np.median(unlike) < 0.5
    assert 1 <= sum(m is None for m in masks) <= 8
    still = replace(true, coeffs=true.coeffs * 0)
    assert not perturbed(still, rng).coeffs.any()  # no motion has no errors


def test_the_target_has_the_grain_of_the_still():
    still = torch.full((3, 40, 60), 0.5)
    noise = grained(still, torch.Generator().manual_seed(1)) - still
    assert GRAIN[0] * 0.9 < noise.std() < GRAIN[1] * 1.1
    # Where nothing moves, the target's grain is the still's.
    given, frame = Moments(SIZE, count=1).sample(0)
    calm = given[-1] == 0
    clean = replace(make_scene(2_000_000, SIZE).film, grain=0.0)
    scene = replace(make_scene(2_000_000, SIZE), film=clean)
    assert (given[STILL] - scene.still)[:, calm].std() > GRAIN[0] / 2
    seen = scene.mask[0] == 0
    # Up to rounding: a sum and a difference of the same numbers remain.
    static = calm & seen
    torch.testing.assert_close(frame[:, static], given[STILL][:, static], atol=2e-7, rtol=0)
