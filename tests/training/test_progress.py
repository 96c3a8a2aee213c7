import numpy as np
import pytest
import torch
from PIL import Image

from gid_core.config import PRESETS, RENDERERS, RendererConfig
from gid_core.diffusion.encoding import Encoding
from gid_core.diffusion.motion_model import fresh
from gid_core.render.network import fresh_renderer
from gid_core.training.data import Scenes
from gid_core.training.objectives import STAGES
from gid_core.training.progress import HEIGHT, SCENE, SHOWN, curve, draw, draw_frames

HERTZ = torch.arange(1, 17) / 5
LOG = "step,seconds,loss,l1,kl\n10,1.0,2.0,1.5,0.5\n20,2.0,1.0,0.8,0.2\n"


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_picture(tmp_path, stage):
    (tmp_path / "log.csv").write_text(LOG)
    model = fresh(PRESETS["tiny"], Encoding(HERTZ, 0.1 / HERTZ)).eval()
    draw(tmp_path, stage, Scenes((40, 64), 3))(model, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.height == SHOWN * (HEIGHT + 4) - 4 and sheet.width == 5 * (160 + 4) - 4
        assert np.asarray(sheet).std() > 20
    assert {p.name for p in tmp_path.iterdir()} == {"log.csv", "log.png", "a.png"}


@pytest.mark.parametrize("config", [RENDERERS["tiny"], RendererConfig((4,) * 4, (4,) * 4, 1)])
def test_a_renderer_has_its_picture(tmp_path, config):
    (tmp_path / "log.csv").write_text(LOG)
    draw_frames(tmp_path)(fresh_renderer(config).eval(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as sheet:
        pixels = np.asarray(sheet).astype(float)
    assert pixels.shape[0] > SHOWN * SCENE[0]
    width = SCENE[1]
    row = pixels[: SCENE[0]]
    cells = (row[:, i * (width + 4) :][:, :width] for i in range(4))
    still, moved, made, frame = cells
    assert (moved == made).all()  # untrained
    assert np.abs(moved - frame).mean() < np.abs(still - frame).mean()


def test_a_falling_loss_is_a_falling_line(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    curve(tmp_path / "log.csv", tmp_path / "log.png")
    with Image.open(tmp_path / "log.png") as image:
        dark = np.asarray(image.convert("L"))[20:-40, 300:500] < 90
    rows = [np.nonzero(column)[0].min() for column in dark.T if column.any()]
    assert rows[-1] > rows[0] + 10
