"""What the columns of a user dictionary without a header are: words, frequencies, tags, categories, readings .."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from caption_tx.data.text.dictionary_japanese import PART_OF_SPEECH, are_readings, has_han_or_kana
from caption_tx.data.text.dictionary_pinyin import HAN, is_pinyin

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
INTEGER = re.compile(r"\d+", re.ASCII)
LIST = re.compile(r"\s*[、,，;；|]\s*|\s+")
"""Between the words of a list on one line."""

WORD_KINDS = ("words", "names")
"""Kinds of columns that are read: Chinese words, several in a cell, and names in any script, one in a cell."""

_HAS_HAN = re.compile(f"[{HAN}]")
_NO_WORD = re.compile(r"[\s=:：/\[\](){}（）'\"“”]")
_LABEL = re.compile(r"[BIESOM]-\w+|(?:[A-Z]{1,5},)+[A-Z]*", re.ASCII)
_PADDED = re.compile(r"0\d+|\d{3,}", re.ASCII)
_LONGEST_WORD = 16
_LONGEST_MEAN = 6
_MIN_CATEGORIZED = 4


@dataclass(frozen=True)
class Column:
    """A column of a table without a header: its index, its cells and what they are."""

    index: int
    cells: list[str]
    kind: str

    def words(self, row: int) -> list[str]:
        """The words of a row."""
        cell = self.cells[row]
        return (split_words(cell) or []) if self.kind == "words" else [cell] * bool(cell)


def split_words(text: str, pattern: re.Pattern[str] = LIST) -> list[str] | None:
    """Chinese words between separators; None if a part is none."""
    parts = [part for part in pattern.split(text.strip()) if part]
    return parts if parts and all(_is_word(part) for part in parts) else None


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and _HAS_HAN.search(text) is not None and not _NO_WORD.search(text)


def find_kinds(columns: Sequence[list[str]], tags: Container[str], *, is_spaced: bool) -> list[Column]:
    """What the cells of each column are.

    Args:
        columns: the cells of each column, as many in each.
        tags: part-of-speech tags.
        is_spaced: whether white space separates the columns, which may also be inside a name.

    Example:
        >>> [column.kind for column in find_kinds([["iPhone", "Kindle"], ["品牌", "品牌"]], (), is_spaced=False)]
        ['names', 'categories']
    """
    kinds = [_kind(cells, at == 0, tags) for at, cells in enumerate(columns)]
    _find_names(columns, kinds, only_words=is_spaced and "frequencies" not in kinds)
    if "words" not in kinds and "names" not in kinds:  # a list of the names of parts of speech
        kinds = ["words" if kind == "parts of speech" else kind for kind in kinds]
    first = next((at for at, kind in enumerate(kinds) if kind in WORD_KINDS), None)
    if first is not None:
        for at, cells in enumerate(columns):
            if kinds[at] in ("text", "tags") and all(map(is_pinyin, cells, columns[first])):
                kinds[at] = "pinyin"
        ends = ("frequencies", "tags", "parts of speech")
        after = next((at for at in range(first, len(kinds)) if kinds[at] in ends), len(kinds))
        kinds[after:] = ["text" if kind == "words" else kind for kind in kinds[after:]]
    return [Column(at, cells, kind) for at, (cells, kind) in enumerate(zip(columns, kinds, strict=True))]


def _find_names(columns: Sequence[list[str]], kinds: list[str], *, only_words: bool) -> None:
    """Finds categories and readings, and the names beside them if no column has only Chinese words.

    Args:
        columns: the cells of each column.
        kinds: of the columns; changed in place.
        only_words: whether only columns of Chinese words are looked at.
    """
    texts = [at for at, kind in enumerate(kinds) if kind in ("words", "text")[: 1 if only_words else 2]]
    categories = [
        at for at in texts if any(are_categories(columns[other], columns[at]) for other in texts if other != at)
    ]
    left = [at for at in texts if at not in categories]
    readings = [
        at
        for at in left
        if any(are_readings(columns[at], columns[other], come_later=other < at) for other in left if other != at)
    ]
    words = [at for at in texts if kinds[at] == "words"]
    if any(at in left for at in words):
        categories = [at for at in categories if at != words[0]]  # a list of words, the first of which repeats
    elif names := [at for at in left if at not in readings and all(map(_has_letter, columns[at]))]:
        if categories or readings or "parts of speech" in kinds:
            kinds[names[0]] = "names"
    else:
        categories = [at for at in categories if at not in words[:1]]
    for at in categories:
        kinds[at] = "categories"
    for at in readings:
        kinds[at] = "readings"


def _has_letter(cell: str) -> bool:
    return any(map(str.isalpha, cell))


def are_categories(words: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether cells repeat one value or a few, which are no words, beside words that differ."""
    names = set(cells)
    if not names.isdisjoint(words) or not all(cells) or 3 * len(names) > 2 * len(set(words)):
        return False
    return len(cells) >= _MIN_CATEGORIZED or (len(names) == 1 and has_han_or_kana(cells[0]))


def _kind(cells: list[str], is_first: bool, tags: Container[str]) -> str:
    filled = [cell for cell in cells if cell]
    if is_first and count_rows(cells):
        return "numbers of rows"
    if filled and all(map(NUMBER.fullmatch, filled)):
        return "frequencies" if all(map(INTEGER.fullmatch, filled)) and any(map(int, filled)) else "scores"
    if all(cell in tags for cell in filled):
        return "tags"
    if all(map(PART_OF_SPEECH.fullmatch, cells)):
        return "parts of speech"
    if all(map(split_words, cells)) and (is_first or sum(map(len, cells)) <= _LONGEST_MEAN * len(cells)):
        return "words"
    if is_first and are_codes(cells):
        return "codes"
    return "labels" if all(map(_LABEL.fullmatch, filled)) else "text"


def count_rows(cells: Sequence[str]) -> bool:
    """Whether cells are the numbers of rows: 1, 2, 3 .. or numbers of one width with zeros in front."""
    if not all(map(INTEGER.fullmatch, cells)):
        return False
    numbers = [int(cell) for cell in cells]
    is_padded = len(set(map(len, cells))) == 1 and cells[0].startswith("0") and len(set(cells)) == len(cells)
    return is_padded or (numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers))))


def are_codes(cells: Sequence[str]) -> bool:
    """Whether different cells differ only in a number that is padded, long or marked: W001, No.1, 02084071-n."""
    shapes = {re.sub(r"\d+", "0", cell) for cell in cells}
    if len(shapes) != 1 or len(set(cells)) < len(cells) or not re.search(r"\d", cells[0]):
        return False
    return all(map(_PADDED.search, cells)) or cells[0].lower().startswith(("no.", "id", "#"))
