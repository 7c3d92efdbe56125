"""Explanations as pictures and pages."""

from __future__ import annotations

import functools
import hashlib
import io
import secrets
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from caption_tx.config import LANGUAGES, ExplanationOptions
from caption_tx.errors import FontError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import select_maps
from caption_tx.inference.drawing.style import HeatmapStyle
from caption_tx.inference.explanation_files import arrange_words
from caption_tx.inference.page.fonts import embed_font, page_font, reader_fonts
from caption_tx.inference.page.render import PageDetails, card_document, render_with_font
from caption_tx.inference.page.ui_strings import leaves, read_template, ui_strings

SERVE_PACKAGE = "caption_tx.serve"


class PageFont:
    """One font for every page of a server: the glyphs of all words that its bundles know, and of the user interface.

    Args:
        vocabularies: the words of each bundle.

    Attributes:
        data: the file; None if no font can be embedded.
        problem: why the reader's own fonts are used instead; "" if they are not.
    """

    def __init__(self, vocabularies: Iterable[Sequence[str]]) -> None:
        interface = [text for language in LANGUAGES for text in leaves(ui_strings(language))]
        words = [word for vocabulary in vocabularies for word in vocabulary]
        self.data, self.problem = None, ""
        try:
            self.data = page_font([*interface, read_template("serve_strings.toml", SERVE_PACKAGE)], words)
        except FontError as error:
            self.problem = reader_fonts(error)

    @functools.cached_property
    def version(self) -> str:
        """Changes with the file, so that browsers may keep it."""
        return hashlib.sha256(self.data or b"").hexdigest()[:16]

    @functools.cached_property
    def rule(self) -> str:
        """The CSS rule that contains the font."""
        return embed_font(self.data)


def draw_figure(maps: AttentionMaps, shown: ExplanationOptions, style: HeatmapStyle) -> bytes:
    """A PNG file with the photograph and a heatmap for every word."""
    maps = arrange_words(maps, shown, set())
    selection = select_maps(shown.layer, shown.head, shown.pool, maps.pool)
    values = {name: getattr(style, name) for name in ("alpha", "cmap", "common_scale", "smooth")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # characters without a glyph are drawn as boxes
        figure = maps.figure(layer=selection.layer, head=selection.head, pool=selection.pool, **values)
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
    return stream.getvalue()


def draw_page(
    explained: Sequence[AttentionMaps],
    shown: ExplanationOptions,
    style: HeatmapStyle,
    problems: Sequence[str],
    font: PageFont,
) -> str:
    """An HTML file that works without the server."""
    maps = [arrange_words(item, shown, set()) for item in explained]
    selection = select_maps(shown.layer, shown.head, shown.pool, maps[0].pool)
    details = PageDetails(shown.caption is not None, shown.page_language, problems=problems)
    return render_with_font(maps, selection, style, details, font.rule)


def draw_card(maps: AttentionMaps, shown: ExplanationOptions) -> dict[str, Any]:
    """What `addCard` of the page needs."""
    language = shown.page_language or ("zh" if maps.language == "zh" else "en")
    return card_document(arrange_words(maps, shown, set()), secrets.token_hex(4), language)
