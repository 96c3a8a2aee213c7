"""Nodes that make and show spectral volumes. The core is imported when a node runs, not before."""

from comfy_api.latest import io, ui

from ..gid_core.config import SpectrumConfig
from . import sockets


class MotionSpectrumSampler(io.ComfyNode):
    """A still, and where it may move, becomes its motion's spectrum."""

    @classmethod
    def define_schema(cls):
        config = SpectrumConfig()
        return sockets.schema(
            ["wind", "sway", "cinemagraph", "loop", "still to video", "animate image"],
            node_id="MotionSpectrumSampler",
            display_name="Motion Spectrum Sampler",
            description="Predicts how a still moves: for every pixel a few frequencies of sway. "
            "Works with nothing but an image; a mask of what moves does better.",
            inputs=[
                io.Image.Input("image", tooltip="The still, or a batch of stills."),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="Which wind blows. The same seed gives the same motion on every device; "
                    "still number i of a batch uses seed + i.",
                ),
                io.Float.Input(
                    "amplitude", default=config.amplitude_pct, min=0.0, max=20.0, step=0.1,
                    tooltip="How far things move: the peak that 95 % of what moves stays under, in % "
                    "of the picture's longer side.",
                ),
                io.Float.Input(
                    "duration", default=config.duration_s, min=0.2, max=60.0, step=0.1,
                    tooltip="Seconds the motion is for: its frequencies fit this length, so a loop "
                    "as long (frames / fps) closes without change.",
                ),
                io.Int.Input(
                    "bands", default=config.bands, min=1, max=128,
                    tooltip="Number of frequencies: bands / duration is the highest, in Hz "
                    "(16 over 5 s reach 3.2 Hz).",
                ),
                io.Boolean.Input(
                    "refine_mask", default=True,
                    tooltip="Fit a roughly painted mask to the picture: sky between stalks leaves "
                    "it, a missed stalk joins. Off: the mask is used as it is.",
                ),
                sockets.Model.Input(
                    "model", optional=True,
                    tooltip="Where the motion comes from. Empty: the elastic prior, which needs no "
                    "weights.",
                ),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="What may move (white). Paint it roughly. Empty: a guess from the "
                    "picture's texture and colour.",
                ),
                io.Mask.Input(
                    "anchor", optional=True,
                    tooltip="What holds still (white), such as roots or a clothes peg. Empty: by the "
                    "model's rule.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The motion."),
                io.Mask.Output(display_name="refined mask", tooltip="What moves, as it was used."),
            ],
        )  # fmt: skip

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
    ):
        from ..gid_core.elastic import ElasticPrior
        from ..gid_core.pipeline import sample_motion

        spectrum = sample_motion(
            sockets.pictures(image),
            sockets.mask(mask),
            sockets.mask(anchor),
            seed,
            model or ElasticPrior(),
            SpectrumConfig(bands, duration, amplitude),
            refine_mask,
            sockets.progress(len(image)),
        )
        return io.NodeOutput(spectrum, sockets.host_mask(spectrum.mask))


class MotionSpectrumPreview(io.ComfyNode):
    """A picture of a spectrum."""

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
                    "width", default=320, min=96, max=1024, step=16,
                    tooltip="Width of each picture on the sheet, in pixels.",
                ),
            ],
            outputs=[io.Image.Output(display_name="sheet", tooltip="One sheet for every still.")],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(cls, spectrum, width):
        import torch

        from ..gid_core.viz import spectrum_sheet

        sheets = [spectrum_sheet(spectrum, i, width) for i in range(len(spectrum.coeffs))]
        image = sockets.host_image(torch.stack(sheets))
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))
