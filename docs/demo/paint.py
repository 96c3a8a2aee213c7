"""Paint the demo still: a back-lit meadow edge, and the mask a hurried user would draw.

Everything is procedural and seeded, so the picture is ours and reproducible.  Each blade, stem,
bristle and petal is a parametric sheet, sampled densely, shaded per sample in linear light and
splatted into a 4x supersampled layer.  Layers are averaged down, defocused with a disc kernel by
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
WIDTH, HEIGHT, PAD, SOIL = 768, 512, 40, 524
FULL_W, FULL_H = WIDTH + 2 * PAD, HEIGHT + 2 * PAD
YY, XX = np.mgrid[0:FULL_H, 0:FULL_W].astype(float) - PAD
SUN = (640.0, 25.0)  # where the low sun stands behind the trees, in pixels
TO_SUN = np.hypot(XX - SUN[0], YY - SUN[1])
rng = np.random.default_rng(20240611)


def rgb(red: float, green: float, blue: float) -> Array:
    return np.array([red, green, blue])


def vary(colour: Array, amount: float = 0.15) -> Array:
    """A sibling of ``colour``: other brightness, slightly other hue."""
    return colour * np.exp(rng.normal(0, amount)) * np.exp(rng.normal(0, amount * 0.4, 3))


def smooth(a: float, b: float, x: Array | float) -> Array:
    """Hermite step from 0 at ``a`` to 1 at ``b`` (``a`` may exceed ``b``)."""
    t = np.clip((np.asarray(x, float) - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def wander(n: int, knots: int, soft: float = 0.6) -> Array:
    """Smooth 1-D noise of about unit size: ``n`` samples through ``knots`` random values."""
    return np.interp(
        np.linspace(0, knots - 1, n),
        np.arange(knots),
        ndimage.gaussian_filter1d(rng.normal(0, 1.4, knots), soft),
    )


def clouds(scale: float, stretch: float = 1.0) -> Array:
    """Smooth 2-D noise over the padded frame, zero mean and unit deviation."""
    field = ndimage.gaussian_filter(rng.normal(size=(FULL_H, FULL_W)), (scale, scale * stretch))
    return field / field.std()


def sunny(x: Array | float) -> Array:
    """How much brighter the meadow is below the sun than beside it."""
    return 0.35 + 0.85 * np.exp(-(((x - SUN[0]) / 300) ** 2))


def defocus(image: Array, radius: float) -> Array:
    """Convolve with a disc, as a lens does to whatever is off its focal plane."""
    r = int(radius) + 2
    kernel = np.clip(radius + 0.5 - np.hypot(*np.mgrid[-r : r + 1, -r : r + 1]), 0, 1)
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
        ix, iy = (np.floor((v + PAD) * self.scale).astype(np.int64) for v in (x, y))
        ok = (ix >= 0) & (iy >= 0) & (ix < self.shape[1]) & (iy < self.shape[0])
        return (iy * self.shape[1] + ix)[ok], ok

    def splat(self, x: Array, y: Array, colour: Array) -> None:
        at, ok = self.index(x, y)
        self.data[at, :3], self.data[at, 3] = colour[ok], 1

    def over(self, below: Array, blur: float = 0.0) -> Array:
        """Composite onto ``below``, defocused by a disc of radius ``blur``."""
        image = self.data.reshape(FULL_H, self.scale, FULL_W, self.scale, 4).mean((1, 3))
        image = defocus(image, blur) if blur else image
        return below * (1 - np.clip(image[..., 3:], 0, 1)) + image[..., :3]


def grow(
    x: float,
    y: float,
    length: float,
    lean: float,
    bend: float,
    power: float = 1.5,
    wobble: float = 0.04,
) -> Array:
    """A stem curve (n, 2): heading starts at ``lean`` from vertical and turns by ``bend``."""
    n = max(int(length * 1.2), 12)
    heading = lean + bend * np.linspace(0, 1, n) ** power + wobble * wander(n, 7)
    return np.array([x, y]) + np.cumsum(
        np.stack([np.sin(heading), -np.cos(heading)], 1) * (length / n), 0
    )


def ribbon(
    layer: Layer, curve: Array, half: Callable[[Array], Array], shade: Callable[..., Array]
) -> None:
    """Sweep a sheet along ``curve``: half-width ``half(t)``, colour ``shade(t, u, light)``."""
    run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    t = np.linspace(0, 1, max(int(run[-1] * layer.scale * 1.4), 8))
    px, py = (np.interp(t * run[-1], run, c) for c in curve.T)
    dx, dy = np.gradient(px), np.gradient(py)
    w, u = (
        half(t) / (np.hypot(dx, dy) + 1e-9),
        np.linspace(-1, 1, max(int(half(t).max() * layer.scale * 3), 2)),
    )
    colour = shade(
        t[:, None], u[None, :], 0.06 + 0.94 * smooth(525, 330, py)[:, None]
    )  # dark down between the plants
    layer.splat(px[:, None] - (dy * w)[:, None] * u, py[:, None] + (dx * w)[:, None] * u, colour)


def hairs(
    layer: Layer,
    at: Array,
    angle: Array,
    length: Array,
    curl: float,
    colour: Array,
    fade: float = 0.5,
    thin: float = 0.75,
) -> None:
    """Hairs one sample wide from ``at`` (n, 2).

    Darker by ``fade`` at the root, sparser by ``thin`` at the tip.
    """
    t = np.linspace(0, 1, max(int(length.max() * layer.scale * 1.3), 4))[None, :]
    heading, step = angle[:, None] + rng.normal(0, curl, (len(at), 1)) * t, length[:, None] / t.size
    x, y = (
        at[:, :1] + np.cumsum(np.sin(heading) * step, 1),
        at[:, 1:] - np.cumsum(np.cos(heading) * step, 1),
    )
    keep = rng.random(x.shape) < 1.15 - thin * t
    layer.splat(
        x[keep], y[keep], (colour[:, None, :] * (1 - fade + fade * np.sqrt(t))[..., None])[keep]
    )


def bead(
    layer: Layer, at: Array, tilt: float, size: float, fat: float, tint: Array, edge: float
) -> None:
    """A small plump grain: husk colour, rounded shading, light caught on the sunny rim."""

    def shade(t: Array, u: Array, _: Array) -> Array:
        rim = np.exp(-(1 - u) / 0.3) + 0.4 * np.exp(-(1 + u) / 0.25) + 0.6 * t**3
        core = 0.35 + 0.65 * np.sqrt(np.clip(1 - u * u, 0, 1)) * (0.4 + 0.6 * t)
        return tint * core[..., None] + (rim * edge)[..., None] * rgb(0.40, 0.32, 0.10)

    run = np.linspace(-0.3, 1, 7)[:, None] * size * np.array([np.sin(tilt), -np.cos(tilt)])
    ribbon(
        layer, run + at, lambda t: size * fat * np.sqrt(np.clip(4 * t * (1 - t), 0.02, 1)), shade
    )


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
    body, straw, glow = (
        vary(rgb(0.045, 0.08, 0.016)),
        vary(rgb(0.42, 0.29, 0.10)),
        vary(rgb(0.27, 0.34, 0.03), 0.22),
    )
    dry, thin = np.clip(dry + rng.normal(0, 0.08), 0, 1), np.clip(rng.normal(0.42, 0.34), 0.03, 1.2)
    phase, turns, gloss, tip = (
        rng.uniform(0, 6.3),
        rng.normal(0, 2),
        rng.uniform(0, 0.22),
        rng.uniform(0.75, 1.05),
    )
    shadows = [(rng.uniform(0.1, 0.9), rng.uniform(0.008, 0.05)) for _ in range(rng.integers(0, 6))]

    def half(t: Array) -> Array:
        return 0.15 + width * (0.35 + 0.65 * smooth(0, 0.25, t)) * (1 - t**2.2) * (
            0.3 + 0.7 * np.abs(np.cos(phase + turns * t))
        )

    def shade(t: Array, u: Array, lit: Array) -> Array:
        lit, patch = lit * light, wander(len(t), 9)[:, None]
        through = (
            thin
            * (0.8 + 0.25 * patch)
            * (1 + 0.4 * np.tanh(4 * np.cos(phase + turns * t)) * np.tanh(u * 4))
        )
        for at, soft in shadows:  # other leaves throw their shadow onto this one
            through = through * (1 - 0.65 * np.exp(-(((t - at + 0.02 * u) / soft) ** 2)))
        through = np.clip(through * (1 + 0.08 * wander(u.size, 64, 0.3)), 0, 2)
        mix = np.clip(dry + smooth(tip - 0.3, tip + 0.1, t) * (0.3 + 0.5 * dry), 0, 1)[..., None]
        rim = (
            0.10 * np.exp(-(((u - 0.05) / 0.13) ** 2))
            + 0.5 * np.exp(-(1 - u) / 0.14)
            + 0.1 * np.exp(-(1 + u) / 0.1)
        )
        out = (body * (1 - mix) + straw * 0.35 * mix) * (0.15 + 0.85 * lit)[..., None]
        out = (
            out
            + (glow * (1 - mix) + straw * mix) * (through * lit)[..., None]
            + (rim * lit)[..., None] * rgb(0.8, 0.7, 0.27)
        )
        return out + (gloss * np.clip(patch, 0, 2) * (1 - u * u) * lit)[..., None] * rgb(
            0.42, 0.50, 0.48
        )

    ribbon(layer, grow(x, y, length, lean, bend, rng.uniform(1.2, 2.6), 0.06), half, shade)


def stem(layer: Layer, curve: Array, base: float, tip: float, tint: Array) -> None:
    """A round stalk: dark core, bright edge towards the sun, weak one on the other side."""

    def shade(t: Array, u: Array, lit: Array) -> Array:
        streak = 1 + 0.12 * wander(u.size, 24, 0.3) + 0.15 * wander(len(t), 40)[:, None]
        edge = 1.4 * np.exp(-(1 - u) / 0.28) + 0.3 * np.exp(-(1 + u) / 0.20)
        out = tint * ((0.20 + 0.45 * (1 - u * u)) * streak * (0.2 + 0.8 * lit))[..., None]
        return out + (edge * lit * streak)[..., None] * (tint * 1.2 + rgb(0.24, 0.18, 0.06))

    ribbon(
        layer,
        curve,
        lambda t: base + (tip - base) * t + 0.3 * np.exp(-(((t - 0.45) / 0.006) ** 2)),
        shade,
    )


def foxtail(
    layer: Layer, x: float, length: float, lean: float, nod: float, ear: float, light: float = 1.0
) -> None:
    """A bristle-grass ear: spiralled spikelets in a halo of back-lit bristles."""
    curve = grow(x, SOIL, length + ear, lean, nod, 3.4)
    cut, count = int(len(curve) * length / (length + ear)), int(ear * 3.2)
    stem(layer, curve[: cut + 6], 1.6, 0.85, vary(rgb(0.10, 0.12, 0.03), 0.1))
    axis, place, turn = (
        curve[cut:],
        np.sort(rng.random(count)) ** 0.95,
        np.arange(count) * 2.4 + rng.normal(0, 0.4, count),
    )
    girth = ear * 0.060 * np.clip(smooth(-0.12, 0.22, place) * (1 - 0.75 * place**3), 0.2, 1)
    heads = np.arctan2(np.gradient(axis[:, 0]), -np.gradient(axis[:, 1]))
    ax, ay, ah = (
        np.interp(place * (len(axis) - 1), np.arange(len(axis)), v) for v in (*axis.T, heads)
    )
    side, depth, sunward = (
        np.sin(turn),
        np.cos(turn),
        np.cos(ah) * np.sin(turn) * 0.8 - np.sin(ah) * np.sin(turn) * 0.6,
    )
    at = np.stack([ax + np.cos(ah) * side * girth, ay + np.sin(ah) * side * girth], 1)

    def bristles(pick: Array, n: int, bright: float) -> None:
        who = rng.choice(np.flatnonzero(pick), n)
        spread = side[who] * rng.uniform(0.35, 0.95, n) + rng.normal(0, 0.16, n)
        tone = (
            bright
            * light
            * np.exp(rng.normal(0, 0.5, n))
            * (0.4 + 0.6 * np.abs(side[who]))
            * (0.8 + 0.4 * sunward[who])
        )
        hairs(
            layer,
            at[who],
            ah[who] + spread,
            ear * rng.uniform(0.06, 0.17, n),
            0.4,
            tone[:, None] * rgb(1.0, 0.78, 0.32),
        )

    bristles(depth < 0.3, int(ear * 9), 0.95)
    for i in np.argsort(depth):
        edge = light * np.clip(0.30 + 0.5 * abs(side[i]) + 0.4 * sunward[i], 0.06, 1.2)
        husk = vary(rgb(0.095, 0.110, 0.025), 0.3) * light * (0.6 + 0.4 * max(depth[i], 0))
        bead(
            layer,
            at[i],
            ah[i] + side[i] * 0.45 + rng.normal(0, 0.12),
            ear * rng.uniform(0.04, 0.058),
            0.3,
            husk,
            edge,
        )
    bristles(depth > -0.3, int(ear * 2.6), 0.52)


def panicle(
    layer: Layer, x: float, length: float, lean: float, bend: float, light: float = 1.0
) -> None:
    """An airy grass panicle: thread-thin branches that end in small glowing spikelets."""
    curve = grow(x, SOIL, length, lean, bend, 2.2, 0.05)
    stem(layer, curve, 1.0, 0.3, vary(rgb(0.17, 0.13, 0.05), 0.1))
    for t in np.sort(rng.uniform(0.58, 1.0, 50)):
        out = rng.choice([-1, 1]) * rng.uniform(0.3, 1.1)
        tilt, tone = lean + bend * t**2.2 + out, light * rng.uniform(0.25, 0.6) * rgb(0.8, 0.6, 0.3)
        twig = grow(
            *curve[int(t * (len(curve) - 1))],
            rng.uniform(12, 48) * (1.25 - t) * 1.6 + 4,
            tilt,
            0.3 - out * 0.4,
            1,
            0.1,
        )
        ribbon(
            layer,
            twig,
            lambda s: np.full_like(s, 0.17),
            lambda s, u, _, c=tone: np.ones_like(s * u)[..., None] * c,
        )
        for j in rng.uniform(0.45, 1.0, rng.integers(2, 5)):
            husk, edge = vary(rgb(0.34, 0.22, 0.10), 0.3) * light, rng.uniform(0.4, 1.2) * light
            bead(
                layer,
                twig[int(j * (len(twig) - 1))],
                rng.normal(tilt - out * 0.4, 0.3),
                rng.uniform(3.5, 6),
                0.2,
                husk,
                edge,
            )


def clock(layer: Layer, x: float, length: float, lean: float, bend: float, radius: float) -> None:
    """A dandelion clock: a sphere of parachutes, some of them already gone."""
    curve = grow(x, SOIL, length, lean, bend, 1.4)
    stem(layer, curve, 2.3, 1.7, rgb(0.15, 0.11, 0.045))
    hub, n, rays = curve[-1], 118, 23
    turn, z = np.arange(n) * 2.39996 + rng.normal(0, 0.12, n), 1 - (2 * np.arange(n) + 1) / n
    d = np.stack(
        [np.sqrt(1 - z * z) * np.cos(turn), z, np.sqrt(1 - z * z) * np.sin(turn)], 1
    ) + rng.normal(0, 0.06, (n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    d = d[(d @ rgb(-0.78, -0.58, 0.22) < 0.84) | (rng.random(n) < 0.12)]
    for near in (False, True):
        if near:  # the receptacle hides the far half
            bead(
                layer,
                hub + (0, radius * 0.05),
                0.1,
                radius * 0.17,
                0.6,
                rgb(0.07, 0.06, 0.025),
                0.25,
            )
        part = d[(d[:, 2] > 0) == near]
        m, one, long = (
            len(part),
            np.ones((len(part), 1)),
            radius * rng.uniform(0.92, 1.07, len(part)),
        )
        flat, aim, foot = (
            long * np.hypot(*part.T[:2]),
            np.arctan2(part[:, 0], -part[:, 1]),
            long[:, None] * part[:, :2],
        )
        hairs(
            layer,
            hub + 0.1 * foot,
            aim,
            flat * 0.62,
            0.06,
            one * rgb(0.5, 0.4, 0.24) * (0.9 if near else 0.5),
            0.3,
            0.2,
        )
        hairs(
            layer,
            hub + 0.1 * foot,
            aim,
            flat * 0.15 + 0.5,
            0.0,
            one * rgb(0.11, 0.06, 0.03),
            0.2,
            0.0,
        )  # the seeds
        ring, flare = (
            np.cross(part[:, None], rng.normal(size=(m, rays, 3))),
            rng.normal(1.18, 0.13, (m, rays, 1)),
        )
        ring /= np.linalg.norm(
            ring, axis=-1, keepdims=True
        )  # any direction square to the seed's own
        ray = (part[:, None] * np.cos(flare) + np.sin(flare) * ring).reshape(-1, 3)
        reach = (
            np.repeat(long, rays)
            * rng.uniform(0.25, 0.33, m * rays)
            * np.hypot(ray[:, 0], ray[:, 1])
        )
        level = np.repeat(
            np.clip(0.36 + 0.62 * (part @ rgb(0.62, -0.72, -0.30)), 0.07, 1.2), rays
        ) * (0.95 if near else 0.65)
        tone = (level * np.exp(rng.normal(0, 0.45, m * rays)))[:, None] * rgb(
            1.0, 0.80, 0.47
        ) + rgb(0.064, 0.055, 0.032)
        hairs(
            layer,
            np.repeat(hub + 0.7 * foot, rays, 0),
            np.arctan2(ray[:, 0], -ray[:, 1]),
            reach,
            0.15,
            tone,
            0.1,
            0.8,
        )


def poppy(layer: Layer, x: float, length: float, lean: float, bend: float, size: float) -> None:
    """A poppy from the side: four crumpled petals the sun shines through, on a hairy stalk."""
    curve, k, n = grow(x, SOIL, length, lean, bend, 1.8, 0.05), 500, int(size * layer.scale * 3.2)
    stem(layer, curve, 1.4, 1.05, rgb(0.075, 0.09, 0.035))
    at, away = (
        curve[rng.integers(10, len(curve) - 2, k)],
        rng.choice([-1, 1], k) * rng.uniform(1.1, 1.8, k) + lean,
    )
    tone = rng.uniform(0.2, 0.9, (k, 1)) * smooth(525, 330, at[:, 1:]) * rgb(0.75, 0.58, 0.28)
    hairs(layer, at, away, rng.uniform(2, 6, k), 0.3, tone)
    covered, c, s = np.zeros(len(layer.data), bool), np.cos(lean + bend), np.sin(lean + bend)
    v, h = np.linspace(0.02, 1, n)[:, None], np.linspace(-1, 1, n)[None, :]
    for azimuth, big in ((1.7, 1.0), (3.4, 1.05), (0.25, 0.98), (4.9, 0.9)):
        wave = sum(
            a * np.sin(f * h + 1.5 * v + rng.uniform(0, 6))
            for f, a in ((2.7, 0.7), (5.7, 0.5), (10, 0.2), (19, 0.06))
        )
        crease, veins = wander(n, 60, 0.9)[None], wander(n, 240, 0.9)[None]
        out = (
            0.12
            + 0.62 * np.sin(1.65 * v) ** 0.9
            + 0.13 * wave * v**2.5
            + 0.025 * crease * v**1.5
            + 0.12 * v**6
        )
        up = 1.05 * v**1.7 * (1 - 0.20 * h**2) + 0.08 * wave * v**2.5 - 0.06 * h**4
        turn = azimuth + h * (0.25 + 0.75 * v**0.5) * 1.1
        sheet = (
            size
            * big
            * np.stack([out * np.sin(turn), up + out * np.cos(turn) * 0.26, out * np.cos(turn)], -1)
        )
        normal = np.cross(np.gradient(sheet, axis=0), np.gradient(sheet, axis=1))
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
        through = (
            np.abs(normal @ rgb(0.50, 0.45, -0.74)) ** 1.2 * (1 + 0.15 * veins * (1 - 0.5 * v))
        )[..., None]
        rim = (np.exp((v - 1) / 0.015) + 0.4 * np.exp((np.abs(h) - 1) / 0.015))[..., None]
        colour = (
            rgb(0.085, 0.005, 0.004)
            + through * rgb(0.72, 0.042, 0.014)
            + through**3 * rgb(0.30, 0.12, 0.02)
        )
        colour = (colour + rim * rgb(0.35, 0.12, 0.04)) * (
            0.15 + 0.85 * smooth(0.0, 0.4, v + 0.04 * crease)
        )[..., None]
        px, py = (
            curve[-1, 0] + sheet[..., 0] * c + sheet[..., 1] * s,
            curve[-1, 1] - sheet[..., 1] * c + sheet[..., 0] * s,
        )
        idx, ok = layer.index(px, py)
        colour[ok] *= 1 - covered[idx][:, None] * rgb(
            0.45, 0.78, 0.65
        )  # light a petal behind has filtered already
        layer.splat(px, py, colour)
        covered[idx] = True


def background() -> Array:
    """Forest edge, bokeh and meadow, already out of focus (linear RGB)."""
    leaf = np.exp(0.8 * clouds(26) + 0.5 * clouds(11))
    mass = smooth(-0.5, 1.5, clouds(60, 0.6) + 1.2 * np.exp(-((TO_SUN / 200) ** 2)))
    sky = 1 + 1.6 * np.exp(-TO_SUN / 260) * smooth(-0.4, 1.3, clouds(17))
    forest = ((0.006 + 0.055 * leaf * mass) * sky)[..., None] * rgb(0.66, 0.80, 0.20)
    forest += (0.55 * np.exp(-((TO_SUN / 100) ** 2)) + 0.10 * np.exp(-TO_SUN / 130))[
        ..., None
    ] * rgb(1.0, 0.70, 0.26)
    far, tufts = (
        smooth(215, 480, YY)[..., None],
        np.exp(0.35 * clouds(16, 5) + 0.40 * clouds(11, 2)),
    )
    field = (tufts * sunny(XX))[..., None] * (
        rgb(0.20, 0.165, 0.035) * (1 - far) + rgb(0.03, 0.045, 0.01) * far
    )
    edge, dapple = smooth(190, 268, YY + 12 * clouds(30))[..., None], clouds(5)
    image = defocus(forest * (1 - edge) + field * edge, 17)
    for i in range(
        480
    ):  # bokeh: sky between leaves and glints on the meadow; last, flowers as faint wide dabs
        flower, low = i >= 420, rng.random() < 0.35
        bx = (
            rng.normal(SUN[0], 190) if rng.random() < 0.75 and not flower else rng.uniform(-20, 790)
        )
        by = (
            232 + 170 * rng.random() ** 1.5
            if flower
            else rng.uniform(205, 420)
            if low
            else abs(rng.normal(0, 95)) - 20
        )
        dist = np.hypot(XX - bx, (YY - by) * (rng.uniform(1, 1.4) if flower else 1))
        if flower:
            dab = (
                rng.uniform(0.1, 0.45)
                * smooth(1.35, 0.5, (dist + 3 * dapple) / rng.uniform(9, 15))[..., None]
            )
            hue = rng.choice(
                [(0.40, 0.04, 0.015), (0.42, 0.36, 0.20), (0.45, 0.28, 0.02)], p=(0.5, 0.3, 0.2)
            )
            image = image * (1 - dab) + vary(hue, 0.2) * dab * sunny(bx)
            continue
        radius, soft = (
            rng.uniform(9, 24) * (1 - (by - 205) / 330 if low else 1),
            rng.uniform(1.2, 5),
        )
        power = (
            rng.gamma(0.55, 0.17)
            * (0.15 + 1.1 * np.exp(-np.hypot(bx - SUN[0], by - SUN[1]) / 230))
            * (0.45 if low else 1)
        )
        clip = np.hypot(
            XX - bx + (bx - WIDTH / 2) / 800 * radius, YY - by + (by - HEIGHT / 2) / 800 * radius
        )  # cat's eye
        shape = smooth(radius + soft, radius - soft, dist) * smooth(
            radius * 1.08 + 2, radius * 1.08 - 2, clip
        )
        hue = vary(rgb(1.0, 0.74, 0.28) if rng.random() < 0.7 else rgb(0.62, 0.66, 0.16), 0.2)
        image += (shape * (0.75 + 0.25 * (dist / radius) ** 4) * power)[..., None] * hue
    return image


def sward(layer: Layer, count: int, base: float, tall: float, width: float, light: float) -> Layer:
    """Tufts of grass rooted at ``base``, brighter on the sun's side."""
    tufts = rng.uniform(-60, WIDTH + 60, max(count // 9, 1))
    for _ in range(count):
        x, dry = rng.choice(tufts) + rng.normal(0, 16), rng.choice([0, 0, 0, 0.25, 0.85])
        blade(
            layer,
            x,
            base + rng.uniform(0, 35),
            rng.gamma(5, 0.2) * tall,
            rng.normal(0.02, 0.22),
            rng.normal(0.1, 0.8),
            rng.gamma(5, 0.2) * width,
            (0.15 + sunny(x)) * light,
            dry,
        )
    return layer


def paint() -> tuple[Image.Image, Image.Image]:
    """The still and its mask, from the far trees to the grass at our feet."""
    image = background()
    for depth, count in ((1.0, 260), (0.72, 240), (0.45, 200)):
        image = sward(Layer(2), count, 560 - 190 * depth, 150 - 70 * depth, 2.2 - depth, 0.75).over(
            image, 2 + 9.5 * depth
        )
    ghosts, sharp = Layer(2), Layer(4)
    for x, tall, nod, ear in (
        (70, 290, 1.5, 95),
        (545, 215, 1.4, 85),
        (725, 280, -1.4, 100),
    ):  # the same plants, further back
        foxtail(ghosts, x, tall, rng.normal(0, 0.06), nod, ear, 0.85)
    poppy(ghosts, 58, 205, -0.05, 0.2, 38)
    poppy(ghosts, 392, 190, 0.0, -0.3, 34)
    image = sward(Layer(2), 150, 520, 120, 2.2, 0.9).over(ghosts.over(image, 8.5), 4.0)
    image = sward(Layer(2), 130, 525, 105, 2.2, 0.9).over(image, 1.6)
    for x, side in (
        (250, -1.2),
        (318, 1.2),
        (455, -0.9),
        (590, -0.8),
        (628, 0.7),
    ):  # broad leaves, behind and before
        blade(sharp, x, SOIL, rng.uniform(190, 265), side * 0.28, side, rng.uniform(2.8, 4.4))
    panicle(sharp, 566, 390, -0.08, 0.40)
    foxtail(sharp, 300, 250, -0.32, -1.45, 116)
    poppy(sharp, 596, 285, 0.10, 0.25, 54)
    clock(sharp, 455, 285, 0.17, -0.20, 60)
    foxtail(sharp, 338, 345, -0.12, 1.75, 140)
    panicle(sharp, 236, 340, 0.08, -0.25, 0.9)
    for x, side in ((225, -0.9), (295, 1.2), (372, -0.8), (510, 1.1), (652, -0.9)):
        blade(sharp, x, SOIL, rng.uniform(160, 240), side * 0.2, side, rng.uniform(3.2, 4.8))
    shape = sharp.data[:, 3].reshape(FULL_H, 4, FULL_W, 4).mean((1, 3))
    sward(sharp, 230, 530, 85, 2.0, 1.0)  # the tangle at the foot
    return finish(np.clip(sharp.over(image), 0, 4)), hurried_mask(shape)


def finish(linear: Array) -> Image.Image:
    """Lens, film and encoding."""
    linear = 0.90 * linear + sum(
        a * ndimage.gaussian_filter(linear, (s, s, 0)) for a, s in ((0.07, 5), (0.05, 40))
    )
    veil = (0.03 * np.exp(-TO_SUN / 230))[..., None] * rgb(1.0, 0.66, 0.3)
    fall = 1 - 0.45 * smooth(
        0.3, 1.1, np.hypot((XX - WIDTH / 2) / WIDTH, (YY - HEIGHT / 2) / HEIGHT) * 1.6
    )
    x = (ndimage.gaussian_filter(linear, (0.42, 0.42, 0)) + veil) * fall[..., None] * 1.7
    x = np.clip(
        x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1
    )  # a filmic shoulder, then sRGB
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    luma = (srgb @ rgb(0.3, 0.6, 0.1))[..., None]
    grain = ndimage.gaussian_filter(rng.normal(size=luma.shape), (0.5, 0.5, 0))
    srgb += rgb(0.010, 0.006, 0.024) * (1 - luma) ** 3 + grain / grain.std() * (
        0.004 + 0.007 * (1 - luma)
    )
    return Image.fromarray(
        (np.clip(srgb[PAD:-PAD, PAD:-PAD], 0, 1) * 255 + 0.5).astype(np.uint8), "RGB"
    )


def hurried_mask(shape: Array) -> Image.Image:
    """A loose, blobby selection around the plants, as a broad brush leaves it."""
    gap = ndimage.distance_transform_edt(
        ~ndimage.binary_closing(ndimage.gaussian_filter(shape, 1.2) > 0.10, iterations=3)
    )
    near = (gap + 3.2 * clouds(13) < 13).astype(float)
    blob = ndimage.binary_opening(ndimage.gaussian_filter(near, 3.5) > 0.5, iterations=4)[
        PAD:-PAD, PAD:-PAD
    ]
    return Image.fromarray(
        (ndimage.gaussian_filter(blob.astype(float), 1.0) * 255 + 0.5).astype(np.uint8), "L"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(("still.png", "still_mask.png"), paint()):
        picture.save(folder / name, optimize=True)
