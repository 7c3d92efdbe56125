"""CIDEr-D of one caption against one reference, on token ids. No TensorFlow.

Vedantam et al. 2015, "CIDEr: Consensus-based Image Description Evaluation", eq. 1 to 3 with the clipped counts and the
length penalty of their section 5. Minimum Bayes risk decoding and the self-critical reward share it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_N = 4
"""Length of the longest n-grams."""

LENGTH_SIGMA = 6.0
"""Tokens. Captions whose lengths differ by this much are less similar by a factor of exp(-1/2)."""

Ngram = tuple[int, ...]


@dataclass(frozen=True)
class NgramVectors:
    """The tf-idf vectors of a caption for n = 1 to 4, their Euclidean norms, and the number of tokens."""

    vectors: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int


def count_ngrams(token_ids: Sequence[int]) -> list[Counter[Ngram]]:
    """Count the n-grams of a caption for n = 1 to 4."""
    token_ids = tuple(token_ids)
    return [
        Counter(token_ids[start : start + n] for start in range(len(token_ids) - n + 1)) for n in range(1, MAX_N + 1)
    ]


def ngram_vectors(
    counts: Sequence[Counter[Ngram]], idf: Mapping[Ngram, float] | None = None, unseen_idf: float = 1.0
) -> NgramVectors:
    """Weight the n-gram counts of a caption.

    Args:
        counts: as `count_ngrams` returns them.
        idf: inverse document frequencies; `unseen_idf` is that of all other n-grams.
    """
    idf = idf or {}
    vectors = tuple({gram: n * idf.get(gram, unseen_idf) for gram, n in count.items()} for count in counts)
    norms = tuple(math.sqrt(sum(value * value for value in vector.values())) for vector in vectors)
    return NgramVectors(vectors, norms, sum(counts[0].values()))


def cider_d(caption: NgramVectors, reference: NgramVectors) -> float:
    """Similarity in [0, 1]: the mean over n of the clipped cosine, reduced if the lengths differ."""
    closeness = math.exp(-((caption.length - reference.length) ** 2) / (2 * LENGTH_SIGMA**2))
    total = 0.0
    for vector, norm, other, other_norm in zip(
        caption.vectors, caption.norms, reference.vectors, reference.norms, strict=True
    ):
        if norm and other_norm:
            shared = vector.keys() & other.keys()
            dot = sum(min(vector[gram], other[gram]) * other[gram] for gram in shared)
            total += closeness * dot / (norm * other_norm)
    return total / MAX_N
