r"""Tables without quotes whose cells have backslash escapes, as MySQL and PostgreSQL write them.

`SELECT .. INTO OUTFILE` puts a backslash before a tab, a line break and a backslash, `COPY` and `mysql -B` write `\t`
and `\n`, and `\N` is NULL. Backslashes before quotes are read by `readers.backslash_escapes`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.text.text_files import TextFile

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_VALID = frozenset("NtnrbfvZ0\\\t\n,;|")
_LETTERS = {"n": "\n", "t": " ", "r": "", "b": "", "f": " ", "v": " ", "Z": "", "0": "", "N": ""}
_CHUNK = 1 << 20
_SEPARATORS = "\t,;|"
_END = "\\."
_IN_NAME = rf"[^{_SEPARATORS}\s]*"
_PATH = re.compile(
    rf"(?:^|[{_SEPARATORS}]){_IN_NAME}\\[a-zN]{_IN_NAME}(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?:#\d+)?"
    rf"(?:$|[{_SEPARATORS}])",
    re.IGNORECASE,
)
"""A path such as `photos\\new.jpg`, whose backslash is no escape."""

_HELD = "\0"

UNESCAPED = "lines with backslash escapes (such as \\t and \\n), as MySQL and PostgreSQL write them, which are read"
NULLS = "cells \\N, which stand for a missing value, read as empty"
"""Notes about lines that were changed."""


@dataclass(frozen=True)
class Escapes:
    """The backslash escapes of a file: what separates its cells, and how many lines and cells they change."""

    separator: str
    num_lines: int
    num_nulls: int


@dataclass(frozen=True)
class EscapedFile(TextFile):
    """A text file whose lines are those of a table without backslash escapes."""

    escapes: Escapes | None = None

    @property
    def notes(self) -> dict[str, int]:
        """What was changed, with counts."""
        found = self.escapes
        counts = () if found is None else ((UNESCAPED, found.num_lines), (NULLS, found.num_nulls))
        return {note: count for note, count in counts if count}

    def lines(self, on_error: Callable[[int, str, str], None]) -> Iterator[tuple[int, str]]:
        """See `TextFile`; rows with line breaks are one line, and cells that need quotes have them."""
        lines = super().lines(on_error)
        return lines if self.escapes is None else unescape(lines, self.escapes.separator)


def open_escaped(file: TextFile) -> EscapedFile | None:
    """A file as a table without backslash escapes; None if it has none.

    Raises:
        CorpusError: the file cannot be read.
    """
    if not has_bytes(file.path, b"\\"):
        return None
    escapes = find_escapes(file.lines(lambda *error: None))
    return escapes and EscapedFile(file.path, file.encoding, file.source, escapes=escapes)


def has_bytes(path: Path, wanted: bytes) -> bool:
    """Whether a file has some bytes somewhere."""
    with path.open("rb") as file:
        last = b""
        while chunk := file.read(_CHUNK):
            if wanted in last + chunk:
                return True
            last = chunk[-(len(wanted) - 1) :] if len(wanted) > 1 else b""
    return False


def find_escapes(lines: Iterable[tuple[int, str]]) -> Escapes | None:
    """The escapes of a table; None if a backslash is no escape, or if nothing shows that they are escapes.

    A cell that is `\\N`, a backslash before a line break or a separator, and the last line `\\.` show it. So do doubled
    backslashes beside `\\n` or `\\t`. Rows must have the same number of cells at least as often as without escapes.
    """
    before = {separator: Counter[int]() for separator in _SEPARATORS}
    after = {separator: Counter[int]() for separator in _SEPARATORS}
    signs: Counter[str] = Counter()
    num_lines = num_nulls = 0
    for _, line in _join(lines):
        for part in line.split("\n"):
            for separator, counts in before.items():
                counts[part.count(separator)] += 1
        if line == _END:
            signs["end"] += 1
            break
        escaped = _ESCAPE.findall(line) if "\\" in line else []
        if not _VALID.issuperset(escaped) or (escaped and (line.endswith("\\") or _PATH.search(line))):
            return None
        signs.update(escaped)
        bare = _ESCAPE.sub(lambda match: match[0] if match[1] == "N" else "", line) if escaped else line
        for separator, counts in after.items():
            counts[bare.count(separator)] += 1
        nulls = sum(cell.strip('"') == "\\N" for cell in re.split(f"[{_SEPARATORS}]", bare)) if escaped else 0
        num_nulls += nulls
        num_lines += len(escaped) > nulls
    total = sum(after["\t"].values())
    fitting = [separator for separator in _SEPARATORS if 10 * (total - after[separator][0]) >= 9 * total > 0]
    is_sure = num_nulls or any(signs[sign] for sign in ("\n", "end", *fitting[:1]))
    if not fitting or not (is_sure or (signs["\\"] and signs["n"] + signs["t"])) or not num_lines + signs["end"]:
        return None
    odd_before, odd_after = (
        sum(counts.values()) - max(counts.values()) for counts in (before[fitting[0]], after[fitting[0]])
    )
    return Escapes(fitting[0], num_lines, num_nulls) if odd_after <= odd_before else None


def unescape(lines: Iterable[tuple[int, str]], separator: str) -> Iterator[tuple[int, str]]:
    r"""The lines of a table without escapes, up to the line `\.`.

    Example:
        >>> list(unescape([(1, "a.jpg\tone\\"), (2, "two"), (3, "b.jpg\t\\N")], "\t"))
        [(1, 'a.jpg\t"one\ntwo"'), (3, 'b.jpg\t')]
    """
    for number, line in _join(lines):
        if line == _END:
            return
        yield number, _unescape_line(line, separator) if "\\" in line else line


def _join(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines without their ends; those after a backslash that is an escape belong to the line before."""
    first, parts = 0, []
    for number, line in lines:
        text = line.rstrip("\r\n")
        first = first if parts else number
        parts.append(text)
        if (len(text) - len(text.rstrip("\\"))) % 2 == 0:
            yield first, "\n".join(parts)
            parts = []
    if parts:
        yield first, "\n".join(parts)


def _unescape_line(line: str, separator: str) -> str:
    def letter(match: re.Match[str]) -> str:
        if match[1] == separator:
            return " " if separator == "\t" else _HELD
        return _LETTERS.get(match[1], match[1])

    cells = _ESCAPE.sub(letter, line).split(separator)
    return separator.join(_quote(cell, separator) for cell in cells)


def _quote(cell: str, separator: str) -> str:
    """A cell that has a line break or a separator, in quotes unless it has them."""
    needs_quotes, cell = "\n" in cell or _HELD in cell, cell.replace(_HELD, separator)
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return '"' + cell.replace('"', '""') + '"' if needs_quotes and not is_quoted else cell
