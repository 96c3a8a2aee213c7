"""Remake the workflows' pictures by running the workflows in the host, on the demo still.

    PYTHONPATH=. python tests/host/make_thumbnails.py [NAME ...]

Takes some minutes. text_to_loop runs on the demo still in place of its checkpoint's picture; the
foreign clip is the demo still in motion, cut off where it does not close; what sways in a clip are
flowers of gid_core/scenes/synthetic.py.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import hosts
import numpy as np
from graphs import WORKFLOWS, assert_ran, decoded, demo_inputs, filmed, find, saved, workflow
from PIL import Image
from test_host_workflows import CLIPS, without_checkpoint

from gid_core.scenes.synthetic import make_scene

WIDTH, QUALITY = 512, 85
GAP = 4
MOMENTS = 4
SWAYING = 5, (384, 576), "flowers"  # seed, size and kind of the scene
SWAYING_FPS = 15


def run(host: hosts.Host, prompt: dict) -> np.ndarray:
    """The frames of the video that a workflow saves."""
    ran = host.run(prompt, limit_s=1200)
    assert_ran(ran)
    return decoded(saved(host, ran, find(prompt, "SaveVideo")))[0]


def prepare(host: hosts.Host, names: list[str]) -> None:
    """The demo still at its own size, and the clips that the workflows of these names load."""
    folder = host.folder("input")
    demo_inputs(folder, 768)
    if set(names) & set(CLIPS):
        scene = make_scene(*SWAYING)
        frames = (scene.frame(t / SWAYING_FPS).image for t in range(5 * SWAYING_FPS))
        frames = (np.uint8(frame.movedim(0, -1).numpy() * 255 + 0.5) for frame in frames)
        filmed(folder / "image_dynamics_swaying.mp4", SWAYING[1][::-1], frames, SWAYING_FPS)
    if "foreign_clip_to_loop" not in names:
        return
    prompt = workflow("still_to_loop")
    prompt[find(prompt, "SpectrumToDisplacement")]["inputs"] |= {"loop": False, "frames": 100}
    ran = host.run(prompt, limit_s=1200)
    assert_ran(ran)
    clip = saved(host, ran, find(prompt, "SaveVideo"))
    shutil.copy(clip, folder / "image_dynamics_clip.mp4")


def four(frames: np.ndarray) -> np.ndarray:
    """Four moments of the part that moves most, two by two."""
    height, width = frames.shape[1] // 2, frames.shape[2] // 2
    moments = np.linspace(0, len(frames), MOMENTS, endpoint=False).astype(int)
    change = frames[moments].astype(float).std(0).mean(2)
    sums = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:]
    inside += sums[:-height, :-width] - sums[height:, :-width]
    y, x = np.unravel_index(inside.argmax(), inside.shape)
    sheet = np.full((2 * height + GAP, 2 * width + GAP, 3), 24, np.uint8)
    for i, t in enumerate(moments):
        top, left = i // 2 * (height + GAP), i % 2 * (width + GAP)
        sheet[top : top + height, left : left + width] = frames[t, y : y + height, x : x + width]
    return sheet


def main() -> None:
    if hosts.python() is None:
        sys.exit("Found no ComfyUI. Set COMFYUI_PATH.")
    names = sys.argv[1:] or sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    with tempfile.TemporaryDirectory() as folder:
        host = hosts.Host(hosts.FOUND[0], Path(folder) / "host")
        try:
            prepare(host, names)
            for name in names:
                prompt = workflow(name)
                if name.startswith("text_"):
                    prompt = without_checkpoint(prompt)
                frames = run(host, prompt)
                shown = frames[0] if name == "still_to_loop" else four(frames)
                picture = Image.fromarray(shown)
                height = round(WIDTH * picture.height / picture.width)
                small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
                small.save(hosts.PACK / "workflows" / f"{name}.jpg", quality=QUALITY)
        finally:
            host.close()


if __name__ == "__main__":
    main()
