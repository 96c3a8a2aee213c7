"""Optical flow between a clip's first frame and another one.

Convention: a flow is forward, in pixels: what is at p in `first` is at p + flow(p) in `frame`. An
estimator is any callable (first, frame, initial) -> flow; `initial` is a flow to start from, usually
that of the frame before.

Source: DIS: Kroeger et al., ECCV 2016, as OpenCV has it. `variational`: Brox et al., ECCV 2004 (warping,
gradient constancy, robust terms), normalized as in Zimmer et al., IJCV 2011, with the median between
warps of Sun, Roth, Black, CVPR 2010. RAFT: Teed & Deng, ECCV 2020.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from ..still.grid import backward_warp, resize_displacement

Estimate = Callable[[Tensor, Tensor, Tensor | None], Tensor]

COARSEST = 12  # px: the shorter side of the coarsest level
WARPS = 3  # a level
ITERATIONS = 12  # of conjugate gradients a warp
SMOOTHNESS = 0.06  # weight of |grad flow| against the data's distance in pixels
GRADIENT = 1.0  # weight of gradient constancy against brightness constancy
DATA_NOISE = 0.01  # grey values: below it a gradient tells nothing
DATA_SCALE, SMOOTH_SCALE = 0.1, 0.02  # px and px/px where the penalties turn from square to linear
EDGE = 0.04  # grey values per pixel: across stronger edges a flow may break at less cost
WARM_LEVELS = 2  # that a start from the frame before goes through


def estimator(name: str) -> Estimate:
    """The estimator of that name.

    Raises:
        ValueError: If it is unknown, or what it needs is not installed.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"Expected a flow among {', '.join(ESTIMATORS)}, got {name!r}.")
    return ESTIMATORS[name]()


def dis() -> Estimate:
    """OpenCV's DIS with variational refinement, down to single pixels.

    Its presets stop at half or quarter size; going on to full size took the median error on exact
    scenes from 0.06 to 0.015 px.

    Raises:
        ValueError: Without OpenCV.
    """
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            "The flow 'dis' needs OpenCV, which is not installed. Install opencv-python-headless, or "
            "use the flow 'torch', which needs nothing."
        ) from error
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    engine.setFinestScale(0)
    return partial(_dis, engine)


def _dis(
    engine,
    first: Float[Tensor, "3 h w"],
    frame: Float[Tensor, "3 h w"],
    initial: Float[Tensor, "2 h w"] | None = None,
) -> Float[Tensor, "2 h w"]:
    one, other = (_grey(x).mul(255).round().byte().cpu().numpy() for x in (first, frame))
    start = None if initial is None else initial.movedim(0, -1).float().cpu().numpy().copy()
    return torch.from_numpy(engine.calc(one, other, start)).movedim(-1, 0).to(first)


