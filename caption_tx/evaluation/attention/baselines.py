"""Maps that do not depend on the model, or not on the image: what the maps of a captioner must beat.

Letters: h/w feature grid, S = h*w cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from caption_tx.data.boxes.coverage import box_coverage
from caption_tx.evaluation.attention.phrases import BoxReferences

BASELINES = ("uniform", "center", "Gaussian", "word prior", "another image")
"""All cells alike; the center of the image; a centered Gaussian; the mean box of the same word in training; the mean
map of the same caption for another image."""

SIGMA = 0.2
"""Standard deviation of the Gaussian, in sides of the image."""


@lru_cache(maxsize=4)
def gaussian_map(grid: tuple[int, int]) -> np.ndarray:
    """A centered Gaussian at the centers of the cells, (S,), with sum 1."""
    rows, columns = (np.exp(-(((np.arange(cells) + 0.5) / cells - 0.5) ** 2) / (2 * SIGMA**2)) for cells in grid)
    values = np.outer(rows, columns).reshape(-1)
    return values / values.sum()


@lru_cache(maxsize=4)
def center_map(grid: tuple[int, int]) -> np.ndarray:
    """All attention on the cell at the center of the image, divided evenly if the center is a corner of cells."""
    is_center = np.isclose(gaussian_map(grid), gaussian_map(grid).max())
    return is_center / is_center.sum()


def baseline_maps(grid: tuple[int, int], prior: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    """(5, S) the maps of a word in the order of `BASELINES`; a word without a prior has the Gaussian.

    Args:
        prior: of the word, (S,).
        other: the mean map of the word for another image, (S,).
    """
    uniform = np.full(grid[0] * grid[1], 1 / (grid[0] * grid[1]))
    return np.stack(
        [uniform, center_map(grid), gaussian_map(grid), gaussian_map(grid) if prior is None else prior, other]
    )


def word_priors(references: BoxReferences, words: Iterable[str], grid: tuple[int, int]) -> Mapping[str, np.ndarray]:
    """The mean coverage of each word's boxes over the training images that have such boxes, (S,) with sum 1."""
    sums: dict[str, np.ndarray] = {}
    words = sorted(words)
    for boxes in references.training:
        cache: dict[tuple[int, ...], np.ndarray] = {}
        for position, indices in references.words.find(words, boxes).items():
            if indices not in cache:
                cache[indices] = box_coverage([boxes[index].corners for index in indices], grid).reshape(-1)
            sums[words[position]] = sums.get(words[position], 0) + cache[indices]
    return {word: total / total.sum() for word, total in sums.items()}
