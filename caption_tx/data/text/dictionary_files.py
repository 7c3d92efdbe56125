"""User dictionaries that are no text: the cell dictionaries of Sogou's input method, and Excel workbooks."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from caption_tx.data.text.dictionary_forms import FREQUENCY_HEADERS, TAG_HEADERS, is_word_header
from caption_tx.data.text.dictionary_kinds import are_categories
from caption_tx.data.text.dictionary_lines import NUMBER, Line
from caption_tx.data.text.workbooks import Cell, find_strikes

BINARY_KINDS = ("scel", "xlsx")
"""Kinds of files that are read and are no text."""

_SCEL_MARKS = (b"\x40\x15\x00\x00\x44\x43\x53\x01", b"\x40\x15\x00\x00\x45\x43\x53\x01")
_PINYIN_TABLE = 0x1540
_WORD_COUNT = 0x124
_DELETED = "DELTBL".encode("utf-16-le")
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_INPUT_METHODS = (".scel", ".qcel", ".bdict", ".bcd", ".qpyd", ".uwl", ".mspd", ".ld2", ".rpim", ".mdx", ".bin")
_CONVERT = "convert it to text with one word per line, for example with imewlconverter (深蓝词库转换)"


def read_lines(path: Path, data: bytes) -> tuple[list[Line], list[str], str] | None:
    """The entries of a binary dictionary, notes about how it was read, and its kind; None for other files.

    Args:
        path: the file, whose suffix tells the kind of a file that cannot be read.
        data: its content.

    Raises:
        ValueError: the file is damaged, or of a kind that cannot be read; the message says what to do.
    """
    if data.startswith(_SCEL_MARKS):
        return _read_scel(data), ["Read as a cell dictionary of Sogou."], "scel"
    if data.startswith(_ZIP) and b"xl/workbook.xml" in data:
        return *_read_workbook(data), "xlsx"
    if data.startswith(_OLD_EXCEL) or path.suffix.lower() in (".xls", ".ods", ".et"):
        raise ValueError("it is a workbook that is not .xlsx; save it as .xlsx, or as text with one word per line")
    if path.suffix.lower() in _INPUT_METHODS and b"\0" in data:
        raise ValueError(f"it is a dictionary of another kind ({path.suffix}); {_CONVERT}")
    return None


def to_json(entries: Iterable[tuple[str, int | None]]) -> bytes:
    """Words and frequencies as a text file of a user dictionary, which leaves no doubt about either.

    Example:
        >>> to_json([("new york", None), ("机器人", 5)]).decode()
        '{\\n"new york": null,\\n"机器人": 5\\n}\\n'
    """
    words: dict[str, int | None] = {}
    for word, frequency in entries:
        words.setdefault(word, frequency)
    return f"{json.dumps(words, ensure_ascii=False, indent=0)}\n".encode()


def _read_scel(data: bytes) -> list[Line]:
    """The words of a .scel file: a table of syllables, then groups of words with one pronunciation.

    A group is the number of its words, the length of their pronunciation in bytes, and the pronunciation; then for each
    word its length in bytes, the word in UTF-16, and the length of further data and these.
    """
    words: list[str] = []
    try:
        [number] = struct.unpack_from("<H", data, _PINYIN_TABLE)
        position = _PINYIN_TABLE + 4
        for _ in range(number):
            position += 4 + struct.unpack_from("<H", data, position + 2)[0]
        [total] = struct.unpack_from("<I", data, _WORD_COUNT)
        while position + 4 <= len(data) and data[position : position + len(_DELETED)] != _DELETED:
            if total and len(words) >= total:
                break
            number, length = struct.unpack_from("<HH", data, position)
            position += 4 + length
            for _ in range(number):
                [length] = struct.unpack_from("<H", data, position)
                word = data[position + 2 : position + 2 + length].decode("utf-16-le")
                position += 2 + length
                position += 2 + struct.unpack_from("<H", data, position)[0]
                words.append(word.strip("\0 "))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(
            f"it is a damaged cell dictionary of Sogou (.scel); download it again, or {_CONVERT}"
        ) from error
    if not words:
        raise ValueError(f"it is a cell dictionary of Sogou (.scel) without words that can be read; {_CONVERT}")
    return [Line(number, tuple(word.split()), 0) for number, word in enumerate(words, 1) if word]


def _read_workbook(data: bytes) -> tuple[list[Line], list[str]]:
    """The words of the first sheet of a workbook, and their frequencies if a column has them."""
    try:
        import openpyxl
    except ImportError:
        raise ValueError(
            'it is an Excel workbook; pip install "caption_tx[excel]" to read it, or save it as CSV UTF-8'
        ) from None
    try:
        workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, list(sheet.iter_rows(values_only=True))) for sheet in workbook.worksheets]
        filled = [at for at, (_, rows) in enumerate(sheets) if any(any(map(_text, row)) for row in rows)]
        strikes = find_strikes(data, filled[0]) if filled else (set(), {})
    except Exception as error:  # a damaged workbook raises nearly any exception
        raise ValueError("it is a workbook that cannot be read; save it as CSV UTF-8") from error
    if not filled:
        raise ValueError("it is a workbook without words")
    title, rows = sheets[filled[0]]
    rows, struck = _without_strikes(rows, *strikes)
    if not any(any(map(_text, row)) for row in rows):
        raise ValueError(f"all words of the sheet {title!r} are struck through; remove the line through those to keep")
    lines, what = _read_rows(rows)
    notes = [f"Read from {what} of the sheet {title!r}.", *struck]
    if others := [sheets[at][0] for at in filled[1:]]:
        notes.append(f"Sheets not read: {', '.join(others)[:100]}.")
    return lines, notes


def _without_strikes(
    rows: Sequence[Sequence[Any]], cells: set[Cell], texts: dict[Cell, str]
) -> tuple[list[list[Any]], list[str]]:
    """Rows without the text that is struck through, and a note about it."""
    left = [
        [None if (number, at) in cells else texts.get((number, at), value) for at, value in enumerate(row)]
        for number, row in enumerate(rows, 1)
    ]
    places = sorted({*cells, *texts})
    if not places:
        return left, []
    number, at = places[0]
    more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
    return left, [f"Left out as struck through: row {number} {_text(rows[number - 1][at])[:40]!r}{more}."]


def _text(value: Any) -> str:
    """A cell as it is shown: whole numbers without decimals."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _read_rows(table: Sequence[Sequence[Any]]) -> tuple[list[Line], str]:
    """The entries of a table, and what was read: the column of words, with that of frequencies."""
    rows = [(number, [_text(value) for value in row]) for number, row in enumerate(table, 1)]
    rows = [(number, cells) for number, cells in rows if any(cells)]
    width = max(len(cells) for _, cells in rows)
    rows = [(number, cells + [""] * (width - len(cells))) for number, cells in rows]
    names = [cell.lower() for cell in rows[0][1]]
    word = next((at for at, name in enumerate(names) if is_word_header(name)), None)
    has_header = word is not None or (len(rows) > 1 and any(name in FREQUENCY_HEADERS for name in names))
    body = rows[1:] if has_header else rows
    if word is None:
        counts = [sum(any(map(str.isalpha, cells[at])) for _, cells in body) for at in range(width)]
        texts = [at for at, count in enumerate(counts) if 2 * count > len(body)]
        columns = {at: [cells[at] for _, cells in body] for at in texts}
        repeated = {at for at in texts if any(are_categories(columns[other], columns[at]) for other in texts)}
        word = next((at for at in texts if at not in repeated), texts[0] if texts else 0)
    frequency = next((at for at, name in enumerate(names) if name in FREQUENCY_HEADERS and has_header), None)
    if frequency is None and not has_header:
        frequency = next((at for at in range(word + 1, width) if all(_is_number(cells[at]) for _, cells in body)), None)
    lines = []
    for number, cells in body:
        fields = [cells[frequency]] if frequency is not None and NUMBER.fullmatch(cells[frequency]) else []
        if cells[word]:
            lines.append(Line(number, (*cells[word].split(), *fields), len(fields)))
    read = [
        f"column {at + 1}" + (f" ({rows[0][1][at]})" if has_header else "")
        for at in (word, frequency)
        if at is not None
    ]
    unread = [at for at in range(width) if at not in (word, frequency) and names[at] not in TAG_HEADERS]
    unread = [at for at in unread if any(cells[at] for _, cells in body)]
    columns = " and ".join(read)
    if unread:
        columns += f", not from column {', '.join(str(at + 1) for at in unread)},"
    return lines, columns


def _is_number(cell: str) -> bool:
    return cell.isdecimal() and cell != "0"
