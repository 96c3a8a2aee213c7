"""Motion of a camera in front of a still with depth, as a spectral volume.

Each pixel lies at the depth of its disparity. The camera moves periodically; where each point is
seen at some times of a period gives, by a Fourier series, S of a few harmonics. For sway,
S is disparity times one harmonic, exactly.

Law: things in the plane in focus stand still under sway, and the middle of the picture under orbit;
nearer and farther things move against each other. Time means are left out: the still is the middle.

Convention: disparity is 1 / depth, from 0 (farthest) to 1 (nearest). The farthest is `FARTHEST`
times as far as the nearest. A point is at ((x - cx) / F, (y - cy) / F, 1) / disparity with the
focal length F of one picture width; x right, y down, z forward.

Source: pinhole projection, Hartley & Zisserman, "Multiple View Geometry", 2004, Eq. 6.8.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from ..still.grid import grid_size, pixel_grid
from .displacement import displacement
from .spectrum import SpectralVolume

MOVES = ("sway", "orbit", "push-in", "handheld")
BORDERS = ("uncovered", "stretch")
LONGEST_SIDE = 256  # grid points
FARTHEST = 10.0  # times the distance of the nearest
MOMENTS = 8  # least number of times of a period that are projected
LEAST_RANGE = 1e-3  # of a depth, between its lowest and highest value
HARMONICS = 3  # of orbit and push-in: sway has one, handheld as many as reach SHAKE_HZ
SHAKE_HZ, SHAKE_CORNER_HZ = 2.0, 0.5  # highest frequency of a hand; from the corner on it falls
MOST_HARMONICS = 64
ROWS = 16  # of the grid that are projected at once
PAN, ROLL = 0.3, 0.15  # rotation of a hand beside its shift, as the way of points in the picture
RAMP = 4.0  # width over which stretched borders fade, in largest displacements
LEAST_RAMP = 0.04  # the same, at least, in picture widths


@dataclass(frozen=True)
class CameraMove:
    """How the camera moves.

    strength_pct: Sway, orbit, handheld: the way of the nearest against the farthest, peak, in % of
        the picture's width. Push-in: the way of the nearest things at the left and right border.
    focus: Disparity of the plane that stands still, 0 farthest ... 1 nearest.
    duration_s: Period.
    seed: Of handheld; still number i of a batch has a hand of its own, of seed + i.
    borders: "uncovered": as the camera sees it; what comes in from beyond the border is up to the
        renderer. "stretch": motion fades towards the borders, so that nothing comes in.
    """

    move: str = "sway"
    strength_pct: float = 1.5
    focus: float = 0.5
    duration_s: float = 5.0
    seed: int = 0
    borders: str = "uncovered"

    def __post_init__(self):
        for name, known in (("move", MOVES), ("borders", BORDERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"Expected {name} to be one of {', '.join(known)}, got {getattr(self, name)!r}."
                )
        if not (0 <= self.strength_pct <= 20 and 0 <= self.focus <= 1):
            raise ValueError(
                "Expected a strength from 0 to 20 % and a focus from 0 to 1, got "
                f"{self.strength_pct:g} and {self.focus:g}."
            )
        if not 0.2 <= self.duration_s <= 600:
            raise ValueError(f"Expected a duration from 0.2 to 600 s, got {self.duration_s:g}.")


@dataclass(frozen=True)
class CameraReport:
    """What was made: the depth used, and how far borders come in, in % of the width."""

    move: str
    overscan_pct: float
    from_depth: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        text = f"The camera's move: {self.move}, by "
        text += "the depth." if self.from_depth else "a tilted plane: the lower, the nearer."
        if self.overscan_pct > 0.05:
            text += (
                f" Borders come in by up to {self.overscan_pct:.1f} % of the width: there the "
                "renderer's border shows, mirrored, extended or cropped. Or let borders stretch."
            )
        return " ".join([text, *self.notes])


def camera_motion(
    size: tuple[int, int],
    depth: Float[Tensor, "b 1 hd wd"] | None = None,
    camera: CameraMove = CameraMove(),
    near_is_white: bool = True,
) -> tuple[SpectralVolume, Float[Tensor, "b 1 h w"], CameraReport]:
    """The motion of a still under a moving camera, its disparity at the still's size, a report.

    The motion carries the disparity as its depth: what is near is rendered in front.

    Args:
        size: (height, width) of the still.
        depth: Disparity up to scale and offset, at any size; None for a tilted plane.
        near_is_white: False: low values are near.

    Raises:
        ValueError: For a depth that is the same everywhere.
    """
    disparity, notes = disparity_of(size, depth, near_is_white)
    grid = grid_size(*size, LONGEST_SIDE)
    # At the points themselves: a mean over an edge would be a depth at which there is nothing.
    near = F.interpolate(disparity, grid, mode="nearest-exact").double()
    period = torch.arange(_moments(camera), dtype=torch.float64) / _moments(camera)
    # In widths of the picture, about its centre.
    place = pixel_grid(*grid, like=near) + 0.5
    scale = near.new_tensor([1 / grid[1], size[0] / size[1] / grid[0]]).view(2, 1, 1)
    place = place * scale - near.new_tensor([0.5, size[0] / size[1] / 2]).view(2, 1, 1)
    inverse_depth = 1 / FARTHEST + (1 - 1 / FARTHEST) * near
    harmonics = torch.arange(1, _harmonics(camera) + 1, dtype=torch.float64)
    angle = 2 * math.pi * harmonics[:, None] * period
    waves = 2 / len(period) * torch.cat([angle.cos(), -angle.sin()])  # 2k t
    coeffs = []
    for i, here in enumerate(inverse_depth.split(1)):
        path = _path(replace(camera, seed=camera.seed + i), period)
        bands, reach = _series(place, here[0, 0], path, waves)
        bands = bands / scale  # px of the grid
        if camera.borders == "stretch":
            bands = bands * _fading((reach / scale.flatten()).tolist(), grid)
        coeffs.append(torch.complex(*bands.view(2, 1, len(harmonics), 2, *grid)))
    spectrum = SpectralVolume(
        torch.cat(coeffs).to(torch.complex64),
        (harmonics / camera.duration_s).float(),
        size,
        depth=disparity,
    )
    overscan = _overscan_pct(spectrum, period * camera.duration_s)
    return spectrum, disparity, CameraReport(camera.move, overscan, depth is not None, notes)


def disparity_of(
    size: tuple[int, int], depth: Float[Tensor, "b 1 hd wd"] | None, near_is_white: bool = True
) -> tuple[Float[Tensor, "b 1 h w"], tuple[str, ...]]:
    """Disparity in [0, 1] at the still's size, the nearest 1; and notes.

    Raises:
        ValueError: For a depth that is the same everywhere.
    """
    if depth is None:
        plane = torch.linspace(0, 1, size[0]).view(1, 1, -1, 1)
        return plane.expand(1, 1, *size).contiguous(), ()
    known, notes = depth.isfinite(), []
    if not known.all():
        share = 100 * (1 - float(known.float().mean()))
        notes.append(f"{share:.0f} % of the depth is no number: taken for the farthest.")
    nearness = torch.where(known, depth if near_is_white else -depth, torch.inf)
    low = nearness.flatten(1).amin(1).view(-1, 1, 1, 1)
    high = torch.where(known, nearness, -torch.inf).flatten(1).amax(1).view(-1, 1, 1, 1)
    if not ((high - low).isfinite() & (high - low > LEAST_RANGE)).all():
        raise ValueError(
            f"Expected a depth with near and far things, got one that is {float(low.max()):.3g} "
            "everywhere. Connect the depth of the still, or none for a tilted plane."
        )
    nearness = torch.where(known, (nearness - low) / (high - low), 0.0)
    if nearness.shape[-2:] != size:
        (h, w), (height, width) = nearness.shape[-2:], size
        if abs(math.log(w * height / (h * width))) > 0.03:
            notes.append(f"The depth is {w}x{h}, the still {width}x{height}: stretched to fit.")
        nearness = F.interpolate(nearness, size, mode="bilinear", antialias=True)
    return nearness.clamp(0, 1), tuple(notes)


def _harmonics(camera) -> int:
    if camera.move == "handheld":
        return max(2, min(MOST_HARMONICS, round(SHAKE_HZ * camera.duration_s)))
    return 1 if camera.move == "sway" else HARMONICS


def _moments(camera) -> int:
    return max(MOMENTS, 4 * _harmonics(camera))


def _path(camera, period):
    """Rotation (t 3 3), position (t 3) and shift of the lens (t 2) over one period, 0 ... 1."""
    turn = 2 * math.pi * period
    zero = torch.zeros_like(turn)
    strength = camera.strength_pct / 100
    focus = 1 / FARTHEST + (1 - 1 / FARTHEST) * camera.focus  # inverse depth
    way = strength / (1 - 1 / FARTHEST)  # of the camera, in distances of the nearest
    straight = torch.eye(3, dtype=torch.float64).expand(len(turn), 3, 3)
    if camera.move == "sway":
        position = torch.stack([way * turn.sin(), zero, zero], 1)
        return straight, position, focus * position[:, :2]
    if camera.move == "orbit":
        rotation = _rotation(way * focus * turn.sin(), way * focus * turn.cos() / 2, zero)
        centre = torch.tensor([0.0, 0.0, 1 / focus], dtype=torch.float64)
        return rotation, centre - rotation @ centre, torch.zeros(len(turn), 2).double()
    if camera.move == "push-in":
        forward = 2 * strength / (1 + 2 * strength)
        position = torch.stack([zero, zero, -forward * turn.cos()], 1)
        return straight, position, torch.zeros(len(turn), 2).double()
    x, y, z, yaw, pitch, roll = _shake(camera, turn)
    position = way * torch.stack([x, 0.7 * y, 0.5 * z], 1)
    angles = (PAN * strength * yaw, PAN * strength * pitch, ROLL * strength * roll)
    return _rotation(*angles), position, focus * position[:, :2]


def _shake(camera, turn):
    """Six smooth random courses of largest value 1, periodic."""
    count = _harmonics(camera)
    harmonics = torch.arange(1, count + 1, dtype=torch.float64)
    falls = 1 / (1 + (harmonics / camera.duration_s / SHAKE_CORNER_HZ).square())
    generator = torch.Generator().manual_seed(camera.seed % 2**64)
    normal = torch.randn(2, 6, count, generator=generator, dtype=torch.float64) * falls
    angle = harmonics[:, None] * turn
    courses = normal[0] @ angle.sin() + normal[1] @ angle.cos()
    return courses / courses.abs().amax(1, keepdim=True).clamp(min=1e-9)


def _rotation(yaw, pitch, roll) -> Float[Tensor, "t 3 3"]:
    """Rotation of the camera: roll about z, then pitch about x, then yaw about y; radians."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = lambda *entries: torch.stack(entries, 1).view(-1, 3, 3)
    cos, sin = yaw.cos(), yaw.sin()
    about_y = rows(cos, zero, -sin, zero, one, zero, sin, zero, cos)
    cos, sin = pitch.cos(), pitch.sin()
    about_x = rows(one, zero, zero, zero, cos, -sin, zero, sin, cos)
    cos, sin = roll.cos(), roll.sin()
    about_z = rows(cos, -sin, zero, sin, cos, zero, zero, zero, one)
    return about_y @ about_x @ about_z


