"""Minimum Bayes risk: the expected utility of each caption that a search found. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caption_tx.inference.search.cider import cider_d, count_ngrams, ngram_vectors


def similarities(captions: Sequence[Sequence[int]]) -> np.ndarray:
    """CIDEr-D of every pair of captions, with all idf weights 1 so that no corpus is needed.

    Args:
        captions: the token_ids of M captions.

    Returns:
        float64 (M, M) in [0, 1]; in row i and column j caption j is the reference.
    """
    vectors = [ngram_vectors(count_ngrams(caption)) for caption in captions]
    values = [cider_d(caption, reference) for caption in vectors for reference in vectors]
    return np.array(values, float).reshape(len(vectors), len(vectors))


def expected_utility(captions: Sequence[Sequence[int]], log_probs: Sequence[float], alpha: float) -> np.ndarray:
    """The expected similarity of each caption to a caption of the model, float64 (M,) in [0, 1].

    The expectation is over these captions, with weights proportional to probability**alpha. Returning the caption
    with the highest value is minimum Bayes risk decoding (Kumar and Byrne 2004).

    Args:
        captions: the token_ids of M captions.
        log_probs: the natural log-probability of each whole caption.
        alpha: 0 weights all captions equally, 1 by the model's probabilities.
    """
    scaled = alpha * np.asarray(log_probs, float)
    weights = np.exp(scaled - scaled.max())
    return similarities(captions) @ (weights / weights.sum())
