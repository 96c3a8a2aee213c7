"""The report of an evaluation: a table of text, and one self-contained page of HTML.

Convention: the reference is grey and the candidate blue in every plot; pictures are embedded.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from ..files.stills import to_bytes
from ..files.whole import written_whole
from ..shapes import Float, Tensor
from .comparison import MEASURES, Curve, Pair
from .sets import SETS, Evaluation
from .viz import resized

KINDS = {"clip": "Clips", "spectrum": "Motion"}
PLOTS = {  # curve: title, axes, logarithmic
    "amplitude": ("Amplitude spectrum, mean of all", "Hz", "px of the reference's grid", True),
    "brightness": ("Brightness spectrum, mean of all", "Hz", "", True),
    "psnr": ("PSNR over time, median of all", "s", "dB", False),
}
REFERENCE, CANDIDATE = "var(--reference)", "var(--candidate)"
PLOT = (420, 250)  # px
PICTURE_WIDTH = 320
STYLE = """
:root { --ink:#1c2024; --faint:#6a737c; --line:#d9dde1; --page:#fff; --reference:#8a939b;
        --candidate:#1f6feb; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6e9ec; --faint:#9aa4ad; --line:#343b42; --page:#15181b; --candidate:#6cb0ff; } }
body { font:15px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--page);
       max-width:1100px; margin:2rem auto; padding:0 1rem; }
h1 { font-size:1.5rem; } h2 { font-size:1.1rem; margin-top:2.2rem; }
.wide { overflow-x:auto; } table { border-collapse:collapse; font-variant-numeric:tabular-nums; }
th,td { padding:.25rem .7rem; border-bottom:1px solid var(--line); text-align:right; }
th { font-weight:600; vertical-align:bottom; } th:first-child,td:first-child { text-align:left; }
tfoot td { border-bottom:none; font-weight:600; } .ref,.note { color:var(--faint); }
.ref { font-size:.85em; } .plots { display:flex; flex-wrap:wrap; gap:1.5rem; }
figure { margin:0; } figcaption { font-size:.9em; margin-bottom:.3rem; }
svg text { fill:var(--faint); font-size:11px; } svg .axis { stroke:var(--line); }
.pairs { display:grid; grid-template-columns:repeat(auto-fill,minmax(320px,1fr)); gap:1.2rem; }
.pairs img { width:100%; image-rendering:auto; display:block; margin-bottom:2px; }
"""


def write(evaluation: Evaluation, folder: str | Path, title: str) -> list[Path]:
    """Write `evaluation.json` and `evaluation.html` to a folder, and return their paths.

    The folder is made if it does not exist.

    Raises:
        ValueError: If they cannot be written.
    """
    folder = make_folder(folder)
    numbers = json.dumps(evaluation.as_json(), indent=1, allow_nan=False)
    written = []
    for name, text in (("json", numbers), ("html", html(evaluation, title))):
        path = folder / f"evaluation.{name}"
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def make_folder(folder: str | Path) -> Path:
    """The folder of a report.

    Raises:
        ValueError: If it cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Cannot make the folder {str(folder)!r}: {error.strerror}.") from error
    return folder


def table(evaluation: Evaluation) -> str:
    """The numbers as text: a table for every kind, then distances of sets, then the notes."""
    parts = []
    for kind, title in KINDS.items():
        rows = _rows(evaluation, kind)
        if rows:
            parts.append(_columns([[title, *rows[0][1:]], *rows[1:]]))
    if evaluation.sets:
        parts.append(_columns([[SETS[n], _number(v)] for n, v in evaluation.sets.items()]))
    parts += [f"note: {note}" for note in evaluation.notes]
    return "\n\n".join(parts)


