"""The node that closes clips that are not loops by construction."""

import torch
from comfy_api.latest import io

from . import aliases, footage, host, panel, sockets
from .render import RenderedVideo


class LoopBlend(io.ComfyNode):
    """Close a clip by fading its end into its beginning."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["crossfade", "cinemagraph", "gif", *aliases.LOOP],
            node_id="LoopBlend",
            display_name="Loop Blend",
            description="Closes a clip that is not a loop, such as one of a video model, and "
            "measures the seam before and after. Loops made by Spectrum to Displacement close "
            "exactly and need no blending: they pass untouched.",
            inputs=[
                io.MultiType.Input(
                    "frames",
                    [io.Image, io.Video],
                    tooltip="The clip to close: frames as IMAGE, or a VIDEO, whose sound is kept.",
                ),
                io.Int.Input(
                    "overlap",
                    default=15,
                    min=1,
                    max=10_000,
                    tooltip="How many frames the fade takes; the clip becomes so much shorter. At "
                    "most half the clip.",
                ),
                io.Int.Input(
                    "clips",
                    default=1,
                    min=1,
                    max=10_000,
                    tooltip="How many clips of one length the frames hold, one after the other.",
                ),
                sockets.Motion.Input(
                    "displacement",
                    optional=True,
                    tooltip="The motion the frames were rendered from. With the still, paths are "
                    "blended instead of pixels, so nothing doubles; an exact loop passes "
                    "untouched.",
                ),
                io.Image.Input(
                    "still",
                    optional=True,
                    tooltip="The still the frames were rendered from, to render blended paths.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    optional=True,
                    tooltip="Frames per second of an IMAGE batch. A VIDEO tells its own, and so "
                    "does a displacement.",
                ),
                sockets.Spectrum.Input(
                    "flow",
                    optional=True,
                    tooltip="How the clip flows, from Flow Motion: its end then passes into its "
                    "first frame along the flow, patch by patch, and the clip keeps its length.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The closed clip."),
                io.String.Output(display_name="report", tooltip="What was done, and the seam."),
                io.Float.Output(
                    display_name="seam before",
                    tooltip="Step from the last frame to the first, root mean square, 0 to 1.",
                ),
                io.Float.Output(display_name="seam after", tooltip="The same, of the closed clip."),
                io.Video.Output(
                    display_name="video", tooltip="The closed clip, with its sound closed alike."
                ),
            ],
        )

    @classmethod
    def execute(cls, frames, overlap, clips, displacement=None, still=None, fps=30.0, flow=None):
        from ..gid_core.motion import loops

        given = footage.parts(frames, fps if displacement is None else displacement.fps)
        frames, sound = sockets.from_frames(given.images), given.audio
        separate = loops.split_clips(frames, clips)
        before = [loops.seam(clip) for clip in separate]
        if displacement is not None and displacement.loop:
            said = "An exact loop already, left untouched."
            return cls._closed(frames, said, before, before, given.video(frames, sound))
        if displacement is not None and still is None:
            raise ValueError(
                "Expected the still beside the displacement, to render its blended paths. Connect "
                "the still, or disconnect the displacement to blend pixels."
            )
        if displacement is not None:
            motion = loops.blend_trajectories(displacement, overlap)
            video = RenderedVideo(sockets.from_image(still), motion, host.render_device())
            closed, _ = video.render()
            clips = len(closed) // motion.frames
            text = f"Blended paths over {overlap} frames."
        elif flow is not None:
            closed = torch.cat([_along(flow, clip, overlap, given.fps) for clip in separate])
            text = f"Passed into the first frame along the flow over {overlap} frames."
        else:
            closed = torch.cat([torch.stack(list(loops.crossfade(c, overlap))) for c in separate])
            text = f"Blended pixels over {overlap} frames."
        if sound is not None and clips == 1 and len(closed) < len(frames):
            rate = sound["sample_rate"]
            spans = len(frames) * rate / given.fps, overlap * rate / given.fps
            sound = sound | {"waveform": loops.crossfade_sound(sound["waveform"], *spans)}
        after = [loops.seam(clip) for clip in loops.split_clips(closed, clips)]
        return cls._closed(closed, text, before, after, given.video(closed, sound))

    @staticmethod
    def _closed(frames, text, before, after, video):
        """The outputs: frames, the report, the worst seam before and after, and the video."""
        worst = [max(seams, key=lambda seam: seam.wrap) for seams in (before, after)]
        text = f"{text} Seam before: {worst[0]}. After: {worst[1]}."
        seams = [seam.wrap for seam in worst]
        return io.NodeOutput(frames, text, *seams, video, ui=panel.said(text))


def _along(flow, clip, overlap, fps):
    """One clip, closed along a flow."""
    from ..gid_core.pipeline import close_along

    given = sockets.from_image(clip), flow, overlap, fps, host.stop_if_cancelled
    return sockets.to_image(host.responsive(close_along, *given))
