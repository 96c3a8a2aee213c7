"""Paint the demo still: a back-lit meadow edge, and the mask a hurried user would draw.

Everything is procedural and seeded, so the picture is ours and reproducible.  The method is that of
a small renderer rather than of a drawing program: each blade, stem, bristle and petal is a
parametric sheet sampled densely, shaded per sample in linear light and splatted into a 4x
supersampled layer.  Layers are averaged down, defocused with a disc kernel according to their
depth, composited back to front and only then graded, grained and encoded as sRGB.

    python docs/demo/paint.py [OUTDIR]      ->  still.png (768x512), still_mask.png
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage, signal

Array = np.ndarray
WIDTH, HEIGHT, PAD = 768, 512, 40
FULL_W, FULL_H = WIDTH + 2 * PAD, HEIGHT + 2 * PAD
YY, XX = np.mgrid[0:FULL_H, 0:FULL_W].astype(float) - PAD
SUN = (640.0, 25.0)  # where the low sun stands behind the trees, in pixels
TO_SUN = np.hypot(XX - SUN[0], YY - SUN[1])
rng = np.random.default_rng(20240611)


# ------------------------------------------------------------------ small helpers
def smooth(a: float, b: float, x: Array | float) -> Array:
    """Hermite step from 0 at ``a`` to 1 at ``b`` (``a`` may exceed ``b``)."""
    t = np.clip((np.asarray(x, float) - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def wander(n: int, knots: int) -> Array:
    """Smooth 1-D noise of about unit size: ``n`` samples through ``knots`` random values."""
    values = ndimage.gaussian_filter1d(rng.normal(size=knots), 0.6) * 1.4
    return np.interp(np.linspace(0, knots - 1, n), np.arange(knots), values)


def clouds(scale: float, stretch: float = 1.0) -> Array:
    """Smooth 2-D noise over the padded frame, zero mean and unit deviation."""
    field = ndimage.gaussian_filter(rng.normal(size=(FULL_H, FULL_W)), (scale, scale * stretch))
    return field / field.std()


def rgb(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue])


def vary(colour: Array, amount: float = 0.15) -> Array:
    """A sibling of ``colour``: other brightness, slightly other hue."""
    return colour * np.exp(rng.normal(0, amount)) * np.exp(rng.normal(0, amount * 0.4, 3))


def defocus(image: Array, radius: float) -> Array:
    """Convolve with a disc, as a lens does to whatever is off its focal plane."""
    r = int(radius) + 2
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    wide = np.pad(image, ((r, r), (r, r), (0, 0)), mode="edge")
    return signal.fftconvolve(wide, (kernel / kernel.sum())[..., None], "same", axes=(0, 1))[
        r:-r, r:-r
    ]


class Layer:
    """A supersampled opaque layer; later splats cover earlier ones."""

    def __init__(self, scale: int) -> None:
        self.scale, self.shape = scale, (FULL_H * scale, FULL_W * scale)
        self.data = np.zeros((self.shape[0] * self.shape[1], 4), np.float32)

    def index(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Flat positions of the samples that fall inside, and which ones those are."""
        ix = np.floor((x + PAD) * self.scale).astype(np.int64)
        iy = np.floor((y + PAD) * self.scale).astype(np.int64)
        ok = (ix >= 0) & (iy >= 0) & (ix < self.shape[1]) & (iy < self.shape[0])
        return (iy * self.shape[1] + ix)[ok], ok

    def splat(self, x: Array, y: Array, colour: Array) -> None:
        at, ok = self.index(x, y)
        self.data[at, :3] = np.broadcast_to(colour, x.shape + (3,))[ok]
        self.data[at, 3] = 1

    def resolve(self, blur: float = 0.0) -> Array:
        """Premultiplied RGBA at output scale, defocused by a disc of radius ``blur``."""
        out = self.data.reshape(FULL_H, self.scale, FULL_W, self.scale, 4).mean((1, 3))
        return defocus(out, blur) if blur > 0 else out


def over(below: Array, layer: Array) -> Array:
    return below * (1 - np.clip(layer[..., 3:], 0, 1)) + layer[..., :3]


