"""Camera motion of a clip: one similarity transform per frame, fitted to the static background.

Law: a static scene filmed by a shaking camera becomes still; a clip from a tripod is unchanged.

Convention: a similarity is (a, b, x, y). A point p of the first frame lies at
c + [[a, -b], [b, a]] (p - c) + (x, y) in the other frame; c is the centre of the picture.

Source: iteratively reweighted least squares with the function of Geman & McClure; the choice of
background pixels is ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Shaped, Tensor
from ..still.grid import backward_warp, pixel_grid

INLIER_PX = 0.3  # largest residual of a background pixel against the camera motion, RMS over time
TRIPOD_SHARE = 0.15  # least share of textured pixels that stand still in a clip from a tripod
SHAKE_SHARE = 0.3  # least share of textured pixels that follow the motion of a shaking camera
CELLS = 4  # cells along each side of the picture
OUTER_CELLS = 6  # of the 12 cells at the border: so many must contain background pixels
ROBUST_PX = 0.05  # residual above which the weight of a pixel in the fit falls fast
STATIC_PX = 0.1  # a camera that moves the corners by less stands still
RESIDUAL_SHARE = 0.5  # of the background's flow: a larger residual means fitted foliage, no camera
SAMPLED_FRAMES = 25  # frames, evenly spread, in which the defocused background is compared
DEFOCUSED_SHARE = 0.02  # least share of defocused pixels that allows a decision
STATIC_RATIO = 1.2  # error with over error without camera motion, above which there is no camera
TEXTURE = 2e-5  # least eigenvalue of the structure tensor for which flow is reliable


@dataclass(frozen=True)
class Camera:
    """The estimated motion of the camera.

    similarity: one per frame; None if no background was found.
    share: share of the textured pixels that belong to the background, 0 ... 1.
    """

    similarity: Float[Tensor, "t 4"] | None
    share: float

    def peaks(self) -> tuple[float, float, float]:
        """Largest deviation from the first frame: shift in px, rotation in degrees, zoom in %."""
        if self.similarity is None:
            return 0.0, 0.0, 0.0
        a, b, x, y = self.similarity.double().T
        turn = torch.atan2(b, a).abs().max() * 180 / math.pi
        zoom = ((a.square() + b.square()).sqrt() - 1).abs().max() * 100
        return float((x.square() + y.square()).max().sqrt()), float(turn), float(zoom)


def find_camera(
    flow: Float[Tensor, "t 2 h w"],
    first: Float[Tensor, "3 h w"],
    poll: Callable[[], None] = lambda: None,
) -> Camera:
    """Fit the camera motion to the flow from a clip's first frame.

    The first hypothesis is a tripod: the background is the pixels that stand still. If there are
    too few of them, the second hypothesis is the motion that most pixels share. In both cases the
    background must reach around the border of the picture, so that a large flower is not taken for
    the background.

    Args:
        flow: px, from the first frame to every frame.
        first: The first frame, in [0, 1].
        poll: Called many times a second; may raise to cancel.
    """
    height, width = first.shape[-2:]
    y, x = textured(first).nonzero(as_tuple=True)
    if len(y) < 16:
        return Camera(None, 0.0)
    points = torch.stack([x, y]).to(flow) - _centre(height, width).to(flow)
    observed = flow[:, :, y, x]
    row, column = y * CELLS // height, x * CELLS // width
    at_border = (row % (CELLS - 1) == 0) | (column % (CELLS - 1) == 0)
    cell = at_border.long() * (1 + row * CELLS + column)  # 0 for every cell inside
    identity = flow.new_tensor([1, 0, 0, 0]).expand(len(flow), 4)
    shaking = lambda: _dominant_motion(observed, points, poll)
    for start, least_share in ((lambda: identity, TRIPOD_SHARE), (shaking, SHAKE_SHARE)):
        similarity = start()
        for _ in range(4):
            poll()
            residual = (observed - _shift(similarity, points)).square().sum(1).mean(0).sqrt()
            inlier = residual < INLIER_PX
            enough = inlier.sum() >= least_share * len(inlier)
            if not enough or int((cell[inlier].bincount()[1:] > 2).sum()) < OUTER_CELLS:
                break
            # Pixels that sway a little are inliers as well. Full weight would bias the fit.
            scale = ROBUST_PX + residual[inlier].quantile(0.25)
            weight = 1 / (1 + (residual[inlier] / scale).square()).square()
            similarity = _fit(observed[..., inlier], points[:, inlier], weight[None])
        else:
            corners = pixel_grid(2, 2, like=flow).flatten(1) * 2 - 1
            corner_shift = _shift(similarity, corners * _centre(height, width).to(flow))
            static = corner_shift.square().sum(1).max() < STATIC_PX**2
            length = observed[..., inlier].square().sum(1).mean(0).sqrt()
            if static or residual[inlier].median() > RESIDUAL_SHARE * length.median():
                similarity = identity
            return Camera(similarity, float(inlier.float().mean()))
    return Camera(None, 0.0)


def background_stands_still(
    frames: Shaped[Tensor, "t 3 h w"],
    similarity: Float[Tensor, "t 4"],
    poll: Callable[[], None] = lambda: None,
) -> bool:
    """Whether the defocused background stands still although a camera motion was estimated.

    A plant may fill everything in focus and sway as a whole; the dominant motion is then the
    plant's. Flow is unreliable where there is no texture. There the frames decide by themselves:
    they are compared with the first frame as they are, and after the camera motion is undone.

    Args:
        frames: Bytes.
    """
    height, width = frames.shape[-2:]
    shift = camera_shift(similarity, height, width)
    first = frames[0].float() / 255
    margin = math.ceil(float(shift.abs().max())) + 1
    if 2 * margin >= min(height, width):
        return False

    def squared_error(frame, compared):
        error = (frame - first).square().mean(0)[margin:-margin, margin:-margin]
        return float((error * compared).sum())

    static_error = moved_error = count = 0.0
    defocused = ~_near_texture(first)
    for t in range(1, len(frames), max(1, len(frames) // SAMPLED_FRAMES)):
        poll()
        frame = frames[t].float() / 255
        compared = defocused & ~_near_texture(frame)
        compared = compared[margin:-margin, margin:-margin]
        warped = backward_warp(frame[None], shift[t : t + 1])[0]
        static_error += squared_error(frame, compared)
        moved_error += squared_error(warped, compared)
        count += float(compared.sum())
    enough = count > DEFOCUSED_SHARE * SAMPLED_FRAMES * height * width
    return enough and moved_error > STATIC_RATIO * static_error


def _near_texture(frame):
    return F.max_pool2d(textured(frame)[None].float(), 9, 1, 4)[0] > 0


def camera_shift(
    similarity: Float[Tensor, "t 4"], height: int, width: int
) -> Float[Tensor, "t 2 h w"]:
    """Displacement of every pixel of the first frame by the camera motion alone, px."""
    pixels = pixel_grid(height, width, like=similarity).flatten(1)
    shift = _shift(similarity, pixels - _centre(height, width).to(similarity))
    return shift.unflatten(2, (height, width))


def stabilized(
    flow: Float[Tensor, "t 2 h w"], similarity: Float[Tensor, "t 4"]
) -> Float[Tensor, "t 2 h w"]:
    """The flow of the scene for a camera that stands still: the inverse similarity is applied."""
    height, width = flow.shape[-2:]
    points = pixel_grid(height, width, like=flow) - _centre(height, width).to(flow)[..., None]
    a, b, x, y = similarity.to(flow).T.reshape(4, -1, 1, 1)
    target = points + flow
    u, v = target[:, 0] - x, target[:, 1] - y
    return torch.stack([a * u + b * v, a * v - b * u], 1) / (a * a + b * b)[:, None] - points


def textured(first: Float[Tensor, "3 h w"]) -> Bool[Tensor, "h w"]:
    """Pixels with texture in two directions, where flow is reliable (Shi & Tomasi 1994).

    A picture that is one pixel wide or high has texture in one direction at most.
    """
    if min(first.shape[-2:]) < 2:
        return torch.zeros_like(first[0], dtype=torch.bool)
    grey = first.mean(0)
    dx = F.pad((grey[:, 2:] - grey[:, :-2]) / 2, (1, 1))
    dy = F.pad((grey[2:] - grey[:-2]) / 2, (0, 0, 1, 1))
    xx, xy, yy = F.avg_pool2d(torch.stack([dx * dx, dx * dy, dy * dy])[:, None], 5, 1, 2)[:, 0]
    least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy * xy).sqrt()
    return least > TEXTURE


def _centre(height, width):
    return torch.tensor([[(width - 1) / 2], [(height - 1) / 2]])


def _shift(similarity, points):
    """Displacement of points, given relative to the centre, by every similarity."""
    a, b, x, y = similarity.to(points).T[..., None]
    px, py = points
    return torch.stack([(a - 1) * px - b * py + x, b * px + (a - 1) * py + y], 1)


def _dominant_motion(observed, points, poll):
    """The motion that most points share: from the median shift, with a shrinking robust scale."""
    similarity = observed.new_tensor([1, 0, 0, 0]).repeat(len(observed), 1)
    similarity[:, 2:] = observed.median(2).values
    for scale in (4.0, 2.0, 1.0, 0.5, 0.5):
        poll()
        squared = (observed - _shift(similarity, points)).square().sum(1)
        similarity = _fit(observed, points, 1 / (1 + squared / scale**2).square())
    return similarity


def _fit(observed, points, weight):
    """Weighted least squares for (a, b, x, y) of every frame, in closed form about the means."""
    weight = weight / weight.sum(1, keepdim=True)
    mean_p = (weight[:, None] * points).sum(2, keepdim=True)
    mean_s = (weight[:, None] * observed).sum(2, keepdim=True)
    p, s = points - mean_p, observed - mean_s
    spread = (weight[:, None] * p * p).sum((1, 2)).clamp(min=1e-9)
    zoom = (weight[:, None] * p * s).sum((1, 2)) / spread
    turn = (weight * (p[:, 0] * s[:, 1] - p[:, 1] * s[:, 0])).sum(1) / spread
    mean_p = mean_p[..., 0]
    x = mean_s[:, 0, 0] - zoom * mean_p[:, 0] + turn * mean_p[:, 1]
    y = mean_s[:, 1, 0] - turn * mean_p[:, 0] - zoom * mean_p[:, 1]
    return torch.stack([1 + zoom, turn, x, y], 1)
