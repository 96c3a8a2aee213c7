"""A node that recognizes what could move in a still."""

from comfy_api.latest import io

from . import host, sockets

WHAT = {"what sways": False, "what flows": True}


class MotionMask(io.ComfyNode):
    """Masks of what sways or flows."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["segment", "auto mask", "what moves", "plants", "water", "sky"],
            node_id="MotionMask",
            display_name="Motion Mask",
            description="Recognizes what could move in a still: what sways (plants, cloth, hanging "
            "things), or what flows (water, clouds, smoke). The sampler does the former by itself "
            "where it gets no mask; here it can be seen, combined and painted over.",
            inputs=[
                io.Image.Input("image", tooltip="The still, or a batch of stills."),
                io.Combo.Input(
                    "what",
                    options=list(WHAT),
                    default="what sways",
                    tooltip="What sways comes back: plants, cloth, hair, hanging things. What "
                    "flows goes on: water, clouds, smoke.",
                ),
                io.Boolean.Input(
                    "refine_mask",
                    default=True,
                    tooltip="Fit the mask to the picture. Off: as recognized, with soft corners.",
                ),
            ],
            outputs=[io.Mask.Output(display_name="mask", tooltip="White where it may move.")],
        )

    @classmethod
    def execute(cls, image, what, refine_mask):
        from ..gid_core.pipeline import recognize_masks

        stills = sockets.from_image(image)
        masks = host.responsive(recognize_masks, stills, WHAT[what], refine_mask)
        return io.NodeOutput(sockets.to_mask(masks))
