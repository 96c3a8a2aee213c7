"""A node that shows four motions of a still side by side, of which one is chosen."""

from fractions import Fraction

import torch
from comfy_api.latest import InputImpl, Types, io
from einops import rearrange

from ..gid_core.config import SpectrumConfig
from . import host, panel, sockets

COUNT, SIDE_PX = 4, 320  # motions on a sheet, and the longer side of each picture
FPS, FEWEST, MOST = 12.0, 12, 60  # frames of a sheet


class MotionVariations(io.ComfyNode):
    """Four seeds on one small sheet; the chosen one goes on."""

    @classmethod
    def define_schema(cls):
        config = SpectrumConfig()
        return sockets.schema(
            ["variations", "seeds", "compare motions", "draft", "contact sheet"],
            node_id="MotionVariations",
            display_name="Motion Variations",
            description="Samples four motions of a still, shows them small and side by side, and "
            "hands on the one you pick: exactly what the Motion Spectrum Sampler makes of its "
            "seed.",
            inputs=[
                io.Image.Input("image", tooltip="The still."),
                sockets.seed_input("The seed of the first motion; the others have the next three."),
                io.Int.Input(
                    "pick",
                    default=1,
                    min=1,
                    max=COUNT,
                    tooltip="Which one goes on: 1 and 2 are above, 3 and 4 below.",
                ),
                io.Float.Input(
                    "amplitude",
                    default=config.amplitude_pct,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How far things move, as in the Motion Spectrum Sampler.",
                ),
                io.Float.Input(
                    "duration",
                    default=config.duration_s,
                    min=0.2,
                    max=60.0,
                    step=0.1,
                    tooltip="Seconds the motion is for, as in the Motion Spectrum Sampler.",
                ),
                io.Int.Input(
                    "bands",
                    default=config.bands,
                    min=1,
                    max=128,
                    tooltip="Number of frequencies, as in the Motion Spectrum Sampler.",
                ),
                sockets.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Where the motions come from. Empty: the elastic prior.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What may move (white). Empty: what sways is recognized.",
                ),
                io.Mask.Input(
                    "anchor",
                    optional=True,
                    tooltip="What holds still (white). Empty: by the model's rule.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The motion you picked."),
                io.Int.Output(display_name="seed", tooltip="Its seed, for the sampler."),
                io.Video.Output(
                    display_name="sheet", tooltip="All four in motion, two by two, as a loop."
                ),
                io.Image.Output(display_name="frames", tooltip="The frames of the sheet."),
                io.String.Output(
                    display_name="report", tooltip="What was taken for moving, and who decided it."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, image, seed, pick, amplitude, duration, bands, model=None, mask=None, anchor=None
    ):
        from ..gid_core import pipeline
        from ..gid_core.elastic.prior import ElasticPrior
        from ..gid_core.motion.spectrum import of_still

        still = sockets.from_image(image)[:1]
        spectra, report = host.responsive(
            pipeline.sample_variations,
            still,
            COUNT,
            sockets.from_mask(mask),
            sockets.from_mask(anchor, "anchor"),
            seed,
            model or ElasticPrior(),
            SpectrumConfig(bands, duration, amplitude),
            callback=host.progress(COUNT),
            widen=True,
        )
        notes = sockets.mask_notes(image, mask=mask, anchor=anchor)
        images, fps = _sheet(still, spectra, duration)
        sheet = {"images": [panel.animation(images.movedim(-1, 1), fps)], "animated": (True,)}
        parts = Types.VideoComponents(
            images=images, frame_rate=Fraction(fps).limit_denominator(999)
        )
        return io.NodeOutput(
            of_still(spectra, pick - 1),
            (seed + pick - 1) % 2**64,
            InputImpl.VideoFromComponents(parts),
            images,
            " ".join([*notes, str(report)]),
            ui=panel.sampled(report, notes) | sheet,
        )


def _sheet(still, spectra, duration):
    """Frames of all motions on small stills, two by two, and their rate."""
    from ..gid_core import pipeline
    from ..gid_core.still.grid import fitted
    from ..gid_core.still.inputs import in_colour

    frames = min(max(round(duration * FPS), FEWEST), MOST)
    whole = duration * FPS <= MOST  # of a longer loop the beginning is shown
    motion, _ = pipeline.play(spectra, frames, frames / duration if whole else FPS, loop=whole)
    small = fitted(in_colour(still, 0), SIDE_PX)
    rendered = host.ahead(pipeline.render(small, motion))
    pictures = torch.stack([frame for frame, _ in rendered])
    sheet = rearrange(pictures, "(r c t) ch h w -> t ch (r h) (c w)", r=2, c=2)
    return sockets.to_image(sheet), motion.fps
