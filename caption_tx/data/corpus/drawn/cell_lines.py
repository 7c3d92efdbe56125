"""The lines of one cell of a drawn table -> its text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from caption_tx.data.corpus.values.broken_lines import SENTENCE_ENDS, first_word, is_wide, space_between
from caption_tx.data.corpus.values.value_kinds import is_image_name

JOINED = "cells wrapped over several lines, joined"
BROKEN = "cells with several lines that are not wrapped, read with their line breaks"

UNESCAPED = "rows with signs behind a backslash, as Markdown has them, read without it"

_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_ITEM = re.compile(r"(?:[-*+•]|\d{1,3}[.)、]|[（(]\d{1,3}[)）])\s*(?=\S)")


@dataclass
class Row:
    """A row of a drawn table: the number of its first line in the file, and its cells."""

    number: int
    cells: list[str]


@dataclass
class DrawnTable:
    """The rows of a drawn table, the header first if it has one.

    Attributes:
        kind: what drew the table, for messages.
        first: number of its first line.
        last: number of its last line.
        rows: its rows.
        notes: what was read differently from how it is written.
    """

    kind: str
    first: int
    last: int
    rows: list[Row]
    notes: Counter[str] = field(default_factory=Counter)


def unescape_cells(rows: Sequence[Row], notes: Counter[str]) -> None:
    r"""Removes the backslashes before signs in cells, as pandoc and others write them in Markdown: `a\_1.jpg`."""
    for row in rows:
        plain = [_ESCAPE.sub(r"\1", cell) for cell in row.cells]
        notes[UNESCAPED] += plain != row.cells
        row.cells = plain


def width_of(text: str) -> int:
    """The width of text in a terminal, in which Chinese characters are two wide and combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def is_full(above: str, below: str, width: int) -> bool:
    """Whether the first word of a line would not have fitted on the line above it, in a column of a width.

    Widths are those of a terminal or, in tables that are aligned by characters, the numbers of characters.

    Example:
        >>> is_full("a dog runs", "over grass", 12), is_full("a dog", "a cat", 12), is_full("一只狗在", "跑", 8)
        (True, False, True)
    """
    word = first_word(below)
    space = 0 if is_wide(above[-1:]) or is_wide(word) else 1
    return any(size(above) + space + size(word) > width for size in (width_of, len)[: 1 + (len(above) == width)])


def join_lines(lines: Sequence[str], width: int, notes: Counter[str]) -> str:
    """The text of a cell: wrapped lines joined, with a space between words but not beside Chinese characters.

    Line breaks stay between paragraphs, before the items of a list, and after sentences that end before the margin.

    Args:
        lines: of the cell, without the spaces around them; empty lines separate paragraphs.
        width: of the column.
        notes: count the cells that were joined.

    Example:
        >>> join_lines(["a dog runs", "over grass"], 12, Counter()), join_lines(["一只狗在", "跑"], 8, Counter())
        ('a dog runs over grass', '一只狗在跑')
    """
    if len(lines) > 1 and is_image_name(name := "".join(lines)) and not any(map(_is_no_part, lines)):
        notes[JOINED] += 1
        return name
    text, last, is_joined, is_broken = "", "", False, False
    for line in lines:
        if not line:
            last = ""
        elif not text:
            text = last = line
        elif not last or _ITEM.match(line) or (last.endswith(SENTENCE_ENDS) and not is_full(last, line, width)):
            text, last, is_broken = f"{text}\n{line}", line, True
        else:
            text, last, is_joined = text + space_between(text, line) + line, line, True
    if is_joined or is_broken:
        notes[JOINED if is_joined else BROKEN] += 1
    return text


def _is_no_part(line: str) -> bool:
    """Whether a line cannot be a part of an image name that was cut anywhere: it has spaces, or is a name."""
    return not line or " " in line or is_image_name(line.strip("."))
