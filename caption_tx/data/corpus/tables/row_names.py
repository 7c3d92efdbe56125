"""Tables whose header lacks the name of the first column, that of the row names, as R's `write.table` writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from caption_tx.data.corpus.column_names import caption_key, could_be_image
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_name_like, is_text, share

NOTE = (
    "the header lacks the name of the first cells, the row names; its names are read as those of the cells after them"
)
"""Note about a table whose header is shifted by one cell."""

QUOTED_HEADER = re.compile(r'\s*"[^"]*"(?: "[^"]*")+\s*')
"""A header whose names are quoted and separated by one space, the separator that `write.table` has by default."""

_MIN_SHARE = 0.9


def lacks_row_names(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether nearly every row has a cell more than the header has names, and these cells differ.

    Args:
        header: all cells of the header, empty ones included.
        rows: the cells of the rows below.

    Example:
        >>> lacks_row_names(["image", "caption"], [["1", "a.jpg", "a dog"], ["2", "b.jpg", "a cat"]])
        True
    """
    if not any(caption_key(name) or could_be_image(name) for name in header):
        return False
    longer = [row for row in rows if len(row) > len(header)]
    if not longer or len(longer) < _MIN_SHARE * len(rows):
        return False
    names = [row[0].strip().strip('"') for row in longer]
    return all(names) and len(set(names)) == len(names)


def fits_row_names(columns: Columns, header: Sequence[str], rows: Sequence[Sequence[str]], are_quoted: bool) -> bool:
    """Whether the columns of a header behind the row names hold image names and captions.

    Unquoted captions and names that contain the separator make rows wider, too. Row names are therefore quoted or
    numbers, and the cells that the header then names have image names; without suffixes these count only beside row
    names that number the rows.

    Args:
        columns: of the shifted header.
        header: the names, with an empty one for the row names.
        rows: the cells of the rows below.
        are_quoted: whether the first cells are quoted.
    """
    longer = [row for row in rows if len(row) >= len(header)]
    images = [row[columns.image].strip() for row in longer]
    names = [row[0].strip().strip('"') for row in longer]
    texts = [row[position] for row in longer for position in columns.captions]
    if 0 in columns.captions or share(texts, is_text) <= 0.5:
        return False
    if columns.image == 0 or share(names, is_image_name) > 0.5:  # the row names are those of the images
        return columns.image == 0 and share(names, is_image_name) > _MIN_SHARE and not any(map(could_be_image, header))
    if share(images, is_image_name) > _MIN_SHARE:
        return are_quoted or all(name.isascii() and name.isdecimal() for name in names)
    has_width = len(images) == sum(len(row) == len(header) for row in rows)
    is_varied = len(set(images)) > min(1, len(images) - 1)
    return has_width and is_varied and number_rows(names) and share(images, is_name_like) > _MIN_SHARE


def number_rows(names: Sequence[str]) -> bool:
    """Whether row names count from 0 or 1."""
    numbers = [int(name) if name.isascii() and name.isdecimal() else -1 for name in names]
    return numbers[:1] in ([0], [1]) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
