"""What to look at in a motion: arrows, folds, leaks, curves, and the numbers that go with them.

Law: a motion that neither folds nor leaks has empty maps; numbers do not depend on the pictures.

Convention: pictures are c h w in [0, 1]; maps of folds show the least Jacobian over one period.

Source: mean amplitude by frequency of 1,000 clips, Li et al., "Generative Image Dynamics", CVPR
2024, Fig. 3, as a peak amplitude: 2 |S| / 150, of 256 px.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..elastic.unfolding import least_jacobian
from ..motion.displacement import PEAK_FRAMES, Displacement
from ..motion.loops import Seam
from ..motion.spectrum import (
    AMPLITUDE_PERCENTILE,
    SpectralVolume,
    counting,
    moving_points,
    of_still,
    one_period,
)
from ..shapes import Float, Tensor
from .viz import (
    band_pictures,
    cell_of,
    flow_wheel,
    heat,
    of_image,
    resized,
    spectrum_sheet,
    tiles,
    wheel_disc,
)

PAPER_PX, PAPER_SLOPE, PAPER_SIDE = 0.267, 0.97, 256  # px at 1 Hz, -slope by frequency, of a side
STATIC_PCT = 0.02  # of the longer side: what moves less stands still
ARROWS = 18  # along the longer side
INK, GRID, FIRST, SECOND, THIRD = (
    (210, 210, 215),
    (70, 70, 78),
    (86, 170, 220),
    (240, 170, 70),
    (150, 150, 160),
)


@dataclass(frozen=True)
class Inspection:
    """Numbers of one motion.

    amplitude_pct: 95th percentile of the peaks of what moves, % of the longer side.
    moving: share of the picture that moves; folded: share of its cells that turn inside out.
    leaked_pct: largest motion outside the mask, % of the longer side.
    seam: step from the end of the period to its beginning, beside the largest step inside.
    """

    amplitude_pct: float
    moving: float
    folded: float
    leaked_pct: float
    seam: float

    def __str__(self) -> str:
        text = (
            f"Amplitude {self.amplitude_pct:.2f} % of the longer side; {100 * self.moving:.0f} % "
            f"of the picture moves; the seam is {self.seam:.2f} of the largest step."
        )
        if self.folded > 0:
            text += f" {100 * self.folded:.2f} % of it folds over."
        if self.leaked_pct > STATIC_PCT:
            text += f" Outside its mask it moves by up to {self.leaked_pct:.2f} %."
        return text


@dataclass(frozen=True)
class Course:
    """One period of one still's motion, seen once.

    peak: largest displacement of every point, px of the grid; least: least Jacobian of every cell.
    widest: the displacement when most moves; motion: the period; seam: its steps.
    """

    motion: Displacement
    peak: Float[Tensor, "h w"]
    least: Float[Tensor, "h1 w1"]
    widest: Float[Tensor, "2 h w"]
    seam: Seam


def course_of(spectrum: SpectralVolume, item: int = 0) -> Course:
    """Play one period, a few frames at a time, at most `PEAK_FRAMES` of them."""
    motion = one_period(of_still(spectrum, item))
    step = math.ceil(motion.frames / PEAK_FRAMES)
    first = last = widest = motion.at(0, [0])
    peaks, least, steps = [], [torch.ones(motion.grid)], [torch.zeros(1)]
    for part in motion.in_parts(0, step):
        peaks.append(part.square().sum(1).amax(0))
        if min(motion.grid) > 1:
            least.append(least_jacobian(part).amin(0))
        power = part.square().mean((1, 2, 3))
        if power.max() > widest.square().mean():
            widest = part[power.argmax()][None]
        steps.append(torch.cat([last, part]).diff(dim=0).square().mean((1, 2, 3)).sqrt())
        last = part[-1:]
    steps = torch.cat(steps)
    wrap = float((first - last).square().mean().sqrt())
    seam = Seam(wrap, float(steps.max()), float(steps.median()))
    folds = torch.stack(least[1:] or least).amin(0)
    return Course(motion, torch.stack(peaks).amax(0).sqrt(), folds, widest[0], seam)


def inspect(spectrum: SpectralVolume, item: int = 0, course: Course | None = None) -> Inspection:
    """Measure the motion of one still over one period."""
    course = course or course_of(spectrum, item)
    moving, peak = moving_points(of_still(spectrum, item)), course.peak
    side, inside = max(spectrum.grid), course.seam.largest_inside
    counted = peak.flatten() if moving is None else peak[counting(moving[0, 0])]
    outside = torch.zeros_like(peak) if moving is None else peak * (moving[0, 0] == 0)
    return Inspection(
        100 * float(torch.quantile(counted, AMPLITUDE_PERCENTILE)) / side,
        float((peak > STATIC_PCT / 100 * side).float().mean()),
        float((course.least < 0).float().mean()),
        100 * float(outside.max()) / side,
        course.seam.wrap / inside if inside > 0 else 0.0,
    )


def motion_sheet(
    spectrum: SpectralVolume, item: int = 0, width: int = 320
) -> tuple[Float[Tensor, "3 h w"], Inspection]:
    """A sheet of one still's motion, and its numbers.

    First row: mask, total amplitude, amplitude by band, colour wheel; second: arrows, folds, leaks,
    numbers; then 8 bands. Modes to poke have no motion of their own: for them only what
    `spectrum_sheet` shows, and zeros.
    """
    if spectrum.kind == "modes":
        return spectrum_sheet(spectrum, item, width), Inspection(0.0, 0.0, 0.0, 0.0, 0.0)
    one, course = of_still(spectrum, item), course_of(spectrum, item)
    found = inspect(one, 0, course)
    size, coeffs = cell_of(spectrum, width), one.coeffs[0]
    total = coeffs.abs().square().sum((0, 1)).sqrt()
    mask = torch.ones(1, *spectrum.reference_size) if one.mask is None else one.mask[0]
    pictures = [
        resized(mask, size).expand(3, -1, -1),
        resized(heat((total / total.max().clamp(min=1e-9)).clamp(0, 1)), size),
        band_plot(one, size),
        wheel_disc(size),
        quiver(course.widest, size),
        resized(fold_picture(course), size),
        resized(leak_picture(one, course), size),
        _words(found, size),
        *band_pictures(coeffs, size),
    ]
    return tiles(pictures, 4), found


def _words(found, size):
    """The numbers as a picture."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", size[::-1], (18, 18, 22))
    rows = (
        f"amplitude {found.amplitude_pct:.2f} %",
        f"moving {100 * found.moving:.0f} %",
        f"folded {100 * found.folded:.2f} %",
        f"leaked {found.leaked_pct:.2f} %",
        f"seam {found.seam:.2f}",
    )
    ImageDraw.Draw(picture).multiline_text((8, 6), "\n".join(rows), fill=INK)
    return of_image(picture)