def html(evaluation: Evaluation, title: str) -> str:
    """The numbers with plots and pictures: x-t slices of clips, motion energy of spectra."""
    body = [f"<h1>{escape(title)}</h1>"]
    if evaluation.sets:
        cells = "".join(
            f"<tr><td>{escape(SETS[n])}</td><td>{_number(v)}</td></tr>"
            for n, v in evaluation.sets.items()
        )
        body.append(f"<h2>All together</h2><table>{cells}</table>")
    plots = [_curve_plot(evaluation.pairs, name) for name in PLOTS]
    plots += [_sliding_plot(name, rows) for name, rows in evaluation.sliding.items()]
    for kind, heading in KINDS.items():
        rows = _rows(evaluation, kind)
        if rows:
            body.append(f'<h2>{heading}</h2><div class="wide">{_html_table(rows)}</div>')
            plots += [_bars(evaluation.pairs, kind, name) for name in MEASURES]
    legend = " ".join(
        f'<span style="color:{colour}">{side}</span>'
        for colour, side in ((REFERENCE, "reference"), (CANDIDATE, "candidate"))
    )
    shown = "".join(filter(None, plots))
    body.append(f'<h2>Plots</h2><p>{legend}</p><div class="plots">{shown}</div>')
    for kind, heading in (
        ("clip", "One row of every clip over time, downwards: reference, candidate"),
        ("spectrum", "Motion energy: reference, candidate"),
    ):
        pictures = [_pictures(pair) for pair in evaluation.pairs if pair.kind == kind]
        if pictures:
            body.append(f'<h2>{heading}</h2><div class="pairs">{"".join(pictures)}</div>')
    if evaluation.notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in evaluation.notes)
        body.append(f'<h2>Notes</h2><ul class="note">{items}</ul>')
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _rows(evaluation, kind) -> list[list[str]]:
    """Header, one row per pair, medians last. The value of the reference is in brackets."""
    pairs = [pair for pair in evaluation.pairs if pair.kind == kind]
    names = [name for name in MEASURES if any(name in pair.values for pair in pairs)]
    if not pairs:
        return []
    rows = [["", *(MEASURES[name][0] for name in names)]]
    rows += [[pair.name, *(_value(pair.values, name) for name in names)] for pair in pairs]
    median = evaluation.median(kind)
    return [*rows, ["median", *(_value(median, name) for name in names)]]


def _value(values, name):
    text = _number(values.get(name, math.nan))
    own = values.get(name + "_reference")
    return text if own is None else f"{text} ({_number(own)})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _columns(rows) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _html_table(rows) -> str:
    def cell(text, tag="td"):
        value, bracket, own = escape(text).partition(" (")
        return f"<{tag}>{value}{f' <span class=ref>({own}</span>' if bracket else ''}</{tag}>"

    def row(cells):
        return f"<tr>{''.join(cell(text) for text in cells)}</tr>"

    head = "".join(f"<th>{escape(text)}</th>" for text in rows[0])
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(row(r) for r in rows[1:-1])}"
        f"</tbody><tfoot>{row(rows[-1])}</tfoot></table>"
    )


def _pictures(pair: Pair) -> str:
    shown = "".join(_image(pair.pictures[side], side) for side in ("reference", "candidate"))
    return f"<figure><figcaption>{escape(pair.name)}</figcaption>{shown}</figure>"


def _image(picture: Float[Tensor, "3 h w"], side: str) -> str:
    from PIL import Image

    height, width = picture.shape[-2:]
    if width != PICTURE_WIDTH:
        picture = resized(picture, (max(1, round(height * PICTURE_WIDTH / width)), PICTURE_WIDTH))
    data = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(data, "PNG")
    encoded = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{side}" src="data:image/png;base64,{encoded}">'


def _curve_plot(pairs, name) -> str:
    curves = [pair.curves[name] for pair in pairs if name in pair.curves]
    if not curves:
        return ""
    title, x_label, y_label, logarithmic = PLOTS[name]
    pooled = _pooled(curves, np.mean if logarithmic else np.median)
    lines = [] if pooled.reference is None else [(pooled.x, pooled.reference, REFERENCE)]
    lines.append((pooled.x, pooled.candidate, CANDIDATE))
    return _plot(title, (x_label, y_label), lines, logarithmic)


def _pooled(curves: Sequence[Curve], pool) -> Curve:
    """The mean or median of curves, on the axis of the first, over the range that all cover."""
    x = np.asarray(curves[0].x)
    x = x[x <= min(curve.x[-1] for curve in curves) + 1e-9]

    def over(side):
        values = [getattr(curve, side) for curve in curves]
        if any(v is None for v in values):
            return None
        finite = [np.nan_to_num(v, posinf=100.0) for v in values]
        return pool([np.interp(x, c.x, v) for c, v in zip(curves, finite)], axis=0).tolist()

    return Curve(x.tolist(), over("reference"), over("candidate"))


