"""The host's curve, where it has one: as an input to connect, and as a curve of the core."""

from comfy_api.latest import io

from ..gid_core.motion.curves import Curve

LINES = 64  # straight lines for a curve that bends


def socket(name: str, tooltip: str) -> io.Input:
    """An optional input for a curve of the host's Curve Editor, which hosts before 0.15.1 lack."""
    # Connected only: a curve drawn in the node itself would always be given.
    forced = {"forceInput": True}
    return io.Custom("CURVE").Input(name, optional=True, tooltip=tooltip, extra_dict=forced)


def drawn(curve, width: float, height: float) -> Curve | None:
    """A curve over 0 ... width with values 0 ... height, from one over the unit square.

    Raises:
        ValueError: For a curve of fewer than two points.
    """
    if curve is None:
        return None
    if len(curve.points) < 2:
        raise ValueError(
            f"Expected a curve of at least two points, got {len(curve.points)}. Add one in the "
            "Curve Editor, or disconnect it."
        )
    places = [i / LINES for i in range(LINES + 1)]
    points = [(x * width, height * float(curve.interp(x))) for x in places]
    return Curve.of_points(points, "drawn curve")
