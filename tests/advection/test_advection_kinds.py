import pytest

from gid_core.advection.kinds import FLOWS, flow_kind
from gid_core.recognition.kinds import KINDS


@pytest.mark.parametrize("name", FLOWS)
def test_a_kind_has_sensible_numbers(name):
    kind = flow_kind(name)
    assert 0 < kind.lowest_hz < kind.highest_hz and 0 <= kind.heading_deg < 360
    assert 0 < kind.eddy < 1 and 0 < kind.flicker < 1 and 0 <= kind.feather < 0.1
    assert kind.confined or not kind.divergence_free  # without shores nothing is held together
    assert set(kind.looks) <= set(KINDS)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="one of water, waterfall, clouds, smoke, flames, got 'l"):
        flow_kind("lava")
