"""Nodes that hand motion to video models and compositing programs, and take it back."""

import torch
from comfy_api.latest import io, ui

from . import files, host, sockets

LAYOUTS = {"random, denser where more moves": "random", "rows and columns": "grid"}
RULES = {"Wan: 4n + 1": 4, "LTX: 8n + 1": 8, "as given": 1}
TIMINGS = {"the whole motion": "whole", "by the frame rate": "rate"}
FITS = {"cut to the shape": "crop", "stretched": "stretch"}
MAPS = {"STMap: pull the frame": "stmap", "flow: push the still": "flow"}
CONVENTIONS = {"Nuke: y up": "nuke", "OpenCV: y down": "opencv"}
NO_TRACKS = "This ComfyUI has no nodes that take TRACKS: use the texts, or update it for Wan-Move."


class MotionToTracks(io.ComfyNode):
    """Follow points of a motion, for video models that are steered by tracks."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["tracks", "trajectories", "wan move", "ATI", "LTX motion", "motion control"],
            node_id="MotionToTracks",
            display_name="Motion to Tracks",
            description="Follows points of a motion through the frames of a video model: as TRACKS "
            "for Wan-Move, and as text for ATI and LTX. Points outside the mask stand still.",
            inputs=[
                io.Image.Input("image", tooltip="The still the motion was made for."),
                sockets.Motion.Input("displacement", tooltip="The motion."),
                io.Int.Input(
                    "points", default=64, min=0, max=1000, tooltip="How many points that move."
                ),
                io.Int.Input(
                    "still_points",
                    default=16,
                    min=0,
                    max=1000,
                    tooltip="How many points outside the mask, which stand still.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=next(iter(LAYOUTS)),
                    tooltip="How points are chosen among those that move.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=False,
                    tooltip="Which points are drawn, if they are drawn at random.",
                ),
                io.Int.Input(
                    "frames",
                    default=81,
                    min=1,
                    max=10_000,
                    tooltip="Frames of the video. The rule rounds them up.",
                ),
                io.Combo.Input(
                    "rule",
                    options=list(RULES),
                    default=next(iter(RULES)),
                    tooltip="Numbers of frames that the video model can make.",
                ),
                io.Combo.Input(
                    "timing",
                    options=list(TIMINGS),
                    default=next(iter(TIMINGS)),
                    tooltip="The video shows the whole motion, and a loop's last frame is its "
                    "first again; or as much as fits at the frame rate.",
                ),
                io.Float.Input(
                    "fps",
                    default=16.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    tooltip="Frame rate of the video, where timing goes by it.",
                ),
                io.Int.Input(
                    "width",
                    default=832,
                    min=0,
                    max=16384,
                    step=16,
                    tooltip="Width of the video in pixels; 0 is the still's.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=0,
                    max=16384,
                    step=16,
                    tooltip="Height of the video in pixels; 0 is the still's.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=next(iter(FITS)),
                    tooltip="How the still becomes a video of another shape. Wan's nodes cut it "
                    "around the middle.",
                ),
                io.Boolean.Input(
                    "from_still",
                    default=True,
                    tooltip="The first frame is the still, whatever the motion's pose is.",
                ),
                _mask_input(),
            ],
            outputs=[
                sockets.Tracks.Output(
                    display_name="tracks", tooltip="For the nodes of Wan-Move in ComfyUI."
                ),
                io.String.Output(
                    display_name="text",
                    tooltip="One place for each frame, as JSON: for LTX's tracks and others.",
                ),
                io.String.Output(
                    display_name="ATI text",
                    tooltip="121 places over the video, as JSON: for WanTrackToVideo (ATI).",
                ),
                sockets.Motion.Output(
                    display_name="displacement",
                    tooltip="The same motion at the video's frames, to render beside it.",
                ),
                io.Int.Output(display_name="frames", tooltip="Frames, rounded by the rule."),
                io.String.Output(display_name="report", tooltip="What was followed."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        displacement,
        points,
        still_points,
        layout,
        seed,
        frames,
        rule,
        timing,
        fps,
        width,
        height,
        fit,
        from_still,
        mask=None,
    ):
        from ..gid_core.exchange import text, tracks

        still, matte = _one_still(image, displacement, mask)
        plan = tracks.Plan(
            points,
            still_points,
            LAYOUTS[layout],
            seed,
            tracks.video_frames(frames, RULES[rule]),
            TIMINGS[timing],
            fps,
            (height or still.shape[-2], width or still.shape[-1]),
            FITS[fit],
            from_still,
        )
        followed = tracks.follow(still, displacement, plan, 0, matte, host.progress(plan.frames))
        keep = host.device_between_nodes()
        value = {
            "track_path": followed.tracks.paths.to(keep),
            "track_visibility": followed.tracks.visible.to(keep),
        }
        report = str(followed) if host.knows_tracks() else f"{followed} {NO_TRACKS}"
        return io.NodeOutput(
            value,
            text.as_text(followed.tracks.paths),
            text.as_text(followed.ati_paths),
            followed.motion,
            plan.frames,
            report,
            ui=ui.PreviewText(report),
        )


class TracksToMotion(io.ComfyNode):
    """Make a motion of tracks or flow of another tool."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["import tracks", "import flow", "tracker", "trajectories to motion"],
            node_id="TracksToMotion",
            display_name="Tracks to Motion",
            description="Makes a motion of a still out of tracks or flow of another tool: to loop "
            "it, edit it, and render it on the full-size still.",
            inputs=[
                io.Image.Input("image", tooltip="The still: the first frame of the tracks."),
                io.Float.Input(
                    "fps",
                    default=16.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second of the tracks or the flow.",
                ),
                io.Int.Input(
                    "bands",
                    default=16,
                    min=1,
                    max=128,
                    tooltip="Number of frequencies of the spectrum, at most half the frames.",
                ),
                io.Int.Input(
                    "width",
                    default=832,
                    min=0,
                    max=16384,
                    step=16,
                    tooltip="Width of the video that the tracks lie in; 0 is the still's.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=0,
                    max=16384,
                    step=16,
                    tooltip="Height of the video that the tracks lie in; 0 is the still's.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=next(iter(FITS)),
                    tooltip="How the still became that video.",
                ),
                io.Combo.Input(
                    "convention",
                    options=list(CONVENTIONS),
                    default=next(iter(CONVENTIONS)),
                    tooltip="Where y points in the flow. Tracks always count from the top.",
                ),
                sockets.Tracks.Input(
                    "tracks", optional=True, tooltip="Tracks, such as those of Motion to Tracks."
                ),
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="Tracks as JSON, where no TRACKS are connected.",
                ),
                io.Image.Input(
                    "flow",
                    optional=True,
                    tooltip="Flow from the still to every frame in pixels, x in red and y in "
                    "green, instead of tracks.",
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="What may move. Empty: all that the tracks move."
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(
                    display_name="spectrum", tooltip="The motion: to loop, edit and keep."
                ),
                sockets.Motion.Output(
                    display_name="displacement", tooltip="The motion frame by frame, as it was."
                ),
                io.String.Output(display_name="report", tooltip="What was read."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        fps,
        bands,
        width,
        height,
        fit,
        convention,
        tracks=None,
        text="",
        flow=None,
        mask=None,
    ):
        from ..gid_core.exchange import from_tracks, maps
        from ..gid_core.exchange.text import from_text
        from ..gid_core.exchange.tracks import Tracks
        from ..gid_core.still.inputs import fit_mask

        stills = sockets.from_image(image)
        size = tuple(stills.shape[-2:])
        matte = fit_mask(sockets.from_mask(mask), 1, size, "mask")
        if flow is not None:
            field = maps.displacement_of_flow(sockets.from_field(flow), CONVENTIONS[convention])
            made = from_tracks.motion_of_flow(field, fps, size, matte, bands)
        else:
            paths, visible = sockets.from_tracks(tracks) if tracks else from_text(text)
            video = height or size[0], width or size[1]
            given = Tracks(paths, visible, video, fps)
            made = from_tracks.motion_of_tracks(given, stills[0], matte, bands, FITS[fit])
        spectrum, motion, report = made
        return io.NodeOutput(spectrum, motion, str(report), ui=ui.PreviewText(str(report)))


class MotionToMaps(io.ComfyNode):
    """Dense flow or STMaps of a motion, as pictures."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["STMap", "UV map", "optical flow", "motion vectors", "Nuke"],
            node_id="MotionToMaps",
            display_name="Motion to Maps",
            description="The motion as a picture for every frame: an STMap that pulls the frame "
            "out of the still, or flow that pushes the still, with a mask of holes.",
            inputs=[*_map_inputs(), _mask_input()],
            outputs=[
                io.Image.Output(
                    display_name="maps",
                    tooltip="Red and green hold x and y; not colours: no values are cut.",
                ),
                io.Mask.Output(
                    display_name="holes",
                    tooltip="Where the map has no answer: hidden in the still, or in the frame.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, displacement, map, convention, mask=None):
        from ..gid_core.exchange.maps import motion_maps

        still, matte = _one_still(image, displacement, mask)
        report, keep = host.progress(displacement.frames), host.device_between_nodes()
        size = tuple(still.shape[-2:])
        images = torch.zeros(displacement.frames, *size, 3, device=keep)
        masks = torch.zeros(displacement.frames, *size, device=keep)
        made = motion_maps(still, displacement, MAPS[map], CONVENTIONS[convention], 0, matte)
        for t, (values, holes) in enumerate(made):
            images[t, ..., :2], masks[t] = values.movedim(0, -1), holes[0]
            report(t + 1, displacement.frames)
        return io.NodeOutput(images, masks)


class SaveMotionMaps(io.ComfyNode):
    """Write dense flow or STMaps of a motion as EXR files."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["EXR", "export STMap", "export flow", "motion vectors", "Nuke"],
            node_id="SaveMotionMaps",
            display_name="Save Motion Maps",
            description="Writes an EXR file for every frame: STMaps as 32-bit floats, flow as half "
            "floats, for Nuke, Blender, Natron and others.",
            inputs=[*_map_inputs(), files.prefix_input("maps/motion", ".exr"), _mask_input()],
            outputs=[io.String.Output(display_name="file", tooltip="The name of the first file.")],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return files.refusal(files.checked_prefix, filename_prefix)

    @classmethod
    def execute(cls, image, displacement, map, convention, filename_prefix, mask=None):
        from ..gid_core.exchange.maps import channels, motion_maps
        from ..gid_core.files.exr import save_exr

        still, matte = _one_still(image, displacement, mask)
        kind, report = MAPS[map], host.progress(displacement.frames)
        path, name = files.next_file(filename_prefix, ".exr", tuple(still.shape[-2:]))
        made = motion_maps(still, displacement, kind, CONVENTIONS[convention], 0, matte)
        for t, (values, holes) in enumerate(made):
            file = path.with_name(f"{path.stem}.{t + 1:04}.exr")
            save_exr(file, channels(kind, values, holes), half=kind == "flow")
            report(t + 1, displacement.frames)
        first = f"{name.removesuffix('.exr')}.0001.exr"
        return io.NodeOutput(first, ui=ui.PreviewText(first))


class MotionToGuides(io.ComfyNode):
    """A crude clip of a motion with its masks, for video models that repaint it."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["time to move", "motion guide", "inpainting", "first last frame", "RGBA layer"],
            node_id="MotionToGuides",
            display_name="Motion to Guides",
            description="A crude clip of the motion with a mask of what moves, for models that "
            "repaint a rough animation (Time-to-Move), that inpaint, or that go from a first to a "
            "last frame.",
            inputs=[
                io.Image.Input("image", tooltip="The still the motion was made for."),
                sockets.Motion.Input(
                    "displacement",
                    tooltip="The motion, such as the one that Motion to Tracks has fitted to a "
                    "video.",
                ),
                _mask_input(),
            ],
            outputs=[
                io.Image.Output(display_name="crude clip", tooltip="The still, moved, unrefined."),
                io.Mask.Output(display_name="moving", tooltip="What moves, in every frame."),
                io.Mask.Output(
                    display_name="uncovered",
                    tooltip="What the still does not show, in every frame: to inpaint.",
                ),
                io.Image.Output(
                    display_name="layer", tooltip="What moves alone, with transparency."
                ),
                io.Image.Output(display_name="first frame", tooltip="The first frame."),
                io.Image.Output(display_name="last frame", tooltip="The last frame."),
            ],
        )

    @classmethod
    def execute(cls, image, displacement, mask=None):
        from ..gid_core.exchange.guides import guides

        still, matte = _one_still(image, displacement, mask)
        report, keep = host.progress(displacement.frames), host.device_between_nodes()
        count, (channels, height, width) = displacement.frames, still.shape
        clip = torch.empty(count, height, width, channels, device=keep)
        layer = torch.empty(count, height, width, 4, device=keep)
        moving, hidden = (torch.empty(count, height, width, device=keep) for _ in range(2))
        for t, guide in enumerate(guides(still, displacement, 0, matte)):
            clip[t], layer[t] = guide.frame.movedim(0, -1), guide.layer.movedim(0, -1)
            moving[t], hidden[t] = guide.moving[0], guide.hidden[0]
            report(t + 1, count)
        return io.NodeOutput(clip, moving, hidden, layer, clip[:1], clip[-1:])


def _map_inputs() -> list:
    return [
        io.Image.Input("image", tooltip="The still the motion was made for."),
        sockets.Motion.Input("displacement", tooltip="The motion."),
        io.Combo.Input(
            "map",
            options=list(MAPS),
            default=next(iter(MAPS)),
            tooltip="An STMap says of every pixel of a frame where it comes from; flow says of "
            "every pixel of the still where it goes.",
        ),
        io.Combo.Input(
            "convention",
            options=list(CONVENTIONS),
            default=next(iter(CONVENTIONS)),
            tooltip="Nuke: from the lower left, STMaps from 0 to 1. OpenCV: from the upper left, "
            "in pixels.",
        ),
    ]


def _mask_input() -> io.Mask.Input:
    return io.Mask.Input(
        "mask", optional=True, tooltip="What may move. Empty: the motion's own refined mask."
    )


def _one_still(image, displacement, mask):
    """The still as c h w, and its matte or None, of a batch of one."""
    from ..gid_core.exchange.tracks import check_one
    from ..gid_core.still.inputs import accept_images, fit_mask

    stills = accept_images(sockets.from_image(image))
    check_one(len(stills), displacement)
    matte = fit_mask(sockets.from_mask(mask), 1, tuple(stills.shape[-2:]), "mask")
    return stills[0], None if matte is None else matte[0]
