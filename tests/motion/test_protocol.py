from inspect import signature

import pytest

from gid_core.diffusion.motion_model import LearnedPrior
from gid_core.elastic.prior import ElasticPrior
from gid_core.motion.protocol import MotionPrior


@pytest.mark.parametrize("kind", [ElasticPrior, LearnedPrior])
def test_every_prior_is_one_and_is_asked_in_the_same_way(kind):
    assert hasattr(kind, "finds_what_moves")
    asked = list(signature(MotionPrior.sample).parameters)
    assert list(signature(kind.sample).parameters) == asked


def test_what_cannot_be_sampled_is_no_prior():
    assert isinstance(ElasticPrior(), MotionPrior)
    assert not isinstance(object(), MotionPrior)
