"""How exactly an STMap says what a rendered frame shows, as a Markdown table.

    python benchmarks/maps.py

The demo still in its own motion, and in three times of it; 9 of 60 frames; pixels that what moves
covers and that the still does show. "off the frame": between the point that the map names and the
one that the renderer read, which averages what lands together. "off the motion": how far the point
that the map names is moved past the pixel.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gid_core import pipeline
from gid_core.exchange.fields import COVERED, fields_of
from gid_core.files import stills
from gid_core.still.grid import pixel_grid, sample_points

FRAMES = range(0, 60, 7)
NEAR_PX = 0.1
GROUPS = {  # by the share of a pixel that what moves covers
    "inside what moves": (0.99, 1.01),
    "edges, more than half": (COVERED, 0.99),
    "edges, less than half: the map shows what is behind": (0.01, COVERED),
}


def main():
    torch.set_num_threads(1)
    still = stills.read_still(ROOT / "docs/demo/still.png")[None, :3]
    mask = stills.read_mask(ROOT / "docs/demo/still_mask.png")
    spectrum, _ = pipeline.sample_motion(still, mask.view(1, 1, *mask.shape[-2:]))
    motion, _ = pipeline.play(spectrum, 60, 12.0)
    print(
        "| motion | pixels | share of them | found | off the frame <= 0.1 px | 99 %, px | off the "
        "motion <= 0.1 px |"
    )
    print("|---|---|---|---|---|---|---|")
    for gain in (1, 3):
        table(f"{gain} x", still[0], replace(motion, coeffs=gain * motion.coeffs))


def table(name, still, motion):
    measured = {group: [[], [], []] for group in GROUPS}
    exact = fields_of(still, motion, frames=FRAMES)
    for fields, splatted in zip(exact, fields_of(still, motion, frames=FRAMES, iterations=0)):
        here = pixel_grid(*still.shape[-2:], like=still)
        frame_px = (fields.source - splatted.source).norm(dim=0)
        point = fields.source.flatten(1)[None]
        moved = fields.source + sample_points(fields.forward[None], point)[0].view_as(here)
        motion_px = (moved - here).norm(dim=0)
        for group, (least, most) in GROUPS.items():
            covered = (fields.coverage[0] >= least) & (fields.coverage[0] < most)
            counted = covered & (fields.hidden[0] < 0.01)
            for values, kept in zip((fields.found[0], frame_px, motion_px), measured[group]):
                kept.append(values[counted])
    measured = {group: [torch.cat(part) for part in parts] for group, parts in measured.items()}
    count = sum(len(found) for found, *_ in measured.values())
    for group, (found, frame_px, motion_px) in measured.items():
        near = lambda off: f"{100 * (off[found] <= NEAR_PX).float().mean():.2f} %"
        in_motion = near(motion_px) if group == "inside what moves" else ""
        print(
            f"| {name} | {group} | {100 * len(found) / count:.1f} % | "
            f"{100 * found.float().mean():.2f} % | {near(frame_px)} | "
            f"{frame_px[found].quantile(0.99):.3f} | {in_motion} |"
        )


if __name__ == "__main__":
    main()
