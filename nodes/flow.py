"""The node that lets things flow: from a still, a mask and strokes to a spectrum of kind flow."""

import hashlib

from comfy_api.latest import io

from ..gid_core.advection.kinds import FLOWS
from ..gid_core.config import FlowConfig
from . import host, sockets

SHOWN_PX = 768  # longer side of the picture in the node's panel


class FlowMotion(io.ComfyNode):
    """Make a motion that does not come back."""

    @classmethod
    def define_schema(cls):
        config = FlowConfig()
        return sockets.schema(
            ["water", "river", "waterfall", "clouds", "sky", "smoke", "fire", "candle", "flow map"],
            node_id="FlowMotion",
            display_name="Flow Motion",
            description="Lets water, clouds, smoke and flames flow, as a loop without a cut. Says "
            "where and whereto: a mask, a direction, and strokes drawn on the still.",
            inputs=[
                io.Image.Input("image", tooltip="The still, or a batch of stills."),
                io.Combo.Input(
                    "kind",
                    options=list(FLOWS),
                    default=config.kind,
                    tooltip="What flows. Water runs along its shores; clouds and smoke go on "
                    "behind what stands before them; flames start from their foot.",
                ),
                io.Float.Input(
                    "direction",
                    default=config.direction_deg,
                    min=-360.0,
                    max=360.0,
                    step=5.0,
                    tooltip="Where to, in degrees counter-clockwise from where the kind goes by "
                    "itself: water and clouds to the right, waterfalls down, smoke and flames up.",
                ),
                io.Float.Input(
                    "speed",
                    default=config.speed_pct,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="How fast the nearest of it goes, in % of the picture's width per "
                    "second. Clouds 1 to 3, rivers 2 to 8, flames 10 to 30.",
                ),
                io.Float.Input(
                    "turbulence",
                    default=config.turbulence,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How much it swirls: speed of the eddies as a share of the flow's.",
                ),
                sockets.seed_input(
                    "Which eddies, and which flicker. Still number i of a batch uses seed + i.",
                ),
                io.String.Input(
                    "strokes",
                    default="[]",
                    socketless=True,
                    dynamic_prompts=False,
                    tooltip="Which way it flows; drawing on the still writes it. A list such as "
                    '[{"path": [[0.2, 0.6], [0.8, 0.5]], "speed": 1}]: points from 0 to 1, from '
                    "the left and from the top, and a factor of the speed; 0 holds what is there, "
                    '"obstacle": true lets things flow around it.',
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What flows (white). Empty: what flows is recognized in the picture.",
                ),
                io.Mask.Input(
                    "depth",
                    optional=True,
                    tooltip="White is near and flows faster. Empty: as horizon says.",
                ),
                _may_be_given(
                    "horizon",
                    -1.0,
                    (-1.0, 1.0, 0.01),
                    "Height of the horizon, 0 the picture's top, 1 its bottom: what is "
                    "closer to it goes slower, on water below and in clouds above. Below 0: none.",
                ),
                _may_be_given(
                    "light",
                    config.light,
                    (0.0, 1.0, 0.01),
                    "How much its light flickers: 0 not at all, 0.1 a candle, 0.3 a fire.",
                ),
                _may_be_given(
                    "duration",
                    config.duration_s,
                    (0.2, 60.0, 0.1),
                    "Seconds that eddies and flicker take to repeat; best as long as the "
                    "loop (frames / fps).",
                ),
                io.Boolean.Input(
                    "refine_mask",
                    default=True,
                    optional=True,
                    tooltip="Fit a roughly painted mask to the picture. Off: as it is.",
                ),
                sockets.Spectrum.Input(
                    "in_front",
                    optional=True,
                    tooltip="What moves in front, from the Motion Spectrum Sampler or another Flow "
                    "Motion: the spectrum then holds both, such as clouds that drift behind a "
                    "tree.",
                ),
                _may_be_given(
                    "ripples",
                    config.ripples_pct,
                    (0.0, 5.0, 0.05),
                    "How far reflections sway on water, in % of the picture's width: 0 not "
                    "at all, 0.2 a calm lake. Other kinds have none.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(
                    display_name="spectrum", tooltip="The flow, for Spectrum to Displacement."
                ),
                io.Mask.Output(display_name="refined mask", tooltip="What flows, as it was used."),
                io.String.Output(
                    display_name="report", tooltip="How fast it flows, and what hints met."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, strokes):
        """Refuse an invalid list of strokes before anything runs; None: it comes over a link."""
        from ..gid_core.advection.strokes import read_strokes

        try:
            read_strokes(strokes or "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        image,
        kind,
        direction,
        speed,
        turbulence,
        seed,
        strokes,
        mask=None,
        depth=None,
        horizon=-1.0,
        light=0.0,
        duration=5.0,
        refine_mask=True,
        in_front=None,
        ripples=0.0,
    ):
        from ..gid_core.advection.flow import behind
        from ..gid_core.advection.strokes import read_strokes
        from ..gid_core.pipeline import flow_motion

        stills = sockets.from_image(image)
        level = None if horizon < 0 else horizon
        config = FlowConfig(
            kind, direction, speed, turbulence, light, level, duration, ripples_pct=ripples
        )
        spectrum, reports = host.responsive(
            flow_motion,
            stills,
            sockets.from_mask(mask),
            sockets.from_depth(depth),
            seed,
            config,
            read_strokes(strokes),
            refine_mask,
            host.progress(len(stills)),
        )
        notes = sockets.mask_notes(image, mask=mask)
        said = " ".join([*notes, *dict.fromkeys(map(str, reports))])
        flowing = spectrum
        if in_front is not None:
            spectrum = behind(in_front, flowing)
        shown = {"image_dynamics": [{"files": [_shown_still(stills[0])]}], "text": (said,)}
        return io.NodeOutput(spectrum, sockets.to_mask(flowing.mask), said, ui=shown)


def _may_be_given(name, default, scale, tooltip):
    """A number that old graphs lack; scale: its least value, its largest, and a step."""
    least, most, step = scale
    return io.Float.Input(
        name, default=default, min=least, max=most, step=step, optional=True, tooltip=tooltip
    )


def _shown_still(still):
    """A file in the temp folder that the node's panel shows, named by a hash of its content."""
    from ..gid_core.files.whole import written_whole
    from ..gid_core.poke.packing import web_picture

    data = web_picture(still, SHOWN_PX)
    path = host.temp_folder() / f"gid_{hashlib.sha256(data).hexdigest()[:24]}_still.webp"
    if not path.is_file():
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    return {"filename": path.name, "subfolder": "", "type": "temp"}
