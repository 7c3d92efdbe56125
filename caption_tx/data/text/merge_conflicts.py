"""Lines that Git and Subversion leave in a file that they could not merge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from caption_tx.errors import CorpusError

_START, _MIDDLE, _END = "<<<<<<<", "=======", ">>>>>>>"

ADVICE = f"unresolved merge conflict; keep one side and remove the lines with {_START}, {_MIDDLE} and {_END}"
"""What is wrong and what to do; follows the name of the file and the number of the line."""


def watch_for_conflict(lines: Iterable[tuple[int, str]], path: Path) -> Iterator[tuple[int, str]]:
    """The same (number, text), until three of them are the marks of a conflict; one mark alone is a line like others.

    Raises:
        CorpusError: a conflict ends; the message names its first line.
    """
    start = middle = 0
    for number, line in lines:
        if line[:1] in "<=>" and line:
            if _is_mark(line, _START):
                start, middle = number, 0
            elif start and line.rstrip() == _MIDDLE:
                middle = number
            elif middle and _is_mark(line, _END):
                raise CorpusError(f"{path}, line {start}: {ADVICE}.")
        yield number, line


def require_no_conflict(text: str, path: Path) -> None:
    """Rejects a text with the marks of a conflict.

    Raises:
        CorpusError: it has a conflict; the message names its first line.
    """
    if _START in text and _END in text:
        for _ in watch_for_conflict(enumerate(text.splitlines(), 1), path):
            pass


def _is_mark(line: str, mark: str) -> bool:
    """Whether a line is a mark alone, or followed by a space and the name of a branch or file."""
    return line.startswith(mark) and line[len(mark) : len(mark) + 1] in ("", " ", "\n", "\r")