# ------------------------------------------------------------------ strokes
def grow(
    x: float,
    y: float,
    length: float,
    lean: float,
    bend: float,
    power: float = 1.5,
    wobble: float = 0.03,
) -> Array:
    """A stem curve (n, 2): heading starts at ``lean`` from vertical and turns by ``bend``."""
    n = max(int(length * 1.2), 12)
    heading = lean + bend * np.linspace(0, 1, n) ** power + wobble * wander(n, 7)
    return np.array([x, y]) + np.cumsum(
        np.stack([np.sin(heading), -np.cos(heading)], 1) * (length / n), 0
    )


def ribbon(
    layer: Layer,
    curve: Array,
    half: Callable[[Array], Array],
    shade: Callable[[Array, Array, Array], Array],
) -> None:
    """Sweep a sheet of half-width ``half(t)`` along ``curve``; ``shade(t, u, light)`` colours it."""
    seg = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    t = np.linspace(0, 1, max(int(seg[-1] * layer.scale * 1.4), 8))
    px, py = (np.interp(t * seg[-1], seg, curve[:, k]) for k in (0, 1))
    dx, dy = np.gradient(px), np.gradient(py)
    w = half(t) / (np.hypot(dx, dy) + 1e-9)
    u = np.linspace(-1, 1, max(int(half(t).max() * 2 * layer.scale * 1.5), 2))
    x, y = px[:, None] - (dy * w)[:, None] * u, py[:, None] + (dx * w)[:, None] * u
    layer.splat(x, y, shade(t[:, None], u[None, :], gloom(py)[:, None]))


def gloom(y: Array | float) -> Array:
    """Light that reaches down between the plants, by height in the frame."""
    return 0.06 + 0.94 * smooth(525, 330, y)


def blade(
    layer: Layer,
    x: float,
    y: float,
    length: float,
    lean: float,
    bend: float,
    width: float,
    light: float = 1.0,
    dry: float = 0.0,
) -> None:
    """One leaf of grass: folded, veined, twisting, lit through from behind."""
    body, straw = vary(rgb(0.045, 0.080, 0.016)), vary(rgb(0.42, 0.29, 0.10))
    glow = vary(rgb(0.27, 0.34, 0.030), 0.22)
    dry = float(np.clip(dry + rng.normal(0, 0.08), 0, 1))
    phase, turns = rng.uniform(0, 6.3), rng.normal(0, 2.0)
    veins, gloss, tip = rng.normal(0, 1, 64), rng.uniform(0, 0.22), rng.uniform(0.75, 1.05)
    thin = np.clip(rng.normal(0.42, 0.34), 0.03, 1.2)
    shadows = [(rng.uniform(0.1, 0.9), rng.uniform(0.008, 0.05)) for _ in range(rng.integers(0, 6))]

    def half(t: Array) -> Array:
        turn = 0.3 + 0.7 * np.abs(np.cos(phase + turns * t))
        return 0.15 + width * (0.35 + 0.65 * smooth(0, 0.25, t)) * (1 - t**2.2) * turn

    def shade(t: Array, u: Array, lit: Array) -> Array:
        lit, side = lit * light, np.tanh(4 * np.cos(phase + turns * t))
        patch = wander(len(t), 9)[:, None]
        through = thin * (0.8 + 0.25 * patch) * (1 + 0.4 * side * np.tanh(u * 4))
        through = through * (1 + 0.09 * np.interp((u + 1) * 31.5, np.arange(64), veins))
        for at, soft in shadows:  # other leaves throw their shadow onto this one
            through = through * (1 - 0.65 * np.exp(-(((t - at + 0.02 * u) / soft) ** 2)))
        mix = np.clip(dry + smooth(tip - 0.3, tip + 0.1, t) * (0.3 + 0.5 * dry), 0, 1)[..., None]
        rim = (
            0.10 * np.exp(-(((u - 0.05) / 0.13) ** 2))
            + 0.5 * np.exp(-(1 - u) / 0.14)
            + 0.1 * np.exp(-(1 + u) / 0.1)
        )
        out = (body * (1 - mix) + straw * 0.35 * mix) * (0.15 + 0.85 * lit)[..., None]
        out = out + (glow * (1 - mix) + straw * mix) * (np.clip(through, 0, 2) * lit)[..., None]
        out = out + (rim * lit)[..., None] * rgb(0.8, 0.70, 0.27)
        return out + (gloss * np.clip(patch, 0, 2) * (1 - u * u) * lit)[..., None] * rgb(
            0.42, 0.50, 0.48
        )

    ribbon(layer, grow(x, y, length, lean, bend, rng.uniform(1.2, 2.6), 0.06), half, shade)


