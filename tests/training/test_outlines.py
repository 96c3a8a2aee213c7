import json

import pytest
import torch

from gid_core.recognition.kinds import FLOWS, KINDS, SWAYS
from gid_core.training.outlines import (
    BAND,
    FOLDER,
    NONE,
    UNSURE,
    drawn,
    labels,
    names,
    read_outlines,
    validates,
)

SIZE = (40, 64)
FIRST = [
    "p003_daisies_lawn",
    "p004_daisies_sky",
    "p014_rose_rain",
    "p019_tree_sunflower_field",
    "p021_tulips_black",
    "p028_cottonwood_leaves",
]  # of those kept apart


def thing(outline, kind="tree", front=1, degree=1.0, **more):
    return {"kind": kind, "outline": outline, "front": front, "degree": degree, **more}


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def area(polygon):
    """Of a polygon, by the shoelace formula."""
    x, y = torch.tensor(polygon, dtype=torch.float64).T
    return float((x * y.roll(-1) - y * x.roll(-1)).sum().abs() / 2)


@pytest.mark.parametrize(
    "polygon",
    [
        box(0.2, 0.1, 0.7, 0.9),
        [[0.1, 0.1], [0.9, 0.2], [0.4, 0.8]],
        [[0.1, 0.1], [0.5, 0.6], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]],  # with a bay
    ],
)
def test_a_polygon_covers_its_area(polygon):
    for height, width in ((180, 260), (90, 400)):
        share = labels([thing(polygon)], (height, width)).sways.mean()
        assert float(share) == pytest.approx(area(polygon), abs=2 / height)


def test_a_larger_map_shows_the_same():
    objects = [thing([[0.1, 0.1], [0.9, 0.2], [0.4, 0.8]])]
    coarse, fine = (labels(objects, size).sways for size in (SIZE, (160, 256)))
    averaged = torch.nn.functional.avg_pool2d(fine[None], 4)[0]
    assert (coarse - averaged).abs().mean() < 0.02


def test_a_mirrored_outline_is_a_mirrored_map():
    polygon = [[0.125, 0.1], [0.875, 0.2], [0.375, 0.8]]
    mirrored = [[1 - x, y] for x, y in polygon]
    one, other = (labels([thing(p)], (160, 256)).sways for p in (polygon, mirrored))
    assert (one - other.flip(-1)).abs().mean() < 0.01


def test_a_hole_belongs_to_nobody():
    whole, hole = box(0.125, 0.125, 0.875, 0.875), box(0.25, 0.25, 0.5, 0.5)
    sways = labels([thing(whole, holes=[hole])], (160, 256)).sways
    assert float(sways.mean()) == pytest.approx(area(whole) - area(hole), abs=0.01)
    assert sways[60, 96] == 0


def test_what_is_in_front_decides(tmp_path):
    near = thing(box(0.5, 0, 1, 1), "water", front=2, degree=0.25)
    far = thing(box(0, 0, 1, 1), "tree", front=1, degree=0.75)
    (tmp_path / "p.json").write_text(json.dumps({"objects": [near, far]}))  # in any order
    found = labels(read_outlines("p", tmp_path), SIZE)
    left, right = (20, 10), (20, 50)
    assert (found.kind[left], found.kind[right]) == (KINDS.index("tree"), KINDS.index("water"))
    assert (found.sways[left], found.sways[right]) == (1, 0)
    assert (found.flows[left], found.flows[right]) == (0, 1)
    assert (found.degree[left], found.degree[right]) == (0.75, 0.25)
    assert (found.front[left], found.front[right]) == (1, 2)


def test_a_place_near_an_outline_is_less_certain_and_others_are_not():
    found = labels([thing(box(0.25, 0.25, 0.75, 0.75))], (200, 320))
    reach = round(BAND * 320)
    row = found.certain[100]
    assert (row[80 - reach : 80 + reach] == UNSURE).all()
    assert (row[: 80 - reach - 1] == 1).all() and (row[80 + reach + 1 : 160] == 1).all()


def test_an_outline_inside_what_sways_as_well_is_no_edge():
    found = labels([thing(box(0, 0, 1, 1)), thing(box(0.25, 0.25, 0.75, 0.75), "leaves", 2)], SIZE)
    assert (found.certain == 1).all()


def test_a_thick_trunk_is_on_neither_side():
    found = labels([thing(box(0.25, 0, 0.75, 1), "trunk", degree=0.05)], SIZE)
    assert (found.certain[:, 20:44] == 0).all() and (found.certain[:, :12] == 1).all()


def test_where_nothing_is_outlined_nothing_sways():
    found = labels([], SIZE)
    assert not found.sways.any() and not found.flows.any() and (found.kind == NONE).all()
    assert (drawn([], SIZE) == NONE).all() and (found.certain == 1).all()


def test_the_split_is_fixed_once_and_for_all():
    training, validation = names(False), names(True)
    assert (len(training), len(validation)) == (166, 44)
    assert not set(training) & set(validation)
    assert validates("p061_plum_blossom") and not validates("p001_daisies_dark")
    assert validation[:6] == FIRST


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda p: p.stem)
def test_labels_that_ship_are_sound_and_credited(path):
    for thing in read_outlines(path.stem):
        assert thing["kind"] in SWAYS | FLOWS and 0 <= thing["degree"] <= 1
        for polygon in (thing["outline"], *thing.get("holes", ())):
            assert all(0 <= c <= 1 for point in polygon for c in point)
    assert f"\n{path.stem}.jpg\t" in (FOLDER / "CREDITS.tsv").read_text()


@pytest.mark.parametrize(
    "objects, sentence",
    [
        ([thing(box(0, 0, 1, 1), "dragon")], "kind 'dragon'. Expected one of flower"),
        ([thing([[0, 0], [1, 1]])], "2 points. Expected 3"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, objects, sentence):
    (tmp_path / "p.json").write_text(json.dumps({"objects": objects}))
    with pytest.raises(ValueError, match=sentence):
        read_outlines("p", tmp_path)
