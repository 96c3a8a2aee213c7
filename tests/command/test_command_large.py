"""Large stills: what the command line says of how long they take."""

import pytest

from gid_core import __main__ as command
from gid_core.files import stills


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [0.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    return now


def frames_of(clock, *seconds):
    for spent in seconds:
        clock[0] += spent
        yield spent


def test_the_second_frame_of_a_large_still_tells_how_long_all_take(clock, capsys):
    frames = command._expected(frames_of(clock, 9.0, 2.0, 2.0), 151, 24.0)
    assert list(frames) == [9.0, 2.0, 2.0]
    assert capsys.readouterr().out == "note: at 24 megapixels, 151 frames take 5 minutes\n"


@pytest.mark.parametrize("megapixels, total", [(2.0, 151), (24.0, 20)])
def test_small_stills_and_short_clips_say_nothing(clock, capsys, megapixels, total):
    assert len(list(command._expected(frames_of(clock, 9.0, 2.0, 2.0), total, megapixels))) == 3
    assert capsys.readouterr().out == ""


def test_the_size_of_a_large_still_is_said(monkeypatch, tmp_path, capsys):
    import argparse

    import torch

    monkeypatch.setattr(command, "LARGE_MPX", 0.002)
    stills.write_picture(tmp_path / "still.png", torch.rand(3, 40, 60))
    args = argparse.Namespace(still=tmp_path / "still.png", mask=None, anchor=None, depth=None)
    command._read(args)
    assert "note: the still is 60x40, 0 megapixels: about 0 s" in capsys.readouterr().out
