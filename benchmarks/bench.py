"""Time and memory of every part, as Markdown tables.

    python benchmarks/bench.py [part ...]

Parts: import, elastic, splat, card, frame, linear, animate, memory. All by default.

Times of import, elastic, splat, frame and linear are processor time of one thread, so that other
work on the machine disturbs them little. Each is a median over repeats after a warm-up; what is
compared is timed in turns in one run. card and animate are timed by the clock, and need a machine
that does nothing else.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gid_core import pipeline
from gid_core.elastic import modes, parts, sheet
from gid_core.files import stills, video
from gid_core.motion import playback
from gid_core.render import layers, renderer, splat

STILL, MASK = ROOT / "docs/demo/still.png", ROOT / "docs/demo/still_mask.png"


def median_ms(*calls, repeats: int = 9, clock=time.process_time) -> list[float]:
    """Median milliseconds of each call, timed in turns: processor time unless told otherwise."""
    for call in calls:
        call()
    spent = [[] for _ in calls]
    for _ in range(repeats):
        for times, call in zip(spent, calls, strict=True):
            start = clock()
            call()
            times.append(1000 * (clock() - start))
    return [statistics.median(times) for times in spent]


def table(head: str, rows: list[str]) -> None:
    print(f"\n| {head} |\n|" + "---|" * (head.count("|") + 1))
    print("\n".join(f"| {row} |" for row in rows), flush=True)


def part_import() -> None:
    """The pack beside torch: what a host already has loaded is loaded first."""
    code = (
        "import time, sys, importlib.util as u; import torch, numpy, einops\n"
        "t = time.process_time()\n"
        f"s = u.spec_from_file_location('pack', {str(ROOT)!r} + '/__init__.py',"
        f" submodule_search_locations=[{str(ROOT)!r}])\n"
        "m = u.module_from_spec(s); sys.modules['pack'] = m; s.loader.exec_module(m)\n"
        "import pack.gid_core.pipeline, pack.gid_core.files.video\n"
        "print(time.process_time() - t)"
    )
    command = [sys.executable, "-c", code]
    runs = [float(subprocess.check_output(command, text=True)) for _ in range(5)]
    table("what | s", [f"import of the whole core, beyond torch | {statistics.median(runs):.3f}"])


def part_elastic() -> None:
    import numpy as np

    rows = []
    for height, width in ((50, 101), (90, 168)):
        covered = np.ones((height, width))
        cells, *_ = parts.connected(covered > 0)
        grid = height + 1, width + 1
        nodes = np.unique(modes.corners_of(cells, grid))
        fixed = nodes[nodes >= height * grid[1]]
        mass = sheet.to_nodes(covered)
        rooting = 5e-4 * mass
        (ms,) = median_ms(
            lambda: modes.modes_of(cells, nodes, grid, covered, mass, rooting, fixed, 64),
            repeats=5,
        )
        rows.append(f"{2 * (len(nodes) - len(fixed)):,} | {ms / 1000:.2f}")
    table("unknowns | 64 modes, s", rows)


def part_splat() -> None:
    rows = []
    for height, width in ((512, 512), (1080, 1920)):
        generator = torch.Generator().manual_seed(0)
        values = torch.rand(1, 4, height, width, generator=generator)
        motion = 5 * torch.randn(1, 2, height // 8, width // 8, generator=generator)
        motion = torch.nn.functional.interpolate(motion, (height, width), mode="bilinear")
        grid = splat.normalized(
            (splat.pixel_grid(height, width, motion) + motion).flatten(2), (height, width)
        ).view(1, height, width, 2)
        image = values[:, :3].contiguous()
        sample = lambda: torch.nn.functional.grid_sample(image, grid, align_corners=False)
        places = (splat.pixel_grid(height, width, motion) + motion).flatten(2)
        flat = values.flatten(2)
        kernel = lambda: splat.splat_points(flat, places, (height, width))
        whole = lambda: splat.splat(values, motion)
        index = lambda: splat.splat(values, motion, "index")
        base, kernel_ms, whole_ms, index_ms = median_ms(sample, kernel, whole, index)
        rows.append(
            f"{width}x{height} | {base:.1f} | {kernel_ms:.1f} ({kernel_ms / base:.1f}x) | "
            f"{whole_ms:.1f} ({whole_ms / base:.1f}x) | {index_ms:.1f} ({index_ms / base:.1f}x)"
        )
    table("size | grid_sample 3 ch, ms | splat 4 ch, grid at hand | splat() | by index", rows)


def part_card(device: str = "cuda", sizes=((512, 512), (1080, 1920)), channels=(4, 18, 34)) -> None:
    """Splatting on a graphics card, beside the memory traffic that is needed at least.

    That is: every value read once, the target written and read once.
    """
    if device == "cuda" and not torch.cuda.is_available():
        return print("No graphics card is here: card is left out.")
    rows = []
    for height, width in sizes:
        for count in channels:
            generator = torch.Generator().manual_seed(0)
            values = torch.rand(1, count, height, width, generator=generator).to(device)
            motion = 5 * torch.randn(1, 2, height // 8, width // 8, generator=generator)
            motion = torch.nn.functional.interpolate(motion, (height, width), mode="bilinear")
            motion, calls = motion.to(device), []
            for impl in ("native", "index", "triton"):
                calls.append(lambda impl=impl: splat.splat(values, motion, impl).sum().item())
            moved = 4 * height * width * (3 * count + 2)
            spent = median_ms(*calls, clock=time.perf_counter)
            cells = " | ".join(f"{ms:.2f} ({moved / ms / 1e6:.0f} GB/s)" for ms in spent)
            rows.append(f"{width}x{height}, {count} | {cells}")
    table("size, channels | torch's kernel, ms | by index | triton", rows)


def demo(height: int, width: int, frames: int):
    still = torch.nn.functional.interpolate(
        stills.read_still(STILL)[None, :3], (height, width), mode="bilinear", antialias=True
    )
    spectrum, _ = pipeline.sample_motion(still, stills.read_mask(MASK)[None])
    motion, _ = playback.play(spectrum, frames, 30)
    return still[0], motion


def part_frame() -> None:
    rows = []
    for height, width in ((384, 512), (512, 512), (1080, 1920)):
        still, motion = demo(height, width, 30)
        for name, matte in (("demo mask", None), ("all moves", torch.ones(1, height, width))):
            field = motion.at(0) * motion.scaled_to((height, width))
            parts = layers.separate_layers(
                still, motion.mask[0] if matte is None else matte, motion.grid, (20, 20)
            )
            importance = field.square().sum(1).sqrt().mean(0, keepdim=True)
            importance = layers.upsample(parts, importance)
            ramp = splat.pixel_grid(height, width, still) + 3.5
            grid = splat.normalized(ramp[None].flatten(2), (height, width)).view(
                1, height, width, 2
            )
            image = still[None].contiguous()
            canvas = tuple(parts.foreground.shape[-2:])
            values = torch.ones(1, 4, len(parts.source_pixels))
            columns, rows_of = parts.source_pixels % canvas[1], parts.source_pixels // canvas[1]
            places = torch.stack([columns, rows_of])[None].float()
            base, whole, follow, put, encode = median_ms(
                lambda: torch.nn.functional.grid_sample(image, grid, align_corners=False),
                lambda: layers.splat_frame(parts, field[5], importance),
                lambda: layers.upsample(parts, field[5]),
                lambda: splat.splat_points(values, places, canvas),
                lambda: video.as_picture(still, "yuv420p"),
                repeats=5,
            )
            share = len(parts.source_pixels) / (height * width)
            rest = whole - follow - put
            rows.append(
                f"{width}x{height}, {name} ({share:.0%}) | {base:.1f} | "
                f"{whole:.1f} ({whole / base:.1f}x) | "
                f"{follow:.1f} | {put:.1f} | {rest:.1f} | {encode:.1f}"
            )
    steps = "follow the grid | splat | read and compose | to yuv"
    table(f"size, what moves | grid_sample 3 ch, ms | frame | {steps}", rows)


def part_linear() -> None:
    rows = []
    still, motion = demo(384, 512, 240)
    for frames in (60, 120, 240):
        part = replace(motion, modal_coords=motion.modal_coords[:, :frames])
        (ms,) = median_ms(lambda: sum(1 for _ in renderer.render_frames(still, part)), repeats=3)
        rows.append(
            f"512x384, {frames} frames | {ms / 1000:.2f} | {1e6 * ms / frames / 512 / 384:.1f}"
        )
    for height, width in ((192, 256), (384, 512), (768, 1024), (1536, 2048)):
        still, motion = demo(height, width, 20)
        (ms,) = median_ms(lambda: sum(1 for _ in renderer.render_frames(still, motion)), repeats=3)
        rows.append(
            f"{width}x{height}, 20 frames | {ms / 1000:.2f} | {1e6 * ms / 20 / height / width:.1f}"
        )
    table("rendering | s | ns a pixel and frame", rows)


def part_animate() -> None:
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "still.png"
        Image.open(STILL).resize((512, 384)).save(small)
        command = [sys.executable, "-m", "gid_core", "animate", small, "--mask", MASK, "--quiet"]
        command += ["-o", Path(folder) / "out.mp4", "--frames", "120"]
        spent = []
        for _ in range(4):
            start = time.perf_counter()
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            spent.append(time.perf_counter() - start)
    table("what | s", [f"`animate` 512x384x120 to mp4 | {statistics.median(spent[1:]):.1f}"])


def part_memory() -> None:
    """Peak resident memory of whole processes, as the operating system counts it."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "still.png"
        Image.open(STILL).resize((1920, 1080)).save(large)
        animate = [sys.executable, "-m", "gid_core", "animate", large, "--mask", MASK, "--quiet"]
        for renderer_name in ("learned", "splat"):
            for frames in (12, 48):
                command = [*animate, "-o", Path(folder) / "out.mp4"]
                command += ["--frames", str(frames), "--renderer", renderer_name]
                child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
                _, status, usage = os.wait4(child.pid, 0)
                if status != 0:
                    raise SystemExit(f"{command} failed")
                rows.append(f"{renderer_name} | {frames} | {usage.ru_maxrss / 1024:.0f}")
    table("`animate` 1920x1080 to mp4, renderer | frames | peak RSS, MiB", rows)


def main() -> None:
    parts = {name[5:]: call for name, call in globals().items() if name.startswith("part_")}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    chosen = parser.parse_args().parts or list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"expected parts of {', '.join(parts)}; got {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    for name in chosen:
        parts[name]()


if __name__ == "__main__":
    main()
