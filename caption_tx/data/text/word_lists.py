"""The words of many captions in compact arrays: a million captions share a few tens of thousands of words."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")

BLOCK_SIZE = 1 << 16
"""Captions or values processed at a time, which bounds the size of NumPy's temporary arrays."""


class _WordIndex(dict[str, int]):
    """Maps each word to its index, in the order of first use."""

    def __missing__(self, word: str) -> int:
        return self.setdefault(word, len(self))


def take_rows(values: np.ndarray, row_splits: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the (values, row_splits) of the given rows of a ragged array, in the order of `rows`."""
    if len(rows) == len(row_splits) - 1 and np.array_equal(rows, np.arange(len(rows))):
        return values, row_splits
    splits = np.concatenate([[0], np.cumsum((row_splits[1:] - row_splits[:-1])[rows])])
    taken = np.empty(splits[-1], values.dtype)
    for start in range(0, len(rows), BLOCK_SIZE):
        ends = splits[start : start + BLOCK_SIZE + 1]
        offsets = row_splits[rows[start : start + BLOCK_SIZE]] - ends[:-1]
        taken[ends[0] : ends[-1]] = values[np.arange(ends[0], ends[-1]) + np.repeat(offsets, np.diff(ends))]
    return taken, splits


def count_values(values: np.ndarray, size: int) -> np.ndarray:
    """Counts how often each integer in [0, size) occurs; int64 (size,)."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(values), BLOCK_SIZE):
        counts += np.bincount(values[start : start + BLOCK_SIZE], minlength=size)
    return counts


class RaggedLists(Sequence[Item]):
    """Captions in one array; a subclass says with `_item` what the values of a caption stand for.

    Attributes:
        values: int32, the values of all captions.
        row_splits: int64 (captions + 1,); caption i is `values[row_splits[i]:row_splits[i + 1]]`.
    """

    values: np.ndarray
    row_splits: np.ndarray

    def _item(self, values: np.ndarray) -> Item:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[item] for item in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"caption {index} of {len(self)}")
        index %= len(self)
        return self._item(self.values[self.row_splits[index] : self.row_splits[index + 1]])


class WordLists(RaggedLists[list[str]]):
    """The words of many captions, with each distinct word stored once; item i is the word list of caption i.

    Attributes:
        distinct_words: the distinct words, in the order of first occurrence.
        values: int32, all words of all captions, as indices into `distinct_words`.
        row_splits: int64 (captions + 1,); caption i is `values[row_splits[i]:row_splits[i + 1]]`.

    Example:
        >>> lists = WordLists.from_lists([["a", "dog"], ["a", "cat"]])
        >>> lists.values.tolist(), lists[1]
        ([0, 1, 0, 2], ['a', 'cat'])
    """

    def __init__(self, distinct_words: tuple[str, ...], values: np.ndarray, row_splits: np.ndarray) -> None:
        self.distinct_words, self.values, self.row_splits = distinct_words, values, row_splits

    @classmethod
    def from_lists(cls, word_lists: Iterable[Sequence[str]]) -> WordLists:
        """Converts an iterable of word lists, which is read once; WordLists are returned unchanged."""
        if isinstance(word_lists, WordLists):
            return word_lists
        index, values, lengths = _WordIndex(), array("i"), array("q")
        for words in word_lists:
            values.extend(map(index.__getitem__, words))
            lengths.append(len(words))
        splits = np.concatenate([[0], np.cumsum(np.frombuffer(lengths, np.int64))]) if lengths else np.zeros(1, int)
        return cls(tuple(index), np.array(values, np.int32), splits)

    @property
    def lengths(self) -> np.ndarray:
        """Number of words per caption; int64 (captions,)."""
        return np.diff(self.row_splits)

    def counts(self) -> np.ndarray:
        """Counts how often each distinct word occurs; int64 (len(distinct_words),)."""
        return count_values(self.values, len(self.distinct_words))

    def take(self, rows: np.ndarray) -> WordLists:
        """Returns some of the captions, selected by row indices or by a boolean mask over all captions."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return WordLists(self.distinct_words, *take_rows(self.values, self.row_splits, rows))

    def prepend(self, word: str, mask: np.ndarray) -> WordLists:
        """Returns all captions, with `word` inserted before those that the boolean `mask` selects."""
        index = {known: position for position, known in enumerate(self.distinct_words)}
        value = index.setdefault(word, len(index))
        values = np.insert(self.values, self.row_splits[:-1][mask], value)
        return WordLists(tuple(index), values, self.row_splits + np.concatenate([[0], np.cumsum(mask)]))

    def _item(self, values: np.ndarray) -> list[str]:
        return [self.distinct_words[value] for value in values]

    def __iter__(self) -> Iterator[list[str]]:
        return (self[index] for index in range(len(self)))
