"""Remake the templates' pictures: each shows what its template does, on the stills that ship.

    PYTHONPATH=. python tests/host/make_thumbnails.py

Takes about a minute. No host is needed: motions come from the core.
"""

from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from gid_core import pipeline
from gid_core.config import ElasticConfig
from gid_core.elastic.prior import ElasticPrior
from gid_core.evaluation.viz import heat
from gid_core.files import stills
from gid_core.still.grid import fitted

PACK = Path(__file__).parents[2]
EXAMPLES = PACK / "nodes/examples"
SIZE, QUALITY = (512, 341), 85
INK, WARM, COOL, GREEN = (255, 255, 255), (255, 120, 60), (80, 160, 255), (90, 220, 120)
OAK = "a lone oak tree on a grassy hill, fine summer leaves, soft evening light"


def main() -> None:
    meadow, mask = (_example(kind, "meadow") for kind in ("", "_mask"))
    lanterns, strings = (_example(kind, "lanterns") for kind in ("", "_mask"))
    clouds, candle, river = (_example("", name) for name in ("clouds", "candle", "river"))
    flowers = _clip_frames(EXAMPLES / "flowers.mp4", 2)
    winds = [_moved(meadow, mask, seed) for seed in range(4)]
    refined = winds[0][1]
    held = np.zeros_like(refined)
    held[round(0.86 * len(held)) :] = 1
    amount = winds[0][2]
    pictures = {
        "Animate a photo": _blown(winds[0][0]),
        "Photo to loop": _tinted(_picture(meadow), refined, GREEN),
        "Photo to loop, with an anchor": _tinted(
            _tinted(_picture(meadow), refined * (1 - held), GREEN), held, COOL
        ),
        "Photo to loop, nothing painted": Image.blend(_picture(meadow), amount, 0.6),
        "Photo to loop, by words (SAM3)": _said(
            _tinted(_picture(meadow), refined, WARM), "flowers", (256, 300), 34
        ),
        "Text to loop (Stable Diffusion 1.5)": _prompted(_picture(meadow), "Stable Diffusion 1.5"),
        "Text to loop (Z-Image)": _prompted(ImageOps.mirror(_picture(meadow)), "Z-Image"),
        "Photo to poke": _arrow(_picture(meadow), (322, 157), (415, 120)),
        "Text to poke (Stable Diffusion 1.5)": _arrow(
            _prompted(_picture(meadow), "Stable Diffusion 1.5"), (40, 250), (470, 225)
        ),
        "Clip to calm loop": _film(flowers[0]),
        "Motion of a clip on a photo": _onto(_film(flowers[0]), _picture(meadow)),
        "Any clip to a loop": _circle(_film(Image.blend(*flowers, 0.5))),
        "Four variations, pick one": _four([frames[i] for i, (frames, *_) in enumerate(winds)]),
        "Clip's motion, calmed band by band": _bars(_film(flowers[0])),
        "Camera and sway": _arrow(
            _arrow(_picture(meadow), (256, 300), (96, 300)), (256, 300), (416, 300)
        ),
        "Camera and sway, by depth (Depth Anything 3)": _arrow(
            _arrow(_half_depth(_picture(meadow), refined), (256, 310), (96, 310)),
            (256, 310),
            (416, 310),
        ),
        "Two kinds in one photo, camera over all": _tinted(
            _tinted(_picture(meadow), refined * (1 - held), WARM), held, GREEN
        ),
        "Clouds over a meadow that sways": _arrow(_picture(clouds), (90, 80), (420, 80)),
        "A river behind reeds": _arrow(_picture(river), (60, 235), (330, 235)),
        "A candle, flame, smoke and light": _picture(candle),
        "Loop on the beat": _said(_picture(meadow), "100 bpm", (256, 300), 40),
        "Keep a motion and use it again": _said(
            _tinted(_picture(lanterns), _array(strings), WARM), "motion.safetensors", (256, 300), 28
        ),
    }
    for name, picture in pictures.items():
        path = PACK / "workflows" / f"{name}.jpg"
        picture.convert("RGB").save(path, quality=QUALITY, optimize=True)


def _example(kind, name):
    read = stills.read_mask if kind else stills.read_still
    ending = "png" if kind else "webp"
    return fitted(read(EXAMPLES / f"{name}{kind}.{ending}")[None], SIZE[0])


def _picture(still):
    return Image.fromarray(stills.to_bytes(still[0])).resize(SIZE)


def _array(mask):
    return np.asarray(_picture(mask).convert("L"), float) / 255


def _moved(still, mask, seed):
    """Four moments of a motion, its refined mask, and a map of how far things move."""
    model = ElasticPrior(ElasticConfig(longest_side=96))
    spectrum, _ = pipeline.sample_motion(still, mask, seed=seed, model=model)
    motion, _ = pipeline.play(spectrum, 40, 8.0, gain=3.0)
    wanted = range(0, 40, 10)
    frames = [pipeline.render(still, motion, frames=range(t, t + 1)) for t in wanted]
    frames = [_picture(next(rendered)[0][None]) for rendered in frames]
    amount = spectrum.coeffs[0].abs().square().sum((0, 1)).sqrt()
    amount = (amount / amount.quantile(0.98)).clamp(0, 1)
    return frames, _array(spectrum.mask), _picture(heat(amount)[None])


