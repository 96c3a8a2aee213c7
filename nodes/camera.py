"""The node that moves a camera in front of a still."""

from comfy_api.latest import io

from ..gid_core.motion.camera import CameraMove
from . import panel, sockets

MOVES = {
    "sway (from side to side)": "sway",
    "orbit (around the focus)": "orbit",
    "push-in (forward and back)": "push-in",
    "handheld": "handheld",
}
BORDERS = {
    "left to the renderer": "uncovered",
    "stretch (borders stand still)": "stretch",
}
NEAR = ["white is near", "black is near"]


class CameraMotion(io.ComfyNode):
    """The motion of a still under a moving camera, by its depth."""

    @classmethod
    def define_schema(cls):
        camera = CameraMove()
        return sockets.schema(
            ["parallax", "2.5D", "depth", "ken burns", "handheld camera", "dolly", "orbit"],
            node_id="CameraMotion",
            display_name="Camera Motion",
            description="Moves the camera: near things move against far ones, by a depth as Depth "
            "Anything or MoGe make it. It is a motion like others: combine it with the wind "
            "(Motion Combine, add), and play it.",
            inputs=[
                io.Image.Input("image", tooltip="The still."),
                io.Combo.Input(
                    "move",
                    options=list(MOVES),
                    default=next(iter(MOVES)),
                    tooltip="Each is periodic over the duration. A loop's still is the middle of "
                    "the move; with the pose 'first frame' a push-in begins at the still.",
                ),
                io.Float.Input(
                    "strength",
                    default=camera.strength_pct,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How far the nearest moves against the farthest, in % of the picture's "
                    "width; push-in: how far the nearest things at the sides move.",
                ),
                io.Float.Input(
                    "focus",
                    default=camera.focus,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="What stands still: 0 the farthest, 1 the nearest.",
                ),
                io.Float.Input(
                    "duration",
                    default=camera.duration_s,
                    min=0.2,
                    max=600.0,
                    step=0.1,
                    tooltip="Seconds of one whole move: a loop as long (frames / fps) closes.",
                ),
                sockets.seed_input("Of handheld: another hand."),
                io.Combo.Input(
                    "borders",
                    options=list(BORDERS),
                    default=next(iter(BORDERS)),
                    tooltip="What happens where the picture's border comes in: what the renderer's "
                    "border says, or the motion fades towards the borders so that none comes in.",
                ),
                io.Combo.Input(
                    "near",
                    options=NEAR,
                    default=NEAR[0],
                    tooltip="How the depth is painted. Depth Anything and MoGe paint what is near "
                    "white.",
                ),
                io.MultiType.Input(
                    "depth",
                    [io.Image, io.Mask],
                    optional=True,
                    tooltip="The depth of the still, as picture or mask. Empty: a tilted plane, "
                    "the lower the nearer.",
                ),
                panel.preview_input(),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The camera's motion."),
                io.Mask.Output(
                    display_name="depth",
                    tooltip="The depth as used, white near. The motion carries it to the renderer.",
                ),
                io.Float.Output(
                    display_name="overscan",
                    tooltip="How far borders come in at most, in % of the width.",
                ),
                io.String.Output(display_name="report", tooltip="What was made, in words."),
            ],
        )

    @classmethod
    def execute(
        cls, image, move, strength, focus, duration, seed, borders, near, depth=None, preview=True
    ):
        from ..gid_core.motion.camera import camera_motion

        camera = CameraMove(MOVES[move], strength, focus, duration, seed, BORDERS[borders])
        stills = sockets.from_image(image)
        size = tuple(stills.shape[-2:])
        depth = sockets.from_depth_picture(depth)
        spectrum, used, report = camera_motion(size, depth, camera, near == NEAR[0])
        shown = panel.said(str(report)) | (panel.moving(stills, spectrum) if preview else {})
        return io.NodeOutput(
            spectrum, sockets.to_mask(used), report.overscan_pct, str(report), ui=shown
        )
