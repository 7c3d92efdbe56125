"""Tables of the Google Visualization API and the Google Sheets API -> columns and rows."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, image_rank
from caption_tx.data.corpus.rows import CaptionRows

_DATE = re.compile(r"Date\([\d, ]+\)")

TABLE = "a table of Google's Visualization API (cols and rows), read as columns"
VALUES = "rows of a table whose first row has the names of the columns"


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
        if not any(names):
            names = [str(col.get("id") or at) for at, col in enumerate(table["cols"], 1)]
            if data and _names_columns(data[0]):
                names, data = list(map(str, data[0])), data[1:]
        return _columns(names, data)
    values = document.get("values")
    if "majorDimension" in document and isinstance(values, list) and values and _names_columns(values[0]):
        rows.add_notes({VALUES: 1})
        return _columns(list(map(str, values[0])), values[1:])
    return document


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


def _names_columns(cells: Any) -> bool:
    names = list(map(str, cells)) if isinstance(cells, list) else []
    return any(map(caption_key, names)) and any(image_rank(name) is not None for name in names)


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