def raft_estimator(model: torch.nn.Module) -> Estimate:
    """RAFT, as torchvision builds it and ComfyUI's OPTICAL_FLOW carries it (there as `.model`).

    It compares everything with everything, and so takes no start.
    """

    @torch.no_grad()
    def estimate(
        first: Float[Tensor, "3 h w"],
        frame: Float[Tensor, "3 h w"],
        initial: Float[Tensor, "2 h w"] | None = None,
    ) -> Float[Tensor, "2 h w"]:
        like = next(model.parameters())
        height, width = first.shape[-2:]
        # Multiples of 8, and enough for its four levels of correlation.
        right, below = (max(128, -(-n // 8) * 8) - n for n in (width, height))
        pair = torch.stack([first, frame]).to(like) * 2 - 1
        pair = F.pad(pair, (0, right, 0, below), mode="replicate")
        flow = model(pair[:1], pair[1:])[-1][0]
        return flow[:, :height, :width].to(first)

    return estimate


def variational() -> Estimate:
    """Coarse-to-fine variational flow in plain torch."""
    return _variational


def _variational(
    first: Float[Tensor, "3 h w"],
    frame: Float[Tensor, "3 h w"],
    initial: Float[Tensor, "2 h w"] | None = None,
) -> Float[Tensor, "2 h w"]:
    levels = [torch.stack([_grey(first), _grey(frame)])[:, None]]
    while min(levels[-1].shape[-2:]) >= 2 * COARSEST:
        size = [-(-n // 2) for n in levels[-1].shape[-2:]]
        levels.append(F.interpolate(levels[-1], size, mode="bilinear", antialias=True))
    flow = first.new_zeros(2, *levels[-1].shape[-2:]) if initial is None else initial
    if initial is not None:
        levels = levels[:WARM_LEVELS]
    for pair in reversed(levels):
        flow = resize_displacement(flow, tuple(pair.shape[-2:]))
        flow = _refine(pair[:1], pair[1:], flow)
    return flow


def _refine(first, frame, flow):
    """A few warps on one level: linearize, solve, smooth out what a median would not keep."""
    # A channel of ones goes along: what it comes back with says how much was read inside.
    ones = torch.ones_like(first)
    sides = [torch.cat([x, *_slopes(x), ones], 1) for x in (first, frame)]
    first = sides[0][:, :3]
    edge = torch.exp(-first[0, 1:].square().sum(0).sqrt() / EDGE) + 0.02
    for _ in range(WARPS):
        # Cubic: with linear reading the texture blurs as it moves, by 0.08 px of median error.
        read = backward_warp(sides[1], flow[None], "bicubic")
        inside = read[0, 3] > 0.99
        read = read[:, :3] / read[:, 3:].clamp(min=0.5)
        dx, dy = (0.5 * (a + b) for a, b in zip(_slopes(first), _slopes(read)))
        flow = flow + _step(dx[0], dy[0], (read - first)[0], inside, edge, flow)
        flow = _median(flow)
    return flow


def _step(dx, dy, dt, inside, edge, flow):
    """Solve the linearized equations for the step from `flow`, penalties as they stand there."""
    # Distances to each constraint's line in pixels (Zimmer, Eq. 11), robust ones first.
    norm = 1 / (dx.square() + dy.square() + DATA_NOISE**2)
    share = torch.stack([torch.ones_like(inside), *[inside * GRADIENT] * 2]) * inside * norm
    miss = dt.square() * share
    miss = torch.cat([miss[:1], miss[1:].sum(0, keepdim=True).expand(2, -1, -1)])
    weight = share / (miss / DATA_SCALE**2 + 1).sqrt()
    xx, xy, yy = ((weight * a * b).sum(0) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    right = -torch.stack([(weight * dx * dt).sum(0), (weight * dy * dt).sum(0)])

    across, down = flow.diff(dim=2), flow.diff(dim=1)
    bend = F.pad(across.square().sum(0), (0, 1)) + F.pad(down.square().sum(0), (0, 0, 0, 1))
    bond = SMOOTHNESS * edge / (bend / SMOOTH_SCALE**2 + 1).sqrt()
    bonds = 0.5 * (bond[:, 1:] + bond[:, :-1]), 0.5 * (bond[1:] + bond[:-1])
    right = right - _pull(flow, bonds)
    own = F.pad(bonds[0], (0, 1)) + F.pad(bonds[0], (1, 0))
    own = own + F.pad(bonds[1], (0, 0, 0, 1)) + F.pad(bonds[1], (0, 0, 1, 0)) + 1e-6
    blocks = xx + own, xy, yy + own
    inverse = 1 / (blocks[0] * blocks[2] - xy * xy)
    data = torch.stack([xx, yy])

    def apply(v):
        return data * v + xy * v.flip(0) + _pull(v, bonds)

    def precondition(v):
        return torch.stack([blocks[2] * v[0] - xy * v[1], blocks[0] * v[1] - xy * v[0]]) * inverse

    return _conjugate_gradients(apply, precondition, right)


def _conjugate_gradients(apply, precondition, right):
    step, residual = torch.zeros_like(right), right
    ahead = precondition(residual)
    direction, energy = ahead, (residual * ahead).sum()
    for _ in range(ITERATIONS):
        applied = apply(direction)
        length = energy / (direction * applied).sum().clamp(min=1e-30)
        step = step + length * direction
        residual = residual - length * applied
        ahead = precondition(residual)
        energy, before = (residual * ahead).sum(), energy
        direction = ahead + (energy / before.clamp(min=1e-30)) * direction
    return step


def _pull(v, bonds):
    """What every pixel's bonds to its neighbours ask of it: minus the divergence of bond times slope."""
    across, down = bonds[0] * v.diff(dim=2), bonds[1] * v.diff(dim=1)
    out = F.pad(across, (1, 0)) - F.pad(across, (0, 1))
    return out + F.pad(down, (0, 0, 1, 0)) - F.pad(down, (0, 0, 0, 1))


def _slopes(x):
    """Central differences along x and y, of the mirrored picture at the border."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return (
        (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2,
        (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2,
    )


def _median(flow):
    """Median over 3 x 3, each component on its own, as three sorted columns."""
    padded = F.pad(flow[None], (1, 1, 1, 1), mode="replicate")[0]
    low, middle, high = _sorted(*(padded[:, i : i + flow.shape[1]] for i in range(3)))
    low, middle, high = (
        [x[..., i : i + flow.shape[2]] for i in range(3)] for x in (low, middle, high)
    )
    largest = torch.maximum(torch.maximum(low[0], low[1]), low[2])
    least = torch.minimum(torch.minimum(high[0], high[1]), high[2])
    return _sorted(largest, _sorted(*middle)[1], least)[1]


def _sorted(a, b, c):
    a, b = torch.minimum(a, b), torch.maximum(a, b)
    b, c = torch.minimum(b, c), torch.maximum(b, c)
    a, b = torch.minimum(a, b), torch.maximum(a, b)
    return a, b, c


def _grey(image):
    return image.float().mean(0)


ESTIMATORS = {"dis": dis, "torch": variational}
