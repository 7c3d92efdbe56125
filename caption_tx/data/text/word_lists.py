"""The words of many captions as numbers: a million captions share a few ten thousand words."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np


class _Numbers(dict[str, int]):
    """Gives each new word the next number."""

    def __missing__(self, word: str) -> int:
        return self.setdefault(word, len(self))


BLOCK = 1 << 16
"""So many captions, or numbers, are worked on at a time: NumPy's temporary arrays of a million captions are large."""


def take_rows(values: np.ndarray, row_splits: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (values, row_splits) of some rows of a ragged array, in the order of `rows`."""
    if len(rows) == len(row_splits) - 1 and np.array_equal(rows, np.arange(len(rows))):
        return values, row_splits
    splits = np.concatenate([[0], np.cumsum((row_splits[1:] - row_splits[:-1])[rows])])
    taken = np.empty(splits[-1], values.dtype)
    for start in range(0, len(rows), BLOCK):
        ends = splits[start : start + BLOCK + 1]
        moves = row_splits[rows[start : start + BLOCK]] - ends[:-1]
        taken[ends[0] : ends[-1]] = values[np.arange(ends[0], ends[-1]) + np.repeat(moves, np.diff(ends))]
    return taken, splits


def count(values: np.ndarray, size: int) -> np.ndarray:
    """How often each of the numbers 0 to `size` - 1 occurs, int64 (size,)."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(values), BLOCK):
        counts += np.bincount(values[start : start + BLOCK], minlength=size)
    return counts


class WordLists(Sequence[list[str]]):
    """Lists of words, each distinct word kept once; an item is the list of words of one caption.

    Attributes:
        words: the distinct words, in the order of their first occurrence.
        values: int32, every word of every caption as its place in `words`.
        row_splits: int64 (captions + 1,); caption i is `values[row_splits[i]:row_splits[i + 1]]`.
    """

    def __init__(self, words: tuple[str, ...], values: np.ndarray, row_splits: np.ndarray) -> None:
        self.words, self.values, self.row_splits = words, values, row_splits

    @classmethod
    def of(cls, word_lists: Iterable[Sequence[str]]) -> WordLists:
        """Any lists of words, read once; WordLists as they are."""
        if isinstance(word_lists, WordLists):
            return word_lists
        numbers, values, lengths = _Numbers(), array("i"), array("q")
        for words in word_lists:
            values.extend(map(numbers.__getitem__, words))
            lengths.append(len(words))
        splits = np.concatenate([[0], np.cumsum(np.frombuffer(lengths, np.int64))]) if lengths else np.zeros(1, int)
        return cls(tuple(numbers), np.array(values, np.int32), splits)

    @property
    def lengths(self) -> np.ndarray:
        """Words of each caption, int64 (captions,)."""
        return np.diff(self.row_splits)

    def counts(self) -> np.ndarray:
        """How often each of `words` occurs, int64 (len(words),)."""
        return count(self.values, len(self.words))

    def take(self, rows: np.ndarray) -> WordLists:
        """Some captions, by their places or by a mask over all."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return WordLists(self.words, *take_rows(self.values, self.row_splits, rows))

    def prepend(self, word: str, rows: np.ndarray) -> WordLists:
        """The same captions, with `word` before those that the mask `rows` marks."""
        numbers = {known: number for number, known in enumerate(self.words)}
        number = numbers.setdefault(word, len(numbers))
        values = np.insert(self.values, self.row_splits[:-1][rows], number)
        return WordLists(tuple(numbers), values, self.row_splits + np.concatenate([[0], np.cumsum(rows)]))

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[item] for item in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"caption {index} of {len(self)}")
        index %= len(self)
        return [self.words[value] for value in self.values[self.row_splits[index] : self.row_splits[index + 1]]]

    def __iter__(self) -> Iterator[list[str]]:
        return (self[index] for index in range(len(self)))
