"""Attention maps in a notebook: the interactive page in a frame that has no access to the notebook."""

from __future__ import annotations

import html

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import AttentionMaps

FRAME_HEIGHT = 760
"""Height of the frame in pixels. The reader can change it."""


def notebook_frame(maps: AttentionMaps) -> str | None:
    """The page of one image as an HTML frame; None if the maps have no picture or the page cannot be drawn.

    The script of the page runs in a sandbox: it cannot read the notebook, and it loads nothing.

    Example:
        >>> notebook_frame(maps)[:32]
        '<iframe sandbox="allow-scripts" '
    """
    if maps.picture is None:
        return None
    from caption_tx.inference.page.render import render_page

    try:
        page = render_page([maps])
    except CaptionTxError:  # such as a missing font; the maps are then shown as text
        return None
    style = f"width: 100%; height: {FRAME_HEIGHT}px; border: 0; resize: vertical; overflow: auto"
    return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{html.escape(page)}"></iframe>'


AttentionMaps._repr_html_ = notebook_frame  # here, since the page is built from the maps
