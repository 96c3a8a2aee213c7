"""Measure how well a mask is fitted to the picture, on photographs with outlines drawn by eye.

    python benchmarks/mattes.py PHOTOS [OUT] [--half report] [--stills STILLS] [--old MATTE.py]

PHOTOS holds NAME.jpg and outlines/NAME.json (`objects` with `kind`, `outline` and `holes`, in
shares of width and height). The union of all objects but water, clouds and smoke is what a person
means. From it paint is made, the same in every run:

  outline   the union itself
  loose     grown by 3 % of the longer side, more here and less there
  tight     shrunk by 1.5 %, likewise
  holed     blobs are missing, 15 % of the area
  shifted   moved by 2.5 %

Columns: median IoU with the union, of the paint and of the refined mask; share of photographs where
refining makes it worse, and better, by more than .02; the worst loss; share of the paint that is
kept, median and lowest tenth. Outlines by eye are right within a few percent, so IoU saturates near
.9. The `clear` columns leave out a band of 1 % of the longer side on both sides of the outline. A
second table sets the IoU that the refinement's own report expects (1 less `unsure`) beside the real
one.

STILLS holds NAME.png and NAME_mask.png, without truth: what share of the paint is kept. OUT gets
sheets: picture, paint, refined (with --old: paint, old, refined). Half of the photographs (by a
hash of the name) was used for tuning, the other for reporting.
"""

import argparse
import hashlib
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core.files.stills import read_mask, read_still
from gid_core.still import matte

NOT_MEANT = ("water", "cloud", "smoke")
KINDS = ("outline", "loose", "tight", "holed", "shifted")
LOOSE, TIGHT, SHIFT, BAND = 0.03, 0.015, 0.025, 0.01  # of the longer side
MISSING = 0.15  # of the area, of holed paint
BLOB = 0.03  # size of blobs and waves of the edge, of the longer side
LEAST, MOST = 0.005, 0.97  # of the picture: less cannot be measured, more has no outside
WORSE = 0.02
SHEET_PX, ROWS = 260, 8  # a picture in a sheet, and rows of a sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path, nargs="?", help="folder for sheets to look at")
    parser.add_argument("--half", choices=["tune", "report", "all"], default="report")
    parser.add_argument("--stills", type=Path, help="folder of NAME.png and NAME_mask.png")
    parser.add_argument("--old", type=Path, help="another matte.py, compared on the same paint")
    args = parser.parse_args()
    refiners = {"refined": matte.refine_and_report}
    if args.old:
        before = loaded(args.old)
        refiners = {"old": lambda *pair: (before.refine_mask(*pair), None), **refiners}

    photos = list(outlined(args.photos, args.half))
    print(f"{len(photos)} photographs, half: {args.half}")
    scores = {name: score(photos, refine) for name, refine in refiners.items()}
    print(table(scores))
    print(trust(np.concatenate([scores["refined"][kind] for kind in KINDS[1:]])))
    if args.stills:
        print(kept_on_stills(args.stills, refiners))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        rows = []
        for number, (name, image, truth) in enumerate(photos[:24]):
            kind = KINDS[1 + number % 4]
            rows.append((f"{name[:28]} {kind}", image, paint(name, truth, kind)))
        sheets(rows, refiners, args.out, "photos")
        if args.stills:
            sheets(list(stills(args.stills)), refiners, args.out, "stills")


