"""Text from files and file names, made safe for one line of a terminal, for a file in UTF-8 and for spreadsheets."""

from __future__ import annotations

import re

_CONTROLS = (*range(32), *range(127, 160))
# Line and paragraph separators, and the characters that reverse the direction of what follows on a terminal.
_INVISIBLE = (0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in (*_CONTROLS, *_INVISIBLE)}


def printable(name: str) -> str:
    """A file name in valid UTF-8; other bytes are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    r"""A text as one line: bytes that are not UTF-8, line breaks and other control characters are escaped.

    Example:
        >>> one_line("a\nb\x1b[2J")
        'a\\nb\\x1b[2J'
    """
    return printable(text).translate(_ESCAPES)


_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
"""Cells that Excel, LibreOffice or Google Sheets run as a formula, full-width signs included, or that look escaped."""


def escape_formula(cell: str) -> str:
    """A cell of a CSV file that a spreadsheet shows as text: an apostrophe precedes the sign of a formula.

    `unescape_formula` returns the original of every text.

    Example:
        >>> escape_formula("=HYPERLINK(..)"), unescape_formula("'=HYPERLINK(..)")
        ("'=HYPERLINK(..)", '=HYPERLINK(..)')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """The text that `escape_formula` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
