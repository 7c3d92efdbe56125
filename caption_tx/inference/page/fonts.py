"""The font of a page: the glyphs of its East Asian characters, for readers whose device has no such font."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from caption_tx.errors import FontError
from caption_tx.inference.drawing.fonts import subset_font
from caption_tx.inference.page.cards import to_base64

FONT_FAMILY = "caption words"
_FIRST_EAST_ASIAN = 0x2E80


def page_font(texts: Iterable[str], optional: Iterable[str] = ()) -> bytes | None:
    """A font file with the East Asian glyphs of texts; None if they have no such characters, or its license forbids it.

    Args:
        texts: characters that choose the font.
        optional: texts whose characters are included if the font has them.

    Raises:
        FontError: no CJK font is installed.
    """
    text = _east_asian(texts)
    return subset_font(text, optional=_east_asian(optional)) if text else None


def font_face_rule(texts: Iterable[str], optional: Iterable[str] = ()) -> str:
    """A CSS rule that contains `page_font`; "" if there is none, and with a warning if no CJK font is installed."""
    try:
        return embed_font(page_font(texts, optional))
    except FontError as error:
        warnings.warn(reader_fonts(error), UserWarning, stacklevel=2)
        return ""


def reader_fonts(error: FontError) -> str:
    """Says that a page has no font of its own."""
    return f"Chinese characters are drawn with the fonts of the reader: {error}"


def embed_font(data: bytes | None) -> str:
    """A CSS rule that contains a font file; "" without one."""
    if data is None:
        return ""
    return font_rule(f"data:font/{font_suffix(data)};base64,{to_base64(data)}")


def font_rule(address: str) -> str:
    """The CSS rule for a font at an address."""
    return f'@font-face {{ font-family: "{FONT_FAMILY}"; font-display: block; src: url("{address}"); }}\n'


def font_suffix(data: bytes) -> str:
    """The format of a font file: "otf" or "ttf"."""
    return "otf" if data[:4] == b"OTTO" else "ttf"


def _east_asian(texts: Iterable[str]) -> str:
    return "".join(sorted({letter for text in texts for letter in text if ord(letter) >= _FIRST_EAST_ASIAN}))
