"""Repairs of image names and captions that a program wrote in its own way: quotes, entities, numbers."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from caption_tx.data.corpus.rows import CaptionRows, is_valid_unicode
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.errors import CorpusError

_MIN_SHARE = 0.9
_NUMBERED_IMAGE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))#\d{{1,2}}", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_QUOTES = ("''", "``", "“”", "‘’", "＂＂", '""')
_SHORTENED_ID = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+\d{2,3}")
_IMAGE_DATA = re.compile(r"(?:data:[\w/+.;=-]*,|/9j/|iVBORw0KGgo|R0lGOD|UklGR)\S{64,}", re.ASCII)


def repair_cells(rows: CaptionRows) -> None:
    """Strips quotes and the number of `x.jpg#0`, and decodes HTML entities; `rows.notes` counts what was changed.

    Raises:
        CorpusError: the image names are numbers that a spreadsheet shortened, or images themselves.
    """
    rows.note_other_marks()
    _require_names(rows)
    if rows.format != "folder":
        rows.images = _strip_quotes(rows, rows.images, "image names")
        rows.captions = _strip_quotes(rows, rows.captions, "captions")
    _strip_numbers(rows)
    _decode_entities(rows)


def _require_names(rows: CaptionRows) -> None:
    if rows.format in ("folder", "ofa"):
        return
    for row, name in enumerate(rows.images):
        place = f"{rows.source}, {rows.unit} {rows.line_numbers[row]}"
        if "+" in name and _SHORTENED_ID.fullmatch(name):
            raise CorpusError(f"{place}: the ids were shortened by a spreadsheet ({name}); export them as text.")
        if len(name) > 64 and _IMAGE_DATA.match(name):
            raise CorpusError(
                f"{place}: the image itself is in the file, in base64 ({name[:30]}..); save the images as files and "
                "write their names, or convert the file to Parquet with a column of bytes."
            )


def _strip_quotes(rows: CaptionRows, texts: list[str], kind: str) -> list[str]:
    """Texts without the quotes around nearly all of them; quotes at one end or in few texts belong to the text."""
    if len(texts) < 2:
        return texts
    for opening, closing in _QUOTES:

        def inner(text: str, opening: str = opening, closing: str = closing) -> str:
            wrapped = len(text) > 2 and text[0] == opening and text[-1] == closing
            content = text[1:-1].replace(closing * 2, "") if wrapped else ""
            ambiguous = opening in content and opening != closing
            ambiguous = ambiguous or (opening == closing and opening != "'" and closing in content)
            return "" if ambiguous else text[1:-1].strip() if wrapped else ""

        if mostly(texts, inner):
            stripped = [inner(text).replace(closing * 2, closing) or text for text in texts]
            rows.notes[f"quotes around {kind} stripped ({opening}..{closing})"] += len(texts)
            return stripped
    return texts


def _strip_numbers(rows: CaptionRows) -> None:
    """Strips the number of the caption from image names, as in `x.jpg#0`, if nearly all have one."""
    if not mostly(rows.images, _NUMBERED_IMAGE.fullmatch):
        return
    names = {name: match[1] for name in set(rows.images) if (match := _NUMBERED_IMAGE.fullmatch(name))}
    rows.images = [names.get(name, name) for name in rows.images]
    rows.notes["numbers stripped from image names (#0)"] += len(names)


def _decode_entities(rows: CaptionRows) -> None:
    """Decodes HTML entities such as `&amp;`, whose `;` separates nothing."""
    for row, caption in enumerate(rows.captions):
        if "&" in caption and _ENTITY.search(caption):
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), caption).strip()
            if text and text != caption and is_valid_unicode(text):
                rows.captions[row] = text
                rows.notes["captions with HTML entities (such as &amp;), decoded"] += 1


def mostly(captions: list[str], test: Callable[[str], object]) -> bool:
    """Whether nearly all captions pass a test; a sample decides first."""
    for texts in (captions[:: max(1, len(captions) // 200)], captions):
        if sum(map(bool, map(test, texts))) < _MIN_SHARE * len(texts):
            return False
    return True
