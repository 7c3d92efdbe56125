"""Tables of MediaWiki: `{|`, `|-` between rows, `!` before names of columns and `|` or `||` before cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from caption_tx.data.corpus.drawn.cell_lines import DrawnTable, Row
from caption_tx.data.corpus.drawn.grids import SPANNED

_START = re.compile(r"\s*:*\{\|")
_ATTRIBUTES = re.compile(r"\s*(?:[\w-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[\w#%.-]+)\s*)+\|(?!\|)")
_SPAN = re.compile(r"rowspan\s*=\s*[\"']?(\d+)", re.IGNORECASE)
_FILE = re.compile(r"\[\[:?\s*(?:file|image|media|文件|檔案|图像|圖像|档案)\s*:\s*([^\]|]+)[^\]]*\]\]", re.IGNORECASE)
_MAX_SPAN = 1000

FILES = "links to files in wiki markup, read as their names"


def is_wiki_table(line: str) -> bool:
    """Whether a line begins a table of MediaWiki.

    Example:
        >>> is_wiki_table('{| class="wikitable"'), is_wiki_table('{"a": 1}')
        (True, False)
    """
    return _START.match(line) is not None


def find_wiki(lines: Sequence[tuple[int, str]]) -> list[DrawnTable]:
    """The tables of MediaWiki in a text.

    Args:
        lines: (number, text) of all lines, blank ones included.
    """
    found: list[DrawnTable] = []
    table: _Builder | None = None
    for number, text in lines:
        line = text.strip()
        if table is None and is_wiki_table(line):
            table = _Builder(number)
        elif table is not None and line.startswith("|}"):
            found.append(table.finish(number))
            table = None
        elif table is not None:
            table.add(number, line)
    return [*found, table.finish(number)] if table is not None else found


class _Builder:
    """Collects the rows of one table."""

    def __init__(self, first: int) -> None:
        self._first, self._rows, self._notes = first, [], Counter[str]()
        self._spans: dict[int, tuple[int, str]] = {}
        self._number, self._cells = first, list[str]()
        self._is_open = False

    def add(self, number: int, line: str) -> None:
        """Adds a line between the first and the last line of the table."""
        if line.startswith("|+"):
            self._is_open = False
        elif line.startswith("|-"):
            self._end_row()
            self._number = number + 1
        elif line[:1] in ("|", "!"):
            mark = r"\|\||!!" if line[0] == "!" else r"\|\|"
            self._cells += re.split(mark, line[1:])
            self._is_open = True
        elif self._is_open and self._cells:
            self._cells[-1] += f"\n{line}"

    def finish(self, number: int) -> DrawnTable:
        """The table that ends in a line."""
        self._end_row()
        return DrawnTable("a table of MediaWiki", self._first, number, self._rows, self._notes)

    def _end_row(self) -> None:
        """Adds the cells of a row, with those above that span several rows."""
        cells = iter(self._cells)
        row: list[str] = []
        while True:
            if (at := len(row)) in self._spans:
                left, text = self._spans.pop(at)
                self._spans |= {at: (left - 1, text)} if left > 1 else {}
                row.append(text)
                continue
            if (cell := next(cells, None)) is None:
                break
            match = _ATTRIBUTES.match(cell)
            text = self._plain(cell[match.end() :] if match else cell)
            if match and (span := _SPAN.search(match[0])) and 1 < int(span[1]) < _MAX_SPAN:
                self._spans[at] = (int(span[1]) - 1, text)
                self._notes[SPANNED] += 1
            row.append(text)
        if self._cells and any(row):
            self._rows.append(Row(self._number, row))
        self._cells, self._is_open = [], False

    def _plain(self, cell: str) -> str:
        """The text of a cell, with names for links to files."""
        text, count = _FILE.subn(lambda match: match[1].strip(), cell.strip())
        self._notes[FILES] += count
        return text
