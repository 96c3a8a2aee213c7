"""Measure what a recognizer finds in validation photographs, beside guesses without weights.

    python benchmarks/recognition.py PHOTOS WEIGHTS OUT

Of every photograph kept apart (`gid_core/training/outlines.py`), per pixel of it: area under the
curve of what sways, and intersection over union at 1/2, where something does; the share marked
where nothing does; kinds, by area. Thick trunks, which hardly sway, count on neither side. "Clear"
leaves out 1 % of the longer side around outlines, which are drawn by eye. Intervals are 95 %, by
bootstrap over photographs. OUT gets `recognition.json` and sheets: still, what is found (orange
sways, blue flows), what is outlined.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from texture_guess import flexibility

from gid_core.evaluation.motion_metrics import area_under_curve
from gid_core.evaluation.viz import resized, tiles
from gid_core.files.stills import read_still, write_picture
from gid_core.recognition.kinds import KINDS
from gid_core.recognition.model import load_recognizer, recognize
from gid_core.training.outlines import labels, names, read_outlines

CUT = 0.5  # share from which a place is marked
MARKED = 0.01  # of a picture: less than this marked in it is none
LEAST = 0.005  # of a picture on either side, for a curve to be worth its name
FEW = 5  # photographs that have a kind, for it to be counted
RESAMPLES = 2000
ROWS = 6  # of a sheet, of two photographs each
CELL = (220, 300)  # px (height, width)


def texture(image):
    """How rough luma is against its surroundings, by the same windows as `flexibility`."""
    luma = F.interpolate(image.mean(1, keepdim=True), scale_factor=0.5, mode="area")
    blurred = lambda x, r: F.avg_pool2d(x, 2 * r + 1, 1, r, count_include_pad=False)
    rough = blurred((luma - blurred(luma, 2)).abs(), 4)
    return F.interpolate(rough, image.shape[-2:], mode="bilinear")


def interval(values, statistic=np.median):
    """A statistic of one number a photograph, and where it lies in 95 % of resamples."""
    values = np.array([v for v in values if not math.isnan(v)])
    if not len(values):
        return [math.nan] * 3
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    spread = statistic(values[drawn], axis=1)
    return [float(v) for v in (statistic(values), *np.quantile(spread, [0.025, 0.975]))]


def compared(share, true, counted):
    """Area under the curve and intersection over union on the pixels counted; nan where there is
    none."""
    sways = true.sways > 0.5
    part = sways[counted].float().mean()
    curve = math.nan
    if LEAST < part < 1 - LEAST:
        curve = area_under_curve(share[counted], sways[counted])
    found = (share > CUT) & counted
    either = (found | sways & counted).sum()
    return curve, float((found & sways).sum() / either) if sways.any() else math.nan


def overlay(image, sways, flows):
    picture = image * 0.55
    for share, colour in ((sways, (1.0, 0.45, 0.0)), (flows, (0.1, 0.4, 1.0))):
        picture = picture + 0.45 * share * torch.tensor(colour).view(3, 1, 1)
    return picture.clamp(0, 1)


def boxed(picture):
    """A picture fitted into a cell, black around it."""
    scale = min(n / m for n, m in zip(CELL, picture.shape[-2:], strict=True))
    small = resized(picture, tuple(round(n * scale) for n in picture.shape[-2:]))
    cell = torch.zeros(3, *CELL)
    cell[:, : small.shape[1], : small.shape[2]] = small
    return cell


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = load_recognizer(args.weights)
    ways = ("recognizer", "flexibility", "texture")
    photographs, right, area, has, cells = {}, {}, {}, {}, []
    seconds = []
    for name in names(validation=True):
        image = read_still(args.photographs / f"{name}.jpg")[None, :3]
        true = labels(read_outlines(name), tuple(image.shape[-2:]))
        since = time.perf_counter()
        found = recognize(model, image)
        seconds.append(time.perf_counter() - since)
        maps = (found.sways, flexibility(image), texture(image))
        row = {"sways": float((true.sways > 0.5).float().mean())}
        for way, share in zip(ways, maps, strict=True):
            share = share[0, 0]
            row[way] = dict(
                zip(("auc", "iou"), compared(share, true, true.certain > 0), strict=True)
            )
            row[way] |= dict(
                zip(
                    ("clear_auc", "clear_iou"),
                    compared(share, true, true.certain == 1),
                    strict=True,
                )
            )
            row[way]["marked"] = float((share > CUT).float().mean())
        row["flows_iou"] = math.nan
        flows, flowing = found.flows[0, 0] > CUT, true.flows > 0.5
        if flowing.any():
            row["flows_iou"] = float((flows & flowing).sum() / (flows | flowing).sum())
        sways = (true.sways > 0.5) & (true.certain > 0)
        row["degree_error"] = float((found.degree[0, 0] - true.degree).abs()[sways].mean())
        for kind in true.kind[true.kind >= 0].unique().tolist():
            here, word = true.kind == kind, KINDS[kind]
            right[word] = right.get(word, 0) + int((found.kind[0, 0] == kind)[here].sum())
            area[word] = area.get(word, 0) + int(here.sum())
            has[word] = has.get(word, 0) + 1
        photographs[name] = row
        for picture in (
            image[0],
            overlay(image[0], found.sways[0], found.flows[0]),
            overlay(image[0], true.sways[None], true.flows[None]),
        ):
            cells.append(boxed(picture))

    for number in range(0, len(cells), 6 * ROWS):
        write_picture(
            args.out / f"sheet{number // (6 * ROWS)}.png",
            tiles(cells[number : number + 6 * ROWS], 6),
        )

    report = {"photographs": len(photographs), "seconds": float(np.median(seconds))}
    moving = [row for row in photographs.values() if row["sways"] > 0]
    still = [row for row in photographs.values() if row["sways"] == 0]
    for way in ways:
        cut = way != "texture"  # which is no share: only its order counts
        keys = ("auc", "clear_auc", *(("iou", "clear_iou") if cut else ()))
        report[way] = {key: interval([row[way][key] for row in moving]) for key in keys}
        if cut:
            marked = [row[way]["marked"] for row in still]
            report[way]["pictures_marked"] = f"{sum(m > MARKED for m in marked)} of {len(marked)}"
            report[way]["area_marked"] = interval(marked, np.mean)
    report["flows_iou"] = interval([row["flows_iou"] for row in photographs.values()])
    report["degree_error"] = interval([row["degree_error"] for row in moving])
    report["kinds"] = {k: round(right[k] / area[k], 3) for k in KINDS if has.get(k, 0) >= FEW}
    counted = [k for k in KINDS if has.get(k, 0) >= FEW]
    report["kinds_right"] = sum(right[k] for k in counted) / max(1, sum(area[k] for k in counted))
    (args.out / "recognition.json").write_text(
        json.dumps({"report": report, "photographs": photographs}, indent=1)
    )
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
