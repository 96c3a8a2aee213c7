"""Which of two things that land on one pixel is in front: importance, the logits of a softmax.

The rule: depth decides where it is given, and differs by a twentieth of its range. Else the order
of objects decides. Where there is no order, and within one object, what moves more is in front.

Law: importance has no unit. Only the ratio of two motions counts, so a picture shows the same thing
in front at every size, and whatever else moves in it. What the network mixes has the paper's unit
instead (`importance_of_features`).

Source: importance by mean motion, Li et al., "Generative Image Dynamics", CVPR 2024, Sec. 5. There
it is a distance on a grid 256 wide. The exponent of a ratio in its place is ours.
"""

import math

from ..shapes import Float, Tensor

# Weight is (motion / STILL_SHARE + 1) ** MOTION_EXPONENT: with 5, what moves five times as far as
# another thing weighs 3125 times as much, and hides it to .9997.
MOTION_EXPONENT = 5.0
STILL_SHARE = 1e-5  # of the longer side: what moves less counts as still
# With depth, motion only decides between what is equally near: its exponent is smaller.
DEPTH_LOGITS = 105.0  # over its whole range: a twentieth of it is a factor of 190
EQUALLY_NEAR_EXPONENT = 1.5
# One step of order outweighs any motion up to a whole picture.
ORDER_LOGITS = math.ceil(MOTION_EXPONENT * math.log(1 / STILL_SHARE + 1))


GRID_SIDE = 256  # px of the paper's grid, whose distances are logits
DEPTH_OF_FEATURES = 20.0  # logits from the farthest to the nearest


def importance_of(
    motion: Float[Tensor, "1 n"],
    order: Float[Tensor, "1 n"] | None = None,
    depth: Float[Tensor, "1 n"] | None = None,
) -> Float[Tensor, "1 n"]:
    """Importance of pixels: 0 or more, larger in front.

    Args:
        motion: Mean distance moved over the clip, as a share of the picture's longer side.
        order: Rank of the object that a pixel belongs to, 0 or more, the largest in front.
        depth: 0 to 1, 1 = nearest.
    """
    moved = (motion.clamp(0, 1) / STILL_SHARE).log1p()
    if depth is not None:
        return DEPTH_LOGITS * depth.clamp(0, 1) + EQUALLY_NEAR_EXPONENT * moved
    logits = MOTION_EXPONENT * moved
    return logits if order is None else logits + ORDER_LOGITS * order


def importance_of_features(
    motion: Float[Tensor, "1 n"],
    side: int,
    order: Float[Tensor, "1 n"] | None = None,
    depth: Float[Tensor, "1 n"] | None = None,
) -> Float[Tensor, "1 n"]:
    """The same order with smaller differences, for features that a network mixes: the paper's unit.

    The network was trained with it on pictures 256 px wide; with larger differences it mixes less
    well there. In a larger picture, what lies under the edge of a thing that moves is so many
    pixels wide that a share of it shows as a band; so differences grow with the root of the size.

    Args:
        side: The picture's longer side, px.

    Others are those of `importance_of`.
    """
    if depth is not None:
        return DEPTH_OF_FEATURES * depth.clamp(0, 1)
    logits = GRID_SIDE * motion * math.sqrt(max(1.0, side / GRID_SIDE))
    return logits if order is None else logits + DEPTH_OF_FEATURES * order
