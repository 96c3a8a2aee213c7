import copy
import json
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode

from gid_core.config import DenoiserConfig, SamplingConfig, SpectrumConfig
from gid_core.diffusion.motion_model import LearnedPrior, load_model, save_model
from gid_core.diffusion.recognized_model import (
    ExpectationConfig,
    RecognizedModel,
    RecognizedModelConfig,
    between,
    even,
    fresh_recognized,
    load_recognized_model,
)
from gid_core.motion.spectrum import amplitude_pct, moving_points, one_period
from gid_core.recognition.model import Recognizer, RecognizerConfig

SEES = RecognizerConfig(stages=3, finest=2, width=8, longest_side=64)
TINY = RecognizedModelConfig(
    bands=6,
    longest_side=48,
    recognizer=SEES,
    expectation=ExpectationConfig(widths=(8, 12), features=5),
    denoiser=DenoiserConfig(
        bands=6, latent=4, features=5, widths=(8, 12), blocks=1, attention_from=9, head=4
    ),
)
HERTZ = torch.arange(1, 7) / 5


def untrained(config=TINY, seed=0):
    """A model whose layers are all random, also those that are initialized with zeros."""
    generator = torch.Generator().manual_seed(seed)
    model = RecognizedModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.08, generator=generator)
    model.usual.copy_(0.2 / HERTZ)
    return model.eval().requires_grad_(False)


def still(h=37, w=58, seed=0):
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))


