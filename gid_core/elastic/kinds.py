"""Kinds and weather by name: rows of physical numbers for the elastic prior.

Law: "custom" changes nothing; a kind sets what a thing is made of and how it is held, the weather
how the wind blows, and neither alone touches the other's numbers. But what pulses by itself, as
flames do, has gusts of its own; and the speed of weather is seen as slow as the kind is wide.

Sources: trees, Moore & Maguire 2004 and James 2014; crops and grass, Py, de Langre & Moulia 2006;
leaves, stems and how drag grows with wind, de Langre 2008; lanterns, a pendulum, sqrt(g / L) / 2
pi; flames, Hamins, Yang & Kashiwagi 1992; wind speeds, the Beaufort scale; turbulence, ESDU 85020.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import MOST_BANDS, ElasticConfig, SpectrumConfig
from ..shapes import Float, Tensor
from .prior import ElasticPrior
from .sheet import Thing

CUSTOM = "custom"
SLOWEST, FASTEST = 0.1, 1.5  # picture widths per second that a gust is seen to travel at
USUAL_WIDTH_M = 3.0  # of what a picture shows, where no kind says
MOST_THINGS = 1000


@dataclass(frozen=True)
class Kind:
    """What a thing is.

    elastic: its material and roots.
    width_m: how much a picture of it shows from side to side, m: makes wind speeds widths.
    highest_hz: up to which it is seen to move.
    rises: what pulses upward in it by itself, as gustiness; own_gust_s: how fast, where not as the
        wind.
    """

    elastic: ElasticConfig
    width_m: float
    highest_hz: float = 3.2
    rises: float = 0.0
    own_gust_s: float | None = None


@dataclass(frozen=True)
class Weather:
    """How the wind blows.

    speed: mean, m/s. turbulence: sigma_u / speed. gust_s: how long a gust takes to pass.
    across: sigma_v / sigma_u. lull: how much of it comes and goes in ten seconds.
    """

    speed: float
    turbulence: float
    gust_s: float
    across: float
    lull: float

    @property
    def strength(self) -> float:
        """Motion beside that of a breeze: a load that grows with speed^1.3, times its turbulence.

        Plants bend out of the wind, so that drag does not grow with the square (Vogel's exponent
        -0.7, de Langre 2008). Of that the root is taken: a picture has less room than a meadow.
        """
        return (self.load / WEATHER["breeze"].load) ** 0.5

    @property
    def load(self) -> float:
        return self.speed**1.3 * self.turbulence


def _kind(
    width_m,
    sway_hz,
    damping_ratio,
    rooting,
    rooted,
    across,
    flutter,
    flutter_hz=2.5,
    leaf=0.05,
    highest_hz=3.2,
    rises=0.0,
    own_gust_s=None,
    **rest,
):
    elastic = ElasticConfig(
        sway_hz=sway_hz,
        damping_ratio=damping_ratio,
        rooting=rooting,
        rooted=rooted,
        across=across,
        flutter=flutter,
        flutter_hz=flutter_hz,
        leaf=leaf,
        **rest,
    )
    return Kind(elastic, width_m, highest_hz, rises, own_gust_s)


ONE, OWN, FIELD = "one root", "each its own", "field"

# rooted: share of stiffness that is its roots', or those of branches behind; across: stiffness from
# side to side beside that along; flutter: rms beside that of the whole.
# fmt: off
KINDS = {
    #         width m, sway Hz, damping, roots, rooted, across, flutter, at Hz, leaf
    "tree":    _kind(12.0, 0.4, 0.09, ONE,   0.45, 1.0, 0.30, 2.5, 0.035),
    "shrub":   _kind(3.0,  1.2, 0.10, ONE,   0.50, 1.0, 0.25, 2.8, 0.04),
    "grass":   _kind(4.0,  1.8, 0.15, FIELD, 0.90, 0.3, 0.20, 3.0, 0.03, reach=0.05),
    "flower":  _kind(0.6,  1.5, 0.08, ONE,   0.20, 1.0, 0.12, 3.0, 0.06),
    "reeds":   _kind(6.0,  1.0, 0.12, FIELD, 0.80, 0.2, 0.15, 2.5, 0.03, reach=0.10),
    "hanging": _kind(5.0,  0.7, 0.05, OWN,   0.05, 1.0, 0.00, anchor="hanging"),
    "cloth":   _kind(3.0,  0.8, 0.15, OWN,   0.15, 0.5, 0.20, 1.8, 0.10, anchor="hanging"),
    "hair":    _kind(0.6,  1.5, 0.30, FIELD, 0.90, 0.5, 0.30, 2.5, 0.04, reach=0.05),
    "flame":   _kind(0.3,  2.5, 0.20, OWN,   0.90, 0.5, 0.00, anchor="ground", highest_hz=8.0,
                     rises=4.0, own_gust_s=0.05, smallest=0.0003, edge_stiffness=1.0),
}
WEATHER = {
    #                    m/s, turbulence, gust s, across, lull
    "breath": Weather(   0.8, 0.20, 2.0, 0.3, 0.3),  # Beaufort 1: smoke drifts
    "breeze": Weather(   3.0, 0.20, 1.5, 0.5, 0.5),  # Beaufort 2 to 3: leaves rustle
    "wind":   Weather(   7.0, 0.20, 1.2, 0.5, 0.5),  # Beaufort 4: small branches move
    "gusts":  Weather(   9.0, 0.35, 1.5, 0.6, 1.0),  # Beaufort 5, and between two gusts a lull
    "storm":  Weather(  21.0, 0.25, 0.8, 0.7, 0.6),  # Beaufort 9
}
# fmt: on


def prior(kind: str, weather: str, base: ElasticPrior = ElasticPrior()) -> ElasticPrior:
    """The elastic prior of a kind in some weather; what is "custom" is as in `base`.

    Raises:
        ValueError: For a name that is not in the tables.
    """
    row, air = _named(kind, KINDS, "kind"), _named(weather, WEATHER, "weather")
    blows, strength = base.wind, base.strength
    if air is not None:
        width = USUAL_WIDTH_M if row is None else row.width_m
        speed = min(max(air.speed / width, SLOWEST), FASTEST)
        blows = replace(
            blows, speed=speed, gust_length=speed * air.gust_s, gustiness=air.across, lull=air.lull
        )
        strength = air.strength
    if row is None:
        return replace(base, wind=blows, strength=strength)
    gust = blows.gust_length if row.own_gust_s is None else blows.speed * row.own_gust_s
    blows = replace(blows, gust_length=gust, gustiness=max(blows.gustiness, row.rises))
    return replace(
        base, elastic=row.elastic, wind=blows, strength=strength, highest_hz=row.highest_hz
    )


def reaching(hz: float, spectrum: SpectrumConfig) -> SpectrumConfig:
    """More bands where they are needed to reach a frequency beyond that of the default bands."""
    usual = SpectrumConfig()
    if hz <= usual.bands / usual.duration_s:
        return spectrum
    needed = min(MOST_BANDS, round(hz * spectrum.duration_s))
    return replace(spectrum, bands=max(spectrum.bands, needed))


def highest_hz(kind: str) -> float:
    """Up to which frequency a kind is seen to move; 0 where it is custom, which does not say."""
    row = _named(kind, KINDS, "kind")
    return 0.0 if row is None else row.highest_hz


def named(text: str) -> tuple[str, ...]:
    """Kinds from a list as it is typed, with commas or line ends between."""
    return tuple(
        name for part in text.splitlines() for name in map(str.strip, part.split(",")) if name
    )


def things(
    masks: Float[Tensor, "n 1 hr wr"],
    kinds: Sequence[str] = (),
    anchors: Sequence[Float[Tensor, "1 1 hr wr"] | None] = (),
) -> tuple[Thing, ...]:
    """One thing for every mask, each of its own kind and held by its own anchor, where given.

    Raises:
        ValueError: If there are kinds or anchors, but not one for each mask; or too many masks.
    """
    count = len(masks)
    if count > MOST_THINGS:
        raise ValueError(f"Expected at most {MOST_THINGS} objects in a still, got {count}.")
    for what, given in (("kinds", kinds), ("anchors", anchors)):
        if given and len(given) != count:
            raise ValueError(
                f"Expected one of the {what} for each of the {count} objects, got {len(given)}. "
                f"Give {count}, with {'custom' if what == 'kinds' else 'None'} where there is "
                "nothing to say, or none at all."
            )
    rows = [_named(kind, KINDS, "kind") for kind in kinds] or [None] * count
    return tuple(
        Thing(
            masks[i : i + 1], None if row is None else row.elastic, anchors[i] if anchors else None
        )
        for i, row in enumerate(rows)
    )


def _named(name, table, what):
    if name == CUSTOM:
        return None
    if name not in table:
        raise ValueError(
            f"Expected a {what} of {', '.join([CUSTOM, *table])}, got {name!r}. Choose one of them."
        )
    return table[name]
