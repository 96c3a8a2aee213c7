"""Measure the loops of a folder of stills at default settings, as a table.

    python benchmarks/quality.py FOLDER [--seed 0] [--renderer splat]

The folder holds NAME.png and NAME_mask.png. Frames are rendered as `animate` renders them: by the
network that comes along, or with `--renderer splat` without it. Columns:
  slope     log-log slope of the moving area's median amplitude spectrum, 0.2 ... 3.2 Hz
  fold      least Jacobian determinant of any cell inside a part in any frame (0 or less would fold)
  amp       amplitude, % of the longer side (asked for: 1)
  parts     connected parts, and the peak of the one that moves least, px of the picture
  seam D    |D(T) - D(0)| and the same of velocity (x one frame), px
  wrap      last-to-first step of the rendered frames / largest step inside
  mp4       growth of the wrap's step by encoding / that of a keyframe's step, forced in the
            middle half of the clip where the step is most like the wrap's (noise adds less to a
            larger one)
  leak      pixels that differ from the still farther from the refined mask than anything moves
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gid_core import pipeline
from gid_core.config import ElasticConfig
from gid_core.elastic import sheet, unfolding
from gid_core.files import stills, video
from gid_core.motion import playback
from gid_core.motion.displacement import peaks
from gid_core.motion.spectrum import amplitude_pct, counting, displacement_at, moving_points
from gid_core.render.renderer import load_renderer, shipped_renderer

FRAMES, FPS = 150, 30
COLUMNS = ("still", "slope", "fold", "amp", "parts", "seam D", "wrap", "mp4", "leak")


def measure(path: Path, seed: int, model) -> list[str]:
    still = stills.read_still(path)[:3]
    mask = stills.read_mask(path.with_name(path.stem + "_mask.png"))[None]
    spectrum, _ = pipeline.sample_motion(still[None], mask, seed=seed)
    motion, _ = playback.play(spectrum, FRAMES, FPS)
    moving = moving_points(spectrum)
    size = max(still.shape[-2:])

    counted = counting(moving[0, 0])
    amplitude = spectrum.coeffs[0].abs().square().sum(1).sqrt()[:, counted].median(1).values
    slope = np.polyfit(spectrum.frequencies_hz.log(), amplitude.log(), 1)[0]

    refined = spectrum.mask
    solved = sheet.solve(still[None], refined, config=ElasticConfig())
    cells = torch.from_numpy(solved.inside)
    fold = unfolding.least_jacobian(motion.at(0)).amin(0)[cells].min()
    peak = peaks(motion, 0).flatten() * size / max(spectrum.grid)
    least = min(float(peak[torch.from_numpy(part.nodes)].max()) for part in solved.parts)

    period = FRAMES / FPS
    h = 1 / FPS / 10
    # In double precision: the difference of a difference would measure its own rounding.
    exact = replace(spectrum, coeffs=spectrum.coeffs.to(torch.complex128))
    times = torch.tensor([0, period, h, period + h], dtype=torch.float64)
    ends = displacement_at(exact, times)[0]
    position = (ends[1] - ends[0]).abs().max()
    velocity = ((ends[3] - ends[1]) - (ends[2] - ends[0])).abs().max() * 10

    frames = torch.stack([frame for frame, _ in pipeline.render(still[None], motion, model=model)])
    inside, wrap = steps(frames)
    with tempfile.TemporaryDirectory() as folder:
        plain = encode(frames, Path(folder) / "a.mp4", None)
        alike = most_alike(inside, wrap)
        forced = encode(frames, Path(folder) / "b.mp4", alike + 1)
    grown = steps(plain)[1] - wrap, steps(forced)[0][alike] - inside[alike]

    far = int(peak.max().ceil()) + 2
    near = F.max_pool2d((refined > 0).float(), 2 * far + 1, 1, far)[0, 0] > 0
    leak = int(((frames != still).any(0).any(0) & ~near).sum())
    return [
        path.stem,
        f"{slope:.2f}",
        f"{fold:.2f}",
        f"{float(amplitude_pct(motion, moving)):.3f}",
        f"{len(solved.parts)}, {least:.2f}",
        f"{position:.0e}, {velocity:.0e}",
        f"{wrap / inside.max():.2f}",
        f"{grown[0]:.5f} / {grown[1]:.5f}",
        str(leak),
    ]


def steps(frames):
    """Root-mean-square steps inside a clip, and from its last frame to its first."""
    inside = (frames[1:] - frames[:-1]).square().mean((1, 2, 3)).sqrt()
    return inside, (frames[0] - frames[-1]).square().mean().sqrt()


def most_alike(inside, wrap) -> int:
    """The step in the middle half of a clip that is most like the wrap's."""
    first = len(inside) // 4
    return first + int((inside[first : 3 * first] - wrap).abs().argmin())


def encode(frames, path, keyframe):
    """With our encoder's settings, a keyframe forced somewhere if asked for, and back."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS)
        stream.height, stream.width = (n + n % 2 for n in frames.shape[-2:])
        stream.pix_fmt, stream.options = "yuv420p", video.X264
        for t, frame in enumerate(frames):
            picture = video.as_picture(frame, "yuv420p")
            if t == keyframe:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    height, width = frames.shape[-2:]
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1)[..., :height, :width].float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stills", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--renderer", choices=("learned", "splat"), default="learned")
    args = parser.parse_args()
    model = load_renderer(shipped_renderer()) if args.renderer == "learned" else None
    names = [p for p in sorted(args.stills.glob("*.png")) if not p.stem.endswith("_mask")]
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for path in names:
        print("| " + " | ".join(measure(path, args.seed, model)) + " |", flush=True)


if __name__ == "__main__":
    main()
