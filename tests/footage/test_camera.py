import oracles
import pytest
import torch

from gid_core.footage.camera import background_stands_still, camera_shift, find_camera, stabilized

H, W = 48, 72


def shake(frames, rng):
    """Similarities about the identity: two pixels, one degree, one per cent."""
    away = torch.randn(frames, 4, generator=rng) * torch.tensor([0.01, 0.017, 2.0, 2.0])
    away[0] = 0
    return away + torch.tensor([1.0, 0, 0, 0])


def still_of(seed=3):
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    return oracles.plane_waves(x, y, seed)


def test_convention_a_similarity_rotates_about_the_centre_and_then_shifts():
    shift = camera_shift(torch.tensor([[1.0, 0, 2, -1], [0.0, 1, 0, 0]]), 3, 5)
    assert (shift[0] == torch.tensor([2.0, -1.0]).view(2, 1, 1)).all()
    # A quarter turn with x right and y down: the point right of the centre moves below it.
    assert (shift[1, :, 1, 2] == 0).all()
    assert shift[1, :, 1, 3].tolist() == [-1, 1]


def test_stabilizing_inverts_the_camera_motion(rng):
    similarity = shake(5, rng)
    gone = camera_shift(similarity, H, W)
    assert stabilized(gone, similarity).abs().max() < 1e-4


def test_motion_in_front_of_a_shaking_camera_is_recovered(rng):
    similarity = shake(4, rng)
    own = torch.zeros(4, 2, H, W)
    own[:, 0, 10:20, 30:40] = torch.tensor([0.0, 3, -2, 1]).view(4, 1, 1)
    # The camera maps a scene point at p + own to G(p + own).
    a, b = similarity[:, 0].view(4, 1, 1), similarity[:, 1].view(4, 1, 1)
    seen = own + camera_shift(similarity, H, W)
    seen[:, 0] += (a - 1) * own[:, 0]
    seen[:, 1] += b * own[:, 0]
    camera = find_camera(seen, still_of())
    torch.testing.assert_close(camera.similarity, similarity, atol=1e-3, rtol=0)
    torch.testing.assert_close(stabilized(seen, camera.similarity), own, atol=0.02, rtol=0)


def test_a_tripod_is_found_although_most_of_the_picture_moves(rng):
    moving = torch.zeros(6, 2, H, W)
    moving[:, :, :, : int(0.7 * W)] = 3 * torch.randn(6, 2, 1, 1, generator=rng)
    camera = find_camera(moving, still_of())
    assert (camera.similarity == torch.tensor([1.0, 0, 0, 0])).all()
    assert camera.peaks() == (0, 0, 0)


def test_a_large_flower_is_not_taken_for_the_background(rng):
    # Texture on the flower alone, which sways; the sky is flat.
    still = still_of()
    sky = torch.ones(H, W, dtype=torch.bool)
    sky[10:38, 20:52] = False
    flow = torch.randn(6, 2, 1, 1, generator=rng).expand(6, 2, H, W)
    camera = find_camera(flow, torch.where(sky, torch.tensor(0.6), still))
    assert camera.similarity is None and camera.share == 0


def test_flow_of_noise_has_no_background(rng):
    camera = find_camera(3 * torch.randn(5, 2, H, W, generator=rng), still_of())
    assert camera.similarity is None


def test_a_picture_without_texture_has_no_background():
    assert find_camera(torch.zeros(5, 2, H, W), torch.full((3, H, W), 0.5)).similarity is None


@pytest.mark.parametrize("name, value", [("shift", 3.0), ("turn", 2.0), ("zoom", 4.0)])
def test_peaks_are_in_pixels_degrees_and_per_cent(name, value):
    import math

    turn = math.radians(value if name == "turn" else 0)
    size = 1 + (value / 100 if name == "zoom" else 0)
    shift = value if name == "shift" else 0.0
    one = torch.tensor([[1.0, 0, 0, 0], [size * math.cos(turn), size * math.sin(turn), 0, -shift]])
    camera = find_camera(camera_shift(one, H, W), still_of())
    found = dict(zip(("shift", "turn", "zoom"), camera.peaks()))
    assert found.pop(name) == pytest.approx(value, abs=0.02)
    assert max(found.values()) < 0.02


def plant_before_haze(frames, plant, haze):
    """Bytes: sharp stripes that shift by `plant` px, before a defocused gradient, by `haze` px."""
    y, x = torch.meshgrid(torch.arange(float(H)), torch.arange(float(W)), indexing="ij")
    sharp = (torch.arange(W) // 28 % 2 == 0).expand(H, W)
    pictures = []
    for t in range(frames):
        texture = oracles.plane_waves(x - plant * t / frames, y, 3)
        slope = 0.3 + 0.4 * (x - haze * t / frames) / W + 0 * texture
        pictures.append(torch.where(sharp, texture, slope))
    return (torch.stack(pictures) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("haze, expected", [(0.0, True), (4.0, False)])
def test_a_defocused_background_distinguishes_camera_motion_from_a_swaying_plant(haze, expected):
    frames = plant_before_haze(8, 4.0, haze)
    similarity = torch.tensor([1.0, 0, 0, 0]).repeat(8, 1)
    similarity[:, 2] = 4.0 * torch.arange(8) / 8
    assert background_stands_still(frames, similarity) == expected


def test_without_a_defocused_background_nothing_is_decided():
    frames = plant_before_haze(4, 2.0, 2.0)
    sharp = torch.where(frames > 0, still_of(5).mul(255).to(torch.uint8), frames)
    similarity = torch.tensor([1.0, 0, 0, 0]).repeat(4, 1)
    similarity[:, 2] = torch.arange(4.0)
    assert not background_stands_still(sharp, similarity)


@pytest.mark.parametrize(
    "last", [1, 4]
)  # while a tripod is tested; while a shaking camera is fitted
def test_finding_the_camera_can_be_cancelled(rng, last):
    class Cancelled(Exception):
        pass

    asked = []

    def poll():
        asked.append(None)
        if len(asked) == last:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_camera(camera_shift(shake(4, rng), H, W), still_of(), poll)
    assert len(asked) == last
