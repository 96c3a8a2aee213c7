"""The node that plays a spectrum: from a spectral volume to a displacement field."""

from comfy_api.latest import io

from . import aliases, curves, host, panel, sockets

# What old graphs have in the place of `pace`: what their seed did after a run.
SEED_CONTROLS = "fixed", "increment", "decrement", "randomize"


class SpectrumToDisplacement(io.ComfyNode):
    """Play a spectrum: frame rate, speed, amplitude, and a loop that closes by construction."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["play", "slow motion", "speed", "retime", *aliases.LOOP],
            node_id="SpectrumToDisplacement",
            display_name="Spectrum to Displacement",
            description="Lets a motion play for so many frames. Loops close exactly: the frame "
            "after the last is the first again, in position and in speed.",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion."),
                io.Int.Input(
                    "frames", default=150, min=1, max=100_000, tooltip="How many frames to make."
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second. Frequencies of the motion that are not below half "
                    "of it are left out.",
                ),
                io.Boolean.Input(
                    "loop",
                    default=True,
                    tooltip="Close a loop: each frequency moves to the nearest that fits frames / "
                    "fps (the report says how far). Off: play as sampled, or as recorded from a "
                    "clip.",
                ),
                io.Float.Input(
                    "speed",
                    default=1.0,
                    min=0.01,
                    max=20.0,
                    step=0.05,
                    tooltip="2 is twice as fast, 0.5 slow motion; nothing is interpolated.",
                ),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=0.0,
                    max=20.0,
                    step=0.05,
                    tooltip="2 moves twice as far as the spectrum says.",
                ),
                io.Combo.Input(
                    "pose",
                    options=["rest pose", "first frame"],
                    default="rest pose",
                    tooltip="What the still is to the motion. Rest pose: its middle, and no frame "
                    "need be the still. First frame: frame 0 is exactly the still, as the start "
                    "frame of a video model has to be.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="For loops longer than the spectrum's duration: how its frequencies "
                    "spread, so that the loop does not repeat inside itself.",
                ),
                io.String.Input(
                    "pace",
                    default="",
                    optional=True,
                    tooltip="Variable speed, a factor of speed over the seconds of the clip: 0:1, "
                    "2.5:0.2, 5:1. Values alone, as 1, 0.2, 1, are spread evenly. Wins over the "
                    "curve.",
                ),
                curves.socket(
                    "pace_curve",
                    "Variable speed as a curve: left the beginning, right the end of the clip, the "
                    "top twice the speed. Used where pace is empty.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="displacement", tooltip="For the renderer."),
                io.String.Output(display_name="report", tooltip="What closing the loop changed."),
            ],
        )

    @classmethod
    def execute(
        cls, spectrum, frames, fps, loop, speed, gain, pose, seed, pace="", pace_curve=None
    ):
        from ..gid_core import pipeline
        from ..gid_core.motion import playback

        pace = "" if pace in SEED_CONTROLS else pace
        drawn = curves.drawn(pace_curve, 1.0, 2.0)
        paced = playback.pace_curve(pace, frames / fps, loop, drawn)
        given = frames, fps, loop, speed, gain, pose, seed, paced, host.stop_if_cancelled
        motion, report = host.responsive(pipeline.play, spectrum, *given)
        fastest = speed if paced is None else speed * max(paced.y)
        played = str(report) or _played(spectrum)
        warnings = list(filter(None, [playback.left_out(spectrum, fps, fastest)]))
        if not motion.coeffs.any() and motion.behind is None:
            warnings.append("Nothing moves: the spectrum is empty, or gain is 0.")
        if report.warns:
            warnings, played = [played, *warnings], ""
        notes = [played, playback.first_frame(motion)]
        said = " ".join(filter(None, [played, *warnings, notes[1]]))
        return io.NodeOutput(motion, said, ui=panel.said(*notes, warnings=warnings))


def _played(spectrum) -> str:
    """The report of a motion that is not a loop."""
    if spectrum.mean is None and spectrum.drift is None:
        return "Not a loop: the motion plays as it is."
    return "Not a loop: the motion plays as it was recorded, mean and drift included."
