r"""Tables with backslashes before quotes, as MySQL and Spark write them: `"he said \"go\""` and `\N` for NULL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from caption_tx.data.corpus.file_text.backslashes import NULLS, has_bytes

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = {'"': '""', "n": " ", "r": " ", "t": " ", "0": ""}

UNESCAPED = 'lines with \\" for a quote, as MySQL writes it, which is read'
"""Note about lines that were changed, beside `NULLS`."""

NOT_CSV = '\\" is not CSV: write a quote inside a cell as ""'


def has_escaped_quotes(path: Path) -> bool:
    r"""Whether the bytes of a file have `\"` somewhere."""
    return has_bytes(path, b'\\"')


def unescape_lines(lines: Iterator[tuple[int, str]], separator: str, notes: Counter[str]) -> Iterator[tuple[int, str]]:
    r"""Lines of CSV for lines with backslashes: quotes are doubled, and the cell `\N` is empty."""
    cut = re.escape(separator)
    null = re.compile(rf'(?:(?<=^)|(?<={cut})|(?<={cut}")|(?<=^"))\\N(?="?(?:{cut}|\r?\n?$))')
    for number, line in lines:
        if "\\" in line:
            line, count = null.subn("", line)
            notes.update({NULLS: count} if count else {})
            notes.update([UNESCAPED] if '\\"' in line else [])
            line = _ESCAPE.sub(lambda match: _SPECIAL.get(match[1], match[1]), line)
        yield number, line
