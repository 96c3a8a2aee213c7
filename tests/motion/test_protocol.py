from inspect import signature

import pytest

from gid_core.diffusion.motion_model import LearnedPrior
from gid_core.elastic.prior import ElasticPrior
from gid_core.motion.protocol import MotionPrior


@pytest.mark.parametrize("kind", [ElasticPrior, LearnedPrior])
def test_every_prior_has_the_signature_of_the_protocol(kind):
    asked = list(signature(MotionPrior.sample).parameters)
    own = signature(kind.sample).parameters.values()
    # What a prior takes besides is named, and has a default.
    assert [p.name for p in own if p.kind is not p.KEYWORD_ONLY] == asked
    assert all(p.default is not p.empty for p in own if p.kind is p.KEYWORD_ONLY)


def test_an_object_without_sample_is_not_a_prior():
    assert isinstance(ElasticPrior(), MotionPrior)
    assert not isinstance(object(), MotionPrior)
