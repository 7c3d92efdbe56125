"""Excel workbooks: the first sheet as a table with a header."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.caption_values import add_cells
from caption_tx.data.corpus.columns import Columns, ReadOptions, select_columns
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.table_ends import RepeatedHeaders
from caption_tx.data.corpus.table_layout import is_header
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_SAMPLE_ROWS = 50
_TITLE_ROWS = 3
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ADVICE = "save it as CSV UTF-8 and read that file"


def is_workbook(path: Path, data: bytes) -> bool:
    """Whether a file is a workbook, of Excel (.xlsx, .xls) or of OpenDocument (.ods)."""
    if data.startswith(_OLD_EXCEL):
        return True
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            return "xl/workbook.xml" in names or (
                "mimetype" in names and archive.read("mimetype").endswith(b"opendocument.spreadsheet")
            )
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return False


def read_excel(file: TextFile, rows: CaptionRows) -> None:
    """Reads the first sheet of an .xlsx workbook whose header names image and caption.

    Raises:
        CorpusError: the workbook has another format or is damaged, openpyxl is not installed, or no header is found.
    """
    rows.unit = "row"
    try:
        import openpyxl
    except ImportError:
        raise CorpusError(
            f'{file.path} is an Excel workbook; pip install "caption_tx[excel]" to read it, or {_ADVICE}.'
        ) from None
    try:
        workbook = openpyxl.load_workbook(file.path, read_only=True, data_only=True)
    except Exception as error:  # a damaged or foreign file raises nearly any exception
        raise CorpusError(f"{file.path} is not an .xlsx workbook that can be read; {_ADVICE}.") from error
    try:
        sheets = workbook.worksheets
        read = next((sheet for sheet in sheets if _has_captions(file.path, sheet, rows.options)), sheets[0])
        _read_sheet(file.path, read.iter_rows(values_only=True), rows)
        for kind in ("with captions too, not read", "not read"):
            names = [
                sheet.title
                for sheet in sheets
                if sheet is not read and _has_captions(file.path, sheet, rows.options) == (kind != "not read")
            ]
            if names:
                rows.notes[f"sheets {kind} ({', '.join(names)[:200]})"] = len(names)
    except (CorpusError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{file.path} is a damaged workbook ({reason}); {_ADVICE}.") from error
    finally:
        workbook.close()


def _text(value: Any) -> str:
    """A cell as it is shown: whole numbers without decimals."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class _Header:
    """The row with the names of the columns, how many filled rows are above it, and the columns that are read."""

    row: int
    rows_above: int
    columns: Columns


def _has_captions(path: Path, sheet: Any, options: ReadOptions) -> bool:
    rows = itertools.islice(sheet.iter_rows(values_only=True), _SAMPLE_ROWS)
    head = [(number, [_text(value) for value in row]) for number, row in enumerate(rows, 1)]
    try:
        return _header_of(path, head, options) is not None
    except CorpusError:  # several columns could be the caption
        return True


def _header_of(path: Path, head: list[tuple[int, list[str]]], options: ReadOptions) -> _Header | None:
    filled = [(number, cells) for number, cells in head if any(cell.strip() for cell in cells)]
    for index, (number, header) in enumerate(filled[:_TITLE_ROWS]):
        columns = _columns(path, number, header, [cells for _, cells in filled[index + 1 :]], options)
        if columns is not None and is_header(header, columns, options, index == 0):
            return _Header(number, index, columns)
    return None


def _read_sheet(path: Path, sheet: Iterator[tuple[Any, ...]], rows: CaptionRows) -> None:
    table = ((number, [_text(value) for value in row]) for number, row in enumerate(sheet, 1))
    head = list(itertools.islice(table, _SAMPLE_ROWS))
    header = _header_of(path, head, rows.options)
    if header is None:
        filled = [cells for _, cells in head if any(cell.strip() for cell in cells)]
        found = ", ".join(cell for cell in filled[0] if cell)[:80] if filled else "no rows"
        raise CorpusError(
            f"{path}, row 1: expected a header with 'image' and 'caption' in one of the sheets, found {found!r}; add a "
            "header, or name the columns with --image-column and --caption-column."
        )
    above = {"rows before the header, not read": header.rows_above} if header.rows_above else {}
    rows.add_notes(header.columns.notes | above)
    headers = RepeatedHeaders(next(cells for number, cells in head if number == header.row), rows)
    for row_number, cells in itertools.chain((item for item in head if item[0] > header.row), table):
        if any(cell.strip() for cell in cells) and not headers.is_header(cells):
            cells = headers.reorder(cells)
            add_cells(rows, row_number, cells, header.columns)
        else:
            rows.skip(row_number, "blank line")


def _columns(
    path: Path, number: int, header: list[str], sample: list[list[str]], options: ReadOptions
) -> Columns | None:
    return select_columns(header, lambda at: [cells[at] for cells in sample], options, f"{path}, row {number}")
