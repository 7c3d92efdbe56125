"""Struck-through text of workbooks, which a proofreader has deleted, and their hidden rows and columns."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.text.workbooks import Cell, find_strikes

_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\b(?=[^>]*\shidden=.(?:1|true).)[^>]*\sr=.(\d+)")
_HIDDEN_COLUMNS = re.compile(rb"<(?:\w+:)?col\b(?=[^>]*\shidden=.(?:1|true).)[^>]*>")
_RANGE = re.compile(rb"\s(min|max)=.(\d+)")
_REASON = "marked as struck through"
_PARTS_LEFT_OUT = "cells with struck-through text, which is left out"

Row = tuple[int, list[str]]
"""Number from 1 and the texts of the cells."""


@dataclass
class StruckText:
    """The struck-through cells of a sheet, and its hidden rows and columns.

    Attributes:
        cells: those that are struck through as a whole.
        texts: those of which a part is struck through -> the text that is left.
        hidden_rows: numbers from 1.
        hidden_columns: positions from 0.
    """

    cells: set[Cell] = field(default_factory=set)
    texts: dict[Cell, str] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()
    _image_is_struck: bool = False

    def text_left(self, cell: Cell, text: str) -> str:
        """The text of a cell without the parts that are struck through."""
        return self.texts.get(cell, text)

    def without_struck_cells(self, table: Iterable[Row], rows: CaptionRows) -> Iterator[Row]:
        """The rows of a table without struck-through cells, which are counted."""
        for number, cells in table:
            struck = {at for at, cell in enumerate(cells) if cell.strip() and (number, at) in self.cells}
            if struck:
                rows.notes[f"captions {_REASON}, left out"] += len(struck)
            if any((number, at) in self.texts for at in range(len(cells))):
                rows.notes[_PARTS_LEFT_OUT] += 1
            yield number, ["" if at in struck else cell for at, cell in enumerate(cells)]

    def note_hidden_columns(self, names: list[str], columns: Columns, rows: CaptionRows) -> None:
        """Reports columns that are read although the workbook hides them."""
        if hidden := [names[at] for at in columns.read if at in self.hidden_columns]:
            rows.notes[f"columns that are hidden in the workbook, read ({', '.join(hidden)[:200]})"] = len(hidden)

    def apply(self, cells: list[str], number: int, rows: CaptionRows, columns: Columns) -> list[str] | None:
        """The cells of a row without struck-through captions and marks; None if no caption is left.

        A row whose image name is struck through is left out. With `keep_rejected`, such captions are kept.

        Args:
            cells: the texts of the row.
            number: of the row, from 1.
            rows: counts what is left out.
            columns: the columns that are read.
        """
        if number in self.hidden_rows:
            rows.notes["rows that are hidden or filtered out in the workbook, read like the others"] += 1
        if any((number, at) in self.texts for at in columns.read):
            rows.notes[_PARTS_LEFT_OUT] += 1
        if cells[columns.image].strip():
            self._image_is_struck = (number, columns.image) in self.cells
        filled = [at for at in columns.captions if cells[at].strip()]
        struck = [at for at in filled if self._image_is_struck or (number, at) in self.cells]
        if struck:
            kept = rows.options.keep_rejected
            rows.notes[f"captions {_REASON}, {'kept' if kept else 'left out'}"] += len(struck)
            if len(struck) == len(filled) and not kept:
                rows.skip(number, _REASON)
                if columns.fills_down and cells[columns.image].strip():
                    rows.image_above = cells[columns.image]
                return None
        unread = {at for at in columns.read if (number, at) in self.cells} - {columns.image, *filled}
        unread |= set() if rows.options.keep_rejected else set(struck)
        return ["" if at in unread else cell for at, cell in enumerate(cells)]


def find_struck_text(content: bytes, sheet: int, sheet_path: str) -> StruckText:
    """Finds what is struck through in a sheet of an .xlsx workbook; workbooks without such text are not parsed again.

    Args:
        content: of the workbook.
        sheet: its position among the worksheets.
        sheet_path: of the sheet in the archive.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read(sheet_path)
    hidden_rows = frozenset(map(int, _HIDDEN_ROW.findall(text)))
    ranges = [dict(_RANGE.findall(item)) for item in _HIDDEN_COLUMNS.findall(text)]
    hidden = [at for ends in ranges for at in range(int(ends[b"min"]) - 1, int(ends[b"max"]))]
    return StruckText(*find_strikes(content, sheet), hidden_rows=hidden_rows, hidden_columns=frozenset(hidden))