def stem(layer: Layer, curve: Array, base: float, tip: float, tint: Array, nodes: int = 0) -> None:
    """A round stalk: dark core, bright edge towards the sun, weak one on the other side."""
    knots, grain = rng.uniform(0.25, 0.8, nodes), rng.normal(0, 1, 24)

    def half(t: Array) -> Array:
        return (
            base
            + (tip - base) * t
            + sum((0.5 * np.exp(-(((t - k) / 0.006) ** 2)) for k in knots), 0 * t)
        )

    def shade(t: Array, u: Array, lit: Array) -> Array:
        streak = (
            1
            + 0.12 * np.interp((u + 1) * 11.5, np.arange(24), grain)
            + 0.15 * wander(len(t), 40)[:, None]
        )
        edge = 1.4 * np.exp(-(1 - u) / 0.28) + 0.3 * np.exp(-(1 + u) / 0.20)
        out = tint * ((0.20 + 0.45 * (1 - u * u)) * streak * (0.2 + 0.8 * lit))[..., None]
        return out + (edge * lit * streak)[..., None] * (tint * 1.2 + rgb(0.24, 0.18, 0.06))

    ribbon(layer, curve, half, shade)


def hairs(
    layer: Layer,
    x: Array,
    y: Array,
    angle: Array,
    length: Array,
    curl: Array | float,
    colour: Array,
    fade: float = 0.5,
    thin: float = 0.75,
) -> None:
    """Many one-sample-wide hairs: ``colour`` (n, 3), darker by ``fade`` at the root, sparser at the tip."""
    t = np.linspace(0, 1, max(int(length.max() * layer.scale * 1.3), 4))[None, :]
    heading, step = angle[:, None] + np.reshape(curl, (-1, 1)) * t, length[:, None] / t.size
    hx, hy = (
        x[:, None] + np.cumsum(np.sin(heading) * step, 1),
        y[:, None] - np.cumsum(np.cos(heading) * step, 1),
    )
    keep = rng.random(hx.shape) < 1.15 - thin * t
    layer.splat(
        hx[keep], hy[keep], (colour[:, None, :] * (1 - fade + fade * np.sqrt(t))[..., None])[keep]
    )


def bead(
    layer: Layer, x: float, y: float, tilt: float, size: float, fat: float, tint: Array, edge: float
) -> None:
    """A small plump grain from (x, y) on: husk, shell shading, light caught on the sunny rim."""

    def shade(t: Array, u: Array, _: Array) -> Array:
        rim = np.exp(-(1 - u) / 0.3) + 0.4 * np.exp(-(1 + u) / 0.25) + 0.6 * t**3
        core = 0.35 + 0.65 * np.sqrt(np.clip(1 - u * u, 0, 1)) * (0.4 + 0.6 * t)
        return tint * core[..., None] + (rim * edge)[..., None] * rgb(0.40, 0.32, 0.10)

    run = np.linspace(-0.3, 1, 7)[:, None] * size * np.array([np.sin(tilt), -np.cos(tilt)])
    ribbon(
        layer,
        run + (x, y),
        lambda t: size * fat * np.sqrt(np.clip(4 * t * (1 - t), 0.02, 1)),
        shade,
    )


