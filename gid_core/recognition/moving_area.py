"""What may move in a still, and who decided it.

Law: this is the one place that decides. A painted mask always wins; without one the recognizer says
what sways.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..shapes import Float, Int, Tensor
from ..still.matte import Refinement, refine_and_report
from .kinds import KINDS
from .model import Recognizer, load_recognizer, recognize, shipped

LIKELY = 0.5  # chance from which a place counts as swaying, or flowing
FEW = 1e-3  # share of the picture below which nothing sways


@dataclass(frozen=True)
class MovingArea:
    """What may move in one still.

    matte: 1 = moves, 0 = stays.
    source: "painted" or "recognized".
    refinement: What fitting the mask to the picture did to it; None if it is used as it is.
    kind: What was recognized where, as in `Recognition`; None where someone painted.
    """

    matte: Float[Tensor, "1 1 h w"]
    source: str
    refinement: Refinement | None = None
    kind: Int[Tensor, "1 1 h w"] | None = None

    @property
    def doubtful(self) -> bool:
        """Whether someone should look at it: nothing found, or far from what was painted."""
        fitted = self.source == "painted" and self.refinement is not None
        unlike = fitted and (self.refinement.doubtful or self.refinement.differs)
        return unlike or not bool(self.matte.any())

    def __str__(self) -> str:
        if self.source == "painted":
            used = self.refinement or "It is used as it is."
            return f"The mask is the painted one. {used}"
        if not self.matte.any():
            return "No mask, and nothing here looks as if it could sway: paint what may move."
        share = 100 * float(self.matte.mean())
        return f"No mask: what sways was recognized, {share:.0f} % of the picture."


def moving_area(
    still: Float[Tensor, "1 3 h w"],
    painted: Float[Tensor, "1 1 h w"] | None,
    refine: bool = True,
    recognizer: Recognizer | None = None,
) -> MovingArea:
    """Decide what may move.

    Args:
        painted: What someone painted; None if nobody did.
        refine: Fit the mask to the picture; else it is used as it is.
        recognizer: Who says what sways where nobody painted; the shipped one by default.
    """
    if painted is not None:
        return MovingArea(*_fitted(still, painted, "painted", refine))
    seen = _recognized(still, recognizer)
    area = MovingArea(*_fitted(still, _likely(seen.sways), "recognized", refine))
    return replace(area, kind=seen.kind)


def _fitted(still, mask, source, refine):
    if not refine:
        return mask, source
    matte, refinement = refine_and_report(still, mask)
    return matte, source, refinement


def what_sways(
    still: Float[Tensor, "1 3 h w"], recognizer: Recognizer | None = None
) -> Float[Tensor, "1 1 h w"]:
    """1 where the recognizer sees something that sways, else 0; all 0 where it is next to
    nothing."""
    return _likely(_recognized(still, recognizer).sways)


def what_flows(
    still: Float[Tensor, "1 3 h w"],
    recognizer: Recognizer | None = None,
    kinds: Sequence[str] = (),
) -> Float[Tensor, "1 1 h w"]:
    """1 where the recognizer sees water, cloud or smoke, else 0.

    Args:
        kinds: Only these of `kinds.KINDS`, which may sway, too, as flames do; all that flow by
            default.
    """
    seen = _recognized(still, recognizer)
    if not kinds:
        return _likely(seen.flows)
    chance = torch.maximum(seen.flows, seen.sways)
    among = torch.isin(seen.kind, torch.tensor([KINDS.index(name) for name in kinds]))
    return _likely(chance * among)


def _recognized(still, recognizer):
    return recognize(recognizer or load_recognizer(shipped()).eval(), still)


def _likely(chance):
    mask = (chance > LIKELY).float()
    return mask if mask.mean() >= FEW else 0 * mask
