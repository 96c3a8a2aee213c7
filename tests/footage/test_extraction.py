import json
import math
import re
from dataclasses import replace

import oracles
import pytest
import torch

from gid_core.config import ExtractionConfig
from gid_core.footage.extraction import extract, fill_occlusions
from gid_core.footage.flow import estimator

H, W, FPS, T = 48, 72, 10.0, 30
SHORT = ExtractionConfig(bands=4, window_s=3.0, longest_side=72)


def course(*bands):
    """A sum of (k, amplitude, phase): harmonics of 1/3 Hz, over 30 frames."""
    t = torch.arange(float(T)) / T
    return sum(a * torch.cos(2 * math.pi * k * t + phase) for k, a, phase in bands)


def read(frames, config=SHORT, **options):
    return extract(frames, FPS, config, estimator("torch"), **options)


def test_a_known_cosine_is_recovered():
    # Displacement is relative to the first frame: its value there is subtracted.
    sway = course((2, 3.0, -1.0))
    frames, truth, mask = oracles.swaying(H, W, sway - sway[0])
    found = read(frames)
    assert found.report.accepted, found.report.reasons
    spectrum = found.spectrum
    assert spectrum.frequencies_hz.tolist() == pytest.approx([k / 3 for k in (1, 2, 3, 4)])
    top = spectrum.coeffs[0, :, 0, 2:8, 30:42].flatten(1)
    where = (truth[1, 0] / (sway[1] - sway[0]))[2:8, 30:42].flatten()
    expected = 3.0 * torch.polar(where, torch.full_like(where, -1.0))
    assert ((top[1] - expected).abs() / expected.abs()).median() < 0.05
    assert top[[0, 2, 3]].abs().median() < 0.05 * 3
    assert spectrum.coeffs[0, :, 1].abs().median() < 0.05


def test_without_a_window_the_whole_clip_is_read_as_with_its_length():
    sway = course((2, 3.0, -1.0))
    frames = strip(sway - sway[0])
    whole, told = (
        read(frames, replace(SHORT, bands=bands, window_s=s)) for bands, s in ((0, 0.0), (10, 3.0))
    )
    assert len(whole.spectrum.frequencies_hz) == 10  # of 1/3 Hz, to 3.2 Hz
    assert torch.equal(whole.spectrum.coeffs, told.spectrum.coeffs)
    assert whole.report == told.report


@pytest.mark.parametrize("flow", ["torch", "dis"])
@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (40, 1), (5, 7)])
def test_specks_of_frames_are_a_sentence(flow, height, width):
    if flow == "dis":
        pytest.importorskip("cv2")
    frames = torch.linspace(0, 1, height * width).view(1, 1, height, width).expand(T, 3, -1, -1)
    with pytest.raises(ValueError, match=f"at least 12x2 px, got {width}x{height}: nothing can"):
        extract(frames, FPS, SHORT, estimator(flow))


def test_without_a_window_a_long_clip_is_read_for_ten_seconds():
    sway = course((2, 3.0, -1.0)).repeat(4)
    found = read(strip(sway - sway[0]), replace(SHORT, window_s=0.0))
    assert found.report.frames == 100


def test_static_pixels_are_exactly_zero():
    frames, _, mask = oracles.swaying(H, W, course((1, 3.0, 1.57)))
    found = read(frames).spectrum
    far = torch.nn.functional.max_pool2d(mask[None].float(), 15, 1, 7)[0] == 0
    for field in (found.coeffs.abs()[0, 0], found.mean[0], found.drift[0]):
        assert (field[:, far] == 0).all()
    assert (found.mask[0, 0][far] == 0).all()


def test_motion_of_an_occlusion_is_the_line_between_the_visible_frames():
    motion = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 1, 1).clone()
    visible = torch.tensor([1, 0, 0, 1, 1, 1]).bool().view(6, 1, 1)
    motion[1:3] = 100
    assert fill_occlusions(motion, visible, 2).flatten(1)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def strip(sway, **options):
    return oracles.swaying(H, W, sway, **options)[0]


