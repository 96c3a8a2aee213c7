"""Small pictures, and API graphs for the tests.

Convention: a graph is {id: node}, ids are words, a link is (id, output). `Given` and `Kept` are the
nodes of in_host.py that load and save arrays.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy import ndimage

WORKFLOWS = Path(__file__).parents[1] / "workflows"
DEMO = Path(__file__).parents[2] / "docs/demo"
SIZE = (64, 96)  # height, width


def node(class_type: str, /, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def still(size=SIZE, channels=3, seed=0) -> np.ndarray:
    """1 h w c: a textured plant on a smooth background, the plant opaque in the alpha channel."""
    rng = np.random.default_rng(seed)
    background = np.linspace(0.6, 0.8, size[0])[:, None, None] * [0.7, 0.8, 1.0]
    texture = rng.uniform(0.25, 0.4, (*size, 1)) * [0.5, 1.0, 0.3]
    plant = painted(size)[0, ..., None]
    picture = np.where(plant > 0, texture, background)
    if channels == 4:
        picture = np.concatenate([picture, 0.25 + 0.75 * plant], 2)
    return picture[None].astype(np.float32)


def painted(size=SIZE) -> np.ndarray:
    """1 h w: the plant, a stalk with a head; its foot is inside the picture, off all sides."""
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in size), indexing="ij")
    stalk = (np.abs(x - 0.5) < 0.05) & (y > 0.3) & (y < 0.9)
    head = ((x - 0.5) / 0.12) ** 2 + ((y - 0.3) / 0.2) ** 2 < 1
    return (stalk | head)[None].astype(np.float32)


def swaying(
    picture: np.ndarray, mask: np.ndarray, frames: int, fps: float, amplitude: float
) -> np.ndarray:
    """t h w c: what is masked sways from its foot, at 1 Hz by `amplitude` px to the right and back,
    and at 2 Hz half as far. Frame 0 is the still."""
    height, width = mask.shape
    y, x = np.mgrid[:height, :width].astype(float)
    rows = np.flatnonzero(mask.any(1))
    bend = np.clip((rows[-1] - y) / np.ptp(rows), 0, 1) ** 2
    dilated = ndimage.binary_dilation(mask > 0.5, iterations=3)
    soft = ndimage.gaussian_filter(np.float64(dilated), 2)
    channels = picture.T.swapaxes(1, 2)
    clip = [picture]
    for t in np.arange(1, frames) / fps:
        sway = np.sin(2 * np.pi * t) + 0.5 * (np.cos(4 * np.pi * t) - 1)
        at = [y, x - amplitude * sway * bend * soft]
        frame = [ndimage.map_coordinates(c, at, order=3, mode="nearest") for c in channels]
        clip.append(np.stack(frame, 2))
    return np.clip(clip, 0, 1).astype(np.float32)


def demo_inputs(folder: Path, width: int) -> None:
    """Small files in place of those of Example Still, made of the demo still at that width.

    The still is transparent where its mask is painted, as the mask editor saves it. The anchor is
    the lower third. One clip pans over the still and does not close; in the other the masked part
    sways for five seconds.
    """
    picture = Image.open(DEMO / "still.png").convert("RGB")
    size = width, round(picture.height * width / picture.width)
    picture = picture.resize(size, Image.Resampling.BOX)
    mask = Image.open(DEMO / "still_mask.png").convert("L").resize(size)
    painted = np.dstack([np.array(picture), 255 - np.array(mask)])
    Image.fromarray(painted).save(folder / "image_dynamics_still.png")
    anchor = np.zeros(size[::-1], np.uint8)
    anchor[2 * size[1] // 3 :] = 255
    Image.fromarray(anchor).save(folder / "image_dynamics_anchor.png")
    pan = (painted[:, t : t + size[0] - 40, :3] for t in range(40))
    filmed(folder / "image_dynamics_clip.mp4", (size[0] - 40, size[1]), pan, 30)
    wind = swaying(painted[..., :3] / 255, np.array(mask) / 255, 50, 10, 0.015 * width)
    filmed(folder / "image_dynamics_swaying.mp4", size, np.uint8(wind * 255 + 0.5), 10)


def filmed(path: Path, size: tuple[int, int], frames: Iterable[np.ndarray], fps: int) -> None:
    """Write frames, h w 3 bytes, as a clip; the size is (width, height)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", fps, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def with_sound(path: Path, frames: Iterable[np.ndarray], fps: int, hz: float) -> None:
    """The same as a clip of that sound: one tone, as long as the frames."""
    frames, rate = list(frames), 48_000
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", fps, options={"crf": "16"})
        picture.width, picture.height, picture.pix_fmt = *frames[0].shape[1::-1], "yuv420p"
        sound = container.add_stream("aac", rate)
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
            container.mux(picture.encode(image))
        container.mux(picture.encode())
        time = np.arange(len(frames) * rate // fps) / rate
        wave = np.float32(0.3 * np.sin(2 * np.pi * hz * time))[None]
        tone = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
        tone.sample_rate = rate
        container.mux(sound.encode(tone))
        container.mux(sound.encode())


def workflow(name: str) -> dict:
    """A shipped workflow as API graph."""
    return json.loads((WORKFLOWS / f"{name}.json").read_text())


def small(prompt: dict, clip: str = "image_dynamics_swaying.mp4") -> dict:
    """The graph with what `demo_inputs` makes in place of Example Still."""
    result, moved = dict(prompt), {}
    for name, example in prompt.items():
        if example["class_type"] != "ExampleStill":
            continue
        result[name] = node("LoadImage", image="image_dynamics_still.png")
        anchor = node("LoadImageMask", image="image_dynamics_anchor.png", channel="red")
        result[f"{name} anchor"], result[f"{name} clip"] = anchor, node("LoadVideo", file=clip)
        moved |= {(name, 2): [f"{name} anchor", 0], (name, 3): [f"{name} clip", 0]}
    used = set()
    for name, here in result.items():
        links = {k: v for k, v in here["inputs"].items() if isinstance(v, list)}
        links = {field: moved.get(tuple(link), link) for field, link in links.items()}
        used |= {link[0] for link in links.values()}
        result[name] = here | {"inputs": here["inputs"] | links}
    spare = {name for link in moved.values() for name in link[:1]} - used
    return {name: here for name, here in result.items() if name not in spare}


def small_saved(graph: dict) -> dict:
    """The same in the form that the page opens, for graphs that use a still and its mask alone."""
    picture = {"image": "image_dynamics_still.png", "upload": "image"}
    for example in graph["nodes"]:
        if example["type"] == "ExampleStill":
            example["type"] = example["properties"]["Node name for S&R"] = "LoadImage"
            example["inputs"], example["outputs"] = [], example["outputs"][:2]
            example["widgets_values"] = list(picture.values())
            example["widgets_values_named"] = picture
    return graph


def find(prompt: dict, kind: str) -> str:
    """The id of the only node of that kind."""
    (name,) = (name for name, node in prompt.items() if node["class_type"] == kind)
    return name


class Graph:
    """A graph under construction, with its files in a folder.

    `animate` adds the three nodes from still to frames, with a motion that is fast to compute: four
    bands, one second, twelve frames.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.nodes = {}

    def given(self, name: str, value: np.ndarray) -> None:
        np.save(self.folder / f"{name}.npy", value)
        self.nodes[name] = node("Given", file=str(self.folder / f"{name}.npy"))

    def animate(
        self,
        picture: np.ndarray,
        mask: np.ndarray | None = None,
        sampler: dict | None = None,
        motion: dict | None = None,
        render: dict | None = None,
    ) -> "Graph":
        """Still to frames; the dictionaries change inputs of the three nodes."""
        self.given("still", picture)
        sampling = {"seed": 7, "amplitude": 3.0, "duration": 1.0, "bands": 4, "refine_mask": True}
        playing = {"frames": 12, "fps": 12.0, "loop": True, "speed": 1.0, "gain": 1.0, "seed": 0}
        rendering = {"output": "frames and video", "deterministic": False}
        if mask is not None:
            self.given("mask", mask)
            sampling["mask"] = ("mask", 1)
        self.nodes |= {
            "sampler": node(
                "MotionSpectrumSampler", image=("still", 0), **sampling | (sampler or {})
            ),
            "motion": node(
                "SpectrumToDisplacement",
                spectrum=("sampler", 0),
                pose="rest pose",
                **playing | (motion or {}),
            ),
            "render": node(
                "FeatureSplatRender",
                image=("still", 0),
                displacement=("motion", 0),
                **rendering | (render or {}),
            ),
        }
        return self

    def save(self, **inputs) -> "Graph":
        """SaveVideo of the rendered video."""
        self.nodes["save"] = node(
            "SaveVideo",
            **{"video": ("render", 2), "filename_prefix": "clip"}
            | {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "auto"}
            | inputs,
        )
        return self

    def keep(self, **links) -> "Graph":
        """Add nodes that save these outputs, by name, for `kept`."""
        for name, link in links.items():
            file = str(self.folder / f"{name}.npz")
            self.nodes[f"keep {name}"] = node("Kept", value=link, file=file)
        return self

    def kept(self, name: str, field: str = "value") -> np.ndarray:
        with np.load(self.folder / f"{name}.npz") as file:
            return file[field]

    def displacement(self, name: str) -> np.ndarray:
        """b t 2 h w: a kept motion, frame by frame."""
        return played(self.kept(name, "coeffs"), self.kept(name, "modal_coords"))

    def run(self, host, **options) -> dict:
        return host.run(json.loads(json.dumps(self.nodes)), **options)

    def frames(self, host) -> np.ndarray:
        """Run the graph, which must succeed; its frames."""
        assert_ran(self.keep(frames=("render", 0)).run(host))
        return self.kept("frames")


def assert_ran(ran: dict) -> None:
    assert ran["valid"], ran["node_errors"]
    assert ran["success"], ran["error"]


def refusal(ran: dict) -> str:
    """The error message of a run that the validation or a node has refused."""
    if not ran["valid"]:
        errors = [e for node in ran["node_errors"].values() for e in node["errors"]]
        return " ".join(f"{e['message']}: {e['details']}" for e in errors)
    assert not ran["success"], "Expected a refusal, but it ran."
    assert ran["error"]["exception_type"] in ("ValueError", "RuntimeError"), ran["error"]
    return ran["error"]["exception_message"]


def saved(host, ran: dict, name: str = "save") -> Path:
    """The file that a SaveVideo has written."""
    (item,) = ran["outputs"][name]["images"]
    return host.folder(item["type"]) / item["subfolder"] / item["filename"]


def decoded(path: Path) -> tuple[np.ndarray, float, dict[str, str]]:
    """(frames as t h w c bytes, frames per second, metadata) of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return np.stack(frames), stream.average_rate, dict(container.metadata)


def largest_steps(frames: np.ndarray) -> tuple[float, float]:
    """Root-mean-square step from the last frame to the first, and the largest inside."""
    steps = np.sqrt(np.square(np.diff(frames, axis=0)).mean((1, 2, 3)))
    wrap = np.sqrt(np.square(frames[0] - frames[-1]).mean())
    return float(wrap), float(steps.max())


def played(coeffs: np.ndarray, modal_coords: np.ndarray) -> np.ndarray:
    """Re sum_k S_k(p) q_k(t)."""
    return np.einsum("bkxhw,kt->btxhw", coeffs, modal_coords).real


def may_change(mask: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """b h w: the mask, dilated by the largest displacement and two pixels."""
    scale = np.array(mask.shape[:0:-1]) / displacement.shape[:2:-1]
    reach = np.abs(displacement).max((0, 1, 3, 4)) * scale
    window = 1, *(2 * (int(np.ceil(r)) + 2) + 1 for r in reach[::-1])
    return ndimage.maximum_filter(mask > 0, window)
