"""A saved page, opened from disk: mouse, finger, keyboard, less motion, no scripts, no network."""

import hosts
import pytest
import torch.nn.functional as F
from test_browser import is_ours

HEAD, AWAY = (0.63, 0.46), (0.72, 0.48)  # the dandelion's, in the demo still
SWING = "poked.motion.swing()"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The demo still as a page, at half its size."""
    from gid_core.config import SpectrumConfig
    from gid_core.files.stills import read_mask, read_still
    from gid_core.pipeline import sample_motion
    from gid_core.poke.page import save_page

    demo = hosts.PACK / "docs/demo"
    still, mask = read_still(demo / "still.png")[None], read_mask(demo / "still_mask.png")[None]
    still, mask = (F.avg_pool2d(picture, 2) for picture in (still, mask))
    path = tmp_path_factory.mktemp("page") / "a.html"
    modes, _ = sample_motion(still, mask, spectrum=SpectrumConfig(kind="modes"))
    save_page(path, still, modes, title="A meadow")
    return path


@pytest.fixture
def opened(browser, file):
    """Open the page, with options of the browser's context; what it asks for, and its problems."""
    contexts = []

    def open_page(**options):
        contexts.append(browser.new_context(viewport={"width": 800, "height": 620}, **options))
        page = contexts[-1].new_page()
        page.problems, page.asked = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: is_ours(said) and page.problems.append(said.text))
        page.on("request", lambda request: page.asked.append(request.url.split(":")[0]))
        page.goto(file.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function("window.poked")
        return page

    yield open_page
    for context in contexts:
        context.close()


def at(page, place):
    box = page.evaluate("poked.view.canvas.getBoundingClientRect().toJSON()")
    return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]


def moved(page):
    """The farthest that anything is from where it is in the still, px of the grid."""
    return page.evaluate(
        "Math.max(...poked.field[0].map((x, i) => Math.hypot(x, poked.field[1][i])))"
    )


def test_it_follows_the_mouse_and_rings(opened, file):
    assert file.stat().st_size < 2e6
    page = opened(reduced_motion="reduce")
    assert moved(page) == 0
    page.mouse.move(*at(page, HEAD))
    page.mouse.down()
    page.mouse.move(*at(page, AWAY), steps=6)
    page.wait_for_timeout(60)
    assert moved(page) > 5 and page.evaluate(SWING) == 0
    page.mouse.up()
    assert page.evaluate(SWING) > 5
    assert page.problems == [] and set(page.asked) <= {"file", "data", "blob"}


def test_it_follows_two_fingers(opened):
    page = opened(has_touch=True, reduced_motion="reduce")
    send = page.context.new_cdp_session(page).send

    def touch(kind, *places):
        points = [dict(zip("xy", at(page, place)), id=i) for i, place in enumerate(places)]
        send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", HEAD, (0.55, 0.24))
    touch("touchMove", AWAY, (0.6, 0.3))
    page.wait_for_timeout(60)
    assert page.evaluate("poked.motion.fingers.size") == 2 and moved(page) > 5
    touch("touchEnd")
    assert page.evaluate("poked.motion.fingers.size") == 0 and page.evaluate(SWING) > 5
    assert page.problems == []


def test_the_keyboard_flicks(opened):
    page = opened(reduced_motion="reduce")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "player"
    page.evaluate("poked.spot = [0.63, 0.46]")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_timeout(200)
    assert moved(page) > 1


def test_wind_blows_unless_less_motion_is_asked_for_and_can_be_stopped(opened):
    page = opened()
    page.wait_for_function("poked.motion.time > 0.3")
    assert moved(page) > 0.1
    button = page.locator("button")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    page.wait_for_function("!poked.frame")  # nothing is left to do
    calm = opened(reduced_motion="reduce")
    calm.wait_for_timeout(100)
    assert calm.evaluate("poked.motion.time") < 0.1
    assert calm.locator("button").get_attribute("aria-pressed") == "false"


def test_it_is_named_and_without_scripts_it_is_the_still(opened):
    page = opened(java_script_enabled=False)
    assert page.title() == "A meadow"
    assert page.locator("#player").get_attribute("aria-label").startswith("A meadow. Drag to pull")
    boxes = [image.bounding_box() for image in page.locator("img").all()]
    assert len(boxes) == 2 and boxes[0] == boxes[1] and boxes[0]["width"] > 600
