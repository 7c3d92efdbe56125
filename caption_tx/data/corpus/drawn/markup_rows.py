"""Tables of other markup, and records that consoles print with a line per column.

AsciiDoc (`|===`), list and CSV tables of reStructuredText, Jira (`||name||`) and DokuWiki (`^ name ^`); `\\G` of
MySQL and `\\x` of PostgreSQL.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence

from caption_tx.data.corpus.drawn.cell_lines import DrawnTable, Row, join_lines
from caption_tx.data.corpus.file_text.changed_lines import Line

_RECORD = re.compile(r"\*{5,} \d+\. row \*{5,}\s*|-\[ RECORD \d+ \]-*\+?-*\s*")
_FIELD = re.compile(r"\s*([^\s|:][^|:]{0,60}?)\s*(?:: ?|\| ?)(.*)")
_ASCIIDOC = re.compile(r"\|={3,}\s*")
_CELL_STYLE = re.compile(r"(?<!\\)(?:^|(?<=\s))[\d.+*<^>aehlmsd]*\|")
_LIST_TABLE = re.compile(r"\s*(?:\.\. |:{3,}\{)list-table(?:::|\})")
_CSV_TABLE = re.compile(r"\s*(?:\.\. |:{3,}\{)csv-table(?:::|\})")
_CSV_HEADER = re.compile(r"\s*:header:\s*(\S.*)")
_LIST_ROW = re.compile(r"(\s*)([*-])\s+([*-])(?:\s+(.*))?$")
_HEADER = re.compile(r"\s*(?:\|\|(?:[^|]+\|\|){2,}|\^(?:[^|^]+\^){2,})\s*")
_FIRST_SIGNS = frozenset("*-|.:^")


def find_reader(lines: Sequence[Line]) -> Callable[[Sequence[Line]], list[DrawnTable]] | None:
    """The function that reads the tables or records in a text; None if it has none."""
    for number, (_, line) in enumerate(lines):
        if line.lstrip()[:1] not in _FIRST_SIGNS:
            continue
        if _RECORD.fullmatch(line):
            return _find_records
        if _ASCIIDOC.fullmatch(line):
            return _find_asciidoc
        if _LIST_TABLE.match(line):
            return _find_lists
        if _CSV_TABLE.match(line):
            return _find_csv
        if _HEADER.fullmatch(line) and number + 1 < len(lines) and re.match(r"\s*\|[^|]", lines[number + 1][1]):
            return _find_bars
    return None


def _find_records(lines: Sequence[Line]) -> list[DrawnTable]:
    """Records of a console: lines `name: value` or `name | value`; other lines go on with the value above."""
    records: list[tuple[int, dict[str, str]]] = []
    last = name = ""
    end = 0
    for number, line in lines:
        text = line.rstrip("\r\n")
        if _RECORD.fullmatch(text):
            records.append((number, {}))
            name = ""
        elif not records or not text.strip() or re.fullmatch(r"\(?\d+ rows?.*", text):
            name = ""
            continue
        elif match := _FIELD.fullmatch(text):
            name = match[1] if len(records) == 1 or match[1] in records[0][1] else name
            is_field = name == match[1]
            records[-1][1][name] = match[2].strip() if is_field else f"{records[-1][1].get(name, '')}\n{text.strip()}"
        elif name:
            records[-1][1][name] = records[-1][1][name].removesuffix("+").rstrip() + "\n" + text.strip(" |+")
        end = number
        last = last or text
    names = list(records[0][1]) if records else []
    rows = [Row(number, [record.get(name, "") for name in names]) for number, record in records]
    header = Row(records[0][0], names) if names else None
    return [DrawnTable("records that a console prints", records[0][0], end, [header, *rows])] if header else []


def _find_bars(lines: Sequence[Line]) -> list[DrawnTable]:
    """Tables of Jira and DokuWiki, whose names of columns have other signs between them than other cells."""
    tables: list[DrawnTable] = []
    for number, line in lines:
        text = line.strip()
        if _HEADER.fullmatch(text):
            sign = "||" if text.startswith("||") else "^"
            cells = [cell.strip() for cell in text.removeprefix(sign).removesuffix(sign).split(sign)]
            tables.append(DrawnTable("a table of wiki markup", number, number, [Row(number, cells)]))
        elif tables and tables[-1].last == number - 1 and text.startswith("|"):
            cells = [cell.strip() for cell in text.removeprefix("|").removesuffix("|").split("|")]
            tables[-1].rows.append(Row(number, cells))
            tables[-1].last = number
    return tables


def _find_asciidoc(lines: Sequence[Line]) -> list[DrawnTable]:
    """Tables of AsciiDoc: the first line with cells has one per column."""
    tables: list[DrawnTable] = []
    cells: list[tuple[int, list[str]]] = []
    first = width = 0
    notes: Counter[str] = Counter()
    for number, line in lines:
        text = line.strip()
        if _ASCIIDOC.fullmatch(text):
            if first and cells:
                texts = [(at, join_lines(parts, 1, notes)) for at, parts in cells]
                rows = [texts[at : at + width] for at in range(0, len(texts), width)]
                table = [Row(row[0][0], [cell for _, cell in row]) for row in rows]
                tables.append(DrawnTable("a table of AsciiDoc", first, number, table, notes))
            first, width, cells, notes = 0 if first else number, 0, [], Counter()
        elif first and (parts := _CELL_STYLE.split(text))[1:]:
            if cells and parts[0].strip():
                cells[-1][1].append(parts[0].strip())
            cells += [(number, [part.strip()]) for part in parts[1:]]
            width = width or len(cells)
        elif first and text and cells:
            cells[-1][1].append(text)
    return tables


def _find_lists(lines: Sequence[Line]) -> list[DrawnTable]:
    """List tables: `* - cell` begins a row, `- cell` the next cell, and deeper lines go on with it."""
    tables: list[tuple[DrawnTable, list[tuple[int, list[list[str]]]]]] = []
    indent, sign = -1, "-"
    for number, line in lines:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        if _LIST_TABLE.match(line):
            tables.append((DrawnTable("a list table", number, number, []), []))
            indent = -1
        elif not tables or (text and depth < indent):
            indent = -1
        elif match := _LIST_ROW.match(line.rstrip()):
            indent, sign = depth, match[3]
            tables[-1][1].append((number, [[match[4] or ""]]))
        elif indent >= 0 and (text == sign or text.startswith(f"{sign} ")):
            tables[-1][1][-1][1].append([text[1:].strip()])
        elif indent >= 0:
            tables[-1][1][-1][1][-1].append(text)
        if tables and (indent >= 0 or (text.startswith(":") and not tables[-1][1])):
            tables[-1][0].last = number
    for table, rows in tables:
        for number, cells in rows:
            table.rows.append(Row(number, [join_lines(_filled(parts), 1, table.notes) for parts in cells]))
    return [table for table, _ in tables if table.rows]


def _find_csv(lines: Sequence[Line]) -> list[DrawnTable]:
    """CSV tables of reStructuredText: `:header:` names the columns, and indented lines have the cells."""
    tables: list[DrawnTable] = []
    depth = -1
    for number, line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if _CSV_TABLE.match(line):
            tables.append(DrawnTable("a CSV table", number, number, []))
            depth = indent
        elif not tables or depth < 0 or (text and indent <= depth):
            depth = -1
        elif text:
            match = _CSV_HEADER.fullmatch(text)
            if match or not text.startswith(":"):
                cells = next(csv.reader([match[1] if match else text], skipinitialspace=True), [])
                tables[-1].rows.append(Row(number, [cell.strip() for cell in cells]))
            tables[-1].last = number
    return [table for table in tables if table.rows]


def _filled(lines: list[str]) -> list[str]:
    """Lines without empty ones at the end."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines
