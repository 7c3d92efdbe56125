"""Tables whose columns are separated by bars and whose rows by lines of dashes.

Grid tables of Markdown and reStructuredText, tables of Org mode, output of the consoles of MySQL, PostgreSQL and
SQLite, and tables that programs draw with box characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from caption_tx.data.corpus.drawn.cell_lines import (
    JOINED,
    DrawnTable,
    Row,
    is_full,
    join_lines,
    unescape_cells,
    width_of,
)
from caption_tx.data.corpus.values.broken_lines import SENTENCE_ENDS
from caption_tx.data.corpus.values.value_kinds import is_image_name

CONTINUED = "cells that psql continues on the next line, joined"
SPANNED = "cells that span several rows, read in each of them"

_BOX = {
    **dict.fromkeys("─━╌╍┄┅┈┉", "-"),
    "═": "=",
    **dict.fromkeys("│┃║╎╏┆┇┊┋", "|"),
    **dict.fromkeys(map(chr, (*range(0x250C, 0x254C), *range(0x2552, 0x2571))), "+"),
}  # fmt: skip
_TO_ASCII = str.maketrans({key: sign for key, sign in _BOX.items() if key != "═"} | {"═": "="})
_RULE = re.compile(r"\s*(?:\+[-=:]{2,}(?:\+[-=:]{2,})+\+|\|[-=:]{2,}(?:\+[-=:]{2,})+\||[-=]{2,}(?:\+[-=]{2,})+)\s*")
_BOX_RULE = re.compile(r"\s*[┌├╒╔╠╞┏┡┢┣╭]?[─━═╌┄┈]{2,}[┬┼┴╤╪╧╦╬╩┳╇╈╋┻]")
_PARTIAL = re.compile(r"\s*[|+].*\+[-=]{3,}[+|].*")
_CLOSING = re.compile(r"[-=]{3,}")
_BARS = re.compile(r"(?<!\\)\|")
_FOOTER = re.compile(r"\s*\(?[\d,]+ (?:rows?|行)\b.*|\s*\(\d+ 行.*")
_TYPES = frozenset((
    "varchar", "text", "str", "string", "utf8", "bigint", "int", "int32", "int64", "integer", "i32", "i64", "u32",
    "u64", "double", "float", "f32", "f64", "float64", "date", "timestamp", "datetime", "boolean", "bool", "---",
))  # fmt: skip
_RARE = 0.3
_LINE_BREAKS, _CUTS = ("+", "↵"), (".", "…")
"""What psql puts after a line of a cell with line breaks, and where it wraps a line at the end and before the next."""


def is_rule(line: str) -> bool:
    """Whether a line is drawn between rows of at least two columns.

    Example:
        >>> is_rule("+---+----+"), is_rule("---+-----"), is_rule("|---|---|"), is_rule("├───┼───┤")
        (True, True, False, True)
    """
    return _RULE.fullmatch(to_ascii(line)) is not None


def to_ascii(line: str) -> str:
    """A line with dashes, bars and plus signs instead of box characters, if it has any of these."""
    return line if line.isascii() else line.translate(_TO_ASCII)


@dataclass
class _Line:
    """A line with cells, as (start in the line, text)."""

    number: int
    text: str
    cells: list[str]
    closes: frozenset[int] | None = None
    """For a line drawn below some columns only: these columns."""


@dataclass
class _Grid:
    """A table as it is drawn: blocks of lines between rules."""

    rule: str
    first: int
    last: int
    has_head: bool = False
    blocks: list[list[_Line]] = field(default_factory=list)

    @property
    def widths(self) -> list[int]:
        """The width of each column without the spaces beside its bars."""
        return [max(1, len(part) - 2) for part in re.findall("[-=:]+", self.rule)]


def find_grids(lines: Sequence[tuple[int, str]]) -> list[DrawnTable]:
    """The tables in a text whose columns are separated by bars.

    Args:
        lines: (number, text) of all lines, blank ones included.
    """
    texts = [(number, text.rstrip("\r\n")) for number, text in lines]
    has_boxes = any(_BOX_RULE.match(text) for _, text in texts)
    texts = [(number, to_ascii(text) if has_boxes else text) for number, text in texts]
    rules = [at for at, (_, text) in enumerate(texts) if _RULE.fullmatch(text)]
    found, end = [], 0
    for at in rules:
        if at < end:
            continue
        grid, end = _scan(texts, at, end)
        if grid.blocks:
            found.append(_to_table(grid))
    return [table for table in found if table.rows]


def _scan(texts: Sequence[tuple[int, str]], start: int, end: int) -> tuple[_Grid, int]:
    """The table whose first rule is a line, and the position after it."""
    rule = texts[start][1].strip()
    has_bars = rule[0] in "+|"
    first = start
    while first > end and _is_above(texts[first - 1][1], has_bars):
        first -= 1
    grid, block, at = _Grid(rule, texts[first][0], texts[first][0]), list[_Line](), first
    for at in range(first, len(texts) + 1):
        number, text = texts[at] if at < len(texts) else (0, "")
        if _RULE.fullmatch(text):
            grid.has_head |= "=" in text and bool(grid.blocks or block)
            grid.blocks += [block] if block else []
            block = []
        elif text.lstrip()[:1] in ("|", "+") if has_bars else text.strip() and not _FOOTER.fullmatch(text):
            block.append(_line(number, text, grid.rule))
        elif has_bars and block and at < len(texts) and _goes_on(texts, at, block[-1].text):
            block[-1] = _line(block[-1].number, f"{block[-1].text}\n{text}", grid.rule)
        else:
            break
        grid.last = number
    grid.blocks += [block] if block else []
    return grid, at


def _is_above(text: str, has_bars: bool) -> bool:
    """Whether a line above the first rule belongs to the table: the header."""
    return text.lstrip().startswith("|") if has_bars else "|" in text


def _goes_on(texts: Sequence[tuple[int, str]], at: int, above: str) -> bool:
    """Whether a line belongs to a cell with line breaks, which consoles print as they are: a bar closes it later."""
    if above.rstrip().endswith("|"):
        return False
    for _, text in texts[at : at + 20]:
        if text.lstrip().startswith(("|", "+")):
            return False
        if text.rstrip().endswith("|"):
            return True
    return False


def _line(number: int, text: str, rule: str) -> _Line:
    """The cells of a line, with their spaces."""
    count = rule.strip("|+").count("+") + 1
    has_bars = rule[0] in "+|"
    if has_bars and _PARTIAL.fullmatch(text):
        pieces = _cut(text, rule)
        if len(pieces) == count and any(map(_CLOSING.fullmatch, pieces)):
            closes = frozenset(at for at, piece in enumerate(pieces) if _CLOSING.fullmatch(piece))
            return _Line(number, text, ["" if at in closes else piece for at, piece in enumerate(pieces)], closes)
    inner = text.strip(" ") if has_bars else text
    inner = inner.removeprefix("|").removesuffix("|") if has_bars else inner
    cells = _BARS.split(inner)
    if len(cells) > count and len(cut := _cut(text, rule)) == count:
        cells = cut
    if len(cells) > count:  # bars in the last cell
        cells = [*cells[: count - 1], "|".join(cells[count - 1 :])]
    return _Line(number, text, [cell.replace("\\|", "|") for cell in cells])


def _cut(text: str, rule: str) -> list[str]:
    """The cells of a line below the plus signs of a rule, by width in a terminal or by characters; or []."""
    has_bars = rule[0] in "+|"
    indent = len(text) - len(text.lstrip()) if has_bars else 0
    marks = [at + indent for at, sign in enumerate(rule) if sign in ("+|" if has_bars else "+")]
    for measure in (width_of, len):
        places, at = {}, 0
        for position, letter in enumerate(text):
            places[at] = position
            at += measure(letter)
        bars = [places.get(mark, -1) for mark in marks]
        if all(bar >= 0 and text[bar] in "|+" for bar in bars):
            edges = bars if has_bars else [-1, *bars, len(text)]
            return [text[left + 1 : right] for left, right in pairwise(edges)]
    return []


def _to_table(grid: _Grid) -> DrawnTable:
    """The rows of a table."""
    notes: Counter[str] = Counter()
    is_joined = _joins_blocks(grid)
    rows: list[Row] = []
    for at, block in enumerate(grid.blocks):
        is_header = at == 0 and (grid.has_head or len(grid.blocks) > 1)
        if is_header and all(_is_type(cell) for line in block[1:] for cell in line.cells):
            block = block[:1]
        if is_joined or (is_header and _joins(block)):
            rows += _read_block(block, grid.widths, notes)
        else:
            rows += _read_lines(block, grid.widths, notes)
    if odd := [line.number for block in grid.blocks for line in block if len(line.cells) < len(grid.widths)]:
        notes[f"lines with fewer cells than the table has columns (such as line {odd[0]}), read from the left"] = len(
            odd
        )
    if grid.has_head:
        unescape_cells(rows, notes)
    kind = "a table drawn with lines" if grid.rule[0] in "+|" else "a table as psql prints it"
    return DrawnTable(kind, grid.first, grid.last, rows, notes)


def _is_type(cell: str) -> bool:
    return cell.strip().lower() in _TYPES


def _joins(block: Sequence[_Line]) -> bool:
    """Whether the lines of a block are one row: later lines have cells without text."""
    return len(block) > 1 and all(line.closes or not all(map(str.strip, line.cells)) for line in block[1:])


def _joins_blocks(grid: _Grid) -> bool:
    """Whether every row is a block between rules, rather than a line."""
    if grid.rule[0] not in "+|" or len(grid.blocks) < 2 or any(map(_has_two_names, grid.blocks)):
        return False
    if len(grid.blocks) == 2:  # one row, or a row per line
        return grid.has_head and _joins(grid.blocks[1])
    if grid.has_head and grid.rule[0] == "+":
        return True
    later = [line for block in grid.blocks for line in block[1:]]
    empty = sum(line.closes is not None or not all(map(str.strip, line.cells)) for line in later)
    return 4 * empty >= 3 * len(later)


def _has_two_names(block: Sequence[_Line]) -> bool:
    """Whether a column has the image names of several rows."""
    names = [frozenset(at for at, cell in enumerate(line.cells) if is_image_name(cell)) for line in block]
    return any(above & below for above, below in pairwise(names)) and not any(line.closes for line in block)


def _read_block(block: Sequence[_Line], widths: Sequence[int], notes: Counter[str]) -> list[Row]:
    """The row, or rows where a cell spans several, that the lines between two rules are."""
    count = max(len(line.cells) for line in block)
    parts: list[list[list[str]]] = [[[]] for _ in range(count)]
    starts = [block[0].number]
    for line in block:
        for at, cell in enumerate(line.cells):
            parts[at][-1].append(cell.strip())
        if line.closes:
            starts.append(line.number + 1)
            for at in range(count):
                parts[at] += [[]] if at in line.closes else []
    columns = []
    for at, cells in enumerate(parts):
        width = widths[at] if at < len(widths) else 1
        texts = [join_lines(_trim(lines), width, notes) for lines in cells]
        if len(texts) < len(starts):
            notes[SPANNED] += 1
            texts += [texts[-1]] * (len(starts) - len(texts))
        columns.append(texts)
    return [Row(number, [texts[at] for texts in columns]) for at, number in enumerate(starts)]


def _trim(lines: list[str]) -> list[str]:
    """Lines without empty ones at the start and the end."""
    filled = [at for at, line in enumerate(lines) if line]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _read_lines(block: Sequence[_Line], widths: Sequence[int], notes: Counter[str]) -> list[Row]:
    """The rows of a block with a row per line, except for lines that go on with the cells above."""
    rows: list[Row] = []
    raw: list[str] = []
    joined: set[tuple[int, int]] = set()
    wrapped = _find_wrapped(block, widths)
    for line in block:
        mark = _find_mark(raw, line, wrapped) if rows and len(line.cells) == len(raw) else None
        if mark is None:
            rows.append(Row(line.number, list(line.cells)))
        else:
            notes[CONTINUED] += mark != ""
            for at, cell in enumerate(line.cells):
                if cell.strip():
                    rows[-1].cells[at] = _append(rows[-1].cells[at], cell, mark, widths[at])
                    joined |= set() if mark else {(len(rows), at)}
        raw = line.cells
    notes[JOINED] += len(joined)
    for row in rows:
        row.cells = [cell.strip() for cell in row.cells]
    return rows


def _find_mark(above: Sequence[str], line: _Line, wrapped: set[int]) -> str | None:
    """psql's mark at the ends of the cells that go on in a line, or "" if they were wrapped; None for another row."""
    filled = [(a, b) for a, b in zip(above, line.cells, strict=True) if b.strip()]
    if not filled:
        return None
    for mark in _LINE_BREAKS:
        if all(a.rstrip().endswith(mark) for a, _ in filled):
            return mark
    for mark in _CUTS:
        if all(a.endswith(mark) and b.startswith(mark) for a, b in filled):
            return mark
    return "" if line.number in wrapped else None


