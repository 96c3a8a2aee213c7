"""The nodes of time: strength over time, and loops as long as bars of music."""

from comfy_api.latest import io, ui

from . import curves, panel, sockets


class MotionEnvelope(io.ComfyNode):
    """Change the strength of a motion over time: by a curve, beats or a sound."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["audio reactive", "beat", "fade motion", "strength over time", "keyframes"],
            node_id="MotionEnvelope",
            display_name="Motion Envelope",
            description="Lets a motion grow and fade over time: by a curve, on every beat, or as "
            "loud as a sound is. What is given multiplies. A loop stays one if the curve ends as "
            "it begins.",
            inputs=[
                sockets.Motion.Input("displacement", tooltip="The motion, as it plays."),
                io.String.Input(
                    "strength",
                    default="",
                    tooltip="Strength over the seconds of the clip: 0:0.2, 2.5:1, 5:0.2. Values "
                    "alone, as 1, 0.3, 1, are spread evenly. Wins over the curve.",
                ),
                io.Float.Input(
                    "bpm",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="Beats per minute, each of which moves things anew; 0 for none. Motion "
                    "Beat gives the frames of whole bars.",
                ),
                io.Float.Input(
                    "attack",
                    default=0.05,
                    min=0.0,
                    max=60.0,
                    step=0.01,
                    tooltip="Seconds from a beat or an onset of the sound to full strength.",
                ),
                io.Float.Input(
                    "release",
                    default=0.3,
                    min=0.01,
                    max=60.0,
                    step=0.01,
                    tooltip="Seconds in which the strength falls to a third (1/e) after it.",
                ),
                io.Float.Input(
                    "floor",
                    default=0.2,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Least strength between beats, and where the sound is silent.",
                ),
                io.Float.Input(
                    "low",
                    default=20.0,
                    min=0.0,
                    max=20_000.0,
                    step=10.0,
                    tooltip="Lowest frequency of the sound that counts, Hz. A bass drum lies from "
                    "40 to 120.",
                ),
                io.Float.Input(
                    "high",
                    default=20_000.0,
                    min=1.0,
                    max=200_000.0,
                    step=10.0,
                    tooltip="Highest frequency of the sound that counts, Hz.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="A sound from the beginning of the clip on: things move as loud as it "
                    "is.",
                ),
                curves.socket(
                    "curve",
                    "Strength as a curve: left the beginning, right the end of the clip, the top "
                    "1. Used where strength is empty.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="displacement", tooltip="For the renderer."),
                io.String.Output(
                    display_name="report", tooltip="Range of the strength; whether the loop closes."
                ),
                io.Image.Output(display_name="plot", tooltip="The strength over the clip."),
            ],
        )

    @classmethod
    def execute(
        cls,
        displacement,
        strength,
        bpm,
        attack,
        release,
        floor,
        low,
        high,
        audio=None,
        curve=None,
    ):
        from ..gid_core.evaluation.inspection import course_plot
        from ..gid_core.motion.envelope import Pulse, envelope

        changed, report, course = envelope(
            displacement,
            strength,
            curves.drawn(curve, 1.0, 1.0),
            sockets.from_audio(audio, low, high),
            bpm,
            Pulse(attack, release, floor),
        )
        plot = sockets.to_image(course_plot(course, displacement.fps)[None])
        return io.NodeOutput(
            changed,
            str(report),
            plot,
            ui=panel.said(str(report)) | ui.PreviewImage(plot, cls=cls).as_dict(),
        )


class MotionBeat(io.ComfyNode):
    """How long bars of music are: the duration, frames and rate of a loop on the beat."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["bpm", "bars", "tempo", "loop on the beat", "music"],
            node_id="MotionBeat",
            display_name="Motion Beat",
            description="Gives the length of bars of music: as duration for the sampler, as frames "
            "and rate for Spectrum to Displacement. Every band then fits whole cycles into the "
            "bars, and the loop closes on the beat.",
            inputs=[
                io.Float.Input(
                    "bpm",
                    default=120.0,
                    min=1.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="Beats per minute.",
                ),
                io.Int.Input("bars", default=2, min=1, max=1000, tooltip="Bars in the loop."),
                io.Int.Input(
                    "beats_per_bar",
                    default=4,
                    min=1,
                    max=64,
                    tooltip="4 in most music, 3 in a waltz.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    tooltip="About the frame rate wanted: the nearest is taken at which whole "
                    "frames fill the bars.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="duration", tooltip="Seconds, for the sampler."),
                io.Int.Output(display_name="frames", tooltip="For Spectrum to Displacement."),
                io.Float.Output(display_name="fps", tooltip="For Spectrum to Displacement."),
                io.String.Output(display_name="report", tooltip="Length of a beat and of a bar."),
            ],
        )

    @classmethod
    def execute(cls, bpm, bars, beats_per_bar, fps):
        from ..gid_core.motion import beats

        found = beats.bars(bpm, bars, beats_per_bar, fps)
        said = panel.said(str(found))
        return io.NodeOutput(found.duration_s, found.frames, found.fps, str(found), ui=said)
