"""The words and phrases of captions that name boxes, and what their boxes cover.

Letters: h/w feature grid, S = h*w cells, P points of a heatmap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from caption_tx.data.boxes.coverage import box_coverage, contains, covered_area
from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords
from caption_tx.evaluation.attention.cells import heatmap_points

WHOLE_IMAGE = 0.999
"""Boxes that cover more of the image than this say nothing about a map."""

_FINE = 56
"""Rows and columns of the grid that stands for the pixels of an image."""


@dataclass(frozen=True)
class BoxReferences:
    """The boxes of an evaluation.

    Attributes:
        boxes: name of an image -> its boxes.
        words: which words name which boxes.
        training: boxes of the training images, for the prior of each word; may be empty.
    """

    boxes: Mapping[str, Sequence[Box]]
    words: BoxWords = field(default_factory=BoxWords)
    training: Sequence[Sequence[Box]] = ()


@dataclass(frozen=True)
class NamedWord:
    """A word of a caption that names boxes.

    Attributes:
        position: of the word in the caption.
        word: in lower case.
        boxes: indices of all boxes that it names.
        category: of the boxes.
    """

    position: int
    word: str
    boxes: tuple[int, ...]
    category: str


@dataclass(frozen=True)
class NamedPhrase:
    """Adjacent words of a caption that are the phrase of boxes."""

    positions: tuple[int, ...]
    boxes: tuple[int, ...]


def find_words(words: Sequence[str], boxes: Sequence[Box], box_words: BoxWords) -> list[NamedWord]:
    """The words of a caption that name boxes."""
    return [
        NamedWord(
            position, words[position].lower(), indices, box_words.category(words[position], [boxes[i] for i in indices])
        )
        for position, indices in box_words.find(words, boxes).items()
    ]


def find_phrases(
    words: Sequence[str], boxes: Sequence[Box], named: Sequence[NamedWord], segment: Callable[[str], list[str]] | None
) -> list[NamedPhrase]:
    """The phrases of a caption that have boxes, the longest first where they overlap; single words without phrases.

    Args:
        named: the words that name boxes, as `find_words` returns them.
        segment: segments a phrase as the caption was; None if the phrases are in another language.
    """
    by_phrase: dict[tuple[str, ...], list[int]] = {}
    for index, box in enumerate(boxes):
        if box.phrase and segment is not None:
            by_phrase.setdefault(tuple(segment(box.phrase)), []).append(index)
    if not by_phrase:
        return [NamedPhrase((word.position,), word.boxes) for word in named]
    lowered, free, found = [word.lower() for word in words], [True] * len(words), []
    for phrase, indices in sorted(by_phrase.items(), key=lambda item: -len(item[0])):
        for start in range(len(words) - len(phrase) + 1) if phrase else ():
            span = range(start, start + len(phrase))
            if tuple(lowered[start : span.stop]) == phrase and all(free[position] for position in span):
                found.append(NamedPhrase(tuple(span), tuple(indices)))
                free[start : span.stop] = [False] * len(phrase)
    return sorted(found, key=lambda phrase: phrase.positions)


class BoxTargets:
    """What sets of boxes of one image cover; each set is computed once.

    Args:
        boxes: of the image.
        grid: (h, w) of the maps.
    """

    def __init__(self, boxes: Sequence[Box], grid: tuple[int, int]) -> None:
        self._corners, self._grid = [box.corners for box in boxes], grid
        self._coverage: dict[tuple[int, ...], np.ndarray] = {}
        self._hits: dict[tuple[int, ...], np.ndarray] = {}
        self._weights: dict[tuple[int, ...], np.ndarray] = {}

    def corners(self, indices: tuple[int, ...]) -> list:
        """The corners of some boxes."""
        return [self._corners[index] for index in indices]

    def area(self, indices: tuple[int, ...]) -> float:
        """The share of the image that some boxes cover."""
        return covered_area(self.corners(indices))

    def coverage(self, indices: tuple[int, ...]) -> np.ndarray:
        """The share of each cell that some boxes cover, (S,)."""
        if indices not in self._coverage:
            self._coverage[indices] = box_coverage(self.corners(indices), self._grid).reshape(-1)
        return self._coverage[indices]

    def hits(self, indices: tuple[int, ...]) -> np.ndarray:
        """Whether each of the `heatmap_points` of the grid is in one of some boxes, float (P,)."""
        if indices not in self._hits:
            points = heatmap_points(self._grid, (1.0, 1.0))[:, ::-1]
            self._hits[indices] = contains(self.corners(indices), points).astype(np.float64)
        return self._hits[indices]

    def fine_weights(self, indices: tuple[int, ...]) -> np.ndarray:
        """Weights (S,) such that their sum over a map is the part inside the boxes of the map scaled to the image."""
        if indices not in self._weights:
            rows, columns = (resize_matrix(cells, _FINE) for cells in self._grid)
            fine = box_coverage(self.corners(indices), (_FINE, _FINE))
            self._weights[indices] = (rows.T @ fine @ columns).reshape(-1)
        return self._weights[indices]


@lru_cache(maxsize=8)
def resize_matrix(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells): bilinear interpolation along one axis, between the centers of cells; rows sum to 1."""
    centers = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(centers[:, None] - np.arange(cells)))


def fine_total(grid: tuple[int, int]) -> np.ndarray:
    """Weights (S,) of the whole image, for `BoxTargets.fine_weights`."""
    rows, columns = (resize_matrix(cells, _FINE).sum(axis=0) for cells in grid)
    return np.outer(rows, columns).reshape(-1)
