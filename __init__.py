"""Image Dynamics: make a still photograph move as wind would move it. A ComfyUI node pack."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Imported on demand: pytest imports this file too, without a package around it."""
    from .nodes import ImageDynamics

    return ImageDynamics()
