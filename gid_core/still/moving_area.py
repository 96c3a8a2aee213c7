"""What may move in a still, and who decided it.

Law: this is the one place that decides. A painted mask always wins; without one the motion prior
finds what moves, if it can, and else there is a guess from texture and colour.
"""

from dataclasses import dataclass

from ..shapes import Float, Tensor
from .matte import flexibility, refine_mask


@dataclass(frozen=True)
class MovingArea:
    """What may move in one still.

    matte: 1 = moves, 0 = stays; None where the motion prior finds it while it samples.
    source: "painted", "guessed", or "found by the motion model".
    refined: Whether the mask was fitted to the picture.
    """

    matte: Float[Tensor, "1 1 h w"] | None
    source: str
    refined: bool

    def __str__(self) -> str:
        if self.matte is None:
            return "No mask: the motion model finds what moves."
        how = "fitted to the picture" if self.refined else "used as it is"
        if self.source == "painted":
            return f"The painted mask is {how}."
        return f"No mask: what moves is guessed from texture and colour, and {how}."


def moving_area(
    still: Float[Tensor, "1 3 h w"],
    painted: Float[Tensor, "1 1 h w"] | None,
    refine: bool = True,
    prior_finds_it: bool = False,
) -> MovingArea:
    """Decide what may move.

    Args:
        painted: What someone painted; None if nobody did.
        refine: Fit the mask to the picture; else it is used as it is.
        prior_finds_it: Whether the motion prior finds what moves by itself.
    """
    if painted is None and prior_finds_it:
        return MovingArea(None, "found by the motion model", False)
    source, mask = ("guessed", flexibility(still)) if painted is None else ("painted", painted)
    return MovingArea(refine_mask(still, mask) if refine else mask, source, refine)
