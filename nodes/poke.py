"""The node that pokes a still."""

from comfy_api.latest import io

from . import sockets

RULES = {"physical": "physical", "the paper's": "paper", "the paper's demo": "demo"}
EXAMPLE = '[{"t": 0.2, "x": 0.5, "y": 0.3, "dx": 0.04, "dy": 0.0, "hold": 0.6}]'


class PokeDynamics(io.ComfyNode):
    """Gestures and a spectrum become motion."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["poke", "drag", "pull", "push", "interactive", "physics", "spring"],
            node_id="PokeDynamics",
            display_name="Poke Dynamics",
            description="Pulls, flicks and pushes a still, lets go, and it rings. Best with a "
            "spectrum of modes: set the Motion Spectrum Sampler's kind to 'modes to poke'.",
            inputs=[
                sockets.Spectrum.Input(
                    "spectrum", tooltip="What can move and how: modes, or the bands of a motion."
                ),
                io.Image.Input("still", tooltip="The still it was made for."),
                io.String.Input(
                    "gestures", default=EXAMPLE, multiline=True, dynamic_prompts=False,
                    tooltip="What a hand does, as a list. t: seconds; x, y: where, 0 to 1 from the left "
                    "and from the top; dx, dy: how far, in widths and heights; hold: seconds until it "
                    "lets go, 0 for a flick. Empty: nothing is touched.",
                ),
                io.Float.Input(
                    "duration", default=5.0, min=0.05, max=3600.0, step=0.1, tooltip="Seconds."
                ),
                io.Float.Input(
                    "fps", default=30.0, min=0.1, max=240.0, step=0.01, tooltip="Frames per second."
                ),
                io.Float.Input(
                    "wind", default=0.2, min=0.0, max=4.0, step=0.05,
                    tooltip="Share of the spectrum's own motion that goes on beneath; 1 is all of it.",
                ),
                io.Float.Input(
                    "damping_ratio", default=0.0, min=0.0, max=4.0, step=0.01,
                    tooltip="How soon ringing dies away, as a ratio; 1 does not ring. 0: the spectrum's "
                    "own, or the rule's.",
                ),
                io.Float.Input(
                    "stiffness", default=1.0, min=0.05, max=20.0, step=0.05,
                    tooltip="A factor: 4 rings twice as fast, and gives way to a push by a quarter.",
                ),
                io.Float.Input(
                    "strength", default=1.0, min=0.0, max=10.0, step=0.05,
                    tooltip="A factor: 2 pulls and pushes twice as far.",
                ),
                io.Combo.Input(
                    "rule", options=list(RULES), default="physical",
                    tooltip="How much each frequency takes of a pull and how it is damped: by physics, "
                    "or as in the paper, or as on its page.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="displacement", tooltip="For the renderer."),
                io.String.Output(display_name="report", tooltip="What the gestures met."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, gestures):
        """Refuse what is no list of gestures before anything runs; None is not known yet."""
        from ..gid_core.gestures import read_gestures

        try:
            read_gestures(gestures or "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        spectrum,
        still,
        gestures,
        duration,
        fps,
        wind,
        damping_ratio,
        stiffness,
        strength,
        rule,
    ):
        from ..gid_core.gestures import read_gestures
        from ..gid_core.poke import check_still, poke

        check_still(spectrum, sockets.pictures(still))
        motion, report = poke(
            spectrum,
            read_gestures(gestures),
            duration,
            fps,
            wind,
            RULES[rule],
            damping_ratio,
            stiffness,
            strength,
        )
        return io.NodeOutput(motion, report)
