import json
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

from gid_core.config import PRESETS, SamplingConfig, SpectrumConfig
from gid_core.diffusion.autoencoder import REDUCTION
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import (
    LearnedPrior,
    MotionModel,
    how_far,
    load_model,
    match_amplitude,
    nearest,
    save_model,
)
from gid_core.motion.spectrum import amplitude_pct, moving_points, one_period

TINY = PRESETS["tiny"]
HERTZ = torch.arange(1, 17) / 5


def untrained(config=TINY, seed=0):
    """A model whose layers are all random, also those that are initialized with zeros."""
    generator = torch.Generator().manual_seed(seed)
    model = MotionModel(config, Encoding(HERTZ, 0.1 / HERTZ))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.08, generator=generator)
    return model.eval().requires_grad_(False)


def still(h=37, w=58, seed=0):
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))


def sampled(model, image, matte=None, seed=1, sampling=SamplingConfig(steps=3), **config):
    matte = torch.ones(1, 1, *image.shape[-2:]) if matte is None else matte
    generator = torch.Generator().manual_seed(seed)
    return LearnedPrior(model, sampling).sample(image, matte, generator, SpectrumConfig(**config))


@pytest.fixture(scope="module")
def model():
    return untrained()


def test_equal_seeds_give_equal_motions_and_others_do_not(model):
    one, again, other = (sampled(model, still(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.coeffs, again.coeffs)
    assert not torch.allclose(one.coeffs, other.coeffs)


def local_energy(field):
    """The local energy around every code, as in `match_amplitude`."""
    pooled = F.avg_pool2d(field, REDUCTION)
    return F.avg_pool2d(F.pad(pooled, (1, 1, 1, 1), mode="replicate"), 3, 1)


def test_matching_gives_the_expected_local_amplitude():
    generator = torch.Generator().manual_seed(0)
    blotches = 0.1 + torch.rand(2, 1, 3, 5, generator=generator)
    blotches = F.interpolate(blotches, (36, 60), mode="bilinear")
    channels = torch.randn(2, 5, 4, 36, 60, generator=generator) * blotches[:, None]
    even = match_amplitude(channels, torch.full((2, 1, 9, 15), 5**0.5))
    before, after = (local_energy(x.square().sum((1, 2))[:, None]).sqrt() for x in (channels, even))
    error = lambda amplitude: float((amplitude / 5**0.5).log().abs().mean())
    assert error(after) < 0.25 * error(before)


def test_matching_has_one_positive_gain_for_all_bands_of_a_point():
    generator = torch.Generator().manual_seed(0)
    channels = torch.randn(1, 3, 4, 34, 57, generator=generator)
    gain = match_amplitude(channels, torch.rand(1, 1, 9, 15, generator=generator)) / channels
    assert (gain > 0).all() and torch.allclose(gain, gain[:, :1, :1].expand_as(gain), rtol=1e-4)
    same = match_amplitude(channels * 1e-9, torch.zeros(1, 1, 9, 15))
    assert torch.allclose(same, channels * 1e-9)  # zero expected and almost zero given: gain 1


def test_the_amplitude_of_a_subset_of_bands_is_that_of_these_bands(model):
    features = model.encoder(F.pad(still(32, 48), (0, 0)))
    every, few = model.amplitudes(features, HERTZ), model.amplitudes(features, HERTZ[4::5])
    torch.testing.assert_close(few, every[:, 4::5])
    assert nearest(HERTZ, torch.tensor([0.01, 0.29, 0.31, 99.0])).tolist() == [0, 0, 1, 15]


def test_evened_motion_goes_as_far_as_recognition_says(model, monkeypatch):
    far = torch.ones(1, 1, 37, 58)
    far[..., :29] = 0.1
    monkeypatch.setattr("gid_core.diffusion.motion_model.how_far", lambda image: far)
    size = lambda volume: volume.coeffs.abs().square().sum((1, 2)).sqrt()[0]
    even = size(sampled(model, still()))
    plain = size(sampled(model, still(), sampling=SamplingConfig(steps=3, evened=False)))
    ratio = lambda field: float(field[:, :22].mean() / field[:, 36:].mean())
    assert ratio(even) < 0.3 < ratio(plain)


def test_what_is_not_recognized_goes_half_as_far():
    assert torch.allclose(how_far(torch.zeros(1, 3, 40, 60)), torch.tensor(0.5), atol=0.1)


@pytest.mark.parametrize("size", [(37, 58), (58, 37), (20, 300), (64, 64)])
def test_any_shape_of_still(model, size):
    volume = sampled(model, still(*size))
    longest = min(TINY.longest_side, max(size))
    assert max(volume.grid) == longest
    assert min(volume.grid) == max(1, round(min(size) * longest / max(size)))
    assert volume.reference_size == size and volume.mask.shape == (1, 1, *size)
    assert volume.coeffs.isfinite().all()


@pytest.mark.parametrize("amplitude", [0.0, 0.7, 2.0])
def test_the_motion_has_the_requested_amplitude(model, amplitude):
    matte = torch.zeros(1, 1, 37, 58)
    matte[..., 5:30, 10:50] = 1
    volume = sampled(model, still(), matte, amplitude_pct=amplitude)
    size = amplitude_pct(one_period(volume), moving_points(volume))
    assert float(size) == pytest.approx(amplitude, rel=1e-4)


def test_bands_are_harmonics_of_the_duration(model):
    volume = sampled(model, still(), bands=7, duration_s=3.5)
    assert torch.allclose(volume.frequencies_hz, torch.arange(1, 8) / 3.5)
    assert volume.coeffs.shape[1] == 7


def test_motion_is_zero_outside_the_matte_and_at_the_anchor(model):
    image, matte = still(), torch.zeros(1, 1, 37, 58)
    matte[..., :30] = 1
    anchor = torch.zeros_like(matte)
    anchor[..., :20, :] = 1
    volume = LearnedPrior(model, SamplingConfig(steps=2)).sample(
        image, matte, torch.Generator().manual_seed(0), anchor=anchor
    )
    size = volume.coeffs.abs().sum((0, 1, 2))
    assert not size[:, 31:].any() and not size[:19].any()
    assert (size[22:, :29] > 0).all()
    assert torch.equal(volume.mask, matte)


@pytest.mark.parametrize("rule, strength", [("fast", 100.0), ("paper", 0.1)])
def test_guidance_works_in_inference_mode(model, rule, strength):
    loop = SamplingConfig(
        steps=3, loop_strength=strength, loop_s=3.3, guidance=0.5, repeats=2, loop_rule=rule
    )
    with torch.inference_mode():
        guided = sampled(model, still(), sampling=loop)
    free = sampled(model, still(), sampling=replace(loop, loop_strength=0.0))
    assert not torch.allclose(guided.coeffs, free.coeffs)
    assert guided.coeffs.isfinite().all()


def test_an_unknown_rule_of_guidance_is_refused(model):
    with pytest.raises(ValueError, match="fast, paper, got 'slow'"):
        sampled(model, still(), sampling=SamplingConfig(loop_rule="slow"))


def test_guidance_works_with_weights_loaded_in_inference_mode(model, tmp_path):
    save_model(model, tmp_path / "m.safetensors")
    loop = SamplingConfig(steps=2, loop_strength=0.1, loop_s=3.3, loop_rule="paper")
    with torch.inference_mode():  # as nodes run
        loaded = load_model(tmp_path / "m.safetensors")
        guided = sampled(loaded, still(), sampling=loop)
    assert guided.coeffs.isfinite().all()
    assert loaded.scale.is_inference()  # guidance works on a copy


def test_every_step_is_polled_and_previewed(model):
    seen, polls = [], []
    learned = LearnedPrior(model, SamplingConfig(steps=4), lambda c: seen.append(c.shape))
    matte = torch.ones(1, 1, 37, 58)
    learned.sample(still(), matte, torch.Generator(), poll=lambda: polls.append(1))
    assert seen == [(1, 16, 4, 37, 58)] * 4 and len(polls) >= 4


def test_a_model_with_layout_volume_has_a_fixed_number_of_bands():
    denoiser = replace(TINY.denoiser, layout="volume")
    volume = untrained(replace(TINY, denoiser=denoiser))
    assert sampled(volume, still()).coeffs.shape[1] == 16
    with pytest.raises(ValueError, match="Expected 16 bands"):
        sampled(volume, still(), bands=7)


def test_modes_are_refused(model):
    with pytest.raises(ValueError, match="knows no modes"):
        sampled(model, still(), kind="modes")


def test_a_model_saved_and_loaded_samples_the_same(model, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(model, path, {"data": "none"})
    read = load_model(path)
    assert read.config == model.config
    save_model(read, tmp_path / "again.safetensors", {"data": "none"})
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["image_dynamics_model"])
    assert header["notes"] == {"data": "none"} and header["config"]["bands"] == 16
    one, other = (sampled(m, still()).coeffs for m in (model, read))
    assert (one - other).abs().mean() < 0.01 * one.abs().mean()  # half precision


def spoiled(model, path, change_header=None, change=None):
    tensors = {n: t.clone() for n, t in model.state_dict().items()}
    header = {"version": 1, "config": asdict(model.config), "notes": {}}
    (change_header or (lambda h: None))(header)
    (change or (lambda t: None))(tensors)
    save_file(tensors, path, {"image_dynamics_model": json.dumps(header)})
    return path


BAD = {
    "version 9": (lambda h: h.update(version=9), None),
    "not one of a MotionModelConfig": (lambda h: h.update(config={"bands": 3}), None),
    "its bands is -1": (lambda h: h["config"].update(bands=-1), None),
    "its longest_side is 1e+30": (lambda h: h["config"].update(longest_side=1e30), None),
    "its widths is": (lambda h: h["config"]["denoiser"].update(widths=[10**9]), None),
    "contradicts itself.": (lambda h: h["config"]["denoiser"].update(blocks=4096), None),
    "frequencies_hz holds impossible": (None, lambda t: t["frequencies_hz"].fill_(0.2)),
    "contradicts itself": (lambda h: h["config"].update(normalization="magic"), None),
    "scale has shape": (None, lambda t: t.update(scale=torch.ones(3))),
    "of another release: only one of the two knows of encoder.stem.bias": (
        None,
        lambda t: t.pop("encoder.stem.bias"),
    ),
    "impossible values": (None, lambda t: t["scale"].zero_()),
    "encoder.stem.weight holds impossible": (
        None,
        lambda t: t["encoder.stem.weight"].fill_(float("nan")),
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_damaged_and_hostile_files_are_refused(model, tmp_path, message):
    path = spoiled(model, tmp_path / "bad.safetensors", *BAD[message])
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        load_model(path)


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found nothing at"):
        load_model(tmp_path / "none.safetensors")
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ValueError, match="not a readable safetensors"):
        load_model(path)
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="no motion model"):
        load_model(path)
