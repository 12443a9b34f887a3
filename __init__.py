"""UniAnimate for ComfyUI: an image of a person and driving poses in, a video of that person moving so, out."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """What ComfyUI calls for the nodes. Nothing of ComfyUI is imported before, so that tools can import the pack."""
    try:
        from .nodes import UniAnimateExtension
    except Exception:
        import logging

        logging.exception("comfyui-unianimate could not be loaded")  # ComfyUI logs only the message
        raise
    return UniAnimateExtension()
