"""Maps: conventions, holes, and the still pulled through an STMap by somebody else's remap."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gid_core.exchange.maps import channels, displacement_of_flow, motion_maps
from gid_core.motion.displacement import Displacement
from gid_core.render.layers import splatted_frames
from gid_core.still.grid import pixel_grid

H, W = 44, 60


@pytest.fixture
def shifted(rng):
    """A disc that goes 5 px right and 3 px down."""
    x, y = pixel_grid(H, W, torch.zeros(1))
    matte = (((x - 26) ** 2 + (y - 20) ** 2).sqrt() < 11).float()[None]
    field = torch.tensor([5.0, 3.0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, H, W).clone()
    return torch.rand(3, H, W, generator=rng), Displacement.of_frames(field, 8.0, (H, W)), matte


def test_the_still_remapped_is_the_rendered_frame(rng):
    coarse = torch.randn(1, 2, 2, 3, generator=rng)
    field = F.interpolate(2 * coarse / coarse.abs().max(), (22, 30), mode="bicubic")
    motion = Displacement.of_frames(field[None], 8.0, (H, W))
    smooth = F.interpolate(torch.rand(1, 3, 8, 10, generator=rng), (H, W), mode="bicubic")[0]
    still = smooth.clamp(0, 1)
    ((values, holes),) = motion_maps(still, motion, "stmap", "opencv")
    x, y = values.numpy()
    remapped = cv2.remap(still.permute(1, 2, 0).numpy(), x, y, cv2.INTER_CUBIC)
    (moved,) = splatted_frames(still, motion)
    inner = np.zeros((H, W), bool)
    inner[6:-6, 6:-6] = True
    off = np.abs(remapped - moved.frame.permute(1, 2, 0).numpy())[inner & (holes[0].numpy() == 0)]
    # In px of the steepest slope. The renderer, which averages what lands together, is itself off
    # the exact inverse where the motion is strained.
    slope = max(float(still.diff(dim=d).abs().max()) for d in (1, 2))
    assert np.quantile(off, 0.95) < 0.1 * slope and off.max() < 0.25 * slope


def test_convention_nukes_stmap_counts_from_the_lower_left(shifted):
    still, motion, matte = shifted
    ((u, v), _) = next(motion_maps(still, motion, "stmap", "nuke", matte=matte))
    assert u[0, 0] == pytest.approx(0.5 / W) and v[0, 0] == pytest.approx(1 - 0.5 / H)
    assert v[-1, 0] == pytest.approx(0.5 / H)
    assert u[23, 31] == pytest.approx((26 + 0.5) / W, abs=1e-5)
    assert v[23, 31] == pytest.approx(1 - (20 + 0.5) / H, abs=1e-5)


def test_convention_flow_points_up_in_nuke_and_down_in_opencv(shifted):
    still, motion, matte = shifted
    (down, _), (up, _) = (
        next(motion_maps(still, motion, "flow", convention, matte=matte))
        for convention in ("opencv", "nuke")
    )
    assert down[:, 20, 26].tolist() == [5, 3] and up[:, 20, 26].tolist() == [5, -3]
    assert not down[:, 2, 2].any()
    assert torch.equal(displacement_of_flow(up[None], "nuke")[0], down)
    assert torch.equal(displacement_of_flow(down[None], "opencv")[0], down)


def test_holes_are_what_was_uncovered_and_what_was_covered(shifted):
    still, motion, matte = shifted
    (_, pulled), (_, pushed) = (
        next(motion_maps(still, motion, kind, "opencv", matte=matte)) for kind in ("stmap", "flow")
    )
    after = torch.zeros_like(matte)
    after[:, 3:, 5:] = matte[:, :-3, :-5]
    uncovered, covered = (matte > 0) & (after == 0), (matte == 0) & (after > 0)
    inside = F.max_pool2d(1 - matte, 7, 1, 3) == 0  # away from the soft rim of the layer
    assert pulled[uncovered & inside].all() and not pulled[~(matte > 0)].any()
    assert pushed[covered].float().mean() > 0.9 and not pushed[inside].any()


def test_a_file_has_names_that_programs_look_for():
    values, holes = torch.rand(2, 3, 4), torch.zeros(1, 3, 4)
    assert sorted(channels("stmap", values, holes)) == ["A", "B", "G", "R"]
    named = channels("flow", values, holes)
    assert torch.equal(named["forward.u"], values[0]) and torch.equal(named["G"], values[1])
    assert named["A"].all() and not named["B"].any()


@pytest.mark.parametrize(
    "kind, convention, why", [("uv", "nuke", "map"), ("flow", "up", "convention")]
)
def test_other_maps_are_refused(shifted, kind, convention, why):
    with pytest.raises(ValueError, match=f"Expected the {why} to be one of"):
        next(motion_maps(*shifted[:2], kind, convention))