def _clip_frames(path, count):
    with av.open(str(path)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    return [frames[i * len(frames) // count].resize(SIZE) for i in range(count)]


def _blown(frames):
    """All moments in one picture, as a long exposure shows them."""
    mean = np.mean([np.asarray(frame, float) for frame in frames], 0)
    return Image.fromarray(np.uint8(mean))


def _tinted(picture, where, colour):
    tint = Image.fromarray(np.uint8(130 * np.clip(where, 0, 1)))
    return Image.composite(Image.new("RGB", SIZE, colour), picture, tint)


def _font(size):
    return ImageFont.load_default(size)


def _said(picture, words, at, size):
    """Words in a pill, centred at a point."""
    draw, font = ImageDraw.Draw(picture), _font(size)
    box = draw.textbbox(at, words, font, anchor="mm")
    pad = size // 2
    around = box[0] - pad, box[1] - pad // 1.5, box[2] + pad, box[3] + pad // 1.5
    draw.rounded_rectangle(around, size, fill=(24, 24, 24))
    draw.text(at, words, INK, font, anchor="mm")
    return picture


def _prompted(picture, model):
    picture = Image.blend(picture, Image.new("RGB", SIZE), 0.45)
    draw = ImageDraw.Draw(picture)
    words, lines, font = OAK.split(), [""], _font(26)
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        fits = draw.textlength(longer, font) < SIZE[0] - 60
        lines = [*lines[:-1], longer] if fits else [*lines, word]
    draw.multiline_text((30, 36), "\n".join(lines), INK, font, spacing=10)
    draw.text((30, SIZE[1] - 44), model, WARM, _font(22))
    return picture


def _arrow(picture, begin, end):
    draw, (begin, end) = ImageDraw.Draw(picture), np.array((begin, end), float)
    along = (end - begin) / np.linalg.norm(end - begin)
    across = np.array((-along[1], along[0]))
    head = [end, end - 26 * along + 14 * across, end - 26 * along - 14 * across]
    draw.line([*begin, *(end - 20 * along)], INK, 8)
    draw.polygon([tuple(p) for p in head], INK)
    draw.ellipse([*(begin - 14), *(begin + 14)], outline=INK, width=5)
    return picture


def _film(picture):
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for top in (0, SIZE[1] - 34):
        draw.rectangle([0, top, SIZE[0], top + 34], (16, 16, 16))
        for x in range(12, SIZE[0], 40):
            draw.rounded_rectangle([x, top + 9, x + 22, top + 25], 4, (220, 220, 220))
    return picture


def _onto(clip, still):
    """The clip's left half beside the still's right one, and an arrow between them."""
    half = SIZE[0] // 2
    still.paste(clip.crop((half // 2, 0, half + half // 2, SIZE[1])), (0, 0))
    return _arrow(still, (half - 70, 170), (half + 80, 170))


def _half_depth(picture, near):
    """Its right half as a depth: what is near is white, and the ground comes nearer downwards."""
    ground = np.linspace(0, 0.6, SIZE[1])[:, None]
    depth = Image.fromarray(np.uint8(255 * np.maximum(ground, 0.9 * near)))
    half = SIZE[0] // 2
    picture.paste(depth.convert("RGB").crop((half, 0, *SIZE)), (half, 0))
    return picture


def _bars(picture):
    """Bars of an equalizer that fall towards the right."""
    draw = ImageDraw.Draw(picture)
    for i, height in enumerate((150, 120, 80, 50, 30, 16)):
        left = 140 + 40 * i
        draw.rectangle([left, SIZE[1] - 60 - height, left + 26, SIZE[1] - 60], INK)
    return picture


def _circle(picture):
    draw, (x, y) = ImageDraw.Draw(picture), (SIZE[0] / 2, SIZE[1] / 2)
    draw.arc([x - 70, y - 70, x + 70, y + 70], -60, 250, INK, 12)
    draw.polygon([(x + 8, y - 84), (x + 62, y - 62), (x + 14, y - 28)], INK)
    return picture


def _four(frames):
    sheet = Image.new("RGB", SIZE)
    for i, frame in enumerate(frames):
        at = i % 2 * (SIZE[0] + 4) // 2, i // 2 * (SIZE[1] + 4) // 2
        sheet.paste(frame.resize(((SIZE[0] - 4) // 2, (SIZE[1] - 4) // 2)), at)
        _said(sheet, str(i + 1), (at[0] + 28, at[1] + 28), 24)
    return sheet


if __name__ == "__main__":
    with torch.inference_mode():
        main()