def _find_wrapped(block: Sequence[_Line], widths: Sequence[int]) -> set[int]:
    """The numbers of the lines without a first cell that go on with the line above.

    Many such lines are rows of their own, below one of merged cells, unless every line above them reaches the margin.
    """
    pairs = {
        line.number: [
            (above.strip(), below.strip(), width)
            for above, below, width in zip(before.cells, line.cells, widths, strict=False)
            if below.strip()
        ]
        for before, line in pairwise(block)
        if not line.cells[0].strip() and len(line.cells) == len(before.cells) == len(widths)
    }
    found = {number: cells for number, cells in pairs.items() if cells and all(above for above, *_ in cells)}
    full = {number for number, cells in found.items() if all(is_full(*cell) for cell in cells)}
    if len(pairs) < _RARE * len(block):
        return full | {
            number for number, cells in found.items() if not all(a.endswith(SENTENCE_ENDS) for a, *_ in cells)
        }
    if len(full) < len(pairs):
        return set()
    cells = [cell for line in found.values() for cell in line]
    is_ragged = any(width_of(above) < width for above, _, width in cells)  # where the next word did not fit
    is_shorter = len(full) > 1 and any(width_of(below) < width_of(above) for above, below, _ in cells)
    return full if is_ragged or is_shorter else set()


def _append(text: str, cell: str, mark: str, width: int) -> str:
    """The text of a cell with its next line."""
    if mark in _LINE_BREAKS:
        return f"{text.rstrip()[:-1].rstrip()}\n{cell.strip()}"
    return f"{text[:-1]}{cell[1:]}" if mark else join_lines([text.strip(), cell.strip()], width, Counter())
