import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from gid_core.evaluation import report
from gid_core.evaluation.comparison import Curve, Pair
from gid_core.evaluation.sets import Evaluation


def picture(seed, height=9, width=16):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def clip(name, psnr, seam):
    values = {"psnr_db": psnr, "ssim": 0.9, "seam": seam, "seam_reference": 0.5}
    x = [0.0, 0.1, 0.2]
    curves = {
        "psnr": Curve(x, None, [psnr, psnr - 1, psnr - 2]),
        "brightness": Curve([0.2, 0.4, 0.6], [1.0, 0.5, 0.25], [2.0, 1.0, 0.5]),
    }
    return Pair(name, "clip", values, curves, {"reference": picture(1), "candidate": picture(2)})


def motion(name):
    curves = {"amplitude": Curve([0.2, 0.4], [1.0, 0.1], [0.9, 0.2])}
    pictures = {"reference": picture(3), "candidate": picture(4)}
    return Pair(name, "spectrum", {"auc": 0.75, "coherence": math.nan}, curves, pictures)


@pytest.fixture
def evaluation():
    pairs = [clip("oak", 30.0, 1.5), clip("<b>&", math.inf, 0.25), motion("oak")]
    sliding = {"fid": [(0, 3.5), (30, 4.6)]}
    return Evaluation(pairs, {"fid": 4.0, "motion_distance": 12.345}, sliding, ["a < b: resized"])


class Reader(HTMLParser):
    """Tags, texts, links, and the elements that are not closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.open, self.links = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_table_lines_up_and_ends_in_medians(evaluation):
    clips, spectra, sets, note = report.table(evaluation).split("\n\n")
    rows = clips.splitlines()
    assert rows[0].split()[0] == "Clips" and "PSNR, dB" in rows[0]
    assert rows[1].split() == ["oak", "30", "0.9", "1.5", "(0.5)"]
    assert rows[2].split() == ["<b>&", "inf", "0.9", "0.25", "(0.5)"]
    assert rows[3].split()[0] == "median" and "0.875 (0.5)" in rows[3]
    assert len({len(row) for row in rows}) == 1
    assert spectra.splitlines()[1].split() == ["oak", "0.75", "-"]
    assert sets.splitlines() == ["FID                         4", "Frechet motion distance  12.3"]
    assert note == "note: a < b: resized"


def test_the_page_is_whole_and_needs_nothing_beside_it(evaluation):
    page = Reader(report.html(evaluation, "oak <against> oak"))
    assert page.open == []
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.tags.count("img") == 6 and page.tags.count("table") == 3
    text = " ".join(page.texts)
    for shown in ("oak <against> oak", "<b>&", "a < b: resized", "Frechet motion distance", "0.75"):
        assert shown in text
    assert "b" not in page.tags  # names are text


def test_every_plot_is_well_formed_and_inside_its_frame(evaluation):
    plots = re.findall(r"<svg.*?</svg>", report.html(evaluation, "x"))
    assert len(plots) == 8  # three curves, one sliding, bars of four measures with numbers
    for plot in plots:
        tree = ElementTree.fromstring(plot)
        width, height = float(tree.get("width")), float(tree.get("height"))
        for line in tree.iter("polyline"):
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width and 0 <= y <= height
        for bar in tree.iter("rect"):
            left, extent = float(bar.get("x")), float(bar.get("width"))
            assert 0 <= extent and left + extent <= width


def test_curves_are_pooled_over_the_range_that_all_cover():
    curves = [Curve([0.0, 1.0, 2.0], None, [1.0, 2.0, 3.0]), Curve([0.0, 2.0], None, [5.0, 5.0])]
    pooled = report._pooled(curves, np.mean)
    assert pooled == Curve([0.0, 1.0, 2.0], None, [3.0, 3.5, 4.0])
    short = report._pooled([curves[0], Curve([0.0, 1.0], None, [5.0, 5.0])], np.mean)
    assert short.x == [0.0, 1.0]


def test_an_empty_evaluation_is_a_page():
    empty = Evaluation([], {}, {}, [])
    assert Reader(report.html(empty, "nothing")).open == [] and report.table(empty) == ""


@pytest.mark.parametrize(
    "low, high, logarithmic, marks",
    [
        (0.0, 10.0, False, [0, 2, 4, 6, 8, 10]),
        (29.9, 38.2, False, [30, 32, 34, 36, 38]),
        (-0.5, 0.5, False, [-0.4, -0.2, 0, 0.2, 0.4]),
        (math.log10(0.2), math.log10(3.2), True, [0.2, 0.5, 1, 2]),
        (-4.0, 0.0, True, [0.0001, 0.001, 0.01, 0.1, 1]),
    ],
)
def test_axes_are_marked_at_round_numbers(low, high, logarithmic, marks):
    assert report._ticks(low, high, logarithmic) == pytest.approx(marks)
