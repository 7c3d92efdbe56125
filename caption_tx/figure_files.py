"""Saving a matplotlib figure as a PNG, SVG or PDF file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Writes a figure as PNG, SVG or PDF, depending on the extension of `path`.

    The write is atomic, and the same figure always gives the same bytes. SVG files store text as
    outlines and PDF files embed their fonts, so every viewer shows Chinese text.

    Args:
        figure: any matplotlib figure.
        path: the file to write; its folder must exist.
        dpi: resolution in dots per inch.

    Raises:
        CaptionTxError: the extension is unknown, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FIGURE_SUFFIXES:
        raise CaptionTxError(f"Cannot save a figure as {path}: use one of the extensions {', '.join(FIGURE_SUFFIXES)}.")
    fonts = {os.fspath(text.get_fontproperties().get_file() or "") for text in figure.findobj(Text) if text.get_text()}
    settings = {
        "svg.fonttype": "path",
        "svg.hashsalt": "caption-tx",
        # matplotlib labels OpenType CFF fonts as TrueType, and some viewers reject them. Outlines always work.
        "pdf.fonttype": 3 if any(_has_cff(font) for font in fonts if font) else 42,
    }
    # A creation date would make the bytes differ between runs.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    stream = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(stream, format=suffix[1:], dpi=dpi, metadata=metadata)
    try:
        write_atomically(path, stream.getvalue())
    except OSError as error:
        raise CaptionTxError(f"Cannot write the figure to {path}: {error.strerror}.") from error


def _has_cff(font_path: str) -> bool:
    with open(font_path, "rb") as stream:
        return stream.read(4) in (b"OTTO", b"ttcf")
