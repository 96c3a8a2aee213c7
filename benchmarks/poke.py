"""What poking costs in a browser: a frame, the size of the page, the time until it can be poked.

    python benchmarks/poke.py [--frames 240] [--openings 5] [--gpu]

Saves the demo still as a page of 512 and of 1024 px, its longer side, and opens it from disk in
Chromium, with WebGL2 and without. Three clocks of a frame, one after the other, while a finger
leads the dandelion around and wind blows:

    script   oscillators, pull, wind and field, in JavaScript
    issue    View.draw until it returns: the mesh is handed over, nothing need be drawn yet
    raster   from there until one pixel is read back, for which all of it has to be drawn. What the
             reading takes by itself is told apart: it is done once more, with nothing left to draw

The browser's own putting of the canvas onto the screen is in none of them, but in the frames per
second, which are those of the page's own loop under real pointer events. Chromium's clock ticks in
0.1 ms. Without --gpu WebGL2 is drawn by the processor (SwiftShader).
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/host")]

import chromium
import torch.nn.functional as F
from bench import MASK, STILL, table

from gid_core.config import SpectrumConfig
from gid_core.files.stills import read_mask, read_still
from gid_core.pipeline import sample_motion
from gid_core.poke.page import save_page

SIZES = 512, 1024
HEAD = 0.63, 0.46  # the dandelion's, in the demo still
WATCHED_S = 4
WITHOUT_GPU = "--disable-gpu", "--enable-unsafe-swiftshader"
WITHOUT_WEBGL = """const given = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind === "webgl2" ? null : given.call(this, kind, ...more);
};"""
# When the stage first listens, and when a finger has first bent what is drawn; ms after navigation.
CLOCKS = """Object.defineProperty(window, "poked", { configurable: true, set(stage) {
    Object.defineProperty(window, "poked", { value: stage });
    window.listens = performance.now();
    const { moved } = stage.told;
    stage.told.moved = () => {
        moved();
        if (stage.hands.size && stage.field[0].some(x => Math.abs(x) > 1))
            window.bent ??= performance.now();
    };
} });"""
FRAMES = """async ([count, x, y]) => {
    const { motion, body, view } = poked, { gl } = view, spent = [];
    const context = view.canvas.getContext("2d"), pixel = new Uint8Array(4);
    const read = gl ? () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel)
        : () => context.getImageData(0, 0, 1, 1);
    motion.still();
    motion.touch("finger", x, y);
    for (let i = 0; i < count; i++) {
        await new Promise(requestAnimationFrame);
        const turn = i / 10, clock = [performance.now()];
        motion.advance(i / 60);
        motion.move("finger", x + 0.05 * Math.sin(turn), y + 0.05 * (1 - Math.cos(turn)));
        poked.field = body.field(motion.coords(), 1, poked.field);
        clock.push(performance.now());
        view.draw(poked.field);
        clock.push(performance.now());
        read();
        clock.push(performance.now());
        read();
        clock.push(performance.now());
        spent.push(clock.slice(1).map((time, j) => time - clock[j]));
    }
    motion.release("finger");
    return spent;
}"""


def opened(browser, page_file: Path, *scripts: str, **options):
    """A page in a context of its own, once it can be poked; `scripts` run before the page's."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, **options)
    for script in scripts:
        context.add_init_script(script)
    page = context.new_page()
    page.goto(page_file.as_uri(), wait_until="commit")
    page.wait_for_function("window.poked")
    return page


def press(page) -> None:
    box = page.evaluate("poked.view.canvas.getBoundingClientRect().toJSON()")
    x, y = box["x"] + HEAD[0] * box["width"], box["y"] + HEAD[1] * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.05 * box["width"], y)


def fps(page) -> float:
    """Frames per second of the page's own loop, while the mouse moves what it holds."""
    press(page)
    page.evaluate("() => { poked.cost.frames = 0; window.begun = performance.now(); }")
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        for x in (500, 540):
            page.mouse.move(x, 400)
    rate = page.evaluate("1000 * poked.cost.frames / (performance.now() - begun)")
    page.mouse.up()
    return rate


def spread(times: list[float]) -> str:
    """Median and 95th percentile."""
    return f"{statistics.median(times):.1f} | {statistics.quantiles(times, n=20)[-1]:.1f}"


def slowest(times: list[float]) -> str:
    """Median and largest, of too few for more."""
    return f"{statistics.median(times):.0f} | {max(times):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--gpu", action="store_true", help="let Chromium draw with a GPU")
    args = parser.parse_args()
    if chromium.program() is None:
        sys.exit(f"Expected playwright and Chromium, found none. {chromium.INSTALL}")
    flags = () if args.gpu else WITHOUT_GPU
    with tempfile.TemporaryDirectory() as folder, chromium.started(*flags) as browser:
        print(f"Chromium {browser.version}, {platform.machine()}, {os.cpu_count()} CPU cores")
        pages = [saved(size, Path(folder)) for size in SIZES]
        costs, openings = [], []
        for size, path in zip(SIZES, pages, strict=True):
            for scripts in ((), (WITHOUT_WEBGL,)):
                page = opened(browser, path, *scripts)
                kind = page.evaluate("poked.view.kind")
                rate = fps(page)
                # Without wind the page's own loop ends, and the measured one is alone.
                page.locator("button").click()
                page.wait_for_function("!poked.frame")
                page.evaluate("() => { poked.motion.wind = 0.5; }")
                spent = page.evaluate(FRAMES, [args.frames, *HEAD])[10:]
                script, issue, raster, empty = ([row[i] for row in spent] for i in range(4))
                costs.append(
                    f"{size}, {kind} | {spread(script)} | {spread(issue)} | {spread(raster)} | "
                    f"{statistics.median(empty):.1f} | {rate:.0f}"
                )
                page.context.close()
            clocks = [first_touch(browser, path) for _ in range(args.openings)]
            listens, bent = (list(times) for times in zip(*clocks, strict=True))
            openings.append(
                f"{size} | {path.stat().st_size:,} | {slowest(listens)} | {slowest(bent)}"
            )
    clocks = "script, ms | 95 % | issue | 95 % | raster | 95 % | an empty reading"
    table(f"px, drawn by | {clocks} | frames/s", costs)
    moments = "until it listens, ms | slowest | until a drag has bent it, ms | slowest"
    table(f"px | page, bytes | {moments}", openings)


def saved(size: int, folder: Path) -> Path:
    """The demo still with its modes as a page."""
    still, mask = read_still(STILL)[None, :3], read_mask(MASK)[None]
    height = round(size * still.shape[2] / still.shape[3])
    still = F.interpolate(still, (height, size), mode="bilinear", antialias=True)
    mask = F.interpolate(mask, (height, size), mode="bilinear", antialias=True)
    path = folder / f"{size}.html"
    save_page(path, still, sample_motion(still, mask, spectrum=SpectrumConfig(kind="modes"))[0])
    return path


def first_touch(browser, path: Path) -> tuple[float, float]:
    """ms from navigation until the page listens, and until a real drag has bent what it draws."""
    page = opened(browser, path, CLOCKS, reduced_motion="reduce")
    press(page)
    page.wait_for_function("window.bent")
    clocks = page.evaluate("[listens, bent]")
    page.context.close()
    return tuple(clocks)


if __name__ == "__main__":
    main()
