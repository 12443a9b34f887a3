"""UniAnimate for ComfyUI: an image of a person and driving poses in, a video of that person in motion out."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Called by ComfyUI to get the nodes. Only this imports ComfyUI, so that other tools can import the pack."""
    try:
        from .nodes import UniAnimateExtension
    except Exception:
        import logging

        logging.exception("comfyui-unianimate could not be loaded")  # ComfyUI logs only the message
        raise
    return UniAnimateExtension()
