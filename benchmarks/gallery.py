"""Look at the results: for every still in a folder a loop, a contact sheet and an x-t slice.

    python benchmarks/gallery.py FOLDER [-o out] [--seed 0]

The folder holds NAME.png and, where there is one, NAME_mask.png. Written are NAME.mp4,
NAME_sheet.jpg (frames at 0, 1/4 and 1/2 of the loop, refined mask, motion energy, the sliced row,
its x-t slice) and NAME_slice.png.
"""

import argparse
import sys
from pathlib import Path

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core import pipeline
from gid_core.evaluation import viz
from gid_core.files import stills, video
from gid_core.motion import playback

FRAMES, FPS = 150, 30


def write(path: Path, out: Path, seed: int) -> None:
    still = stills.read_still(path)[:3]
    painted = path.with_name(path.stem + "_mask.png")
    mask = stills.read_mask(painted)[None] if painted.exists() else None
    spectrum, _ = pipeline.sample_motion(still[None], mask, seed=seed)
    motion, _ = playback.play(spectrum, FRAMES, FPS)
    frames = torch.stack([frame for frame, _ in pipeline.render(still[None], motion)])
    video.write_clip(out / f"{path.stem}.mp4", frames, FPS)
    size = tuple(still.shape[-2:])
    row = viz.busiest_row(frames)
    marked = still.clone()
    marked[:, max(0, row - 1) : row + 1] = torch.tensor([1.0, 0.2, 0.2]).view(3, 1, 1)
    over_time = viz.slice_xt(frames, row)
    sheet = viz.tiles(
        [
            frames[0],
            frames[FRAMES // 4],
            frames[FRAMES // 2],
            spectrum.mask[0].expand(3, -1, -1),
            viz.motion_energy_picture(frames),
            marked,
            viz.resized(over_time, size),
        ],
        columns=4,
    )
    Image.fromarray(stills.to_bytes(sheet)).save(out / f"{path.stem}_sheet.jpg", quality=88)
    Image.fromarray(stills.to_bytes(over_time)).save(out / f"{path.stem}_slice.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stills", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = [p for p in sorted(args.stills.glob("*.png")) if not p.stem.endswith("_mask")]
    if not names:
        raise SystemExit(f"Expected stills (NAME.png) in {args.stills}, found none.")
    args.out.mkdir(parents=True, exist_ok=True)
    for path in names:
        write(path, args.out, args.seed)
        print(f"{args.out / path.stem}: .mp4, _sheet.jpg, _slice.png")


if __name__ == "__main__":
    main()
