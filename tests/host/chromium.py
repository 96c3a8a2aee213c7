"""Where Chromium is, and how tests and benchmarks start it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

PROGRAMS = "chromium", "chromium-browser", "google-chrome"
FLAGS = "--no-sandbox", "--no-first-run"
INSTALL = "Install playwright into this Python, and chromium."


def program() -> str | None:
    """The path of Chromium; None without it, or without playwright to drive it."""
    if find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def started(*flags: str) -> Iterator:
    """A browser of playwright, with more flags of the command line; closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=[*FLAGS, *flags])
        yield browser
        browser.close()
