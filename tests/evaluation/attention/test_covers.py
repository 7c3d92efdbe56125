"""Covers of grid cells, and content words."""

import numpy as np
import pytest

from caption_tx.data.text.word_kinds import is_content_word
from caption_tx.errors import ConfigError
from caption_tx.evaluation.attention.covers import cover_features, cover_pixels


def test_covers_of_a_worked_example():
    image = np.zeros((7, 10, 3), np.uint8)
    image[:, :5] = (200, 100, 50)
    cells = np.array([[True, False], [False, False], [False, True]])
    covered = cover_pixels(image, cells)
    changed = (covered != image).any(axis=-1)
    assert changed[:2, :5].all() and changed[5:, 5:].all() and changed.sum() == 2 * 5 + 2 * 5
    assert (covered[changed] == (100, 50, 25)).all()
    features = np.arange(12.0).reshape(3, 2, 2)
    covered_features = cover_features(features, cells)
    np.testing.assert_array_equal(covered_features[cells], [[5, 6], [5, 6]])
    np.testing.assert_array_equal(covered_features[~cells], features[~cells])


def test_function_words_are_not_content_words():
    chinese = ("的", "两只", "旁边", "狗", "奔跑", "红色")
    assert [is_content_word(word, "zh") for word in chinese] == [False, False, False, True, True, True]
    assert [is_content_word(word, "en") for word in ("the", "with", "dog")] == [False, False, True]
    with pytest.raises(ConfigError, match="'fr'"):
        is_content_word("chien", "fr")
