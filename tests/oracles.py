"""Slow reference implementations in float64 that read like formulas, and scenes known exactly."""

import base64
import json
import math
import struct
import zlib

import numpy as np
import torch
from torch import Tensor

from gid_core.config import ElasticConfig
from gid_core.elastic.sheet import Body, Sheet


def bilinear(u: float, v: float) -> float:
    """b(u) = max(0, 1 - |u_x|) max(0, 1 - |u_y|), Niklaus & Liu 2020, Eq. 3."""
    return max(0.0, 1 - abs(u)) * max(0.0, 1 - abs(v))


def splat(values: Tensor, displacement: Tensor) -> Tensor:
    """Eq. 2-4: every source p adds b(q - p - D(p)) values(p) to every target q."""
    batch, channels, height, width = values.shape
    out = torch.zeros_like(values)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                dx, dy = displacement[b, :, y, x].tolist()
                for v in range(height):
                    for u in range(width):
                        out[b, :, v, u] += bilinear(u - x - dx, v - y - dy) * values[b, :, y, x]
    return out


def weighted_splat(values: Tensor, displacement: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 7, 8 and 14: sum b w values / sum b w, zero in holes."""
    above, below = splat(values * weight, displacement), splat(weight, displacement)
    return torch.where(below > 0, above / below.clamp(min=1e-300), 0.0), below


def softmax_splat(values: Tensor, displacement: Tensor, importance: Tensor) -> Tensor:
    """Eq. 14, every target by itself: the logits of what lands there, less the largest of them."""
    batch, channels, height, width = values.shape
    out = torch.zeros_like(values)
    for b in range(batch):
        for v in range(height):
            for u in range(width):
                landed = []
                for y in range(height):
                    for x in range(width):
                        dx, dy = displacement[b, :, y, x].tolist()
                        share = bilinear(u - x - dx, v - y - dy)
                        if share > 0:
                            landed.append(
                                (importance[b, 0, y, x].item(), share, values[b, :, y, x])
                            )
                if landed:
                    top = max(z for z, _, _ in landed)
                    weights = [share * math.exp(z - top) for z, share, _ in landed]
                    terms = (w * value for w, (_, _, value) in zip(weights, landed))
                    out[b, :, v, u] = sum(terms) / sum(weights)
    return out


def backward_warp(image: Tensor, displacement: Tensor) -> Tensor:
    """out(p) = sum_q b(q - p - D(p)) image(q)."""
    batch, channels, height, width = image.shape
    rows, columns = displacement.shape[-2:]
    out = image.new_zeros(batch, channels, rows, columns)
    for b in range(batch):
        for y in range(rows):
            for x in range(columns):
                dx, dy = displacement[b, :, y, x].tolist()
                for v in range(height):
                    for u in range(width):
                        out[b, :, y, x] += bilinear(u - x - dx, v - y - dy) * image[b, :, v, u]
    return out


def displacement_at(coeffs: Tensor, frequencies_hz: Tensor, times_s: Tensor) -> Tensor:
    """D(p, t) = sum_k a_k cos(2 pi f_k t + phase_k) with S_k = a_k exp(i phase_k)."""
    batch, bands, _, height, width = coeffs.shape
    out = torch.zeros(batch, len(times_s), 2, height, width, dtype=torch.float64)
    for t, time in enumerate(times_s.tolist()):
        for k, f in enumerate(frequencies_hz.tolist()):
            out[:, t] += coeffs[:, k].abs() * torch.cos(
                2 * math.pi * f * time + coeffs[:, k].angle()
            )
    return out


def stalk_picture(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A green stalk with a red head in front of a sky, 1 3 h w, and its mask, 1 1 h w."""
    y = torch.linspace(0, 1, height).view(-1, 1).expand(height, width)
    x = torch.linspace(0, 1, width).view(1, -1).expand(height, width)
    stem = ((x - 0.5).abs() < 1.2 / width) & (y > 0.3)
    head = ((x - 0.5) * width).square() + ((y - 0.3) * height).square() < (0.16 * height) ** 2
    image = torch.stack([0.35 + 0.3 * y, 0.55 + 0.2 * y, 0.9 - 0.1 * y])
    image = torch.where(stem, torch.tensor([0.15, 0.45, 0.1]).view(3, 1, 1), image)
    image = torch.where(head, torch.tensor([0.8, 0.15, 0.1]).view(3, 1, 1), image)
    return image[None], (stem | head).float()[None, None]


def node_mass(cells: np.ndarray) -> np.ndarray:
    """Lumped mass: each element gives a quarter of its mass to each of its four nodes."""
    mass = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1))
    for y in range(cells.shape[0]):
        for x in range(cells.shape[1]):
            for corner in ((y, x), (y, x + 1), (y + 1, x + 1), (y + 1, x)):
                mass[corner] += cells[y, x] / 4
    return mass