def _sliding_plot(name, rows) -> str:
    x, y = ([float(row[i]) for row in rows] for i in (0, 1))
    title = f"{SETS[name]}, window by window"
    return _plot(title, ("first frame", ""), [(x, y, CANDIDATE)], False)


def _plot(title, labels, lines, logarithmic) -> str:
    """Lines over labelled axes; both axes logarithmic or neither."""
    width, height = PLOT
    left, right, top, bottom = 52, width - 10, 12, height - 34
    scale = (lambda v: math.log10(max(v, 1e-9))) if logarithmic else float
    scaled = [(scale(x), scale(y)) for line in lines for x, y in zip(line[0], line[1])]
    spans = [_span([point[axis] for point in scaled]) for axis in (0, 1)]

    def position(x, y):
        share = [(v - low) / (high - low) for v, (low, high) in zip((scale(x), scale(y)), spans)]
        return left + share[0] * (right - left), bottom - share[1] * (bottom - top)

    parts = [f'<path class="axis" fill="none" d="M{left} {top}V{bottom}H{right}"/>']
    ticks = [_ticks(low, high, logarithmic) for low, high in spans]
    for value in ticks[0]:
        x, _ = position(value, 1.0)
        parts.append(f'<text x="{x:.0f}" y="{bottom + 15}" text-anchor="middle">{value:g}</text>')
    for value in ticks[1]:
        _, y = position(1.0, value)
        parts.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{value:g}</text>')
    x_label, y_label = labels
    parts.append(f'<text x="{right}" y="{height - 4}" text-anchor="end">{escape(x_label)}</text>')
    for x, y, colour in lines:
        points = " ".join("{:.1f},{:.1f}".format(*position(*point)) for point in zip(x, y))
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{points}"/>'
        )
    return _figure(f"{title}, {y_label}" if y_label else title, width, height, parts)


def _ticks(low, high, logarithmic) -> list[float]:
    """Three to eight round numbers in a range; for a logarithmic axis the range is of exponents."""
    if logarithmic:
        factors = (1, 2, 5) if high - low < 2.5 else (1,)
        powers = range(math.floor(low), math.ceil(high) + 1)
        marks = [float(f"{factor}e{power}") for power in powers for factor in factors]
        return [mark for mark in marks if low - 1e-9 <= math.log10(mark) <= high + 1e-9]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _span(values) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bars(pairs, kind, name) -> str:
    """Bars of one metric for every pair; the value of the reference is a mark."""
    label, better = MEASURES[name]
    rows = [
        pair
        for pair in pairs
        if pair.kind == kind and math.isfinite(pair.values.get(name, math.nan))
    ]
    if not rows:
        return ""
    top = max(max(abs(p.values[name]), abs(p.values.get(name + "_reference", 0.0))) for p in rows)
    width, step, left = PLOT[0], 18, 150
    length = lambda value: (width - left - 90) * max(0.0, value) / (top or 1.0)
    parts = []
    for i, pair in enumerate(rows):
        y, value = i * step, pair.values[name]
        short = pair.name if len(pair.name) <= 24 else pair.name[:23] + "…"
        parts.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{escape(short)}</text>')
        box = f'x="{left}" y="{y + 3}" width="{length(value):.1f}" height="12"'
        parts.append(f'<rect {box} fill="{CANDIDATE}"/>')
        end = length(value)
        own = pair.values.get(name + "_reference", math.nan)
        if math.isfinite(own):
            x = left + length(own)
            end = max(end, length(own))
            parts.append(f'<path stroke="{REFERENCE}" stroke-width="3" d="M{x:.1f} {y + 1}v16"/>')
        shown = _value(pair.values, name)
        parts.append(f'<text x="{left + end + 6:.1f}" y="{y + 13}">{shown}</text>')
    hint = {1: " (more is better)", -1: " (less is better)", 0: ""}[better]
    return _figure(label + hint, width, step * len(rows) + 4, parts)


def _figure(title, width, height, parts) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )
