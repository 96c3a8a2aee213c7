import os
import stat

import pytest

from gid_core.files.whole import written_whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        with written_whole(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            assert temporary.parent == tmp_path and temporary.suffix == ".bin"
            raise error
    assert os.listdir(tmp_path) == []


def test_a_file_is_as_readable_as_others(tmp_path):
    with written_whole(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    (tmp_path / "b.bin").write_bytes(b"whole")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.bin", "b.bin")]
    assert modes[0] == modes[1]
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


def test_a_name_as_long_as_they_may_be_can_be_written(tmp_path):
    path = tmp_path / ("n" * 240 + ".safetensors")
    with written_whole(path) as temporary:
        temporary.write_bytes(b"whole")
    assert os.listdir(tmp_path) == [path.name]