def _seen(place, inverse_depth, rotation, position, shift):
    """Where points of the still are seen at all times: t 2 h w, in widths about the centre."""
    points = torch.cat([place, torch.ones_like(place[:1]), inverse_depth[None]])  # 4 h w
    back = rotation.mT
    camera = torch.cat([back, -back @ position[:, :, None]], 2)  # t 3 4
    x, y, z = (camera.transpose(0, 1) @ points.flatten(1)).unflatten(2, place.shape[1:])
    return torch.stack([x, y], 1).div_(z[:, None]).add_(shift[:, :, None, None])


def _series(place, inverse_depth, path, waves):
    """Fourier sums of how points move (2k 2 h w), and the largest way in x and in y, in widths.

    Some rows at a time, so that all moments of them stay in the processor's cache.
    """
    sums, reach = [], []
    for here, depth in zip(place.split(ROWS, -2), inverse_depth.split(ROWS, -2)):
        moved = _seen(here, depth, *path).sub_(here)
        sums.append((waves @ moved.flatten(1)).view(-1, *here.shape))
        reach.append(moved.abs().amax((0, 2, 3)))
    return torch.cat(sums, 2), torch.stack(reach).amax(0)


def _fading(reach, grid):
    """1 inside, and towards the two borders that a direction crosses smoothly down to 0."""
    factors = []
    for axis, (far, length) in enumerate(zip(reach, (grid[1], grid[0]))):
        ramp = max(1.0, RAMP * far, LEAST_RAMP * grid[1])
        place = torch.arange(length, dtype=torch.float64)
        distance = torch.minimum(place, length - 1 - place)
        t = (distance / min(ramp, max(1.0, (length - 1) / 2))).clamp(0, 1)
        smooth = t * t * (3 - 2 * t)
        shape = (1, length) if axis == 0 else (length, 1)
        factors.append(smooth.view(shape).expand(grid))
    return torch.stack(factors)


def _overscan_pct(spectrum, times) -> float:
    """How far any border comes into the picture at most, in % of the width."""
    waves = torch.polar(
        torch.ones(1).double(), 2 * math.pi * spectrum.frequencies_hz[:, None].double() * times
    )
    rows, columns = spectrum.grid
    height, width = spectrum.reference_size
    coeffs, furthest = spectrum.coeffs, 0.0
    sides = (
        (coeffs[..., :1], 0, 1, width / columns),
        (coeffs[..., -1:], 0, -1, width / columns),
        (coeffs[..., :1, :], 1, 1, height / rows),
        (coeffs[..., -1:, :], 1, -1, height / rows),
    )
    for side, axis, inwards, step in sides:
        moved = displacement(side.contiguous(), waves.to(side.dtype))[:, :, axis]
        furthest = max(furthest, float((inwards * moved).max()) * step)
    return 100 * furthest / width
