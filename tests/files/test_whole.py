import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from gid_core.files import whole
from gid_core.files.whole import check_folder, check_output, written_whole


def write(path, content=b"whole"):
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def raising(code):
    def raises(*args, **options):
        raise OSError(code, os.strerror(code))

    return raises


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        with written_whole(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            assert temporary.parent == tmp_path and temporary.suffix == ".bin"
            raise error
    assert os.listdir(tmp_path) == []


def test_a_file_is_as_readable_as_others(tmp_path):
    write(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(b"whole")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.bin", "b.bin")]
    assert modes[0] == modes[1]
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("step", ["chmod", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EXDEV])
def test_a_file_system_that_refuses_a_step_gets_the_file(tmp_path, monkeypatch, step, code):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o600)
    monkeypatch.setattr(os, step, raising(code))
    write(path)
    assert path.read_bytes() == b"whole" and os.listdir(tmp_path) == ["a.bin"]


def test_a_copy_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def half(source, target):
        Path(target).write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", raising(errno.EXDEV))
    monkeypatch.setattr("shutil.copyfile", half)
    with pytest.raises(ValueError, match="the disk is full. Nothing was left behind"):
        write(tmp_path / "a.bin")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_copy_that_fails_half_way_puts_back_what_was_there(tmp_path, monkeypatch, error):
    def half(source, target):
        Path(target).write_bytes(b"ha")
        raise error

    (tmp_path / "a.bin").write_bytes(b"the old one")
    monkeypatch.setattr(os, "replace", raising(errno.EXDEV))
    monkeypatch.setattr("shutil.copyfile", half)
    with pytest.raises((ValueError, KeyboardInterrupt)):
        write(tmp_path / "a.bin")
    assert os.listdir(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"the old one"


def test_a_link_into_a_folder_that_is_gone_is_a_sentence_with_that_folder(tmp_path):
    (tmp_path / "a.bin").symlink_to(tmp_path / "gone" / "a.bin")
    for check in (check_output, write):
        with pytest.raises(ValueError, match="Cannot write in '.*gone': No such file"):
            check(tmp_path / "a.bin")
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_while_flushed_is_said(tmp_path, monkeypatch, code):
    monkeypatch.setattr(os, "fsync", raising(code))
    with pytest.raises(ValueError, match="Could not write .*Nothing was left behind"):
        write(tmp_path / "a.bin")
    assert os.listdir(tmp_path) == []


def test_the_umask_of_the_process_is_never_set(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", raising(errno.EPERM))
    write(tmp_path / "a.bin")


def test_files_of_many_threads_have_the_modes_of_others(tmp_path):
    threads = [threading.Thread(target=write, args=(tmp_path / f"{n}.bin",)) for n in range(24)]
    for thread in threads:
        thread.start()
    (tmp_path / "plain").write_bytes(b"")
    for thread in threads:
        thread.join()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1 and len(os.listdir(tmp_path)) == 25


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path):
    write(tmp_path / "a.bin", b"private")
    (tmp_path / "a.bin").chmod(0o640)
    write(tmp_path / "a.bin")
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640


@pytest.mark.parametrize("target", ["real.bin", "sub/real.bin"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path, target, exists):
    (tmp_path / "sub").mkdir()
    if exists:
        (tmp_path / target).write_bytes(b"old")
    link = tmp_path / "a.bin"
    link.symlink_to(tmp_path / target)
    write(link)
    assert link.is_symlink() and (tmp_path / target).read_bytes() == b"whole"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("letter", ["n", "ä", "樹", "🌳"])
@pytest.mark.parametrize("ending", [".mp4", ".safetensors", "." + "x" * 100])
def test_a_name_as_long_as_they_may_be_can_be_written(tmp_path, letter, ending):
    path = tmp_path / (letter * ((255 - len(ending)) // len(letter.encode())) + ending)
    assert 250 < len(path.name.encode()) <= 255
    write(path)
    assert os.listdir(tmp_path) == [path.name]


def test_names_of_any_bytes_can_be_written(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe" * 1 + b"\xff" * 40 + b".bin"))
    path.parent.mkdir(exist_ok=True)
    write(path)
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["n" * 256, "n" * 300 + ".mp4", "樹" * 90, "a\0b", "d/" * 3000])
def test_what_is_too_long_for_a_name_is_a_sentence(tmp_path, name):
    for check in (check_folder, check_output, write):
        with pytest.raises(ValueError, match="^(Cannot write to|Expected an existing folder)"):
            check(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_devices_pipes_and_links_to_themselves_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(ValueError, match="got the device or pipe"):
            write(path)
    with pytest.raises(ValueError, match="Cannot write to .*round.*Use another name"):
        write(tmp_path / "round")


def test_folders_and_files_without_permission_are_sentences(shared_folder, unprivileged):
    locked, kept = shared_folder / "locked", shared_folder / "kept.bin"
    locked.mkdir()
    kept.write_bytes(b"kept")
    locked.chmod(0o555)
    kept.chmod(0o444)
    with unprivileged():
        for check in (check_output, write):
            with pytest.raises(ValueError, match="Cannot write in .*Permission denied"):
                check(locked / "a.bin")
            with pytest.raises(ValueError, match="'.*kept.bin' is read-only"):
                check(kept)
    assert kept.read_bytes() == b"kept" and os.listdir(locked) == []


def test_a_check_leaves_nothing(tmp_path):
    check_output(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"old")
    check_output(tmp_path / "b.mp4")
    assert os.listdir(tmp_path) == ["b.mp4"] and (tmp_path / "b.mp4").read_bytes() == b"old"


def test_temporary_names_never_meet(tmp_path, monkeypatch):
    names = iter(["same", "same", "other"])
    monkeypatch.setattr(whole.secrets, "token_hex", lambda count: next(names))
    with written_whole(tmp_path / "a.bin"), written_whole(tmp_path / "a.bin") as second:
        assert second.name == ".a-other.bin"
