"""Minimum Bayes risk: CIDEr-D similarities computed by hand, and expected utilities."""

import math

import numpy as np
import pytest

from caption_tx.inference.search.consensus import expected_utility, similarities


def test_similarities_computed_by_hand():
    # a b c and a b d share 2 of 3 unigrams, 1 of 2 bigrams and no trigram; products of norms: 3, 2 and 1.
    values = similarities([[5, 6, 7], [5, 6, 8], [9, 9, 9]])
    assert values[0, 1] == pytest.approx((2 / 3 + 1 / 2 + 0 + 0) / 4)
    assert values[0, 2] == 0
    assert values[0, 0] == pytest.approx(3 / 4)  # three words contain no 4-gram
    assert similarities([[1, 2, 3, 4]])[0, 0] == pytest.approx(1)


def test_counts_are_clipped_at_the_reference():
    values = similarities([[5, 5, 5, 5], [5, 6, 7, 8]])
    # Unigram counts 4 and 1: min(4, 1) * 1 / (4 * 2); the reference has no bigram "5 5".
    assert values[0, 1] == pytest.approx(1 / 8 / 4)
    assert values[1, 0] == pytest.approx(4 / 8 / 4)  # min(1, 4) * 4, as CIDEr-D defines it


def test_different_lengths_reduce_similarity():
    short, long = [1, 2], [1, 2] + [9] * 6
    ratio = similarities([short, long])[0, 1] / similarities([short, [1, 2]])[0, 1]
    words = (1 + 1) / (math.sqrt(2) * math.sqrt(2 + 36))
    pairs = 1 / math.sqrt(1 + 1 + 25)
    assert ratio == pytest.approx((words + pairs) / 2 * math.exp(-36 / 72))


def test_outlier_has_least_utility_unless_it_is_probable():
    captions = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 6], [7, 8, 9, 10]]
    assert np.argmin(expected_utility(captions, [-3, -3, -3, -2], 0.3)) == 3
    assert np.argmax(expected_utility(captions, [-9, -9, -9, -2], 1.0)) == 3
    assert np.argmin(expected_utility(captions, [-9, -9, -9, -2], 0.0)) == 3
    assert expected_utility(captions, [-900, -905, -903, -901], 1.0).max() > 0.3  # no underflow
