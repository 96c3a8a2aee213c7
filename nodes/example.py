"""A node with a still, masks and a clip that come along, so that graphs run as they open."""

from dataclasses import dataclass
from pathlib import Path

from comfy_api.latest import InputImpl, io, ui

from . import sockets

FOLDER = Path(__file__).with_name("examples")
CLIP = "flowers.mp4"


@dataclass(frozen=True)
class Example:
    """A still by the name of its files, and what of it is held.

    held_from: Rows from here to the bottom, as a share of the height; None: a file says it.
    mask: Of another thing in the still, by the name of its file.
    """

    name: str
    held_from: float | None
    mask: str = ""


EXAMPLES = {
    "meadow": Example("meadow", 0.86),
    "lanterns": Example("lanterns", 1.0),
    "clouds": Example("clouds", 0.9),
    "candle": Example("candle", None),
    "candle, its smoke": Example("candle", None, "candle_smoke"),
    "river": Example("river", 0.94),
    "river, its reeds": Example("river", 0.94, "river_reeds"),
}


class ExampleStill(io.ComfyNode):
    """A still to try things on, with a painted mask, an anchor, and a clip."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["example", "demo", "sample image", "test image", "try", "image dynamics"],
            node_id="ExampleStill",
            display_name="Example Still",
            description="A picture to try the nodes on, with a painted mask, an anchor and a short "
            "clip. Put Load Image in its place to move a photo of yours.",
            inputs=[
                io.Combo.Input(
                    "example",
                    options=list(EXAMPLES),
                    default=next(iter(EXAMPLES)),
                    tooltip="Which picture.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The still."),
                io.Mask.Output(
                    display_name="mask", tooltip="What may move (white), painted in a hurry."
                ),
                io.Mask.Output(
                    display_name="anchor",
                    tooltip="What holds still (white): the ground, or what the candle does not "
                    "light. Empty for the lanterns.",
                ),
                io.Video.Output(
                    display_name="clip",
                    tooltip="Five seconds of flowers in the wind, whichever still is chosen.",
                ),
            ],
        )

    @classmethod
    def execute(cls, example):
        from ..gid_core.files.stills import read_mask, read_still

        chosen = EXAMPLES[example]
        still = read_still(FOLDER / f"{chosen.name}.webp")
        mask = read_mask(FOLDER / f"{chosen.mask or chosen.name}_mask.png")
        if chosen.held_from is None:
            anchor = read_mask(FOLDER / f"{chosen.name}_anchor.png")
        else:
            anchor = mask.new_zeros(mask.shape)
            anchor[:, round(chosen.held_from * anchor.shape[1]) :] = 1
        image = sockets.to_image(still[None])
        masks = (sockets.to_mask(m[None]) for m in (mask, anchor))
        clip = InputImpl.VideoFromFile(str(FOLDER / CLIP))
        return io.NodeOutput(image, *masks, clip, ui=ui.PreviewImage(image, cls=cls))
