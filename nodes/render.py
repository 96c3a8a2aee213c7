"""The node that renders frames, and a video that is rendered while it is saved."""

import copy
import logging
import time
import weakref
from fractions import Fraction
from itertools import chain
from pathlib import Path

import torch
from comfy_api.latest import Input, Types, io

from ..gid_core import pipeline
from ..gid_core.files import video
from ..gid_core.files.kept import digest, kept
from ..gid_core.files.whole import written_whole
from ..gid_core.motion.playback import first_frame
from ..gid_core.render.layers import BORDERS
from ..gid_core.still.grid import reduced
from . import aliases, footage, host, networks, panel, sockets

log = logging.getLogger("gid")

OUTPUTS = ["frames and video", "video only"]
VIDEO_ONLY = OUTPUTS[1]
DRAFTS = {"full size": 1, "half": 2, "quarter": 4}  # by how much a still is made smaller
MIRRORED, TEXTURED = "mirrored", "textured"  # how what moves is filled in behind it
SHOWN = ["whole picture", "what moves alone"]
SPLAT = "splat only"  # also the renderer of graphs saved before there was a choice


class FeatureSplatRender(io.ComfyNode):
    """Render a still that moves by a displacement field."""

    @classmethod
    def define_schema(cls):
        renderers = networks.renderer_files()
        return sockets.schema(
            ["animate", "splat", "warp", "parallax", "cinemagraph", *aliases.VIDEO],
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
                    default=VIDEO_ONLY,
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
                    tooltip="What is in front where things meet, white the nearest. Empty: as the "
                    "sampler's objects or depth say, and else what moves more.",
                ),
                io.Combo.Input(
                    "draft",
                    options=list(DRAFTS),
                    default=next(iter(DRAFTS)),
                    optional=True,
                    tooltip="Half and quarter size are rendered four and sixteen times as fast. "
                    "The motion is exactly that of the full size.",
                ),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="What is seen behind what moves away, used as it comes: the output "
                    "'background', repainted by an inpainting model, for example. Empty: filled.",
                ),
                io.Combo.Input(
                    "fill",
                    options=[MIRRORED, TEXTURED],
                    default=TEXTURED,
                    optional=True,
                    tooltip="How the background is filled in: mirrored from around it, at once, or "
                    "with lines and texture continued, some seconds for each still. Textured is "
                    "for large motions of large things.",
                ),
                io.Combo.Input(
                    "border",
                    options=list(BORDERS),
                    default=BORDERS[0],
                    optional=True,
                    tooltip="What comes in past the border of the picture: its mirror image, its "
                    "outermost pixels, nothing since frames are cropped, or nothing, transparent.",
                ),
                io.Combo.Input(
                    "show",
                    options=SHOWN,
                    default=SHOWN[0],
                    optional=True,
                    tooltip="The whole picture, or what moves alone with transparency, to lay over "
                    "something else.",
                ),
                io.Combo.Input(
                    "precision",
                    options=networks.PRECISIONS,
                    default=networks.PRECISIONS[0],
                    optional=True,
                    tooltip="What the network computes in. Less than float32 saves memory on a GPU "
                    "and changes colours by less than one of 255 steps; a CPU is slower with it.",
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
                io.Image.Output(
                    display_name="background",
                    tooltip="The stills with what moves filled in, as it is seen behind it.",
                ),
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
        draft="full size",
        background=None,
        fill=MIRRORED,
        border=BORDERS[0],
        show=SHOWN[0],
        precision=networks.PRECISIONS[0],
    ):
        device = torch.device("cpu") if deterministic else host.render_device()
        stills, painted = drafted(sockets.from_image(image), draft), sockets.from_mask(mask)
        if background is None:
            filled = pipeline.fill_backgrounds(stills, displacement, painted, fill == TEXTURED)
        else:
            filled = sockets.from_image(background)
        clip = RenderedVideo(
            stills,
            displacement,
            device,
            mask=painted,
            model=None if renderer == SPLAT else networks.renderer(renderer, precision),
            depth=sockets.from_depth(depth),
            shutter=motion_blur,
            background=filled,
            border=border,
            alone=show == SHOWN[1],
        )
        frames, disocclusion = clip.render(1 if output == VIDEO_ONLY else None)
        warnings = sockets.motion_notes(image, displacement)
        warnings += sockets.mask_notes(image, mask=mask, depth=depth)
        if not displacement.coeffs.any() and displacement.behind is None:
            warnings.append("Nothing moves: the motion is empty, or its gain is 0.")
        said = panel.said(first_frame(displacement), warnings=warnings)
        filled = filled.movedim(1, -1)
        return io.NodeOutput(frames, disocclusion, clip, filled, ui=said)


def drafted(stills: torch.Tensor, draft: str) -> torch.Tensor:
    """The stills at the size that a draft is rendered in."""
    return reduced(stills, DRAFTS[draft])