def stiffness_matrix(cells, grid, stiffness, springs, element) -> np.ndarray:
    """K of all nodes of a grid, element by element; unknowns (x, y) per node."""
    width = grid[1]
    stiff = np.diag(np.repeat(springs.flatten(), 2))
    for cell in cells:
        y, x = divmod(int(cell), width - 1)
        nodes = [y * width + x, y * width + x + 1, (y + 1) * width + x + 1, (y + 1) * width + x]
        for i in range(4):
            for j in range(4):
                block = stiffness.flatten()[cell] * element[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                a, b = 2 * nodes[i], 2 * nodes[j]
                stiff[a : a + 2, b : b + 2] += block
    return stiff


def sheet_of_one_part(part, grid, coverage=None, elastic=ElasticConfig()):
    """A sheet of one part without leaves."""
    cells = tuple(n - 1 for n in grid)
    body = Body(part, np.ones(len(part.nodes)), elastic, 1.0)
    coverage = np.ones(grid) if coverage is None else coverage
    return Sheet(grid, coverage, np.ones(grid, bool), (body,), np.ones(cells, bool))


def two_blobs(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Two red heads on stems of three pixels in front of blue, and their mask."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    mask = torch.zeros(height, width)
    for cx, cy, radius in ((0.28, 0.4, 0.14), (0.7, 0.3, 0.1)):
        cx, cy = cx * width, cy * height
        head = (x - cx).square() + (y - cy).square() < (radius * width) ** 2
        mask[head | (((x - cx).abs() < 1.5) & (y > cy))] = 1
    red, blue = torch.tensor([0.8, 0.4, 0.2]), torch.tensor([0.2, 0.5, 0.8])
    image = torch.where(mask > 0, red.view(3, 1, 1), blue.view(3, 1, 1))
    return image[None], mask[None, None]


def damped_response(stiff, mass, damping_ratio, Omega, force) -> np.ndarray:
    """u of (K - Omega^2 M + i Omega C) u = F, C = 2 zeta M^1/2 (M^-1/2 K M^-1/2)^1/2 M^1/2."""
    root = np.sqrt(mass)
    values, vectors = np.linalg.eigh(stiff / root / root[:, None])
    frequency = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    damping = 2 * damping_ratio * root[:, None] * frequency * root
    return np.linalg.solve(stiff - Omega**2 * np.diag(mass) + 1j * Omega * damping, force)


def dots(height: int, width: int, apart: int) -> tuple[Tensor, Tensor]:
    """Bright single pixels, `apart` px from one to the next, in front of grey, and their mask."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., apart // 2 :: apart, apart // 2 :: apart] = 1
    return torch.where(mask > 0, 0.9, 0.4).expand(1, 3, height, width), mask


def box(values: Tensor, radius: int) -> Tensor:
    """Mean over the part of a window inside the picture; c h w."""
    out = torch.empty_like(values)
    for y in range(values.shape[1]):
        for x in range(values.shape[2]):
            rows = slice(max(0, y - radius), y + radius + 1)
            columns = slice(max(0, x - radius), x + radius + 1)
            out[:, y, x] = values[:, rows, columns].mean((1, 2))
    return out


def guided_filter(guide: Tensor, values: Tensor, radius: int, eps: float) -> Tensor:
    """He, Sun, Tang 2010, Eq. 14-16: ridge regression on the guide's colours in every window."""
    _, channels, height, width = guide.shape
    slopes = torch.empty(channels, height, width, dtype=guide.dtype)
    offsets = torch.empty(1, height, width, dtype=guide.dtype)
    for y in range(height):
        for x in range(width):
            rows = slice(max(0, y - radius), y + radius + 1)
            columns = slice(max(0, x - radius), x + radius + 1)
            i, p = guide[0, :, rows, columns].flatten(1), values[0, :, rows, columns].flatten(1)
            mean_i, mean_p = i.mean(1, keepdim=True), p.mean(1, keepdim=True)
            covariance = (i - mean_i) @ (i - mean_i).T / i.shape[1]
            with_p = (i - mean_i) @ (p - mean_p).T / i.shape[1]
            slope = torch.linalg.solve(covariance + eps * torch.eye(channels).to(i), with_p)
            slopes[:, y, x] = slope[:, 0]
            offsets[:, y, x] = mean_p[0] - slope[:, 0] @ mean_i[:, 0]
    fitted = (box(slopes, radius) * guide[0]).sum(0, keepdim=True) + box(offsets, radius)
    return fitted[None]


def ssim(a: Tensor, b: Tensor) -> float:
    """Wang et al. 2004, Eq. 13: one 11 x 11 window after the other, with a Gaussian weight."""
    weight = torch.zeros(11, 11, dtype=torch.float64)
    for y in range(11):
        for x in range(11):
            weight[y, x] = math.exp(-((y - 5) ** 2 + (x - 5) ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for channel_a, channel_b in zip(a, b):
        for y in range(a.shape[1] - 10):
            for x in range(a.shape[2] - 10):
                p, q = channel_a[y : y + 11, x : x + 11], channel_b[y : y + 11, x : x + 11]
                mean_p, mean_q = (weight * p).sum(), (weight * q).sum()
                variance_p = (weight * (p - mean_p) ** 2).sum()
                variance_q = (weight * (q - mean_q) ** 2).sum()
                covariance = (weight * (p - mean_p) * (q - mean_q)).sum()
                above = (2 * mean_p * mean_q + 0.01**2) * (2 * covariance + 0.03**2)
                below = (mean_p**2 + mean_q**2 + 0.01**2) * (variance_p + variance_q + 0.03**2)
                values.append(float(above / below))
    return sum(values) / len(values)


def tiny_pipeline() -> dict[str, list[float]]:
    """Statistics of every stage of a small pipeline: a stalk, seed 3, from picture to frame."""
    from gid_core.config import SpectrumConfig
    from gid_core.motion.playback import play
    from gid_core.pipeline import render, sample_motion

    image, mask = stalk_picture(32, 48)
    spectrum, _ = sample_motion(image, mask, seed=3, spectrum=SpectrumConfig(4, 2.0, 2.0))
    motion, _ = play(spectrum, 16, 8.0)
    frame, disocclusion = list(render(image, motion))[5]
    return {
        "mean |S| by band": spectrum.coeffs.abs().mean((0, 2, 3, 4)).tolist(),
        "matte, mean and std": [spectrum.mask.mean().item(), spectrum.mask.std().item()],
        "displacement of frame 5, mean and std": [
            *motion.at(0)[5].mean((1, 2)).tolist(),
            *motion.at(0)[5].std((1, 2)).tolist(),
        ],
        "frame 5, mean by channel": frame.mean((1, 2)).tolist(),
        "frame 5, std by channel": frame.std((1, 2)).tolist(),
        "uncovered in frame 5, mean": [disocclusion.mean().item()],
    }


def plane_waves(x: Tensor, y: Tensor, seed: int, finest: float = 5.0, waves: int = 24) -> Tensor:
    """A texture with a value at any (x, y): a sum of cosines around 1/2, long waves stronger."""
    generator = torch.Generator().manual_seed(seed)
    length = finest * 10 ** torch.rand(waves, generator=generator)
    turn, phase = 2 * math.pi * torch.rand(2, waves, generator=generator)
    across, down = 2 * math.pi / length * turn.cos(), 2 * math.pi / length * turn.sin()
    strength = length.sqrt() * 0.17 / length.sum().sqrt() * math.sqrt(2)
    waves = (x[..., None] * across + y[..., None] * down + phase).cos() * strength
    tint = torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)
    return (0.5 + waves.sum(-1) * tint).clamp(0, 1)


def swaying(
    height: int, width: int, course: Tensor, camera: Tensor | None = None, slow_at: float = 0.9
) -> tuple[Tensor, Tensor, Tensor]:
    """A clip of a textured strip, rooted at `slow_at` of the height, that bends in front of a wall.

    Its point (x, y) of the still is at x + bend(y) course(t), so every frame is sampled from the
    texture exactly. camera: (a, b, x, y) of a similarity about the centre, for every frame.

    Returns:
        Frames t 3 h w, the displacement of the strip from the still t 2 h w, its mask h w.
    """
    v, u = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    middle = (width - 1) / 2, (height - 1) / 2
    bend = lambda y: (1 - y / (slow_at * height)).clamp(0, 1) ** 2
    strip = lambda x: (width / 6 - (x - width / 2).abs() + 0.5).clamp(0, 1)
    frames = []
    for t, far in enumerate(course.tolist()):
        a, b, dx, dy = (1.0, 0.0, 0.0, 0.0) if camera is None else camera[t].tolist()
        p, q, size = u - middle[0] - dx, v - middle[1] - dy, a * a + b * b
        x, y = (a * p + b * q) / size + middle[0], (a * q - b * p) / size + middle[1]
        rest = x - bend(y) * far
        alpha = strip(rest) * (y < slow_at * height)
        wall = 0.3 + 0.5 * plane_waves(x, y, 1)
        frames.append(wall * (1 - alpha) + alpha * plane_waves(rest, y, 2).flip(0))
    mask = (strip(u) > 0.5) & (v < slow_at * height)
    moved = course.view(-1, 1, 1) * bend(v) * mask
    return torch.stack(frames), torch.stack([moved, torch.zeros_like(moved)], 1), mask


def swaying_blob(seed=0, grid=(12, 20), frequencies=(0.2, 0.4, 0.6), **fields):
    """The spectrum of a blob that sways in a few bands, by about a pixel."""
    from gid_core.motion.spectrum import SpectralVolume

    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in grid), indexing="ij")
    middle = torch.rand(2, generator=rng) * torch.tensor([grid[1], grid[0]])
    blob = torch.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (0.1 * grid[1] ** 2))
    bands = torch.randn(len(frequencies), 2, 1, 1, generator=rng, dtype=torch.complex64)
    return SpectralVolume((bands * blob)[None], torch.tensor(frequencies), (24, 40), **fields)


