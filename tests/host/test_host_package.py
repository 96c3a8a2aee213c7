"""The package as the registry builds it, unpacked into a fresh host: it loads, and it works.

run_package.py runs all templates of it, too.
"""

import hosts
import pytest
from graphs import Graph, painted, still
from run_package import unpacked

LOAD_S = 0.5  # of one core; a tenth of a second on a machine that is not busy


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A host that finds nothing of this checkout: the archive's files and no others."""
    if hosts.python() is None:
        pytest.skip("COMFYUI NOT FOUND: the package was NOT tested inside its host.")
    folder = tmp_path_factory.mktemp("package")
    _, pack = unpacked(folder)
    host = hosts.Host(hosts.FOUND[0], folder / "work", pack)
    yield host
    host.close()


def test_what_is_shipped_loads_fast_and_without_a_warning(fresh):
    assert fresh.hello["loaded"] and not fresh.hello["warnings"]
    assert fresh.hello["load_s"] < LOAD_S


def test_what_is_shipped_renders_with_its_own_weights(fresh, tmp_path):
    graph = Graph(tmp_path).animate(still(), painted())
    assert graph.frames(fresh).shape == (12, 64, 96, 3)
    graph = Graph(tmp_path).animate(still())  # nobody painted: recognized by the network
    assert graph.frames(fresh).shape == (12, 64, 96, 3)
