"""What the camera did: one similarity a frame, fitted to what does not move by itself.

Law: a clip that only shakes comes out still; a clip on a tripod comes out as it went in.

Convention: a similarity is (a, b, x, y): what is at p in the first frame is at
c + [[a, -b], [b, a]] (p - c) + (x, y) in the other, c the picture's middle.
Source: least squares, reweighted by Geman & McClure's function; the choice of background is ours.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Shaped, Tensor
from ..still.grid import backward_warp, pixel_grid

NEAR = 0.3  # px: what strays no farther from the camera's motion, RMS over time, may be background
TRIPOD_SHARE = 0.15  # of the textured pixels must stand still to believe in a tripod
SHAKE_SHARE = 0.3  # of them must follow one motion to believe that the camera makes it
CELLS = 4  # by which the picture is cut along each side
OUTER_WITH = 6  # of the outer 12 parts must show background
SURE = 0.05  # px: what strays farther counts ever less in the fit
UNSEEN = 0.1  # px: a camera that moves the corners by less stands still
LEFT = 0.5  # of the background's motion: a camera that leaves more of it is swaying leaves, fitted
LOOKED_AT = 25  # frames, evenly spread, in which what is out of focus is looked at
SMOOTH_SHARE = 0.02  # of the picture must be out of focus for it to have a say
BELIED = 1.2  # a camera is, by a background that fits so many times better as it is
TEXTURE = 2e-5  # least eigenvalue of the structure tensor from which a pixel's flow is believed


@dataclass(frozen=True)
class Camera:
    """similarity: of every frame; None where no background was found.

    share: of the textured pixels that are background.
    """

    similarity: Float[Tensor, "t 4"] | None
    share: float

    def peaks(self) -> tuple[float, float, float]:
        """The farthest from the first frame: shift in px, turn in degrees, zoom in %."""
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
    """Fit the camera's motion to the flow from a clip's first frame.

    First a tripod is tried: pixels that stand still. Only if there are too few of them, the motion
    that most pixels agree on. Either must be seen around the picture, so that a large flower is not
    taken for the world. `poll` is called many times a second, and may raise to cancel.
    """
    height, width = first.shape[-2:]
    y, x = textured(first).nonzero(as_tuple=True)
    if len(y) < 16:
        return Camera(None, 0.0)
    places = torch.stack([x, y]).to(flow) - _middle(height, width).to(flow)
    seen = flow[:, :, y, x]
    row, column = y * CELLS // height, x * CELLS // width
    outer = ((row % (CELLS - 1) == 0) | (column % (CELLS - 1) == 0)).long() * (
        1 + row * CELLS + column
    )
    still = flow.new_tensor([1, 0, 0, 0]).expand(len(flow), 4)
    shaken = lambda: _agreed(seen, places, poll)
    for start, least in ((lambda: still, TRIPOD_SHARE), (shaken, SHAKE_SHARE)):
        similarity = start()
        for _ in range(4):
            poll()
            stray = (seen - _shift(similarity, places)).square().sum(1).mean(0).sqrt()
            near = stray < NEAR
            enough = near.sum() >= least * len(near)
            if not enough or int((outer[near].bincount()[1:] > 2).sum()) < OUTER_WITH:
                break
            # What sways a little is near as well, and would drag the camera along.
            sure = SURE + stray[near].quantile(0.25)
            weight = 1 / (1 + (stray[near] / sure).square()).square()
            similarity = _fit(seen[..., near], places[:, near], weight[None])
        else:
            corners = pixel_grid(2, 2, like=flow).flatten(1) * 2 - 1
            moved = _shift(similarity, corners * _middle(height, width).to(flow))
            unseen = moved.square().sum(1).max() < UNSEEN**2
            gone = seen[..., near].square().sum(1).mean(0).sqrt()
            if unseen or stray[near].median() > LEFT * gone.median():
                similarity = still
            return Camera(similarity, float(near.float().mean()))
    return Camera(None, 0.0)


def belied(
    frames: Shaped[Tensor, "t 3 h w"],
    similarity: Float[Tensor, "t 4"],
    poll: Callable[[], None] = lambda: None,
) -> bool:
    """Whether what is out of focus stands still while the camera is said to move.

    A plant may fill all that is sharp, and sway as one: it is then what everything agrees on. Where
    there is no texture flow says nothing; but the pictures do, whether they fit better as they are
    or moved along.

    Args:
        frames: Bytes.
    """
    height, width = frames.shape[-2:]
    shift = camera_shift(similarity, height, width)
    first = frames[0].float() / 255
    margin = math.ceil(float(shift.abs().max())) + 1
    if 2 * margin >= min(height, width):
        return False
    standing = moved = count = 0.0
    smooth = ~_near_texture(first)
    for t in range(1, len(frames), max(1, len(frames) // LOOKED_AT)):
        poll()
        frame = frames[t].float() / 255
        seen = smooth & ~_near_texture(frame)
        seen = seen[margin:-margin, margin:-margin]
        for along in (False, True):
            there = backward_warp(frame[None], shift[t : t + 1])[0] if along else frame
            miss = (there - first).square().mean(0)[margin:-margin, margin:-margin]
            total = float((miss * seen).sum())
            standing, moved = (standing, moved + total) if along else (standing + total, moved)
        count += float(seen.sum())
    enough = count > SMOOTH_SHARE * LOOKED_AT * height * width
    return enough and moved > BELIED * standing


def _near_texture(frame):
    return F.max_pool2d(textured(frame)[None].float(), 9, 1, 4)[0] > 0


def camera_shift(
    similarity: Float[Tensor, "t 4"], height: int, width: int
) -> Float[Tensor, "t 2 h w"]:
    """Where the camera's motion alone would carry every pixel of the first frame."""
    points = pixel_grid(height, width, like=similarity).flatten(1)
    return _shift(similarity, points - _middle(height, width).to(similarity)).unflatten(
        2, (height, width)
    )


