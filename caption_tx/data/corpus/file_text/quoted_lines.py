"""Cells of tab-separated lines that are quoted since they have line breaks, as spreadsheets write them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

_OPEN = re.compile(r'(?:^|\t)"(?:[^"\t]|"")*$')
_INSIDE = re.compile(r'(?:[^"\t]|"")*')
_CLOSE = re.compile(r'(?:[^"\t]|"")*"(?=\t|$)')
_BROKEN_CELL = re.compile(r'(?<![^\t])"((?:[^"\t]|"")*\n(?:[^"\t]|"")*)"(?=\t|$)')
_MAX_LINES = 20_000


def join_quoted_lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    r"""Joins the lines of a cell that is quoted and has line breaks, but no tab; other quotes are left as they are.

    Args:
        lines: (number, text), with or without a line break at the end.

    Yields:
        (number of the first line, text), with a line break inside if lines were joined, and none at the end.

    Example:
        >>> list(join_quoted_lines([(1, 'a.jpg\t"one'), (2, 'two"'), (3, 'b.jpg\t"three')]))
        [(1, 'a.jpg\t"one\ntwo"'), (3, 'b.jpg\t"three')]
    """
    source = iter(lines)
    waiting: deque[tuple[int, str]] = deque()
    while True:
        item = waiting.popleft() if waiting else next(source, None)
        if item is None:
            return
        number, text = item[0], item[1].rstrip("\r\n")
        while '"' in text and _OPEN.search(text):
            following = _rest_of_cell(source, waiting)
            joined = "\n".join([text, *following])
            if not following or "\t" not in joined:
                break
            for _ in following:
                waiting.popleft()
            text = joined
        yield number, text


def _rest_of_cell(source: Iterator[tuple[int, str]], waiting: deque[tuple[int, str]]) -> list[str]:
    """The next lines up to the one with the closing quote, which stay in `waiting`; [] if it is in none of them."""
    found = []
    for index in range(_MAX_LINES):
        if index == len(waiting):
            item = next(source, None)
            if item is None:
                return []
            waiting.append(item)
        line = waiting[index][1].rstrip("\r\n")
        found.append(line)
        if _CLOSE.match(line):
            return found
        if not _INSIDE.fullmatch(line):
            return []
    return []


def split_tabs(line: str) -> list[str]:
    r"""The cells of a line of `join_quoted_lines`; quotes are ordinary except around line breaks.

    Example:
        >>> split_tabs('"a"\t"one\ntwo"')
        ['"a"', 'one\ntwo']
    """
    if "\n" not in line:
        return line.split("\t")
    return [
        match[1].replace('""', '"') if (match := _BROKEN_CELL.fullmatch(cell)) else cell for cell in line.split("\t")
    ]
