"""Draw the icon (400 x 400) and the banner (1260 x 540): blades in one wind, at four moments.

    python docs/brand/draw.py

Every blade bends by the first mode of a clamped beam. Neighbours follow each other as a gust
reaches them. All of it is ours.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
FINER = 4  # drawn so many times larger
MOMENTS = 4
GROUND, SKY, GLOW = (16, 42, 36), (28, 74, 66), (240, 214, 138)
BLADE = (122, 196, 132)


def bend(s: np.ndarray) -> np.ndarray:
    """Deflection of a clamped beam under an even load, 0 at the foot and 1 at the tip."""
    return s**2 * (s**2 - 4 * s + 6) / 3


def picture(width: int, height: int, blades: int, seed: int) -> Image.Image:
    """Blades on a ground of dusk, each at four moments, the last one bright."""
    size = width * FINER, height * FINER
    fall = np.linspace(0, 1, size[1])[:, None, None]
    ground = np.array(SKY) * (1 - fall) + np.array(GROUND) * fall
    image = Image.fromarray(np.uint8(np.broadcast_to(ground, (size[1], size[0], 3)))).convert("RGB")
    draw = ImageDraw.Draw(image, "RGBA")
    sun = 0.17 * size[1]
    x, y = 0.74 * size[0], 0.30 * size[1]
    draw.ellipse([x - sun, y - sun, x + sun, y + sun], fill=(*GLOW, 235))
    rng = np.random.default_rng(seed)
    s = np.linspace(0, 1, 60)
    for k in range(blades):
        foot = (k + 0.5) / blades * 1.1 - 0.05
        tall = (0.45 + 0.42 * rng.random()) * size[1]
        for moment in range(MOMENTS):
            sway = np.sin(2 * np.pi * (0.16 * moment + 0.9 * foot)) * 0.16 + 0.1
            xs = foot * size[0] + sway * size[1] * bend(s)
            ys = size[1] * 1.02 - tall * s
            half = 0.016 * size[1] * (1 - s) ** 0.7
            outline = [*zip(xs - half, ys), *zip((xs + half)[::-1], ys[::-1])]
            alpha = (46, 70, 105, 255)[moment]
            draw.polygon(outline, fill=(*BLADE, alpha))
    return image.resize((width, height), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    picture(400, 400, 7, 4).save(HERE / "icon.png", optimize=True)
    picture(1260, 540, 22, 5).save(HERE / "banner.jpg", quality=88)
