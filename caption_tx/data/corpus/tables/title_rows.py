"""Titles above the header of a table, such as the name of a project in the first cell or in merged cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from caption_tx.data.corpus.column_names import CAPTION_WORDS, IMAGE_WORDS, caption_key, normalize_name
from caption_tx.data.corpus.tables.columns import ReadOptions
from caption_tx.data.corpus.tables.two_row_headers import combine_header
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_name_like, share

ROWS_ABOVE = "rows before the header, not read"
NAMES_IN_ROWS = "names of columns read from a row, since the table has numbers or a title instead"
TITLE_LINES = 6
"""How many filled lines before the data may hold the header."""

_LONGEST = 40
_SENTENCE = re.compile("[。！？；!?;]")
_NO_NAME = re.compile(r"\s*(?:Unnamed: \d+(?:_level_\d+)?)?\s*")
"""A cell without a name, for which pandas writes `Unnamed: 1` below or above a title."""


def find_header_row(rows: Sequence[Sequence[str]], options: ReadOptions) -> int:
    """The number of rows above the header of a table; 0 if the first row may be the header.

    A title is one text in a row, which merged cells may repeat, or has fewer cells than the header. Below it is a row
    with the usual names of an image and a caption, with names that the user gives, or of labels above image names.

    Args:
        rows: the first rows of the table, those without text included.
        options: columns that the user names.

    Example:
        >>> rows = [["Spring project", "", ""], ["score", "image", "caption"], ["1", "1.jpg", "a dog"]]
        >>> find_header_row(rows, ReadOptions()), find_header_row(rows[1:], ReadOptions())
        (1, 0)
    """
    rows = [["" if _NO_NAME.fullmatch(cell) else cell.strip() for cell in row] for row in rows]
    for number in range(1, min(TITLE_LINES, len(rows))):
        above, row, below = rows[:number], rows[number], rows[number + 1 :]
        if not any(map(any, above)) or not _are_labels(row):
            continue
        if not (_has_usual_names(row) or _has_wanted_names(row, options)):
            is_title = all(len(set(filter(None, cells))) < 2 for cells in above)
            if not is_title or any(map(_has_plain_name, above)) or not _is_above_names(row, below):
                continue
        elif not all(_could_be_title(cells, row, options) for cells in above):
            continue
        is_group = combine_header(above[-1], row) is not None and not _is_one_text(above[-1])
        return number - is_group
    return 0


def find_names(names: Sequence[str], rows: Sequence[Sequence[Any]], options: ReadOptions) -> int | None:
    """The row that has the names of the columns of a table whose own names are a title or numbers; None without one.

    Programs such as pandas take the title of a sheet for the name of its first column, and number columns without one.

    Args:
        names: of the columns.
        rows: the first rows.
        options: columns that the user names.

    Example:
        >>> find_names(["Spring", "Unnamed: 1"], [["image", "caption"], ["1.jpg", "a dog"]], ReadOptions())
        0
    """
    if not may_lack_names(names) or _has_wanted_names(names, options):
        return None
    plain = _without_numbers(names)
    texts = [["" if cell is None else str(cell).strip() for cell in row] for row in rows]
    if any(plain):
        number = find_header_row([plain, *texts], options)
        return number - 1 if number else None
    if number := find_header_row(texts, options):
        return number
    is_header = bool(texts) and _are_labels(texts[0])
    if is_header and (_has_usual_names(texts[0]) or _has_wanted_names(texts[0], options)):
        return 0
    return 0 if is_header and _is_above_names(texts[0], texts[1:]) else None


def may_lack_names(names: Sequence[str]) -> bool:
    """Whether the names of several columns are numbers, or a title beside columns without a name.

    Example:
        >>> may_lack_names(["0", "1"]), may_lack_names(["Spring", "Unnamed: 1"]), may_lack_names(["image", "1"])
        (True, True, False)
    """
    plain = set(filter(None, _without_numbers(names)))
    return len(names) > 1 and len(plain) < 2 and not _has_plain_name(list(plain))


def _without_numbers(names: Sequence[str]) -> list[str]:
    return ["" if name.isdecimal() or _NO_NAME.fullmatch(name) else name for name in names]


def _are_labels(row: Sequence[str]) -> bool:
    """Whether cells could be names of columns: several, which are short and differ."""
    filled = [cell for cell in row if cell]
    return len(set(filled)) > 1 and not any(
        len(cell) > _LONGEST or _SENTENCE.search(cell) or is_image_name(cell) or _is_number(cell) for cell in filled
    )


def _has_usual_names(row: Sequence[str]) -> bool:
    """Whether one cell is a name for images, and another one has a name for captions, as texts may by chance."""
    return any(normalize_name(cell) in IMAGE_WORDS for cell in row) and any(map(caption_key, row))


def _has_wanted_names(row: Sequence[str], options: ReadOptions) -> bool:
    """Whether a row has all names of columns that the user gives."""
    wanted = (*options.caption_columns, *([options.image_column] if options.image_column else ()))
    names = {cell.casefold() for cell in row}
    return bool(wanted) and all(name.strip().casefold() in names for name in wanted)


def _has_plain_name(row: Sequence[str]) -> bool:
    """Whether a cell is nothing but a usual name for images or captions, without a colon, or an image name."""
    cells = [cell for cell in row if cell and not cell.endswith((":", "："))]
    return any(normalize_name(cell) in (*IMAGE_WORDS, *CAPTION_WORDS) or is_image_name(cell) for cell in cells)


def _could_be_title(row: Sequence[str], header: Sequence[str], options: ReadOptions) -> bool:
    """Whether a row above a header has one text, or fewer cells than the header and no names of columns."""
    filled = [cell for cell in row if cell]
    if len(set(filled)) < 2:
        return not any(map(is_image_name, filled))
    is_header = _has_usual_names(row) or _has_plain_name(row) or _has_wanted_names(row, options)
    return len(filled) < sum(map(bool, header)) and not is_header


def _is_one_text(row: Sequence[str]) -> bool:
    """Whether a row has one text in its first cell or in all of them, as a title and not as the name of a group."""
    return len(set(filter(None, row))) == 1 and bool(row[0])


def _is_above_names(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a cell that is no image name or number is above a column of these."""
    columns = ([cells[at] for cells in below if at < len(cells)] for at in range(len(row)))
    return any(
        cell and not is_name_like(cell) and share(column, is_name_like) > 0.9
        for cell, column in zip(row, columns, strict=True)
    )


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()
