"""Finds the boxes that the words of a caption name.

Without a word list a word names the boxes that have it among their names, unless it is a function word: the head of
"the other" is none. A word list, a table of two or more columns, maps each word to the names it stands for, so that
Chinese words find boxes with English names.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.boxes.table import Box
from caption_tx.data.text.text_files import TextFile
from caption_tx.data.text.word_kinds import FUNCTION_WORDS
from caption_tx.errors import CorpusError

CATEGORIES = ("people", "animals", "clothing", "vehicles", "bodyparts", "instruments", "scene", "other")
"""Categories of Flickr30k Entities."""

_STRICT = ("people", "animals")
"""Names of people and animals mean other things in other categories: a boxer, a lab, a player."""


@dataclass(frozen=True)
class NamedBoxes:
    """What a word list says about a word: the names of its boxes, and their category if it is given."""

    names: frozenset[str]
    category: str = ""

    def match(self, box: Box) -> bool:
        """Whether a box has one of the names, and not another category than that of people or animals."""
        other = self.category in _STRICT and box.category in CATEGORIES and box.category != self.category
        return not other and not self.names.isdisjoint(box.names)


class BoxWords:
    """The words that name boxes.

    Args:
        entries: word -> what it names; None if every word names the boxes with that name.

    Example:
        >>> words = BoxWords({"狗": NamedBoxes(frozenset({"dog", "puppy"}))})
        >>> words.find(["一只", "狗"], boxes)
        {1: (0,)}
    """

    def __init__(self, entries: Mapping[str, NamedBoxes] | None = None) -> None:
        self.entries = entries

    def find(self, words: Sequence[str], boxes: Sequence[Box]) -> dict[int, tuple[int, ...]]:
        """Position of each word that names boxes -> the indices of all boxes that it names."""
        found: dict[int, tuple[int, ...]] = {}
        for position, word in enumerate(words):
            named = self._named(word.lower())
            indices = () if named is None else tuple(index for index, box in enumerate(boxes) if named.match(box))
            if indices:
                found[position] = indices
        return found

    def could_name(self, word: str) -> bool:
        """Whether the word list has the word; without a list every content word could name a box."""
        return self._named(word.lower()) is not None

    def category(self, word: str, boxes: Sequence[Box]) -> str:
        """The category of a word: that of the word list, else that of most of its `boxes`."""
        named = self._named(word.lower())
        if named is not None and named.category:
            return named.category
        categories = [box.category for box in boxes if box.category]
        return max(categories, key=categories.count, default="")

    def _named(self, word: str) -> NamedBoxes | None:
        if self.entries is not None:
            return self.entries.get(word)
        is_function = any(word in words for words in FUNCTION_WORDS.values())
        return None if is_function else NamedBoxes(frozenset({word}))


def read_box_words(path: str | Path | None) -> BoxWords:
    """Reads a word list: a table with a word and the names it stands for, separated by commas, in each line.

    Columns are separated by tabs, or by the first comma of a line. With a header that has the columns `heads` or
    `names`, and `category`, they are read from there; the first column is the word. Blank lines and lines that begin
    with `#` are skipped. Without a file, a word names the boxes with that name.

    Raises:
        CorpusError: the file cannot be read, or a line has no word or no name.

    Example:
        狗	dog,dogs,puppy
    """
    if path is None:
        return BoxWords()
    path = Path(path)
    entries: dict[str, NamedBoxes] = {}
    columns: dict[str, int] = {}

    def reject(number: int, _: str, message: str) -> None:
        raise CorpusError(f"{path}, line {number}: {message}.")

    is_first = True
    for number, line in TextFile.open(path).lines(reject):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in (line.split("\t") if "\t" in line else next(csv.reader([line])))]
        header = [cell.lower() for cell in cells]
        if is_first and (named := {"heads", "names"} & set(header)):
            columns = {"names": header.index(named.pop())}
            columns |= {"category": header.index("category")} if "category" in header else {}
        else:
            word, named_boxes = cells[0].lower(), _named_boxes(cells, columns)
            if not word or named_boxes is None:
                raise CorpusError(
                    f"{path}, line {number}: expected a word, a tab and names separated by commas, found "
                    f"{line.strip()[:60]!r}; fix the line."
                )
            old = entries.get(word, NamedBoxes(frozenset()))
            entries[word] = NamedBoxes(named_boxes.names | old.names, named_boxes.category or old.category)
        is_first = False
    if not entries:
        raise CorpusError(f"The word list {path} has no word; write a word, a tab and the names of its boxes per line.")
    return BoxWords(entries)


def _named_boxes(cells: Sequence[str], columns: Mapping[str, int]) -> NamedBoxes | None:
    """What the cells of a line say about its word; None if they have no name."""
    if columns:
        if len(cells) <= max(columns.values()):
            return None
        text, category = cells[columns["names"]], cells[columns["category"]].lower() if "category" in columns else ""
    else:
        text, category = ",".join(cells[1:]), ""
    names = frozenset(name.strip().lower() for name in text.split(",") if name.strip())
    return NamedBoxes(names, category) if names else None
