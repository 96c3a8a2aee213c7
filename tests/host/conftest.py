"""Tests inside a real ComfyUI. Without one they are skipped, and the summary says so loudly."""

import chromium
import hosts
import pytest

NO_HOST = (
    "COMFYUI NOT FOUND: the pack was NOT tested inside its host. Set COMFYUI_PATH to a ComfyUI "
    "folder (and COMFYUI_PYTHON to a Python that has its requirements), or install one at "
    "~/comfy/ComfyUI."
)
NO_BROWSER = (
    "BROWSER NOT FOUND: the workflows were NOT opened in ComfyUI's page. " + chromium.INSTALL
)
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/host" in item.path.as_posix():
            item.add_marker(pytest.mark.host)


def _or_skip():
    if hosts.python() is None:
        pytest.skip(NO_HOST)


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """The hosts, started all at once by the first test that needs one: each takes some seconds."""
    started = {}
    yield started, tmp_path_factory
    for host in started.values():
        host.close()


@pytest.fixture(scope="session", params=hosts.FOUND or [None], ids=hosts.IDS)
def host(request, processes):
    """Every ComfyUI that was found, one after the other."""
    _or_skip()
    started, folders = processes
    if not started:
        for install in hosts.FOUND:
            work = folders.mktemp(f"host-{install.version}")
            started[install] = hosts.Host(install, work)
    return started[request.param]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The newest host as a real server."""
    _or_skip()
    server = hosts.Server(hosts.FOUND[0], tmp_path_factory.mktemp("server") / "base")
    try:
        server.wait()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def browser():
    if chromium.program() is None:
        pytest.skip(NO_BROWSER)
    with chromium.started(*FLAGS) as browser:
        yield browser


def pytest_terminal_summary(terminalreporter):
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "tests/host" in r.nodeid]
    if not skipped:
        return
    terminalreporter.section("ComfyUI", "!", red=True, bold=True)
    for reason in sorted({str(r.longrepr[2]).removeprefix("Skipped: ") for r in skipped}):
        terminalreporter.line(reason, red=True, bold=True)
    terminalreporter.line(f"{len(skipped)} host tests were skipped.", red=True, bold=True)
