import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def shared_folder():
    """A folder that any user may enter; those of pytest are for their owner alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged():
    """Run a block as a user whom permissions bind, if the tests run as root, whom they do not."""

    @contextmanager
    def as_nobody():
        root = getattr(os, "geteuid", lambda: 1)() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return as_nobody
