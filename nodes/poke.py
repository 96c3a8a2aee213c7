"""The node that pokes a still, and the node that saves a page in which others can."""

from comfy_api.latest import io, ui

from . import files, host, panel, sockets

SHOWN_PX = 768  # longer side of the pictures in the node's panel
PARTS = "modes.bin", "layer.webp", "plate.webp"  # modes, foreground and background
RULES = {
    "physical": "physical",
    "paper": "paper",
    "grip, paper's damping": "grip",
    "grip, demo page's damping": "demo",
}
OLD_RULES = {"the paper's": "grip", "the paper's demo": "demo"}  # in graphs of 0.1


class PokeDynamics(io.ComfyNode):
    """Turn gestures and a spectrum into a motion."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["drag", "pull", "push", "jiggle", "bounce", "interactive", "physics", "spring"],
            node_id="PokeDynamics",
            display_name="Poke Dynamics",
            description="Pulls, flicks and pushes a still, lets go, and it rings: drag on the "
            "still in the node, once it has run. Best with a spectrum of modes: set the Motion "
            "Spectrum Sampler's kind to 'modes to poke'.",
            inputs=[
                sockets.Spectrum.Input(
                    "spectrum", tooltip="What can move and how: modes, or the bands of a motion."
                ),
                io.Image.Input("still", tooltip="The still it was made for."),
                io.String.Input(
                    "gestures",
                    default="auto",
                    socketless=True,
                    dynamic_prompts=False,
                    tooltip="What a hand does; dragging on the still writes it. auto: one early "
                    "pull where the still moves most; []: none. A list such as "
                    '[{"t": 0.2, "x": 0.5, "y": 0.3, "dx": 0.04, "dy": 0, "hold": 0.6}]. t: '
                    "seconds; x, y: where, 0 to 1 from the left and from the top; dx, dy: how far, "
                    "in widths and heights; hold: seconds until it lets go, 0 for a flick.",
                ),
                io.Float.Input(
                    "duration", default=5.0, min=0.05, max=3600.0, step=0.1, tooltip="Seconds."
                ),
                io.Float.Input(
                    "fps", default=30.0, min=0.1, max=240.0, step=0.01, tooltip="Frames per second."
                ),
                io.Float.Input(
                    "wind",
                    default=0.2,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Share of the spectrum's own motion that goes on beneath; 1 is all of "
                    "it.",
                ),
                io.Float.Input(
                    "damping_ratio",
                    default=0.0,
                    min=0.0,
                    max=4.0,
                    step=0.01,
                    tooltip="How soon ringing dies away, as a ratio; 1 does not ring. 0: the "
                    "spectrum's own, or the rule's.",
                ),
                io.Float.Input(
                    "stiffness",
                    default=1.0,
                    min=0.05,
                    max=20.0,
                    step=0.05,
                    tooltip="A factor: 4 rings twice as fast, and gives way to a push by a "
                    "quarter.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="A factor: 2 pulls and pushes twice as far.",
                ),
                io.Combo.Input(
                    "rule",
                    options=list(RULES),
                    default="physical",
                    tooltip="How much each frequency takes of a pull and how it is damped. "
                    "physical: by physics. paper: as Li et al. write, by the size of its shape "
                    "along the pull. The others: so that the point follows the hand, damped as in "
                    "the paper or on its page.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="displacement", tooltip="For the renderer."),
                io.String.Output(display_name="report", tooltip="What the gestures met."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, gestures, rule):
        """Refuse an invalid list of gestures before anything runs; None: it comes over a link.

        The host leaves inputs that are named here to us: rules of old graphs stay valid.
        """
        from ..gid_core.poke.first import FIRST
        from ..gid_core.poke.gestures import read_gestures

        known = [*RULES, *OLD_RULES]
        if rule not in (None, *known):
            return f"Expected the rule to be one of {', '.join(RULES)}, got {rule!r}."
        try:
            if (gestures or "").strip() != FIRST:
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
        from ..gid_core.poke.first import first_gesture, gestures_of
        from ..gid_core.poke.response import RULES as LAWS, body_of, check_still, poke

        still, rule = sockets.from_image(still), (RULES | OLD_RULES)[rule]
        check_still(spectrum, still)
        read = gestures_of(gestures, spectrum, duration)
        motion, report = poke(
            spectrum, read, duration, fps, wind, rule, damping_ratio, stiffness, strength
        )
        settings = {"duration": duration, "wind": wind, "strength": strength, "law": LAWS[rule][0]}
        settings |= {"stiffness": stiffness, "damping_ratio": damping_ratio}
        # The body without stiffness and damping ratio: the panel applies both, without a run.
        shown = {"files": _files(still[0], spectrum, body_of(spectrum, rule)), "settings": settings}
        shown["first"] = first_gesture(spectrum, duration)  # what `auto` is, for the panel
        # Only sentences about single gestures warn.
        warns = "Gesture " in report
        said = panel.said(warnings=[report]) if warns else panel.said(report)
        return io.NodeOutput(motion, report, ui={"image_dynamics": [shown]} | said)


class SaveInteractivePage(io.ComfyNode):
    """Save a still that can be poked as one HTML file."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["html", "share", "web page", "interactive", "poke"],
            node_id="SaveInteractivePage",
            display_name="Save Interactive Page",
            description="Keeps a still as one HTML file in ComfyUI's output folder: whoever opens "
            "it, with or without a network, can poke the still with mouse or finger.",
            inputs=[
                sockets.Spectrum.Input(
                    "spectrum", tooltip="How it moves; best of kind 'modes to poke'."
                ),
                io.Image.Input("still", tooltip="The still it was made for."),
                files.prefix_input("poke", ".html"),
                io.String.Input(
                    "title",
                    default="A still to poke",
                    tooltip="Title of the page, and what is read out to those who do not see the "
                    "still.",
                ),
                io.Float.Input(
                    "wind",
                    default=0.5,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Share of the spectrum's own motion that goes on beneath; visitors can "
                    "switch it off.",
                ),
                io.Int.Input(
                    "size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=64,
                    tooltip="Longer side of the picture at most, in pixels.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="file", tooltip="Its name in the output folder.")
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return files.refusal(files.checked_prefix, filename_prefix)

    @classmethod
    def execute(cls, spectrum, still, filename_prefix, title, wind, size):
        from ..gid_core.poke.page import save_page
        from ..gid_core.poke.response import STANDS

        stills = sockets.from_image(still)
        path, name = files.next_file(filename_prefix, ".html", tuple(stills.shape[-2:]))
        save_page(path, stills, spectrum, wind, title, size)
        folder, _, filename = name.rpartition("/")
        page = ui.SavedResult(filename, folder, io.FolderType.output)
        notes = [] if spectrum.behind is None else [STANDS]
        return io.NodeOutput(name, ui=panel.said(name, *notes) | {"gid_page": [page]})


def _files(still, spectrum, body):
    """Files in the temp folder that the node's panel shows, named by a digest of what they show.

    Files that exist already are not written again.
    """
    from ..gid_core.files.kept import digest
    from ..gid_core.files.whole import written_whole
    from ..gid_core.poke.packing import layer_pictures, pack

    oscillators = body.along, body.omega, body.damping_ratio, body.modal_compliance
    key = digest(still, spectrum.coeffs, spectrum.mask, spectrum.ambient, oscillators)
    paths = [host.temp_folder() / f"gid_{key}_{part}" for part in PARTS]
    if not all(path.is_file() for path in paths):
        made = pack(body, spectrum), *layer_pictures(still, spectrum, SHOWN_PX)
        for path, data in zip(paths, made):
            with written_whole(path) as temporary:
                temporary.write_bytes(data)
    return [{"filename": path.name, "subfolder": "", "type": "temp"} for path in paths]
