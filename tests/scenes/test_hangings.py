import pytest
import torch

from gid_core.scenes.builder import LOOK, open_builder
from gid_core.scenes.hangings import candles, lanterns, laundry

HERTZ = torch.arange(1, 17) / 5
KINDS = [candles, lanterns, laundry]


def hung(kind, seed=0):
    on = open_builder(torch.Generator().manual_seed(seed), 1.6, HERTZ)
    kind(on)
    return on


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_what_hangs_is_whole_and_its_seeds(kind, seed):
    on = hung(kind, seed)
    strips = {name: torch.cat([s[name] for s in on.strips]) for name in on.strips[0]}
    assert set(LOOK) < set(strips)
    assert all(values.isfinite().all() for values in strips.values())
    assert (strips["length"] > 0).all() and (strips["width"] > 0).all()
    assert strips["piece"].max() < on.count
    assert torch.equal(on.pieces()[2], hung(kind, seed).pieces()[2])
    assert on.pieces()[2].abs().max() > 0


def test_longer_lanterns_swing_more_slowly():
    slow, fast = [], []
    for seed in range(12):
        on = hung(lanterns, seed)
        cord = on.strips[0]["length"]
        turns = on.pieces()[2][on.strips[0]["piece"], :, 1, 0].abs()
        hertz = HERTZ[turns.argmax(1)]
        slow.append(hertz[cord > 0.3])
        fast.append(hertz[cord < 0.2])
    assert torch.cat(slow).mean() < torch.cat(fast).mean()


def test_candles_stand_and_their_flames_do_not():
    on = hung(candles)
    wax, flame = on.strips[0]["piece"], on.strips[1]["piece"]
    _, shift, strain = on.pieces()
    assert not shift[wax].any() and not strain[wax].any()
    assert strain[flame].abs().max() > 0


def test_cells_of_a_cloth_tile_it():
    for seed in range(8):
        on = hung(laundry, seed)
        cells = max(on.strips, key=lambda strip: len(strip["piece"]))
        assert len(cells["piece"]) == 120
        area = (cells["length"] * cells["width"]).sum() / 1.06**2
        corner = cells["base"].min(0).values
        extent = cells["base"].max(0).values - corner
        wide = extent[0] + cells["length"][0] / 1.06
        high = extent[1] + cells["width"][0] / 1.06
        assert area == pytest.approx(float(wide * high), rel=0.02)
