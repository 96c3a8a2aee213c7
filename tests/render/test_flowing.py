import pytest
import torch

from gid_core.motion.displacement import Displacement
from gid_core.render import flowing as flowing_module
from gid_core.render.flowing import flow_frames, mix_phases, texture

SIZE = 24, 40


def picture(channels=3):
    generator = torch.Generator().manual_seed(2)
    return torch.rand(channels, *SIZE, generator=generator)


def constant(dx, dy, grid=(6, 10)):
    return torch.tensor([float(dx), float(dy)]).view(2, 1, 1).expand(2, *grid).clone()


def weight_of(flowing):
    return torch.ones_like(flowing.canvas[:1])


def test_a_phase_that_has_not_moved_is_the_still_bit_for_bit():
    still = picture()
    flowing = texture(still, torch.rand(1, *SIZE), (3, 5))
    frame, hole = mix_phases(
        flowing, [(1.0, constant(0, 0)), (0.0, constant(3, 2))], weight_of(flowing)
    )
    assert torch.equal(frame, still) and not hole.any()


def test_convention_content_moves_forward():
    still, everywhere = picture(), torch.ones(1, *SIZE)
    flowing = texture(still, everywhere, (4, 4))
    frame, _ = mix_phases(flowing, [(1.0, constant(3, -2))], weight_of(flowing))
    torch.testing.assert_close(frame[:, :-2, 3:], still[:, 2:, :-3], rtol=0, atol=1e-4)


def test_where_the_matte_is_zero_the_still_stays_bit_for_bit():
    still, matte = picture(), torch.zeros(1, *SIZE)
    matte[:, 8:16, 10:30] = 1
    flowing = texture(still, matte, (6, 6))
    frame, _ = mix_phases(
        flowing, [(0.5, constant(4, 4)), (0.5, constant(-2, 0))], weight_of(flowing)
    )
    outside = (matte == 0).expand_as(still)
    assert torch.equal(frame[outside], still[outside])
    assert (frame - still)[~outside].abs().max() > 0.1


def test_what_stands_in_front_does_not_flow_along():
    # A red pole in front of blue: nothing red leaves it.
    still = torch.zeros(3, *SIZE)
    still[2] = 0.8
    still[:, :, 18:22] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    matte = (still[2:] > 0.5).float()
    flowing = texture(still, matte, (6, 6))
    frame, _ = mix_phases(flowing, [(1.0, constant(5, 0))], weight_of(flowing))
    torch.testing.assert_close(frame, still, rtol=0, atol=1e-5)


def test_phases_are_mixed_by_share_and_weight():
    still = torch.full((3, *SIZE), 0.2)
    still[:, :, 20:] = 0.8
    flowing = texture(still, torch.ones(1, *SIZE), (12, 12))
    weight = torch.where(flowing.canvas[:1] > 0.5, 3.0, 1.0)
    phases = [(0.25, constant(10, 0)), (0.75, constant(-10, 0))]
    frame, _ = mix_phases(flowing, phases, weight)
    # Between 10 and 30 the first phase brings 0.2, the second 0.8, which weighs three times.
    expected = (0.25 * 0.2 + 0.75 * 3 * 0.8) / (0.25 + 0.75 * 3)
    torch.testing.assert_close(frame[:, 6:18, 14:26], torch.full((3, 12, 12), expected))


def test_gaps_of_a_parting_flow_are_closed():
    # Twice as wide: every second pixel gets nothing of its own.
    still = torch.full((3, *SIZE), 0.5)
    flowing = texture(still, torch.ones(1, *SIZE), (2, 24))
    x = torch.arange(40.0).view(1, 1, 40).expand(1, 24, 40) - 19.5
    field = torch.cat([x * 1.0, torch.zeros_like(x)])
    frame, hole = mix_phases(flowing, [(1.0, field)], weight_of(flowing))
    torch.testing.assert_close(frame, still) and not hole.any()


def test_frames_of_a_motion_loop_and_repeat_in_parts():
    still, matte = picture(), torch.ones(1, *SIZE)
    coeffs = torch.stack([constant(6, 0), constant(0, 3)])[None].to(torch.complex64)
    first = torch.tensor([[0.0, 0.3, 0.6], [0.0, 0.1, 0.0]], dtype=torch.complex64)
    second = first - 1
    weights = torch.tensor([[1.0, 0.6, 0.2], [0.0, 0.4, 0.8]])
    phases = {"further": second[None], "weights": weights}
    motion = Displacement(coeffs, first, 3.0, SIZE, None, True, **phases)
    frames = [f for f, _ in flow_frames(still, motion, 0, matte)]
    assert torch.equal(frames[0], still) and (frames[1] - frames[2]).abs().max() > 0.1
    (alone,) = [f for f, _ in flow_frames(still, motion, 0, matte, [2])]
    assert torch.equal(alone, frames[2])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_any_channels_and_an_empty_matte(channels):
    still = picture(channels)
    motion = Displacement(
        constant(2, 1)[None, None].to(torch.complex64),
        torch.ones(1, 2, dtype=torch.complex64),
        2.0,
        SIZE,
    )
    frames = [f for f, _ in flow_frames(still, motion, 0, torch.zeros(1, *SIZE))]
    assert len(frames) == 2 and torch.equal(frames[1], still)
    (frame, _), _ = flow_frames(still, motion, 0, torch.ones(1, *SIZE))
    assert frame.shape == still.shape and frame.min() >= 0 and frame.max() <= 1


def waves(shift=0.0, period=3.0):
    """Fine waves at some offset, x to the right."""
    x = torch.arange(SIZE[1]) - shift
    return (0.5 + 0.4 * torch.sin(2 * torch.pi * x / period)).expand(3, *SIZE).clone()


def test_fine_texture_keeps_its_contrast_between_pixels():
    everywhere, inner = torch.ones(1, *SIZE), slice(10, 30)
    for period, least in ((3.0, 0.93), (4.0, 0.97)):
        flowing = texture(waves(period=period), everywhere, (4, 4))
        frame, _ = mix_phases(flowing, [(1.0, constant(2.5, 0))], weight_of(flowing))
        exact = waves(2.5, period)
        contrast = [(p[..., inner] - 0.5).square().mean() for p in (frame, exact)]
        assert least < (contrast[0] / contrast[1]).sqrt() < 1.03
        assert (frame - exact)[..., inner].abs().max() < 0.4 * (1.02 - least)


def test_a_canvas_that_is_too_large_to_double_is_read_as_it_is(monkeypatch):
    still, everywhere = picture(), torch.ones(1, *SIZE)
    fields = [(1.0, constant(3, -2))]
    doubled = texture(still, everywhere, (4, 4))
    monkeypatch.setattr(flowing_module, "MOST_DOUBLED", 10)
    plain = texture(still, everywhere, (4, 4))
    assert plain.fine is plain.canvas
    one, other = (mix_phases(each, fields, weight_of(each))[0] for each in (doubled, plain))
    torch.testing.assert_close(one[:, :-2, 3:], other[:, :-2, 3:], rtol=0, atol=1e-4)