def half(h=37, w=58):
    matte = torch.zeros(1, 1, h, w)
    matte[..., : w // 2] = 1
    return matte


def sampled(model, image, matte=None, seed=1, sampling=SamplingConfig(steps=3), **config):
    matte = torch.ones(1, 1, *image.shape[-2:]) if matte is None else matte
    generator = torch.Generator().manual_seed(seed)
    spectrum = SpectrumConfig(**({"bands": 6} | config))
    return LearnedPrior(model, sampling).sample(image, matte, generator, spectrum)


@pytest.fixture(scope="module")
def model():
    return untrained()


def test_equal_seeds_give_equal_motions_and_others_do_not(model):
    one, again, other = (sampled(model, still(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.coeffs, again.coeffs)
    assert not torch.allclose(one.coeffs, other.coeffs)


@pytest.mark.parametrize("size", [(37, 58), (58, 37), (20, 300), (64, 64)])
def test_any_shape_of_still(model, size):
    volume = sampled(model, still(*size))
    assert max(volume.grid) == TINY.longest_side and volume.reference_size == size
    assert volume.coeffs.isfinite().all() and volume.coeffs.abs().sum() > 0


def test_nothing_moves_outside_the_matte(model):
    size = sampled(model, still(), half()).coeffs.abs().sum((0, 1, 2))
    assert not size[:, 26:].any() and (size[:, 2:22] > 0).all()


@pytest.mark.parametrize("amplitude", [0.0, 0.7])
def test_the_motion_has_the_requested_amplitude(model, amplitude):
    volume = sampled(model, still(), half(), amplitude_pct=amplitude)
    size = amplitude_pct(one_period(volume), moving_points(volume))
    assert float(size) == pytest.approx(amplitude, rel=1e-4)


def test_a_code_of_ones_is_the_expected_amplitude(model):
    given = model.condition(still(), torch.ones(1, 1, 37, 58), HERTZ)
    ones = torch.ones(1, 6, 4, *given.features.shape[-2:])
    _, amplitudes = model.expect(*seen_by(model))
    found = given.decode(ones)
    assert found.shape == (1, 6, 4, 31, 48)
    # Amplitudes are read between the places of codes, so the mean is nearly theirs.
    ratio = found.mean((3, 4)) / amplitudes[..., :8, :12].mean((3, 4))
    assert (ratio - 1).abs().max() < 0.1


def test_on_another_device_pictures_and_maps_are_still_resized_on_the_cpu():
    """Other devices cannot resize to all sizes. The one of this test knows shapes alone."""
    resized = []

    class Elsewhere(TorchFunctionMode):
        def __torch_function__(self, function, types, given=(), options=None):
            options = options or {}
            if function is torch.Tensor.cpu and given[0].is_meta:
                return torch.zeros(given[0].shape, dtype=given[0].dtype, device="cpu")
            if options.get("antialias") or options.get("mode") == "area":
                resized.append(given[0].device.type)
            return function(*given, **options)

    elsewhere = RecognizedModel(TINY).to("meta").requires_grad_(False)
    with Elsewhere():
        told = elsewhere.condition(still(137, 158), half(137, 158), HERTZ)
        moved = told.decode(torch.ones(1, 6, 4, *told.features.shape[-2:], device="meta"))
    assert told.features.is_meta and moved.is_meta
    assert len(resized) > 4 and set(resized) == {"cpu"}


def seen_by(model):
    from gid_core.diffusion.motion_latents import coverage
    from gid_core.diffusion.still_features import still_features

    seen = still_features(model.recognizer, still(), (31, 48), model.multiple)
    share = torch.zeros_like(seen.sways)
    share[..., :31, :48] = 1
    return seen.features, coverage(share)


def test_amplitudes_between_two_bands_follow_a_power_law():
    known = 0.3 / HERTZ.square()
    amplitudes = known.view(1, -1, 1, 1, 1).expand(-1, -1, 4, 2, 3)
    asked = torch.tensor([0.1, 0.2, 0.31, 0.97, 1.2, 9.0])
    found = between(amplitudes, HERTZ, asked)[0, :, 0, 0, 0]
    torch.testing.assert_close(found, 0.3 / asked.clamp(0.2, 1.2).square())


def test_any_bands_can_be_asked_for(model):
    volume = sampled(model, still(), bands=9, duration_s=3.5)
    assert volume.coeffs.shape[1] == 9 and volume.coeffs.isfinite().all()


def test_guidance_works_in_inference_mode(model):
    loop = SamplingConfig(steps=3, loop_strength=100.0, loop_s=3.3, guidance=0.5)
    with torch.inference_mode():
        guided = sampled(model, still(), sampling=loop)
    free = sampled(model, still(), sampling=replace(loop, loop_strength=0.0))
    assert guided.coeffs.isfinite().all() and not torch.allclose(guided.coeffs, free.coeffs)


def test_where_nothing_may_move_nothing_does(model):
    assert not sampled(model, still(), torch.zeros(1, 1, 37, 58)).coeffs.any()


def test_an_evened_sample_is_as_strong_as_expected_and_keeps_its_phases():
    generator = torch.Generator().manual_seed(0)
    amplitudes = torch.rand(1, 6, 4, 5, 7, generator=generator) + 0.1
    blotches = torch.rand(1, 1, 5, 7, generator=generator) + 0.05
    moved = (torch.randn(amplitudes.shape, generator=generator) * amplitudes).flatten(1, 2)
    counts = torch.ones(1, 1, 5, 7)
    gain = even(moved * blotches, amplitudes, counts)
    assert gain.shape == (1, 1, 5, 7) and (gain > 0).all()
    total = lambda x: F.avg_pool2d(x.square().sum(1, keepdim=True), 3, 1, 1).sqrt()
    before, after = total(moved * blotches), total(moved * blotches * gain)
    wanted = total(amplitudes.flatten(1, 2))
    error = lambda found: float((found / wanted).log().abs().mean())
    assert error(after) < 0.4 * error(before)
    exact = even(amplitudes.flatten(1, 2), amplitudes, counts)
    torch.testing.assert_close(exact, torch.ones_like(exact))


def test_networks_can_compute_in_half_precision(model):
    half_way = copy.deepcopy(model)
    for part in half_way.networks:
        part.to(torch.bfloat16)
    one, other = (sampled(m, still(), half()).coeffs for m in (model, half_way))
    assert other.dtype == one.dtype and other.isfinite().all()
    assert (one - other).abs().mean() < 0.2 * one.abs().mean()


def test_an_untrained_model_expects_what_is_usual():
    model = fresh_recognized(TINY, Recognizer(SEES), seed=3)
    model.usual.copy_(0.2 / HERTZ)
    _, amplitudes = model.expect(*seen_by(model))
    assert torch.allclose(amplitudes, 1.02 * (0.2 / HERTZ).view(1, -1, 1, 1, 1), rtol=1e-4)


def test_a_file_of_this_model_is_told_from_one_of_the_paper_s(model, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(model, path, {"data": "none"})
    read = load_model(path)
    assert isinstance(read, RecognizedModel) and read.config == TINY
    one, other = (sampled(m, still()).coeffs for m in (model, read))
    assert (one - other).abs().mean() < 0.02 * one.abs().mean()  # half precision
    save_model(read, tmp_path / "again.safetensors", {"data": "none"})
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


BAD = {
    "its longest_side is -1": lambda c: c.update(longest_side=-1),
    "contradicts itself": lambda c: c["denoiser"].update(features=7),
    "not one of a RecognizedModelConfig": lambda c: c.pop("denoiser"),
    "its stages is 9000": lambda c: c["recognizer"].update(stages=9000),
}


@pytest.mark.parametrize("message", BAD)
def test_damaged_and_hostile_files_are_refused(model, tmp_path, message):
    config = json.loads(json.dumps(asdict(TINY)))
    BAD[message](config)
    header = {"version": 1, "config": config, "notes": {}}
    tensors = {n: t.clone() for n, t in model.state_dict().items()}
    save_file(tensors, tmp_path / "m", {"image_dynamics_model": json.dumps(header)})
    with pytest.raises(ValueError, match=message):
        load_recognized_model(tmp_path / "m")
