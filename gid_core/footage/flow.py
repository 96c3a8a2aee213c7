"""Optical flow between a clip's first frame and another frame.

Convention: flow is forward, in pixels: a point p of `first` lies at p + flow(p) in `frame`. An
estimator is a callable (first, frame, initial) -> flow. `initial` is a flow to start from, usually
the flow of the frame before, or None.

Source: DIS: Kroeger et al., ECCV 2016, as OpenCV implements it. `variational`: Brox et al., ECCV
2004 (warping, gradient constancy, robust penalties), with the normalization of Zimmer et al., IJCV
2011, the median filter between warps of Sun, Roth & Black, CVPR 2010, and a data term that is
gathered from the neighbourhood (Bruhn, Weickert & Schnoerr, IJCV 2005) with bilateral weights, by
dilated passes (Dammertz et al., HPG 2010). RAFT: Teed & Deng, ECCV 2020.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from ..shapes import Float, Tensor
from ..still.grid import backward_warp, resize_displacement

Estimate = Callable[[Tensor, Tensor, Tensor | None], Tensor]

COARSEST = 12  # px: the shorter side of the coarsest pyramid level, at least
WARPS = 3  # per level
ITERATIONS = 12  # of conjugate gradients per warp
SMOOTHNESS = 0.06  # weight of |grad flow| against the data term's distance in pixels
GRADIENT = 1.0  # weight of gradient constancy against brightness constancy
DATA_NOISE = 0.01  # grey values: weaker gradients carry no information
DATA_SCALE, SMOOTH_SCALE = 0.1, 0.02  # px and px/px: from here the penalties are linear
EDGE = 0.04  # grey values per pixel: discontinuities of the flow cost less across stronger edges
REACHES = 1, 2, 3  # px: of the passes that gather the data term, 6 px in all to every side
LIKENESS = 0.1  # difference of grey values at which a neighbour's weight falls to 1 / e
DIS_LEAST = 12  # px: the sides that OpenCV's DIS needs; smaller pictures are continued by their rim
WARM_LEVELS = 2  # pyramid levels that are solved if there is an initial flow


def estimator(name: str) -> Estimate:
    """The estimator of that name.

    Raises:
        ValueError: If the name is unknown, or a package that it needs is not installed.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"Expected a flow among {', '.join(ESTIMATORS)}, got {name!r}.")
    return ESTIMATORS[name]()


