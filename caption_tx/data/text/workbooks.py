"""Struck-through text in the cells of .xlsx workbooks."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

_STRIKE = re.compile(rb"<(?:\w+:)?strike(?:\s+val=.(?:1|true).)?\s*/?>")

Cell = tuple[int, int]
"""Row from 1 and column from 0."""


def find_strikes(content: bytes, sheet: int) -> tuple[set[Cell], dict[Cell, str]]:
    """The cells of a sheet that are struck through as a whole, and the text that is left of those of which a part is.

    A workbook without struck-through text is not parsed.

    Args:
        content: of the workbook.
        sheet: its position among the worksheets.
    """
    cells: set[Cell] = set()
    texts: dict[Cell, str] = {}
    if not _has_strikes(content):
        return cells, texts
    import openpyxl
    from openpyxl.cell.rich_text import CellRichText

    workbook = openpyxl.load_workbook(io.BytesIO(content), data_only=True, rich_text=True)
    for row in workbook.worksheets[sheet].iter_rows():
        for cell in row:
            if cell.value is None:
                continue
            is_struck = bool(cell.font is not None and cell.font.strike)
            place = (cell.row, cell.column - 1)
            runs = list(cell.value) if isinstance(cell.value, CellRichText) else [cell.value]
            left = [str(run) for run in runs if not _is_struck(run, is_struck) and str(run).strip()]
            if not left:
                cells.add(place)
            elif any(_is_struck(run, is_struck) and str(run).strip() for run in runs):
                texts[place] = "".join(str(run) for run in runs if not _is_struck(run, is_struck))
    return cells, texts


def _has_strikes(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/") and name.endswith(".xml")]
        names = [name for name in names if "worksheets/" in name or name.endswith(("styles.xml", "sharedStrings.xml"))]
        return any(_STRIKE.search(archive.read(name)) for name in names)


def _is_struck(run: Any, cell_is_struck: bool) -> bool:
    """Whether a run of rich text is struck through; one without a font has that of the cell."""
    run_font = getattr(run, "font", None)
    return cell_is_struck if run_font is None else bool(run_font.strike)
