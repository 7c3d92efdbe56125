"""The caption that the others agree with most."""

import math

import numpy as np
import pytest

from caption_tx.inference.search.consensus import expected_utility, similarities


def test_likeness_by_hand():
    # a b c against a b d: 2 of 3 words, 1 of 2 pairs, no triple; sqrt(3)**2, sqrt(2)**2 and 1 are the norms.
    found = similarities([[5, 6, 7], [5, 6, 8], [9, 9, 9]])
    assert found[0, 1] == pytest.approx((2 / 3 + 1 / 2 + 0 + 0) / 4)
    assert found[0, 2] == 0
    assert found[0, 0] == pytest.approx(3 / 4)  # three words hold no run of four
    assert similarities([[1, 2, 3, 4]])[0, 0] == pytest.approx(1)


def test_repeated_words_are_clipped_at_the_reference():
    found = similarities([[5, 5, 5, 5], [5, 6, 7, 8]])
    # Unigrams 4 against 1: min(4, 1) * 1 / (4 * 2); the reference has no pair "5 5".
    assert found[0, 1] == pytest.approx(1 / 8 / 4)
    assert found[1, 0] == pytest.approx(4 / 8 / 4)  # min(1, 4) * 4, as CIDEr-D has it


def test_other_lengths_agree_less():
    short, long = [1, 2], [1, 2] + [9] * 6
    ratio = similarities([short, long])[0, 1] / similarities([short, [1, 2]])[0, 1]
    words = (1 + 1) / (math.sqrt(2) * math.sqrt(2 + 36))
    pairs = 1 / math.sqrt(1 + 1 + 25)
    assert ratio == pytest.approx((words + pairs) / 2 * math.exp(-36 / 72))


def test_the_odd_one_out_agrees_least_unless_it_is_likely():
    captions = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 6], [7, 8, 9, 10]]
    assert np.argmin(expected_utility(captions, [-3, -3, -3, -2], 0.3)) == 3
    assert np.argmax(expected_utility(captions, [-9, -9, -9, -2], 1.0)) == 3
    assert np.argmin(expected_utility(captions, [-9, -9, -9, -2], 0.0)) == 3
    assert expected_utility(captions, [-900, -905, -903, -901], 1.0).max() > 0.3  # no underflow
