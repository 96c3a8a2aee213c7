import pytest
import torch

from gid_core.training import pasted as module
from gid_core.training.outlines import drawn, labels
from gid_core.training.pasted import CutOut, cut_outs, pasted, rare_kinds, scene_views, traced


def box(kind, left, top, right, bottom, front=1):
    outline = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"kind": kind, "outline": outline, "degree": 1.0, "front": front}


def test_kinds_that_few_show_and_that_sway_are_rare(monkeypatch):
    monkeypatch.setattr(module, "FEW", 2)
    outlines = [
        [box("tree", 0, 0, 1, 1)],
        [box("tree", 0, 0, 1, 1), box("flame", 0, 0, 1, 1), box("flame", 0, 0, 1, 1)],
        [box("smoke", 0, 0, 1, 1)],
    ]
    assert rare_kinds(outlines) == ["flame"]


def test_what_is_cut_out_is_the_picture_inside_its_outline(rng):
    still = torch.rand(1, 3, 60, 80, generator=rng)
    objects = [
        box("cloth", 0.25, 0.1, 0.75, 0.6),
        box("cloth", 0.0, 0.0, 0.01, 0.01),  # tiny
        box("flame", 0.8, 0.5, 0.98, 1.0, front=0),  # hidden by the tree
        box("tree", 0.78, 0.7, 1.0, 1.0, front=3),
    ]
    (cut,) = cut_outs([still], [sorted(objects, key=lambda o: o["front"])], ["cloth", "flame"])
    assert torch.equal(cut.picture, still[..., 6:36, 20:60])
    assert torch.equal(cut.mask((30, 40)), torch.ones(1, 30, 40))


def test_what_is_pasted_is_in_front_and_its_outline_lies_where_it_was_put(rng):
    red = torch.zeros(1, 3, 30, 40)
    red[:, 0] = 1
    corner = {**box("flame", 0, 0, 1, 1), "outline": [[0, 0], [1, 0], [0, 1]]}  # not its mirror
    view, below = torch.zeros(1, 3, 96, 112), [box("tree", 0, 0, 1, 1, front=5)]
    view[:, 2] = 1
    for _ in range(12):
        got, objects = pasted(view, below, [CutOut(red, corner)], [], rng)
        index = drawn(objects, (96, 112))
        assert objects[0] == below[0] and 2 <= len(objects) <= 1 + module.MOST
        reddish = got[0, 0] > got[0, 2]
        put = index > 0
        assert float((reddish == put).float().mean()) > 0.96
        inside = labels(objects, (96, 112)).kind == 10
        assert bool(put.any()) and torch.equal(inside, put) or float((inside ^ put).sum()) < 200
    assert float(view[:, 0].max()) == 0 and len(below) == 1  # what was given stays as it was


def test_the_same_seed_pastes_the_same(rng):
    cut = CutOut(torch.rand(1, 3, 20, 30, generator=rng), box("hanging", 0, 0, 1, 1))
    view = torch.rand(1, 3, 64, 80, generator=rng)
    one, other = (pasted(view, [], [cut], [], torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one[0], other[0]) and one[1] == other[1]


def test_an_outline_of_a_mask_draws_the_mask():
    y, x = torch.meshgrid(torch.arange(120), torch.arange(180), indexing="ij")
    mask = ((x - 60.0) ** 2 / 720 + (y - 45.0) ** 2 / 1080) < 1
    mask |= (x > 120) & (x < 156) & (y > 24) & (y < 99)
    mask[0, 0] = True  # a spark is no thing
    objects = traced(mask, "flame")
    assert len(objects) == 2
    wrong = (drawn(objects, (120, 180)) >= 0) ^ mask
    assert float(wrong.sum()) < 0.06 * float(mask.sum())


def test_scenes_show_what_is_rare():
    views = scene_views(3)
    assert [objects[0]["kind"] for _, objects in views] == ["hanging", "cloth", "flame"]
    for still, objects in views:
        assert still.shape == (1, 3, *module.SCENE_SIZE)
        assert 0.0005 < float(labels(objects, module.SCENE_SIZE).sways.mean()) < 0.9


@pytest.mark.parametrize("size", [(2, 96), (96, 3)])
def test_thin_things_fit_into_a_view(size, rng):
    cut = CutOut(torch.rand(1, 3, *size, generator=rng), box("reeds", 0, 0, 1, 1))
    got, _ = pasted(torch.zeros(1, 3, 40, 48), [], [cut], [], rng)
    assert bool(got.isfinite().all())


def test_decoys_hide_what_is_below_and_are_nothing(monkeypatch, rng):
    monkeypatch.setattr(module, "DECOYS", 1.0)
    cut = CutOut(torch.ones(1, 3, 20, 30), box("flame", 0, 0, 1, 1))
    grey = torch.full((1, 3, 50, 60), 0.5)
    below = [box("tree", 0, 0, 1, 1)]
    view, objects = pasted(torch.zeros(1, 3, 64, 80), below, [cut], [grey], rng)
    index, seen = drawn(objects, (128, 160)) > 0, labels(objects, (64, 80))
    share = index.view(64, 2, 80, 2).float().mean((1, 3))
    assert {o["kind"] for o in objects} == {"tree", None} and 0.001 < float(share.mean()) < 0.9
    torch.testing.assert_close(seen.sways, 1 - share)
    assert not bool(seen.flows.any()) and int(seen.kind.min()) == -1
    assert 0 < float(view.max()) < 1
