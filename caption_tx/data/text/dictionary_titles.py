"""User dictionaries of page titles, such as Wikipedia's, which have `_` for spaces and distinguish in parentheses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from caption_tx.data.text.dictionary_lines import Line

LATIN = r"[^\W_\u3040-\u30ff\u3400-\u9fff]"
"""A letter or digit of any script with spaces between words."""

_SPACE = re.compile(rf"(?<=[,.:;!?'’&+])_+(?={LATIN})|(?<={LATIN})_+(?=&?{LATIN}|&_)")
_DISTINCTION = re.compile(r"(.*\w.*?)_+[(（][^()（）]+[)）]")


def read_titles(lines: Sequence[Line], notes: Sequence[str]) -> tuple[list[Line], list[str]]:
    """Entries with spaces for the `_` between their words, without `_(..)` at their end, and the notes with both named.

    A word such as `Hello_Kitty` is an entry in both forms, as captions may have either.

    Example:
        >>> [line.parts for line in read_titles([Line(1, ("Hello_Kitty", "9")), Line(2, ("苹果_(公司)",))], ())[0]]
        [('Hello_Kitty', '9'), ('Hello Kitty', '9'), ('苹果',)]
    """
    read: list[Line] = []
    spaces, distinctions = [], []
    for line in lines:
        parts = line.parts
        if not any("_" in part for part in parts):
            read.append(line)
            continue
        named = f"line {line.number} {' '.join(parts)[:40]!r}"
        short = tuple(match[1] if (match := _DISTINCTION.fullmatch(part)) else part for part in parts)
        new = tuple(_SPACE.sub(" ", part) for part in short)
        if short != parts:
            distinctions.append(named)
        if new != short:
            spaces.append(named)
        if new == short or all(re.fullmatch(r"\w+", part) for part in short if "_" in part):
            read.append(replace(line, parts=short))
        if new != short:
            read.append(replace(line, parts=new))
    return read, [
        *notes,
        *_note("Read with spaces for _ (words also as written)", spaces),
        *_note("Read without the part in parentheses", distinctions),
    ]


def _note(what: str, lines: Sequence[str]) -> list[str]:
    more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    return [f"{what}: {lines[0]}{more}."] if lines else []