def ball(frames=20, shift=0.0, size=(24, 40), fps=10.0):
    """A clip of a bright ball that swings from left to right over a gradient."""
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")
    times = torch.arange(frames) / fps
    centre = 20 + shift + 6 * torch.sin(2 * math.pi * times)
    shape = torch.exp(-((x - centre.view(-1, 1, 1)) ** 2 + (y - 12) ** 2) / 12)
    return (0.2 + 0.01 * x + shape * 0.5).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)


GESTURES = """[
    {"t": 0.1, "x": 0.45, "y": 0.3, "dx": 0.06, "dy": -0.03, "hold": 0.5},
    {"t": 0.4, "x": 0.7, "y": 0.25, "dx": -0.1, "dy": 0.04, "hold": 0.6,
     "path": [[0.1, 0.02, 0.0], [0.35, -0.05, 0.06]]},
    {"t": 1.05, "x": 0.3, "y": 0.4, "dx": 0.05, "dy": 0.02, "hold": 0},
    {"t": 1.2, "x": 0.05, "y": 0.5, "dx": 0.9, "dy": -0.1, "hold": 0.7, "push": true,
     "path": [[0.3, 0.5, 0.05]]},
    {"t": 2.0, "x": 0.02, "y": 0.98, "dx": 0.1, "dy": 0.0, "hold": 0.3}
]"""


