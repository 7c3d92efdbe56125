"""Tables of Google's Visualization and Sheets APIs, and entries with numbered keys -> columns and rows."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, image_rank
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.title_rows import NAMES_IN_ROWS, ROWS_ABOVE, find_names, may_lack_names

_DATE = re.compile(r"Date\([\d, ]+\)")

_SAMPLE = 50
TABLE = "a table of Google's Visualization API (cols and rows), read as columns"
VALUES = "rows of a table, of which one has the names of the columns"


def read_google_table(document: Any, rows: CaptionRows) -> Any:
    """A document, or `{"columns": .., "data": ..}` for a table of one of the two APIs.

    Args:
        document: the parsed file.
        rows: whose notes say that a table was read.
    """
    if not isinstance(document, dict):
        return document
    table = document.get("table", document)
    if isinstance(table, dict) and _is_table(table):
        names = [str(col.get("label") or "").strip() for col in table["cols"]]
        data = [[_value(cell) for cell in row.get("c") or []] for row in table["rows"]]
        rows.add_notes({TABLE: 1})
        header = _find_header(names, data, rows)
        if header is not None:
            names, data = _split(data, header, rows)
        elif not any(names):
            names = [str(col.get("id") or at) for at, col in enumerate(table["cols"], 1)]
        return _columns(names, data)
    values = document.get("values")
    if "majorDimension" in document and isinstance(values, list) and all(isinstance(row, list) for row in values):
        header = _find_header([""] * max(map(len, values), default=0), values, rows)
        if header is not None:
            rows.add_notes({VALUES: 1})
            return _columns(*_split(values, header, rows))
    return document


def _find_header(names: list[str], data: list[Any], rows: CaptionRows) -> int | None:
    """The row with the names of the columns: the first one that has names for the image and the captions, or another.

    `names` are empty where the table has none.
    """
    first = [] if any(names) or not data else list(map(str, data[0]))
    if any(map(caption_key, first)) and any(image_rank(name) is not None for name in first):
        return 0
    return find_names(names, data, rows.options)


def read_numbered_records(document: Any, rows: CaptionRows) -> Any:
    """A document, or its entries with the names that one of them has for keys that are numbers or a title.

    pandas writes such entries from a sheet without a header, or with a title above it.
    """
    entries = document if isinstance(document, list) else []
    keys = list(map(str, entries[0])) if entries and isinstance(entries[0], dict) else []
    if not may_lack_names(keys) or not all(
        isinstance(entry, dict) and list(map(str, entry)) == keys for entry in entries
    ):
        return document
    header = find_names(keys, [list(entry.values()) for entry in entries[:_SAMPLE]], rows.options)
    if header is None:
        return document
    rows.add_notes({NAMES_IN_ROWS: 1})
    return _columns(*_split([list(entry.values()) for entry in entries], header, rows))


def _split(data: list[Any], header: int, rows: CaptionRows) -> tuple[list[str], list[Any]]:
    """The names of the columns that a row has, and the rows below it."""
    rows.add_notes({ROWS_ABOVE: header} if header else {})
    return ["" if name is None else str(name) for name in data[header]], data[header + 1 :]


def _is_table(table: dict[str, Any]) -> bool:
    cols, lines = table.get("cols"), table.get("rows")
    if not isinstance(cols, list) or not isinstance(lines, list) or not cols:
        return False
    return all(isinstance(col, dict) for col in cols) and all(isinstance(row, dict) and "c" in row for row in lines)


def _value(cell: Any) -> Any:
    """The value of a cell, or its text for a date."""
    if not isinstance(cell, dict):
        return ""
    value = cell.get("v")
    if isinstance(value, str) and _DATE.fullmatch(value):
        return cell.get("f", value)
    return "" if value is None else value


def _columns(names: list[str], data: list[Any]) -> dict[str, Any]:
    """Columns and rows of one width; repeated names get numbers, as captions of one image have them."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(f"{name}_{seen[name]}" if seen[name] > 1 else name)
    width = len(unique)
    lines = [[*row, *[""] * (width - len(row))][:width] for row in data if isinstance(row, list)]
    return {"columns": unique, "data": lines}
