"""Loops made from stills beside clips of the same, measured from pixels, with intervals.

    python benchmarks/movers.py COMPARE REFS NAME=LOOPS[,LOOPS...] ...

COMPARE is the script compare_motion.py, which lies beside the clips; its measures are used as they
are. REFS holds the clips, paper_NAME.mp4 for the authors' and real_NAME.mp4 for recorded ones;
LOOPS are folders of loops that gallery.py made of their first frames, several if they are samples
of several seeds: each sample is measured by itself, and their mean is what a clip counts with.

Beside them stand maps of the first frame that know nothing of motion (texture, saturation, their
product). Medians over clips, with 95 % bootstrap intervals; then the first NAME against the others,
clip by clip.
"""

import argparse
import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from gallery import first_frame
from motion_model import maps
from recognition import interval

MAPS = ("texture", "saturation", "texture x saturation")
SETS = {"paper": "authors'", "real": "recorded"}
RENAMED = {"notes_loop": "paper_loop"}  # a still of another name than its clip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("compare", type=Path)
    parser.add_argument("refs", type=Path)
    parser.add_argument("loops", nargs="+", metavar="NAME=LOOPS")
    args = parser.parse_args()
    spec = importlib.util.spec_from_file_location("compare_motion", args.compare)
    compare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compare)
    compare.energy = cache(compare.energy)
    candidates = dict(word.split("=") for word in args.loops)
    rows = {}
    for path in sorted(args.refs.glob("*.mp4")):
        rows[path.stem] = of_clip(compare, path, candidates)
        print(path.stem, {k: round(v[0], 3) for k, v in rows[path.stem].items()}, flush=True)
    for prefix, words in SETS.items():
        found = [row for name, row in rows.items() if name.startswith(prefix)]
        if found:
            table(words, found, candidates)


def of_clip(compare, path, candidates):
    """{name: (movers, reach, leak)}; a map has no reach and no leak."""
    ref = compare.energy(str(path))
    high, low = ref > np.quantile(ref, 0.8), ref <= np.quantile(ref, 0.3)
    score = lambda field: compare.auc(field[high | low], high[high | low])
    nan, row = float("nan"), {}
    for name, folders in candidates.items():
        found = []
        for folder in map(Path, folders.split(",")):
            loop = loop_of(folder, path.stem)
            field = cv2.resize(compare.energy(str(loop)), ref.shape[::-1])
            reach = np.mean(field[high] > np.quantile(field, 0.95) / 4)
            found.append((score(field), reach, field[low].mean()))
        row[name] = tuple(float(v) for v in np.mean(found, 0))
    small = cv2.resize(first_frame(path).permute(1, 2, 0).numpy(), ref.shape[::-1], None, 0, 0, 3)
    guessed = maps(torch.from_numpy(small).permute(2, 0, 1))
    return row | {name: (float(score(guessed[name].numpy())), nan, nan) for name in MAPS}


def loop_of(folder, name):
    """The loop of a clip: by its name, or by that of its still."""
    still = name.removeprefix("paper_")
    names = [name, still, *(k for k, v in RENAMED.items() if v == still)]
    found = [p for p in (folder / f"{n}.mp4" for n in names) if p.exists()]
    if not found:
        raise SystemExit(f"Expected a loop of {name} in {folder}, found none.")
    return found[0]


def table(words, rows, candidates):
    print(f"\n| {words}, {len(rows)} clips | movers | reach | leak, px |\n|---|---|---|---|")
    for name in rows[0]:
        cells = (interval([row[name][n] for row in rows]) for n in range(3))
        print(f"| {name} | " + " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*c) for c in cells))
    first, *others = candidates
    print(f"\n| {first} against, mean of clips | movers | reach | leak, px |\n|---|---|---|---|")
    for name in (*others, *MAPS):
        pairs = np.array([np.subtract(row[first], row[name]) for row in rows])
        cells = (interval(column, np.mean) for column in pairs.T)
        print(f"| {name} | " + " | ".join("{:+.3f} ({:+.3f} to {:+.3f})".format(*c) for c in cells))


if __name__ == "__main__":
    main()
