"""Formulas of spreadsheets where an image name or a caption is expected."""

from __future__ import annotations

import re

from caption_tx.data.corpus.rows import MAX_ERROR_RATE, CaptionRows
from caption_tx.errors import CorpusError

_TEXT = re.compile(r'=\s*"((?:[^"]|"")*)"', re.DOTALL)
_LINK = re.compile(r'=(?:HYPERLINK|IMAGE)\("([^"]+)"(?:[,;]\s*"?([^")]*)"?)?.*\)', re.IGNORECASE | re.DOTALL)
_FORMULA = re.compile(r'=\s*(?:_xlfn\.)?(?:[A-Z][A-Z0-9.]*\(|\'?[^=\'"()]*\'?!?\$?[A-Z]{1,3}\$?\d+\b|"[^"]*"\s*&)')
_PASTED = re.compile(r"=(?:_xlfn\.)?DISPIMG\(", re.IGNORECASE)

ADVICE = "open the file in Excel or LibreOffice and save it, or save it as CSV UTF-8, which contains the values"


def text_of(formula: str) -> str | None:
    """The text of a formula that is only a text, such as `="a dog"`; None for others.

    Example:
        >>> text_of('="a ""big"" dog"'), text_of("=A1")
        ('a "big" dog', None)
    """
    match = _TEXT.fullmatch(formula.strip())
    return match[1].replace('""', '"') if match else None


def target_of(formula: str) -> re.Match[str] | None:
    """The address and the text of `=HYPERLINK("address", "text")` or `=IMAGE("address")` as groups, or None."""
    return _LINK.fullmatch(formula.strip())


def is_pasted(text: str) -> bool:
    """Whether a cell is a picture that WPS stores in the workbook."""
    return _PASTED.match(text) is not None


def is_formula(text: str) -> bool:
    """Whether a text is a formula whose value is not known."""
    return text.startswith("=") and _FORMULA.match(text) is not None and text_of(text) is None


def resolve_formulas(rows: CaptionRows) -> None:
    """Reads captions in formulas that are texts, and leaves out those in other formulas; `rows.notes` counts both.

    Raises:
        CorpusError: the image names are formulas or pasted pictures, or more than a tenth of the captions are formulas.
    """
    for row, name in enumerate(rows.images):
        if name[0] != "=":
            continue
        place = f"{rows.source}, {rows.unit} {rows.line_numbers[row]}"
        if is_pasted(name):
            raise CorpusError(
                f"{place}: the image is pasted into the workbook ({name[:40]}); save the images as files (WPS: select "
                "the cells, convert them to floating pictures and export these) and write their names into the column."
            )
        if is_formula(name) and target_of(name) is None:
            raise CorpusError(f"{place}: the image name is a formula without a value ({name[:40]}); {ADVICE}.")
    formulas = [row for row, caption in enumerate(rows.captions) if caption[0] == "="]
    unknown = {row for row in formulas if is_formula(rows.captions[row])}
    if len(unknown) > MAX_ERROR_RATE * len(rows):
        row = min(unknown)
        place = f"{rows.source}, {rows.unit} {rows.line_numbers[row]}"
        raise CorpusError(f"{place}: the caption is a formula without a value ({rows.captions[row][:40]}); {ADVICE}.")
    for row in formulas:
        if (text := text_of(rows.captions[row])) and text.strip():
            rows.captions[row] = text.strip()
            rows.notes['captions in formulas (="..") read as their texts'] += 1
    if unknown:
        for row in sorted(unknown):
            rows.skip(rows.line_numbers[row], "a formula without a value")
        rows.notes["captions that are formulas without a value, left out"] += len(unknown)
        rows.replace([(row, [rows.captions[row]]) for row in range(len(rows)) if row not in unknown])
