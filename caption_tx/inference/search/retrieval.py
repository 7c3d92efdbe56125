"""Retrieval re-ranking: the expected similarity of captions to those of the nearest training images. No TensorFlow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from caption_tx.config import DecodingOptions
from caption_tx.data.features.retrieval_index import TEMPERATURE, RetrievalIndex
from caption_tx.errors import ConfigError
from caption_tx.inference.search.cider import LENGTH_SIGMA, MAX_N, Ngram, count_ngrams


def require_index(options: DecodingOptions, index: RetrievalIndex | None) -> None:
    """Raises a ConfigError if a search needs the retrieval index of a bundle that has none."""
    if options.retrieval and index is None:
        raise ConfigError(
            "retrieval (--retrieval) requires a bundle with a retrieval index, and this one has none; train it with "
            "training.retrieval_images (--retrieval-images), or leave the option out."
        )


def find_neighborhoods(index: RetrievalIndex, features: np.ndarray) -> list[Neighborhood]:
    """The nearest training images of each image; features are float (B, h, w, C)."""
    return [Neighborhood(index, nearest) for nearest in index.nearest(features)]


class Neighborhood:
    """The nearest training images of one image.

    Args:
        index: the training images.
        nearest: rows of the index with their cosine similarity, as `RetrievalIndex.nearest` returns them.
    """

    def __init__(self, index: RetrievalIndex, nearest: Sequence[tuple[int, float]]) -> None:
        self.index, self.nearest = index, nearest

    def similarities(self, captions: Sequence[Sequence[int]]) -> np.ndarray:
        """The expected CIDEr-D of each caption against the captions of the neighbors, float64 (M,) in [0, 1].

        The idf is that of all captions in the index. Each neighbor has the weight exp(similarity / `TEMPERATURE`).
        Without neighbors the result is 0.

        Args:
            captions: the token_ids of M captions, as the search returns them.
        """
        if not self.nearest:
            return np.zeros(len(captions))
        rows = [row for row, _ in self.nearest]
        values = np.array([similarity for _, similarity in self.nearest])
        weights = np.exp((values - values.max()) / TEMPERATURE)
        references = [caption for row in rows for caption in self.index.captions[row]]
        counts = np.array([len(self.index.captions[row]) for row in rows])
        weights = np.repeat(weights / weights.sum() / counts, counts)
        idf, unseen = _inverse_frequencies(self.index)
        return cider_d_matrix(captions, references, idf, unseen) @ weights


@lru_cache(maxsize=8)
def _inverse_frequencies(index: RetrievalIndex) -> tuple[dict[Ngram, float], float]:
    """The idf of the n-grams in the captions of an index, an image being a document, and that of other n-grams."""
    frequencies: Counter[Ngram] = Counter()
    for captions in index.captions:
        frequencies.update({gram for caption in captions for counts in count_ngrams(caption) for gram in counts})
    total = math.log(max(len(index.captions), 2))
    return {gram: total - math.log(count) for gram, count in frequencies.items()}, total


def cider_d_matrix(
    captions: Sequence[Sequence[int]],
    references: Sequence[Sequence[int]],
    idf: Mapping[Ngram, float],
    unseen_idf: float,
) -> np.ndarray:
    """`cider_d` of M captions against K references at once, float64 (M, K)."""
    own, other = [count_ngrams(caption) for caption in captions], [count_ngrams(caption) for caption in references]
    lengths, other_lengths = (np.array([len(caption) for caption in texts], float) for texts in (captions, references))
    total = np.zeros((len(captions), len(references)))
    for n in range(MAX_N):
        columns: dict[Ngram, int] = {}
        for counts in own:
            for gram in counts[n]:
                columns.setdefault(gram, len(columns))
        weights = np.array([idf.get(gram, unseen_idf) for gram in columns])
        vectors, other_vectors = np.zeros((len(own), len(columns))), np.zeros((len(other), len(columns)))
        squares = np.zeros(len(other))
        for row, counts in enumerate(own):
            for gram, count in counts[n].items():
                vectors[row, columns[gram]] = count
        for row, counts in enumerate(other):
            for gram, count in counts[n].items():
                squares[row] += (count * idf.get(gram, unseen_idf)) ** 2
                if (column := columns.get(gram)) is not None:
                    other_vectors[row, column] = count
        vectors, other_vectors = vectors * weights, other_vectors * weights
        norms = np.linalg.norm(vectors, axis=1)[:, None] * np.sqrt(squares)
        dots = np.stack([(np.minimum(vector, other_vectors) * other_vectors).sum(axis=1) for vector in vectors])
        total += np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    closeness = np.exp(-((lengths[:, None] - other_lengths) ** 2) / (2 * LENGTH_SIGMA**2))
    return closeness * total / MAX_N