def test_the_motion_of_a_shaking_camera_is_removed(rng):
    sway = course((2, 3.0, -1.0))
    away = torch.randn(T, 4, generator=rng) * torch.tensor([0.001, 0.002, 0.3, 0.3])
    away[0] = 0
    camera = away + torch.tensor([1.0, 0, 0, 0])
    found = read(strip(sway - sway[0], camera=camera))
    assert found.report.accepted, found.report.reasons
    largest = float(away[:, 2:].norm(dim=1).max())
    assert found.report.camera_shift_px == pytest.approx(largest, abs=0.15)
    still = read(strip(sway - sway[0])).spectrum.coeffs[0, 1, 0, 2:8, 30:42]
    shaken = found.spectrum.coeffs[0, 1, 0, 2:8, 30:42]
    assert ((shaken - still).abs() / still.abs()).median() < 0.1


@pytest.mark.parametrize("name", ["zoom", "turn"])
def test_a_camera_that_drifts_away_is_refused(name):
    t = torch.arange(float(T)) / T
    camera = torch.tensor([1.0, 0, 0, 0]).repeat(T, 1)
    camera[:, 0 if name == "zoom" else 1] += 0.08 * t
    report = read(strip(course((2, 1.0, -1.57)), camera=camera)).report
    assert not report.accepted and "The camera moves" in str(report)


def test_a_clip_without_motion_is_refused():
    for frames in (strip(torch.zeros(1)).expand(T, -1, -1, -1), torch.zeros(T, 3, H, W)):
        report = read(frames).report
        assert not report.accepted and "Nothing moves in the clip" in str(report)


def test_film_grain_is_not_motion(rng):
    still = strip(torch.zeros(1))
    report = read((still + 0.02 * torch.randn(T, 3, H, W, generator=rng)).clamp(0, 1)).report
    assert not report.accepted and report.moving_share == 0


@pytest.mark.parametrize("count", [0, 1, T - 1])
def test_a_clip_shorter_than_the_lowest_period_says_what_it_needs(count):
    found = read(strip(course((1, 3.0, 1.57)))[:count])
    assert found.spectrum is None
    sentence = rf"has {count} frames?; one period of 0.333 Hz at 10 fps needs 30"
    assert re.search(sentence, str(found.report))


def test_the_shot_after_a_cut_is_read():
    sway = course((2, 3.0, -1.57))
    other = torch.rand(3, H, W, generator=torch.Generator().manual_seed(1))
    frames = torch.cat([other.expand(7, -1, -1, -1), strip(sway)])
    report = read(frames).report
    assert report.accepted and report.start_frame == 7 and report.cuts_s == [0.7]
    assert "from frame 7 on" in str(report)


def test_a_fade_ends_the_shot():
    frames = strip(course((2, 3.0, -1.57)))
    dark = torch.linspace(0, 1, 8).view(8, 1, 1, 1)
    frames = torch.cat([frames[:22], frames[22:] * (1 - dark)])
    report = read(frames).report
    assert not report.accepted and "without a cut or fade has" in str(report)


def test_criteria_of_training_sets_apply_only_to_training_sets():
    frames = strip(course((2, 3.0, -1.57)))
    assert not [w for w in read(frames).report.warnings if "training" in w]
    strict = read(frames, replace(SHORT, training=True)).report
    assert not strict.accepted and "too little for a training set" in str(strict)


def test_without_detrending_drift_leaks_into_the_bands():
    creeping = 2 * torch.arange(float(T)) / T
    frames = strip(course((2, 2.0, -1.57)) + creeping)
    found, raw = read(frames), read(frames, replace(SHORT, detrend=False))
    assert raw.spectrum.drift is None
    # The jump of 2 px leaks 2 / (pi k) into every band.
    lowest = [x.spectrum.coeffs[0, 0, 0, 2:8, 30:42].abs().median() for x in (found, raw)]
    assert lowest[0] < 0.15 < 0.35 < lowest[1]


def test_a_report_is_json_and_counts_its_frames():
    done = []
    found = read(strip(course((2, 3.0, -1.57))), callback=lambda i, of: done.append((i, of)))
    assert json.loads(json.dumps(found.report.as_json()))["frames"] == T
    assert done[0] == (0, T - 1) and done[-1] == (T - 1, T - 1)


@pytest.mark.parametrize(
    "config, sentence",
    [
        (
            ExtractionConfig(16, 3.0),
            r"16 bands of 0\.333333 Hz need more than 32 frames.*at most 14",
        ),
        (ExtractionConfig(4, 9000.0), "more than 3000"),
    ],
)
def test_a_window_that_cannot_hold_the_bands_is_refused(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        read([], config)
