import oracles
import pytest
import torch

from gid_core.footage.shots import longest_shot


def scene(seed, count, gain=1.0):
    """A texture that drifts slowly: frames of 24 x 36."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(36.0), indexing="ij")
    clip = [oracles.plane_waves(x - 0.2 * t, y, seed, finest=9.0) for t in range(count)]
    return [0.5 + gain * (frame - 0.5) for frame in clip]


def bytes_of(frame):
    return (frame * 255).round().to(torch.uint8)


def shot_of(frames, length):
    return longest_shot(frames, length, bytes_of)


def test_a_clip_of_one_shot_is_that_shot():
    frames = scene(1, 9)
    shot = shot_of(frames, 9)
    assert (shot.start, shot.size, shot.cuts) == (0, (24, 36), ())
    assert (shot.frames == torch.stack([bytes_of(f) for f in frames])).all()


def test_a_long_shot_is_read_only_up_to_the_asked_length():
    read = []

    def frames():
        for t, frame in enumerate(scene(1, 9)):
            read.append(t)
            yield frame

    assert len(shot_of(frames(), 5).frames) == 5 and read == [0, 1, 2, 3, 4]


def test_the_first_shot_that_is_long_enough_is_returned():
    frames = scene(1, 3) + scene(2, 6) + scene(3, 8)
    shot = shot_of(frames, 5)
    assert (shot.start, len(shot.frames), shot.cuts) == (3, 5, (3,))


def test_the_longest_shot_is_returned_if_none_is_long_enough():
    shot = shot_of(scene(1, 3) + scene(2, 6) + scene(3, 5), 100)
    assert (shot.start, len(shot.frames), shot.cuts) == (3, 6, (3, 9))
    assert (shot.frames[0] == bytes_of(scene(2, 1)[0])).all()


@pytest.mark.parametrize("to", ["black", "white", "another"])
def test_a_shot_ends_where_a_fade_begins(to):
    before, after = scene(1, 12), scene(2, 12)
    end = {"black": torch.zeros(3, 24, 36), "white": torch.ones(3, 24, 36)}
    fading = [
        f + (k + 1) / 10 * (end.get(to, g) - f)
        for k, (f, g) in enumerate(zip([before[-1]] * 9, [after[0]] * 9))
    ]
    shot = shot_of(before + fading, 100)
    assert shot.start == 0 and 10 <= len(shot.frames) <= 13 and len(shot.cuts) >= 1


def test_a_flash_is_a_cut():
    frames = scene(1, 12)
    frames[7] = torch.ones(3, 24, 36)
    assert shot_of(frames, 100).cuts == (7, 8)


def test_black_frames_are_one_shot():
    shot = shot_of([torch.zeros(3, 24, 36)] * 4, 4)
    assert len(shot.frames) == 4 and shot.cuts == ()


def test_no_frames_make_an_empty_shot():
    shot = shot_of([], 4)
    assert len(shot.frames) == 0 and shot.cuts == ()
