"""Kinds of what flows, by name: rows of numbers that say how water, clouds, smoke and flames go.

Law: a kind sets how a thing flows; direction, speed and turbulence are the user's.

Sources: flicker of flames, Hamins, Yang & Kashiwagi 1992 (1.5 / sqrt(d) Hz for a diameter d in m);
eddies that are carried with the flow, Taylor 1938; the rest is our own observation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FlowKind:
    """How one kind of thing flows.

    heading_deg: Where it goes by itself, 0 = towards the right, 90 = towards the top.
    divergence_free: Whether it has neither sources nor sinks.
    confined: Whether its outline is a shore, along which it runs; else it goes on behind it.
    rooted: Whether it starts from rest at its foot, as a flame does.
    stirred: Factor of the turbulence asked for.
    eddy: Size of the largest eddies, share of the picture's longer side.
    lowest_hz, highest_hz: Of the eddies.
    feather: How far its soft outline reaches beyond the mask, share of the longer side.
    flicker: Size of patches that brighten together, share of the longer side.
    flicker_hz: Highest frequency of its light.
    looks: Kinds of the recognizer that it is seen as.
    """

    heading_deg: float
    divergence_free: bool
    confined: bool
    rooted: bool
    stirred: float
    eddy: float
    lowest_hz: float
    highest_hz: float
    feather: float
    flicker: float
    flicker_hz: float
    looks: tuple[str, ...]


# fmt: off
FLOWS = {
    #                    heading, divergence-free, confined, rooted, stirred, eddy, from, to Hz,
    #                    feather, flicker, up to Hz, looks
    "water":     FlowKind(0.0,   True,  True,  False, 0.3, 0.08, 0.2, 1.0, 0.000, 0.01, 3.0,
                          ("water",)),
    "waterfall": FlowKind(270.0, False, True,  False, 0.5, 0.04, 0.2, 2.0, 0.000, 0.01, 4.0,
                          ("water",)),
    "clouds":    FlowKind(0.0,   False, False, False, 0.6, 0.25, 0.1, 0.4, 0.000, 0.30, 0.4,
                          ("cloud",)),
    "smoke":     FlowKind(90.0,  False, False, False, 1.0, 0.15, 0.2, 1.2, 0.030, 0.10, 1.0,
                          ("smoke", "cloud")),
    "flames":    FlowKind(90.0,  False, False, True,  1.0, 0.06, 0.8, 6.0, 0.015, 0.20, 8.0,
                          ("flame",)),
}
# fmt: on


def flow_kind(name: str) -> FlowKind:
    """The row of a name.

    Raises:
        ValueError: For a name that is not in the table.
    """
    if name not in FLOWS:
        raise ValueError(f"Expected the kind to be one of {', '.join(FLOWS)}, got {name!r}.")
    return FLOWS[name]