def fold_picture(course: Course) -> Float[Tensor, "3 h w"]:
    """Grey where cells keep their size, dark where they shrink, red where they turn inside out."""
    grey = (0.6 * course.least).clamp(0.05, 0.6)
    folded = course.least < 0
    red, rest = torch.where(folded, 1.0, grey), torch.where(folded, 0.1, grey)
    return torch.stack([red, rest, rest])


def leak_picture(spectrum: SpectralVolume, course: Course) -> Float[Tensor, "3 h w"]:
    """What moves outside the mask, as heat; 1 % of the longer side and more is white.

    Args:
        spectrum: Of one still.
    """
    moving = moving_points(spectrum)
    outside = torch.zeros_like(course.peak) if moving is None else 1 - moving[0, 0]
    return heat((100 * course.peak * outside / max(spectrum.grid)).clamp(0, 1))


def quiver(field: Float[Tensor, "2 h w"], size: tuple[int, int]) -> Float[Tensor, "3 h2 w2"]:
    """Arrows of a displacement over its flow wheel; the longest is as long as they are apart."""
    from PIL import Image, ImageDraw

    height, width = size
    wheel = (0.45 * resized(flow_wheel(field), size) * 255).byte().movedim(0, -1)
    picture = Image.fromarray(wheel.contiguous().numpy())
    draw = ImageDraw.Draw(picture)
    step = max(height, width) / ARROWS
    grid = max(1, round(height / step)), max(1, round(width / step))
    arrows = F.interpolate(field[None], grid, mode="area")[0]
    longest = float(arrows.square().sum(0).amax().sqrt())
    for row in range(grid[0]):
        for column in range(grid[1]):
            arrow = arrows[:, row, column] / max(longest, 1e-9) * 0.9 * step
            x, y = (column + 0.5) * width / grid[1], (row + 0.5) * height / grid[0]
            dx, dy = arrow.tolist()
            if math.hypot(dx, dy) > 0.06 * step:
                _arrow(draw, x - dx / 2, y - dy / 2, dx, dy)
    return of_image(picture)