def packed_body(data: bytes):
    """The body that a browser reads: what `packing.pack` wrote, with its quantized shapes."""
    from gid_core.poke.response import Body

    data = zlib.decompress(data)
    (length,) = struct.unpack("<I", data[:4])
    header = json.loads(data[4 : 4 + length])
    parts = 2 if header["complex"] else 1
    rows = np.frombuffer(data[4 + length :], np.int8).astype(np.int64)
    rows = rows.reshape(len(header["omega"]), 2, parts, *header["grid"])
    share = rows.cumsum(-1).astype(np.int8) / 127.0
    largest = np.array(header["largest"]).reshape(-1, 1, 1, 1, 1)
    shapes = torch.from_numpy(share * np.abs(share) * largest)
    imaginary = shapes[:, :, 1] if parts == 2 else torch.zeros_like(shapes[:, :, 0])
    numbers = (torch.tensor(header[n], dtype=torch.float64) for n in ("give", "omega", "damping"))
    rest = (header[name] for name in ("stiffness", "softest", "along"))
    return Body(torch.complex(shapes[:, :, 0], imaginary), *numbers, *rest)


def poked_volumes() -> dict:
    """Two spectra to poke: modes below, at and above critical damping; and complex bands."""
    from gid_core.motion.spectrum import SpectralVolume

    y, x = torch.meshgrid(torch.linspace(1, 0, 9), torch.linspace(-1, 1, 13), indexing="ij")
    shapes = [torch.stack(xy) for xy in ((y, 0.2 * x * y), (y * x, y * y), (y**3, -x * y))]
    modes = SpectralVolume(
        torch.stack(shapes)[None] + 0j,
        torch.tensor([0.8, 1.9, 3.1]),
        (90, 130),
        damping_ratio=torch.tensor([0.05, 1.0, 2.2]),
        kind="modes",
        ambient=torch.tensor([[0.1 + 0.2j, 0.05j], [-0.1j, 0.02], [0.03, 0.01 - 0.02j]]),
        ambient_hz=torch.tensor([0.4, 0.8]),
    )
    generator = torch.Generator().manual_seed(5)
    waves = torch.randn(1, 4, 2, 9, 13, generator=generator, dtype=torch.complex64) * y
    bands = SpectralVolume(waves, torch.tensor([0.2, 0.4, 2.0, 4.2]), (90, 130))
    return {"modes": (modes, "physical"), "bands": (bands, "paper"), "grip": (bands, "grip")}


def packed_volume(name: str) -> bytes:
    from gid_core.poke import packing, response

    volume, rule = poked_volumes()[name]
    return packing.pack(response.body_of(volume, rule, stiffness=1.3), volume)


def modal_response(packed: dict[str, bytes]) -> dict[str, dict]:
    """Modal coordinates that Python computes for gestures, from the bytes that a browser unpacks.

    The bytes are the input, so that the rounding of shapes on this machine has no influence.
    """
    from gid_core.poke import gestures, response

    times = torch.arange(37, dtype=torch.float64) / 12
    cases = {}
    for name, data in packed.items():
        volume = poked_volumes()[name][0]
        body = packed_body(data)
        coords, _ = response.gesture_response(
            body, gestures.read_gestures(GESTURES), times, strength=1.1
        )
        coords = coords + 0.5 * response.ambient_coords(volume, times)
        cases[name] = {
            "packed": base64.b64encode(data).decode(),
            "gestures": GESTURES,
            "strength": 1.1,
            "wind": 0.5,
            "times": times.tolist(),
            "re": coords.real.T.tolist(),
            "im": coords.imag.T.tolist(),
        }
    return cases


def stirred(model, seed=1):
    """Add noise to all weights, so that none stays at its initial zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model.eval()