def stabilized(
    flow: Float[Tensor, "t 2 h w"], similarity: Float[Tensor, "t 4"]
) -> Float[Tensor, "t 2 h w"]:
    """Where things would have gone had the camera stood still: its motion undone after theirs."""
    height, width = flow.shape[-2:]
    places = pixel_grid(height, width, like=flow) - _middle(height, width).to(flow)[..., None]
    a, b, x, y = similarity.to(flow).T.reshape(4, -1, 1, 1)
    gone = places + flow
    u, v = gone[:, 0] - x, gone[:, 1] - y
    return torch.stack([a * u + b * v, a * v - b * u], 1) / (a * a + b * b)[:, None] - places


def textured(first: Float[Tensor, "3 h w"]) -> Bool[Tensor, "h w"]:
    """Pixels with texture in two directions, whose flow can be believed (Shi & Tomasi 1994)."""
    grey = first.mean(0)
    dx = F.pad((grey[:, 2:] - grey[:, :-2]) / 2, (1, 1))
    dy = F.pad((grey[2:] - grey[:-2]) / 2, (0, 0, 1, 1))
    xx, xy, yy = F.avg_pool2d(torch.stack([dx * dx, dx * dy, dy * dy])[:, None], 5, 1, 2)[:, 0]
    least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy * xy).sqrt()
    return least > TEXTURE


def _middle(height, width):
    return torch.tensor([[(width - 1) / 2], [(height - 1) / 2]])


def _shift(similarity, places):
    a, b, x, y = similarity.to(places).T[..., None]
    px, py = places
    return torch.stack([(a - 1) * px - b * py + x, b * px + (a - 1) * py + y], 1)


def _agreed(seen, places, poll):
    """What most points agree on, from the median shift on, with a narrowing eye."""
    similarity = seen.new_tensor([1, 0, 0, 0]).repeat(len(seen), 1)
    similarity[:, 2:] = seen.median(2).values
    for scale in (4.0, 2.0, 1.0, 0.5, 0.5):
        poll()
        stray = (seen - _shift(similarity, places)).square().sum(1)
        similarity = _fit(seen, places, 1 / (1 + stray / scale**2).square())
    return similarity


def _fit(seen, places, weight):
    """Least squares for (a, b, x, y), a frame at a time. In closed form about the weighted middle."""
    weight = weight / weight.sum(1, keepdim=True)
    mean_p = (weight[:, None] * places).sum(2, keepdim=True)
    mean_s = (weight[:, None] * seen).sum(2, keepdim=True)
    p, s = places - mean_p, seen - mean_s
    size = (weight[:, None] * p * p).sum((1, 2)).clamp(min=1e-9)
    grow = (weight[:, None] * p * s).sum((1, 2)) / size
    turn = (weight * (p[:, 0] * s[:, 1] - p[:, 1] * s[:, 0])).sum(1) / size
    mean_p = mean_p[..., 0]
    x = mean_s[:, 0, 0] - grow * mean_p[:, 0] + turn * mean_p[:, 1]
    y = mean_s[:, 1, 0] - turn * mean_p[:, 0] - grow * mean_p[:, 1]
    return torch.stack([1 + grow, turn, x, y], 1)
