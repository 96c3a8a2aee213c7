"""Tests inside a real ComfyUI. Without one they are skipped, and the summary says so loudly."""

import shutil

import hosts
import pytest

FOUND = hosts.FOUND
LOUD = "COMFYUI NOT FOUND: the pack was NOT tested inside its host."
HOW = (
    "Set COMFYUI_PATH to a ComfyUI folder (and COMFYUI_PYTHON to a Python that has its requirements), "
    "or install one at ~/comfy/ComfyUI."
)

NO_BROWSER = (
    "BROWSER NOT FOUND: the workflows were NOT opened in ComfyUI's page. "
    "Install playwright into this Python, and chromium."
)
PROGRAMS = "chromium", "chromium-browser", "google-chrome"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/host" in item.path.as_posix():
            item.add_marker(pytest.mark.host)


def _or_skip():
    if hosts.python() is None:
        pytest.skip(f"{LOUD} {HOW}")


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """Start every host that was found at once: each takes some seconds of one core."""
    started = {}
    yield started, tmp_path_factory
    for host in started.values():
        host.close()


@pytest.fixture(scope="session", params=FOUND or [None], ids=lambda i: i.version if i else "none")
def host(request, processes):
    """Every ComfyUI that was found, one after the other."""
    _or_skip()
    started, folders = processes
    if not started:
        for install in FOUND:
            work = folders.mktemp(f"host-{install.version}")
            started[install] = hosts.Host(install, work)
    return started[request.param]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The newest host as a real server."""
    _or_skip()
    server = hosts.Server(FOUND[0], tmp_path_factory.mktemp("server") / "base")
    try:
        server.wait()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip(NO_BROWSER)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter):
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "tests/host" in r.nodeid]
    if not skipped:
        return
    terminalreporter.section("ComfyUI", "!", red=True, bold=True)
    for reason in sorted({str(r.longrepr[2]).removeprefix("Skipped: ") for r in skipped}):
        terminalreporter.line(reason, red=True, bold=True)
    terminalreporter.line(f"{len(skipped)} host tests were skipped.", red=True, bold=True)