def loaded(path):
    """A matte.py of another version, with its relative imports."""
    spec = importlib.util.spec_from_file_location("gid_core.still.matte_before", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def half_of(name):
    return "tune" if hashlib.sha256(name.encode()).digest()[0] % 2 else "report"


def outlined(folder, half):
    """(name, image 1 3 h w, truth h w) of every photograph that has a usable outline."""
    for path in sorted((folder / "outlines").glob("*.json")):
        if half not in ("all", half_of(path.stem)):
            continue
        objects = [o for o in json.loads(path.read_text())["objects"] if o["kind"] not in NOT_MEANT]
        if not objects:
            continue
        image = read_still(folder / f"{path.stem}.jpg")[None, :3]
        truth = union(objects, tuple(image.shape[-2:]))
        if LEAST <= truth.mean() <= MOST:
            yield path.stem, image, truth


def union(objects, size):
    height, width = size
    whole = np.zeros(size, bool)
    for thing in objects:
        layer = Image.new("L", (width, height))
        draw = ImageDraw.Draw(layer)
        for value, polygons in ((255, [thing["outline"]]), (0, thing.get("holes") or [])):
            for polygon in polygons:
                points = [(x * width - 0.5, y * height - 0.5) for x, y in polygon]
                if len(points) > 2:
                    draw.polygon(points, fill=value)
        whole |= np.asarray(layer) > 0
    return whole


def paint(name, truth, kind):
    """What a hurried person might paint for `truth`, h w, the same in every run."""
    seed = int.from_bytes(hashlib.sha256(f"{name} {kind}".encode()).digest()[:4])
    draw = np.random.default_rng(seed)
    longest = max(truth.shape)
    noise = ndimage.gaussian_filter(draw.standard_normal(truth.shape), BLOB * longest)
    noise /= noise.std()
    if kind == "loose":
        away = ndimage.distance_transform_edt(~truth)
        return away <= LOOSE * longest * (1 + 0.5 * noise).clip(0, 2)
    if kind == "tight":
        padded = np.pad(truth, 1, mode="edge")  # the border of the picture is no edge
        deep = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
        smaller = deep > TIGHT * longest * (1 + 0.5 * noise).clip(0, 2)
        return smaller if smaller.any() else truth
    if kind == "holed":
        return truth & (noise < np.quantile(noise[truth], 1 - MISSING))
    if kind == "shifted":
        angle = draw.uniform(0, 2 * np.pi)
        dy, dx = np.rint(SHIFT * longest * np.array([np.sin(angle), np.cos(angle)])).astype(int)
        return ndimage.shift(truth, (dy, dx), order=0, mode="nearest")
    return truth


def iou(a, b, where=None):
    where = np.ones_like(a) if where is None else where
    both = (a | b) & where
    return (a & b & where).sum() / both.sum() if both.any() else 1.0


def refined_by(refine, image, painted):
    return reported_by(refine, image, painted)[0]


def reported_by(refine, image, painted):
    """The refined mask h w, and how unsure it is; that is not a number where it is not reported."""
    refined, report = refine(image, torch.from_numpy(painted).float()[None, None])
    return refined[0, 0].numpy() > 0.5, report.unsure if report else np.nan


def score(photos, refine):
    """Per kind of paint: rows of IoU and clear IoU before and after, share kept, seconds,
    unsure."""
    rows = {kind: [] for kind in KINDS}
    for name, image, truth in photos:
        edge = ndimage.distance_transform_edt(truth) + ndimage.distance_transform_edt(~truth)
        clear = edge > BAND * max(truth.shape)
        for kind in KINDS:
            painted = paint(name, truth, kind)
            start = time.perf_counter()
            refined, unsure = reported_by(refine, image, painted)
            took = time.perf_counter() - start
            rows[kind].append(
                (
                    *(iou(m, truth) for m in (painted, refined)),
                    *(iou(m, truth, clear) for m in (painted, refined)),
                    (refined & painted).sum() / painted.sum(),
                    took,
                    unsure,
                )
            )
    return {kind: np.array(values) for kind, values in rows.items()}


def table(scores):
    lines = [
        "| paint | by | IoU paint | refined | worse | better | worst "
        "| clear: paint | refined | worse | better | kept | lowest tenth | ms |",
        "|---|---|" + "---|" * 12,
    ]
    for kind in KINDS:
        for name, rows in scores.items():
            values = rows[kind].T
            cells = []
            for before, after in (values[:2], values[2:4]):
                gain = after - before
                cells += [f"{np.median(before):.3f}", f"{np.median(after):.3f}"]
                cells += [f"{(gain < -WORSE).mean():.0%}", f"{(gain > WORSE).mean():.0%}"]
                cells += [f"{gain.min():.2f}"]
            cells.pop()
            cells += [f"{np.median(values[4]):.2f}", f"{np.quantile(values[4], 0.1):.2f}"]
            cells += [f"{1000 * np.median(values[5]):.0f}"]
            lines.append(f"| {kind} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def trust(rows):
    """Bins of `unsure`: what IoU it promises, what it is, and how often refining has made it
    worse."""
    unsure, gain = rows[:, 6], rows[:, 1] - rows[:, 0]
    lines = ["| unsure | masks | expected IoU | real | worse |", "|---|" + "---|" * 4]
    edges = (0, 0.1, 0.2, 0.3, 0.4, 1.01)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (unsure >= low) & (unsure < high)
        if here.any():
            values = f"{1 - unsure[here].mean():.2f} | {rows[here, 1].mean():.2f}"
            worse = f"{(gain[here] < -WORSE).mean():.0%}"
            lines.append(f"| {low:.1f} to {min(high, 1):.1f} | {here.sum()} | {values} | {worse} |")
    return "\n".join(lines)


def stills(folder):
    for path in sorted(folder.glob("*_mask.png")):
        name = path.stem.removesuffix("_mask")
        image = read_still(folder / f"{name}.png")[None, :3]
        yield name, image, read_mask(path)[0].numpy() >= 0.5


def kept_on_stills(folder, refiners):
    lines = ["| still | paint | " + " | ".join(f"{n}: kept | added" for n in refiners) + " |"]
    lines.append("|---|" + "---|" * (1 + 2 * len(refiners)))
    for name, image, painted in stills(folder):
        cells = []
        for refine in refiners.values():
            refined = refined_by(refine, image, painted)
            cells += [f"{(refined & painted).sum() / painted.sum():.2f}"]
            cells += [f"{(refined & ~painted).sum() / painted.sum():.2f}"]
        lines.append(f"| {name} | {painted.mean():.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sheets(rows, refiners, out, title):
    """Pictures to look at: what is left out is darkened, the edge is drawn."""
    for first in range(0, len(rows), ROWS):
        strips = []
        for name, image, painted in rows[first : first + ROWS]:
            masks = [painted, *(refined_by(refine, image, painted) for refine in refiners.values())]
            tiles = [tile(image, np.ones_like(painted)), *(tile(image, mask) for mask in masks)]
            ImageDraw.Draw(tiles[0]).text((4, 2), name, fill=(255, 255, 0))
            strip = Image.new("RGB", (SHEET_PX * len(tiles), max(t.height for t in tiles)))
            for column, picture in enumerate(tiles):
                strip.paste(picture, (column * SHEET_PX, 0))
            strips.append(strip)
        sheet = Image.new("RGB", (strips[0].width, sum(s.height for s in strips)))
        top = 0
        for strip in strips:
            sheet.paste(strip, (0, top))
            top += strip.height
        sheet.save(out / f"{title}_{first // ROWS}.png")


def tile(image, mask):
    shown = image[0].permute(1, 2, 0).numpy().copy()
    shown[~mask] *= 0.25
    edge = mask ^ ndimage.binary_erosion(mask, border_value=1)
    shown[edge] = (1, 0.1, 0.6)
    picture = Image.fromarray((255 * shown).round().astype(np.uint8))
    picture.thumbnail((SHEET_PX - 4, SHEET_PX - 4))
    return picture


if __name__ == "__main__":
    main()