def _arrow(draw, x, y, dx, dy):
    end = (x + dx, y + dy)
    draw.line([x, y, *end], fill=(255, 255, 255))
    for side in (-1, 1):
        barb = (end[0] - 0.3 * dx + side * 0.18 * dy, end[1] - 0.3 * dy - side * 0.18 * dx)
        draw.line([*end, *barb], fill=(255, 255, 255))


def typical_amplitude(spectrum: SpectralVolume, item: int = 0) -> Float[Tensor, " k"]:
    """Median amplitude of what moves in each band, % of the longer side."""
    one = of_still(spectrum, item)
    amplitude = one.coeffs[0].abs().square().sum(1).sqrt()
    moving = moving_points(one)
    counted = counting(torch.ones(one.grid) if moving is None else moving[0, 0])
    return 100 * amplitude[:, counted].median(1).values / max(one.grid)


def paper_amplitude(frequencies_hz: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Mean amplitude of the paper's 1,000 clips at any frequency, % of the longer side."""
    return 100 * PAPER_PX / PAPER_SIDE * frequencies_hz.clamp(min=1e-3) ** -PAPER_SLOPE


def band_plot(
    spectrum: SpectralVolume, size: tuple[int, int], item: int = 0
) -> Float[Tensor, "3 h w"]:
    """Amplitude by frequency, logarithmic, with that of the paper's clips beside it."""
    hz = spectrum.frequencies_hz
    lines = [(hz, typical_amplitude(spectrum, item), FIRST), (hz, paper_amplitude(hz), THIRD)]
    return _plot(lines, size, "% of the longer side, by Hz; grey: the paper's clips", True)


def edit_plot(before: SpectralVolume, after: SpectralVolume, size: tuple[int, int] = (200, 420)):
    """Amplitude by frequency before and after an edit, 3 h w."""
    lines = [
        (m.frequencies_hz, typical_amplitude(m), c) for m, c in ((before, THIRD), (after, FIRST))
    ]
    return _plot(lines, size, "% of the longer side, by Hz; grey: before", True)


def course_plot(
    course: Float[Tensor, " t"], fps: float, size: tuple[int, int] = (160, 420)
) -> Float[Tensor, "3 h w"]:
    """A strength over time."""
    times = torch.arange(len(course)) / fps
    return _plot([(times, course.float(), SECOND)], size, "strength, by seconds", False)


def _plot(lines, size, title, logarithmic) -> Float[Tensor, "3 h w"]:
    """Curves over one pair of axes; zeros of a logarithmic axis lie on its floor."""
    from PIL import Image, ImageDraw

    height, width = size
    picture = Image.new("RGB", (width, height), (18, 18, 22))
    draw = ImageDraw.Draw(picture)
    left, right, top, bottom = 44, width - 10, 22, height - 20
    values = torch.cat([y for _, y, _ in lines])
    high = max(float(values.max()), 1e-6)
    level = lambda y: y / high
    if logarithmic:
        low = math.log10(high) - 3
        level = lambda y: ((y.clamp(min=1e-12).log10() - low) / 3).clamp(0, 1)
    first, last = (float(f(torch.cat([x for x, _, _ in lines]))) for f in (torch.min, torch.max))
    span = max(last - first, 1e-9)
    for share in (0.0, 1 / 3, 2 / 3, 1.0):
        y = bottom - share * (bottom - top)
        draw.line([left, y, right, y], fill=GRID)
        value = 10 ** (low + 3 * share) if logarithmic else share * high
        draw.text((3, y - 6), f"{value:.2g}", fill=INK)
    for x, y, colour in lines:
        across = left + (x.float() - first) / span * (right - left)
        up = bottom - level(y.float()) * (bottom - top)
        points = list(zip(across.tolist(), up.tolist()))
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        if len(points) <= 40:
            for px, py in points:
                draw.ellipse([px - 2, py - 2, px + 2, py + 2], fill=colour)
    draw.text((left, height - 14), f"{first:.2g}", fill=INK)
    end = f"{last:.3g}"
    draw.text((right - draw.textlength(end), height - 14), end, fill=INK)
    draw.text((left + 4, 4), title, fill=INK)
    return of_image(picture)
