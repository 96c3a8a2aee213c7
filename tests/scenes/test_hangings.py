import pytest
import torch

from gid_core.scenes.builder import STRIP_DEFAULTS, open_builder
from gid_core.scenes.hangings import candles, lanterns, laundry

HERTZ = torch.arange(1, 17) / 5
KINDS = [candles, lanterns, laundry]


def hung(kind, seed=0):
    builder = open_builder(torch.Generator().manual_seed(seed), 1.6, HERTZ)
    kind(builder)
    return builder


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_a_hanging_is_complete_and_depends_on_its_seed_alone(kind, seed):
    builder = hung(kind, seed)
    strips = {name: torch.cat([s[name] for s in builder.strips]) for name in builder.strips[0]}
    assert set(STRIP_DEFAULTS) < set(strips)
    assert all(values.isfinite().all() for values in strips.values())
    assert (strips["length"] > 0).all() and (strips["width"] > 0).all()
    assert strips["piece"].max() < builder.count
    assert torch.equal(builder.pieces()[2], hung(kind, seed).pieces()[2])
    assert builder.pieces()[2].abs().max() > 0


def test_longer_lanterns_swing_more_slowly():
    slow, fast = [], []
    for seed in range(12):
        builder = hung(lanterns, seed)
        cord = builder.strips[0]["length"]
        turns = builder.pieces()[2][builder.strips[0]["piece"], :, 1, 0].abs()
        hertz = HERTZ[turns.argmax(1)]
        slow.append(hertz[cord > 0.3])
        fast.append(hertz[cord < 0.2])
    assert torch.cat(slow).mean() < torch.cat(fast).mean()


def test_candles_are_static_and_their_flames_move():
    builder = hung(candles)
    wax, flame = builder.strips[0]["piece"], builder.strips[1]["piece"]
    _, shift, strain = builder.pieces()
    assert not shift[wax].any() and not strain[wax].any()
    assert strain[flame].abs().max() > 0


def test_cells_of_a_cloth_tile_it():
    for seed in range(8):
        builder = hung(laundry, seed)
        cells = max(builder.strips, key=lambda strip: len(strip["piece"]))
        assert len(cells["piece"]) == 120
        area = (cells["length"] * cells["width"]).sum() / 1.06**2
        corner = cells["base"].min(0).values
        extent = cells["base"].max(0).values - corner
        wide = extent[0] + cells["length"][0] / 1.06
        high = extent[1] + cells["width"][0] / 1.06
        assert area == pytest.approx(float(wide * high), rel=0.02)
