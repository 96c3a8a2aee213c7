"""Nodes that make, show and transfer spectral volumes.

Most of the core is imported when a node runs, so that the host starts fast.
"""

from comfy_api.latest import io, ui

from ..gid_core.config import ExtractionConfig, SpectrumConfig
from . import aliases, footage, host, panel, sockets

FITS = {
    "box to box": "box",
    "box, proportions kept": "proportional",
    "picture to picture": "picture",
}
PURPOSES = {"motion to play": "response", "modes to poke": "modes"}


class MotionSpectrumSampler(io.ComfyNode):
    """Sample the spectrum of a motion for a still and a mask of what may move."""

    @classmethod
    def define_schema(cls):
        config = SpectrumConfig()
        return sockets.schema(
            [
                "wind",
                "sway",
                "tree",
                "breeze",
                "cinemagraph",
                "loop",
                "animate image",
                *aliases.SWAY,
            ],
            node_id="MotionSpectrumSampler",
            display_name="Motion Spectrum Sampler",
            description="Predicts how a still moves: for every pixel a few frequencies of sway. "
            "Works with nothing but an image; a mask of what moves does better.",
            inputs=[
                io.Image.Input("image", tooltip="The still, or a batch of stills."),
                sockets.seed_input(
                    "Which wind blows. The same seed gives the same motion on every device; still "
                    "number i of a batch uses seed + i."
                ),
                io.Float.Input(
                    "amplitude",
                    default=config.amplitude_pct,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How far things move: the peak that 95 % of what moves stays under, in "
                    "% of the picture's longer side.",
                ),
                io.Float.Input(
                    "duration",
                    default=config.duration_s,
                    min=0.2,
                    max=60.0,
                    step=0.1,
                    tooltip="Seconds the motion is for: its frequencies fit this length, so a loop "
                    "as long (frames / fps) closes without change.",
                ),
                io.Int.Input(
                    "bands",
                    default=config.bands,
                    min=1,
                    max=128,
                    tooltip="Number of frequencies: bands / duration is the highest, in Hz "
                    "(16 over 5 s reach 3.2 Hz).",
                ),
                io.Boolean.Input(
                    "refine_mask",
                    default=True,
                    tooltip="Fit a roughly painted mask to the picture: sky between stalks leaves "
                    "it, a missed stalk joins. Off: the mask is used as it is.",
                ),
                sockets.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Where the motion comes from. Empty: the elastic prior, which needs no "
                    "weights.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What may move (white). Paint it roughly. Several masks of one image "
                    "are objects that move apart, later ones in front. Empty: what sways is "
                    "recognized in the picture.",
                ),
                io.Mask.Input(
                    "anchor",
                    optional=True,
                    tooltip="What holds still (white), such as roots or a clothes peg; of several "
                    "objects one for all, or one for each. Empty: by the model's rule.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(PURPOSES),
                    default="motion to play",
                    optional=True,
                    tooltip="What is made: a motion in the wind, or the modes of vibration that "
                    "Poke Dynamics lets ring.",
                ),
                io.String.Input(
                    "object_kinds",
                    default="",
                    optional=True,
                    tooltip="What each object is, with commas between: one name for each mask of "
                    "the batch, such as tree, grass, custom. Names are those of the Elastic Motion "
                    "Model's kind. Empty: as the model says for all.",
                ),
                io.Mask.Input(
                    "depth",
                    optional=True,
                    tooltip="How near things are, white the nearest: things part where it steps, "
                    "and nearer ones are in front.",
                ),
                io.Mask.Input(
                    "protect",
                    optional=True,
                    tooltip="What never changes (white), whatever else is painted: a face, a "
                    "building. What moves passes behind it.",
                ),
                panel.preview_input(),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The motion."),
                io.Mask.Output(display_name="refined mask", tooltip="What moves, as it was used."),
                io.String.Output(
                    display_name="report", tooltip="What was taken for moving, and who decided it."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        seed,
        amplitude,
        duration,
        bands,
        refine_mask,
        model=None,
        mask=None,
        anchor=None,
        kind="motion to play",
        object_kinds="",
        depth=None,
        protect=None,
        preview=True,
    ):
        from ..gid_core.elastic.kinds import named
        from ..gid_core.elastic.prior import ElasticPrior
        from ..gid_core.pipeline import sample_motion

        stills = sockets.from_image(image)
        spectrum, report = host.responsive(
            sample_motion,
            stills,
            sockets.from_mask(mask),
            sockets.from_mask(anchor, "anchor"),
            seed,
            model or ElasticPrior(),
            SpectrumConfig(bands, duration, amplitude, PURPOSES[kind]),
            refine_mask,
            host.progress(len(stills)),
            named(object_kinds),
            sockets.from_depth(depth),
            sockets.from_mask(protect, "protect"),
            widen=True,
        )
        painted = {"mask": mask, "anchor": anchor, "depth": depth, "protect": protect}
        notes = sockets.mask_notes(image, **painted)
        shown = panel.sampled(report, notes)
        if preview:
            shown |= panel.moving(stills, spectrum)
        said = " ".join([*notes, str(report)])
        return io.NodeOutput(spectrum, sockets.to_mask(spectrum.mask), said, ui=shown)


class MotionSpectrumPreview(io.ComfyNode):
    """Draw a spectrum as one sheet for each still."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["spectrum", "flow wheel", "mode shapes", "motion preview"],
            node_id="MotionSpectrumPreview",
            display_name="Motion Spectrum Preview",
            description="Shows a motion: what moves and how far, amplitude by frequency, the shape "
            "of single bands, and the colour wheel that reads them (hue is direction).",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion to show."),
                io.Int.Input(
                    "width",
                    default=320,
                    min=96,
                    max=1024,
                    step=16,
                    tooltip="Width of each picture on the sheet, in pixels.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="One sheet for every still."),
                io.Float.Output(
                    display_name="amplitude",
                    tooltip="How far the first still moves, in % of the longer side.",
                ),
                io.Float.Output(
                    display_name="moving", tooltip="Share of the picture that moves, 0 to 1."
                ),
                io.Float.Output(
                    display_name="folded",
                    tooltip="Share of the picture that turns inside out somewhere in the motion.",
                ),
                io.Float.Output(
                    display_name="seam",
                    tooltip="Step from the end of the motion's period to its beginning, beside the "
                    "largest step inside: at most 1 in a seamless loop.",
                ),
                io.String.Output(display_name="report", tooltip="The same in words."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, spectrum, width):
        import torch

        from ..gid_core.evaluation.inspection import motion_sheet

        drawn = [motion_sheet(spectrum, i, width) for i in range(len(spectrum.coeffs))]
        image, found = sockets.to_image(torch.stack([sheet for sheet, _ in drawn])), drawn[0][1]
        numbers = found.amplitude_pct, found.moving, found.folded, found.seam
        return io.NodeOutput(image, *numbers, str(found), ui=ui.PreviewImage(image, cls=cls))


class MotionSpectrumFromVideo(io.ComfyNode):
    """Measure the spectrum of the motion in a clip."""

    @classmethod
    def define_schema(cls):
        config = ExtractionConfig()
        return sockets.schema(
            ["extract motion", "optical flow", "motion capture", "video to motion"],
            node_id="MotionSpectrumFromVideo",
            display_name="Motion Spectrum from Video",
            description="Reads how things move in a clip from a tripod, filmed or generated: to "
            "loop it, calm it, and render it from its first frame at full size, or to move another "
            "still.",
            inputs=[
                io.MultiType.Input(
                    "clip",
                    [io.Image, io.Video],
                    tooltip="The clip: frames as IMAGE, or a VIDEO. The first window of its first "
                    "shot that is long enough is read.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=0.5,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of an IMAGE batch. A VIDEO tells its own.",
                ),
                io.Int.Input(
                    "bands",
                    default=0,
                    min=0,
                    max=128,
                    tooltip="Number of frequencies: bands / window is the highest, in Hz. Fewer "
                    "are calmer, and leave out what is fast. 0: as many as reach 3.2 Hz.",
                ),
                io.Float.Input(
                    "window",
                    default=0.0,
                    min=0.0,
                    max=60.0,
                    step=0.1,
                    tooltip="Seconds that are read. The slowest frequency is 1 / window, in Hz; "
                    "the clip must be as long. 0: the whole clip, 10 seconds of it at most.",
                ),
                io.Boolean.Input(
                    "raw",
                    default=not config.detrend,
                    tooltip="Read the motion as it is, as the paper does. Off: the straight drift "
                    "from end to end is taken out first and kept apart, so that it does not shake "
                    "the loop.",
                ),
                sockets.Flow.Input(
                    "flow_model",
                    optional=True,
                    tooltip="RAFT, from Load Optical Flow Model. Empty: a flow that needs no "
                    "weights.",
                ),
                io.Combo.Input(
                    "flow",
                    options=list(footage.FLOWS),
                    default=next(iter(footage.FLOWS)),
                    optional=True,
                    tooltip="The flow without weights: one that needs nothing, or OpenCV's DIS, "
                    "which is faster and follows thin things better.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(
                    display_name="spectrum", tooltip="The motion, with mean and drift as recorded."
                ),
                io.Image.Output(
                    display_name="first frame",
                    tooltip="The frame the motion starts from, at the clip's own size: to render "
                    "from.",
                ),
                io.Mask.Output(display_name="moving area", tooltip="What moves in the clip."),
                io.String.Output(
                    display_name="report", tooltip="What was found, and what to know about it."
                ),
            ],
        )

    @classmethod
    def execute(cls, clip, fps, bands, window, raw, flow_model=None, flow="variational"):
        from ..gid_core.footage.extraction import extract

        config = ExtractionConfig(bands, window, not raw)
        clip = footage.clip(clip, fps, config.longest_side)
        estimate, report = footage.flow(flow_model, flow), host.progress(1)
        read = host.interruptible(clip.frames)
        found = extract(read, clip.fps, config, estimate, clip.size, report)
        if found.spectrum is None:
            raise ValueError(str(found.report))
        still = sockets.to_image(clip.still(found.report.start_frame)[None])
        mask = sockets.to_mask(found.spectrum.mask)
        by = "RAFT" if flow_model is not None else flow.split(",")[0]
        said = " ".join([str(found.report), f"Flow: {by}.", *clip.notes])
        return io.NodeOutput(found.spectrum, still, mask, said, ui=panel.said(said))


class MotionSpectrumTransfer(io.ComfyNode):
    """Retarget the motion of one picture to another."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["motion transfer", "retarget motion", "copy motion", "animate image"],
            node_id="MotionSpectrumTransfer",
            display_name="Motion Spectrum Transfer",
            description="Lets a still move as something else does: a clip, another still, a file. "
            "What moves there is laid over what may move here.",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion to take."),
                io.Image.Input("image", tooltip="The still, or stills, that will move."),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=next(iter(FITS)),
                    tooltip="How the source is laid over the still: by the boxes around the masks, "
                    "stretched or in proportion, or whole picture over whole picture.",
                ),
                io.Boolean.Input(
                    "mirror",
                    default=False,
                    tooltip="Left and right exchanged, in place and direction.",
                ),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=0.0,
                    max=20.0,
                    step=0.05,
                    tooltip="2 moves twice as far. At 1 the motion keeps its size in % of the "
                    "picture's longer side; the report says which gain keeps how far things bend.",
                ),
                io.Float.Input(
                    "smooth",
                    default=6.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="Points so far apart, in % of the longer side, move alike: other "
                    "things are made of other parts than the source. 0 keeps all the source does.",
                ),
                io.Boolean.Input(
                    "refine_mask",
                    default=True,
                    tooltip="Fit a roughly painted mask to the picture, as the sampler does. Off: "
                    "the mask is used as it is.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What may move in the still (white); all else stays. Empty: what sways "
                    "is recognized in the picture.",
                ),
                io.Mask.Input(
                    "source_mask",
                    optional=True,
                    tooltip="What the motion is taken from in its own picture (white). Empty: all "
                    "that moves there.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(
                    display_name="spectrum", tooltip="The motion of the still."
                ),
                io.Mask.Output(display_name="refined mask", tooltip="What moves, as it was used."),
                io.String.Output(
                    display_name="report",
                    tooltip="How far things move, and how much of them the source says nothing "
                    "about.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, spectrum, image, fit, mirror, gain, smooth, refine_mask, mask=None, source_mask=None
    ):
        from ..gid_core.pipeline import retarget_motion

        moved, report = host.responsive(
            retarget_motion,
            spectrum,
            sockets.from_image(image),
            sockets.from_mask(mask),
            sockets.from_mask(source_mask),
            refine_mask,
            FITS[fit],
            mirror,
            gain,
            smooth,
            host.progress(len(image)),
        )
        notes = sockets.mask_notes(image, mask=mask)
        said, shown = " ".join([*notes, str(report)]), panel.said(str(report), warnings=notes)
        return io.NodeOutput(moved, sockets.to_mask(moved.mask), said, ui=shown)
