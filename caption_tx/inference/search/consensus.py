"""The caption that the others agree with most: minimum Bayes risk among the captions that a search found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST = 4
"""Runs of one word up to so many are compared, as CIDEr does."""

LENGTH_SPREAD = 6.0
"""Tokens; captions whose lengths differ by this much agree by a factor exp(-1/2) less (CIDEr-D's sigma)."""


def similarities(captions: Sequence[Sequence[int]]) -> np.ndarray:
    """How alike captions are, float64 (M, M) in [0, 1], from token_ids; row i with caption j as the reference.

    CIDEr-D (Vedantam et al. 2015, eq. 2 and section 5) with all idf weights 1, so that it needs no corpus: the
    mean over n = 1 to 4 of the clipped cosine of the n-gram counts, less where lengths differ.
    """
    lengths = np.array([len(caption) for caption in captions], float)
    total = np.zeros((len(captions), len(captions)))
    for n in range(1, LONGEST + 1):
        places: dict[tuple[int, ...], int] = {}
        runs = [
            [places.setdefault(tuple(caption[i : i + n]), len(places)) for i in range(len(caption) - n + 1)]
            for caption in captions
        ]
        counts = np.zeros((len(captions), len(places)))
        for row, found in enumerate(runs):
            np.add.at(counts[row], found, 1.0)
        norms = np.linalg.norm(counts, axis=1)
        norms[norms == 0] = 1.0
        clipped = np.minimum(counts[:, None], counts) * counts  # (M, M, n-grams)
        total += clipped.sum(-1) / np.outer(norms, norms)
    return total / LONGEST * np.exp(-((lengths[:, None] - lengths) ** 2) / (2 * LENGTH_SPREAD**2))


def expected_utility(
    captions: Sequence[Sequence[int]], log_probabilities: Sequence[float], sharpness: float
) -> np.ndarray:
    """The expected likeness of each caption to what the model would say, float64 (M,) in [0, 1].

    The expectation is over these captions, each as likely as probability**sharpness: what to maximize is minimum
    Bayes risk decoding (Kumar and Byrne 2004).

    Args:
        captions: token_ids of each. log_probabilities: of each as a whole, natural.
        sharpness: 0 lets all captions count alike, 1 as the model holds them likely.
    """
    values = sharpness * np.asarray(log_probabilities, float)
    weights = np.exp(values - values.max())
    return similarities(captions) @ (weights / weights.sum())