# ------------------------------------------------------------------ plants
def foxtail(
    layer: Layer, x: float, length: float, lean: float, nod: float, ear: float, light: float = 1.0
) -> None:
    """A bristle-grass ear: spiralled spikelets in a halo of back-lit bristles."""
    curve = grow(x, 522, length + ear, lean, nod, 3.4, 0.04)
    cut = int(len(curve) * length / (length + ear))
    stem(layer, curve[: cut + 6], 1.6, 0.85, vary(rgb(0.10, 0.12, 0.03), 0.1), nodes=2)
    axis, count = curve[cut:], int(ear * 3.2)
    place = np.sort(rng.random(count)) ** 0.95
    turn = np.arange(count) * 2.4 + rng.normal(0, 0.4, count)
    girth = ear * 0.060 * np.clip(smooth(-0.12, 0.22, place) * (1 - 0.75 * place**3), 0.2, 1)
    heads = np.arctan2(np.gradient(axis[:, 0]), -np.gradient(axis[:, 1]))
    ax, ay, ah = (
        np.interp(place * (len(axis) - 1), np.arange(len(axis)), v) for v in (*axis.T, heads)
    )
    side, depth = np.sin(turn), np.cos(turn)
    sx, sy = ax + np.cos(ah) * side * girth, ay + np.sin(ah) * side * girth
    sunny = np.cos(ah) * side * 0.8 - np.sin(ah) * side * 0.6

    def bristles(pick: Array, n: int, bright: float) -> None:
        who = rng.choice(np.flatnonzero(pick), n)
        spread = side[who] * rng.uniform(0.35, 0.95, n) + rng.normal(0, 0.16, n)
        tone = (
            bright
            * light
            * np.exp(rng.normal(0, 0.5, n))
            * (0.4 + 0.6 * np.abs(side[who]))
            * (0.8 + 0.4 * sunny[who])
        )
        hairs(
            layer,
            sx[who],
            sy[who],
            ah[who] + spread,
            ear * rng.uniform(0.06, 0.17, n),
            rng.normal(0, 0.4, n),
            tone[:, None] * (rgb(1.0, 0.78, 0.32) + rng.normal(0, 0.05, (n, 3))),
        )

    bristles(depth < 0.3, int(ear * 9), 0.95)
    for i in np.argsort(depth):
        edge = light * np.clip(0.30 + 0.5 * abs(side[i]) + 0.4 * sunny[i], 0.06, 1.2)
        bead(
            layer,
            sx[i],
            sy[i],
            ah[i] + side[i] * 0.45 + rng.normal(0, 0.12),
            ear * rng.uniform(0.040, 0.058),
            0.30,
            vary(rgb(0.095, 0.110, 0.025), 0.3) * light * (0.6 + 0.4 * max(depth[i], 0)),
            edge,
        )
    bristles(depth > -0.3, int(ear * 2.6), 0.52)