def dis() -> Estimate:
    """OpenCV's DIS with variational refinement, on levels down to full resolution.

    The presets of OpenCV stop at half or quarter resolution. At full resolution the median error on
    synthetic scenes with exact flow is 0.015 px instead of 0.06 px.

    Raises:
        ValueError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            "The flow 'dis' needs OpenCV, which is not installed. Install opencv-python-headless, "
            "or use the flow 'torch', which needs nothing."
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
    height, width = first.shape[-2:]
    right, below = (max(0, DIS_LEAST - n) for n in (width, height))
    large = lambda x: F.pad(x[None], (0, right, 0, below), mode="replicate")[0]
    pair = [large(_grey(x)[None])[0].mul(255).round().byte().cpu().numpy() for x in (first, frame)]
    # A copy: OpenCV writes its result into the initial flow.
    start = None if initial is None else large(initial).movedim(0, -1).float().cpu().numpy().copy()
    flow = torch.from_numpy(engine.calc(*pair, start)).movedim(-1, 0).to(first)
    return flow[:, :height, :width]


def raft_estimator(model: torch.nn.Module) -> Estimate:
    """RAFT, as torchvision builds it and ComfyUI's OPTICAL_FLOW holds it (in its field `model`).

    RAFT correlates all pairs of pixels. It does not use an initial flow.
    """

    @torch.no_grad()
    def estimate(
        first: Float[Tensor, "3 h w"],
        frame: Float[Tensor, "3 h w"],
        initial: Float[Tensor, "2 h w"] | None = None,
    ) -> Float[Tensor, "2 h w"]:
        like = next(model.parameters())
        height, width = first.shape[-2:]
        # Sides are multiples of 8, and large enough for four levels of the correlation pyramid.
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
    """A few warps on one level: linearize, solve for the increment, filter by a median."""
    # The warped channel of ones is the share of every sample that lies inside the picture.
    ones = torch.ones_like(first)
    features = [torch.cat([x, *_gradient(x), ones], 1) for x in (first, frame)]
    first = features[0][:, :3]
    edge = torch.exp(-first[0, 1:].square().sum(0).sqrt() / EDGE) + 0.02
    alike = _alike(first[0, 0])
    for _ in range(WARPS):
        # Bicubic: bilinear sampling blurs the texture, which adds 0.08 px of median error.
        warped = backward_warp(features[1], flow[None], "bicubic")
        inside = warped[0, 3] > 0.99
        warped = warped[:, :3] / warped[:, 3:].clamp(min=0.5)
        dx, dy = (0.5 * (a + b) for a, b in zip(_gradient(first), _gradient(warped)))
        flow = flow + _increment(dx[0], dy[0], (warped - first)[0], inside, edge, alike, flow)
        flow = _median(flow)
    return flow


def _increment(dx, dy, dt, inside, edge, alike, flow):
    """Solve the linearized equations for the increment, with the penalties evaluated at `flow`."""
    # Distances to each constraint's line in pixels (Zimmer, Eq. 11), then robust weights.
    norm = 1 / (dx.square() + dy.square() + DATA_NOISE**2)
    counted = torch.stack([torch.ones_like(inside), *[inside * GRADIENT] * 2]) * inside * norm
    residual = dt.square() * counted
    residual = torch.cat([residual[:1], residual[1:].sum(0, keepdim=True).expand(2, -1, -1)])
    weight = counted / (residual / DATA_SCALE**2 + 1).sqrt()
    products = [(weight * a * b).sum(0) for a, b in ((dx, dx), (dx, dy), (dy, dy))]
    products += [-(weight * a * dt).sum(0) for a in (dx, dy)]
    # The normalization makes noise count as much as texture, so neighbours are averaged.
    xx, xy, yy, *right = _gathered(torch.stack(products), alike)
    right = torch.stack(right)

    across, down = flow.diff(dim=2), flow.diff(dim=1)
    roughness = F.pad(across.square().sum(0), (0, 1)) + F.pad(down.square().sum(0), (0, 0, 0, 1))
    diffusivity = SMOOTHNESS * edge / (roughness / SMOOTH_SCALE**2 + 1).sqrt()
    # At the edges between pixels: along x, along y.
    between = (
        0.5 * (diffusivity[:, 1:] + diffusivity[:, :-1]),
        0.5 * (diffusivity[1:] + diffusivity[:-1]),
    )
    right = right - _minus_divergence(flow, between)
    diagonal = F.pad(between[0], (0, 1)) + F.pad(between[0], (1, 0))
    diagonal = diagonal + F.pad(between[1], (0, 0, 0, 1)) + F.pad(between[1], (0, 0, 1, 0)) + 1e-6
    blocks = xx + diagonal, xy, yy + diagonal
    inverse = 1 / (blocks[0] * blocks[2] - xy * xy)
    data = torch.stack([xx, yy])

    def apply(v):
        return data * v + xy * v.flip(0) + _minus_divergence(v, between)

    def precondition(v):
        return torch.stack([blocks[2] * v[0] - xy * v[1], blocks[0] * v[1] - xy * v[0]]) * inverse

    return _conjugate_gradients(apply, precondition, right)


def _alike(grey):
    """Weights of neighbours at each of `REACHES`, along x and along y: 1 where they are alike."""
    weights = []
    for reach in (r for r in REACHES if r < min(grey.shape)):
        across = (grey[:, reach:] - grey[:, :-reach]).abs()
        down = (grey[reach:] - grey[:-reach]).abs()
        weights.append((reach, (-across / LIKENESS).exp(), (-down / LIKENESS).exp()))
    return weights


def _gathered(values, alike):
    """Bilateral means over a growing neighbourhood: a pass adds two neighbours along each axis."""
    for reach, across, down in alike:
        total = 1 + F.pad(across, (0, reach)) + F.pad(across, (reach, 0))
        later = F.pad(values[..., reach:] * across, (0, reach))
        values = (values + later + F.pad(values[..., :-reach] * across, (reach, 0))) / total
        total = 1 + F.pad(down, (0, 0, 0, reach)) + F.pad(down, (0, 0, reach, 0))
        later = F.pad(values[..., reach:, :] * down, (0, 0, 0, reach))
        values = (values + later + F.pad(values[..., :-reach, :] * down, (0, 0, reach, 0))) / total
    return values


def _conjugate_gradients(apply, precondition, right):
    """Preconditioned conjugate gradients from zero, a fixed number of iterations."""
    solution, residual = torch.zeros_like(right), right
    preconditioned = precondition(residual)
    direction, product = preconditioned, (residual * preconditioned).sum()
    for _ in range(ITERATIONS):
        applied = apply(direction)
        alpha = product / (direction * applied).sum().clamp(min=1e-30)
        solution = solution + alpha * direction
        residual = residual - alpha * applied
        preconditioned = precondition(residual)
        product, previous = (residual * preconditioned).sum(), product
        direction = preconditioned + (product / previous.clamp(min=1e-30)) * direction
    return solution


def _minus_divergence(v, diffusivity):
    """-div(diffusivity grad v), with the diffusivity at the edges between pixels along x and y."""
    across, down = diffusivity[0] * v.diff(dim=2), diffusivity[1] * v.diff(dim=1)
    out = F.pad(across, (1, 0)) - F.pad(across, (0, 1))
    return out + F.pad(down, (0, 0, 1, 0)) - F.pad(down, (0, 0, 0, 1))


def _gradient(x):
    """Central differences along x and y; at the border the picture is replicated."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return (
        (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2,
        (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2,
    )


def _median(flow):
    """Median over 3 x 3 of each component: rows are sorted first, then columns of the result."""
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
