"""Lines of a table that are no data: headers of files that were joined, and totals at the end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from caption_tx.data.corpus.column_names import CAPTION_WORDS, IMAGE_WORDS, SPLIT_WORDS, caption_key, normalize_name
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.values.value_kinds import is_filled
from caption_tx.data.images.suffixes import suffix_of

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?%?")
_TOTALS = (
    "total", "totals", "sum", "count", "subtotal", "grand total", "average", "mean", "rows", "合计", "总计", "小计",
    "共计", "总数", "总和", "数量", "合計", "總計", "平均", "平均值", "汇总",
)  # fmt: skip
_COUNT = re.compile(
    r"(?:以上|本页|本表|全部|总)?\s*(?:共|合计|总计|小计|共计|总数|总和|数量|合計|總計|汇总)\s*[:：=]?\s*(?:有|为|是)?"
    r"\s*\d[\d,.]*\s*(?:[张張条條幅个個行份句件][图圖]?(?:[片像]|描述|[记記][录錄]|数据)?)?\s*[。.]?"
    r"|(?:grand |sub)?(?:total|sum|count|totals|average|mean|rows)(?: (?:number )?(?:of )?[a-z]+)?"
    r"\s*[:=]?\s*\d[\d,.]*(?: [a-z]+)?\.?",
    re.IGNORECASE,
)
"""A text such as `共计12张` or `Total: 12 images`."""

_DIGIT = re.compile("[0-9]")
_MAX_FOOTERS, _LONGEST_NAME = 3, 20
_WORDS = frozenset((*IMAGE_WORDS, *CAPTION_WORDS, *SPLIT_WORDS))


class RepeatedHeaders:
    """Finds headers in the middle of a table, and brings the cells below one in other order into the first order.

    Args:
        header: the names of the columns.
        rows: whose notes count the headers.

    Example:
        >>> headers = RepeatedHeaders(["image", "caption"], rows)
        >>> headers.is_header(["caption", "image"]), headers.reorder(["a dog", "x.jpg"])
        (True, ['x.jpg', 'a dog'])
    """

    def __init__(self, header: Sequence[str], rows: CaptionRows) -> None:
        self._names = [normalize_name(name) for name in header]
        self._roles = [_role(name) for name in self._names]
        self._rows, self._order = rows, list(range(len(header)))
        self._first = {*_WORDS, *(_plain(name) for name in header)}

    def is_header(self, cells: Sequence[str]) -> bool:
        """Whether cells are the header again, in the same or another order, or with other names for the columns."""
        if len(cells) < 2 or _plain(cells[0]) not in self._first:
            return False
        names = [normalize_name(cell) for cell in cells[: len(self._names)]]
        if len(names) != len(self._names):
            return False
        roles = [_role(name) for name in names]
        if sorted(names) == sorted(self._names):
            found, wanted = names, self._names
        elif None not in roles and len(set(roles)) == len(roles) and sorted(roles) == sorted(map(str, self._roles)):
            found, wanted = roles, self._roles
        else:
            return False
        if len(set(found)) == len(found):
            self._order = [found.index(name) for name in wanted]
        is_moved = self._order != list(range(len(found)))
        how = ", with its columns in another order, which are read by their names" if is_moved else ""
        self._rows.notes[f"headers in the middle of the table{how}"] += 1
        return True

    def reorder(self, cells: list[str]) -> list[str]:
        """The cells of a row in the order of the first header."""
        if self._order == sorted(self._order) or len(cells) < len(self._order):
            return cells
        return [*(cells[position] for position in self._order), *cells[len(self._order) :]]


def _plain(cell: str) -> str:
    return cell.strip().strip('"').lower()


def _role(name: str) -> str | None:
    groups = {"image": IMAGE_WORDS, "caption": CAPTION_WORDS, "split": SPLIT_WORDS}
    return next((role for role, words in groups.items() if name in words), None)


TOTAL = "a total, not a caption"
NO_NAME_AND_CAPTION = "no image name and no caption"
SECOND_HEADER = "a second header"
"""Reasons for which rows are skipped."""


def why_no_caption(cells: Sequence[Any], columns: Columns) -> str | None:
    """The reason why a row that is not blank has no caption for an image: a total, a header, or only other cells."""
    if columns.words is not None:
        return None
    has_name = is_filled(cells[columns.image])
    has_caption = any(map(is_filled, map(cells.__getitem__, columns.captions)))
    if has_name and has_caption:
        return SECOND_HEADER if _is_second_header(cells, columns) else None
    if not any(map(is_filled, cells)):
        return None
    if is_total(cells):
        return TOTAL
    return None if has_name or has_caption else NO_NAME_AND_CAPTION


def _is_second_header(cells: Sequence[Any], columns: Columns) -> bool:
    """Whether a row has usual names in the columns of the image and the captions, such as those in another language."""
    image = cells[columns.image]
    if not isinstance(image, str) or _DIGIT.search(image):  # no name of a column for images has a digit
        return False
    captions = [cells[at] for at in columns.captions if is_filled(cells[at])]
    if any(not isinstance(cell, str) or len(cell) > _LONGEST_NAME for cell in (image, *captions)):
        return False
    return normalize_name(image) in IMAGE_WORDS and all(caption_key(cell) is not None for cell in captions)


def is_total(cells: Sequence[Any]) -> bool:
    """Whether a row has a total, and nothing else but numbers.

    Example:
        >>> is_total(["共计12张", "", None]), is_total(["", "Total: 12 images", "12"]), is_total(["1", "a dog"])
        (True, True, False)
    """
    texts = [str(cell).strip() for cell in cells if is_filled(cell)]
    others = [text for text in texts if not _NUMBER.fullmatch(text)]
    return bool(others) and all(_is_count(text) for text in others)


def _is_count(text: str) -> bool:
    return text.lower().strip(":：") in _TOTALS or _COUNT.fullmatch(text) is not None


def drop_totals(rows: CaptionRows) -> None:
    """Leaves out totals such as `合计,3` in the last rows of a table; `rows.notes` counts them."""
    found = 0
    while found < min(_MAX_FOOTERS, len(rows) - 1) and _is_total(rows, len(rows) - 1 - found):
        found += 1
    if not found:
        return
    start = len(rows) - found
    for row in range(start, start + found):
        rows.skip(rows.line_numbers[row], TOTAL)
    shown = f"{rows.images[start]},{rows.captions[start]}"
    for column in (rows.images, rows.captions, rows.splits, rows.machine, rows.line_numbers, rows.list_ids):
        del column[start:]
    rows.notes[f"rows at the end that are totals (such as {shown!r}), left out"] = found


def note_first_row(rows: CaptionRows) -> None:
    """Reports a first row whose image name alone has no suffix, as that of a second header with unusual names."""
    names = rows.images
    if len(names) > 2 and not suffix_of(names[0]) and all(map(suffix_of, names[1:])):
        shown = f"{names[0]},{rows.captions[0]}"[:80]
        rows.notes[f"a first row unlike the others ({shown!r}), read; remove it if it is a header"] = 1


def _is_total(rows: CaptionRows, row: int) -> bool:
    """Whether a row has a number for a caption, and an image name that is a word for a total or unlike the others."""
    if not _NUMBER.fullmatch(rows.captions[row]) or suffix_of(rows.images[row]):
        return False
    if rows.images[row].strip().lower().strip(":：") in _TOTALS:
        return True
    others = rows.images[:row][-200:]
    return len(others) > 2 and all(map(suffix_of, others)) and not rows.images[row].isdecimal()
