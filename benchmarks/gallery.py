"""Look at the results: for every still in a folder a loop, a contact sheet and an x-t slice.

    python benchmarks/gallery.py FOLDER [-o out] [--seed 0] [--paint refined] [--fitting]
        [--model M] [--kind K] [--weather W] [--size PX] [--only NAME,NAME]

The folder holds NAME.png and, where there is one, NAME_mask.png; or photographs, NAME.jpg; or
clips, whose first frames are the stills. Written are NAME.mp4, NAME_sheet.jpg (frames at 0, 1/4 and
1/2 of the loop, refined mask, motion energy, the sliced row, its x-t slice) and NAME_slice.png, and
for compare_motion.py the mask in use, masks/NAME_mask.png, and the paint, paint/NAME_mask.png.
Frames are made without the network. Motion is the elastic prior's, or `--model learned`'s, or that
of a file of weights.

Paint is the mask itself, `exact` (used as it is) or `refined`; or, refined too, what mattes.py
makes of it: `loose`, `tight` or `holed`; or there is `none`. Or it is `texture`, what was guessed
before anything was recognized (texture_guess.py), or `outlined`, by hand in outlines.json.
`--fitting` takes for every still the kind and weather in FITTING: the kind by what it shows, the
weather by how strong the authors' loop is.
"""

import argparse
import sys
from pathlib import Path

import mattes
import motion_model
import torch
import torch.nn.functional as F
from PIL import Image
from texture_guess import flexibility

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core import pipeline
from gid_core.diffusion.motion_model import LearnedPrior, load_model
from gid_core.elastic import kinds
from gid_core.evaluation import viz
from gid_core.files import stills, video
from gid_core.footage.clips import read_clip
from gid_core.motion import playback
from gid_core.still.grid import grid_size

FRAMES, FPS = 150, 30
PAINTS = ("refined", "exact", "loose", "tight", "holed", "none", "texture", "outlined")
STILLS, PHOTOGRAPHS, CLIPS = (".png",), (".jpg",), (".mp4", ".avi")
LEARNED = Path(__file__).resolve().parent.parent / "gid_core/pretrained/motion-small.safetensors"
FITTING = {
    "23866663_loop_28": ("flame", "wind"),
    "6133103-loop": ("shrub", "breath"),
    "candle_0": ("flame", "wind"),
    "cat_loop": ("hair", "breath"),
    "fern_2_loop": ("shrub", "breeze"),
    "flower_0_loop": ("shrub", "breeze"),
    "grapes_loop": ("shrub", "breeze"),
    "latern_loop": ("hanging", "breath"),
    "leaves_loop": ("shrub", "breath"),
    "notes_loop": ("cloth", "wind"),
    "rose_loop": ("flower", "breeze"),
    "sunflower_loop": ("grass", "breath"),
    "tree_0_loop": ("tree", "wind"),
    "tree_2_loop": ("tree", "storm"),
    "wildflower_loop": ("grass", "breath"),
    "yellow_loop": ("hanging", "breeze"),
}


def write(path: Path, out: Path, args) -> None:
    still = first_frame(path) if path.suffix in CLIPS else stills.read_still(path)[:3]
    mask = painted(path, still, args.paint)
    kind, weather = FITTING[path.stem] if args.fitting else (args.kind, args.weather)
    spectrum, _ = pipeline.sample_motion(
        still[None],
        mask,
        seed=args.seed,
        model=args.learned or kinds.prior(kind, weather),
        refine=args.paint != "exact",
        widen=True,
    )
    motion, _ = playback.play(spectrum, FRAMES, FPS)
    if args.size:
        size = grid_size(*still.shape[-2:], args.size)
        still = F.interpolate(still[None], size, mode="area")[0]
    frames = torch.stack([frame for frame, _ in pipeline.render(still[None], motion)])
    video.write_clip(out / f"{path.stem}.mp4", frames, FPS)
    for folder, picture in (("masks", spectrum.mask), ("paint", mask)):
        if picture is not None:
            (out / folder).mkdir(exist_ok=True)
            stills.write_picture(out / folder / f"{path.stem}_mask.png", picture[0])
    size = tuple(still.shape[-2:])
    matte = F.interpolate(spectrum.mask, size, mode="area")[0]
    row = viz.busiest_row(frames)
    marked = still.clone()
    marked[:, max(0, row - 1) : row + 1] = torch.tensor([1.0, 0.2, 0.2]).view(3, 1, 1)
    over_time = viz.slice_xt(frames, row)
    sheet = viz.tiles(
        [
            frames[0],
            frames[FRAMES // 4],
            frames[FRAMES // 2],
            matte.expand(3, -1, -1),
            viz.motion_energy_picture(frames),
            marked,
            viz.resized(over_time, size),
        ],
        columns=4,
    )
    Image.fromarray(stills.to_bytes(sheet)).save(out / f"{path.stem}_sheet.jpg", quality=88)
    Image.fromarray(stills.to_bytes(over_time)).save(out / f"{path.stem}_slice.png")


def first_frame(path: Path):
    return next(iter(read_clip(path, most_frames=1).frames)).float()


def painted(path: Path, still, how: str):
    """What is painted over a still, 1 1 h w; None for nothing."""
    if how == "texture":
        return flexibility(still[None])
    if how == "outlined":
        mask = motion_model.by_hand(path.name, tuple(still.shape[-2:]), None)
        return mask[None, None] if mask.isfinite().all() else None
    mask = path.with_name(path.stem + "_mask.png")
    if how == "none" or not mask.exists():
        return None
    mask = stills.read_mask(mask)[None]
    if how in ("refined", "exact"):
        return mask
    size = tuple(still.shape[-2:])
    whole = F.interpolate(mask, size, mode="area")[0, 0].numpy() >= 0.5
    made = mattes.paint(path.stem, whole, how)
    return torch.as_tensor(made, dtype=torch.float32).view(1, 1, *size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stills", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paint", choices=PAINTS, default="refined")
    parser.add_argument("--fitting", action="store_true")
    parser.add_argument("--model", default="elastic", help="elastic, learned, or a file of weights")
    parser.add_argument("--kind", choices=[kinds.CUSTOM, *kinds.KINDS], default=kinds.CUSTOM)
    parser.add_argument("--weather", choices=[kinds.CUSTOM, *kinds.WEATHER], default=kinds.CUSTOM)
    parser.add_argument("--size", type=int, help="longer side of the frames, px")
    parser.add_argument("--only", default="", help="names of stills, with commas between")
    args = parser.parse_args()
    inside = [p for p in sorted(args.stills.iterdir()) if not p.stem.endswith("_mask")]
    names = [p for p in inside if p.suffix in STILLS + CLIPS]
    names = names or [p for p in inside if p.suffix in PHOTOGRAPHS]
    names = [p for p in names if not args.only or p.stem in args.only.split(",")]
    if not names:
        raise SystemExit(f"Expected stills or clips in {args.stills}, found none.")
    args.learned = None
    if args.model != "elastic":
        weights = LEARNED if args.model == "learned" else Path(args.model)
        args.learned = LearnedPrior(load_model(weights))
    args.out.mkdir(parents=True, exist_ok=True)
    for path in names:
        write(path, args.out, args)
        print(f"{args.out / path.stem}: .mp4, _sheet.jpg, _slice.png")


if __name__ == "__main__":
    main()
