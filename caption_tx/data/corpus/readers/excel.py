"""Excel workbooks: the first sheet as a table with a header."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.captions.caption_values import add_cells
from caption_tx.data.corpus.captions.formulas import ADVICE, is_formula, is_pasted, target_of
from caption_tx.data.corpus.readers.struck_text import StruckText, find_struck_text
from caption_tx.data.corpus.readers.wide_tables import is_wide, read_wide
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import Columns, ReadOptions, select_columns
from caption_tx.data.corpus.tables.table_ends import RepeatedHeaders
from caption_tx.data.corpus.tables.table_layout import is_header
from caption_tx.data.corpus.tables.title_rows import ROWS_ABOVE, TITLE_LINES, find_header_row
from caption_tx.data.corpus.tables.two_row_headers import join_header
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_SAMPLE_ROWS = 50
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
    content = file.path.read_bytes()  # by path, openpyxl rejects a workbook of another suffix
    if content.startswith(_OLD_EXCEL):
        raise CorpusError(
            f"{file.path} is not a caption file: it has the format of old Office documents (.xls, .doc); {_ADVICE}."
        )
    try:
        import openpyxl
    except ImportError:
        raise CorpusError(
            f'{file.path} is an Excel workbook; pip install "caption_tx[excel]" to read it, or {_ADVICE}.'
        ) from None
    try:
        workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:  # a damaged or foreign file raises nearly any exception
        raise CorpusError(f"{file.path} is not an .xlsx workbook that can be read; {_ADVICE}.") from error
    try:
        sheets = workbook.worksheets
        read = next((sheet for sheet in sheets if _has_captions(file.path, sheet, rows.options)), sheets[0])
        at = sheets.index(read)
        struck = find_struck_text(content, at, read._worksheet_path)
        _read_sheet(file.path, read.iter_rows(values_only=True), rows, (_read_formulas(content, at), struck))
        if read.sheet_state != "visible":
            rows.notes[f"sheets that are hidden in the workbook, read ({read.title})"] = 1
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


def _read_formulas(content: bytes, sheet: int) -> dict[tuple[int, int], str]:
    """(row, column from 0) -> formula of the cells of a sheet that have one; programs may store no value with it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(b"<f" in archive.read(name) for name in names if name.endswith(".xml")):
            return {}
    import openpyxl

    workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    try:
        rows = workbook.worksheets[sheet].iter_rows(values_only=True)
        cells = ((number, at, value) for number, row in enumerate(rows, 1) for at, value in enumerate(row))
        texts = ((number, at, getattr(value, "text", value)) for number, at, value in cells)
        return {(number, at): text for number, at, text in texts if isinstance(text, str) and text.startswith("=")}
    finally:
        workbook.close()


@dataclass(frozen=True)
class _Header:
    """The last row of the header, the names of the columns, how many filled rows are above, and what is read."""

    row: int
    names: list[str]
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
    first = find_header_row([cells for _, cells in filled], options)
    for index, (number, header) in itertools.islice(enumerate(filled), first, TITLE_LINES):
        two = join_header([cells for _, cells in filled[index : index + 4]])
        last = index if two is None else index + two[2] - 1
        header = header if two is None else two[0]
        columns = _columns(path, number, header, [cells for _, cells in filled[last + 1 :]], options)
        if columns is not None and is_header(header, columns, options, index == first):
            columns = replace(columns, notes=(two[1] if two else {}) | columns.notes)
            return _Header(filled[last][0], header, index, columns)
    return None


def _read_sheet(
    path: Path,
    sheet: Iterator[tuple[Any, ...]],
    rows: CaptionRows,
    special: tuple[dict[tuple[int, int], str], StruckText],
) -> None:
    formulas, struck = special

    def text(cell: tuple[int, int], value: Any) -> str:
        return struck.text_left(cell, _text(value) or formulas.get(cell, ""))

    table = (
        (number, [text((number, at), value) for at, value in enumerate(row)]) for number, row in enumerate(sheet, 1)
    )
    head = list(itertools.islice(table, _SAMPLE_ROWS))
    header = _header_of(path, head, rows.options)
    filled = [cells for _, cells in head if any(cell.strip() for cell in cells)]
    places = () if header is not None else range(min(TITLE_LINES, len(filled)))
    wide = next((at for at in places if is_wide(filled[at], filled[at + 1 :])), None)
    if wide is not None:
        rows.add_notes({ROWS_ABOVE: wide} if wide else {})
        read = list(map(id, filled[: wide + 1]))
        table = itertools.chain((item for item in head if id(item[1]) not in read), table)
        read_wide(filled[wide], struck.without_struck_cells(table, rows), rows)
        return
    if header is None:
        found = ", ".join(cell for cell in filled[0] if cell)[:80] if filled else "no rows"
        raise CorpusError(
            f"{path}, row 1: expected a header with 'image' and 'caption' in one of the sheets, found {found!r}; add a "
            "header, or name the columns with image_column and caption_column (--image-column and --caption-column)."
        )
    above = {ROWS_ABOVE: header.rows_above} if header.rows_above else {}
    rows.add_notes(header.columns.notes | above)
    rows.name_captions("column", header.names, header.columns)
    struck.note_hidden_columns(header.names, header.columns, rows)
    headers = RepeatedHeaders(header.names, rows)
    for row_number, cells in itertools.chain((item for item in head if item[0] > header.row), table):
        if any(cell.strip() for cell in cells) and not headers.is_header(cells):
            left = struck.apply(cells, row_number, rows, header.columns)
            if left is None:
                continue
            cells = headers.reorder(left)
            if formulas and _has_unknown_formula(cells, row_number, rows, header.columns, formulas):
                continue
            add_cells(rows, row_number, cells, header.columns)
        else:
            rows.skip(row_number, "blank line")


def _has_unknown_formula(
    cells: list[str], number: int, rows: CaptionRows, columns: Columns, formulas: dict[tuple[int, int], str]
) -> bool:
    """Whether a cell that is read is a formula without a stored value, which is an error."""
    for at in (columns.image, *columns.captions):
        cell = cells[at]
        if cell != formulas.get((number, at)) or not is_formula(cell) or is_pasted(cell):
            continue
        if at != columns.image or target_of(cell) is None:
            message = f"the cell {_letters(at)}{number} is a formula without a stored value ({cell[:40]}); {ADVICE}"
            rows.add_error(number, "a formula without a stored value", message)
            return True
    return False


def _letters(position: int) -> str:
    """The letters of a column: A for 0, AA for 26."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _columns(
    path: Path, number: int, header: list[str], sample: list[list[str]], options: ReadOptions
) -> Columns | None:
    return select_columns(header, lambda at: [cells[at] for cells in sample], options, f"{path}, row {number}")
