"""One node from a still to a video: the calls of the graph's four nodes, one after the other."""

from comfy_api.latest import io

from ..gid_core.config import SpectrumConfig, WindConfig
from ..gid_core.elastic import kinds
from . import aliases, host, networks, panel, render, sockets

FEWEST = 3  # frames of a loop: its slowest band is below half the frame rate
ANY = "anything"  # a kind of no particular material


class AnimateStill(io.ComfyNode):
    """A still that sways in the wind, as a loop."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            [
                "animate photo",
                "make image move",
                "living photo",
                "wind animation",
                "breeze",
                "tree",
                "cinemagraph",
                "parallax",
                "image dynamics",
                "动态照片",
                "動く写真",
                *aliases.VIDEO,
                *aliases.SWAY,
                *aliases.LOOP,
            ],
            node_id="AnimateStill",
            essentials_category="Video Tools",
            display_name="Animate Still",
            description="Makes a photo sway in the wind, as a loop: all that Motion Spectrum "
            "Sampler, Spectrum to Displacement and Feature Splat Render do, in one node.",
            inputs=[
                io.Image.Input("image", tooltip="The still, or a batch of stills."),
                io.Combo.Input(
                    "kind",
                    options=[ANY, *kinds.KINDS],
                    default=ANY,
                    tooltip="What it is that moves: sets how it bends, is held and flutters.",
                ),
                io.Combo.Input(
                    "weather",
                    options=list(kinds.WEATHER),
                    default="breeze",
                    tooltip="How the wind blows, and so how far things move.",
                ),
                io.Float.Input(
                    "direction",
                    default=WindConfig().direction_deg,
                    min=-360.0,
                    max=360.0,
                    step=5.0,
                    tooltip="Where the wind blows to, in degrees: 0 right, 90 up, 180 left.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="A factor: 2 moves twice as far.",
                ),
                io.Float.Input(
                    "seconds",
                    default=5.0,
                    min=0.2,
                    max=60.0,
                    step=0.1,
                    tooltip="Length of the loop.",
                ),
                io.Float.Input(
                    "fps", default=30.0, min=1.0, max=240.0, step=0.01, tooltip="Frames per second."
                ),
                sockets.seed_input("Which wind blows: another seed is another motion."),
                io.Combo.Input(
                    "draft",
                    options=list(render.DRAFTS),
                    default=next(iter(render.DRAFTS)),
                    tooltip="Half and quarter size are rendered four and sixteen times as fast. "
                    "The motion is exactly that of the full size.",
                ),
                io.Combo.Input(
                    "output",
                    options=render.OUTPUTS,
                    default=render.VIDEO_ONLY,
                    tooltip="'Video only' keeps no frames: the video is rendered while it is "
                    "saved. The frames output then holds the first frame.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What may move (white). Paint it roughly. Empty: what sways is "
                    "recognized in the picture.",
                ),
                io.Mask.Input(
                    "anchor",
                    optional=True,
                    tooltip="What holds still (white), such as roots. Empty: by the kind's rule.",
                ),
                io.Mask.Input(
                    "depth",
                    optional=True,
                    tooltip="What is in front where things meet, white the nearest. Empty: what "
                    "moves more.",
                ),
                panel.preview_input(),
            ],
            outputs=[
                io.Video.Output(
                    display_name="video", tooltip="The loop, for Save Video; rendered when saved."
                ),
                io.Image.Output(
                    display_name="frames", tooltip="All frames, those of still 0 first."
                ),
                sockets.Motion.Output(
                    display_name="motion", tooltip="For Feature Splat Render and the like."
                ),
                io.Mask.Output(display_name="refined mask", tooltip="What moves, as it was used."),
                io.String.Output(
                    display_name="report", tooltip="What was taken for moving, and what to know."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        kind,
        weather,
        direction,
        strength,
        seconds,
        fps,
        seed,
        draft,
        output,
        mask=None,
        anchor=None,
        depth=None,
        preview=True,
    ):
        from ..gid_core import pipeline
        from ..gid_core.elastic.prior import ElasticPrior
        from ..gid_core.motion import playback

        stills, frames = sockets.from_image(image), round(seconds * fps)
        if frames < FEWEST:
            raise ValueError(
                f"Expected a loop of {FEWEST} frames or more, got {max(1, frames)}: fewer cannot "
                f"show a swing. At {fps:g} frames per second use {FEWEST / fps:.3g} s or more, or "
                f"for {seconds:g} s more than {(FEWEST - 0.5) / seconds:.3g} frames per second."
            )
        kind = kinds.CUSTOM if kind == ANY else kind
        spectrum, report = host.responsive(
            pipeline.sample_motion,
            stills,
            sockets.from_mask(mask),
            sockets.from_mask(anchor, "anchor"),
            seed,
            kinds.prior(kind, weather, ElasticPrior(wind=WindConfig(direction))),
            SpectrumConfig.of_clip(frames, fps, strength),
            callback=host.progress(len(stills)),
            widen=True,
        )
        motion, _ = pipeline.play(spectrum, frames, fps)
        clip = render.RenderedVideo(
            render.drafted(stills, draft),
            motion,
            host.render_device(),
            model=networks.renderer(networks.SHIPPED_RENDERER),
            depth=sockets.from_depth(depth),
        )
        pictures, _ = clip.render(1 if output == render.VIDEO_ONLY else None)
        notes = sockets.mask_notes(image, mask=mask, anchor=anchor)
        notes += filter(None, [playback.left_out(spectrum, fps)])
        shown = panel.sampled(report, notes)
        if preview:
            shown |= panel.moving(stills, spectrum)
        said = " ".join([*notes, str(report)])
        return io.NodeOutput(clip, pictures, motion, sockets.to_mask(spectrum.mask), said, ui=shown)
