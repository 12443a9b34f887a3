"""Messages to the user while a node runs."""

from __future__ import annotations

import logging


def say(node_id: str | None, text: str, level: str = "warning") -> None:
    """Log a sentence and show it on the node."""
    logging.log(logging.getLevelName(level.upper()), f"UniAnimate: {text}")
    show(node_id, text)


def show(node_id: str | None, text: str) -> None:
    """Show a text on the node if a browser is connected."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)
