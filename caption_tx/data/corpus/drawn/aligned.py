"""Tables whose columns are aligned by spaces below or above lines of dashes or equals signs.

Simple tables of reStructuredText, simple and multiline tables of pandoc's Markdown, and output of consoles.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from caption_tx.data.corpus.column_names import caption_key, image_rank
from caption_tx.data.corpus.drawn.cell_lines import DrawnTable, Row, join_lines, unescape_cells, width_of

_RULE = re.compile(r"\s*([-=])\1+(?:[ ]+\1{2,})+\s*")
_EDGE = re.compile(r"\s*-{5,}\s*")
_FOOTER = re.compile(r"\s*\(?[\d,]+ (?:rows?|行)\b.*|\s*\(\d+ 行.*")


def is_ruled(line: str) -> bool:
    """Whether a line has dashes or equals signs for at least two columns.

    Example:
        >>> is_ruled("=====  ======="), is_ruled("--- -------"), is_ruled("-------"), is_ruled("- a dog")
        (True, True, False, False)
    """
    return _RULE.fullmatch(line) is not None


def find_aligned(lines: Sequence[tuple[int, str]]) -> list[DrawnTable]:
    """The tables in a text whose columns are aligned by spaces and named image and caption.

    Args:
        lines: (number, text) of all lines, blank ones included.
    """
    texts = [(number, text.rstrip("\r\n").expandtabs()) for number, text in lines]
    found, end = [], 0
    for at in [at for at, (_, text) in enumerate(texts) if is_ruled(text)]:
        if at < end:
            continue
        table, stop = _read(texts, at, end)
        if table is not None:
            found.append(table)
            end = stop
    return found


def _read(texts: Sequence[tuple[int, str]], at: int, floor: int) -> tuple[DrawnTable | None, int]:
    """The table whose first rule with columns is a line, and the position after it; None if it names no columns."""
    rule = texts[at][1]
    below = at + 1
    while below < len(texts) and texts[below][1].strip() and not _is_line(texts[below][1]):
        below += 1
    is_top = below < len(texts) and is_ruled(texts[below][1]) and below > at + 1  # reStructuredText
    if is_top:
        head, body = range(at + 1, below), below + 1
    else:
        start = at
        while start > floor and texts[start - 1][1].strip() and not _is_line(texts[start - 1][1]):
            start -= 1
        head, body = range(start, at), at + 1
    width, measure = len(rule), _measure(rule, [texts[line][1] for line in head])
    notes: Counter[str] = Counter()
    header = _join([_cut(texts[line][1], rule, measure) for line in head], rule, Counter())
    names = [re.sub(r"\s+", " ", name) for name in header]
    if not any(map(caption_key, names)) or not any(image_rank(name) is not None for name in names):
        return None, at + 1
    edge = head.start - 1
    is_multiline = not is_top and edge >= floor and _EDGE.fullmatch(texts[edge][1]) is not None
    stop = body
    while stop < len(texts) and not _ends(texts, stop, is_top or is_multiline, width):
        stop += 1
    measure = _measure(rule, [texts[line][1] for line in range(body, stop)])
    rows = [Row(texts[head.start][0], names)]
    rows += _rows([texts[line] for line in range(body, stop)], (rule, measure), is_multiline, notes)
    if is_multiline or "=" in rule:
        unescape_cells(rows, notes)
    last = min(stop, len(texts) - 1)
    kind = "a table whose columns are aligned by spaces below lines"
    closed = last if stop == len(texts) or _is_line(texts[last][1]) else last - 1
    return DrawnTable(kind, texts[edge if is_multiline else head.start][0], texts[closed][0], rows, notes), stop + 1


def _is_line(text: str) -> bool:
    return is_ruled(text) or _EDGE.fullmatch(text) is not None


def _ends(texts: Sequence[tuple[int, str]], at: int, has_end: bool, width: int) -> bool:
    """Whether a table ends before a line: at a rule or, without one at its end, at a blank line or a count of rows."""
    text = texts[at][1]
    if _is_line(text):
        return True
    return not has_end and (not text.strip() or _FOOTER.fullmatch(text) is not None)


def _measure(rule: str, lines: Sequence[str]) -> Callable[[str], int]:
    """What aligns the columns: widths in a terminal, or numbers of characters if fewer texts then cross a gap."""
    if all(map(str.isascii, lines)):
        return len
    misses = {size: sum(_crosses(line, rule, size) for line in lines) for size in (width_of, len)}
    return len if misses[len] < misses[width_of] else width_of


def _starts(rule: str) -> list[int]:
    return [match.start() for match in re.finditer("[-=]+", rule)]


def _crosses(line: str, rule: str, measure: Callable[[str], int]) -> bool:
    """Whether a text stands where the gap before a column is."""
    at, gaps = 0, {start - 1 for start in _starts(rule)[1:]}
    for letter in line:
        if not letter.isspace() and (at in gaps or (measure(letter) == 2 and at + 1 in gaps)):
            return True
        at += measure(letter)
    return False


def _cut(line: str, rule: str, measure: Callable[[str], int]) -> list[str]:
    """The cells of a line; columns that their texts do not fit are found by the spaces between them."""
    starts = _starts(rule)
    if _crosses(line, rule, measure):
        cells = re.split(r"\s{2,}", line.strip(), maxsplit=len(starts) - 1)
        if len(cells) == len(starts):
            return cells
    edges, at, places = [*starts[1:], 1 << 30], 0, [0]
    for position, letter in enumerate(line):
        if len(places) <= len(starts) and at >= edges[len(places) - 1]:
            places.append(position)
        at += measure(letter)
    places += [len(line)] * (len(starts) + 1 - len(places))
    return [line[left:right].strip() for left, right in pairwise(places)]


def _rows(
    lines: Sequence[tuple[int, str]],
    columns: tuple[str, Callable[[str], int]],
    is_multiline: bool,
    notes: Counter[str],
) -> list[Row]:
    """The rows of a table: lines without a first cell belong to the row above; blank lines separate multiline rows."""
    rule, measure = columns
    blocks: list[tuple[int, list[list[str]]]] = []
    is_after_blank = True
    for number, text in lines:
        if not text.strip():
            is_after_blank = True
            continue
        cells = _cut(text, rule, measure)
        goes_on = not is_after_blank if is_multiline else not cells[0] and bool(blocks)
        if goes_on and blocks:
            blocks[-1][1].extend([[""] * len(cells)] if is_after_blank else [])
            blocks[-1][1].append(cells)
        else:
            blocks.append((number, [cells]))
        is_after_blank = False
    return [Row(number, _join(block, rule, notes)) for number, block in blocks]


def _join(block: Sequence[Sequence[str]], rule: str, notes: Counter[str]) -> list[str]:
    """The cells of a row from those of its lines."""
    widths = [len(part) for part in re.findall("[-=]+", rule)]
    texts = []
    for at, width in enumerate(widths):
        lines = [cells[at] for cells in block]
        while lines and not lines[-1]:
            lines.pop()
        texts.append(join_lines(lines, width, notes))
    return texts
