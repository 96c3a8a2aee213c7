"""The kinds of things that are told apart, and what each of them does in wind."""

KINDS = (  # the order is that of the channels of a head
    "flower",
    "grass",
    "reeds",
    "tree",
    "trunk",
    "shrub",
    "leaves",
    "hanging",
    "cloth",
    "hair",
    "flame",
    "water",
    "cloud",
    "smoke",
)
FLOWS = frozenset({"water", "cloud", "smoke"})  # goes on and does not come back
SWAYS = frozenset(KINDS) - FLOWS