class RenderedVideo(Input.Video):
    """A clip that holds a still and a motion, and renders its frames only when they are asked for.

    Law: no frame is rendered twice. Frames that someone still holds are used again, and a clip that
    was encoded once is kept as a file, of which others are copies with other metadata.

    Args:
        model: The network that refines frames, or None.
        settings: Others of `pipeline.render`.
    """

    def __init__(self, stills, motion, device, mask=None, model=None, **settings):
        self._stills, self._motion, self._device, self._model = stills, motion, device, model
        self._settings = {"mask": mask, **settings}
        self._range = range(pipeline.batch_of(len(stills), len(motion.coeffs)) * motion.frames)
        self._held = None  # weakly: (frames as IMAGE, index of the first)

    def get_dimensions(self):
        _, height, width = self._shape()
        return width, height

    def _shape(self):
        """(channels, height, width) of a frame."""
        border, channels = self._settings.get("border", BORDERS[0]), self._stills.shape[1]
        size = tuple(self._stills.shape[-2:])
        rows, columns = pipeline.crop(self._motion, self._settings["mask"], size, border)
        if self._settings.get("alone") or border == "transparent":
            channels = 4
        return channels, rows.stop - rows.start, columns.stop - columns.start

    def get_frame_count(self):
        return len(self._range)

    def get_frame_rate(self):
        return Fraction(self._motion.fps).limit_denominator(60_060)

    def get_duration(self):
        return len(self._range) / self._motion.fps

    def _rendered(self, wanted):
        """(frame, disocclusion) of so many frames, one at a time; raises when the user cancels."""
        if not wanted:
            return
        # Moved to the device here, so that a video in the host's cache holds no memory there.
        # Masks and the background are moved by the renderer, for one still at a time.
        stills, model = self._stills.to(self._device), None
        if self._model is not None:
            model = networks.on_device(self._model, self._device)
        begun = time.monotonic()
        yield from host.ahead(
            pipeline.render(stills, self._motion, frames=wanted, model=model, **self._settings)
        )
        log.info("Rendered %d frames in %.1f s.", len(wanted), time.monotonic() - begun)

    def _pictures(self):
        """The frames: those that someone holds, then those that have to be rendered."""
        report, ready = host.progress(len(self._range), "frames"), self._ready()
        held = () if ready is None else (image.movedim(-1, 0) for image in ready)
        rest = self._range if ready is None else self._range[len(ready) :]
        for i, frame in enumerate(chain(held, (frame for frame, _ in self._rendered(rest)))):
            report(i + 1, len(self._range), frame)
            yield frame

    def _ready(self):
        """IMAGE of the first frames, if someone holds them, else None."""
        held, first = self._held or (lambda: None, 0)
        images = held()
        if images is None:
            return None
        return images[self._range.start - first :][: len(self._range)]

    def render(self, count: int | None = None):
        """IMAGE of the first `count` frames (None: all), and MASK of their disocclusions.

        Frames are written into place, so that they are never held twice.
        """
        wanted = self._range[:count]
        report, images = host.progress(len(wanted), "frames"), self._images(len(wanted))
        masks = torch.empty(images.shape[:3], device=images.device)
        for i, (frame, disocclusion) in enumerate(self._rendered(wanted)):
            images[i] = frame.movedim(0, -1)
            masks[i] = disocclusion[0]
            report(i + 1, len(wanted), frame)
        self._held = weakref.ref(images), wanted.start
        return images, masks

    def _images(self, count):
        """Room for so many frames as IMAGE."""
        channels, height, width = self._shape()
        keep = host.device_between_nodes()
        return torch.empty(count, height, width, channels, device=keep)

    def get_components(self):
        images = self._ready()
        if images is None or len(images) < len(self._range):
            images = self._images(len(self._range))
            for i, frame in enumerate(self._pictures()):
                images[i] = frame.movedim(0, -1)
            self._held = weakref.ref(images), self._range.start
        return Types.VideoComponents(images=images, frame_rate=self.get_frame_rate())

    def as_trimmed(self, start_time=None, duration=None, strict_duration=False):
        first = round((start_time or 0) * self._motion.fps)
        if first < 0:  # counted from the end, as the host does
            first = max(0, len(self._range) + first)
        count = len(self._range) if not duration else round(duration * self._motion.fps)
        left = self._range[first : first + count]
        if not left or (strict_duration and duration and len(left) < count):
            return None
        part = copy.copy(self)
        part._range = left
        return part

    def save_to(self, path, format="auto", codec="auto", metadata=None, crf=None, **others):
        """Save into a file, by path or open. Formats other than MP4 and WebM go to the host.

        The host also encodes what needs another codec, bit depth or colour space.
        """
        container, encoder = (str(getattr(x, "value", x)) for x in (format, codec))
        ours = {"auto": ".mp4", "mp4": ".mp4", "webm": ".webm"}.get(container)
        known = encoder in ("auto", "h264") if ours == ".mp4" else encoder in ("auto", "vp9")
        if ours is None or not known or others.get("bit_depth") or _not_auto(others):
            ending, others = _ending(path, container), _given(crf=crf, **others)
            encode = lambda file: self._encoded_by_host(file, ending, format, codec, others)
            encoding = [encoder, others]
        else:
            ending, encoding = ours, [crf]
            encode = lambda file: video.save_clip(
                file, self._pictures(), self._motion.fps, ending, crf=crf
            )
        clip = kept(host.own_temp_folder(), self._key(encoding), ending, encode)
        tags = {key: video.as_tag(value) for key, value in (metadata or {}).items()}
        video.copy_clip(clip, path, ending, tags)

    def _encoded_by_host(self, file, ending, format, codec, options):
        whole = footage.as_video(self.get_components().images, self.get_frame_rate())
        with written_whole(file, ending) as temporary:
            whole.save_to(str(temporary), format, codec, None, **options)

    def _key(self, encoding):
        """A digest of all that the encoded clip depends on."""
        return digest(
            self._stills,
            self._motion,
            self._model,
            self._settings,
            self._range,
            str(self._device),
            encoding,
        )


def _ending(path, container):
    """The ending of the file that the host makes: of a container, or of a path if that is auto."""
    if container != "auto":
        return f".{container}"
    suffix = Path(path).suffix.lower() if isinstance(path, str | Path) else ""
    return suffix if suffix in (".mkv", ".webm") else ".mp4"


def _not_auto(others):
    space = others.get("color_space")
    return str(getattr(space, "value", space)) not in ("None", "auto")


def _given(**options):
    return {name: value for name, value in options.items() if value is not None}
