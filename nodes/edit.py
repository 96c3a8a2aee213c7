"""The nodes that edit motions: two become one, and one is changed band by band."""

from comfy_api.latest import io, ui

from ..gid_core.motion.edit import PRESETS
from . import curves, panel, sockets

WAYS = {"over (the top hides the base)": "over", "add (both move)": "add"}


class MotionCombine(io.ComfyNode):
    """Join two motions of one still by masks."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["mix motions", "regions", "merge motion", "mask motion", "layers"],
            node_id="MotionCombine",
            display_name="Motion Combine",
            description="Makes one motion of two of the same still: this part so, that part "
            "otherwise. Chain it for more.",
            inputs=[
                sockets.Spectrum.Input("base", tooltip="The first motion."),
                sockets.Spectrum.Input(
                    "top", tooltip="The second motion, laid over the base or added to it."
                ),
                io.Combo.Input(
                    "way",
                    options=list(WAYS),
                    default=next(iter(WAYS)),
                    tooltip="Over: the base moves where the top's mask is not. Add: both "
                    "displacements add up, as a camera's and the wind's do.",
                ),
                io.Float.Input(
                    "duration",
                    default=0.0,
                    min=0.0,
                    max=600.0,
                    step=0.1,
                    tooltip="Seconds of a loop that both are fitted to, by moving bands as little "
                    "as needed. 0 keeps all frequencies; the report says which loop holds both.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="How much of the top moves, white all of it, grey less far. Empty: "
                    "over, where the top's own mask is; added, everywhere.",
                ),
                io.Mask.Input(
                    "base_mask",
                    optional=True,
                    tooltip="The same for the base. Empty: all of it.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="Both as one motion."),
                io.String.Output(
                    display_name="report",
                    tooltip="Bands, the loop that holds both, overlaps and holes of masks.",
                ),
            ],
        )

    @classmethod
    def execute(cls, base, top, way, duration, mask=None, base_mask=None):
        from ..gid_core.pipeline import combine_motions

        masks = sockets.degrees(mask), sockets.degrees(base_mask, "base_mask")
        combined, report = combine_motions(base, top, *masks, WAYS[way], duration)
        return io.NodeOutput(combined, report, ui=panel.said(report))


class MotionEdit(io.ComfyNode):
    """Change a motion by frequency, phase, direction and place."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["equalizer", "EQ", "calm", "gain by frequency", "mute bands", "turn motion"],
            node_id="MotionEdit",
            display_name="Motion Edit",
            description="Changes a motion: how far each frequency moves, as an equalizer does with "
            "sound, its phases, its direction, and how much of it where. Loops stay loops.",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion to change."),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default=next(iter(PRESETS)),
                    tooltip="Calmer: less far, the faster the less. Livelier: fast bands more. "
                    "Slow sway only: up to 1 Hz. Flutter only: from 1 Hz on. Bands multiply it.",
                ),
                io.String.Input(
                    "bands",
                    default="",
                    tooltip="Gain by frequency in Hz, with straight lines between the points: "
                    "0.2:1, 1:0.5, 3:0. Values alone are spread evenly. Wins over the curve.",
                ),
                io.String.Input(
                    "mute",
                    default="",
                    tooltip="Frequencies in Hz to silence, single ones or ranges: 0.4, 1-2.",
                ),
                io.String.Input(
                    "solo",
                    default="",
                    tooltip="Frequencies in Hz to keep alone, in the same way. Empty: all.",
                ),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=0.0,
                    max=20.0,
                    step=0.05,
                    tooltip="2 moves twice as far.",
                ),
                io.Float.Input(
                    "x",
                    default=1.0,
                    min=-20.0,
                    max=20.0,
                    step=0.05,
                    tooltip="Factor of the motion from side to side.",
                ),
                io.Float.Input(
                    "y",
                    default=1.0,
                    min=-20.0,
                    max=20.0,
                    step=0.05,
                    tooltip="Factor of the motion up and down.",
                ),
                io.Float.Input(
                    "turn",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    tooltip="Turns the direction, in degrees anticlockwise: 90 makes right to up.",
                ),
                io.Float.Input(
                    "delay",
                    default=0.0,
                    min=-600.0,
                    max=600.0,
                    step=0.05,
                    tooltip="Seconds by which the motion comes later.",
                ),
                io.Float.Input(
                    "scatter",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Shifts each band's phase at random, up to half a cycle either way at "
                    "1: another course of the same motion.",
                ),
                sockets.seed_input("Of the scatter."),
                io.Float.Input(
                    "smooth",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="Points so far apart, in % of the longer side, move alike.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="How much of the motion is left, white all of it, grey less far. "
                    "Empty: all.",
                ),
                curves.socket(
                    "curve",
                    "Gain by frequency as a curve: left 0 Hz, right the highest band, the top "
                    "twice as far. Used where bands is empty.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The changed motion."),
                io.String.Output(display_name="report", tooltip="How many bands still move."),
                io.Image.Output(
                    display_name="plot", tooltip="Amplitude by frequency, before and after."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        spectrum,
        preset,
        bands,
        mute,
        solo,
        gain,
        x,
        y,
        turn,
        delay,
        scatter,
        seed,
        smooth,
        mask=None,
        curve=None,
    ):
        from ..gid_core.evaluation.inspection import edit_plot
        from ..gid_core.motion.edit import Edit, edit

        drawn = curves.drawn(curve, float(spectrum.frequencies_hz.max()), 2.0)
        change = Edit(
            preset, bands, drawn, mute, solo, gain, x, y, turn, delay, scatter, seed, smooth
        )
        edited, report = edit(spectrum, change, sockets.degrees(mask))
        plot = sockets.to_image(edit_plot(spectrum, edited)[None])
        return io.NodeOutput(
            edited,
            str(report),
            plot,
            ui=panel.said(str(report)) | ui.PreviewImage(plot, cls=cls).as_dict(),
        )