def clock(layer: Layer, x: float, length: float, lean: float, bend: float, radius: float) -> None:
    """A dandelion clock: a sphere of parachutes, some of them already gone."""
    curve = grow(x, 522, length, lean, bend, 1.4, 0.03)
    stem(layer, curve, 2.3, 1.7, rgb(0.15, 0.11, 0.045))
    hub, n = curve[-1], 118
    z, turn = 1 - (2 * np.arange(n) + 1) / n, np.arange(n) * 2.39996 + rng.normal(0, 0.12, n)
    d = np.stack(
        [np.sqrt(1 - z * z) * np.cos(turn), z, np.sqrt(1 - z * z) * np.sin(turn)], 1
    ) + rng.normal(0, 0.06, (n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    d = d[(d @ rgb(-0.78, -0.58, 0.22) < 0.84) | (rng.random(n) < 0.12)]
    for near in (False, True):
        if near:
            bead(
                layer,
                hub[0],
                hub[1] + radius * 0.05,
                0.1,
                radius * 0.17,
                0.6,
                rgb(0.07, 0.06, 0.025),
                0.25,
            )
        part = d[(d[:, 2] > 0) == near]
        m, rays = len(part), 23
        long = radius * rng.uniform(0.92, 1.07, m)
        flat = np.hypot(part[:, 0], part[:, 1])
        aim = np.arctan2(part[:, 0], -part[:, 1])
        one = np.ones((m, 1))
        hairs(
            layer,
            *(hub[:, None] + 0.1 * long * part[:, :2].T),
            aim,
            long * flat * 0.62,
            rng.normal(0, 0.06, m),
            one * rgb(0.50, 0.40, 0.24) * (0.9 if near else 0.5),
            0.3,
            0.2,
        )
        for shift in (-0.35, 0.0, 0.35):  # the seeds themselves, at the hub
            hairs(
                layer,
                *(hub[:, None] + 0.1 * long * part[:, :2].T + shift),
                aim,
                long * flat * 0.15 + 0.5,
                0.0,
                one * (rgb(0.10, 0.055, 0.025) + 0.1 * max(shift, 0)),
                0.2,
                0.0,
            )
        across = np.cross(part, rgb(0.3, 0.9, 0.2))
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        swing, flare = rng.uniform(0, 6.283, (m, rays, 1)), rng.normal(1.18, 0.13, (m, rays, 1))
        ray = part[:, None] * np.cos(flare) + np.sin(flare) * (
            across[:, None] * np.cos(swing) + np.cross(part, across)[:, None] * np.sin(swing)
        )
        reach = (
            long[:, None] * rng.uniform(0.25, 0.33, (m, rays)) * np.hypot(ray[..., 0], ray[..., 1])
        ).ravel()
        sunny = np.clip(0.36 + 0.62 * (part @ rgb(0.62, -0.72, -0.30)), 0.07, 1.2)[:, None]
        level = (0.95 if near else 0.65) * sunny * np.exp(rng.normal(0, 0.45, (m, rays)))
        tone = level[..., None] * rgb(1.0, 0.80, 0.47) + rgb(0.064, 0.055, 0.032)
        top = np.repeat(hub[:, None] + 0.70 * long * part[:, :2].T, rays, 1)
        hairs(
            layer,
            *top,
            np.arctan2(ray[..., 0], -ray[..., 1]).ravel(),
            reach,
            rng.normal(0, 0.15, m * rays),
            tone.reshape(-1, 3),
            0.1,
            0.8,
        )


def poppy(layer: Layer, x: float, length: float, lean: float, bend: float, size: float) -> None:
    """A poppy from the side: four crumpled petals the sun shines through, on a hairy stalk."""
    curve = grow(x, 522, length, lean, bend, 1.8, 0.05)
    stem(layer, curve, 1.4, 1.05, rgb(0.075, 0.09, 0.035))
    at, k = rng.integers(10, len(curve) - 2, 500), 500
    hairs(
        layer,
        *curve[at].T,
        rng.choice([-1, 1], k) * rng.uniform(1.1, 1.8, k) + lean,
        rng.uniform(2, 6, k),
        rng.normal(0, 0.3, k),
        rgb(0.75, 0.58, 0.28) * (rng.uniform(0.2, 0.9, k) * gloom(curve[at, 1]))[:, None],
    )
    (cx, cy), tilt, n = curve[-1], lean + bend, int(size * layer.scale * 3.2)
    covered = np.zeros(len(layer.data), bool)
    v, h = np.linspace(0.02, 1, n)[:, None], np.linspace(-1, 1, n)[None, :]
    for azimuth, big in ((1.7, 1.0), (3.4, 1.05), (0.25, 0.98), (4.9, 0.9)):
        wave = sum(
            a * np.sin(f * h * 3 + 1.5 * v + rng.uniform(0, 6))
            for f, a in ((0.9, 0.7), (1.9, 0.5), (3.4, 0.26), (6.3, 0.10), (14, 0.03))
        )
        crease, veins = (
            np.interp(
                h[0], np.linspace(-1, 1, c), ndimage.gaussian_filter1d(rng.normal(size=c), 0.9)
            )[None]
            for c in (60, 240)
        )
        out = (
            size
            * big
            * (
                0.12
                + 0.62 * np.sin(1.65 * v) ** 0.9
                + 0.13 * wave * v**2.5
                + 0.035 * crease * v**1.5
                + 0.12 * v**6
            )
        )
        up = size * big * (1.05 * v**1.7 * (1 - 0.20 * h**2) + 0.08 * wave * v**2.5 - 0.06 * h**4)
        turn = azimuth + h * (0.25 + 0.75 * v**0.5) * 1.1
        sheet = np.stack(
            [out * np.sin(turn), up + out * np.cos(turn) * 0.26, out * np.cos(turn)], -1
        )
        normal = np.cross(np.gradient(sheet, axis=0), np.gradient(sheet, axis=1))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
        mottle = ndimage.gaussian_filter(rng.normal(size=(n, n)), (n / 12, n / 40))
        through = (
            np.abs(normal @ rgb(0.50, 0.45, -0.74)) ** 1.2
            * (1 + 0.16 * veins * (1 - 0.5 * v))
            * (1 + 0.14 * mottle / mottle.std())
        )
        rim = np.exp(-(1 - v) / 0.015) + 0.4 * np.exp(-(1 - np.abs(h)) / 0.015)
        colour = (
            rgb(0.085, 0.005, 0.004)
            + through[..., None] * rgb(0.72, 0.042, 0.014)
            + (through**3)[..., None] * rgb(0.30, 0.12, 0.02)
            + rim[..., None] * rgb(0.35, 0.12, 0.04)
        )
        colour = colour * (0.15 + 0.85 * smooth(0.0, 0.4, v + 0.06 * crease))[..., None]
        px, py = (
            cx + sheet[..., 0] * np.cos(tilt) + sheet[..., 1] * np.sin(tilt),
            cy - sheet[..., 1] * np.cos(tilt) + sheet[..., 0] * np.sin(tilt),
        )
        idx, ok = layer.index(px, py)
        double = covered[idx][:, None]  # here the light has already been filtered by a petal behind
        layer.splat(px[ok], py[ok], colour[ok] * (1 - double * rgb(0.45, 0.78, 0.65)))
        covered[idx] = True


def panicle(
    layer: Layer, x: float, length: float, lean: float, bend: float, light: float = 1.0
) -> None:
    """An airy grass panicle: thread-thin branches that end in small glowing spikelets."""
    curve = grow(x, 522, length, lean, bend, 2.2, 0.05)
    stem(layer, curve, 1.0, 0.3, vary(rgb(0.17, 0.13, 0.05), 0.1), nodes=2)
    for t in np.sort(rng.uniform(0.58, 1.0, 52)):
        px, py = curve[int(t * (len(curve) - 1))]
        out = rng.choice([-1, 1]) * rng.uniform(0.25, 0.9)
        tilt = lean + bend * t**2.2 + out
        twig = grow(
            px, py, rng.uniform(10, 42) * (1.25 - t) * 1.6 + 4, tilt, 0.3 - out * 0.5, 1, 0.1
        )
        tone = light * rng.uniform(0.25, 0.6) * rgb(0.8, 0.6, 0.3)
        ribbon(
            layer,
            twig,
            lambda s: np.full_like(s, 0.17),
            lambda s, u, _, c=tone: np.ones_like(s * u)[..., None] * c,
        )
        for j in rng.uniform(0.45, 1.0, rng.integers(2, 5)):
            bead(
                layer,
                *twig[int(j * (len(twig) - 1))],
                tilt - out * 0.4 + rng.normal(0, 0.3),
                rng.uniform(3.5, 6.5),
                0.2,
                vary(rgb(0.34, 0.22, 0.10), 0.3) * light,
                rng.uniform(0.5, 1.3) * light,
            )


# ------------------------------------------------------------------ scene
def background() -> Array:
    """Forest edge, bokeh and meadow, already out of focus (linear RGB)."""
    leaf = np.exp(0.8 * clouds(26) + 0.5 * clouds(11))
    mass = smooth(-0.6, 1.4, clouds(60, 0.6) + 1.2 * np.exp(-((TO_SUN / 200) ** 2)) - 0.1)
    forest = (0.006 + 0.055 * leaf * mass)[..., None] * rgb(0.66, 0.80, 0.20)
    forest *= (1 + 1.6 * np.exp(-TO_SUN / 260) * smooth(-0.4, 1.3, clouds(17)))[..., None]
    forest += (0.55 * np.exp(-((TO_SUN / 100) ** 2)) + 0.10 * np.exp(-TO_SUN / 130))[
        ..., None
    ] * rgb(1.0, 0.70, 0.26)
    far = smooth(215, 480, YY)[..., None]
    field = np.exp(0.35 * clouds(16, 5) + 0.40 * clouds(11, 2))[..., None] * (
        rgb(0.20, 0.165, 0.035) * (1 - far) + rgb(0.030, 0.045, 0.010) * far
    )
    field *= (0.35 + 0.9 * np.exp(-(((XX - SUN[0]) / 300) ** 2)))[..., None]
    edge, dapple = smooth(190, 268, YY + 12 * clouds(30))[..., None], clouds(5)
    image = defocus(forest * (1 - edge) + field * edge, 17)
    for _ in range(420):  # bokeh: sky between leaves, glints on the meadow
        low = rng.random() < 0.35
        bx = rng.normal(SUN[0], 190) if rng.random() < 0.75 else rng.uniform(-20, 790)
        by = rng.uniform(205, 420) if low else abs(rng.normal(0, 95)) - 20
        radius = rng.uniform(9, 24) * (1.0 - (by - 205) / 330 if low else 1)
        power = (
            rng.gamma(0.55, 0.17)
            * (0.15 + 1.1 * np.exp(-np.hypot(bx - SUN[0], by - SUN[1]) / 230))
            * (0.45 if low else 1)
        )
        warm = vary(rgb(1.0, 0.74, 0.28) if rng.random() < 0.7 else rgb(0.62, 0.66, 0.16), 0.2)
        dx, dy = (
            np.array([bx - WIDTH / 2, by - HEIGHT / 2]) / 400 * 0.5 * radius
        )  # cat's-eye clipping
        dist, clip = np.hypot(XX - bx, YY - by), np.hypot(XX - bx + dx, YY - by + dy)
        soft = rng.uniform(1.2, 5)
        shape = smooth(radius + soft, radius - soft, dist) * smooth(
            radius * 1.08 + 2, radius * 1.08 - 2, clip
        )
        image += (shape * (0.75 + 0.25 * (dist / radius) ** 4) * power)[..., None] * warm
    for _ in range(60):  # flowers out in the meadow: wide, faint dabs
        bx, by = rng.uniform(-20, 790), 232 + 170 * rng.random() ** 1.5
        size = rng.uniform(7, 12) + 5 * smooth(240, 400, by)
        dist = np.hypot(XX - bx, (YY - by) * rng.uniform(1, 1.4)) + 2.5 * dapple
        dab = rng.uniform(0.15, 0.55) * smooth(size + 2.5, size - 2.5, dist)[..., None]
        hue = (rgb(0.40, 0.040, 0.015), rgb(0.42, 0.36, 0.20), rgb(0.45, 0.28, 0.02))[
            rng.choice(3, p=(0.5, 0.3, 0.2))
        ]
        image = image * (1 - dab) + vary(hue, 0.2) * dab * (
            0.35 + 0.8 * np.exp(-(((bx - SUN[0]) / 300) ** 2))
        )
    return image


def sward(layer: Layer, count: int, base: float, tall: float, width: float, light: float) -> Layer:
    """Tufts of grass rooted at ``base``, brighter on the sun's side."""
    tufts = rng.uniform(-60, WIDTH + 60, max(count // 9, 1))
    for _ in range(count):
        x = rng.choice(tufts) + rng.normal(0, 16)
        sunny = 0.5 + 0.8 * np.exp(-(((x - SUN[0]) / 300) ** 2))
        blade(
            layer,
            x,
            base + rng.uniform(0, 35),
            rng.gamma(5, 0.2) * tall,
            rng.normal(0.02, 0.22),
            rng.normal(0.1, 0.8),
            rng.gamma(5, 0.2) * width,
            sunny * light,
            rng.choice([0, 0, 0, 0.25, 0.85]),
        )
    return layer


def paint() -> tuple[Image.Image, Image.Image]:
    """The still and its mask."""
    image = background()
    for depth, count in ((1.0, 260), (0.72, 240), (0.45, 200)):
        image = over(
            image,
            sward(Layer(2), count, 560 - 190 * depth, 150 - 70 * depth, 2.2 - depth, 0.75).resolve(
                2 + 9.5 * depth
            ),
        )
    ghosts = Layer(2)  # the same plants, further back
    for x, tall, nod, ear in (
        (70, 290, 1.5, 95),
        (160, 215, -1.2, 80),
        (545, 215, 1.4, 85),
        (725, 280, -1.4, 100),
    ):
        foxtail(ghosts, x, tall, rng.normal(0, 0.06), nod, ear, 0.85)
    poppy(ghosts, 120, 255, -0.05, 0.2, 40)
    poppy(ghosts, 395, 205, 0.1, -0.3, 34)
    image = over(image, ghosts.resolve(8.5))
    image = over(image, sward(Layer(2), 150, 520, 120, 2.2, 0.9).resolve(4.0))
    image = over(image, sward(Layer(2), 130, 525, 105, 2.2, 0.9).resolve(1.6))

    sharp = Layer(4)
    for x, tall, lean, bend in (
        (250, 220, -0.35, -1.2),
        (318, 260, 0.28, 1.0),
        (455, 230, -0.25, -0.9),
        (600, 240, -0.35, -0.8),
        (640, 190, 0.3, 1.0),
    ):
        blade(sharp, x, 524, tall, lean, bend, rng.uniform(2.8, 4.4))
    panicle(sharp, 562, 390, -0.10, 0.40)
    foxtail(sharp, 300, 250, -0.32, -1.45, 116)
    poppy(sharp, 612, 285, 0.10, 0.25, 54)
    clock(sharp, 455, 285, 0.17, -0.20, 60)
    foxtail(sharp, 338, 345, -0.12, 1.75, 140)
    panicle(sharp, 236, 330, 0.08, -0.25, 0.9)
    for x, tall, lean, bend in (
        (295, 190, 0.15, 1.3),
        (372, 235, -0.12, -0.8),
        (510, 230, 0.16, 1.1),
        (652, 170, -0.2, -0.9),
        (225, 160, -0.3, -0.8),
    ):
        blade(sharp, x, 526, tall, lean, bend, rng.uniform(3.0, 5.0))
    shape = sharp.resolve()[..., 3]
    sward(sharp, 230, 530, 85, 2.0, 1.0)  # the tangle at the foot
    return finish(over(image, sharp.resolve())), hurried_mask(shape)


def finish(linear: Array) -> Image.Image:
    """Lens, film and encoding."""
    linear = np.clip(linear, 0, 4)
    linear = 0.90 * linear + sum(
        a * ndimage.gaussian_filter(linear, (s, s, 0)) for a, s in ((0.07, 5), (0.05, 40))
    )
    linear = ndimage.gaussian_filter(linear, (0.42, 0.42, 0)) + (0.03 * np.exp(-TO_SUN / 230))[
        ..., None
    ] * rgb(1.0, 0.66, 0.3)
    fall = 1 - 0.45 * smooth(
        0.3, 1.1, np.hypot((XX - WIDTH / 2) / WIDTH, (YY - HEIGHT / 2) / HEIGHT) * 1.6
    )
    x = linear * fall[..., None] * 1.7
    x = np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)  # filmic shoulder
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    luma = srgb @ rgb(0.3, 0.6, 0.1)
    srgb = (
        srgb + rgb(0.010, 0.006, 0.024) * (1 - luma[..., None]) ** 3
    )  # lifted, slightly cool shadows
    grain = ndimage.gaussian_filter(rng.normal(size=luma.shape), 0.5)
    srgb = srgb + (grain / grain.std() * (0.004 + 0.007 * (1 - luma)))[..., None]
    return Image.fromarray(
        (np.clip(srgb[PAD:-PAD, PAD:-PAD], 0, 1) * 255 + 0.5).astype(np.uint8), "RGB"
    )


def hurried_mask(shape: Array) -> Image.Image:
    """A loose, blobby selection around the plants, as a broad brush leaves it."""
    solid = ndimage.binary_closing(ndimage.gaussian_filter(shape, 1.2) > 0.10, iterations=3)
    near = ndimage.distance_transform_edt(~solid) + 3.2 * clouds(13) < 13
    blob = ndimage.binary_opening(
        ndimage.gaussian_filter(near.astype(float), 3.5) > 0.5, iterations=4
    )
    soft = ndimage.gaussian_filter(blob.astype(float), 1.0)[PAD:-PAD, PAD:-PAD]
    return Image.fromarray((soft * 255 + 0.5).astype(np.uint8), "L")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(("still.png", "still_mask.png"), paint()):
        picture.save(out / name, optimize=True)


if __name__ == "__main__":
    main()
