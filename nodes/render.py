"""The node that renders frames, and a video that is rendered while it is saved."""

import copy
from fractions import Fraction

import torch
from comfy_api.latest import Input, InputImpl, Types, io

from ..gid_core import pipeline
from ..gid_core.files import video
from . import host, networks, sockets

OUTPUTS = ["frames and video", "video only"]
SPLAT = "splat only"  # also the renderer of graphs saved before there was a choice


class FeatureSplatRender(io.ComfyNode):
    """Render a still that moves by a displacement field."""

    @classmethod
    def define_schema(cls):
        renderers = networks.renderer_files()
        return sockets.schema(
            ["animate", "splat", "warp", "still to video", "cinemagraph"],
            node_id="FeatureSplatRender",
            display_name="Feature Splat Render",
            description="Renders frames: what moves is splatted over what lies behind it, and a "
            "small network finishes edges and what was uncovered. Pixels that nothing moves or "
            "covers stay identical to the still.",
            inputs=[
                io.Image.Input("image", tooltip="The still (or stills) the motion was made for."),
                sockets.Motion.Input("displacement", tooltip="The motion to render."),
                io.Combo.Input(
                    "output",
                    options=OUTPUTS,
                    default=OUTPUTS[0],
                    tooltip="'Video only' keeps no frames: the video is rendered while it is "
                    "saved, so its length never fills memory. The frames output then holds the "
                    "first frame.",
                ),
                io.Boolean.Input(
                    "deterministic",
                    default=False,
                    tooltip="Render on the CPU, which gives the same bits every time; a GPU adds "
                    "in changing order, and may differ in the last bits.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What may move. Empty: the motion's own refined mask.",
                ),
                io.Combo.Input(
                    "renderer",
                    options=[SPLAT, *renderers],
                    default=next(iter(renderers), SPLAT),
                    optional=True,
                    tooltip="A network finishes edges and what was uncovered: the one that came "
                    "with Image Dynamics, or one of yours in models/gid. Splat only needs none, "
                    "and is three to eight times as fast.",
                ),
                io.Float.Input(
                    "motion_blur",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How long the shutter is open, of the time between frames: 0 is sharp, "
                    "0.5 as in films. Rendering takes longer the farther things move.",
                ),
                io.Mask.Input(
                    "depth",
                    optional=True,
                    tooltip="What is in front where things meet, white the nearest. Empty: what "
                    "moves more.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="frames", tooltip="All frames, those of still 0 first."
                ),
                io.Mask.Output(
                    display_name="uncovered",
                    tooltip="Where the motion uncovered what the still does not show: for "
                    "inpainting.",
                ),
                io.Video.Output(display_name="video", tooltip="The same, rendered when saved."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, renderer=SPLAT, **others):
        return networks.file_state(networks.renderer_files().get(renderer))

    @classmethod
    def execute(
        cls,
        image,
        displacement,
        output,
        deterministic,
        mask=None,
        renderer=SPLAT,
        motion_blur=0.0,
        depth=None,
    ):
        device = torch.device("cpu") if deterministic else host.render_device()
        clip = RenderedVideo(
            sockets.from_image(image),
            displacement,
            device,
            mask=sockets.from_mask(mask),
            model=None if renderer == SPLAT else networks.renderer(renderer),
            depth=sockets.from_depth(depth),
            shutter=motion_blur,
        )
        frames, disocclusion = clip.render(1 if output == OUTPUTS[1] else None)
        return io.NodeOutput(frames, disocclusion, clip)


class RenderedVideo(Input.Video):
    """A clip that holds a still and a motion, and renders its frames only when they are asked for.

    Args:
        model: The network that refines frames, or None.
        depth, shutter: As `depth` and `shutter` of `pipeline.render`.
    """

    def __init__(self, stills, motion, device, mask=None, model=None, depth=None, shutter=0.0):
        self._stills, self._motion, self._device = stills, motion, device
        self._mask, self._model, self._depth, self._shutter = mask, model, depth, shutter
        self._range = range(pipeline.batch_of(len(stills), len(motion.coeffs)) * motion.frames)

    def get_dimensions(self):
        return self._stills.shape[-1], self._stills.shape[-2]

    def get_frame_count(self):
        return len(self._range)

    def get_frame_rate(self):
        return Fraction(self._motion.fps).limit_denominator(60_060)

    def get_duration(self):
        return len(self._range) / self._motion.fps

    def frames(self):
        """(frame, disocclusion), one at a time, with progress; raises when the user cancels."""
        report = host.progress(len(self._range))
        # Moved to the device here, so that a video in the host's cache holds no memory there.
        stills, model = self._stills.to(self._device), None
        if self._model is not None:
            model = networks.on_device(self._model, self._device)
        rendered = pipeline.render(
            stills, self._motion, self._mask, self._range, model, self._depth, self._shutter
        )
        for i, frame in enumerate(rendered):
            report(i + 1, len(self._range))
            yield frame

    def render(self, count: int | None = None):
        """IMAGE of the first `count` frames (None: all), and MASK of their disocclusions.

        Frames are written into place, so that they are never held twice.
        """
        count = len(self._range) if count is None else min(count, len(self._range))
        _, channels, height, width = self._stills.shape
        keep = host.device_between_nodes()
        images = torch.empty(count, height, width, channels, device=keep)
        masks = torch.empty(count, height, width, device=keep)
        for i, (frame, disocclusion) in zip(range(count), self.frames()):
            images[i] = frame.movedim(0, -1)
            masks[i] = disocclusion[0]
        return images, masks

    def get_components(self):
        images, _ = self.render()
        return Types.VideoComponents(images=images, frame_rate=self.get_frame_rate())

    def as_trimmed(self, start_time=None, duration=None, strict_duration=False):
        first = round((start_time or 0) * self._motion.fps)
        if first < 0:  # counted from the end, as the host does
            first = max(0, len(self._range) + first)
        count = len(self._range) if not duration else round(duration * self._motion.fps)
        kept = self._range[first : first + count]
        if not kept or (strict_duration and duration and len(kept) < count):
            return None
        part = copy.copy(self)
        part._range = kept
        return part

    def save_to(self, path, format="auto", codec="auto", metadata=None, crf=None, **others):
        """Render into a file, by path or open. Formats other than MP4 and WebM go to the host.

        The host also encodes what needs another codec, bit depth or colour space.
        """
        container, encoder = (str(getattr(x, "value", x)) for x in (format, codec))
        ours = {"auto": ".mp4", "mp4": ".mp4", "webm": ".webm"}.get(container)
        known = encoder in ("auto", "h264") if ours == ".mp4" else encoder in ("auto", "vp9")
        if ours is None or not known or others.get("bit_depth") or _not_auto(others):
            whole = InputImpl.VideoFromComponents(self.get_components())
            return whole.save_to(path, format, codec, metadata, **_given(crf=crf, **others))
        frames = (frame for frame, _ in self.frames())
        tags = {key: video.as_tag(value) for key, value in (metadata or {}).items()}
        video.save_clip(path, frames, self._motion.fps, ours, tags, crf)
        return None


def _not_auto(others):
    space = others.get("color_space")
    return str(getattr(space, "value", space)) not in ("None", "auto")


def _given(**options):
    return {name: value for name, value in options.items() if value is not None}
