from gid_core.recognition.kinds import FLOWS, KINDS, SWAYS


def test_a_kind_sways_or_flows_and_never_both():
    assert len(set(KINDS)) == len(KINDS)
    assert SWAYS | FLOWS == set(KINDS) and not SWAYS & FLOWS
