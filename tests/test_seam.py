"""The loop of the bundled still closes: in motion, in pixels, and after encoding."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmarks.quality import encode, most_alike, steps
from gid_core import pipeline
from gid_core.files import stills
from gid_core.motion import playback
from gid_core.motion.displacement import peaks
from gid_core.render import renderer

DEMO = Path(__file__).parent.parent / "docs" / "demo"
FRAMES = 60


@pytest.fixture(scope="module")
def loop():
    still = stills.read_still(DEMO / "still.png")[None, :3]
    still = F.interpolate(still, (170, 256), mode="area")
    spectrum, _ = pipeline.sample_motion(still, stills.read_mask(DEMO / "still_mask.png")[None])
    motion, report = playback.play(spectrum, FRAMES, 12.0)
    assert not report.changed
    frames = torch.stack([frame for frame, _ in renderer.render_frames(still[0], motion)])
    return still[0], motion, frames


def test_the_wrap_is_no_larger_than_any_other_step(loop):
    inside, wrap = steps(loop[2])
    assert 0 < wrap <= inside.max()


def test_encoding_adds_no_more_to_the_wrap_than_a_keyframe_adds_to_its_step(loop, tmp_path):
    frames = loop[2]
    inside, wrap = steps(frames)
    alike = most_alike(inside, wrap)
    plain = encode(frames, tmp_path / "a.mp4", None)
    forced = encode(frames, tmp_path / "b.mp4", alike + 1)
    # A last bit that another processor gives otherwise moves what an encoder decides: by less than
    # a twentieth of a grey level.
    assert steps(plain)[1] - wrap <= steps(forced)[0][alike] - inside[alike] + 0.05 / 255


def test_still_areas_show_no_pulse_at_the_wrap(loop, tmp_path):
    frames = loop[2]
    still = (frames == frames[0]).all(0).all(0)
    decoded = encode(frames, tmp_path / "a.mp4", None)
    pulse = (decoded[0] - decoded[-1])[:, still].square().mean().sqrt()
    assert pulse < 1.5 / 255  # less than what one more or one less makes of every other byte


def test_nothing_changes_farther_from_the_mask_than_anything_moves(loop):
    still, motion, frames = loop
    reach = (
        int((peaks(motion, 0).max() * motion.scaled_to(tuple(still.shape[-2:])).max()).ceil()) + 2
    )
    reached = F.max_pool2d((motion.mask > 0).float(), 2 * reach + 1, 1, reach)[0, 0] > 0
    assert (~reached).any()
    assert torch.equal(frames[..., ~reached], still[:, ~reached].expand(FRAMES, -1, -1))
