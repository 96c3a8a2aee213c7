import pytest
import torch

from gid_core.recognition.backbone import STAGES, STRIDES
from gid_core.recognition.head import DEGREE, FLOWS, KIND, OUTPUTS, SWAYS, Head


def features(rng, height=64, width=96):
    return [
        torch.randn(2, stage[3], height // stride, width // stride, generator=rng)
        for stage, stride in zip(STAGES, STRIDES, strict=True)
    ]


def test_outputs_are_told_apart_and_there_are_no_others():
    numbers = [n for part in (SWAYS, FLOWS, KIND, DEGREE) for n in range(part.start, part.stop)]
    assert numbers == list(range(OUTPUTS))


@pytest.mark.parametrize("finest, stages", [(1, 7), (2, 5), (3, 7), (4, 4)])
def test_logits_lie_on_the_finest_stage_read(rng, finest, stages):
    with torch.no_grad():
        logits = Head(finest, stages, 16).eval()(features(rng))
    stride = STRIDES[finest - 1]
    assert logits.shape == (2, OUTPUTS, 64 // stride, 96 // stride)


def test_what_is_not_read_changes_nothing_and_what_is_read_does(rng):
    head = Head(3, 5, 16).eval()
    given = features(rng)
    with torch.no_grad():
        before = head(given)
        for stage in range(len(STAGES)):
            other = [x + (i == stage) for i, x in enumerate(given)]
            assert torch.equal(head(other), before) == (stage not in (2, 3, 4))


def test_at_rest_a_head_is_the_same_every_time(rng):
    head, given = Head(3, 7, 16), features(rng)
    with torch.no_grad():
        assert torch.equal(head.eval()(given), head(given))
        assert not torch.equal(head.train()(given), head(given))  # dropout, while training
