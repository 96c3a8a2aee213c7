"""Make the files that Example Still and Load Motion Spectrum show: nodes/examples/.

    PYTHONPATH=. python docs/demo/make_examples.py

Takes some minutes. The meadow is the demo still of paint.py, clouds and candle are from
paint_flows.py, the river from paint_river.py, lanterns and flowers are scenes of gid_core/scenes.
Motions are kept on small grids, so that their files are small.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import paint_flows
import paint_river
import torch
from PIL import Image
from scipy import ndimage

from gid_core import pipeline
from gid_core.config import ElasticConfig, ExtractionConfig
from gid_core.elastic.prior import ElasticPrior
from gid_core.files import spectra, stills, video
from gid_core.footage.extraction import extract
from gid_core.footage.flow import variational
from gid_core.scenes.synthetic import make_scene
from gid_core.still.grid import grid_size, reduced, resize_displacement

DEMO = Path(__file__).parent
OUT = DEMO.parents[1] / "nodes/examples"
GRID, READ = 48, 144  # longest side of the grids of motions, and of that a clip is read on
FPS, SECONDS = 15.0, 5
PAINT_PX = 7  # by how much a hurried hand paints beyond what moves


def main() -> None:
    meadow = stills.read_still(DEMO / "still.png")
    mask = stills.read_mask(DEMO / "still_mask.png")
    _write("meadow", meadow, mask[0].numpy())
    prior = ElasticPrior(ElasticConfig(longest_side=GRID))
    small = (reduced(picture[None], 3) for picture in (meadow, mask))  # so is the mask in the file
    motion, _ = pipeline.sample_motion(*small, model=prior)
    spectra.save_spectrum(motion, OUT / "meadow in a breeze.safetensors")

    lanterns = make_scene(3, (512, 768), "lanterns")
    moved = lanterns.frame(1.0).displacement.square().sum(0).sqrt().numpy() > 0.05
    mask = ndimage.binary_dilation(moved, iterations=PAINT_PX)
    _write("lanterns", lanterns.frame(0.0).image, mask)

    still, plants = paint_flows.clouds()
    _write("clouds", still, ndimage.binary_dilation(plants, iterations=PAINT_PX), quality=78)
    still, water, reeds = paint_river.river()
    # Painted short of stones and shores, so that none of them flows along.
    water = ndimage.binary_erosion(water, iterations=PAINT_PX, border_value=1)
    _write("river", still, water, quality=78)
    _write_mask("river_reeds_mask", ndimage.binary_dilation(reeds, iterations=PAINT_PX))
    still, flame, unlit, smoke = paint_flows.candle()
    _write("candle", still, flame)
    _write_mask("candle_anchor", unlit)
    _write_mask("candle_smoke_mask", ndimage.gaussian_filter(smoke.astype(float), 9))

    flowers = make_scene(5, (288, 432), "flowers")
    frames = [flowers.frame(t / FPS).image for t in range(round(FPS * SECONDS))]
    video.save_clip(OUT / "flowers.mp4", frames, FPS, ".mp4", crf=23)
    found = extract(frames, FPS, ExtractionConfig(longest_side=READ), variational())
    spectra.save_spectrum(_coarse(found.spectrum), OUT / "flowers in a clip.safetensors")


def _coarse(motion):
    """A recorded motion on a grid of `GRID`."""
    size = grid_size(*motion.grid, GRID)
    real, imaginary = (
        resize_displacement(x, size) for x in (motion.coeffs.real, motion.coeffs.imag)
    )
    mean, drift = (resize_displacement(x, size) for x in (motion.mean, motion.drift))
    return replace(motion, coeffs=torch.complex(real, imaginary), mean=mean, drift=drift)


def _write(name, still, mask, quality=92) -> None:
    picture = Image.fromarray(stills.to_bytes(still))
    picture.save(OUT / f"{name}.webp", quality=quality, method=6)
    _write_mask(f"{name}_mask", mask)


def _write_mask(name, mask) -> None:
    Image.fromarray(np.uint8(255 * np.float32(mask))).save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
